//! A planned outage: many connections are dropped at once, and how they come back is watched.

use super::phase::NEVER;
use super::policy::PlannedOutage;
use crate::time::Instant;
use std::time::Duration;

/// The shortest time from one point of the curve of recovery to the next.
const STEP: Duration = Duration::from_millis(100);
/// Points of the curve at most.
const POINTS_MAX: u32 = 600;

/// When a core drops its share, and when the points of its curve of recovery are due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outage {
    planned: Option<PlannedOutage>,
    /// When the connections are dropped, or the next point is due.
    next: Instant,
    until: Instant,
    step: Duration,
    has_dropped: bool,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutageStep {
    /// So many of a thousand connections are to be dropped; the first point follows.
    Drop { permille: u16 },
    /// A point of the curve: how many connections are up.
    Point,
}

/// A choice of some of many that come one by one: each is as likely as any other (Knuth, 3.4.2,
/// algorithm S).
#[derive(Debug)]
pub(super) struct Choice {
    wanted: u64,
    rest: u64,
    rng: fastrand::Rng,
}

impl Outage {
    pub(super) const fn new(planned: Option<PlannedOutage>) -> Self {
        Self {
            planned,
            next: NEVER,
            until: NEVER,
            step: STEP,
            has_dropped: false,
        }
    }

    /// The measured time is known.
    pub(super) fn plan(&mut self, from: Instant, until: Instant) {
        let Some(planned) = self.planned else { return };
        self.next = from + planned.at;
        self.until = until;
        // The same on every core.
        self.step = STEP.max(until.since(self.next) / POINTS_MAX);
    }

    /// What is due now, one after the other; nothing any more from the end of the measured time
    /// on.
    pub(super) fn poll(&mut self, now: Instant, until: Instant) -> Option<OutageStep> {
        let planned = self.planned?;
        if self.next >= until.min(self.until) {
            self.next = NEVER;
        }
        if self.next > now || self.next == NEVER {
            return None;
        }
        if !std::mem::replace(&mut self.has_dropped, true) {
            let permille = planned.permille;
            return Some(OutageStep::Drop { permille });
        }
        self.next += self.step;
        Some(OutageStep::Point)
    }

    pub(super) const fn deadline(&self) -> Instant {
        self.next
    }

    /// From one point of the curve to the next.
    pub(super) const fn step(&self) -> Duration {
        self.step
    }
}

impl Choice {
    /// Of so many of a thousand, rounded up.
    pub(super) fn new(all: u64, permille: u16, rng: fastrand::Rng) -> Self {
        Self {
            wanted: (all * u64::from(permille)).div_ceil(1000),
            rest: all,
            rng,
        }
    }

    /// Whether the next one is chosen.
    pub(super) fn takes_next(&mut self) -> bool {
        let is_chosen = self.rng.u64(..self.rest.max(1)) < self.wanted;
        self.wanted -= u64::from(is_chosen);
        self.rest = self.rest.saturating_sub(1);
        is_chosen
    }
}

/// What an outage did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::load) struct OutageLosses {
    /// Connections that were dropped.
    pub(in crate::load) connections: u64,
    /// Messages that were under way on them.
    pub(in crate::load) messages: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    fn outage(permille: u16) -> Outage {
        let at = Duration::from_millis(500);
        Outage::new(Some(PlannedOutage { at, permille }))
    }

    #[test]
    fn connections_are_dropped_once_and_the_curve_goes_on_to_the_end() {
        let mut outage = outage(250);
        assert_eq!(outage.poll(at(9_999), NEVER), None, "no start is known");
        outage.plan(at(1_000), at(2_000));
        assert_eq!(outage.deadline(), at(1_500));
        assert_eq!(outage.poll(at(1_499), at(2_000)), None);
        let due = [0; 4].map(|_| outage.poll(at(1_610), at(2_000)));
        let dropped = Some(OutageStep::Drop { permille: 250 });
        let point = Some(OutageStep::Point);
        assert_eq!(due, [dropped, point, point, None]);
        let mut points = 0;
        while outage.poll(at(9_000), at(2_000)).is_some() {
            points += 1;
        }
        assert_eq!(points, 3, "at 1,700, 1,800 and 1,900 ms");
        assert_eq!(outage.deadline(), NEVER);
    }

    #[test]
    fn a_run_that_is_cut_short_has_no_point_after_its_end_and_long_ones_have_600() {
        let mut cut = outage(1);
        cut.plan(at(1_000), at(2_000));
        assert_eq!(cut.poll(at(1_900), at(1_400)), None);
        let mut long = outage(1);
        long.plan(at(0), at(6_000_500));
        assert_eq!(long.step(), Duration::from_secs(10));
    }

    #[test]
    fn a_choice_takes_its_share_and_each_as_often() {
        let mut taken = [0; 10];
        for seed in 0..2_000 {
            let rng = fastrand::Rng::with_seed(seed);
            let mut choice = Choice::new(10, 250, rng);
            let chosen = taken.each_mut().map(|place| {
                let is_chosen = choice.takes_next();
                *place += u64::from(is_chosen);
                u64::from(is_chosen)
            });
            assert_eq!(chosen.iter().sum::<u64>(), 3, "rounded up");
        }
        assert!(taken.iter().all(|n| (480..720).contains(n)), "{taken:?}");
    }
}
