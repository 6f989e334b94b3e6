//! What a minute of a server was, in numbers, and the form in which a file of rollups has it.

use std::io::{self, Read};

/// The version of the file: another one where a number means something else.
const VERSION: u32 = 1;
/// What the file begins with.
const MAGIC: &[u8; 12] = b"ringstorm\0rm";
/// Bytes of the beginning: what tells the file from others, and its version.
pub(in crate::cli) const HEAD_BYTES: u64 = 16;
/// Bytes of a record at most: so many are not allocated because a torn file says so.
const RECORD_BYTES: usize = 16 * 1024;

/// What adds up over a minute, by its name.
pub(in crate::cli) const COUNTS: [&str; 19] = [
    "connected",
    "entered",
    "matched",
    "said",
    "said_bytes",
    "ended",
    "disconnected",
    "seconds",
    "lost",
    "starts",
    "ends",
    "accepted",
    "closed",
    "messages_in",
    "messages_out",
    "bytes_in",
    "bytes_out",
    "cpu_us",
    "skipped",
];

/// What is the most that it was in a minute, by its name.
pub(in crate::cli) const LEVELS: [&str; 4] = ["users", "chatting", "connections", "rss_bytes"];

/// Which of [`COUNTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum MinuteCount {
    Connected,
    Entered,
    Matched,
    Said,
    SaidBytes,
    Ended,
    Disconnected,
    /// Lines of figures: one a second.
    Seconds,
    /// Events that the files have not.
    Lost,
    /// Servers that began to write, and that said that they ended.
    Starts,
    Ends,
    Accepted,
    Closed,
    MessagesIn,
    MessagesOut,
    BytesIn,
    BytesOut,
    CpuMicros,
    /// Lines that were torn, or of a newer version.
    Skipped,
}

/// Which of [`LEVELS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum MinuteLevel {
    Users,
    Chatting,
    Connections,
    RssBytes,
}

/// A minute, or a part of it, or many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Minute {
    counts: [u64; COUNTS.len()],
    levels: [u64; LEVELS.len()],
    /// CPU time of each core, in microseconds.
    pub(in crate::cli) core_cpu_us: Vec<u64>,
}

/// A minute as it is in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct MinuteRecord {
    /// Minutes since 1970.
    pub(in crate::cli) number: u64,
    /// Whether nothing is added to it any more.
    pub(in crate::cli) is_whole: bool,
    pub(in crate::cli) minute: Minute,
}

impl Minute {
    pub(in crate::cli) fn add_count(&mut self, count: MinuteCount, by: u64) {
        if let Some(place) = self.counts.get_mut(count as usize) {
            *place = place.saturating_add(by);
        }
    }

    pub(in crate::cli) fn raise(&mut self, level: MinuteLevel, to: u64) {
        if let Some(place) = self.levels.get_mut(level as usize) {
            *place = to.max(*place);
        }
    }

    pub(in crate::cli) fn add_core(&mut self, core: usize, cpu_us: u64) {
        if self.core_cpu_us.len() <= core {
            self.core_cpu_us.resize(core + 1, 0);
        }
        if let Some(place) = self.core_cpu_us.get_mut(core) {
            *place = place.saturating_add(cpu_us);
        }
    }

    pub(in crate::cli) fn count(&self, count: MinuteCount) -> u64 {
        self.counts.get(count as usize).copied().unwrap_or(0)
    }

    /// In the order of [`COUNTS`].
    pub(in crate::cli) const fn counts(&self) -> &[u64; COUNTS.len()] {
        &self.counts
    }

    /// In the order of [`LEVELS`].
    pub(in crate::cli) const fn levels(&self) -> &[u64; LEVELS.len()] {
        &self.levels
    }

    /// Both together.
    pub(in crate::cli) fn add(&mut self, other: &Self) {
        for (sum, more) in self.counts.iter_mut().zip(other.counts) {
            *sum = sum.saturating_add(more);
        }
        for (most, level) in self.levels.iter_mut().zip(other.levels) {
            *most = level.max(*most);
        }
        for (core, cpu_us) in other.core_cpu_us.iter().enumerate() {
            self.add_core(core, *cpu_us);
        }
    }
}

/// What a file of minutes begins with.
pub(in crate::cli) fn head() -> Vec<u8> {
    let mut head = MAGIC.to_vec();
    head.extend_from_slice(&VERSION.to_le_bytes());
    head
}

impl MinuteRecord {
    /// Writes it behind `into`: how long it is and its CRC-32, four bytes each, then numbers of
    /// eight bytes: which minute, whether it is whole, the counts, the levels, how many cores, and
    /// the CPU time of each. All little-endian.
    pub(in crate::cli) fn encode(&self, into: &mut Vec<u8>) {
        let start = into.len();
        into.extend_from_slice(&[0; 8]);
        let Minute {
            counts,
            levels,
            core_cpu_us,
        } = &self.minute;
        let first = [self.number, u64::from(self.is_whole)];
        let cores = [core_cpu_us.len() as u64];
        let words = first.iter().chain(counts).chain(levels);
        for word in words.chain(&cores).chain(core_cpu_us) {
            into.extend_from_slice(&word.to_le_bytes());
        }
        let body = into.get(start + 8..).unwrap_or_default();
        let len = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
        let sum = crc32fast::hash(body).to_le_bytes();
        let parts = len.iter().chain(&sum);
        for (place, byte) in into.iter_mut().skip(start).zip(parts) {
            *place = *byte;
        }
    }

