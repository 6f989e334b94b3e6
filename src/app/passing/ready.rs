//! Which exchanges a core is to look at.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::{Arc, Mutex, PoisonError};

/// The exchanges of one core in which something has happened. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct ReadyExchanges(Arc<ReadyNumbers>);

#[derive(Debug, Default)]
struct ReadyNumbers {
    numbers: Mutex<Vec<u64>>,
    is_any: AtomicBool,
}

impl ReadyExchanges {
    /// The core is to look at that one.
    pub(super) fn note(&self, number: u64) {
        let mut numbers = self
            .0
            .numbers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        numbers.push(number);
        self.0.is_any.store(true, Release);
    }

    /// Those since the last time, each by its number.
    #[must_use]
    pub fn take(&self) -> Vec<u64> {
        if !self.0.is_any.load(Acquire) {
            return Vec::new();
        }
        let mut numbers = self
            .0
            .numbers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.0.is_any.swap(false, AcqRel);
        std::mem::take(&mut *numbers)
    }
}
