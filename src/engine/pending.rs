//! Events that calls of the wire give rise to: told after the call, never inside it.

use crate::shard::{CloseCause, ConnectionId};

/// An event that the shard is yet to be told.
#[derive(Clone, Copy, Debug)]
pub(super) enum PendingEvent {
    /// The backlog came down to the low mark.
    Drained(ConnectionId),
    /// The connection is over.
    Closed(ConnectionId, CloseCause),
}
