//! A server of realtime channels whose clients say anything in any of its dialects, over WebSockets
//! and HTTP; load clients of those dialects whose servers say anything.

use super::shards::{load, serve};
use super::{Cut, property};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use ringstorm::app::realtime::RealtimePlan;
use ringstorm::load::scenario::{
    Cable, CableOptions, NumberedChannels, NumberedChannelsOptions, Senders, SocketCluster,
    SocketClusterOptions, SocketIo, SocketIoOptions, StreamedChannels, StreamedChannelsOptions,
};
use ringstorm::load::{Scenario, Transport};
use ringstorm::protocol::websocket::{Opcode, frame};
use ringstorm::server::{Config, PublicFile, PublicFiles, PublicForm};
use ringstorm::time::Instant;
use std::io::Write as _;
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
            r#"{"id":9,"subscribe":{"channel":"a\"\u0007b","recover":true,"epoch":"x","offset":7}}"#,
            r#"{"id":10,"history":{"channel":"news","limit":-1,"since":{"offset":1},"reverse":true}}"#,
            r#"{"id":11,"refresh":{"token":"a.b.c"}}"#,
            r#"{"id":12,"sub_refresh":{"channel":"news","token":"a.b.c"}}"#,
            r#"{"send":{"data":1}}"#,
            "{}",
            "{\"id\":13,\"ping\":{}}\n{\"id\":14,\"publish\":{\"channel\":\"news\",\"data\":\"b\"}}",
            r#"{"id":15,"dance":{}}"#,
            r#"{"id":1,"connect":{"token":"x","name":"js","subs":{"news":{"recover":true}}}}"#,
            r#"{"id":16,"subscribe":{"channel":"news","flag":1,"delta":"fossil","join_leave":true}}"#,
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
            r##"[{"event":"echo","data":1},{"event":"#publish","data":{"channel":"news"},"cid":8}]"##,
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
    r#"{"command":"message","identifier":"{\"channel\":\"EchoChannel\"}","data":"{\"action\":\"echo\",\"x\":1}"}"#,
    r#"{"command":"subscribe","identifier":"{\"channel\":\"ChatChannel\",\"room\":1}"}"#,
    r#"{"command":"message","identifier":"{\"channel\":\"ChatChannel\",\"room\":1}","data":"{\"action\":\"speak\"}"}"#,
    r#"{"command":"unsubscribe","identifier":"{\"channel\":\"ChatChannel\",\"room\":1}"}"#,
    r#"{"command":"history","identifier":"{\"channel\":\"ChatChannel\",\"room\":1}","history":{"since":1}}"#,
    r#"{"command":"subscribe","identifier":"{\"channel\":\"ChatChannel\",\"room\":\"a\\\"b\"}","history":{"streams":{"x":{"epoch":"e","offset":1}}}}"#,
    r#"{"command":"subscribe","identifier":"{\"channel\":\"$pubsub\",\"stream_name\":\"a\"}"}"#,
    r#"{"command":"subscribe","identifier":"{\"channel\":\"$pubsub\",\"signed_stream_name\":\"a--b\"}"}"#,
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
    config.deflate = true;
    config
}

/// What an input leaves open is drawn from it.
fn drawn(input: &[u8]) -> fastrand::Rng {
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
        let begun = |pieces: Vec<&[u8]>| serve(config, &[usual, &pieces[..]].concat());
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
    "X-\u{e9}: \u{e9}\r\n",
];

const BODIES: &[&str] = &[
    "\r\n",
    "Content-Length: 24\r\n\r\n{\"topic\":\"a\",\"data\":true}",
    "Content-Length: 26\r\n\r\n{\"channel\":\"a\",\"data\":true}",
    "Content-Length: 62\r\n\r\n{\"commands\":[{\"publish\":{\"channel\":\"a\",\"data\":1}},{\"info\":{}}]}",
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
        assert_eq!(serve(config, &cut.pieces()), serve(config, &cut.whole()));
    });
}

