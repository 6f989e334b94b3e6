//! Files for browsers: found, negotiated, in parts, in pieces, and never more than is asked for.

use super::*;
use crate::live::Live;
use crate::server::{PublicFile, PublicFiles, PublicForm, ServerNews};
use bytes::Bytes;
use std::sync::Arc;

const LARGE: usize = 1_000_000;

fn form(bytes: &[u8], tag: &str) -> PublicForm {
    PublicForm {
        bytes: Bytes::copy_from_slice(bytes),
        etag: format!("\"{tag}\""),
    }
}

fn file(bytes: &[u8]) -> PublicFile {
    PublicFile {
        media_type: "text/plain; charset=utf-8".to_owned(),
        // Sun, 06 Nov 1994 08:49:37 GMT
        changed_unix_s: Some(784_111_777),
        policy: None,
        plain: form(bytes, "plain"),
        gzip: None,
        brotli: None,
    }
}

fn large() -> Vec<u8> {
    let letters = b"abcdefghijklmnopqrstuvwxyz".iter().cycle();
    letters.step_by(7).copied().take(LARGE).collect()
}

fn files(index: &str) -> Arc<PublicFiles> {
    let mut files = PublicFiles::new(Duration::ZERO);
    files.insert("/index.html".to_owned(), file(index.as_bytes()));
    files.insert("/docs/index.html".to_owned(), file(b"docs"));
    let page = PublicFile {
        policy: Some("default-src 'self'"),
        ..file(b"page")
    };
    files.insert("/echo/index.html".to_owned(), page);
    files.insert("/empty".to_owned(), file(b""));
    files.insert("/large".to_owned(), file(&large()));
    let coded = PublicFile {
        gzip: Some(form(b"zipped", "gz")),
        brotli: Some(form(b"brot", "br")),
        ..file(b"plain text")
    };
    files.insert("/app.js".to_owned(), coded);
    Arc::new(files)
}

fn with_files() -> Config {
    Config {
        public: files("home"),
        ..config()
    }
}

/// What a request with these fields gets: its head and its content.
fn asked(request: &str, fields: &str) -> (String, String) {
    let mut rig = Rig::new(with_files());
    let request = request.replace("Host: a\r\n", &format!("Host: a\r\n{fields}"));
    let id = rig.asked(&request);
    let answer = rig.text(id);
    let (head, content) = answer.split_once("\r\n\r\n").expect("a head");
    (format!("{head}\r\n"), content.to_owned())
}

fn has(head: &str, lines: &[&str]) {
    for line in lines {
        assert!(head.contains(&format!("{line}\r\n")), "{line}: {head}");
    }
}

#[test]
fn a_page_may_be_restricted_and_stand_beside_the_websocket_of_its_name() {
    let (head, content) = asked(&get("/echo/"), "");
    has(&head, &["Content-Security-Policy: default-src 'self'"]);
    assert_eq!(content, "page");
    assert!(
        !asked(&get("/docs/"), "")
            .0
            .contains("Content-Security-Policy")
    );
    has(&asked(&get("/echo"), "").0, &["Location: /echo/"]);
    let (head, _) = asked(&get("/push"), "");
    has(&head, &["HTTP/1.1 426 Upgrade Required"]);
}

