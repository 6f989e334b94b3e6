//! The phase of a run on one core, and the times at which it changes: nothing else changes it.

use super::measure::progress::{PROGRESS_TIME, Progress, Stage};
use crate::shard::Core;
use crate::time::Instant;
use std::time::Duration;

/// The closing lasts as long as handshakes keep ending, but no longer than this many close times:
/// a busy server gets through 18,000 of them, a dead one does not hold the run up.
const CLOSE_TIMES_MAX: u32 = 10;

/// A time that never comes.
pub(super) const NEVER: Instant = Instant::from_nanos(u64::MAX);
/// A deadline that has always passed: there is work left from this turn.
pub(super) const AT_ONCE: Instant = Instant::from_nanos(0);

/// What happens now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Connections are being made.
    Connecting,
    /// This core is ready; others may not be.
    Waiting,
    /// Messages run.
    Running,
    /// Nothing more is sent; the last replies come.
    Draining,
    /// Connections are being closed.
    Closing,
    /// Nothing is left to do.
    Finished,
}

impl Phase {
    /// Whether connections may be made.
    pub(super) const fn connects(self) -> bool {
        match self {
            Self::Connecting | Self::Waiting | Self::Running => true,
            Self::Draining | Self::Closing | Self::Finished => false,
        }
    }

    /// Whether a run goes from this phase to that one.
    const fn leads_to(self, next: Self) -> bool {
        match (self, next) {
            (Self::Connecting, Self::Waiting | Self::Closing)
            | (Self::Waiting, Self::Running | Self::Closing)
            | (Self::Running, Self::Draining)
            | (Self::Draining, Self::Closing)
            | (Self::Closing, Self::Finished) => true,
            (
                Self::Connecting
                | Self::Waiting
                | Self::Running
                | Self::Draining
                | Self::Closing
                | Self::Finished,
                _,
            ) => false,
        }
    }
}

/// The phase of a run and its times. Those that are not known yet are in the far future.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    phase: Phase,
    begun: Instant,
    /// Connects that are not done then are given up.
    connect_by: Instant,
    /// When messages begin, on all cores.
    start: Instant,
    /// When the measured time begins and ends.
    from: Instant,
    until: Instant,
    /// When the present phase ends by itself, if it is waiting, draining or closing.
    phase_by: Instant,
    /// When the closing ends at the latest.
    close_by: Instant,
    /// When the progress is shown next, if it is shown.
    tick: Instant,
}

impl Timeline {
    /// Of a run that has not begun.
    pub(super) const fn new() -> Self {
        Self {
            phase: Phase::Connecting,
            begun: NEVER,
            connect_by: NEVER,
            start: NEVER,
            from: NEVER,
            until: NEVER,
            phase_by: NEVER,
            close_by: NEVER,
            tick: NEVER,
        }
    }

    /// The run begins: connects may take so long.
    pub(super) fn begin(&mut self, now: Instant, connect: Duration) {
        self.begun = now;
        self.connect_by = now + connect;
    }

    /// The progress is to be shown from now on.
    pub(super) fn show_progress(&mut self, now: Instant) {
        self.tick = now + PROGRESS_TIME;
    }

    /// Connects are done on this core: it waits for the others, so long after the time for
    /// connects.
    pub(super) fn wait(&mut self, now: Instant, patience: Duration) {
        self.enter(Phase::Waiting);
        self.phase_by = self.connect_by.max(now) + patience;
    }

    /// Messages begin at `start`; what is meant for `duration` after the warm-up is measured.
    pub(super) fn set_start(&mut self, start: Instant, warm_up: Duration, duration: Duration) {
        debug_assert!(self.awaits_start(), "a start is given once");
        self.start = start;
        // Nobody is waited for any more.
        self.phase_by = start;
        self.from = start + warm_up;
        self.until = self.from + duration;
        if self.tick != NEVER {
            self.tick = self.tick.min(self.from);
        }
    }

    /// Messages begin.
    pub(super) fn run(&mut self) {
        self.enter(Phase::Running);
    }

    /// The measured time ends now, if it has not ended before.
    pub(super) fn cut_short(&mut self, now: Instant) {
        // What was sent in this very nanosecond belongs to it.
        self.until = (now + Duration::from_nanos(1)).min(self.until);
    }

    /// The last replies are awaited, for so long.
    pub(super) fn drain(&mut self, now: Instant, grace: Duration) {
        self.enter(Phase::Draining);
        self.phase_by = now + grace;
    }

    /// Connections are closed: the next handshake ends within the close time.
    pub(super) fn close(&mut self, now: Instant, close_time: Duration) {
        self.enter(Phase::Closing);
        self.close_by = now + close_time * CLOSE_TIMES_MAX;
        self.phase_by = now + close_time;
    }

    /// A connection was closed: while they are being closed, the next one has the close time again,
    /// up to the latest end.
    pub(super) fn closed_one(&mut self, now: Instant, close_time: Duration) {
        if self.phase == Phase::Closing {
            self.phase_by = (now + close_time).min(self.close_by);
        }
    }

    /// Nothing is left to do.
    pub(super) fn finish(&mut self) {
        self.enter(Phase::Finished);
    }

    /// Whether the progress is to be shown now; the next time is another one then.
    ///
    /// Times are counted from the beginning of the measured time, so that all cores show the same
    /// spans; before it, from the core's own beginning.
    pub(super) fn ticks(&mut self, now: Instant) -> bool {
        if now < self.tick {
            return false;
        }
        let base = if now >= self.from {
            self.from
        } else {
            self.begun
        };
        let step = u64::try_from(PROGRESS_TIME.as_nanos()).unwrap_or(u64::MAX);
        let into_step = now.since(base).as_nanos() % u128::from(step);
        let left = step - u64::try_from(into_step).unwrap_or(0);
        let next = now + Duration::from_nanos(left);
        self.tick = if now < self.from {
            next.min(self.from)
        } else {
            next
        };
        true
    }

