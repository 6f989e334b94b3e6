//! Echo: every message goes back to its sender, with the same type.

use super::{Effects, Message};

/// A user said something.
#[inline]
pub fn said(message: Message<'_>, effects: &mut impl Effects) {
    effects.reply(message);
}
