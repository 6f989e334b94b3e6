//! Failed connects tried again, lost connections made anew and storms: nobody is
//! counted twice or not at all.

use super::world::{Act, Echo, Key, Peer, Script, World};
use super::{MS, config, open};
use crate::load::measure::outcome::Ending;
use crate::load::{
    Backoff, Config, Loop, Outcome, Pace, PlannedOutage, Rate, Refused, RetryPolicy, Scenario,
    Session, Transport,
};
use crate::shard::CloseCause;
use crate::time::Instant;
use proptest::prelude::*;
use std::time::Duration;

pub(super) const AGAIN: RetryPolicy = RetryPolicy {
    retries: 3,
    reconnects: 5,
    backoff: Backoff {
        least: Duration::from_millis(20),
        most: Duration::from_millis(160),
    },
    refused: Refused::Again,
};

/// An echo server of which connects fail and connections end: as the two functions say of the
/// n-th connect.
pub(super) struct Flaky<F, G> {
    pub(super) echo: Echo<fn(Key, Instant) -> Option<Instant>>,
    connects: u64,
    fails: F,
    ends: G,
}

impl<F: Fn(u64) -> bool, G: Fn(u64) -> Option<Duration>> Flaky<F, G> {
    pub(super) fn new(fails: F, ends: G) -> Self {
        Self {
            echo: Echo::new(|_, now| Some(now + MS)),
            connects: 0,
            fails,
            ends,
        }
    }
}

impl<F: Fn(u64) -> bool, G: Fn(u64) -> Option<Duration>> Peer for Flaky<F, G> {
    fn connected(&mut self, key: Key, now: Instant) -> Vec<(Instant, Act)> {
        let n = self.connects;
        self.connects += 1;
        if (self.fails)(n) {
            return vec![(now + MS, Act::End(CloseCause::Refused))];
        }
        let mut acts = self.echo.connected(key, now);
        acts.extend((self.ends)(n).map(|after| (now + after, Act::End(CloseCause::Reset))));
        acts
    }

    fn received(&mut self, key: Key, bytes: &[u8], now: Instant) -> Vec<(Instant, Act)> {
        self.echo.received(key, bytes, now)
    }
}

/// What must add up, whatever happened.
pub(super) fn add_up(outcome: &Outcome) {
    let connects = outcome.connects;
    assert_eq!(
        connects.planned,
        connects.attempted + connects.dropped,
        "{connects:?}"
    );
    let ended = connects.up + connects.failed + connects.unfinished;
    assert_eq!(connects.attempted, ended, "{connects:?}");
    let returns = outcome.returns;
    assert_eq!(
        returns.lost,
        returns.resumed + returns.given_up + returns.absent,
        "{returns:?}"
    );
    let messages = outcome.messages;
    assert_eq!(
        messages.planned,
        messages.sent + messages.dropped.total(),
        "{messages:?}"
    );
    assert_eq!(
        messages.sent,
        messages.replied + messages.lost,
        "{messages:?}"
    );
    assert_eq!(messages.wrong, 0);
}

#[test]
fn a_connect_that_failed_is_tried_again_until_it_is_up() {
    let config = Config {
        retry: AGAIN,
        ..config()
    };
    let mut world = World::new(2, &config, Flaky::new(|n| n < 8, |_| None));
    let (outcome, _) = world.run();
    add_up(&outcome);
    let connects = outcome.connects;
    assert_eq!(
        (connects.attempted, connects.up, connects.failed),
        (4, 4, 0)
    );
    assert_eq!(connects.retries, 8);
    assert_eq!(outcome.failures.total(), 8, "every attempt is counted");
    let latencies = outcome.latencies.connect.histogram();
    assert_eq!(latencies.len(), 4);
    assert!(latencies.min() > 30_000_000, "from the first intended time");
}

