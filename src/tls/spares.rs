//! Buffers for records that come in pieces, kept for the next ones.

use crate::limits;

/// A buffer that grew beyond this is freed: a record fits.
const BYTES: usize = 2 * limits::TLS_RECORD_BYTES;

/// Empty buffers.
#[derive(Default)]
pub(super) struct Spares(Vec<Vec<u8>>);

impl Spares {
    /// An empty buffer, which may have to grow.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_default()
    }

    /// A buffer may serve again.
    pub(super) fn put(&mut self, mut buffer: Vec<u8>) {
        if self.0.len() < limits::SPARE_BUFFERS && (1..=BYTES).contains(&buffer.capacity()) {
            buffer.clear();
            self.0.push(buffer);
        }
    }
}
