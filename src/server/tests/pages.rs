//! What a response says of itself: who may read it, when it was, what it is, and what ends.

use super::*;
use crate::protocol::websocket::OriginPolicy;
use crate::stats::Snapshot;

fn ask_of(config: Config, request: &str) -> (String, Option<Close>) {
    let mut rig = Rig::new(config);
    let id = rig.asked(request);
    (rig.text(id), rig.closed(id))
}

fn ask(request: &str) -> (String, Option<Close>) {
    ask_of(config(), request)
}

fn with(path: &str, field: &str) -> String {
    get(path).replace("Host: a\r\n", &format!("Host: a\r\n{field}\r\n"))
}

fn listing() -> Config {
    Config {
        origins: OriginPolicy::Only(vec!["https://A.example".into()]),
        ..config()
    }
}

#[test]
fn what_can_be_no_request_is_answered_at_its_first_impossible_byte() {
    // RFC 9112, 3; RFC 8446, 5.1: 22 is a handshake.
    for (bytes, word) in [
        (&b"\x16\x03\x01\x02"[..], "plain HTTP, not TLS"),
        (b"\x16", "plain HTTP, not TLS"),
        (b"\0", "not an HTTP request"),
        (
            b"\x81\x85\x01\x02\x03\x04abcde",
            "begins with an HTTP request",
        ),
        (
            b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u2\r\n",
            "not an HTTP request",
        ),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: \0", "header value"),
    ] {
        for split in 0..bytes.len() {
            let mut rig = Rig::new(config());
            let id = rig.open();
            rig.receive(id, &bytes[..split]);
            rig.receive(id, &bytes[split..]);
            let answer = rig.text(id);
            assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
            assert!(answer.contains(word), "{answer}");
            assert_eq!(rig.closed(id), Some(Close::Flush));
            assert_eq!(rig.tally().decided.fault, 1);
        }
    }
    // The second request of a connection too.
    let mut rig = Rig::new(config());
    let id = rig.asked(&(get("/") + "\x16\x03"));
    assert!(rig.text(id).contains("HTTP/1.1 400 "));
}