const TOLD: &[&str] = &[
    r#"{"id":1,"connect":{"client":"c","version":"x","ping":25,"pong":true}}"#,
    r#"{"id":2,"subscribe":{"recoverable":true,"epoch":"e","offset":3,"positioned":true}}"#,
    r#"{"id":2,"subscribe":{"recovered":true,"publications":[{"data":{"n":1},"offset":4}]}}"#,
    r#"{"push":{"channel":"a0","pub":{"data":"0 1","offset":4}}}"#,
    r#"{"push":{"channel":"a0","unsubscribe":{"code":2500,"reason":"x"}}}"#,
    r#"{"push":{"disconnect":{"code":3000,"reason":"x"}}}"#,
    r#"{"id":3,"error":{"code":100,"message":"x"}}"#,
    "{}\n{}",
    r#"{"type":"welcome"}"#,
    r#"{"type":"ping","message":1}"#,
    r#"{"type":"confirm_subscription","identifier":"{\"channel\":\"a\"}"}"#,
    r#"{"type":"reject_subscription","identifier":"{\"channel\":\"a\"}"}"#,
    r#"{"type":"disconnect","reason":"server_restart","reconnect":true}"#,
    r#"{"identifier":"{\"channel\":\"a\"}","message":{"message":"0 1"}}"#,
    r#"{"rid":1,"data":{"id":"x","pingTimeout":10000,"isAuthenticated":false}}"#,
    r#"{"rid":2,"error":{"name":"E","message":"m"}}"#,
    r##"{"event":"#publish","data":{"channel":"a","data":"0 1"}}"##,
    r##"{"event":"#kickOut","data":{"channel":"a"}}"##,
    "",
    r#"0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":100000}"#,
    r#"40{"sid":"t"}"#,
    r#"44{"message":"no"}"#,
    "2",
    "1",
    r#"430["0 1"]"#,
    r#"42["said","0 1"]"#,
    r#"461-0[{"_placeholder":true,"num":0}]"#,
    "[",
];

const HEADS: &[&[u8]] = &[
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
      Sec-WebSocket-Accept: ",
    b"HTTP/1.1 302 Found\r\nLocation: ../a/./b?c#d\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 307 x\r\nLocation: http://127.0.0.1:1/\r\n\r\n",
    b"HTTP/1.1 308 x\r\nLocation: //H:2\r\n\r\n",
    b"HTTP/1.1 301 x\r\nLocation: ?d\r\nContent-Length: 2\r\n\r\nxy",
    b"HTTP/1.1 302 x\r\nLocation: /..//e\r\nConnection: close\r\n\r\n",
    b"HTTP/1.1 302 x\r\nLocation: https://u@h/\r\n\r\n",
    b"HTTP/1.1 302 x\r\nLocation: http://[::1]:x/\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: br\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip, gzip\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: x\n\nevent: message\nid: 0:1\n",
    b"data: {\"topic\":\"a\",\"offset\":1,\"epoch\":\"e\",\"data\":\"0 1\"}\r\rretry: 5\n\n",
    b"HTTP/1.1 503 no\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 1\r\n\r\nx",
    b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: x\r\n\
      Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n\
      Sec-WebSocket-Accept: ",
    b"HTTP/1.1 101 x\r\nUpgrade: h2c\r\n\r\n",
    b"\r\n\r\n",
    b"\x82\x01x",
    b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\0",
    b"\x88\x02\x03\xe8",
    b"\x81\x04",
];

/// An event stream that is coded though nobody asked, in that coding.
fn coded(coding: &str, pack: impl FnOnce(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\
         Content-Encoding: {coding}\r\n\r\n"
    );
    [head.into_bytes(), pack(b"id: 1\ndata: a\n\n")].concat()
}

