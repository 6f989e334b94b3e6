//! Every pace in a small world: when messages and connects go, on which connection, on any core.

use super::world::{Echo, Script, World};
use super::{MS, config};
use crate::load::{
    Buckets, Config, Loop, Outcome, Pace, Poisson, Rate, Scenario, Stage, Stages, Think,
};
use crate::shard::CloseCause;
use crate::time::Instant;
use std::time::Duration;

fn run(cores: u16, config: &Config) -> (Outcome, Vec<Vec<Instant>>) {
    let mut world = World::new(cores, config, Echo::new(|_, now| Some(now + MS / 10)));
    let (outcome, _) = world.run();
    let arrivals = world.peer.arrivals.into_values().collect();
    (outcome, arrivals)
}

fn sorted(arrivals: &[Vec<Instant>]) -> Vec<Instant> {
    let mut all: Vec<Instant> = arrivals.iter().flatten().copied().collect();
    all.sort();
    all
}

fn open(pace: Pace) -> Loop {
    Loop::Open { pace, burst: 1 }
}

fn ramp() -> Stages {
    let stage = |rate: u64, ms| Stage {
        target_milli: rate * 1000,
        lasts: Duration::from_millis(ms),
    };
    Stages::new(0, &[stage(2_000, 500), stage(2_000, 250), stage(0, 250)]).unwrap()
}

#[test]
fn messages_follow_ramps_buckets_and_random_arrivals_on_any_number_of_cores() {
    let paces = [
        Pace::from(ramp()),
        Pace::Buckets(Buckets::new(7, Duration::from_millis(20)).unwrap()),
        Pace::from(Poisson::new(ramp(), 5)),
    ];
    for pace in paces {
        let planned = pace.before(1_000_000_000);
        for cores in [1, 3] {
            let config = Config {
                messages: open(pace.clone()),
                in_flight: 1_000,
                ..config()
            };
            let (outcome, arrivals) = run(cores, &config);
            assert_eq!(outcome.messages.planned, planned, "{pace}");
            assert_eq!(outcome.messages.replied, planned, "{pace}");
            let arrivals = sorted(&arrivals);
            // A turn is 50 us late at most; the start is common.
            let slip = outcome.latencies.slip.histogram().max();
            assert!(slip <= 51_000, "{pace}: {slip}");
            let first = pace.offset_ns(0);
            for (arrived, index) in arrivals.iter().zip(0..) {
                let since = arrived.since(arrivals[0]).as_nanos() as u64;
                let planned = pace.offset_ns(index) - first;
                assert!(since.abs_diff(planned) <= 102_000, "{pace} {index}");
            }
        }
    }
}

#[test]
fn each_connection_has_its_own_rate_also_if_cores_have_unequal_shares() {
    let rate = Rate::per_second(20.0).unwrap();
    let config = Config {
        connections: 7,
        messages: Loop::PerConnection {
            pace: Pace::Constant(rate.times(7).unwrap()),
        },
        in_flight: 4,
        ..config()
    };
    for cores in [1, 3] {
        let (outcome, arrivals) = run(cores, &config);
        assert_eq!(
            (outcome.messages.planned, outcome.messages.sent),
            (140, 140)
        );
        assert_eq!(arrivals.len(), 7);
        for times in &arrivals {
            assert_eq!(times.len(), 20, "{cores} cores");
            let gaps = times
                .windows(2)
                .map(|pair| pair[1].since(pair[0]).as_millis());
            assert!(
                gaps.clone().all(|ms| ms == 49 || ms == 50),
                "{:?}",
                gaps.max()
            );
        }
    }
}

#[test]
fn what_a_connection_that_is_gone_was_to_send_is_dropped_and_no_other_sends_it() {
    let pace = Pace::Constant(Rate::per_second(100.0).unwrap());
    let config = Config {
        connections: 1,
        messages: Loop::PerConnection { pace },
        ..config()
    };
    let answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                   Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n";
    let acts = vec![
        (MS, super::world::Act::Say(answer.to_vec())),
        (300 * MS, super::world::Act::End(CloseCause::Reset)),
    ];
    let (outcome, _) = World::new(1, &config, Script::answering(acts)).run();
    let messages = outcome.messages;
    assert_eq!(messages.planned, 100);
    assert_eq!(messages.planned, messages.sent + messages.dropped.total());
    assert!(messages.dropped.no_connection >= 69, "{messages:?}");
}

#[test]
fn a_client_thinks_between_a_reply_and_its_next_message() {
    let think = |least, most| Config {
        messages: Loop::Thinking(Think {
            least: least * MS,
            most: most * MS,
        }),
        in_flight: 2,
        duration: Duration::from_secs(5),
        ..config()
    };
    let (outcome, arrivals) = run(2, &think(100, 100));
    for times in &arrivals {
        let gaps: Vec<u128> = times
            .windows(2)
            .map(|pair| pair[1].since(pair[0]).as_micros())
            .collect();
        // Two at once, then the reply's 100 us and a thought of 100 ms.
        assert!(
            gaps.iter().all(|gap| [0, 100_100].contains(gap)),
            "{gaps:?}"
        );
        assert!((96..=100).contains(&times.len()), "{}", times.len());
    }
    assert_eq!(outcome.messages.lost, 0);
    assert!(outcome.latencies.response.histogram().is_empty(), "no plan");
    let starts: Vec<Instant> = arrivals.iter().map(|times| times[0]).collect();
    let spread = starts
        .iter()
        .max()
        .unwrap()
        .since(*starts.iter().min().unwrap());
    assert!(spread > 10 * MS, "they do not begin all at once");

    let config = think(50, 250);
    let (outcome, arrivals) = run(1, &config);
    // On average 4 clients with 2 messages in 150.1 ms, for 5 s.
    assert!(
        (230..310).contains(&outcome.messages.sent),
        "{:?}",
        outcome.messages
    );
    let (_, again) = run(1, &config);
    assert_eq!(arrivals, again, "the seed decides");
}

