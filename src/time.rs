//! The program's one clock reading: nanoseconds on `CLOCK_MONOTONIC`, passed to whoever needs it.
//!
//! `std::time::Instant` is opaque: it cannot be put into a payload and read again by another
//! process of the same host, and the simulator cannot make one. This one is a plain number.
#![forbid(unsafe_code)]
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used
)]

use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// A point on the monotonic clock of this host, in nanoseconds since its (arbitrary) epoch.
///
/// Two processes on one host read the same clock, so a stamp in a payload gives one-way latency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The instant `ns` nanoseconds after the clock's epoch.
    #[must_use]
    pub const fn from_nanos(ns: u64) -> Self {
        Self(ns)
    }

    /// Nanoseconds since the clock's epoch.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Nanoseconds from `earlier` to `self`; negative if `earlier` is later.
    ///
    /// For one-way latency between clocks that may disagree: negatives are counted, not clamped.
    #[must_use]
    pub const fn signed_since(self, earlier: Self) -> i64 {
        self.0.wrapping_sub(earlier.0).cast_signed()
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, span: Duration) {
        *self = *self + span;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(span)))
    }
}

/// A duration in nanoseconds, saturated at `u64::MAX` (584 years).
fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_stamp_than_now_is_negative_and_not_clamped() {
        let now = Instant::from_nanos(5);
        let stamp = Instant::from_nanos(12);
        assert_eq!(now.signed_since(stamp), -7);
        assert_eq!(now.since(stamp), Duration::ZERO);
    }

    #[test]
    fn adding_more_than_the_clock_holds_saturates() {
        assert_eq!(
            Instant::from_nanos(1) + Duration::MAX,
            Instant::from_nanos(u64::MAX)
        );
    }
}
