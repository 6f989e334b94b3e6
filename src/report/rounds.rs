//! Rounds of connects: how many, and how long they took.

use super::figures::{ratio, seconds, whole};
use crate::load::outcome::Outcome;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Key `rounds` of the schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "docs/record.md documents every key")]
pub struct Rounds {
    pub count: u64,
    pub mean_s: f64,
    pub least_s: f64,
    pub most_s: f64,
    pub times_s: Vec<f64>,
}

impl Rounds {
    /// `None` of a run that is one.
    pub(super) fn new(outcome: &Outcome) -> Option<Self> {
        let times_s = outcome.rounds.iter().map(Duration::as_secs_f64);
        let times_s: Vec<f64> = times_s.collect();
        let count = u64::try_from(times_s.len()).unwrap_or(u64::MAX);
        Some(Self {
            count,
            mean_s: ratio(times_s.iter().sum(), count)?,
            least_s: times_s.iter().copied().fold(f64::INFINITY, f64::min),
            most_s: times_s.iter().copied().fold(0.0, f64::max),
            times_s,
        })
    }

    /// The line of the summary that tells of them.
    pub(super) fn text(&self) -> String {
        let [mean, least, most] = [self.mean_s, self.least_s, self.most_s].map(seconds);
        let count = whole(self.count);
        format!("{count} rounds of connects, {mean} each (shortest {least}, longest {most})")
    }
}
