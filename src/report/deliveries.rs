//! Numbered publications in the record: what became of them at their subscribers.

use super::figures::whole;
use crate::load::outcome::Outcome;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// Key `deliveries` of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "`load::deliveries::Deliveries` documents each")]
pub struct DeliveryRecord {
    pub live: u64,
    pub recovered: u64,
    pub lost: u64,
    pub repeated: u64,
    pub reordered: u64,
    pub told: u64,
}

impl DeliveryRecord {
    /// `None` of a run without channels.
    pub(super) fn new(outcome: &Outcome) -> Option<Self> {
        outcome.deliveries.map(|it| Self {
            live: it.live,
            recovered: it.recovered,
            lost: it.lost,
            repeated: it.repeated,
            reordered: it.reordered,
            told: it.told,
        })
    }

    /// The part of the summary that tells of it.
    pub(super) fn text(&self, out: &mut String) {
        let [live, recovered, lost, repeated, reordered, told] = [
            self.live,
            self.recovered,
            self.lost,
            self.repeated,
            self.reordered,
            self.told,
        ]
        .map(whole);
        // Writing to a String does not fail.
        let _ = writeln!(
            out,
            "\npublications {live} live, {recovered} recovered; {lost} lost, {repeated} repeated, \
             {reordered} out of order, {told} told"
        );
    }
}
