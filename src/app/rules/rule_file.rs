//! A file of rules, read whole: who may do what, and what channels are like.

use super::RuleSet;
use super::channel_table::ChannelRow;
use super::table::{self, TablesRead};
use super::text_fault::TextFault;

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
    /// [`TextFault`], the first.
    pub fn parse(text: &str) -> Result<Self, TextFault> {
        table::read(text).map(Self::of)
    }

    /// Reads the tables of a file that has other keys too.
    ///
    /// # Errors
    /// [`TextFault`], the first.
    pub fn parse_among(text: &str) -> Result<Self, TextFault> {
        table::read_among(text).map(Self::of)
    }

    fn of((rules, channels): TablesRead) -> Self {
        let rules = RuleSet::new(rules);
        Self { rules, channels }
    }
}
