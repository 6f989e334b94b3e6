//! How a run did against one threshold, as it is stored and as people read it.

use super::figures::{rate, rounded, span, whole};
use super::judgement::Verdict;
use super::unit::Unit;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a run did against one threshold: an entry of key `thresholds` of the schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "docs/record.md documents every key")]
pub struct Met {
    pub threshold: String,
    pub metric: String,
    pub result: Verdict,
    pub measured: Option<f64>,
    pub bound: f64,
    pub unit: String,
    pub interval: Option<(f64, Option<f64>)>,
    pub reason: Option<String>,
}

impl Met {
    /// The upper bound of a latency, as the same percentile of another latency is compared with
    /// it: the metric's name, its statistic and the bound in nanoseconds.
    pub(super) fn latency_bound_ns(&self) -> Option<(&str, &str, f64)> {
        let is_upper = self.threshold.contains('<');
        let (latency, statistic) = self.metric.split_once('.')?;
        let is_percentile = statistic.starts_with('p');
        (is_upper && is_percentile && self.unit == Unit::Nanoseconds.to_string())
            .then_some((latency, statistic, self.bound))
    }

    /// The measured value as people read it, and what makes it doubtful.
    pub(super) fn shown(&self) -> String {
        let value = self.measured.map(|value| self.as_text(value));
        let mut text = value.unwrap_or_else(|| "-".to_owned());
        if let Some(reason) = &self.reason {
            text += &format!(" ({reason})");
        }
        if let (Verdict::Inconclusive, None, Some((low, high))) =
            (self.result, &self.reason, self.interval)
        {
            let low = self.as_text(low);
            let interval = match high {
                Some(high) => format!("{low} to {}", self.as_text(high)),
                None => format!("{low} and more: messages without a reply leave it open"),
            };
            text += &format!(" (the bound is within its 95 % interval, {interval})");
        }
        text
    }

    fn as_text(&self, value: f64) -> String {
        match self.unit.as_str() {
            "ns" => span(rounded(value)),
            "us" => span(rounded(value * 1e3)),
            "ms" => span(rounded(value * 1e6)),
            "s" => span(rounded(value * 1e9)),
            "share" => percent(value),
            "per_s" => rate(value),
            _ if value.fract() == 0.0 => whole(rounded(value)),
            _ => format!("{value:.3}"),
        }
    }
}

/// Enough digits to tell 99.99 % from 100 %.
fn percent(share: f64) -> String {
    let text = format!("{:.4}", share * 100.0);
    let short = text.trim_end_matches('0').trim_end_matches('.');
    format!("{short} %")
}
