//! Lines of the logs: a page of them from a place on, older or newer, those that are wanted.

use super::{number, time, told, value};
use crate::app::{ApiResponse, Media};
use crate::cli::journal::{LogFile, LogFolder, LogKind};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

/// Lines of a page where nothing is said, and at most.
const LINES: (usize, usize) = (100, 1000);
/// Lines of a download at most.
const DOWNLOADED: usize = 100_000;
/// Bytes that one question looks through at most.
const LOOKED_AT: u64 = 16 << 20;
/// Bytes that are looked through at a time: no line is longer.
const PIECE: u64 = 1 << 20;

/// A place between two lines: which file, by its inode, and how many bytes of it are before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LogPlace {
    file: u64,
    at: u64,
}

impl LogPlace {
    fn read(text: &str) -> Option<Self> {
        let (file, at) = text.split_once('-')?;
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        Some(Self {
            file: number(file)?,
            at: number(at)?,
        })
    }

    fn written(self) -> String {
        format!("{:x}-{:x}", self.file, self.at)
    }
}

/// Which lines are wanted.
struct LinesWanted {
    kind: LogKind,
    place: Option<LogPlace>,
    is_newer: bool,
    is_download: bool,
    lines: usize,
    event: Option<String>,
    user: Option<u64>,
    chat: Option<String>,
    text: Option<String>,
    from: Option<u64>,
    to: Option<u64>,
}

/// What of a line is compared.
#[derive(Deserialize)]
struct LineRead<'a> {
    #[serde(borrow)]
    at: Cow<'a, str>,
    #[serde(borrow, default)]
    event: Cow<'a, str>,
    #[serde(default)]
    user: Option<u64>,
    #[serde(borrow, default)]
    chat: Option<Cow<'a, str>>,
}

impl LinesWanted {
    fn read(query: &str) -> Result<Self, String> {
        let kind = match value(query, "file").as_deref() {
            None | Some("chat-logs") => LogKind::Events,
            Some("bandwidth") => LogKind::Figures,
            Some(_) => return Err("file: write chat-logs or bandwidth".to_owned()),
        };
        let is_newer = match value(query, "dir").as_deref() {
            None | Some("older") => false,
            Some("newer") => true,
            Some(_) => return Err("dir: write older or newer".to_owned()),
        };
        let is_download = match value(query, "format").as_deref() {
            None | Some("json") => false,
            Some("jsonl") => true,
            Some(_) => return Err("format: write json or jsonl".to_owned()),
        };
        let place = value(query, "cursor").map(|typed| {
            let error = || "cursor: write one that an answer has told".to_owned();
            LogPlace::read(&typed).ok_or_else(error)
        });
        let (lines, most) = if is_download {
            (DOWNLOADED, DOWNLOADED)
        } else {
            LINES
        };
        Ok(Self {
            kind,
            place: place.transpose()?,
            is_newer: is_newer || is_download,
            is_download,
            lines: number(query, "limit", most)?.unwrap_or(lines),
            event: value(query, "event"),
            user: number(query, "user", u32::MAX as usize)?.map(|it| it as u64),
            chat: value(query, "chat"),
            text: value(query, "q"),
            from: time(query, "from")?,
            to: time(query, "to")?,
        })
    }

    /// Whether that line is one.
    fn takes(&self, line: &[u8]) -> bool {
        let has = |text: &str| memchr::memmem::find(line, text.as_bytes()).is_some();
        if !self.text.as_deref().is_none_or(has) || line.is_empty() {
            return false;
        }
        let is_all = self.event.is_none() && self.user.is_none() && self.chat.is_none();
        if is_all && self.from.is_none() && self.to.is_none() {
            return true;
        }
        let Ok(read) = serde_json::from_slice::<LineRead<'_>>(line) else {
            return false;
        };
        let format = &::time::format_description::well_known::Rfc3339;
        let at = ::time::OffsetDateTime::parse(&read.at, format);
        let Some(at) = at
            .ok()
            .and_then(|it| u64::try_from(it.unix_timestamp()).ok())
        else {
            return false;
        };
        self.event
            .as_deref()
            .is_none_or(|event| read.event == event)
            && self.user.is_none_or(|user| read.user == Some(user))
            && self
                .chat
                .as_deref()
                .is_none_or(|chat| read.chat.as_deref() == Some(chat))
            && self.from.is_none_or(|from| at >= from)
            && self.to.is_none_or(|to| at < to)
    }
}

