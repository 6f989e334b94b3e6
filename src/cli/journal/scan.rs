//! Lines of the logs of chats to minutes: the same for those that are being written and for those
//! that are read again.

use super::kind::LogKind;
use super::minute::{Minute, MinuteCount, MinuteLevel};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Gathers minutes from lines.
#[derive(Debug, Default)]
pub(super) struct LineScanner {
    minutes: BTreeMap<u64, Minute>,
    /// No minute up to this one is gathered.
    through: u64,
    /// What came last: `2026-11-30T03:31`, and which minute that is.
    last: ([u8; MINUTE_BYTES], u64),
    /// CPU time of the process at the line of figures before, in microseconds.
    cpu_us: u64,
    lost: u64,
    lines: u64,
}

/// A line of figures, as far as it counts.
#[derive(Default, Deserialize)]
#[serde(default)]
struct FiguresRead<'a> {
    v: u8,
    #[serde(borrow)]
    at: Cow<'a, str>,
    users: u64,
    chatting: u64,
    lost: u64,
    rss_bytes: u64,
    cpu_s: f64,
    starts: bool,
    ends: bool,
    connections: u64,
    accepted: u64,
    closed: u64,
    messages_in: u64,
    messages_out: u64,
    bytes_in: u64,
    bytes_out: u64,
    core_cpu_s: Vec<f64>,
}

/// An event in another order of keys than the one that is written.
#[derive(Deserialize)]
struct EventRead<'a> {
    v: u8,
    #[serde(borrow)]
    at: Cow<'a, str>,
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(default)]
    bytes: u64,
}

/// Bytes of `2026-11-30T03:31`.
const MINUTE_BYTES: usize = 16;
/// What every line of this version begins with.
const START: &[u8] = b"{\"v\":1,\"at\":\"";

impl LineScanner {
    /// Gathers what is later than that minute.
    pub(super) fn after(through: u64) -> Self {
        Self {
            through,
            ..Self::default()
        }
    }

    /// Lines so far.
    pub(super) const fn lines(&self) -> u64 {
        self.lines
    }

    /// What is gathered and not taken.
    pub(super) const fn minutes(&self) -> &BTreeMap<u64, Minute> {
        &self.minutes
    }

    /// Takes the minutes before that one: they are whole.
    pub(super) fn take_before(&mut self, number: u64) -> BTreeMap<u64, Minute> {
        let later = self.minutes.split_off(&number);
        std::mem::replace(&mut self.minutes, later)
    }

    /// What comes of those minutes from now on counts to the next one.
    pub(super) fn close(&mut self, through: u64) {
        self.through = self.through.max(through);
    }

