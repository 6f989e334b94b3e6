//! The simulated network: sockets with bounded buffers, bytes on their way, faults, and the queue
//! of everything that will happen.

mod stream;

use super::socket::{Fate, Node, Socket, SocketIndex, State};
use super::weather::{Dice, Weather};
use crate::shard::{CloseCause, ConnectionId};
use crate::time::Instant;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// When the virtual clock starts: not at zero, so that differences below it are not hidden.
pub(super) const START: Instant = Instant::from_nanos(1_000_000_000);

/// What will happen at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Happening {
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
    Knock { from: SocketIndex, listener: u16 },
    /// A connect has ended; refused and lost ones end badly.
    Answer {
        to: SocketIndex,
        cause: Option<CloseCause>,
    },
    /// The network strikes a connection, named by its connecting end.
    Strike { socket: SocketIndex, fate: Fate },
    /// Nobody acknowledges what that socket sent.
    TimeOut { socket: SocketIndex },
    /// The outside asks the servers, or the loads, to end.
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

/// What the network knows of a core.
#[derive(Debug, Default)]
pub(super) struct Station {
    pub(super) ready: Vec<SocketIndex>,
    pub(super) accept: VecDeque<SocketIndex>,
    pub(super) accepting: bool,
    turn_at: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Network {
    pub(super) now: Instant,
    pub(super) dice: Dice,
    pub(super) weather: Weather,
    pub(super) faults: Faults,
    pub(super) stations: Vec<Station>,
    listeners: Vec<SocketAddr>,
    pub(super) sockets: Vec<Socket>,
    queue: BinaryHeap<Reverse<(Instant, u64, Happening)>>,
    sequence: u64,
    /// A digest of everything that has happened: equal for equal seeds.
    pub(super) digest: u64,
}

impl Network {
    /// A network of `nodes` cores; the first `servers` of them accept on all listeners.
    pub(super) fn new(
        seed: u64,
        weather: Weather,
        listeners: Vec<SocketAddr>,
        nodes: usize,
        servers: usize,
    ) -> Self {
        let station = |node| Station {
            accepting: node < servers,
            ..Station::default()
        };
        Self {
            now: START,
            dice: Dice::new(seed),
            weather,
            faults: Faults::default(),
            stations: (0..nodes).map(station).collect(),
            listeners,
            sockets: Vec::new(),
            queue: BinaryHeap::new(),
            sequence: 0,
            digest: seed,
        }
    }

    /// Takes the next happening and moves the clock to it; the network's own are done already, so
    /// only turns and stops come out. `None` if nothing will ever happen.
    pub(super) fn next(&mut self) -> Option<Happening> {
        loop {
            let Reverse((at, _, happening)) = self.queue.pop()?;
            self.now = at;
            match happening {
                Happening::Turn(node) => {
                    let station = &mut self.stations[node];
                    if station.turn_at == Some(at) {
                        station.turn_at = None;
                        self.note(at.as_nanos() ^ node as u64);
                        return Some(happening);
                    }
                }
                Happening::Stop { .. } => return Some(happening),
                Happening::Arrive { to, bytes, fin } => self.arrive(to, bytes, fin),
                Happening::Reset { to } => self.break_socket(to, CloseCause::Reset),
                Happening::Readable { socket } => {
                    self.sockets[socket].read_planned = false;
                    self.ready(socket);
                }
                Happening::Writable { socket } => self.ready(socket),
                Happening::Knock { from, listener } => self.knock(from, listener),
                Happening::Answer { to, cause } => self.answer(to, cause),
                Happening::Strike { socket, fate } => self.strike(socket, fate),
                Happening::TimeOut { socket } => self.break_socket(socket, CloseCause::TimedOut),
            }
        }
    }

    /// Mixes something into the digest.
    pub(super) fn note(&mut self, what: u64) {
        // FNV-1a's prime.
        self.digest = (self.digest ^ what)
            .wrapping_mul(0x0000_0100_0000_01b3)
            .rotate_left(17);
    }

    pub(super) fn plan(&mut self, at: Instant, happening: Happening) {
        self.sequence += 1;
        self.queue.push(Reverse((at, self.sequence, happening)));
    }

    /// A core takes a turn at that time at the latest.
    pub(super) fn wake_at(&mut self, node: Node, at: Instant) {
        let at = at.max(self.now + Duration::from_nanos(1));
        let station = &mut self.stations[node];
        if station.turn_at.is_none_or(|turn| at < turn) {
            station.turn_at = Some(at);
            self.plan(at, Happening::Turn(node));
        }
    }

    /// A core takes a turn soon.
    pub(super) fn wake(&mut self, node: Node) {
        let late = self.dice.chance(self.weather.core_late);
        let most = if late {
            self.weather.late_max
        } else {
            Duration::from_micros(50)
        };
        let at = self.now + self.dice.span(most);
        self.wake_at(node, at);
    }

    /// When something sent now arrives.
    pub(super) fn travel(&mut self) -> Instant {
        let late = self.dice.chance(self.weather.late);
        let most = if late {
            self.weather.late_max
        } else {
            self.weather.delay_max
        };
        self.now + self.weather.delay_min + self.dice.span(most)
    }

    /// Something moved on that socket: its core will look at it.
    pub(super) fn ready(&mut self, socket: SocketIndex) {
        let it = &mut self.sockets[socket];
        if it.state == State::Gone || it.state == State::Queued {
            return;
        }
        let node = it.node;
        if !std::mem::replace(&mut it.ready, true) {
            self.stations[node].ready.push(socket);
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
            let at = self.now + self.dice.span(self.weather.slow_max);
            self.plan(at, Happening::Readable { socket });
        } else {
            self.ready(socket);
        }
    }

