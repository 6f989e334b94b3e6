//! The plan is followed exactly, whatever the replies do: `planned = sent + dropped`.

use super::world::{Echo, World};
use super::{MS, config, open};
use crate::load::config::GRACE_TIME;
use crate::load::measure::outcome::Ending;
use crate::load::{Config, Loop, Pace, PayloadKind, Rate};
use crate::shard::Unsent;
use proptest::prelude::*;
use std::time::Duration;

#[test]
fn an_open_loop_sends_what_it_planned_and_gets_it_back() {
    let config = Config {
        messages: open(1_000.0),
        in_flight: 16,
        ..config()
    };
    let mut world = World::new(1, &config, Echo::new(|_, now| Some(now + MS)));
    let (outcome, took) = world.run();
    let messages = outcome.messages;
    assert_eq!(
        (messages.planned, messages.sent, messages.dropped.total()),
        (1_000, 1_000, 0)
    );
    assert_eq!(
        (messages.replied, messages.lost, messages.wrong),
        (1_000, 0, 0)
    );
    assert_eq!(outcome.connects.up, 4);
    assert_eq!(outcome.ending, Ending::Complete);
    assert!(took < Duration::from_millis(1_010), "{took:?}");
    assert_eq!(world.peer.closes, [Some(1000); 4]);
}

#[test]
fn a_closed_loop_keeps_its_pipeline_full_and_plans_what_it_sends() {
    let config = Config {
        in_flight: 8,
        ..config()
    };
    let mut world = World::new(1, &config, Echo::new(|_, now| Some(now + 10 * MS)));
    let (outcome, _) = world.run();
    let messages = outcome.messages;
    // 4 connections, 8 in flight, 100 round trips of 10 ms.
    assert_eq!((messages.sent, messages.planned), (3_200, 3_200));
    assert_eq!((messages.replied, messages.lost), (3_200, 0));
    assert!(outcome.latencies.slip.histogram().is_empty());
    assert_eq!(outcome.latencies.service.histogram().len(), 3_200);
}

#[test]
fn the_times_of_sending_do_not_depend_on_replies() {
    let config = Config {
        messages: open(2_000.0),
        in_flight: 10_000,
        ..config()
    };
    let mut quick = World::new(1, &config, Echo::new(|_, now| Some(now + MS / 10)));
    let mut never = World::new(1, &config, Echo::new(|_, _| None));
    let (outcome, _) = quick.run();
    let (silent, took) = never.run();
    assert_eq!(quick.peer.arrivals, never.peer.arrivals);
    assert_eq!((outcome.messages.lost, silent.messages.lost), (0, 2_000));
    assert!(
        took < Duration::from_millis(1_010) + GRACE_TIME,
        "the grace time at most: {took:?}"
    );
}

#[test]
fn beyond_the_in_flight_cap_messages_are_dropped_and_counted() {
    let config = Config {
        messages: open(1_000.0),
        in_flight: 10,
        ..config()
    };
    let mut world = World::new(1, &config, Echo::new(|_, _| None));
    let (outcome, _) = world.run();
    let messages = outcome.messages;
    assert_eq!(
        (messages.planned, messages.sent, messages.lost),
        (1_000, 40, 40)
    );
    assert_eq!(messages.dropped.in_flight, 960);
}

#[test]
fn a_full_backlog_drops_and_counts() {
    let config = Config {
        messages: open(1_000.0),
        in_flight: 10,
        ..config()
    };
    let mut world = World::new(1, &config, Echo::new(|_, _| None));
    world.cores[0].1.refusing = Some(Unsent::Full);
    let (outcome, _) = world.run();
    assert_eq!(
        (outcome.messages.planned, outcome.messages.sent),
        (1_000, 0)
    );
    assert_eq!(outcome.messages.dropped.backlog, 1_000);
}

#[test]
fn several_cores_share_one_plan_and_begin_together() {
    let config = Config {
        messages: open(999.0),
        connections: 7,
        ..config()
    };
    let mut world = World::new(3, &config, Echo::new(|_, now| Some(now)));
    let (outcome, _) = world.run();
    assert_eq!((outcome.connects.planned, outcome.connects.up), (7, 7));
    assert_eq!(
        (outcome.messages.planned, outcome.messages.sent),
        (999, 999)
    );
    assert_eq!(outcome.cores.len(), 3);
    let mut arrivals: Vec<_> = world.peer.arrivals.values().flatten().copied().collect();
    arrivals.sort();
    let gaps = arrivals.windows(2).map(|pair| pair[1].since(pair[0]));
    // Evenly spaced over all cores, not three at once.
    let (low, high) = (Duration::from_micros(900), Duration::from_micros(1_100));
    assert!(
        gaps.clone().all(|gap| low < gap && gap < high),
        "{:?}",
        gaps.max()
    );
}