/// What servers of event streams begin with.
fn beginnings() -> Vec<Vec<u8>> {
    let level = Compression::fast();
    let gzip = |text: &[u8]| {
        let mut packer = GzEncoder::new(Vec::new(), level);
        packer
            .write_all(text)
            .and_then(|()| packer.finish())
            .unwrap()
    };
    let zlib = |text: &[u8]| {
        let mut packer = ZlibEncoder::new(Vec::new(), level);
        packer
            .write_all(text)
            .and_then(|()| packer.finish())
            .unwrap()
    };
    let raw = |text: &[u8]| {
        let mut packer = DeflateEncoder::new(Vec::new(), level);
        packer
            .write_all(text)
            .and_then(|()| packer.finish())
            .unwrap()
    };
    let coded = [
        coded("x-gzip", gzip),
        coded("deflate", zlib),
        coded("deflate", raw),
    ];
    let plain = HEADS[1..15].iter().map(|head| head.to_vec());
    coded.into_iter().chain(plain).collect()
}

fn scenarios() -> [(Transport, Scenario); 5] {
    let (content_bytes, senders, seed) = (32, Senders::ALL, 7);
    let channels = NumberedChannels::new(NumberedChannelsOptions {
        channel: "a".into(),
        channels: 1,
        auth_token: None,
        content_bytes,
        senders,
        seed,
    });
    let cable = Cable::new(CableOptions {
        channel: "a".to_owned(),
        action: "speak".to_owned(),
        content_bytes,
        senders,
        trigger: None,
        seed,
    });
    let cluster = SocketCluster::new(SocketClusterOptions {
        channel: Some("a".to_owned()),
        procedure: None,
        auth_token: Some("t".to_owned()),
        content_bytes,
        senders,
        seed,
    });
    let io = SocketIo::new(SocketIoOptions {
        namespace: "/".to_owned(),
        event: "echo".to_owned(),
        auth_token: Some("t".to_owned()),
        content_bytes,
        senders,
        seed,
    });
    let streams = StreamedChannels::new(StreamedChannelsOptions {
        topics: vec!["a".to_owned()],
        content_bytes,
        senders,
        seed,
    });
    [
        (Transport::WebSocket, Scenario::Dialogue(Arc::new(channels))),
        (Transport::WebSocket, Scenario::Dialogue(Arc::new(cable))),
        (Transport::WebSocket, Scenario::Dialogue(Arc::new(cluster))),
        (Transport::WebSocket, Scenario::Dialogue(Arc::new(io))),
        (Transport::Sse, Scenario::Dialogue(Arc::new(streams))),
    ]
}

#[test]
fn load_clients_of_each_dialect_end_and_account_for_every_connect_whatever_is_told_to_them() {
    property!(|input: &[u8]| {
        let mut random = drawn(input);
        let all = scenarios();
        let chosen = random.usize(..all.len());
        let (transport, scenario) = &all[chosen];
        let told: Vec<Vec<u8>> = TOLD
            .iter()
            .map(|text| {
                let mut bytes = Vec::new();
                frame::encode(&mut bytes, Opcode::Text, text.as_bytes(), None);
                bytes
            })
            .collect();
        let words: Vec<&[u8]> = told
            .iter()
            .map(Vec::as_slice)
            .chain(HEADS.iter().copied())
            .collect();
        let cut = Cut::new(input, &words);
        let begins = beginnings();
        // Most begin as servers do: with the handshake and what is told to a newcomer.
        let usual: [&[u8]; 3] = match chosen {
            0 => [HEADS[0], words[0], words[1]],
            1 => [HEADS[0], words[8], words[10]],
            2 => [HEADS[0], words[14], words[16]],
            3 => [HEADS[0], words[19], words[20]],
            _ => [&begins[random.usize(..begins.len())], HEADS[12], HEADS[12]],
        };
        let usual = &usual[..random.usize(..=3)];
        let told = [usual, &cut.pieces()[..]].concat();
        load(*transport, scenario.clone(), &told);
    });
}