    /// Gathers whole lines. Those up to the minute where it begins are left out if they are read
    /// again, and count to the next minute if they are late.
    pub(super) fn scan(&mut self, kind: LogKind, lines: &[u8], early: Early) {
        let mut rest = lines;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            self.lines += 1;
            match kind {
                LogKind::Events => self.event(line, early),
                LogKind::Figures => self.figures(line, early),
            }
        }
    }

    fn event(&mut self, line: &[u8], early: Early) {
        let read = fast(line).or_else(|| slow(line));
        let Some((count, bytes)) = read.and_then(|(at, deed)| self.reach(at).map(|()| deed)) else {
            return self.skip(early);
        };
        let Some(minute) = self.minute(early) else {
            return;
        };
        minute.add_count(count, 1);
        if count == MinuteCount::Said {
            minute.add_count(MinuteCount::SaidBytes, bytes);
        }
    }

    fn figures(&mut self, line: &[u8], early: Early) {
        let read: Result<FiguresRead<'_>, _> = serde_json::from_slice(line);
        let read = read.ok().filter(|it| it.v == 1);
        let mut at = |it: &FiguresRead<'_>| self.reach(minute_text(it.at.as_bytes())?);
        let Some(read) = read.filter(|it| at(it).is_some()) else {
            return self.skip(early);
        };
        let cpu_us = micros(read.cpu_s);
        if read.starts {
            (self.cpu_us, self.lost) = (0, 0);
        }
        let more_cpu = cpu_us.checked_sub(self.cpu_us).unwrap_or(cpu_us);
        let more_lost = read.lost.checked_sub(self.lost).unwrap_or(read.lost);
        (self.cpu_us, self.lost) = (cpu_us, read.lost);
        let Some(minute) = self.minute(early) else {
            return;
        };
        for (count, by) in [
            (MinuteCount::Seconds, u64::from(!read.starts)),
            (MinuteCount::Starts, u64::from(read.starts)),
            (MinuteCount::Ends, u64::from(read.ends)),
            (MinuteCount::Lost, more_lost),
            (MinuteCount::CpuMicros, more_cpu),
            (MinuteCount::Accepted, read.accepted),
            (MinuteCount::Closed, read.closed),
            (MinuteCount::MessagesIn, read.messages_in),
            (MinuteCount::MessagesOut, read.messages_out),
            (MinuteCount::BytesIn, read.bytes_in),
            (MinuteCount::BytesOut, read.bytes_out),
        ] {
            minute.add_count(count, by);
        }
        for (level, to) in [
            (MinuteLevel::Users, read.users),
            (MinuteLevel::Chatting, read.chatting),
            (MinuteLevel::Connections, read.connections),
            (MinuteLevel::RssBytes, read.rss_bytes),
        ] {
            minute.raise(level, to);
        }
        for (core, seconds) in read.core_cpu_s.iter().enumerate().take(CORES) {
            minute.add_core(core, micros(*seconds));
        }
    }

    /// A line that says nothing counts to the minute before it.
    fn skip(&mut self, early: Early) {
        if let Some(minute) = self.minute(early) {
            minute.add_count(MinuteCount::Skipped, 1);
        }
    }

    /// The next line is of that time.
    #[inline]
    fn reach(&mut self, text: [u8; MINUTE_BYTES]) -> Option<()> {
        if self.last.0 != text {
            self.last = (text, minute_number(&text)?);
        }
        Some(())
    }

    /// Where the line counts.
    fn minute(&mut self, early: Early) -> Option<&mut Minute> {
        let number = match (self.last.1 <= self.through, early) {
            (false, _) => self.last.1,
            (true, Early::Late) => self.through + 1,
            (true, Early::Known) => return None,
        };
        Some(self.minutes.entry(number).or_default())
    }
}

/// What becomes of lines of minutes that are whole already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Early {
    /// They are counted: nothing.
    Known,
    /// They count to the next minute.
    Late,
}

/// Cores of one line at most: a torn one does not say how much is allocated.
const CORES: usize = 1024;

/// An event as it is written: `{"v":1,"at":"...","event":"said","core":0,...,"bytes":31...}`.
fn fast(line: &[u8]) -> Option<([u8; MINUTE_BYTES], (MinuteCount, u64))> {
    let rest = line.strip_prefix(START)?;
    let end = memchr::memchr(b'"', rest)?;
    let at = minute_text(rest.get(..end)?)?;
    let rest = rest.get(end..)?.strip_prefix(b"\",\"event\":\"")?;
    let end = memchr::memchr(b'"', rest)?;
    let count = deed(rest.get(..end)?)?;
    let rest = rest.get(end..)?.strip_prefix(b"\",\"core\":")?;
    if !line.ends_with(b"}") {
        return None;
    }
    let bytes = match count {
        MinuteCount::Said => number_of(rest, b"\"bytes\":")?,
        _ => 0,
    };
    Some((at, (count, bytes)))
}

fn slow(line: &[u8]) -> Option<([u8; MINUTE_BYTES], (MinuteCount, u64))> {
    let read: EventRead<'_> = serde_json::from_slice(line).ok()?;
    let count = deed(read.event.as_bytes()).filter(|_| read.v == 1)?;
    Some((minute_text(read.at.as_bytes())?, (count, read.bytes)))
}

