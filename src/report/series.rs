//! The seconds of a run, as they are stored: what came in each.

use super::csv::stage;
use super::latency::bands;
use super::ledger::Interval;
use crate::limits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An entry of key `series` of the schema: what came between two moments of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Second {
    /// When it ended, since the run began.
    pub at_s: f64,
    /// How long it was.
    pub span_s: f64,
    /// Where the run was: `connecting`, `waiting`, `warm_up`, `measuring`, `draining`, `closing`,
    /// `finished`.
    pub stage: String,
    /// Connections up at its end.
    pub up: u64,
    /// Connects that came up in it.
    pub connected: u64,
    /// Messages sent in it.
    pub sent: u64,
    /// Replies, or pushed messages, in it.
    pub received: u64,
    /// Planned messages not sent in it.
    pub dropped: u64,
    /// What went wrong in it.
    pub failures: u64,
    /// The part of it in which each core of the generator was busy.
    pub busy: Vec<f64>,
    /// Name of the latency that the next four are of, if one was recorded.
    pub latency: Option<String>,
    /// Its samples.
    pub samples: u64,
    /// Its median.
    pub p50_ns: Option<u64>,
    /// Its 99th percentile.
    pub p99_ns: Option<u64>,
    /// Its largest sample.
    pub max_ns: Option<u64>,
    /// Its distribution: upper bound in nanoseconds, samples below it and not below the one before.
    pub bands: Vec<(u64, u64)>,
}

/// The seconds of a run so far, the first [`limits::SERIES_ROWS_MAX`] of them.
#[derive(Clone, Debug, Default)]
pub struct Series {
    rows: Vec<Second>,
    /// Rows when it was last written.
    written: usize,
}

impl Series {
    /// Takes an interval in.
    pub fn take(&mut self, interval: &Interval) {
        let row = Second::new(interval);
        // What was left at the end may have come in no time.
        let is_empty = row.span_s <= 0.0 && row.samples + row.sent + row.received == 0;
        if self.rows.len() < limits::SERIES_ROWS_MAX && !is_empty {
            self.rows.push(row);
        }
    }

    /// Whether it has grown by a sixtieth, and by a row, since this was last true: a record that is
    /// written whole each time costs no more, for all of a run, than sixty times its last one.
    pub fn is_due(&mut self) -> bool {
        let is_due = self.rows.len() > self.written + self.written / 60;
        if is_due {
            self.written = self.rows.len();
        }
        is_due
    }

    /// The rows, in order.
    #[must_use]
    pub fn rows(&self) -> &[Second] {
        &self.rows
    }
}

impl Second {
    /// Adds what came in the same second elsewhere. Percentiles of several cannot be added up.
    pub(super) fn add(&mut self, other: &Self) {
        self.span_s = self.span_s.max(other.span_s);
        self.up += other.up;
        self.connected += other.connected;
        self.sent += other.sent;
        self.received += other.received;
        self.dropped += other.dropped;
        self.failures += other.failures;
        self.busy.extend_from_slice(&other.busy);
        self.samples += other.samples;
        (self.p50_ns, self.p99_ns) = (None, None);
        self.max_ns = self.max_ns.max(other.max_ns);
        if self.latency.is_none() {
            self.latency.clone_from(&other.latency);
        }
        let mut bands: BTreeMap<u64, u64> = self.bands.iter().copied().collect();
        for &(bound, count) in &other.bands {
            *bands.entry(bound).or_default() += count;
        }
        self.bands = bands.into_iter().collect();
    }

    fn new(interval: &Interval) -> Self {
        let headline = interval.headline();
        let histogram = headline.map(|(_, histogram)| histogram);
        Self {
            at_s: (interval.from + interval.span).as_secs_f64(),
            span_s: interval.span.as_secs_f64(),
            stage: stage(interval.stage).to_owned(),
            up: interval.up,
            connected: interval.connected,
            sent: interval.sent,
            received: interval.received,
            dropped: interval.dropped,
            failures: interval.failures,
            busy: interval.busy.clone(),
            latency: headline.map(|(name, _)| name.to_owned()),
            samples: histogram.map_or(0, hdrhistogram::Histogram::len),
            p50_ns: histogram.map(|it| it.value_at_quantile(0.5)),
            p99_ns: histogram.map(|it| it.value_at_quantile(0.99)),
            max_ns: histogram.map(hdrhistogram::Histogram::max),
            bands: histogram.map(bands).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Ledger;
    use std::time::Duration;

    fn interval() -> Interval {
        let mut interval = Ledger::default().add(Vec::new()).0;
        interval.span = Duration::from_secs(1);
        interval
    }

    #[test]
    fn a_second_has_the_distribution_of_its_headline() {
        let mut interval = interval();
        interval.from = Duration::from_millis(1_500);
        (1..=100).for_each(|us| interval.latencies.service.record_ns(us * 1_000));
        // Connects are no headline of a second that has replies, however many there are.
        (0..1_000).for_each(|_| interval.latencies.connect.record_ns(7_000));
        let mut series = Series::default();
        series.take(&interval);
        let [row] = series.rows() else {
            panic!("{series:?}");
        };
        assert_eq!((row.at_s, row.latency.as_deref()), (2.5, Some("service")));
        assert_eq!(row.bands.iter().map(|(_, n)| n).sum::<u64>(), 100);
        assert!(row.p50_ns.unwrap().abs_diff(50_000) < 100, "{row:?}");
    }

    #[test]
    fn writing_costs_no_more_than_sixty_times_the_last_record() {
        let (mut series, mut rows_written) = (Series::default(), 0);
        let interval = interval();
        for _ in 0..4_000 {
            series.take(&interval);
            if series.is_due() {
                rows_written += series.rows().len();
            }
        }
        assert!(rows_written <= 65 * 4_000, "{rows_written}");
        assert!(series.rows().len() - series.written <= 4_000 / 60 + 1);
    }
}