#[test]
fn a_file_has_its_type_its_validators_and_its_length() {
    let (head, content) = asked(&get("/"), "");
    has(
        &head,
        &[
            "HTTP/1.1 200 OK",
            "Content-Type: text/plain; charset=utf-8",
            "X-Content-Type-Options: nosniff",
            "ETag: \"plain\"",
            "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT",
            "Cache-Control: no-cache",
            "Accept-Ranges: bytes",
            "Content-Length: 4",
            "Connection: keep-alive",
        ],
    );
    assert_eq!(content, "home");
    // RFC 9110, 9.3.2.
    let (of_head, content) = asked(&get("/").replace("GET", "HEAD"), "");
    assert_eq!((of_head, content), (head, String::new()));
    let (head, content) = asked(&get("/empty"), "");
    has(&head, &["HTTP/1.1 200 OK", "Content-Length: 0"]);
    assert_eq!(content, "");
    // What the server is for comes first.
    assert_eq!(asked(&get("/healthz"), "").1, "ok\n");
    for (path, status) in [
        ("/docs", "301"),
        ("/nothing", "404"),
        ("/%2e%2e/etc", "404"),
    ] {
        assert!(
            asked(&get(path), "")
                .0
                .starts_with(&format!("HTTP/1.1 {status} "))
        );
    }
    let (head, _) = asked(&get("/docs?a=b"), "");
    has(&head, &["Location: /docs/?a=b"]);
    assert_eq!(asked(&get("/docs/"), "").1, "docs");
    let (head, _) = asked(&get("/app.js").replace("GET", "DELETE"), "");
    has(
        &head,
        &[
            "HTTP/1.1 405 Method Not Allowed",
            "Allow: GET, HEAD, OPTIONS",
        ],
    );
    let (head, _) = asked(&get("/app.js").replace("GET", "OPTIONS"), "");
    has(
        &head,
        &["HTTP/1.1 204 No Content", "Allow: GET, HEAD, OPTIONS"],
    );
}

#[test]
fn a_client_gets_the_form_that_it_takes_and_none_that_it_has() {
    for (accepts, content, coding) in [
        ("", "plain text", None),
        ("Accept-Encoding: gzip\r\n", "zipped", Some("gzip")),
        ("Accept-Encoding: gzip, br\r\n", "brot", Some("br")),
        (
            "Accept-Encoding: gzip, br;q=0.5\r\n",
            "zipped",
            Some("gzip"),
        ),
        ("Accept-Encoding: br;q=0, gzip;q=0\r\n", "plain text", None),
    ] {
        let (head, found) = asked(&get("/app.js"), accepts);
        assert_eq!(found, content, "{accepts}");
        has(&head, &["Vary: Accept-Encoding"]);
        let line = coding.map(|coding| format!("Content-Encoding: {coding}\r\n"));
        match line {
            Some(line) => assert!(head.contains(&line), "{head}"),
            None => assert!(!head.contains("Content-Encoding"), "{head}"),
        }
    }
    // RFC 9110, 15.4.5: each form has a tag of its own.
    for (fields, status) in [
        ("Accept-Encoding: br\r\nIf-None-Match: \"br\"\r\n", "304"),
        ("Accept-Encoding: br\r\nIf-None-Match: \"gz\"\r\n", "200"),
        ("If-None-Match: W/\"plain\"\r\n", "304"),
        (
            "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
            "304",
        ),
        ("If-Match: \"other\"\r\n", "412"),
    ] {
        let (head, content) = asked(&get("/app.js"), fields);
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{fields} {head}"
        );
        assert!(status == "200" || content.is_empty(), "{content}");
        if status == "304" {
            assert!(
                head.contains("ETag: ") && !head.contains("Content-Length"),
                "{head}"
            );
        }
    }
}

#[test]
fn a_part_is_of_the_bytes_as_they_are() {
    // RFC 9110, 15.3.7 and 15.5.17.
    let (head, content) = asked(
        &get("/app.js"),
        "Range: bytes=6-\r\nAccept-Encoding: br\r\n",
    );
    has(
        &head,
        &[
            "HTTP/1.1 206 Partial Content",
            "Content-Range: bytes 6-9/10",
            "Content-Length: 4",
            "ETag: \"plain\"",
        ],
    );
    assert_eq!(content, "text");
    let (head, content) = asked(&get("/app.js"), "Range: bytes=10-\r\n");
    has(
        &head,
        &[
            "HTTP/1.1 416 Range Not Satisfiable",
            "Content-Range: bytes */10",
            "Content-Length: 0",
        ],
    );
    assert_eq!(content, "");
    let (head, _) = asked(
        &get("/app.js"),
        "Range: bytes=1-2\r\nIf-Range: \"gone\"\r\n",
    );
    has(&head, &["HTTP/1.1 200 OK", "Content-Length: 10"]);
    // RFC 9110, 14.2: of GET alone.
    let head = get("/app.js").replace("GET", "HEAD");
    has(
        &asked(&head, "Range: bytes=1-2\r\n").0,
        &["Content-Length: 10"],
    );
}

