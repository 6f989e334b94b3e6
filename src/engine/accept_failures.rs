//! Accepts that failed for want of descriptors or memory, counted over all cores.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering::Relaxed};

/// How often accepting failed on all cores, and for want of what last: whoever tells the operator
/// holds a copy.
#[derive(Clone, Debug, Default)]
pub struct AcceptFailures(Arc<FailureCount>);

#[derive(Debug, Default)]
struct FailureCount {
    count: AtomicU64,
    errno: AtomicI32,
}

impl AcceptFailures {
    /// An accept failed with that errno.
    pub fn note(&self, errno: i32) {
        self.0.errno.store(errno, Relaxed);
        self.0.count.fetch_add(1, Relaxed);
    }

    /// How often accepts have failed, and the errno of the last one.
    #[must_use]
    pub fn read(&self) -> (u64, i32) {
        (self.0.count.load(Relaxed), self.0.errno.load(Relaxed))
    }
}
