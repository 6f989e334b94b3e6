//! The rollups beside the logs of chats: a record for each minute, in `minutes.rollup`, made from
//! the lines as they are written, or from the files where it lacks some.

use super::kind::LogKind;
use super::minute::{HEAD_BYTES, Minute, MinuteReader, MinuteRecord, head};
use super::replay;
use super::scan::{Early, LineScanner};
use crate::cli::print;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What the file is called.
pub(in crate::cli) const ROLLUP_FILE: &str = "minutes.rollup";
/// Time after which a minute is whole: what is told is written 25 ms later.
const GRACE: Duration = Duration::from_secs(2);
/// Minutes that are kept while they cannot be written; what is left out is made from the logs at
/// the next start.
const UNWRITTEN: usize = 1440;
/// Time below which it is not said that rollups were made anew.
const SILENT: Duration = Duration::from_millis(200);

/// The rollups of a folder, open.
pub(super) struct RollupBook {
    file: File,
    /// Bytes of the minutes that are whole.
    end: u64,
    scanner: LineScanner,
    /// Wholeness, and not on disk.
    unwritten: BTreeMap<u64, Minute>,
    text: Vec<u8>,
}

impl RollupBook {
    /// Opens the rollups of a folder. What they lack is made from the logs there: all of it if
    /// they are not there or of another version.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let began = Instant::now();
        let path = folder.join(ROLLUP_FILE);
        let (mut end, mut through) = (0, 0);
        if let Some((bytes, last)) = whole(&path)? {
            (end, through) = (bytes, last);
        }
        let mut scanner = LineScanner::after(through);
        let file = match end {
            0 => anew(&path, folder, &mut scanner)?,
            _ => {
                replay::lines(folder, through, |kind, lines| {
                    scanner.scan(kind, lines, Early::Known);
                })?;
                open(&path)?
            }
        };
        end = end.max(whole(&path)?.map_or(HEAD_BYTES, |(bytes, _)| bytes));
        if began.elapsed() > SILENT {
            print::note(format!(
                "{}: made from {} lines of the logs in {:.1} s",
                path.display(),
                print::whole(scanner.lines()),
                began.elapsed().as_secs_f64()
            ));
        }
        Ok(Self {
            file,
            end,
            scanner,
            unwritten: BTreeMap::new(),
            text: Vec::new(),
        })
    }

    /// Takes lines that are being written.
    pub(super) fn take(&mut self, kind: LogKind, lines: &[u8]) {
        self.scanner.scan(kind, lines, Early::Late);
    }

    /// Writes what the minutes have come to. The one that goes on is written anew the next time.
    pub(super) fn write(&mut self) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let settled = now.unwrap_or_default().saturating_sub(GRACE).as_secs() / 60;
        self.unwritten
            .append(&mut self.scanner.take_before(settled));
        self.scanner.close(settled.saturating_sub(1));
        while self.unwritten.len() > UNWRITTEN {
            self.unwritten.pop_first();
        }
        self.text.clear();
        put(&mut self.text, &self.unwritten, Wholeness::Yes);
        let whole = self.text.len() as u64;
        put(&mut self.text, self.scanner.minutes(), Wholeness::NotYet);
        let written = self.file.write_all_at(&self.text, self.end);
        if let Err(error) = written {
            // What is there of it is no record.
            let _ = self.file.set_len(self.end);
            return Err(error);
        }
        self.file.set_len(self.end + self.text.len() as u64)?;
        self.end += whole;
        self.unwritten.clear();
        Ok(())
    }
}

/// Whether something is added to minutes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wholeness {
    Yes,
    NotYet,
}

fn put(into: &mut Vec<u8>, minutes: &BTreeMap<u64, Minute>, is_whole: Wholeness) {
    for (number, minute) in minutes {
        let record = MinuteRecord {
            number: *number,
            is_whole: is_whole == Wholeness::Yes,
            minute: minute.clone(),
        };
        record.encode(into);
    }
}

/// Bytes of the whole minutes of a file, and which is the last; `None` if it is to be made anew.
fn whole(path: &Path) -> io::Result<Option<(u64, u64)>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let Some(mut reader) = MinuteReader::new(BufReader::new(file))? else {
        return Ok(None);
    };
    let (mut end, mut last) = (HEAD_BYTES, 0);
    while let Some(record) = reader.next()?.filter(|it| it.is_whole) {
        (end, last) = (reader.bytes(), last.max(record.number));
    }
    Ok((last > 0).then_some((end, last)))
}