#[test]
fn a_connect_that_fails_too_often_has_failed() {
    let config = Config {
        retry: AGAIN,
        ..config()
    };
    // The first client's own tries cannot be told apart, so all fail.
    let mut world = World::new(1, &config, Flaky::new(|_| true, |_| None));
    let (outcome, took) = world.run();
    add_up(&outcome);
    assert_eq!((outcome.connects.failed, outcome.connects.retries), (4, 12));
    assert_eq!(outcome.failures.total(), 16);
    assert_eq!(outcome.ending, Ending::NeverBegan);
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn retries_end_with_the_connect_phase() {
    let config = Config {
        retry: RetryPolicy {
            retries: 1_000_000,
            ..AGAIN
        },
        connect_phase: Duration::from_secs(2),
        ..config()
    };
    let mut world = World::new(1, &config, Flaky::new(|n| n != 1, |_| None));
    let (outcome, took) = world.run();
    add_up(&outcome);
    assert_eq!((outcome.connects.up, outcome.connects.failed), (1, 3));
    assert!(took < Duration::from_millis(4_100), "{took:?}");
}

#[test]
fn a_lost_connection_is_made_anew_and_carries_messages_again() {
    let config = Config {
        messages: open(1_000.0),
        in_flight: 64,
        retry: AGAIN,
        duration: Duration::from_secs(2),
        ..config()
    };
    // The first four last for 300 ms; two attempts to replace them fail.
    let ends = |n| (n < 4).then_some(300 * MS);
    let mut world = World::new(2, &config, Flaky::new(|n| n == 4 || n == 5, ends));
    let (outcome, _) = world.run();
    add_up(&outcome);
    let returns = outcome.returns;
    assert_eq!((returns.lost, returns.resumed, returns.attempts), (4, 4, 6));
    assert_eq!(outcome.connects.ended_early, 4);
    assert_eq!(outcome.connects.up, 4, "first connects only");
    assert_eq!(outcome.ending, Ending::Complete);
    let resume = outcome.latencies.resume.histogram();
    assert_eq!(resume.len(), 4);
    assert!(resume.min() >= 10_000_000 && resume.max() < 100_000_000);
    let dropped = outcome.messages.dropped.no_connection;
    assert!(
        (10..60).contains(&dropped),
        "while nobody was there: {dropped}"
    );
}

#[test]
fn who_has_given_up_leaves_a_run_deserted() {
    let config = Config {
        messages: open(1_000.0),
        in_flight: 64,
        retry: AGAIN,
        duration: Duration::from_secs(20),
        ..config()
    };
    let flaky = Flaky::new(|n| n >= 4, |_| Some(300 * MS));
    let (outcome, took) = World::new(1, &config, flaky).run();
    add_up(&outcome);
    let returns = outcome.returns;
    assert_eq!(
        (returns.lost, returns.given_up, returns.attempts),
        (4, 4, 20)
    );
    assert_eq!(outcome.ending, Ending::Deserted);
    assert!(took < Duration::from_secs(2), "{took:?}");
}

fn upgraded_then(close: u16) -> Script {
    let answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                   Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n";
    let mut frame = vec![0x88, 2];
    frame.extend(close.to_be_bytes());
    let acts = vec![
        (MS, Act::Say(answer.to_vec())),
        (300 * MS, Act::Say(frame)),
        (301 * MS, Act::End(CloseCause::PeerEnded)),
    ];
    Script::answering(acts)
}

#[test]
fn close_codes_say_whether_and_when_to_come_back() {
    // Of 160 ms: 1012 from a sixth on, 1013 all of it at least, 1001 at most 20 ms.
    for (code, least, most) in [(1001, 10, 22), (1012, 26, 162), (1013, 160, 242)] {
        let config = Config {
            retry: AGAIN,
            scenario: Scenario::Idle,
            connections: 1,
            ..config()
        };
        let (outcome, _) = World::new(1, &config, upgraded_then(code)).run();
        add_up(&outcome);
        assert!(outcome.returns.resumed >= 1, "{code}");
        let resume = outcome.latencies.resume.histogram();
        let ms = |ns: u64| ns / 1_000_000;
        assert!(ms(resume.min()) >= least, "{code}: {}", resume.min());
        assert!(ms(resume.max()) <= most, "{code}: {}", resume.max());
    }
    for code in [1000, 1008] {
        let config = Config {
            retry: AGAIN,
            scenario: Scenario::Idle,
            ..config()
        };
        let (outcome, _) = World::new(1, &config, upgraded_then(code)).run();
        add_up(&outcome);
        assert_eq!(outcome.returns.given_up, 4, "{code}");
        assert_eq!(outcome.ending, Ending::Deserted);
    }
}

/// An event stream: says two events and ends; to who comes back what the script says.
pub(super) struct Events {
    requests: Vec<(Instant, String)>,
    first: String,
    then: String,
}

impl Events {
    pub(super) fn new(first: String, then: String) -> Self {
        let requests = Vec::new();
        Self {
            requests,
            first,
            then,
        }
    }
}

impl Peer for Events {
    fn connected(&mut self, _key: Key, now: Instant) -> Vec<(Instant, Act)> {
        vec![(now, Act::Open)]
    }

    fn received(&mut self, _key: Key, bytes: &[u8], now: Instant) -> Vec<(Instant, Act)> {
        let is_first = self.requests.is_empty();
        self.requests
            .push((now, String::from_utf8(bytes.to_vec()).unwrap()));
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
        let body = if is_first { &self.first } else { &self.then };
        let mut acts = vec![(now, Act::Say([head, body].concat().into_bytes()))];
        if is_first {
            acts.push((now + 100 * MS, Act::End(CloseCause::PeerEnded)));
        }
        acts
    }
}

#[test]
fn an_event_stream_resumes_with_its_last_id_after_the_servers_retry() {
    let event =
        |n: u64, sent: u64| format!("id: {n}\ndata: {{\"seq\":{n},\"sent_ns\":{sent}}}\n\n");
    let begin = 1_000_000_000_000;
    let late = begin + 900_000_000;
    let events = Events {
        requests: Vec::new(),
        first: ["retry: 250\n", &event(6, begin), &event(7, begin)].concat(),
        // 7 again, 8 is missing, 9 and 10 are older than the connection, 11 is not.
        then: [7, 9, 10]
            .map(|n| event(n, begin + 1))
            .into_iter()
            .chain([event(11, late), event(12, late)])
            .collect(),
    };
    let config = Config {
        retry: AGAIN,
        transport: Transport::Sse,
        scenario: Scenario::Listen,
        connections: 1,
        ..config()
    };
    let mut world = World::new(1, &config, events);
    let (outcome, _) = world.run();
    add_up(&outcome);
    let requests = &world.peer.requests;
    assert_eq!(requests.len(), 2);
    assert!(!requests[0].1.contains("Last-Event-ID"));
    assert!(
        requests[1].1.contains("\r\nLast-Event-ID: 7\r\n"),
        "{}",
        requests[1].1
    );
    let waited = requests[1].0.since(requests[0].0).as_millis();
    assert!(
        (350..=372).contains(&waited),
        "100 ms, 250 ms and jitter: {waited}"
    );
    let returns = outcome.returns;
    assert_eq!(
        (returns.resumed, returns.replayed, returns.duplicated),
        (1, 3, 1)
    );
    // The ages of what was kept for it are no latency of the way.
    let latencies = &outcome.latencies;
    let ages = [&latencies.replayed, &latencies.one_way].map(|it| it.histogram().len());
    assert_eq!((ages, outcome.events.negative), ([3, 2], 2));
    let resume = outcome.latencies.resume.histogram().max() / 1_000_000;
    assert!((250..=272).contains(&resume), "{resume}");
    assert_eq!(outcome.latencies.first_event.histogram().len(), 1);
}

#[test]
fn events_that_nobody_replays_are_missed_and_no_gap_besides() {
    let event = |n: u64| format!("data: {{\"seq\":{n},\"sent_ns\":{}}}\n\n", u64::MAX / 2);
    let events = Events::new([6, 7].map(event).concat(), [12, 13].map(event).concat());
    let config = Config {
        retry: AGAIN,
        transport: Transport::Sse,
        scenario: Scenario::Listen,
        connections: 1,
        ..config()
    };
    let (outcome, _) = World::new(1, &config, events).run();
    assert_eq!((outcome.returns.missed, outcome.returns.replayed), (4, 0));
    assert_eq!((outcome.events.gaps, outcome.events.repeated), (0, 0));
}

#[test]
fn a_storm_drops_its_share_and_the_curve_shows_them_come_back() {
    let config = Config {
        messages: open(20_000.0),
        in_flight: 64,
        connections: 40,
        retry: AGAIN,
        outage: Some(PlannedOutage {
            at: 500 * MS,
            permille: 500,
        }),
        duration: Duration::from_secs(2),
        ..config()
    };
    for cores in [1, 3] {
        let mut world = World::new(cores, &config, Flaky::new(|_| false, |_| None));
        let (outcome, _) = world.run();
        add_up(&outcome);
        let recovery = outcome.recovery.clone().expect("a storm");
        assert_eq!(recovery.before, 40);
        assert!(
            (20..=22).contains(&recovery.dropped),
            "{}",
            recovery.dropped
        );
        assert_eq!(recovery.up[0], 40 - recovery.dropped);
        assert_eq!(
            recovery.up.len(),
            15,
            "every 100 ms from 0.5 s to the end at 2 s"
        );
        assert_eq!(recovery.recovered(), Some(100 * MS));
        assert!(recovery.messages > 0);
        assert_eq!(outcome.returns.resumed, recovery.dropped);
        assert_eq!(outcome.connects.ended_early, 0, "it was not the server");
        assert_eq!(outcome.failures.total(), 0);
    }
}

fn outage_of_700(ms: u64) -> PlannedOutage {
    let at = Duration::from_millis(ms);
    PlannedOutage { at, permille: 700 }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn everybody_is_counted_once_whatever_fails(
        cores in 1..4_u16,
        connections in 1..20_u32,
        retries in 0..4_u32,
        reconnects in 0..4_u32,
        fails_every in 1..6_u64,
        ends_ms in 5..800_u64,
        storm_ms in prop::option::of(0..900_u64),
        session_ms in prop::option::of(1..500_u64),
        is_open: bool,
        stop_ms in prop::option::of(0..1_500_u64),
    ) {
        let rate = |rate| Pace::Constant(Rate::per_second(rate).unwrap());
        let config = Config {
            connections,
            retry: RetryPolicy { retries, reconnects, ..AGAIN },
            outage: storm_ms.map(outage_of_700),
            session: session_ms.map(|ms| Session::Exponential(Duration::from_millis(ms))),
            connect_pace: Some(rate(200.0)),
            messages: if is_open { open(500.0) } else { Loop::Closed },
            ..config()
        };
        let fails = move |n: u64| fails_every > 1 && n.is_multiple_of(fails_every);
        let ends = move |n: u64| Some(Duration::from_millis(ends_ms + n * 7 % 300));
        let mut world = World::new(cores, &config, Flaky::new(fails, ends));
        if let Some(ms) = stop_ms {
            world.stop_after(Duration::from_millis(ms));
        }
        let (outcome, took) = world.run();
        add_up(&outcome);
        prop_assert!(outcome.connects.retries <= u64::from(retries) * outcome.connects.attempted);
        prop_assert!(took < Duration::from_secs(5), "{:?}", took);
        let connects = outcome.connects;
        let tried = connects.attempted + connects.retries + outcome.returns.attempts;
        prop_assert_eq!(world.peer.connects, tried);
    }
}
