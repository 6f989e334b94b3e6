//! Received bytes to whole messages and control frames (RFC 6455, 5 to 8).
//!
//! The hot path is a message that lies whole in what was received: it is unmasked where it lies
//! and borrowed from there. Only a message in pieces, be it over fragments or over receives, is
//! copied, into a buffer that its decoder borrows from the shard's [`Pool`].

mod held;
mod into;
use super::frame::{Extension, Opcode, Role};
use super::head::{Expected, Frame, Head};
use super::pieces::Pieces;
use super::{NOT_UTF8, closing, mask};
use crate::payload::Payload;
use crate::protocol::Fault;
use std::ops::Range;

pub use super::frame::Kind;
pub use super::pieces::Pool;

/// What a peer said. Borrowed from the received bytes or from the decoder.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'e> {
    /// A whole message, unmasked.
    Message {
        /// Text or binary.
        kind: Kind,
        /// The payload; UTF-8 if it is text.
        bytes: &'e [u8],
        /// The same bytes in a buffer of their own, if they are many and came in pieces: an answer
        /// may take it along.
        assembled: Option<&'e Payload>,
    },
    /// A ping: wants a pong with the same payload, 0 to 125 bytes (RFC 6455, 5.5.2).
    Ping(&'e [u8]),
    /// A pong: the payload of a ping, or anything (RFC 6455, 5.5.3).
    Pong(&'e [u8]),
    /// The peer closes, and says nothing more (RFC 6455, 5.5.1).
    Close {
        /// Its code, if it gave one; one that may travel.
        code: Option<u16>,
        /// Its reason: up to 123 bytes.
        reason: &'e str,
    },
}

/// One connection's decoder: 16 bytes, and heap memory only while something is in pieces.
#[derive(Debug)]
pub struct Decoder {
    pieces: Option<Box<Pieces>>,
    role: Role,
    extension: Extension,
    /// Deflated messages are not inflated: nobody wants them.
    discards: bool,
    state: DecoderState,
    /// Its key among [`Pool::windows`].
    window: u32,
}

/// The key of a decoder without a window.
const NO_WINDOW: u32 = u32::MAX;

const _: () = assert!(
    size_of::<Decoder>() <= 16,
    "there is one for each idle connection"
);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DecoderState {
    /// At the start of a message; nothing is kept.
    Ready,
    /// Something is kept.
    InPieces,
    /// Something is kept, and the last event is borrowed from it.
    Lent,
    /// The peer closed or failed; nothing it sends counts.
    Dead,
}

/// What comes next, and where it is, without borrowing it yet.
enum Step {
    Starved,
    Message(Kind, Place),
    Control(Opcode, Place),
}

enum Place {
    Received(Range<usize>),
    /// In what was kept.
    Kept,
}

impl Decoder {
    /// The decoder of this side of a connection.
    #[must_use]
    pub const fn new(role: Role) -> Self {
        Self {
            pieces: None,
            role,
            extension: Extension::None,
            discards: false,
            state: DecoderState::Ready,
            window: NO_WINDOW,
        }
    }

    /// The same where that was agreed on.
    #[must_use]
    pub const fn with(mut self, extension: Extension) -> Self {
        self.extension = extension;
        self
    }

    /// The same where nobody wants what the peer says: a deflated message is not inflated, and its
    /// event has no bytes that mean anything.
    #[must_use]
    pub const fn discarding(mut self) -> Self {
        self.discards = true;
        self
    }

    /// The next event in `bytes[*at..]`; `None` when all of `bytes` is used. `*at` moves behind
    /// what was used, and a message that lay there whole has been unmasked there.
    ///
    /// Call until `None`: only then is everything kept for the last event given back. After a
    /// close or a fault the decoder is dead: it uses up whatever it is given and says `None`.
    ///
    /// # Errors
    /// [`Fault::WebSocket`]: 1002 for what breaks the framing or carries a bad close code, 1007
    /// for text or a reason that is not UTF-8 (as soon as it cannot become UTF-8 any more), 1009
    /// for a message beyond [`Pool::max_message`] (as soon as a header declares it) or
    /// [`Pool::max_fragments`].
    #[inline]
    pub fn next<'e>(
        &'e mut self,
        bytes: &'e mut [u8],
        at: &mut usize,
        pool: &mut Pool,
    ) -> Result<Option<Event<'e>>, Fault> {
        if self.state == DecoderState::Ready && *at >= bytes.len() {
            return Ok(None);
        }
        if self.state == DecoderState::Ready
            && let Some(whole) = bytes.get(*at..).and_then(|rest| self.whole(rest, pool))
        {
            let payload = *at + whole.header..*at + whole.header + whole.payload;
            *at = payload.end;
            let Some(bytes) = bytes.get_mut(payload) else {
                return Ok(None);
            };
            let is_ascii = match self.role {
                Role::Server => mask::apply_gathering(bytes, whole.key).is_ascii(),
                Role::Client => bytes.is_ascii(),
            };
            if whole.kind == Kind::Text && !is_ascii {
                self.check(bytes)?;
            }
            return Ok(Some(Event::Message {
                kind: whole.kind,
                bytes,
                assembled: None,
            }));
        }
        self.next_in_pieces(bytes, at, pool)
    }

    /// A message in one frame of up to 65,535 bytes at the start of `rest`, if it is all there
    /// and nothing is wrong with it but perhaps its text.
    #[inline]
    fn whole(&self, rest: &[u8], pool: &Pool) -> Option<Whole> {
        let [first @ (0x81 | 0x82), second, tail @ ..] = rest else {
            return None;
        };
        let kind = if *first == 0x81 {
            Kind::Text
        } else {
            Kind::Binary
        };
        let masked = match self.role {
            Role::Server => 0x80,
            Role::Client => 0,
        };
        let (payload, tail, header) = match (second ^ masked, tail) {
            (short @ 0..=125, tail) => (usize::from(short), tail, 2),
            (126, [a, b, tail @ ..]) => (usize::from(u16::from_be_bytes([*a, *b])), tail, 4),
            _ => return None,
        };
        let (key, tail, header) = match (self.role, tail) {
            (Role::Server, [a, b, c, d, tail @ ..]) => ([*a, *b, *c, *d], tail, header + 4),
            (Role::Server, _) => return None,
            (Role::Client, tail) => ([0; 4], tail, header),
        };
        // RFC 6455, 5.2: the long form is for what the short one cannot say.
        let is_minimal = second & 0x7f != 126 || payload > 125;
        let is_sound = is_minimal && payload <= tail.len() && payload <= pool.max_message;
        is_sound.then_some(Whole {
            kind,
            header,
            payload,
            key,
        })
    }

    /// Text beyond ASCII.
    #[inline(never)]
    fn check(&mut self, text: &[u8]) -> Result<(), Fault> {
        simdutf8::basic::from_utf8(text).map(drop).map_err(|_| {
            self.state = DecoderState::Dead;
            NOT_UTF8
        })
    }

    #[inline(never)]
    fn next_in_pieces<'e>(
        &'e mut self,
        bytes: &'e mut [u8],
        at: &mut usize,
        pool: &mut Pool,
    ) -> Result<Option<Event<'e>>, Fault> {
        let step = match self.step(bytes, at, pool) {
            Ok(step) => step,
            Err(fault) => {
                self.release(pool);
                return Err(fault);
            }
        };
        match step {
            Step::Starved => Ok(None),
            Step::Message(kind, place) => {
                let (bytes, assembled) = match (place, &self.pieces) {
                    (Place::Received(range), _) => (bytes.get(range).unwrap_or_default(), None),
                    (Place::Kept, Some(pieces)) => (pieces.finished(), pieces.assembled.as_ref()),
                    (Place::Kept, None) => (&[][..], None),
                };
                Ok(Some(Event::Message {
                    kind,
                    bytes,
                    assembled,
                }))
            }
            Step::Control(opcode, place) => {
                let payload = match (place, &self.pieces) {
                    (Place::Received(range), _) => bytes.get(range).unwrap_or_default(),
                    (Place::Kept, Some(pieces)) => pieces.control(),
                    (Place::Kept, None) => &[],
                };
                match opcode {
                    Opcode::Ping => Ok(Some(Event::Ping(payload))),
                    Opcode::Close => {
                        let (code, reason) = closing::read(payload)?;
                        Ok(Some(Event::Close { code, reason }))
                    }
                    Opcode::Pong | Opcode::Continuation | Opcode::Text | Opcode::Binary => {
                        Ok(Some(Event::Pong(payload)))
                    }
                }
            }
        }
    }

    /// Moves on to the next event, whatever the state. The connection is dead after an error.
    fn step(&mut self, bytes: &mut [u8], at: &mut usize, pool: &mut Pool) -> Result<Step, Fault> {
        self.settle(pool);
        if self.state == DecoderState::Dead {
            *at = bytes.len();
            return Ok(Step::Starved);
        }
        loop {
            let begun = self.pieces.as_ref().and_then(|pieces| pieces.frame);
            let frame = match begun {
                Some(frame) => frame,
                None => match self.frame(bytes, at, pool)? {
                    Some(frame) => frame,
                    None => return Ok(Step::Starved),
                },
            };
            let len = frame.left.min(bytes.len() - *at);
            let range = *at..*at + len;
            *at = range.end;
            let is_fresh = begun.is_none();
            let part = Part {
                frame,
                is_fresh,
                bytes,
                range,
            };
            let step = if frame.opcode.is_control() {
                self.control(part, pool)
            } else {
                self.data(part, pool)?
            };
            match step {
                Some(step) => return Ok(step),
                None if *at >= bytes.len() => return Ok(Step::Starved),
                None => {}
            }
        }
    }

    /// Takes back what the last event borrowed, and gives to the pool what is not needed.
    fn settle(&mut self, pool: &mut Pool) {
        match self.state {
            DecoderState::Ready | DecoderState::InPieces => {}
            DecoderState::Dead => self.release(pool),
            DecoderState::Lent => {
                self.state = DecoderState::InPieces;
                self.rest_if_idle(pool);
            }
        }
    }

    /// The frame whose header is completed by `bytes[*at..]`, if it is.
    fn frame(
        &mut self,
        bytes: &[u8],
        at: &mut usize,
        pool: &mut Pool,
    ) -> Result<Option<Frame>, Fault> {
        let Some(rest @ [_, ..]) = bytes.get(*at..) else {
            return Ok(None);
        };
        let mut expected = Expected {
            role: self.role,
            in_message: false,
            extension: self.extension,
            room: pool.max_message,
        };
        let mut head = None;
        match &self.pieces {
            Some(pieces) if pieces.has_header() => {
                expected = pieces.expected(expected);
            }
            Some(pieces) => {
                expected = pieces.expected(expected);
                head = Head::parse(rest, expected)?;
            }
            None => head = Head::parse(rest, expected)?,
        }
        if let Some(head) = head {
            *at += head.size;
            return Ok(Some(head.into()));
        }
        Ok(self
            .pieces(pool)
            .header(bytes, at, expected)?
            .map(Frame::from))
    }

    /// Payload of a data frame.
    fn data(&mut self, part: Part<'_>, pool: &mut Pool) -> Result<Option<Step>, Fault> {
        let Part {
            frame,
            is_fresh,
            bytes,
            range,
        } = part;
        let in_message = self
            .pieces
            .as_ref()
            .is_some_and(|pieces| pieces.kind.is_some());
        let is_complete = range.len() == frame.left;
        let bytes = bytes.get_mut(range.clone()).unwrap_or_default();
        let kind = if frame.opcode == Opcode::Text {
            Kind::Text
        } else {
            Kind::Binary
        };
        if is_fresh && is_complete && frame.is_last && !in_message {
            if frame.is_deflated && self.discards {
                self.rest_if_idle(pool);
                return Ok(Some(Step::Message(Kind::Binary, Place::Received(range))));
            }
            let is_ascii = mask::apply_gathering(bytes, frame.key).is_ascii();
            if frame.is_deflated {
                let key = self.window;
                let pieces = self.pieces(pool);
                let inflated = pieces.inflate(kind, (key, bytes), pool);
                pieces.count(pool);
                inflated?;
                self.state = DecoderState::Lent;
                return Ok(Some(Step::Message(kind, Place::Kept)));
            }
            if kind == Kind::Text && !is_ascii {
                self.check(bytes)?;
            }
            self.rest_if_idle(pool);
            return Ok(Some(Step::Message(kind, Place::Received(range))));
        }
        let (max_fragments, discards, key) = (pool.max_fragments, self.discards, self.window);
        let pieces = self.pieces(pool);
        if is_fresh {
            pieces.begin(kind, frame, max_fragments)?;
            if discards {
                pieces.discard();
            }
            pieces.make_room(frame.left, &pool.shelf);
        }
        pieces.reserve(bytes.len(), frame.left);
        let appended = pieces.append(bytes, frame.key);
        pieces.count(pool);
        appended?;
        pieces.frame = frame.after(range.len());
        if !is_complete || !frame.is_last {
            return Ok(None);
        }
        let kind = pieces.finish(key, pool);
        pieces.count(pool);
        let kind = kind?;
        self.state = DecoderState::Lent;
        Ok(Some(Step::Message(kind, Place::Kept)))
    }

    /// Payload of a control frame, which may come between the fragments of a message.
    fn control(&mut self, part: Part<'_>, pool: &mut Pool) -> Option<Step> {
        let Part {
            frame,
            is_fresh,
            bytes,
            range,
        } = part;
        let is_complete = range.len() == frame.left;
        let is_close = frame.opcode == Opcode::Close;
        let bytes = bytes.get_mut(range.clone()).unwrap_or_default();
        if is_fresh && is_complete {
            mask::apply_gathering(bytes, frame.key);
            self.rest_if_idle(pool);
            if is_close {
                self.release(pool);
            }
            return Some(Step::Control(frame.opcode, Place::Received(range)));
        }
        let pieces = self.pieces(pool);
        if is_fresh {
            pieces.clear_control();
        }
        pieces.append_control(bytes, frame.key);
        pieces.frame = frame.after(range.len());
        if !is_complete {
            return None;
        }
        use DecoderState::{Dead, Lent};
        self.state = if is_close { Dead } else { Lent };
        Some(Step::Control(frame.opcode, Place::Kept))
    }

    /// What is kept, from now on.
    fn pieces(&mut self, pool: &mut Pool) -> &mut Pieces {
        self.state = DecoderState::InPieces;
        self.pieces.get_or_insert_with(|| pool.take())
    }

    fn rest_if_idle(&mut self, pool: &mut Pool) {
        if let Some(pieces) = self.pieces.take_if(|pieces| pieces.is_idle()) {
            pool.give_back(pieces);
            self.state = DecoderState::Ready;
        }
    }
}

/// A message that [`Decoder::whole`] found: where its payload begins, and its size.
struct Whole {
    kind: Kind,
    header: usize,
    payload: usize,
    key: [u8; 4],
}

/// A piece of a frame's payload, or all of it: `bytes[range]`.
struct Part<'e> {
    frame: Frame,
    /// Whether nothing of the frame's payload came before.
    is_fresh: bool,
    bytes: &'e mut [u8],
    range: Range<usize>,
}

#[cfg(test)]
#[path = "decoder_tests.rs"]
mod tests;
