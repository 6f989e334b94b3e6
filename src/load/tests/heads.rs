//! What clients ask for, and what they take for an answer.

use super::world::{Act, Echo, Script, World};
use super::{MS, config};
use crate::load::measure::failure::{Kind, Stage};
use crate::load::measure::outcome::Outcome;
use crate::load::scenario::{Cable, CableOptions, Senders};
use crate::load::{
    Backoff, Config, Nonce, PlannedOutage, Refused, RetryPolicy, Scenario, Transport, Values,
};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

const UPGRADED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n";

fn sse() -> Config {
    Config {
        transport: Transport::Sse,
        scenario: Scenario::Listen,
        ..idle()
    }
}

fn idle() -> Config {
    Config {
        scenario: Scenario::Idle,
        connections: 1,
        duration: 100 * MS,
        ..config()
    }
}

fn run(config: &Config, said: &[&[u8]]) -> (Outcome, Script) {
    let said = said.iter().map(|bytes| (MS, Act::Say(bytes.to_vec())));
    let mut world = World::new(1, config, Script::answering(said.collect()));
    let (outcome, _) = world.run();
    (outcome, world.peer)
}

/// Names and values of a request's fields.
fn fields(request: &str) -> Vec<(String, String)> {
    let fields = request
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "));
    fields
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect()
}

#[test]
fn headers_that_the_user_gives_replace_ours() {
    let given = [
        ("host", "other:1"),
        ("Accept", "text/event-stream, */*"),
        ("cache-control", "no-cache"),
        ("Accept-Encoding", "gzip"),
        ("Last-Event-ID", "7"),
        ("Upgrade", "WebSocket"),
        ("Connection", "keep-alive, Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("X-Number", "{number}"),
    ];
    let headers = given.map(|(name, value)| (name.to_owned(), value.to_owned()));
    for transport in [Transport::WebSocket, Transport::Sse] {
        let config = Config {
            transport,
            headers: headers.to_vec(),
            ..idle()
        };
        let (_, peer) = run(&config, &[]);
        let fields = fields(&peer.requests[0]);
        let names: BTreeSet<&String> = fields.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), fields.len(), "none is there twice: {fields:?}");
        for (name, value) in given {
            let expected = (name.to_ascii_lowercase(), value.replace("{number}", "0"));
            assert!(fields.contains(&expected), "{name}: {fields:?}");
        }
    }
}

#[test]
fn an_event_stream_is_asked_for_without_a_coding() {
    // RFC 9110, 12.5.3
    let (_, peer) = run(&sse(), &[]);
    let identity = ("accept-encoding".to_owned(), "identity".to_owned());
    assert!(fields(&peer.requests[0]).contains(&identity));
}

#[test]
fn a_coding_that_came_all_the_same_is_inflated_or_named() {
    let head = |coding: &str| {
        let fields = format!("Content-Type: text/event-stream\r\nContent-Encoding: {coding}");
        format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n")
    };
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    for number in 0..3 {
        write!(gzip, "data: {number}\n\n").unwrap();
        gzip.flush().unwrap();
    }
    let head_of_gzip = head("gzip");
    let (first, rest) = gzip.get_ref().split_at(20);
    let (outcome, _) = run(&sse(), &[head_of_gzip.as_bytes(), first, rest]);
    assert_eq!((outcome.events.received, outcome.failures.total()), (3, 0));
    let (outcome, _) = run(&sse(), &[head_of_gzip.as_bytes(), b"data: not packed\n\n"]);
    assert_eq!(outcome.failures.of(Stage::Open, Kind::BadStream), 1);
    let (outcome, _) = run(&sse(), &[head("br").as_bytes()]);
    let kind = Kind::BadResponse("a content coding that was not asked for: br");
    assert_eq!(outcome.failures.of(Stage::Upgrade, kind), 1);
}

