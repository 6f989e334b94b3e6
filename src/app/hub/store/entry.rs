//! What has become of one channel, as it is told to the store.

use crate::app::hub::position::Position;
use crate::app::hub::publication::Publication;
use crate::time::Instant;
use std::sync::Arc;

/// What has become of one channel.
#[derive(Clone, Debug)]
pub struct StoreEntry {
    /// Which.
    pub channel: Arc<str>,
    /// What.
    pub change: StoreChange,
}

/// What becomes of a channel.
#[derive(Clone, Debug)]
pub enum StoreChange {
    /// It is there.
    At {
        /// The place of its newest publication.
        position: Position,
        /// The number of the oldest that is kept.
        oldest: u64,
        /// What was published there, and when, if it is kept.
        publication: Option<(Instant, Publication)>,
    },
    /// Nothing is known of it any more.
    Forgotten,
}

impl StoreEntry {
    /// What it costs to keep it, in bytes.
    pub(super) fn bytes(&self) -> usize {
        const AROUND: usize = 64;
        let published = match &self.change {
            StoreChange::At {
                publication: Some((_, publication)),
                ..
            } => publication.bytes(),
            StoreChange::At {
                publication: None, ..
            }
            | StoreChange::Forgotten => 0,
        };
        self.channel.len() + published + AROUND
    }
}
