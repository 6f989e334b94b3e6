//! Channels through cuts, server against load client: what is published comes once and in its
//! order, or is given to who comes back, or is told to be lost.

use crate::whole::{self, Draw, settle};
use ringstorm::app::realtime::RealtimePlan;
use ringstorm::engine::sim::{Conditions, SimConfig, explore};
use ringstorm::load::deliveries::Deliveries;
use ringstorm::load::scenario::{
    NumberedChannels, NumberedChannelsOptions, Senders, StreamedChannels, StreamedChannelsOptions,
};
use ringstorm::load::{self, Backoff, Loop, RetryPolicy, Scenario, Transport};
use ringstorm::server;
use ringstorm::shard::Core;
use ringstorm::time::Instant;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How clients are told of channels.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Clients {
    Sockets,
    /// Event streams of several topics with one cursor, who publish over HTTP.
    Streams,
}

/// A run over channels, drawn from its seed.
fn draw(clients: Clients, seed: u64, conditions: Conditions) -> Draw {
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
    if clients == Clients::Streams {
        let topics: Vec<String> = (0..random.u32(1..4))
            .map(|at| format!("news{at}"))
            .collect();
        let query: Vec<String> = topics
            .iter()
            .map(|topic| format!("topic={topic}"))
            .collect();
        load.transport = Transport::Sse;
        // A stream comes back after the 3 s that the server asks for.
        load.duration = Duration::from_secs(6);
        load.messages = Loop::Open {
            pace: whole::pace(&mut random, 60),
            burst: 1,
        };
        load.headers = vec![("X-API-Key".to_owned(), "dev".to_owned())];
        load.target = format!("/channels?{}", query.join("&"));
        let options = StreamedChannelsOptions {
            topics,
            content_bytes: random.usize(32..600),
            senders: Senders::ALL,
            seed,
        };
        load.scenario = Scenario::Dialogue(Arc::new(StreamedChannels::new(options)));
    }
    Draw { plan, server, load }
}

/// Runs seeds in calm weather.
fn calm(clients: Clients, seeds: u64) {
    let live = AtomicU64::new(0);
    explore(0..seeds, |seed| {
        let draw = draw(clients, seed, Conditions::calm());
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
        assert!(live.into_inner() > 50 * seeds);
    }
}

/// Runs seeds with connections that are cut off and come back.
fn cut(clients: Clients, seeds: u64) {
    let recovered = AtomicU64::new(0);
    explore(0..seeds, |seed| {
        let conditions = Conditions {
            reset: 0.6,
            fault_max: Duration::from_secs(2),
            ..Conditions::calm()
        };
        let mut draw = draw(clients, seed, conditions);
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

#[test]
fn in_calm_weather_every_publication_comes_once_and_in_its_order() {
    calm(Clients::Sockets, 60);
}

#[test]
fn through_cuts_nothing_is_lost_without_a_word_and_nothing_comes_twice() {
    cut(Clients::Sockets, 100);
}

#[test]
fn on_event_streams_every_publication_comes_once_and_in_its_order() {
    calm(Clients::Streams, 20);
}

#[test]
fn an_event_stream_that_was_cut_off_goes_on_where_it_was_in_each_topic() {
    cut(Clients::Streams, 20);
}

/// Runs seeds in which a core of the server fails, and the others end.
fn failing(clients: Clients, seeds: u64) {
    let heard = AtomicU64::new(0);
    explore(0..seeds, |seed| {
        let mut draw = draw(clients, seed, Conditions::calm());
        let mut random = fastrand::Rng::with_seed(seed ^ 0xfa11);
        draw.plan.servers = random.u16(2..=3);
        let core = Core(random.u16(..draw.plan.servers));
        let at = Duration::from_millis(random.u64(200..3000));
        draw.plan.fail_server = Some((core, at));
        // Clients of the cores that are left are served for a while.
        draw.server.drain_delay = Duration::from_millis(random.u64(..1500));
        draw.load.retry = RetryPolicy {
            retries: 3,
            reconnects: 3,
            backoff: Backoff {
                least: Duration::from_millis(1),
                most: Duration::from_millis(100),
            },
            ..RetryPolicy::NEVER
        };
        draw.load.check().unwrap();
        let report = draw.run();
        let ended = report.servers.iter().map(Option::is_some);
        let wanted = (0..draw.plan.servers).map(|number| Core(number) != core);
        assert!(ended.eq(wanted), "all but that one end in good order");
        let loads = report
            .loads
            .iter()
            .map(|load| load.as_ref().expect("it ends"));
        for told in loads.filter_map(|load| load.deliveries) {
            heard.fetch_add(told.live, Ordering::Relaxed);
            let wrong = (told.lost, told.repeated, told.reordered);
            assert_eq!(wrong, (0, 0, 0), "{told:?}");
        }
    });
    if crate::are_many() {
        assert!(heard.into_inner() > 10 * seeds);
    }
}

#[test]
fn when_a_core_fails_nothing_is_lost_without_a_word_on_the_others() {
    failing(Clients::Sockets, 40);
}

#[test]
fn when_a_core_fails_no_event_stream_of_the_others_misses_anything_without_a_word() {
    failing(Clients::Streams, 20);
}
