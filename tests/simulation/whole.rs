//! The server against the load client: nothing panics, everything ends, every loss has its fault.

use ringstorm::engine::sim::{Conditions, Faults, Report, SimConfig, explore, run};
use ringstorm::load::outcome::Ending;
use ringstorm::load::{
    self, Backoff, Buckets, Load, Loop, Pace, PayloadKind, PlannedOutage, Poisson, Rate,
    RetryPolicy, Scenario, Session, Stage, Stages, Think, Transport,
};
use ringstorm::protocol::websocket::deflate::{ContextTakeover, WindowBits};
use ringstorm::server::{self, Server, Tally};
use ringstorm::time::Instant;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A run drawn from its seed.
pub(super) struct Draw {
    pub(super) plan: SimConfig,
    pub(super) server: server::Config,
    pub(super) load: load::Config,
}

impl Draw {
    pub(super) fn new(seed: u64, conditions: Conditions) -> Self {
        let mut random = fastrand::Rng::with_seed(seed ^ 0x5eed);
        let mut plan = SimConfig::new(seed);
        plan.conditions = conditions;
        plan.servers = random.u16(1..=3);
        plan.loads = random.u16(1..=3);
        plan.receive_bytes = [64, 1000, 4096, 65_536][random.usize(..4)];
        let mut server = server::Config::new("sim", Instant::from_nanos(1_000_000_000));
        server.chunk = Duration::from_millis(random.u64(5..40));
        server.chunk_bytes = random.usize(0..3000);
        let address = plan.listeners[0];
        let kinds = [
            (Transport::WebSocket, Scenario::Echo, "/echo"),
            (Transport::WebSocket, Scenario::Echo, "/echo"),
            (Transport::WebSocket, Scenario::Listen, "/push"),
            (Transport::WebSocket, Scenario::Idle, "/echo"),
            (Transport::Sse, Scenario::Listen, "/events"),
        ];
        let (transport, scenario, path) = kinds[random.usize(..5)].clone();
        let mut load = load::Config::new(address, "sim".to_owned(), path.to_owned());
        load.transport = transport;
        load.scenario = scenario;
        // A core without a connection counts its share of the plan as dropped.
        load.connections = random.u32(u32::from(plan.loads)..20);
        load.connecting = random.u32(1..10);
        load.in_flight = [1, 2, 16, 100][random.usize(..4)];
        load.payload_bytes = [8, 32, 125, 126, 5000, 70_000][random.usize(..6)];
        load.payload_kind = [PayloadKind::Text, PayloadKind::Binary][random.usize(..2)];
        if load.payload_bytes > 1000 {
            load.in_flight = load.in_flight.min(2);
            load.connections = load.connections.min(6);
        }
        load.duration = Duration::from_millis(random.u64(1..60));
        load.warm_up = Duration::from_millis(random.u64(0..10));
        load.grace = Duration::from_secs(2000);
        load.close_time = Duration::from_secs(20);
        load.seed = seed;
        // A generator of its own: the draws of earlier seeds stay what they were.
        let rarely = fastrand::Rng::with_seed(seed ^ 0xdef1).u8(..4) == 0;
        if rarely && load.payload_bytes < 10_000 {
            let modes = |seed: u64| match fastrand::Rng::with_seed(seed).u8(..10) {
                bits @ 0..7 => ContextTakeover::Within(WindowBits::new(9 + bits).unwrap()),
                7.. => ContextTakeover::Never,
            };
            // Whoever keeps context gets along with whoever does not, but for a client that
            // insists on none.
            server.deflate = Some(modes(seed));
            load.deflate = Some(modes(seed ^ 0x5eed));
        }
        if random.bool() {
            let burst = random.u32(1..5);
            load.messages = Loop::Open {
                pace: pace(&mut random, 5000),
                burst,
            };
            load.connect_pace = random.bool().then(|| pace(&mut random, 1000));
        } else if random.bool() {
            load.messages = [
                Loop::Thinking(Think {
                    least: Duration::ZERO,
                    most: Duration::from_millis(random.u64(0..20)),
                }),
                Loop::PerConnection {
                    pace: pace(&mut random, 5000),
                },
            ][random.usize(..2)]
            .clone();
        }
        load.check().unwrap();
        Self { plan, server, load }
    }

