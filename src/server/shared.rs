//! What the connections of one core share: configuration, buffers, timers, listeners, counts.

use super::Config;
use super::admission::Admission;
use super::apps::Apps;
use super::deferred::Deferred;
use super::fields::Clock;
use super::outbox::{Outbox, Outgoing};
use super::spread::Spread;
use super::stats::{Message, Round};
use super::tally::Tally;
use super::watch::Watch;
use crate::protocol::websocket::Pool;
use crate::shard::Wire;
use crate::time::Instant;
use crate::wheel::Wheel;
use std::ops::Range;
use std::time::Duration;

/// To within this a connection's time-out is kept. With the wheel's buckets it makes a horizon of
/// two minutes: a quiet connection with a shorter time-out is touched once per time-out.
const TICK: Duration = Duration::from_millis(64);

pub(super) struct Shared<A> {
    pub(super) config: Config,
    pub(super) pool: Pool,
    pub(super) wheel: Wheel,
    pub(super) apps: A,
    pub(super) outbox: Outbox,
    pub(super) deferred: Deferred,
    pub(super) watch: Watch,
    pub(super) heartbeat: Heartbeat,
    pub(super) tally: Tally,
    pub(super) round: Round,
    /// Where heads, close frames and replays are encoded before they are queued.
    pub(super) scratch: Vec<u8>,
    /// Where the content of an answer is written before its head.
    pub(super) body: Vec<u8>,
    /// What an application answers to a call, until it is in `body`.
    pub(super) response: String,
    pub(super) clock: Clock,
    pub(super) admission: Admission,
    /// The outside asked to end: health says so.
    pub(super) unready: bool,
    /// When draining ends, once it has begun.
    pub(super) draining: Option<Instant>,
}

impl<A: Apps> Shared<A> {
    pub(super) fn new(apps: A, config: Config) -> Self {
        let config = config.normalized();
        Self {
            pool: config.pool(),
            wheel: Wheel::new(config.started(), TICK),
            apps,
            outbox: Outbox::default(),
            deferred: Deferred::default(),
            watch: Watch::default(),
            heartbeat: Heartbeat {
                at: config.started(),
                slot: 0,
                streams: 0,
            },
            tally: Tally::default(),
            round: Round::default(),
            scratch: Vec::new(),
            body: Vec::new(),
            response: String::new(),
            clock: Clock::default(),
            admission: Admission::default(),
            unready: false,
            draining: None,
            config,
        }
    }

    /// The applications, and where what they ask for is carried out.
    pub(super) fn apps_and_outgoing<'s, W: Wire<Message<A::Letters>>>(
        &'s mut self,
        wire: &'s mut W,
    ) -> (&'s mut A, Outgoing<'s, Message<A::Letters>, W>) {
        let outgoing = Outgoing::new(wire, &mut self.outbox, &mut self.tally);
        (&mut self.apps, outgoing)
    }

    /// A newcomer is reset, because there is no place to answer it.
    pub(super) fn refuse_by_reset(&mut self) {
        self.tally.refused();
        self.config.refused_by_reset();
    }
}

impl<A: Apps> Shared<A> {
    /// Bytes of memory of unfinished messages and requests, and of those that wait for their share
    /// of work.
    pub(super) fn inbound_bytes(&self) -> usize {
        self.pool.held + self.watch.requests + self.deferred.held()
    }

    /// What is counted, with what is held now.
    pub(super) fn figures(&self, wire: &impl Wire<Message<A::Letters>>) -> Tally {
        let inbound = self.inbound_bytes();
        let held = inbound + wire.held_bytes();
        self.tally.holding(inbound as u64, held as u64)
    }

    /// Frees what is kept for the next who need it: nobody does now.
    pub(super) fn trim(&mut self) {
        self.pool.trim();
        self.apps.trim();
        self.outbox.trim();
        self.scratch = Vec::new();
        self.body = Vec::new();
    }
}

impl Heartbeat {
    /// One more event stream.
    pub(super) fn begin(&mut self, now: Instant) {
        if self.streams == 0 {
            (self.at, self.slot) = (now, 0);
        }
        self.streams += 1;
    }

    /// When the next step is due, among so many slots; each slot has its turn once in `every`.
    pub(super) fn due(&self, slots: usize, every: Duration) -> Option<Instant> {
        (self.streams > 0).then(|| self.at + Spread::new(slots, every).gap)
    }

    /// Takes a step: whose turn it is.
    pub(super) fn step(&mut self, slots: usize, every: Duration, now: Instant) -> Range<usize> {
        let end = self.slot + Spread::new(slots, every).each;
        let begin = std::mem::replace(&mut self.slot, if end < slots { end } else { 0 });
        self.at = now;
        begin..end
    }
}

/// The heartbeat of the event streams of applications that the server keeps no list for.
pub(super) struct Heartbeat {
    /// When some of them last got one.
    at: Instant,
    /// The slot that is next.
    slot: usize,
    pub(super) streams: u32,
}
