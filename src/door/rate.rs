//! So many a second, and as many at once: a token bucket.

use crate::time::Instant;
use std::time::Duration;

/// What may be had at once.
const BURST: Duration = Duration::from_secs(1);

/// So many a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoorRate {
    /// In thousandths; never 0.
    milli: u64,
}

/// How much of a rate is used: when all of it is free again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket(Instant);

impl DoorRate {
    /// So many a second; `None` for none at all.
    #[must_use]
    pub const fn per_second(count: u64) -> Option<Self> {
        Self::per_second_milli(count.saturating_mul(1000))
    }

    /// The same in thousandths.
    #[must_use]
    pub const fn per_second_milli(milli: u64) -> Option<Self> {
        match milli {
            0 => None,
            milli => Some(Self { milli }),
        }
    }

    /// The time that so many take.
    fn span(self, count: u64) -> Duration {
        let nanos = u128::from(count) * 1_000_000_000_000 / u128::from(self.milli);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX >> 2))
    }
}

impl Bucket {
    /// Whether so many may be had now; if so they are.
    pub fn takes(&mut self, rate: DoorRate, count: u64, now: Instant) -> bool {
        let free_at = self.0.max(now) + rate.span(count);
        // Rates below one a second have one at once.
        let most = BURST.max(rate.span(1));
        // A nanosecond a piece is lost to rounding.
        let may = count == 0 || free_at.since(now) <= most;
        if may {
            self.0 = free_at;
        }
        may
    }
}
