//! Carries out a script on the simulated network: the clients are a shard.

use crate::script::{Act, Look, Script, get};
use crate::{Harness, Setup};
use ringstorm::engine::sim;
use ringstorm::server::{Apps, Config, Message, Outcome, Server};
use ringstorm::shard::{Close, CloseCause, ConnectionId, Core, Origin, Shard, Unsent, Wire};
use ringstorm::time::Instant;
use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// No progress for so long means that the server has stopped reading.
const STUCK: Duration = Duration::from_millis(300);
/// Bytes that a server without backpressure would take.
const FLOOD: usize = 64 << 20;
/// How often a client looks again at what has no event of its own.
const AGAIN: Duration = Duration::from_millis(5);
/// The client that polls.
const POLLER: usize = usize::MAX;

thread_local! {
    /// The seed of this thread's run.
    static SEED: Cell<u64> = const { Cell::new(0) };
}

/// The harness of the simulator.
pub(crate) struct OnSim;

/// Runs a test for some seeds; a failure names its own.
pub(crate) fn explore(test: impl Fn() + Sync) {
    sim::explore(0..50, |seed| {
        SEED.set(seed);
        test();
    });
}

impl Harness for OnSim {
    fn run_with<A: Apps>(setup: Setup, script: Script, apps: fn(&Config) -> A) -> Vec<Outcome> {
        let mut plan = sim::SimConfig::new(SEED.get());
        plan.servers = u16::try_from(setup.cores).unwrap();
        plan.max_backlog = setup.max_backlog;
        let to = plan.listeners[0];
        let (stop, at) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0)));
        let started = Rc::new(Cell::new(None));
        let make = |core| Stoppable {
            core,
            apps,
            config: setup.config.clone(),
            started: Rc::clone(&started),
            server: None,
            stop: Rc::clone(&stop),
            stopped: false,
            now: Instant::default(),
        };
        let mut acts = Some(VecDeque::from(script.acts));
        let report = sim::run(&plan, make, |_| Actor {
            to,
            acts: acts.take().expect("one core of clients"),
            peers: BTreeMap::new(),
            numbers: BTreeMap::new(),
            pumped: None,
            again: None,
            waiting: None,
            stop: Rc::clone(&stop),
            at: Rc::clone(&at),
        });
        let done = report.loads.iter().all(Option::is_some);
        assert!(done, "act {} never ended, in {:?}", at.get(), report.took);
        let outcomes = report.servers.into_iter();
        outcomes
            .map(|outcome| outcome.expect("the server ends"))
            .collect()
    }
}

/// A server that is made when the clock can be read, and stopped when the script says so.
struct Stoppable<A: Apps> {
    core: Core,
    apps: fn(&Config) -> A,
    config: Config,
    started: Rc<Cell<Option<Instant>>>,
    server: Option<Server<A>>,
    stop: Rc<Cell<bool>>,
    stopped: bool,
    now: Instant,
}

impl<A: Apps> Stoppable<A> {
    fn pass<W: Wire<Message<A::Letters>>>(
        &mut self,
        wire: &mut W,
        event: impl FnOnce(&mut Server<A>, &mut W),
    ) {
        self.now = wire.now();
        let server = self.server.as_mut().expect("started");
        event(server, wire);
        if self.stop.get() && !std::mem::replace(&mut self.stopped, true) {
            server.stopped(wire);
        }
    }
}

impl<A: Apps> Shard for Stoppable<A> {
    type Message = Message<A::Letters>;
    type Outcome = Outcome;

    fn started(&mut self, wire: &mut impl Wire<Message<A::Letters>>) {
        let started = self.started.get().unwrap_or_else(|| wire.now());
        self.started.set(Some(started));
        let config = Config {
            started,
            ..self.config.clone()
        };
        let apps = (self.apps)(&config);
        self.server = Some(Server::with(self.core, config, apps));
        self.pass(wire, |server, wire| server.started(wire));
    }

    fn opened(
        &mut self,
        id: ConnectionId,
        origin: Origin,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        self.pass(wire, |server, wire| server.opened(id, origin, wire));
    }

    fn received(
        &mut self,
        id: ConnectionId,
        bytes: &mut [u8],
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        self.pass(wire, |server, wire| server.received(id, bytes, wire));
    }

    fn drained(&mut self, id: ConnectionId, wire: &mut impl Wire<Message<A::Letters>>) {
        self.pass(wire, |server, wire| server.drained(id, wire));
    }

    fn closed(
        &mut self,
        id: ConnectionId,
        cause: CloseCause,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        self.pass(wire, |server, wire| server.closed(id, cause, wire));
    }

