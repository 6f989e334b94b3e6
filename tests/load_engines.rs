//! The load client against the server on loopback, on the ring and the tokio engine.

use ringstorm::engine::{self, EngineConfig, EngineError, Listeners, Stop};
use ringstorm::load::outcome::Ending;
use ringstorm::load::scenario::rooms::Rooms;
use ringstorm::load::{self, Config, Load, Loop, Outcome, Pace, Rate, Scenario, Transport};
use ringstorm::server::{self, Server};
use ringstorm::shard::Shard;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
enum Engine {
    Ring,
    Tokio,
}

impl Engine {
    fn run<S: Shard + 'static>(
        self,
        plan: EngineConfig,
        make: impl Fn(ringstorm::shard::Core) -> S + Send + Sync + 'static,
    ) -> Result<Vec<S::Outcome>, EngineError> {
        match self {
            Self::Ring => engine::ring::run(plan, make),
            Self::Tokio => engine::tokio::run(plan, make),
        }
    }
}

/// One run at a time: some of them want the CPUs for themselves, others take them.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs the load against a server that is there for it alone.
fn run(engine: Engine, cores: usize, path: &str, change: impl FnOnce(&mut Config)) -> Outcome {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let any: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 0));
    let listeners = Listeners::bind(&[any], 1).expect("a free port");
    let address = listeners.addresses()[0];
    let stop = Stop::default();
    let plan = EngineConfig {
        listeners,
        stop: stop.clone(),
        ..EngineConfig::new(vec![0])
    };
    let started = engine::now();
    let serving = thread::spawn(move || {
        engine.run(plan, move |core| {
            let config = server::Config::new("test", started);
            Server::new(
                core,
                server::Config {
                    chunk: Duration::from_millis(20),
                    ..config
                },
            )
        })
    });
    let mut config = Config::new(address, address.to_string(), path.to_owned());
    config.duration = Duration::from_millis(600);
    change(&mut config);
    config.check().expect("a run");
    let plan = EngineConfig::new((0..cores).map(|core| core % 2).collect());
    let begun = Instant::now();
    let outcomes = engine
        .run(plan, move |core| Load::new(core, config.clone(), None))
        .expect("the load runs");
    let took = begun.elapsed();
    stop.throw();
    serving.join().expect("no panic").expect("the server runs");
    assert!(
        took < Duration::from_secs(5),
        "a run ends at its duration: {took:?}"
    );
    let outcome = Outcome::merged(&outcomes);
    assert_eq!(
        outcome.failures.total(),
        0,
        "{engine:?} {:?}",
        outcome.failures
    );
    assert_eq!(outcome.ending, Ending::Complete);
    assert_eq!(outcome.connects.still_open, 0);
    outcome
}

fn open(rate: f64) -> Loop {
    Loop::Open {
        pace: Pace::Constant(Rate::per_second(rate).expect("a rate")),
        burst: 1,
    }
}

fn echoes_every_message(engine: Engine) {
    let outcome = run(engine, 2, "/echo", |config| {
        config.connections = 50;
        config.messages = open(5_000.0);
        config.in_flight = load::config::IN_FLIGHT_DEFAULT;
    });
    let messages = outcome.messages;
    assert_eq!((outcome.connects.up, messages.planned), (50, 3_000));
    assert_eq!(messages.planned, messages.sent + messages.dropped.total());
    assert_eq!(
        (messages.replied, messages.lost, messages.wrong),
        (messages.sent, 0, 0)
    );
    assert_eq!(outcome.latencies.response.histogram().len(), messages.sent);
}

fn pipelines_in_a_closed_loop(engine: Engine) {
    let outcome = run(engine, 1, "/echo", |config| {
        config.connections = 8;
        config.in_flight = 16;
        config.payload_kind = load::PayloadKind::Binary;
        config.payload_bytes = 5_000;
    });
    let messages = outcome.messages;
    assert!(messages.sent > 100);
    assert_eq!(
        (messages.replied, messages.lost, messages.wrong),
        (messages.sent, 0, 0)
    );
}

fn listens(engine: Engine, transport: Transport, path: &str) {
    let outcome = run(engine, 2, path, |config| {
        config.connections = 20;
        config.transport = transport;
        config.scenario = Scenario::Listen;
    });
    let events = outcome.events;
    // 600 ms, one every 20 ms, 20 times.
    assert!((400..=620).contains(&events.received), "{events:?}");
    assert_eq!(
        (
            events.gaps,
            events.repeated,
            events.unstamped,
            events.negative
        ),
        (0, 0, 0, 0)
    );
    assert_eq!(outcome.latencies.one_way.histogram().len(), events.received);
    assert_eq!(outcome.latencies.first_event.histogram().len(), 20);
}

