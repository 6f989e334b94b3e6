//! A shard made of one closure, run under the contract checker on a thread of its own.

use super::Engine;
use ringstorm::engine::contract::Checked;
use ringstorm::engine::{EngineConfig, Listeners, Stop};
use ringstorm::shard::{CloseCause, ConnectionId, Core, Half, Origin, Shard, Wire};
use ringstorm::time::Instant;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// What cores say to each other here.
pub(crate) type Message = u64;

/// One event of a shard.
#[derive(Debug)]
pub(crate) enum Event<'e> {
    Started,
    Opened(ConnectionId, Origin),
    Received(ConnectionId, &'e mut [u8]),
    Drained(ConnectionId),
    /// With what becomes of it: closed, if the script leaves it so.
    Ended(ConnectionId, &'e mut Half),
    Closed(ConnectionId, CloseCause),
    Forwarded(Core, Message),
    Expired,
    Lost(Core),
    Stopped,
}

/// What a script sees of its core while it handles an event.
pub(crate) struct Scene<'s, T> {
    pub(crate) state: &'s mut T,
    pub(crate) wire: &'s mut dyn Wire<Message>,
    /// Emptied before `Expired`.
    pub(crate) deadline: &'s mut Option<Instant>,
    pub(crate) finished: &'s mut bool,
}

/// The closure as a shard; its outcome is the state.
struct Script<T, A> {
    state: T,
    act: A,
    deadline: Option<Instant>,
    finished: bool,
}

impl<T, A: Fn(Scene<'_, T>, Event<'_>)> Script<T, A> {
    fn act(&mut self, event: Event<'_>, wire: &mut impl Wire<Message>) {
        let Self {
            state,
            act,
            deadline,
            finished,
        } = self;
        act(
            Scene {
                state,
                wire,
                deadline,
                finished,
            },
            event,
        );
    }
}

impl<T: Send + 'static, A: Fn(Scene<'_, T>, Event<'_>)> Shard for Script<T, A> {
    type Message = Message;
    type Outcome = T;

    fn started(&mut self, wire: &mut impl Wire<Message>) {
        self.act(Event::Started, wire);
    }

    fn opened(&mut self, id: ConnectionId, origin: Origin, wire: &mut impl Wire<Message>) {
        self.act(Event::Opened(id, origin), wire);
    }

    fn received(&mut self, id: ConnectionId, bytes: &mut [u8], wire: &mut impl Wire<Message>) {
        self.act(Event::Received(id, bytes), wire);
    }

    fn drained(&mut self, id: ConnectionId, wire: &mut impl Wire<Message>) {
        self.act(Event::Drained(id), wire);
    }

    fn ended(&mut self, id: ConnectionId, wire: &mut impl Wire<Message>) -> Half {
        let mut half = Half::Close;
        self.act(Event::Ended(id, &mut half), wire);
        half
    }

    fn closed(&mut self, id: ConnectionId, cause: CloseCause, wire: &mut impl Wire<Message>) {
        self.act(Event::Closed(id, cause), wire);
    }

    fn forwarded(&mut self, from: Core, message: Message, wire: &mut impl Wire<Message>) {
        self.act(Event::Forwarded(from, message), wire);
    }

    fn expired(&mut self, wire: &mut impl Wire<Message>) {
        self.deadline = None;
        self.act(Event::Expired, wire);
    }

    fn lost(&mut self, core: Core, wire: &mut impl Wire<Message>) {
        self.act(Event::Lost(core), wire);
    }

    fn stopped(&mut self, wire: &mut impl Wire<Message>) {
        self.act(Event::Stopped, wire);
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn finished(&self) -> bool {
        self.finished
    }

    fn outcome(self) -> T {
        self.state
    }
}

/// A plan for so many cores; `listen` addresses on loopback, free ports.
pub(crate) fn plan(cores: usize, listen: usize) -> EngineConfig {
    let allowed = core_affinity::get_core_ids().expect("the CPUs of this host are known");
    let cpus: Vec<usize> = allowed
        .iter()
        .map(|core| core.id)
        .cycle()
        .take(cores)
        .collect();
    let addresses = vec![SocketAddr::from(([127, 0, 0, 1], 0)); listen];
    let mut plan = EngineConfig::new(cpus);
    plan.listeners = Listeners::bind(&addresses, cores).expect("loopback has free ports");
    plan.slots = 256;
    plan.receive_buffers = 64;
    plan
}

/// A run on its way.
pub(crate) struct Running<T> {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) stop: Stop,
    end: Receiver<Result<Vec<T>, String>>,
}

impl<T> Running<T> {
    /// The first address it listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Waits for the end; the states of all cores, or the error's text.
    pub(crate) fn end(self) -> Result<Vec<T>, String> {
        self.end
            .recv_timeout(Duration::from_secs(40))
            .expect("the run ends")
    }

    /// Waits for the end of a run that goes well.
    pub(crate) fn finish(self) -> Vec<T> {
        self.end().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Stops it and waits.
    pub(crate) fn stop(self) -> Vec<T> {
        self.stop.throw();
        self.finish()
    }
}

/// Starts the script on every core of the plan. `state` makes a core's state.
pub(crate) fn start<E: Engine, T: Send + 'static>(
    plan: EngineConfig,
    state: impl Fn(Core) -> T + Send + Sync + 'static,
    act: impl Fn(Scene<'_, T>, Event<'_>) + Clone + Send + Sync + 'static,
) -> Running<T> {
    let addresses = plan.listeners.addresses();
    let stop = plan.stop.clone();
    let (sender, end) = channel();
    std::thread::spawn(move || {
        let result = E::run(plan, move |core| {
            let script = Script {
                state: state(core),
                act: act.clone(),
                deadline: None,
                finished: false,
            };
            Checked::new(script)
        });
        let _ = sender.send(result.map_err(|error| error.to_string()));
    });
    Running {
        addresses,
        stop,
        end,
    }
}
