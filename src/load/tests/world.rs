//! A small world for the load client: a virtual clock, cores in one thread, and a scripted peer.

pub(super) use super::peers::Script;
use crate::load::shard::Load;
use crate::load::{Config, CoreMessage, Outcome};
use crate::protocol::http::{HeadReader, Request};
use crate::protocol::websocket::decoder::{Decoder, Event, Kind, Pool};
use crate::protocol::websocket::frame::{self, Opcode};
use crate::protocol::websocket::{OriginPolicy, Role, handshake};
use crate::shard::{
    Close, CloseCause, ConnectionId, Core, NoSlot, Origin, Payload, Shard, Unsent, Vitals, Wire,
};
use crate::time::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What a peer does to a connection.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Open,
    Say(Vec<u8>),
    End(CloseCause),
}

/// Key of a connection in the world: its core and its id.
pub(super) type Key = (u16, ConnectionId);

/// The other side: says what happens, and when, after a connect or after bytes.
pub(super) trait Peer {
    fn connected(&mut self, key: Key, now: Instant) -> Vec<(Instant, Act)>;
    /// The same, for a peer at several addresses.
    fn connected_to(&mut self, key: Key, _to: SocketAddr, now: Instant) -> Vec<(Instant, Act)> {
        self.connected(key, now)
    }
    fn received(&mut self, key: Key, bytes: &[u8], now: Instant) -> Vec<(Instant, Act)>;
}

enum Happening {
    Act(Key, Act),
    Message(u16, CoreMessage),
    Stop,
}

/// Everything a shard asked for in one call.
enum Asked {
    Connect(ConnectionId, SocketAddr, Option<IpAddr>),
    Send(ConnectionId, Vec<u8>),
    Close(ConnectionId),
    Resume(ConnectionId),
    Forward(u16, CoreMessage),
}

/// One core's wire: notes what is asked.
pub(super) struct TestWire {
    now: Instant,
    core: u16,
    cores: u16,
    asked: Vec<Asked>,
    generations: Vec<u32>,
    free: Vec<u32>,
    paused: BTreeSet<ConnectionId>,
    slots: u32,
    /// What sends answer with, instead of queuing.
    pub(super) refusing: Option<Unsent>,
    /// Bytes that are queued for each connection.
    pub(super) backlog: usize,
    /// CPU time of the thread, as a part of the clock.
    pub(super) busy: f64,
}

/// The world: cores, a peer, a queue of what will happen.
pub(super) struct World<P> {
    pub(super) now: Instant,
    pub(super) cores: Vec<(Option<Load>, TestWire)>,
    pub(super) peer: P,
    queue: BTreeMap<(Instant, u64), Happening>,
    alive: BTreeMap<Key, bool>,
    /// What waits for who has stopped reading.
    held: BTreeMap<Key, Vec<Act>>,
    serial: u64,
    outcomes: Vec<Outcome>,
    pub(super) sources: Vec<Option<IpAddr>>,
    /// Where connects went.
    pub(super) targets: Vec<SocketAddr>,
    /// An address that ends connects so, or never answers.
    pub(super) dead: Option<(SocketAddr, Option<CloseCause>)>,
    pub(super) turns: u64,
    /// Calls after which the shard would rather be told all at its deadline.
    pub(super) gathering: u64,
    /// The longest time from such a call to the deadline.
    pub(super) longest_gathering: Duration,
}

impl<P: Peer> World<P> {
    pub(super) fn new(cores: u16, config: &Config, peer: P) -> Self {
        let begin = Instant::from_nanos(1_000_000_000_000);
        let core = |core| {
            let load = Load::new(Core(core), config.clone(), None);
            (Some(load), TestWire::new(begin, core, cores))
        };
        Self {
            now: begin,
            cores: (0..cores).map(core).collect(),
            peer,
            queue: BTreeMap::new(),
            alive: BTreeMap::new(),
            held: BTreeMap::new(),
            serial: 0,
            outcomes: Vec::new(),
            sources: Vec::new(),
            targets: Vec::new(),
            dead: None,
            turns: 0,
            gathering: 0,
            longest_gathering: Duration::ZERO,
        }
    }

