//! What the cores of a load run tell while it runs: their latest word, and once a second what
//! they recorded. Told in the cores' threads, read in another.

use super::goal::{Covered, Goal};
use crate::cli::print;
use crate::load::latency::Latencies;
use crate::load::outcome::Outcome;
use crate::load::progress::{Progress, Stage};
use crate::report::Share;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A slot for every core.
#[derive(Clone)]
pub(super) struct ProgressBoard(Arc<Vec<Mutex<Slot>>>);

/// What one core tells.
struct Slot {
    progress: Option<Progress>,
    /// The last second's, until it is collected.
    share: Option<Share>,
    /// Empty latencies to go on with, whose memory a core allocates once.
    spare: Option<Latencies>,
    /// The stage and second of the last share.
    told: (Stage, u64),
    /// A second has ended while the last one's share was still here.
    is_overdue: bool,
}

/// The cores' progress as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Total {
    /// The stage of the core that is furthest behind.
    pub(super) stage: Stage,
    /// Time into the measured time.
    pub(super) measured: Duration,
    pub(super) connections: u64,
    pub(super) up: u64,
    pub(super) failed: u64,
    /// Clients that were given turns.
    pub(super) speakers: u64,
    pub(super) sent: u64,
    pub(super) dropped: u64,
    pub(super) received: u64,
    failures: u64,
}

impl ProgressBoard {
    /// A board for so many cores.
    pub(super) fn new(cores: usize) -> Self {
        let slot = || {
            Mutex::new(Slot {
                progress: None,
                share: None,
                spare: Some(Latencies::default()),
                told: (Stage::Connecting, 0),
                is_overdue: false,
            })
        };
        Self(Arc::new((0..cores).map(|_| slot()).collect()))
    }

    /// A core's latest word; at the end of a second it hands over what it recorded.
    pub(super) fn note(&self, progress: &Progress, outcome: &mut Outcome) {
        let Some(slot) = self.0.get(usize::from(progress.core)) else {
            return;
        };
        let mut slot = locked(slot);
        slot.progress = Some(*progress);
        let time = if progress.measured.is_zero() {
            progress.elapsed
        } else {
            progress.measured
        };
        let now = (progress.stage, time.as_secs());
        if now == slot.told {
            return;
        }
        if progress.stage == Stage::Finished {
            // Its last word, with what of the last second is still here.
            let empty = slot.spare.take().unwrap_or_default();
            let mut last = outcome.hand_over(empty);
            if let Some(share) = &slot.share {
                last.latencies.merge(&share.outcome.latencies);
            }
            slot.told = now;
            slot.share = Some(Share {
                progress: *progress,
                outcome: last,
            });
            return;
        }
        if slot.share.is_some() {
            slot.is_overdue = true;
        } else if let Some(empty) = slot.spare.take() {
            slot.told = now;
            slot.share = Some(Share {
                progress: *progress,
                outcome: outcome.hand_over(empty),
            });
        }
    }

    /// All cores as one; `None` until each has said something.
    pub(super) fn total(&self) -> Option<Total> {
        let all: Option<Vec<Progress>> = self.0.iter().map(|slot| locked(slot).progress).collect();
        all?.into_iter().map(Total::from).reduce(Total::and)
    }

    /// The shares of a second, once every core that goes on has told its own; the others are not
    /// waited for by more than a second. A core that ended tells its last one and nothing more.
    pub(super) fn collect(&self) -> Option<Vec<Share>> {
        let slots: Vec<(bool, bool, bool)> = self
            .0
            .iter()
            .map(|slot| {
                let slot = locked(slot);
                let has_ended = slot.told.0 == Stage::Finished;
                (slot.share.is_some(), has_ended, slot.is_overdue)
            })
            .collect();
        let is_told = slots.iter().any(|(told, ..)| *told)
            && slots.iter().all(|(told, ended, _)| *told || *ended);
        if !is_told && !slots.iter().any(|(.., over)| *over) {
            return None;
        }
        let shares = self.0.iter().filter_map(|slot| {
            let mut slot = locked(slot);
            slot.is_overdue = false;
            slot.share.take()
        });
        Some(shares.collect())
    }

    /// Gives the memory of collected latencies back to their cores.
    pub(super) fn give_back(&self, used: Vec<(u16, Latencies)>) {
        for (core, mut latencies) in used {
            latencies.clear();
            if let Some(slot) = self.0.get(usize::from(core)) {
                locked(slot).spare = Some(latencies);
            }
        }
    }

    /// Shares that nobody collected before the run was over.
    pub(super) fn rest(&self) -> Vec<Share> {
        let rest = self.0.iter().filter_map(|slot| locked(slot).share.take());
        rest.collect()
    }
}

