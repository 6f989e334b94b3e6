//! How often the application was asked, over all cores, and how that ended.

use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// The counts; clones count together.
#[derive(Clone, Debug, Default)]
pub struct HookCounts(Arc<HookCells>);

/// Each count; all but `open` only grow.
#[derive(Debug, Default)]
pub struct HookCells {
    /// Questions.
    pub asked: AtomicU64,
    /// What was only told.
    pub told: AtomicU64,
    /// Questions that were answered.
    pub answered: AtomicU64,
    /// Questions that were not, in time or in words that can be read.
    pub failed: AtomicU64,
    /// Of those, questions that nobody was asked, because the breaker was open or too many waited.
    pub rejected: AtomicU64,
    /// Requests that were made once more.
    pub retried: AtomicU64,
    /// Answers to what was not asked any more.
    pub late: AtomicU64,
    /// What was to be told and is lost.
    pub lost: AtomicU64,
    /// Times that the breaker opened.
    pub opened: AtomicU64,
    /// 1 while the breaker is open.
    pub open: AtomicU64,
    /// How long those took that were answered.
    pub times: HookTimeCells,
}

/// Milliseconds that answers take: at most each, and more.
pub const HOOK_BOUNDS_MS: [u64; 12] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];

/// Answers by how long they took.
#[derive(Debug, Default)]
pub struct HookTimeCells {
    counts: [AtomicU64; HOOK_BOUNDS_MS.len() + 1],
    sum_us: AtomicU64,
}

/// The same as figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HookTimes {
    /// For each of [`HOOK_BOUNDS_MS`] those that took no longer, but longer than the one before;
    /// last those that took longer than all.
    pub counts: [u64; HOOK_BOUNDS_MS.len() + 1],
    /// Microseconds of all together.
    pub sum_us: u64,
}

impl HookTimeCells {
    /// One that took so long.
    pub fn note(&self, time: Duration) {
        let is_within = |bound: &u64| time <= Duration::from_millis(*bound);
        let at = HOOK_BOUNDS_MS.iter().position(is_within);
        if let Some(cell) = self.counts.get(at.unwrap_or(HOOK_BOUNDS_MS.len())) {
            cell.fetch_add(1, Relaxed);
        }
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.sum_us.fetch_add(us, Relaxed);
    }

    fn figures(&self) -> HookTimes {
        let mut times = HookTimes::default();
        for (count, cell) in times.counts.iter_mut().zip(&self.counts) {
            *count = cell.load(Relaxed);
        }
        times.sum_us = self.sum_us.load(Relaxed);
        times
    }
}

/// The same as figures. `Serialize` gives the keys that `/stats` documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HookFigures {
    /// Questions.
    pub asked: u64,
    /// What was only told.
    pub told: u64,
    /// Questions that were answered.
    pub answered: u64,
    /// Questions that were not.
    pub failed: u64,
    /// Of those, questions that nobody was asked.
    pub rejected: u64,
    /// Requests that were made once more.
    pub retried: u64,
    /// Answers to what was not asked any more.
    pub late: u64,
    /// What was to be told and is lost.
    pub lost: u64,
    /// Times that the breaker opened.
    pub breaker_opened: u64,
    /// 1 while the breaker is open, else 0.
    pub breaker_open: u64,
    /// How long those took that were answered: in `/metrics` alone.
    #[serde(skip)]
    pub times: HookTimes,
}

impl std::ops::Deref for HookCounts {
    type Target = HookCells;

    fn deref(&self) -> &HookCells {
        &self.0
    }
}

impl HookCounts {
    /// What they are now.
    #[must_use]
    pub fn figures(&self) -> HookFigures {
        let of = |cell: &AtomicU64| cell.load(Relaxed);
        HookFigures {
            asked: of(&self.asked),
            told: of(&self.told),
            answered: of(&self.answered),
            failed: of(&self.failed),
            rejected: of(&self.rejected),
            retried: of(&self.retried),
            late: of(&self.late),
            lost: of(&self.lost),
            breaker_opened: of(&self.opened),
            breaker_open: of(&self.open),
            times: self.times.figures(),
        }
    }
}

/// One more.
pub(super) fn count(cell: &AtomicU64) {
    cell.fetch_add(1, Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_for_the_first_bound_that_it_does_not_exceed() {
        let counts = HookCounts::default();
        for us in [0, 1000, 1001, 5_000_000, 5_000_001] {
            counts.times.note(Duration::from_micros(us));
        }
        let times = counts.figures().times;
        assert_eq!(times.counts, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(times.sum_us, 10_002_002);
    }
}