/// A file that is open.
struct OpenLog {
    file: File,
    number: u64,
    bytes: u64,
}

/// What was found.
#[derive(Default)]
struct LinesFound {
    lines: Vec<Box<[u8]>>,
    looked_at: u64,
    /// Where it goes on.
    next: Option<LogPlace>,
    /// There is nothing more in that direction now.
    is_all: bool,
}

/// Answers `file`, `dir`, `cursor`, `limit`, `event`, `user`, `chat`, `q`, `from`, `to`, `format`.
pub(super) fn answer(folder: &LogFolder, query: &str) -> Result<ApiResponse, String> {
    let wanted = LinesWanted::read(query)?;
    let read = |error: std::io::Error| format!("the logs cannot be read: {error}");
    let files = folder.files(wanted.kind).map_err(read)?;
    let found = match wanted.is_newer {
        false => older(&files, &wanted),
        true => newer(&files, &wanted),
    };
    let found = found.map_err(read)?;
    if wanted.is_download {
        let lines = found.lines.iter().flat_map(|it| it.iter().chain(b"\n"));
        let bytes: Vec<u8> = lines.copied().collect();
        return Ok(told(
            Media::Lines,
            String::from_utf8_lossy(&bytes).into_owned(),
        ));
    }
    Ok(told(Media::Json, json(&found)))
}

fn json(found: &LinesFound) -> String {
    let mut text = String::from("{\"schema\":\"ringstorm.logs/1\",\"lines\":[");
    for (at, line) in found.lines.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        match serde_json::from_slice::<&RawValue>(line) {
            Ok(raw) => text += raw.get(),
            // A torn one is shown as what it is.
            Err(_) => {
                let line = String::from_utf8_lossy(line);
                text += &serde_json::json!({ "unreadable": line }).to_string();
            }
        }
    }
    let rest = serde_json::json!({
        "cursor": found.next.map(LogPlace::written),
        "looked_at_bytes": found.looked_at,
        "is_all": found.is_all,
    });
    let rest = rest.to_string();
    text + "]," + rest.strip_prefix('{').unwrap_or_default() + "\n"
}

fn open(file: &LogFile) -> std::io::Result<OpenLog> {
    let file = File::open(&file.path)?;
    let about = file.metadata()?;
    Ok(OpenLog {
        file,
        number: about.ino(),
        bytes: about.len(),
    })
}

/// All files, open: what is put aside meanwhile keeps its number.
fn open_all(files: &[LogFile]) -> std::io::Result<Vec<OpenLog>> {
    let opened = files.iter().map(open);
    opened.collect()
}

/// The newest lines before a place, the newest first.
fn older(files: &[LogFile], wanted: &LinesWanted) -> std::io::Result<LinesFound> {
    let logs = open_all(files)?;
    let start = wanted.place.and_then(|place| {
        let index = logs.iter().position(|it| it.number == place.file)?;
        Some((index, place.at))
    });
    let last = logs
        .len()
        .checked_sub(1)
        .zip(logs.last().map(|it| it.bytes));
    let mut found = LinesFound::default();
    let Some((first, mut end)) = start.or(last) else {
        found.is_all = true;
        return Ok(found);
    };
    for log in logs.iter().take(first + 1).rev() {
        end = end.min(log.bytes);
        while end > 0 {
            let begin = end.saturating_sub(PIECE);
            let bytes = read(log, begin, end)?;
            // What stands before the first line that begins here is for the next piece.
            let skipped = match begin {
                0 => 0,
                _ => memchr::memchr(b'\n', &bytes).map_or(0, |at| at + 1),
            };
            let whole = bytes.get(skipped..).unwrap_or_default();
            let mut rest = whole.strip_suffix(b"\n").unwrap_or(whole);
            found.looked_at += rest.len() as u64;
            while !rest.is_empty() {
                let at = memchr::memrchr(b'\n', rest).map_or(0, |at| at + 1);
                let line = rest.get(at..).unwrap_or_default();
                if wanted.takes(line) {
                    found.lines.push(line.into());
                }
                let line_at = begin + (skipped + at) as u64;
                rest = rest.get(..at.saturating_sub(1)).unwrap_or_default();
                found.next = Some(LogPlace {
                    file: log.number,
                    at: line_at,
                });
                if found.lines.len() >= wanted.lines {
                    return Ok(found);
                }
            }
            end = match skipped {
                // A line that is longer than a piece is none that was written.
                0 => begin,
                skipped => begin + skipped as u64,
            };
            if found.looked_at >= LOOKED_AT {
                return Ok(found);
            }
        }
        end = u64::MAX;
    }
    found.is_all = true;
    Ok(found)
}

