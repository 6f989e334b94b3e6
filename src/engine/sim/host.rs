//! One core of a simulated host: its shard, its connections and its turns.

use super::network::SimNetwork;
use super::socket::{Node, Read, SocketIndex, SocketState};
use super::wire::{CoreState, SimLink, SimLinkState, SimWire};
use crate::engine::contract::Checked;
use crate::engine::pending::PendingEvent;
use crate::shard::{ConnectionId, Core, Half, Origin, ReceiveInto, Shard};
use crate::time::Instant;

/// Accepts, and reads from one connection, in one turn at most.
const PER_TURN: usize = 4;

/// A shard and its side of the network.
pub(super) struct Host<S: Shard> {
    shard: Option<Checked<S>>,
    pub(super) outcome: Option<S::Outcome>,
    pub(super) state: CoreState<S::Message>,
    scratch: Vec<u8>,
    receive_bytes: usize,
    started: bool,
    pub(super) stop: bool,
    /// Cores that have failed, and the shard was not told of.
    pub(super) lost: Vec<Core>,
    stopped: bool,
    over: bool,
}

impl<S: Shard> Host<S> {
    pub(super) fn new(shard: S, state: CoreState<S::Message>, receive_bytes: usize) -> Self {
        Self {
            shard: Some(Checked::new(shard)),
            outcome: None,
            state,
            scratch: Vec::new(),
            receive_bytes,
            started: false,
            stop: false,
            lost: Vec::new(),
            stopped: false,
            over: false,
        }
    }

    pub(super) fn node(&self) -> Node {
        self.state.node
    }

    /// One turn, at the network's time.
    pub(super) fn turn(&mut self, net: &mut SimNetwork) {
        if self.over {
            return;
        }
        self.state.now = net.now;
        self.state.counters.turns += 1;
        if !std::mem::replace(&mut self.started, true) {
            self.tell(net, |shard, wire| shard.started(wire));
        }
        self.deliver_events(net);
        let mut ready = std::mem::take(&mut net.nodes[self.state.node].ready);
        net.random.shuffle(&mut ready);
        for socket in ready {
            net.sockets[socket].ready = false;
            self.serve(socket, net);
        }
        self.accept(net);
        let now = net.now;
        let is_due = |(at, ..): &mut (Instant, Core, S::Message, usize)| *at <= now;
        while let Some((_, from, message, bytes)) = self.state.inbox.pop_front_if(is_due) {
            self.state.gauge.fetched(bytes);
            self.tell(net, |shard, wire| shard.forwarded(from, message, wire));
        }
        for core in std::mem::take(&mut self.lost) {
            self.tell(net, |shard, wire| shard.lost(core, wire));
        }
        if self.stop && !std::mem::replace(&mut self.stopped, true) {
            self.tell(net, |shard, wire| shard.stopped(wire));
        }
        let due = self.shard.as_ref().and_then(Shard::deadline);
        if due.is_some_and(|at| at <= net.now) {
            self.tell(net, |shard, wire| shard.expired(wire));
        }
        SimWire {
            net,
            state: &mut self.state,
        }
        .expire();
        self.deliver_events(net);
        SimWire {
            net,
            state: &mut self.state,
        }
        .flush_all();
        if self.over {
            self.finish(net);
        } else {
            self.plan_next(net);
        }
    }

    fn plan_next(&mut self, net: &mut SimNetwork) {
        let node = self.state.node;
        let waiting = !net.nodes[node].accept.is_empty() && self.state.links.has_free();
        if !self.state.pending.is_empty() || self.state.is_dirty() || waiting {
            net.wake(node);
        }
        let mail = self.state.inbox.front().map(|(at, ..)| *at);
        let shard = self.shard.as_ref().and_then(Shard::deadline);
        for at in [shard, self.state.deadline(), mail].into_iter().flatten() {
            net.wake_at(node, at);
        }
    }

