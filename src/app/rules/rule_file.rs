//! A file of rules, read whole: who may do what, and what channels are like.

use super::RuleSet;
use super::channel_table::ChannelRow;
use super::table::{self, RuleFault};

/// What a file of rules says.
#[derive(Clone, Debug, Default)]
pub struct RuleFile {
    /// Who may do what: tables `[[rule]]`.
    pub rules: RuleSet,
    /// What channels are like: tables `[[channel]]`, the first that takes a name decides.
    pub channels: Vec<ChannelRow>,
}

impl RuleFile {
    /// Reads a file: TOML, as docs/realtime.md shows it.
    ///
    /// # Errors
    /// [`RuleFault`], the first.
    pub fn parse(text: &str) -> Result<Self, RuleFault> {
        let (rules, channels) = table::read(text)?;
        let rules = RuleSet::new(rules);
        Ok(Self { rules, channels })
    }
}
