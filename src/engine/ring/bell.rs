//! The bell of a core: an eventfd that wakes it, rung by the kernel, other threads, the watchdog.

use glommio::io::BufferedFile;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// The eventfd that wakes a parked core: by the kernel, by another thread, by the watchdog.
pub(super) struct Bell {
    descriptor: Arc<OwnedFd>,
    file: BufferedFile,
}

impl Bell {
    /// Makes one; must run inside the core's executor.
    pub(super) fn new() -> io::Result<Self> {
        let descriptor = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)?;
        let twin = descriptor.try_clone()?.into_raw_fd();
        // SAFETY: the twin is ours alone; the file closes it.
        let file = unsafe { BufferedFile::from_raw_fd(twin) };
        Ok(Self {
            descriptor: Arc::new(descriptor),
            file,
        })
    }

    /// A rope to ring it from anywhere.
    pub(super) fn rope(&self) -> Ringing {
        Ringing(Arc::clone(&self.descriptor))
    }

    /// Waits for a ring through glommio; returns how often it has rung.
    pub(super) async fn heard(&self) -> u64 {
        match self.file.read_at(0, 8).await {
            Ok(read) => read
                .first_chunk()
                .map_or(0, |bytes| u64::from_ne_bytes(*bytes)),
            Err(_) => 0,
        }
    }
}

/// A way to ring a bell, and to see whether it rings.
#[derive(Clone)]
pub(super) struct Ringing(Arc<OwnedFd>);

impl Ringing {
    /// A bell that no executor hears.
    #[cfg(test)]
    pub(super) fn new() -> io::Result<Self> {
        let descriptor = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)?;
        Ok(Self(Arc::new(descriptor)))
    }

    pub(super) fn descriptor(&self) -> i32 {
        self.0.as_raw_fd()
    }

    /// Rings it.
    pub(super) fn ring(&self) {
        // Fails only when the counter is full, and then it rings already.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    /// Whether it rings now.
    pub(super) fn is_ringing(&self) -> bool {
        self.rings_within(Duration::ZERO)
    }

    /// Whether it rings now or within that time.
    pub(super) fn rings_within(&self, span: Duration) -> bool {
        let mut polled = [PollFd::from_borrowed_fd(self.0.as_fd(), PollFlags::IN)];
        let span = Timespec {
            tv_sec: span.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: span.subsec_nanos().into(),
        };
        poll(&mut polled, Some(&span)).is_ok_and(|count| count > 0)
    }

    /// Makes it silent, if it rings.
    pub(super) fn silence(&self) {
        if self.is_ringing() {
            let _ = rustix::io::read(&self.0, &mut [0; 8]);
        }
    }
}
