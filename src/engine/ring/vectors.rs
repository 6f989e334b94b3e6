//! The pieces of sends, where the kernel reads them.

use crate::engine::outbound::Batch;
use crate::limits;

/// Message headers of this turn's sends in several pieces. The kernel copies them when it takes
/// the entry, so they may be used again after the next enter.
#[derive(Default)]
pub(super) struct Vectors {
    #[expect(
        clippy::vec_box,
        reason = "the kernel reads a header at the address it was given"
    )]
    messages: Vec<Box<Vector>>,
    used: usize,
}

/// Pieces of one send: `UIO_MAXIOV` of include/uapi/linux/uio.h.
const PIECES: usize = 1024;

struct Vector {
    header: libc::msghdr,
    pieces: Vec<libc::iovec>,
}

impl Vectors {
    /// The pieces of a batch after the first `from` bytes, at a stable address, and whether that
    /// is all of them: one send takes only so many, and so many bytes.
    pub(super) fn write(&mut self, batch: &Batch, from: usize) -> (*const libc::msghdr, bool) {
        if self.used == self.messages.len() {
            // SAFETY: a msghdr of zeros is valid: no name, no pieces, no control data.
            let header = unsafe { std::mem::zeroed() };
            self.messages.push(Box::new(Vector {
                header,
                pieces: Vec::new(),
            }));
        }
        let vector = &mut self.messages[self.used];
        self.used += 1;
        vector.pieces.clear();
        let mut room = limits::SEND_BYTES;
        for piece in batch.pieces(from).take(PIECES) {
            let len = piece.len().min(room);
            room -= len;
            vector.pieces.push(libc::iovec {
                iov_base: piece.as_ptr().cast_mut().cast(),
                iov_len: len,
            });
            if room == 0 {
                break;
            }
        }
        let given: usize = vector.pieces.iter().map(|piece| piece.iov_len).sum();
        vector.header.msg_iov = vector.pieces.as_mut_ptr();
        vector.header.msg_iovlen = vector.pieces.len();
        (&raw const vector.header, given == batch.len() - from)
    }

    /// The kernel has taken the entries: all headers may be used again.
    pub(super) fn free(&mut self) {
        self.used = 0;
    }

    /// Headers there are.
    #[cfg(test)]
    pub(super) const fn count(&self) -> usize {
        self.messages.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::Payload;

    #[test]
    fn one_send_takes_a_part_of_many_bytes_and_the_next_goes_on_behind_it() {
        let (mut batch, payloads) = (Batch::default(), &mut 0);
        batch.push_parts(&[b"head"], payloads);
        batch.share(&Payload::new(vec![1; limits::SEND_BYTES]), payloads);
        batch.share(&Payload::new(vec![2; 1000]), payloads);
        let mut vectors = Vectors::default();
        let mut lens = Vec::new();
        let mut from = 0;
        while from < batch.len() {
            let (_, whole) = vectors.write(&batch, from);
            let pieces = &vectors.messages[vectors.used - 1].pieces;
            let len: usize = pieces.iter().map(|piece| piece.iov_len).sum();
            assert_eq!(whole, from + len == batch.len());
            from += len;
            lens.push(len);
        }
        assert_eq!(lens, [limits::SEND_BYTES, 1004]);
    }
}
