//! What the store has written and lost, over all cores.

use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// The counts; clones count together.
#[derive(Clone, Debug, Default)]
pub struct StoreCounts(Arc<StoreCells>);

/// Each count; all but `waiting`, `bytes` and `failing` only grow.
#[derive(Debug, Default)]
pub struct StoreCells {
    /// Changes of channels that were written.
    pub written: AtomicU64,
    /// Writes.
    pub commits: AtomicU64,
    /// Writes that failed.
    pub failed: AtomicU64,
    /// Changes that are not written because there was no room for them.
    pub lost: AtomicU64,
    /// Changes that wait to be written, when it was looked last.
    pub waiting: AtomicU64,
    /// Bytes of the file.
    pub bytes: AtomicU64,
    /// 1 while nothing can be written.
    pub failing: AtomicU64,
    /// Channels that were restored at the start.
    pub restored_channels: AtomicU64,
    /// Publications that were.
    pub restored_publications: AtomicU64,
    /// Sessions that were.
    pub restored_sessions: AtomicU64,
}

/// The same as figures. `Serialize` gives the keys that `/stats` documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StoreFigures {
    /// Changes of channels that were written.
    pub written: u64,
    /// Writes.
    pub commits: u64,
    /// Writes that failed.
    pub failed: u64,
    /// Changes that are not written because there was no room for them.
    pub lost: u64,
    /// Changes that wait to be written.
    pub waiting: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// 1 while nothing can be written, else 0.
    pub failing: u64,
    /// Channels that were restored at the start.
    pub restored_channels: u64,
    /// Publications that were.
    pub restored_publications: u64,
    /// Sessions that were.
    pub restored_sessions: u64,
}

impl std::ops::Deref for StoreCounts {
    type Target = StoreCells;

    fn deref(&self) -> &StoreCells {
        &self.0
    }
}

impl StoreCounts {
    /// What they are now.
    #[must_use]
    pub fn figures(&self) -> StoreFigures {
        let of = |cell: &AtomicU64| cell.load(Relaxed);
        StoreFigures {
            written: of(&self.written),
            commits: of(&self.commits),
            failed: of(&self.failed),
            lost: of(&self.lost),
            waiting: of(&self.waiting),
            bytes: of(&self.bytes),
            failing: of(&self.failing),
            restored_channels: of(&self.restored_channels),
            restored_publications: of(&self.restored_publications),
            restored_sessions: of(&self.restored_sessions),
        }
    }
}
