//! How many newcomers a full server has refused, counted over all cores.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// How many newcomers all cores have refused, for whoever tells the operator.
#[derive(Clone, Debug, Default)]
pub struct Refusals(Arc<RefusalCounts>);

impl std::ops::Deref for Refusals {
    type Target = RefusalCounts;

    fn deref(&self) -> &RefusalCounts {
        &self.0
    }
}

/// The counts of [`Refusals`]; they only grow.
#[derive(Debug, Default)]
pub struct RefusalCounts {
    /// Refused with 503.
    pub answered: AtomicU64,
    /// Refused by a limit, with 429, 503 or a reset.
    pub barred: AtomicU64,
    /// Reset, because there was not even a place to answer.
    pub reset: AtomicU64,
}