/// Takes what is sent as a peer that reads `rate` bytes between two looks; the most that waited.
fn read_slowly(rig: &mut Rig, id: ConnectionId, all: &mut Vec<u8>, rate: usize) -> usize {
    let mut most = 0;
    for _ in 0..10_000 {
        let sent = rig.sent(id);
        let waits = rig.line(id).backlog + sent.len();
        all.extend_from_slice(&sent);
        most = most.max(waits);
        let left = waits.saturating_sub(rate);
        rig.line(id).backlog = left;
        if waits > limits::BACKLOG_HIGH && left <= limits::BACKLOG_LOW {
            rig.server.drained(id, &mut rig.wire);
        }
        if rig.server.deadline().is_some_and(|at| at <= rig.wire.now) {
            rig.server.expired(&mut rig.wire);
        } else if left == 0 && rig.line(id).sent.is_empty() {
            return most;
        }
    }
    panic!("it does not end");
}

#[test]
fn a_large_file_leaves_as_its_peer_reads_and_the_next_request_waits() {
    for rate in [1 << 20, 100_000, 64 << 10] {
        let mut rig = Rig::new(with_files());
        let (other, id) = (rig.open(), rig.open());
        rig.receive(id, (get("/large") + &get("/docs/")).as_bytes());
        // In the same turn others are served.
        rig.receive(other, get("/docs/").as_bytes());
        assert!(rig.text(other).ends_with("\r\n\r\ndocs"));
        let mut all = Vec::new();
        let most = read_slowly(&mut rig, id, &mut all, rate);
        assert!(
            most <= 2 * limits::BACKLOG_HIGH + limits::SHARE_BYTES,
            "{rate}: {most}"
        );
        let all = String::from_utf8(all).expect("text");
        let (head, rest) = all.split_once("\r\n\r\n").expect("a head");
        assert!(head.contains("Content-Length: 1000000\r\n"), "{head}");
        assert_eq!(rest.as_bytes().get(..LARGE), Some(&large()[..]), "{rate}");
        assert!(rest[LARGE..].starts_with("HTTP/1.1 200 OK"), "{rate}");
        assert!(rest.ends_with("\r\n\r\ndocs") && rig.closed(id).is_none());
        // It goes on, and is not forgotten.
        rig.receive(id, get("/docs/").as_bytes());
        assert!(rig.text(id).ends_with("docs"));
        rig.pass(limits::KEEP_ALIVE_TIME + Duration::from_secs(10));
        assert_eq!(rig.closed(id), Some(Close::Flush), "{rate}");
    }
}

#[test]
fn who_ends_its_side_behind_a_request_gets_all_of_a_large_file() {
    // RFC 9112, 9.6.
    let mut rig = Rig::new(with_files());
    let id = rig.asked(&get("/large"));
    assert_eq!(rig.server.ended(id, &mut rig.wire), Half::Keep);
    let mut all = Vec::new();
    read_slowly(&mut rig, id, &mut all, 1 << 20);
    assert!(all.ends_with(&large()[LARGE - 100..]) && all.len() > LARGE);
    assert_eq!(rig.closed(id), Some(Close::Flush));
}

#[test]
fn a_server_that_stops_ends_a_file_before_its_connection() {
    let mut rig = Rig::new(with_files());
    let id = rig.asked(&get("/large"));
    rig.stop();
    assert_eq!(rig.closed(id), None);
    let mut all = Vec::new();
    read_slowly(&mut rig, id, &mut all, 1 << 20);
    assert!(all.len() > LARGE, "{}", all.len());
    assert_eq!(rig.closed(id), Some(Close::Flush));
}

#[test]
fn files_that_are_read_anew_are_given_and_what_has_begun_is_ended_as_it_was() {
    let news: Live<ServerNews> = Live::default();
    let mut rig = Rig::new(Config {
        news: news.clone(),
        ..with_files()
    });
    let id = rig.asked(&get("/large"));
    let config = config();
    news.say(ServerNews {
        origins: config.origins,
        limits: config.limits,
        head_time: config.head_time,
        public: files("another home"),
    });
    let other = rig.asked(&get("/"));
    assert!(rig.text(other).ends_with("another home"));
    let mut all = Vec::new();
    read_slowly(&mut rig, id, &mut all, 1 << 20);
    assert!(all.ends_with(&large()));
}