#[test]
fn connects_come_in_buckets() {
    let config = Config {
        connections: 60,
        scenario: Scenario::Idle,
        connect_pace: Some(Pace::Buckets(Buckets::new(20, 100 * MS).unwrap())),
        duration: Duration::from_millis(10),
        ..config()
    };
    for cores in [1, 3] {
        let mut world = World::new(cores, &config, Echo::new(|_, _| None));
        let (outcome, _) = world.run();
        assert_eq!(outcome.connects.up, 60);
        let ms = outcome.connect_time().as_millis();
        assert!((200..202).contains(&ms), "{ms}");
        let latest = outcome.latencies.connect.histogram().max();
        assert!(latest < 200_000, "{latest}: from each bucket's own time");
    }
}

#[test]
fn turns_of_a_rush_are_further_apart_and_gather_what_comes() {
    for (rate, slip_us, gathers) in [
        (20_000.0, 0..=51, false),
        (80_000.0, 0..=51, true),
        (400_000.0, 60..=101, true),
    ] {
        let pace = Pace::Constant(Rate::per_second(rate).unwrap());
        let config = Config {
            messages: Loop::Open { pace, burst: 16 },
            in_flight: 1_000,
            duration: MS * 50,
            ..config()
        };
        let echo = Echo::new(|_, now| Some(now + MS / 10));
        let mut world = World::new(1, &config, echo);
        let (outcome, _) = world.run();
        let messages = outcome.messages;
        assert_eq!(
            (messages.sent, messages.lost),
            (messages.planned, 0),
            "{rate}"
        );
        let slip = outcome.latencies.slip.histogram().max() / 1000;
        assert!(slip_us.contains(&slip), "{rate}: {slip} us");
        assert_eq!(world.gathering > 0, gathers, "{rate}: {}", world.gathering);
    }
}

#[test]
fn a_tick_sets_turns_apart_and_each_sends_all_that_is_due() {
    for (rate, tick_ms) in [(20_000.0, 5), (400_000.0, 1), (900_000.0, 20)] {
        let pace = Pace::Constant(Rate::per_second(rate).unwrap());
        let config = Config {
            messages: Loop::Open { pace, burst: 16 },
            connections: 8,
            in_flight: 10_000,
            tick: Some(MS * tick_ms),
            duration: MS * 50,
            ..config()
        };
        let mut world = World::new(1, &config, Echo::new(|_, now| Some(now + MS / 10)));
        let (outcome, _) = world.run();
        let messages = outcome.messages;
        assert_eq!(
            (messages.replied, messages.lost),
            (messages.planned, 0),
            "{rate}"
        );
        let slip = outcome.latencies.slip.histogram().max();
        let most = u64::from(tick_ms) * 1_000_000;
        assert!(
            (most / 2..most + most / 100).contains(&slip),
            "{rate}: {slip}"
        );
        assert!(world.gathering > 0, "{rate}");
        let all: Vec<Vec<Instant>> = world.peer.arrivals.into_values().collect();
        let mut turns = sorted(&all);
        turns.dedup();
        let most = usize::try_from(50 / tick_ms).unwrap() + 2;
        assert!(turns.len() <= most, "{rate}: {} turns", turns.len());
    }
}

#[test]
fn a_rush_that_ends_gathers_no_longer_than_a_turn() {
    let stage = |rate: u64, ms| Stage {
        target_milli: rate * 1000,
        lasts: Duration::from_millis(ms),
    };
    // 400k a second for 10 ms, then 200 a second: 5 ms from one to the next.
    let stages = [
        stage(400_000, 0),
        stage(400_000, 10),
        stage(200, 0),
        stage(200, 90),
    ];
    let config = Config {
        messages: open(Pace::from(Stages::new(0, &stages).unwrap())),
        in_flight: 1_000,
        duration: MS * 100,
        ..config()
    };
    let mut world = World::new(1, &config, Echo::new(|_, now| Some(now + MS / 10)));
    let (outcome, _) = world.run();
    assert_eq!(outcome.messages.replied, outcome.messages.planned);
    // 100 turns in the 10 ms and what came between them; hardly any afterwards.
    let calls = world.gathering;
    assert!(calls > 80, "{calls}");
    let longest = world.longest_gathering;
    assert!(longest <= Duration::from_micros(100), "{longest:?}");
}

#[test]
fn connects_are_more_at_once_where_the_way_is_long() {
    // Rounds of 128 to a near server; to a far one a round of 128, then rounds of 512.
    for (delay, rounds) in [(MS, 16), (MS * 50, 5)] {
        let config = Config {
            connections: 2_048,
            connecting: 512,
            scenario: Scenario::Idle,
            ..config()
        };
        let mut echo = Echo::new(|_, now| Some(now));
        echo.connect = delay;
        let (outcome, _) = World::new(1, &config, echo).run();
        assert_eq!(outcome.connects.up, 2_048);
        let took = outcome.connect_time().as_nanos();
        // The connect and the answer to the request.
        let round = 2 * delay.as_nanos();
        assert!(
            (round * rounds..round * rounds + round).contains(&took),
            "{took}"
        );
    }
}
