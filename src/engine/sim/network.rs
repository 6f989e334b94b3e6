//! The simulated network: sockets with bounded buffers, bytes on their way, faults, and the queue
//! of all events to come.

mod stream;

use super::conditions::{Conditions, Random};
use super::socket::{FaultKind, Node, SimSocket, SocketIndex, SocketState};
use crate::shard::{CloseCause, ConnectionId, Core};
use crate::time::Instant;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// When the virtual clock starts: not at zero, so that differences below it are not hidden.
pub(super) const START: Instant = Instant::from_nanos(1_000_000_000);

/// An event of the network, queued for its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NetworkEvent {
    /// A core takes a turn, unless it took one earlier.
    Turn(Node),
    /// Bytes, and perhaps the end of the stream, reach a socket.
    Arrive {
        to: SocketIndex,
        bytes: usize,
        fin: bool,
    },
    /// A reset reaches a socket.
    Reset { to: SocketIndex },
    /// A socket may be read (again).
    Readable { socket: SocketIndex },
    /// There is room again in the other end's buffer.
    Writable { socket: SocketIndex },
    /// A connect reaches the listening host.
    Syn { from: SocketIndex, listener: u16 },
    /// The result of a connect reaches the connecting end; `cause` of one that failed.
    ConnectResult {
        to: SocketIndex,
        cause: Option<CloseCause>,
    },
    /// The network injects a fault into a connection, named by its connecting end.
    Fault {
        socket: SocketIndex,
        kind: FaultKind,
    },
    /// The kernel gives up on a peer that acknowledges nothing that this socket sent.
    TimeOut { socket: SocketIndex },
    /// A server's core fails: all that it has is gone.
    Fail(Core),
    /// The stop switch of the servers, or of the loads, is thrown.
    Stop { servers: bool },
}

/// Faults that the network has injected into connections that were in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Connections reset.
    pub resets: u64,
    /// Connections that died silently.
    pub silences: u64,
    /// Connects refused.
    pub refused: u64,
    /// Connects that got no answer.
    pub lost: u64,
}

impl Faults {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.resets + self.silences + self.refused + self.lost
    }
}

/// The network's side of a core.
#[derive(Debug, Default)]
pub(super) struct NodeState {
    pub(super) ready: Vec<SocketIndex>,
    pub(super) accept: VecDeque<SocketIndex>,
    pub(super) accepting: bool,
    turn_at: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct SimNetwork {
    pub(super) now: Instant,
    pub(super) random: Random,
    pub(super) conditions: Conditions,
    pub(super) faults: Faults,
    pub(super) nodes: Vec<NodeState>,
    listeners: Vec<SocketAddr>,
    pub(super) sockets: Vec<SimSocket>,
    queue: BinaryHeap<Reverse<(Instant, u64, NetworkEvent)>>,
    sequence: u64,
    /// A digest of all events so far: equal for equal seeds.
    pub(super) digest: u64,
}

impl SimNetwork {
    /// A network of `nodes` cores; the first `servers` of them accept on all listeners.
    pub(super) fn new(
        seed: u64,
        conditions: Conditions,
        listeners: Vec<SocketAddr>,
        nodes: usize,
        servers: usize,
    ) -> Self {
        let state = |node| NodeState {
            accepting: node < servers,
            ..NodeState::default()
        };
        Self {
            now: START,
            random: Random::new(seed),
            conditions,
            faults: Faults::default(),
            nodes: (0..nodes).map(state).collect(),
            listeners,
            sockets: Vec::new(),
            queue: BinaryHeap::new(),
            sequence: 0,
            digest: seed,
        }
    }

    /// Takes the next event and moves the clock to it. The network handles its own events, so only
    /// turns and stops come out. `None` if no event is left.
    pub(super) fn next(&mut self) -> Option<NetworkEvent> {
        loop {
            let Reverse((at, _, event)) = self.queue.pop()?;
            self.now = at;
            match event {
                NetworkEvent::Turn(node) => {
                    let state = &mut self.nodes[node];
                    if state.turn_at == Some(at) {
                        state.turn_at = None;
                        self.note(at.as_nanos() ^ node as u64);
                        return Some(event);
                    }
                }
                NetworkEvent::Stop { .. } | NetworkEvent::Fail(_) => return Some(event),
                NetworkEvent::Arrive { to, bytes, fin } => self.arrive(to, bytes, fin),
                NetworkEvent::Reset { to } => self.break_socket(to, CloseCause::Reset),
                NetworkEvent::Readable { socket } => {
                    self.sockets[socket].read_planned = false;
                    self.ready(socket);
                }
                NetworkEvent::Writable { socket } => self.ready(socket),
                NetworkEvent::Syn { from, listener } => self.syn_arrives(from, listener),
                NetworkEvent::ConnectResult { to, cause } => self.connect_ends(to, cause),
                NetworkEvent::Fault { socket, kind } => self.inject(socket, kind),
                NetworkEvent::TimeOut { socket } => self.break_socket(socket, CloseCause::TimedOut),
            }
        }
    }

