//! How a measured value, or an interval that it lies in, is compared with a bound.

use super::judgement::Verdict;

/// How the measured value is compared with the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Below,
    AtMost,
    Above,
    AtLeast,
    Equal,
}

impl Op {
    pub(super) const ALL: [(&'static str, Self); 5] = [
        ("<=", Self::AtMost),
        (">=", Self::AtLeast),
        ("==", Self::Equal),
        ("<", Self::Below),
        (">", Self::Above),
    ];

    fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Self::Below => value < bound,
            Self::AtMost => value <= bound,
            Self::Above => value > bound,
            Self::AtLeast => value >= bound,
            Self::Equal => (value - bound).abs() <= f64::EPSILON * bound.abs(),
        }
    }

    /// What holds of a whole interval passes, what holds of no part of it fails.
    pub(super) fn judge(
        self,
        value: f64,
        interval: Option<(f64, Option<f64>)>,
        bound: f64,
    ) -> Verdict {
        let (low, high) = interval.unwrap_or((value, Some(value)));
        let holds_low = self.holds(low, bound);
        let holds_high = high.map(|high| self.holds(high, bound));
        let (passes, fails) = match self {
            Self::Below | Self::AtMost => (holds_high == Some(true), !holds_low),
            Self::Above | Self::AtLeast => (holds_low, holds_high == Some(false)),
            Self::Equal => {
                let is_outside = bound < low || high.is_some_and(|high| high < bound);
                (holds_low && holds_high == Some(true), is_outside)
            }
        };
        match (passes, fails) {
            (true, _) => Verdict::Pass,
            (false, true) => Verdict::Fail,
            (false, false) if interval.is_none() => Verdict::Fail,
            (false, false) => Verdict::Inconclusive,
        }
    }

    pub(super) const fn is_upper(self) -> bool {
        match self {
            Self::Below | Self::AtMost => true,
            Self::Above | Self::AtLeast | Self::Equal => false,
        }
    }
}
