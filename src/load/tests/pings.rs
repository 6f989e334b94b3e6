//! Pings: spread, timed, and what becomes of who does not answer.

use super::world::{Echo, World};
use super::{MS, config};
use crate::load::measure::failure::{Kind, Stage};
use crate::load::measure::outcome::{Ending, Outcome};
use crate::load::scenario::custom::{Custom, Script};
use crate::load::{Config, ConfigError, RetryPolicy, Scenario, Transport};
use std::sync::Arc;
use std::time::Duration;

fn plan(connections: u32) -> Config {
    Config {
        connections,
        scenario: Scenario::Idle,
        ping: Some(100 * MS),
        ..config()
    }
}

fn run(config: &Config) -> Outcome {
    World::new(2, config, Echo::new(|_, now| Some(now + 5 * MS)))
        .run()
        .0
}

#[test]
fn each_connection_pings_once_an_interval_and_its_pong_is_timed() {
    for scenario in [Scenario::Idle, Scenario::Echo, Scenario::Listen] {
        let outcome = run(&Config {
            scenario,
            ..plan(50)
        });
        assert_eq!(outcome.failures.total(), 0);
        let pings = outcome.pings;
        assert!((450..=550).contains(&pings.sent), "{pings:?}");
        assert!(pings.sent - pings.answered <= 50, "{pings:?}");
        let ping = outcome.latencies.ping.histogram();
        assert!(ping.len() >= 445 && ping.len() <= pings.answered);
        assert!(ping.min() >= 4_990_000 && ping.max() <= 5_010_000);
    }
}

#[test]
fn pings_are_spread_over_their_interval_however_many_begin_at_once() {
    let mut times = Vec::new();
    let echo = Echo::new(|_, now| {
        times.push(now);
        Some(now + 5 * MS)
    });
    World::new(1, &plan(200), echo).run();
    let first = times[0];
    let mut slots = vec![0; 120];
    for at in times {
        slots[usize::try_from(at.since(first).as_millis() / 10).unwrap()] += 1;
    }
    // 200 in 100 ms: 20 in each 10 ms.
    assert!(
        slots[..90].iter().all(|n| (14..=26).contains(n)),
        "{slots:?}"
    );
}

#[test]
fn who_does_not_answer_has_failed_and_others_go_on() {
    let config = plan(10);
    let silent =
        |key: super::world::Key, now| (!key.1.slot().is_multiple_of(5)).then_some(now + 5 * MS);
    let (outcome, _) = World::new(1, &config, Echo::new(silent)).run();
    assert_eq!(outcome.failures.of(Stage::Open, Kind::NoPong), 2);
    assert_eq!(outcome.failures.total(), 2);
    assert_eq!(outcome.connects.ended_early, 2);
    assert_eq!(outcome.ending, Ending::Complete);
}

#[test]
fn who_is_taken_for_dead_comes_back_where_clients_do() {
    let config = Config {
        retry: RetryPolicy {
            reconnects: 5,
            ..RetryPolicy::NEVER
        },
        ..plan(4)
    };
    let (outcome, _) = World::new(1, &config, Echo::new(|_, _| None)).run();
    assert!(outcome.returns.resumed >= 4, "{:?}", outcome.returns);
    assert_eq!(outcome.pings.answered, 0);
}

/// Also if that is at the end of the run, after which nobody comes back.
#[test]
fn every_loss_is_resumed_given_up_or_left_whenever_the_run_ends() {
    let mut left = 0;
    for ms in 940..1_060 {
        let config = Config {
            duration: ms * MS,
            retry: RetryPolicy {
                reconnects: 5,
                ..RetryPolicy::NEVER
            },
            ..plan(1)
        };
        let (outcome, _) = World::new(1, &config, Echo::new(|_, _| None)).run();
        let it = outcome.returns;
        assert_eq!(it.lost, it.resumed + it.given_up + it.absent, "{ms} ms");
        left += it.absent;
    }
    assert!(left > 0);
}

#[test]
fn a_pong_belongs_to_the_script_or_to_the_pings_and_never_to_both() {
    let text = "[[client]]\nturn = [{ ping = true, within_ms = 50 }, { think_ms = 10 }]";
    let script = Script::parse(text, &mut |path| Err(path.to_owned())).unwrap();
    let custom = Custom {
        iterations: None,
        script: Arc::new(script),
    };
    let outcome = run(&Config {
        scenario: Scenario::Dialogue(Arc::new(custom)),
        ..plan(4)
    });
    assert_eq!(outcome.failures.total(), 0);
    let messages = outcome.messages;
    assert_eq!((messages.lost, messages.replied), (0, messages.sent));
    assert!(outcome.pings.answered >= 36, "{:?}", outcome.pings);
    let service = outcome.latencies.service.histogram();
    assert!(service.max() <= 5_010_000, "its own pong, not another");
}

#[test]
fn who_has_stopped_reading_is_not_taken_for_dead() {
    let text = "[[client]]\nread_rate = 1000\nturn = [{ send = 'x${now_ns}' }, { wait = {} }]";
    let text = text.replace("x$", &format!("{}$", "x".repeat(400)));
    let script = Script::parse(&text, &mut |path| Err(path.to_owned())).unwrap();
    let custom = Custom {
        iterations: None,
        script: Arc::new(script),
    };
    // Each reply stops it for 400 ms, four intervals.
    let outcome = run(&Config {
        scenario: Scenario::Dialogue(Arc::new(custom)),
        ..plan(4)
    });
    assert_eq!(outcome.failures.total(), 0);
    assert!(outcome.messages.replied >= 8, "{:?}", outcome.messages);
}

#[test]
fn pings_that_cannot_be_are_refused() {
    let sse = Config {
        transport: Transport::Sse,
        ..plan(1)
    };
    assert_eq!(sse.check(), Err(ConfigError::PingOverSse));
    let hasty = Duration::from_millis(1);
    let config = Config {
        ping: Some(hasty),
        ..plan(1)
    };
    assert_eq!(config.check(), Err(ConfigError::HastyPing(hasty)));
}
