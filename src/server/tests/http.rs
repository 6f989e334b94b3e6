//! Plain requests, and everything a request can do wrong.

use super::*;

fn ask(request: &str) -> (String, Option<Close>) {
    let mut rig = Rig::new(config());
    let id = rig.asked(request);
    (rig.text(id), rig.closed(id))
}

fn status(answer: &str) -> u16 {
    answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .expect("a status")
}

#[test]
fn plain_routes_answer_and_keep_the_connection() {
    for (path, word) in [
        ("/", "/echo"),
        ("/healthz", "ok\n"),
        ("/stats", "\"engine\":\"tape\""),
    ] {
        let (answer, closed) = ask(&get(path));
        assert_eq!(status(&answer), 200, "{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(body.contains(word), "{answer}");
        assert!(
            head.contains(&format!("Content-Length: {}", body.len())),
            "{head}"
        );
        assert!(head.contains("Access-Control-Allow-Origin: *"), "{head}");
        assert_eq!(closed, None);
    }
}

#[test]
fn head_gets_the_fields_of_get_and_no_content() {
    // RFC 9110, 9.3.2.
    let (full, _) = ask(&get("/"));
    let (head, closed) = ask("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(head, full[..full.find("\r\n\r\n").expect("a head") + 4]);
    assert_eq!(closed, None);
    let (head, closed) = ask("HEAD /events HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(head.contains("text/event-stream") && head.ends_with("\r\n\r\n"));
    assert_eq!(closed, None);
}

#[test]
fn each_mistake_gets_its_status_and_the_end_it_deserves() {
    let close = Some(Close::Flush);
    let cases = [
        ("GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n", 404, None),
        ("POST / HTTP/1.1\r\nHost: a\r\n\r\n", 405, None),
        ("PUT /events HTTP/1.1\r\nHost: a\r\n\r\n", 405, None),
        ("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n", 426, None),
        ("GET /push HTTP/1.0\r\nHost: a\r\n\r\n", 426, close),
        ("GET / HTTP/1.1\r\n\r\n", 400, close),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, close),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, close),
        ("rubbish\r\n\r\n", 400, close),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", 400, close),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n",
            413,
            close,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
            close,
        ),
    ];
    for (request, wanted, end) in cases {
        let (answer, closed) = ask(request);
        assert_eq!(status(&answer), wanted, "{request:?} {answer}");
        assert_eq!(closed, end, "{request:?}");
        let connection = if end.is_some() { "close" } else { "" };
        assert!(answer.contains(connection), "{answer}");
    }
}

