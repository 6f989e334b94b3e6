//! Which logs there are, and the files of each in a folder.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// What a file has lines of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum LogKind {
    /// `chat-logs.jsonl`
    Events,
    /// `bandwidth.jsonl`
    Figures,
}

/// A file of a folder, and what it has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli) struct LogFile {
    /// When it was put aside, and the how manieth of that second it is; the one that is written
    /// is behind all others.
    order: (bool, String, u32),
    pub(in crate::cli) path: PathBuf,
}

impl LogKind {
    /// What files of it begin with.
    pub(in crate::cli) const fn name(self) -> &'static str {
        match self {
            Self::Events => "chat-logs",
            Self::Figures => "bandwidth",
        }
    }

    /// The files of a folder that are of it, in the order of time.
    pub(in crate::cli) fn files(self, folder: &Path) -> io::Result<Vec<LogFile>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let order = path.file_name().and_then(|it| self.order(it.to_str()?));
            files.extend(order.map(|order| LogFile { order, path }));
        }
        files.sort();
        Ok(files)
    }

    /// `chat-logs.jsonl`, or `chat-logs-20261130T033107Z.jsonl`, or `...Z-1.jsonl`.
    fn order(self, name: &str) -> Option<(bool, String, u32)> {
        let rest = name.strip_prefix(self.name())?.strip_suffix(".jsonl")?;
        if rest.is_empty() {
            return Some((true, String::new(), 0));
        }
        let (at, count) = rest.strip_prefix('-')?.split_once('Z')?;
        let count = match count {
            "" => 0,
            count => count.strip_prefix('-')?.parse().ok()?,
        };
        Some((false, at.to_owned(), count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::scratch::ScratchFolder;

    #[test]
    fn files_come_in_the_order_in_which_they_were_written() {
        let scratch = ScratchFolder::new("replay-order");
        let names = [
            "bandwidth-20261130T033107Z.jsonl",
            "bandwidth-20261130T033107Z-1.jsonl",
            "bandwidth-20261130T033107Z-10.jsonl",
            "bandwidth-20261201T000000Z.jsonl",
            "bandwidth.jsonl",
        ];
        for name in names
            .iter()
            .rev()
            .chain(&["bandwidth-x.jsonl", "bandwidth.jsonl.gz", ".lock"])
        {
            fs::write(scratch.path().join(name), "").unwrap();
        }
        let files = LogKind::Figures.files(scratch.path()).unwrap();
        let found = files
            .iter()
            .map(|it| it.path.file_name().unwrap().to_str().unwrap());
        assert_eq!(found.collect::<Vec<_>>(), names);
    }
}