/// The oldest lines behind a place, the oldest first.
fn newer(files: &[LogFile], wanted: &LinesWanted) -> std::io::Result<LinesFound> {
    let logs = open_all(files)?;
    let start = wanted.place.and_then(|place| {
        let index = logs.iter().position(|it| it.number == place.file)?;
        Some((index, place.at))
    });
    let (first, mut begin) = match (start, wanted.place) {
        (Some(start), _) => start,
        // That file is gone.
        (None, Some(_)) | (None, None) => (0, 0),
    };
    let mut found = LinesFound::default();
    for log in logs.iter().skip(first) {
        found.next = Some(LogPlace {
            file: log.number,
            at: begin,
        });
        while begin < log.bytes {
            let bytes = read(log, begin, log.bytes.min(begin + PIECE))?;
            let Some(end) = memchr::memrchr(b'\n', &bytes) else {
                // A line that is being written, or longer than any that was.
                begin = match bytes.len() as u64 {
                    PIECE => begin + PIECE,
                    _ => break,
                };
                continue;
            };
            let mut rest = bytes.get(..=end).unwrap_or_default();
            while let Some(at) = memchr::memchr(b'\n', rest) {
                let (line, after) = rest.split_at(at);
                rest = after.get(1..).unwrap_or_default();
                begin += at as u64 + 1;
                found.looked_at += at as u64 + 1;
                if wanted.takes(line) {
                    found.lines.push(line.into());
                }
                found.next = Some(LogPlace {
                    file: log.number,
                    at: begin,
                });
                if found.lines.len() >= wanted.lines {
                    return Ok(found);
                }
            }
            if found.looked_at >= LOOKED_AT {
                return Ok(found);
            }
        }
        begin = 0;
    }
    found.is_all = true;
    Ok(found)
}

