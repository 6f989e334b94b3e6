//! Chats on a network that delays and splits: everyone is matched, every message arrives, in order.

use crate::whole::{self, Draw, settle};
use ringstorm::engine::sim::{Conditions, SimConfig, explore};
use ringstorm::load::outcome::Ending;
use ringstorm::load::scenario::{ChatScenario, Senders};
use ringstorm::load::{self, Loop, Scenario};
use ringstorm::server;
use ringstorm::time::Instant;
use std::sync::Arc;
use std::time::Duration;

/// A run of chats, drawn from its seed: how many messages each client has to say.
fn draw(seed: u64) -> (Draw, u32) {
    let mut random = fastrand::Rng::with_seed(seed ^ 0xc4a7);
    let mut plan = SimConfig::new(seed);
    plan.conditions = Conditions::calm();
    plan.servers = random.u16(1..=3);
    plan.loads = random.u16(1..=3);
    plan.receive_bytes = [64, 1000, 65_536][random.usize(..3)];
    let server = server::Config::new("sim", Instant::from_nanos(1_000_000_000));
    let address = plan.listeners[0];
    let mut load = load::Config::new(address, "sim".to_owned(), "/chat".to_owned());
    load.connections = 2 * random.u32(2..12);
    let messages = random.u32(1..12);
    let next_after = (random.u8(..3) == 0).then(|| random.u32(1..5));
    load.scenario = Scenario::Dialogue(Arc::new(ChatScenario {
        messages: Some(messages),
        payload_bytes: random.usize(0..3000),
        types: random.bool(),
        senders: Senders::ALL,
        next_after,
        comes_and_goes: false,
    }));
    load.in_flight = random.u32(1..5);
    if next_after.is_none() && random.u8(..4) == 0 {
        load.messages = Loop::Open {
            pace: whole::pace(&mut random, 5000),
            burst: 1,
        };
    }
    load.duration = Duration::from_secs(100);
    load.grace = Duration::from_secs(100);
    load.seed = seed;
    load.check().unwrap();
    let messages = match next_after {
        // Whoever is left without a partner has nobody to say the rest to.
        Some(_) => 0,
        None => messages,
    };
    (Draw { plan, server, load }, messages)
}

#[test]
fn all_are_matched_and_every_message_arrives_once_and_in_order() {
    explore(0..100, |seed| {
        let (draw, messages) = draw(seed);
        let report = draw.run();
        let sums = settle(&report);
        let outcome = &sums.load;
        assert_eq!(outcome.connects.up, u64::from(draw.load.connections));
        assert_eq!(outcome.failures.total(), 0, "{:?}", outcome.failures);
        assert_eq!(outcome.messages.wrong, 0);
        let said = (outcome.messages, &draw.load.scenario, outcome.ending);
        assert_eq!(outcome.messages.replied, outcome.messages.sent, "{said:?}");
        if messages > 0 {
            assert_eq!(outcome.ending, Ending::Complete);
            assert_eq!(outcome.events.received, outcome.messages.sent);
            if matches!(draw.load.messages, Loop::Closed) {
                let all = u64::from(draw.load.connections * messages);
                assert_eq!(outcome.messages.sent, all);
            }
        }
    });
}
