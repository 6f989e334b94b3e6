//! What a run leaves behind: files, and the facts that its record needs.

use super::Config;
use crate::cli::flags::LoadEngine;
use crate::cli::{Failure, host, print};
use crate::report::{self, Facts, Record};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

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

pub(super) fn facts(config: &Config) -> Facts {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Facts {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: config.command.clone(),
        url: config.url.clone(),
        engine: match config.engine {
            LoadEngine::Ring => "ring".to_owned(),
            LoadEngine::Tokio => "tokio".to_owned(),
        },
        cpus: config.cpus.clone(),
        started_unix_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
        host: host::facts(),
        thresholds: config.thresholds.clone(),
        allowed_failures: config.allowed_failures,
        ..Facts::default()
    }
}
