//! The seconds of a run for its record, and the record of the run so far in a file: a run that is
//! killed leaves it.

use super::Config;
use super::sinks::{refused, replace};
use crate::cli::Failure;
use crate::report::{Facts, Interval, Ledger, Record, Second, Series, judged};
use std::path::Path;

/// Keeps the seconds of a run.
pub(super) struct Recording<'a> {
    config: &'a Config,
    facts: &'a Facts,
    series: Series,
    /// Whether the file can be written: the run goes on without it.
    failed: Option<String>,
}

impl<'a> Recording<'a> {
    /// Nothing has come yet.
    pub(super) fn new(config: &'a Config, facts: &'a Facts) -> Self {
        Self {
            config,
            facts,
            series: Series::default(),
            failed: None,
        }
    }

    /// Takes an interval in, and writes the record so far now and then.
    pub(super) fn take(&mut self, interval: &Interval, ledger: &Ledger) {
        self.series.take(interval);
        let Some(path) = self.config.sinks.record.as_deref() else {
            return;
        };
        if self.failed.is_some() || !self.series.is_due() {
            return;
        }
        let mut record = judged(self.facts, &self.config.load, ledger.so_far()).unfinished();
        record.series = self.series.rows().to_vec();
        self.failed = write(path, &record).err().map(|error| error.to_string());
    }

    /// The seconds.
    ///
    /// # Errors
    /// The file could not be written.
    pub(super) fn end(self) -> Result<Vec<Second>, Failure> {
        match self.failed {
            Some(text) => Err(Failure::Run(text)),
            None => Ok(self.series.rows().to_vec()),
        }
    }
}

/// Puts a record in the place of the one before.
pub(super) fn write(path: &Path, record: &Record) -> Result<(), Failure> {
    let text = record
        .to_json()
        .map_err(|error| Failure::Run(format!("the record cannot be written as JSON: {error}")))?;
    replace(path, format!("{text}\n")).map_err(|error| refused("--record", path, &error))
}
