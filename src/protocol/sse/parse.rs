//! Reads an event stream that arrives in any pieces (WHATWG HTML, 9.2.5 and 9.2.6), complete.
//!
//! An event that lies whole in what was received, with one line of data, is borrowed from there.
//! Others are gathered in buffers that the parser borrows from the shard's [`Pool`].

use super::pieces::{Id, Pieces, check_size};
use crate::protocol::Fault;

pub use super::pieces::Pool;

/// An event for the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dispatched<'e> {
    /// The event's type; `message` if the stream gave none.
    pub event: &'e str,
    /// The data, its lines joined by LF.
    pub data: &'e str,
    /// The last event ID as of this event: its own, or an earlier one's.
    pub last_event_id: &'e str,
}

/// What a stream said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'e> {
    /// An event.
    Event(Dispatched<'e>),
    /// How long to wait before reconnecting from now on, in milliseconds.
    Retry(u64),
    /// A comment: a sign of life.
    Comment,
}

/// The parser of one connection, over all its streams: at most 64 bytes, and heap memory only
/// while an event is in pieces or the last event ID is longer than 30 bytes.
///
/// A stream that ends in the middle of an event dispatches nothing for it (WHATWG HTML, 9.2.6):
/// there is nothing to call at the end of a stream but [`Parser::restart`] before the next one.
#[derive(Debug)]
pub struct Parser {
    pieces: Option<Box<Pieces>>,
    /// The last event ID of the event source, set when an event ends.
    id: Id,
    state: ParserState,
    /// Bytes of a byte order mark seen at the start; its length when the start is past.
    mark: u8,
    /// The last line ended with a CR: an LF that follows belongs to it.
    after_cr: bool,
}

const _: () = assert!(
    size_of::<Parser>() <= 64,
    "there is one for each idle connection"
);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ParserState {
    /// Between events; nothing is kept.
    Ready,
    /// Something is kept.
    InPieces,
    /// Something is kept, and the last event is borrowed from it.
    Lent,
    /// The stream failed; nothing it says counts.
    Dead,
}

const MARK: [u8; 3] = [0xef, 0xbb, 0xbf];
const PAST_MARK: u8 = 3;

/// What a line, or the lack of one, leads to.
enum Step {
    Starved,
    Nothing,
    Retry(u64),
    Comment,
    Dispatch,
}

impl Default for Parser {
    fn default() -> Self {
        Self::new()
    }
}

