//! THE SEAM: one core's whole world is a [`Shard`]; an engine lends it a [`Wire`].
//!
//! The server is a shard, the load client is a shard. An engine (ring, tokio, sim) feeds a shard
//! events and carries out what it asks. Neither knows the other: a shard has no clock, socket or
//! thread; an engine knows no protocol.
//!
//! Contract, the same on every engine (`tests/engines/` holds it):
//! - `started` comes first and once; nothing comes after `finished()` is true.
//! - Each connection gives `opened` at most once, then any number of `received` and `drained`,
//!   then `closed` exactly once. A connect that fails gives `closed` without `opened`; so does an
//!   accepted connection that a layer between engine and shard could not secure.
//! - The peer's end of stream gives `ended` at most once, and nothing is received after it. The
//!   shard says whether it has still something to send; if not, what is queued leaves, and
//!   `closed` follows with [`CloseCause::PeerEnded`].
//! - No event for a connection is delivered inside a call to [`Wire`]: calls only note what to do.
//! - After [`Wire::close`] the shard gets nothing more for that connection but `closed`.
//! - Whatever is queued for a connection within one turn leaves in one send, in order; what is more
//!   than `limits::SEND_BYTES` in several, a turn for each.
//! - Where the shard has lent a buffer ([`Shard::receive_into`]), nothing is `received` until
//!   [`Shard::received_into`] has given it back, which it does once: before `ended`, and before a
//!   `closed` that the shard did not ask for.
//! - After [`Wire::pause`], bytes that the kernel had already handed over may still arrive.
//! - When a core fails, each other core gets `lost` once, and then `stopped`, unless that came
//!   before.
//! - An id is never reused: a later connection in the same slot has another generation.
#![forbid(unsafe_code)]
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used
)]

mod either;
mod forwarding;
mod peer_names;
mod proxy_fault;
mod tls_fault;

pub use crate::payload::{Payload, ReceiveInto};
pub use either::Either;
pub(crate) use forwarding::forward_wire;
pub use peer_names::{PeerNameKind, PeerNames};
pub use proxy_fault::ProxyFault;
pub use tls_fault::TlsFault;

use crate::time::Instant;
use serde::Serialize;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Names one connection of one core: a slot, dense from 0 so that a shard may index by it, and the
/// slot's generation, so that nothing late ever reaches a reused slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    slot: u32,
    generation: u32,
}

impl ConnectionId {
    /// The connection of that generation in that slot.
    #[must_use]
    pub const fn new(slot: u32, generation: u32) -> Self {
        Self { slot, generation }
    }

    /// The slot: small, dense from 0, reused after the connection is closed.
    #[must_use]
    pub const fn slot(self) -> usize {
        self.slot as usize
    }

    /// How often the slot had been taken before, modulo 2^24.
    #[must_use]
    pub const fn generation(self) -> u32 {
        self.generation
    }
}

/// The index of a core among the cores of this run, from 0. Not the kernel's CPU number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Core(pub u16);

impl Core {
    /// The core's place in a list of the run's cores.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// How a connection came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Accepted from the listener with that index in the configuration.
    Accepted {
        /// Index of the listening address in the configuration, from 0.
        listener: u16,
    },
    /// Asked for with [`Wire::connect`].
    Connected,
    /// Asked for with [`Wire::connect`], and secured by a layer between engine and shard.
    Secured {
        /// When the connection was open, and the layer began its handshake.
        connected: Instant,
    },
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CloseCause {
    /// The shard asked for it.
    Local,
    /// The peer ended its stream (FIN).
    PeerEnded,
    /// The peer reset the connection, or it broke (`ECONNRESET`, `EPIPE`).
    Reset,
    /// The peer stopped acknowledging (`ETIMEDOUT`).
    TimedOut,
    /// Nobody listens there (`ECONNREFUSED`). Only for a connect.
    Refused,
    /// No route, or the network is down. Only for a connect.
    Unreachable,
    /// No free source port (`EADDRNOTAVAIL`). Only for a connect.
    NoSourcePort,
    /// No descriptor or table slot left (`EMFILE`, `ENFILE`). Only for a connect.
    NoDescriptor,
    /// Any other error of the kernel: the errno.
    Os(i32),
    /// It was closing, and the peer did not take what was left for it, or too slowly: it was reset.
    CutOff,
    /// A layer between engine and shard could not secure the connection, or found it broken.
    Insecure(TlsFault),
    /// A layer between engine and shard got no tunnel from a proxy. Only for a connect.
    Proxy(ProxyFault),
}

/// What becomes of a connection whose peer has ended its half of it (FIN).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// Nothing is left to say: what is queued leaves, then the connection is closed.
    Close,
    /// Something is still to be sent: the shard closes the connection after that.
    Keep,
}

