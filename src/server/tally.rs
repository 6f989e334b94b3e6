//! What one core's server counts: connections by kind and by end, messages.

use crate::door::DoorRefusal;
use crate::shard::{CloseCause, TlsFault};
use serde::Serialize;

/// Connections and messages of one core, or summed over cores. `Serialize` gives the keys that
/// `/stats` documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Connections open now.
    pub open: Open,
    /// Connections accepted so far.
    pub accepted: u64,
    /// Connections closed so far, by what the engine says ended them.
    pub closed: Closed,
    /// Of those that this side closed (`closed.local`, `closed.cut_off`), why.
    pub decided: Decided,
    /// Newcomers refused because the server was full, with 503 or by a reset.
    pub refused: u64,
    /// Newcomers that a limit did not let in.
    pub barred: Barred,
    /// HTTP requests whose head was complete, upgrades and event streams included.
    pub requests: u64,
    /// WebSocket messages received, and texts posted to rooms.
    pub messages_in: u64,
    /// WebSocket messages and events queued for peers.
    pub messages_out: u64,
    /// Push messages that left more than an interval late, because this core was late.
    pub pushes_late: u64,
    /// Bytes of memory now of messages and requests that are unfinished or wait for work.
    pub inbound_bytes: u64,
    /// Bytes of memory now of those, of TLS records in pieces and of backlogs: a payload that many
    /// are sent counts once. What the budget of a core bounds.
    pub held_bytes: u64,
    /// What was to be told in the log and is lost, because more came than was written.
    pub log_lost: u64,
}

/// Connections open now, by what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Open {
    /// WebSockets, closing ones included.
    pub websocket: u64,
    /// Event streams.
    pub sse: u64,
    /// Those that have not become either, and those on their way out.
    pub http: u64,
}

/// Ended connections by [`CloseCause`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Closed {
    /// This side asked for it.
    pub local: u64,
    /// The peer ended its stream.
    pub peer_ended: u64,
    /// The peer reset the connection, or it broke.
    pub reset: u64,
    /// The peer stopped acknowledging.
    pub timed_out: u64,
    /// It was closing, and the peer did not take what was left for it: it was reset.
    pub cut_off: u64,
    /// Any other error of the kernel.
    pub os: u64,
    /// TLS: the handshake failed, or a record was not what it should be.
    pub insecure: u64,
    /// TLS: the handshake took too long, or made room for newer ones.
    pub handshake: u64,
}

/// Newcomers that were not let in, by the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Barred {
    /// Their address had as many connections as one may have.
    pub address: u64,
    /// As many addresses as are counted had connections, and theirs had none.
    pub addresses: u64,
    /// They came too fast.
    pub connects: u64,
    /// The holder of their token had as many connections as one may have.
    pub token: u64,
}

/// Why this side ended connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Decided {
    /// The exchange was over: a close handshake, `Connection: close`.
    pub done: u64,
    /// The peer broke the protocol.
    pub fault: u64,
    /// The peer did not read what it was sent.
    pub slow_consumer: u64,
    /// The peer was silent for too long.
    pub idle: u64,
    /// The peer took too long over a request.
    pub request_time: u64,
    /// The server was draining.
    pub drain: u64,
    /// There was no room for a newcomer.
    pub full: u64,
    /// The peer did not go on with a message, or took nothing of what was queued for it.
    pub stalled: u64,
    /// The core held too much, and most of it for this peer.
    pub memory: u64,
    /// A limit did not let the newcomer in.
    pub barred: u64,
    /// The peer sent more messages or bytes than it may.
    pub overuse: u64,
    /// The peer did not send its first message in time.
    pub unheard: u64,
    /// It had been here for as long as it may.
    pub lifetime: u64,
}

/// Why this side ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloseReason {
    Done,
    Fault,
    SlowConsumer,
    Idle,
    RequestTime,
    Drain,
    Full,
    Stalled,
    Memory,
    Barred,
    Overuse,
    Unheard,
    Lifetime,
}

impl CloseReason {
    /// Its key in [`Decided`].
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Fault => "fault",
            Self::SlowConsumer => "slow_consumer",
            Self::Idle => "idle",
            Self::RequestTime => "request_time",
            Self::Drain => "drain",
            Self::Full => "full",
            Self::Stalled => "stalled",
            Self::Memory => "memory",
            Self::Barred => "barred",
            Self::Overuse => "overuse",
            Self::Unheard => "unheard",
            Self::Lifetime => "lifetime",
        }
    }
}

/// What an open connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionKind {
    Http,
    WebSocket,
    Stream,
}

impl Tally {
    /// Adds another core's.
    pub fn add(&mut self, other: &Self) {
        let Self {
            open,
            accepted,
            closed,
            decided,
            refused,
            barred,
            requests,
            messages_in,
            messages_out,
            pushes_late,
            inbound_bytes,
            held_bytes,
            log_lost,
        } = other;
        self.open.websocket += open.websocket;
        self.open.sse += open.sse;
        self.open.http += open.http;
        self.accepted += accepted;
        self.closed.local += closed.local;
        self.closed.peer_ended += closed.peer_ended;
        self.closed.reset += closed.reset;
        self.closed.timed_out += closed.timed_out;
        self.closed.cut_off += closed.cut_off;
        self.closed.os += closed.os;
        self.closed.insecure += closed.insecure;
        self.closed.handshake += closed.handshake;
        self.decided.done += decided.done;
        self.decided.fault += decided.fault;
        self.decided.slow_consumer += decided.slow_consumer;
        self.decided.idle += decided.idle;
        self.decided.request_time += decided.request_time;
        self.decided.drain += decided.drain;
        self.decided.full += decided.full;
        self.refused += refused;
        self.decided.stalled += decided.stalled;
        self.decided.memory += decided.memory;
        self.decided.barred += decided.barred;
        self.decided.overuse += decided.overuse;
        self.decided.unheard += decided.unheard;
        self.decided.lifetime += decided.lifetime;
        self.barred.address += barred.address;
        self.barred.addresses += barred.addresses;
        self.barred.connects += barred.connects;
        self.barred.token += barred.token;
        self.requests += requests;
        self.messages_in += messages_in;
        self.messages_out += messages_out;
        self.pushes_late += pushes_late;
        self.inbound_bytes += inbound_bytes;
        self.held_bytes += held_bytes;
        self.log_lost += log_lost;
    }

