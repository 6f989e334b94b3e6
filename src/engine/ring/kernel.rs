//! One ring: entries pushed, one system call a turn, completions taken. Knows no connection.

use super::buffers::Buffers;
#[cfg(not(test))]
use super::uring::Uring;
use crate::engine::EngineError;
use io_uring::{cqueue, squeue};
use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

/// How long a core rests when the kernel has no memory for its entries.
const SHORT_OF_MEMORY: Duration = Duration::from_millis(1);

/// How long to stay in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Not at all.
    Not,
    /// Until a completion, but no longer than this. Arms a timer of the kernel each time it sleeps.
    AtMost(Duration),
    /// As long as this, whatever completes meanwhile, but for a flood.
    Through(Duration),
    /// Until a completion: a timer entry must be under way.
    ForOne,
}

/// A completion, copied out of the shared ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Completion {
    pub(super) user_data: u64,
    pub(super) result: i32,
    pub(super) flags: u32,
}

impl Completion {
    /// Whether the operation goes on and will complete again.
    pub(super) fn more(self) -> bool {
        cqueue::more(self.flags)
    }

    /// The provided buffer that this completion took, if it took one.
    pub(super) fn buffer(self) -> Option<u16> {
        cqueue::buffer_select(self.flags)
    }
}

/// What a ring asks of the kernel. Unit tests put a scripted kernel in its place; elsewhere there
/// is one, and every call is direct.
pub(super) trait Kernel {
    /// Queues an entry; false if the queue is full.
    fn push(&mut self, entry: &squeue::Entry) -> bool;
    /// Lets the kernel take entries and waits for nothing.
    fn submit(&mut self) -> io::Result<usize>;
    /// Lets the kernel take entries, runs deferred work, waits.
    fn enter(&mut self, wait: Wait) -> io::Result<usize>;
    /// Moves all completions to the end of `into`.
    fn take(&mut self, into: &mut Vec<Completion>);
    /// Whether every entry has been taken and every completion shown.
    fn is_settled(&mut self) -> bool;
    /// Whether completions are there to be taken.
    fn has_completions(&mut self) -> bool;
    /// Whether entries are queued that the kernel has not taken.
    fn has_entries(&mut self) -> bool;
    /// Whether deferred work waits for an enter, or completions that found no room.
    fn has_deferred(&mut self) -> bool;
    /// The ring's descriptor, to which other cores send their doorbells.
    fn descriptor(&self) -> RawFd;
    /// Registers receive buffers; the caller keeps them longer than the ring.
    fn register_buffers(&mut self, count: u16, size: u32) -> io::Result<Buffers>;
    /// Reserves the slots below `first` for [`Self::install`]: the kernel chooses above. It can
    /// since 6.0.
    fn reserve_below(&mut self, first: u32, slots: u32) -> io::Result<()>;
    /// Registers the eventfd that wakes a parked core; its notifications start disabled.
    fn register_eventfd(&mut self, descriptor: RawFd) -> io::Result<()>;
    /// Turns its notifications on, with the fence that orders it before the last look.
    fn enable_eventfd(&mut self);
    /// Turns its notifications off.
    fn disable_eventfd(&mut self);
    /// Puts a descriptor into a slot of the table.
    fn install(&mut self, slot: u32, descriptor: RawFd) -> io::Result<()>;
}

#[cfg(not(test))]
type Backend = Uring;
#[cfg(test)]
type Backend = Box<dyn Kernel>;

/// A ring with its file table.
pub(super) struct Ring {
    kernel: Backend,
    /// Entries for which the queue had no room while the kernel would take none, in order.
    held_back: VecDeque<squeue::Entry>,
    /// Calls of `io_uring_enter` so far.
    enters: u64,
    /// Entries queued so far.
    entries: u64,
}

impl Ring {
    /// Makes a ring of what talks to the kernel.
    pub(super) fn new(kernel: impl Into<Backend>) -> Self {
        Self {
            kernel: kernel.into(),
            held_back: VecDeque::new(),
            enters: 0,
            entries: 0,
        }
    }

    /// Registers receive buffers with this ring; the caller keeps them longer than the ring.
    ///
    /// # Errors
    /// [`EngineError::Os`] with the remedy.
    pub(super) fn register_buffers(
        &mut self,
        count: u16,
        size: u32,
    ) -> Result<Buffers, EngineError> {
        let registered = self.kernel.register_buffers(count, size);
        registered.map_err(|source| EngineError::Os {
            operation: format!("cannot register {count} receive buffers of {size} bytes"),
            source,
            remedy: "more locked memory (ulimit -l 65536), or fewer or smaller buffers \
                     (--receive-buffers, --receive-bytes)"
                .to_owned(),
        })
    }

