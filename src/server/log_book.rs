//! What one core knows of its connections in order to tell of them, by slot: nothing while nothing
//! is told.

use super::log::{ConnectionEnd, Handover, LogDeed, LogEvent, LogLevel, LogQueue, stillborn};
use super::tally::CloseReason;
use crate::limits;
use crate::shard::{CloseCause, ConnectionId, Core, TlsFault};
use crate::time::Instant;
use std::net::IpAddr;

/// What one core tells of its connections.
#[derive(Debug)]
pub(super) struct LogBook {
    queue: LogQueue,
    level: LogLevel,
    here: Core,
    by_slot: Vec<Option<Box<LogEntry>>>,
    /// Connections so far.
    count: u64,
    /// What somebody who took kept from the queue.
    pending: Vec<LogEvent>,
    overflowed: u64,
}

/// What is known of a connection.
#[derive(Debug)]
struct LogEntry {
    generation: u32,
    number: u64,
    accepted: Instant,
    peer: Option<IpAddr>,
    route: Option<Box<str>>,
    user: Option<Box<str>>,
    /// `websocket` or `sse`, once it is that.
    transport: Option<&'static str>,
    /// Why this side ends it.
    why: Option<CloseReason>,
    code: Option<u16>,
    received: u64,
    sent: u64,
}

impl LogBook {
    /// Nobody is known.
    pub(super) fn new(queue: LogQueue) -> Self {
        Self {
            level: queue.level(),
            queue,
            here: Core(0),
            by_slot: Vec::new(),
            count: 0,
            pending: Vec::new(),
            overflowed: 0,
        }
    }

    /// The core begins.
    pub(super) const fn started(&mut self, core: Core) {
        self.here = core;
    }

    /// Tells what it is asked to now.
    #[inline]
    pub(super) fn renew(&mut self) {
        let level = self.queue.level();
        if level != self.level {
            self.level = level;
            if level == LogLevel::Off {
                self.by_slot = Vec::new();
            }
        }
    }

