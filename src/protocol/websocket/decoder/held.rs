//! What one decoder makes a core hold: an unfinished message, and what the peer said last.

use super::{Decoder, DecoderState, NO_WINDOW, Pool};
use crate::time::Instant;
use std::time::Duration;

impl Decoder {
    /// The same where messages may refer to those before them, which are in [`Pool::windows`] under
    /// that key: no other decoder of the pool has it.
    #[must_use]
    pub const fn keyed(mut self, key: u32) -> Self {
        self.window = key;
        self
    }

    /// The key of what the peer said last, if that is kept.
    #[must_use]
    pub const fn key(&self) -> Option<u32> {
        match self.window {
            NO_WINDOW => None,
            key => Some(key),
        }
    }

    /// Gives back what is kept, when the connection is gone in the middle of a message.
    pub fn release(&mut self, pool: &mut Pool) {
        if let Some(pieces) = self.pieces.take() {
            pool.give_back(pieces);
        }
        if let Some(key) = self.key() {
            pool.windows.close(key);
        }
        self.state = DecoderState::Dead;
    }

    /// Bytes of memory that an unfinished message or header takes.
    #[must_use]
    pub fn held(&self) -> usize {
        self.pieces.as_ref().map_or(0, |it| it.held())
    }

    /// How long the peer has been at a message without making progress worth the name; 0 if it is
    /// at none. To be asked now and then: it knows of no time in between.
    pub fn stalled(&mut self, now: Instant) -> Duration {
        let pieces = self.pieces.as_mut();
        pieces.map_or(Duration::ZERO, |pieces| pieces.stalled(now))
    }

    /// Nothing is received from the peer for now: what it does not say does not count.
    pub fn excuse(&mut self) {
        if let Some(pieces) = &mut self.pieces {
            pieces.excuse();
        }
    }
}
