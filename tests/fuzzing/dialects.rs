//! A server of realtime channels whose clients say anything in any of its dialects, over WebSockets
//! and HTTP.

use super::shards::serve;
use super::{Cut, property};
use ringstorm::app::realtime::RealtimePlan;
use ringstorm::protocol::websocket::deflate::{ContextTakeover, WindowBits};
use ringstorm::protocol::websocket::{Opcode, frame};
use ringstorm::server::{Config, PublicFile, PublicFiles, PublicForm};
use ringstorm::time::Instant;
use std::sync::Arc;
use std::time::Duration;

/// How clients of one dialect come, and what they say.
struct Dialect {
    path: &'static str,
    subprotocol: &'static str,
    says: &'static [&'static str],
}

const DIALECTS: [Dialect; 4] = [
    Dialect {
        path: "/connection/websocket",
        subprotocol: "",
        says: &[
            r#"{"id":1,"connect":{}}"#,
            r#"{"id":2,"subscribe":{"channel":"news"}}"#,
            r#"{"id":3,"publish":{"channel":"news","data":{"a":1}}}"#,
            r#"{"id":4,"history":{"channel":"news","limit":10}}"#,
            r#"{"id":5,"presence":{"channel":"news"}}"#,
            r#"{"id":6,"presence_stats":{"channel":"news"}}"#,
            r#"{"id":7,"rpc":{"method":"echo","data":[1]}}"#,
            r#"{"id":8,"unsubscribe":{"channel":"news"}}"#,
            concat!(
                r#"{"id":9,"subscribe":{"channel":"a\"\u0007b","recover":true,"epoch":"x","offset"#,
                r#"":7}}"#,
            ),
            concat!(
                r#"{"id":10,"history":{"channel":"news","limit":-1,"since":{"offset":1},"reverse""#,
                r#":true}}"#,
            ),
            r#"{"id":11,"refresh":{"token":"a.b.c"}}"#,
            r#"{"id":12,"sub_refresh":{"channel":"news","token":"a.b.c"}}"#,
            r#"{"send":{"data":1}}"#,
            "{}",
            "{\"id\":13,\"ping\":{}}\n{\"id\":14,\"publish\":{\"channel\":\"news\",\"data\":\
             \"b\"}}",
            r#"{"id":15,"dance":{}}"#,
            r#"{"id":1,"connect":{"token":"x","name":"js","subs":{"news":{"recover":true}}}}"#,
            concat!(
                r#"{"id":16,"subscribe":{"channel":"news","join_leave":true,"positioned":true}}"#,
                r#"{"id":17,"subscribe":{"channel":"$sessions"}}"#,
                r#"{"id":18,"connect":{"token":"a.b.c"}}"#,
                r#"{"id":16,"subscribe":{"channel":"news","flag":1,"delta":"fossil","join_leave":"#,
                r#"true}}"#,
            ),
            "[",
        ],
    },
    Dialect {
        path: "/socketcluster/",
        subprotocol: "",
        says: &[
            r##"{"event":"#handshake","data":{"authToken":null},"cid":1}"##,
            r##"{"event":"#subscribe","data":{"channel":"news"},"cid":2}"##,
            r##"{"event":"#publish","data":{"channel":"news","data":1},"cid":3}"##,
            r#"{"event":"sum","data":{"a":1,"b":2},"cid":4}"#,
            r#"{"event":"fail","cid":5}"#,
            r#"{"event":"echo","data":"x"}"#,
            r#"{"event":"ping"}"#,
            r##"{"event":"#unsubscribe","data":"news","cid":6}"##,
            r##"{"event":"#authenticate","data":"a.b.c","cid":7}"##,
            r##"{"event":"#removeAuthToken"}"##,
            r#"{"rid":1,"data":{"x":1}}"#,
            r#"{"rid":2,"error":{"name":"E","message":"m"}}"#,
            concat!(
                r##"[{"event":"echo","data":1},"##,
                r##"{"event":"#publish","data":{"channel":"news"},"cid""##,
                r##":8}]"##,
            ),
            "",
            "#2",
            r##"{"event":"#subscribe","data":{"channel":"a\"b","data":{"token":"t"}},"cid":1e3}"##,
            r##"{"event":"#handshake","data":{"authToken":"a.b.c"},"cid":2}"##,
            r##"{"event":"#disconnect","data":{"code":1000}}"##,
            "[1,",
        ],
    },
    Dialect {
        path: "/cable",
        subprotocol: "actioncable-v1-ext-json",
        says: CABLE_SAYS,
    },
    Dialect {
        path: "/socket.io/?EIO=4&transport=websocket",
        subprotocol: "",
        says: &[
            "40",
            r#"42["echo",1]"#,
            r#"421["echo",{"a":1}]"#,
            r#"422["join","r"]"#,
            r#"42["say","r",{"x":1}]"#,
            r#"423["leave","r"]"#,
            r#"451-4["echo",{"_placeholder":true,"num":0}]"#,
            r#"40{"token":"x"}"#,
            "40/admin,",
            "41",
            "3",
            "1",
            "431[]",
            r#"42/admin,["echo"]"#,
            "2probe",
            "5",
            r#"42["connect"]"#,
            r#"42[7]"#,
            "4\u{e9}",
        ],
    },
];