/// How to end a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// Send what is queued, end our stream, and wait while the peer takes it (`limits::STALL_TIME`,
    /// `limits::CLOSING_RATE`); then give it a moment to end its own.
    Flush,
    /// Drop what is queued and reset at once: for peers that do not read, and for timeouts.
    Abort,
}

/// Why [`Wire`] did not queue bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsent {
    /// Queuing them would exceed the connection's outbound cap; nothing was queued.
    #[error("the connection's outbound backlog is full")]
    Full,
    /// The connection is closed, closing or unknown; nothing was queued.
    #[error("the connection is gone")]
    Gone,
}

/// Why [`Wire::connect`] did not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("every connection slot of this core is taken")]
pub struct NoSlot;

/// What an engine knows of itself and of this core's thread. What takes a look at files of the
/// host is not here: a core has better things to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vitals {
    /// CPU time of this core's thread, user and system.
    pub thread_cpu: Duration,
    /// CPU time of the process, user and system.
    pub process_cpu: Duration,
    /// This core's tables of connections, in order.
    pub tables: Vec<Table>,
    /// The engine's own counters on this core.
    pub counters: Counters,
    /// Of a layer between engine and shard that secures what is accepted; `None` without one.
    pub handshakes: Option<Handshakes>,
}

/// The handshakes of one core's accepted connections. Each that began is in `under_way` until it is
/// in one of `done`, `failed`, `left`, `timed_out` and `refused`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handshakes {
    /// Handshakes under way now.
    pub under_way: u64,
    /// Of those, peers that have said enough for an answer and wait for it.
    pub waiting: u64,
    /// Handshakes that came to a secured connection.
    pub done: u64,
    /// Handshakes that failed: another protocol, nothing in common, a broken message.
    pub failed: u64,
    /// Handshakes whose peer ended or reset the connection.
    pub left: u64,
    /// Handshakes that took too long.
    pub timed_out: u64,
    /// Handshakes that made room for newer ones.
    pub refused: u64,
}

/// How full a table of connections is: on the ring, a table of registered descriptors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Table {
    /// Slots in use.
    pub used: u32,
    /// Slots.
    pub size: u32,
}

/// Buckets of [`Counters::turn_events`].
pub const TURN_BUCKETS: usize = 14;

/// Monotonic counters of one core's engine, or their sum over cores. `/stats` has them by these
/// names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Bytes received from peers.
    pub bytes_in: u64,
    /// Bytes the kernel took for peers.
    pub bytes_out: u64,
    /// Outbound bytes queued now and not yet taken by the kernel (a level, not a counter).
    pub backlog_bytes: u64,
    /// Turns of the engine's loop: one system call each on the ring.
    pub turns: u64,
    /// Events handled in those turns.
    pub events: u64,
    /// Turns by how many events they handled: at most 1, 2, 4, and so on to 4096, and more.
    pub turn_events: [u64; TURN_BUCKETS],
    /// `io_uring_enter` calls; 0 on other engines.
    pub enters: u64,
    /// Entries submitted with them.
    pub entries: u64,
    /// Sends started.
    pub sends: u64,
    /// Receives that ended because no buffer was free.
    pub starved: u64,
    /// Times that accepting stopped because no slot was free.
    pub accept_pauses: u64,
    /// Times that accepting stopped for want of descriptors or memory (`EMFILE`, `ENFILE`,
    /// `ENOMEM`, `ENOBUFS`).
    pub accept_failures: u64,
    /// Times the watchdog found work that nobody had been woken for: a bug if not 0.
    pub rescues: u64,
}

impl Counters {
    /// Notes how many events a turn handled.
    #[inline]
    pub fn note_turn_of(&mut self, events: u64) {
        let power = u64::BITS - events.saturating_sub(1).leading_zeros();
        let bucket = (power as usize).min(TURN_BUCKETS - 1);
        if let Some(turns) = self.turn_events.get_mut(bucket) {
            *turns += 1;
        }
    }

