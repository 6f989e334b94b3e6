//! Letters between cores: many in one, and one ring of the bell for all of them.

use super::kernel::Ring;
use super::operation::{Operation, plain};
use crate::shard::Core;
use io_uring::{opcode, squeue, types};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The mailboxes of all cores of a run.
pub(super) type Post<M> = Arc<[Mailbox<M>]>;

/// What other cores have sent to one core and it has not fetched yet.
pub(super) struct Mailbox<M> {
    letters: Mutex<Vec<(Core, M)>>,
    /// The ring to tell; -1 until that core is ready.
    bell: AtomicI32,
}

/// An empty mailbox for each core.
pub(super) fn post<M>(cores: usize) -> Post<M> {
    let empty = || Mailbox {
        letters: Mutex::new(Vec::new()),
        bell: AtomicI32::new(-1),
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
    /// This core has written to itself: no bell rings for that.
    own: bool,
}

impl<M> Desk<M> {
    pub(super) fn new(post: Post<M>, core: Core) -> Self {
        let written = post.iter().map(|_| Vec::new()).collect();
        Self {
            post,
            core,
            written,
            addressees: Vec::new(),
            own: false,
        }
    }

    pub(super) fn cores(&self) -> u16 {
        u16::try_from(self.post.len()).unwrap_or(u16::MAX)
    }

    /// From now on, letters for this core ring this ring.
    pub(super) fn hang_bell(&self, descriptor: RawFd) {
        self.post[self.core.index()]
            .bell
            .store(descriptor, Ordering::SeqCst);
    }

    /// Writes a letter; it leaves with [`Self::deliver`].
    pub(super) fn write(&mut self, to: Core, message: M) {
        let letters = &mut self.written[to.index()];
        if letters.is_empty() {
            self.addressees.push(to.0);
        }
        letters.push((self.core, message));
    }

    /// Delivers this turn's letters: a bell is rung only where the mailbox was empty, since
    /// otherwise one that nobody has answered yet still rings.
    pub(super) fn deliver(&mut self, ring: &mut Ring) {
        for to in self.addressees.drain(..) {
            let letters = &mut self.written[usize::from(to)];
            let mailbox = &self.post[usize::from(to)];
            let first = {
                let mut box_ = mailbox
                    .letters
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                let first = box_.is_empty();
                box_.append(letters);
                first
            };
            if to == self.core.0 {
                self.own = true;
            } else if first {
                let bell = types::Fd(mailbox.bell.load(Ordering::SeqCst));
                let rung = plain(Operation::Doorbell, 0);
                // SKIP_SUCCESS is for our own completion; the other ring gets one of its own.
                let entry = opcode::MsgRingData::new(bell, 0, rung, None)
                    .build()
                    .flags(squeue::Flags::SKIP_SUCCESS)
                    .user_data(plain(Operation::Aside, 0));
                ring.push(&entry);
            }
        }
    }

    /// Fetches everything that has come; `into` must be empty and keeps its memory.
    pub(super) fn fetch(&mut self, into: &mut Vec<(Core, M)>) {
        self.own = false;
        let mailbox = &self.post[self.core.index()];
        let mut letters = mailbox
            .letters
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut *letters, into);
    }

    /// Whether this core has letters from itself to fetch.
    pub(super) fn has_own(&self) -> bool {
        self.own
    }
}
