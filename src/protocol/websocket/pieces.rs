//! What a decoder keeps while a message or a control frame is in pieces, and the pool of it.

use super::NOT_UTF8;
use super::TOO_MANY;
use super::deflate::{Inflater, Windows};
use super::frame::HEADER_BYTES;
use super::frame::Kind;
use super::head::{Expected, Frame, Head};
use super::mask;
use crate::limits;
use crate::payload::{Payload, ReceiveInto, Shelf};
use crate::protocol::Fault;
use crate::time::Instant;
use std::time::Duration;

/// What all decoders of a shard share: limits, and spare buffers for messages in pieces.
#[derive(Debug)]
pub struct Pool {
    /// Bytes of one message, all fragments together.
    pub max_message: usize,
    /// Fragments of one message, empty ones included.
    pub max_fragments: u32,
    #[expect(
        clippy::vec_box,
        reason = "a decoder holds the box; moving it moves no bytes"
    )]
    pub(super) spare: Vec<Box<Pieces>>,
    /// Once a deflated message came; and where the next one is inflated into.
    inflater: Option<Box<Inflater>>,
    inflated: Vec<u8>,
    /// What the peers said last that keep context, by the keys of their decoders.
    pub windows: Windows,
    /// Buffers of large messages.
    pub shelf: Shelf,
    /// Bytes of memory that the unfinished messages of all decoders take now.
    pub held: usize,
    /// Bytes inflated since it was last set to 0, and something for each message: whoever calls the
    /// decoder may stop between two messages.
    pub worked: usize,
}

impl Pool {
    /// A pool with these limits: bytes of a message, and its fragments.
    #[must_use]
    pub fn new(max_message: usize, max_fragments: u32) -> Self {
        Self {
            max_message,
            max_fragments,
            spare: Vec::new(),
            inflater: None,
            inflated: Vec::new(),
            windows: Windows::default(),
            shelf: Shelf::default(),
            held: 0,
            worked: 0,
        }
    }

    /// Inflates a whole message of the decoder with that key into what `pieces` keeps.
    fn inflate(&mut self, pieces: &mut Pieces, (key, packed): Packed<'_>) -> Result<(), Fault> {
        let inflater = self.inflater.get_or_insert_with(Box::default);
        if self.inflated.capacity() == 0 {
            self.inflated = self.shelf.buffer();
        }
        let (before, into) = (self.windows.context(key), &mut self.inflated);
        let inflated = inflater.inflate_after(before, packed, self.max_message, into);
        self.windows.remember(key, &self.inflated);
        std::mem::swap(&mut pieces.message, &mut self.inflated);
        self.worked += limits::SHARE_BYTES_OF_A_MESSAGE + pieces.message.len();
        inflated
    }

    /// Frees the spare buffers.
    pub fn trim(&mut self) {
        self.spare.clear();
        self.inflated = Vec::new();
        self.shelf.trim();
    }

    pub(super) fn take(&mut self) -> Box<Pieces> {
        let mut pieces = self.spare.pop().unwrap_or_default();
        pieces.count(self);
        pieces
    }

    pub(super) fn give_back(&mut self, mut pieces: Box<Pieces>) {
        self.held -= pieces.counted;
        pieces.counted = 0;
        pieces.clear();
        if pieces.message.capacity() >= limits::LARGE_BYTES {
            self.shelf.keep(std::mem::take(&mut pieces.message));
        }
        if self.spare.len() < limits::SPARE_BUFFERS {
            self.spare.push(pieces);
        }
    }
}

/// A deflated message, and the key of its decoder among [`Pool::windows`].
pub(super) type Packed<'p> = (u32, &'p [u8]);

