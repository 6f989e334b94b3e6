//! Responses, and upgrades to WebSockets.

use super::draws::Draws;
use crate::fuzzing::property;
use ringstorm::protocol::http::{BodyLength, Request, Response};
use ringstorm::protocol::websocket::deflate::{ContextTakeover, Kept, Terms};
use ringstorm::protocol::websocket::{ClientHandshake, Offer, OriginPolicy, handshake};

#[test]
fn a_response_of_any_status_and_fields_is_read_as_it_was_written() {
    property!(|input: &[u8]| {
        let mut draws = Draws::new(input);
        let status = 100 + draws.small() % 500;
        let count = usize::from(draws.byte()) % 140;
        let value = draws.number().to_string();
        let names: Vec<_> = (0..count).map(|at| format!("X-{at}")).collect();
        let fields: Vec<_> = names.iter().map(|name| (&**name, &*value)).collect();
        let body = draws.optional(|it| it.text().into_bytes());
        let mut head = Vec::new();
        Response::encode(&mut head, status, &fields, body.as_deref());
        head.truncate(head.len() - body.as_ref().map_or(0, Vec::len));
        if body.is_none() {
            Response::add_field(&mut head, ("X-Last", &value));
        }
        let length = body.as_ref().map_or(BodyLength::UntilEnd, |body| {
            BodyLength::Known(body.len() as u64)
        });
        let bare = matches!(status, 100..200 | 204 | 304);
        let wanted = if bare { BodyLength::None } else { length };
        let read = Response::parse(&head).expect("what was written");
        assert_eq!((read.status, read.body), (status, wanted));
        let given = read
            .headers
            .iter()
            .filter(|(name, found)| name.starts_with("X-") && *found == value.as_bytes());
        assert_eq!(given.count(), count + usize::from(body.is_none()));
        assert_eq!(
            ringstorm::protocol::http::response::status(&head),
            Ok(status)
        );
    });
}

#[test]
fn an_upgrade_is_agreed_on_by_both_sides_or_by_none() {
    property!(|input: &[u8]| {
        let mut draws = Draws::new(input);
        let mut nonce = [0; 16];
        nonce.fill_with(|| draws.byte());
        let known = ["chat".to_owned(), "b".to_owned()];
        let offered: Vec<_> = known
            .iter()
            .skip(usize::from(draws.byte() % 3))
            .cloned()
            .collect();
        let own = [
            ("Sec-WebSocket-Protocol", "x, b"),
            (
                "Sec-WebSocket-Extensions",
                "permessage-deflate; client_max_window_bits=9",
            ),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Origin", "http://h"),
            ("Sec-WebSocket-Version", "12"),
            ("Connection", "close"),
        ];
        let own = &own[..usize::from(draws.byte() % 7)];
        let own = &own[usize::from(draws.byte() % 6).min(own.len())..];
        let deflate = [None, Some(ContextTakeover::Never)][usize::from(draws.flag())];
        let offer = Offer {
            host: "h",
            target: "/",
            headers: own,
            subprotocols: &offered,
            deflate,
        };
        let client = ClientHandshake::new(nonce);
        let mut request = Vec::new();
        client.encode(&mut request, &offer);
        let request = Request::parse(&request).expect("what was written");
        let origins = OriginPolicy::Only(vec!["http://elsewhere".into()]);
        let origins = [OriginPolicy::Any, origins][usize::from(draws.flag())].clone();
        let accepted = handshake::accept(&request, &known, &origins);
        let refuses = |name: &str| own.iter().any(|(own, _)| *own == name);
        let is_refused = refuses("Sec-WebSocket-Version")
            || refuses("Connection")
            || refuses("Origin") && matches!(origins, OriginPolicy::Only(_));
        assert_eq!(accepted.is_err(), is_refused, "{accepted:?}");
        let Ok(mut accepted) = accepted else { return };
        let deflates = draws.flag();
        if deflates {
            accepted = accepted.deflating(&request, TERMS);
        }
        let mut answer = Vec::new();
        accepted.encode(&mut answer);
        let response = Response::parse(&answer).expect("what was written");
        let is_agreed = match deflate {
            None => !(deflates && refuses("Sec-WebSocket-Extensions")),
            Some(_) => deflates,
        };
        assert_eq!(client.verify(&response, &offer).is_ok(), is_agreed);
        // And nothing else is taken for the answer.
        let answer = String::from_utf8(answer).expect("a text");
        let (what, other) = OTHER_ANSWERS[usize::from(draws.byte()) % OTHER_ANSWERS.len()];
        if answer.contains(what) {
            let answer = answer.replacen(what, other, 1);
            let response = Response::parse(answer.as_bytes()).expect("a response");
            assert!(client.verify(&response, &offer).is_err(), "{answer}");
        }
    });
}

/// A server that keeps no context.
const TERMS: Terms = Terms {
    takeover: ContextTakeover::Never,
    sent: Kept::Nothing,
    room: 0,
};

/// What makes another answer of one that agrees (RFC 6455, 4.1; RFC 7692, 7.1).
const OTHER_ANSWERS: [(&str, &str); 11] = [
    ("HTTP/1.1 101", "HTTP/1.1 200"),
    ("Upgrade: websocket", "Upgrade: h2c"),
    ("Connection: Upgrade", "Connection: close"),
    ("Sec-WebSocket-Accept: ", "Sec-WebSocket-Accept: x"),
    ("\r\n\r\n", "\r\nSec-WebSocket-Protocol: zz\r\n\r\n"),
    (
        "\r\n\r\n",
        "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
    ),
    ("; server_no_context_takeover", ""),
    ("client_no_context_takeover", "client_max_window_bits=9"),
    ("client_no_context_takeover", "server_max_window_bits"),
    ("client_no_context_takeover", "other"),
    ("client_no_context_takeover", "a; a"),
];