    /// Queues an entry for the next enter, which comes early if the queue is full.
    ///
    /// The memory that the entry points to must stay until its completion (sends) or until the
    /// ring [is settled](Self::is_settled) (addresses, options): the driver owns it that long.
    #[inline]
    pub(super) fn push(&mut self, entry: &squeue::Entry) {
        self.entries += 1;
        if !self.held_back.is_empty() || !self.kernel.push(entry) {
            self.make_room_for(entry);
        }
    }

    /// A full queue is normal in a broadcast. But a kernel without memory takes nothing, and one
    /// with completions to be taken may refuse more: both end only after this turn, so an entry
    /// that finds no room then waits for the next enter.
    #[cold]
    fn make_room_for(&mut self, entry: &squeue::Entry) {
        if self.held_back.is_empty() {
            self.enters += 1;
            let _ = self.kernel.submit();
            if self.kernel.push(entry) {
                return;
            }
        }
        self.held_back.push_back(entry.clone());
    }

    /// Submits everything and runs deferred work; waits for a completion as long as `wait` says.
    ///
    /// # Errors
    /// Only what no retry can mend; ETIME, EINTR, EAGAIN, ENOMEM and EBUSY are the normal life of a
    /// ring. io_uring_enter(2): EAGAIN is want of memory, EBUSY completions that wait for room.
    pub(super) fn enter(&mut self, wait: Wait) -> io::Result<()> {
        self.enters += 1;
        let entered = if self.held_back.is_empty() {
            self.kernel.enter(wait)
        } else {
            self.enter_with_held_back(wait)
        };
        match entered {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error() {
                Some(libc::ETIME | libc::EINTR) => Ok(()),
                Some(libc::EAGAIN | libc::ENOMEM | libc::EBUSY) => {
                    if !self.kernel.has_completions() {
                        std::thread::sleep(SHORT_OF_MEMORY);
                    }
                    Ok(())
                }
                _ => Err(error),
            },
        }
    }

    /// Waits only if nothing is held back any more: what is waited for may follow from it.
    #[cold]
    fn enter_with_held_back(&mut self, wait: Wait) -> io::Result<usize> {
        while let Some(entry) = self.held_back.front() {
            if !self.kernel.push(entry) {
                return self.kernel.enter(Wait::Not);
            }
            self.held_back.pop_front();
        }
        self.kernel.enter(wait)
    }

    /// Calls of `io_uring_enter` and entries queued so far.
    pub(super) fn submissions(&self) -> (u64, u64) {
        (self.enters, self.entries)
    }

    /// Moves all completions to the end of `into`.
    #[inline]
    pub(super) fn take(&mut self, into: &mut Vec<Completion>) {
        self.kernel.take(into);
    }

    /// Whether the kernel has taken every entry and shown every completion it has posted.
    #[inline]
    pub(super) fn is_settled(&mut self) -> bool {
        self.kernel.is_settled() && self.held_back.is_empty()
    }

    /// Whether a park now would miss something: completions, deferred work, overflow, entries.
    ///
    /// Deferred work must be looked at: one enter runs only about 20 items of it, and the eventfd
    /// is signalled only when that list goes from empty to not empty.
    pub(super) fn has_work(&mut self) -> bool {
        self.kernel.has_completions() || self.kernel.has_deferred() || self.has_entries()
    }

    /// Whether entries wait for an enter.
    #[inline]
    pub(super) fn has_entries(&mut self) -> bool {
        self.kernel.has_entries() || !self.held_back.is_empty()
    }

    /// Its descriptor, to which other cores send their doorbells.
    pub(super) fn descriptor(&self) -> RawFd {
        self.kernel.descriptor()
    }

    /// Reserves the slots below `first` for [`Self::install`].
    pub(super) fn reserve_below(&mut self, first: u32, slots: u32) -> io::Result<()> {
        self.kernel.reserve_below(first, slots)
    }

    /// Puts a descriptor into a slot of the table.
    pub(super) fn install(&mut self, slot: u32, descriptor: RawFd) -> io::Result<()> {
        self.kernel.install(slot, descriptor)
    }

    /// Registers the eventfd that wakes a parked core; its notifications start disabled.
    pub(super) fn register_eventfd(&mut self, descriptor: RawFd) -> io::Result<()> {
        self.kernel.register_eventfd(descriptor)
    }

    /// Turns the eventfd's notifications on.
    pub(super) fn enable_eventfd(&mut self) {
        self.kernel.enable_eventfd();
    }

    /// Turns the eventfd's notifications off.
    pub(super) fn disable_eventfd(&mut self) {
        self.kernel.disable_eventfd();
    }
}
