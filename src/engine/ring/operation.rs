//! What a completion belongs to: the 64 bits of `user_data`, and why nothing late is mistaken.

use crate::shard::ConnectionId;

/// Bits of the generation inside `user_data`; a slot's generation wraps at 2^24.
pub(super) const GENERATION_MASK: u32 = 0x00ff_ffff;

/// The kinds of operations that this engine submits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// Multishot accept; the slot field is the listener's index.
    AcceptMultishot,
    /// One accept; the slot field is the listener's index.
    AcceptSingle,
    /// Multishot receive of a connection, into small buffers.
    Receive,
    /// One receive of a connection, into a large buffer.
    ReceiveLarge,
    /// One receive of a connection, into a buffer of the shard.
    ReceiveInto,
    /// The one send in flight of a connection.
    Send,
    /// Connect of a connection.
    Connect,
    /// A step before the connect of a connection: its socket, an option, its source address. Only
    /// its failure is told.
    Prepare,
    /// Shutdown of a connection, either way.
    Shutdown,
    /// Close of a connection's direct descriptor.
    Close,
    /// Where a connection that was accepted comes from: it is opened after that.
    PeerName,
    /// How much of what was sent to a closing connection is not acknowledged.
    Unacknowledged,
    /// Cancellation of a connection's receive. Only its failure is told: see
    /// `Port::cancel_missed`.
    CancelReceive,
    /// Cancellation of a connection's send; the same.
    CancelSend,
    /// Cancellation of a connection's connect; the same.
    CancelConnect,
    /// Cancellation of the accepts of a listener; the slot field is the listener's index.
    CancelAccept,
    /// Cancellation of whatever is left in a ring; the slot field is the ring's index.
    CancelRest,
    /// The option that makes the close of an aborted connection a reset; its result is of no use.
    ResetOnClose,
    /// A completion sent to another core's ring; the slot field is that core's index. Only its
    /// failure is told.
    RingDoorbell,
    /// The completion that another core sent: there are messages to fetch.
    Doorbell,
    /// The timer that ends a wait.
    Tick,
    /// The timer that ends a park.
    Alarm,
    /// The lead ring's poll of the waker, which the other rings signal.
    WakerPoll,
}

const ALL: [Operation; 23] = [
    Operation::AcceptMultishot,
    Operation::AcceptSingle,
    Operation::Receive,
    Operation::ReceiveLarge,
    Operation::ReceiveInto,
    Operation::Send,
    Operation::Connect,
    Operation::Prepare,
    Operation::Shutdown,
    Operation::Close,
    Operation::PeerName,
    Operation::Unacknowledged,
    Operation::CancelReceive,
    Operation::CancelSend,
    Operation::CancelConnect,
    Operation::CancelAccept,
    Operation::CancelRest,
    Operation::ResetOnClose,
    Operation::RingDoorbell,
    Operation::Doorbell,
    Operation::Tick,
    Operation::Alarm,
    Operation::WakerPoll,
];

/// Packs an operation on a connection: kind (8 bits), generation (24), slot (32).
#[inline]
pub(super) fn tag(operation: Operation, id: ConnectionId) -> u64 {
    let slot = id.slot() as u64 & 0xffff_ffff;
    (operation as u64) << 56 | u64::from(id.generation() & GENERATION_MASK) << 32 | slot
}

/// Packs an operation that belongs to no connection; `index` comes back as the slot.
#[inline]
pub(super) fn plain(operation: Operation, index: u32) -> u64 {
    tag(operation, ConnectionId::new(index, 0))
}

/// Unpacks `user_data`; `None` if this engine did not pack it.
#[inline]
pub(super) fn untag(user_data: u64) -> Option<(Operation, ConnectionId)> {
    let operation = *ALL.get((user_data >> 56) as usize)?;
    let generation = u32::try_from(user_data >> 32 & u64::from(GENERATION_MASK)).ok()?;
    let slot = u32::try_from(user_data & 0xffff_ffff).ok()?;
    Some((operation, ConnectionId::new(slot, generation)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_is_unpacked() {
        for (index, operation) in ALL.into_iter().enumerate() {
            assert_eq!(operation as usize, index);
            let id = ConnectionId::new(19_999, 0x00ab_cdef);
            assert_eq!(untag(tag(operation, id)), Some((operation, id)));
        }
        assert_eq!(untag(u64::MAX), None);
    }
}
