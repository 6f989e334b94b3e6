//! Reads the logs of a folder again, in pieces of whole lines, from a minute on.

use super::kind::LogKind;
use super::scan::minute_number;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// Bytes that are read at once.
const PIECE: usize = 1 << 20;
/// Bytes in which the beginning of a line is looked for.
const LOOKED_AT: usize = 128 * 1024;
/// What stands before the time in a line.
const AT: &[u8] = b"\"at\":\"";

/// Hands out the lines that are later than that minute, of all files of a folder.
pub(super) fn lines(
    folder: &Path,
    through: u64,
    mut each: impl FnMut(LogKind, &[u8]),
) -> io::Result<()> {
    for kind in [LogKind::Events, LogKind::Figures] {
        for file in kind.files(folder)? {
            let file = File::open(file.path)?;
            let changed = file.metadata()?.modified()?.duration_since(UNIX_EPOCH);
            let since = Duration::from_secs(through.saturating_mul(60));
            if changed.is_ok_and(|changed| changed < since) {
                continue;
            }
            from(file, through, |lines| each(kind, lines))?;
        }
    }
    Ok(())
}

/// Hands out the lines of a file from the first on that is later than that minute, or a little
/// before it.
fn from(mut file: File, through: u64, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let start = begin(&file, through)?;
    io::Seek::seek(&mut file, io::SeekFrom::Start(start))?;
    let mut piece = vec![0; PIECE];
    let mut kept = 0;
    loop {
        let room = piece.get_mut(kept..).unwrap_or_default();
        let read = file.read(room)?;
        if read == 0 {
            return Ok(());
        }
        let held = kept + read;
        let bytes = piece.get(..held).unwrap_or_default();
        match memchr::memrchr(b'\n', bytes) {
            Some(end) => {
                each(bytes.get(..=end).unwrap_or_default());
                piece.copy_within(end + 1..held, 0);
                kept = held - end - 1;
            }
            // A line that is longer than a piece: none that was written.
            None if held == piece.len() => kept = 0,
            None => kept = held,
        }
    }
}

/// Where the lines begin that are later than that minute, found by halves; a little earlier where
/// that is not known.
fn begin(file: &File, through: u64) -> io::Result<u64> {
    let (mut low, mut high) = (0, file.metadata()?.len());
    if through == 0 {
        return Ok(0);
    }
    let mut piece = vec![0; LOOKED_AT];
    while high - low > LOOKED_AT as u64 {
        let middle = low + (high - low) / 2;
        let read = file.read_at(&mut piece, middle)?;
        let bytes = piece.get(..read).unwrap_or_default();
        match first_line(bytes) {
            Some((at, minute)) if minute <= through => low = middle + at as u64,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// The first line that begins in those bytes and tells its minute.
fn first_line(bytes: &[u8]) -> Option<(usize, u64)> {
    memchr::memchr_iter(b'\n', bytes).find_map(|end| {
        let line = bytes.get(end + 1..)?;
        // The time is among the first keys.
        let head = line.get(..64).unwrap_or(line);
        let at = memchr::memmem::find(head, AT)? + AT.len();
        let minute = minute_number(line.get(at..)?.first_chunk()?)?;
        Some((end + 1, minute))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::scratch::ScratchFolder;
    use std::fs;

    #[test]
    fn lines_of_later_minutes_are_found_by_halves_and_none_is_left_out() {
        let scratch = ScratchFolder::new("replay-halves");
        let mut text = String::new();
        for number in 0..40_000 {
            let (hour, minute) = (number / 2000, number / 40 % 50);
            text += &format!(
                "{{\"v\":1,\"at\":\"2025-11-30T{hour:02}:{minute:02}:07Z\",\"n\":{number}}}\n"
            );
        }
        fs::write(scratch.path().join("chat-logs.jsonl"), &text).unwrap();
        let read = |through| {
            let mut found = Vec::new();
            lines(scratch.path(), through, |kind, lines| {
                assert_eq!(kind, LogKind::Events);
                found.extend_from_slice(lines);
            })
            .unwrap();
            String::from_utf8(found).unwrap()
        };
        assert_eq!(read(0), text);
        let through = minute_number(b"2025-11-30T15:20").unwrap();
        let found = read(through);
        let first = text.find("2025-11-30T15:21").unwrap();
        assert!(text.ends_with(&found));
        let more = found.len() - (text.len() - first);
        assert!(more < 3 * LOOKED_AT, "{more}");
    }
}