    pub(super) fn run(&self) -> Report<server::Outcome, load::Outcome> {
        run(
            &self.plan,
            |core| Server::new(core, self.server.clone()),
            |core| Load::new(core, self.load.clone(), None),
        )
    }
}

/// Any pace, of at most about so many a second.
pub(super) fn pace(random: &mut fastrand::Rng, most: u32) -> Pace {
    let rate = random.u32(10..most);
    let stage = |target_milli, ms| Stage {
        target_milli,
        lasts: Duration::from_millis(ms),
    };
    let milli = u64::from(rate) * 1000;
    let stages = [
        stage(milli, random.u64(0..40)),
        stage(milli / 2, random.u64(0..40)),
    ];
    let stages = Stages::new(random.u64(..milli), &stages).unwrap();
    match random.u32(..4) {
        0 => Pace::Constant(Rate::per_second(f64::from(rate)).unwrap()),
        1 => Pace::from(stages),
        2 => Pace::from(Poisson::new(stages, random.u64(..))),
        _ => {
            let every = Duration::from_millis(random.u64(1..50));
            Pace::Buckets(Buckets::new(random.u64(1..10), every).unwrap())
        }
    }
}

/// Lets some runs have clients that come back, storms and sessions.
fn come_and_go(random: &mut fastrand::Rng, load: &mut load::Config) {
    if random.u32(..4) > 0 {
        return;
    }
    load.retry = RetryPolicy {
        retries: random.u32(..3),
        reconnects: random.u32(..4),
        backoff: Backoff {
            least: Duration::from_millis(1),
            most: Duration::from_millis(20),
        },
        refused: load::Refused::Again,
    };
    let half = load.duration / 2;
    load.outage = random.bool().then_some(PlannedOutage {
        at: half,
        permille: random.u16(1..=1000),
    });
    if load.connect_pace.is_some() && !matches!(load.messages, Loop::PerConnection { .. }) {
        load.session = random.bool().then_some(Session::Exponential(half));
    }
}

/// What both sides counted.
pub(super) struct Sums {
    pub(super) load: load::Outcome,
    pub(super) tally: Tally,
    pub(super) left: u64,
    pub(super) faults: Faults,
}

/// What holds in every conditions.
pub(super) fn settle(report: &Report<server::Outcome, load::Outcome>) -> Sums {
    let all = |load: &Option<load::Outcome>| load.clone().expect("every load finishes");
    let load = load::Outcome::merged(&report.loads.iter().map(all).collect::<Vec<_>>());
    let all = |server: &Option<server::Outcome>| server.expect("every server drains");
    let servers: Vec<_> = report.servers.iter().map(all).collect();
    let (tally, left) = server::Outcome::total(&servers);
    let (connects, messages) = (load.connects, load.messages);
    assert_eq!(
        connects.planned,
        connects.attempted + connects.dropped,
        "{connects:?}"
    );
    let ended = connects.up + connects.failed + connects.unfinished;
    assert_eq!(connects.attempted, ended, "{connects:?}");
    let returns = load.returns;
    assert_eq!(
        returns.lost,
        returns.resumed + returns.given_up + returns.absent,
        "{returns:?}"
    );
    assert_eq!(
        messages.planned,
        messages.sent + messages.dropped.total(),
        "{messages:?}"
    );
    assert_eq!(
        messages.sent,
        messages.replied + messages.lost,
        "{messages:?}"
    );
    assert_eq!(
        messages.wrong, 0,
        "every reply is the one that was asked for"
    );
    assert_eq!(
        (load.events.gaps, load.events.repeated),
        (0, 0),
        "{:?}",
        load.events
    );
    assert_eq!(
        (load.events.negative, load.events.unstamped),
        (0, 0),
        "one virtual clock"
    );
    Sums {
        load,
        tally,
        left,
        faults: report.faults,
    }
}

