//! Percentiles by rank: their value, their 95 % interval, and what messages without a reply leave
//! open.

use super::figures::{float, rounded};
use crate::load::config::Config;
use crate::load::latency::Latency;
use crate::load::outcome::Outcome;
use hdrhistogram::Histogram;

/// 95 % of a normal distribution lies within this many standard deviations.
const NORMAL_95: f64 = 1.96;
/// Samples that have to lie beyond a percentile, on average, for it not to be marked as few.
const BEYOND: f64 = 100.0;

/// The samples of a latency, and those that are missing because no reply came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ranks<'a> {
    histogram: &'a Histogram<u64>,
    missing: Missing,
}

/// Messages without a reply: each counts as later than every reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) count: u64,
    /// A reply was waited for by so long at least.
    pub(super) waited_ns: u64,
}

impl Missing {
    /// Messages whose replies were waited for in vain.
    pub(super) fn unanswered(config: &Config, outcome: &Outcome) -> Self {
        Self {
            count: outcome.messages.lost,
            waited_ns: u64::try_from(config.grace.as_nanos()).unwrap_or(u64::MAX),
        }
    }
}

/// One percentile of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Percentile {
    pub(super) value_ns: u64,
    /// It falls among the messages without a reply: it is not below the value.
    pub(super) is_at_least: bool,
    /// Ends of its rank interval, `n p +- 1.96 sqrt(n p (1 - p))`: the extremes, where that is
    /// beyond them. No upper end where it falls among the messages without a reply.
    pub(super) interval_ns: (u64, Option<u64>),
    /// Fewer than `100 / (1 - p)` samples stand behind it.
    pub(super) is_few: bool,
}

impl<'a> Ranks<'a> {
    pub(super) fn new(latency: &'a Latency, missing: Missing) -> Self {
        Self {
            histogram: latency.histogram(),
            missing,
        }
    }

    /// The percentile at that quantile, from 0 and below 1; `None` of nothing.
    pub(super) fn at(&self, quantile: f64) -> Option<Percentile> {
        let n = self.histogram.len().saturating_add(self.missing.count);
        if n == 0 {
            return None;
        }
        let n = float(n);
        let middle = n * quantile;
        let half = NORMAL_95 * (middle * (1.0 - quantile)).sqrt();
        let (low, _) = self.value(middle - half);
        let (value_ns, is_at_least) = self.value(middle);
        let (high, is_open) = self.value((middle + half).min(n));
        Some(Percentile {
            value_ns,
            is_at_least,
            interval_ns: (low, (!is_open).then_some(high)),
            // To the whole sample: 1 - 0.99 is a little more than a hundredth.
            is_few: n < (BEYOND / (1.0 - quantile)).round(),
        })
    }

    /// The value at that rank, counted from 1; whether it is only known to be no less.
    fn value(&self, rank: f64) -> (u64, bool) {
        let len = self.histogram.len();
        // What is a whole number but for rounding is that number.
        let rank = rounded((rank - 1e-6).ceil().max(1.0));
        if rank > len {
            return (self.histogram.max().max(self.missing.waited_ns), true);
        }
        let middle_of_rank = (float(rank) - 0.5) / float(len);
        (self.histogram.value_at_quantile(middle_of_rank), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latency(samples: impl Iterator<Item = u64>) -> Latency {
        let mut latency = Latency::default();
        samples.for_each(|ns| latency.record_ns(ns));
        latency
    }

    fn near(ns: u64, expected: u64) -> bool {
        ns.abs_diff(expected) <= expected / 500
    }

    #[test]
    fn few_samples_have_a_percentile_an_interval_and_a_mark() {
        let few = latency((1..=50).map(|n| n * 1_000_000));
        let p99 = Ranks::new(&few, Missing::default()).at(0.99).unwrap();
        assert!(near(p99.value_ns, 50_000_000) && p99.is_few, "{p99:?}");
        let (low, high) = p99.interval_ns;
        assert!(near(low, 49_000_000) && near(high.unwrap(), 50_000_000));
        let p50 = Ranks::new(&few, Missing::default()).at(0.5).unwrap();
        assert!(near(p50.value_ns, 25_000_000), "{p50:?}");
    }

    #[test]
    fn one_sample_is_every_percentile_and_none_has_none() {
        let one = latency(std::iter::once(7_000));
        for quantile in [0.0, 0.5, 0.999] {
            let at = Ranks::new(&one, Missing::default()).at(quantile).unwrap();
            assert!(near(at.value_ns, 7_000) && at.is_few && !at.is_at_least);
        }
        assert_eq!(
            Ranks::new(&Latency::default(), Missing::default()).at(0.5),
            None
        );
    }

    #[test]
    fn messages_without_a_reply_are_later_than_every_reply() {
        let replies = latency((1..=79).map(|n| n * 1_000_000));
        let missing = Missing {
            count: 21,
            waited_ns: 10_000_000_000,
        };
        let ranks = Ranks::new(&replies, missing);
        let p50 = ranks.at(0.5).unwrap();
        assert!(
            !p50.is_at_least && near(p50.value_ns, 50_000_000),
            "{p50:?}"
        );
        let p90 = ranks.at(0.9).unwrap();
        assert!(p90.is_at_least, "21 of 100 got no reply: {p90:?}");
        assert_eq!((p90.value_ns, p90.interval_ns.1), (10_000_000_000, None));
    }
}
