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
        refused(if is_cut_off(text, &error) {
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

/// Whether what came to its end there is the text itself. A number whose text ends behind its
/// point is a wrong number to the parser, and no end of the file.
fn is_cut_off(text: &str, error: &serde_json::Error) -> bool {
    let text = text.trim_end();
    let (lines, last) = (text.lines().count(), text.lines().last().unwrap_or(""));
    let is_at_end = error.line() == lines && error.column() >= last.len();
    error.is_eof() || error.is_syntax() && is_at_end
}

fn refused(path: &Path, kind: RecordKind, why: &str) -> Failure {
    let (shown, command) = (path.display(), kind.command);
    let text = format!("try: a file of ringstorm {command} --record FILE");
    Failure::Run(format!("{shown}: {why}; {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: RecordKind = RecordKind {
        schema: SCHEMA,
        command: "load",
    };

    fn why(text: &str) -> String {
        let Err(Failure::Run(why)) = parsed::<SchemaName>(Path::new("a.json"), KIND, text) else {
            panic!("a record: {text}");
        };
        why
    }

    #[test]
    fn a_record_is_cut_off_wherever_it_ends() {
        let whole = r#"{"a": [-0.5, 1e-3, true, null, {"b": "c\u00e4d", "e": {}}],
            "schema": "ringstorm.load/1", "f": 12.75E+2}"#;
        assert!(parsed::<SchemaName>(Path::new("a.json"), KIND, whole).is_ok());
        for end in 1..whole.len() {
            let why = why(&whole[..end]);
            assert!(why.contains("it is cut off"), "{}: {why}", &whole[..end]);
        }
    }

    #[test]
    fn what_is_wrong_before_its_end_is_no_record() {
        for text in ["[1, 2]", "{\"a\": 1.}, 2", "nothing of the kind", "{}"] {
            let why = why(text);
            assert!(why.contains("it is no record"), "{text}: {why}");
        }
    }
}
