//! The codecs: whatever comes, it is read alike however it is cut, and what is taken can be written
//! and read again.

use super::{Cut, property};
use crate::heads::{chunked, heads};
use ringstorm::limits;
use ringstorm::protocol::http::{BodyLength, Request, Response};
use ringstorm::protocol::sse::{self, Item, Parser};
use ringstorm::protocol::websocket::{Decoder, Event, Extension, Kind, Opcode, Pool, Role, frame};
use ringstorm::protocol::{Fault, cable, json, socketcluster, socketio};

const MAX_MESSAGE: usize = 3000;

const REQUEST: &[&[u8]] = &[
    b"GET ",
    b"POST ",
    b"/",
    b"/echo?a=b",
    b"*",
    b" HTTP/1.1\r\n",
    b" HTTP/1.0\r\n",
    b"Host: h\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive, Upgrade\r\n",
    b"\r\n",
    b"\n",
    b"X: ",
    b"a",
    b" ",
    b"\t",
    b": ",
    b"GET / HTTP/1.1\r\nHost: h\r\n",
    b"\0",
    b"\r",
];

const RESPONSE: &[&[u8]] = &[
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 101 \r\n",
    b"HTTP/1.0 503 no\r\n",
    b"HTTP/1.1 204\r\n",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Upgrade: websocket\r\n",
    b"\r\n",
    b"\n",
    b"X: ",
    b"a",
    b" ",
    b"1",
    b": ",
    b"\0",
    b"\r",
];

type Fields = Vec<(String, Vec<u8>)>;

fn fields<'a>(headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> Fields {
    headers
        .map(|(name, value)| (name.to_owned(), value.to_vec()))
        .collect()
}

/// Headers that can be written: text.
fn written(fields: &Fields) -> Option<Vec<(&str, &str)>> {
    let text =
        |(name, value): &'_ (String, Vec<u8>)| std::str::from_utf8(value).ok().map(|_| name.len());
    fields.iter().map(text).collect::<Option<Vec<_>>>()?;
    fields
        .iter()
        .map(|(name, value)| Some((name.as_str(), std::str::from_utf8(value).ok()?)))
        .collect()
}

#[test]
fn a_request_head_is_found_alike_in_any_pieces_and_what_is_taken_is_read_back() {
    property!(|input: &[u8]| {
        let cut = Cut::new(input, REQUEST);
        let found = heads(&cut.whole());
        assert_eq!(heads(&cut.pieces()), found);
        for head in &found.0 {
            assert!(head.len() <= limits::HEAD_BYTES);
            let Ok(request) = Request::parse(head) else {
                continue;
            };
            let taken = fields(request.headers.iter());
            assert!(taken.len() <= limits::HEAD_FIELDS);
            if request.minor_version == 0 {
                continue;
            }
            if let Some(headers) = written(&taken) {
                let mut again = Vec::new();
                Request::encode(&mut again, request.method, request.target, &headers);
                let read = Request::parse(&again).expect("what was taken once");
                assert_eq!((read.method, read.target), (request.method, request.target));
                assert_eq!(fields(read.headers.iter()), taken);
                assert_eq!(
                    (read.body, read.keep_alive),
                    (request.body, request.keep_alive)
                );
            }
        }
    });
}

#[test]
fn a_response_head_is_found_alike_in_any_pieces_and_says_how_its_body_ends() {
    property!(|input: &[u8]| {
        let cut = Cut::new(input, RESPONSE);
        let found = heads(&cut.whole());
        assert_eq!(heads(&cut.pieces()), found);
        for head in &found.0 {
            if let Ok(response) = Response::parse(head) {
                assert!((100..1000).contains(&response.status));
                // RFC 9112, 6.3: these have none.
                let bare = matches!(response.status, 100..200 | 204 | 304);
                assert!(!bare || response.body == BodyLength::None);
            }
        }
    });
}

#[test]
fn a_chunked_body_is_read_alike_in_any_pieces_and_never_longer_than_it_came() {
    let words: &[&[u8]] = &[
        b"5\r\nabcde\r\n",
        b"0\r\n",
        b"\r\n",
        b"3",
        b";x=y",
        b"A\r\n",
        b"T: v\r\n",
        b"00",
        b"f",
        b"abc",
    ];
    property!(|input: &[u8]| {
        let cut = Cut::new(input, words);
        let read = chunked(&cut.whole());
        assert_eq!(chunked(&cut.pieces()), read);
        let (content, end) = read;
        let used = end.map_or(0, |(used, _)| used);
        assert!(content.len() + used <= 2 * cut.bytes.len());
    });
}

