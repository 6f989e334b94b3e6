//! Scenario files: the examples, played against an echo server.

use super::world::{Echo, World};
use super::{MS, config, open};
use crate::load::measure::failure::{Kind, Stage};
use crate::load::measure::outcome::{Ending, Outcome};
use crate::load::scenario::custom::{Custom, Script};
use crate::load::{Config, Pace, Rate, RetryPolicy, Scenario, Session};
use std::sync::Arc;
use std::time::Duration;

const CHAT: &str = include_str!("../../../scripts/scenarios/chat.toml");
const UNRULY: &str = include_str!("../../../scripts/scenarios/unruly.toml");
const USERS: &[u8] = include_bytes!("../../../scripts/scenarios/users.csv");

fn plan(text: &str, iterations: Option<u32>) -> Config {
    let script = Script::parse(text, &mut |path| {
        assert_eq!(path, "users.csv");
        Ok(USERS.to_vec())
    });
    let script = Arc::new(script.unwrap());
    Config {
        scenario: Scenario::Dialogue(Arc::new(Custom { iterations, script })),
        ..config()
    }
}

fn run(config: &Config) -> (Outcome, Duration) {
    World::new(2, config, Echo::new(|_, now| Some(now + 5 * MS))).run()
}

#[test]
fn the_chat_is_played_to_its_end_and_thinking_is_no_latency() {
    let mut world = World::new(
        2,
        &plan(CHAT, Some(6)),
        Echo::new(|_, now| Some(now + 5 * MS)),
    );
    let (outcome, took) = world.run();
    let messages = outcome.messages;
    assert_eq!((outcome.connects.up, outcome.failures.total()), (4, 0));
    assert_eq!((messages.sent, messages.replied), (24, 24));
    assert_eq!(outcome.ending, Ending::Complete);
    // Six turns of two replies of 5 ms and up to 30 ms of thought; of pings, six of 55 ms.
    assert!(took < Duration::from_millis(400), "{took:?}");
    let service = outcome.latencies.service.histogram();
    assert!(service.min() >= 4_990_000 && service.max() <= 10_100_000);
    let waits = service.count_between(9_900_000, 10_100_000);
    assert_eq!((waits, service.len()), (18, 24));
    let arrived: usize = world.peer.arrivals.values().map(Vec::len).sum();
    assert_eq!(arrived, 3 + 18 * 2, "a login each, and two messages a turn");
}

#[test]
fn an_open_loop_gives_out_turns_by_its_plan() {
    let config = Config {
        messages: open(40.0),
        ..plan(CHAT, None)
    };
    let (outcome, _) = run(&config);
    let messages = outcome.messages;
    assert_eq!(messages.planned, 40);
    assert_eq!(messages.sent + messages.dropped.total(), 40);
    assert!(messages.sent >= 38, "{messages:?}");
    assert_eq!(messages.replied, messages.sent);
}

#[test]
fn who_leaves_as_the_script_wants_has_not_failed() {
    let (outcome, _) = run(&plan(UNRULY, None));
    let connects = outcome.connects;
    assert_eq!((connects.left, connects.ended_early), (2, 0));
    assert_eq!(outcome.failures.total(), 0);
    assert_eq!((outcome.ending, connects.still_open), (Ending::Complete, 0));
    // One waited for an answer, one did not, and the others are still there.
    let service = outcome.latencies.service.histogram().len();
    assert_eq!(service, outcome.messages.replied - 1);
}

#[test]
fn when_all_have_left_the_run_is_over_and_complete() {
    let leave = "[[client]]\nturn = [{ send = 'a' }, { wait = {} }, { vanish = true }]";
    for iterations in [None, Some(3)] {
        let (outcome, took) = run(&plan(leave, iterations));
        assert_eq!(outcome.connects.left, 4);
        assert_eq!(outcome.ending, Ending::Complete);
        assert!(took < Duration::from_millis(200), "{took:?}");
    }
}

/// Another one arrives in its place.
#[test]
fn a_session_that_the_script_ends_does_not_come_back() {
    let leave = "[[client]]\nturn = [{ send = 'a' }, { wait = {} }, { close = 1000 }]";
    let config = Config {
        session: Some(Session::Constant(500 * MS)),
        connect_pace: Some(Pace::Constant(Rate::per_second(100.0).unwrap())),
        retry: RetryPolicy {
            reconnects: 5,
            ..RetryPolicy::NEVER
        },
        ..plan(leave, None)
    };
    let (outcome, _) = run(&config);
    assert!(outcome.connects.left > 30, "{:?}", outcome.connects);
    assert_eq!((outcome.returns.lost, outcome.failures.total()), (0, 0));
}