    /// Mixes a number into the digest.
    pub(super) fn note(&mut self, what: u64) {
        // FNV-1a's prime.
        self.digest = (self.digest ^ what)
            .wrapping_mul(0x0000_0100_0000_01b3)
            .rotate_left(17);
    }

    pub(super) fn plan(&mut self, at: Instant, event: NetworkEvent) {
        self.sequence += 1;
        self.queue.push(Reverse((at, self.sequence, event)));
    }

    /// Has a core take a turn at that time at the latest.
    pub(super) fn wake_at(&mut self, node: Node, at: Instant) {
        let at = at.max(self.now + Duration::from_nanos(1));
        let state = &mut self.nodes[node];
        if state.turn_at.is_none_or(|turn| at < turn) {
            state.turn_at = Some(at);
            self.plan(at, NetworkEvent::Turn(node));
        }
    }

    /// Has a core take a turn soon.
    pub(super) fn wake(&mut self, node: Node) {
        let late = self.random.chance(self.conditions.core_late);
        let most = if late {
            self.conditions.late_max
        } else {
            Duration::from_micros(50)
        };
        let at = self.now + self.random.span(most);
        self.wake_at(node, at);
    }

    /// When something sent now arrives.
    pub(super) fn travel(&mut self) -> Instant {
        let late = self.random.chance(self.conditions.late);
        let most = if late {
            self.conditions.late_max
        } else {
            self.conditions.delay_max
        };
        self.now + self.conditions.delay_min + self.random.span(most)
    }

    /// Bytes, room or an end came to that socket: its core will look at it.
    pub(super) fn ready(&mut self, socket: SocketIndex) {
        let it = &mut self.sockets[socket];
        if it.state == SocketState::Gone || it.state == SocketState::Queued {
            return;
        }
        let node = it.node;
        if !std::mem::replace(&mut it.ready, true) {
            self.nodes[node].ready.push(socket);
            self.wake(node);
        }
    }

    /// There is something to read: now, or later if that end is slow.
    pub(super) fn plan_read(&mut self, socket: SocketIndex) {
        if self.sockets[socket].read_planned {
            return;
        }
        if self.sockets[socket].slow {
            self.sockets[socket].read_planned = true;
            let at = self.now + self.random.span(self.conditions.slow_max);
            self.plan(at, NetworkEvent::Readable { socket });
        } else {
            self.ready(socket);
        }
    }

    /// Starts a connect of that core.
    pub(super) fn connect(&mut self, node: Node, id: ConnectionId, to: SocketAddr) -> SocketIndex {
        let from = self.add(node, SocketState::Connecting);
        self.sockets[from].id = Some(id);
        let at = self.travel();
        let listener = self.listeners.iter().position(|&listener| listener == to);
        let listener = listener.and_then(|index| u16::try_from(index).ok());
        let refused = NetworkEvent::ConnectResult {
            to: from,
            cause: Some(CloseCause::Refused),
        };
        if self.random.chance(self.conditions.refuse) {
            self.faults.refused += 1;
            self.plan(at, refused);
        } else if self.random.chance(self.conditions.lose_connect) {
            self.faults.lost += 1;
            let at = at + Duration::from_secs(60) + self.random.span(Duration::from_secs(67));
            self.plan(
                at,
                NetworkEvent::ConnectResult {
                    to: from,
                    cause: Some(CloseCause::TimedOut),
                },
            );
        } else if let Some(listener) = listener {
            self.plan(at, NetworkEvent::Syn { from, listener });
        } else {
            self.plan(at, refused);
        }
        from
    }

