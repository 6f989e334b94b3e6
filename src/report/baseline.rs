//! A run against one before: what got worse by more than both vary.
//!
//! Samples that follow each other are alike, so what varies is taken from seconds: the median over
//! the measured seconds of each run, with its bootstrap interval. Worse is what lies beyond both
//! intervals and the tolerance. What the host did between the two runs is in it: `ringstorm
//! compare` interleaves them.

use super::change::BaselineChange;
use super::figures::float;
use super::judgement::Verdict;
use super::record::Record;
use super::series::Second;
use crate::study::ConfidenceRange;
use crate::study::paired::Better;
use crate::study::resample::{self, median};

/// A metric of a second.
type OfSecond = fn(&Second) -> Option<f64>;

const METRICS: [(&str, Better, OfSecond); 3] = [
    ("p50_ns", Better::Lower, |it| it.p50_ns.map(float)),
    ("p99_ns", Better::Lower, |it| it.p99_ns.map(float)),
    ("received_per_s", Better::Higher, |it| {
        (it.span_s > 0.0).then(|| float(it.received) / it.span_s)
    }),
];

/// Judges a run by one before, with a part that may be lost: 0.05 is 5 %.
///
/// # Errors
/// Why the two cannot be compared.
pub fn judge_by(now: &mut Record, before: &Record, tolerance: f64) -> Result<(), String> {
    alike(now, before)?;
    let changes = changes(now, before, tolerance);
    if changes.is_empty() {
        return Err(format!(
            "both need {} measured seconds at least to tell how much they vary; try: -d 10s",
            resample::LEAST
        ));
    }
    let worse = changes.iter().filter(|it| it.is_worse);
    let reasons = worse.map(|it| {
        let percent = (it.now / it.before - 1.0) * 100.0;
        format!(
            "{} is worse than in the baseline: {percent:+.1} % ({:.0}, it was {:.0})",
            it.metric, it.now, it.before
        )
    });
    let reasons: Vec<String> = reasons.collect();
    if !reasons.is_empty() && now.verdict.verdict != Verdict::Invalid {
        now.verdict.verdict = Verdict::Fail;
    }
    now.verdict.reasons.extend(reasons);
    now.baseline = Some(changes);
    Ok(())
}

/// Refuses a baseline that was asked for something else.
fn alike(now: &Record, before: &Record) -> Result<(), String> {
    let (now, then) = (&now.run, &before.run);
    let pairs = [
        ("scenario", now.scenario.clone(), then.scenario.clone()),
        ("transport", now.transport.clone(), then.transport.clone()),
        ("loop", now.loop_kind.clone(), then.loop_kind.clone()),
        (
            "connections",
            now.connections.to_string(),
            then.connections.to_string(),
        ),
        (
            "pace",
            format!("{:?}", now.pace),
            format!("{:?}", then.pace),
        ),
        (
            "in_flight",
            format!("{:?}", now.in_flight),
            format!("{:?}", then.in_flight),
        ),
        (
            "payload_bytes",
            format!("{:?}", now.payload_bytes),
            format!("{:?}", then.payload_bytes),
        ),
    ];
    match pairs.iter().find(|(_, now, then)| now != then) {
        None => Ok(()),
        Some((key, now, then)) => Err(format!(
            "the baseline has another {key} ({then}, not {now}); try: a record of the same command"
        )),
    }
}

fn changes(now: &Record, before: &Record, tolerance: f64) -> Vec<BaselineChange> {
    let is_closed = now.run.loop_kind == "closed";
    let measured = METRICS
        .iter()
        .filter(|(name, ..)| is_closed || *name != "received_per_s");
    measured
        .filter_map(|(name, wanted, of)| {
            let (now, now_range) = of_seconds(now, *of)?;
            let (before, before_range) = of_seconds(before, *of)?;
            let low = now_range.low / before_range.high;
            let high = now_range.high / before_range.low;
            let is_worse = match wanted {
                Better::Lower => low > 1.0 + tolerance,
                Better::Higher => high < 1.0 - tolerance,
            };
            Some(BaselineChange {
                metric: (*name).to_owned(),
                before,
                now,
                low,
                high,
                is_worse,
            })
        })
        .collect()
}

/// The median over the measured seconds, and where it lies; `None` of too few.
fn of_seconds(record: &Record, of: OfSecond) -> Option<(f64, ConfidenceRange)> {
    let seconds = record.series.iter().filter(|it| it.stage == "measuring");
    let values: Vec<f64> = seconds
        .filter_map(of)
        .filter(|value| *value > 0.0)
        .collect();
    let range = resample::interval(&values, record.run.seed, median);
    (range != ConfidenceRange::OPEN).then_some((median(&values)?, range))
}
