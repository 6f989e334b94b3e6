//! Bytes that are encoded once and sent to many, into buffers that are used again once the kernel
//! has taken what was in them.

use crate::limits;
use crate::shard::{ConnectionId, Payload, Unsent, Wire};

/// Payloads of one kind that are kept to be encoded into again. More are in use only while the
/// kernel is that many broadcasts behind.
const KEPT_PAYLOADS: usize = 64;
/// What is small is copied to so many at most. More share it: a reference takes no memory of each
/// of them, as `Topic` sends round what everyone is told.
const COPIED_TO: usize = 64;
/// How many kept payloads are looked at for a free one: they become free in order.
const LOOKED_AT: usize = 4;

/// A notice as it is sent to one kind of connection.
#[derive(Default)]
pub(super) struct EncodedOnce {
    written: Written,
    /// Whether what is small is copied: its buffer need not wait for the last connection that is
    /// sent it.
    copies: bool,
    small: Vec<u8>,
    large: Payloads,
}

#[derive(Default)]
enum Written {
    #[default]
    Not,
    Small,
    Large(Payload),
}

impl EncodedOnce {
    /// Another notice follows, for so many connections. A payload that were kept here could not be
    /// encoded into again.
    pub(super) fn begin(&mut self, connections: usize) {
        self.written = Written::Not;
        self.copies = connections <= COPIED_TO;
    }

    /// Sends it, written first if no connection was sent it yet.
    pub(super) fn send<M>(
        &mut self,
        id: ConnectionId,
        size: usize,
        wire: &mut impl Wire<M>,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Unsent> {
        if matches!(self.written, Written::Not) {
            self.written = if self.copies && size <= limits::SHARED_BYTES_MIN {
                self.small.clear();
                write(&mut self.small);
                Written::Small
            } else {
                Written::Large(self.large.encode(write))
            };
        }
        match &self.written {
            Written::Large(payload) => wire.share(id, payload),
            Written::Small | Written::Not => wire.send(id, &self.small),
        }
    }

    /// Whether what was written is a deflated frame (RFC 7692, 6: RSV1).
    pub(super) fn is_deflated(&self) -> bool {
        let bytes = match &self.written {
            Written::Large(payload) => payload.bytes(),
            Written::Small => &self.small,
            Written::Not => &[],
        };
        bytes.first().is_some_and(|first| first & 0x40 != 0)
    }

    /// Frees what is kept to be encoded into.
    pub(super) fn trim(&mut self) {
        self.large.trim();
        self.small = Vec::new();
    }
}

/// Payloads that are encoded into again once the kernel has them.
#[derive(Default)]
pub(super) struct Payloads {
    kept: Vec<Payload>,
    next: usize,
}

impl Payloads {
    pub(super) fn encode(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Payload {
        let at = self.free();
        self.next = at + 1;
        if let Some(kept) = self.kept.get_mut(at)
            && let Some(buffer) = kept.recycle()
        {
            write(buffer);
            return kept.clone();
        }
        let mut buffer = Vec::new();
        write(&mut buffer);
        let payload = Payload::new(buffer);
        match self.kept.get_mut(at) {
            // Still in use: it is freed when the last send of it is done.
            Some(taken) => *taken = payload.clone(),
            None => self.kept.push(payload.clone()),
        }
        payload
    }

    pub(super) fn trim(&mut self) {
        (self.kept, self.next) = (Vec::new(), 0);
    }

    /// The index of a free payload; else where a new one belongs.
    fn free(&mut self) -> usize {
        let kept = self.kept.len();
        for step in 0..LOOKED_AT.min(kept) {
            let at = (self.next + step) % kept;
            if self.kept.get_mut(at).and_then(Payload::recycle).is_some() {
                return at;
            }
        }
        if kept < KEPT_PAYLOADS {
            kept
        } else {
            self.next % kept
        }
    }
}