#[test]
fn head_of_a_stream_ends_what_it_says_that_it_ends() {
    // RFC 9110, 9.3.2; RFC 9112, 9.6.
    for path in ["/events", "/rooms"] {
        let head = get(path).replace("GET", "HEAD");
        let (answer, closed) = ask(&(head.clone() + &get("/healthz")));
        assert!(answer.contains("Connection: keep-alive\r\n"), "{answer}");
        assert!(answer.contains("Content-Type: text/event-stream\r\n"));
        assert!(answer.ends_with("\r\n\r\nok\n"), "{answer}");
        assert_eq!((answer.matches("HTTP/1.1 200").count(), closed), (2, None));
        let last = head.replace("Host", "Connection: close\r\nHost") + &get("/healthz");
        let (answer, closed) = ask(&last);
        assert!(answer.contains("Connection: close\r\n"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1);
        assert_eq!(closed, Some(Close::Flush));
    }
}

#[test]
fn no_answer_to_head_has_content() {
    // RFC 9110, 9.3.2.
    for request in [
        upgrade("/echo"),
        upgrade("/events"),
        get("/echo"),
        get("/nowhere"),
        get("/rooms/say"),
        with("/", "Content-Length: 70000"),
        with("/metrics", "Accept: text/*;q=0, application/*;q=0"),
    ] {
        let (answer, _) = ask(&request.replace("GET", "HEAD"));
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{request} {answer}");
    }
}

#[test]
fn an_upgrade_may_say_that_it_has_no_body() {
    // RFC 9110, 8.6: the WebSocket of the JDK sends it.
    let request = upgrade("/echo").replace("Host: a\r\n", "Host: a\r\nContent-Length: 0\r\n");
    let mut rig = Rig::new(config());
    let id = rig.asked(&request);
    assert!(rig.text(id).starts_with("HTTP/1.1 101 "));
    rig.receive(id, &masked(Opcode::Text, b"x"));
    assert_eq!(rig.sent(id), plain(Opcode::Text, b"x"));
}

#[test]
fn every_answer_and_stream_has_the_date_if_the_server_knows_it() {
    // RFC 9110, 6.6.1.
    let epoch = Some(Duration::from_secs(784_111_776));
    let mut rig = Rig::new(Config { epoch, ..config() });
    rig.wire.now = START + Duration::from_millis(1_500);
    for request in [
        get("/"),
        get("/nowhere"),
        get("/events"),
        get("/rooms"),
        get("/").replace("GET", "OPTIONS"),
        get("/events").replace("GET", "HEAD"),
        "\x16".to_owned(),
    ] {
        let id = rig.asked(&request);
        let answer = rig.text(id);
        let dates = answer.matches("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
        assert_eq!(dates.count(), 1, "{request} {answer}");
    }
    rig.wire.now = START + Duration::from_secs(9);
    let id = rig.asked(&get("/"));
    assert!(rig.text(id).contains("08:49:45 GMT"));
    // Somebody has set the clock since.
    rig.server.core.shared.config().board.post(Snapshot {
        at: START + Duration::from_secs(9),
        unix: Some(Duration::from_secs(0)),
        ..Snapshot::default()
    });
    rig.wire.now = START + Duration::from_secs(70);
    let id = rig.asked(&get("/"));
    assert!(
        rig.text(id)
            .contains("Date: Thu, 01 Jan 1970 00:01:01 GMT\r\n")
    );
    let (answer, _) = ask(&get("/"));
    assert!(!answer.contains("Date:"), "{answer}");
}

#[test]
fn all_pages_may_read_without_credentials_and_listed_ones_with_them() {
    // Fetch, 3.2.5: `*` is never said with credentials.
    let cases = ["/", "/events", "/rooms", "/nowhere", "/stats"];
    for path in cases {
        let (answer, _) = ask(&with(path, "Origin: https://b.example"));
        assert!(
            answer.contains("Access-Control-Allow-Origin: *\r\n"),
            "{answer}"
        );
        assert!(
            !answer.contains("Credentials") && !answer.contains("Vary"),
            "{answer}"
        );
        let (answer, _) = ask_of(listing(), &with(path, "Origin: https://a.example"));
        for field in [
            "Access-Control-Allow-Origin: https://a.example\r\n",
            "Access-Control-Allow-Credentials: true\r\n",
            "Vary: Origin\r\n",
        ] {
            assert!(answer.contains(field), "{answer}");
        }
        for field in ["Origin: https://b.example", "X: y"] {
            let (answer, _) = ask_of(listing(), &with(path, field));
            assert!(!answer.contains("Access-Control"), "{answer}");
            assert!(answer.contains("Vary: Origin\r\n"), "{answer}");
        }
    }
}

#[test]
fn a_preflight_is_told_what_may_be_asked() {
    // Fetch, 3.2.3; RFC 9110, 9.3.7 and 8.6.
    let preflight = "Origin: https://a.example\r\nAccess-Control-Request-Method: POST\r\n\
                     Access-Control-Request-Headers: content-type";
    for (path, methods) in [
        ("/rooms/say?a", "POST, OPTIONS"),
        ("/events", "GET, HEAD, OPTIONS"),
        ("*", "GET, HEAD, POST, OPTIONS"),
    ] {
        let request = with(path, preflight).replace("GET", "OPTIONS");
        let (answer, closed) = ask(&(request + &get("/healthz")));
        assert!(
            answer.starts_with("HTTP/1.1 204 No Content\r\n"),
            "{answer}"
        );
        let (head, rest) = answer.split_once("\r\n\r\n").expect("a head");
        for field in [
            format!("Access-Control-Allow-Methods: {methods}\r\n"),
            format!("Allow: {methods}\r\n"),
            "Access-Control-Allow-Origin: *\r\n".to_owned(),
        ] {
            assert!(head.contains(&field), "{head}");
        }
        let mut lines = head.lines();
        let headers = lines.find(|line| line.starts_with("Access-Control-Allow-Headers: "));
        let headers = headers.expect("headers");
        assert!(headers.contains("Content-Type") && headers.contains("Last-Event-ID"));
        assert!(!head.contains("Content-Length"), "{head}");
        assert!(
            rest.starts_with("HTTP/1.1 200 ") && closed.is_none(),
            "{rest}"
        );
    }
    let (answer, _) = ask(&get("/nowhere").replace("GET", "OPTIONS"));
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

#[test]
fn a_stream_may_be_neither_stored_nor_transformed() {
    // RFC 9111, 5.2.2.6.
    for path in ["/events", "/rooms"] {
        for method in ["GET", "HEAD"] {
            let (answer, _) = ask(&get(path).replace("GET", method));
            assert!(
                answer.contains("Cache-Control: no-store, no-transform\r\n"),
                "{answer}"
            );
        }
    }
}

#[test]
fn what_a_client_rules_out_it_is_not_given() {
    // RFC 9110, 12.4.2: a weight of 0 means "not acceptable".
    let open = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let text = "text/plain; version=0.0.4; charset=utf-8";
    for (path, accept, wanted) in [
        ("/metrics", "*/*", Some(text)),
        ("/metrics", "application/openmetrics-text", Some(open)),
        (
            "/metrics",
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3,*/*;q=0.1",
            Some(open),
        ),
        (
            "/metrics",
            "application/openmetrics-text;q=0, */*",
            Some(text),
        ),
        (
            "/metrics",
            "application/openmetrics-text;q=0.1, text/plain",
            Some(text),
        ),
        ("/metrics", "text/plain;q=0, */*;q=0.1", Some(open)),
        ("/metrics", "text/*;q=0, application/*;q=0", None),
        ("/stats", "text/html", Some("application/json")),
        ("/stats", "application/json;q=0", None),
        ("/events", "application/json", Some("text/event-stream")),
        ("/events", "text/event-stream;q=0, */*", None),
    ] {
        let (answer, closed) = ask(&with(path, &format!("Accept: {accept}")));
        let status = if wanted.is_some() { 200 } else { 406 };
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{accept} {answer}"
        );
        let kind = wanted.unwrap_or("text/plain; charset=utf-8");
        assert!(
            answer.contains(&format!("Content-Type: {kind}\r\n")),
            "{accept} {answer}"
        );
        assert_eq!(closed, None);
    }
}
