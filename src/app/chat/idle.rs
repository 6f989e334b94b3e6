//! When to look whether anything has been said in a chat: one entry a seat at most, and nothing is
//! done about it while something is said.

use crate::app::Seat;
use crate::time::Instant;
use std::collections::BTreeSet;

/// The seats to look at.
#[derive(Debug, Default)]
pub(super) struct IdleWatch {
    seats: BTreeSet<(Instant, u32)>,
}

impl IdleWatch {
    /// Looks at that seat then, which is not watched yet.
    pub(super) fn look(&mut self, at: Instant, seat: Seat) -> Instant {
        self.seats.insert((at, seat.0));
        at
    }

    /// Does not look at that seat then, if it would.
    pub(super) fn forget(&mut self, at: Instant, seat: Seat) {
        self.seats.remove(&(at, seat.0));
    }

    /// The next seat to look at, if it is time.
    pub(super) fn due(&mut self, now: Instant) -> Option<Seat> {
        let &(at, seat) = self.seats.first().filter(|(at, _)| *at <= now)?;
        self.seats.remove(&(at, seat));
        Some(Seat(seat))
    }

    /// When there is one.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.seats.first().map(|(at, _)| *at)
    }
}
