//! Intervals as rows of CSV (RFC 4180): one header, then a row for each.

use super::figures::float;
use super::ledger::Interval;
use crate::load::progress::Stage;
use std::fmt::Write;

/// The columns of a row; units end the names, a figure that is not known is empty.
pub const HEADER: &str = "at_s,span_s,stage,up,connected_per_s,sent_per_s,received_per_s,dropped,\
failures,busy_max,latency,samples,p50_ns,p90_ns,p99_ns,p99_9_ns,max_ns,slip_p99_ns\n";

/// The row of an interval, with its line break. How many samples stand behind a percentile stands
/// beside it: fewer than `100 / (1 - p)` are few.
#[must_use]
pub fn row(interval: &Interval) -> String {
    let at = (interval.from + interval.span).as_secs_f64();
    let per_s = |n| interval.per_second(n);
    let mut row = format!("{at:.3},{:.3},", interval.span.as_secs_f64());
    // Writing to a String cannot fail.
    let _ = write!(
        row,
        "{},{},{:.1},{:.1},{:.1},{},{},{:.3}",
        stage(interval.stage),
        interval.up,
        per_s(interval.connected),
        per_s(interval.sent),
        per_s(interval.received),
        interval.dropped,
        interval.failures,
        interval.busy.iter().copied().fold(0.0, f64::max)
    );
    match interval.headline() {
        None => row.push_str(",,0,,,,,"),
        Some((name, histogram)) => {
            let _ = write!(row, ",{name},{}", histogram.len());
            for inverse in [2, 10, 100, 1_000] {
                let quantile = 1.0 - 1.0 / float(inverse);
                let _ = write!(row, ",{}", histogram.value_at_quantile(quantile));
            }
            let _ = write!(row, ",{}", histogram.max());
        }
    }
    row.push(',');
    let slip = interval.latencies.slip.histogram();
    if !slip.is_empty() {
        let _ = write!(row, "{}", slip.value_at_quantile(0.99));
    }
    row.push('\n');
    row
}

/// The word for a stage.
pub(super) const fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Connecting => "connecting",
        Stage::Waiting => "waiting",
        Stage::WarmUp => "warm_up",
        Stage::Measuring => "measuring",
        Stage::Draining => "draining",
        Stage::Closing => "closing",
        Stage::Finished => "finished",
    }
}
