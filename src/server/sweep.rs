//! Looks for peers that make a core hold something: one that makes no progress is ended after a
//! time; beyond the budget of the core, those that hold most.

use super::apps::Apps;
use super::connections::Connections;
use super::memory::Stall;
use super::shared::Shared;
use super::stats::Message;
use super::step::Step;
use super::tally::CloseReason;
use crate::limits;
use crate::shard::{Close, ConnectionId, Wire};
use std::cmp::Reverse;

/// The next step of a sweep, if it is due. `ids` is scratch space.
pub(super) fn sweep<A: Apps>(
    connections: &mut Connections,
    shared: &mut Shared<A>,
    ids: &mut Vec<ConnectionId>,
    wire: &mut impl Wire<Message<A::Letters>>,
) {
    let now = wire.now();
    let Some(from) = shared.memory().begin_sweep(now) else {
        return;
    };
    let (to, backlogs) = (from + limits::SWEEP_STEP, wire.held_bytes() > 0);
    ids.clear();
    ids.extend(connections.ids_of(from..to));
    for &id in &*ids {
        connections.act(id, shared, wire, |it, shared, wire| {
            let Some(unfinished) = it.unfinished(now) else {
                return Step::Stay;
            };
            let backlog = if backlogs { wire.backlog(id) } else { 0 };
            let why = CloseReason::Stalled;
            match shared.memory().stall(id, unfinished, backlog, wire) {
                None => Step::Stay,
                Some(Stall::Message) => it.give_up(id, why, wire),
                Some(Stall::Backlog) => Step::End {
                    how: Close::Abort,
                    why,
                },
            }
        });
    }
    if shared.memory().end_sweep(to, connections.slots(), now) {
        shared.trim();
        wire.trim_memory();
    }
}

/// Ends the connections that hold most, the oldest first among equals, until the core holds less
/// than its budget again, by an eighth.
#[cold]
pub(super) fn keep_to_budget<A: Apps>(
    connections: &mut Connections,
    shared: &mut Shared<A>,
    wire: &mut impl Wire<Message<A::Letters>>,
) {
    let now = wire.now();
    let budget = shared.memory().look_for_holders(connections.slots(), now);
    let mut holders = Vec::new();
    let mut total = 0;
    for id in connections.ids() {
        let own = connections.get(id).map_or(0, |it| it.held(id, shared));
        let held = wire.held(id) + own;
        if held > 0 {
            total += held;
            holders.push((held, id));
        }
    }
    if total <= budget {
        return;
    }
    holders.sort_unstable_by_key(|&(held, id)| {
        let age = connections.get(id).map(|it| it.waited(now));
        (Reverse(held), Reverse(age))
    });
    for (held, id) in holders {
        if total <= budget - budget / 8 {
            break;
        }
        total -= held;
        connections.act(id, shared, wire, |it, _, wire| {
            it.give_up(id, CloseReason::Memory, wire)
        });
    }
}