impl Parser {
    /// A parser at the start of the first stream.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            pieces: None,
            id: Id::EMPTY,
            state: ParserState::Ready,
            mark: 0,
            after_cr: false,
        }
    }

    /// The next item in `bytes[*at..]`; `None` when all of `bytes` is used. `*at` moves behind
    /// what was used. Call until `None`: only then is what was kept given back.
    ///
    /// # Errors
    /// [`Fault::Response`] for an event beyond [`Pool::max_event`]; the parser is dead then: it
    /// uses up whatever it is given and says `None`.
    #[inline]
    pub fn next<'e>(
        &'e mut self,
        bytes: &'e [u8],
        at: &mut usize,
        pool: &mut Pool,
    ) -> Result<Option<Item<'e>>, Fault> {
        if self.state == ParserState::Lent {
            self.settle(pool);
        }
        if self.state == ParserState::Ready && !self.after_cr && self.mark == PAST_MARK {
            let rest = bytes.get(*at..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(None);
            }
            if let Some(whole) = Whole::find(rest, pool) {
                *at += whole.len;
                if let Some(id) = whole.id {
                    self.id.set(id);
                }
                return Ok(Some(Item::Event(Dispatched {
                    event: or_message(whole.event),
                    data: whole.data,
                    last_event_id: self.id.as_str(),
                })));
            }
        }
        self.next_in_pieces(bytes, at, pool)
    }

    /// The last event ID: what a client that reconnects sends as `Last-Event-ID` unless it is
    /// empty. An ID counts from the end of its event, even if that had no data.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        self.id.as_str()
    }

    /// Makes ready for the next stream of the same event source: what was unfinished is
    /// forgotten, the last event ID stays.
    pub fn restart(&mut self, pool: &mut Pool) {
        if let Some(pieces) = self.pieces.take() {
            pool.give_back(pieces);
        }
        self.state = ParserState::Ready;
        self.mark = 0;
        self.after_cr = false;
    }

    #[inline(never)]
    fn next_in_pieces<'e>(
        &'e mut self,
        bytes: &'e [u8],
        at: &mut usize,
        pool: &mut Pool,
    ) -> Result<Option<Item<'e>>, Fault> {
        match self.step(bytes, at, pool) {
            Err(fault) => {
                self.restart(pool);
                self.state = ParserState::Dead;
                Err(fault)
            }
            Ok(Step::Starved | Step::Nothing) => Ok(None),
            Ok(Step::Retry(ms)) => Ok(Some(Item::Retry(ms))),
            Ok(Step::Comment) => Ok(Some(Item::Comment)),
            Ok(Step::Dispatch) => Ok(self.pieces.as_ref().map(|pieces| {
                Item::Event(Dispatched {
                    event: or_message(pieces.event()),
                    data: pieces.data(),
                    last_event_id: self.id.as_str(),
                })
            })),
        }
    }

    /// Reads lines until one leads to something.
    fn step(&mut self, bytes: &[u8], at: &mut usize, pool: &mut Pool) -> Result<Step, Fault> {
        if self.state == ParserState::Dead {
            *at = bytes.len();
            return Ok(Step::Starved);
        }
        self.start(bytes, at, pool)?;
        loop {
            let mut rest = bytes.get(*at..).unwrap_or_default();
            if let (true, [first, after @ ..]) = (self.after_cr, rest) {
                self.after_cr = false;
                if *first == b'\n' {
                    *at += 1;
                    rest = after;
                }
            }
            let Some(end) = memchr::memchr2(b'\r', b'\n', rest) else {
                if !rest.is_empty() {
                    *at = bytes.len();
                    self.pieces(pool).extend_line(rest, pool)?;
                }
                self.rest_if_idle(pool);
                return Ok(Step::Starved);
            };
            let (piece, line_end) = rest.split_at_checked(end).unwrap_or_default();
            *at += end + 1;
            self.after_cr = line_end.first() == Some(&b'\r');
            match self.end_line(piece, pool)? {
                Step::Nothing | Step::Starved => {}
                step @ (Step::Retry(_) | Step::Comment) => {
                    self.rest_if_idle(pool);
                    return Ok(step);
                }
                Step::Dispatch => {
                    self.state = ParserState::Lent;
                    return Ok(Step::Dispatch);
                }
            }
        }
    }

    /// Skips a byte order mark at the start of the stream.
    fn start(&mut self, bytes: &[u8], at: &mut usize, pool: &mut Pool) -> Result<(), Fault> {
        while let Some(next) = MARK.get(usize::from(self.mark)) {
            match bytes.get(*at) {
                None => return Ok(()),
                Some(byte) if byte == next => {
                    self.mark += 1;
                    *at += 1;
                }
                Some(_) => {
                    // It only began like a mark: what was taken for it is the first line's.
                    let taken = MARK.get(..usize::from(self.mark)).unwrap_or_default();
                    self.mark = PAST_MARK;
                    if !taken.is_empty() {
                        self.pieces(pool).extend_line(taken, pool)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads a line that ends with `piece`; its beginning may have been kept.
    fn end_line(&mut self, piece: &[u8], pool: &mut Pool) -> Result<Step, Fault> {
        match &mut self.pieces {
            Some(pieces) if pieces.has_line() => {
                pieces.extend_line(piece, pool)?;
                let line = pieces.take_line();
                let step = self.line(&line, pool);
                if let Some(pieces) = &mut self.pieces {
                    pieces.put_line(line);
                }
                Ok(step)
            }
            pieces => {
                if piece.first() != Some(&b':') {
                    let stored = pieces.as_ref().map_or(0, |pieces| pieces.stored());
                    check_size(stored + piece.len(), pool)?;
                }
                Ok(self.line(piece, pool))
            }
        }
    }

    /// Carries out one whole line (WHATWG HTML, 9.2.6).
    fn line(&mut self, line: &[u8], pool: &mut Pool) -> Step {
        match Line::read(line) {
            Line::End => return self.end_event(),
            Line::Comment => return Step::Comment,
            Line::Data(value) => self.pieces(pool).push_data(value),
            Line::Event(value) => self.pieces(pool).set_event(value),
            Line::Id(value) if memchr::memchr(0, value).is_none() => {
                self.pieces(pool).set_id(value);
            }
            Line::Retry(value) => {
                if let Some(ms) = digits(value) {
                    return Step::Retry(ms);
                }
            }
            Line::Id(_) | Line::Unknown => {}
        }
        Step::Nothing
    }

    /// The empty line: the ID counts from now on; an event without data is none.
    fn end_event(&mut self) -> Step {
        let Some(pieces) = &mut self.pieces else {
            return Step::Nothing;
        };
        if let Some(id) = pieces.id() {
            self.id.set(id);
        }
        if pieces.has_data() {
            return Step::Dispatch;
        }
        pieces.clear_event();
        Step::Nothing
    }

    /// Takes back what the last event borrowed.
    #[inline(never)]
    fn settle(&mut self, pool: &mut Pool) {
        self.state = ParserState::InPieces;
        if let Some(pieces) = &mut self.pieces {
            pieces.clear_event();
        }
        self.rest_if_idle(pool);
    }

    /// What is kept, from now on.
    fn pieces(&mut self, pool: &mut Pool) -> &mut Pieces {
        self.state = ParserState::InPieces;
        self.pieces.get_or_insert_with(|| pool.take())
    }

    fn rest_if_idle(&mut self, pool: &mut Pool) {
        if let Some(pieces) = self.pieces.take_if(|pieces| pieces.is_idle()) {
            pool.give_back(pieces);
            self.state = ParserState::Ready;
        }
    }
}

/// What one line says, without its end.
enum Line<'e> {
    End,
    Comment,
    Data(&'e [u8]),
    Event(&'e [u8]),
    Id(&'e [u8]),
    Retry(&'e [u8]),
    Unknown,
}

impl<'e> Line<'e> {
    #[inline]
    fn read(line: &'e [u8]) -> Self {
        let (field, rest): (fn(&'e [u8]) -> Self, _) = match line {
            [] => return Self::End,
            [b':', ..] => return Self::Comment,
            [b'd', b'a', b't', b'a', rest @ ..] => (Self::Data, rest),
            [b'e', b'v', b'e', b'n', b't', rest @ ..] => (Self::Event, rest),
            [b'i', b'd', rest @ ..] => (Self::Id, rest),
            [b'r', b'e', b't', b'r', b'y', rest @ ..] => (Self::Retry, rest),
            _ => return Self::Unknown,
        };
        match rest {
            // One space after the colon is not the value's; a field without colon is empty.
            [b':', b' ', value @ ..] | [b':', value @ ..] => field(value),
            [] => field(&[]),
            _ => Self::Unknown,
        }
    }
}

/// An event that lies whole in the received bytes and needs nothing but borrowing.
struct Whole<'e> {
    event: &'e str,
    data: &'e str,
    id: Option<&'e str>,
    /// Bytes of the event, its empty line included.
    len: usize,
}

impl<'e> Whole<'e> {
    /// Such an event at the start of `rest`; what is anything else is left to the slower path.
    #[inline]
    fn find(rest: &'e [u8], pool: &Pool) -> Option<Self> {
        let (mut event, mut data, mut id) = (&[][..], None, None);
        let mut left = rest;
        loop {
            let (line, after) = split_line(left)?;
            left = after;
            match Line::read(line) {
                Line::Data(value) if data.is_none() => data = Some(value),
                Line::Event(value) => event = value,
                Line::Id(value) if memchr::memchr(0, value).is_none() => id = Some(value),
                Line::End => break,
                Line::Comment | Line::Data(_) | Line::Id(_) | Line::Retry(_) | Line::Unknown => {
                    return None;
                }
            }
        }
        let len = rest.len() - left.len();
        check_size(len, pool).ok()?;
        let id = match id {
            Some(id) => Some(text(id)?),
            None => None,
        };
        Some(Self {
            event: text(event)?,
            data: text(data?)?,
            id,
            len,
        })
    }
}

/// The first line without its end, and what follows; `None` unless it is clear where it ends.
#[inline]
fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr2(b'\r', b'\n', bytes)?;
    let (line, after) = bytes.split_at_checked(end)?;
    match after {
        [b'\n', after @ ..] | [b'\r', b'\n', after @ ..] => Some((line, after)),
        [b'\r', after @ ..] if !after.is_empty() => Some((line, after)),
        _ => None,
    }
}

#[inline]
fn text(bytes: &[u8]) -> Option<&str> {
    simdutf8::basic::from_utf8(bytes).ok()
}

#[inline]
const fn or_message(event: &str) -> &str {
    if event.is_empty() { "message" } else { event }
}

/// WHATWG HTML, 9.2.6: a retry of digits only counts; beyond 64 bits it is just very long.
fn digits(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(value.iter().fold(0_u64, |sum, digit| {
        sum.saturating_mul(10)
            .saturating_add(u64::from(digit.wrapping_sub(b'0')))
    }))
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
