//! How messages are put for a connection, and how a connection is named to an application.

use crate::app::User;
use crate::protocol::websocket::Extension;
use crate::shard::ConnectionId;

/// How messages are put for a connection that an application may tell something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// In frames: a WebSocket.
    Frames,
    /// In deflated frames: a WebSocket too.
    Deflated,
    /// The same, each message with those that were said to this one before.
    Takeover,
    /// In events: an event stream.
    Events,
}

impl Framing {
    pub(super) const fn of(extension: Extension) -> Self {
        match extension {
            // What is said to all is encoded once for all kinds, and this one is rare: it may be
            // sent as it is (RFC 7692, 6.1).
            Extension::None | Extension::DeflateNarrow => Self::Frames,
            Extension::Deflate => Self::Deflated,
            Extension::DeflateTakeover => Self::Takeover,
        }
    }

    /// What a connection with it is.
    pub(super) const fn transport(self) -> &'static str {
        match self {
            Self::Frames | Self::Deflated | Self::Takeover => "websocket",
            Self::Events => "sse",
        }
    }
}

/// Names a user: its connection and how messages are put for it.
#[inline]
pub(super) fn user(id: ConnectionId, framing: Framing) -> User {
    let framing = match framing {
        Framing::Frames => 0,
        Framing::Events => 1,
        Framing::Deflated => 2,
        Framing::Takeover => 3,
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
        2 => Framing::Deflated,
        _ => Framing::Takeover,
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
                use Framing::{Deflated, Events, Frames, Takeover};
                for framing in [Frames, Deflated, Takeover, Events] {
                    let id = ConnectionId::new(slot, generation);
                    assert_eq!(connection(user(id, framing)), (id, framing));
                }
            }
        }
    }
}
