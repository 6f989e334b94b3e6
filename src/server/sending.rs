//! The content of an answer that leaves in pieces: no more of it is queued than a peer that reads
//! slowly makes wait, and everyone else is served in between.

use super::answer::Reply;
use super::file_answer::FileContent;
use crate::limits;
use crate::shard::{ConnectionId, Unsent, Wire};

/// Content, and how far it is.
pub(super) struct Sending {
    content: FileContent,
    reply: Reply,
}

impl Sending {
    /// All of it is to be sent, behind the head that is queued.
    pub(super) const fn new(content: FileContent, reply: Reply) -> Self {
        Self { content, reply }
    }

    /// The answer that it belongs to.
    pub(super) const fn reply(&self) -> Reply {
        self.reply
    }

    /// Queues a share of what is left. Whether that was all.
    ///
    /// # Errors
    /// [`Unsent`]; then the answer cannot be ended.
    pub(super) fn go_on<M>(
        &mut self,
        id: ConnectionId,
        wire: &mut impl Wire<M>,
    ) -> Result<bool, Unsent> {
        let FileContent { bytes, range } = &mut self.content;
        let mut share = limits::SHARE_BYTES;
        while range.start < range.end && share > 0 && wire.backlog(id) <= limits::BACKLOG_HIGH {
            let end = range.end.min(range.start + share.min(PIECE_BYTES));
            let piece = bytes.get(range.start..end).unwrap_or_default();
            wire.send(id, piece)?;
            share -= piece.len().min(share);
            range.start = end;
        }
        Ok(range.start >= range.end)
    }
}

/// Bytes that are queued at a time.
const PIECE_BYTES: usize = 16 << 10;
