//! What leaves this core beside what it is the answer to: notices encoded once for each kind of
//! connection, and what is to be carried out at the end of the event, when no connection is in use.

use super::step::DeferWait;
use super::tally::{CloseReason, Tally};
use crate::app::{self, ApiResponse, Goodbye, Notice, User};
use crate::limits;
use crate::protocol::sse;
use crate::protocol::websocket::{Deflater, Extension, Opcode, deflate, frame};
use crate::shard::{ConnectionId, Payload, Unsent, Wire};
use std::fmt::Write as _;
use std::marker::PhantomData;

/// Payloads of one kind that are kept to be encoded into again. More are in use only while the
/// kernel is that many broadcasts behind.
const KEPT_PAYLOADS: usize = 64;
/// How many kept payloads are looked at for a free one: they become free in order.
const LOOKED_AT: usize = 4;

/// How messages are put for a connection that an application may tell something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// In frames: a WebSocket.
    Frames,
    /// In deflated frames: a WebSocket too.
    Deflated,
    /// In events: an event stream.
    Events,
}

impl Framing {
    pub(super) const fn of(extension: Extension) -> Self {
        match extension {
            Extension::None => Self::Frames,
            Extension::Deflate => Self::Deflated,
        }
    }
}

/// A connection that an application wants to end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    pub(super) id: ConnectionId,
    pub(super) goodbye: Goodbye,
    pub(super) why: CloseReason,
}

/// What is to be done, and scratch space for it.
pub(super) struct Outbox {
    /// Connections whose backlog was full when they were told something: the server ends them.
    pub(super) slow: Vec<ConnectionId>,
    pub(super) ending: Vec<Ending>,
    pub(super) answers: Vec<(ConnectionId, app::Answer)>,
    /// Connections that were held and are heard again.
    pub(super) released: Vec<ConnectionId>,
    pub(super) responses: Vec<(ConnectionId, ApiResponse)>,
    /// An application has something to say to itself on another core.
    pub(super) has_mail: bool,
    /// Once somebody took a deflated message.
    pub(super) deflater: Option<Box<Deflater>>,
    /// Where the id of an event is written.
    pub(super) number: String,
    /// Tells an event stream nothing, so that no gateway takes it for dead.
    pub(super) comment: Payload,
    frame: EncodedOnce,
    deflated: EncodedOnce,
    event: EncodedOnce,
}

impl Default for Outbox {
    fn default() -> Self {
        let mut comment = Vec::new();
        sse::comment(&mut comment, "");
        // Ends the block: nothing of it waits in a client that splits at empty lines.
        comment.push(b'\n');
        Self {
            slow: Vec::new(),
            ending: Vec::new(),
            answers: Vec::new(),
            released: Vec::new(),
            responses: Vec::new(),
            has_mail: false,
            deflater: None,
            number: String::new(),
            comment: Payload::new(comment),
            frame: EncodedOnce::default(),
            deflated: EncodedOnce::default(),
            event: EncodedOnce::default(),
        }
    }
}

impl Outbox {
    /// Whether nothing is left to do.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        let lists = self.slow.is_empty() && self.ending.is_empty() && self.answers.is_empty();
        let others = self.released.is_empty() && self.responses.is_empty();
        lists && others && !self.has_mail
    }

    /// Frees what is kept to be encoded into.
    pub(super) fn trim(&mut self) {
        for once in [&mut self.frame, &mut self.deflated, &mut self.event] {
            once.large.trim();
            once.small = Vec::new();
        }
    }

    /// Sends a comment to one event stream.
    pub(super) fn comment<M>(&mut self, id: ConnectionId, wire: &mut impl Wire<M>) {
        match wire.share(id, &self.comment) {
            Err(Unsent::Full) => self.slow.push(id),
            Ok(()) | Err(Unsent::Gone) => {}
        }
    }

    fn begin(&mut self) {
        // A payload that is kept here could not be encoded into again.
        for once in [&mut self.frame, &mut self.deflated, &mut self.event] {
            once.written = Written::Not;
        }
    }
}

/// A notice as it is sent to one kind of connection.
#[derive(Default)]
struct EncodedOnce {
    written: Written,
    /// What is small is copied: nobody has to wait for the last who is sent it.
    small: Vec<u8>,
    large: Payloads,
}

#[derive(Default)]
enum Written {
    #[default]
    Not,
    Small,
    Large(Payload),
}

