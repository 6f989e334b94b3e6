//! Thresholds: what a run has to keep to, written as `metric op value`.

use super::comparison::Op;
use super::unit::Unit;
use std::fmt;
use std::str::FromStr;

/// A threshold as typed: `response.p99<50ms`, `errors<0.1%`, `messages.replied_per_s>=19k`.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    pub(super) text: String,
    pub(super) metric: String,
    pub(super) op: Op,
    pub(super) number: f64,
    suffix: String,
}

/// Why a threshold cannot be meant; each text shows one that can.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ThresholdError {
    /// It is not `metric op value`.
    #[error("{0}: write metric, one of < <= > >= ==, and a value, such as response.p99<50ms")]
    Syntax(String),
    /// A run of this kind has no such metric.
    #[error("{text}: there is no metric {metric} in this run; there are: {known}")]
    Unknown {
        /// The threshold.
        text: String,
        /// What it names.
        metric: String,
        /// What it may name.
        known: String,
    },
    /// The value's unit is not the metric's.
    #[error("{text}: {metric} is {unit}; write a value such as {example}")]
    Unit {
        /// The threshold.
        text: String,
        /// What it names.
        metric: String,
        /// What that is.
        unit: &'static str,
        /// A value that would do.
        example: &'static str,
    },
}

impl Threshold {
    /// The bound in the metric's own unit.
    pub(super) fn bound(&self, unit: Unit) -> Result<f64, ThresholdError> {
        let factor = unit.factor(&self.suffix);
        factor
            .map(|factor| self.number * factor)
            .ok_or_else(|| ThresholdError::Unit {
                text: self.text.clone(),
                metric: self.metric.clone(),
                unit: unit.described(),
                example: unit.example(),
            })
    }
}

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, ThresholdError> {
        let syntax = || ThresholdError::Syntax(text.to_owned());
        let at = text.find(['<', '>', '=']).ok_or_else(syntax)?;
        let (metric, rest) = text.split_at(at);
        let (sign, op) = Op::ALL
            .into_iter()
            .find(|(sign, _)| rest.starts_with(sign))
            .ok_or_else(syntax)?;
        let value = rest.get(sign.len()..).unwrap_or_default().trim();
        let is_digit = |c: char| c.is_ascii_digit() || c == '.' || c == '_';
        let end = value.find(|c| !is_digit(c)).unwrap_or(value.len());
        let (digits, suffix) = value.split_at(end);
        let number: f64 = digits.replace('_', "").parse().map_err(|_| syntax())?;
        let metric = metric.trim();
        if metric.is_empty() {
            return Err(syntax());
        }
        Ok(Self {
            text: text.trim().to_owned(),
            metric: metric.to_owned(),
            op,
            number,
            suffix: suffix.trim().to_owned(),
        })
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
