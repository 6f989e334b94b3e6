//! Letters between cores: many in one, and one ring of the bell for all of them.

use super::bell::Ringing;
use super::operation::{Operation, plain};
use super::queue::Ring;
use crate::shard::Core;
use io_uring::{opcode, squeue, types};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// The mailboxes of all cores of a run.
pub(super) type Post<M> = Arc<[Mailbox<M>]>;

/// What other cores have sent to one core and it has not fetched yet.
#[repr(align(64))]
pub(super) struct Mailbox<M> {
    letters: Mutex<Letters<M>>,
    /// Whether there are letters: a look at it takes no lock.
    full: AtomicBool,
    /// How to wake that core; set before any core starts.
    doorbell: OnceLock<Doorbell>,
}

struct Letters<M> {
    waiting: Vec<(Core, M)>,
    /// That core has ended: nobody will fetch them.
    closed: bool,
}

struct Doorbell {
    /// Its lead ring, to which a completion is sent.
    ring: RawFd,
    /// Its bell, where the kernel would not send one.
    bell: Ringing,
}

impl<M> Mailbox<M> {
    fn open(&self) -> MutexGuard<'_, Letters<M>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Throws away what is there and whatever will come: that core has ended.
    pub(super) fn close(&self) {
        let mut letters = self.open();
        letters.closed = true;
        let unread = std::mem::take(&mut letters.waiting);
        self.full.store(false, Ordering::Release);
        drop(letters);
        drop(unread);
    }
}

/// An empty mailbox for each core.
pub(super) fn post<M>(cores: usize) -> Post<M> {
    let empty = || Mailbox {
        letters: Mutex::new(Letters {
            waiting: Vec::new(),
            closed: false,
        }),
        full: AtomicBool::new(false),
        doorbell: OnceLock::new(),
    };
    (0..cores).map(|_| empty()).collect()
}

/// One core's desk: letters written in this turn, and letters fetched.
pub(super) struct Desk<M> {
    post: Post<M>,
    core: Core,
    /// Letters of this turn, by addressee.
    written: Vec<Vec<(Core, M)>>,
    /// The addressees of this turn, so that a turn without letters looks at nothing.
    addressees: Vec<u16>,
}

impl<M> Desk<M> {
    pub(super) fn new(post: Post<M>, core: Core) -> Self {
        let written = post.iter().map(|_| Vec::new()).collect();
        Self {
            post,
            core,
            written,
            addressees: Vec::new(),
        }
    }

    pub(super) fn cores(&self) -> u16 {
        u16::try_from(self.post.len()).unwrap_or(u16::MAX)
    }

    /// Letters for this core send a completion to this ring, or ring this bell.
    pub(super) fn hang(&self, ring: RawFd, bell: Ringing) {
        let hung = self.own().doorbell.set(Doorbell { ring, bell });
        assert!(hung.is_ok(), "a core has one doorbell");
    }

    /// Writes a letter; it leaves with [`Self::deliver`].
    pub(super) fn write(&mut self, to: Core, message: M) {
        let letters = &mut self.written[to.index()];
        if letters.is_empty() {
            self.addressees.push(to.0);
        }
        letters.push((self.core, message));
    }

    /// Delivers this turn's letters: a doorbell is rung only where the mailbox was empty, since
    /// otherwise one that nobody has answered yet still rings.
    pub(super) fn deliver(&mut self, ring: &mut Ring) {
        for to in self.addressees.drain(..) {
            let letters = &mut self.written[usize::from(to)];
            let mailbox = &self.post[usize::from(to)];
            let first = {
                let mut box_ = mailbox.open();
                if box_.closed {
                    letters.clear();
                    continue;
                }
                let first = box_.waiting.is_empty();
                box_.waiting.append(letters);
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
                    .user_data(plain(Operation::Ringing, u32::from(to)));
                ring.push(&entry);
            }
        }
    }

    /// The kernel did not send the completion to that core's ring: for want of memory, for one
    /// (io_uring/msg_ring.c). Its bell wakes it where it sleeps; where it waits in its ring, it
    /// looks at its mailbox with the next tick.
    pub(super) fn ring_bell(&self, to: usize) {
        if let Some(doorbell) = self.post.get(to).and_then(|to| to.doorbell.get()) {
            doorbell.bell.ring();
        }
    }

    /// Rings every bell: this core ends, and could not say to whom it has written.
    pub(super) fn ring_all_bells(&self) {
        (0..self.post.len()).for_each(|to| self.ring_bell(to));
    }

    /// Fetches everything that has come; `into` must be empty and keeps its memory.
    pub(super) fn fetch(&mut self, into: &mut Vec<(Core, M)>) {
        let mailbox = self.own();
        let mut letters = mailbox.open();
        mailbox.full.store(false, Ordering::Release);
        std::mem::swap(&mut letters.waiting, into);
    }

    /// Whether there are letters to fetch: whoever wrote them, and whether or not a bell has rung.
    #[inline]
    pub(super) fn has_mail(&self) -> bool {
        self.own().full.load(Ordering::Acquire)
    }

    /// Takes no more letters.
    pub(super) fn close(&self) {
        self.own().close();
    }

    fn own(&self) -> &Mailbox<M> {
        &self.post[self.core.index()]
    }
}
