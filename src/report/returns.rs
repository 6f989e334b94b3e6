//! The part of a record about connections that were lost and came back.

use crate::load::Recovery;
use crate::load::outcome;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Key `returns` of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "`load::outcome::ReconnectCounts` documents each"
)]
pub struct Returns {
    pub lost: u64,
    pub attempts: u64,
    pub resumed: u64,
    pub given_up: u64,
    pub absent: u64,
    pub replayed: u64,
    pub missed: u64,
    pub duplicated: u64,
}

/// Key `storm` of the schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "docs/record.md documents every key")]
pub struct Storm {
    pub at_s: f64,
    pub before: u64,
    pub dropped: u64,
    pub messages_lost: u64,
    pub recovered_s: Option<f64>,
    pub step_s: f64,
    pub up: Vec<u64>,
}

impl Returns {
    pub(super) fn new(returns: outcome::ReconnectCounts) -> Self {
        Self {
            lost: returns.lost,
            attempts: returns.attempts,
            resumed: returns.resumed,
            given_up: returns.given_up,
            absent: returns.absent,
            replayed: returns.replayed,
            missed: returns.missed,
            duplicated: returns.duplicated,
        }
    }
}

impl Storm {
    pub(super) fn new(planned: crate::load::PlannedOutage, recovery: &Recovery) -> Self {
        Self {
            at_s: planned.at.as_secs_f64(),
            before: recovery.before,
            dropped: recovery.dropped,
            messages_lost: recovery.messages,
            recovered_s: recovery.recovered().map(|time| time.as_secs_f64()),
            step_s: recovery.step.as_secs_f64(),
            up: recovery.up.clone(),
        }
    }
}
