//! When planned messages are due: the open loop's plan as one core walks it.

use super::measure::send_times::SendTimes;
use super::pace::{Pace, Stripe, Walk};
use super::phase::NEVER;
use crate::time::Instant;
use std::time::Duration;

/// Messages sent at intended times in one turn at most, or in each 100 us of a tick: replies wait
/// meanwhile.
const MESSAGES_PER_TURN: u64 = 4096;
/// Turns for intended times are at least this far apart. At high rates one system call then
/// carries many messages; it is the slip that this costs at most.
const TURN_TIME: Duration = Duration::from_micros(50);
/// Planned messages a second on one core from which on what comes is read in those turns too: a
/// core that woke for every reply would spend most of its time on waking, and seem busy.
const GATHER_PER_S: u64 = 40_000;
/// From here on turns are further apart, for the same reason.
const RUSH_PER_S: u64 = 200_000;
const RUSH_TURN_TIME: Duration = Duration::from_micros(100);

/// The plan of messages of one core, and how far it has been taken. Whoever takes a message sends
/// it or counts it as dropped; what is never taken is told by [`Pacer::end`] and
/// [`Pacer::cut_short`]: so `planned = sent + dropped`.
#[derive(Debug, Default)]
pub(super) struct Pacer {
    /// Nothing in a closed loop, and before the common start is known.
    plan: Option<PacerPlan>,
    /// Turns are so far apart, if the user wants that.
    tick: Option<Duration>,
    /// The turn that is being taken.
    turn: Option<Turn>,
    /// When messages were last taken.
    last_turn: Instant,
    /// What was planned for the time before that, a second: replies have no part in it.
    per_s: u64,
}

#[derive(Debug)]
struct PacerPlan {
    walk: Walk,
    stripe: Stripe,
    start: Instant,
    /// So many neighbours go to one connection.
    burst: u64,
    /// This core's next message, and when it is due, from the start.
    next: u64,
    next_ns: u64,
    /// This core's first measured message, and the end of its plan.
    first_measured: u64,
    end: u64,
}

/// Which messages a turn may take.
#[derive(Clone, Copy, Debug)]
struct Turn {
    first: u64,
    until: u64,
}

/// When messages begin, and when the measured time begins and ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: Instant,
    pub(super) from: Instant,
    pub(super) until: Instant,
}

impl Pacer {
    /// Of turns that are so far apart.
    pub(super) fn new(tick: Option<Duration>) -> Self {
        Self {
            tick,
            ..Self::default()
        }
    }

    /// The common start is known: this core's part of the plan.
    pub(super) fn plan(&mut self, pace: &Pace, stripe: Stripe, burst: u32, span: Span) {
        let before = |at: Instant| {
            let elapsed = at.as_nanos().saturating_sub(span.start.as_nanos());
            stripe.share(pace.before(elapsed))
        };
        let mut plan = PacerPlan {
            walk: pace.walk(),
            stripe,
            start: span.start,
            burst: u64::from(burst.max(1)),
            next: 0,
            next_ns: 0,
            first_measured: before(span.from),
            end: before(span.until),
        };
        plan.next_ns = plan.offset_ns(0);
        self.plan = Some(plan);
    }

    /// Takes the next messages that are meant for now or before and for one connection: which one
    /// follows from the turn. `None` ends the turn.
    pub(super) fn take_due(&mut self, now: Instant, batch: &mut Vec<SendTimes>) -> Option<u64> {
        batch.clear();
        let most = match self.turn {
            Some(_) => 0,
            None => self.messages_per_turn(),
        };
        let plan = self.plan.as_mut()?;
        let turn = *self.turn.get_or_insert(Turn {
            first: plan.next,
            until: plan.end.min(plan.next.saturating_add(most)),
        });
        let index = plan.next / plan.burst;
        let end = ((index + 1) * plan.burst).min(turn.until);
        let elapsed = now.as_nanos().saturating_sub(plan.start.as_nanos());
        // What is meant for this very nanosecond is due.
        while plan.next < end && plan.next_ns <= elapsed {
            batch.push(SendTimes {
                intended: plan.next_at(),
                submitted: now,
            });
            plan.next += 1;
            plan.next_ns = plan.offset_ns(plan.next);
        }
        if !batch.is_empty() {
            return Some(index);
        }
        let due = u128::from(plan.next - turn.first) * 1_000_000_000;
        let since = now.since(self.last_turn).as_nanos();
        self.per_s = u64::try_from(due / since.max(1)).unwrap_or(u64::MAX);
        self.last_turn = now;
        self.turn = None;
        None
    }

    /// The plan has come to its end: measured messages that have not been taken, and never will.
    pub(super) fn end(&mut self) -> u64 {
        let end = self.plan.as_ref().map_or(0, |plan| plan.end);
        self.end_at(end)
    }

    /// The plan ends now: measured messages that were due before and have not been taken.
    pub(super) fn cut_short(&mut self, pace: &Pace, now: Instant) -> u64 {
        let Some(plan) = &self.plan else { return 0 };
        let elapsed = now.as_nanos().saturating_sub(plan.start.as_nanos());
        let end = plan.stripe.share(pace.before(elapsed)).min(plan.end);
        self.end_at(end)
    }

    /// When messages are to be taken next.
    pub(super) fn deadline(&self) -> Instant {
        match &self.plan {
            Some(plan) if plan.next < plan.end => {
                plan.next_at().max(self.last_turn + self.turn_time())
            }
            Some(_) | None => NEVER,
        }
    }