#[derive(Debug, PartialEq, Eq)]
enum Said {
    Message(Kind, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
    Fault(Option<u16>),
}

fn hear(decoder: &mut Decoder, pieces: &[&[u8]]) -> Vec<Said> {
    let mut pool = Pool::new(MAX_MESSAGE, 10);
    let mut said = Vec::new();
    for piece in pieces {
        let (mut bytes, mut at) = (piece.to_vec(), 0);
        loop {
            said.push(match decoder.next(&mut bytes, &mut at, &mut pool) {
                Ok(None) => break,
                Ok(Some(Event::Message { kind, bytes, .. })) => Said::Message(kind, bytes.to_vec()),
                Ok(Some(Event::Ping(payload))) => Said::Ping(payload.to_vec()),
                Ok(Some(Event::Pong(payload))) => Said::Pong(payload.to_vec()),
                Ok(Some(Event::Close { code, reason })) => Said::Close(code, reason.to_owned()),
                Err(Fault::WebSocket { code, .. }) => Said::Fault(Some(code)),
                Err(_) => Said::Fault(None),
            });
        }
        assert_eq!(at, bytes.len());
    }
    decoder.release(&mut pool);
    said
}

/// What a decoder of that role hears is the same in any pieces, within its bounds, and said again
/// it is heard again.
fn frames(role: Role, input: &[u8], words: &[&[u8]]) {
    let cut = Cut::new(input, words);
    for extension in [Extension::None, Extension::Deflate] {
        let decoder = || Decoder::new(role).with(extension);
        let said = hear(&mut decoder(), &cut.whole());
        assert_eq!(hear(&mut decoder(), &cut.pieces()), said);
        let ends = |it: &Said| matches!(it, Said::Close(..) | Said::Fault(_));
        let end = said.iter().position(ends);
        assert!(
            end.is_none_or(|at| at + 1 == said.len()),
            "nothing after the end"
        );
        let mut again = Vec::new();
        let key = matches!(role, Role::Server).then_some([1, 2, 3, 4]);
        for it in &said {
            match it {
                Said::Message(kind, bytes) => {
                    assert!(bytes.len() <= MAX_MESSAGE);
                    assert!(*kind == Kind::Binary || std::str::from_utf8(bytes).is_ok());
                    frame::encode(&mut again, kind.opcode(), bytes, key);
                }
                Said::Ping(payload) => frame::encode(&mut again, Opcode::Ping, payload, key),
                Said::Pong(payload) => frame::encode(&mut again, Opcode::Pong, payload, key),
                Said::Close(None, _) => frame::encode(&mut again, Opcode::Close, &[], key),
                Said::Close(Some(code), reason) => {
                    let mut payload = Vec::new();
                    frame::close_payload(&mut payload, *code, reason);
                    frame::encode(&mut again, Opcode::Close, &payload, key);
                }
                Said::Fault(code) => assert!(matches!(code, Some(1002 | 1007 | 1009))),
            }
        }
        let sound = said.iter().filter(|it| !matches!(it, Said::Fault(_)));
        let heard = hear(&mut decoder(), &[&again]);
        assert!(heard.iter().eq(sound));
    }
}

#[test]
fn a_server_hears_the_same_frames_in_any_pieces() {
    let words: &[&[u8]] = &[
        b"\x81\x85\x01\x02\x03\x04",
        b"\x82\x80\0\0\0\0",
        b"\x01\x83\0\0\0\0",
        b"\x80\x83\0\0\0\0",
        b"\x89\x82\0\0\0\0",
        b"\x88\x82\0\0\0\0\x03\xe8",
        b"\xc1\x87\0\0\0\0",
        b"\xf2\x48\xcd\xc9\xc9\x07\0",
        b"\x81\xfe\0\x80\0\0\0\0",
        b"abc",
        b"\xe2\x82",
        b"\xac",
        b"\x82\xff\0\0\0\0\0\x01\0\0\0\0\0\0",
    ];
    property!(|input: &[u8]| frames(Role::Server, input, words));
}

#[test]
fn a_client_hears_the_same_frames_in_any_pieces() {
    let words: &[&[u8]] = &[
        b"\x81\x05hello",
        b"\x82\0",
        b"\x01\x03abc",
        b"\x80\x03abc",
        b"\x89\x02hi",
        b"\x8a\0",
        b"\x88\x02\x03\xe8",
        b"\x88\0",
        b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\0",
        b"\x81\x7e\0\x80",
        b"\x81\x03",
        b"\xe2\x82\xac",
        b"\xe2",
        b"\x82\x7f\0\0\0\0\0\x01\0\0",
        b"abc",
    ];
    property!(|input: &[u8]| frames(Role::Client, input, words));
}

#[test]
fn text_is_taken_if_it_is_utf8_however_it_is_fragmented() {
    property!(|input: &[u8]| {
        let cut = Cut::new(
            input,
            &[
                b"a",
                b"\xc3",
                b"\xa4",
                b"\xe2\x82\xac",
                b"\xf0\x9f",
                b"\x98\x80",
                b"\xed",
                b"\xa0",
            ],
        );
        let is_text = std::str::from_utf8(&cut.bytes).is_ok();
        let mut parts = cut.pieces();
        parts.truncate(9);
        let text = parts.concat();
        let whole = text.len() == cut.bytes.len();
        let mut bytes = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            let begin = bytes.len();
            let first = [Opcode::Continuation, Opcode::Text][usize::from(index == 0)];
            frame::encode(&mut bytes, first, part, None);
            if index + 1 < parts.len() {
                bytes[begin] &= 0x7f;
            }
        }
        if whole && !parts.is_empty() {
            let said = hear(&mut Decoder::new(Role::Client), &[&bytes]);
            let expected = if is_text {
                Said::Message(Kind::Text, text)
            } else {
                Said::Fault(Some(1007))
            };
            assert_eq!(said, [expected]);
        }
    });
}