    /// A core's listeners are closed: connections that wait to be accepted are reset.
    pub(super) fn stop_accepting(&mut self, node: Node) {
        self.nodes[node].accepting = false;
        for socket in std::mem::take(&mut self.nodes[node].accept) {
            self.sockets[socket].state = SocketState::Open;
            self.drop_socket(socket, true);
        }
    }

    fn add(&mut self, node: Node, state: SocketState) -> SocketIndex {
        let Conditions {
            buffer_min,
            buffer_max,
            slow,
            ..
        } = self.conditions;
        let capacity = self.random.between(buffer_min, buffer_max);
        let slow = self.random.chance(slow);
        self.sockets
            .push(SimSocket::new(node, state, capacity, slow));
        self.sockets.len() - 1
    }

    fn syn_arrives(&mut self, from: SocketIndex, listener: u16) {
        if self.sockets[from].state != SocketState::Connecting {
            return;
        }
        let open = |state: &NodeState| state.accepting;
        let nodes = 0..self.nodes.len();
        let accepting: Vec<Node> = nodes.filter(|&node| open(&self.nodes[node])).collect();
        let answer_at = self.travel();
        if accepting.is_empty() {
            let cause = Some(CloseCause::Refused);
            return self.plan(answer_at, NetworkEvent::ConnectResult { to: from, cause });
        }
        let node = accepting[self.random.index(accepting.len())];
        if self.nodes[node].accept.len() >= self.conditions.accept_queue {
            // tcp(7): a full queue drops the request, and the client asks again.
            let at = self.now + Duration::from_secs(1);
            return self.plan(at, NetworkEvent::Syn { from, listener });
        }
        let socket = self.add(node, SocketState::Queued);
        self.sockets[socket].listener = listener;
        self.sockets[socket].peer = Some(from);
        self.sockets[from].peer = Some(socket);
        // Whatever the other end sends at once arrives after the answer.
        self.sockets[from].rx.last_at = answer_at;
        self.nodes[node].accept.push_back(socket);
        self.wake(node);
        self.plan(
            answer_at,
            NetworkEvent::ConnectResult {
                to: from,
                cause: None,
            },
        );
        self.draw_fault(from);
    }

    /// Draws whether, when and how a new connection will fail.
    fn draw_fault(&mut self, socket: SocketIndex) {
        let at = self.now + self.random.span(self.conditions.fault_max);
        if self.random.chance(self.conditions.reset) {
            self.plan(
                at,
                NetworkEvent::Fault {
                    socket,
                    kind: FaultKind::Reset,
                },
            );
        } else if self.random.chance(self.conditions.silence) {
            self.plan(
                at,
                NetworkEvent::Fault {
                    socket,
                    kind: FaultKind::Silence,
                },
            );
        }
    }

    fn connect_ends(&mut self, to: SocketIndex, cause: Option<CloseCause>) {
        let socket = &mut self.sockets[to];
        if socket.state != SocketState::Connecting || socket.mute {
            return;
        }
        match cause {
            None => socket.state = SocketState::Open,
            Some(cause) => socket.broken = Some(cause),
        }
        self.ready(to);
    }

    fn inject(&mut self, socket: SocketIndex, kind: FaultKind) {
        let Some(peer) = self.sockets[socket].peer else {
            return;
        };
        let ends = [socket, peer];
        if ends
            .iter()
            .any(|&end| self.sockets[end].state == SocketState::Gone)
        {
            return;
        }
        match kind {
            FaultKind::Reset => {
                self.faults.resets += 1;
                for end in ends {
                    let at = self.travel();
                    self.plan(at, NetworkEvent::Reset { to: end });
                }
            }
            FaultKind::Silence => {
                self.faults.silences += 1;
                for end in ends {
                    self.sockets[end].mute = true;
                }
                for (end, other) in [(socket, peer), (peer, socket)] {
                    let rx = &self.sockets[other].rx;
                    let unacknowledged = rx.bytes.len() > rx.arrived || rx.fin_sent;
                    if unacknowledged || self.sockets[end].state == SocketState::Connecting {
                        self.plan_time_out(end);
                    }
                }
            }
        }
    }

    /// The kernel gives up on a peer that acknowledges nothing.
    pub(super) fn plan_time_out(&mut self, socket: SocketIndex) {
        if !std::mem::replace(&mut self.sockets[socket].times_out, true) {
            let wait = Duration::from_secs(15) + self.random.span(Duration::from_secs(45));
            self.plan(self.now + wait, NetworkEvent::TimeOut { socket });
        }
    }
}