#[test]
fn a_refusal_names_what_would_be_right() {
    let (answer, _) = ask(&get("/echo"));
    // RFC 9110, 15.5.22 and 7.8; RFC 6455, 4.4.
    for field in [
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Connection: Upgrade\r",
    ] {
        assert!(answer.contains(field), "{answer}");
    }
    // RFC 9110, 15.5.6.
    let (answer, _) = ask("POST / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(answer.contains("Allow: GET, HEAD"), "{answer}");
    let (answer, _) = ask(&get("/"));
    assert!(
        !answer.contains("Upgrade") && !answer.contains("Allow:"),
        "{answer}"
    );
}

#[test]
fn a_refused_upgrade_ends_the_connection() {
    for (from, to, wanted) in [
        ("Version: 13", "Version: 12", 426),
        ("Key: dGhlIHNhbXBsZSBub25jZQ==", "Key: short", 400),
        (
            "Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            "Key: dGhlIHNhbXBsZSBub25jZQ==\r\nContent-Length: 1\r\n",
            400,
        ),
        ("GET /echo", "POST /echo", 405),
    ] {
        let request = upgrade("/echo").replace(from, to);
        let (answer, closed) = ask(&request);
        assert_eq!(status(&answer), wanted, "{request} {answer}");
        assert_eq!(closed, Some(Close::Flush), "{request}");
    }
    let (answer, closed) = ask(&upgrade("/events"));
    assert_eq!((status(&answer), closed), (400, Some(Close::Flush)));
}

#[test]
fn an_origin_that_is_not_allowed_is_refused() {
    let origins = crate::protocol::websocket::OriginPolicy::Only(vec!["https://a.example".into()]);
    let request = upgrade("/echo");
    for (origin, wanted) in [("https://a.example", 101), ("https://b.example", 403)] {
        let mut rig = Rig::new(Config {
            origins: origins.clone(),
            ..config()
        });
        let origin = format!("Host: a\r\nOrigin: {origin}\r\n");
        let id = rig.asked(&request.replace("Host: a\r\n", &origin));
        assert_eq!(status(&rig.text(id)), wanted, "{origin}");
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    // RFC 9112, 9.3.2.
    let all = get("/healthz") + &get("/nope") + "\r\n" + &get("/healthz");
    for split in 0..all.len() {
        let mut rig = Rig::new(config());
        let id = rig.open();
        rig.receive(id, &all.as_bytes()[..split]);
        rig.receive(id, &all.as_bytes()[split..]);
        let answers = rig.text(id);
        let statuses: Vec<u16> = answers.split("HTTP/1.1").skip(1).map(status).collect();
        assert_eq!(statuses, [200, 404, 200], "split at {split}");
        assert_eq!(rig.closed(id), None);
    }
}

#[test]
fn connection_close_ends_after_the_answer_and_what_follows_is_ignored() {
    let first = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let (answer, closed) = ask(&(first.to_owned() + &get("/healthz")));
    assert_eq!(answer.matches("HTTP/1.1").count(), 1);
    assert!(answer.contains("Connection: close"));
    assert_eq!(closed, Some(Close::Flush));
}

#[test]
fn http_1_0_ends_after_the_answer_unless_it_asks_to_go_on() {
    let (_, closed) = ask("GET /healthz HTTP/1.0\r\n\r\n");
    assert_eq!(closed, Some(Close::Flush));
    let (answer, closed) = ask("GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert!(answer.contains("Connection: keep-alive"));
    assert_eq!(closed, None);
}

#[test]
fn a_body_is_skipped_before_the_answer_in_any_pieces() {
    let known = "GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /".to_owned();
    let chunked = "GET /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3\r\nabc\r\n0\r\n\r\n";
    for first in [known, chunked.to_owned()] {
        let all = first + &get("/nope");
        for split in 0..all.len() {
            let mut rig = Rig::new(config());
            let id = rig.open();
            rig.receive(id, &all.as_bytes()[..split]);
            rig.receive(id, &all.as_bytes()[split..]);
            let answers = rig.text(id);
            let statuses: Vec<u16> = answers.split("HTTP/1.1").skip(1).map(status).collect();
            assert_eq!(statuses, [200, 404], "split at {split}");
        }
    }
}

#[test]
fn a_body_beyond_the_limit_is_refused_when_it_gets_there() {
    let mut rig = Rig::new(config());
    let id = rig.asked("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    for _ in 0..16 {
        rig.receive(id, chunk.as_bytes());
        assert_eq!(rig.text(id), "");
    }
    rig.receive(id, chunk.as_bytes());
    assert_eq!(status(&rig.text(id)), 413);
    assert_eq!(rig.closed(id), Some(Close::Flush));
}

#[test]
fn a_client_that_waits_for_100_gets_its_answer_and_the_end() {
    // RFC 9110, 10.1.1.
    let request = "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    let (answer, closed) = ask(request);
    assert_eq!((status(&answer), closed), (200, Some(Close::Flush)));
}

#[test]
fn a_head_beyond_the_limit_gets_431() {
    let mut rig = Rig::new(config());
    let id = rig.asked("GET / HTTP/1.1\r\nHost: a\r\n");
    for _ in 0..limits::HEAD_BYTES / 100 {
        rig.receive(id, format!("X: {}\r\n", "y".repeat(100)).as_bytes());
    }
    assert_eq!(status(&rig.text(id)), 431);
    assert_eq!(rig.closed(id), Some(Close::Flush));
    assert_eq!(rig.tally().decided.fault, 1);
}

#[test]
fn a_head_that_does_not_end_in_time_gets_408_however_it_trickles() {
    let mut rig = Rig::new(config());
    let (silent, trickling) = (rig.open(), rig.open());
    for byte in get("/").bytes().take(9) {
        rig.receive(trickling, &[byte]);
        rig.pass(Duration::from_secs(1));
    }
    assert_eq!(rig.closed(trickling), None);
    rig.pass(Duration::from_millis(1100));
    for id in [silent, trickling] {
        assert_eq!(status(&rig.text(id)), 408);
        assert_eq!(rig.closed(id), Some(Close::Flush));
    }
    assert_eq!(rig.tally().decided.request_time, 2);
}

#[test]
fn a_second_request_has_its_time_from_its_first_byte() {
    let mut rig = Rig::new(config());
    let id = rig.asked(&get("/"));
    rig.sent(id);
    rig.pass(Duration::from_secs(30));
    rig.receive(id, b"GET ");
    rig.pass(Duration::from_secs(9));
    assert_eq!(rig.closed(id), None);
    rig.pass(Duration::from_millis(1100));
    assert_eq!(status(&rig.text(id)), 408);
}

#[test]
fn a_body_that_does_not_end_in_time_gets_408() {
    let mut rig = Rig::new(config());
    let id = rig.asked("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    rig.pass(Duration::from_millis(10_100));
    assert_eq!(status(&rig.text(id)), 408);
}

#[test]
fn a_kept_connection_without_a_request_is_ended() {
    let idle_timeout = Some(Duration::from_secs(3));
    for (config, limit) in [
        (config(), limits::KEEP_ALIVE_TIME),
        (
            Config {
                idle_timeout,
                ..config()
            },
            Duration::from_secs(3),
        ),
    ] {
        let mut rig = Rig::new(config);
        let id = rig.asked(&get("/"));
        rig.sent(id);
        rig.pass(limit - Duration::from_millis(200));
        assert_eq!(rig.closed(id), None);
        rig.pass(Duration::from_millis(400));
        assert_eq!(rig.closed(id), Some(Close::Flush));
        assert_eq!(rig.text(id), "");
        assert_eq!(rig.tally().decided.idle, 1);
    }
}

#[test]
fn a_peer_that_asks_faster_than_it_reads_is_paused_and_resumed() {
    let mut rig = Rig::new(config());
    let id = rig.open();
    rig.line(id).backlog = limits::BACKLOG_HIGH + 1;
    rig.receive(id, get("/").as_bytes());
    assert!(rig.line(id).paused);
    rig.line(id).backlog = 0;
    rig.server.drained(id, &mut rig.wire);
    assert!(!rig.line(id).paused);
}

#[test]
fn a_peer_that_never_reads_is_reset() {
    let mut rig = Rig::new(config());
    let id = rig.open();
    rig.line(id).backlog = limits::BACKLOG_BYTES;
    rig.receive(id, get("/").as_bytes());
    assert_eq!(rig.closed(id), Some(Close::Abort));
    assert_eq!(rig.tally().decided.slow_consumer, 1);
}

#[test]
fn a_head_that_is_too_long_is_refused_alike_however_it_is_cut() {
    let long = "x".repeat(limits::HEAD_BYTES);
    for (head, status) in [
        // RFC 6585, 5: what is impossible comes behind the limit.
        (format!("GET /{long} HTTP/1.1\r\n\0"), 431),
        (format!("GET /\0{long}"), 400),
    ] {
        for piece in [1, 1000, head.len()] {
            let mut rig = Rig::new(config());
            let id = rig.open();
            for bytes in head.as_bytes().chunks(piece) {
                rig.receive(id, bytes);
            }
            let answer = rig.text(id);
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{piece}: {answer}"
            );
        }
    }
}