/// The state of one decoder beyond "at the start of a message".
#[derive(Debug)]
pub(super) struct Pieces {
    /// Unmasked payload of the message so far. It grows with what came, not with what is declared.
    pub(super) message: Vec<u8>,
    /// How long `message` is, and its capacity, while it is lent to be received into.
    lent: Option<(usize, usize)>,
    /// A finished message that is large: nothing is left of it in `message`.
    pub(super) assembled: Option<Payload>,
    /// Bytes of memory that are counted in [`Pool::held`].
    counted: usize,
    /// How long `message` was when it last had grown by much, and when that was.
    grown: Option<(usize, Instant)>,
    /// Bytes of `message` that are known to be UTF-8; all but an unfinished character of a text.
    valid: usize,
    /// The message whose last fragment has not come.
    pub(super) kind: Option<Kind>,
    /// Its payload is deflated.
    is_deflated: bool,
    /// Its payload is not wanted, and not kept.
    is_discarded: bool,
    fragments: u32,
    /// The frame whose payload is being read.
    pub(super) frame: Option<Frame>,
    header: [u8; HEADER_BYTES],
    header_len: u8,
    control: [u8; limits::CONTROL_BYTES],
    control_len: u8,
}

impl Default for Pieces {
    fn default() -> Self {
        Self {
            message: Vec::new(),
            lent: None,
            assembled: None,
            counted: 0,
            grown: None,
            valid: 0,
            kind: None,
            is_deflated: false,
            is_discarded: false,
            fragments: 0,
            frame: None,
            header: [0; HEADER_BYTES],
            header_len: 0,
            control: [0; limits::CONTROL_BYTES],
            control_len: 0,
        }
    }
}

impl Pieces {
    /// Reads a header whose beginning was kept, or keeps what came of it; `*at` moves behind what
    /// was used.
    pub(super) fn header(
        &mut self,
        bytes: &[u8],
        at: &mut usize,
        expected: Expected,
    ) -> Result<Option<Head>, Fault> {
        while let Some(byte) = bytes.get(*at) {
            let len = usize::from(self.header_len);
            if let Some(place) = self.header.get_mut(len) {
                *place = *byte;
            }
            *at += 1;
            self.header_len += 1;
            let kept = self.header.get(..=len).unwrap_or_default();
            if let Some(head) = Head::parse(kept, expected)? {
                self.header_len = 0;
                return Ok(Some(head));
            }
        }
        Ok(None)
    }

    /// Whether the beginning of a header is kept.
    pub(super) const fn has_header(&self) -> bool {
        self.header_len != 0
    }

    /// Whether nothing is kept that the next bytes need.
    pub(super) const fn is_idle(&self) -> bool {
        self.kind.is_none() && self.frame.is_none() && self.header_len == 0
    }

    /// What the next header has to keep to, given what it would have to at the start.
    pub(super) const fn expected(&self, start: Expected) -> Expected {
        Expected {
            in_message: self.kind.is_some(),
            room: start.room.saturating_sub(self.message.len()),
            ..start
        }
    }

    /// Counts a fragment; `kind` is the message's if this is its first.
    pub(super) fn begin(
        &mut self,
        kind: Kind,
        frame: Frame,
        max_fragments: u32,
    ) -> Result<(), Fault> {
        if self.kind.is_none() {
            self.kind = Some(kind);
            self.is_deflated = frame.is_deflated;
        }
        self.fragments += 1;
        if self.fragments > max_fragments {
            return Err(TOO_MANY);
        }
        Ok(())
    }

    /// A large frame is about to come: a spare buffer that it fits better than the present one.
    pub(super) fn make_room(&mut self, payload: usize, shelf: &Shelf) {
        let len = self.message.len();
        if len + payload < limits::LARGE_BYTES || self.message.capacity() - len >= payload {
            return;
        }
        let mut larger = shelf.buffer();
        if larger.capacity() > self.message.capacity() {
            larger.extend_from_slice(&self.message);
            std::mem::swap(&mut self.message, &mut larger);
        }
        if larger.capacity() >= limits::LARGE_BYTES {
            shelf.keep(larger);
        }
    }

    /// Makes room for so many bytes of a frame of which `left` are still to come, these included:
    /// twice as much as before, so that all copying is as much as the message at most, but no more
    /// than the frame needs.
    pub(super) fn reserve(&mut self, bytes: usize, left: usize) {
        let (len, capacity) = (self.message.len(), self.message.capacity());
        if bytes > capacity - len && !self.is_discarded {
            let wanted = (2 * capacity).min(len + left).max(len + bytes);
            self.message.reserve_exact(wanted - len);
        }
    }

