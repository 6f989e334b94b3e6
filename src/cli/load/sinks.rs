//! Where the intervals of a run go while it runs: CSV, interval log, textfile, scrapes.

use super::scrape::Scrape;
use crate::cli::Failure;
use crate::report::{Interval, Ledger, csv, hlog, prometheus};
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Which of them are wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) record: Option<PathBuf>,
    pub(super) html: Option<PathBuf>,
    /// The record of a run before, and the part that may be lost against it.
    pub(super) baseline: Option<PathBuf>,
    pub(super) tolerance: f64,
    pub(super) csv: Option<PathBuf>,
    pub(super) hlog: Option<PathBuf>,
    pub(super) prometheus: Option<PathBuf>,
    pub(super) metrics_listen: Option<SocketAddr>,
}

/// Those that are wanted, open.
pub(super) struct Sinks {
    csv: Option<Sink>,
    hlog: Option<Sink>,
    prometheus: Option<PathBuf>,
    scrape: Option<Scrape>,
    /// The first thing that went wrong: the run goes on without that sink.
    failed: Option<String>,
}

/// A file that is written a piece at a time.
struct Sink {
    flag: &'static str,
    path: PathBuf,
    file: File,
}

impl Sinks {
    /// Opens them, before anything is connected.
    pub(super) fn open(wanted: &Wanted, started_unix_ms: u64) -> Result<Self, Failure> {
        let open = |flag, path: &Option<PathBuf>, head: &str| {
            let sink = path.as_deref().map(|path| Sink::open(flag, path, head));
            sink.transpose()
        };
        if let Some(path) = &wanted.prometheus {
            replace(path, "").map_err(|error| refused("--prometheus", path, &error))?;
        }
        Ok(Self {
            csv: open("--csv", &wanted.csv, csv::HEADER)?,
            hlog: open("--hlog", &wanted.hlog, &hlog::head(started_unix_ms))?,
            prometheus: wanted.prometheus.clone(),
            scrape: wanted.metrics_listen.map(Scrape::start).transpose()?,
            failed: None,
        })
    }

    /// Takes an interval in.
    pub(super) fn take(&mut self, interval: &Interval, ledger: &Ledger) {
        let row = self
            .csv
            .as_mut()
            .map(|sink| sink.write(&csv::row(interval)));
        let lines = self.hlog.as_mut().map(|sink| {
            let lines = hlog::lines(interval)?;
            sink.write(&lines)
        });
        if self.prometheus.is_some() || self.scrape.is_some() {
            let text = prometheus::text(ledger, interval);
            if let Some(path) = &self.prometheus
                && let Err(error) = replace(path, &text)
            {
                self.failed = Some(refused("--prometheus", path, &error).to_string());
            }
            if let Some(scrape) = &self.scrape {
                scrape.set(text);
            }
        }
        for (sink, written) in [(&mut self.csv, row), (&mut self.hlog, lines)] {
            if let Some(Err(error)) = written {
                *sink = None;
                self.failed.get_or_insert(error);
            }
        }
    }

    /// What went wrong, if something did.
    pub(super) fn close(self) -> Result<(), Failure> {
        self.failed.map_or(Ok(()), |text| Err(Failure::Run(text)))
    }
}

impl Sink {
    fn open(flag: &'static str, path: &Path, head: &str) -> Result<Self, Failure> {
        let file = File::create(path).and_then(|mut file| {
            file.write_all(head.as_bytes())?;
            Ok(file)
        });
        Ok(Self {
            flag,
            path: path.to_owned(),
            file: file.map_err(|error| refused(flag, path, &error))?,
        })
    }

    fn write(&mut self, text: &str) -> Result<(), String> {
        let written = self.file.write_all(text.as_bytes());
        written.map_err(|error| refused(self.flag, &self.path, &error).to_string())
    }
}

/// Puts a whole file in another's place: a reader sees the old one or the new one.
pub(super) fn replace(path: &Path, text: impl AsRef<[u8]>) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    // The textfile collector reads names that end with .prom only.
    name.push(".new");
    let beside = path.with_file_name(name);
    fs::write(&beside, text)?;
    fs::rename(&beside, path)
}

pub(super) fn refused(flag: &str, path: &Path, error: &io::Error) -> Failure {
    let path = path.display();
    Failure::Run(format!(
        "{flag}: cannot write {path}: {error}; try: another file"
    ))
}
