//! Rooms with connections that are reset: a room whose speaker or member dies holds nobody up.

use crate::whole::{self, Draw, settle};
use ringstorm::engine::sim::{Conditions, SimConfig, explore};
use ringstorm::load::fan_out::FanOut;
use ringstorm::load::outcome::Ending;
use ringstorm::load::scenario::rooms::Rooms;
use ringstorm::load::{self, Loop, Pace, Rate, Scenario, Session, Transport};
use ringstorm::server;
use ringstorm::time::Instant;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The longest that a speaker waits for a member that is there and does not answer.
const PATIENCE_TIME: Duration = Duration::from_secs(10);

/// A run in rooms, drawn from its seed.
struct Party {
    draw: Draw,
    iterations: u32,
    size: u16,
}

impl Party {
    fn new(seed: u64, conditions: Conditions) -> Self {
        let mut random = fastrand::Rng::with_seed(seed ^ 0x5eed);
        let mut plan = SimConfig::new(seed);
        plan.conditions = conditions;
        plan.servers = random.u16(1..=3);
        plan.loads = random.u16(1..=3);
        plan.receive_bytes = [64, 1000, 65_536][random.usize(..3)];
        let mut server = server::Config::new("sim", Instant::from_nanos(1_000_000_000));
        server.room_size = random.u16(1..=6);
        let address = plan.listeners[0];
        let mut load = load::Config::new(address, "sim".to_owned(), "/rooms".to_owned());
        load.transport = [Transport::WebSocket, Transport::Sse][random.usize(..2)];
        load.connections = random.u32(u32::from(plan.loads)..24);
        let iterations = random.u32(1..12);
        load.scenario = Scenario::Dialogue(Arc::new(Rooms {
            iterations: Some(iterations),
            payload_bytes: random.usize(0..2000),
            size: Some(u32::from(server.room_size)),
            comes_and_goes: false,
        }));
        if random.u8(..4) == 0 {
            load.messages = Loop::Open {
                pace: whole::pace(&mut random, 5000),
                burst: 1,
            };
        }
        load.in_flight = random.u32(1..3);
        // Rooms are done long before.
        load.duration = Duration::from_secs(1000);
        load.grace = Duration::from_secs(100);
        load.close_time = Duration::from_secs(20);
        load.seed = seed;
        load.check().unwrap();
        let size = server.room_size;
        Self {
            draw: Draw { plan, server, load },
            iterations,
            size,
        }
    }

    /// Runs it; what its broadcasts came to, with what holds of them in every conditions.
    fn run(&self) -> (whole::Sums, FanOut, Duration) {
        let report = self.draw.run();
        let sums = settle(&report);
        let fan_out = sums.load.fan_out.as_deref().cloned().unwrap_or_default();
        let messages = sums.load.messages;
        let said = (fan_out.broadcasts, fan_out.complete);
        assert_eq!(said, (messages.sent, messages.replied), "{messages:?}");
        let (expected, received) = (fan_out.expected, fan_out.received);
        assert!(received <= expected, "{received} of {expected}");
        let whole = fan_out.complete == fan_out.broadcasts;
        assert_eq!(
            whole,
            received == expected,
            "{said:?}, {received} of {expected}"
        );
        let strays = (fan_out.duplicates, fan_out.reordered, fan_out.gaps);
        assert_eq!(strays, (0, 0, 0));
        let most = sums.load.connects.speakers * u64::from(self.iterations);
        assert!(fan_out.broadcasts <= most, "{said:?}");
        assert_eq!(fan_out.last.histogram().len(), fan_out.complete);
        (sums, fan_out, report.took)
    }
}