fn deed(word: &[u8]) -> Option<MinuteCount> {
    Some(match word {
        b"connected" => MinuteCount::Connected,
        b"entered" => MinuteCount::Entered,
        b"matched" => MinuteCount::Matched,
        b"said" => MinuteCount::Said,
        b"ended" => MinuteCount::Ended,
        b"disconnected" => MinuteCount::Disconnected,
        _ => return None,
    })
}

/// The number behind the first of those keys.
fn number_of(text: &[u8], key: &[u8]) -> Option<u64> {
    let at = memchr::memmem::find(text, key)? + key.len();
    let digits = text.get(at..)?.iter().take_while(|it| it.is_ascii_digit());
    let digit = |sum: Option<u64>, digit: &u8| {
        let more = u64::from(digit - b'0');
        Some(sum.unwrap_or(0).checked_mul(10)?.saturating_add(more))
    };
    digits.fold(None, digit)
}

/// The minute of a time as RFC 3339 writes it, in UTC.
fn minute_text(at: &[u8]) -> Option<[u8; MINUTE_BYTES]> {
    at.ends_with(b"Z").then_some(())?;
    at.first_chunk().copied()
}

/// Minutes since 1970.
pub(in crate::cli) fn minute_number(text: &[u8; MINUTE_BYTES]) -> Option<u64> {
    let digits = |from: usize, to: usize| {
        let digits = text.get(from..to)?;
        digits.iter().try_fold(0_u64, |sum, digit| {
            let digit = digit.is_ascii_digit().then_some(digit - b'0')?;
            Some(sum * 10 + u64::from(digit))
        })
    };
    let month = time::Month::try_from(u8::try_from(digits(5, 7)?).ok()?).ok()?;
    let (year, day) = (i32::try_from(digits(0, 4)?).ok()?, digits(8, 10)?);
    let date = time::Date::from_calendar_date(year, month, u8::try_from(day).ok()?).ok()?;
    let days = u64::try_from(date.to_julian_day() - EPOCH).ok()?;
    let (hour, minute) = (digits(11, 13)?, digits(14, 16)?);
    (hour < 24 && minute < 60).then_some((days * 24 + hour) * 60 + minute)
}

