//! Bytes encoded or assembled once and shared by reference, and the shelf that their buffers
//! return to.

#![forbid(unsafe_code)]
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used
)]

use crate::limits;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Bytes shared by reference: a broadcast clones this, never the bytes.
///
/// Shared within one core (`Rc`); for other cores forward the source and encode there.
#[derive(Clone, Debug)]
pub struct Payload(Rc<Content>);

#[derive(Debug)]
struct Content {
    bytes: Vec<u8>,
    /// In how many places it is queued.
    queued: Cell<usize>,
    /// Where the buffer goes when the last reference is dropped.
    shelf: Option<Shelf>,
}

impl Content {
    const fn new(bytes: Vec<u8>, shelf: Option<Shelf>) -> Self {
        let queued = Cell::new(0);
        Self {
            bytes,
            queued,
            shelf,
        }
    }
}

impl Payload {
    /// Wraps encoded bytes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Rc::new(Content::new(bytes, None)))
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// It is queued in one place more: bytes of memory that are held now and were not before.
    pub(crate) fn enqueued(&self) -> usize {
        let queued = self.0.queued.get();
        self.0.queued.set(queued + 1);
        if queued == 0 {
            self.0.bytes.capacity()
        } else {
            0
        }
    }

    /// It is queued in one place less: bytes of memory that nothing queued holds any more.
    pub(crate) fn dequeued(&self) -> usize {
        let queued = self.0.queued.get();
        debug_assert!(queued > 0, "what was queued is dequeued once");
        self.0.queued.set(queued.saturating_sub(1));
        if queued == 1 {
            self.0.bytes.capacity()
        } else {
            0
        }
    }

    /// Bytes of memory for each of the places where it is queued.
    pub(crate) fn share_bytes(&self) -> usize {
        self.0.bytes.capacity() / self.0.queued.get().max(1)
    }

    /// The buffer, emptied, if nobody else holds it: to encode the next payload without allocating.
    pub fn recycle(&mut self) -> Option<&mut Vec<u8>> {
        let content = Rc::get_mut(&mut self.0)?;
        content.bytes.clear();
        Some(&mut content.bytes)
    }
}

impl Drop for Payload {
    #[inline]
    fn drop(&mut self) {
        if let Some(content) = Rc::get_mut(&mut self.0)
            && let Some(shelf) = content.shelf.take()
        {
            let bytes = std::mem::take(&mut content.bytes);
            shelf.take_back(bytes, Rc::clone(&self.0));
        }
    }
}

/// Where bytes that are to come belong: the kernel may put them there itself.
#[derive(Debug, PartialEq, Eq)]
pub struct ReceiveInto {
    /// What is there already; what comes is appended, within its capacity.
    pub buffer: Vec<u8>,
    /// Bytes that are appended at most, at least one; there is room for so many.
    pub most: usize,
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Payload {}

/// Spare buffers of one core for large messages, the last used first: it is warm, and to fill it
/// costs no page faults. A payload made here gives its buffer back when nobody holds it any more.
#[derive(Clone, Debug, Default)]
pub struct Shelf(Rc<RefCell<Spares>>);

#[derive(Debug, Default)]
struct Spares {
    buffers: Vec<Vec<u8>>,
    /// What held the bytes of payloads that are gone.
    shells: Vec<Rc<Content>>,
    /// Bytes of the spare buffers.
    bytes: usize,
}

impl Shelf {
    /// An empty buffer, a spare one if there is one.
    #[must_use]
    pub fn buffer(&self) -> Vec<u8> {
        let spares = &mut *self.0.borrow_mut();
        let buffer = spares.buffers.pop().unwrap_or_default();
        spares.bytes -= buffer.capacity();
        buffer
    }

    /// Takes a buffer that is not needed now.
    pub fn keep(&self, mut buffer: Vec<u8>) {
        let spares = &mut *self.0.borrow_mut();
        let bytes = spares.bytes + buffer.capacity();
        if bytes <= limits::SHELF_BYTES && spares.buffers.len() < limits::SHELF_BUFFERS {
            buffer.clear();
            spares.bytes = bytes;
            spares.buffers.push(buffer);
        }
    }

    /// Makes a payload of bytes whose buffer comes back here.
    #[must_use]
    pub fn wrap(&self, bytes: Vec<u8>) -> Payload {
        let shell = self.0.borrow_mut().shells.pop();
        if let Some(mut shell) = shell
            && let Some(content) = Rc::get_mut(&mut shell)
        {
            content.bytes = bytes;
            content.shelf = Some(self.clone());
            return Payload(shell);
        }
        let shelf = Some(self.clone());
        Payload(Rc::new(Content::new(bytes, shelf)))
    }

    /// Bytes of the spare buffers.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.borrow().bytes
    }

    /// Frees the spare buffers.
    pub fn trim(&self) {
        *self.0.borrow_mut() = Spares::default();
    }

    fn take_back(&self, buffer: Vec<u8>, shell: Rc<Content>) {
        self.keep(buffer);
        let shells = &mut self.0.borrow_mut().shells;
        if shells.len() < limits::SHELF_BUFFERS {
            shells.push(shell);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_returns_when_the_last_reference_to_its_payload_is_gone() {
        let shelf = Shelf::default();
        let mut bytes = shelf.buffer();
        bytes.extend_from_slice(&[7; 5000]);
        let place = bytes.as_ptr();
        let payload = shelf.wrap(bytes);
        let other = payload.clone();
        let capacity = payload.0.bytes.capacity();
        assert_eq!((payload.enqueued(), other.enqueued()), (capacity, 0));
        assert_eq!(other.share_bytes(), capacity / 2);
        assert_eq!((payload.dequeued(), other.dequeued()), (0, capacity));
        drop(payload);
        assert_eq!((shelf.bytes(), other.bytes()), (0, &[7; 5000][..]));
        drop(other);
        assert!(shelf.bytes() >= 5000);
        let again = shelf.buffer();
        assert!(again.is_empty() && again.as_ptr() == place);
        assert_eq!(shelf.bytes(), 0);
    }

    #[test]
    fn a_shelf_keeps_no_more_than_its_bound_and_nothing_once_trimmed() {
        let shelf = Shelf::default();
        for _ in 0..3 * limits::SHELF_BYTES / limits::MESSAGE_BYTES {
            shelf.keep(Vec::with_capacity(limits::MESSAGE_BYTES));
        }
        assert!(shelf.bytes() <= limits::SHELF_BYTES);
        assert!(shelf.bytes() > limits::SHELF_BYTES / 2);
        shelf.trim();
        assert_eq!((shelf.bytes(), shelf.buffer().capacity()), (0, 0));
    }

    #[test]
    fn a_payload_that_outlives_its_shelf_keeps_its_bytes() {
        let shelf = Shelf::default();
        let payload = shelf.wrap(vec![1, 2, 3]);
        drop(shelf);
        assert_eq!(payload, Payload::new(vec![1, 2, 3]));
    }
}
