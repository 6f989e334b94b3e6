//! The handshakes that a server has under way: when each has to be over, which of them wait for an
//! answer, and how they ended.
//!
//! The first answer of a handshake is a signature, nearly all of what it costs. So answers wait
//! until everything else of a turn is done, and a turn gives few: what a peer says in a handshake
//! that was answered is never behind those that were not. The newest is answered first: under more
//! load than a core can sign for, the oldest peers have given up or soon will, and in their order
//! every answer would come too late for its peer.

use super::handshake::Handshake;
use crate::limits;
use crate::shard::{CloseCause, ConnectionId, Handshakes, Origin, TlsFault};
use crate::time::Instant;
use std::collections::VecDeque;

/// The handshakes of accepted connections.
pub(super) struct Queue {
    /// When each has to be over, in order; some are already.
    due: VecDeque<(Instant, ConnectionId)>,
    /// Those that wait for an answer, in order; some have left.
    pub(super) waiting: VecDeque<ConnectionId>,
    /// When the last of them came.
    since: Instant,
    /// Bytes of memory of what was received and is not digested.
    bytes: usize,
    pub(super) counts: Handshakes,
    pub(super) handshakes_max: u64,
    pub(super) bytes_max: usize,
}

/// How a handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Done,
    Left,
    Because(CloseCause),
}

/// What of a handshake is in the counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    held: usize,
    is_queued: bool,
}

impl Counted {
    /// `None` for one that is a connect's.
    pub(super) const fn of(handshake: &Handshake) -> Option<Self> {
        match handshake.origin {
            Origin::Accepted { .. } => Some(Self {
                held: handshake.held(),
                is_queued: handshake.is_queued,
            }),
            Origin::Connected | Origin::Secured { .. } => None,
        }
    }
}

impl Queue {
    pub(super) const fn new() -> Self {
        Self {
            due: VecDeque::new(),
            waiting: VecDeque::new(),
            since: Instant::from_nanos(0),
            bytes: 0,
            counts: Handshakes {
                under_way: 0,
                waiting: 0,
                done: 0,
                failed: 0,
                left: 0,
                timed_out: 0,
                refused: 0,
            },
            handshakes_max: limits::TLS_HANDSHAKES,
            bytes_max: limits::TLS_HANDSHAKES_BYTES,
        }
    }

    /// A handshake begins.
    pub(super) fn begin(&mut self, id: ConnectionId, now: Instant) {
        self.due.push_back((now + limits::TLS_HANDSHAKE_TIME, id));
        self.counts.under_way += 1;
    }

    /// A handshake waits for an answer.
    pub(super) fn wait(&mut self, id: ConnectionId, now: Instant) {
        self.waiting.push_back(id);
        self.counts.waiting += 1;
        self.since = now;
    }

    /// The oldest that may be waiting: those end first, one way or another.
    pub(super) fn oldest(&self) -> Option<ConnectionId> {
        self.waiting.front().copied()
    }

    /// That one has ended.
    pub(super) fn forget_oldest(&mut self) {
        self.waiting.pop_front();
    }

    /// The newest that may be waiting.
    pub(super) fn newest(&mut self) -> Option<ConnectionId> {
        self.waiting.pop_back()
    }

    /// It gets its answer.
    pub(super) const fn waits_no_more(&mut self) {
        self.counts.waiting -= 1;
    }

    /// A handshake holds so many bytes more, or fewer.
    pub(super) const fn hold(&mut self, before: usize, now: usize) {
        self.bytes = self.bytes + now - before;
    }

    /// A handshake is over, if there was one.
    pub(super) fn end(&mut self, counted: Option<Counted>, how: End) {
        let Some(Counted { held, is_queued }) = counted else {
            return;
        };
        self.hold(held, 0);
        self.counts.waiting -= u64::from(is_queued);
        self.counts.under_way -= 1;
        let count = match how {
            End::Done => &mut self.counts.done,
            End::Left | End::Because(CloseCause::Insecure(TlsFault::Ended)) => {
                &mut self.counts.left
            }
            End::Because(CloseCause::Insecure(TlsFault::HandshakeTime)) => {
                &mut self.counts.timed_out
            }
            End::Because(CloseCause::Insecure(TlsFault::Overload)) => &mut self.counts.refused,
            End::Because(_) => &mut self.counts.failed,
        };
        *count += 1;
    }

    /// The oldest that may be under way, if it has to be over.
    pub(super) fn overdue(&mut self, now: Instant) -> Option<ConnectionId> {
        self.due
            .pop_front_if(|(at, _)| *at <= now)
            .map(|(_, id)| id)
    }

    /// The oldest that may be under way, if there are too many, or connections are.
    pub(super) fn excess(&mut self, is_crowded: bool) -> Option<ConnectionId> {
        let is_over = is_crowded
            || self.counts.under_way > self.handshakes_max
            || self.bytes > self.bytes_max;
        let oldest = is_over.then(|| self.due.pop_front())?;
        oldest.map(|(_, id)| id)
    }

    /// When there is something to do next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.waiting.is_empty() {
            self.due.front().map(|(at, _)| *at)
        } else {
            Some(self.since)
        }
    }
}
