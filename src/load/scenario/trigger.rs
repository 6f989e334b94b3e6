//! A broadcast that something outside makes: a request is fired, and the time measured until all
//! subscribers have heard what the server made of it.

use super::calls::Stamp;
use super::{Address, Context, Exchange, Note, Part, Piece, Stray};
use crate::time::Instant;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// After that time a broadcast that has not reached everyone is lost.
const PATIENCE_TIME: Duration = Duration::from_secs(10);
/// What a note has for the number of a message without a stamp: it is of the last broadcast.
const UNSTAMPED: u64 = 0;

/// Fires a request; its argument is a stamp, which the server may or may not pass on.
pub type Fire = Box<dyn Fn(&str) + Send + Sync>;

/// What makes the broadcasts of a run, and who among its clients counts them. All of these are on
/// one core.
pub struct Trigger {
    fire: Fire,
    /// Requests that failed, counted by whoever makes them.
    failed: Arc<AtomicU32>,
    /// The first client that is subscribed.
    leader: OnceLock<Address>,
    subscribed: AtomicU32,
}

/// What the leader knows of the broadcast under way.
#[derive(Debug, Default)]
pub(super) struct Round {
    under_way: Option<(u32, Exchange)>,
    number: u32,
    fired: Instant,
    expected: usize,
    /// Who has it already, by number, and after what time.
    has_it: Vec<bool>,
    delays_ns: Vec<u64>,
}

impl Trigger {
    /// A trigger that fires so, and where failures are counted.
    #[must_use]
    pub fn new(fire: Fire, failed: Arc<AtomicU32>) -> Self {
        Self {
            fire,
            failed,
            leader: OnceLock::new(),
            subscribed: AtomicU32::new(0),
        }
    }

    /// One more client is subscribed; the first one leads.
    pub(super) fn join(&self, context: &Context<'_>) -> Part {
        self.subscribed.fetch_add(1, Ordering::Relaxed);
        if *self.leader.get_or_init(|| context.address()) == context.address() {
            Part::Speaks
        } else {
            Part::Listens
        }
    }

    /// A client that was subscribed is gone.
    pub(super) fn leave(&self) {
        self.subscribed.fetch_sub(1, Ordering::Relaxed);
    }

    /// A client heard a message: tells the leader.
    pub(super) fn heard(&self, stamp: Option<Stamp>, context: &mut Context<'_>) {
        let Some(leader) = self.leader.get() else {
            return;
        };
        let note = Note {
            sequence: stamp.map_or(UNSTAMPED, |stamp| u64::from(stamp.number)),
            from: context.number(),
            at: context.now(),
        };
        context.tell(*leader, note);
    }
}

impl Round {
    /// Fires, if the broadcast before it is over.
    pub(super) fn begin(&mut self, trigger: &Trigger, piece: Piece, context: &mut Context<'_>) {
        if self.under_way.is_some() {
            return;
        }
        // Numbers begin at 1.
        self.number = self.number.wrapping_add(1).max(1);
        let expected = trigger.subscribed.load(Ordering::Relaxed);
        self.expected = usize::try_from(expected).unwrap_or(usize::MAX);
        self.fired = context.now();
        self.has_it.clear();
        self.delays_ns.clear();
        let exchange = context.begin(piece);
        context.broadcast(&exchange, expected);
        self.under_way = Some((self.number, exchange));
        let stamp = Stamp {
            client: context.number(),
            number: self.number,
            sent: self.fired,
        };
        (trigger.fire)(std::str::from_utf8(&stamp.encode()).unwrap_or_default());
    }

    /// Somebody has heard a message.
    pub(super) fn told(&mut self, note: Note, context: &mut Context<'_>) {
        let Some((number, exchange)) = &self.under_way else {
            return;
        };
        if note.sequence != UNSTAMPED && note.sequence != u64::from(*number) {
            return;
        }
        let from = usize::try_from(note.from).unwrap_or(usize::MAX);
        if from >= self.has_it.len() {
            // By the number of a client of ours, not by anything that a peer says.
            self.has_it.resize(from.saturating_add(1), false);
        }
        match self.has_it.get_mut(from) {
            Some(has_it) if !*has_it => *has_it = true,
            Some(_) | None => return context.stray(Stray::Duplicate),
        }
        context.delivered(exchange);
        let delay = note.at.as_nanos().saturating_sub(self.fired.as_nanos());
        self.delays_ns.push(delay);
        if self.delays_ns.len() >= self.expected {
            context.spread(exchange, &mut self.delays_ns);
            if let Some((_, exchange)) = self.under_way.take() {
                context.finish_at(exchange, note.at);
            }
        }
    }

    /// Some time has passed: a broadcast that took too long is given up.
    pub(super) fn look(&mut self, trigger: &Trigger, context: &mut Context<'_>) {
        let is_late = context.now().since(self.fired) >= PATIENCE_TIME;
        let has_failed = trigger.failed.load(Ordering::Relaxed) > 0;
        if let Some((_, exchange)) = self.under_way.take_if(|_| is_late || has_failed) {
            context.lose(exchange);
        }
        if has_failed {
            context.fail("trigger_failed");
        }
    }
}

impl fmt::Debug for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trigger").finish_non_exhaustive()
    }
}
