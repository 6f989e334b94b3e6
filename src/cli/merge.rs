//! `merge`: parts of one run, made one record and its summary.

use super::{Exit, Failure, print, records};
use crate::report::{self, Record, merging};
use clap::Args;
use std::path::PathBuf;

/// Flags of `merge`.
#[derive(Args, Debug)]
pub(super) struct MergeFlags {
    /// Records of the parts: files of `ringstorm load --record`.
    #[arg(required = true, value_name = "RECORD")]
    pub(super) parts: Vec<PathBuf>,
    /// Prints the record as one line of JSON rather than the summary.
    #[arg(long)]
    pub(super) json: bool,
    /// Writes the record to this file.
    #[arg(long, value_name = "FILE.json")]
    pub(super) record: Option<PathBuf>,
}

/// Merges them, and ends as the whole did.
pub(super) fn run(flags: &MergeFlags) -> Result<Exit, Failure> {
    let parts: Result<Vec<Record>, Failure> =
        flags.parts.iter().map(|path| records::read(path)).collect();
    let whole = merging::merged(&parts?).map_err(|error| Failure::Run(error.to_string()))?;
    let text = whole
        .to_json()
        .map_err(|error| Failure::Run(format!("the record cannot be written as JSON: {error}")))?;
    if let Some(path) = &flags.record {
        std::fs::write(path, format!("{text}\n")).map_err(|error| {
            let path = path.display();
            Failure::Run(format!(
                "--record: cannot write {path}: {error}; try: another file"
            ))
        })?;
    }
    if flags.json {
        print::line(text)?;
    } else {
        print::text(&report::text::text(&whole))?;
    }
    Ok(Exit::of_run(report::exit_code(&whole)))
}