impl EncodedOnce {
    /// Sends it, written first if nobody was sent it yet.
    fn send<M>(
        &mut self,
        id: ConnectionId,
        size: usize,
        wire: &mut impl Wire<M>,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Unsent> {
        if matches!(self.written, Written::Not) {
            self.written = if size <= limits::SHARED_BYTES_MIN {
                self.small.clear();
                write(&mut self.small);
                Written::Small
            } else {
                Written::Large(self.large.encode(write))
            };
        }
        match &self.written {
            Written::Large(payload) => wire.share(id, payload),
            Written::Small | Written::Not => wire.send(id, &self.small),
        }
    }
}

/// Payloads that are encoded into again once the kernel has them.
#[derive(Default)]
pub(super) struct Payloads {
    kept: Vec<Payload>,
    next: usize,
}

impl Payloads {
    pub(super) fn encode(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Payload {
        let at = self.free();
        self.next = at + 1;
        if let Some(kept) = self.kept.get_mut(at)
            && let Some(buffer) = kept.recycle()
        {
            write(buffer);
            return kept.clone();
        }
        let mut buffer = Vec::new();
        write(&mut buffer);
        let payload = Payload::new(buffer);
        match self.kept.get_mut(at) {
            // Still in use: it is freed when the last send of it is done.
            Some(taken) => *taken = payload.clone(),
            None => self.kept.push(payload.clone()),
        }
        payload
    }

    pub(super) fn trim(&mut self) {
        (self.kept, self.next) = (Vec::new(), 0);
    }

    /// The index of a free payload; else where a new one belongs.
    fn free(&mut self) -> usize {
        let kept = self.kept.len();
        for step in 0..LOOKED_AT.min(kept) {
            let at = (self.next + step) % kept;
            if self.kept.get_mut(at).and_then(Payload::recycle).is_some() {
                return at;
            }
        }
        if kept < KEPT_PAYLOADS {
            kept
        } else {
            self.next % kept
        }
    }
}

/// What leaves while one event is handled. `M` is what the wire forwards.
pub struct Outgoing<'s, M, W> {
    pub(super) wire: &'s mut W,
    pub(super) outbox: &'s mut Outbox,
    pub(super) tally: &'s mut Tally,
    /// Whose message the app was given; nobody's if its time had come.
    pub(super) user: Option<(ConnectionId, Extension)>,
    /// The message that is looked at, if it has a buffer of its own.
    pub(super) assembled: Option<Payload>,
    /// Why something was not queued for that user.
    pub(super) unsent: Option<Unsent>,
    /// Something was queued for that user.
    pub(super) queued: bool,
    /// That user is not heard until it is released.
    pub(super) held: bool,
    /// That user is to be ended so.
    pub(super) close: Option<Goodbye>,
    message: PhantomData<fn(M)>,
}

impl<'s, M, W: Wire<M>> Outgoing<'s, M, W> {
    pub(super) fn new(wire: &'s mut W, outbox: &'s mut Outbox, tally: &'s mut Tally) -> Self {
        Self {
            wire,
            outbox,
            tally,
            user: None,
            assembled: None,
            unsent: None,
            queued: false,
            held: false,
            close: None,
            message: PhantomData,
        }
    }

    /// What that user waits for if it is not heard.
    pub(super) const fn wait(&self) -> DeferWait {
        if self.held {
            DeferWait::Release
        } else {
            DeferWait::Share
        }
    }

    /// Queues one frame for the user whose message it is.
    #[inline]
    pub(super) fn frame(&mut self, id: ConnectionId, opcode: Opcode, payload: &[u8]) -> bool {
        // Once a backlog is full the connection is ended: better nothing than a gap.
        if self.unsent.is_some() {
            return false;
        }
        let header = frame::header(opcode, payload.len(), None);
        let queued = match &self.assembled {
            // The very bytes of the message: they leave from where they were assembled.
            Some(assembled) if std::ptr::eq(assembled.bytes(), payload) => {
                self.wire.share_behind(id, header.as_bytes(), assembled)
            }
            Some(_) | None => self.wire.send_parts(id, &[header.as_bytes(), payload]),
        };
        match queued {
            Ok(()) => self.queued = true,
            Err(unsent) => self.unsent = Some(unsent),
        }
        self.unsent.is_none()
    }

    /// Says something to the user whose message it is.
    #[inline]
    pub(super) fn reply(&mut self, message: app::Message<'_>) {
        let Some((id, extension)) = self.user else {
            return;
        };
        let opcode = match message.kind {
            app::Kind::Text => Opcode::Text,
            app::Kind::Binary => Opcode::Binary,
        };
        let queued = match extension {
            Extension::None => self.frame(id, opcode, message.bytes),
            Extension::Deflate => self.deflated(id, opcode, message.bytes),
        };
        self.tally.sent(u64::from(queued));
    }

