//! The Universal Scalability Law, fitted: how throughput grows with cores or with requests in
//! flight, and where it is greatest.
//!
//! `X(N) = lambda N / (1 + sigma (N - 1) + kappa N (N - 1))` (Gunther, Guerrilla Capacity Planning,
//! 2007). `N / X` is linear in its three parts, none of which is negative.

use super::ConfidenceRange;
use super::resample::middle;

/// Levels of N that a fit needs.
pub const LEVELS_MIN: usize = 6;
/// Draws for its intervals.
const DRAWS: usize = 400;

/// A fitted law.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Law {
    /// What one does alone.
    pub lambda: f64,
    /// The part that waits for others.
    pub sigma: f64,
    /// The part that must be agreed upon with each other.
    pub kappa: f64,
}

/// A law with the ranges of its parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// The law.
    pub law: Law,
    /// Of `sigma`.
    pub sigma: ConfidenceRange,
    /// Of `kappa`.
    pub kappa: ConfidenceRange,
    /// The largest N that was measured: the law is said up to twice that.
    pub measured_to: f64,
}

impl Law {
    /// Throughput at that N.
    #[must_use]
    pub fn at(&self, n: f64) -> f64 {
        let more = n - 1.0;
        self.lambda * n / (1.0 + self.sigma * more + self.kappa * n * more)
    }

    /// The N of the greatest throughput; `None` where there is none.
    #[must_use]
    pub fn peak(&self) -> Option<f64> {
        (self.kappa > 0.0 && self.sigma < 1.0).then(|| ((1.0 - self.sigma) / self.kappa).sqrt())
    }

    /// The law of points N and X with the least squares; `None` where they are of fewer than three
    /// levels.
    fn of(points: &[(f64, f64)]) -> Option<Self> {
        let rows: Vec<([f64; 3], f64)> = points
            .iter()
            .filter(|(n, x)| *n > 0.0 && *x > 0.0)
            // Each weighed so that a part of X counts alike at every level.
            .map(|(n, x)| ([x / n, x * (n - 1.0) / n, x * (n - 1.0)], 1.0))
            .collect();
        let [alone, waits, agrees] = least_squares(&rows)?;
        (alone > 0.0).then(|| Self {
            lambda: 1.0 / alone,
            sigma: waits / alone,
            kappa: agrees / alone,
        })
    }
}

impl Fit {
    /// Fits points N and X; `None` of fewer than [`LEVELS_MIN`] levels.
    #[must_use]
    pub fn of(points: &[(f64, f64)], seed: u64) -> Option<Self> {
        let mut levels: Vec<f64> = points.iter().map(|(n, _)| *n).collect();
        levels.sort_by(f64::total_cmp);
        levels.dedup();
        if levels.len() < LEVELS_MIN {
            return None;
        }
        let law = Law::of(points)?;
        // Points are few and their levels were chosen: what is drawn again is how far each is off.
        let off: Vec<f64> = points.iter().map(|(n, x)| x / law.at(*n)).collect();
        let mut rng = fastrand::Rng::with_seed(seed);
        let (mut sigmas, mut kappas) = (Vec::new(), Vec::new());
        for _ in 0..DRAWS {
            let drawn = points.iter().filter_map(|(n, _)| {
                let off = rng.choice(&off)?;
                Some((*n, law.at(*n) * off))
            });
            let drawn: Vec<(f64, f64)> = drawn.collect();
            if let Some(again) = Law::of(&drawn) {
                sigmas.push(again.sigma);
                kappas.push(again.kappa);
            }
        }
        Some(Self {
            law,
            sigma: middle(&sigmas),
            kappa: middle(&kappas),
            measured_to: levels.last().copied()?,
        })
    }

    /// Throughput at that N; `None` beyond twice what was measured.
    #[must_use]
    pub fn at(&self, n: f64) -> Option<f64> {
        (n <= 2.0 * self.measured_to).then(|| self.law.at(n))
    }
}

/// The three coefficients, none negative, with the least squares of `coefficients . row - value`.
///
/// Of three there are seven ways to leave some out: the best one without a negative coefficient.
fn least_squares(rows: &[([f64; 3], f64)]) -> Option<[f64; 3]> {
    let tried = (1_u8..8).filter_map(|kept| {
        let is_kept = |n: usize| kept & (1 << n) != 0;
        let found = solved(rows, is_kept)?;
        if found.iter().any(|part| *part < 0.0 || !part.is_finite()) {
            return None;
        }
        let errors = rows.iter().map(|(row, value)| {
            let sum: f64 = row.iter().zip(&found).map(|(a, b)| a * b).sum();
            (sum - value).powi(2)
        });
        Some((errors.sum::<f64>(), found))
    });
    let best = tried.min_by(|a, b| a.0.total_cmp(&b.0));
    best.map(|(_, found)| found)
}

