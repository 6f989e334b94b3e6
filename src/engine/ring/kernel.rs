//! One io_uring: entries pushed, one system call a turn, completions taken. Knows no connection.

use super::buffers::Buffers;
use crate::engine::EngineError;
use crate::limits::{RING_COMPLETIONS as COMPLETIONS, RING_SUBMISSIONS as SUBMISSIONS};
use io_uring::{EnterFlags, IoUring, cqueue, squeue, types};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

/// Completions that end any wait.
const FLOOD: usize = 4096;

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

/// A ring with its file table.
pub(super) struct Ring {
    ring: IoUring,
    /// Calls of `io_uring_enter` so far.
    enters: u64,
    /// Entries queued so far.
    entries: u64,
}

impl Ring {
    /// Sets up a ring with a table of `slots` direct descriptors.
    ///
    /// # Errors
    /// [`EngineError`] with the remedy: io_uring forbidden, kernel too old, limits too low.
    pub(super) fn new(slots: u32) -> Result<Self, EngineError> {
        let ring: IoUring = IoUring::builder()
            .setup_cqsize(COMPLETIONS)
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .build(SUBMISSIONS)
            .map_err(super::probe::explain_setup)?;
        ring.submitter()
            .register_files_sparse(slots)
            .map_err(|source| EngineError::Os {
                operation: format!("cannot register a table of {slots} descriptors"),
                source,
                remedy: format!(
                    "ulimit -n {slots} (a table is bounded by it), or fewer connections"
                ),
            })?;
        Ok(Self {
            ring,
            enters: 0,
            entries: 0,
        })
    }

    /// Registers receive buffers with this ring; the caller keeps them longer than the ring.
    ///
    /// # Errors
    /// [`EngineError::Os`] with the remedy.
    pub(super) fn register_buffers(&self, count: u16, size: u32) -> Result<Buffers, EngineError> {
        Buffers::register(&self.ring, count, size).map_err(|source| EngineError::Os {
            operation: format!("cannot register {count} receive buffers of {size} bytes"),
            source,
            remedy: "more locked memory (ulimit -l 65536), or fewer or smaller buffers \
                     (--receive-buffers, --receive-bytes)"
                .to_owned(),
        })
    }

    /// Reserves the slots below `first` for [`Self::install`]: the kernel chooses above.
    ///
    /// # Errors
    /// The kernel's; it has been there since 6.0.
    pub(super) fn reserve_below(&self, first: u32, slots: u32) -> io::Result<()> {
        #[repr(C)]
        struct Range {
            off: u32,
            len: u32,
            resv: u64,
        }
        const REGISTER_FILE_ALLOC_RANGE: libc::c_long = 25;
        let range = Range {
            off: first,
            len: slots - first,
            resv: 0,
        };
        // SAFETY: io_uring_register(2) reads one `struct io_uring_file_index_range`.
        let failed = unsafe {
            libc::syscall(
                libc::SYS_io_uring_register,
                libc::c_long::from(self.ring.as_raw_fd()),
                REGISTER_FILE_ALLOC_RANGE,
                &raw const range,
                0 as libc::c_long,
            )
        };
        if failed == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }

    /// The ring's descriptor, to which other cores send their doorbells.
    pub(super) fn descriptor(&self) -> RawFd {
        self.ring.as_raw_fd()
    }

    /// Queues an entry for the next enter, which comes early if the queue is full.
    ///
    /// The memory that the entry points to must stay until its completion (sends) or until the
    /// next enter (addresses, options): the driver owns it that long.
    #[inline]
    pub(super) fn push(&mut self, entry: &squeue::Entry) {
        loop {
            // SAFETY: every entry is built by this module's siblings, which keep what it points
            // to alive as said above.
            let pushed = unsafe { self.ring.submission().push(entry) };
            if pushed.is_ok() {
                self.entries += 1;
                return;
            }
            // A full queue is normal in a broadcast; EBUSY means that completions wait for us,
            // and the kernel has still taken what it could.
            self.enters += 1;
            let _ = self.ring.submit();
        }
    }

