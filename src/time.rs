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

/// Unix time, as far as a core is told of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WallClock {
    /// Since 1970.
    pub unix: Duration,
    /// When it was that.
    pub at: Instant,
}

impl WallClock {
    /// Seconds of Unix time.
    #[must_use]
    pub fn seconds(self, now: Instant) -> u64 {
        (self.unix + now.since(self.at)).as_secs()
    }

    /// When that second began; `None` if another one ended before it is known what time it was.
    #[must_use]
    pub fn instant(self, seconds: u64) -> Option<Instant> {
        let at = Duration::from_secs(seconds);
        let since = at.checked_sub(Duration::from_secs(self.unix.as_secs()))?;
        // The first one had begun before.
        Some(self.at + since.saturating_sub(Duration::from_nanos(self.unix.subsec_nanos().into())))
    }

    /// Unix time at that instant, which may be before the clock was read.
    #[must_use]
    pub const fn unix_at(self, at: Instant) -> Duration {
        match self.unix.checked_sub(self.at.since(at)) {
            Some(before) => before.saturating_add(at.since(self.at)),
            None => Duration::ZERO,
        }
    }

    /// When it was that time; the beginning of the clock for what was before it, and no later than
    /// when the clock was read.
    #[must_use]
    pub fn past(self, unix: Duration) -> Instant {
        self.at - self.unix.saturating_sub(unix)
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

    #[test]
    fn what_was_at_a_time_is_found_again_by_a_clock_that_was_read_later() {
        let seconds = |count: u64| Instant::from_nanos(count * 1_000_000_000);
        let unix = Duration::from_secs(1000);
        let first = WallClock {
            unix,
            at: seconds(50),
        };
        let told = first.unix_at(seconds(40));
        assert_eq!(told, Duration::from_secs(990));
        assert_eq!(first.unix_at(seconds(52)), Duration::from_secs(1002));
        // The host has begun anew, and its clock with it.
        let later = WallClock {
            unix: unix + Duration::from_secs(60),
            at: seconds(80),
        };
        assert_eq!(later.past(told), seconds(10));
        assert_eq!(later.past(Duration::ZERO), Instant::default());
        assert_eq!(later.past(unix * 2), later.at, "no time to come");
    }
}
