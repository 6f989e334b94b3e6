//! The receive buffers of one ring: provided-buffer rings, from which the kernel takes a buffer
//! only when bytes are there, so an idle connection holds none.

use super::intake::Group;
use io_uring::IoUring;
use io_uring::types::BufRingEntry;
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

/// One line more than the buffer, so that buffers do not all start in the same cache sets.
const PADDING: usize = 64;

/// Both kinds of buffers of one ring.
pub(super) struct ReceiveBuffers {
    pub(super) small: Buffers,
    pub(super) large: Buffers,
}

impl ReceiveBuffers {
    /// The buffers of that kind.
    #[inline]
    pub(super) fn of(&mut self, group: Group) -> &mut Buffers {
        match group {
            Group::Small => &mut self.small,
            Group::Large => &mut self.large,
        }
    }
}

/// Provided buffers (`io_uring_register(2)`, `IORING_REGISTER_PBUF_RING`).
///
/// Must outlive every receive on the ring it is registered with.
pub(super) struct Buffers {
    entries: NonNull<BufRingEntry>,
    memory: NonNull<u8>,
    count: u16,
    size: u32,
    tail: u16,
}

impl Buffers {
    /// Registers `count` (a power of two) buffers of `size` bytes with the ring.
    ///
    /// # Errors
    /// The kernel's, if memory is short or the kernel is older than 5.19.
    pub(super) fn register(
        ring: &IoUring,
        group: Group,
        (count, size): (u16, u32),
    ) -> io::Result<Self> {
        let mut buffers = Self::map(group, (count, size))?;
        // SAFETY: the mapping is page-aligned, holds `count` entries, and lives until `Drop`,
        // which the owner runs only after the ring is gone.
        let registered = unsafe {
            ring.submitter().register_buf_ring_with_flags(
                buffers.entries.as_ptr() as u64,
                count,
                group.number(),
                0,
            )
        };
        registered?;
        for id in 0..count {
            buffers.give_back(id);
        }
        buffers.publish();
        Ok(buffers)
    }

    /// Maps memory for them and shows none yet. That of small ones is there from the start: a page
    /// fault in the middle of a burst would cost more, and the memory of a connection would seem to
    /// include it. Large ones cost nothing until somebody needs them.
    pub(super) fn map(group: Group, (count, size): (u16, u32)) -> io::Result<Self> {
        assert!(
            count.is_power_of_two(),
            "the kernel masks the tail with count - 1"
        );
        let populate = match group {
            Group::Small => libc::MAP_POPULATE,
            Group::Large => 0,
        };
        let entries = map(usize::from(count) * size_of::<BufRingEntry>(), populate)?;
        let memory = map(usize::from(count) * stride(size), populate)?;
        Ok(Self {
            entries: entries.cast(),
            memory,
            count,
            size,
            tail: 0,
        })
    }

    /// How many buffers there are.
    pub(super) fn count(&self) -> u16 {
        self.count
    }

    /// Bytes of one buffer.
    pub(super) fn size(&self) -> usize {
        self.size as usize
    }

    /// Gives the memory back to the system until it is needed again. What is in the buffers is
    /// lost: all that was received must have been looked at.
    pub(super) fn release(&self) {
        let len = usize::from(self.count) * stride(self.size);
        // SAFETY: our own mapping, of which nobody holds a reference while `self` is borrowed here;
        // what the kernel writes into it later finds a page of zeros.
        let failed =
            unsafe { libc::madvise(self.memory.as_ptr().cast(), len, libc::MADV_DONTNEED) };
        debug_assert_eq!(failed, 0, "madvise of our own mapping cannot fail");
    }

    /// The bytes that a completion put into buffer `id`. The caller holds that completion and has
    /// not given the buffer back, so the kernel does not touch it.
    #[inline]
    pub(super) fn bytes(&mut self, id: u16, len: usize) -> &mut [u8] {
        assert!(
            id < self.count && len <= self.size as usize,
            "not a buffer of this ring"
        );
        let start = usize::from(id) * stride(self.size);
        // SAFETY: `id` is below `count`, so the offset stays inside the mapping.
        let first = unsafe { self.memory.as_ptr().add(start) };
        // SAFETY: `len` is at most the buffer's size; the kernel gave the buffer to us with the
        // completion; `&mut self` keeps it exclusive.
        unsafe { std::slice::from_raw_parts_mut(first, len) }
    }

    /// Queues the buffer for the kernel; it sees it after [`Self::publish`].
    #[inline]
    pub(super) fn give_back(&mut self, id: u16) {
        assert!(id < self.count, "not a buffer of this ring");
        let place = usize::from(self.tail & (self.count - 1));
        let address = self.memory.as_ptr() as u64 + (usize::from(id) * stride(self.size)) as u64;
        // SAFETY: `place` is below `count`, inside the mapping.
        let mut entry = unsafe { self.entries.add(place) };
        // SAFETY: the kernel reads entries only below the published tail, and this one is above.
        let entry = unsafe { entry.as_mut() };
        entry.set_addr(address);
        entry.set_len(self.size);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Shows the kernel every buffer given back so far.
    #[inline]
    pub(super) fn publish(&self) {
        // SAFETY: the pointer is the page-aligned start of the registered ring.
        let tail = unsafe { BufRingEntry::tail(self.entries.as_ptr()) };
        // SAFETY: the tail is a naturally aligned u16 of the mapping; the kernel reads it with
        // acquire semantics, so it is shared only as an atomic.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        unmap(
            self.entries.cast(),
            usize::from(self.count) * size_of::<BufRingEntry>(),
        );
        unmap(self.memory, usize::from(self.count) * stride(self.size));
    }
}

fn stride(size: u32) -> usize {
    size as usize + PADDING
}

/// Anonymous, zeroed, page-aligned memory.
fn map(len: usize, populate: libc::c_int) -> io::Result<NonNull<u8>> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | populate;
    // SAFETY: a fresh anonymous mapping touches no memory of ours.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(start.cast()).ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))
}

fn unmap(start: NonNull<u8>, len: usize) {
    // SAFETY: exactly the mapping made by `map`, and its owner is being dropped.
    let failed = unsafe { libc::munmap(start.as_ptr().cast(), len) };
    debug_assert_eq!(failed, 0, "munmap of our own mapping cannot fail");
}