    /// Throws the stop switch after that time.
    pub(super) fn stop_after(&mut self, time: Duration) {
        self.put(self.now + time, Happening::Stop);
    }

    /// Runs until every core has finished; the merged outcome and how long it took.
    pub(super) fn run(&mut self) -> (Outcome, Duration) {
        let begin = self.now;
        for core in 0..self.cores.len() {
            self.call(core, |load, wire| load.started(wire));
        }
        while self.cores.iter().any(|(load, _)| load.is_some()) {
            self.turn();
        }
        (Outcome::merged(&self.outcomes), self.now.since(begin))
    }

    fn turn(&mut self) {
        self.turns += 1;
        assert!(self.turns < 50_000_000, "the world does not end");
        let next = self.queue.first_key_value().map(|(&(at, _), _)| at);
        let deadline = |core: &(Option<Load>, TestWire)| core.0.as_ref().and_then(Load::deadline);
        let deadlines = self.cores.iter().map(deadline).enumerate();
        let due = deadlines.filter_map(|(core, at)| Some((at?, core))).min();
        match (due, next) {
            (Some((at, core)), next) if next.is_none_or(|next| at <= next) => {
                self.now = self.now.max(at);
                self.call(core, |load, wire| load.expired(wire));
            }
            (_, Some(_)) => {
                let ((at, _), happening) = self.queue.pop_first().unwrap();
                self.now = self.now.max(at);
                self.happen(happening);
            }
            (_, None) => panic!("nothing will ever happen again, and the run is not over"),
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Stop => {
                for core in 0..self.cores.len() {
                    self.call(core, |load, wire| load.stopped(wire));
                }
            }
            Happening::Message(core, signal) => {
                let core = usize::from(core);
                self.call(core, |load, wire| load.forwarded(Core(0), signal, wire));
            }
            Happening::Act(key @ (core, id), act) => {
                let core = usize::from(core);
                match (self.alive.get(&key).copied(), act) {
                    // Closed from our side, and the engine has yet to say so.
                    (Some(true), Act::Open) => {
                        self.call(core, |load, wire| load.opened(id, Origin::Connected, wire));
                    }
                    (Some(true), act @ Act::Say(_)) if self.cores[core].1.paused.contains(&id) => {
                        self.held.entry(key).or_default().push(act);
                    }
                    (Some(true), Act::Say(mut bytes)) => {
                        self.call(core, |load, wire| load.received(id, &mut bytes, wire));
                    }
                    (Some(_), Act::End(cause)) => {
                        self.alive.remove(&key);
                        self.cores[core]
                            .1
                            .free
                            .push(u32::try_from(id.slot()).unwrap());
                        self.call(core, |load, wire| load.closed(id, cause, wire));
                    }
                    (Some(false) | None, _) => {}
                }
            }
        }
    }

    fn call(&mut self, core: usize, f: impl FnOnce(&mut Load, &mut TestWire)) {
        let (load, wire) = &mut self.cores[core];
        let Some(load) = load else { return };
        wire.now = self.now;
        f(load, wire);
        if let Some(deadline) = load.deadline().filter(|_| load.may_coalesce()) {
            self.gathering += 1;
            let longest = &mut self.longest_gathering;
            *longest = deadline.since(self.now).max(*longest);
        }
        let finished = load.finished();
        for asked in std::mem::take(&mut self.cores[core].1.asked) {
            self.carry_out(u16::try_from(core).unwrap(), asked);
        }
        if finished {
            self.outcomes
                .push(self.cores[core].0.take().unwrap().outcome());
        }
    }