const CABLE_SAYS: &[&str] = &[
    r#"{"command":"subscribe","identifier":"{\"channel\":\"EchoChannel\"}"}"#,
    concat!(
        r#"{"command":"message","identifier":"{\"channel\":\"EchoChannel\"}","data":"{\"a"#,
        r#"ction\":\"echo\",\"x\":1}"}"#,
    ),
    r#"{"command":"subscribe","identifier":"{\"channel\":\"ChatChannel\",\"room\":1}"}"#,
    concat!(
        r#"{"command":"message","identifier":"{\"channel\":\"ChatChannel\",\"room\":1}",""#,
        r#"data":"{\"action\":\"speak\"}"}"#,
    ),
    r#"{"command":"unsubscribe","identifier":"{\"channel\":\"ChatChannel\",\"room\":1}"}"#,
    concat!(
        r#"{"command":"history","identifier":"{\"channel\":\"ChatChannel\",\"room\":1}",""#,
        r#"history":{"since":1}}"#,
    ),
    concat!(
        r#"{"command":"subscribe","identifier":"{\"channel\":\"ChatChannel\",\"room\":\"a"#,
        r#"\\\"b\"}","history":{"streams":{"x":{"epoch":"e","offset":1}}}}"#,
    ),
    r#"{"command":"subscribe","identifier":"{\"channel\":\"$pubsub\",\"stream_name\":\"a\"}"}"#,
    concat!(
        r#"{"command":"subscribe","identifier":"{\"channel\":\"$pubsub\",\"signed_stream_"#,
        r#"name\":\"a--b\"}"}"#,
    ),
    r#"{"command":"pong"}"#,
    r#"{"command":"message","identifier":"x","data":"{"}"#,
    r#"{"command":"dance","identifier":"x"}"#,
    r#"{"command":"subscribe","identifier":"{\"channel\":\"News\"}"}"#,
    "{",
];

/// A server of all of them, and of a file.
fn config(started: Instant) -> Config {
    let mut public = PublicFiles::new(Duration::from_secs(60));
    let form = |byte: u8, etag: &str| PublicForm {
        bytes: vec![byte; 300].into(),
        etag: format!("\"{etag}\""),
    };
    let file = PublicFile {
        media_type: "text/plain".to_owned(),
        changed_unix_s: Some(784_111_777),
        plain: form(b'x', "a"),
        gzip: Some(form(b'g', "z")),
        brotli: None,
        policy: None,
    };
    public.insert("/file.txt".to_owned(), file);
    let mut config = Config::new("scripted", started);
    config.epoch = Some(Duration::from_secs(1_700_000_000));
    config.realtime = Some(RealtimePlan::dev([7; 32]));
    config.subprotocols = vec!["chat".to_owned()];
    config.public = Arc::new(public);
    config.deflate = Some(ContextTakeover::Within(WindowBits::USUAL));
    config
}