fn locked(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

impl From<Progress> for Total {
    fn from(core: Progress) -> Self {
        Self {
            stage: core.stage,
            measured: core.measured,
            connections: core.connections,
            up: core.up,
            failed: core.failed,
            speakers: core.speakers,
            sent: core.sent,
            dropped: core.dropped,
            received: core.received,
            failures: core.failures,
        }
    }
}

impl Total {
    fn and(self, other: Self) -> Self {
        let behind = if other.stage < self.stage {
            other
        } else {
            self
        };
        Self {
            stage: behind.stage,
            measured: behind.measured,
            connections: self.connections + other.connections,
            up: self.up + other.up,
            failed: self.failed + other.failed,
            speakers: self.speakers + other.speakers,
            sent: self.sent + other.sent,
            dropped: self.dropped + other.dropped,
            received: self.received + other.received,
            failures: self.failures + other.failures,
        }
    }

    /// Where the run is, for people.
    pub(super) fn state(&self, goal: Goal) -> String {
        match self.stage {
            Stage::Connecting | Stage::Waiting => "connecting".to_owned(),
            Stage::WarmUp => "warming up".to_owned(),
            Stage::Measuring => goal.shown(self.covered()),
            Stage::Draining => "waiting for the last replies".to_owned(),
            Stage::Closing | Stage::Finished => "closing".to_owned(),
        }
    }

    /// How much of the way to that end the run has behind it, from 0 to 1.
    pub(super) fn share(&self, goal: Goal) -> f64 {
        goal.share(self.covered())
    }

    /// One line for people.
    pub(super) fn line(&self, goal: Goal) -> String {
        let up = format!(
            "{} of {} up",
            print::whole(self.up),
            print::whole(self.connections)
        );
        let mut line = format!("{}: {up}", self.state(goal));
        for (number, name) in [
            (self.sent, "sent"),
            (self.received, "received"),
            (self.dropped, "dropped"),
            (self.failed, "connects failed"),
            (self.failures, "failures"),
        ] {
            if number > 0 {
                line += &format!(", {} {name}", print::whole(number));
            }
        }
        line
    }

    fn covered(&self) -> Covered {
        Covered {
            measured: self.measured,
            begun: self.sent,
            speakers: self.speakers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::failure;

    fn core(core: u16, stage: Stage, sent: u64) -> Progress {
        Progress {
            core,
            stage,
            elapsed: Duration::from_secs(3),
            measured: Duration::from_secs(u64::from(core)),
            connections: 500,
            up: 500,
            failed: 0,
            speakers: 0,
            sent,
            dropped: 0,
            received: sent,
            failures: 0,
            cpu: Duration::ZERO,
        }
    }

    #[test]
    fn the_core_that_is_behind_says_where_the_run_is() {
        let board = ProgressBoard::new(2);
        board.note(&core(0, Stage::Measuring, 700), &mut Outcome::default());
        assert_eq!(board.total(), None);
        board.note(&core(1, Stage::Waiting, 900), &mut Outcome::default());
        let total = board.total().unwrap();
        assert_eq!(
            (total.stage, total.sent, total.up),
            (Stage::Waiting, 1600, 1000)
        );
        assert_eq!(
            total.line(Goal::Time(Duration::from_secs(5))),
            "connecting: 1,000 of 1,000 up, 1,600 sent, 1,600 received"
        );
    }

    #[test]
    fn a_core_that_ended_before_the_others_is_not_waited_for_and_its_counts_stay() {
        let board = ProgressBoard::new(2);
        let mut ledger = crate::report::Ledger::default();
        let mut failed = Outcome::default();
        failed.connects.failed = 10;
        failed
            .failures
            .count(failure::Stage::Connect, failure::Kind::Refused);
        let ended = Progress {
            failed: 10,
            ..core(1, Stage::Finished, 0)
        };
        board.note(&ended, &mut failed);
        let mut rows = 0;
        for second in 1..=5_u64 {
            let progress = Progress {
                measured: Duration::from_secs(second),
                ..core(0, Stage::Measuring, second * 100)
            };
            let mut outcome = Outcome::default();
            outcome.messages.sent = second * 100;
            board.note(&progress, &mut outcome);
            let shares = board.collect().expect("a row for every second");
            let (interval, used) = ledger.add(shares);
            board.give_back(used);
            rows += 1;
            assert_eq!(interval.sent, 100, "second {second}");
            assert_eq!(ledger.so_far().connects.failed, 10);
            assert_eq!(ledger.so_far().failures.total(), 1);
        }
        assert_eq!((rows, board.total().unwrap().failed), (5, 10));
    }

    #[test]
    fn every_sample_is_handed_over_once_whoever_is_late() {
        let board = ProgressBoard::new(2);
        let mut outcomes = [Outcome::default(), Outcome::default()];
        let mut ledger = crate::report::Ledger::default();
        let mut recorded = 0;
        for second in 1..=9_u64 {
            for (number, outcome) in (0..2_u16).zip(&mut outcomes) {
                // The second core is silent now and then.
                if number == 1 && second % 3 == 0 {
                    continue;
                }
                outcome.latencies.response.record_ns(second * 1_000);
                recorded += 1;
                let measured = Duration::from_secs(second);
                let progress = Progress {
                    measured,
                    ..core(number, Stage::Measuring, second)
                };
                board.note(&progress, outcome);
            }
            if let Some(shares) = board.collect() {
                let (interval, used) = ledger.add(shares);
                assert!(!interval.latencies.response.histogram().is_empty());
                board.give_back(used);
            }
        }
        let mut rest = Outcome::merged(&outcomes);
        for share in board.rest() {
            rest.latencies.merge(&share.outcome.latencies);
        }
        ledger.end(rest);
        let whole = ledger.into_outcome();
        assert_eq!(whole.latencies.response.histogram().len(), recorded);
    }
}
