//! What is to be written next: of each channel what it has come to, however often it changed.

use super::entry::{StoreChange, StoreEntry};
use crate::app::hub::position::Position;
use crate::app::hub::publication::Publication;
use crate::limits;
use crate::time::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What is to be written of channels, all of it or nothing.
#[derive(Debug, Default)]
pub struct StoreBatch {
    channels: BTreeMap<Arc<str>, ChannelWrites>,
    bytes: usize,
    /// So many changes it came from.
    changes: u64,
}

/// What is to be written of one channel.
#[derive(Debug, Default)]
pub struct ChannelWrites {
    /// What was written of it before goes.
    pub begins_anew: bool,
    /// Where it is; `None` if nothing is known of it any more.
    pub position: Option<Position>,
    /// What is older than that goes.
    pub oldest: u64,
    /// What was published, and when, in order.
    pub publications: VecDeque<(Instant, Publication)>,
    /// Bytes of those.
    bytes: usize,
}

impl StoreBatch {
    /// That comes after all it has.
    ///
    /// # Errors
    /// There is no room for it: nothing is to be written any more, and so many changes are lost.
    pub fn add(&mut self, entry: StoreEntry) -> Result<(), u64> {
        let mut bytes = self.bytes;
        let is_new = !self.channels.contains_key(&entry.channel);
        if is_new {
            bytes += entry.channel.len() + AROUND;
        }
        let writes = self.channels.entry(entry.channel).or_default();
        bytes -= writes.bytes;
        match entry.change {
            StoreChange::Forgotten => {
                *writes = ChannelWrites {
                    begins_anew: true,
                    ..ChannelWrites::default()
                }
            }
            StoreChange::At {
                position,
                oldest,
                publication,
            } => writes.at(position, oldest, publication),
        }
        bytes += writes.bytes;
        self.changes += 1;
        self.bytes = bytes;
        if bytes > limits::STORE_PENDING_BYTES {
            return Err(std::mem::take(self).changes);
        }
        Ok(())
    }

    /// Each channel of which something is to be written.
    pub fn channels(&self) -> impl Iterator<Item = (&Arc<str>, &ChannelWrites)> {
        self.channels.iter()
    }

    /// How many changes it came from.
    #[must_use]
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    /// Whether there is nothing to be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.channels.is_empty()
    }
}

/// What is around the name of a channel, in bytes.
const AROUND: usize = 128;

impl ChannelWrites {
    fn at(&mut self, position: Position, oldest: u64, publication: Option<(Instant, Publication)>) {
        self.position = Some(position);
        self.oldest = oldest;
        let is_older = |it: &mut (Instant, Publication)| it.1.offset < oldest;
        while let Some((_, older)) = self.publications.pop_front_if(is_older) {
            self.bytes -= older.bytes();
        }
        self.bytes += publication.as_ref().map_or(0, |(_, it)| it.bytes());
        self.publications.extend(publication);
    }
}
