//! From a core to the keeper of the store: a bounded queue. The core waits for nobody; what finds
//! no room is lost, counted, and what is on the disk is not taken for whole any more.

use super::counts::StoreCounts;
use super::entry::StoreEntry;
use crate::limits;
use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

/// The line of one core. Clones are the same.
#[derive(Clone)]
pub struct StoreLine(Arc<StoreLineEnds>);

struct StoreLineEnds {
    queue: Mutex<StoreQueue>,
    counts: StoreCounts,
    wake: Arc<StoreWaker>,
}

#[derive(Default)]
struct StoreQueue {
    entries: Vec<StoreEntry>,
    bytes: usize,
}

type StoreWaker = dyn Fn() + Send + Sync;

impl StoreLine {
    /// A line whose far end is woken by that.
    #[must_use]
    pub fn new(counts: StoreCounts, wake: Arc<StoreWaker>) -> Self {
        Self(Arc::new(StoreLineEnds {
            queue: Mutex::default(),
            counts,
            wake,
        }))
    }

    /// The core tells that.
    pub fn push(&self, entry: StoreEntry) {
        let mut queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = queue.bytes + entry.bytes();
        if queue.entries.len() >= limits::STORE_ENTRIES || bytes > limits::STORE_QUEUE_BYTES {
            drop(queue);
            self.0.counts.lost.fetch_add(1, Relaxed);
            return;
        }
        let is_first = queue.entries.is_empty();
        queue.entries.push(entry);
        queue.bytes = bytes;
        drop(queue);
        // Whoever takes takes all.
        if is_first {
            (self.0.wake)();
        }
    }

    /// Gives what was told since the last time for an empty list, whose room is used again.
    pub(super) fn swap(&self, into: &mut Vec<StoreEntry>) {
        into.clear();
        let mut queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut queue.entries, into);
        queue.bytes = 0;
    }
}

impl fmt::Debug for StoreLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreLine")
    }
}
