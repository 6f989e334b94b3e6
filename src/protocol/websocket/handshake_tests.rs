//! Which requests become WebSockets, what the others are answered, and what a client believes.

use super::*;

const FIELDS: [&str; 5] = [
    "Host: h",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
];

fn head(fields: &[&str]) -> String {
    format!("GET /echo HTTP/1.1\r\n{}\r\n\r\n", fields.join("\r\n"))
}

/// The head with one field replaced: what its name was, and the whole new line.
fn with(name: &str, line: &str) -> String {
    let fields = FIELDS.map(|field| if field.starts_with(name) { line } else { field });
    head(&fields)
}

fn status(head: &str) -> u16 {
    let request = Request::parse(head.as_bytes()).unwrap();
    match accept(&request, &[], &OriginPolicy::Any) {
        Ok(_) => 101,
        Err(Fault::Http { status, .. }) => status,
        Err(other) => panic!("{other}"),
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn the_handshake_of_the_rfc_is_accepted() {
    // RFC 6455, 1.3
    let head = head(&FIELDS);
    let request = Request::parse(head.as_bytes()).unwrap();
    assert!(is_upgrade(&request));
    let mut answer = Vec::new();
    accept(&request, &[], &OriginPolicy::Any)
        .unwrap()
        .encode(&mut answer);
    let expected = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                    Connection: Upgrade\r\n\
                    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    assert_eq!(std::str::from_utf8(&answer), Ok(expected));
}

#[test]
fn anything_but_a_full_handshake_is_refused_with_its_status() {
    // RFC 6455, 4.2.1 and 4.2.2
    for (name, line, expected) in [
        ("Upgrade", "Upgrade: x, WebSocket", 101),
        ("Upgrade", "Upgrade: h2c", 426),
        ("Upgrade", "X: y", 426),
        ("Connection", "Connection: keep-alive, upgrade", 101),
        ("Connection", "Connection: keep-alive", 400),
        ("Connection", "X: y", 400),
        ("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8", 426),
        ("Sec-WebSocket-Version", "Sec-WebSocket-Version: 130", 426),
        ("Sec-WebSocket-Version", "Sec-WebSocket-Version: 13, 8", 400),
        (
            "Sec-WebSocket-Version",
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13",
            400,
        ),
        ("Sec-WebSocket-Version", "X: y", 400),
        ("Sec-WebSocket-Key", "X: y", 400),
        ("Sec-WebSocket-Key", "Sec-WebSocket-Key:", 400),
        (
            "Sec-WebSocket-Key",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=",
            400,
        ),
        (
            "Sec-WebSocket-Key",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ===",
            400,
        ),
        (
            "Sec-WebSocket-Key",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQAA",
            400,
        ),
        (
            "Sec-WebSocket-Key",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j*Q==",
            400,
        ),
        (
            "Sec-WebSocket-Key",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25=ZQ==",
            400,
        ),
        ("Host", "Host: h\r\nContent-Length: 5", 400),
        ("Host", "Host: h\r\nTransfer-Encoding: chunked", 400),
        ("Host", "Host: h\r\nContent-Length: 0", 101),
        (
            "Host",
            "Host: h\r\nOrigin: http://a\r\nOrigin: http://b",
            400,
        ),
        ("Host", "Host: h\r\nSec-WebSocket-Protocol: a b", 400),
        ("Host", "Host: h\r\nSec-WebSocket-Protocol: , ,", 400),
        ("Host", "Host: h\r\nSec-WebSocket-Protocol:", 400),
        (
            "Host",
            "Host: h\r\nSec-WebSocket-Extensions: permessage-deflate",
            101,
        ),
    ] {
        assert_eq!(status(&with(name, line)), expected, "{line:?}");
    }
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    assert_eq!(status(&with("Host", &format!("Host: h\r\n{key}"))), 400);
    assert_eq!(status(&head(&FIELDS).replace("GET", "POST")), 405);
    assert_eq!(status(&head(&FIELDS).replace("HTTP/1.1", "HTTP/1.0")), 400);
}

#[test]
fn empty_members_of_lists_are_ignored() {
    // RFC 9110, 5.6.1.2.
    for (name, line) in [
        ("Host", "Host: h\r\nSec-WebSocket-Protocol: a,,b"),
        ("Host", "Host: h\r\nSec-WebSocket-Protocol: a, "),
        ("Host", "Host: h\r\nSec-WebSocket-Protocol: ,\t,a"),
        ("Connection", "Connection: , keep-alive,, Upgrade,"),
        ("Upgrade", "Upgrade: ,websocket,,"),
        (
            "Host",
            "Host: h\r\nSec-WebSocket-Extensions: , permessage-deflate,,",
        ),
    ] {
        assert_eq!(status(&with(name, line)), 101, "{line:?}");
    }
}

#[test]
fn an_unlisted_origin_is_forbidden() {
    // RFC 6455, 10.2
    let policy = OriginPolicy::Only(names(&["https://a.example", "http://b.example:8080"]));
    for (origin, allowed) in [
        ("Origin: https://a.example", true),
        ("Origin: HTTPS://A.example", true),
        ("Origin: http://b.example:8080", true),
        ("X: y", true),
        ("Origin: http://a.example", false),
        ("Origin: https://a.example.evil", false),
        ("Origin: https://a.example:8443", false),
        ("Origin: null", false),
        ("Origin:", false),
    ] {
        let head = with("Host", &format!("Host: h\r\n{origin}"));
        let request = Request::parse(head.as_bytes()).unwrap();
        let answer = accept(&request, &[], &policy);
        assert_eq!(answer.is_ok(), allowed, "{origin}");
        assert!(allowed || matches!(answer, Err(Fault::Http { status: 403, .. })));
    }
}

#[test]
fn the_clients_first_subprotocol_that_the_server_has_is_agreed_on() {
    // RFC 6455, 4.1 and 4.2.2
    let offer = "Host: h\r\nSec-WebSocket-Protocol: x, b\r\nSec-WebSocket-Protocol: a";
    let head = with("Host", offer);
    let request = Request::parse(head.as_bytes()).unwrap();
    for (known, agreed) in [
        (&["a", "b"][..], Some("b")),
        (&["a"], Some("a")),
        (&["B"], None),
    ] {
        let accepted = accept(&request, &names(known), &OriginPolicy::Any).unwrap();
        assert_eq!(accepted.subprotocol, agreed);
        let mut answer = Vec::new();
        accepted.encode(&mut answer);
        let response = Response::parse(&answer).unwrap();
        assert_eq!(response.headers.get("sec-websocket-protocol"), agreed);
    }
}

#[test]
fn both_sides_agree() {
    let handshake = ClientHandshake::new(*b"the sample nonce");
    let offered = names(&["chat", "superchat"]);
    let mut bytes = Vec::new();
    let headers = [("Origin", "http://h")];
    let offer = offer(&headers, &offered);
    handshake.encode(&mut bytes, &offer);
    let request = Request::parse(&bytes).unwrap();
    assert_eq!(
        (request.path(), request.headers.get("origin")),
        ("/echo", Some("http://h"))
    );
    let accepted = accept(&request, &names(&["superchat"]), &OriginPolicy::Any).unwrap();
    assert_eq!(accepted.key, "dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(accepted.subprotocol, Some("superchat"));
    let mut answer = Vec::new();
    accepted.encode(&mut answer);
    let response = Response::parse(&answer).unwrap();
    assert_eq!(handshake.verify(&response, &offer), Ok(None));
    let other = ClientHandshake::new([7; 16]);
    assert!(other.verify(&response, &offer).is_err());
    let fewer = names(&["chat"]);
    for subprotocols in [fewer.as_slice(), &[]] {
        let offer = Offer {
            subprotocols,
            ..offer
        };
        assert!(handshake.verify(&response, &offer).is_err());
    }
}

fn offer<'a>(headers: &'a [(&'a str, &'a str)], subprotocols: &'a [String]) -> Offer<'a> {
    Offer {
        host: "h:80",
        target: "/echo?x",
        headers,
        subprotocols,
        deflate: None,
    }
}

#[test]
fn what_the_user_gives_replaces_what_the_handshake_has() {
    let given = [
        ("host", "other"),
        ("Upgrade", "WebSocket"),
        ("connection", "keep-alive, Upgrade"),
        ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ("sec-websocket-protocol", "x, superchat"),
    ];
    let offered = names(&["chat"]);
    let offer = offer(&given, &offered);
    let handshake = ClientHandshake::new(*b"the sample nonce");
    let mut bytes = Vec::new();
    handshake.encode(&mut bytes, &offer);
    let request = Request::parse(&bytes).unwrap();
    let mut seen: Vec<String> = request
        .headers
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    seen.sort_unstable();
    let all = seen.len();
    seen.dedup();
    assert_eq!(seen.len(), all, "no field is there twice: {seen:?}");
    for (name, value) in given {
        assert_eq!(request.headers.get(name), Some(value));
    }
    // What the server answers to is what was sent.
    let known = names(&["superchat"]);
    let accepted = accept(&request, &known, &OriginPolicy::Any).unwrap();
    let mut answer = Vec::new();
    accepted.encode(&mut answer);
    let response = Response::parse(&answer).unwrap();
    assert_eq!(handshake.verify(&response, &offer), Ok(None));
}

#[test]
fn a_client_refuses_an_answer_that_lacks_anything() {
    // RFC 6455, 4.1
    let answer = "HTTP/1.1 101 X\r\nUpgrade: WebSocket\r\nConnection: x, upgrade\r\n\
                  Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    let handshake = ClientHandshake::new(*b"the sample nonce");
    let verify = |answer: &str| {
        let response = Response::parse(answer.as_bytes()).unwrap();
        handshake.verify(&response, &offer(&[], &names(&["a"])))
    };
    assert_eq!(verify(answer), Ok(None));
    for (from, to) in [
        ("101", "200"),
        ("WebSocket\r\n", "h2c\r\n"),
        ("upgrade\r\n", "y\r\n"),
        ("xOo=", "xOp="),
        ("Sec-WebSocket-Accept: s", "Sec-WebSocket-Accept: S"),
        ("Accept", "Refuse"),
        (
            "Upgrade: WebSocket",
            "Upgrade: WebSocket\r\nSec-WebSocket-Extensions: x",
        ),
        (
            "Upgrade: WebSocket",
            "Upgrade: WebSocket\r\nSec-WebSocket-Protocol: b",
        ),
        (
            "Upgrade: WebSocket",
            "Upgrade: WebSocket\r\nSec-WebSocket-Protocol: A",
        ),
    ] {
        let changed = answer.replacen(from, to, 1);
        assert_ne!(changed, answer);
        assert!(verify(&changed).is_err(), "{from} -> {to}");
    }
}
