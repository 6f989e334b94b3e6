//! Accepting: many with one entry while there is room, one by one when the table is nearly full.
//!
//! A multishot accept takes the whole accept queue in one go; a connection that finds the file
//! table full is dropped silently. So it is cancelled while the table can still hold a whole queue,
//! and single accepts are armed: the same number on each listener, whatever the others hold, so
//! that an idle listener never takes the share of a busy one. The table has that many spare slots.
//! A connection accepted once every slot is taken waits unopened for the next free one.
//!
//! At a socket that the cores share each has one single accept armed. The kernel wakes the one
//! that waits longest (`EPOLLEXCLUSIVE`), and whoever has accepted waits again behind the others:
//! so they take turns, where a multishot accept would stay the first and take everything.
//!
//! In an upgrade two processes have accepts at one socket. The kernel wakes one of them for a
//! newcomer, and if that one ends just then, the newcomer waits in the queue and nobody knows. So
//! accepts are armed anew now and then as long as there are two: that finds whatever is queued.

use super::operation::{Operation, plain};
use super::option::DEFER_ACCEPT;
use super::queue::Ring;
use super::rings::Rings;
use super::slot::Slots;
use crate::engine::{AcceptFailures, InHandover, ListenSocket, cause};
use crate::limits;
use crate::shard::{CloseCause, Counters};
use crate::time::Instant;
use io_uring::{opcode, squeue, types};
use socket2::SockRef;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Time to wait after an accept failed for want of memory or descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Time between two times that accepts are armed anew while another process has some too.
const REFRESH: Duration = Duration::from_millis(100);

/// The listeners of one core, and the accepts of each of its rings.
///
/// One ring accepts at a time; when its table is nearly full the next one takes over.
pub(super) struct Acceptor {
    /// Also held by [`take_down`], which shuts them down should the core panic.
    listeners: Arc<Vec<ListenSocket>>,
    /// By ring, then by listener.
    armed: Vec<Vec<ArmedAccepts>>,
    /// What the accept queue may hold: so many may be accepted before a cancellation is seen.
    queue: u32,
    stopped: bool,
    stale: bool,
    full: bool,
    retry_at: Option<Instant>,
    /// Whether another process accepts at the listeners too.
    handover: InHandover,
    /// When accepts are armed anew.
    refresh_at: Option<Instant>,
    pub(super) failures: AcceptFailures,
}

/// The accepts of one listener that one ring holds.
#[derive(Clone, Copy, Default)]
struct ArmedAccepts {
    multishot: bool,
    cancelling: bool,
    singles: u32,
}

impl ArmedAccepts {
    fn is_held(&self) -> bool {
        self.multishot || self.singles > 0
    }
}

/// Which accepts are armed where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Nowhere.
    None,
    /// One multishot accept per listener in that ring.
    Multishot(usize),
    /// Single accepts in that ring.
    Single(usize),
    /// No more are armed, and none is cancelled: connections that those accept can wait.
    Unchanged,
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

/// Shuts the listeners of a lost core down: the kernel gives new connections to the other cores.
///
/// A listener whose core is lost would be given its share of them (`SO_REUSEPORT`) for as long as
/// an accept in a ring holds it. `shutdown` ends listening whatever else holds the socket
/// (`inet_shutdown` in net/ipv4/af_inet.c).
///
/// One that the cores share goes on: the others accept at it. So does one that another process has
/// too: it is the same socket there.
pub(super) fn take_down(listeners: &Weak<Vec<ListenSocket>>) {
    let listeners = listeners.upgrade();
    let all = listeners.iter().flat_map(|all| all.iter());
    for listener in all.filter(|it| !it.is_shared() && !it.handover().is_on()) {
        let _ = SockRef::from(listener).shutdown(Shutdown::Both);
    }
}

