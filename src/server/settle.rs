//! What is carried out at the end of an event, when no connection is in use: it may concern any.

use super::apps::Apps;
use super::connections::Connections;
use super::eviction;
use super::outbox::{Ending, Task};
use super::shared::Shared;
use super::stats::Message;
use super::step::DeferWait;
use super::sweep;
use crate::shard::Wire;

/// Carries out what is left to do at the end of an event.
#[inline]
pub(super) fn settle<A: Apps>(
    connections: &mut Connections,
    shared: &mut Shared<A>,
    wire: &mut impl Wire<Message<A::Letters>>,
) {
    if !shared.is_settled() {
        carry_out(connections, shared, wire);
    }
    if shared.memory().is_too_much(wire) {
        sweep::keep_to_budget(connections, shared, wire);
    }
}

#[inline(never)]
fn carry_out<A: Apps>(
    connections: &mut Connections,
    shared: &mut Shared<A>,
    wire: &mut impl Wire<Message<A::Letters>>,
) {
    while let Some(task) = shared.next_task() {
        match task {
            Task::EndSlow(id) => {
                connections.act(id, shared, wire, |it, _, _| it.state().ended_as_slow::<A>());
            }
            Task::End(Ending { id, goodbye, why }) => {
                connections.act(id, shared, wire, |it, _, _| it.state().ended(goodbye, why));
            }
            Task::Answer(id, answer) => connections.act(id, shared, wire, |it, shared, wire| {
                it.answer(id, Some(answer), shared, wire)
            }),
            Task::Hear(id) => shared.inbound().defer(id, DeferWait::Share, wire.now()),
            Task::Name(id, name) => eviction::name(id, name, connections, shared, wire),
            Task::Measure => shared.measure(wire),
            Task::Respond(id, response) => connections.act(id, shared, wire, |it, shared, wire| {
                it.respond(id, response, shared, wire)
            }),
        }
    }
    shared.deliver(wire);
}
