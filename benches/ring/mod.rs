//! A bare io_uring for the bench programs: set-up, submission, completions, provided buffers.
//!
//! It shares nothing with the engine that it is the limit of. Buffer lifetimes are what a bench
//! can afford: a send whose success is skipped is taken to be over when `turn` returns, which holds
//! as long as the peer reads what it asked for.

use io_uring::types::{BufRingEntry, Fixed, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use std::alloc::{Layout, alloc_zeroed};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

const PAGE: usize = 4096;
/// The group of its provided buffers.
pub(crate) const GROUP: u16 = 1;
const SUBMISSIONS: u32 = 4096;
const COMPLETIONS: u32 = 65_536;

/// What a completion is of. The rest of its `user_data` is the connection's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Accept,
    Receive,
    Send,
    Close,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Accept, Self::Receive, Self::Send, Self::Close];

    /// The `user_data` of an operation of this kind on this connection.
    pub(crate) fn on(self, connection: u32) -> u64 {
        (self as u64) << 32 | u64::from(connection)
    }

    /// Takes `user_data` apart.
    pub(crate) fn of(completion: &cqueue::Entry) -> (Self, u32) {
        let data = completion.user_data();
        let connection = u32::try_from(data & 0xffff_ffff).unwrap_or(u32::MAX);
        let kind = Self::ALL.iter().find(|kind| **kind as u64 == data >> 32);
        (*kind.expect("nothing else is submitted"), connection)
    }
}

/// A ring with a file table and provided buffers.
pub(crate) struct Ring {
    uring: IoUring,
    pub(crate) buffers: Buffers,
}

impl Ring {
    /// A ring for one thread with `buffers` (a power of two) provided buffers of `bytes` each.
    pub(crate) fn new(buffers: u16, bytes: u32) -> io::Result<Self> {
        let uring = IoUring::builder()
            .setup_cqsize(COMPLETIONS)
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_submit_all()
            .build(SUBMISSIONS)?;
        let buffers = Buffers::register(&uring, buffers, bytes)?;
        Ok(Self { uring, buffers })
    }

    /// For registrations.
    pub(crate) fn submitter(&self) -> io_uring::Submitter<'_> {
        self.uring.submitter()
    }

    /// Queues an operation; whatever memory it points to must outlive its execution.
    pub(crate) fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        loop {
            // SAFETY: the callers keep the memory they point to, see the head of this file.
            if unsafe { self.uring.submission().push(entry) }.is_ok() {
                return Ok(());
            }
            self.uring.submit()?;
        }
    }

    /// Queues a multishot receive from a registered file.
    pub(crate) fn receive(&mut self, connection: u32) -> io::Result<()> {
        let receive = opcode::RecvMulti::new(Fixed(connection), GROUP).build();
        self.push(&receive.user_data(Kind::Receive.on(connection)))
    }

    /// Queues a send to a registered file that completes visibly only if it fails.
    pub(crate) fn send(&mut self, connection: u32, bytes: &[u8]) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let send = opcode::Send::new(Fixed(connection), bytes.as_ptr(), length)
            .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL)
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS);
        self.push(&send.user_data(Kind::Send.on(connection)))
    }

    /// Submits what is queued, waits for a completion at most so long (`None`: for ever), and takes
    /// all there are.
    pub(crate) fn turn(
        &mut self,
        at_most: Option<Duration>,
        done: &mut Vec<cqueue::Entry>,
    ) -> io::Result<()> {
        let entered = match at_most {
            None => self.uring.submit_and_wait(1),
            Some(at_most) => {
                let timespec = Timespec::from(at_most);
                let args = SubmitArgs::new().timespec(&timespec);
                self.uring.submitter().submit_with_args(1, &args)
            }
        };
        match entered.as_ref().map_err(io::Error::raw_os_error) {
            Ok(_) | Err(Some(libc::ETIME | libc::EINTR | libc::EBUSY)) => {}
            Err(_) => return entered.map(drop),
        }
        done.clear();
        done.extend(self.uring.completion());
        Ok(())
    }
}

/// Buffers that the kernel picks from, in a ring that both sides see.
pub(crate) struct Buffers {
    ring: NonNull<BufRingEntry>,
    memory: NonNull<u8>,
    count: u16,
    bytes: u32,
    tail: u16,
}

impl Buffers {
    fn register(uring: &IoUring, count: u16, bytes: u32) -> io::Result<Self> {
        assert!(
            count.is_power_of_two(),
            "a provided-buffer ring needs a power of two"
        );
        let ring = pages(usize::from(count) * size_of::<BufRingEntry>())?.cast();
        let memory = pages(usize::from(count) * bytes as usize)?;
        let address = ring.as_ptr() as u64;
        // SAFETY: the pages are never freed.
        unsafe {
            uring
                .submitter()
                .register_buf_ring_with_flags(address, count, GROUP, 0)
        }?;
        let mut buffers = Self {
            ring,
            memory,
            count,
            bytes,
            tail: 0,
        };
        (0..count).for_each(|buffer| buffers.give_back(buffer));
        buffers.publish();
        Ok(buffers)
    }

    /// What a receive of so many bytes put into its buffer. Valid until given back.
    pub(crate) fn received<'a>(&self, buffer: u16, length: usize) -> &'a [u8] {
        assert!(
            buffer < self.count && length <= self.bytes as usize,
            "the kernel said so"
        );
        let offset = usize::from(buffer) * self.bytes as usize;
        // SAFETY: within the pages, by the assertion.
        let start = unsafe { self.memory.add(offset) };
        // SAFETY: the pages are never freed, and the kernel does not write before `give_back`.
        unsafe { std::slice::from_raw_parts(start.as_ptr(), length) }
    }

    /// Queues the buffer for the kernel, from the next `publish` on.
    pub(crate) fn give_back(&mut self, buffer: u16) {
        let slot = usize::from(self.tail & (self.count - 1));
        let offset = u64::from(buffer) * u64::from(self.bytes);
        // SAFETY: the slot is masked to the ring's size.
        let mut entry = unsafe { self.ring.add(slot) };
        // SAFETY: the ring is zeroed, never freed, and only this thread writes its free slots.
        let entry = unsafe { entry.as_mut() };
        entry.set_addr(self.memory.as_ptr() as u64 + offset);
        entry.set_len(self.bytes);
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Shows the kernel what was given back.
    pub(crate) fn publish(&mut self) {
        // SAFETY: the base address of a registered ring.
        let tail = unsafe { BufRingEntry::tail(self.ring.as_ptr()) };
        // SAFETY: the tail is an aligned u16 of the never freed ring; only this thread stores it.
        let tail = unsafe { &*tail.cast::<AtomicU16>() };
        tail.store(self.tail, Ordering::Release);
    }
}

/// Zeroed pages that are never freed.
fn pages(bytes: usize) -> io::Result<NonNull<u8>> {
    let layout = Layout::from_size_align(bytes.max(PAGE), PAGE).map_err(io::Error::other)?;
    // SAFETY: the size is not zero.
    let start = unsafe { alloc_zeroed(layout) };
    NonNull::new(start).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
}
