//! Broadcasts in the record: how they reached their audience.

use super::figures::{span, whole};
use super::latency::LatencyRecord;
use crate::load::latency::Latency;
use crate::load::outcome::Outcome;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// Key `fan_out` of the schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "`load::fan_out::FanOut` documents each")]
pub struct FanOut {
    pub senders: u64,
    pub broadcasts: u64,
    pub complete: u64,
    pub expected: u64,
    pub received: u64,
    pub reach: f64,
    pub duplicates: u64,
    pub reordered: u64,
    pub gaps: u64,
    pub first: Option<LatencyRecord>,
    pub p50: Option<LatencyRecord>,
    pub p99: Option<LatencyRecord>,
    pub last: Option<LatencyRecord>,
    pub spread: Option<LatencyRecord>,
}

impl FanOut {
    /// `None` of a run without broadcasts.
    pub(super) fn new(outcome: &Outcome) -> Option<Self> {
        let fan_out = outcome.fan_out.as_deref()?;
        let of = |latency: &Latency| LatencyRecord::new(latency);
        Some(Self {
            senders: outcome.connects.speakers,
            broadcasts: fan_out.broadcasts,
            complete: fan_out.complete,
            expected: fan_out.expected,
            received: fan_out.received,
            reach: fan_out.reach(),
            duplicates: fan_out.duplicates,
            reordered: fan_out.reordered,
            gaps: fan_out.gaps,
            first: of(&fan_out.first),
            p50: of(&fan_out.p50),
            p99: of(&fan_out.p99),
            last: of(&fan_out.last),
            spread: of(&fan_out.spread),
        })
    }

    /// The part of the summary that tells of it.
    pub(super) fn text(&self, out: &mut String) {
        let [broadcasts, complete, received, expected] =
            [self.broadcasts, self.complete, self.received, self.expected].map(whole);
        // Writing to a String does not fail.
        let _ = writeln!(
            out,
            "\nfan-out      {broadcasts} broadcasts, {complete} complete, {received} of {expected} \
             deliveries (reach {:.3} %)",
            self.reach * 100.0
        );
        let [duplicates, reordered, gaps] = [self.duplicates, self.reordered, self.gaps].map(whole);
        let _ = writeln!(
            out,
            "             {duplicates} duplicates, {reordered} reordered, {gaps} missed"
        );
        let _ = writeln!(
            out,
            "{:<13}{:>11} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "per broadcast", "mean", "p50", "p90", "p99", "p99.9", "max"
        );
        for (name, latency) in self.named() {
            let _ = write!(out, "{name:<13}{:>11}", mean(latency));
            for value in latency.shown() {
                let _ = write!(out, " {value:>9}");
            }
            let _ = writeln!(out, " {:>9}", span(latency.max_ns));
        }
    }

    fn named(&self) -> impl Iterator<Item = (&'static str, &LatencyRecord)> {
        [
            ("first", &self.first),
            ("p50", &self.p50),
            ("p99", &self.p99),
            ("last", &self.last),
            ("spread", &self.spread),
        ]
        .into_iter()
        .filter_map(|(name, latency)| Some((name, latency.as_ref()?)))
    }
}

pub(super) fn mean(latency: &LatencyRecord) -> String {
    span(super::figures::rounded(latency.mean_ns))
}
