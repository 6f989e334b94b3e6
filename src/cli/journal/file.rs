//! A file of lines of JSON on disk: only whole lines, mended at its start, put aside when it is
//! large or old, and what it cannot take is counted and said.

use crate::cli::print;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Time between two words about the same fault.
const QUIET_TIME: Duration = Duration::from_secs(60);
/// Bytes that are looked through at once for the end of the last whole line.
const LOOKED_AT: u64 = 64 * 1024;

/// When a file is put aside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rotation {
    pub(super) bytes: u64,
    pub(super) age: Duration,
}

/// One file.
pub(super) struct JsonlFile {
    folder: PathBuf,
    name: &'static str,
    rotation: Rotation,
    file: File,
    opened: SystemTime,
    /// Bytes of whole lines.
    bytes: u64,
    /// Lines of what is on disk may not be there yet.
    is_unsynced: bool,
    /// What its end looked like when it was opened.
    torn_bytes: u64,
    lost: u64,
    complaint: FileComplaint,
}

/// What is said of a file that cannot be written, now and then.
pub(super) struct FileComplaint {
    path: PathBuf,
    said: Option<Instant>,
}

impl FileComplaint {
    /// Of that file.
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, said: None }
    }

    /// Says what is wrong and what comes of it, unless that was said a moment ago.
    pub(super) fn say(&mut self, error: &io::Error, what: &str) {
        if self.said.is_some_and(|at| at.elapsed() < QUIET_TIME) {
            return;
        }
        self.said = Some(Instant::now());
        let path = self.path.display();
        print::note(format!("{path}: {error}; {what}"));
    }
}

impl JsonlFile {
    /// Opens or makes it. A last line that is not whole is cut off: its writer ended in the midst
    /// of it.
    pub(super) fn open(folder: &Path, name: &'static str, rotation: Rotation) -> io::Result<Self> {
        let mut file = open(&path(folder, name))?;
        let (bytes, torn_bytes) = mend(&mut file)?;
        Ok(Self {
            folder: folder.to_owned(),
            name,
            rotation,
            file,
            opened: SystemTime::now(),
            bytes,
            is_unsynced: false,
            torn_bytes,
            lost: 0,
            complaint: FileComplaint::new(path(folder, name)),
        })
    }

    /// What was mended, if anything was.
    pub(super) fn mended(&self) -> Option<String> {
        let (path, bytes) = (path(&self.folder, self.name), self.torn_bytes);
        let text = format!(
            "{}: a torn last line of {bytes} bytes was cut off",
            path.display()
        );
        (bytes > 0).then_some(text)
    }

    /// Lines that it could not take.
    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }

    /// Appends whole lines, and leaves none of them behind. What cannot be written is lost.
    pub(super) fn append(&mut self, lines: &mut Vec<u8>) {
        if lines.is_empty() {
            return;
        }
        if let Err(error) = self.rotate(lines.len() as u64) {
            // It goes on where it is.
            self.complain(&error);
        }
        if let Err(error) = self.file.write_all(lines) {
            self.lost += lines.iter().filter(|byte| **byte == b'\n').count() as u64;
            self.complain(&error);
            // A part of them may be there: the file ends with its last whole line again.
            let _ = self.file.set_len(self.bytes);
        } else {
            self.bytes += lines.len() as u64;
            self.is_unsynced = true;
        }
        lines.clear();
    }

    /// Has the disk keep what was written.
    pub(super) fn sync(&mut self) {
        if std::mem::take(&mut self.is_unsynced)
            && let Err(error) = self.file.sync_data()
        {
            self.complain(&error);
        }
    }

    /// Puts the file aside if it is large or old, and begins another one.
    fn rotate(&mut self, more: u64) -> io::Result<()> {
        if self.bytes == 0 {
            return Ok(());
        }
        let is_large = self.bytes + more > self.rotation.bytes;
        // Some file systems do not know.
        let made = self.file.metadata()?.created().unwrap_or(self.opened);
        let age = SystemTime::now().duration_since(made).ok();
        if !is_large && age.is_none_or(|age| age < self.rotation.age) {
            return Ok(());
        }
        self.file.sync_data()?;
        let current = path(&self.folder, self.name);
        match fs::rename(&current, self.aside()?) {
            // Somebody has put it aside already, or removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
        self.file = open(&current)?;
        (self.bytes, self.opened) = (0, SystemTime::now());
        Ok(())
    }

    /// A name that is free for what is put aside now.
    fn aside(&self) -> io::Result<PathBuf> {
        let now = OffsetDateTime::now_utc()
            .truncate_to_second()
            .format(&Rfc3339);
        let now = now.map_err(io::Error::other)?.replace(['-', ':'], "");
        let names = (0..u32::MAX).map(|count| match count {
            0 => format!("{}-{now}.jsonl", self.name),
            count => format!("{}-{now}-{count}.jsonl", self.name),
        });
        let mut paths = names.map(|name| self.folder.join(name));
        let free = paths.find(|path| !path.exists());
        free.ok_or_else(|| io::Error::other("no name is free"))
    }

    /// Says what is wrong, now and then.
    fn complain(&mut self, error: &io::Error) {
        let lost = print::whole(self.lost);
        let remedy = "make room, or give another folder with --logs";
        let what = format!("{lost} lines are lost so far, the server goes on; {remedy}");
        self.complaint.say(error, &what);
    }
}

