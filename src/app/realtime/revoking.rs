//! Tokens that the application takes back: the store is told, so that the next run knows them too.

use super::RealtimeApp;
use crate::app::hub::position::{Epoch, Position};
use crate::app::hub::store::{StoreChange, StoreEntry};
use crate::app::tokens::RevokedRecord;

impl RealtimeApp {
    /// Tells the store, if there is one, what was taken back by the last call.
    pub(super) fn keep_revoked(&mut self) {
        let records = self.api.take_revoked();
        // Lines are the same to the store, whichever core tells.
        if let Some(line) = self.plan.store.as_ref().and_then(|it| it.lines.first()) {
            records.iter().map(entry).for_each(|entry| line.push(entry));
        }
    }
}

/// A token stands there as a channel without a history, whose place says until when it is good.
fn entry(record: &RevokedRecord) -> StoreEntry {
    let change = match record.until_s {
        None => StoreChange::Forgotten,
        Some(until_s) => StoreChange::At {
            position: Position {
                epoch: Epoch(1),
                offset: until_s,
            },
            oldest: until_s,
            publication: None,
        },
    };
    StoreEntry {
        channel: record.channel.as_str().into(),
        change,
    }
}