    /// Queues one frame, deflated if that makes it smaller.
    #[inline(never)]
    fn deflated(&mut self, id: ConnectionId, opcode: Opcode, payload: &[u8]) -> bool {
        if self.unsent.is_some() {
            return false;
        }
        let deflater = self.outbox.deflater.get_or_insert_with(Box::default);
        let Some(packed) = deflater.deflate(payload) else {
            return self.frame(id, opcode, payload);
        };
        let header = frame::header(opcode, packed.len(), None).deflated();
        match self.wire.send_parts(id, &[header.as_bytes(), packed]) {
            Ok(()) => self.queued = true,
            Err(unsent) => self.unsent = Some(unsent),
        }
        deflater.shrink();
        self.unsent.is_none()
    }

    /// Tells users what they are named for.
    pub(super) fn tell(&mut self, users: &[User], notice: Notice<'_>) {
        self.outbox.begin();
        let (size, text) = (notice.text.len(), notice.text.as_bytes());
        for &user in users {
            let (id, framing) = connection(user);
            let Outbox {
                frame,
                deflated,
                event,
                deflater,
                number,
                ..
            } = &mut *self.outbox;
            let sent = match framing {
                Framing::Frames => frame.send(id, size, self.wire, |into| {
                    frame::encode(into, Opcode::Text, text, None);
                }),
                Framing::Deflated => deflated.send(id, size, self.wire, |into| {
                    let deflater = deflater.get_or_insert_with(Box::default);
                    deflate::encode(into, Opcode::Text, text, None, deflater);
                }),
                Framing::Events => event.send(id, size, self.wire, |into| {
                    encode_event(into, notice, number);
                }),
            };
            match sent {
                Ok(()) => self.tally.sent(1),
                Err(Unsent::Full) => self.outbox.slow.push(id),
                // It ended in this turn; `closed` is under way.
                Err(Unsent::Gone) => {}
            }
        }
        self.outbox.begin();
    }

    /// Notes that a connection is to be ended. Of one whose message is looked at nothing more is
    /// heard.
    pub(super) fn end(&mut self, ending: Ending) {
        if self.user.is_some_and(|(id, _)| id == ending.id) {
            self.close.get_or_insert(ending.goodbye);
        } else {
            self.outbox.ending.push(ending);
        }
    }
}

/// Appends a notice as an event; `number` is scratch space.
pub(super) fn encode_event(into: &mut Vec<u8>, notice: Notice<'_>, number: &mut String) {
    number.clear();
    match notice.run {
        Some(run) => Notice::write_id(run, notice.id, number),
        // Writing to a String does not fail.
        None => drop(write!(number, "{}", notice.id)),
    }
    let number = (notice.id > 0).then_some(&**number);
    let event = sse::Event {
        id: notice.cursor.or(number),
        event: Some(notice.name).filter(|name| !name.is_empty()),
        retry_ms: None,
        data: notice.text,
    };
    let encoded = sse::encode(into, &event);
    debug_assert!(encoded.is_ok(), "an app named an event with a line break");
}

/// Names a user: its connection and how messages are put for it.
#[inline]
pub(super) fn user(id: ConnectionId, framing: Framing) -> User {
    let framing = match framing {
        Framing::Frames => 0,
        Framing::Events => 1,
        Framing::Deflated => 2,
    };
    let slot = u64::try_from(id.slot()).unwrap_or(u64::MAX);
    // A generation has 24 bits.
    User(slot << 32 | u64::from(id.generation() & 0x00ff_ffff) << 8 | framing)
}

/// The connection that a user is.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the parts that `user` joined"
)]
pub(super) const fn connection(user: User) -> (ConnectionId, Framing) {
    let id = ConnectionId::new((user.0 >> 32) as u32, (user.0 >> 8) as u32 & 0x00ff_ffff);
    let framing = match user.0 & 3 {
        0 => Framing::Frames,
        1 => Framing::Events,
        _ => Framing::Deflated,
    };
    (id, framing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_the_connection_it_was_made_of() {
        for slot in [0, 1, 77_777, u32::MAX] {
            for generation in [0, 9, 0x00ff_ffff] {
                for framing in [Framing::Frames, Framing::Deflated, Framing::Events] {
                    let id = ConnectionId::new(slot, generation);
                    assert_eq!(connection(user(id, framing)), (id, framing));
                }
            }
        }
    }
}
