//! What a core knows of the connections that hold something: where its sweeps are, backlogs that
//! they found, and when memory is given back.

use crate::limits;
use crate::shard::ConnectionId;
use crate::time::Instant;
use std::collections::BTreeMap;
use std::time::Duration;

/// What is known of the connections that hold something.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// When the next step of a sweep is due, while anything is held.
    next: Option<Instant>,
    /// When the present sweep began, and the slot where it goes on.
    began: Instant,
    at: usize,
    /// The present sweep found a connection that holds something.
    found: bool,
    /// Backlogs that sweeps found: how far the kernel was, and since when.
    backlogs: BTreeMap<ConnectionId, (u64, Instant)>,
    /// Much was held, and until then may be again: then memory is given back.
    much_until: Option<Instant>,
    /// A large message was begun, and until then another may be: then spare buffers are freed.
    large_until: Option<Instant>,
    /// When it may next be looked for the connections that hold most.
    look: Instant,
}

/// Nothing is held any more. What was, a while ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quiet {
    /// Much in all.
    pub(super) after_much: bool,
    /// A large message.
    pub(super) after_large: bool,
}

impl Watch {
    /// So many bytes of memory are held, of them so many of what came and is not done with.
    #[inline]
    pub(super) fn note(&mut self, held: usize, inbound: usize, now: Instant) {
        if self.next.is_none() {
            self.next = Some(now + limits::SWEEP_TIME);
        }
        if held > limits::MUCH_BYTES {
            self.much_until = Some(now + limits::QUIET_TIME);
        }
        if inbound >= limits::LARGE_BYTES {
            self.large_until = Some(now + limits::QUIET_TIME);
        }
    }

    /// Whether it may be looked for the connections that hold most.
    pub(super) fn may_look(&self, now: Instant) -> bool {
        self.look <= now
    }

    /// It is looked for the connections that hold most among so many slots: not again for a while.
    pub(super) fn looked(&mut self, slots: usize, now: Instant) {
        let millis = u64::try_from(slots / 1024).unwrap_or(u64::MAX);
        self.look = now + limits::BUDGET_TIME + Duration::from_millis(millis);
    }

    /// The slot where the next step of a sweep begins, if it is due.
    pub(super) fn begin_step(&mut self, now: Instant) -> Option<usize> {
        self.next.filter(|next| *next <= now)?;
        if self.at == 0 {
            (self.began, self.found) = (now, false);
        }
        Some(self.at)
    }

    /// A step of a sweep is over, up to that slot of so many. What is quiet now, if anything is.
    pub(super) fn end_step(&mut self, at: usize, slots: usize, now: Instant) -> Option<Quiet> {
        if at < slots {
            (self.at, self.next) = (at, Some(now));
            return None;
        }
        self.at = 0;
        let later = |until: Option<Instant>| until.is_some_and(|until| until > now);
        if self.found || later(self.much_until) || later(self.large_until) {
            self.next = Some(now.max(self.began + limits::SWEEP_TIME));
            return None;
        }
        (self.next, self.backlogs) = (None, BTreeMap::new());
        Some(Quiet {
            after_much: self.much_until.take().is_some(),
            after_large: self.large_until.take().is_some(),
        })
    }

    /// The present sweep found a connection that holds something.
    pub(super) const fn found(&mut self) {
        self.found = true;
    }

    /// How long the kernel has taken nothing of a connection's backlog.
    pub(super) fn stalled(&mut self, id: ConnectionId, progress: u64, now: Instant) -> Duration {
        let mark = self.backlogs.entry(id).or_insert((progress, now));
        if mark.0 != progress {
            *mark = (progress, now);
        }
        now.since(mark.1)
    }

    /// A connection has no backlog.
    pub(super) fn forget(&mut self, id: ConnectionId) {
        if !self.backlogs.is_empty() {
            self.backlogs.remove(&id);
        }
    }

    /// When there is something to look for.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next
    }
}