    fn carry_out(&mut self, core: u16, asked: Asked) {
        let acts = match asked {
            Asked::Connect(id, to, from) => {
                self.sources.push(from);
                self.targets.push(to);
                self.alive.insert((core, id), true);
                match self.dead {
                    Some((address, None)) if address == to => (id, Vec::new()),
                    Some((address, Some(cause))) if address == to => {
                        (id, vec![(self.now, Act::End(cause))])
                    }
                    _ => (id, self.peer.connected_to((core, id), to, self.now)),
                }
            }
            Asked::Send(id, bytes) => (id, self.peer.received((core, id), &bytes, self.now)),
            Asked::Close(id) => {
                if let Some(alive) = self.alive.get_mut(&(core, id)) {
                    *alive = false;
                }
                (id, vec![(self.now, Act::End(CloseCause::Local))])
            }
            Asked::Resume(id) => {
                let held = self.held.remove(&(core, id)).unwrap_or_default();
                (id, held.into_iter().map(|act| (self.now, act)).collect())
            }
            Asked::Forward(to, signal) => {
                let later = self.now + Duration::from_micros(30);
                self.put(later, Happening::Message(to, signal));
                return;
            }
        };
        for (at, act) in acts.1 {
            self.put(at, Happening::Act((core, acts.0), act));
        }
    }

    fn put(&mut self, at: Instant, happening: Happening) {
        self.serial += 1;
        self.queue.insert((at, self.serial), happening);
    }
}

impl TestWire {
    fn new(now: Instant, core: u16, cores: u16) -> Self {
        Self {
            now,
            core,
            cores,
            asked: Vec::new(),
            generations: Vec::new(),
            free: Vec::new(),
            paused: BTreeSet::new(),
            slots: 100_000,
            refusing: None,
            backlog: 0,
            busy: 0.25,
        }
    }

    /// Leaves room for that many connections.
    pub(super) fn limit(&mut self, slots: u32) {
        self.slots = slots;
    }
}

impl Wire<CoreMessage> for TestWire {
    fn now(&self) -> Instant {
        self.now
    }

    fn core(&self) -> Core {
        Core(self.core)
    }

    fn cores(&self) -> u16 {
        self.cores
    }

    fn send_parts(&mut self, id: ConnectionId, parts: &[&[u8]]) -> Result<(), Unsent> {
        let bytes = parts.concat();
        // Only what is larger than a request or a close frame is refused.
        if let Some(unsent) = self.refusing
            && bytes.starts_with(&[0x81])
        {
            return Err(unsent);
        }
        self.asked.push(Asked::Send(id, bytes));
        Ok(())
    }

    fn share(&mut self, id: ConnectionId, payload: &Payload) -> Result<(), Unsent> {
        self.send_parts(id, &[payload.bytes()])
    }

    fn backlog(&self, _id: ConnectionId) -> usize {
        self.backlog
    }

    fn pause(&mut self, id: ConnectionId) {
        self.paused.insert(id);
    }

    fn resume(&mut self, id: ConnectionId) {
        if self.paused.remove(&id) {
            self.asked.push(Asked::Resume(id));
        }
    }

    fn connect(&mut self, to: SocketAddr, from: Option<IpAddr>) -> Result<ConnectionId, NoSlot> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.generations.len() < self.slots as usize => {
                self.generations.push(0);
                u32::try_from(self.generations.len() - 1).unwrap()
            }
            None => return Err(NoSlot),
        };
        self.generations[slot as usize] += 1;
        let id = ConnectionId::new(slot, self.generations[slot as usize]);
        self.asked.push(Asked::Connect(id, to, from));
        Ok(id)
    }

    fn close(&mut self, id: ConnectionId, _how: Close) {
        self.asked.push(Asked::Close(id));
    }

    fn forward(&mut self, to: Core, message: CoreMessage) {
        self.asked.push(Asked::Forward(to.0, message));
    }

    fn stop_accepting(&mut self) {}

    fn vitals(&mut self) -> Vitals {
        let ns = self.now.as_nanos() as f64 * self.busy;
        Vitals {
            thread_cpu: Duration::from_nanos(ns as u64),
            ..Vitals::default()
        }
    }
}

