//! The waker of a core: an eventfd that the kernel, other threads and the watchdog signal.

use glommio::io::BufferedFile;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// The eventfd that wakes a parked core.
pub(super) struct Waker {
    descriptor: Arc<OwnedFd>,
    file: BufferedFile,
}

impl Waker {
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

    /// A handle to wake the core from any thread.
    pub(super) fn handle(&self) -> WakeHandle {
        WakeHandle(Arc::clone(&self.descriptor))
    }

    /// Waits through glommio for a signal; returns how many there were.
    pub(super) async fn woken(&self) -> u64 {
        match self.file.read_at(0, 8).await {
            Ok(read) => read
                .first_chunk()
                .map_or(0, |bytes| u64::from_ne_bytes(*bytes)),
            Err(_) => 0,
        }
    }
}

/// Wakes a core, and tells whether it has been signalled.
#[derive(Clone)]
pub(super) struct WakeHandle(Arc<OwnedFd>);

impl WakeHandle {
    /// A handle to an eventfd that no executor reads.
    #[cfg(test)]
    pub(super) fn new() -> io::Result<Self> {
        let descriptor = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)?;
        Ok(Self(Arc::new(descriptor)))
    }

    pub(super) fn descriptor(&self) -> i32 {
        self.0.as_raw_fd()
    }

    /// Signals the eventfd.
    pub(super) fn wake(&self) {
        // Fails only when the counter is full: then it is signalled already.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    /// Whether a signal waits to be read.
    pub(super) fn is_signalled(&self) -> bool {
        self.signalled_within(Duration::ZERO)
    }

    /// Whether a signal waits to be read, now or within that time.
    pub(super) fn signalled_within(&self, span: Duration) -> bool {
        let mut polled = [PollFd::from_borrowed_fd(self.0.as_fd(), PollFlags::IN)];
        let span = Timespec {
            tv_sec: span.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: span.subsec_nanos().into(),
        };
        poll(&mut polled, Some(&span)).is_ok_and(|count| count > 0)
    }

    /// Reads the signal away, if there is one.
    pub(super) fn clear(&self) {
        if self.is_signalled() {
            let _ = rustix::io::read(&self.0, &mut [0; 8]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glommio::{LocalExecutorBuilder, Placement};

    #[test]
    fn a_signal_waits_until_it_is_read_and_is_one_however_often_it_was_given() {
        let waker = WakeHandle::new().unwrap();
        assert!(!waker.is_signalled());
        waker.clear();
        for _ in 0..2 {
            waker.wake();
            assert!(waker.is_signalled() && waker.is_signalled());
        }
        waker.clear();
        assert!(!waker.is_signalled());
    }

    #[test]
    fn a_signal_is_waited_for_as_long_as_asked() {
        let waker = WakeHandle::new().unwrap();
        let began = std::time::Instant::now();
        assert!(!waker.signalled_within(Duration::from_millis(5)));
        assert!(began.elapsed() >= Duration::from_millis(5));
        let other = waker.clone();
        let thread = std::thread::spawn(move || other.wake());
        assert!(waker.signalled_within(Duration::from_secs(60)));
        assert!(began.elapsed() < Duration::from_secs(60));
        thread.join().unwrap();
    }

    #[test]
    fn a_core_that_was_woken_knows_how_often() {
        let executor = LocalExecutorBuilder::new(Placement::Unbound)
            .make()
            .unwrap();
        executor.run(async {
            let waker = Waker::new().unwrap();
            for times in [1, 3] {
                (0..times).for_each(|_| waker.handle().wake());
                assert_eq!(waker.woken().await, times);
                assert!(!waker.handle().is_signalled());
            }
        });
    }
}
