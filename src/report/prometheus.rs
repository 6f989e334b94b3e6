//! A run so far in the text format of Prometheus, for its textfile collector and for scrapes.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use super::figures::float;
use super::latency::LatencyRecord;
use super::ledger::{Interval, Ledger};
use crate::load::outcome::Outcome;
use std::fmt::Write;

/// The media type of the text.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const NS_PER_S: f64 = 1e9;

/// The run so far, at the end of that interval.
#[must_use]
pub fn text(ledger: &Ledger, interval: &Interval) -> String {
    let outcome = ledger.so_far();
    let mut out = String::with_capacity(8 * 1024);
    counts(&mut out, outcome);
    let up = [("", float(interval.up))];
    family(
        &mut out,
        "connections",
        "gauge",
        "Connections that are up.",
        &up,
    );
    let busy: Vec<(String, f64)> = interval
        .busy
        .iter()
        .enumerate()
        .map(|(core, busy)| (format!("{{core=\"{core}\"}}"), *busy))
        .collect();
    let busy: Vec<(&str, f64)> = busy
        .iter()
        .map(|(core, busy)| (core.as_str(), *busy))
        .collect();
    let help = "Part of the last interval in which a core of the generator was busy.";
    family(&mut out, "core_busy_ratio", "gauge", help, &busy);
    failures(&mut out, outcome);
    latencies(&mut out, outcome);
    out
}

fn counts(out: &mut String, outcome: &Outcome) {
    let (connects, messages, events) = (&outcome.connects, &outcome.messages, &outcome.events);
    for (name, help, n) in [
        (
            "connects_planned",
            "Connections that the run is to make.",
            connects.planned,
        ),
        (
            "connects_attempted",
            "Connects started.",
            connects.attempted,
        ),
        ("connects_up", "Connections that came up.", connects.up),
        ("connects_failed", "Connects that failed.", connects.failed),
        (
            "ended_early",
            "Connections that ended before the run.",
            connects.ended_early,
        ),
        (
            "messages_planned",
            "Messages that the pace asked for.",
            messages.planned,
        ),
        ("messages_sent", "Messages sent.", messages.sent),
        (
            "messages_dropped",
            "Planned messages not sent.",
            messages.dropped.total(),
        ),
        (
            "messages_replied",
            "Replies that verified.",
            messages.replied,
        ),
        (
            "messages_wrong",
            "Messages that were no reply.",
            messages.wrong,
        ),
        (
            "events_received",
            "Messages received unasked.",
            events.received,
        ),
        (
            "events_missed",
            "Sequence numbers passed over.",
            events.gaps,
        ),
    ] {
        let name = format!("{name}_total");
        family(out, &name, "counter", help, &[("", float(n))]);
    }
}

fn failures(out: &mut String, outcome: &Outcome) {
    let labelled: Vec<(String, f64)> = outcome
        .failures
        .iter()
        .map(|(stage, kind, n)| (format!("{{stage=\"{stage}\",kind=\"{kind}\"}}"), float(n)))
        .collect();
    let samples: Vec<(&str, f64)> = labelled.iter().map(|(it, n)| (it.as_str(), *n)).collect();
    let help = "What went wrong, by stage and kind.";
    family(out, "failures_total", "counter", help, &samples);
}

/// Each latency as a summary. A quantile is left out below `100 / (1 - p)` samples.
fn latencies(out: &mut String, outcome: &Outcome) {
    let name = "latency_seconds";
    head(out, name, "summary", "Latencies of the run so far.");
    for (latency, recorded) in outcome.latencies.named() {
        let histogram = recorded.histogram();
        if histogram.is_empty() {
            continue;
        }
        for (text, inverse) in [("0.5", 2), ("0.9", 10), ("0.99", 100), ("0.999", 1_000)] {
            if histogram.len() >= LatencyRecord::samples_needed(inverse) {
                let value = histogram.value_at_quantile(1.0 - 1.0 / float(inverse));
                let labels = format!("{{latency=\"{latency}\",quantile=\"{text}\"}}");
                sample(out, name, &labels, float(value) / NS_PER_S);
            }
        }
        let (n, labels) = (float(histogram.len()), format!("{{latency=\"{latency}\"}}"));
        let sum = histogram.mean() * n / NS_PER_S;
        sample(out, "latency_seconds_sum", &labels, sum);
        sample(out, "latency_seconds_count", &labels, n);
    }
}

fn family(out: &mut String, name: &str, kind: &str, help: &str, samples: &[(&str, f64)]) {
    head(out, name, kind, help);
    samples
        .iter()
        .for_each(|(labels, value)| sample(out, name, labels, *value));
}

/// Writing to a String cannot fail.
fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP ringstorm_load_{name} {help}");
    let _ = writeln!(out, "# TYPE ringstorm_load_{name} {kind}");
}

fn sample(out: &mut String, name: &str, labels: &str, value: f64) {
    let _ = writeln!(out, "ringstorm_load_{name}{labels} {value}");
}