#[test]
fn in_calm_weather_nothing_is_lost() {
    let (replied, events) = (AtomicU64::new(0), AtomicU64::new(0));
    explore(0..1200, |seed| {
        let draw = Draw::new(seed, Conditions::calm());
        let Sums {
            load,
            tally,
            left,
            faults,
        } = settle(&draw.run());
        assert_eq!(faults.total(), 0);
        assert_eq!(load.failures.total(), 0, "{:?}", load.failures);
        assert_eq!(load.ending, Ending::Complete);
        let connections = u64::from(draw.load.connections);
        assert_eq!(
            (load.connects.up, load.connects.planned),
            (connections, connections)
        );
        assert_eq!(
            (load.connects.ended_early, load.connects.still_open),
            (0, 0)
        );
        assert_eq!((tally.accepted, left), (connections, 0));
        assert_eq!(load.messages.lost, 0, "{:?}", load.messages);
        assert_eq!(load.messages.dropped.no_connection, 0);
        replied.fetch_add(load.messages.replied, Ordering::Relaxed);
        events.fetch_add(load.events.received, Ordering::Relaxed);
    });
    if crate::are_many() {
        assert!(replied.into_inner() > 10_000 && events.into_inner() > 5_000);
    }
}

#[test]
fn with_faults_every_loss_has_one() {
    let lost = AtomicU64::new(0);
    explore(0..1200, |seed| {
        // Slow readers, and tiny buffers, are the next test's: the server drops those who do not
        // keep up with what it pushes.
        let conditions = Conditions {
            slow: 0.0,
            buffer_min: 16 * 1024,
            ..Conditions::rough()
        };
        let draw = Draw::new(seed, conditions);
        let Sums { load, faults, .. } = settle(&draw.run());
        let broken = faults.resets + faults.silences;
        let connects = load.connects;
        assert!(
            connects.failed + connects.ended_early <= faults.total(),
            "{connects:?}, {:?}, but {faults:?}",
            load.failures
        );
        let most = broken * u64::from(draw.load.in_flight);
        assert!(
            load.messages.lost <= most,
            "{:?}, but {faults:?}",
            load.messages
        );
        assert!(
            load.failures.total() <= faults.total(),
            "{:?}, {faults:?}",
            load.failures
        );
        lost.fetch_add(load.messages.lost, Ordering::Relaxed);
    });
    if crate::are_many() {
        assert!(lost.into_inner() > 100, "the faults were felt");
    }
}

#[test]
fn in_rough_weather_with_small_caps_everything_ends() {
    explore(0..1200, |seed| {
        let mut draw = Draw::new(seed, Conditions::rough());
        let mut random = fastrand::Rng::with_seed(seed);
        draw.plan.slots = random.u32(1..12);
        draw.plan.max_backlog = random.usize(1_200_000..2_000_000);
        draw.server.drain = Duration::from_millis(random.u64(1..3000));
        draw.server.idle_timeout = random
            .bool()
            .then(|| Duration::from_millis(random.u64(20..500)));
        draw.load.grace = Duration::from_millis(random.u64(1..500));
        draw.load.close_time = Duration::from_millis(random.u64(1..500));
        draw.load.connect_phase = Duration::from_secs(5);
        come_and_go(&mut random, &mut draw.load);
        settle(&draw.run());
    });
}

#[test]
fn stopping_either_side_at_any_time_ends_both() {
    explore(0..1200, |seed| {
        let conditions = if seed % 2 == 0 {
            Conditions::calm()
        } else {
            Conditions::rough()
        };
        let mut draw = Draw::new(seed, conditions);
        let mut random = fastrand::Rng::with_seed(seed);
        let within = |random: &mut fastrand::Rng| Duration::from_micros(random.u64(0..80_000));
        draw.plan.stop_loads = random.bool().then(|| within(&mut random));
        draw.plan.stop_servers_at = random.bool().then(|| within(&mut random));
        come_and_go(&mut random, &mut draw.load);
        let sums = settle(&draw.run());
        if draw.plan.stop_loads.is_none() && draw.plan.stop_servers_at.is_none() {
            assert_ne!(sums.load.ending, Ending::Interrupted);
        }
    });
}

#[test]
fn a_seed_is_a_run_of_server_and_load() {
    explore(0..100, |seed| {
        let runs = [(); 2].map(|()| Draw::new(seed, Conditions::rough()).run());
        assert_eq!(runs[0].digest, runs[1].digest);
        assert_eq!(runs[0].loads, runs[1].loads);
    });
}
