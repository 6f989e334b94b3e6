//! A folder of logs as whoever reads there while a server writes.

use super::kind::{LogFile, LogKind};
use super::minute::{MinuteReader, MinuteRecord};
use super::rollup::ROLLUP_FILE;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

/// Bytes that are read at once.
const PIECE: usize = 256 * 1024;

/// Where the files are.
#[derive(Clone, Debug)]
pub(in crate::cli) struct LogFolder(PathBuf);

impl LogFolder {
    pub(in crate::cli) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Hands out all minutes that are on disk: of one there may be several parts.
    pub(in crate::cli) fn minutes(&self, mut each: impl FnMut(MinuteRecord)) -> io::Result<()> {
        let file = File::open(self.0.join(ROLLUP_FILE))?;
        if let Some(mut reader) = MinuteReader::new(BufReader::with_capacity(PIECE, file))? {
            while let Some(record) = reader.next()? {
                each(record);
            }
        }
        Ok(())
    }

    /// The files of that kind, in the order of time.
    pub(in crate::cli) fn files(&self, kind: LogKind) -> io::Result<Vec<LogFile>> {
        kind.files(&self.0)
    }
}
