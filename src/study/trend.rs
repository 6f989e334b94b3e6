//! A straight line through points: what there is at nothing, and what each unit adds, as
//! `M(C) = M0 + m C` of memory by connections.
//!
//! Least squares with the t interval of its slope (Draper and Smith, Applied Regression Analysis).

use super::ConfidenceRange;
use super::order::count;

/// A line through points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// Its height at 0.
    pub base: f64,
    /// What each unit adds.
    pub slope: f64,
    /// Where the slope lies, with 95 % confidence; open of two points.
    pub slope_range: ConfidenceRange,
}

/// The 97.5 % points of Student's t, from one degree of freedom on.
const T_975: [f64; 12] = [
    12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179,
];

impl Trend {
    /// The line through these points; `None` of fewer than two places.
    #[must_use]
    pub fn through(points: &[(f64, f64)]) -> Option<Self> {
        let n = count(points.len());
        if points.is_empty() {
            return None;
        }
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
        let (x_mean, y_mean) = (mean(|it| it.0), mean(|it| it.1));
        let spread: f64 = points.iter().map(|(x, _)| (x - x_mean).powi(2)).sum();
        if spread <= 0.0 {
            return None;
        }
        let both = points.iter().map(|(x, y)| (x - x_mean) * (y - y_mean));
        let slope = both.sum::<f64>() / spread;
        let base = y_mean - slope * x_mean;
        let left = points.iter().map(|(x, y)| (y - base - slope * x).powi(2));
        let freedom = points.len() - 2;
        let slope_range = if freedom == 0 {
            ConfidenceRange::OPEN
        } else {
            let deviation = (left.sum::<f64>() / count(freedom) / spread).sqrt();
            let half = t_975(freedom) * deviation;
            ConfidenceRange {
                low: slope - half,
                high: slope + half,
            }
        };
        Some(Self {
            base,
            slope,
            slope_range,
        })
    }

    /// Its height there.
    #[must_use]
    pub fn at(&self, x: f64) -> f64 {
        self.base + self.slope * x
    }

    /// Where it reaches that height; `None` if it does not rise to it.
    #[must_use]
    pub fn reaches(&self, y: f64) -> Option<f64> {
        (self.slope > 0.0).then(|| (y - self.base) / self.slope)
    }
}

fn t_975(freedom: usize) -> f64 {
    let known = T_975.get(freedom.saturating_sub(1));
    known.copied().unwrap_or(1.96 + 2.4 / count(freedom))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_where_points_lie_on_one() {
        let points = [1_000.0, 2_000.0, 4_000.0, 8_000.0].map(|c| (c, 5e6 + 312.0 * c));
        let line = Trend::through(&points).unwrap();
        assert!((line.slope - 312.0).abs() < 1e-6 && (line.base - 5e6).abs() < 1.0);
        assert!((line.reaches(5e6 + 312e5).unwrap() - 1e5).abs() < 1e-3);
        assert!(line.slope_range.holds(312.0));
    }

    #[test]
    fn the_interval_of_the_slope_holds_it_in_nineteen_of_twenty() {
        let mut rng = fastrand::Rng::with_seed(3);
        let held = (0..1_000).filter(|_| {
            let mut noise = || (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0;
            let points = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0].map(|c| (c, 10.0 + 2.0 * c + noise()));
            Trend::through(&points).unwrap().slope_range.holds(2.0)
        });
        let held = held.count();
        assert!((930..=970).contains(&held), "{held} of 1,000");
    }

    #[test]
    fn points_at_one_place_have_no_line() {
        assert_eq!(Trend::through(&[]), None);
        assert_eq!(Trend::through(&[(1.0, 2.0), (1.0, 3.0)]), None);
        let two = Trend::through(&[(0.0, 1.0), (1.0, 1.0)]).unwrap();
        assert_eq!(
            (two.slope_range, two.reaches(5.0)),
            (ConfidenceRange::OPEN, None)
        );
    }
}
