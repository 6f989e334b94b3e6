//! Memory that peers make a core hold: what they sent and is not done with, what they are sent and
//! do not take, and the budget of both.

use super::inbound::Inbound;
use super::watch::Watch;
use crate::limits;
use crate::shard::{ConnectionId, Wire};
use crate::time::Instant;
use std::time::Duration;

/// What peers may make a core hold, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct MemoryBounds {
    /// Bytes in all.
    pub(super) budget: usize,
    /// Time for an unfinished message that makes no progress; `None` for any time.
    pub(super) message_time: Option<Duration>,
    /// Time for a backlog of which the kernel takes nothing; `None` for any time.
    pub(super) backlog_time: Option<Duration>,
}

/// What of a connection's peer is unfinished.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PartialInput {
    /// Whether anything is.
    pub(super) is_any: bool,
    /// For how long a message has made no progress.
    pub(super) waited: Option<Duration>,
}

/// What makes no progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stall {
    /// A message that the peer sends.
    Message,
    /// A backlog that it does not take.
    Backlog,
}

/// What comes until the next look is less than this part of the budget.
const FLOOD_DIVISOR: usize = 8;

/// What is held, and which connections were looked at for it.
pub(super) struct HeldMemory {
    inbound: Inbound,
    watch: Watch,
    bounds: MemoryBounds,
    /// Bytes of the windows of all connections that keep context, full as they may become.
    windows: usize,
    /// The least that was held since it was last looked for the connections that hold most.
    level: usize,
}

impl HeldMemory {
    pub(super) fn new(inbound: Inbound, bounds: MemoryBounds) -> Self {
        Self {
            inbound,
            watch: Watch::default(),
            bounds,
            windows: 0,
            level: 0,
        }
    }

    /// The windows of all connections may take so many bytes. Connections are ended for what is
    /// unfinished, and that has the rest of the budget.
    pub(super) const fn windows_changed(&mut self, bytes: usize) {
        self.windows = bytes;
    }

    /// Bytes of the windows of all connections.
    pub(super) const fn windows(&self) -> usize {
        self.windows
    }

    /// Bytes that the windows of one more connection may have: half of the budget is for those of
    /// all.
    pub(super) const fn window_room(&self) -> usize {
        (self.bounds.budget / 2).saturating_sub(self.windows)
    }

    /// What is left of the budget for what is unfinished.
    const fn budget(&self) -> usize {
        self.bounds.budget.saturating_sub(self.windows)
    }

    /// What came and is not done with.
    #[inline]
    pub(super) const fn inbound(&mut self) -> &mut Inbound {
        &mut self.inbound
    }

    /// Begins to watch when something is held. Whether that is more than the budget, and it may be
    /// looked for the connections that hold most. Called after every event.
    #[inline]
    pub(super) fn is_too_much<M>(&mut self, wire: &impl Wire<M>) -> bool {
        let inbound = self.inbound.held();
        let held = inbound + wire.held_bytes();
        if held == 0 {
            return false;
        }
        self.watch.note(held, inbound, wire.now());
        let budget = self.budget();
        self.level = self.level.min(held);
        // A look costs time for each connection, so there are few: but no flood gets far ahead.
        let is_flood = held - self.level > budget / FLOOD_DIVISOR;
        let may_look = is_flood || self.watch.may_look(wire.now());
        if held + self.inbound.spare() <= budget || !may_look {
            return false;
        }
        // What is not in use goes before any connection does.
        self.inbound.trim_spare();
        held > budget
    }

    /// It is looked for the connections that hold most among so many slots. The budget.
    pub(super) fn look_for_holders(&mut self, slots: usize, now: Instant) -> usize {
        self.watch.looked(slots, now);
        // Until it is known what is left of it.
        self.level = usize::MAX;
        self.budget()
    }

    /// The slot where the next step of a sweep begins, if it is due.
    pub(super) fn begin_sweep(&mut self, now: Instant) -> Option<usize> {
        self.watch.begin_step(now)
    }

    /// A step of a sweep is over, up to that slot of so many. Whether much was held and nothing is
    /// now: then memory is to be given back.
    pub(super) fn end_sweep(&mut self, at: usize, slots: usize, now: Instant) -> bool {
        let Some(quiet) = self.watch.end_step(at, slots, now) else {
            return false;
        };
        let is_much_spare = self.inbound.spare() > limits::SHELF_QUIET_BYTES;
        quiet.after_much || (quiet.after_large && is_much_spare)
    }

    /// A sweep looks at a connection: what of its peer is unfinished, and how many bytes it is sent
    /// and does not take. What of both makes no progress, if something does not.
    pub(super) fn stall<M>(
        &mut self,
        id: ConnectionId,
        unfinished: PartialInput,
        backlog: usize,
        wire: &impl Wire<M>,
    ) -> Option<Stall> {
        let PartialInput { is_any, waited } = unfinished;
        let is_over =
            |waited: Duration, limit: Option<Duration>| limit.is_some_and(|limit| waited >= limit);
        if is_any || backlog > 0 {
            self.watch.found();
        }
        if waited.is_some_and(|waited| is_over(waited, self.bounds.message_time)) {
            return Some(Stall::Message);
        }
        if backlog == 0 {
            self.watch.forget(id);
            return None;
        }
        let waited = self.watch.stalled(id, wire.progress(id), wire.now());
        is_over(waited, self.bounds.backlog_time).then_some(Stall::Backlog)
    }

    /// A connection is gone.
    pub(super) fn forget(&mut self, id: ConnectionId) {
        self.inbound.forget(id);
        self.watch.forget(id);
    }

    /// Frees what is kept for later use: little is in use now.
    pub(super) fn trim(&mut self) {
        self.inbound.trim();
    }

    /// When something is to be looked for or worked on.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.inbound
            .deadline()
            .into_iter()
            .chain(self.watch.deadline())
            .min()
    }

    /// Bytes that came and are not done with.
    pub(super) fn inbound_bytes(&self) -> usize {
        self.inbound.held()
    }

    #[cfg(test)]
    pub(super) fn is_watching(&self) -> bool {
        self.watch.deadline().is_some()
    }
}