    /// Adds those of another core.
    pub fn add(&mut self, other: &Self) {
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.backlog_bytes += other.backlog_bytes;
        self.turns += other.turns;
        self.events += other.events;
        for (sum, more) in self.turn_events.iter_mut().zip(other.turn_events) {
            *sum += more;
        }
        self.enters += other.enters;
        self.entries += other.entries;
        self.sends += other.sends;
        self.starved += other.starved;
        self.accept_pauses += other.accept_pauses;
        self.accept_failures += other.accept_failures;
        self.rescues += other.rescues;
    }
}

/// One core's slice of the program. Pure: no clock, no socket, no thread.
pub trait Shard: Sized {
    /// What this shard says to the same shard on another core.
    type Message: Send + 'static;
    /// What is left when the shard has finished.
    type Outcome: Send + 'static;

    /// The engine is ready. Once, before anything else.
    fn started(&mut self, wire: &mut impl Wire<Self::Message>);
    /// A connection is open.
    fn opened(&mut self, id: ConnectionId, origin: Origin, wire: &mut impl Wire<Self::Message>);
    /// A connect has reached its address, and a layer between engine and shard goes on from there:
    /// `opened` or `closed` follows.
    fn reached(&mut self, _id: ConnectionId, _wire: &mut impl Wire<Self::Message>) {}
    /// Bytes arrived. They are the engine's: change them in place, keep nothing.
    fn received(&mut self, id: ConnectionId, bytes: &mut [u8], wire: &mut impl Wire<Self::Message>);
    /// Where the bytes that come next belong, if they are many and all of one kind: the engine
    /// receives them there rather than into a buffer of its own. It may ask whenever it is about
    /// to receive, and need not.
    fn receive_into(&mut self, _id: ConnectionId) -> Option<ReceiveInto> {
        None
    }
    /// The buffer that [`Shard::receive_into`] lent comes back, with what has arrived appended:
    /// nothing, if receiving was paused or the peer has ended its stream.
    fn received_into(
        &mut self,
        _id: ConnectionId,
        _buffer: Vec<u8>,
        _wire: &mut impl Wire<Self::Message>,
    ) {
    }
    /// The backlog fell to the low mark after it had been above the high mark
    /// (`limits::BACKLOG_HIGH`, `limits::BACKLOG_LOW`).
    fn drained(&mut self, id: ConnectionId, wire: &mut impl Wire<Self::Message>);
    /// The peer has ended its stream: nothing more comes from it, but it may still read (a
    /// half-closed connection: RFC 9293, 3.6).
    fn ended(&mut self, _id: ConnectionId, _wire: &mut impl Wire<Self::Message>) -> Half {
        Half::Close
    }
    /// The connection is over; the id is dead.
    fn closed(&mut self, id: ConnectionId, cause: CloseCause, wire: &mut impl Wire<Self::Message>);
    /// Another core's shard said something.
    fn forwarded(
        &mut self,
        from: Core,
        message: Self::Message,
        wire: &mut impl Wire<Self::Message>,
    );
    /// [`Shard::deadline`] has passed.
    fn expired(&mut self, wire: &mut impl Wire<Self::Message>);
    /// Another core has failed, and is gone for good: nothing that was said to it, or is, is heard.
    /// `stopped` follows, unless it has come before.
    fn lost(&mut self, _core: Core, _wire: &mut impl Wire<Self::Message>) {}
    /// Someone outside asked to end (SIGINT, SIGTERM): drain, then be finished. At most once.
    fn stopped(&mut self, wire: &mut impl Wire<Self::Message>);
    /// When to call [`Shard::expired`]; `None` for never.
    fn deadline(&self) -> Option<Instant>;
    /// Whether what comes until the deadline may be told at the deadline, all at once: the shard
    /// has a turn soon anyway, and waking for each piece would cost more than it tells.
    fn may_coalesce(&self) -> bool {
        false
    }
    /// Nothing is left to do: the engine drops what is open and ends the core.
    fn finished(&self) -> bool;
    /// What the shard leaves behind. Called once, after it has finished.
    fn outcome(self) -> Self::Outcome;
}

