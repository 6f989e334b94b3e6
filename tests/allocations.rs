//! No allocation per message after warm-up: neither server nor load client nor engine.
//!
//! Engines may allocate per time (a look at a watchdog's timer, a line of progress), so each case
//! runs at a low and at a high rate: what the extra messages have allocated must be nothing. A
//! buffer grows when the machine makes a message wait longer than any before it, so the quietest
//! of several windows counts: what is allocated per message is in each of them.

#[path = "allocations/counting.rs"]
mod counting;
#[path = "load_allocations.rs"]
mod load_client;
#[path = "server_allocations.rs"]
mod server_shard;
#[path = "tls_allocations.rs"]
mod tls;

use ringstorm::engine::{self, EngineConfig, EngineError, Listeners, Stop, ring, tokio};
use ringstorm::load::{self, Load, Loop, Pace, Rate, Scenario, Transport};
use ringstorm::server::{self, Server};
use ringstorm::shard::{Core, Shard};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

/// The tests count what the cores of all engines do: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

const WARM_UP: Duration = Duration::from_millis(700);
/// The windows that are looked at, well inside the measured time: connecting takes a part of it.
const WINDOWS: u32 = 5;
const WINDOW: Duration = Duration::from_millis(200);
/// With one before them and one after them.
const MEASURED_WINDOWS: u32 = WINDOWS + 2;
/// Messages of a window that tell: a slow machine gets longer windows until it has that many.
const ENOUGH: u64 = 1000;

#[derive(Clone, Copy, Debug)]
enum Engine {
    Ring,
    Tokio,
}

impl Engine {
    fn run<S: Shard + 'static>(
        self,
        plan: EngineConfig,
        make: impl Fn(Core) -> S + Send + Sync + 'static,
    ) -> Result<Vec<S::Outcome>, EngineError> {
        let counted = move |core| {
            counting::count_this_core();
            make(core)
        };
        match self {
            Self::Ring => ring::run(plan, counted),
            Self::Tokio => tokio::run(plan, counted),
        }
    }
}

/// What to run.
#[derive(Clone)]
struct Case {
    transport: Transport,
    scenario: Scenario,
    path: &'static str,
    payload_bytes: usize,
}

/// How much of it.
#[derive(Clone, Copy)]
struct Amount {
    connections: u32,
    /// Echoes a second, of all connections.
    rate: f64,
}

/// Runs server and load on one thread each; what the quietest window allocated, and its messages.
fn run(engine: Engine, case: Case, amount: Amount, window: Duration) -> (u64, u64) {
    let measured = window * MEASURED_WINDOWS;
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listeners = Listeners::bind(&[any], 1).expect("loopback has free ports");
    let address = listeners.addresses()[0];
    let stop = Stop::default();
    let mut plan = EngineConfig::new(vec![0]);
    plan.listeners = listeners;
    plan.stop = stop.clone();
    let started = engine::now();
    let serving = std::thread::spawn(move || {
        engine.run(plan, move |core| {
            let mut config = server::Config::new("test", started);
            config.chunk = Duration::from_millis(10);
            Server::new(core, config)
        })
    });
    let mut config = load::Config::new(address, "test".to_owned(), case.path.to_owned());
    config.transport = case.transport;
    config.scenario = case.scenario;
    config.payload_bytes = case.payload_bytes;
    config.connections = amount.connections;
    config.warm_up = WARM_UP;
    config.duration = measured;
    let pace = Pace::Constant(Rate::per_second(amount.rate).expect("a rate"));
    config.messages = Loop::Open { pace, burst: 1 };
    config.check().expect("a configuration that runs");
    let at_first = counting::of_cores();
    let loading = std::thread::spawn(move || {
        engine.run(EngineConfig::new(vec![1]), move |core| {
            Load::new(core, config.clone(), None)
        })
    });
    std::thread::sleep(WARM_UP + (measured - WINDOWS * window) / 2);
    let connecting = counting::of_cores() - at_first;
    assert!(connecting > 0, "the cores are not counted");
    let allocated = (0..WINDOWS)
        .map(|_| {
            let before = counting::of_cores();
            std::thread::sleep(window);
            counting::of_cores() - before
        })
        .min()
        .expect("there are windows");
    let outcomes = loading.join().expect("no panic").expect("the load runs");
    stop.throw();
    serving.join().expect("no panic").expect("the server runs");
    let outcome = load::Outcome::merged(&outcomes);
    assert_eq!(outcome.failures.total(), 0, "{:?}", outcome.failures);
    let messages = outcome.messages.replied + outcome.events.received;
    (allocated, messages / u64::from(MEASURED_WINDOWS))
}

fn compare(engine: Engine, case: Case, low: Amount, high: Amount) {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let pairs = [1, 2, 4, 8].map(|times| WINDOW * times).into_iter();
    let mut pairs = pairs.map(|window| {
        let low = run(engine, case.clone(), low, window);
        (low, run(engine, case.clone(), high, window))
    });
    let messages = |(low, high): ((u64, u64), (u64, u64))| high.1.saturating_sub(low.1);
    let Some((low, high)) = pairs.find(|&pair| messages(pair) > ENOUGH) else {
        panic!("{engine:?}: too few messages to tell, however long the window");
    };
    let messages = messages((low, high));
    let allocations = high.0.saturating_sub(low.0);
    // What is allocated per time differs a little; one a message would be 50 times this.
    assert!(
        allocations * 50 < messages,
        "{engine:?}: {allocations} allocations for {messages} messages more ({low:?}, {high:?})"
    );
}

fn echo(engine: Engine, payload_bytes: usize) {
    let case = Case {
        transport: Transport::WebSocket,
        scenario: Scenario::Echo,
        path: "/echo",
        payload_bytes,
    };
    let connections = 64;
    let low = Amount {
        connections,
        rate: 1000.0,
    };
    compare(
        engine,
        case,
        low,
        Amount {
            rate: 12_000.0,
            ..low
        },
    );
}

fn fan_out(engine: Engine, transport: Transport, path: &'static str) {
    let case = Case {
        transport,
        scenario: Scenario::Listen,
        path,
        payload_bytes: 32,
    };
    let low = Amount {
        connections: 4,
        rate: 1.0,
    };
    compare(
        engine,
        case,
        low,
        Amount {
            connections: 100,
            ..low
        },
    );
}

#[test]
fn an_echo_allocates_nothing_on_the_ring() {
    echo(Engine::Ring, 32);
}

#[test]
fn an_echo_allocates_nothing_on_tokio() {
    echo(Engine::Tokio, 32);
}

#[test]
fn an_echo_that_spans_receives_allocates_nothing_on_the_ring() {
    echo(Engine::Ring, 10_000);
}

#[test]
fn an_echo_that_spans_receives_allocates_nothing_on_tokio() {
    echo(Engine::Tokio, 10_000);
}

#[test]
fn a_push_allocates_nothing_per_delivery() {
    fan_out(Engine::Ring, Transport::WebSocket, "/push");
    fan_out(Engine::Tokio, Transport::WebSocket, "/push");
}

#[test]
fn an_event_allocates_nothing_per_delivery() {
    fan_out(Engine::Ring, Transport::Sse, "/events");
    fan_out(Engine::Tokio, Transport::Sse, "/events");
}