#[test]
fn each_attempt_has_a_key_of_its_own_and_so_has_each_run_of_a_seed() {
    // RFC 6455, 4.1: randomly selected for each connection.
    let keys = |nonce: u128| {
        let config = Config {
            connections: 20,
            duration: Duration::from_secs(2),
            retry: RetryPolicy {
                retries: 0,
                reconnects: 5,
                backoff: Backoff {
                    least: MS,
                    most: 10 * MS,
                },
                refused: Refused::Again,
            },
            outage: Some(PlannedOutage {
                at: Duration::from_secs(1),
                permille: 1000,
            }),
            nonce: Nonce::new(nonce),
            ..config()
        };
        let mut world = World::new(2, &config, Echo::new(|_, now| Some(now + MS)));
        world.run();
        let all = world
            .peer
            .requests
            .iter()
            .flat_map(|request| fields(request));
        let keys = all.filter(|(name, _)| name == "sec-websocket-key");
        keys.map(|(_, key)| key).collect::<Vec<String>>()
    };
    let (first, again, other) = (keys(1), keys(1), keys(2));
    assert_eq!(first.len(), 40, "each client connects twice");
    assert_eq!(first, again, "a simulation is reproducible");
    let all: BTreeSet<String> = first.into_iter().chain(other).collect();
    assert_eq!(all.len(), 80, "none is used again");
}

#[test]
fn a_101_may_have_many_fields_and_declare_a_body_that_it_cannot_have() {
    let long = format!("A: {}\r\n", "b".repeat(60_000));
    for more in [
        "A: b\r\n".repeat(253),
        long.clone(),
        // RFC 9112, 6.3: a 1xx ends with its head, whatever it declares.
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n".to_owned(),
    ] {
        let head = format!("{UPGRADED}{more}\r\n");
        let (outcome, _) = run(&idle(), &[head.as_bytes()]);
        assert_eq!((outcome.connects.up, outcome.failures.total()), (1, 0));
    }
    for (more, reason) in [
        ("A: b\r\n".repeat(254), "too many header fields"),
        (long.repeat(2), "the head is too long"),
    ] {
        let head = format!("{UPGRADED}{more}\r\n");
        let (outcome, _) = run(&idle(), &[head.as_bytes()]);
        let kind = Kind::BadResponse(reason);
        assert_eq!(outcome.failures.of(Stage::Upgrade, kind), 1, "{reason}");
    }
}

#[test]
fn an_event_stream_may_have_the_transfer_coding_identity() {
    // RFC 2616, 4.4: it says nothing of the body's length.
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
        Transfer-Encoding: identity\r\n\r\ndata: 1\n\n";
    let (outcome, _) = run(&sse(), &[head]);
    assert_eq!((outcome.events.received, outcome.failures.total()), (1, 0));
}

#[test]
fn clients_differ_by_the_row_that_each_has() {
    let values = Values::parse(b"user,token\nann,t1\nbob,t2\n").unwrap();
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let config = Config {
        connections: 3,
        target: "/{user}?n={number}".to_owned(),
        headers: vec![
            header("Authorization", "Bearer {token}"),
            header("Cookie", "session={user}-{number}"),
        ],
        subprotocols: vec!["v1.{token}".to_owned()],
        values,
        ..idle()
    };
    let answer = format!("{UPGRADED}Sec-WebSocket-Protocol: v1.t1\r\n\r\n");
    let (outcome, peer) = run(&config, &[answer.as_bytes()]);
    for (number, (user, token)) in [("ann", "t1"), ("bob", "t2"), ("ann", "t1")]
        .iter()
        .enumerate()
    {
        let request = &peer.requests[number];
        let line = format!("GET /{user}?n={number} HTTP/1.1");
        assert!(request.starts_with(&line), "{request}");
        let found = fields(request);
        for (name, value) in [
            ("authorization", format!("Bearer {token}")),
            ("cookie", format!("session={user}-{number}")),
            ("sec-websocket-protocol", format!("v1.{token}")),
        ] {
            assert!(found.contains(&(name.to_owned(), value)), "{request}");
        }
    }
    // What the server agrees to is compared with what that client offered.
    let kind = Kind::BadResponse("101 with a subprotocol that was not offered");
    assert_eq!(outcome.connects.up, 2);
    assert_eq!(outcome.failures.of(Stage::Upgrade, kind), 1);
}

