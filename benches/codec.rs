//! What the codecs cost: one 32-byte echo, unmasking, text, heads, event streams.
//!
//! `cargo bench --bench codec`. The figures of an echo are per message: a receive of 64.

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use ringstorm::limits;
use ringstorm::protocol::http::{HeadReader, Request};
use ringstorm::protocol::sse;
use ringstorm::protocol::websocket::{
    self, Accepted, Decoder, Event, Kind, Opcode, OriginPolicy, Role, frame, mask,
};

fn main() {
    divan::main();
}

const MESSAGES: usize = 64;
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// That many masked messages, as one receive.
fn receive(opcode: Opcode, payload: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..MESSAGES {
        frame::encode(&mut bytes, opcode, payload, key);
    }
    bytes
}

/// Decodes all of `bytes`, and gives each message with the header of its echo to `echo`.
#[inline]
fn echo(
    decoder: &mut Decoder,
    bytes: &mut [u8],
    pool: &mut websocket::Pool,
    mut echo: impl FnMut(&[u8], &[u8]),
) -> usize {
    let (mut at, mut messages) = (0, 0);
    while let Ok(Some(event)) = decoder.next(bytes, &mut at, pool) {
        if let Event::Message { kind, bytes, .. } = event {
            echo(
                frame::header(kind.opcode(), bytes.len(), None).as_bytes(),
                bytes,
            );
            messages += 1;
        }
    }
    messages
}

fn bench_echo(bencher: Bencher<'_, '_>, role: Role, bytes: &[u8], copies: bool) {
    let mut pool = websocket::Pool::new(limits::MESSAGE_BYTES, limits::MESSAGE_FRAGMENTS);
    let mut decoder = Decoder::new(role);
    let mut out = Vec::with_capacity(2 * bytes.len());
    let mut receive = bytes.to_vec();
    bencher.counter(ItemsCount::new(MESSAGES)).bench_local(|| {
        // The echo of the last round would not unmask to the same: begin from the same bytes.
        receive.copy_from_slice(bytes);
        out.clear();
        let messages = echo(&mut decoder, &mut receive, &mut pool, |header, payload| {
            if copies {
                out.extend_from_slice(header);
                out.extend_from_slice(payload);
            } else {
                black_box((header, payload));
            }
        });
        assert_eq!(messages, MESSAGES);
        black_box(&mut out);
    });
}

/// Decode of 32 bytes of binary and encode of the answer's header.
#[divan::bench(sample_size = 100)]
fn echo_32_binary(bencher: Bencher<'_, '_>) {
    bench_echo(
        bencher,
        Role::Server,
        &receive(Opcode::Binary, &[7; 32], Some(KEY)),
        false,
    );
}

/// The same with text, which is checked.
#[divan::bench(sample_size = 100)]
fn echo_32_text(bencher: Bencher<'_, '_>) {
    bench_echo(
        bencher,
        Role::Server,
        &receive(Opcode::Text, &[b'x'; 32], Some(KEY)),
        false,
    );
}

/// The same with header and payload copied into an outbound buffer.
#[divan::bench(sample_size = 100)]
fn echo_32_text_copied(bencher: Bencher<'_, '_>) {
    bench_echo(
        bencher,
        Role::Server,
        &receive(Opcode::Text, &[b'x'; 32], Some(KEY)),
        true,
    );
}

/// Text of which one character is not ASCII.
#[divan::bench(sample_size = 100)]
fn echo_32_text_unicode(bencher: Bencher<'_, '_>) {
    let payload = "a payload of 32 bytes, but one \u{e9}";
    bench_echo(
        bencher,
        Role::Server,
        &receive(Opcode::Text, payload.as_bytes(), Some(KEY)),
        false,
    );
}

/// What the load client decodes.
#[divan::bench(sample_size = 100)]
fn client_32_text(bencher: Bencher<'_, '_>) {
    bench_echo(
        bencher,
        Role::Client,
        &receive(Opcode::Text, &[b'x'; 32], None),
        false,
    );
}

/// Only the copy that the benches above begin with, to be taken off their figures.
#[divan::bench(sample_size = 100)]
fn echo_32_overhead(bencher: Bencher<'_, '_>) {
    let source = receive(Opcode::Text, &[b'x'; 32], Some(KEY));
    let mut receive = source.clone();
    bencher.counter(ItemsCount::new(MESSAGES)).bench_local(|| {
        receive.copy_from_slice(&source);
        black_box(&mut receive);
    });
}

