//! What a report says beside its figures: whose limit it was, and what a figure is not.

use super::{config, connected, core, facts, good, listening, record};
use ringstorm::load::outcome::{Ending, Outcome};
use ringstorm::load::scenario::rooms::Rooms;
use ringstorm::load::{Config, Loop, Pace, Poisson, Rate, Scenario, Stages, Target, Transport};
use ringstorm::report::{Facts, Network, Verdict, exit_code, judged, text};
use std::sync::Arc;
use std::time::Duration;

/// The notes and reasons of a run.
fn words(of: (Config, Outcome)) -> String {
    let verdict = record(of).verdict;
    [verdict.reasons, verdict.notes].concat().join("\n")
}

#[test]
fn one_way_of_another_host_has_a_word_on_clocks_and_that_of_this_one_has_none() {
    let clocks = "one_way takes the server's clock for this host's";
    let (mut config, outcome) = listening();
    assert!(!words((config.clone(), outcome.clone())).contains(clocks));
    config.targets = vec![Target::At("10.0.0.7:9000".parse().expect("an address"))];
    let said = words((config.clone(), outcome));
    assert!(
        said.contains(clocks) && said.contains("not known"),
        "{said}"
    );
    let (_, echo) = good();
    assert!(
        !words((config, echo)).contains(clocks),
        "round trips have one clock"
    );
}

#[test]
fn random_gaps_that_are_shorter_than_turns_are_said_to_come_together() {
    let together = "random gaps below that come together";
    let at = |rate: f64, is_random: bool| {
        let rate = Rate::per_second(rate).expect("a rate");
        let pace = if is_random {
            let curve = Stages::hold(rate.milli_per_second()).expect("a curve");
            Pace::from(Poisson::new(curve, 42))
        } else {
            Pace::Constant(rate)
        };
        let (config, outcome) = good();
        let messages = Loop::Open { pace, burst: 1 };
        words((Config { messages, ..config }, outcome))
    };
    let said = at(20_000.0, true);
    assert!(said.contains(together) && said.contains("--tick"), "{said}");
    assert!(!at(20_000.0, false).contains(together));
    assert!(
        !at(50.0, true).contains(together),
        "20 ms apart in the mean"
    );
}

#[test]
fn members_of_rooms_are_held_back_by_what_is_under_way_and_not_by_a_cap() {
    let (config, mut outcome) = good();
    outcome.messages.sent = 150_000;
    outcome.messages.replied = 150_000;
    outcome.messages.dropped.in_flight = 50_000;
    let rooms = Scenario::Dialogue(Arc::new(Rooms {
        iterations: None,
        payload_bytes: 32,
        size: None,
        comes_and_goes: false,
    }));
    let cap = "met the cap of 1024 in flight";
    assert!(words((config.clone(), outcome.clone())).contains(cap));
    let said = words((
        Config {
            scenario: rooms,
            ..config
        },
        outcome,
    ));
    let due = "50,000 were due while what came before was under way: replies came too slowly";
    assert!(said.contains(due) && !said.contains("cap of"), "{said}");
}

#[test]
fn late_replies_are_told_beside_those_of_a_second() {
    let (config, mut outcome) = good();
    outcome.messages.replied_in_time = 5_000;
    let text = text::text(&record((config, outcome)));
    let told = "replied 500/s and 195,000 after the measured time";
    assert!(text.contains(told), "{text}");
}

#[test]
fn the_rate_of_connects_over_a_long_way_is_said_to_be_the_clients() {
    let limit = "connects were at most 512 at once on each of 2 cores";
    let over = |took_ms: u64, round_trip_us, connect_rate: Option<f64>| {
        let (config, mut outcome) = good();
        outcome.latencies.connect = ringstorm::load::latency::Latency::default();
        outcome.connects.planned = 50_000;
        outcome.connects.attempted = 50_000;
        outcome.connects.up = 50_000;
        (outcome.connects.failed, outcome.connects.ended_early) = (0, 0);
        // 1,024 at once, each for so long.
        let all = Duration::from_millis(took_ms * 50_000 / 1_024);
        for core in &mut outcome.cores {
            core.connect_time = all;
        }
        for _ in 0..50_000 {
            outcome.latencies.connect.record_ns(took_ms * 1_000_000);
        }
        let pace = |rate| Pace::Constant(Rate::per_second(rate).expect("a rate"));
        let config = Config {
            connections: 50_000,
            connect_pace: connect_rate.map(pace),
            ..config
        };
        let facts = Facts {
            network: Some(Network {
                sockets: 1_000,
                rtt_p50_us: round_trip_us,
                ..Network::default()
            }),
            ..facts()
        };
        judged(&facts, &config, &outcome).verdict.notes.join("\n")
    };
    let said = over(80, 40_000, None);
    assert!(said.contains(limit) && said.contains("40.0 ms"), "{said}");
    assert!(said.contains("--connect-rate"), "{said}");
    assert!(
        !over(80, 40_000, Some(1e6)).contains(limit),
        "it has a rate"
    );
    // Then it is the server that lets them wait.
    assert!(!over(80, 50, None).contains(limit));
    let (config, outcome) = good();
    assert!(!words((config, outcome)).contains(limit), "it is near");
}

#[test]
fn a_run_that_is_up_and_hears_nothing_at_all_has_failed_and_says_so() {
    let (echo, mut outcome) = good();
    outcome.messages.lost = std::mem::take(&mut outcome.messages.replied);
    outcome.messages.replied_in_time = 0;
    let silent = record((echo, outcome));
    assert_eq!(
        (silent.verdict.verdict, exit_code(&silent)),
        (Verdict::Fail, 99)
    );
    let reasons = silent.verdict.reasons.join("\n");
    assert!(reasons.contains("no reply came"), "{reasons}");
    for transport in [Transport::Sse, Transport::WebSocket] {
        let config = Config {
            transport,
            scenario: Scenario::Listen,
            ..config()
        };
        let mut outcome = Outcome {
            cores: vec![core(0, 100)],
            ending: Ending::Complete,
            ..Outcome::default()
        };
        connected(&mut outcome, 1_000);
        let silent = record((config.clone(), outcome.clone()));
        assert_eq!(
            (silent.verdict.verdict, exit_code(&silent)),
            (Verdict::Fail, 99)
        );
        let reasons = silent.verdict.reasons.join("\n");
        assert!(reasons.contains("nothing was received"), "{reasons}");
        let idle = Config {
            scenario: Scenario::Idle,
            ..config
        };
        assert_eq!(exit_code(&record((idle, outcome))), 0, "it expects nothing");
    }
}

#[test]
fn silences_are_told_with_what_was_due() {
    let (config, mut outcome) = listening();
    outcome.ending = Ending::Complete;
    outcome.due.silences = 3;
    outcome.due.longest = Duration::from_millis(1_500);
    let said = words((config.clone(), outcome.clone()));
    assert!(
        said.contains("3 silences of connections, of up to 1.50 s"),
        "{said}"
    );
    outcome.due.silent = 2;
    let record = judged(&facts(), &config, &outcome);
    let notes = record.verdict.notes.join("\n");
    let told = "2 connections had heard nothing for up to 1.50 s at the end";
    assert!(notes.contains(told), "{notes}");
}
