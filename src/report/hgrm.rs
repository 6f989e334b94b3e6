//! The percentile text of HdrHistogram (`outputPercentileDistribution`), in milliseconds: what
//! its plotters read.

use super::figures::float;
use super::latency::LatencyRecord;
use std::fmt::Write;

const NS_PER_MS: f64 = 1e6;

/// The distribution of a latency as a `.hgrm` file.
///
/// Source: `AbstractHistogram.outputPercentileDistribution` of the Java HdrHistogram, with 5
/// ticks per half distance, a value unit of 1 ms and 3 significant digits.
#[must_use]
pub fn hgrm(latency: &LatencyRecord) -> String {
    let mut out = String::with_capacity(64 * (latency.ladder.len() + 6));
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    for &(value_ns, quantile, count) in &latency.ladder {
        let value = float(value_ns) / NS_PER_MS;
        let _ = if quantile < 1.0 {
            let inverse = 1.0 / (1.0 - quantile);
            writeln!(
                out,
                "{value:>12.3} {quantile:2.12} {count:>10} {inverse:>14.2}"
            )
        } else {
            writeln!(out, "{value:>12.3} {quantile:2.12} {count:>10}")
        };
    }
    let mean = latency.mean_ns / NS_PER_MS;
    let stdev = latency.stdev_ns / NS_PER_MS;
    let max = float(latency.max_ns) / NS_PER_MS;
    let (samples, buckets, subs) = (latency.samples, latency.buckets, latency.sub_buckets);
    let _ = writeln!(
        out,
        "#[Mean    = {mean:>12.3}, StdDeviation   = {stdev:>12.3}]"
    );
    let _ = writeln!(
        out,
        "#[Max     = {max:>12.3}, Total count    = {samples:>12}]"
    );
    let _ = writeln!(
        out,
        "#[Buckets = {buckets:>12}, SubBuckets     = {subs:>12}]"
    );
    out
}
