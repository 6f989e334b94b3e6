//! How many cores of a server have begun to serve.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the cores that serve, for whoever waits for all of them. Clones count the same.
#[derive(Clone, Debug, Default)]
pub struct StartedCores(Arc<AtomicUsize>);

impl StartedCores {
    /// One more does.
    pub(super) fn count(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }

    /// How many do.
    #[must_use]
    pub fn number(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}
