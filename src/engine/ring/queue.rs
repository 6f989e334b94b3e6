//! One ring: entries pushed, one system call a turn, completions taken. Knows no connection.

use super::buffers::Buffers;
use super::intake::Group;
#[cfg(test)]
use super::kernel::Kernel;
#[cfg(not(test))]
use super::kernel::Kernel as _;
use super::kernel::{Completion, EnterWait};
#[cfg(not(test))]
use super::uring::Uring;
use crate::engine::EngineError;
use io_uring::squeue;
use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

/// How long a core rests when the kernel has no memory for its entries.
const SHORT_OF_MEMORY: Duration = Duration::from_millis(1);

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

    /// Registers so many receive buffers of that size with this ring; the caller keeps them longer
    /// than the ring.
    ///
    /// # Errors
    /// [`EngineError::Os`] with the remedy.
    pub(super) fn register_buffers(
        &mut self,
        group: Group,
        (count, size): (u16, u32),
    ) -> Result<Buffers, EngineError> {
        let registered = self.kernel.register_buffers(group, (count, size));
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
    pub(super) fn enter(&mut self, wait: EnterWait) -> io::Result<()> {
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
    fn enter_with_held_back(&mut self, wait: EnterWait) -> io::Result<usize> {
        while let Some(entry) = self.held_back.front() {
            if !self.kernel.push(entry) {
                return self.kernel.enter(EnterWait::Not);
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
