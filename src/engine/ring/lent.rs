//! Buffers of the shard that the kernel receives into: they are here, and the kernel's alone, until
//! the receive is over.

use crate::limits;
use crate::shard::{ConnectionId, ReceiveInto};
use std::collections::HashMap;

/// The buffers that receives under way append to, one a connection at most.
///
/// Must outlive every such receive, as the provided buffers do.
pub(super) struct LentBuffers {
    buffers: HashMap<ConnectionId, Lent>,
    /// Bytes that large receives of this turn may still bring, those into other buffers included.
    pub(super) room: usize,
}

impl Default for LentBuffers {
    fn default() -> Self {
        Self {
            buffers: HashMap::new(),
            room: limits::RECEIVE_TURN_BYTES,
        }
    }
}

struct Lent {
    buffer: Vec<u8>,
    /// Bytes that may be appended.
    room: usize,
}

impl LentBuffers {
    /// Keeps the buffer: where the kernel may write, and how much.
    pub(super) fn keep(&mut self, id: ConnectionId, into: ReceiveInto) -> (*mut u8, u32) {
        let ReceiveInto { mut buffer, most } = into;
        let spare = buffer.spare_capacity_mut();
        let room = most.min(spare.len()).min(limits::RECEIVE_INTO_BYTES);
        assert!(room > 0, "a receive of nothing is taken for the peer's end");
        self.room = self.room.saturating_sub(room);
        let place = spare.as_mut_ptr().cast();
        // Moving the vector does not move its bytes.
        let before = self.buffers.insert(id, Lent { buffer, room });
        assert!(before.is_none(), "one receive at a time");
        (place, u32::try_from(room).unwrap_or(u32::MAX))
    }

    /// The receive is over, and has appended so many bytes.
    pub(super) fn take(&mut self, id: ConnectionId, bytes: usize) -> Option<Vec<u8>> {
        let Lent { mut buffer, room } = self.buffers.remove(&id)?;
        assert!(
            bytes <= room,
            "the kernel appends no more than there is room for"
        );
        let len = buffer.len() + bytes;
        // SAFETY: `keep` gave the kernel the memory behind the bytes that were there, within the
        // capacity; its completion says that it has written so many of them.
        unsafe { buffer.set_len(len) };
        Some(buffer)
    }

    /// Whether a buffer of that connection is here.
    #[cfg(test)]
    pub(super) fn holds(&self, id: ConnectionId) -> bool {
        self.buffers.contains_key(&id)
    }

    /// Whether none is here.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.buffers.is_empty()
    }
}
