//! What becomes of connections that limits end: who sends too much, who says nothing, whose time is
//! over.

use super::apps::Apps;
use super::connections::Connections;
use super::shared::Shared;
use super::state::ConnectionState;
use super::stats::Message;
use super::step::Step;
use super::tally::CloseReason;
use crate::app::Goodbye;
use crate::door::Eviction;
use crate::protocol::websocket::closing;
use crate::shard::{Close, ConnectionId, Wire};

/// What a connection has said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    pub(super) messages: u64,
    pub(super) bytes: usize,
}

/// Ends a connection that has said more than it may.
pub(super) fn meter<A: Apps>(
    id: ConnectionId,
    heard: Heard,
    connections: &mut Connections,
    shared: &mut Shared<A>,
    wire: &mut impl Wire<Message<A::Letters>>,
) {
    let bytes = heard.bytes as u64;
    let eviction = shared.door().heard(id, heard.messages, bytes, wire.now());
    if let Some(eviction) = eviction {
        evict(id, eviction, connections, shared, wire);
    }
}

/// A connection is of the holder of a token: ends it if that has too many.
pub(super) fn name<A: Apps>(
    id: ConnectionId,
    holder: Box<str>,
    connections: &mut Connections,
    shared: &mut Shared<A>,
    wire: &mut impl Wire<Message<A::Letters>>,
) {
    let eviction = shared.named(id, &holder);
    shared.log().known_as(id, holder);
    if let Some(eviction) = eviction {
        evict(id, eviction, connections, shared, wire);
    }
}

/// Ends the connections whose time is over. `due` is scratch space.
pub(super) fn expire<A: Apps>(
    connections: &mut Connections,
    shared: &mut Shared<A>,
    due: &mut Vec<ConnectionId>,
    wire: &mut impl Wire<Message<A::Letters>>,
) {
    due.clear();
    shared.door().take_due(wire.now(), due);
    for &id in &*due {
        if let Some(eviction) = shared.door().judge(id, wire.now()) {
            evict(id, eviction, connections, shared, wire);
        }
    }
}

fn evict<A: Apps>(
    id: ConnectionId,
    eviction: Eviction,
    connections: &mut Connections,
    shared: &mut Shared<A>,
    wire: &mut impl Wire<Message<A::Letters>>,
) {
    connections.act(id, shared, wire, |it, _, _| step(it.state(), eviction));
}

fn step(state: &ConnectionState, eviction: Eviction) -> Step {
    let (goodbye, why) = match eviction {
        Eviction::Messages => (policy("too many messages"), CloseReason::Overuse),
        Eviction::Token => (
            policy("too many connections of one token"),
            CloseReason::Barred,
        ),
        Eviction::Bytes => (policy("too many bytes"), CloseReason::Overuse),
        Eviction::Silence => (policy("no message came"), CloseReason::Unheard),
        Eviction::Lifetime => {
            let code = closing::GOING_AWAY;
            let reason = "its time is over";
            (Goodbye { code, reason }, CloseReason::Lifetime)
        }
    };
    match state.ended(goodbye, why) {
        // A request has a time of its own, but no right to any number of bytes.
        Step::Stay if why == CloseReason::Overuse && is_request(state) => Step::End {
            how: Close::Abort,
            why,
        },
        step => step,
    }
}

const fn policy(reason: &'static str) -> Goodbye {
    Goodbye {
        code: closing::POLICY,
        reason,
    }
}

const fn is_request(state: &ConnectionState) -> bool {
    matches!(state, ConnectionState::Http(_))
}
