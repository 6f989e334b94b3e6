//! What the clients of a run do, and when they send messages.

use super::pace::Pace;
use super::policy::Think;
use super::scenario::Program;
use super::transport::Transport;
use std::sync::Arc;

/// What one simulated client does.
#[derive(Clone, Debug)]
pub enum Scenario {
    /// Sends messages and expects each back.
    Echo,
    /// Receives stamped messages: one-way latency, gaps.
    Listen,
    /// Stays connected and counts what comes.
    Idle,
    /// Has a conversation of its own.
    Dialogue(Arc<dyn Program>),
}

impl Scenario {
    /// Whether clients have WebSockets, which are pinged.
    pub(super) fn can_ping(&self, transport: Transport) -> bool {
        let polls = matches!(self, Self::Dialogue(program) if program.polls());
        transport == Transport::WebSocket && !polls
    }

    /// Whether each client posts what it says, on a connection beside its own.
    pub(super) fn posts_over(&self, transport: Transport) -> bool {
        matches!(self, Self::Dialogue(_)) && !self.can_ping(transport)
    }

    /// What reports call it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Listen => "listen",
            Self::Idle => "idle",
            Self::Dialogue(program) => program.name(),
        }
    }
}

/// When messages are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loop {
    /// At the times that the pace intends, whatever the server does. Indices run over the whole
    /// run and are striped over the cores.
    Open {
        /// When each message of the run is meant to be sent.
        pace: Pace,
        /// Consecutive messages that go to one connection before the next connection's turn, at
        /// least 1. More than 1 makes high rates cheap, for servers that read many at once.
        burst: u32,
    },
    /// As `Open`, but each connection has its own place in the plan: piece `i` is for connection
    /// `i % connections`, and dropped if that one is not up. So a rate is one per connection.
    PerConnection {
        /// When each message of the run is meant to be sent.
        pace: Pace,
    },
    /// Each as soon as a reply makes room.
    Closed,
    /// Each some time after the last reply: `in_flight` of them once nothing is under way.
    Thinking(Think),
}
