//! What an inner shard sends to one connection while it handles one event, until it is sealed.

use crate::shard::ConnectionId;

/// Plaintext for one connection that will be one record: room for its header, then the text.
#[derive(Default)]
pub(super) struct Gather {
    pub(super) id: Option<ConnectionId>,
    pub(super) bytes: Vec<u8>,
    pub(super) room: usize,
}

impl Gather {
    pub(super) const fn len(&self) -> usize {
        self.bytes.len() - self.room
    }

    /// Nothing but the room, which the header will fill.
    pub(super) fn begin(&mut self, room: usize) {
        self.bytes.resize(room, 0);
        self.room = room;
    }
}
