//! Who listens on one core, and how a notice reaches all of them: encoded once for each kind of
//! connection, shared by reference.

use super::tally::Tally;
use crate::app::Notice;
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

/// `Connection::seat` of a connection that does not listen.
pub(super) const NO_SEAT: u32 = u32::MAX;

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
            spoken: now,
            slow: Vec::new(),
            number: String::new(),
        }
    }

    pub(super) fn broadcast<M>(
        &mut self,
        notice: Notice<'_>,
        tally: &mut Tally,
        wire: &mut impl Wire<M>,
    ) {
        if !self.sockets.ids.is_empty() {
            let payload = self.frames.encode(|into| {
                frame::encode(into, Opcode::Text, notice.text.as_bytes(), None);
            });
            tally.messages_out += self.sockets.share(&payload, &mut self.slow, wire);
        }
        if !self.deflating.ids.is_empty() {
            let deflater = self.deflater.get_or_insert_with(Box::default);
            let payload = self.deflated.encode(|into| {
                deflate::encode(into, Opcode::Text, notice.text.as_bytes(), None, deflater);
            });
            tally.messages_out += self.deflating.share(&payload, &mut self.slow, wire);
        }
        if !self.streams.ids.is_empty() {
            let number = &mut self.number;
            let payload = self
                .events
                .encode(|into| encode_event(into, notice, number));
            tally.messages_out += self.streams.share(&payload, &mut self.slow, wire);
            self.spoken = wire.now();
        }
    }

    /// Sends a comment to every event stream, so that no gateway takes it for dead.
    pub(super) fn heartbeat<M>(&mut self, wire: &mut impl Wire<M>) {
        self.streams.share(&self.comment, &mut self.slow, wire);
        self.spoken = wire.now();
    }

    /// Sends a comment to one event stream.
    pub(super) fn comment<M>(&mut self, id: ConnectionId, wire: &mut impl Wire<M>) {
        match wire.share(id, &self.comment) {
            Err(Unsent::Full) => self.slow.push(id),
            Ok(()) | Err(Unsent::Gone) => {}
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sockets.ids.is_empty() && self.deflating.is_empty() && self.streams.ids.is_empty()
    }
}

/// Appends a notice as an event; `number` is scratch space.
pub(super) fn encode_event(into: &mut Vec<u8>, notice: Notice<'_>, number: &mut String) {
    number.clear();
    // Writing to a String does not fail.
    let _ = write!(number, "{}", notice.id);
    let event = sse::Event {
        id: Some(number),
        event: Some(notice.name),
        retry_ms: None,
        data: notice.text,
    };
    let encoded = sse::encode(into, &event);
    debug_assert!(encoded.is_ok(), "an app named an event with a line break");
}

/// Connections of one kind, in no order; each knows its seat.
#[derive(Default)]
pub(super) struct Members {
    ids: Vec<ConnectionId>,
}

impl Members {
    /// Adds a connection and gives its seat.
    pub(super) fn join(&mut self, id: ConnectionId) -> u32 {
        self.ids.push(id);
        u32::try_from(self.ids.len() - 1).unwrap_or(NO_SEAT)
    }

    /// Empties a seat. Whoever is returned has moved there.
    pub(super) fn leave(&mut self, seat: u32) -> Option<ConnectionId> {
        if seat as usize >= self.ids.len() {
            return None;
        }
        self.ids.swap_remove(seat as usize);
        self.ids.get(seat as usize).copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Shares a payload with everyone and says with how many; notes whose backlog is full.
    fn share<M>(
        &self,
        payload: &Payload,
        slow: &mut Vec<ConnectionId>,
        wire: &mut impl Wire<M>,
    ) -> u64 {
        let mut shared = 0;
        for &id in &self.ids {
            match wire.share(id, payload) {
                Ok(()) => shared += 1,
                Err(Unsent::Full) => slow.push(id),
                // It ended in this turn; `closed` is under way.
                Err(Unsent::Gone) => {}
            }
        }
        shared
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
