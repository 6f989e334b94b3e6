//! What a core knows of who holds something: where its sweeps are, and backlogs that they found.

use crate::shard::ConnectionId;
use crate::time::Instant;
use std::collections::BTreeMap;
use std::time::Duration;

/// What is known of who holds something.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// When the next step of a sweep is due, while anything is held.
    pub(super) next: Option<Instant>,
    /// When the present sweep began, and the slot where it goes on.
    pub(super) began: Instant,
    pub(super) at: usize,
    /// The present sweep found somebody who holds something.
    pub(super) found: bool,
    /// Backlogs that sweeps found: how far the kernel was, and since when.
    pub(super) backlogs: BTreeMap<ConnectionId, (u64, Instant)>,
    /// Much was held, and until then may be again: then memory is given back.
    pub(super) much_until: Option<Instant>,
    /// A large message was begun, and until then another may be: then spare buffers are freed.
    pub(super) large_until: Option<Instant>,
    /// When it may next be looked for who holds most.
    pub(super) look: Instant,
    /// Bytes of memory of unfinished requests.
    pub(super) requests: usize,
}

impl Watch {
    /// When there is something to look for.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// How long the kernel has taken nothing of a connection's backlog.
    pub(super) fn stalled(&mut self, id: ConnectionId, progress: u64, now: Instant) -> Duration {
        let mark = self.backlogs.entry(id).or_insert((progress, now));
        if mark.0 != progress {
            *mark = (progress, now);
        }
        now.since(mark.1)
    }

    /// The memory of one connection's unfinished request was and is so many bytes.
    #[inline]
    pub(super) const fn request_changed(&mut self, was: usize, is: usize) {
        self.requests = self.requests + is - was;
    }

    pub(super) fn forget(&mut self, id: ConnectionId) {
        if !self.backlogs.is_empty() {
            self.backlogs.remove(&id);
        }
    }
}
