//! The shard of the scripted kernel's tests: it echoes.

use crate::shard::{CloseCause, ConnectionId, Core, Origin, ReceiveInto, Shard, Wire};
use crate::time::Instant;

/// Bytes of room in a buffer that it lends.
pub(super) const LENT: usize = 64;

/// Echoes, and notes what it was told.
#[derive(Default)]
pub(super) struct Echoing {
    pub(super) opened: Vec<ConnectionId>,
    pub(super) closed: Vec<(ConnectionId, CloseCause)>,
    pub(super) messages: Vec<u8>,
    pub(super) drained: Vec<ConnectionId>,
    pub(super) deadline: Option<Instant>,
    pub(super) coalesces: bool,
    /// It finishes with the next message.
    pub(super) is_last: bool,
    /// Lends a buffer every so many times that it is asked; never if 0.
    pub(super) lends: usize,
    asked: usize,
}

impl Shard for Echoing {
    type Message = u8;
    type Outcome = Self;

    fn started(&mut self, _: &mut impl Wire<u8>) {}

    fn opened(&mut self, id: ConnectionId, _: Origin, _: &mut impl Wire<u8>) {
        self.opened.push(id);
    }

    fn received(&mut self, id: ConnectionId, bytes: &mut [u8], wire: &mut impl Wire<u8>) {
        wire.send(id, bytes).expect("there is room");
    }

    fn receive_into(&mut self, _: ConnectionId) -> Option<ReceiveInto> {
        self.asked += 1;
        if self.lends == 0 || !self.asked.is_multiple_of(self.lends) {
            return None;
        }
        // The scripted kernel writes nothing: what it seems to have written is there.
        let mut buffer = vec![b'z'; LENT];
        buffer.clear();
        Some(ReceiveInto { buffer, most: LENT })
    }

    fn received_into(&mut self, id: ConnectionId, buffer: Vec<u8>, wire: &mut impl Wire<u8>) {
        wire.send(id, &buffer).expect("there is room");
    }

    fn drained(&mut self, id: ConnectionId, _: &mut impl Wire<u8>) {
        self.drained.push(id);
    }

    fn closed(&mut self, id: ConnectionId, cause: CloseCause, _: &mut impl Wire<u8>) {
        self.closed.push((id, cause));
    }

    fn forwarded(&mut self, _: Core, message: u8, _: &mut impl Wire<u8>) {
        self.messages.push(message);
    }

    fn expired(&mut self, _: &mut impl Wire<u8>) {}

    fn stopped(&mut self, _: &mut impl Wire<u8>) {}

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn may_coalesce(&self) -> bool {
        self.coalesces
    }

    fn finished(&self) -> bool {
        self.is_last && !self.messages.is_empty()
    }

    fn outcome(self) -> Self {
        self
    }
}
