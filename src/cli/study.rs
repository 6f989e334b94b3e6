//! What the commands that judge many load runs are told alike, and what they leave: `capacity` and
//! `compare`.

use super::records::{self, RecordKind};
use super::{Failure, print};
use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

/// Flags of `capacity` and `compare` alike.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct StudyFlags {
    /// Prints each record as one line of JSON rather than as text.
    #[arg(long)]
    pub(super) json: bool,
    /// Writes the records to this file as well, one a line.
    #[arg(long, value_name = "FILE.json")]
    record: Option<PathBuf>,
    /// The record of an earlier one of the same command: exit code 99 if this is worse beyond both
    /// intervals.
    #[arg(long, value_name = "RECORD")]
    baseline: Option<PathBuf>,
    /// No progress on stderr.
    #[arg(long)]
    pub(super) quiet: bool,
    /// The command line.
    #[arg(skip)]
    pub(super) command: Vec<String>,
}

/// Where records go.
pub(super) struct StudyRecords {
    is_json: bool,
    file: Option<File>,
}

impl StudyFlags {
    /// The records of the baseline, none without one; and where those of this study go. That may be
    /// the same file: it is read before it is replaced.
    pub(super) fn open<T: DeserializeOwned>(
        &self,
        kind: RecordKind,
    ) -> Result<(Vec<T>, StudyRecords), Failure> {
        let before = match &self.baseline {
            None => Vec::new(),
            Some(path) => records::read_lines(path, kind)?,
        };
        let created = self.record.as_ref().map(|path| {
            File::create(path).map_err(|error| {
                let path = path.display();
                Failure::Run(format!(
                    "--record: cannot write {path}: {error}; try: another file"
                ))
            })
        });
        let records = StudyRecords {
            is_json: self.json,
            file: created.transpose()?,
        };
        Ok((before, records))
    }
}

impl StudyRecords {
    /// Writes a record and prints it, as JSON or as that text.
    pub(super) fn leave(&mut self, record: &impl Serialize, text: &str) -> Result<(), Failure> {
        let line = serde_json::to_string(record)
            .map_err(|error| Failure::Run(format!("the record is no JSON: {error}")))?;
        if let Some(file) = &mut self.file {
            writeln!(file, "{line}")?;
        }
        if self.is_json {
            print::line(line)?;
        } else {
            print::text(text)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::scratch::Scratch;

    #[test]
    fn a_record_may_replace_its_own_baseline_which_is_read_before() {
        let scratch = Scratch::new().expect("a name");
        let path = scratch.path().to_path_buf();
        std::fs::write(&path, "{\"schema\":\"x/1\",\"n\":7}\n").expect("written");
        let flags = StudyFlags {
            record: Some(path.clone()),
            baseline: Some(path.clone()),
            json: true,
            ..StudyFlags::default()
        };
        let kind = RecordKind {
            schema: "x/1",
            command: "x",
        };
        let (before, mut records) = flags.open::<serde_json::Value>(kind).expect("opened");
        assert_eq!(before[0]["n"], 7);
        records
            .leave(&serde_json::json!({"n": 8}), "")
            .expect("left");
        let left = std::fs::read_to_string(&path).expect("read");
        assert_eq!(left, "{\"n\":8}\n");
    }
}
