//! What the memory of one core tells the store, if there is one: what becomes of those channels
//! whose histories outlive the process.

use super::OfChannel;
use crate::app::hub::history::ChannelHistory;
use crate::app::hub::options::HistoryOptions;
use crate::app::hub::publication::Publication;
use crate::app::hub::store::{StoreChange, StoreEntry, StoreLine};
use crate::time::Instant;

/// Tells a store.
#[derive(Debug, Default)]
pub(super) struct Journal(Option<StoreLine>);

impl Journal {
    pub(super) const fn of(line: Option<StoreLine>) -> Self {
        Self(line)
    }

    /// Whether it tells of channels that keep that.
    pub(super) const fn follows(&self, history: HistoryOptions) -> bool {
        self.0.is_some() && history.is_stored()
    }

    /// Something was published in a channel, or is forgotten there.
    pub(super) fn tell(&self, channel: OfChannel<'_>, change: StoreChange) {
        if let Some(line) = &self.0 {
            let channel = channel.name.clone();
            line.push(StoreEntry { channel, change });
        }
    }
}

/// Something was published in a channel of that history just now.
pub(super) fn published(history: &ChannelHistory, now: Instant) -> StoreChange {
    let newest = history.newest().cloned();
    at(history, newest.map(|newest| (now, newest)))
}

/// A channel of that history is there, and nothing is new in it.
pub(super) fn changed(history: &ChannelHistory) -> StoreChange {
    at(history, None)
}

fn at(history: &ChannelHistory, publication: Option<(Instant, Publication)>) -> StoreChange {
    StoreChange::At {
        position: history.top(),
        oldest: history.oldest(),
        publication,
    }
}
