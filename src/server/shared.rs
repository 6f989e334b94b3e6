//! What the connections of one core share: configuration, buffers, timers, listeners, counts.

use super::Config;
use super::admission::Admission;
use super::deferred::Deferred;
use super::errands::Errands;
use super::fields::Clock;
use super::stats::{Message, Round};
use super::tally::Tally;
use super::topic::Topic;
use super::watch::Watch;
use crate::app::push::{Plan, Push};
use crate::app::rooms::{self, Rooms};
use crate::app::{self, Effects, Notice};
use crate::protocol::websocket::{Extension, Opcode, OriginPolicy, Pool, frame};
use crate::shard::{ConnectionId, Core, Unsent, Wire};
use crate::time::Instant;
use crate::wheel::Wheel;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// To within this a connection's time-out is kept. With the wheel's buckets it makes a horizon of
/// two minutes: a quiet connection with a shorter time-out is touched once per time-out.
const TICK: Duration = Duration::from_millis(64);

pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) pool: Pool,
    pub(super) wheel: Wheel,
    pub(super) push: Push,
    pub(super) topic: Topic,
    pub(super) rooms: Rooms,
    pub(super) errands: Errands,
    pub(super) deferred: Deferred,
    pub(super) watch: Watch,
    /// When event streams of the rooms last got a heartbeat, and how many there are.
    pub(super) pulse: Pulse,
    pub(super) tally: Tally,
    pub(super) round: Round,
    /// Where heads, close frames and replays are encoded before they are queued.
    pub(super) scratch: Vec<u8>,
    /// Where the content of an answer is written before its head.
    pub(super) body: Vec<u8>,
    /// Where the id of an event is written.
    pub(super) number: String,
    pub(super) clock: Clock,
    pub(super) admission: Admission,
    /// The outside asked to end: health says so.
    pub(super) unready: bool,
    /// When draining ends, once it has begun.
    pub(super) draining: Option<Instant>,
}

impl Shared {
    pub(super) fn new(core: Core, mut config: Config) -> Self {
        if let OriginPolicy::Only(origins) = &mut config.origins {
            // As browsers write them: what is answered is compared byte for byte (Fetch, 4.9).
            for origin in origins {
                origin.make_ascii_lowercase();
            }
        }
        let plan = Plan {
            started: config.started,
            run: config.run,
            every: config.chunk,
            bytes: config.chunk_bytes,
            history: config.history,
        };
        Self {
            pool: Pool::new(config.max_message, config.max_fragments),
            wheel: Wheel::new(config.started, TICK),
            push: Push::new(plan),
            topic: Topic::new(config.started),
            rooms: rooms(
                Cores {
                    here: core,
                    count: core.0 + 1,
                },
                &config,
            ),
            errands: Errands::default(),
            deferred: Deferred::default(),
            watch: Watch::default(),
            pulse: Pulse {
                at: config.started,
                streams: 0,
            },
            tally: Tally::default(),
            round: Round::default(),
            scratch: Vec::new(),
            body: Vec::new(),
            number: String::new(),
            clock: Clock::default(),
            admission: Admission::default(),
            unready: false,
            draining: None,
            config,
        }
    }

    /// It is known now how many cores there are.
    pub(super) fn started(&mut self, here: Core, count: u16) {
        self.rooms = rooms(Cores { here, count }, &self.config);
    }

    /// The rooms, and what they may ask for.
    pub(super) fn rooms_and_outbox<'s, W>(
        &'s mut self,
        wire: &'s mut W,
    ) -> (&'s mut Rooms, Outbox<'s, W>) {
        let outbox = Outbox {
            wire,
            topic: &mut self.topic,
            errands: &mut self.errands,
            number: &mut self.number,
            tally: &mut self.tally,
            user: None,
            unsent: None,
            queued: false,
        };
        (&mut self.rooms, outbox)
    }

    /// A newcomer is reset, because there is no place to answer it.
    pub(super) fn refuse_by_reset(&mut self) {
        self.tally.refused += 1;
        self.config.refusals.reset.fetch_add(1, Relaxed);
    }

    /// Somebody is about to listen: if nobody did, makes up for the messages nobody heard.
    pub(super) fn wake_push(&mut self, now: Instant) {
        if self.topic.is_empty() {
            self.push.catch_up(now);
        }
        if self.topic.streams.is_empty() {
            self.topic.spoken = now;
        }
    }
}