/// Messages that each span two receives.
#[divan::bench(sample_size = 100)]
fn echo_32_split(bencher: Bencher<'_, '_>) {
    let bytes = receive(Opcode::Text, &[b'x'; 32], Some(KEY));
    let mut pool = websocket::Pool::new(limits::MESSAGE_BYTES, limits::MESSAGE_FRAGMENTS);
    let mut decoder = Decoder::new(Role::Server);
    let mut receive = bytes.clone();
    bencher.counter(ItemsCount::new(MESSAGES)).bench_local(|| {
        receive.copy_from_slice(&bytes);
        let mut messages = 0;
        let mut rest = receive.as_mut_slice();
        let mut len = 19;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at_mut(len.min(rest.len()));
            messages += echo(&mut decoder, piece, &mut pool, |header, payload| {
                black_box((header, payload));
            });
            rest = after;
            len = 38;
        }
        assert_eq!(messages, MESSAGES);
    });
}

#[divan::bench(args = [64, 1024, 16 * 1024, 1024 * 1024])]
fn unmask(bencher: Bencher<'_, '_>, len: usize) {
    let mut bytes = vec![7; len + 1];
    bencher
        .counter(BytesCount::new(len))
        .bench_local(|| mask::apply(black_box(&mut bytes[1..]), KEY, 3));
}

/// A browser's request, found, parsed and accepted.
#[divan::bench]
fn accept_upgrade(bencher: Bencher<'_, '_>) {
    let head = b"GET /echo HTTP/1.1\r\nHost: 127.0.0.1:9001\r\nConnection: Upgrade\r\n\
        Pragma: no-cache\r\nCache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux)\r\n\
        Upgrade: websocket\r\nOrigin: http://127.0.0.1:9001\r\nSec-WebSocket-Version: 13\r\n\
        Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-GB,en;q=0.9\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";
    let mut out = Vec::with_capacity(1024);
    bencher.bench_local(|| {
        out.clear();
        let mut reader = HeadReader::default();
        let head = reader
            .next(black_box(head), &mut 0)
            .expect("sound")
            .expect("sound");
        let request = Request::parse(head).expect("sound");
        let accepted: Accepted<'_> =
            websocket::handshake::accept(&request, &[], &OriginPolicy::Any).expect("sound");
        accepted.encode(&mut out);
        black_box(&mut out);
    });
}

fn stream(events: usize) -> Vec<u8> {
    let mut stream = Vec::new();
    for id in 0..events {
        let id = id.to_string();
        let data = r#"{"seq":123456,"sent_ns":1234567890123456}"#;
        let event = sse::Event {
            id: Some(&id),
            event: Some("push"),
            retry_ms: None,
            data,
        };
        sse::encode(&mut stream, &event).expect("sound");
    }
    stream
}

#[divan::bench(sample_size = 100)]
fn sse_encode(bencher: Bencher<'_, '_>) {
    let mut out = Vec::with_capacity(1024);
    let data = r#"{"seq":123456,"sent_ns":1234567890123456}"#;
    let event = sse::Event {
        id: Some("123456"),
        event: Some("push"),
        retry_ms: None,
        data,
    };
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        out.clear();
        sse::encode(&mut out, black_box(&event)).expect("sound");
        black_box(&mut out);
    });
}

fn bench_parse(bencher: Bencher<'_, '_>, piece: usize) {
    let stream = stream(MESSAGES);
    let mut pool = sse::Pool::new(limits::MESSAGE_BYTES);
    let mut parser = sse::Parser::new();
    bencher.counter(ItemsCount::new(MESSAGES)).bench_local(|| {
        let mut events = 0;
        for piece in stream.chunks(piece) {
            let mut at = 0;
            while let Ok(Some(item)) = parser.next(piece, &mut at, &mut pool) {
                black_box(item);
                events += 1;
            }
        }
        assert_eq!(events, MESSAGES);
    });
}

/// Events that lie whole in one receive.
#[divan::bench(sample_size = 100)]
fn sse_parse_whole(bencher: Bencher<'_, '_>) {
    bench_parse(bencher, usize::MAX);
}

/// The same in receives of 50 bytes: each event in two or three pieces.
#[divan::bench(sample_size = 100)]
fn sse_parse_split(bencher: Bencher<'_, '_>) {
    bench_parse(bencher, 50);
}

/// Text that is not ASCII, as one large message: the check of UTF-8 dominates.
#[divan::bench]
fn large_unicode_text(bencher: Bencher<'_, '_>) {
    let payload = "\u{20ac}uro ".repeat(40_000);
    let mut source = Vec::new();
    frame::encode(&mut source, Opcode::Text, payload.as_bytes(), Some(KEY));
    let mut pool = websocket::Pool::new(limits::MESSAGE_BYTES, 1);
    let mut receive = source.clone();
    bencher
        .counter(BytesCount::of_str(&payload))
        .bench_local(|| {
            receive.copy_from_slice(&source);
            let mut decoder = Decoder::new(Role::Server);
            let event = decoder.next(&mut receive, &mut 0, &mut pool);
            assert!(matches!(
                event,
                Ok(Some(Event::Message {
                    kind: Kind::Text,
                    ..
                }))
            ));
        });
}