#[test]
fn who_left_comes_back_where_clients_do() {
    let leave = "[[client]]\nturn = [{ send = 'a' }, { wait = {} }, { close = 1000 }]";
    let config = Config {
        retry: RetryPolicy {
            reconnects: 5,
            ..RetryPolicy::NEVER
        },
        ..plan(leave, None)
    };
    let (outcome, _) = run(&config);
    let (connects, returns) = (outcome.connects, outcome.returns);
    assert_eq!(outcome.failures.total(), 0);
    // 50 to 100 ms away, and 5 ms there.
    assert!(connects.left >= 4 * 8, "{connects:?}");
    assert_eq!(
        returns.lost,
        returns.resumed + returns.given_up + returns.absent
    );
    // Who left while the last replies came had no time to come back.
    assert!(connects.left - returns.lost <= 4, "{connects:?}");
    assert_eq!(returns.given_up, 0);
    assert_eq!(outcome.messages.replied, connects.left);
}

#[test]
fn what_is_waited_for_in_vain_is_a_failure() {
    for wait in ["wait = { regex = 'b' }", "wait = { equals = '${random}' }"] {
        let text = format!("[[client]]\nturn = [{{ send = 'a' }}, {{ {wait}, within_ms = 50 }}]");
        let (outcome, took) = run(&plan(&text, Some(1)));
        let kind = Kind::Application("wait_timed_out");
        assert_eq!(outcome.failures.of(Stage::Open, kind), 4);
        assert_eq!(outcome.messages.lost, 4);
        assert_eq!(outcome.events.received, 4, "what came was not waited for");
        assert_eq!(outcome.ending, Ending::Deserted);
        assert!(took < Duration::from_millis(200), "{took:?}");
    }
}

#[test]
fn a_hello_that_is_not_answered_is_a_connect_that_failed() {
    let hello = "[[client]]\nhello = [{ wait = {}, within_ms = 50 }]";
    let (outcome, _) = run(&plan(hello, None));
    let kind = Kind::Application("wait_timed_out");
    assert_eq!(outcome.failures.of(Stage::Ready, kind), 4);
    assert_eq!((outcome.connects.up, outcome.connects.failed), (0, 4));
}

#[test]
fn what_a_wait_captures_is_said_later() {
    let text = r#"
[[client]]
hello = [
  { send = '{"id":"a-${connection}","n":[7]}' },
  { wait = { json = "$.id" }, capture = "id" },
  { send = "${id}/x" },
  { wait = { equals = "a-${connection}/x" } },
]
turn = [
  { send = "number 4${iteration}!" },
  { wait = { regex = "number ([0-9]+)" }, capture = "number" },
  { send = "${number} of ${id}" },
  { wait = { equals = "4${iteration} of a-${connection}" } },
]
"#;
    let (outcome, _) = run(&plan(text, Some(3)));
    assert_eq!(outcome.failures.total(), 0, "{:?}", outcome.failures);
    assert_eq!(outcome.messages.replied, 12);
}

#[test]
fn a_wait_may_look_at_what_came_before_it_and_takes_each_message_once() {
    let turn = |before: &str| {
        format!(
            "[[client]]\nturn = [{{ send = 'one${{iteration}}' }}, {{ send = 'two' }}, \
             {{ wait = {{ equals = 'two' }} }}, \
             {{ wait = {{ equals = 'one${{iteration}}' }}, within_ms = 100{before} }}]"
        )
    };
    let (outcome, _) = run(&plan(&turn(", before = true"), Some(3)));
    assert_eq!(
        (outcome.failures.total(), outcome.messages.replied),
        (0, 12)
    );
    let (outcome, _) = run(&plan(&turn(""), Some(3)));
    let kind = Kind::Application("wait_timed_out");
    assert_eq!(outcome.failures.of(Stage::Open, kind), 4);
    let twice = turn(", before = true").replace(
        "before = true }]",
        "before = true }, { wait = { regex = '^one' }, within_ms = 100, before = true }]",
    );
    let (outcome, _) = run(&plan(&twice, Some(3)));
    assert_eq!(outcome.failures.of(Stage::Open, kind), 4);
}

#[test]
fn a_capture_that_cannot_be_is_refused_by_its_key() {
    for (step, key) in [
        ("{ send = 'a', capture = 'x' }", "capture"),
        ("{ wait = {}, capture = 'iteration' }", "capture"),
        ("{ wait = {}, capture = 'a b' }", "capture"),
        ("{ send = 'a', before = true }", "before"),
        ("{ send = '${x}' }", "send"),
    ] {
        let text = format!("[[client]]\nturn = [{step}]");
        let error = Script::parse(&text, &mut |path| Err(path.to_owned())).unwrap_err();
        let error = error.to_string();
        assert!(
            error.starts_with(&format!("line 2: {key}:")),
            "{step}: {error}"
        );
    }
}
