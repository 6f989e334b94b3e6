//! What clients set themselves to do later.

use crate::shard::ConnectionId;
use crate::time::Instant;

/// What a client has set itself to do later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// The client has thought: it sends.
    Speak(ConnectionId),
    /// The session's time is over, since then.
    Leave(ConnectionId, Instant),
    /// The session's closing handshake has taken long enough.
    Vanish(ConnectionId),
    /// A connection for posts may have waited too long: for the server, or for an answer.
    AwaitPost(ConnectionId),
}