/// The Julian day of 1970-01-01.
const EPOCH: i32 = 2_440_588;

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is negative or no number is 0 then"
)]
fn micros(seconds: f64) -> u64 {
    (seconds * 1e6).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: &str = concat!(
        r#"{"v":1,"at":"2026-11-30T03:31:07.502817Z","event":"connected","core":0,"user":12}"#,
        "\n",
        r#"{"v":1,"at":"2026-11-30T03:31:07.6Z","event":"matched","core":0,"user":12,"#,
        r#""chat":"0-7","name":"\"bytes\":9"}"#,
        "\n",
        r#"{"v":1,"at":"2026-11-30T03:31:09Z","event":"said","core":0,"user":12,"#,
        r#""chat":"0-7","number":1,"bytes":31}"#,
        "\n",
        r#"{"v":1,"at":"2026-11-30T03:32:09Z","event":"said","core":0,"user":12,"#,
        r#""chat":"0-7","number":2,"bytes":9,"text":"}\"bytes\":7"}"#,
        "\n",
    );

    fn of(scanner: &LineScanner, number: u64, count: MinuteCount) -> u64 {
        let minute = scanner.minutes().get(&number);
        minute.map_or(0, |minute| minute.count(count))
    }

    #[test]
    fn events_count_to_their_minutes() {
        let mut scanner = LineScanner::default();
        scanner.scan(LogKind::Events, EVENTS.as_bytes(), Early::Known);
        let first = minute_number(b"2026-11-30T03:31").unwrap();
        assert_eq!(first, 29_933_491);
        for (number, count, is) in [
            (first, MinuteCount::Connected, 1),
            (first, MinuteCount::Matched, 1),
            (first, MinuteCount::SaidBytes, 31),
            (first + 1, MinuteCount::Said, 1),
            (first + 1, MinuteCount::SaidBytes, 9),
            (first + 1, MinuteCount::Skipped, 0),
        ] {
            assert_eq!(of(&scanner, number, count), is, "{count:?}");
        }
    }

    #[test]
    fn a_line_that_is_torn_or_newer_is_skipped_and_counted_and_others_are_not() {
        let mut scanner = LineScanner::default();
        // The first line: those that say nothing count to the minute before them.
        scanner.scan(LogKind::Events, EVENTS.as_bytes(), Early::Known);
        let (whole, _) = EVENTS.split_once('\n').unwrap();
        let other = r#"{"event":"said","bytes":5,"v":1,"at":"2026-11-30T03:31:07Z"}"#;
        for line in [
            "",
            "nonsense",
            &whole[..20],
            &whole[..whole.len() - 1],
            &format!("{}{whole}", &whole[..40]),
            &whole.replace("\"v\":1", "\"v\":2"),
            &whole.replace("connected", "flown"),
            &whole.replace("-30T", "-31T"),
            &whole.replace("T03", "T33"),
            &whole.replace("7Z", "7+01:00"),
        ] {
            scanner.scan(
                LogKind::Events,
                format!("{line}\n").as_bytes(),
                Early::Known,
            );
        }
        for line in [whole, other] {
            scanner.scan(
                LogKind::Events,
                format!("{line}\n").as_bytes(),
                Early::Known,
            );
        }
        let sum = |count| {
            scanner
                .minutes()
                .values()
                .map(|it| it.count(count))
                .sum::<u64>()
        };
        assert_eq!(
            (sum(MinuteCount::Skipped), sum(MinuteCount::Connected)),
            (10, 2)
        );
        assert_eq!(
            (sum(MinuteCount::Said), sum(MinuteCount::SaidBytes)),
            (3, 45)
        );
    }

    #[test]
    fn figures_add_up_over_a_minute_and_over_a_restart() {
        let second = |rest: &str| format!("{{\"v\":1,\"at\":\"2026-11-30T03:31:{rest}}}\n");
        let lines = [
            second(r#"00Z","starts":true,"lost":0,"cpu_s":0.5"#),
            second(r#"01Z","users":3,"lost":2,"cpu_s":1.5,"bytes_in":7,"core_cpu_s":[0.25,0.5]"#),
            second(r#"02Z","lost":2,"rss_bytes":100,"cpu_s":2,"ends":true,"core_cpu_s":[0.25]"#),
            second(r#"09Z","starts":true,"lost":0,"cpu_s":0.25"#),
            "{\"v\":2,\"at\":\"2026-11-30T03:31:09Z\"}\n".to_owned(),
        ];
        let lines = lines.concat();
        let mut scanner = LineScanner::default();
        scanner.scan(LogKind::Figures, lines.as_bytes(), Early::Known);
        let (_, minute) = scanner.minutes().first_key_value().unwrap();
        for (count, is) in [
            (MinuteCount::Seconds, 2),
            (MinuteCount::Starts, 2),
            (MinuteCount::Ends, 1),
            (MinuteCount::Lost, 2),
            (MinuteCount::CpuMicros, 2_250_000),
            (MinuteCount::BytesIn, 7),
            (MinuteCount::Skipped, 1),
        ] {
            assert_eq!(minute.count(count), is, "{count:?}");
        }
        assert_eq!(minute.levels(), &[3, 0, 0, 100]);
        assert_eq!(minute.core_cpu_us, [500_000, 500_000]);
    }

    #[test]
    fn what_is_known_is_left_out_and_what_is_late_counts_to_the_next_minute() {
        let first = minute_number(b"2026-11-30T03:31").unwrap();
        for (early, said) in [(Early::Known, 1), (Early::Late, 2)] {
            let mut scanner = LineScanner::after(first);
            scanner.scan(LogKind::Events, EVENTS.as_bytes(), early);
            assert_eq!(scanner.minutes().len(), 1);
            assert_eq!(of(&scanner, first + 1, MinuteCount::Said), said);
        }
    }
}