impl Pulse {
    /// One more event stream.
    pub(super) fn begin(&mut self, now: Instant) {
        if self.streams == 0 {
            self.at = now;
        }
        self.streams += 1;
    }
}

/// Which core of how many.
struct Cores {
    here: Core,
    count: u16,
}

fn rooms(cores: Cores, config: &Config) -> Rooms {
    Rooms::new(rooms::Plan {
        here: cores.here,
        cores: cores.count,
        size: config.room_size,
        secret: config.secret,
    })
}

/// The heartbeat of the rooms' event streams.
pub(super) struct Pulse {
    pub(super) at: Instant,
    pub(super) streams: u32,
}

/// Carries out what an app asks for.
pub(super) struct Outbox<'s, W> {
    pub(super) wire: &'s mut W,
    pub(super) topic: &'s mut Topic,
    pub(super) errands: &'s mut Errands,
    pub(super) number: &'s mut String,
    pub(super) tally: &'s mut Tally,
    /// Whose message the app was given; nobody's if its time had come.
    pub(super) user: Option<(ConnectionId, Extension)>,
    /// Why something was not queued for that user.
    pub(super) unsent: Option<Unsent>,
    /// Something was queued for that user.
    pub(super) queued: bool,
}

impl<W: Wire<Message>> Outbox<'_, W> {
    /// Queues one frame.
    #[inline]
    pub(super) fn frame(&mut self, id: ConnectionId, opcode: Opcode, payload: &[u8]) -> bool {
        // Once a backlog is full the connection is ended: better nothing than a gap.
        if self.unsent.is_some() {
            return false;
        }
        let header = frame::header(opcode, payload.len(), None);
        match self.wire.send_parts(id, &[header.as_bytes(), payload]) {
            Ok(()) => self.queued = true,
            Err(unsent) => self.unsent = Some(unsent),
        }
        self.unsent.is_none()
    }
}

impl<W: Wire<Message>> Outbox<'_, W> {
    /// Queues one frame, deflated if that makes it smaller.
    #[inline(never)]
    fn deflated(&mut self, id: ConnectionId, opcode: Opcode, payload: &[u8]) -> bool {
        if self.unsent.is_some() {
            return false;
        }
        let deflater = self.topic.deflater.get_or_insert_with(Box::default);
        let Some(packed) = deflater.deflate(payload) else {
            return self.frame(id, opcode, payload);
        };
        let header = frame::header(opcode, packed.len(), None).deflated();
        match self.wire.send_parts(id, &[header.as_bytes(), packed]) {
            Ok(()) => self.queued = true,
            Err(unsent) => self.unsent = Some(unsent),
        }
        deflater.shrink();
        self.unsent.is_none()
    }
}

impl<W: Wire<Message>> Effects for Outbox<'_, W> {
    #[inline]
    fn reply(&mut self, message: app::Message<'_>) {
        let Some((id, extension)) = self.user else {
            return;
        };
        let opcode = match message.kind {
            app::Kind::Text => Opcode::Text,
            app::Kind::Binary => Opcode::Binary,
        };
        let queued = match extension {
            Extension::None => self.frame(id, opcode, message.bytes),
            Extension::Deflate => self.deflated(id, opcode, message.bytes),
        };
        self.tally.messages_out += u64::from(queued);
    }

    fn broadcast(&mut self, notice: Notice<'_>) {
        self.topic.broadcast(notice, self.tally, self.wire);
    }
}
