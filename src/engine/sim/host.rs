//! One core of a simulated host: its shard, its connections and its turns.

use super::network::Network;
use super::port::{Desk, Link, News, Port, Standing};
use super::socket::{Node, Read, SocketIndex, State};
use crate::engine::contract::Checked;
use crate::shard::{ConnectionId, Half, Origin, Shard};

/// Accepts, and reads from one connection, in one turn at most.
const PER_TURN: usize = 4;

/// A shard and its side of the network.
pub(super) struct Host<S: Shard> {
    shard: Option<Checked<S>>,
    pub(super) outcome: Option<S::Outcome>,
    pub(super) desk: Desk<S::Message>,
    scratch: Vec<u8>,
    receive_bytes: usize,
    started: bool,
    pub(super) stop: bool,
    stopped: bool,
    over: bool,
}

impl<S: Shard> Host<S> {
    pub(super) fn new(shard: S, desk: Desk<S::Message>, receive_bytes: usize) -> Self {
        Self {
            shard: Some(Checked::new(shard)),
            outcome: None,
            desk,
            scratch: Vec::new(),
            receive_bytes,
            started: false,
            stop: false,
            stopped: false,
            over: false,
        }
    }

    pub(super) fn node(&self) -> Node {
        self.desk.node
    }

    /// One turn, at the network's time.
    pub(super) fn turn(&mut self, net: &mut Network) {
        if self.over {
            return;
        }
        self.desk.now = net.now;
        self.desk.counters.turns += 1;
        if !std::mem::replace(&mut self.started, true) {
            self.tell(net, |shard, port| shard.started(port));
        }
        self.tell_news(net);
        let mut ready = std::mem::take(&mut net.stations[self.desk.node].ready);
        net.dice.shuffle(&mut ready);
        for socket in ready {
            net.sockets[socket].ready = false;
            self.serve(socket, net);
        }
        self.accept(net);
        while let Some((_, from, message)) = self.desk.inbox.pop_front_if(|(at, ..)| *at <= net.now)
        {
            self.tell(net, |shard, port| shard.forwarded(from, message, port));
        }
        if self.stop && !std::mem::replace(&mut self.stopped, true) {
            self.tell(net, |shard, port| shard.stopped(port));
        }
        let due = self.shard.as_ref().and_then(Shard::deadline);
        if due.is_some_and(|at| at <= net.now) {
            self.tell(net, |shard, port| shard.expired(port));
        }
        Port {
            net,
            desk: &mut self.desk,
        }
        .expire();
        self.tell_news(net);
        Port {
            net,
            desk: &mut self.desk,
        }
        .flush_all();
        if self.over {
            self.finish(net);
        } else {
            self.plan_next(net);
        }
    }

    fn plan_next(&mut self, net: &mut Network) {
        let node = self.desk.node;
        let waiting = !net.stations[node].accept.is_empty() && self.desk.links.has_free();
        if !self.desk.news.is_empty() || self.desk.is_dirty() || waiting {
            net.wake(node);
        }
        let mail = self.desk.inbox.front().map(|(at, ..)| *at);
        let shard = self.shard.as_ref().and_then(Shard::deadline);
        for at in [shard, self.desk.deadline(), mail].into_iter().flatten() {
            net.wake_at(node, at);
        }
    }

    /// Gives the shard one event, unless it has finished.
    fn tell(
        &mut self,
        net: &mut Network,
        event: impl FnOnce(&mut Checked<S>, &mut Port<'_, S::Message>),
    ) {
        if let (false, Some(shard)) = (self.over, &mut self.shard) {
            self.desk.counters.events += 1;
            net.note(self.desk.counters.events);
            event(
                shard,
                &mut Port {
                    net,
                    desk: &mut self.desk,
                },
            );
            self.over = shard.finished();
        }
    }

    fn tell_news(&mut self, net: &mut Network) {
        for news in std::mem::take(&mut self.desk.news) {
            match news {
                News::Drained(id) => {
                    let link = self.desk.links.get(id);
                    if link.is_some_and(|link| link.standing == Standing::Open) {
                        self.tell(net, |shard, port| shard.drained(id, port));
                    }
                }
                News::Closed(id, cause) => {
                    self.desk.links.remove(id);
                    self.tell(net, |shard, port| shard.closed(id, cause, port));
                }
            }
        }
    }

    fn accept(&mut self, net: &mut Network) {
        for _ in 0..PER_TURN {
            if net.stations[self.desk.node].accept.is_empty() {
                return;
            }
            if !self.desk.links.has_free() {
                self.desk.counters.accept_pauses += 1;
                return;
            }
            let Some(socket) = net.stations[self.desk.node].accept.pop_front() else {
                return;
            };
            net.sockets[socket].state = State::Open;
            let link = Link::new(socket, Standing::Open);
            let Some(id) = self.desk.links.insert_with(|_| link) else {
                return;
            };
            net.sockets[socket].id = Some(id);
            let listener = net.sockets[socket].listener;
            self.tell(net, |shard, port| {
                shard.opened(id, Origin::Accepted { listener }, port)
            });
            self.serve(socket, net);
        }
    }

    /// Something moved on that socket.
    fn serve(&mut self, socket: SocketIndex, net: &mut Network) {
        let Some(id) = net.sockets[socket].id else {
            return;
        };
        let Some(link) = self.desk.links.get_mut(id) else {
            return;
        };
        if link.standing == Standing::Over {
            return;
        }
        if let Some(cause) = net.sockets[socket].broken {
            return Port {
                net,
                desk: &mut self.desk,
            }
            .end(id, cause);
        }
        match link.standing {
            Standing::Connecting if net.sockets[socket].state == State::Open => {
                link.standing = Standing::Open;
                self.tell(net, |shard, port| shard.opened(id, Origin::Connected, port));
                self.receive(id, socket, net);
            }
            Standing::Connecting | Standing::Over => {}
            Standing::Open | Standing::Closing { .. } => {
                if !link.out.is_empty() {
                    self.desk.touch(id);
                }
                self.receive(id, socket, net);
            }
        }
    }

    fn receive(&mut self, id: ConnectionId, socket: SocketIndex, net: &mut Network) {
        for _ in 0..PER_TURN {
            let Some(link) = self.desk.links.get(id) else {
                return;
            };
            if link.paused || link.peer_ended || link.standing == Standing::Over {
                return;
            }
            let open = link.standing == Standing::Open;
            match net.read(socket, &mut self.scratch, self.receive_bytes) {
                Read::Nothing => return,
                Read::End => return self.peer_ended(id, net),
                Read::Bytes => {
                    self.desk.counters.bytes_in += self.scratch.len() as u64;
                    if open {
                        let mut bytes = std::mem::take(&mut self.scratch);
                        self.tell(net, |shard, port| shard.received(id, &mut bytes, port));
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

    /// The peer's FIN came: the shard decides whether it has still something to send.
    fn peer_ended(&mut self, id: ConnectionId, net: &mut Network) {
        let desk = &mut self.desk;
        let asks = Port { net, desk }.peer_ended(id);
        if asks {
            let mut half = Half::Close;
            self.tell(net, |shard, port| half = shard.ended(id, port));
            if half == Half::Close {
                let desk = &mut self.desk;
                Port { net, desk }.end_after_peer(id);
            }
        }
    }

    /// The shard has finished: everything open is dropped.
    fn finish(&mut self, net: &mut Network) {
        net.stop_accepting(self.desk.node);
        for socket in 0..net.sockets.len() {
            if net.sockets[socket].node == self.desk.node {
                net.drop_socket(socket, false);
            }
        }
        self.outcome = self.shard.take().map(Shard::outcome);
    }
}