#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Event(String, String, String),
    Retry(u64),
    Comment,
}

fn events(pieces: &[&[u8]]) -> (Vec<Heard>, bool) {
    let mut pool = sse::Pool::new(MAX_MESSAGE);
    let mut parser = Parser::new();
    let mut heard = Vec::new();
    for piece in pieces {
        let mut at = 0;
        loop {
            match parser.next(piece, &mut at, &mut pool) {
                Ok(None) => break,
                Ok(Some(Item::Event(it))) => heard.push(Heard::Event(
                    it.event.to_owned(),
                    it.data.to_owned(),
                    it.last_event_id.to_owned(),
                )),
                Ok(Some(Item::Retry(ms))) => heard.push(Heard::Retry(ms)),
                Ok(Some(Item::Comment)) => heard.push(Heard::Comment),
                Err(_) => return (heard, true),
            }
        }
        assert_eq!(at, piece.len());
    }
    (heard, false)
}

#[test]
fn an_event_stream_is_read_alike_in_any_pieces_and_its_events_are_written_back() {
    let words: &[&[u8]] = &[
        b"data: a\n",
        b"data",
        b"event: e\n",
        b"id: 1\n",
        b"retry: 5\n",
        b"\n",
        b"\r",
        b"\r\n",
        b": c\n",
        b":",
        b" ",
        b"\xef\xbb\xbf",
        b"\xe2\x82\xac",
        b"\0",
        b"x",
    ];
    property!(|input: &[u8]| {
        let cut = Cut::new(input, words);
        let (heard, failed) = events(&cut.whole());
        assert_eq!(events(&cut.pieces()), (events(&cut.whole()).0, failed));
        for it in &heard {
            if let Heard::Event(event, data, id) = it {
                assert!(data.len() <= MAX_MESSAGE);
                let mut written = Vec::new();
                let event = sse::Event {
                    id: Some(id),
                    event: (event != "message").then_some(event),
                    retry_ms: None,
                    data,
                };
                sse::encode(&mut written, &event).expect("what came in a line");
                assert_eq!(
                    events(&[&written]).0,
                    [Heard::Event(
                        event.event.unwrap_or("message").to_owned(),
                        data.clone(),
                        id.clone(),
                    )]
                );
            }
        }
    });
}

#[test]
fn what_servers_of_other_makes_say_is_read_or_refused_and_a_text_survives_its_quotes() {
    let words: &[&[u8]] = &[
        br#"{"type":"ping","message":1}"#,
        br#"{"type":"welcome"}"#,
        br#"{"identifier":"{}","#,
        br#""type":"confirm_subscription"}"#,
        b"#1",
        b"#2",
        br##"{"event":"#publish","data":{"channel":"c","data":1}}"##,
        br#"{"rid":1,"data":{"id":"x","pingTimeout":10000}}"#,
        b"0{\"sid\":\"a\",\"pingInterval\":1,\"pingTimeout\":2}",
        b"2",
        b"3probe",
        b"40/chat,{}",
        b"42/chat,7[\"e\",1]",
        b"451-[\"e\"]",
        b"[",
        b"]",
        b"{",
        b"}",
        b"\"",
        b",",
        b":",
        b"1",
    ];
    property!(|input: &[u8]| {
        let cut = Cut::new(input, words);
        let text = &cut.bytes;
        let cable = cable::read(text).map(|it| format!("{it:?}"));
        assert_eq!(cable, cable::read(text).map(|it| format!("{it:?}")));
        let mut calls = 0;
        let _ = socketcluster::read(text, |_| calls += 1);
        // An empty text is a ping.
        assert!(calls <= text.len() + 1);
        if let Ok(socketio::Packet::Message(said)) = socketio::read(text) {
            let whole = std::str::from_utf8(text).expect("what was read is text");
            assert!(whole.ends_with(said.data));
            assert!(said.namespace == "/" || whole.contains(said.namespace));
        }
        if let Ok(text) = std::str::from_utf8(text) {
            let mut quoted = Vec::new();
            json::string(&mut quoted, text);
            let read: String = serde_json::from_slice(&quoted).expect("a string");
            assert_eq!(read, text);
        }
    });
}