/// A WebSocket echo server whose replies leave when `reply_at` says.
pub(super) struct Echo<F> {
    pub(super) reply_at: F,
    pub(super) connect: Duration,
    pool: Pool,
    peers: BTreeMap<Key, EchoPeer>,
    /// Times at which messages arrived, per connection.
    pub(super) arrivals: BTreeMap<Key, Vec<Instant>>,
    pub(super) closes: Vec<Option<u16>>,
    pub(super) requests: Vec<String>,
}

enum EchoPeer {
    Head(HeadReader),
    Frames(Decoder),
}

/// What an echo server does with a message: the reply at a time, or nothing.
pub(super) type ReplyAt = Option<Instant>;

impl<F: FnMut(Key, Instant) -> ReplyAt> Echo<F> {
    pub(super) fn new(reply_at: F) -> Self {
        Self {
            reply_at,
            connect: Duration::from_micros(50),
            pool: Pool::new(1 << 20, 64),
            peers: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            closes: Vec::new(),
            requests: Vec::new(),
        }
    }
}

impl<F: FnMut(Key, Instant) -> ReplyAt> Peer for Echo<F> {
    fn connected(&mut self, key: Key, now: Instant) -> Vec<(Instant, Act)> {
        self.peers
            .insert(key, EchoPeer::Head(HeadReader::default()));
        vec![(now + self.connect, Act::Open)]
    }

    fn received(&mut self, key: Key, bytes: &[u8], now: Instant) -> Vec<(Instant, Act)> {
        let mut bytes = bytes.to_vec();
        let mut at = 0;
        let mut acts = Vec::new();
        let Some(peer) = self.peers.get_mut(&key) else {
            return acts;
        };
        if let EchoPeer::Head(reader) = peer {
            let Some(head) = reader.next(&bytes, &mut at).unwrap() else {
                return acts;
            };
            self.requests
                .push(String::from_utf8(head.to_vec()).unwrap());
            let request = Request::parse(head).unwrap();
            let mut reply = Vec::new();
            handshake::accept(&request, &[], &OriginPolicy::Any)
                .unwrap()
                .encode(&mut reply);
            acts.push((now + self.connect, Act::Say(reply)));
            *peer = EchoPeer::Frames(Decoder::new(Role::Server));
        }
        let EchoPeer::Frames(decoder) = peer else {
            return acts;
        };
        while let Some(event) = decoder.next(&mut bytes, &mut at, &mut self.pool).unwrap() {
            let mut reply = Vec::new();
            match event {
                Event::Message { kind, bytes, .. } => {
                    self.arrivals.entry(key).or_default().push(now);
                    let opcode = if kind == Kind::Text {
                        Opcode::Text
                    } else {
                        Opcode::Binary
                    };
                    frame::encode(&mut reply, opcode, bytes, None);
                    if let Some(at) = (self.reply_at)(key, now) {
                        acts.push((at, Act::Say(reply)));
                    }
                }
                Event::Close { code, .. } => {
                    self.closes.push(code);
                    let payload = code.unwrap_or(1000).to_be_bytes();
                    frame::encode(&mut reply, Opcode::Close, &payload, None);
                    acts.push((now, Act::Say(reply)));
                    acts.push((now, Act::End(CloseCause::PeerEnded)));
                }
                // RFC 6455, 5.5.3: with the same payload.
                Event::Ping(payload) => {
                    frame::encode(&mut reply, Opcode::Pong, payload, None);
                    if let Some(at) = (self.reply_at)(key, now) {
                        acts.push((at, Act::Say(reply)));
                    }
                }
                Event::Pong(_) => {}
            }
        }
        acts
    }
}