    /// Neither keeps nor inflates the message that has begun, if it is deflated.
    pub(super) const fn discard(&mut self) {
        self.is_discarded = self.is_deflated;
    }

    /// Adds masked payload of the current data frame to the message.
    pub(super) fn append(&mut self, payload: &[u8], key: [u8; 4]) -> Result<(), Fault> {
        if self.is_discarded {
            return Ok(());
        }
        let before = self.message.len();
        if !self.is_text() && key == [0; 4] {
            // A server's frames are not masked.
            self.message.extend_from_slice(payload);
            self.valid = self.message.len();
            return Ok(());
        }
        let seen = mask::append_gathering(&mut self.message, payload, key);
        self.check_appended(before, seen)
    }

    /// Lends the message, so that the rest of the present frame is received into it. Its memory
    /// grows as in [`Self::reserve`]; `None` where little would come there at once.
    pub(super) fn lend(&mut self) -> Option<ReceiveInto> {
        let fits =
            |it: &Frame| !it.opcode.is_control() && it.left >= limits::RECEIVE_INTO_BYTES_MIN;
        let frame = self.frame.filter(fits)?;
        let (len, capacity) = (self.message.len(), self.message.capacity());
        let grown = capacity.max((2 * capacity).min(len + frame.left));
        if self.is_discarded || grown - len < limits::RECEIVE_INTO_BYTES_MIN {
            return None;
        }
        // Not each time that it is lent: a peer that trickles would have all that it declares.
        if capacity - len < limits::RECEIVE_INTO_BYTES_MIN {
            self.message.reserve_exact(grown - len);
        }
        self.lent = Some((len, self.message.capacity()));
        let buffer = std::mem::take(&mut self.message);
        let most = frame.left.min(buffer.capacity() - len);
        Some(ReceiveInto { buffer, most })
    }

    /// The message that was lent comes back, with more of the frame's payload: unmasked where it
    /// lies.
    pub(super) fn take_back(&mut self, buffer: Vec<u8>) -> usize {
        let before = self.lent.take().map_or(buffer.len(), |(len, _)| len);
        self.message = buffer;
        let is_text = self.is_text();
        let Some(frame) = &mut self.frame else {
            return 0;
        };
        let bytes = self.message.get_mut(before..).unwrap_or_default();
        let (came, key) = (bytes.len(), frame.key);
        // What is left may be nothing: the frame ends when it is looked at next.
        frame.left = frame.left.saturating_sub(came);
        frame.key = mask::rotated(key, came);
        if is_text || key != [0; 4] {
            let seen = mask::apply_gathering(bytes, key);
            // What is wrong is found again when the rest is appended, be that nothing.
            let _ = self.check_appended(before, seen);
        } else {
            self.valid = self.message.len();
        }
        came
    }

    /// Whether the message is lent.
    pub(super) const fn is_lent(&self) -> bool {
        self.lent.is_some()
    }

    fn is_text(&self) -> bool {
        self.kind == Some(Kind::Text) && !self.is_deflated
    }

    /// The message was `before` bytes long before the last were appended, of which `seen` is known.
    fn check_appended(&mut self, before: usize, seen: mask::Gathered) -> Result<(), Fault> {
        let is_valid = self.valid == before;
        if !self.is_text() || (is_valid && seen.is_ascii()) {
            self.valid = self.message.len();
            return Ok(());
        }
        // RFC 6455, 8.1: a text that is not UTF-8 fails; the sooner, the fewer bytes are kept.
        match simdutf8::compat::from_utf8(self.message.get(self.valid..).unwrap_or_default()) {
            Ok(_) => self.valid = self.message.len(),
            Err(error) if error.error_len().is_some() => return Err(NOT_UTF8),
            Err(error) => self.valid += error.valid_up_to(),
        }
        Ok(())
    }