/// Rooms of six, the default of the server, whose members are on two cores of the load.
fn reaches_every_member(engine: Engine, transport: Transport) {
    let outcome = run(engine, 2, "/rooms", |config| {
        config.connections = 60;
        config.transport = transport;
        config.scenario = Scenario::Dialogue(Arc::new(Rooms {
            iterations: Some(20),
            payload_bytes: 100,
            size: Some(6),
            comes_and_goes: false,
        }));
        config.duration = Duration::from_secs(4);
    });
    let fan_out = outcome.fan_out.as_deref().expect("there were broadcasts");
    assert_eq!((outcome.connects.up, outcome.connects.speakers), (60, 10));
    assert_eq!((fan_out.broadcasts, fan_out.complete), (200, 200));
    assert_eq!((fan_out.expected, fan_out.received), (1_200, 1_200));
    assert_eq!(
        (fan_out.duplicates, fan_out.reordered, fan_out.gaps),
        (0, 0, 0)
    );
    assert_eq!(fan_out.last.histogram().len(), 200);
    let messages = outcome.messages;
    assert_eq!((messages.replied, messages.lost), (200, 0));
    assert_eq!(outcome.latencies.ready.histogram().len(), 60);
    // From the stamp to the last delivery: an iteration is as long as its last delivery is late.
    let service = outcome.latencies.service.histogram().max();
    assert!(service <= fan_out.last.histogram().max() + 1_000);
}

#[test]
fn a_room_s_iteration_lasts_until_every_member_has_it() {
    for engine in [Engine::Ring, Engine::Tokio] {
        reaches_every_member(engine, Transport::WebSocket);
        reaches_every_member(engine, Transport::Sse);
    }
}

#[test]
fn every_message_is_echoed_on_the_ring() {
    echoes_every_message(Engine::Ring);
    pipelines_in_a_closed_loop(Engine::Ring);
}

#[test]
fn every_message_is_echoed_on_tokio() {
    echoes_every_message(Engine::Tokio);
    pipelines_in_a_closed_loop(Engine::Tokio);
}

#[test]
fn a_rush_is_sent_and_read_whole_on_the_ring() {
    let outcome = run(Engine::Ring, 1, "/echo", |config| {
        config.connections = 4;
        config.duration = Duration::from_millis(100);
        config.in_flight = 10_000;
        let pace = Pace::Constant(Rate::per_second(300_000.0).expect("a rate"));
        config.messages = Loop::Open { pace, burst: 64 };
    });
    let messages = outcome.messages;
    assert_eq!(messages.planned, 30_000);
    assert_eq!(messages.sent + messages.dropped.total(), messages.planned);
    assert_eq!(messages.replied, messages.sent, "{messages:?}");
    assert_eq!(outcome.cores[0].rescues, 0);
}

#[test]
fn pushes_are_heard_on_the_ring() {
    listens(Engine::Ring, Transport::WebSocket, "/push");
    listens(Engine::Ring, Transport::Sse, "/events");
}

#[test]
fn pushes_are_heard_on_tokio() {
    listens(Engine::Tokio, Transport::WebSocket, "/push");
    listens(Engine::Tokio, Transport::Sse, "/events");
}

/// What a server says to every request, and then closes; `None`: there is no server.
const REFUSALS: [Option<&str>; 4] = [
    Some("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
    Some("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"),
    // RFC 6455, 4.1: the client fails the connection over a wrong Sec-WebSocket-Accept.
    Some(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
    ),
    None,
];

/// A server that says that to every request until `over`.
fn refusing(answer: Option<&'static str>, over: &Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let Some(answer) = answer else {
        return address;
    };
    let over = Arc::clone(over);
    thread::spawn(move || {
        for peer in listener.incoming() {
            if over.load(Ordering::Relaxed) {
                return;
            }
            let mut peer = peer.expect("a peer");
            let mut head = [0; 2048];
            let _ = peer.read(&mut head);
            let _ = peer.write_all(answer.as_bytes());
        }
    });
    address
}

/// Many short runs on two cores in which no connect succeeds; they have to share the CPUs.
fn every_run_ends_where_every_connect_fails(engine: Engine, rounds: u32) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let over = Arc::new(AtomicBool::new(false));
    let runs = REFUSALS.map(|answer| {
        let address = refusing(answer, &over);
        thread::spawn(move || {
            for round in 0..rounds {
                a_run_of_failures_ends(engine, address, round);
            }
        })
    });
    for run in runs {
        run.join().expect("every run ends");
    }
    over.store(true, Ordering::Relaxed);
}

fn a_run_of_failures_ends(engine: Engine, address: SocketAddr, round: u32) {
    let mut config = Config::new(address, address.to_string(), "/echo".to_owned());
    config.connections = 2 + round % 2;
    config.duration = Duration::from_millis(20);
    config.check().expect("a run");
    let begun = Instant::now();
    let outcomes = engine
        .run(EngineConfig::new(vec![0, 1]), move |core| {
            Load::new(core, config.clone(), None)
        })
        .expect("the load runs");
    let took = begun.elapsed();
    assert!(
        took < Duration::from_secs(20),
        "{engine:?}: run {round} took {took:?}"
    );
    let outcome = Outcome::merged(&outcomes);
    assert_eq!(outcome.connects.up, 0);
    assert!(outcome.failures.total() > 0);
}

#[test]
fn hundreds_of_runs_end_where_every_connect_fails_on_the_ring() {
    every_run_ends_where_every_connect_fails(Engine::Ring, 50);
}

#[test]
fn runs_end_where_every_connect_fails_on_tokio() {
    every_run_ends_where_every_connect_fails(Engine::Tokio, 10);
}
