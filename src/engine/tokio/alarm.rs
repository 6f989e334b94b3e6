//! Wakes a core at a point in time: a timerfd, because tokio's own timers round up to 1 ms.

use super::signal::{ALARM, Ready};
use crate::time::Instant;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::io::unix::AsyncFd;

/// One core's alarm clock. May ring early: the turn looks at the time anyway.
pub(super) struct Alarm {
    timer: AsyncFd<OwnedFd>,
    waker: Waker,
    armed: Option<Instant>,
}

impl Alarm {
    /// An alarm that is not set; wakes with the token [`ALARM`].
    pub(super) fn new(ready: &Arc<Ready>) -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        #[expect(
            deprecated,
            reason = "its heir is unsafe for descriptors that lie; this owns one"
        )]
        let timer = AsyncFd::new(timerfd_create(TimerfdClockId::Monotonic, flags)?)?;
        let mut alarm = Self {
            timer,
            waker: ready.waker(ALARM),
            armed: None,
        };
        alarm.listen();
        Ok(alarm)
    }

    /// Rings at that time at the latest. A later time than before is kept for the next ring: that
    /// saves a system call each time that a deadline moves away.
    pub(super) fn set(&mut self, at: Instant) {
        if self.armed.is_some_and(|armed| armed <= at) {
            return;
        }
        // A value of 0 would disarm it.
        let ns = at.as_nanos().max(1);
        let value = Timespec {
            tv_sec: (ns / 1_000_000_000).cast_signed(),
            tv_nsec: (ns % 1_000_000_000).cast_signed(),
        };
        let interval = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let spec = Itimerspec {
            it_interval: interval,
            it_value: value,
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &spec)
            .expect("a timerfd takes every point in time");
        self.armed = Some(at);
    }

    /// It rang: forgets the time.
    pub(super) fn rang(&mut self) {
        self.armed = None;
        self.listen();
    }

    /// Waits for the next ring. The timer need not be read: epoll is edge-triggered here, each
    /// expiry is an edge, and setting it again resets it.
    fn listen(&mut self) {
        let mut context = Context::from_waker(&self.waker);
        while let Poll::Ready(Ok(mut guard)) = self.timer.poll_read_ready(&mut context) {
            guard.clear_ready();
        }
    }
}
