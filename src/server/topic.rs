//! Who listens on one core, and how a notice reaches all of them: encoded once for each kind of
//! connection, shared by reference.

use super::members::{Members, STEP};
use super::tally::Tally;
use crate::app::Notice;
use crate::app::push::Push;
use crate::protocol::sse;
use crate::protocol::websocket::{Deflater, Opcode, deflate, frame};
use crate::shard::{ConnectionId, Payload, Unsent, Wire};
use crate::time::Instant;
use std::fmt::Write as _;

/// Payloads of one kind that are kept to be encoded into again. More are in use only while the
/// kernel is that many broadcasts behind.
const KEPT_PAYLOADS: usize = 64;
/// How many kept payloads are looked at for a free one: they become free in order.
const LOOKED_AT: usize = 4;

/// Everyone who listens on this core.
pub(super) struct Topic {
    pub(super) sockets: Members,
    /// WebSockets that take deflated messages.
    pub(super) deflating: Members,
    pub(super) streams: Members,
    frames: Payloads,
    deflated: Payloads,
    /// Once somebody took a deflated message.
    pub(super) deflater: Option<Box<Deflater>>,
    events: Payloads,
    comment: Payload,
    /// What goes round is a comment, which is no message.
    commenting: bool,
    /// When what goes round began to.
    began: Instant,
    /// When the event streams last got something.
    pub(super) spoken: Instant,
    /// Listeners whose backlog was full at a broadcast: the server ends them.
    pub(super) slow: Vec<ConnectionId>,
    number: String,
}

impl Topic {
    pub(super) fn new(now: Instant) -> Self {
        let mut comment = Vec::new();
        sse::comment(&mut comment, "");
        // Ends the block: nothing of it waits in a client that splits at empty lines.
        comment.push(b'\n');
        Self {
            sockets: Members::default(),
            deflating: Members::default(),
            streams: Members::default(),
            frames: Payloads::default(),
            deflated: Payloads::default(),
            deflater: None,
            events: Payloads::default(),
            comment: Payload::new(comment),
            commenting: false,
            began: now,
            spoken: now,
            slow: Vec::new(),
            number: String::new(),
        }
    }

    /// Sends a notice round: it leaves in steps.
    pub(super) fn broadcast<M>(
        &mut self,
        notice: Notice<'_>,
        tally: &mut Tally,
        wire: &mut impl Wire<M>,
    ) {
        self.make_way(tally, wire);
        if !self.sockets.is_empty() {
            self.sockets.tell(self.frames.encode(|into| {
                frame::encode(into, Opcode::Text, notice.text.as_bytes(), None);
            }));
        }
        if !self.deflating.is_empty() {
            let deflater = self.deflater.get_or_insert_with(Box::default);
            self.deflating.tell(self.deflated.encode(|into| {
                deflate::encode(into, Opcode::Text, notice.text.as_bytes(), None, deflater);
            }));
        }
        if !self.streams.is_empty() {
            let number = &mut self.number;
            let encode = |into: &mut Vec<u8>| encode_event(into, notice, number);
            self.streams.tell(self.events.encode(encode));
            self.spoken = wire.now();
        }
    }

    /// Sends a comment round the event streams, so that no gateway takes them for dead.
    pub(super) fn heartbeat<M>(&mut self, tally: &mut Tally, wire: &mut impl Wire<M>) {
        self.make_way(tally, wire);
        self.streams.tell(self.comment.clone());
        self.commenting = true;
        self.spoken = wire.now();
    }

    /// The next step of what goes round, if anything does.
    pub(super) fn step<M>(&mut self, tally: &mut Tally, wire: &mut impl Wire<M>) {
        self.tell(STEP, tally, wire);
    }

    /// Ends what goes round at once.
    pub(super) fn finish<M>(&mut self, tally: &mut Tally, wire: &mut impl Wire<M>) {
        self.tell(usize::MAX, tally, wire);
    }

    /// Since when something goes round, if anything does.
    pub(super) fn telling_since(&self) -> Option<Instant> {
        let kinds = [&self.sockets, &self.deflating, &self.streams];
        let telling = kinds.into_iter().any(Members::is_telling);
        telling.then_some(self.began)
    }

    fn tell<M>(&mut self, mut most: usize, tally: &mut Tally, wire: &mut impl Wire<M>) {
        for kind in [&mut self.sockets, &mut self.deflating, &mut self.streams] {
            if kind.is_telling() {
                let share = |id, payload: &Payload| wire.share(id, payload);
                let shared = kind.step(&mut most, &mut self.slow, share);
                if !self.commenting {
                    tally.messages_out += shared;
                }
            }
        }
        self.commenting &= self.streams.is_telling();
    }

    /// Something else is to go round: what has been told to some is told to the others first, what
    /// has been told to nobody yet leaves in one with it.
    fn make_way<M>(&mut self, tally: &mut Tally, wire: &mut impl Wire<M>) {
        let kinds = [&self.sockets, &self.deflating, &self.streams];
        if self.commenting || !kinds.into_iter().all(Members::is_open) {
            self.finish(tally, wire);
        }
        if self.telling_since().is_none() {
            self.began = wire.now();
        }
    }

    /// Sends a comment to one event stream.
    pub(super) fn comment<M>(&mut self, id: ConnectionId, wire: &mut impl Wire<M>) {
        match wire.share(id, &self.comment) {
            Err(Unsent::Full) => self.slow.push(id),
            Ok(()) | Err(Unsent::Gone) => {}
        }
    }

    /// Frees what is kept to be encoded into.
    pub(super) fn trim(&mut self) {
        for payloads in [&mut self.frames, &mut self.deflated, &mut self.events] {
            payloads.trim();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sockets.is_empty() && self.deflating.is_empty() && self.streams.is_empty()
    }
}

/// Appends a notice as an event; `number` is scratch space.
pub(super) fn encode_event(into: &mut Vec<u8>, notice: Notice<'_>, number: &mut String) {
    number.clear();
    match notice.run {
        Some(run) => Push::write_id(run, notice.id, number),
        // Writing to a String does not fail.
        None => drop(write!(number, "{}", notice.id)),
    }
    let event = sse::Event {
        id: Some(number),
        event: Some(notice.name),
        retry_ms: None,
        data: notice.text,
    };
    let encoded = sse::encode(into, &event);
    debug_assert!(encoded.is_ok(), "an app named an event with a line break");
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
