//! Reads records of runs from files; what is none is refused with a remedy.

use super::Failure;
use crate::report::Record;
use crate::report::record::SCHEMA;
use serde::Deserialize;
use std::fs;
use std::path::Path;

/// Bytes of a record's file at most: 20,000 seconds have 20 MB.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// What every record says of itself.
#[derive(Deserialize)]
struct SchemaName {
    schema: String,
}

/// The record of one run in that file.
pub(super) fn read(path: &Path) -> Result<Record, Failure> {
    let shown = path.display();
    let refused = |why: &str| {
        let text = "try: a file of ringstorm load --record FILE";
        Failure::Run(format!("{shown}: {why}; {text}"))
    };
    let length = fs::metadata(path)
        .map_err(|error| refused(&error.to_string()))?
        .len();
    if length > FILE_BYTES_MAX {
        return Err(refused("too large for a record"));
    }
    let text = fs::read_to_string(path).map_err(|error| refused(&error.to_string()))?;
    if text.trim().is_empty() {
        return Err(refused("it is empty"));
    }
    let named: SchemaName = serde_json::from_str(&text).map_err(|error| {
        let is_cut = error.is_eof();
        refused(if is_cut {
            "it is cut off"
        } else {
            "it is no record"
        })
    })?;
    if named.schema != SCHEMA {
        let schema = named.schema;
        return Err(refused(&format!(
            "it is of schema {schema}, this program reads {SCHEMA}"
        )));
    }
    serde_json::from_str(&text).map_err(|error| refused(&format!("no record: {error}")))
}
