//! What the value of a metric stays in, and what a bound may be written in.

use std::fmt;

/// What the value of a metric is, and stays in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Count,
    Bytes,
    Nanoseconds,
    Microseconds,
    Milliseconds,
    Seconds,
    PerSecond,
    Share,
}

impl Unit {
    /// The unit that a key of the record ends with.
    pub(super) fn of_key(key: &str) -> Self {
        let ends = |end: &str| key.ends_with(end);
        if ends("_per_s") || ends("_per_cpu_s") {
            Self::PerSecond
        } else if ends("_us") || key.contains("_us_per_") {
            Self::Microseconds
        } else if ends("_ns") {
            Self::Nanoseconds
        } else if ends("_ms") {
            Self::Milliseconds
        } else if ends("_s") {
            Self::Seconds
        } else if ends("bytes") {
            Self::Bytes
        } else if ends("busy_max") || ends("_share") || ends(".reach") {
            Self::Share
        } else {
            Self::Count
        }
    }

    /// What a value with that suffix is multiplied by to be in this unit.
    pub(super) fn factor(self, suffix: &str) -> Option<f64> {
        let time = |unit_ns: f64| {
            let ns = match suffix {
                "ns" => 1.0,
                "us" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" | "min" => 60e9,
                _ => return None,
            };
            Some(ns / unit_ns)
        };
        match self {
            Self::Nanoseconds => time(1.0),
            Self::Microseconds => time(1e3),
            Self::Milliseconds => time(1e6),
            Self::Seconds => time(1e9),
            Self::Share => match suffix {
                "%" => Some(0.01),
                "" => Some(1.0),
                _ => None,
            },
            Self::PerSecond => thousands(suffix.strip_suffix("/s").unwrap_or(suffix), 1e3),
            Self::Count => thousands(suffix, 1e3),
            Self::Bytes => {
                let plain = suffix
                    .strip_suffix("iB")
                    .or_else(|| suffix.strip_suffix('B'));
                thousands(plain.unwrap_or(suffix), 1024.0)
            }
        }
    }

    pub(super) const fn described(self) -> &'static str {
        match self {
            Self::Count => "a count",
            Self::Bytes => "a number of bytes",
            Self::Nanoseconds | Self::Microseconds | Self::Milliseconds | Self::Seconds => "a time",
            Self::PerSecond => "a rate",
            Self::Share => "a share of 1",
        }
    }

    pub(super) const fn example(self) -> &'static str {
        match self {
            Self::Count => "0 or 10k",
            Self::Bytes => "64M",
            Self::Nanoseconds | Self::Microseconds | Self::Milliseconds | Self::Seconds => {
                "500us, 50ms or 2s"
            }
            Self::PerSecond => "20k or 20k/s",
            Self::Share => "0.1% or 0.001",
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Count => "count",
            Self::Bytes => "bytes",
            Self::Nanoseconds => "ns",
            Self::Microseconds => "us",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
            Self::PerSecond => "per_s",
            Self::Share => "share",
        })
    }
}

fn thousands(suffix: &str, thousand: f64) -> Option<f64> {
    match suffix {
        "" => Some(1.0),
        "k" | "K" => Some(thousand),
        "M" => Some(thousand * thousand),
        "G" => Some(thousand * thousand * thousand),
        _ => None,
    }
}
