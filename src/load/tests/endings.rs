//! A run ends at its duration, always; listeners, idlers, time limits and the wait for others.

use super::world::{Act, Echo, Key, Peer, Script, World};
use super::{MS, config, open};
use crate::load::config::GRACE_TIME;
use crate::load::measure::outcome::Ending;
use crate::load::measure::progress::Stage;
use crate::load::{Config, Load, Pace, Progress, Rate, Scenario, Session, Transport};
use crate::shard::{CloseCause, Core};
use crate::time::Instant;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const STREAM: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
    Transfer-Encoding: chunked\r\n\r\n";

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

fn pushed(sequence: u64, sent_ms: u64) -> Vec<u8> {
    let sent_ns = 1_000_000_000_000 + sent_ms * 1_000_000;
    let data = format!("{{\"seq\":{sequence},\"sent_ns\":{sent_ns}}}");
    chunk(&format!("id: {sequence}\nevent: push\ndata: {data}\n\n"))
}

fn listeners() -> Config {
    Config {
        transport: Transport::Sse,
        scenario: Scenario::Listen,
        connections: 2,
        ..config()
    }
}

#[test]
fn listeners_measure_one_way_latency_gaps_and_the_first_event() {
    let ms = Duration::from_millis;
    let answers = vec![
        (ms(1), Act::Say(STREAM.to_vec())),
        (ms(10), Act::Say(pushed(5, 8))),
        (ms(20), Act::Say(pushed(6, 18))),
        (ms(30), Act::Say(pushed(9, 28))),
        (ms(40), Act::Say(pushed(9, 500))),
        (ms(50), Act::Say(chunk(": beat\n\ndata: other\n\n"))),
    ];
    let (outcome, took) = World::new(1, &listeners(), Script::answering(answers)).run();
    let events = outcome.events;
    assert_eq!(
        (events.received, events.unstamped, events.negative),
        (10, 2, 2)
    );
    assert_eq!((events.gaps, events.repeated), (4, 2));
    let one_way = outcome.latencies.one_way.histogram();
    assert_eq!(
        (one_way.len(), one_way.max() / 10_000),
        (6, 201),
        "2 ms and 10 us of connecting"
    );
    let first = outcome.latencies.first_event.histogram();
    assert_eq!((first.len(), first.max() / 10_000), (2, 1_001));
    assert_eq!(outcome.ending, Ending::Complete);
    assert!(
        took < Duration::from_millis(1_010),
        "an event stream has no closing handshake"
    );
}

#[test]
fn silences_longer_than_asked_for_are_counted_whether_they_end_or_not() {
    let ms = Duration::from_millis;
    let answers = vec![
        (ms(1), Act::Say(STREAM.to_vec())),
        (ms(10), Act::Say(pushed(1, 8))),
        (ms(190), Act::Say(pushed(2, 188))),
        (ms(500), Act::Say(pushed(3, 498))),
    ];
    let run = |silence| {
        let config = Config {
            silence,
            ..listeners()
        };
        let (outcome, _) = World::new(1, &config, Script::answering(answers.clone())).run();
        outcome.due
    };
    let due = run(Some(ms(250)));
    assert_eq!(
        (due.silences, due.silent),
        (2, 2),
        "one of each, then the end"
    );
    assert!((ms(498)..ms(502)).contains(&due.longest), "{due:?}");
    let due = run(Some(ms(600)));
    assert_eq!((due.silences, due.silent), (0, 0));
    // Without it, three waits of the longest so far are no chance.
    assert_eq!(run(None).silent, 0);
}

#[test]
fn idlers_count_and_do_nothing_else() {
    let config = Config {
        scenario: Scenario::Idle,
        ..config()
    };
    let mut world = World::new(1, &config, Echo::new(|_, now| Some(now)));
    let (outcome, _) = world.run();
    assert_eq!((outcome.messages.planned, outcome.connects.up), (0, 4));
    assert!(world.peer.arrivals.is_empty());
    assert!(
        world.turns < 60,
        "an idle run has next to no turns: {}",
        world.turns
    );
}

#[test]
fn a_run_ends_though_nobody_answers_its_close() {
    let upgraded = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n";
    let answers = vec![(MS, Act::Say(upgraded.to_vec()))];
    let (outcome, took) = World::new(1, &config(), Script::answering(answers)).run();
    assert_eq!((outcome.messages.sent, outcome.messages.lost), (4, 4));
    assert_eq!(outcome.connects.still_open, 4);
    assert_eq!(outcome.ending, Ending::Complete);
    let measured_and_close = Duration::from_millis(2_010);
    assert!(took < measured_and_close + GRACE_TIME, "{took:?}");
}