/// What an engine lends a shard while it handles one event.
pub trait Wire<Message> {
    /// The time of this event: the same for all of it, and not before what it tells of happened.
    fn now(&self) -> Instant;
    /// This core.
    fn core(&self) -> Core;
    /// How many cores run this shard.
    fn cores(&self) -> u16;
    /// The address that an accepted connection comes from; `None` where it is not known. Engines
    /// may have to ask the kernel: once a connection, and only who needs it.
    fn peer(&self, _id: ConnectionId) -> Option<IpAddr> {
        None
    }
    /// The names that the peer has proved with a certificate, if it has shown one.
    fn peer_names(&self, _id: ConnectionId) -> Option<Arc<PeerNames>> {
        None
    }
    /// Queues all parts, in order, as one: copied into the outbound buffer.
    ///
    /// # Errors
    /// [`Unsent`]; then nothing was queued.
    fn send_parts(&mut self, id: ConnectionId, parts: &[&[u8]]) -> Result<(), Unsent>;
    /// Queues bytes: copied into the outbound buffer.
    ///
    /// # Errors
    /// [`Unsent`]; then nothing was queued.
    fn send(&mut self, id: ConnectionId, bytes: &[u8]) -> Result<(), Unsent> {
        self.send_parts(id, &[bytes])
    }
    /// Queues a payload: referenced until the kernel has it.
    ///
    /// # Errors
    /// [`Unsent`]; then nothing was queued.
    fn share(&mut self, id: ConnectionId, payload: &Payload) -> Result<(), Unsent>;
    /// Queues a copy of `head` and then a payload, as one.
    ///
    /// # Errors
    /// [`Unsent`]; then nothing was queued.
    fn share_behind(
        &mut self,
        id: ConnectionId,
        head: &[u8],
        payload: &Payload,
    ) -> Result<(), Unsent> {
        self.send_parts(id, &[head, payload.bytes()])
    }
    /// Bytes queued for the connection and not yet taken by the kernel.
    fn backlog(&self, id: ConnectionId) -> usize;
    /// Memory that the backlogs of all connections of this core take, in bytes: the capacities of
    /// their buffers, and a payload that many share once. 0 if nothing is queued.
    fn held_bytes(&self) -> usize {
        0
    }
    /// Memory that the connection's backlog takes; of a shared payload, a share.
    fn held(&self, id: ConnectionId) -> usize {
        self.backlog(id)
    }
    /// Another number whenever the kernel has taken something of what is queued for the connection;
    /// the number itself means nothing.
    fn progress(&self, _id: ConnectionId) -> u64 {
        0
    }
    /// Much memory has been freed, and will not be needed soon: gives it back to the system, and
    /// what is kept for the next who need it. Takes milliseconds.
    fn trim_memory(&mut self) {}
    /// Stops receiving: the peer feels it when the kernel's buffers are full.
    fn pause(&mut self, id: ConnectionId);
    /// Receives again.
    fn resume(&mut self, id: ConnectionId);
    /// Starts a connect, from the given source address if there is one. Ends in `opened` or in
    /// `closed`. There is no time-out here: close it when it takes too long.
    ///
    /// # Errors
    /// [`NoSlot`] if this core's table is full.
    fn connect(&mut self, to: SocketAddr, from: Option<IpAddr>) -> Result<ConnectionId, NoSlot>;
    /// Ends a connection; `closed` follows with [`CloseCause::Local`], with [`CloseCause::CutOff`],
    /// or with what the peer did if it ended the connection in the same turn.
    fn close(&mut self, id: ConnectionId, how: Close);
    /// Says something to the same shard on another core (or to this one: it comes as an event).
    fn forward(&mut self, to: Core, message: Message);
    /// The same for a message that owns so many bytes of memory.
    fn forward_sized(&mut self, to: Core, message: Message, _bytes: usize) {
        self.forward(to, message);
    }
    /// Whether so much waits for some core that nothing should be added but what has to be
    /// (`limits::MAIL_BYTES`).
    fn mail_is_full(&self) -> bool {
        false
    }
    /// Stops accepting connections, for good.
    fn stop_accepting(&mut self);
    /// The engine's figures, read now: a few system calls, so not per message.
    fn vitals(&mut self) -> Vitals;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_counted_by_the_power_of_two_that_holds_their_events() {
        let mut counters = Counters::default();
        for events in [0, 1, 2, 3, 4, 5, 4096, 4097, u64::MAX] {
            counters.note_turn_of(events);
        }
        assert_eq!(
            counters.turn_events,
            [2, 1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]
        );
    }
}
