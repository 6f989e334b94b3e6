//! Each connection works for its share of a turn: those that wait have theirs one after the other.

use super::apps::Apps;
use super::connections::Connections;
use super::eviction::{self, Heard};
use super::shared::Shared;
use super::stats::Message;
use crate::shard::Wire;

/// Gives the connections that wait a share each, in turn, some of them in one turn.
pub(super) fn work<A: Apps>(
    connections: &mut Connections,
    shared: &mut Shared<A>,
    wire: &mut impl Wire<Message<A::Letters>>,
) {
    for _ in 0..shared.inbound().begin_shares(wire.now()) {
        let Some(id) = shared.inbound().next_share() else {
            break;
        };
        let Some(connection) = connections.get_mut(id) else {
            shared.inbound().forget(id);
            continue;
        };
        let before = shared.messages_in();
        let Some(step) = connection.work(id, shared, wire) else {
            continue;
        };
        connections.carry_out(id, step, shared, wire);
        if shared.door().listens() {
            // Its bytes were counted when they came.
            let messages = shared.messages_in() - before;
            let heard = Heard { messages, bytes: 0 };
            eviction::meter(id, heard, connections, shared, wire);
        }
        connections.act(id, shared, wire, |it, shared, wire| {
            it.worked(id, shared, wire)
        });
    }
    shared.inbound().end_shares(wire.now());
}