#[test]
fn retry_after_is_waited_for_and_a_refusal_may_be_final() {
    // RFC 9110, 10.2.3
    let refusal = b"HTTP/1.1 503 Busy\r\nRetry-After: 2\r\nWWW-Authenticate: Basic\r\n\
        Content-Length: 13\r\n\r\n\ncome back\r\nx";
    let run = |refused| {
        let config = Config {
            retry: RetryPolicy {
                retries: 2,
                refused,
                ..RetryPolicy::NEVER
            },
            ..idle()
        };
        let said = vec![(MS, Act::Say(refusal.to_vec()))];
        let mut world = World::new(1, &config, Script::answering(said));
        let (outcome, took) = world.run();
        assert_eq!((outcome.connects.failed, outcome.connects.up), (1, 0));
        let said = outcome.failures.said(Kind::HttpStatus(503));
        assert_eq!(said, Some("WWW-Authenticate: Basic; come back"));
        (outcome.connects.retries, took)
    };
    let (retries, took) = run(Refused::Again);
    assert_eq!(retries, 2);
    assert!(took >= Duration::from_secs(4), "{took:?}");
    let (retries, took) = run(Refused::Stop);
    assert_eq!(retries, 0);
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn retry_after_a_date_counts_from_the_responses_own_date() {
    // RFC 9110, 10.2.3 and 5.6.7
    for (dates, least) in [
        (
            "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:49:40 GMT",
            3,
        ),
        (
            "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sunday, 06-Nov-94 08:49:41 GMT",
            4,
        ),
        // Before now, without a date of now, or none at all: as if it said nothing.
        (
            "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:00:00 GMT",
            0,
        ),
        ("Retry-After: Sun, 06 Nov 1994 08:49:40 GMT", 0),
        (
            "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: soon",
            0,
        ),
    ] {
        let config = Config {
            retry: RetryPolicy {
                retries: 1,
                ..RetryPolicy::NEVER
            },
            ..idle()
        };
        let refusal = format!("HTTP/1.1 503 Busy\r\n{dates}\r\nContent-Length: 0\r\n\r\n");
        let said = vec![(MS, Act::Say(refusal.into_bytes()))];
        let (outcome, took) = World::new(1, &config, Script::answering(said)).run();
        assert_eq!(outcome.connects.retries, 1, "{dates}");
        let range = Duration::from_secs(least)..Duration::from_secs(least + 2);
        assert!(range.contains(&took), "{dates}: {took:?}");
    }
}

#[test]
fn a_handshake_of_the_application_has_the_time_of_the_connect_and_fails_by_its_name() {
    let cable = Cable::new(CableOptions {
        channel: "Chat".to_owned(),
        action: "echo".to_owned(),
        content_bytes: 32,
        senders: Senders::ALL,
        trigger: None,
        seed: 1,
    });
    let config = Config {
        scenario: Scenario::Dialogue(Arc::new(cable)),
        subprotocols: vec!["actioncable-v1-json".to_owned()],
        connect_time: Duration::from_secs(2),
        ..idle()
    };
    let answer = format!("{UPGRADED}Sec-WebSocket-Protocol: actioncable-v1-json\r\n\r\n");
    let said = vec![(MS, Act::Say(answer.into_bytes()))];
    let (outcome, took) = World::new(1, &config, Script::answering(said)).run();
    let kind = Kind::Application("no_welcome");
    assert_eq!(
        outcome.failures.of(Stage::Ready, kind),
        1,
        "{:?}",
        outcome.failures
    );
    assert!(took < Duration::from_millis(2_500), "{took:?}");
    // Before its upgrade it awaits nothing of the application.
    let (outcome, _) = World::new(1, &config, Script::answering(Vec::new())).run();
    let silent = outcome.failures.of(Stage::Upgrade, Kind::TimedOut);
    assert_eq!(silent, 1, "{:?}", outcome.failures);
}
