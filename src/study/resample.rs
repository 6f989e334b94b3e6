//! The bootstrap: how a statistic varies when its samples are drawn again, with replacement.
//!
//! Efron and Tibshirani, An Introduction to the Bootstrap (1993), 13.3: percentile intervals.

use super::ConfidenceRange;
use super::order::{count, sorted};

/// Draws of one interval.
const DRAWS: usize = 2_000;
/// Fewer values have no interval: the extremes of so few say nothing of a tail.
pub const LEAST: usize = 6;

/// The 95 % percentile interval of a statistic of these values; open of fewer than [`LEAST`].
///
/// The values are to be independent: of a series in time, give it means or percentiles of batches.
pub fn interval(
    values: &[f64],
    seed: u64,
    statistic: impl Fn(&[f64]) -> Option<f64>,
) -> ConfidenceRange {
    if values.len() < LEAST {
        return ConfidenceRange::OPEN;
    }
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut drawn = Vec::with_capacity(values.len());
    let mut found = Vec::with_capacity(DRAWS);
    for _ in 0..DRAWS {
        drawn.clear();
        drawn.extend(values.iter().filter_map(|_| rng.choice(values)));
        found.extend(statistic(&drawn));
    }
    middle(&found)
}

/// The range that leaves out a fortieth at each end.
pub(super) fn middle(found: &[f64]) -> ConfidenceRange {
    let sorted = sorted(found);
    let tail = sorted.len() / 40;
    let ends = sorted.get(tail).zip(sorted.iter().rev().nth(tail));
    ends.map_or(ConfidenceRange::OPEN, |(&low, &high)| ConfidenceRange {
        low,
        high,
    })
}

/// The mean; `None` of none.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / count(values.len()))
}

/// The median; `None` of none.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    super::order::median(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_mean_holds_it_in_nineteen_of_twenty() {
        let mut rng = fastrand::Rng::with_seed(19);
        let held = (0..400)
            .filter(|seed| {
                // Twelve uniform numbers less six: mean 0, deviation 1.
                let normal = |_| (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0;
                let values: Vec<f64> = (0..40).map(normal).collect();
                interval(&values, *seed, mean).holds(0.0)
            })
            .count();
        assert!((360..=396).contains(&held), "{held} of 400");
    }

    #[test]
    fn few_values_have_an_open_interval() {
        assert_eq!(interval(&[1.0; LEAST - 1], 1, mean), ConfidenceRange::OPEN);
        assert_eq!(
            interval(&[1.0; LEAST], 1, mean),
            ConfidenceRange {
                low: 1.0,
                high: 1.0
            }
        );
    }
}
