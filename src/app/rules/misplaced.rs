//! What is wrong in a file of rules, and where it stands; patterns are read so.

use crate::app::hub::pattern::ChannelPattern;
use std::ops::Range;
use toml::Spanned;

/// What is wrong, and where in the text.
pub(super) type Misplaced = (Range<usize>, String);

/// Reads a pattern.
pub(super) fn pattern(typed: Spanned<String>) -> Result<ChannelPattern, Misplaced> {
    let pattern = ChannelPattern::parse(typed.get_ref());
    pattern.map_err(|error| (typed.span(), error.to_string()))
}
