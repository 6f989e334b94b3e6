//! What may change while the program runs: one thread says it, each core sees it when it next
//! looks. A look costs one load where nothing is new.

#![forbid(unsafe_code)]
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used
)]

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Holds what was said last. Clones hold the same.
pub struct Live<T>(Arc<LiveCell<T>>);

struct LiveCell<T> {
    /// How often something was said.
    round: AtomicU64,
    latest: Mutex<Option<Arc<T>>>,
}

impl<T> Live<T> {
    /// From now on it is that.
    pub fn say(&self, value: T) {
        self.say_shared(Arc::new(value));
    }

    /// The same of what others hold too.
    pub fn say_shared(&self, value: Arc<T>) {
        let mut latest = self.0.latest.lock().unwrap_or_else(PoisonError::into_inner);
        *latest = Some(value);
        self.0.round.fetch_add(1, Ordering::Release);
    }

    /// What was said since the round `seen`, 0 for ever, which is brought up to date; `None` if
    /// nothing was.
    #[inline]
    #[must_use]
    pub fn news(&self, seen: &mut u64) -> Option<Arc<T>> {
        let round = self.0.round.load(Ordering::Acquire);
        if round == *seen {
            return None;
        }
        *seen = round;
        let latest = self.0.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.clone()
    }
}

impl<T> Default for Live<T> {
    fn default() -> Self {
        Self(Arc::new(LiveCell {
            round: AtomicU64::new(0),
            latest: Mutex::new(None),
        }))
    }
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Live<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Live({})", self.0.round.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_seen_once_by_each_who_looks_and_only_the_last_of_it() {
        let live = Live::default();
        let (here, there) = (live.clone(), live.clone());
        let (mut one, mut two) = (0, 0);
        assert_eq!(here.news(&mut one), None);
        live.say(1);
        assert_eq!(here.news(&mut one).as_deref(), Some(&1));
        assert_eq!(here.news(&mut one), None);
        live.say(2);
        live.say(3);
        assert_eq!(there.news(&mut two).as_deref(), Some(&3));
        assert_eq!(here.news(&mut one).as_deref(), Some(&3));
        assert_eq!((there.news(&mut two), here.news(&mut one)), (None, None));
    }
}
