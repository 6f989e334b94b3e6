//! When to start the next piece of work: a pure function from an index to its intended time.
//!
//! The plan is fixed before the run and knows nothing of replies: that is what makes a loop open.
//! Both directions are exact integers, so that `planned` can be counted without walking the plan.

use std::num::NonZeroU64;
use std::time::Duration;

const SECOND_NS: u64 = 1_000_000_000;

/// A constant rate: `count` pieces of work in each `window_ns` nanoseconds, evenly spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: NonZeroU64,
    window_ns: NonZeroU64,
}

impl Rate {
    /// `count` pieces in each `window`; `None` if either is zero.
    #[must_use]
    pub fn new(count: u64, window: Duration) -> Option<Self> {
        let window_ns = u64::try_from(window.as_nanos()).ok()?;
        Some(Self {
            count: NonZeroU64::new(count)?,
            window_ns: NonZeroU64::new(window_ns)?,
        })
    }

    /// A rate as people write it, to a thousandth of a piece a second; `None` unless it is
    /// between 0.001 and 10^9.
    #[must_use]
    pub fn per_second(rate: f64) -> Option<Self> {
        if !(0.001..=1e9).contains(&rate) {
            return None;
        }
        if rate.fract() == 0.0 {
            return Self::new(rounded(rate), Duration::from_secs(1));
        }
        Self::new(rounded(rate * 1000.0), Duration::from_secs(1000))
    }

    /// Pieces of work in one second.
    #[must_use]
    pub fn as_per_second(self) -> f64 {
        float(self.count.get()) * float(SECOND_NS) / float(self.window_ns.get())
    }
}

/// When each piece of work of the whole run is meant to start, counted from the run's start.
///
/// Ramps, stages, Poisson arrivals and bursts are further variants of this one value: whoever
/// follows a pace asks only [`Pace::offset_ns`] and [`Pace::before`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Piece `i` starts at `i / rate`; the first one at 0.
    Constant(Rate),
}

impl Pace {
    /// Intended time of piece `index`, in nanoseconds from the start. Never falls with the index.
    #[must_use]
    pub fn offset_ns(self, index: u64) -> u64 {
        match self {
            Self::Constant(rate) => scale(index, rate.window_ns, rate.count),
        }
    }

    /// How many pieces have an intended time below `elapsed_ns`: the smallest index whose offset
    /// is not below it.
    #[must_use]
    pub fn before(self, elapsed_ns: u64) -> u64 {
        match self {
            // floor(i * window / count) < e  <=>  i * window < e * count, for whole numbers.
            Self::Constant(rate) => {
                let product = u128::from(elapsed_ns) * u128::from(rate.count.get());
                let pieces = product.div_ceil(u128::from(rate.window_ns.get()));
                u64::try_from(pieces).unwrap_or(u64::MAX)
            }
        }
    }

    /// The mean rate over the first `span`, in pieces a second.
    #[must_use]
    pub fn mean_per_second(self, span: Duration) -> f64 {
        match self {
            Self::Constant(rate) if span.is_zero() => rate.as_per_second(),
            Self::Constant(_) => {
                let span_ns = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
                float(self.before(span_ns)) / span.as_secs_f64()
            }
        }
    }
}

/// Which pieces of the run are one core's: global index `local * cores + core`.
///
/// Neighbours in time go to different cores, so every core carries the same rate at all times.
/// A core beyond the number of connections has no piece of anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stripe {
    core: u64,
    cores: u64,
}

impl Stripe {
    /// The stripe of core `core` (from 0) of `cores` (at least 1).
    #[must_use]
    pub fn new(core: u16, cores: u16) -> Self {
        assert!(core < cores, "a core outside the run has no stripe");
        Self {
            core: u64::from(core),
            cores: u64::from(cores),
        }
    }

    /// The stripe of a core of a run with so many connections: only cores that have one share.
    #[must_use]
    pub fn among(core: u16, cores: u16, connections: u32) -> Self {
        let sharing = u64::from(cores).min(u64::from(connections)).max(1);
        Self {
            core: u64::from(core),
            cores: sharing,
        }
    }

