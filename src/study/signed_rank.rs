//! The Wilcoxon signed-rank interval of a centre of symmetry, exact for few values.
//!
//! Hollander, Wolfe and Chicken, Nonparametric Statistical Methods (2014), 3.1 to 3.3: the centre
//! is the median of all means of two values (Hodges and Lehmann), its interval lies between two of
//! them, and which two follows from how rank sums are distributed when signs are tossed.

use super::ConfidenceRange;
use super::order::{count, median_of_sorted};

/// The chance that is left beyond each end.
const TAIL: f64 = 0.025;
/// Up to so many values the distribution is counted out; beyond it is normal enough.
const EXACT_MOST: usize = 60;
/// Beyond it lies a fortieth of the normal distribution.
const NORMAL_TAIL: f64 = 1.96;

/// The centre of values, and its 95 % interval; an open one of fewer than six. `None` of none.
pub(super) fn centre(values: &[f64]) -> Option<(f64, ConfidenceRange)> {
    let means = walsh(values);
    let centre = median_of_sorted(&means)?;
    let range = match left_out(values.len()) {
        None => ConfidenceRange::OPEN,
        Some(left_out) => {
            let ends = means.get(left_out).zip(means.iter().rev().nth(left_out));
            ends.map_or(ConfidenceRange::OPEN, |(&low, &high)| ConfidenceRange {
                low,
                high,
            })
        }
    };
    Some((centre, range))
}

/// The means of every two values and of each with itself, in ascending order.
fn walsh(values: &[f64]) -> Vec<f64> {
    let pairs = values.iter().enumerate().flat_map(|(at, one)| {
        let rest = values.iter().skip(at);
        rest.map(move |other| f64::midpoint(*one, *other))
    });
    let mut means: Vec<f64> = pairs.collect();
    means.sort_by(f64::total_cmp);
    means
}

/// How many of the means lie beyond each end of the interval; `None` if there is none.
fn left_out(n: usize) -> Option<usize> {
    if n > EXACT_MOST {
        let n = count(n);
        let deviation = (n * (n + 1.0) * (2.0 * n + 1.0) / 24.0).sqrt();
        let rank = n * (n + 1.0) / 4.0 - NORMAL_TAIL * deviation;
        return Some(whole(rank));
    }
    // Subsets of the ranks 1 to n by their sum: each is as likely as another.
    let mut subsets = vec![0.0; n * (n + 1) / 2 + 1];
    if let Some(none) = subsets.first_mut() {
        *none = 1.0;
    }
    for rank in 1..=n {
        for sum in (rank..subsets.len()).rev() {
            let without = subsets.get(sum - rank).copied().unwrap_or(0.0);
            if let Some(here) = subsets.get_mut(sum) {
                *here += without;
            }
        }
    }
    let all = 2_f64.powi(i32::try_from(n).unwrap_or(i32::MAX));
    let mut below = 0.0;
    let rare = subsets.iter().take_while(|&&here| {
        below += here / all;
        below <= TAIL
    });
    rare.count().checked_sub(1)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float-to-integer cast saturates; the ranks of 2^32 values do not fit into memory"
)]
fn whole(rank: f64) -> usize {
    rank.max(0.0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_are_those_of_the_tables() {
        // Hollander, Wolfe and Chicken, table A.4: P(W <= 8) = 0.0244 of ten; of five the rarest
        // sum has 1/32, which is more than a fortieth.
        let expected = [
            (5, None),
            (6, Some(0)),
            (8, Some(3)),
            (10, Some(8)),
            (20, Some(52)),
        ];
        assert_eq!(expected.map(|(n, _)| (n, left_out(n))), expected);
        let (exact, normal) = (left_out(60).unwrap(), left_out(61).unwrap());
        assert!((exact..exact + 35).contains(&normal), "{exact} {normal}");
    }

    #[test]
    fn the_interval_of_ten_lies_between_means_of_two() {
        let values: Vec<f64> = (1..=10).map(f64::from).collect();
        let (centre, range) = centre(&values).unwrap();
        assert!((centre - 5.5).abs() < 1e-9);
        assert_eq!((range.low, range.high), (3.0, 8.0));
    }

    #[test]
    fn one_that_is_far_out_moves_little() {
        let mut values: Vec<f64> = (1..=20).map(f64::from).collect();
        let before = centre(&values).unwrap().0;
        values.push(1e9);
        let after = centre(&values).unwrap().0;
        assert!((after - before).abs() <= 1.0, "{before} {after}");
    }
}