    /// Whether anything is told.
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.level != LogLevel::Off
    }

    /// A connection was accepted, from that address if it is known.
    #[cold]
    pub(super) fn accepted(&mut self, id: ConnectionId, peer: Option<IpAddr>, now: Instant) {
        self.count += 1;
        if self.by_slot.len() <= id.slot() {
            self.by_slot.resize_with(id.slot() + 1, || None);
        }
        let entry = LogEntry {
            generation: id.generation(),
            number: self.count,
            accepted: now,
            peer: peer.map(|peer| peer.to_canonical()),
            route: None,
            user: None,
            transport: None,
            why: None,
            code: None,
            received: 0,
            sent: 0,
        };
        if let Some(place) = self.by_slot.get_mut(id.slot()) {
            *place = Some(Box::new(entry));
        }
    }

    /// A proxy's connection is that peer's.
    pub(super) fn speaks_for(&mut self, id: ConnectionId, peer: IpAddr) {
        if let Some(entry) = self.entry(id) {
            entry.peer = Some(peer.to_canonical());
        }
    }

    /// A connection asks for that path.
    pub(super) fn asked(&mut self, id: ConnectionId, path: &str) {
        if let Some(entry) = self.entry(id) {
            let end = path.floor_char_boundary(limits::LOG_ROUTE_BYTES);
            entry.route = path.get(..end).map(Box::from);
        }
    }

    /// A connection has become that.
    pub(super) fn opened(&mut self, id: ConnectionId, transport: &'static str) {
        if let Some(entry) = self.entry(id) {
            entry.transport = Some(transport);
            self.tell(id, LogDeed::Opened(transport));
        }
    }

    /// A connection is that user's.
    pub(super) fn known_as(&mut self, id: ConnectionId, user: Box<str>) {
        if let Some(entry) = self.entry(id) {
            entry.user = Some(user);
        }
    }

    /// So many bytes came.
    pub(super) fn received(&mut self, id: ConnectionId, bytes: usize) {
        if let Some(entry) = self.entry(id) {
            entry.received += bytes as u64;
        }
    }

    /// So many bytes were queued for it in all.
    pub(super) fn sent(&mut self, id: ConnectionId, bytes: u64) {
        if let Some(entry) = self.entry(id) {
            entry.sent = bytes;
        }
    }

    /// A WebSocket is told that it is ended with that code.
    pub(super) fn closes(&mut self, id: ConnectionId, code: u16) {
        if let Some(entry) = self.entry(id) {
            entry.code.get_or_insert(code);
        }
    }

    /// This side ends a connection.
    pub(super) fn decided(&mut self, id: ConnectionId, why: CloseReason) {
        if let Some(entry) = self.entry(id) {
            entry.why.get_or_insert(why);
        }
    }

    /// A connection does not get what it asked for: that status, or a reset.
    pub(super) fn refused(&mut self, id: ConnectionId, status: Option<u16>, reason: &'static str) {
        if self.is_on() {
            self.tell(id, LogDeed::Refused { status, reason });
        }
    }

    /// A connection ended before it was open.
    pub(super) fn failed(&mut self, cause: CloseCause) {
        if self.is_on() {
            let reason = match cause {
                CloseCause::Insecure(TlsFault::HandshakeTime) => "the TLS handshake took too long",
                CloseCause::Insecure(TlsFault::Overload) => "too many TLS handshakes",
                CloseCause::Insecure(TlsFault::Ended | TlsFault::Reset) => {
                    "its peer left in the TLS handshake"
                }
                _ => "the TLS handshake failed",
            };
            self.put(stillborn(self.here, reason));
        }
    }

    /// A connection is over.
    pub(super) fn closed(&mut self, id: ConnectionId, cause: CloseCause, now: Instant) {
        let Some(entry) = self.entry(id) else {
            return;
        };
        let end = ConnectionEnd {
            transport: entry.transport.unwrap_or("http"),
            cause: match (entry.why, cause) {
                (Some(why), CloseCause::Local) => why.word(),
                _ => word(cause),
            },
            code: entry.code,
            duration: now.since(entry.accepted),
            received_bytes: entry.received,
            sent_bytes: entry.sent,
        };
        self.tell(id, LogDeed::Closed(end));
        if let Some(place) = self.by_slot.get_mut(id.slot()) {
            *place = None;
        }
    }

    /// Events that are lost because nobody took those before them in time.
    pub(super) const fn log_lost(&self) -> u64 {
        self.overflowed
    }

    /// The core ends: what waits is handed over.
    pub(super) fn finish(&mut self) {
        self.overflowed += self.queue.put(self.here, &mut self.pending, Handover::Now);
    }

    fn tell(&mut self, id: ConnectionId, what: LogDeed) {
        if what.level() > self.level {
            return;
        }
        let core = self.here;
        let entry = self.entry(id);
        let event = LogEvent {
            core,
            connection: entry.as_ref().map(|it| it.number),
            peer: entry.as_ref().and_then(|it| it.peer),
            route: entry.as_ref().and_then(|it| it.route.clone()),
            user: entry.and_then(|it| it.user.clone()),
            what,
        };
        self.put(event);
    }

    fn put(&mut self, event: LogEvent) {
        self.pending.push(event);
        self.overflowed += self
            .queue
            .put(self.here, &mut self.pending, Handover::Later);
    }

    #[inline]
    fn entry(&mut self, id: ConnectionId) -> Option<&mut LogEntry> {
        let entry = self.by_slot.get_mut(id.slot())?.as_deref_mut();
        entry.filter(|entry| entry.generation == id.generation())
    }
}

/// The key of `closed` in `/stats`.
const fn word(cause: CloseCause) -> &'static str {
    match cause {
        CloseCause::Local => "local",
        CloseCause::PeerEnded | CloseCause::Insecure(TlsFault::Ended) => "peer_ended",
        CloseCause::Reset | CloseCause::Insecure(TlsFault::Reset) => "reset",
        CloseCause::TimedOut => "timed_out",
        CloseCause::CutOff => "cut_off",
        CloseCause::Insecure(_) => "insecure",
        CloseCause::Refused
        | CloseCause::Unreachable
        | CloseCause::NoSourcePort
        | CloseCause::NoDescriptor
        | CloseCause::Proxy(_)
        | CloseCause::Os(_) => "os",
    }
}