fn path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.jsonl"))
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).open(path)
}

/// Cuts off what follows the last end of a line: bytes that are left, and that were cut off.
fn mend(file: &mut File) -> io::Result<(u64, u64)> {
    let bytes = file.metadata()?.len();
    let mut end = bytes;
    let mut piece = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(LOOKED_AT);
        piece.clear();
        file.seek(SeekFrom::Start(start))?;
        file.take(end - start).read_to_end(&mut piece)?;
        if let Some(at) = piece.iter().rposition(|byte| *byte == b'\n') {
            end = start + at as u64 + 1;
            break;
        }
        end = start;
    }
    if end < bytes {
        file.set_len(end)?;
    }
    Ok((end, bytes - end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::scratch::ScratchFolder;

    const NEVER: Rotation = Rotation {
        bytes: u64::MAX,
        age: Duration::MAX,
    };

    fn written(folder: &Path) -> Vec<(String, String)> {
        let entries = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = entries
            .map(|path| {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                (name, fs::read_to_string(path).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    #[test]
    fn a_torn_last_line_is_cut_off_and_what_comes_then_is_a_line_of_its_own() {
        let scratch = ScratchFolder::new("journal-torn");
        let folder = scratch.path();
        let long = format!("{}\n", "x".repeat(200_000));
        for (before, whole) in [
            ("", ""),
            ("{}\n", "{}\n"),
            ("{}\n{\"a\":", "{}\n"),
            ("{\"a\":", ""),
            (&format!("{long}{}", "y".repeat(100_000)), &long),
        ] {
            fs::write(folder.join("a.jsonl"), before).unwrap();
            let mut file = JsonlFile::open(folder, "a", NEVER).unwrap();
            assert_eq!(file.mended().is_some(), before != whole);
            file.append(&mut b"{\"b\":1}\n".to_vec());
            let found = fs::read_to_string(folder.join("a.jsonl")).unwrap();
            assert_eq!(found, format!("{whole}{{\"b\":1}}\n"));
        }
    }

    #[test]
    fn a_large_file_is_put_aside_and_no_line_is_lost() {
        let scratch = ScratchFolder::new("journal-large");
        let rotation = Rotation {
            bytes: 20,
            age: Duration::MAX,
        };
        let mut file = JsonlFile::open(scratch.path(), "a", rotation).unwrap();
        for count in 0..10 {
            file.append(&mut format!("{{\"n\":{count}}}\n").into_bytes());
        }
        file.sync();
        let files = written(scratch.path());
        assert_eq!(files.len(), 5, "{files:?}");
        assert!(files.iter().all(|(_, text)| text.len() <= 20));
        let mut lines: Vec<_> = files.iter().flat_map(|(_, text)| text.lines()).collect();
        lines.sort_unstable();
        assert_eq!((lines.len(), lines[9]), (10, "{\"n\":9}"));
    }

    #[test]
    fn an_old_file_is_put_aside() {
        let scratch = ScratchFolder::new("journal-old");
        let rotation = Rotation {
            bytes: u64::MAX,
            age: Duration::ZERO,
        };
        let mut file = JsonlFile::open(scratch.path(), "a", rotation).unwrap();
        file.append(&mut b"{}\n".to_vec());
        file.append(&mut b"{}\n".to_vec());
        assert_eq!(written(scratch.path()).len(), 2);
    }

    #[test]
    fn a_file_that_is_gone_is_begun_anew_when_it_would_be_put_aside() {
        let scratch = ScratchFolder::new("journal-gone");
        let rotation = Rotation {
            bytes: 3,
            age: Duration::MAX,
        };
        let mut file = JsonlFile::open(scratch.path(), "a", rotation).unwrap();
        file.append(&mut b"{}\n".to_vec());
        fs::remove_file(scratch.path().join("a.jsonl")).unwrap();
        file.append(&mut b"[]\n".to_vec());
        let found = [("a.jsonl".to_owned(), "[]\n".to_owned())];
        assert_eq!((written(scratch.path()), file.lost()), (found.to_vec(), 0));
    }

    #[test]
    fn a_full_disk_loses_whole_lines_and_counts_them() {
        // What the kernel has for that: every write fails with ENOSPC.
        let scratch = ScratchFolder::new("journal-full");
        let mut file = JsonlFile::open(scratch.path(), "a", NEVER).unwrap();
        file.file = OpenOptions::new().append(true).open("/dev/full").unwrap();
        file.append(&mut b"{}\n{}\n".to_vec());
        file.append(&mut b"{}\n".to_vec());
        assert_eq!(file.lost(), 3);
    }
}
