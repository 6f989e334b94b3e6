//! Accepting: many with one entry while there is room, one by one when the table is nearly full.
//!
//! A multishot accept takes whatever waits in the accept queue in one go; what finds the file table
//! full is dropped silently. So it is cancelled while the table can still hold a whole queue, and
//! from there on single accepts are armed: as many on each listener as it has a claim to, whatever
//! the others hold, so that an idle listener never has what a busy one lacks. The table is larger
//! by all of them. What they accept once every slot is taken waits unopened for the next slot.

use super::operation::{Operation, plain};
use super::option::DEFER_ACCEPT;
use super::queue::Ring;
use super::rings::Rings;
use super::slot::Slots;
use crate::engine::cause;
use crate::limits;
use crate::shard::{CloseCause, Counters};
use crate::time::Instant;
use io_uring::{opcode, squeue, types};
use socket2::SockRef;
use std::io;
use std::net::{Shutdown, TcpListener};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Time to wait after an accept failed for want of memory or descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// The listeners of one core, and the accepts of each of its rings.
///
/// One ring accepts at a time; when its table is nearly full the next one takes over.
pub(super) struct Gates {
    /// Shared with nobody but what takes them from the kernel should the core panic.
    listeners: Arc<Vec<TcpListener>>,
    /// By ring, then by listener.
    gates: Vec<Vec<Gate>>,
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

/// Which accepts are armed where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Nowhere.
    None,
    /// One multishot accept per listener in that ring.
    Many(usize),
    /// Single accepts in that ring.
    Ones(usize),
    /// No more: what is armed stays, for what it accepts can wait.
    AsIs,
}

/// Slots that a table has beyond those for connections: for what is accepted once all are taken.
pub(super) fn spare_slots(listeners: usize) -> u32 {
    let listeners = u32::try_from(listeners).unwrap_or(u32::MAX);
    share(listeners).saturating_mul(listeners)
}

/// Single accepts of each of so many listeners.
fn share(listeners: u32) -> u32 {
    (limits::TABLE_ACCEPTS / listeners.max(1)).max(1)
}

/// Takes listeners out of the kernel's hands: newcomers go to the other cores' from now on.
///
/// A listener whose core is lost would be sent its part of them (`SO_REUSEPORT`) for as long as
/// an accept in a ring holds it. `shutdown` ends listening whoever holds it (`inet_shutdown` in
/// net/ipv4/af_inet.c).
pub(super) fn take_down(listeners: &Weak<Vec<TcpListener>>) {
    for listener in listeners.upgrade().iter().flat_map(|all| all.iter()) {
        let _ = SockRef::from(listener).shutdown(Shutdown::Both);
    }
}

impl Gates {
    pub(super) fn new(listeners: Arc<Vec<TcpListener>>, rings: usize) -> Self {
        let path = "/proc/sys/net/core/somaxconn";
        let somaxconn = std::fs::read_to_string(path)
            .ok()
            .and_then(|text| text.trim().parse().ok());
        Self {
            gates: vec![vec![Gate::default(); listeners.len()]; rings],
            listeners,
            queue: limits::LISTEN_BACKLOG.min(somaxconn.unwrap_or(u32::MAX)),
            stopped: false,
            stale: true,
            full: false,
            retry_at: None,
        }
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

    /// An accept of a ring completed. `more` if it goes on.
    pub(super) fn completed(
        &mut self,
        operation: Operation,
        ring: usize,
        listener: usize,
        more: bool,
    ) {
        let gate = &mut self.gates[ring][listener];
        match operation {
            Operation::AcceptOne => gate.ones -= 1,
            _ if more => {}
            _ => gate.many = false,
        }
        gate.cancelling &= gate.many || gate.ones > 0;
        self.stale = true;
    }

    /// A cancellation of a listener's accepts is over. One that was just on its way to the queue of
    /// the listener it has not found: what is still armed then is cancelled again.
    pub(super) fn cancelled(&mut self, ring: usize, listener: usize) {
        self.gates[ring][listener].cancelling = false;
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
        rings: &mut Rings,
        slots: &Slots,
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
            self.listeners = Arc::default();
        }
        if self.listeners.is_empty() {
            return;
        }
        let full = (0..rings.count()).all(|ring| slots.room(ring) == 0);
        if full && !self.full && !self.stopped {
            counters.accept_pauses += 1;
        }
        self.full = full;
        let mode = self.mode(slots);
        for ring in 0..rings.count() {
            self.cancel_but(mode, ring, &mut rings.lane(ring).ring);
        }
        // Not before the other rings have let go: an accept being cancelled may be the only one
        // that a new connection wakes, and only an accept armed after that finds it in the queue.
        match mode {
            Mode::Many(ring) if !self.is_held_beside(ring) => {
                self.arm_many(ring, &mut rings.lane(ring).ring);
            }
            Mode::Ones(ring) if !self.is_held_beside(ring) => {
                self.arm_ones(ring, &mut rings.lane(ring).ring);
            }
            Mode::None | Mode::AsIs | Mode::Many(_) | Mode::Ones(_) => {}
        }
    }

