//! One end of a simulated connection.

use crate::shard::{CloseCause, ConnectionId};
use crate::time::Instant;
use std::collections::VecDeque;
use std::net::IpAddr;

/// The index of a core: those of the servers first, then those of the loads.
pub(super) type Node = usize;
/// The index of a socket; never reused within a run.
pub(super) type SocketIndex = usize;

/// One end of a connection.
#[derive(Debug)]
pub(super) struct SimSocket {
    pub(super) node: Node,
    /// The connection that its core made of it.
    pub(super) id: Option<ConnectionId>,
    pub(super) listener: u16,
    /// What this end calls itself, if it says.
    pub(super) address: Option<IpAddr>,
    pub(super) peer: Option<SocketIndex>,
    pub(super) state: SocketState,
    /// What comes to this end.
    pub(super) rx: Direction,
    /// Why the connection is broken; the core has not seen it yet.
    pub(super) broken: Option<CloseCause>,
    /// This end reads slowly.
    pub(super) slow: bool,
    /// On its core's list.
    pub(super) ready: bool,
    pub(super) read_planned: bool,
    /// The connection has died silently.
    pub(super) mute: bool,
    pub(super) times_out: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SocketState {
    Connecting,
    /// Established, waits to be accepted.
    Queued,
    Open,
    /// Closed by its core, or never there.
    Gone,
}

/// One direction of a connection.
#[derive(Debug)]
pub(super) struct Direction {
    /// Sent and not yet read; the first `arrived` of them can be read.
    pub(super) bytes: VecDeque<u8>,
    pub(super) arrived: usize,
    pub(super) fin_sent: bool,
    pub(super) fin_arrived: bool,
    /// When the last segment arrives: none overtakes it.
    pub(super) last_at: Instant,
    pub(super) capacity: usize,
    /// The sender waits for room.
    pub(super) blocked: bool,
}

/// A fault that the network injects into a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FaultKind {
    Reset,
    Silence,
}

/// What came of a read.
pub(super) enum Read {
    Bytes,
    End,
    Nothing,
}

impl SimSocket {
    pub(super) fn new(node: Node, state: SocketState, capacity: usize, slow: bool) -> Self {
        let rx = Direction {
            bytes: VecDeque::new(),
            arrived: 0,
            fin_sent: false,
            fin_arrived: false,
            last_at: Instant::default(),
            capacity,
            blocked: false,
        };
        Self {
            node,
            id: None,
            listener: 0,
            address: None,
            peer: None,
            state,
            rx,
            broken: None,
            slow,
            ready: false,
            read_planned: false,
            mute: false,
            times_out: false,
        }
    }
}
