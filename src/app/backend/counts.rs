//! How often the application was asked, over all cores, and how that ended.

use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

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
        }
    }
}

/// One more.
pub(super) fn count(cell: &AtomicU64) {
    cell.fetch_add(1, Relaxed);
}