/// What an input leaves open is drawn from it.
pub(super) fn drawn(input: &[u8]) -> fastrand::Rng {
    let fold = |seed: u64, byte: &u8| seed.wrapping_mul(31).wrapping_add(u64::from(*byte));
    fastrand::Rng::with_seed(input.iter().take(64).fold(7, fold))
}

fn framed(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode(&mut bytes, Opcode::Text, text.as_bytes(), Some([0; 4]));
    bytes
}

#[test]
fn clients_of_each_dialect_are_answered_alike_in_any_pieces() {
    property!(|input: &[u8]| {
        let mut random = drawn(input);
        let dialect = &DIALECTS[random.usize(..DIALECTS.len())];
        let subprotocol = match dialect.subprotocol {
            "" => String::new(),
            name => format!("Sec-WebSocket-Protocol: {name}\r\n"),
        };
        let head = format!(
            "GET {} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             {subprotocol}Sec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            dialect.path
        );
        let mut words: Vec<Vec<u8>> = dialect.says.iter().map(|text| framed(text)).collect();
        words.push(b"\x82\x82\0\0\0\0\x01\x02".to_vec());
        words.push(b"\x88\x82\0\0\0\0\x03\xe8".to_vec());
        words.push(b"\x81\x81\0\0\0\0".to_vec());
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let cut = Cut::new(input, &words);
        // Most begin as clients do: with the handshake and a subscription.
        let usual = [head.as_bytes(), words[0], words[1], words[2]];
        let usual = &usual[..random.usize(1..=4)];
        let other = [head.as_bytes(), words[0], words[1], words[2], words[3]];
        let other = &other[..random.usize(..=other.len())];
        let begun = |pieces: Vec<&[u8]>| serve(config, &[usual, &pieces[..]].concat(), other);
        let (pieces, whole) = (begun(cut.pieces()), begun(cut.whole()));
        let said = || String::from_utf8_lossy(&whole.0);
        assert_eq!(pieces, whole, "{}: {}", dialect.path, said());
    });
}

const STARTS: &[&str] = &[
    "GET /file.txt HTTP/1.1\r\nHost: h\r\n",
    "GET /echo HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    "GET /events HTTP/1.1\r\nHost: h\r\n",
    "GET /channels?topic=a&topic=b HTTP/1.1\r\nHost: h\r\n",
    "GET /connection/uni_sse?cf_connect={\"subs\":{\"a\":{}}} HTTP/1.1\r\nHost: h\r\n",
    "POST /publish HTTP/1.1\r\nHost: h\r\nX-API-Key: dev\r\n",
    "POST /api/publish HTTP/1.1\r\nHost: h\r\nX-API-Key: dev\r\n",
    "POST /api/batch HTTP/1.1\r\nHost: h\r\nX-API-Key: dev\r\n",
    "POST /_broadcast HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer dev\r\n",
    "HEAD /file.txt HTTP/1.1\r\nHost: h\r\n",
    "OPTIONS /events HTTP/1.1\r\nHost: h\r\n",
    "GET /file.txt HTTP/1.0\r\n",
    "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: h\r\n",
    "POST /socket.io/?EIO=4&transport=polling&sid=x HTTP/1.1\r\nHost: h\r\n",
    "POST /api/subscribe HTTP/1.1\r\nHost: h\r\nX-API-Key: dev\r\n",
    "PUT * HTTP/1.1\r\nHost: h\r\n",
    "GET HTTP://h:1/file.txt HTTP/1.1\r\nHost: h\r\n",
    "GET http://h?x HTTP/1.1\r\nHost: h\r\n",
    "CONNECT h:1 HTTP/1.1\r\nHost: h\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: h\r\n",
    "GET /#a HTTP/1.1\r\nHost: h\r\n",
    "GET /echo HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2hvcnQ=\r\n",
];

