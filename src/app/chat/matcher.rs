//! Who is for whom: whoever waits is given the next one who comes.
//!
//! Two who wait are paired at once, so there is never more than one to keep, and nothing to search:
//! first come, first matched. Somebody who has gone meanwhile is found out by its own core, which
//! lets the other one enter again.

use super::letter::ChatSeat;
use crate::shard::Core;

/// The one who waits, if anybody does.
#[derive(Debug, Default)]
pub(super) struct Matcher {
    waiting: Option<ChatSeat>,
}

impl Matcher {
    /// Somebody waits from now on: who has waited for it, if anybody has.
    pub(super) fn enter(&mut self, who: ChatSeat) -> Option<ChatSeat> {
        match self.waiting.take() {
            Some(first) => Some(first),
            None => {
                self.waiting = Some(who);
                None
            }
        }
    }

    /// A core is gone with all of its users.
    pub(super) fn forget(&mut self, core: Core) {
        self.waiting.take_if(|who| who.core == core);
    }
}