/// The normal equations of those that are kept, solved by elimination; the others are 0.
fn solved(rows: &[([f64; 3], f64)], is_kept: impl Fn(usize) -> bool) -> Option<[f64; 3]> {
    let mut equations = [[0.0; 4]; 3];
    for (at, equation) in equations.iter_mut().enumerate() {
        for (other, cell) in equation.iter_mut().enumerate() {
            let product = |(row, value): &([f64; 3], f64)| {
                let left = row.get(at).copied().unwrap_or(0.0);
                left * row.get(other).copied().unwrap_or(*value)
            };
            let is_in = is_kept(at) && (other == 3 || is_kept(other));
            *cell = if is_in {
                rows.iter().map(product).sum()
            } else {
                f64::from(u8::from(at == other))
            };
        }
    }
    let scale = equations.iter().flatten().copied().fold(0.0, f64::max);
    for step in 0..3 {
        let pivot_row = *equations.get(step)?;
        let pivot = *pivot_row.get(step)?;
        // Each column is of its own size: levels that do not tell two parts apart leave nothing.
        if pivot.abs() <= scale * 1e-14 {
            return None;
        }
        for (at, equation) in equations.iter_mut().enumerate() {
            if at == step {
                continue;
            }
            let times = equation.get(step).copied()? / pivot;
            for (cell, above) in equation.iter_mut().zip(&pivot_row) {
                *cell -= times * above;
            }
        }
    }
    let mut found = [0.0; 3];
    for (at, (place, equation)) in found.iter_mut().zip(&equations).enumerate() {
        *place = equation.get(3)? / equation.get(at)?;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAW: Law = Law {
        lambda: 1_000.0,
        sigma: 0.03,
        kappa: 0.000_4,
    };

    fn levels(law: Law) -> Vec<(f64, f64)> {
        let levels = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];
        levels.map(|n| (n, law.at(n))).to_vec()
    }

    #[test]
    fn a_law_is_found_again_and_its_peak() {
        let fit = Fit::of(&levels(LAW), 1).unwrap();
        let law = fit.law;
        assert!((law.lambda / LAW.lambda - 1.0).abs() < 1e-6, "{law:?}");
        assert!((law.sigma - LAW.sigma).abs() < 1e-6 && (law.kappa - LAW.kappa).abs() < 1e-8);
        assert!((law.peak().unwrap() - (0.97_f64 / 0.000_4).sqrt()).abs() < 0.01);
        assert!(fit.at(128.0).is_some() && fit.at(129.0).is_none());
    }

    #[test]
    fn what_scales_without_loss_has_no_negative_part_and_no_peak() {
        let straight = Law {
            sigma: 0.0,
            kappa: 0.0,
            ..LAW
        };
        let law = Fit::of(&levels(straight), 1).unwrap().law;
        assert!(
            law.sigma >= 0.0 && law.sigma < 1e-6 && law.kappa < 1e-8,
            "{law:?}"
        );
        let better_than_linear = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0].map(|n: f64| (n, n.powf(1.1)));
        let law = Fit::of(&better_than_linear, 1).unwrap().law;
        assert!(law.sigma >= 0.0 && law.kappa >= 0.0 && law.peak().is_none());
    }

    #[test]
    fn noise_leaves_the_truth_within_the_intervals() {
        let mut rng = fastrand::Rng::with_seed(5);
        let held = (0..200).filter(|seed| {
            let mut noisy = levels(LAW);
            noisy.extend(levels(LAW));
            for (_, x) in &mut noisy {
                *x *= 1.0 + 0.04 * (rng.f64() - 0.5);
            }
            let fit = Fit::of(&noisy, *seed).unwrap();
            fit.sigma.holds(LAW.sigma) && fit.kappa.holds(LAW.kappa)
        });
        let held = held.count();
        assert!(held >= 160, "{held} of 200");
    }

    #[test]
    fn five_levels_are_not_enough() {
        let points = [1.0, 2.0, 3.0, 4.0, 5.0, 5.0].map(|n| (n, LAW.at(n)));
        assert_eq!(Fit::of(&points, 1), None);
    }
}
