//! The rest of a large frame is received where its message is assembled: whoever receives borrows
//! the message meanwhile, and what came is unmasked where it lies.

use super::{Decoder, DecoderState, Pool};
use crate::payload::ReceiveInto;

impl Decoder {
    /// Where the bytes that come next belong, if the rest of a large frame comes next. Until
    /// [`Self::received_into`] the decoder is not to be given anything else.
    pub fn receive_into(&mut self, pool: &mut Pool) -> Option<ReceiveInto> {
        if self.state != DecoderState::InPieces {
            return None;
        }
        let pieces = self.pieces.as_mut()?;
        let into = pieces.lend();
        pieces.count(pool);
        into
    }

    /// What [`Self::receive_into`] lent comes back, with what arrived appended: how many bytes that
    /// is. Whether they end a message, or are wrong, [`Self::next`] says, of no bytes.
    pub fn received_into(&mut self, buffer: Vec<u8>, pool: &mut Pool) -> usize {
        let Some(pieces) = self.pieces.as_mut().filter(|it| it.is_lent()) else {
            // The decoder has been released since.
            pool.shelf.keep(buffer);
            return 0;
        };
        let came = pieces.take_back(buffer);
        pieces.count(pool);
        came
    }
}

#[cfg(test)]
#[path = "into_tests.rs"]
mod tests;