#[test]
fn the_warm_up_is_sent_and_not_measured() {
    let warm_up = Duration::from_millis(500);
    let config = Config {
        messages: open(1_000.0),
        warm_up,
        ..config()
    };
    let mut world = World::new(1, &config, Echo::new(|_, now| Some(now)));
    let (outcome, took) = world.run();
    assert_eq!(
        (outcome.messages.planned, outcome.messages.unmeasured),
        (1_000, 500)
    );
    assert_eq!(outcome.latencies.response.histogram().len(), 1_000);
    assert!(took > Duration::from_millis(1_490));
    assert_eq!(outcome.measured_time().as_millis(), 1_000);
}

#[test]
fn a_burst_goes_to_one_connection_at_its_own_times() {
    let pace = Pace::Constant(Rate::per_second(1_000.0).unwrap());
    let config = Config {
        messages: Loop::Open { pace, burst: 5 },
        in_flight: 8,
        payload_kind: PayloadKind::Binary,
        ..config()
    };
    let mut world = World::new(1, &config, Echo::new(|_, now| Some(now)));
    let (outcome, _) = world.run();
    assert_eq!(outcome.messages.replied, 1_000);
    let first = world.peer.arrivals.values().next().unwrap();
    let gaps: Vec<u128> = first
        .windows(2)
        .take(5)
        .map(|pair| pair[1].since(pair[0]).as_millis())
        .collect();
    assert_eq!(gaps, [1, 1, 1, 1, 16]);
}

#[test]
fn connects_follow_their_own_pace() {
    let connect_pace = Some(Pace::Constant(Rate::per_second(100.0).unwrap()));
    let config = Config {
        connections: 50,
        connect_pace,
        ..config()
    };
    let mut world = World::new(2, &config, Echo::new(|_, now| Some(now + MS)));
    let (outcome, took) = world.run();
    assert_eq!(outcome.connects.up, 50);
    assert!((490..510).contains(&outcome.connect_time().as_millis()));
    assert!(took > Duration::from_millis(1_490));
    assert!(outcome.latencies.connect.histogram().max() < 1_000_000);
}

#[test]
fn an_interrupted_run_keeps_what_it_measured_and_plans_no_more() {
    let config = Config {
        messages: open(1_000.0),
        duration: Duration::from_secs(60),
        ..config()
    };
    let mut world = World::new(2, &config, Echo::new(|_, now| Some(now + MS)));
    world.stop_after(Duration::from_millis(500));
    let (outcome, took) = world.run();
    assert_eq!(outcome.ending, Ending::Interrupted);
    let messages = outcome.messages;
    assert!(
        (490..=500).contains(&messages.planned),
        "{}",
        messages.planned
    );
    assert_eq!(messages.planned, messages.sent + messages.dropped.total());
    assert_eq!((messages.replied, messages.lost), (messages.sent, 0));
    assert!(took < Duration::from_millis(600));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn planned_is_sent_and_dropped_whatever_happens(
        cores in 1..4_u16,
        connections in 1..20_u32,
        rate in 1..5_000_u32,
        in_flight in 1..20_u32,
        burst in 1..7_u32,
        delay_us in 0..200_000_u64,
        loses_every in 2..50_u64,
        warm_up_ms in 0..300_u64,
        stop_ms in prop::option::of(0..1_500_u64),
    ) {
        let pace = Pace::Constant(Rate::per_second(f64::from(rate)).unwrap());
        let config = Config {
            connections,
            in_flight,
            messages: Loop::Open { pace: pace.clone(), burst },
            warm_up: Duration::from_millis(warm_up_ms),
            ..config()
        };
        let mut heard = 0;
        let mut world = World::new(cores, &config, Echo::new(move |_, now| {
            heard += 1;
            (heard % loses_every != 0).then_some(now + Duration::from_micros(delay_us))
        }));
        if let Some(ms) = stop_ms {
            world.stop_after(Duration::from_millis(ms));
        }
        let (outcome, took) = world.run();
        let messages = outcome.messages;
        prop_assert_eq!(messages.planned, messages.sent + messages.dropped.total());
        prop_assert_eq!(messages.sent, messages.replied + messages.lost);
        let response = outcome.latencies.response.histogram().len();
        prop_assert_eq!(response, messages.replied);
        prop_assert_eq!(outcome.latencies.slip.histogram().len(), messages.sent);
        prop_assert_eq!(messages.wrong, 0);
        let arrived: usize = world.peer.arrivals.values().map(Vec::len).sum();
        prop_assert_eq!(arrived as u64, messages.sent + messages.unmeasured);
        let connects = outcome.connects;
        prop_assert_eq!(connects.planned, u64::from(connections));
        prop_assert_eq!(connects.planned, connects.attempted + connects.dropped);
        prop_assert_eq!(connects.attempted, connects.up + connects.failed + connects.unfinished);
        if stop_ms.is_none() {
            let warm = Duration::from_millis(warm_up_ms);
            let ns = |span: Duration| span.as_nanos() as u64;
            let planned = pace.before(ns(warm + config.duration)) - pace.before(ns(warm));
            prop_assert_eq!(messages.planned, planned);
            prop_assert!(took < warm + Duration::from_millis(2_100) + GRACE_TIME, "{:?}", took);
        }
    }
}
