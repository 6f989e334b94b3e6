//! What a run leaves behind: files, and the facts that its record needs.

use super::{Config, scrape};
use crate::cli::engine_flag::LoadEngine;
use crate::cli::proxy::ProxyFlag;
use crate::cli::{Failure, host, print};
use crate::report::html::NamedRecord;
use crate::report::{self, Facts, Record};
use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Refuses files that cannot be written, and one that two flags name, before anything is measured.
pub(super) fn check(config: &Config) -> Result<(), Failure> {
    let sinks = &config.sinks;
    let named = [
        ("--record", &sinks.record),
        ("--html", &sinks.html),
        ("--hgrm", &config.hgrm),
        ("--csv", &sinks.csv),
        ("--hlog", &sinks.hlog),
        ("--prometheus", &sinks.prometheus),
    ];
    let mut seen: Vec<(&str, &Path)> = Vec::new();
    for (flag, path) in named {
        let Some(path) = path.as_deref() else {
            continue;
        };
        // Whatever goes to /dev/null may go there twice.
        let is_file = path.metadata().map_or(true, |found| found.is_file());
        let same = seen.iter().find(|(_, it)| is_file && *it == path);
        if let Some((other, _)) = same {
            return Err(Failure::Usage(format!(
                "{flag}: {} is the file of {other} as well; try: another file",
                path.display()
            )));
        }
        seen.push((flag, path));
        try_to_write(path).map_err(|error| {
            let path = path.display();
            Failure::Run(format!(
                "{flag}: cannot write {path}: {error}; try: another file"
            ))
        })?;
    }
    if let Some(address) = sinks.metrics_listen {
        // It is bound again when the run begins.
        drop(scrape::listen(address)?);
    }
    Ok(())
}

/// Opens it for writing, and leaves it as it was.
fn try_to_write(path: &Path) -> io::Result<()> {
    let was_there = path.symlink_metadata().is_ok();
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    if was_there {
        return Ok(());
    }
    std::fs::remove_file(path)
}

pub(super) fn write_hgrm(path: &Path, record: &Record) -> Result<(), Failure> {
    let Some((name, latency)) = record.headline() else {
        print::note("--hgrm: nothing was measured, so no file was written");
        return Ok(());
    };
    std::fs::write(path, report::hgrm::hgrm(latency)).map_err(|error| {
        let path = path.display();
        Failure::Run(format!(
            "--hgrm: cannot write {path}: {error}; try: another file"
        ))
    })?;
    print::note(format_args!("{name} latency written to {}", path.display()));
    Ok(())
}

/// The line that scripts of older stress clients look for.
pub(super) fn note_connects(record: &Record) {
    let connects = &record.connects;
    let (spawned, accepted, failed) = (connects.attempted, connects.up, connects.failed);
    print::note(format_args!(
        "Connections spawned: {spawned}, accepted: {accepted}, failed: {failed}"
    ));
}

/// Judges a run by one before.
pub(super) fn judge_by(
    record: &mut Record,
    before: &Record,
    tolerance: f64,
) -> Result<(), Failure> {
    report::baseline::judge_by(record, before, tolerance)
        .map_err(|why| Failure::Run(format!("--baseline: {why}")))
}

/// Writes the page of a run.
pub(super) fn write_page(path: &Path, record: &Record) -> Result<(), Failure> {
    let name = "this run";
    crate::cli::report::write_page(path, &[NamedRecord { name, record }])
}

/// What the clock on the wall says.
pub(super) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn facts(config: &Config) -> Facts {
    Facts {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: config.command.clone(),
        url: config.url.clone(),
        part: config.part.recorded(),
        proxy: config
            .proxy
            .as_ref()
            .filter(|_| !config.routes.is_empty())
            .map(ProxyFlag::to_string),
        engine: match config.engine {
            LoadEngine::Ring => "ring".to_owned(),
            LoadEngine::Tokio => "tokio".to_owned(),
        },
        cpus: config.cpus.clone(),
        started_unix_ms: unix_ms(),
        host: host::facts(),
        thresholds: config.thresholds.clone(),
        allowed_failures: config.allowed_failures,
        ..Facts::default()
    }
}
