//! Files of /proc and /sys that are read again and again, each into the text that it had before.
//!
//! What changes quickly is read each time and kept open, because opening costs as much as reading.
//! What the kernel itself reckons up only every few seconds (load average, pressure), what hardly
//! changes, and sums of which nothing is lost, are read every fifth time, in turns. What the kernel
//! has to walk for is read rarely.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

/// Readings from one to the next of what is read slowly.
pub(super) const SLOW: u64 = 5;
/// Readings from one to the next of what is read rarely, and of a look for what was not there.
pub(super) const RARE: u64 = 15;
/// More than a record of these files, less than a page: the kernel hands out whole records, a page
/// of them at a time, so that a read of less than this was the last (fs/seq_file.c).
const LAST_BYTES: usize = 3072;

/// How often a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cadence {
    Each,
    Slow,
    Rare,
}

/// Where in the texts `T` a file goes.
pub(super) type TextField<T> = fn(&mut T) -> &mut String;

/// A file, and where its text goes.
#[derive(Debug)]
struct Entry<T> {
    path: String,
    place: TextField<T>,
    cadence: Cadence,
    file: Option<File>,
}

/// Files that fill the texts `T`.
#[derive(Debug)]
pub(super) struct Files<T> {
    entries: Vec<Entry<T>>,
}

impl<T> Default for Files<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
        }
    }
}

impl<T> Files<T> {
    /// Adds a file.
    pub(super) fn add(&mut self, cadence: Cadence, path: impl Into<String>, place: TextField<T>) {
        self.entries.push(Entry {
            path: path.into(),
            place,
            cadence,
            file: None,
        });
    }

    /// Whether these are other files than those.
    pub(super) fn differ(&self, other: &Self) -> bool {
        let paths = |files: &Self| files.entries.iter().map(|it| it.path.clone()).collect();
        let (own, others): (Vec<String>, Vec<String>) = (paths(self), paths(other));
        own != others
    }

    /// The reading of that number, from 0; the first reads all.
    pub(super) fn read(&mut self, texts: &mut T, reading: u64) {
        let rare = reading.is_multiple_of(RARE);
        for (turn, entry) in (0..).zip(&mut self.entries) {
            let due = match entry.cadence {
                Cadence::Each => true,
                Cadence::Slow => reading == 0 || reading % SLOW == turn % SLOW,
                Cadence::Rare => rare,
            };
            if due && (entry.file.is_some() || rare || entry.cadence == Cadence::Slow) {
                entry.read((entry.place)(texts));
            }
        }
    }
}

impl<T> Entry<T> {
    fn read(&mut self, into: &mut String) {
        into.clear();
        let file = match self.file.take() {
            Some(file) => Ok(file),
            None => File::open(&self.path),
        };
        let Ok(file) = file else {
            return;
        };
        match again(&file, into) {
            Ok(()) if self.cadence != Cadence::Rare => self.file = Some(file),
            Ok(()) => {}
            Err(_) => into.clear(),
        }
    }
}

/// Reads a file that is kept open from its beginning.
pub(super) fn again(file: &File, into: &mut String) -> io::Result<()> {
    let mut bytes = [0; 8192];
    let mut at = 0;
    into.clear();
    loop {
        let length = file.read_at(&mut bytes, at)?;
        let piece = bytes.get(..length).unwrap_or_default();
        into.push_str(&String::from_utf8_lossy(piece));
        if length < LAST_BYTES {
            return Ok(());
        }
        at += length as u64;
    }
}

/// Reads a file once; an empty text if it cannot be.
pub(super) fn once(path: &str, into: &mut String) {
    into.clear();
    let read = File::open(path).and_then(|mut file| file.read_to_string(into));
    if read.is_err() {
        into.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[derive(Default)]
    struct Texts {
        each: String,
        slow: String,
        missing: String,
    }

    #[test]
    fn a_file_is_read_at_its_pace_and_a_missing_one_is_looked_for_rarely() {
        let folder = std::env::temp_dir().join(format!("ringstorm-files-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let mut files: Files<Texts> = Files::default();
        files.add(Cadence::Each, path("each"), |it| &mut it.each);
        files.add(Cadence::Slow, path("slow"), |it| &mut it.slow);
        files.add(Cadence::Each, path("missing"), |it| &mut it.missing);
        let mut texts = Texts::default();
        for reading in 0..=RARE {
            let text = reading.to_string();
            fs::write(path("each"), &text).expect("written");
            fs::write(path("slow"), &text).expect("written");
            if reading == 3 {
                fs::write(path("missing"), "here").expect("written");
            }
            files.read(&mut texts, reading);
            assert_eq!(texts.each, text);
            let last = [0, 1, 6, 11].into_iter().rfind(|it| *it <= reading);
            assert_eq!(Some(texts.slow.clone()), last.map(|it| it.to_string()));
            assert_eq!(texts.missing.is_empty(), reading < RARE, "{reading}");
        }
        fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn a_file_of_many_pages_is_read_whole() {
        let file = File::open("/proc/self/smaps").expect("every process has one");
        let mut text = String::new();
        for _ in 0..2 {
            again(&file, &mut text).expect("read");
            assert!(text.len() > 8192, "{}", text.len());
            assert!(text.contains("[stack]"), "the end is there");
        }
    }
}