    /// How many of the first `total` pieces are this core's.
    #[must_use]
    pub fn share(self, total: u64) -> u64 {
        if self.core >= self.cores {
            return 0;
        }
        total.saturating_add(self.cores - 1 - self.core) / self.cores
    }

    /// The index in the whole run of this core's piece `local`.
    #[must_use]
    pub fn global(self, local: u64) -> u64 {
        local.saturating_mul(self.cores).saturating_add(self.core)
    }
}

/// `floor(index * window / count)`, saturated; without a wide division where the product is small.
fn scale(index: u64, window: NonZeroU64, count: NonZeroU64) -> u64 {
    if let Some(product) = index.checked_mul(window.get()) {
        return product / count;
    }
    let wide = u128::from(index) * u128::from(window.get()) / u128::from(count.get());
    u64::try_from(wide).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "for figures that people read")]
fn float(n: u64) -> f64 {
    n as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the caller has checked that 0 < n <= 10^12"
)]
fn rounded(n: f64) -> u64 {
    n.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn constant(count: u64, window: Duration) -> Pace {
        Pace::Constant(Rate::new(count, window).unwrap())
    }

    #[test]
    fn a_constant_pace_is_exact_at_every_index() {
        let pace = constant(3, Duration::from_secs(1));
        let offsets: Vec<u64> = (0..7).map(|i| pace.offset_ns(i)).collect();
        let third = 333_333_333;
        let expected = [
            0,
            third,
            2 * third,
            SECOND_NS,
            SECOND_NS + third,
            1_666_666_666,
            2 * SECOND_NS,
        ];
        assert_eq!(offsets, expected);
    }

    #[test]
    fn an_hour_at_half_a_million_a_second_does_not_drift() {
        let pace = Pace::Constant(Rate::per_second(500_000.0).unwrap());
        let hour = 3_600 * SECOND_NS;
        assert_eq!(pace.before(hour), 1_800_000_000);
        assert_eq!(pace.offset_ns(1_800_000_000), hour);
        let beyond_u64 = 100_000_000_000;
        assert_eq!(pace.offset_ns(beyond_u64), beyond_u64 * 2_000);
    }

    #[test]
    fn rates_that_cannot_be_meant_are_refused() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e10, 0.0001] {
            assert_eq!(Rate::per_second(rate), None, "{rate}");
        }
        assert_eq!(Rate::new(0, Duration::from_secs(1)), None);
        assert_eq!(Rate::new(1, Duration::ZERO), None);
    }

    #[test]
    fn cores_without_a_connection_share_nothing() {
        let shares = [0, 1, 2, 3].map(|core| Stripe::among(core, 4, 2).share(1_000));
        assert_eq!(shares, [500, 500, 0, 0]);
    }

    #[test]
    fn a_fractional_rate_is_kept_to_a_thousandth() {
        let pace = Pace::Constant(Rate::per_second(0.5).unwrap());
        assert_eq!(pace.offset_ns(3), 6 * SECOND_NS);
        assert!((pace.mean_per_second(Duration::from_secs(10)) - 0.5).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn before_counts_exactly_the_pieces_with_a_smaller_offset(
            count in 1..2_000_000_u64, window_ms in 1..5_000_u64, index in 0..10_000_000_000_u64,
        ) {
            let pace = constant(count, Duration::from_millis(window_ms));
            let offset = pace.offset_ns(index);
            prop_assert!(pace.before(offset) <= index);
            prop_assert!(pace.before(offset + 1) > index);
            prop_assert!(pace.offset_ns(index + 1) >= offset);
        }

        #[test]
        fn the_stripes_share_everything_once(cores in 1..70_u16, total in 0..5_000_u64) {
            let mut seen = vec![0_u32; usize::try_from(total).unwrap()];
            for core in 0..cores {
                let stripe = Stripe::new(core, cores);
                for local in 0..stripe.share(total) {
                    seen[usize::try_from(stripe.global(local)).unwrap()] += 1;
                }
                prop_assert!(stripe.global(stripe.share(total)) >= total);
            }
            prop_assert!(seen.iter().all(|&n| n == 1));
        }
    }
}