    fn forwarded(
        &mut self,
        from: Core,
        message: Message<A::Letters>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        self.pass(wire, |server, wire| server.forwarded(from, message, wire));
    }

    fn expired(&mut self, wire: &mut impl Wire<Message<A::Letters>>) {
        self.pass(wire, |server, wire| {
            if server.deadline().is_some_and(|at| at <= wire.now()) {
                server.expired(wire);
            }
        });
    }

    fn stopped(&mut self, wire: &mut impl Wire<Message<A::Letters>>) {
        self.stop.set(true);
        self.pass(wire, |_, _| {});
    }

    fn deadline(&self) -> Option<Instant> {
        let server = self.server.as_ref().and_then(Shard::deadline);
        let look = (!self.stopped).then(|| self.now + AGAIN);
        server.into_iter().chain(look).min()
    }

    fn finished(&self) -> bool {
        self.server.as_ref().is_some_and(Shard::finished)
    }

    fn outcome(self) -> Outcome {
        self.server.expect("started").outcome()
    }
}

/// The clients of a script.
struct Actor {
    to: SocketAddr,
    acts: VecDeque<(usize, Act)>,
    peers: BTreeMap<usize, Peer>,
    numbers: BTreeMap<ConnectionId, usize>,
    pumped: Option<Pumped>,
    again: Option<Instant>,
    waiting: Option<Instant>,
    stop: Rc<Cell<bool>>,
    /// Which act is under way.
    at: Rc<Cell<usize>>,
}

struct Peer {
    id: ConnectionId,
    open: bool,
    ended: bool,
    /// Received and not used.
    unread: Vec<u8>,
}

struct Pumped {
    frames: usize,
    moved: Instant,
    /// Bytes of replies, once it reads.
    got: Option<usize>,
}

impl Actor {
    /// Acts as far as it goes.
    fn advance(&mut self, wire: &mut impl Wire<()>) {
        self.again = None;
        while let Some((number, mut act)) = self.acts.pop_front() {
            if !self.act(number, &mut act, wire) {
                self.acts.push_front((number, act));
                return;
            }
            self.at.set(self.at.get() + 1);
            if let Some(peer) = self.peers.get(&number).filter(|peer| !peer.ended) {
                // Like a socket that nobody reads.
                wire.pause(peer.id);
            }
        }
    }

    /// Whether the act is done.
    fn act(&mut self, number: usize, act: &mut Act, wire: &mut impl Wire<()>) -> bool {
        match act {
            Act::Wait(span) => {
                let until = *self.waiting.get_or_insert(wire.now() + *span);
                if wire.now() < until {
                    self.again = Some(until);
                    return false;
                }
                self.waiting = None;
                true
            }
            Act::Stop => {
                self.stop.set(true);
                true
            }
            Act::HalfClose
            | Act::Flood { .. }
            | Act::Overwhelm { .. }
            | Act::Leave
            | Act::Cut(_)
            | Act::RenewKeys
            | Act::Forge
            | Act::Pace(_) => {
                panic!("a shard's clients have no sockets")
            }
            Act::Poll { path, wanted } => self.poll(path, wanted, wire),
            Act::Send(_) | Act::Make(_) | Act::Read { .. } | Act::Ended | Act::Pump { .. } => {
                let peer = self.peer(number, wire);
                if !peer.open {
                    return false;
                }
                match act {
                    Act::Send(bytes) => {
                        assert_ne!(wire.send(peer.id, bytes), Err(Unsent::Full), "a script");
                        true
                    }
                    Act::Make(bytes) => {
                        assert_ne!(wire.send(peer.id, &bytes()), Err(Unsent::Full), "a script");
                        true
                    }
                    Act::Read { what, look } => read(peer, what, look, wire),
                    Act::Pump { bytes, reply } => self.pump(number, bytes, reply, wire),
                    Act::Ended
                    | Act::HalfClose
                    | Act::Flood { .. }
                    | Act::Overwhelm { .. }
                    | Act::Leave
                    | Act::Cut(_)
                    | Act::RenewKeys
                    | Act::Forge
                    | Act::Pace(_)
                    | Act::Poll { .. }
                    | Act::Wait(_)
                    | Act::Stop => {
                        let came = String::from_utf8_lossy(&peer.unread);
                        assert!(came.is_empty(), "{came:?} came before the end");
                        wire.resume(peer.id);
                        peer.ended
                    }
                }
            }
        }
    }

    fn peer(&mut self, number: usize, wire: &mut impl Wire<()>) -> &mut Peer {
        let (to, numbers) = (self.to, &mut self.numbers);
        self.peers.entry(number).or_insert_with(|| {
            let id = wire.connect(to, None).expect("a slot");
            numbers.insert(id, number);
            Peer {
                id,
                open: false,
                ended: false,
                unread: Vec::new(),
            }
        })
    }

