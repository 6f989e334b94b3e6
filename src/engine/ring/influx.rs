//! Connections that come one after another are taken several at a time.
//!
//! A core that does nothing but accept would wake for each of them, and falling asleep and waking
//! is a quarter of what a connection costs. So while they come in quick succession, and nothing
//! else happens, it lets them gather for a moment. Whoever comes alone never waits.

use crate::time::Instant;
use std::time::Duration;

/// How long connections gather; the kernel adds up to 50 us (`PR_SET_TIMERSLACK`).
pub(super) const GATHER: Duration = Duration::from_micros(50);
/// Connections that come farther apart do not gather.
const APART: Duration = Duration::from_micros(500);

/// What was accepted of late.
#[derive(Default)]
pub(super) struct Influx {
    /// When a turn last accepted something.
    last: Option<Instant>,
    /// Accepted in this turn.
    now: usize,
    /// Accepted in the turn before.
    before: usize,
    steady: bool,
}

impl Influx {
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
        let soon = |last| at.since(last) < APART;
        // What those accepted in the turn before have sent is part of it; anything else is the
        // word of somebody who should not wait.
        self.steady = accepted > 0 && events <= young && self.last.is_some_and(soon);
        if accepted > 0 {
            self.last = Some(at);
        }
    }

    /// Whether connections, and nothing else, come in quick succession.
    #[inline]
    pub(super) fn is_steady(&self) -> bool {
        self.steady
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(us: u64) -> Instant {
        Instant::from_nanos(us * 1000)
    }

    /// A turn with so many accepts, and so many other events.
    fn turn(influx: &mut Influx, us: u64, accepts: usize, others: usize) -> bool {
        (0..accepts).for_each(|_| influx.note_accepted());
        influx.note_turn(at(us), accepts + others);
        influx.is_steady()
    }

    #[test]
    fn connections_in_quick_succession_gather() {
        let mut influx = Influx::default();
        assert!(!turn(&mut influx, 0, 1, 0), "the first may be alone");
        assert!(
            turn(&mut influx, 100, 2, 1),
            "its request comes with the next"
        );
        assert!(
            !turn(&mut influx, 200, 0, 2),
            "only requests: nobody else comes"
        );
        assert!(turn(&mut influx, 300, 1, 0));
    }

    #[test]
    fn who_comes_alone_does_not_wait() {
        let mut influx = Influx::default();
        for us in [0, 1_000, 2_000] {
            assert!(!turn(&mut influx, us, 1, 0));
        }
    }

    #[test]
    fn nobody_else_is_kept_waiting() {
        let mut influx = Influx::default();
        turn(&mut influx, 0, 1, 0);
        assert!(!turn(&mut influx, 50, 1, 2), "somebody else has spoken");
        assert!(!turn(&mut influx, 100, 0, 5), "nobody came");
    }
}
