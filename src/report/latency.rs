//! One latency of a run: percentiles that enough samples stand behind, and the distribution.

use super::figures::float;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Steps of the ladder per halving of the distance to 100 %: HdrHistogram's default.
const LADDER_TICKS: u32 = 5;
/// 95 % of a normal distribution lies within this many standard deviations.
const NORMAL_95: f64 = 1.96;

/// One latency. All values in nanoseconds, of a histogram with 3 significant digits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatencyRecord {
    /// Samples.
    pub samples: u64,
    /// Smallest sample.
    pub min_ns: u64,
    /// Mean.
    pub mean_ns: f64,
    /// Standard deviation.
    pub stdev_ns: f64,
    /// Median; `None` below 200 samples.
    pub p50_ns: Option<u64>,
    /// 90th percentile; `None` below 1,000 samples.
    pub p90_ns: Option<u64>,
    /// 99th percentile; `None` below 10,000 samples.
    pub p99_ns: Option<u64>,
    /// 99.9th percentile; `None` below 100,000 samples.
    pub p99_9_ns: Option<u64>,
    /// Largest sample.
    pub max_ns: u64,
    /// 95 % rank confidence intervals (`n p +- 1.96 sqrt(n p (1 - p))`), as if samples were
    /// independent; they are not quite.
    pub interval_ns: Intervals,
    /// The distribution in bands of 1, 2, 5 times a power of ten: upper bound (exclusive) in
    /// nanoseconds, samples below it and not below the band before. Empty ends are left out.
    pub bands: Vec<(u64, u64)>,
    /// The percentile ladder of `.hgrm` files: value in nanoseconds, quantile, samples up to it.
    pub ladder: Vec<(u64, f64, u64)>,
    /// Buckets of the histogram, for the footer of `.hgrm` files.
    pub buckets: u64,
    /// Sub-buckets of one bucket.
    pub sub_buckets: u64,
}

/// Confidence intervals of the percentiles, each low and high in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intervals {
    /// Of the median.
    pub p50: Option<(u64, u64)>,
    /// Of the 90th percentile.
    pub p90: Option<(u64, u64)>,
    /// Of the 99th percentile.
    pub p99: Option<(u64, u64)>,
    /// Of the 99.9th percentile.
    pub p99_9: Option<(u64, u64)>,
}

/// A percentile as `1 - 1 / inverse`, so that the sample rule is a whole number.
#[derive(Clone, Copy)]
struct Rank {
    inverse: u64,
}

const P50: Rank = Rank { inverse: 2 };
const P90: Rank = Rank { inverse: 10 };
const P99: Rank = Rank { inverse: 100 };
const P99_9: Rank = Rank { inverse: 1_000 };

impl LatencyRecord {
    /// The record of a histogram in nanoseconds; `None` if it is empty.
    #[must_use]
    pub fn new(histogram: &Histogram<u64>) -> Option<Self> {
        if histogram.is_empty() {
            return None;
        }
        let ladder = histogram.iter_quantiles(LADDER_TICKS).scan(0, |sum, step| {
            *sum += step.count_since_last_iteration();
            Some((step.value_iterated_to(), step.quantile_iterated_to(), *sum))
        });
        Some(Self {
            samples: histogram.len(),
            min_ns: histogram.min(),
            mean_ns: histogram.mean(),
            stdev_ns: histogram.stdev(),
            p50_ns: P50.value(histogram),
            p90_ns: P90.value(histogram),
            p99_ns: P99.value(histogram),
            p99_9_ns: P99_9.value(histogram),
            max_ns: histogram.max(),
            interval_ns: Intervals {
                p50: P50.interval(histogram),
                p90: P90.interval(histogram),
                p99: P99.interval(histogram),
                p99_9: P99_9.interval(histogram),
            },
            bands: bands(histogram),
            ladder: ladder.collect(),
            buckets: u64::from(histogram.buckets()),
            sub_buckets: (2 * 10_u64.pow(u32::from(histogram.sigfig()))).next_power_of_two(),
        })
    }

    /// The percentile of that name, such as `p99.9`, if it is kept and known.
    pub(super) fn percentile_ns(&self, name: &str) -> Option<u64> {
        match name {
            "p50" => self.p50_ns,
            "p90" => self.p90_ns,
            "p99" => self.p99_ns,
            "p99.9" | "p99_9" => self.p99_9_ns,
            _ => None,
        }
    }

