//! One latency of a run: percentiles with their intervals, and the distribution.

use super::figures::span;
use super::percentile::{Missing, Percentile, Ranks};
use crate::load::latency::Latency;
use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Steps of the ladder per halving of the distance to 100 %: HdrHistogram's default.
const LADDER_TICKS: u32 = 5;
/// The percentiles that are kept: their names in the record and to people, and their quantiles.
const KEPT: [(&str, &str, f64); 4] = [
    ("p50", "p50", 0.5),
    ("p90", "p90", 0.9),
    ("p99", "p99", 0.99),
    ("p99_9", "p99.9", 0.999),
];

/// One latency. All values in nanoseconds, of a histogram with 3 significant digits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatencyRecord {
    /// Samples.
    pub samples: u64,
    /// Smallest sample.
    pub min_ns: u64,
    /// Mean.
    pub mean_ns: f64,
    /// Standard deviation.
    pub stdev_ns: f64,
    /// Messages that got no reply: the percentiles are of all that were sent, these the latest.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub unanswered: u64,
    /// Median.
    pub p50_ns: u64,
    /// 90th percentile.
    pub p90_ns: u64,
    /// 99th percentile.
    pub p99_ns: u64,
    /// 99.9th percentile.
    pub p99_9_ns: u64,
    /// Percentiles with fewer than `100 / (1 - p)` samples behind them.
    #[serde(default)]
    pub few: Vec<String>,
    /// Percentiles that fall among the messages without a reply: those are lower bounds.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub at_least: Vec<String>,
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

/// Confidence intervals of the percentiles, each low and high in nanoseconds; without a high one
/// where the interval reaches into the messages without a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Intervals {
    /// Of the median.
    pub p50: (u64, Option<u64>),
    /// Of the 90th percentile.
    pub p90: (u64, Option<u64>),
    /// Of the 99th percentile.
    pub p99: (u64, Option<u64>),
    /// Of the 99.9th percentile.
    pub p99_9: (u64, Option<u64>),
}

impl LatencyRecord {
    /// The record of a latency; `None` without a sample.
    #[must_use]
    pub fn new(latency: &Latency) -> Option<Self> {
        Self::with_missing(latency, Missing::default())
    }

    /// The record of a latency of replies, of which so many are missing.
    pub(super) fn with_missing(latency: &Latency, missing: Missing) -> Option<Self> {
        let ranks = Ranks::new(latency, missing);
        let histogram = latency.histogram();
        if histogram.is_empty() {
            return None;
        }
        let [p50, p90, p99, p99_9] = KEPT.map(|(_, _, quantile)| ranks.at(quantile));
        let kept = [p50?, p90?, p99?, p99_9?];
        let names = |holds: fn(&Percentile) -> bool| {
            let named = KEPT.iter().zip(&kept).filter(|(_, it)| holds(it));
            named.map(|((name, ..), _)| (*name).to_owned()).collect()
        };
        let ladder = histogram.iter_quantiles(LADDER_TICKS).scan(0, |sum, step| {
            *sum += step.count_since_last_iteration();
            Some((step.value_iterated_to(), step.quantile_iterated_to(), *sum))
        });
        let [p50_ns, p90_ns, p99_ns, p99_9_ns] = kept.map(|it| it.value_ns);
        let [p50, p90, p99, p99_9] = kept.map(|it| it.interval_ns);
        Some(Self {
            samples: histogram.len(),
            min_ns: histogram.min(),
            mean_ns: histogram.mean(),
            stdev_ns: histogram.stdev(),
            unanswered: missing.count,
            p50_ns,
            p90_ns,
            p99_ns,
            p99_9_ns,
            few: names(|it| it.is_few),
            at_least: names(|it| it.is_at_least),
            max_ns: histogram.max(),
            interval_ns: Intervals {
                p50,
                p90,
                p99,
                p99_9,
            },
            bands: bands(histogram),
            ladder: ladder.collect(),
            buckets: u64::from(histogram.buckets()),
            sub_buckets: (2 * 10_u64.pow(u32::from(histogram.sigfig()))).next_power_of_two(),
        })
    }

    /// The percentile of that name, such as `p99.9`, if it is kept.
    pub(super) fn percentile_ns(&self, name: &str) -> Option<u64> {
        let mut kept = KEPT.iter().zip(self.percentiles_ns());
        let found = kept.find(|((key, shown, _), _)| *key == name || *shown == name);
        found.map(|(_, ns)| ns)
    }

    const fn percentiles_ns(&self) -> [u64; 4] {
        [self.p50_ns, self.p90_ns, self.p99_ns, self.p99_9_ns]
    }

    /// The percentiles as people read them: `~` before one of few samples, `>=` before a lower
    /// bound.
    #[must_use]
    pub fn shown(&self) -> [String; 4] {
        let mut kept = KEPT.iter();
        self.percentiles_ns().map(|ns| {
            let (name, value) = (kept.next().map_or("", |(name, ..)| name), span(ns));
            let is_in = |names: &[String]| names.iter().any(|other| other == name);
            if is_in(&self.at_least) {
                format!(">={value}")
            } else if is_in(&self.few) {
                format!("~{value}")
            } else {
                value
            }
        })
    }

    /// The intervals of the percentiles that are of few samples, for people; `None` without one.
    pub(super) fn few_shown(&self) -> Option<String> {
        let interval = &self.interval_ns;
        let all = [interval.p50, interval.p90, interval.p99, interval.p99_9];
        let few = KEPT.iter().zip(all).filter(|((name, ..), _)| {
            let mut few = self.few.iter();
            few.any(|other| other == name)
        });
        let shown = few.map(|((_, name, _), (low, high))| match high {
            Some(high) => format!("{name} {} to {}", span(low), span(high)),
            None => format!("{name} from {}", span(low)),
        });
        let shown: Vec<String> = shown.collect();
        (!shown.is_empty()).then(|| shown.join(", "))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(n: &u64) -> bool {
    *n == 0
}

pub(super) fn bands(histogram: &Histogram<u64>) -> Vec<(u64, u64)> {
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

    fn record_of(samples: impl Iterator<Item = u64>) -> LatencyRecord {
        let mut latency = Latency::default();
        samples.for_each(|ns| latency.record_ns(ns));
        LatencyRecord::new(&latency).unwrap()
    }

    #[test]
    fn a_percentile_is_marked_below_a_hundred_samples_beyond_it() {
        let few = |n: u64| record_of(0..n).few;
        assert_eq!(few(199), ["p50", "p90", "p99", "p99_9"]);
        assert_eq!(few(200), ["p90", "p99", "p99_9"]);
        assert_eq!(few(9_999), ["p99", "p99_9"]);
        assert!(few(100_000).is_empty());
    }

    #[test]
    fn the_rank_interval_holds_the_percentile() {
        let record = record_of((0..100_000).map(|i| i * 10));
        let (low, high) = record.interval_ns.p99;
        let (p99, high) = (record.p99_ns, high.unwrap());
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
        assert_eq!(LatencyRecord::new(&Latency::default()), None);
    }

    #[test]
    fn one_sample_has_a_ladder_and_marked_percentiles() {
        let record = record_of(std::iter::once(1_500_000));
        assert_eq!(record.shown(), ["~1.50 ms"; 4].map(str::to_owned));
        assert_eq!(record.ladder.last().unwrap().2, 1);
    }
}
