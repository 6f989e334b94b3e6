//! What has become of clients: told by [`super::LoadClients`], consumed by the shard.

use super::http_post::Requests;
use crate::load::attempt::Attempt;
use crate::load::measure::failure::{Kind, Stage};
use crate::shard::ConnectionId;
use crate::time::Instant;

/// What has become of a client, or is to be done for one.
#[derive(Debug)]
pub(in crate::load) enum ClientEvent {
    /// It is up for the first time; its connect was meant to start then.
    Up {
        /// When.
        intended: Instant,
    },
    /// It is up again, after a loss.
    Back,
    /// Its connect failed.
    ConnectFailed(FailedConnect),
    /// Its server leads elsewhere.
    Redirected(Attempt),
    /// Its connection was up, and is over.
    Lost(ConnectionLoss),
    /// Its closing handshake has ended.
    Ended,
    /// The engine says that a connection is over: its slot is free.
    SlotFree,
    /// A client's posts need a connection of their own.
    NeedsPostConnection(Requests),
}

impl ClientEvent {
    /// Whether a connection that was up is over, by one side or by both.
    pub(in crate::load) const fn ends_connection(&self) -> bool {
        match self {
            Self::Lost(_) | Self::Ended | Self::SlotFree => true,
            Self::Up { .. }
            | Self::Back
            | Self::ConnectFailed(_)
            | Self::Redirected(_)
            | Self::NeedsPostConnection(_) => false,
        }
    }
}

/// A connect that failed.
#[derive(Debug)]
pub(in crate::load) struct FailedConnect {
    /// The connection that did not come up.
    pub(in crate::load) id: ConnectionId,
    /// What would be tried again.
    pub(in crate::load) attempt: Attempt,
    /// How far it was.
    pub(in crate::load) stage: Stage,
    /// Why.
    pub(in crate::load) kind: Kind,
}

/// A connection that was up, and is over.
#[derive(Debug)]
pub(in crate::load) struct ConnectionLoss {
    /// How it came to that.
    pub(in crate::load) cause: LossCause,
    /// Why.
    pub(in crate::load) kind: Kind,
    /// Its client's next connect, if clients come back.
    pub(in crate::load) attempt: Option<Attempt>,
}

/// How a connection that was up came to be over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::load) enum LossCause {
    /// By the peer, the network or a fault.
    EndedEarly,
    /// By its scenario, as it was to.
    Left,
    /// By an outage.
    Dropped,
}
