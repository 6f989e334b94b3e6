//! Reads records from files; what is none is refused with a remedy.

use super::Failure;
use crate::report::Record;
use crate::report::record::SCHEMA;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::path::Path;

/// Bytes of a record's file at most: 20,000 seconds have 20 MB.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// What every record says of itself.
#[derive(Deserialize)]
struct SchemaName {
    schema: String,
}

/// A kind of records.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordKind {
    /// The schema that this program reads.
    pub(super) schema: &'static str,
    /// The command whose `--record` writes them.
    pub(super) command: &'static str,
}

/// The record of one run in that file.
pub(super) fn read(path: &Path) -> Result<Record, Failure> {
    let kind = RecordKind {
        schema: SCHEMA,
        command: "load",
    };
    let text = text(path, kind)?;
    parsed(path, kind, &text)
}

/// The records in that file, one a line.
pub(super) fn read_lines<T: DeserializeOwned>(
    path: &Path,
    kind: RecordKind,
) -> Result<Vec<T>, Failure> {
    let text = text(path, kind)?;
    text.lines().map(|line| parsed(path, kind, line)).collect()
}

fn text(path: &Path, kind: RecordKind) -> Result<String, Failure> {
    let refused = |why: &str| refused(path, kind, why);
    let found = fs::metadata(path).map_err(|error| refused(&error.to_string()))?;
    if found.len() > FILE_BYTES_MAX {
        return Err(refused("too large for a record"));
    }
    let text = fs::read_to_string(path).map_err(|error| refused(&error.to_string()))?;
    if text.trim().is_empty() {
        return Err(refused("it is empty"));
    }
    Ok(text)
}

fn parsed<T: DeserializeOwned>(path: &Path, kind: RecordKind, text: &str) -> Result<T, Failure> {
    let refused = |why: &str| refused(path, kind, why);
    let named: SchemaName = serde_json::from_str(text).map_err(|error| {
        refused(if error.is_eof() {
            "it is cut off"
        } else {
            "it is no record"
        })
    })?;
    if named.schema != kind.schema {
        let (is, reads) = (named.schema, kind.schema);
        return Err(refused(&format!(
            "it is of schema {is}, here {reads} is read"
        )));
    }
    serde_json::from_str(text).map_err(|error| refused(&format!("no record: {error}")))
}

fn refused(path: &Path, kind: RecordKind, why: &str) -> Failure {
    let (shown, command) = (path.display(), kind.command);
    let text = format!("try: a file of ringstorm {command} --record FILE");
    Failure::Run(format!("{shown}: {why}; {text}"))
}
