//! The system calls of one io_uring, and nothing else: what [`super::queue`] makes a ring of.

use super::buffers::Buffers;
use super::intake::Group;
use super::kernel::{Completion, EnterWait, Kernel};
use crate::engine::EngineError;
use crate::limits::{RING_COMPLETIONS as COMPLETIONS, RING_SUBMISSIONS as SUBMISSIONS};
use io_uring::{EnterFlags, IoUring, squeue, types};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

/// Completions that end any wait.
const FLOOD: usize = 4096;

/// An io_uring with its file table.
pub(super) struct Uring(IoUring);

impl Uring {
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
        Ok(Self(ring))
    }

    fn enter_for(&self, completions: usize, span: Duration) -> io::Result<usize> {
        let span = types::Timespec::from(span);
        let arguments = types::SubmitArgs::new().timespec(&span);
        self.0.submitter().submit_with_args(completions, &arguments)
    }
}

#[cfg(test)]
impl From<Uring> for Box<dyn Kernel> {
    fn from(uring: Uring) -> Self {
        Box::new(uring)
    }
}

impl Kernel for Uring {
    #[inline]
    fn push(&mut self, entry: &squeue::Entry) -> bool {
        // SAFETY: every entry is built by this module's siblings, which keep what it points to
        // alive as `Ring::push` demands.
        unsafe { self.0.submission().push(entry) }.is_ok()
    }

    fn submit(&mut self) -> io::Result<usize> {
        self.0.submit()
    }

    #[inline]
    fn enter(&mut self, wait: EnterWait) -> io::Result<usize> {
        match wait {
            EnterWait::Not => {
                let entries = u32::try_from(self.0.submission().len()).unwrap_or(u32::MAX);
                // GETEVENTS runs deferred work even when nothing is waited for.
                let flags = EnterFlags::GETEVENTS.bits();
                // SAFETY: no argument is passed to the kernel.
                unsafe {
                    self.0
                        .submitter()
                        .enter::<libc::sigset_t>(entries, 0, flags, None)
                }
            }
            EnterWait::AtMost(span) => self.enter_for(1, span),
            EnterWait::Through(span) => self.enter_for(FLOOD, span),
            EnterWait::ForOne => self.0.submitter().submit_and_wait(1),
        }
    }

    #[inline]
    fn take(&mut self, into: &mut Vec<Completion>) {
        for entry in self.0.completion() {
            into.push(Completion {
                user_data: entry.user_data(),
                result: entry.result(),
                flags: entry.flags(),
            });
        }
    }

    #[inline]
    fn is_settled(&mut self) -> bool {
        let queue = self.0.submission();
        queue.is_empty() && !queue.cq_overflow()
    }

    #[inline]
    fn has_completions(&mut self) -> bool {
        !self.0.completion().is_empty()
    }

    #[inline]
    fn has_entries(&mut self) -> bool {
        !self.0.submission().is_empty()
    }

    #[inline]
    fn has_deferred(&mut self) -> bool {
        let queue = self.0.submission();
        queue.taskrun() || queue.cq_overflow()
    }

    fn descriptor(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    fn register_buffers(&mut self, group: Group, size: (u16, u32)) -> io::Result<Buffers> {
        Buffers::register(&self.0, group, size)
    }

    fn reserve_below(&mut self, first: u32, slots: u32) -> io::Result<()> {
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
                libc::c_long::from(self.0.as_raw_fd()),
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

    fn register_eventfd(&mut self, descriptor: RawFd) -> io::Result<()> {
        self.0.submitter().register_eventfd(descriptor)?;
        self.0.completion().disable_eventfd();
        Ok(())
    }

    fn enable_eventfd(&mut self) {
        self.0.completion().enable_eventfd();
        fence(Ordering::SeqCst);
    }

    fn disable_eventfd(&mut self) {
        self.0.completion().disable_eventfd();
    }

    fn install(&mut self, slot: u32, descriptor: RawFd) -> io::Result<()> {
        self.0
            .submitter()
            .register_files_update(slot, &[descriptor])
            .map(drop)
    }
}
