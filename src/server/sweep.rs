//! What peers make a core hold: unfinished messages and requests, and backlogs. Who makes no
//! progress is ended after a time; beyond the budget of the core, who holds most.

use super::Server;
use super::apps::Apps;
use super::connection::{Paused, State};
use super::shared::Shared;
use super::stats::Message;
use super::tally::CloseReason;
use crate::limits;
use crate::shard::{Close, ConnectionId, Wire};
use crate::time::Instant;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

impl<A: Apps> Server<A> {
    /// Begins to watch when something is held; keeps to the budget. Called after every event.
    #[inline]
    pub(super) fn watch(&mut self, wire: &mut impl Wire<Message<A::Letters>>) {
        let inbound = self.shared.inbound_bytes();
        let held = inbound + wire.held_bytes();
        if held == 0 {
            return;
        }
        if self.shared.watch.next.is_none() {
            self.shared.watch.next = Some(wire.now() + limits::SWEEP_TIME);
        }
        if held > limits::MUCH_BYTES {
            self.shared.watch.much_until = Some(wire.now() + limits::QUIET_TIME);
        }
        if inbound >= limits::LARGE_BYTES {
            self.shared.watch.large_until = Some(wire.now() + limits::QUIET_TIME);
        }
        let spare = self.shared.pool.shelf.bytes();
        let budget = self.shared.config.memory_budget();
        if held + spare > budget && self.shared.watch.look <= wire.now() {
            // What nobody uses goes before anybody does.
            self.shared.pool.shelf.trim();
            if held > budget {
                self.keep_to_budget(wire);
            }
        }
    }

    /// The next step of a sweep, if it is due.
    pub(super) fn sweep(&mut self, wire: &mut impl Wire<Message<A::Letters>>) {
        let now = wire.now();
        let watch = &mut self.shared.watch;
        if watch.next.is_none_or(|next| next > now) {
            return;
        }
        if watch.at == 0 {
            (watch.began, watch.found) = (now, false);
        }
        let (from, backlogs) = (watch.at, wire.held_bytes() > 0);
        let mut ids = std::mem::take(&mut self.due);
        ids.clear();
        ids.extend(self.connections.ids_of(from..from + limits::SWEEP_STEP));
        for &id in &ids {
            self.look_for_stall(id, backlogs, wire);
        }
        self.due = ids;
        let watch = &mut self.shared.watch;
        watch.at = from + limits::SWEEP_STEP;
        if watch.at < self.connections.slots() {
            watch.next = Some(now);
            return;
        }
        watch.at = 0;
        let later = |until: Option<Instant>| until.is_some_and(|until| until > now);
        if watch.found || later(watch.much_until) || later(watch.large_until) {
            watch.next = Some(now.max(watch.began + limits::SWEEP_TIME));
            return;
        }
        (watch.next, watch.backlogs) = (None, BTreeMap::new());
        let large = watch.large_until.take();
        let spare = large.map_or(0, |_| self.shared.pool.shelf.bytes());
        if watch.much_until.take().is_some() || spare > limits::SHELF_QUIET_BYTES {
            self.shared.trim();
            wire.trim_memory();
        }
    }

    /// Ends a connection that has made no progress for too long.
    fn look_for_stall(
        &mut self,
        id: ConnectionId,
        backlogs: bool,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        let now = wire.now();
        let backlog = if backlogs { wire.backlog(id) } else { 0 };
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        let Shared { watch, config, .. } = &mut self.shared;
        let is_heard = connection.paused.is_none();
        let mut stalled = false;
        match &mut connection.state {
            State::WebSocket(socket) => {
                watch.found |= socket.held() > 0;
                let waited = socket.stalled(is_heard, now);
                stalled = config.is_message_stalled(waited);
            }
            State::Http(http) => watch.found |= http.held() > 0,
            State::Stream(_) => {}
            // The engine has a time for those.
            State::Vacant | State::Ending => return,
        }
        if stalled {
            return self.give_notice(id, CloseReason::Stalled, wire);
        }
        if backlog == 0 {
            return watch.forget(id);
        }
        watch.found = true;
        let waited = watch.stalled(id, wire.progress(id), now);
        if config.is_backlog_stalled(waited) {
            self.end(id, Close::Abort, CloseReason::Stalled, wire);
        }
    }

    /// Ends who hold most, the oldest first among equals, until the core holds less than its
    /// budget again, by an eighth.
    #[cold]
    fn keep_to_budget(&mut self, wire: &mut impl Wire<Message<A::Letters>>) {
        let now = wire.now();
        let millis = u64::try_from(self.connections.slots() / 1024).unwrap_or(u64::MAX);
        self.shared.watch.look = now + limits::BUDGET_TIME + Duration::from_millis(millis);
        let mut holders = Vec::new();
        let mut total = 0;
        for id in self.connections.ids_of(0..usize::MAX) {
            let held = wire.held(id) + self.held(id);
            if held > 0 {
                total += held;
                holders.push((held, id));
            }
        }
        let budget = self.shared.config.memory_budget();
        if total <= budget {
            return;
        }
        holders.sort_unstable_by_key(|&(held, id)| {
            let age = self.connections.get(id).map(|it| it.since.elapsed(now));
            (Reverse(held), Reverse(age))
        });
        for (held, id) in holders {
            if total <= budget - budget / 8 {
                break;
            }
            total -= held;
            self.give_notice(id, CloseReason::Memory, wire);
        }
    }

    /// Bytes of memory that the peer of a connection makes this side hold beside its backlog.
    pub(super) fn held(&self, id: ConnectionId) -> usize {
        let Some(connection) = self.connections.get(id) else {
            return 0;
        };
        let own = match &connection.state {
            State::WebSocket(socket) => socket.held(),
            State::Http(http) => http.held(),
            State::Vacant | State::Stream(_) | State::Ending => 0,
        };
        let waits = connection.paused.contains(Paused::WORK);
        own + if waits {
            self.shared.deferred.held_for(id)
        } else {
            0
        }
    }

    /// Ends a connection and frees what it holds: a WebSocket that reads is told.
    fn give_notice(
        &mut self,
        id: ConnectionId,
        why: CloseReason,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        let reads = wire.backlog(id) <= limits::BACKLOG_LOW;
        if let Some(connection) = self.connections.get_mut(id)
            && let State::WebSocket(socket) = &mut connection.state
            && reads
        {
            let step = socket.give_up(id, why, &mut self.shared.scratch, wire);
            return self.carry_out(id, step, wire);
        }
        self.end(id, Close::Abort, why, wire);
    }
}