impl Acceptor {
    pub(super) fn new(listeners: Arc<Vec<ListenSocket>>, rings: usize) -> Self {
        let path = "/proc/sys/net/core/somaxconn";
        let somaxconn = std::fs::read_to_string(path)
            .ok()
            .and_then(|text| text.trim().parse().ok());
        Self {
            handover: listeners
                .first()
                .map(|it| it.handover().clone())
                .unwrap_or_default(),
            refresh_at: None,
            armed: vec![vec![ArmedAccepts::default(); listeners.len()]; rings],
            listeners,
            queue: limits::LISTEN_BACKLOG.min(somaxconn.unwrap_or(u32::MAX)),
            stopped: false,
            stale: true,
            full: false,
            retry_at: None,
            failures: AcceptFailures::default(),
        }
    }

    /// Stops accepting, for good.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
        self.stale = true;
    }

    /// A slot became free or an accept ended: the next [`Self::settle`] arms and cancels anew.
    pub(super) fn look_again(&mut self) {
        self.stale = true;
    }

    /// When accepting resumes after a failure.
    pub(super) fn deadline(&self) -> Option<Instant> {
        [self.retry_at, self.refresh_at].into_iter().flatten().min()
    }

    /// An accept of a ring completed; `more` if that accept stays armed.
    pub(super) fn completed(
        &mut self,
        operation: Operation,
        ring: usize,
        listener: usize,
        more: bool,
    ) {
        let armed = &mut self.armed[ring][listener];
        match operation {
            Operation::AcceptSingle => armed.singles -= 1,
            _ if more => {}
            _ => armed.multishot = false,
        }
        armed.cancelling &= armed.is_held();
        self.stale = true;
    }

    /// A cancellation of a listener's accepts completed. It does not find an accept that is just
    /// being moved to the listener's wait queue: one that is still armed is cancelled again.
    pub(super) fn cancelled(&mut self, ring: usize, listener: usize) {
        self.armed[ring][listener].cancelling = false;
        self.stale = true;
    }

    /// An accept failed: pauses accepting if memory or descriptors were lacking.
    pub(super) fn failed(&mut self, errno: i32, now: Instant, counters: &mut Counters) {
        let harmless = matches!(
            cause::from_errno(errno),
            CloseCause::Reset | CloseCause::TimedOut
        );
        if errno != libc::ECANCELED && !harmless {
            counters.accept_failures += 1;
            self.failures.note(errno);
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
        self.refresh(rings, now);
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
            Mode::Multishot(ring) if !self.is_held_beside(ring) => {
                self.arm_multishot(ring, &mut rings.lane(ring).ring);
            }
            Mode::Single(ring) if !self.is_held_beside(ring) => {
                self.arm_singles(ring, &mut rings.lane(ring).ring);
            }
            Mode::None | Mode::Unchanged | Mode::Multishot(_) | Mode::Single(_) => {}
        }
    }

    /// Cancels all accepts if it is time to arm them anew.
    fn refresh(&mut self, rings: &mut Rings, now: Instant) {
        let is_on = self.handover.is_on() && !self.stopped;
        let Some(at) = self.refresh_at else {
            self.refresh_at = is_on.then(|| now + REFRESH);
            return;
        };
        if at > now {
            return;
        }
        // Once more when it is over: what that process left may be queued.
        self.refresh_at = is_on.then(|| now + REFRESH);
        if !self.stopped {
            for ring in 0..rings.count() {
                self.cancel_but(Mode::None, ring, &mut rings.lane(ring).ring);
            }
        }
    }

    /// Whether accepting was stopped and a connection that is accepted all the same is ended. It is
    /// let in where another process goes on accepting: its peer was never to notice.
    pub(super) fn is_shut(&self) -> bool {
        self.stopped && !self.handover.is_on()
    }

    /// Whether the kernel still holds an accept.
    pub(super) fn is_held(&self) -> bool {
        self.armed.iter().flatten().any(ArmedAccepts::is_held)
    }

    /// Whether the kernel still holds an accept of another ring.
    fn is_held_beside(&self, ring: usize) -> bool {
        let others = self.armed.iter().enumerate();
        let mut others = others.filter(|(other, _)| *other != ring);
        others.any(|(_, armed)| armed.iter().any(ArmedAccepts::is_held))
    }

    /// The first ring that can hold a whole queue takes many; if there is none, the one that
    /// takes one by one goes on until it is full, then the one with most room.
    fn mode(&self, slots: &Slots) -> Mode {
        if self.stopped {
            return Mode::None;
        }
        if self.retry_at.is_some() {
            return Mode::Unchanged;
        }
        let listeners = u32::try_from(self.listeners.len()).unwrap_or(u32::MAX);
        let queues = self.queue.saturating_mul(listeners);
        let rings = 0..self.armed.len();
        if let Some(ring) = rings.clone().find(|&ring| slots.room(ring) > queues) {
            return Mode::Multishot(ring);
        }
        let goes_on = |ring: &usize| {
            let armed = &self.armed[*ring];
            slots.room(*ring) > 0 && armed.iter().any(|armed| armed.singles > 0)
        };
        let ring = rings.clone().find(goes_on);
        match ring.or_else(|| rings.max_by_key(|&ring| slots.room(ring))) {
            Some(ring) if slots.room(ring) > 0 => Mode::Single(ring),
            _ => Mode::Unchanged,
        }
    }

    /// Cancels accepts that a ring should not hold in this mode.
    fn cancel_but(&mut self, mode: Mode, index: usize, ring: &mut Ring) {
        for (listener, armed) in (0u32..).zip(&mut self.armed[index]) {
            if armed.cancelling {
                continue;
            }
            if armed.multishot && mode != Mode::Multishot(index) {
                armed.cancelling = true;
                cancel(ring, Operation::AcceptMultishot, listener);
            }
            let stays = match mode {
                Mode::None => false,
                Mode::Unchanged => true,
                Mode::Multishot(ring) | Mode::Single(ring) => ring == index,
            };
            if armed.singles > 0 && !stays {
                armed.cancelling = true;
                cancel(ring, Operation::AcceptSingle, listener);
            }
        }
    }

    fn arm_multishot(&mut self, index: usize, ring: &mut Ring) {
        for ((number, armed), listener) in
            (0u32..).zip(&mut self.armed[index]).zip(&*self.listeners)
        {
            if armed.is_held() {
                continue;
            }
            let descriptor = types::Fd(listener.as_raw_fd());
            if listener.is_shared() {
                armed.singles = 1;
                let entry = accept_single(descriptor);
                ring.push(&entry.user_data(plain(Operation::AcceptSingle, number)));
                continue;
            }
            armed.multishot = true;
            let entry = opcode::AcceptMulti::new(descriptor)
                .allocate_file_index(true)
                .build();
            ring.push(&entry.user_data(plain(Operation::AcceptMultishot, number)));
        }
    }

    /// Arms single accepts in all listeners of a ring, each up to its share.
    fn arm_singles(&mut self, index: usize, ring: &mut Ring) {
        let armed = &mut self.armed[index];
        // A multishot accept in it is being cancelled.
        if armed.iter().any(|armed| armed.cancelling) {
            return;
        }
        let share = share(u32::try_from(armed.len()).unwrap_or(u32::MAX));
        for ((number, armed), listener) in (0u32..).zip(armed).zip(&*self.listeners) {
            let share = if listener.is_shared() { 1 } else { share };
            let missing = share.saturating_sub(armed.singles);
            armed.singles += missing;
            let entry = accept_single(types::Fd(listener.as_raw_fd()));
            for _ in 0..missing {
                ring.push(
                    &entry
                        .clone()
                        .user_data(plain(Operation::AcceptSingle, number)),
                );
            }
        }
    }
}

/// Has the kernel hold connections back until the peer has sent something, a second at most: one
/// wake-up for connection and request, where there would be two.
pub(super) fn defer(listeners: &[ListenSocket]) -> io::Result<()> {
    let mut listeners = listeners.iter().filter_map(ListenSocket::tcp);
    listeners.try_for_each(|listener| DEFER_ACCEPT.set(listener.as_fd(), 1))
}

fn accept_single(listener: types::Fd) -> squeue::Entry {
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
