//! A verdict on a run, as it is stored: the words and their reasons.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What to think of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// It measured what it planned.
    Pass,
    /// The server did not do what was asked.
    Fail,
    /// It did not show whether the server does what is asked.
    #[default]
    Inconclusive,
    /// The planned load was not applied, so its figures are not that load's.
    Invalid,
}

impl Verdict {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::Invalid => "INVALID",
        }
    }
}

/// A verdict with its reasons, and what else is worth knowing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// What kept the load from being the planned one: `generator` if this program was too slow,
    /// `plan` if connections or their in-flight cap could not carry it.
    pub limited_by: Option<String>,
    /// The lost part of the connections or of the messages, whichever is larger.
    #[serde(default)]
    pub failed_share: f64,
    /// Why the verdict is not PASS.
    pub reasons: Vec<String>,
    /// What does not change the verdict.
    pub notes: Vec<String>,
}
