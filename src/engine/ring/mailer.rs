//! Messages between cores: those of a turn leave together, with one doorbell for all of them.

use super::operation::{Operation, plain};
use super::queue::Ring;
use super::waker::WakeHandle;
use crate::engine::mail_gauge::MailGauge;
use crate::shard::Core;
use io_uring::{opcode, squeue, types};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// The mailboxes of all cores of a run, in core order.
pub(super) type Mailboxes<M> = Arc<[Mailbox<M>]>;

/// What other cores have sent to one core and it has not fetched yet.
#[repr(align(64))]
pub(super) struct Mailbox<M> {
    queue: Mutex<Queue<M>>,
    /// Whether the queue holds messages: a look at this takes no lock.
    full: AtomicBool,
    /// How to wake that core; set before any core starts.
    doorbell: OnceLock<Doorbell>,
    /// What waits in all mailboxes.
    gauge: MailGauge,
}

struct Queue<M> {
    messages: Vec<(Core, M)>,
    /// What the messages count in the gauge.
    bytes: usize,
    /// That core has ended and will fetch nothing more.
    closed: bool,
}

struct Doorbell {
    /// The core's lead ring, to which a completion is sent.
    ring: RawFd,
    /// The core's waker, for when the kernel cannot send one.
    waker: WakeHandle,
}

impl<M> Mailbox<M> {
    fn lock(&self) -> MutexGuard<'_, Queue<M>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Throws away the messages that are there and all that will come: that core has ended.
    pub(super) fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        self.gauge.fetched(std::mem::take(&mut queue.bytes));
        let unread = std::mem::take(&mut queue.messages);
        self.full.store(false, Ordering::Release);
        drop(queue);
        drop(unread);
    }
}

/// An empty mailbox for each core.
pub(super) fn mailboxes_for<M>(cores: usize) -> Mailboxes<M> {
    let gauge = MailGauge::default();
    let empty = || Mailbox {
        gauge: gauge.clone(),
        queue: Mutex::new(Queue {
            messages: Vec::new(),
            bytes: 0,
            closed: false,
        }),
        full: AtomicBool::new(false),
        doorbell: OnceLock::new(),
    };
    (0..cores).map(|_| empty()).collect()
}

/// One core's sender and receiver of messages.
pub(super) struct Mailer<M> {
    mailboxes: Mailboxes<M>,
    core: Core,
    /// Messages of this turn and what they count, by the core that they are for.
    outgoing: Vec<(Vec<(Core, M)>, usize)>,
    /// The cores that messages of this turn are for: a turn without messages looks at nothing.
    addressees: Vec<u16>,
}

impl<M> Mailer<M> {
    pub(super) fn new(mailboxes: Mailboxes<M>, core: Core) -> Self {
        let outgoing = mailboxes.iter().map(|_| (Vec::new(), 0)).collect();
        Self {
            mailboxes,
            core,
            outgoing,
            addressees: Vec::new(),
        }
    }

    pub(super) fn cores(&self) -> u16 {
        u16::try_from(self.mailboxes.len()).unwrap_or(u16::MAX)
    }

    /// Messages for this core send a completion to this ring, or else signal this waker.
    pub(super) fn set_doorbell(&self, ring: RawFd, waker: WakeHandle) {
        let set = self.own().doorbell.set(Doorbell { ring, waker });
        assert!(set.is_ok(), "a core has one doorbell");
    }

    /// Queues a message that owns so many bytes of memory; it leaves with [`Self::deliver`].
    pub(super) fn queue(&mut self, to: Core, message: M, bytes: usize) {
        let (messages, size) = &mut self.outgoing[to.index()];
        *size += MailGauge::size(bytes);
        if messages.is_empty() {
            self.addressees.push(to.0);
        }
        messages.push((self.core, message));
    }

    /// Delivers this turn's messages. A doorbell is rung only where the mailbox was empty:
    /// otherwise an earlier ring is still unanswered.
    pub(super) fn deliver(&mut self, ring: &mut Ring) {
        for to in self.addressees.drain(..) {
            let (messages, size) = &mut self.outgoing[usize::from(to)];
            let bytes = std::mem::take(size);
            let mailbox = &self.mailboxes[usize::from(to)];
            let first = {
                let mut queue = mailbox.lock();
                if queue.closed {
                    messages.clear();
                    continue;
                }
                let first = queue.messages.is_empty();
                queue.messages.append(messages);
                queue.bytes += bytes;
                mailbox.gauge.sent(bytes);
                mailbox.full.store(true, Ordering::Release);
                first
            };
            if to != self.core.0
                && first
                && let Some(doorbell) = mailbox.doorbell.get()
            {
                let rung = plain(Operation::Doorbell, 0);
                // SKIP_SUCCESS is for our own completion; the other ring gets one of its own.
                let entry = opcode::MsgRingData::new(types::Fd(doorbell.ring), 0, rung, None)
                    .build()
                    .flags(squeue::Flags::SKIP_SUCCESS)
                    .user_data(plain(Operation::RingDoorbell, u32::from(to)));
                ring.push(&entry);
            }
        }
    }

    /// Wakes a core to whose ring the kernel did not send the completion: for want of memory, for
    /// one (io_uring/msg_ring.c). The waker ends a park; a core that waits in its ring looks at its
    /// mailbox with the next tick.
    pub(super) fn wake(&self, core: usize) {
        let mailbox = self.mailboxes.get(core);
        if let Some(doorbell) = mailbox.and_then(|it| it.doorbell.get()) {
            doorbell.waker.wake();
        }
    }

    /// Wakes every core: this one ends, and cannot say which have messages from it.
    pub(super) fn wake_all(&self) {
        (0..self.mailboxes.len()).for_each(|core| self.wake(core));
    }

    /// Fetches everything that has come; `into` must be empty and keeps its memory.
    pub(super) fn fetch(&mut self, into: &mut Vec<(Core, M)>) {
        let mailbox = self.own();
        let mut queue = mailbox.lock();
        mailbox.full.store(false, Ordering::Release);
        std::mem::swap(&mut queue.messages, into);
        mailbox.gauge.fetched(std::mem::take(&mut queue.bytes));
    }

    /// Whether there are messages to fetch, from whichever core, with or without a doorbell.
    #[inline]
    pub(super) fn has_mail(&self) -> bool {
        self.own().full.load(Ordering::Acquire)
    }

    /// Whether so much waits in all mailboxes that nothing should be added but what has to be.
    pub(super) fn mail_is_full(&self) -> bool {
        self.own().gauge.is_full()
    }

    /// Takes no more messages.
    pub(super) fn close(&self) {
        self.own().close();
    }

    fn own(&self) -> &Mailbox<M> {
        &self.mailboxes[self.core.index()]
    }
}
