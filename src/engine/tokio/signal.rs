//! How a core learns what is ready: a list of tokens, filled by wakers, emptied by each turn.

use crate::engine::mail_gauge::MailGauge;
use crate::shard::Core;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Wake, Waker};

/// Only a reason to take a turn: mail came, or somebody asked to stop.
pub(super) const NUDGE: u32 = u32::MAX;
/// The alarm rang.
pub(super) const ALARM: u32 = u32::MAX - 1;
/// The first listener; listeners count upwards. SlotTable are below.
pub(super) const LISTENERS: u32 = u32::MAX - 0x1_0000;

/// What became ready since the last turn. The lock is contended only by other cores' mail.
#[derive(Default)]
pub(super) struct Ready(Mutex<Gathered>);

#[derive(Default)]
struct Gathered {
    tokens: Vec<u32>,
    turn: Option<Waker>,
}

impl Ready {
    /// A waker that adds the token. It may come several times in one list.
    pub(super) fn waker(self: &Arc<Self>, token: u32) -> Waker {
        Arc::new(Token {
            ready: Arc::clone(self),
            token,
        })
        .into()
    }

    /// Says what to wake for a turn.
    pub(super) fn wakes(&self, turn: &Waker) {
        let mut gathered = self.lock();
        if !gathered
            .turn
            .as_ref()
            .is_some_and(|known| known.will_wake(turn))
        {
            gathered.turn = Some(turn.clone());
        }
    }

    /// Swaps the gathered tokens for an empty list.
    pub(super) fn swap(&self, empty: &mut Vec<u32>) {
        assert!(empty.is_empty(), "a turn handles all tokens");
        std::mem::swap(&mut self.lock().tokens, empty);
    }

    /// Adds a token that no waker stands for.
    pub(super) fn add(&self, token: u32) {
        let mut gathered = self.lock();
        gathered.tokens.push(token);
        if let (1, Some(turn)) = (gathered.tokens.len(), &gathered.turn) {
            turn.wake_by_ref();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Gathered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One thing that may become ready.
struct Token {
    ready: Arc<Ready>,
    token: u32,
}

impl Wake for Token {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ready.add(self.token);
    }
}

/// What other cores have said to this one.
pub(super) struct Mailbox<M> {
    mail: Mutex<Mail<M>>,
    owner: OnceLock<Waker>,
    /// What waits in all mailboxes.
    gauge: MailGauge,
}

struct Mail<M> {
    messages: Vec<(Core, M)>,
    /// What they count in the gauge.
    bytes: usize,
}

impl<M> Mailbox<M> {
    /// An empty one beside those with the same gauge.
    pub(super) fn new(gauge: MailGauge) -> Self {
        let (messages, bytes) = (Vec::new(), 0);
        Self {
            mail: Mutex::new(Mail { messages, bytes }),
            owner: OnceLock::new(),
            gauge,
        }
    }

    /// Names the core that reads it. Mail from before waits.
    pub(super) fn attach(&self, owner: &Arc<Ready>) {
        let waker = owner.waker(NUDGE);
        if self.owner.set(waker.clone()).is_ok() {
            waker.wake();
        }
    }

    /// Puts all messages in, in order, and wakes the owner.
    pub(super) fn put(&self, messages: impl Iterator<Item = (Core, M)>, bytes: usize) {
        let mut mail = self.mail.lock().unwrap_or_else(PoisonError::into_inner);
        let was_empty = mail.messages.is_empty();
        mail.messages.extend(messages);
        mail.bytes += bytes;
        self.gauge.sent(bytes);
        drop(mail);
        if let (true, Some(owner)) = (was_empty, self.owner.get()) {
            owner.wake_by_ref();
        }
    }

    /// Swaps the mail for an empty list.
    pub(super) fn swap(&self, empty: &mut Vec<(Core, M)>) {
        assert!(empty.is_empty(), "a turn delivers all mail");
        let mut mail = self.mail.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut mail.messages, empty);
        self.gauge.fetched(std::mem::take(&mut mail.bytes));
    }

    /// Whether so much waits in all mailboxes that nothing should be added but what has to be.
    pub(super) fn all_are_full(&self) -> bool {
        self.gauge.is_full()
    }
}