    fn decode(body: &[u8]) -> Option<Self> {
        let (words, rest) = body.as_chunks::<8>();
        let mut words = words.iter().map(|it| u64::from_le_bytes(*it));
        let number = words.next()?;
        let is_whole = words.next()? != 0;
        let mut minute = Minute::default();
        for place in minute.counts.iter_mut().chain(&mut minute.levels) {
            *place = words.next()?;
        }
        let cores = words.next()?;
        minute.core_cpu_us = words.collect();
        let is_right = rest.is_empty() && minute.core_cpu_us.len() as u64 == cores;
        is_right.then_some(Self {
            number,
            is_whole,
            minute,
        })
    }
}

/// Reads the records of a file, up to what is torn.
pub(in crate::cli) struct MinuteReader<R> {
    from: R,
    body: Vec<u8>,
    /// Bytes of the file up to behind the last record that was read.
    bytes: u64,
}

impl<R: Read> MinuteReader<R> {
    /// Reads the beginning; `None` where the file is of another version, or none of minutes.
    pub(in crate::cli) fn new(mut from: R) -> io::Result<Option<Self>> {
        let mut found = Vec::new();
        from.by_ref().take(HEAD_BYTES).read_to_end(&mut found)?;
        Ok((found == head()).then_some(Self {
            from,
            body: Vec::new(),
            bytes: HEAD_BYTES,
        }))
    }

    /// The next record; `None` at the end, or where one is torn.
    pub(in crate::cli) fn next(&mut self) -> io::Result<Option<MinuteRecord>> {
        let mut before = [0; 8];
        if !fill(&mut self.from, &mut before)? {
            return Ok(None);
        }
        let [a, b, c, d, sum @ ..] = before;
        let len = u32::from_le_bytes([a, b, c, d]) as usize;
        if len > RECORD_BYTES {
            return Ok(None);
        }
        self.body.resize(len, 0);
        let is_there = fill(&mut self.from, &mut self.body)?;
        if !is_there || crc32fast::hash(&self.body) != u32::from_le_bytes(sum) {
            return Ok(None);
        }
        self.bytes += before.len() as u64 + len as u64;
        Ok(MinuteRecord::decode(&self.body))
    }

    /// Bytes of the file up to behind the last record that was read.
    pub(in crate::cli) const fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Whether there is as much as that.
fn fill(from: &mut impl Read, into: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(into) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u64) -> MinuteRecord {
        let mut minute = Minute::default();
        minute.add_count(MinuteCount::Skipped, number);
        minute.raise(MinuteLevel::RssBytes, 7);
        minute.add_core(2, 5);
        MinuteRecord {
            number,
            is_whole: number.is_multiple_of(2),
            minute,
        }
    }

    fn read(bytes: &[u8]) -> (Vec<MinuteRecord>, u64) {
        let mut reader = MinuteReader::new(bytes).unwrap().unwrap();
        let mut records = Vec::new();
        while let Some(record) = reader.next().unwrap() {
            records.push(record);
        }
        (records, reader.bytes())
    }

    #[test]
    fn records_are_read_as_they_were_written_up_to_what_is_torn() {
        let mut bytes = head();
        let mut ends = Vec::new();
        for number in 1..=3 {
            record(number).encode(&mut bytes);
            ends.push(bytes.len());
        }
        let whole = [1, 2, 3].map(record);
        assert_eq!(read(&bytes), (whole.to_vec(), bytes.len() as u64));
        for cut in ends[1]..bytes.len() {
            let found = (whole[..2].to_vec(), ends[1] as u64);
            assert_eq!(read(&bytes[..cut]), found, "{cut}");
        }
        for at in ends[1]..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[at] ^= 0x80;
            assert_eq!(read(&wrong).0.len(), 2, "{at}");
        }
    }

    #[test]
    fn a_file_of_another_version_is_not_read() {
        let mut bytes = head();
        bytes[12] += 1;
        assert!(MinuteReader::new(&*bytes).unwrap().is_none());
        assert!(MinuteReader::new(&b"ring"[..]).unwrap().is_none());
    }

    #[test]
    fn parts_of_a_minute_add_up_and_their_levels_are_the_highest() {
        let mut sum = record(3).minute;
        let mut other = record(4).minute;
        other.raise(MinuteLevel::RssBytes, 9);
        sum.add(&other);
        assert_eq!(sum.count(MinuteCount::Skipped), 7);
        assert_eq!(sum.levels()[MinuteLevel::RssBytes as usize], 9);
        assert_eq!(sum.core_cpu_us, [0, 0, 10]);
    }
}