    /// Submits everything and runs deferred work; waits for a completion as long as `wait` says.
    ///
    /// # Errors
    /// Only what no retry can mend; ETIME, EINTR, EAGAIN and EBUSY are the normal life of a ring.
    pub(super) fn enter(&mut self, wait: Wait) -> io::Result<()> {
        self.enters += 1;
        let entered = match wait {
            Wait::Not => {
                let entries = u32::try_from(self.ring.submission().len()).unwrap_or(u32::MAX);
                // GETEVENTS runs deferred work even when nothing is waited for.
                let flags = EnterFlags::GETEVENTS.bits();
                // SAFETY: no argument is passed to the kernel.
                unsafe {
                    self.ring
                        .submitter()
                        .enter::<libc::sigset_t>(entries, 0, flags, None)
                }
            }
            Wait::AtMost(span) => self.enter_for(1, span),
            Wait::Through(span) => self.enter_for(FLOOD, span),
            Wait::ForOne => self.ring.submitter().submit_and_wait(1),
        };
        match entered {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error() {
                Some(libc::ETIME | libc::EINTR | libc::EAGAIN | libc::EBUSY) => Ok(()),
                _ => Err(error),
            },
        }
    }

    fn enter_for(&self, completions: usize, span: Duration) -> io::Result<usize> {
        let span = types::Timespec::from(span);
        let arguments = types::SubmitArgs::new().timespec(&span);
        self.ring
            .submitter()
            .submit_with_args(completions, &arguments)
    }

    /// Calls of `io_uring_enter` and entries queued so far.
    pub(super) fn submissions(&self) -> (u64, u64) {
        (self.enters, self.entries)
    }

    /// Moves all completions to the end of `into`.
    #[inline]
    pub(super) fn take(&mut self, into: &mut Vec<Completion>) {
        for entry in self.ring.completion() {
            into.push(Completion {
                user_data: entry.user_data(),
                result: entry.result(),
                flags: entry.flags(),
            });
        }
    }

    /// Whether the kernel has taken every entry and shown every completion it has posted.
    #[inline]
    pub(super) fn is_settled(&mut self) -> bool {
        let queue = self.ring.submission();
        queue.is_empty() && !queue.cq_overflow()
    }

    /// Whether a park now would miss something: completions, deferred work, overflow, entries.
    ///
    /// Deferred work must be looked at: one enter runs only about 20 items of it, and the eventfd
    /// is signalled only when that list goes from empty to not empty.
    pub(super) fn has_work(&mut self) -> bool {
        if !self.ring.completion().is_empty() {
            return true;
        }
        let queue = self.ring.submission();
        queue.taskrun() || queue.cq_overflow() || !queue.is_empty()
    }

    /// Whether entries wait for an enter.
    #[inline]
    pub(super) fn has_entries(&mut self) -> bool {
        !self.ring.submission().is_empty()
    }

    /// Registers the eventfd that wakes a parked core; its notifications start disabled.
    pub(super) fn register_eventfd(&mut self, descriptor: RawFd) -> io::Result<()> {
        self.ring.submitter().register_eventfd(descriptor)?;
        self.ring.completion().disable_eventfd();
        Ok(())
    }

    /// Turns the eventfd's notifications on, with the fence that orders it before the last look.
    pub(super) fn enable_eventfd(&mut self) {
        self.ring.completion().enable_eventfd();
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
    }

    /// Turns the eventfd's notifications off.
    pub(super) fn disable_eventfd(&mut self) {
        self.ring.completion().disable_eventfd();
    }

    /// Puts a descriptor into a slot of the table.
    pub(super) fn install(&mut self, slot: u32, descriptor: RawFd) -> io::Result<()> {
        self.ring
            .submitter()
            .register_files_update(slot, &[descriptor])
            .map(drop)
    }
}