const FIELDS: &[&str] = &[
    "If-None-Match: \"a\", W/\"b\"\r\n",
    "If-None-Match: *\r\n",
    "If-Match: \"b\"\r\n",
    "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
    "If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT\r\n",
    "If-Unmodified-Since: Sun Nov  6 08:49:36 1994\r\n",
    "If-Range: \"a\"\r\nRange: bytes=1-2\r\n",
    "If-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
    "Range: bytes=0-9\r\n",
    "Range: bytes=-5\r\n",
    "Range: bytes=290-\r\n",
    "Range: bytes=900-\r\n",
    "Range: bytes=1-2,4-5\r\n",
    "Range: bytes=9-1\r\n",
    "Accept-Encoding: gzip;q=0.5, br, *;q=0\r\n",
    "Accept-Encoding: identity;q=0, GZIP\r\n",
    "Accept: text/event-stream;q=0.3, */*;q=0.1\r\n",
    "Accept: text/*;q=0, text/event-stream;level=\"1\"\r\n",
    "Accept: text/html\r\n",
    "Origin: http://h\r\n",
    "Origin: http://elsewhere:81\r\n",
    "Last-Event-ID: 00000000:1\r\n",
    "Expect: 100-continue\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive, x\r\n",
    "Sec-WebSocket-Protocol: chat, b\r\n",
    "Sec-WebSocket-Extensions: permessage-deflate\r\n",
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=9; \
     server_max_window_bits=12; server_no_context_takeover\r\n",
    "Sec-WebSocket-Extensions: x-y; a=\"b\", permessage-deflate; client_no_context_takeover; \
     client_max_window_bits; server_max_window_bits=\"10\"\r\n",
    "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99, \
     permessage-deflate; a; a\r\n",
    "Sec-WebSocket-Version: 12\r\n",
    "X-Folded: a\r\n b\r\n",
    "Host: i\r\n",
    "Host: a b\r\n",
    "Transfer-Encoding: gzip\r\n",
    "X-\u{e9}: \u{e9}\r\n",
];

const BODIES: &[&str] = &[
    "\r\n",
    "Content-Length: 24\r\n\r\n{\"topic\":\"a\",\"data\":true}",
    "Content-Length: 26\r\n\r\n{\"channel\":\"a\",\"data\":true}",
    "Content-Length: 62\r\n\r\n{\"commands\":[{\"publish\":{\"channel\":\"a\",\"data\
     \":1}},{\"info\":{}}]}",
    "Content-Length: 25\r\n\r\n{\"stream\":\"a\",\"data\":\"1\"}",
    "Transfer-Encoding: chunked\r\n\r\n2;a=b\r\n{}\r\n0\r\nX: y\r\n\r\n",
    "Content-Length: 2, 2\r\n\r\n{}",
];

const BEHIND: &[&[u8]] = &[
    b"GET /file.txt HTTP/1.1\r\nHost: h\r\n\r\n",
    b"\xc1\x87\0\0\0\0\xf2\x48\xcd\xc9\xc9\x07\0",
    b"\x81\x85\0\0\0\0hello",
    b"\xc2\x81\0\0\0\0\0",
    b"\x88\x80\0\0\0\0",
    b"\x16\x03\x01\0",
    b"\r\n",
];

#[test]
fn whatever_is_asked_over_http_is_answered_alike_in_any_pieces() {
    property!(|input: &[u8]| {
        let mut random = drawn(input);
        let mut pick = |from: &[&'static str]| from[random.usize(..from.len())];
        let start = pick(STARTS);
        let fields = pick(FIELDS).to_owned() + pick(FIELDS);
        let request = format!("{start}{fields}{}", pick(BODIES)).into_bytes();
        let mut words = BEHIND.to_vec();
        words.insert(0, &request);
        // A zero is the first word: the request.
        let cut = Cut::new(&[&[0, 0, 0], input].concat(), &words);
        let whole = serve(config, &cut.whole(), &[]);
        assert_eq!(serve(config, &cut.pieces(), &[]), whole);
    });
}
