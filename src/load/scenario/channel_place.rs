//! How far a subscriber is in a channel of numbered publications: what comes is the next, or gives
//! away what did not.

use crate::load::measure::deliveries::Delivered;

/// Numbers that were passed over and may still come: no more are remembered.
const MISSING_MAX: usize = 64;

/// How far a client is in its channel.
#[derive(Debug, Default)]
pub(super) struct ChannelPlace {
    /// Of which history; empty before the first subscription.
    pub(super) epoch: String,
    /// The newest publication that it has, or knows to be lost.
    pub(super) offset: u64,
    /// Numbers that were passed over.
    missing: Vec<u64>,
    /// So many were told to be passed over, and have not been found missing yet.
    pub(super) told: u64,
}

impl ChannelPlace {
    /// It is there now: what comes next follows that place.
    pub(super) fn begins_at(&mut self, epoch: &str, offset: u64) {
        if self.epoch != epoch {
            self.missing.clear();
            self.epoch.clear();
            self.epoch.push_str(epoch);
        }
        self.offset = offset;
    }

    /// A publication of that number has come: what that says of those before it.
    pub(super) fn has(&mut self, offset: u64) -> Delivered {
        if offset > self.offset {
            let lost = self.came_to(offset - 1);
            self.offset = offset;
            return Delivered::Lost(lost);
        }
        match self.missing.iter().position(|missing| *missing == offset) {
            Some(at) => {
                self.missing.swap_remove(at);
                Delivered::Late
            }
            None => Delivered::Repeated,
        }
    }

    /// Nothing up to that number comes in its order any more: how many are lost without a word.
    pub(super) fn came_to(&mut self, offset: u64) -> u64 {
        let passed = offset.saturating_sub(self.offset);
        let told = passed.min(self.told);
        self.told -= told;
        let lost = passed - told;
        let room = MISSING_MAX.saturating_sub(self.missing.len());
        let room = u64::try_from(room).unwrap_or(u64::MAX).min(lost);
        self.missing.extend(self.offset + 1..=self.offset + room);
        self.offset = self.offset.max(offset);
        lost
    }
}