    /// Bytes of memory that it takes.
    pub(super) const fn held(&self) -> usize {
        let lent = match self.lent {
            Some((_, capacity)) => capacity,
            None => 0,
        };
        size_of::<Self>() + self.message.capacity() + lent
    }

    /// Counts the memory that it takes. A finished message that is large counts where it is
    /// queued.
    pub(super) const fn count(&mut self, pool: &mut Pool) {
        let bytes = self.held();
        pool.held = pool.held - self.counted + bytes;
        self.counted = bytes;
    }

    /// How long an unfinished message has not grown by what is worth the name.
    pub(super) fn stalled(&mut self, now: Instant) -> Duration {
        let len = self.lent.map_or(self.message.len(), |(len, _)| len);
        match self.grown {
            Some((before, at)) if len < before + limits::PROGRESS_BYTES => now.since(at),
            Some(_) | None => {
                self.grown = Some((len, now));
                Duration::ZERO
            }
        }
    }

    /// The peer is not heard for now: what it does not say is not held against it.
    pub(super) const fn excuse(&mut self) {
        self.grown = None;
    }

    /// Ends the message: its kind. The bytes stay until the pool has this back.
    pub(super) fn finish(&mut self, key: u32, pool: &mut Pool) -> Result<Kind, Fault> {
        if std::mem::take(&mut self.is_deflated) && !std::mem::take(&mut self.is_discarded) {
            let packed = std::mem::take(&mut self.message);
            let inflated = pool.inflate(self, (key, &packed));
            pool.shelf.keep(packed);
            inflated?;
            self.check_inflated()?;
        }
        if self.valid != self.message.len() {
            return Err(NOT_UTF8);
        }
        self.wrap_if_large(&pool.shelf);
        Ok(self.kind.take().unwrap_or(Kind::Binary))
    }

    fn wrap_if_large(&mut self, shelf: &Shelf) {
        if self.message.len() >= limits::LARGE_BYTES {
            self.assembled = Some(shelf.wrap(std::mem::take(&mut self.message)));
        }
    }

    /// The finished message.
    pub(super) fn finished(&self) -> &[u8] {
        let assembled = self.assembled.as_ref().map(Payload::bytes);
        assembled.unwrap_or(&self.message)
    }

    /// A message that came in one deflated frame, now unmasked.
    pub(super) fn inflate(
        &mut self,
        kind: Kind,
        packed: Packed<'_>,
        pool: &mut Pool,
    ) -> Result<(), Fault> {
        self.kind = Some(kind);
        pool.inflate(self, packed)?;
        self.check_inflated()?;
        self.wrap_if_large(&pool.shelf);
        self.kind = None;
        Ok(())
    }

    fn check_inflated(&mut self) -> Result<(), Fault> {
        self.valid = self.message.len();
        match self.kind {
            Some(Kind::Text) => simdutf8::basic::from_utf8(&self.message)
                .map(drop)
                .map_err(|_| NOT_UTF8),
            Some(Kind::Binary) | None => Ok(()),
        }
    }

    /// Adds masked payload of the current control frame.
    pub(super) fn append_control(&mut self, payload: &mut [u8], key: [u8; 4]) {
        mask::apply_gathering(payload, key);
        let start = usize::from(self.control_len);
        if let Some(room) = self.control.get_mut(start..start + payload.len()) {
            room.copy_from_slice(payload);
            #[expect(clippy::cast_possible_truncation, reason = "at most 125: it fitted")]
            let len = payload.len() as u8;
            self.control_len += len;
        }
    }

    /// Begins a control frame.
    pub(super) const fn clear_control(&mut self) {
        self.control_len = 0;
    }

    /// The payload of the control frame.
    pub(super) fn control(&self) -> &[u8] {
        self.control
            .get(..usize::from(self.control_len))
            .unwrap_or_default()
    }

    fn clear(&mut self) {
        self.message.clear();
        self.lent = None;
        self.assembled = None;
        self.grown = None;
        self.valid = 0;
        self.kind = None;
        self.is_deflated = false;
        self.is_discarded = false;
        self.fragments = 0;
        self.frame = None;
        self.header_len = 0;
        self.control_len = 0;
    }
}