    /// Samples that a percentile `1 - 1 / inverse` needs.
    #[must_use]
    pub const fn samples_needed(inverse: u64) -> u64 {
        100 * inverse
    }
}

impl Rank {
    fn quantile(self) -> f64 {
        1.0 - 1.0 / float(self.inverse)
    }

    fn is_backed(self, histogram: &Histogram<u64>) -> bool {
        histogram.len() >= LatencyRecord::samples_needed(self.inverse)
    }

    fn value(self, histogram: &Histogram<u64>) -> Option<u64> {
        self.is_backed(histogram)
            .then(|| histogram.value_at_quantile(self.quantile()))
    }

    fn interval(self, histogram: &Histogram<u64>) -> Option<(u64, u64)> {
        if !self.is_backed(histogram) {
            return None;
        }
        let n = float(histogram.len());
        let middle = n * self.quantile();
        let half = NORMAL_95 * (middle * (1.0 - self.quantile())).sqrt();
        let low = histogram.value_at_quantile((middle - half) / n);
        let high = histogram.value_at_quantile(((middle + half) / n).min(1.0));
        Some((low, high))
    }
}

fn bands(histogram: &Histogram<u64>) -> Vec<(u64, u64)> {
    let bounds = (0..12).flat_map(|power| [1, 2, 5].map(|n| n * 10_u64.pow(power)));
    let mut bands: Vec<(u64, u64)> = bounds.map(|bound| (bound, 0)).collect();
    for cell in histogram.iter_recorded() {
        let value = histogram.lowest_equivalent(cell.value_iterated_to());
        let place = bands.partition_point(|&(bound, _)| bound <= value);
        if let Some((_, count)) = bands.get_mut(place) {
            *count += cell.count_at_value();
        }
    }
    let used = |&(_, count): &(u64, u64)| count > 0;
    let first = bands.iter().position(used).unwrap_or(0);
    let end = bands.iter().rposition(used).map_or(0, |last| last + 1);
    bands.truncate(end);
    bands.split_off(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::latency::Latency;

    fn record_of(samples: impl Iterator<Item = u64>) -> LatencyRecord {
        let mut latency = Latency::default();
        samples.for_each(|ns| latency.record_ns(ns));
        LatencyRecord::new(latency.histogram()).unwrap()
    }

    #[test]
    fn a_percentile_is_given_only_with_a_hundred_samples_beyond_it() {
        assert_eq!(record_of(0..199).p50_ns, None);
        assert!(record_of(0..200).p50_ns.is_some());
        assert_eq!(record_of(0..9_999).p99_ns, None);
        let enough = record_of((0..100_000).map(|i| i * 10));
        assert!(enough.p99_9_ns.is_some() && enough.interval_ns.p99_9.is_some());
    }

    #[test]
    fn the_rank_interval_holds_the_percentile() {
        let record = record_of((0..100_000).map(|i| i * 10));
        let (low, high) = record.interval_ns.p99.unwrap();
        let p99 = record.p99_ns.unwrap();
        assert!(low < p99 && p99 < high, "{low} {p99} {high}");
        // sqrt(n p (1 - p)) is 31.5 ranks, 1.96 of them 61.7, 10 ns apart.
        assert!((p99 - low).abs_diff(617) < 1_000 && (high - p99).abs_diff(617) < 1_000);
    }

    #[test]
    fn the_bands_hold_every_sample_once() {
        let mut rng = fastrand::Rng::with_seed(7);
        let record = record_of((0..10_000).map(|_| rng.u64(100..80_000_000)));
        assert_eq!(
            record.bands.iter().map(|&(_, n)| n).sum::<u64>(),
            record.samples
        );
        assert!(record.bands.len() < 20);
    }

    #[test]
    fn nothing_recorded_is_no_record() {
        assert_eq!(LatencyRecord::new(Latency::default().histogram()), None);
    }

    #[test]
    fn one_sample_has_a_ladder_and_no_percentile() {
        let record = record_of(std::iter::once(1_500_000));
        assert_eq!((record.samples, record.p50_ns), (1, None));
        assert_eq!(record.ladder.last().unwrap().2, 1);
    }
}