    #[inline]
    pub(super) const fn phase(&self) -> Phase {
        self.phase
    }

    /// When connects that are not done are given up.
    pub(super) const fn connect_by(&self) -> Instant {
        self.connect_by
    }

    /// When messages begin, on all cores.
    #[inline]
    pub(super) const fn start(&self) -> Instant {
        self.start
    }

    /// When the measured time begins.
    #[inline]
    pub(super) const fn from(&self) -> Instant {
        self.from
    }

    /// When the measured time ends.
    #[inline]
    pub(super) const fn until(&self) -> Instant {
        self.until
    }

    /// When a core that waits, drains or closes goes on by itself.
    pub(super) const fn phase_by(&self) -> Instant {
        self.phase_by
    }

    /// When the progress is shown next.
    pub(super) const fn tick(&self) -> Instant {
        self.tick
    }

    /// Whether the common start is not known yet, and may still come.
    pub(super) fn awaits_start(&self) -> bool {
        self.start == NEVER && matches!(self.phase, Phase::Connecting | Phase::Waiting)
    }

    /// How far the run is on a core with these counts.
    pub(super) fn progress(&self, core: Core, now: Instant, counts: Progress) -> Progress {
        Progress {
            core: core.0,
            stage: self.stage(now),
            elapsed: now.since(self.begun),
            measured: now.min(self.until).since(self.from),
            ..counts
        }
    }

    /// The phase, for people.
    fn stage(&self, now: Instant) -> Stage {
        match self.phase {
            Phase::Connecting => Stage::Connecting,
            Phase::Waiting => Stage::Waiting,
            Phase::Running if now < self.from => Stage::WarmUp,
            Phase::Running => Stage::Measuring,
            Phase::Draining => Stage::Draining,
            Phase::Closing => Stage::Closing,
            Phase::Finished => Stage::Finished,
        }
    }

    fn enter(&mut self, next: Phase) {
        assert!(
            self.phase.leads_to(next),
            "no run goes from {:?} to {next:?}",
            self.phase
        );
        self.phase = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    fn running() -> Timeline {
        let mut timeline = Timeline::new();
        timeline.begin(at(0), S);
        timeline.show_progress(at(0));
        timeline.wait(at(50), S);
        timeline.set_start(at(70), S, 2 * S);
        timeline.run();
        timeline
    }

    #[test]
    fn a_run_has_these_transitions_and_no_others() {
        use Phase::{Closing, Connecting, Draining, Finished, Running, Waiting};
        let all = [Connecting, Waiting, Running, Draining, Closing, Finished];
        let mut said = Vec::new();
        for from in all {
            for to in all.into_iter().filter(|&to| from.leads_to(to)) {
                said.push(format!("{from:?} -> {to:?}"));
            }
        }
        let expected = [
            "Connecting -> Waiting",
            "Connecting -> Closing",
            "Waiting -> Running",
            "Waiting -> Closing",
            "Running -> Draining",
            "Draining -> Closing",
            "Closing -> Finished",
        ];
        assert_eq!(said, expected);
    }

    #[test]
    #[should_panic(expected = "no run goes from Finished to Closing")]
    fn what_is_finished_does_not_close_again() {
        let mut timeline = running();
        timeline.drain(at(3_070), S);
        timeline.close(at(3_100), S);
        timeline.finish();
        timeline.close(at(3_200), S);
    }

    #[test]
    fn the_measured_time_follows_the_warm_up_and_ends_early_only_by_a_cut() {
        let mut timeline = running();
        assert!(!timeline.awaits_start());
        assert_eq!((timeline.from(), timeline.until()), (at(1_070), at(3_070)));
        assert_eq!(timeline.stage(at(1_069)), Stage::WarmUp);
        assert_eq!(timeline.stage(at(1_070)), Stage::Measuring);
        timeline.cut_short(at(4_000));
        assert_eq!(timeline.until(), at(3_070), "it had ended before");
        timeline.cut_short(at(2_000));
        assert_eq!(timeline.until(), at(2_000) + Duration::from_nanos(1));
    }

    #[test]
    fn a_core_waits_beyond_the_time_for_connects_and_closes_within_ten_close_times() {
        let mut timeline = Timeline::new();
        timeline.begin(at(0), S);
        timeline.wait(at(50), 2 * S);
        assert_eq!(timeline.phase_by(), at(3_000));
        assert!(timeline.awaits_start());
        timeline.close(at(100), S);
        assert!(!timeline.awaits_start(), "it is too late for a start");
        for ms in (200..20_000).step_by(900) {
            timeline.closed_one(at(ms), S);
            assert_eq!(timeline.phase_by(), at((ms + 1_000).min(10_100)));
        }
    }

    #[test]
    fn progress_is_shown_at_multiples_from_the_measured_time_on_and_at_its_beginning() {
        let mut timeline = running();
        let mut shown = Vec::new();
        for ms in 0..1_500 {
            if timeline.ticks(at(ms)) {
                shown.push(ms);
            }
        }
        assert_eq!(shown, [200, 400, 600, 800, 1_000, 1_070, 1_270, 1_470]);
        assert!(!Timeline::new().ticks(at(9)), "nobody looks");
    }
}
