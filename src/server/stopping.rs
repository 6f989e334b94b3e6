//! Carries out how a server stops: see [`super::draining`].

use super::apps::Apps;
use super::connections::Connections;
use super::draining::DrainStep;
use super::shared::Shared;
use super::stats::Message;
use super::tally::CloseReason;
use crate::shard::{Close, ConnectionId, Wire};

/// What the time brings of it.
pub(super) fn go_on<A: Apps>(
    connections: &mut Connections,
    shared: &mut Shared<A>,
    wire: &mut impl Wire<Message<A::Letters>>,
) {
    while let Some(step) = shared.draining().next(wire.now()) {
        match step {
            DrainStep::StopServing => {
                wire.stop_accepting();
                shared.stop_serving(connections.ids().collect(), wire);
            }
            DrainStep::Dismiss(id) => dismiss(id, connections, shared, wire),
            DrainStep::GiveUp => give_up(connections, shared, wire),
        }
    }
}

/// Ends what may end at once, because the server is draining.
fn dismiss<A: Apps>(
    id: ConnectionId,
    connections: &mut Connections,
    shared: &mut Shared<A>,
    wire: &mut impl Wire<Message<A::Letters>>,
) {
    let goodbye = shared.draining().goodbye();
    connections.act(id, shared, wire, |it, shared, wire| {
        if it.state().streams().is_some() {
            shared.say_when_to_return(id, wire);
        }
        it.state().dismissed(goodbye)
    });
}

/// The time to drain is over: resets what is left, also what was closing and whose peer still has
/// something to get.
fn give_up<A: Apps>(
    connections: &mut Connections,
    shared: &mut Shared<A>,
    wire: &mut impl Wire<Message<A::Letters>>,
) {
    let ids: Vec<_> = connections.ids().collect();
    shared.draining().give_up(ids.len());
    for id in ids {
        connections.end(id, Close::Abort, CloseReason::Drain, shared, wire);
    }
}