    /// Gives the shard one event, unless it has finished.
    fn tell(
        &mut self,
        net: &mut SimNetwork,
        event: impl FnOnce(&mut Checked<S>, &mut SimWire<'_, S::Message>),
    ) {
        if let (false, Some(shard)) = (self.over, &mut self.shard) {
            self.state.counters.events += 1;
            net.note(self.state.counters.events);
            event(
                shard,
                &mut SimWire {
                    net,
                    state: &mut self.state,
                },
            );
            self.over = shard.finished();
        }
    }

    fn deliver_events(&mut self, net: &mut SimNetwork) {
        for event in std::mem::take(&mut self.state.pending) {
            match event {
                PendingEvent::Drained(id) => {
                    let link = self.state.links.get(id);
                    if link.is_some_and(|link| link.state == SimLinkState::Open) {
                        self.tell(net, |shard, wire| shard.drained(id, wire));
                    }
                }
                PendingEvent::Closed(id, cause) => {
                    self.state.links.remove(id);
                    self.tell(net, |shard, wire| shard.closed(id, cause, wire));
                }
            }
        }
    }

    fn accept(&mut self, net: &mut SimNetwork) {
        for _ in 0..PER_TURN {
            if net.nodes[self.state.node].accept.is_empty() {
                return;
            }
            if !self.state.links.has_free() {
                self.state.counters.accept_pauses += 1;
                return;
            }
            let Some(socket) = net.nodes[self.state.node].accept.pop_front() else {
                return;
            };
            net.sockets[socket].state = SocketState::Open;
            let link = SimLink::new(socket, SimLinkState::Open);
            let Some(id) = self.state.links.insert_with(|_| link) else {
                return;
            };
            net.sockets[socket].id = Some(id);
            let listener = net.sockets[socket].listener;
            self.tell(net, |shard, wire| {
                shard.opened(id, Origin::Accepted { listener }, wire)
            });
            self.serve(socket, net);
        }
    }

    /// Something moved on that socket.
    fn serve(&mut self, socket: SocketIndex, net: &mut SimNetwork) {
        let Some(id) = net.sockets[socket].id else {
            return;
        };
        let Some(link) = self.state.links.get_mut(id) else {
            return;
        };
        if link.state == SimLinkState::Over {
            return;
        }
        if let Some(cause) = net.sockets[socket].broken {
            return SimWire {
                net,
                state: &mut self.state,
            }
            .end(id, cause);
        }
        match link.state {
            SimLinkState::Connecting if net.sockets[socket].state == SocketState::Open => {
                link.state = SimLinkState::Open;
                self.tell(net, |shard, wire| shard.opened(id, Origin::Connected, wire));
                self.receive(id, socket, net);
            }
            SimLinkState::Connecting | SimLinkState::Over => {}
            SimLinkState::Open | SimLinkState::Closing { .. } => {
                if !link.out.is_empty() {
                    self.state.touch(id);
                }
                self.receive(id, socket, net);
            }
        }
    }

    fn receive(&mut self, id: ConnectionId, socket: SocketIndex, net: &mut SimNetwork) {
        for _ in 0..PER_TURN {
            let Some(link) = self.state.links.get(id) else {
                return;
            };
            if link.paused || link.peer_ended || link.state == SimLinkState::Over {
                return;
            }
            let open = link.state == SimLinkState::Open;
            let asked = self.shard.as_mut().filter(|_| open && !self.over);
            if let Some(into) = asked.and_then(|shard| shard.receive_into(id)) {
                match self.receive_into(id, into, (socket, &mut *net)) {
                    Read::Nothing => return,
                    Read::End => return self.peer_ended(id, net),
                    Read::Bytes if net.sockets[socket].slow => break,
                    Read::Bytes => continue,
                }
            }
            match net.read(socket, &mut self.scratch, self.receive_bytes) {
                Read::Nothing => return,
                Read::End => return self.peer_ended(id, net),
                Read::Bytes => {
                    self.state.counters.bytes_in += self.scratch.len() as u64;
                    if open {
                        let mut bytes = std::mem::take(&mut self.scratch);
                        self.tell(net, |shard, wire| shard.received(id, &mut bytes, wire));
                        self.scratch = bytes;
                    }
                }
            }
            if net.sockets[socket].slow {
                break;
            }
        }
        net.plan_read(socket);
    }

    /// Receives into a buffer of the shard, which gets it back whatever came.
    fn receive_into(
        &mut self,
        id: ConnectionId,
        into: ReceiveInto,
        (socket, net): (SocketIndex, &mut SimNetwork),
    ) -> Read {
        let ReceiveInto { mut buffer, most } = into;
        let read = net.read(socket, &mut self.scratch, self.receive_bytes.min(most));
        if matches!(read, Read::Bytes) {
            self.state.counters.bytes_in += self.scratch.len() as u64;
            buffer.extend_from_slice(&self.scratch);
        }
        self.tell(net, |shard, wire| shard.received_into(id, buffer, wire));
        read
    }

    /// The peer's FIN came: the shard decides whether it has still something to send.
    fn peer_ended(&mut self, id: ConnectionId, net: &mut SimNetwork) {
        let state = &mut self.state;
        let asks = SimWire { net, state }.peer_ended(id);
        if asks {
            let mut half = Half::Close;
            self.tell(net, |shard, wire| half = shard.ended(id, wire));
            if half == Half::Close {
                let state = &mut self.state;
                SimWire { net, state }.end_after_peer(id);
            }
        }
    }

    /// The shard has finished: everything open is dropped.
    /// Whether its shard has ended, one way or the other.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// The core fails: whatever it has is gone, and no outcome is left.
    pub(super) fn fail(&mut self, net: &mut SimNetwork) {
        self.over = true;
        self.shard = None;
        for (.., bytes) in self.state.inbox.drain(..) {
            self.state.gauge.fetched(bytes);
        }
        self.leave(net, true);
    }

    /// What it has on the network is closed, or reset.
    fn leave(&self, net: &mut SimNetwork, reset: bool) {
        net.stop_accepting(self.state.node);
        for socket in 0..net.sockets.len() {
            if net.sockets[socket].node == self.state.node {
                net.drop_socket(socket, reset);
            }
        }
    }

    fn finish(&mut self, net: &mut SimNetwork) {
        self.leave(net, false);
        self.outcome = self.shard.take().map(Shard::outcome);
    }
}
