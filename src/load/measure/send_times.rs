//! When a message was meant to go and when it went.

use crate::time::Instant;

/// When a message was meant to go and when it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::load) struct SendTimes {
    /// The pace's time; in a closed loop the same as `submitted`.
    pub(in crate::load) intended: Instant,
    /// When it was handed to the engine.
    pub(in crate::load) submitted: Instant,
}

impl SendTimes {
    /// Of a message that goes when there is room for it.
    #[inline]
    pub(in crate::load) const fn at(now: Instant) -> Self {
        Self {
            intended: now,
            submitted: now,
        }
    }
}
