//! Buffers for records that come in pieces: those in use are counted, others are kept for the next.

use crate::limits;

/// A buffer that grew beyond this is freed: a record fits.
const BYTES: usize = 2 * limits::TLS_RECORD_BYTES;

/// Empty buffers.
#[derive(Default)]
pub(super) struct Spares {
    empty: Vec<Vec<u8>>,
    /// Bytes of memory of the buffers in use.
    used: usize,
}

impl Spares {
    /// Appends a part of a record to what came of it, in an empty buffer if nothing has.
    pub(super) fn extend(&mut self, partial: &mut Vec<u8>, part: &[u8]) {
        self.used -= partial.capacity();
        if partial.capacity() == 0 {
            *partial = self.empty.pop().unwrap_or_default();
        }
        partial.extend_from_slice(part);
        self.used += partial.capacity();
    }

    /// A buffer that was in use may serve again.
    pub(super) fn put(&mut self, mut buffer: Vec<u8>) {
        self.used -= buffer.capacity();
        if self.empty.len() < limits::SPARE_BUFFERS && (1..=BYTES).contains(&buffer.capacity()) {
            buffer.clear();
            self.empty.push(buffer);
        }
    }

    /// Bytes of memory of the buffers in use.
    pub(super) const fn used(&self) -> usize {
        self.used
    }
}
