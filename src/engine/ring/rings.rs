//! The rings of one core: a lead, in which the core waits, and others for more connections.
//!
//! A file table is bounded by the descriptor limit (`RLIMIT_NOFILE`), but tables do not add up: a
//! core that is to hold more connections has several rings with a table each. Slots are numbered
//! through all tables. A ring that has nothing to do costs a look at its flags, no system call.

use super::intake::Group;
use super::queue::Ring;
use super::vectors::Vectors;
use crate::shard::ConnectionId;
use io_uring::{squeue, types};
use std::collections::VecDeque;

/// One ring and what is under way in it.
pub(super) struct Lane {
    pub(super) ring: Ring,
    /// Sends submitted without waiting for room, not yet proven.
    pub(super) unproven: Vec<ConnectionId>,
    /// Receives to be armed when there are small buffers, and when it is their turn for large
    /// ones, the longest waiting first.
    queued: [VecDeque<ConnectionId>; 2],
    pub(super) vectors: Vectors,
}

impl Lane {
    /// Whether there is something to handle: what the kernel shows, sends to be proven, receives
    /// to be armed.
    #[inline]
    pub(super) fn has_work(&mut self) -> bool {
        !self.unproven.is_empty() || self.has_queued() || self.ring.has_work()
    }

    /// Receives that are queued for buffers of that kind.
    #[inline]
    pub(super) fn queued(&mut self, group: Group) -> &mut VecDeque<ConnectionId> {
        let [small, large] = &mut self.queued;
        match group {
            Group::Small => small,
            Group::Large => large,
        }
    }

    /// Whether a receive is to be armed in the next turn.
    #[inline]
    pub(super) fn has_queued(&self) -> bool {
        self.queued.iter().any(|waiting| !waiting.is_empty())
    }
}

/// The rings of one core, each with a file table of the same size.
pub(super) struct Rings {
    lanes: Vec<Lane>,
    table: usize,
}

impl Rings {
    /// At least one ring; `table` slots in each.
    pub(super) fn new(rings: Vec<Ring>, table: u32) -> Self {
        assert!(
            !rings.is_empty() && table > 0,
            "a core has a lead ring with a table"
        );
        let lane = |ring| Lane {
            ring,
            unproven: Vec::new(),
            queued: Default::default(),
            vectors: Vectors::default(),
        };
        Self {
            lanes: rings.into_iter().map(lane).collect(),
            table: table as usize,
        }
    }

    pub(super) fn count(&self) -> usize {
        self.lanes.len()
    }

    /// The ring in which the core waits.
    #[inline]
    pub(super) fn lead(&mut self) -> &mut Ring {
        &mut self.lanes[0].ring
    }

    #[inline]
    pub(super) fn lane(&mut self, index: usize) -> &mut Lane {
        &mut self.lanes[index]
    }

    /// The ring in whose table the connection is.
    #[inline]
    pub(super) fn home(&mut self, id: ConnectionId) -> &mut Lane {
        let index = if self.lanes.len() == 1 {
            0
        } else {
            id.slot() / self.table
        };
        &mut self.lanes[index]
    }

    /// Queues an entry of a connection.
    #[inline]
    pub(super) fn push(&mut self, id: ConnectionId, entry: &squeue::Entry) {
        self.home(id).ring.push(entry);
    }

    /// The direct descriptor of a connection, in the table of its ring.
    #[inline]
    pub(super) fn direct(&self, id: ConnectionId) -> types::Fixed {
        let slot = if self.lanes.len() == 1 {
            id.slot()
        } else {
            id.slot() % self.table
        };
        types::Fixed(u32::try_from(slot).unwrap_or(u32::MAX))
    }

    /// Whether a park now would miss something in any ring.
    pub(super) fn have_work(&mut self) -> bool {
        self.lanes.iter_mut().any(Lane::has_work)
    }

    /// Whether entries wait for an enter in any ring.
    pub(super) fn have_entries(&mut self) -> bool {
        self.lanes.iter_mut().any(|lane| lane.ring.has_entries())
    }

    /// Whether rings other than the lead have something to do.
    #[inline]
    pub(super) fn others_have_work(&mut self) -> bool {
        self.lanes[1..].iter_mut().any(Lane::has_work)
    }

    /// Calls of `io_uring_enter` and entries submitted so far, over all rings.
    pub(super) fn submissions(&self) -> (u64, u64) {
        let each = self.lanes.iter().map(|lane| lane.ring.submissions());
        each.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// Lets every ring signal the waker.
    pub(super) fn enable_eventfds(&mut self) {
        self.lanes
            .iter_mut()
            .for_each(|lane| lane.ring.enable_eventfd());
    }

    /// Lets the rings other than the lead signal the waker: the core waits in the lead.
    pub(super) fn enable_other_eventfds(&mut self) {
        self.lanes[1..]
            .iter_mut()
            .for_each(|lane| lane.ring.enable_eventfd());
    }

    /// Stops the signals of the rings other than the lead, while the core is awake.
    #[inline]
    pub(super) fn disable_other_eventfds(&mut self) {
        self.lanes[1..]
            .iter_mut()
            .for_each(|lane| lane.ring.disable_eventfd());
    }

    pub(super) fn disable_eventfds(&mut self) {
        self.lanes
            .iter_mut()
            .for_each(|lane| lane.ring.disable_eventfd());
    }
}
