//! Connections that come one after another are taken several at a time.
//!
//! A core that does nothing but accept would wake for each of them, and falling asleep and waking
//! is a quarter of what a connection costs. So while they come in quick succession, and nothing
//! else happens, it lets them queue for a moment. A connection that comes alone never waits.

use crate::time::Instant;
use std::time::Duration;

/// How long connections are left to queue; the kernel adds up to 50 us (`PR_SET_TIMERSLACK`).
pub(super) const COALESCE_TIME: Duration = Duration::from_micros(50);
/// Connections that come farther apart are not coalesced.
const MAX_INTERVAL: Duration = Duration::from_micros(500);

/// Decides from the last turns whether the next accepts are coalesced.
#[derive(Default)]
pub(super) struct AcceptCoalescer {
    /// When a turn last accepted something.
    last: Option<Instant>,
    /// Accepted in this turn.
    now: usize,
    /// Accepted in the turn before.
    before: usize,
    active: bool,
}

impl AcceptCoalescer {
    /// A connection was accepted in this turn.
    #[inline]
    pub(super) fn note_accepted(&mut self) {
        self.now += 1;
    }

    /// A turn ends that had so many events.
    #[inline]
    pub(super) fn note_turn(&mut self, at: Instant, events: usize) {
        let accepted = std::mem::take(&mut self.now);
        let young = accepted + std::mem::replace(&mut self.before, accepted);
        let soon = |last| at.since(last) < MAX_INTERVAL;
        // The first requests of connections accepted in the turn before are part of the succession;
        // any other event is of a connection that should not wait.
        self.active = accepted > 0 && events <= young && self.last.is_some_and(soon);
        if accepted > 0 {
            self.last = Some(at);
        }
    }

    /// Whether connections, and nothing else, come in quick succession.
    #[inline]
    pub(super) fn is_active(&self) -> bool {
        self.active
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(us: u64) -> Instant {
        Instant::from_nanos(us * 1000)
    }

    /// A turn with so many accepts, and so many other events.
    fn turn(coalescer: &mut AcceptCoalescer, us: u64, accepts: usize, others: usize) -> bool {
        (0..accepts).for_each(|_| coalescer.note_accepted());
        coalescer.note_turn(at(us), accepts + others);
        coalescer.is_active()
    }

    #[test]
    fn connections_in_quick_succession_are_coalesced() {
        let mut coalescer = AcceptCoalescer::default();
        assert!(!turn(&mut coalescer, 0, 1, 0), "the first may be alone");
        assert!(
            turn(&mut coalescer, 100, 2, 1),
            "its request comes with the next"
        );
        assert!(
            !turn(&mut coalescer, 200, 0, 2),
            "only requests, no further connection"
        );
        assert!(turn(&mut coalescer, 300, 1, 0));
    }

    #[test]
    fn a_connection_that_comes_alone_does_not_wait() {
        let mut coalescer = AcceptCoalescer::default();
        for us in [0, 1_000, 2_000] {
            assert!(!turn(&mut coalescer, us, 1, 0));
        }
        // A turn without one is no connection before it.
        assert!(!turn(&mut coalescer, 2_400, 0, 0));
        assert!(!turn(&mut coalescer, 2_800, 1, 0));
    }

    #[test]
    fn no_other_connection_is_kept_waiting() {
        let mut coalescer = AcceptCoalescer::default();
        turn(&mut coalescer, 0, 1, 0);
        assert!(
            !turn(&mut coalescer, 50, 1, 2),
            "another connection has sent something"
        );
        assert!(!turn(&mut coalescer, 100, 0, 5), "no connection came");
    }
}
