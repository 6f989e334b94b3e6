//! When the store is written: a moment after something has changed, so that much is written at
//! once; and again after a while, as long as the disk does not take it.

use super::counts::StoreCounts;
use super::line::StoreLine;
use super::pending::StoreBatch;
use super::{StoreEntry, StorePlan};
use crate::limits;
use crate::time::Instant;
use std::sync::atomic::Ordering::Relaxed;

/// Where the store is written.
pub trait StoreDisk {
    /// Writes all of that and whether something comes after it, or nothing.
    ///
    /// # Errors
    /// What is wrong, with its remedy. It may be tried again.
    fn write(&mut self, batch: &StoreBatch, end: StoreEnd) -> Result<(), String>;

    /// Bytes of what is there.
    fn bytes(&self) -> u64;
}

/// Whether something comes after what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreEnd {
    /// It does: should nothing come, something is missing.
    GoesOn,
    /// It does not: what is there is whole.
    Whole,
}

/// What is to be said of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreNews {
    /// It cannot be written, and why.
    Failing(String),
    /// It can again, after so many changes were lost.
    Written {
        /// Changes that will never be written.
        lost: u64,
    },
}

/// Takes what the cores tell, and has it written.
#[derive(Debug)]
pub struct StoreKeeper {
    lines: Vec<StoreLine>,
    counts: StoreCounts,
    pending: StoreBatch,
    /// When what is pending is written.
    write_at: Option<Instant>,
    is_failing: bool,
    /// Scratch space.
    entries: Vec<StoreEntry>,
}

impl StoreKeeper {
    /// Nothing is to be written yet.
    #[must_use]
    pub fn new(plan: &StorePlan) -> Self {
        Self {
            lines: plan.lines.clone(),
            counts: plan.counts.clone(),
            pending: StoreBatch::default(),
            write_at: None,
            is_failing: false,
            entries: Vec::new(),
        }
    }

    /// Takes what was told, and writes what is due; what is to be said of that.
    pub fn turn(&mut self, now: Instant, disk: &mut impl StoreDisk) -> Option<StoreNews> {
        self.take();
        if self.pending.is_empty() {
            self.write_at = None;
            return None;
        }
        let at = *self.write_at.get_or_insert(now + limits::STORE_GATHER_TIME);
        match at <= now {
            true => self.write(now, disk, StoreEnd::GoesOn),
            false => None,
        }
    }

    /// The cores have ended: writes what is left, and whether that is all there was; it is not if
    /// something was lost.
    pub fn finish(
        mut self,
        now: Instant,
        disk: &mut impl StoreDisk,
        end: StoreEnd,
    ) -> Option<StoreNews> {
        self.take();
        let end = match self.counts.lost.load(Relaxed) {
            0 => end,
            _ => StoreEnd::GoesOn,
        };
        self.write(now, disk, end)
    }

    /// When it wants to be told the time; `None` if not before something is told.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.write_at
    }

    fn take(&mut self) {
        let mut entries = std::mem::take(&mut self.entries);
        for line in &self.lines {
            line.swap(&mut entries);
            for entry in entries.drain(..) {
                if let Err(lost) = self.pending.add(entry) {
                    self.counts.lost.fetch_add(lost, Relaxed);
                }
            }
        }
        self.entries = entries;
        self.counts.waiting.store(self.pending.changes(), Relaxed);
    }

    fn write(
        &mut self,
        now: Instant,
        disk: &mut impl StoreDisk,
        end: StoreEnd,
    ) -> Option<StoreNews> {
        let counts = &self.counts;
        match disk.write(&self.pending, end) {
            Ok(()) => {
                counts.commits.fetch_add(1, Relaxed);
                counts.written.fetch_add(self.pending.changes(), Relaxed);
                counts.waiting.store(0, Relaxed);
                counts.bytes.store(disk.bytes(), Relaxed);
                counts.failing.store(0, Relaxed);
                self.pending = StoreBatch::default();
                self.write_at = None;
                let was_failing = std::mem::take(&mut self.is_failing);
                let lost = counts.lost.load(Relaxed);
                was_failing.then_some(StoreNews::Written { lost })
            }
            Err(why) => {
                counts.failed.fetch_add(1, Relaxed);
                counts.failing.store(1, Relaxed);
                self.write_at = Some(now + limits::STORE_RETRY_TIME);
                let is_news = !std::mem::replace(&mut self.is_failing, true);
                is_news.then_some(StoreNews::Failing(why))
            }
        }
    }
}
