//! Echo: every message goes back to its sender, with the same type.

use super::{App, Effects, Message, Reach, Seat, User};

/// Says again what it is told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Echo;

impl App for Echo {
    type Batch = ();
    const REACH: Reach = Reach::Replies;

    #[inline]
    fn said(&mut self, _: User, _: Seat, message: Message<'_>, effects: &mut impl Effects<()>) {
        effects.reply(message);
    }
}
