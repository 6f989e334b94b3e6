//! The interval log of HdrHistogram, format 1.3 with V2 histograms: a line for each interval and
//! latency, `Tag=` its name. Values are nanoseconds.
//!
//! Source: `HistogramLogWriter` and `HistogramLogReader` of the Java HdrHistogram. A reader takes
//! timestamps as absolute or relative by guess unless both `StartTime` and `BaseTime` are there.

use super::figures::float;
use super::ledger::Interval;
use super::packed::packed;
use std::fmt::Write;

/// What the largest value of a line is divided by: milliseconds, as readers expect.
const MAX_UNIT_NS: f64 = 1e6;

/// The head of a log of a run that began then, in milliseconds of Unix time.
#[must_use]
pub fn head(started_unix_ms: u64) -> String {
    let seconds = float(started_unix_ms) / 1e3;
    format!(
        "#[Logged with ringstorm {}]\n\
         #[Histogram log format version 1.3]\n\
         #[StartTime: {seconds:.3} (seconds since epoch)]\n\
         #[BaseTime: {seconds:.3} (seconds since epoch)]\n\
         \"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\
         \"Interval_Compressed_Histogram\"\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// The lines of an interval: one for each latency that has samples in it.
///
/// # Errors
/// A histogram cannot be encoded.
pub fn lines(interval: &Interval) -> Result<String, String> {
    let mut lines = String::new();
    for (name, latency) in interval.latencies.named() {
        let histogram = latency.histogram();
        if histogram.is_empty() {
            continue;
        }
        let text = packed(histogram).map_err(|error| format!("{name}: {error}"))?;
        let from = interval.from.as_secs_f64();
        let (span, max) = (
            interval.span.as_secs_f64(),
            float(histogram.max()) / MAX_UNIT_NS,
        );
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "Tag={name},{from:.3},{span:.3},{max:.3},{text}");
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::ledger::Ledger;
    use crate::report::packed::unpacked;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    #[test]
    fn a_reader_gets_back_every_sample_with_its_tag_and_time() {
        let mut interval = Ledger::default().add(Vec::new()).0;
        interval.from = std::time::Duration::from_millis(1_500);
        interval.span = std::time::Duration::from_secs(1);
        (1..=1_000).for_each(|us| interval.latencies.response.record_ns(us * 1_000));
        interval.latencies.slip.record_ns(77);
        let log = head(1_750_000_000_123) + &lines(&interval).unwrap();
        let entries: Vec<LogEntry<'_>> = IntervalLogIterator::new(log.as_bytes())
            .collect::<Result<_, _>>()
            .unwrap();
        let [start, base, response, slip] = &entries[..] else {
            panic!("{entries:?}");
        };
        assert!(matches!(start, LogEntry::StartTime(at) if at.as_millis() == 1_750_000_000_123));
        assert!(matches!(base, LogEntry::BaseTime(at) if at.as_millis() == 1_750_000_000_123));
        let LogEntry::Interval(response) = response else {
            panic!("{response:?}");
        };
        assert_eq!(response.tag().unwrap().as_str(), "response");
        assert_eq!(response.start_timestamp(), interval.from);
        let read = unpacked(response.encoded_histogram()).unwrap();
        assert_eq!(&read, interval.latencies.response.histogram());
        assert!(matches!(slip, LogEntry::Interval(slip) if slip.tag().unwrap().as_str() == "slip"));
    }
}
