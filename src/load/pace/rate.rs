//! A constant rate as an exact fraction: so many pieces of work in so many nanoseconds.

use super::float;
use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

const SECOND_NS: u64 = 1_000_000_000;

/// A constant rate: `count` pieces of work in each `window_ns` nanoseconds, evenly spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub(super) count: NonZeroU64,
    pub(super) window_ns: NonZeroU64,
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

    /// That many times the rate; `None` beyond 10^9 a second or for 0.
    #[must_use]
    pub fn times(self, factor: u32) -> Option<Self> {
        let count = self.count.get().checked_mul(u64::from(factor))?;
        let rate = Self {
            count: NonZeroU64::new(count)?,
            ..self
        };
        (rate.as_per_second() <= 1e9).then_some(rate)
    }

    /// Pieces of work in one second.
    #[must_use]
    pub fn as_per_second(self) -> f64 {
        float(self.count.get()) * float(SECOND_NS) / float(self.window_ns.get())
    }

    /// Thousandths of a piece in one second; what people write has no finer part.
    #[must_use]
    pub fn milli_per_second(self) -> u64 {
        rounded(self.as_per_second() * 1000.0)
    }

    /// `floor(index * window / count)`, saturated; without a wide division where the product is
    /// small.
    #[inline]
    pub(super) fn offset_ns(self, index: u64) -> u64 {
        if let Some(product) = index.checked_mul(self.window_ns.get()) {
            return product / self.count;
        }
        let wide = u128::from(index) * u128::from(self.window_ns.get());
        u64::try_from(wide / u128::from(self.count.get())).unwrap_or(u64::MAX)
    }

    /// Pieces with a smaller offset: `floor(i * window / count) < e  <=>  i * window < e * count`,
    /// for whole numbers.
    pub(super) fn before(self, elapsed_ns: u64) -> u64 {
        let product = u128::from(elapsed_ns) * u128::from(self.count.get());
        let pieces = product.div_ceil(u128::from(self.window_ns.get()));
        u64::try_from(pieces).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.as_per_second())
    }
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

    #[test]
    fn rates_that_cannot_be_meant_are_refused() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e10, 0.0001] {
            assert_eq!(Rate::per_second(rate), None, "{rate}");
        }
        assert_eq!(Rate::new(0, Duration::from_secs(1)), None);
        assert_eq!(Rate::new(1, Duration::ZERO), None);
        let fast = Rate::per_second(1e9).unwrap();
        assert_eq!((fast.times(2), fast.times(0)), (None, None));
    }
}
