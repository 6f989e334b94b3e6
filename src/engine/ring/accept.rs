//! Accepting: many with one entry while there is room, one by one when the table is nearly full.
//!
//! A multishot accept takes whatever waits in the accept queue in one go; what finds the file table
//! full is dropped silently. So it is cancelled while the table can still hold a whole queue, and
//! from there on no more single accepts are armed than there are free slots.

use super::kernel::Ring;
use super::operation::{Operation, plain};
use crate::engine::cause;
use crate::limits;
use crate::shard::{CloseCause, Counters};
use crate::time::Instant;
use io_uring::{opcode, squeue, types};
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Single accepts armed at once on all listeners of a core.
const ONES: u32 = 64;
/// Time to wait after an accept failed for want of memory or descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// The listeners of one core.
pub(super) struct Gates {
    listeners: Vec<TcpListener>,
    gates: Vec<Gate>,
    /// What the accept queue may hold: so many may be accepted before a cancellation is seen.
    queue: u32,
    stopped: bool,
    stale: bool,
    full: bool,
    retry_at: Option<Instant>,
}

#[derive(Clone, Copy, Default)]
struct Gate {
    many: bool,
    cancelling: bool,
    ones: u32,
}

impl Gates {
    pub(super) fn new(listeners: Vec<TcpListener>) -> Self {
        let path = "/proc/sys/net/core/somaxconn";
        let somaxconn = std::fs::read_to_string(path)
            .ok()
            .and_then(|text| text.trim().parse().ok());
        Self {
            gates: vec![Gate::default(); listeners.len()],
            listeners,
            queue: limits::LISTEN_BACKLOG.min(somaxconn.unwrap_or(u32::MAX)),
            stopped: false,
            stale: true,
            full: false,
            retry_at: None,
        }
    }

    pub(super) fn listeners(&self) -> &[TcpListener] {
        &self.listeners
    }

    /// Accepts nothing more, for good.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
        self.stale = true;
    }

    /// Something has changed: a slot became free, an accept ended.
    pub(super) fn look_again(&mut self) {
        self.stale = true;
    }

    /// When accepting starts again after a failure.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.retry_at
    }

    /// An accept completed. `more` if it goes on.
    pub(super) fn completed(&mut self, operation: Operation, listener: usize, more: bool) {
        let gate = &mut self.gates[listener];
        match operation {
            Operation::AcceptOne => gate.ones -= 1,
            _ if more => {}
            _ => (gate.many, gate.cancelling) = (false, false),
        }
        self.stale = true;
    }

    /// An accept failed: a pause if it is for want of something.
    pub(super) fn failed(&mut self, errno: i32, now: Instant, counters: &mut Counters) {
        let harmless = matches!(
            cause::from_errno(errno),
            CloseCause::Reset | CloseCause::TimedOut
        );
        if errno != libc::ECANCELED && !harmless {
            counters.accept_pauses += 1;
            self.retry_at = Some(now + PAUSE);
        }
    }

    /// Arms and cancels accepts so that they fit the free slots.
    pub(super) fn settle(
        &mut self,
        ring: &mut Ring,
        room: u32,
        now: Instant,
        counters: &mut Counters,
    ) {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            self.stale = true;
        }
        if !std::mem::take(&mut self.stale) {
            return;
        }
        if self.stopped && !self.is_held() {
            // Closed, so that a new peer is refused rather than left waiting.
            self.listeners.clear();
            return;
        }
        let count = u32::try_from(self.listeners.len()).unwrap_or(u32::MAX);
        let many = !self.stopped && room > self.queue.saturating_mul(count);
        let mut ones = if self.stopped || self.retry_at.is_some() {
            0
        } else {
            room.min(ONES)
        };
        ones = ones.saturating_sub(self.gates.iter().map(|gate| gate.ones).sum());
        if room == 0 && count > 0 && !self.full && !self.stopped {
            counters.accept_pauses += 1;
        }
        self.full = room == 0;
        for ((index, gate), listener) in (0u32..).zip(&mut self.gates).zip(&self.listeners) {
            let descriptor = types::Fd(listener.as_raw_fd());
            if gate.many && !many && !gate.cancelling {
                gate.cancelling = true;
                cancel(ring, plain(Operation::AcceptMany, index));
            }
            if many && !gate.many && gate.ones == 0 && self.retry_at.is_none() {
                gate.many = true;
                let entry = opcode::AcceptMulti::new(descriptor)
                    .allocate_file_index(true)
                    .build();
                ring.push(&entry.user_data(plain(Operation::AcceptMany, index)));
            }
            let share = if gate.many {
                0
            } else {
                ones.div_ceil(count - index)
            };
            for _ in 0..share {
                gate.ones += 1;
                ones -= 1;
                ring.push(&accept_one(descriptor).user_data(plain(Operation::AcceptOne, index)));
            }
            if self.stopped && gate.ones > 0 && !gate.cancelling {
                gate.cancelling = true;
                cancel(ring, plain(Operation::AcceptOne, index));
            }
        }
    }

    /// Whether the kernel still holds an accept.
    pub(super) fn is_held(&self) -> bool {
        self.gates.iter().any(|gate| gate.many || gate.ones > 0)
    }
}

fn accept_one(listener: types::Fd) -> squeue::Entry {
    opcode::Accept::new(listener, std::ptr::null_mut(), std::ptr::null_mut())
        .file_index(Some(types::DestinationSlot::auto_target()))
        .build()
}

/// Cancels all of them at once: a cancellation for each would meet the same one again and again,
/// because the kernel takes a polled request off its list only later.
fn cancel(ring: &mut Ring, user_data: u64) {
    let all = types::CancelBuilder::user_data(user_data).all();
    let entry = opcode::AsyncCancel2::new(all).build();
    let aside = plain(Operation::Aside, 0);
    ring.push(&entry.flags(squeue::Flags::SKIP_SUCCESS).user_data(aside));
}