    /// Starts a connect of that core.
    pub(super) fn connect(&mut self, node: Node, id: ConnectionId, to: SocketAddr) -> SocketIndex {
        let from = self.add(node, State::Connecting);
        self.sockets[from].id = Some(id);
        let at = self.travel();
        let listener = self.listeners.iter().position(|&listener| listener == to);
        let listener = listener.and_then(|index| u16::try_from(index).ok());
        let refused = Happening::Answer {
            to: from,
            cause: Some(CloseCause::Refused),
        };
        if self.dice.chance(self.weather.refuse) {
            self.faults.refused += 1;
            self.plan(at, refused);
        } else if self.dice.chance(self.weather.lose_connect) {
            self.faults.lost += 1;
            let at = at + Duration::from_secs(60) + self.dice.span(Duration::from_secs(67));
            self.plan(
                at,
                Happening::Answer {
                    to: from,
                    cause: Some(CloseCause::TimedOut),
                },
            );
        } else if let Some(listener) = listener {
            self.plan(at, Happening::Knock { from, listener });
        } else {
            self.plan(at, refused);
        }
        from
    }

    /// A core's listeners are closed: who waits to be accepted is reset.
    pub(super) fn stop_accepting(&mut self, node: Node) {
        self.stations[node].accepting = false;
        for socket in std::mem::take(&mut self.stations[node].accept) {
            self.sockets[socket].state = State::Open;
            self.drop_socket(socket, true);
        }
    }

    fn add(&mut self, node: Node, state: State) -> SocketIndex {
        let Weather {
            buffer_min,
            buffer_max,
            slow,
            ..
        } = self.weather;
        let capacity = self.dice.between(buffer_min, buffer_max);
        let slow = self.dice.chance(slow);
        self.sockets.push(Socket::new(node, state, capacity, slow));
        self.sockets.len() - 1
    }

    fn knock(&mut self, from: SocketIndex, listener: u16) {
        if self.sockets[from].state != State::Connecting {
            return;
        }
        let open = |station: &Station| station.accepting;
        let nodes = 0..self.stations.len();
        let accepting: Vec<Node> = nodes.filter(|&node| open(&self.stations[node])).collect();
        let answer_at = self.travel();
        if accepting.is_empty() {
            let cause = Some(CloseCause::Refused);
            return self.plan(answer_at, Happening::Answer { to: from, cause });
        }
        let node = accepting[self.dice.index(accepting.len())];
        if self.stations[node].accept.len() >= self.weather.accept_queue {
            // tcp(7): a full queue drops the request, and the client asks again.
            let at = self.now + Duration::from_secs(1);
            return self.plan(at, Happening::Knock { from, listener });
        }
        let socket = self.add(node, State::Queued);
        self.sockets[socket].listener = listener;
        self.sockets[socket].peer = Some(from);
        self.sockets[from].peer = Some(socket);
        // Whatever the other end sends at once arrives after the answer.
        self.sockets[from].rx.last_at = answer_at;
        self.stations[node].accept.push_back(socket);
        self.wake(node);
        self.plan(
            answer_at,
            Happening::Answer {
                to: from,
                cause: None,
            },
        );
        self.doom(from);
    }

    /// Draws whether and when the network strikes a new connection.
    fn doom(&mut self, socket: SocketIndex) {
        let at = self.now + self.dice.span(self.weather.fault_max);
        if self.dice.chance(self.weather.reset) {
            self.plan(
                at,
                Happening::Strike {
                    socket,
                    fate: Fate::Reset,
                },
            );
        } else if self.dice.chance(self.weather.silence) {
            self.plan(
                at,
                Happening::Strike {
                    socket,
                    fate: Fate::Silence,
                },
            );
        }
    }

    fn answer(&mut self, to: SocketIndex, cause: Option<CloseCause>) {
        let socket = &mut self.sockets[to];
        if socket.state != State::Connecting || socket.mute {
            return;
        }
        match cause {
            None => socket.state = State::Open,
            Some(cause) => socket.broken = Some(cause),
        }
        self.ready(to);
    }

    fn strike(&mut self, socket: SocketIndex, fate: Fate) {
        let Some(peer) = self.sockets[socket].peer else {
            return;
        };
        let ends = [socket, peer];
        if ends
            .iter()
            .any(|&end| self.sockets[end].state == State::Gone)
        {
            return;
        }
        match fate {
            Fate::Reset => {
                self.faults.resets += 1;
                for end in ends {
                    let at = self.travel();
                    self.plan(at, Happening::Reset { to: end });
                }
            }
            Fate::Silence => {
                self.faults.silences += 1;
                for end in ends {
                    self.sockets[end].mute = true;
                }
                for (end, other) in [(socket, peer), (peer, socket)] {
                    let rx = &self.sockets[other].rx;
                    let unacknowledged = rx.bytes.len() > rx.arrived || rx.fin_sent;
                    if unacknowledged || self.sockets[end].state == State::Connecting {
                        self.plan_time_out(end);
                    }
                }
            }
        }
    }

    /// The kernel gives up on a peer that acknowledges nothing.
    pub(super) fn plan_time_out(&mut self, socket: SocketIndex) {
        if !std::mem::replace(&mut self.sockets[socket].times_out, true) {
            let wait = Duration::from_secs(15) + self.dice.span(Duration::from_secs(45));
            self.plan(self.now + wait, Happening::TimeOut { socket });
        }
    }
}
