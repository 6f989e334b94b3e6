//! The pieces of sends, where the kernel reads them.

use crate::engine::outbound::Batch;

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
    /// is all of them.
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
        let mut pieces = batch.pieces(from);
        for piece in pieces.by_ref().take(PIECES) {
            let base = piece.as_ptr().cast_mut().cast();
            vector.pieces.push(libc::iovec {
                iov_base: base,
                iov_len: piece.len(),
            });
        }
        vector.header.msg_iov = vector.pieces.as_mut_ptr();
        vector.header.msg_iovlen = vector.pieces.len();
        (&raw const vector.header, pieces.next().is_none())
    }
    /// The kernel has taken the entries: all headers may be used again.
    pub(super) fn free(&mut self) {
        self.used = 0;
    }
}