/// Makes a file of all that the logs have, and leaves the minutes that go on to the scanner.
fn anew(path: &Path, folder: &Path, scanner: &mut LineScanner) -> io::Result<File> {
    /// Minutes that are gathered at once; lines of the two files are of the same times.
    const GATHERED: usize = 64;
    let made: PathBuf = folder.join(format!(".{ROLLUP_FILE}.new"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let current = now.unwrap_or_default().as_secs() / 60;
    let mut text = head();
    let mut end = 0;
    let file = File::create(&made)?;
    let mut flush = |scanner: &mut LineScanner, before: u64| -> io::Result<()> {
        put(&mut text, &scanner.take_before(before), Wholeness::Yes);
        file.write_all_at(&text, end)?;
        end += text.len() as u64;
        text.clear();
        Ok(())
    };
    let mut wrong = None;
    replay::lines(folder, 0, |kind, lines| {
        scanner.scan(kind, lines, Early::Known);
        let minutes = scanner.minutes();
        if minutes.len() > GATHERED {
            let last = minutes.last_key_value().map_or(0, |(number, _)| *number);
            wrong = flush(scanner, last.min(current)).err().or(wrong.take());
        }
    })?;
    flush(scanner, current)?;
    scanner.close(current.saturating_sub(1));
    if let Some(error) = wrong {
        return Err(error);
    }
    file.sync_data()?;
    fs::rename(&made, path)?;
    open(path)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::super::minute::MinuteCount;
    use super::*;
    use crate::cli::scratch::ScratchFolder;
    use std::io::Write as _;

    /// A line of a minute, of so many since 1970.
    fn line(minute: u64) -> String {
        let at = time::OffsetDateTime::from_unix_timestamp((minute * 60).cast_signed()).unwrap();
        let at = at.format(&time::format_description::well_known::Rfc3339);
        let at = at.unwrap();
        format!("{{\"v\":1,\"at\":\"{at}\",\"event\":\"connected\",\"core\":0,\"user\":1}}\n")
    }

    fn append(folder: &Path, name: &str, text: &str) {
        let mut options = OpenOptions::new();
        let mut file = options.append(true).create(true).open(folder.join(name));
        file.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Who came, by minute, as the file has it.
    fn read(folder: &Path) -> BTreeMap<u64, u64> {
        let file = File::open(folder.join(ROLLUP_FILE)).unwrap();
        let mut reader = MinuteReader::new(BufReader::new(file)).unwrap().unwrap();
        let mut found = BTreeMap::new();
        while let Some(record) = reader.next().unwrap() {
            *found.entry(record.number).or_default() += record.minute.count(MinuteCount::Connected);
        }
        found
    }

    fn now() -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        now.as_secs() / 60
    }

    #[test]
    fn what_rollups_lack_is_made_from_all_files_of_the_logs() {
        let scratch = ScratchFolder::new("rollup-anew");
        let folder = scratch.path();
        let old = now() - 1000;
        for minute in 0..200 {
            append(
                folder,
                "chat-logs-20261130T033107Z.jsonl",
                &line(old + minute),
            );
            append(
                folder,
                "chat-logs-20261130T033107Z.jsonl",
                &line(old + minute),
            );
        }
        append(folder, "chat-logs.jsonl", &line(old + 300));
        append(folder, "chat-logs.jsonl", "{\"torn\n");
        append(folder, "other.jsonl", &line(old + 301));
        let mut book = RollupBook::open(folder).unwrap();
        book.write().unwrap();
        let minutes = read(folder);
        assert_eq!(
            (minutes.len(), minutes[&old], minutes[&(old + 300)]),
            (201, 2, 1)
        );
        drop(book);
        // Another start changes nothing; of what has come since it takes note.
        append(folder, "chat-logs.jsonl", &line(old + 400));
        RollupBook::open(folder).unwrap().write().unwrap();
        let minutes = read(folder);
        assert_eq!(
            (minutes.len(), minutes[&old], minutes[&(old + 400)]),
            (202, 2, 1)
        );
        // Another version: as if there were none.
        let path = folder.join(ROLLUP_FILE);
        let mut bytes = fs::read(&path).unwrap();
        bytes[12] += 1;
        fs::write(&path, bytes).unwrap();
        RollupBook::open(folder).unwrap().write().unwrap();
        assert_eq!(read(folder), minutes);
    }

    #[test]
    fn the_minute_that_goes_on_is_on_disk_and_counted_once_over_a_restart_at_any_byte() {
        let scratch = ScratchFolder::new("rollup-goes-on");
        let folder = scratch.path();
        let (early, late) = (line(now() - 5), line(now() + 5));
        let mut book = RollupBook::open(folder).unwrap();
        for text in [&early, &late, &late] {
            append(folder, "chat-logs.jsonl", text);
            book.take(LogKind::Events, text.as_bytes());
            book.write().unwrap();
        }
        let values = |folder| read(folder).into_values().collect::<Vec<_>>();
        assert_eq!(values(folder), [1, 2]);
        drop(book);
        let path = folder.join(ROLLUP_FILE);
        let bytes = fs::read(&path).unwrap();
        for end in 0..=bytes.len() {
            fs::write(&path, &bytes[..end]).unwrap();
            let mut book = RollupBook::open(folder).unwrap();
            book.write().unwrap();
            assert_eq!(values(folder), [1, 2], "{end}");
        }
    }

    #[test]
    fn where_the_disk_is_full_the_minutes_are_kept_for_later() {
        let scratch = ScratchFolder::new("rollup-full");
        let folder = scratch.path();
        let mut book = RollupBook::open(folder).unwrap();
        book.take(LogKind::Events, line(now() - 5).as_bytes());
        let file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let file = std::mem::replace(&mut book.file, file);
        assert!(book.write().is_err());
        book.file = file;
        book.write().unwrap();
        assert_eq!(read(folder).into_values().collect::<Vec<_>>(), [1]);
    }
}
