//! A run so far in the text format of Prometheus, for its textfile collector and for scrapes.

use super::figures::float;
use super::ledger::{Interval, Ledger};
use crate::load::outcome::Outcome;
use crate::stats::exposition::{Exposition, Format, MetricFamily, MetricKind};

const NS_PER_S: f64 = 1e9;

/// The run so far, at the end of that interval.
#[must_use]
pub fn text(ledger: &Ledger, interval: &Interval) -> Vec<u8> {
    let outcome = ledger.so_far();
    let mut bytes = Vec::with_capacity(8 * 1024);
    let mut text = Exposition::new(&mut bytes, Format::Prometheus, "ringstorm_load_");
    for (family, of) in COUNTS {
        text.single(family, Some(float(of(outcome))));
    }
    let up = MetricFamily::gauge("connections", "Connections that are up.");
    text.single(&up, Some(float(interval.up)));
    text.family(&MetricFamily::gauge(
        "core_busy_ratio",
        "Part of the last interval in which a core of the generator was busy.",
    ));
    for (core, busy) in interval.busy.iter().enumerate() {
        text.sample(&[("core", &core.to_string())], *busy);
    }
    text.family(&MetricFamily::counter(
        "failures",
        "What went wrong, by stage and kind.",
    ));
    for (stage, kind, n) in outcome.failures.iter() {
        let (stage, kind) = (stage.to_string(), kind.to_string());
        text.sample(&[("stage", &stage), ("kind", &kind)], float(n));
    }
    latencies(&mut text, outcome);
    distributions(&mut text, outcome);
    text.end();
    bytes
}

/// A family, and where its count is.
type Row = (MetricFamily, fn(&Outcome) -> u64);

const COUNTS: &[Row] = &[
    (
        MetricFamily::counter("connects_planned", "Connections that the run is to make."),
        |it| it.connects.planned,
    ),
    (
        MetricFamily::counter("connects_attempted", "Connects started."),
        |it| it.connects.attempted,
    ),
    (
        MetricFamily::counter("connects_up", "Connections that came up."),
        |it| it.connects.up,
    ),
    (
        MetricFamily::counter("connects_failed", "Connects that failed."),
        |it| it.connects.failed,
    ),
    (
        MetricFamily::counter("ended_early", "Connections that ended before the run."),
        |it| it.connects.ended_early,
    ),
    (
        MetricFamily::counter("messages_planned", "Messages that the pace asked for."),
        |it| it.messages.planned,
    ),
    (
        MetricFamily::counter("messages_sent", "Messages sent."),
        |it| it.messages.sent,
    ),
    (
        MetricFamily::counter("messages_dropped", "Planned messages not sent."),
        |it| it.messages.dropped.total(),
    ),
    (
        MetricFamily::counter("messages_replied", "Replies that verified."),
        |it| it.messages.replied,
    ),
    (
        MetricFamily::counter("messages_wrong", "Messages that were no reply."),
        |it| it.messages.wrong,
    ),
    (
        MetricFamily::counter("events_received", "Messages received unasked."),
        |it| it.events.received,
    ),
    (
        MetricFamily::counter("events_missed", "Sequence numbers passed over."),
        |it| it.events.gaps,
    ),
];

/// Bounds of the histograms of latencies, in seconds.
const BOUNDS: [f64; 14] = [
    0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0,
];

/// Each latency as a histogram, which can be added up over clients and put into a heat map.
fn distributions(text: &mut Exposition<'_>, outcome: &Outcome) {
    text.family(&MetricFamily {
        name: "latency_distribution_seconds",
        kind: MetricKind::Histogram,
        help: "Latencies of the run so far, by their sizes.",
    });
    for (latency, recorded) in outcome.latencies.named() {
        let histogram = recorded.histogram();
        if histogram.is_empty() {
            continue;
        }
        let mut counts = [0; BOUNDS.len() + 1];
        for it in histogram.iter_recorded() {
            let seconds = float(it.value_iterated_to()) / NS_PER_S;
            let at = BOUNDS.iter().position(|bound| seconds <= *bound);
            if let Some(count) = counts.get_mut(at.unwrap_or(BOUNDS.len())) {
                *count += it.count_since_last_iteration();
            }
        }
        let sum = histogram.mean() * float(histogram.len()) / NS_PER_S;
        text.histogram(&[("latency", latency)], &counts, &BOUNDS, sum);
    }
}

/// Each latency as a summary.
fn latencies(text: &mut Exposition<'_>, outcome: &Outcome) {
    text.family(&MetricFamily {
        name: "latency_seconds",
        kind: MetricKind::Summary,
        help: "Latencies of the run so far.",
    });
    for (latency, recorded) in outcome.latencies.named() {
        let histogram = recorded.histogram();
        if histogram.is_empty() {
            continue;
        }
        // How many samples stand behind them, the count says.
        let quantiles: Vec<(&str, f64)> =
            [("0.5", 2), ("0.9", 10), ("0.99", 100), ("0.999", 1_000)]
                .into_iter()
                .map(|(name, inverse)| {
                    let value = histogram.value_at_quantile(1.0 - 1.0 / float(inverse));
                    (name, float(value) / NS_PER_S)
                })
                .collect();
        let sum = histogram.mean() * float(histogram.len()) / NS_PER_S;
        text.summary(&[("latency", latency)], &quantiles, (histogram.len(), sum));
    }
}