fn read(log: &OpenLog, begin: u64, end: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(end - begin).unwrap_or(0)];
    log.file.read_exact_at(&mut bytes, begin)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::scratch::ScratchFolder;
    use std::fs;

    fn line(number: u64) -> String {
        let (minute, second) = (number / 60, number % 60);
        let event = if number.is_multiple_of(2) {
            "said"
        } else {
            "matched"
        };
        format!(
            "{{\"v\":1,\"at\":\"2026-11-30T03:{minute:02}:{second:02}Z\",\"event\":\"{event}\",\
             \"core\":0,\"user\":{number}}}\n"
        )
    }

    /// Three files with numbers from 1 to 300.
    fn logs(name: &str) -> (ScratchFolder, LogFolder) {
        let scratch = ScratchFolder::new(name);
        for (file, numbers) in [
            ("chat-logs-20261130T033107Z.jsonl", 1..=100),
            ("chat-logs-20261130T033107Z-1.jsonl", 101..=200),
            ("chat-logs.jsonl", 201..=300),
        ] {
            let text: String = numbers.map(line).collect();
            fs::write(scratch.path().join(file), text).unwrap();
        }
        let folder = LogFolder::new(scratch.path());
        (scratch, folder)
    }

    fn asked(folder: &LogFolder, query: &str) -> (Vec<u64>, String, bool) {
        let text = answer(folder, query).unwrap().text;
        let told: serde_json::Value = serde_json::from_str(&text).unwrap();
        let lines = told["lines"].as_array().unwrap();
        let users = lines.iter().map(|it| it["user"].as_u64().unwrap_or(0));
        let cursor = told["cursor"].as_str().unwrap_or_default().to_owned();
        (users.collect(), cursor, told["is_all"].as_bool().unwrap())
    }

    #[test]
    fn pages_go_back_over_all_files_and_forth_again() {
        let (_scratch, folder) = logs("history-pages");
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let (users, next, is_all) = asked(&folder, &format!("limit=7&cursor={cursor}"));
            all.extend(users);
            if is_all {
                break;
            }
            cursor = next;
        }
        assert!(all.iter().copied().eq((1..=300).rev()));
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let query = format!("limit=7&dir=newer&cursor={cursor}");
            let (users, next, is_all) = asked(&folder, &query);
            all.extend(users);
            cursor = next;
            if is_all {
                break;
            }
        }
        assert!(all.iter().copied().eq(1..=300));
    }

    #[test]
    fn what_comes_is_told_behind_the_place_also_when_the_file_was_put_aside() {
        let (scratch, folder) = logs("history-tail");
        let (users, cursor, is_all) = asked(&folder, "dir=newer&limit=1000");
        assert_eq!((users.len(), is_all), (300, true));
        let current = scratch.path().join("chat-logs.jsonl");
        let mut text = fs::read_to_string(&current).unwrap() + &line(301);
        // The last one is still being written.
        text += "{\"v\":1,";
        fs::write(&current, text).unwrap();
        let query = format!("dir=newer&cursor={cursor}");
        let (users, cursor, _) = asked(&folder, &query);
        assert_eq!(users, [301]);
        let query = format!("dir=newer&cursor={cursor}");
        assert_eq!(asked(&folder, &query).0, [0_u64; 0]);
        let aside = scratch.path().join("chat-logs-20261130T040000Z.jsonl");
        let text = fs::read_to_string(&current).unwrap();
        let text = text.replace("{\"v\":1,\n", "");
        let whole = text.rfind('\n').unwrap() + 1;
        fs::write(&current, &text[..whole]).unwrap();
        fs::rename(&current, aside).unwrap();
        fs::write(&current, line(302)).unwrap();
        assert_eq!(asked(&folder, &query).0, [302]);
    }

    #[test]
    fn filters_hold_together_and_what_is_torn_is_shown_as_such() {
        let (scratch, folder) = logs("history-filters");
        assert_eq!(asked(&folder, "user=12").0, [12]);
        assert_eq!(
            asked(&folder, "event=said&to=2026-11-30T03:00:05Z").0,
            [4, 2]
        );
        let query = "event=matched&from=2026-11-30T03:04:57Z&dir=newer";
        assert_eq!(asked(&folder, query).0, [297, 299]);
        assert_eq!(asked(&folder, "q=%22user%22%3A30%7D").0, [30]);
        let all = answer(&folder, "format=jsonl&event=said").unwrap().text;
        assert_eq!(
            (all.lines().count(), all.lines().next()),
            (150, Some(line(2).trim()))
        );
        let current = scratch.path().join("chat-logs.jsonl");
        fs::write(&current, b"{\"torn\xff\n{\"user\":1,\"at\":\"\"}\n").unwrap();
        let text = answer(&folder, "limit=2").unwrap().text;
        assert!(
            text.contains("\"unreadable\":\"{\\\"torn\u{fffd}\""),
            "{text}"
        );
        assert_eq!(asked(&folder, "limit=2").0, [1, 0]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let (_scratch, folder) = logs("history-refused");
        for (query, remedy) in [
            ("file=../x", "chat-logs or bandwidth"),
            ("dir=up", "older or newer"),
            ("cursor=1", "that an answer has told"),
            ("limit=1001", "from 1 to 1000"),
            ("user=x", "write a number"),
            ("format=xml", "json or jsonl"),
        ] {
            let refused = answer(&folder, query).err().unwrap();
            assert!(refused.contains(remedy), "{query}: {refused}");
        }
    }
}