    /// Whether nothing more is accepted.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Whether the kernel still holds an accept.
    pub(super) fn is_held(&self) -> bool {
        let mut gates = self.gates.iter().flatten();
        gates.any(|gate| gate.many || gate.ones > 0)
    }

    /// Whether the kernel still holds an accept of another ring.
    fn is_held_beside(&self, ring: usize) -> bool {
        let others = self.gates.iter().enumerate();
        let mut others = others.filter(|(other, _)| *other != ring);
        others.any(|(_, gates)| gates.iter().any(|gate| gate.many || gate.ones > 0))
    }

    /// The first ring that can hold a whole queue takes many; if there is none, the one that
    /// takes one by one goes on until it is full, then the one with most room.
    fn mode(&self, slots: &Slots) -> Mode {
        if self.stopped {
            return Mode::None;
        }
        if self.retry_at.is_some() {
            return Mode::AsIs;
        }
        let listeners = u32::try_from(self.listeners.len()).unwrap_or(u32::MAX);
        let queues = self.queue.saturating_mul(listeners);
        let rings = 0..self.gates.len();
        if let Some(ring) = rings.clone().find(|&ring| slots.room(ring) > queues) {
            return Mode::Many(ring);
        }
        let goes_on = |ring: &usize| {
            let gates = &self.gates[*ring];
            slots.room(*ring) > 0 && gates.iter().any(|gate| gate.ones > 0 && !gate.cancelling)
        };
        let ring = rings.clone().find(goes_on);
        match ring.or_else(|| rings.max_by_key(|&ring| slots.room(ring))) {
            Some(ring) if slots.room(ring) > 0 => Mode::Ones(ring),
            _ => Mode::AsIs,
        }
    }

    /// Cancels what a ring should not have armed.
    fn cancel_but(&mut self, mode: Mode, index: usize, ring: &mut Ring) {
        for (listener, gate) in (0u32..).zip(&mut self.gates[index]) {
            if gate.cancelling {
                continue;
            }
            if gate.many && mode != Mode::Many(index) {
                gate.cancelling = true;
                cancel(ring, Operation::AcceptMany, listener);
            }
            let stays = match mode {
                Mode::None => false,
                Mode::AsIs => true,
                Mode::Many(ring) | Mode::Ones(ring) => ring == index,
            };
            if gate.ones > 0 && !stays {
                gate.cancelling = true;
                cancel(ring, Operation::AcceptOne, listener);
            }
        }
    }

    fn arm_many(&mut self, index: usize, ring: &mut Ring) {
        for ((number, gate), listener) in (0u32..).zip(&mut self.gates[index]).zip(&*self.listeners)
        {
            if gate.many || gate.cancelling || gate.ones > 0 {
                continue;
            }
            gate.many = true;
            let descriptor = types::Fd(listener.as_raw_fd());
            let entry = opcode::AcceptMulti::new(descriptor)
                .allocate_file_index(true)
                .build();
            ring.push(&entry.user_data(plain(Operation::AcceptMany, number)));
        }
    }

    /// Arms single accepts in all listeners of a ring, each up to its share.
    fn arm_ones(&mut self, index: usize, ring: &mut Ring) {
        let gates = &mut self.gates[index];
        if gates.iter().any(|gate| gate.many || gate.cancelling) {
            return;
        }
        let share = share(u32::try_from(gates.len()).unwrap_or(u32::MAX));
        for ((number, gate), listener) in (0u32..).zip(gates).zip(&*self.listeners) {
            let missing = share.saturating_sub(gate.ones);
            gate.ones += missing;
            let entry = accept_one(types::Fd(listener.as_raw_fd()));
            for _ in 0..missing {
                ring.push(&entry.clone().user_data(plain(Operation::AcceptOne, number)));
            }
        }
    }
}

/// Has the kernel hold connections back until the peer has sent something, a second at most: one
/// wake-up for connection and request, where there would be two.
pub(super) fn defer(listeners: &[TcpListener]) -> io::Result<()> {
    let mut listeners = listeners.iter();
    listeners.try_for_each(|listener| DEFER_ACCEPT.set(listener.as_fd(), 1))
}

fn accept_one(listener: types::Fd) -> squeue::Entry {
    opcode::Accept::new(listener, std::ptr::null_mut(), std::ptr::null_mut())
        .file_index(Some(types::DestinationSlot::auto_target()))
        .build()
}

/// Cancels all of them at once: a cancellation for each would meet the same one again and again,
/// because the kernel takes a polled request off its list only later.
fn cancel(ring: &mut Ring, accepts: Operation, listener: u32) {
    let all = types::CancelBuilder::user_data(plain(accepts, listener)).all();
    let entry = opcode::AsyncCancel2::new(all).build();
    ring.push(&entry.user_data(plain(Operation::CancelAccept, listener)));
}
