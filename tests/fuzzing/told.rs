//! Load clients of each dialect, whose servers say anything.

use super::dialects::drawn;
use super::shards::load;
use super::{Cut, property};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use ringstorm::load::scenario::{
    Cable, CableOptions, IoTransport, NumberedChannels, NumberedChannelsOptions, Senders,
    SocketCluster, SocketClusterOptions, SocketIo, SocketIoOptions, StreamedChannels,
    StreamedChannelsOptions,
};
use ringstorm::load::{Scenario, Transport};
use ringstorm::protocol::websocket::{Opcode, frame};
use std::io::Write as _;
use std::sync::Arc;

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
    r#"{"rid":1,"data":{"id":"x","pingTimeout":10000,"isAuthenticated":true}}"#,
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
    r#"{"rid":2}"#,
    r#"{"rid":1,"data":{"id":"x","isAuthenticated":false,"authError":{"name":"E"}}}"#,
    r#"{"event":"other","data":7,"cid":9}"#,
    "#1",
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
        begins_by: IoTransport::default(),
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
            2 => [HEADS[0], words[14], words[27]],
            3 => [HEADS[0], words[19], words[20]],
            _ => [&begins[random.usize(..begins.len())], HEADS[12], HEADS[12]],
        };
        let usual = &usual[..random.usize(..=3)];
        let told = [usual, &cut.pieces()[..]].concat();
        load(*transport, scenario.clone(), &told);
    });
}
