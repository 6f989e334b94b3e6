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

    /// Frees the buffers that are not in use.
    pub(super) fn trim(&mut self) {
        self.empty = Vec::new();
    }

    /// Bytes of memory of the buffers in use.
    pub(super) const fn used(&self) -> usize {
        self.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_serves_again_unless_it_is_large_or_many_are_kept() {
        let mut spares = Spares::default();
        let mut partial = Vec::new();
        spares.extend(&mut partial, &[1; 500]);
        let place = partial.as_ptr();
        spares.put(partial);
        let mut next = Vec::new();
        spares.extend(&mut next, &[2]);
        assert_eq!((next.as_ptr(), &next[..]), (place, &[2][..]));
        spares.extend(&mut next, &[3]);
        assert_eq!(next, [2, 3]);
        spares.extend(&mut next, &[0; BYTES]);
        spares.put(next);
        spares.put(Vec::new());
        assert_eq!((spares.empty.len(), spares.used()), (0, 0));
        let mut many = vec![Vec::new(); limits::SPARE_BUFFERS + 1];
        for partial in &mut many {
            spares.extend(partial, &[1]);
        }
        for partial in many {
            spares.put(partial);
        }
        assert_eq!(spares.empty.len(), limits::SPARE_BUFFERS);
        assert_eq!(spares.used(), 0);
        spares.trim();
        assert_eq!(spares.empty.capacity(), 0);
    }
}