    fn poll(
        &mut self,
        path: &str,
        wanted: &mut Box<dyn FnMut(&str) -> bool + Send>,
        wire: &mut impl Wire<()>,
    ) -> bool {
        if self.waiting.take_if(|until| *until <= wire.now()).is_some() {
            self.peers.remove(&POLLER);
        }
        if let Some(until) = self.waiting {
            self.again = Some(until);
            return false;
        }
        let peer = self.peer(POLLER, wire);
        if !peer.ended {
            return false;
        }
        let answer = String::from_utf8_lossy(&peer.unread);
        let (_, body) = answer
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("{path}: {answer}"));
        if wanted(body) {
            self.peers.remove(&POLLER);
            return true;
        }
        self.waiting = Some(wire.now() + AGAIN * 4);
        self.again = self.waiting;
        false
    }

    fn pump(
        &mut self,
        number: usize,
        bytes: &[u8],
        reply: &[u8],
        wire: &mut impl Wire<()>,
    ) -> bool {
        let now = wire.now();
        let pumped = self.pumped.get_or_insert(Pumped {
            frames: 0,
            moved: now,
            got: None,
        });
        let peer = self.peers.get_mut(&number).expect("connected");
        self.again = Some(now + AGAIN);
        let Some(got) = &mut pumped.got else {
            while wire.send(peer.id, bytes).is_ok() {
                pumped.frames += 1;
                pumped.moved = now;
                assert!(
                    pumped.frames * bytes.len() < FLOOD,
                    "the server reads without end"
                );
            }
            if now.since(pumped.moved) > STUCK {
                pumped.got = Some(0);
            }
            return false;
        };
        wire.resume(peer.id);
        for byte in peer.unread.drain(..) {
            assert_eq!(byte, reply[*got % reply.len()], "byte {got}");
            *got += 1;
        }
        assert!(!peer.ended, "ended after {got} bytes");
        let done = *got == pumped.frames * reply.len();
        if done {
            self.pumped = None;
        }
        done
    }
}

fn read(peer: &mut Peer, what: &str, look: &mut Look, wire: &mut impl Wire<()>) -> bool {
    if let Some(used) = look(&peer.unread) {
        peer.unread.drain(..used);
        return true;
    }
    let came = String::from_utf8_lossy(&peer.unread[..peer.unread.len().min(400)]);
    assert!(!peer.ended, "{what}: ended after {came:?}");
    wire.resume(peer.id);
    false
}

impl Shard for Actor {
    type Message = ();
    type Outcome = ();

    fn started(&mut self, wire: &mut impl Wire<()>) {
        self.advance(wire);
    }

    fn opened(&mut self, id: ConnectionId, _origin: Origin, wire: &mut impl Wire<()>) {
        let number = self.numbers[&id];
        self.peers.get_mut(&number).expect("connected").open = true;
        if number == POLLER {
            let Some((_, Act::Poll { path, .. })) = self.acts.front() else {
                panic!("a poller without a poll")
            };
            let request = get(path).replace("Host", "Connection: close\r\nHost");
            wire.send(id, request.as_bytes()).expect("room");
        } else {
            wire.pause(id);
        }
        self.advance(wire);
    }

    fn received(&mut self, id: ConnectionId, bytes: &mut [u8], wire: &mut impl Wire<()>) {
        if let Some(peer) = self.peers.get_mut(&self.numbers[&id]) {
            peer.unread.extend_from_slice(bytes);
        }
        self.advance(wire);
    }

    fn drained(&mut self, _id: ConnectionId, _wire: &mut impl Wire<()>) {}

    fn closed(&mut self, id: ConnectionId, cause: CloseCause, wire: &mut impl Wire<()>) {
        assert!(
            matches!(cause, CloseCause::PeerEnded | CloseCause::Reset),
            "{cause:?}"
        );
        if let Some(peer) = self.peers.get_mut(&self.numbers[&id]) {
            peer.ended = true;
        }
        self.advance(wire);
    }

    fn forwarded(&mut self, _from: Core, (): (), _wire: &mut impl Wire<()>) {}

    fn expired(&mut self, wire: &mut impl Wire<()>) {
        self.advance(wire);
    }

    fn stopped(&mut self, wire: &mut impl Wire<()>) {
        for peer in self.peers.values() {
            wire.close(peer.id, Close::Abort);
        }
        self.acts.clear();
    }

    fn deadline(&self) -> Option<Instant> {
        self.again
    }

    fn finished(&self) -> bool {
        self.acts.is_empty()
    }

    fn outcome(self) {}
}
