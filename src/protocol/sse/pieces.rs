//! What a parser keeps while an event is in pieces, the pool of it, and the last event ID.

use crate::limits;
use crate::protocol::Fault;

/// What all parsers of a shard share: the limit, and spare buffers for events in pieces.
#[derive(Debug)]
pub struct Pool {
    /// Bytes of one event: its data, type and ID, and the line that is being read.
    pub max_event: usize,
    #[expect(
        clippy::vec_box,
        reason = "a parser holds the box; moving it moves no bytes"
    )]
    pub(super) spare: Vec<Box<Pieces>>,
}

impl Pool {
    /// A pool with that limit, in bytes.
    #[must_use]
    pub const fn new(max_event: usize) -> Self {
        Self {
            max_event,
            spare: Vec::new(),
        }
    }

    pub(super) fn take(&mut self) -> Box<Pieces> {
        self.spare.pop().unwrap_or_default()
    }

    pub(super) fn give_back(&mut self, mut pieces: Box<Pieces>) {
        let is_small = pieces.capacity() <= limits::SPARE_BYTES;
        if is_small && self.spare.len() < limits::SPARE_BUFFERS {
            pieces.line.clear();
            pieces.clear_event();
            self.spare.push(pieces);
        }
    }
}

/// The buffers of WHATWG HTML, 9.2.6, for an event that is not over, and its unfinished line.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// The line whose end has not come; of a comment only the colon.
    line: Vec<u8>,
    data: String,
    event: String,
    id: String,
    has_data: bool,
    has_id: bool,
}

impl Pieces {
    /// Bytes that count against [`Pool::max_event`] before the current line.
    pub(super) const fn stored(&self) -> usize {
        self.data.len() + self.event.len() + self.id.len()
    }

    /// Whether a line was begun.
    pub(super) const fn has_line(&self) -> bool {
        !self.line.is_empty()
    }

    /// Adds to the unfinished line.
    pub(super) fn extend_line(&mut self, piece: &[u8], pool: &Pool) -> Result<(), Fault> {
        let is_comment = self.line.first().or(piece.first()) == Some(&b':');
        if is_comment {
            if self.line.is_empty() {
                self.line.push(b':');
            }
            return Ok(());
        }
        check_size(self.stored() + self.line.len() + piece.len(), pool)?;
        self.line.extend_from_slice(piece);
        Ok(())
    }

    /// Takes the line out, to be read; [`Pieces::put_line`] gives its memory back.
    pub(super) fn take_line(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.line)
    }

    pub(super) fn put_line(&mut self, mut line: Vec<u8>) {
        line.clear();
        self.line = line;
    }

    pub(super) fn push_data(&mut self, value: &[u8]) {
        push_decoded(&mut self.data, value);
        self.data.push('\n');
        self.has_data = true;
    }

    pub(super) fn set_event(&mut self, value: &[u8]) {
        self.event.clear();
        push_decoded(&mut self.event, value);
    }

    pub(super) fn set_id(&mut self, value: &[u8]) {
        self.id.clear();
        push_decoded(&mut self.id, value);
        self.has_id = true;
    }

    /// The ID that this event sets, if it does.
    pub(super) fn id(&self) -> Option<&str> {
        self.has_id.then_some(self.id.as_str())
    }

    pub(super) const fn has_data(&self) -> bool {
        self.has_data
    }

    /// The data without the line end that the last line added.
    pub(super) fn data(&self) -> &str {
        self.data.strip_suffix('\n').unwrap_or(&self.data)
    }

    pub(super) fn event(&self) -> &str {
        &self.event
    }

    /// Whether nothing is kept that the next bytes need.
    pub(super) const fn is_idle(&self) -> bool {
        !self.has_line() && !self.has_data && !self.has_id && self.event.is_empty()
    }

    /// Forgets the event, as its dispatch does.
    pub(super) fn clear_event(&mut self) {
        self.data.clear();
        self.event.clear();
        self.id.clear();
        self.has_data = false;
        self.has_id = false;
    }

    /// Bytes of memory.
    pub(super) const fn capacity(&self) -> usize {
        self.line.capacity() + self.data.capacity() + self.event.capacity() + self.id.capacity()
    }
}

/// An event beyond the reader's own limit.
pub const TOO_BIG: Fault = Fault::Response {
    reason: "an event too big",
};

/// Whether an event may be that large.
pub(super) const fn check_size(bytes: usize, pool: &Pool) -> Result<(), Fault> {
    if bytes > pool.max_event {
        return Err(TOO_BIG);
    }
    Ok(())
}

/// WHATWG HTML, 9.2.5: the stream is decoded as UTF-8, malformed sequences to U+FFFD. A line's end
/// is no part of any sequence, so decoding values is decoding the stream.
fn push_decoded(into: &mut String, value: &[u8]) {
    match simdutf8::basic::from_utf8(value) {
        Ok(value) => into.push_str(value),
        Err(_) => into.push_str(&String::from_utf8_lossy(value)),
    }
}

/// The last event ID of a connection. Those of up to 30 bytes need no heap.
#[derive(Debug)]
pub(super) enum Id {
    Short { len: u8, bytes: [u8; SHORT] },
    Long(String),
}

const SHORT: usize = 30;
const _: () = assert!(size_of::<Id>() == 32);

impl Id {
    pub(super) const EMPTY: Self = Self::Short {
        len: 0,
        bytes: [0; SHORT],
    };

    pub(super) fn set(&mut self, id: &str) {
        match (&mut *self, u8::try_from(id.len())) {
            (Self::Short { len, bytes }, Ok(new)) if id.len() <= SHORT => {
                *len = new;
                for (to, from) in bytes.iter_mut().zip(id.bytes()) {
                    *to = from;
                }
            }
            (Self::Long(_), _) if id.len() <= SHORT => {
                *self = Self::EMPTY;
                self.set(id);
            }
            (Self::Long(long), _) => {
                long.clear();
                long.push_str(id);
            }
            (Self::Short { .. }, _) => *self = Self::Long(id.to_owned()),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Short { len, bytes } => bytes
                .get(..usize::from(*len))
                .and_then(|bytes| std::str::from_utf8(bytes).ok())
                .unwrap_or_default(),
            Self::Long(long) => long,
        }
    }
}
