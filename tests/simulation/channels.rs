//! Channels through cuts, server against load client: what is published comes once and in its
//! order, or is given to who comes back, or is told to be lost.

use crate::whole::{self, Draw, settle};
use ringstorm::app::realtime::RealtimePlan;
use ringstorm::engine::sim::{Conditions, SimConfig, explore};
use ringstorm::load::deliveries::Deliveries;
use ringstorm::load::scenario::{NumberedChannels, NumberedChannelsOptions, Senders};
use ringstorm::load::{self, Backoff, Loop, RetryPolicy, Scenario};
use ringstorm::server;
use ringstorm::time::Instant;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A run over channels, drawn from its seed.
fn draw(seed: u64, conditions: Conditions) -> Draw {
    let mut random = fastrand::Rng::with_seed(seed ^ 0x5eed);
    let mut plan = SimConfig::new(seed);
    plan.conditions = conditions;
    plan.servers = random.u16(1..=3);
    plan.loads = random.u16(1..=2);
    plan.receive_bytes = [64, 1000, 65_536][random.usize(..3)];
    let mut server = server::Config::new("sim", Instant::from_nanos(1_000_000_000));
    server.realtime = Some(RealtimePlan::dev([9; 32]));
    let address = plan.listeners[0];
    let path = "/connection/websocket".to_owned();
    let mut load = load::Config::new(address, "sim".to_owned(), path);
    load.connections = random.u32(u32::from(plan.loads)..16);
    load.scenario = Scenario::Dialogue(Arc::new(NumberedChannels::new(NumberedChannelsOptions {
        channel: "news".into(),
        channels: random.u32(1..4),
        auth_token: None,
        content_bytes: random.usize(32..600),
        senders: Senders::ALL,
        seed,
    })));
    load.messages = Loop::Open {
        pace: whole::pace(&mut random, 300),
        burst: 1,
    };
    load.duration = Duration::from_secs(3);
    load.seed = seed;
    Draw { plan, server, load }
}

#[test]
fn in_calm_weather_every_publication_comes_once_and_in_its_order() {
    let live = AtomicU64::new(0);
    explore(0..60, |seed| {
        let draw = draw(seed, Conditions::calm());
        draw.load.check().unwrap();
        let sums = settle(&draw.run());
        let told = sums.load.deliveries.unwrap_or_default();
        live.fetch_add(told.live, Ordering::Relaxed);
        let expected = Deliveries {
            live: told.live,
            ..Deliveries::default()
        };
        assert_eq!(told, expected);
        assert_eq!(sums.load.failures.total(), 0, "{:?}", sums.load.failures);
    });
    if crate::are_many() {
        assert!(live.into_inner() > 3_000);
    }
}

#[test]
fn through_cuts_nothing_is_lost_without_a_word_and_nothing_comes_twice() {
    let recovered = AtomicU64::new(0);
    explore(0..100, |seed| {
        let conditions = Conditions {
            reset: 0.6,
            fault_max: Duration::from_secs(2),
            ..Conditions::calm()
        };
        let mut draw = draw(seed, conditions);
        draw.load.retry = RetryPolicy {
            retries: 20,
            reconnects: 20,
            backoff: Backoff {
                least: Duration::from_millis(1),
                most: Duration::from_millis(100),
            },
            ..RetryPolicy::NEVER
        };
        draw.load.check().unwrap();
        let sums = settle(&draw.run());
        let told = sums.load.deliveries.unwrap_or_default();
        recovered.fetch_add(told.recovered, Ordering::Relaxed);
        let wrong = (told.lost, told.repeated, told.reordered);
        assert_eq!(wrong, (0, 0, 0), "{told:?}");
    });
    if crate::are_many() {
        assert!(recovered.into_inner() > 0);
    }
}
