//! What a request head may look like and what is refused, section by section of RFC 9112.

use super::*;

fn parse(head: &str) -> Result<Request<'_>, Fault> {
    Request::parse(head.as_bytes())
}

fn status(head: &str) -> u16 {
    match parse(head) {
        Err(Fault::Http { status, .. }) => status,
        Err(other) => panic!("{head:?} gives {other}"),
        Ok(request) => panic!("{head:?} is taken: {request:?}"),
    }
}

#[test]
fn a_plain_request_is_read() {
    let request =
        parse("GET /a/b?x=1?2 HTTP/1.1\r\nHost: h:80\r\nA: \t b \r\na: c\r\n\r\n").unwrap();
    assert_eq!((request.method, request.target), ("GET", "/a/b?x=1?2"));
    assert_eq!((request.path(), request.query()), ("/a/b", Some("x=1?2")));
    assert_eq!((request.minor_version, request.keep_alive), (1, true));
    assert_eq!(request.body, BodyLength::None);
    assert_eq!(request.headers.get("A"), Some("b"));
    assert_eq!(request.headers.all("a").collect::<Vec<_>>(), ["b", "c"]);
    assert_eq!(request.headers.iter().count(), 3);
}

#[test]
fn one_empty_line_before_the_request_is_skipped_and_two_are_not() {
    // RFC 9112, 2.2
    assert!(parse("\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n").is_ok());
    assert_eq!(status("\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
    assert_eq!(status("\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
}

#[test]
fn a_target_in_absolute_form_has_a_path() {
    // RFC 9112, 3.2.2: a server must accept the absolute form.
    for (target, path, query) in [
        ("http://h/x?y", "/x", Some("y")),
        ("WS://h:1", "/", None),
        ("https://h?y", "/", Some("y")),
        ("/", "/", None),
        ("//", "//", None),
        ("/http://h/x", "/http://h/x", None),
    ] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        let request = parse(&head).unwrap();
        assert_eq!((request.path(), request.query()), (path, query), "{target}");
    }
}

#[test]
fn a_target_of_no_form_is_refused() {
    // RFC 9112, 3.2
    for target in ["x", "*", "ftp://h/", "/a#b", "/\u{e9}", "h:80", "?q"] {
        assert_eq!(
            status(&format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")),
            400,
            "{target}"
        );
    }
    assert!(parse("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n").is_ok());
}

#[test]
fn host_is_there_exactly_once() {
    // RFC 9112, 3.2
    assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), 400);
    assert_eq!(status("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"), 400);
    assert_eq!(status("GET / HTTP/1.0\r\nHost: a\r\nhost: a\r\n\r\n"), 400);
    assert_eq!(status("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), 400);
    assert_eq!(status("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400);
    assert_eq!(status("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), 400);
    assert!(parse("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n").is_ok());
    assert!(parse("GET / HTTP/1.1\r\nHost:\r\n\r\n").is_ok());
    assert!(parse("GET / HTTP/1.0\r\n\r\n").is_ok());
}

#[test]
fn line_ends_are_crlf_and_lines_are_not_folded() {
    // RFC 9112, 2.2 and 5.2
    for head in [
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\r\nHost: a\n\n",
        "GET / HTTP/1.1\rHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\r b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n\tb\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\r\n\r\n",
    ] {
        assert_eq!(status(head), 400, "{head:?}");
    }
}

#[test]
fn names_and_values_keep_to_their_bytes() {
    // RFC 9112, 5.1: no white space before the colon. RFC 9110, 5.5: no NUL, no control.
    for field in [
        "X : a",
        "X\t: a",
        ": a",
        "X",
        "X Y: a",
        "X: \0",
        "X: a\u{7f}",
        "X\0: a",
        "(: a",
    ] {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n");
        assert_eq!(status(&head), 400, "{field:?}");
    }
    assert!(parse("GET / HTTP/1.1\r\nHost: a\r\nX:\u{e9}\r\n\r\n").is_ok());
}

#[test]
fn the_request_line_has_two_single_spaces() {
    // RFC 9112, 3
    for line in [
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        " GET / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET /",
        "GET\t/ HTTP/1.1",
        "G@T / HTTP/1.1",
        "GET /\0 HTTP/1.1",
        "GET / http/1.1",
        "",
    ] {
        assert_eq!(
            status(&format!("{line}\r\nHost: a\r\n\r\n")),
            400,
            "{line:?}"
        );
    }
    for version in ["HTTP/2.0", "HTTP/1.2", "HTTP/0.9", "HTTP/9.0", "HTTP/9.9"] {
        assert_eq!(
            status(&format!("GET / {version}\r\nHost: a\r\n\r\n")),
            505,
            "{version}"
        );
    }
}

#[test]
fn body_lengths_with_two_readings_are_refused() {
    // RFC 9112, 6.1 and 6.3; CVE-2026-50020 and its kin.
    for (fields, expected) in [
        ("Transfer-Encoding: chunked\r\nContent-Length: 3", 400),
        ("Content-Length: 3\r\nTransfer-Encoding: chunked", 400),
        ("Content-Length: 3\r\nContent-Length: 4", 400),
        ("Content-Length: 3, 3", 400),
        ("Content-Length: +3", 400),
        ("Content-Length: -3", 400),
        ("Content-Length: 0x3", 400),
        ("Content-Length: 3 3", 400),
        // What stands before 0 and behind 9.
        ("Content-Length: 3:", 400),
        ("Content-Length: 3/", 400),
        ("Content-Length:", 400),
        ("Content-Length: 18446744073709551616", 400),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            400,
        ),
        ("Transfer-Encoding: gzip, chunked", 501),
        ("Transfer-Encoding: chunked, identity", 501),
        ("Transfer-Encoding: \u{b}chunked", 400),
        ("Transfer-Encoding: xchunked", 501),
        ("Transfer-Encoding:", 501),
    ] {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
        assert_eq!(status(&head), expected, "{fields:?}");
    }
    assert_eq!(
        status("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        400
    );
}

#[test]
fn body_lengths_with_one_reading_are_taken() {
    for (fields, expected) in [
        ("X: y", BodyLength::None),
        ("Content-Length: 0", BodyLength::Known(0)),
        ("Content-Length: 007", BodyLength::Known(7)),
        (
            "Content-Length: 18446744073709551615",
            BodyLength::Known(u64::MAX),
        ),
        (
            "Content-Length: 3\r\ncontent-length:3",
            BodyLength::Known(3),
        ),
        ("Transfer-Encoding: Chunked", BodyLength::Chunked),
    ] {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
        assert_eq!(parse(&head).unwrap().body, expected, "{fields:?}");
    }
}

#[test]
fn connections_persist_as_their_version_says() {
    // RFC 9112, 9.3
    for (head, expected) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n",
            false,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: close\r\n\r\n",
            false,
        ),
        ("GET / HTTP/1.0\r\n\r\n", false),
        ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true),
        (
            "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n",
            false,
        ),
    ] {
        assert_eq!(parse(head).unwrap().keep_alive, expected, "{head:?}");
    }
}

#[test]
fn too_many_fields_get_431() {
    let fields = |count: usize| "X: y\r\n".repeat(count);
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", fields(63));
    assert_eq!(parse(&head).unwrap().headers.iter().count(), 64);
    assert_eq!(
        status(&format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", fields(64))),
        431
    );
}

#[test]
fn a_head_that_does_not_end_where_it_should_is_refused() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for len in 0..head.len() {
        assert_eq!(status(&head[..len]), 400, "{:?}", &head[..len]);
    }
    assert_eq!(status(&format!("{head}x")), 400);
}

#[test]
fn what_is_encoded_is_parsed_to_the_same() {
    let mut head = Vec::new();
    Request::encode(
        &mut head,
        "GET",
        "/x",
        &[("Host", "h"), ("Last-Event-ID", "\u{e9}7")],
    );
    assert_eq!(
        head,
        "GET /x HTTP/1.1\r\nHost: h\r\nLast-Event-ID: \u{e9}7\r\n\r\n".as_bytes()
    );
    let request = Request::parse(&head).unwrap();
    assert_eq!(request.headers.get("last-event-id"), Some("\u{e9}7"));
}