    /// Whether what comes may wait for the next turn: that comes as soon as it may.
    pub(super) fn may_coalesce(&self) -> bool {
        let is_busy = self.tick.is_some() || self.per_s >= GATHER_PER_S;
        is_busy && self.deadline() <= self.last_turn + self.turn_time()
    }

    /// Whether the time from turn to turn is given.
    pub(super) const fn has_tick(&self) -> bool {
        self.tick.is_some()
    }

    fn end_at(&mut self, end: u64) -> u64 {
        let Some(plan) = &mut self.plan else { return 0 };
        let first = plan.next.max(plan.first_measured);
        plan.next = plan.next.max(end);
        plan.end = plan.end.min(plan.next);
        end.saturating_sub(first)
    }

    /// From one turn to the next at least.
    fn turn_time(&self) -> Duration {
        self.tick.unwrap_or(if self.per_s >= RUSH_PER_S {
            RUSH_TURN_TIME
        } else {
            TURN_TIME
        })
    }

    fn messages_per_turn(&self) -> u64 {
        let tick_us = self.tick.map_or(0, |tick| tick.subsec_micros());
        MESSAGES_PER_TURN * u64::from(tick_us.div_ceil(100).max(1))
    }
}

impl PacerPlan {
    /// When this core's message of that index is due, from the start.
    #[inline]
    fn offset_ns(&mut self, index: u64) -> u64 {
        self.walk.offset_ns(self.stripe.global(index))
    }

    fn next_at(&self) -> Instant {
        Instant::from_nanos(self.start.as_nanos().saturating_add(self.next_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Rate;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(1_000_000_000 + ms * 1_000_000)
    }

    /// A message every 10 ms from 0 on; what is meant for 100 ms to 200 ms is measured.
    fn pace() -> Pace {
        Pace::Constant(Rate::per_second(100.0).unwrap())
    }

    fn pacer(stripe: Stripe, burst: u32) -> Pacer {
        let mut pacer = Pacer::new(None);
        let span = Span {
            start: at(0),
            from: at(100),
            until: at(200),
        };
        pacer.plan(&pace(), stripe, burst, span);
        pacer
    }

    /// The turns of what is due, and how many messages each has.
    fn taken(pacer: &mut Pacer, now: Instant) -> Vec<(u64, usize)> {
        let mut batch = Vec::new();
        let mut turns = Vec::new();
        while let Some(turn) = pacer.take_due(now, &mut batch) {
            turns.push((turn, batch.len()));
        }
        turns
    }

    #[test]
    fn messages_are_taken_at_their_times_and_not_before() {
        let mut pacer = pacer(Stripe::new(0, 1), 1);
        assert_eq!(taken(&mut pacer, at(0)).len(), 1, "due in that nanosecond");
        assert_eq!(pacer.deadline(), at(10));
        assert_eq!(taken(&mut pacer, at(9)), []);
        assert_eq!(taken(&mut pacer, at(30)), [(1, 1), (2, 1), (3, 1)]);
        assert_eq!(taken(&mut pacer, at(900)).len(), 16, "none after the end");
        assert_eq!(pacer.deadline(), NEVER);
    }

    #[test]
    fn neighbours_of_a_burst_are_of_one_turn() {
        let mut pacer = pacer(Stripe::new(0, 1), 3);
        assert_eq!(taken(&mut pacer, at(35)), [(0, 3), (1, 1)]);
        assert_eq!(taken(&mut pacer, at(75)), [(1, 2), (2, 2)]);
    }

    #[test]
    fn cores_share_the_plan_and_none_is_taken_twice() {
        let sums = (0..3).map(|core| {
            let mut pacer = pacer(Stripe::new(core, 3), 1);
            taken(&mut pacer, at(500)).len()
        });
        assert_eq!(sums.sum::<usize>(), 20);
    }

    #[test]
    fn what_is_not_taken_is_told_once_and_only_if_it_was_measured() {
        let mut whole = pacer(Stripe::new(0, 1), 1);
        assert_eq!(taken(&mut whole, at(45)).len(), 5);
        assert_eq!(whole.end(), 10, "the measured half");
        assert_eq!(whole.end(), 0);
        let mut cut = pacer(Stripe::new(0, 1), 1);
        assert_eq!(taken(&mut cut, at(115)).len(), 12);
        assert_eq!(cut.cut_short(&pace(), at(150)), 3, "of 120, 130 and 140 ms");
        assert_eq!(taken(&mut cut, at(500)), []);
        let mut late = pacer(Stripe::new(0, 1), 1);
        assert_eq!(taken(&mut late, at(115)).len(), 12);
        assert_eq!(late.cut_short(&pace(), at(900)), 8, "none beyond the end");
    }

    #[test]
    fn only_a_busy_core_may_let_replies_wait() {
        let mut slow = pacer(Stripe::new(0, 1), 1);
        taken(&mut slow, at(0));
        assert!(!slow.may_coalesce());
        let mut busy = Pacer::new(None);
        let span = Span {
            start: at(0),
            from: at(0),
            until: at(1_000),
        };
        let pace = Pace::Constant(Rate::per_second(100_000.0).unwrap());
        busy.plan(&pace, Stripe::new(0, 1), 1, span);
        for us in (0..2_000_u64).step_by(100) {
            taken(&mut busy, at(0) + Duration::from_micros(us));
        }
        assert!(busy.may_coalesce());
    }
}