#[test]
fn in_calm_weather_every_member_hears_every_iteration() {
    explore(0..300, |seed| {
        let party = Party::new(seed, Conditions::calm());
        let (sums, fan_out, took) = party.run();
        let connects = sums.load.connects;
        let (clients, size) = (party.draw.load.connections, u32::from(party.size));
        assert_eq!(connects.up, u64::from(clients));
        assert_eq!(connects.speakers, u64::from(clients.div_ceil(size)));
        assert_eq!(fan_out.complete, fan_out.broadcasts);
        assert_eq!(sums.load.failures.total(), 0, "{:?}", sums.load.failures);
        assert_eq!(sums.load.ending, Ending::Complete);
        let iterations = u64::from(party.iterations);
        // An open loop may have no turn left for some when its plan drops those it cannot take.
        if matches!(party.draw.load.messages, Loop::Closed) {
            assert_eq!(fan_out.broadcasts, connects.speakers * iterations);
            // A speaker may hear of the last ones to come when it has begun.
            let most = u64::from(clients) * iterations;
            assert!((most - u64::from(clients)..=most).contains(&fan_out.expected));
            assert!(took < PATIENCE_TIME, "{took:?}");
        }
    });
}

#[test]
fn a_room_whose_speaker_or_member_is_reset_neither_waits_nor_miscounts() {
    let (short, lost) = (AtomicU64::new(0), AtomicU64::new(0));
    explore(0..600, |seed| {
        let conditions = Conditions {
            reset: 0.3,
            fault_max: Duration::from_millis(30),
            ..Conditions::calm()
        };
        let mut party = Party::new(seed, conditions);
        party.draw.load.messages = Loop::Closed;
        let (sums, fan_out, took) = party.run();
        let (connects, resets) = (sums.load.connects, sums.faults.resets);
        assert!(connects.failed + connects.ended_early <= resets);
        // Who dies misses what was under way; with the speaker dies what everyone was to hear.
        let missing = fan_out.expected - fan_out.received;
        assert!(missing <= resets * u64::from(party.size));
        assert!(sums.load.messages.lost <= resets);
        assert!(
            took < PATIENCE_TIME,
            "somebody waited for the dead: {took:?}"
        );
        assert_ne!(sums.load.ending, Ending::Interrupted);
        short.fetch_add(missing, Ordering::Relaxed);
        lost.fetch_add(sums.load.messages.lost, Ordering::Relaxed);
    });
    if crate::are_many() {
        let (short, lost) = (short.into_inner(), lost.into_inner());
        assert!(lost > 50 && short > lost, "{lost} lost, {short} missing");
    }
}

#[test]
fn in_rough_weather_rooms_come_to_an_end() {
    explore(0..300, |seed| {
        Party::new(seed, Conditions::rough()).run();
    });
}

/// A client of an event stream posts on a second connection, which is none of the clients that
/// there may be at once, and goes with its own.
#[test]
fn connections_for_posts_take_no_place_of_a_session_and_go_with_it() {
    explore(0..8, |seed| {
        let mut party = Party::new(seed, Conditions::calm());
        let load = &mut party.draw.load;
        load.transport = Transport::Sse;
        load.connections = 20 * u32::from(party.draw.plan.loads);
        load.messages = Loop::Closed;
        load.scenario = Scenario::Dialogue(Arc::new(Rooms {
            iterations: None,
            payload_bytes: 32,
            size: None,
            comes_and_goes: false,
        }));
        // 15 of 20 places are taken on each core.
        let rate = 30.0 * f64::from(party.draw.plan.loads);
        load.connect_pace = Some(Pace::Constant(Rate::per_second(rate).unwrap()));
        load.session = Some(Session::Constant(Duration::from_millis(500)));
        load.duration = Duration::from_secs(3);
        load.grace = Duration::from_secs(1);
        load.check().unwrap();
        let report = party.draw.run();
        let load = settle(&report).load;
        assert_eq!(load.connects.dropped, 0, "{:?}", load.connects);
        assert_eq!(load.failures.total(), 0, "{:?}", load.failures);
        assert!(load.connects.left > 0 && load.messages.replied > 0);
    });
}
