//! A metric of a run beside that of a run before.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An entry of key `baseline` of the schema: a metric of this run and of the one before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BaselineChange {
    /// Its name: median over the measured seconds.
    pub metric: String,
    /// Of the run before.
    pub before: f64,
    /// Of this one.
    pub now: f64,
    /// This one's by the one's before: lower end of its interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// It is worse beyond that and the tolerance.
    pub is_worse: bool,
}