    /// Connections open now, whatever they are.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.open.websocket + self.open.sse + self.open.http
    }

    /// A connection was accepted.
    #[inline]
    pub(super) const fn accepted(&mut self) {
        self.accepted += 1;
    }

    /// A newcomer found no room.
    pub(super) const fn refused(&mut self) {
        self.refused += 1;
    }

    /// A limit does not let a newcomer in.
    pub(super) const fn barred(&mut self, refusal: DoorRefusal) {
        let count = match refusal {
            DoorRefusal::Address => &mut self.barred.address,
            DoorRefusal::Addresses => &mut self.barred.addresses,
            DoorRefusal::Connects => &mut self.barred.connects,
            DoorRefusal::Token => &mut self.barred.token,
        };
        *count += 1;
    }

    /// The head of a request is complete.
    #[inline]
    pub(super) const fn requested(&mut self) {
        self.requests += 1;
    }

    /// A message came.
    #[inline]
    pub(super) const fn received(&mut self) {
        self.messages_in += 1;
    }

    /// Messages that came so far.
    #[inline]
    pub(super) const fn heard(&self) -> u64 {
        self.messages_in
    }

    /// Messages or events were queued for so many peers.
    #[inline]
    pub(super) const fn sent(&mut self, peers: u64) {
        self.messages_out += peers;
    }

    /// So many push messages left late.
    #[inline]
    pub(super) const fn pushed_late(&mut self, messages: u64) {
        self.pushes_late += messages;
    }

    /// The same, with what the log has lost so far.
    pub(super) const fn with_log_lost(self, log_lost: u64) -> Self {
        Self { log_lost, ..self }
    }

    /// The same, with the bytes of memory that are held now: of what came and is not done with,
    /// and in all.
    pub(super) const fn holding(self, inbound_bytes: u64, held_bytes: u64) -> Self {
        Self {
            inbound_bytes,
            held_bytes,
            ..self
        }
    }

    /// A connection has become that.
    #[inline]
    pub(super) const fn began(&mut self, kind: ConnectionKind) {
        *self.open_of(kind) += 1;
    }

    /// A connection is that no more.
    #[inline]
    pub(super) const fn left(&mut self, kind: ConnectionKind) {
        *self.open_of(kind) -= 1;
    }

    const fn open_of(&mut self, kind: ConnectionKind) -> &mut u64 {
        match kind {
            ConnectionKind::Http => &mut self.open.http,
            ConnectionKind::WebSocket => &mut self.open.websocket,
            ConnectionKind::Stream => &mut self.open.sse,
        }
    }

    pub(super) fn decided(&mut self, why: CloseReason) {
        let count = match why {
            CloseReason::Done => &mut self.decided.done,
            CloseReason::Fault => &mut self.decided.fault,
            CloseReason::SlowConsumer => &mut self.decided.slow_consumer,
            CloseReason::Idle => &mut self.decided.idle,
            CloseReason::RequestTime => &mut self.decided.request_time,
            CloseReason::Drain => &mut self.decided.drain,
            CloseReason::Full => &mut self.decided.full,
            CloseReason::Stalled => &mut self.decided.stalled,
            CloseReason::Memory => &mut self.decided.memory,
            CloseReason::Barred => &mut self.decided.barred,
            CloseReason::Overuse => &mut self.decided.overuse,
            CloseReason::Unheard => &mut self.decided.unheard,
            CloseReason::Lifetime => &mut self.decided.lifetime,
        };
        *count += 1;
    }

    pub(super) fn ended(&mut self, cause: CloseCause) {
        let count = match cause {
            CloseCause::Local => &mut self.closed.local,
            CloseCause::PeerEnded => &mut self.closed.peer_ended,
            CloseCause::Reset => &mut self.closed.reset,
            CloseCause::TimedOut => &mut self.closed.timed_out,
            CloseCause::CutOff => &mut self.closed.cut_off,
            // All but the last are for connects, which a server does not make.
            CloseCause::Refused
            | CloseCause::Proxy(_)
            | CloseCause::Unreachable
            | CloseCause::NoSourcePort
            | CloseCause::NoDescriptor
            | CloseCause::Os(_) => &mut self.closed.os,
            // The peer did that within a handshake, which says nothing of how secure it was.
            CloseCause::Insecure(TlsFault::Ended) => &mut self.closed.peer_ended,
            CloseCause::Insecure(TlsFault::Reset) => &mut self.closed.reset,
            CloseCause::Insecure(TlsFault::HandshakeTime | TlsFault::Overload) => {
                &mut self.closed.handshake
            }
            CloseCause::Insecure(_) => &mut self.closed.insecure,
        };
        *count += 1;
    }
}