#[test]
fn every_session_whose_goodbye_is_not_answered_is_still_open() {
    let upgraded = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n";
    let answers = vec![(MS, Act::Say(upgraded.to_vec()))];
    let config = Config {
        connections: 1_000,
        session: Some(Session::Constant(200 * MS)),
        connect_pace: Some(Pace::Constant(Rate::per_second(100.0).unwrap())),
        scenario: Scenario::Idle,
        duration: Duration::from_secs(3),
        ..config()
    };
    let (outcome, _) = World::new(1, &config, Script::answering(answers)).run();
    let connects = outcome.connects;
    assert!(connects.up > 250, "{connects:?}");
    // Most went while the run ran, and the others at its end.
    assert_eq!(connects.still_open, connects.up);
}

#[test]
fn a_reply_that_is_merely_late_is_waited_for_and_the_run_ends_with_it() {
    let peer = Echo::new(|_, now| Some(now + Duration::from_secs(9)));
    let (outcome, took) = World::new(1, &config(), peer).run();
    let messages = outcome.messages;
    assert_eq!((messages.sent, messages.replied, messages.lost), (4, 4, 0));
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_reply_after_the_grace_time_is_lost_and_not_counted_twice() {
    let config = Config {
        duration: Duration::from_millis(500),
        grace: Duration::from_secs(1),
        ..config()
    };
    let peer = Echo::new(|_, now| Some(now + Duration::from_millis(1_800)));
    let (outcome, _) = World::new(1, &config, peer).run();
    let messages = outcome.messages;
    assert_eq!((messages.sent, messages.replied, messages.lost), (4, 0, 4));
    assert!(outcome.latencies.service.histogram().is_empty());
}

#[test]
fn a_slow_server_gets_its_closing_handshakes_done() {
    // Each takes 400 ms after the one before: 4 s in all, 1 s at most between two.
    let config = Config {
        connections: 10,
        scenario: Scenario::Idle,
        ..config()
    };
    let peer = SlowCloser(Echo::new(|_, now| Some(now)), 0);
    let (outcome, took) = World::new(1, &config, peer).run();
    assert_eq!(
        (outcome.connects.still_open, outcome.failures.total()),
        (0, 0)
    );
    let expected = Duration::from_millis(4_990)..Duration::from_millis(5_010);
    assert!(expected.contains(&took), "{took:?}");
}

/// An echo server that ends its connections one after the other.
struct SlowCloser<P>(P, u32);

impl<P: Peer> Peer for SlowCloser<P> {
    fn connected(&mut self, key: Key, now: Instant) -> Vec<(Instant, Act)> {
        self.0.connected(key, now)
    }

    fn received(&mut self, key: Key, bytes: &[u8], now: Instant) -> Vec<(Instant, Act)> {
        let mut acts = self.0.received(key, bytes, now);
        if acts.iter().any(|(_, act)| matches!(act, Act::End(_))) {
            self.1 += 1;
            acts.iter_mut()
                .for_each(|(at, _)| *at = now + 400 * MS * self.1);
        }
        acts
    }
}

#[test]
fn the_connect_phase_has_its_own_end() {
    let config = Config {
        connections: 1_000,
        connecting: 10,
        connect_phase: Duration::from_secs(25),
        ..config()
    };
    let (outcome, took) = World::new(2, &config, Script::new(vec![], vec![])).run();
    let connects = outcome.connects;
    // Ten at once on each core, each for 10 s.
    assert_eq!(
        (connects.attempted, connects.failed, connects.dropped),
        (60, 60, 940)
    );
    assert_eq!(outcome.ending, Ending::NeverBegan);
    assert!(took < Duration::from_millis(25_200), "{took:?}");
}

#[test]
fn a_run_stopped_while_it_connects_ends_at_once() {
    let config = Config {
        connections: 1_000,
        connecting: 10,
        ..config()
    };
    let mut world = World::new(2, &config, Script::new(vec![], vec![]));
    world.stop_after(Duration::from_secs(3));
    let (outcome, took) = world.run();
    assert_eq!(
        (outcome.connects.unfinished, outcome.connects.dropped),
        (20, 980)
    );
    assert_eq!(outcome.ending, Ending::Interrupted);
    assert_eq!(outcome.failures.total(), 0, "what was stopped did not fail");
    assert_eq!(outcome.connect_time(), Duration::from_secs(3));
    assert!(took < Duration::from_millis(3_010), "{took:?}");
}

#[test]
fn a_run_goes_on_with_the_connections_that_are_left() {
    // Every other message is the last of its connection.
    let mut config = Config {
        connections: 10,
        messages: open(1_000.0),
        ..config()
    };
    config.in_flight = 100;
    let mut world = World::new(1, &config, HalfDies(Echo::new(|_, now| Some(now + MS)), 0));
    let (outcome, _) = world.run();
    assert_eq!((outcome.connects.up, outcome.connects.ended_early), (10, 5));
    let messages = outcome.messages;
    assert_eq!((messages.planned, messages.sent), (1_000, 1_000));
    assert_eq!(messages.replied + messages.lost, 1_000);
    assert!(messages.lost < 20);
    assert_eq!(outcome.ending, Ending::Complete);
}

/// An echo server that resets every other connection 100 ms after it was made.
struct HalfDies<P>(P, u32);

impl<P: Peer> Peer for HalfDies<P> {
    fn connected(&mut self, key: Key, now: Instant) -> Vec<(Instant, Act)> {
        self.1 += 1;
        let mut acts = self.0.connected(key, now);
        if self.1.is_multiple_of(2) {
            acts.push((now + 100 * MS, Act::End(CloseCause::Reset)));
        }
        acts
    }

    fn received(&mut self, key: Key, bytes: &[u8], now: Instant) -> Vec<(Instant, Act)> {
        self.0.received(key, bytes, now)
    }
}

#[test]
fn a_core_without_a_connection_leaves_the_plan_to_the_others() {
    let config = Config {
        connections: 1,
        messages: open(1_000.0),
        ..config()
    };
    let mut world = World::new(3, &config, Echo::new(|_, now| Some(now)));
    let (outcome, took) = world.run();
    assert_eq!(
        (outcome.messages.planned, outcome.messages.sent),
        (1_000, 1_000)
    );
    assert_eq!(outcome.ending, Ending::Complete);
    assert!(took < Duration::from_millis(1_020));
}

#[test]
fn the_messages_of_a_core_that_lost_its_connections_are_dropped_and_counted() {
    // The second connection, which is the second core's, is reset.
    let config = Config {
        connections: 2,
        messages: open(1_000.0),
        in_flight: 9,
        ..config()
    };
    let peer = HalfDies(Echo::new(|_, now| Some(now)), 0);
    let (outcome, took) = World::new(2, &config, peer).run();
    let messages = outcome.messages;
    assert_eq!(
        (
            messages.planned,
            messages.sent + messages.dropped.no_connection
        ),
        (1_000, 1_000)
    );
    assert!(
        (440..460).contains(&messages.dropped.no_connection),
        "{messages:?}"
    );
    assert_eq!(outcome.ending, Ending::Complete);
    assert!(took < Duration::from_millis(1_020));
}

#[test]
fn sources_are_used_in_turn() {
    let sources = ["127.0.0.2", "127.0.0.3"]
        .map(|ip| ip.parse().unwrap())
        .to_vec();
    let pace = Some(Pace::Constant(Rate::per_second(1_000.0).unwrap()));
    let config = Config {
        sources: sources.clone(),
        connect_pace: pace,
        ..config()
    };
    let mut world = World::new(1, &config, Echo::new(|_, now| Some(now + MS)));
    world.run();
    let expected: Vec<_> = sources.iter().cycle().take(4).copied().map(Some).collect();
    assert_eq!(world.sources, expected);
}

#[test]
fn progress_is_shown_five_times_a_second_with_totals_that_never_fall() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&seen);
    let config = Config {
        messages: open(1_000.0),
        ..config()
    };
    let mut world = World::new(1, &config, Echo::new(|_, now| Some(now + MS)));
    world.cores[0].0 = Some(Load::new(
        Core(0),
        config.clone(),
        Some(Box::new(
            move |progress: &Progress, _: &mut crate::load::Outcome| {
                into.lock().unwrap().push(*progress)
            },
        )),
    ));
    world.run();
    let seen = seen.lock().unwrap();
    let stages: Vec<Stage> = seen.iter().map(|progress| progress.stage).collect();
    // At the beginning of the measured time, and after every fifth of its second.
    assert_eq!(stages[..5], [Stage::Measuring; 5]);
    assert_eq!(stages[5..], [Stage::Draining, Stage::Finished]);
    assert!(seen.is_sorted_by_key(|progress| (progress.sent, progress.received)));
    let last = seen.get(5).unwrap();
    assert_eq!((last.up, last.connections, last.sent), (4, 4, 1_000));
    assert_eq!(last.elapsed.as_millis(), 1_000);
}

/// The others' share of the plan is left out, and what is left has its whole time.
#[test]
fn a_core_that_never_says_it_is_ready_holds_the_others_up_for_a_while_only() {
    let mut world = World::new(2, &config(), Echo::new(|_, now| Some(now + MS)));
    world.cores[1].0 = None;
    let (outcome, took) = world.run();
    assert_eq!(outcome.ending, Ending::Complete);
    assert!(outcome.messages.replied > 0, "{:?}", outcome.messages);
    let most = config().connect_phase + Duration::from_secs(5);
    assert!(took < config().duration + most, "{took:?}");
}
