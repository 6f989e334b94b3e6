//! No input costs more than in proportion to its length: twice as much, byte by byte, is at most
//! twice the work, counted in instructions under valgrind.

use super::wire::{self, Scripted};
use crate::certificates::{Certificates, Mutual};
use ringstorm::protocol::http::{BodyLength, BodyReader, HeadReader, Request};
use ringstorm::protocol::sse::{self, Parser};
use ringstorm::protocol::websocket::deflate::Deflater;
use ringstorm::protocol::websocket::{Decoder, Extension, Opcode, Pool, Role, frame};
use ringstorm::protocol::{cable, socketcluster, socketio};
use ringstorm::server::{self, Server};
use ringstorm::shard::{ConnectionId, Core, Origin, Shard};
use ringstorm::tls::{self, Tls};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConnection, SupportedProtocolVersion};
use std::io::Write;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::LazyLock;

/// What twice the input may cost more, of what the input before it cost more: two, and what arrays
/// that double their size make of it. Copying all there is at each byte comes to 2.2 and more.
const GROWTH_MAX: f64 = 2.15;
const ID: ConnectionId = ConnectionId::new(0, 1);
const ACCEPTED: Origin = Origin::Accepted { listener: 0 };
const KEY: [u8; 4] = [1, 2, 3, 4];
const MAX_MESSAGE: usize = 1 << 20;

const UPGRADE: &[u8] = b"GET /echo HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

static CERTIFICATES: LazyLock<Certificates> = LazyLock::new(Certificates::new);

/// Reads an input of about so many bytes, a byte at a time if it comes in pieces at all; what was
/// understood of it.
type Feed = fn(usize) -> usize;

/// Each with the length that it begins with.
const FEEDS: &[(&str, usize, Feed)] = &[
    ("one long field", 1_500, one_long_field),
    ("many heads", 2_000, many_heads),
    ("chunks of a byte", 4_000, chunks_of_a_byte),
    ("one long chunk", 8_000, one_long_chunk),
    ("one long message", 8_000, one_long_message),
    ("one long text", 8_000, one_long_text),
    ("one long deflated text", 2_000, one_long_deflated_text),
    ("many fragments", 200, many_fragments),
    ("empty messages", 4_000, empty_messages),
    ("pings in a message", 4_000, pings_in_a_message),
    ("one long line of an event", 8_000, one_long_line),
    ("many lines of an event", 8_000, many_lines),
    ("many fields without an event", 8_000, many_fields),
    ("a server's long message", 8_000, a_servers_long_message),
    ("a server's many requests", 2_000, a_servers_many_requests),
    ("one long record", 4_000, one_long_record),
    ("records of a byte", 500, records_of_a_byte),
    ("a long hello", 4_000, a_long_hello),
    ("arrays in arrays", 25, arrays_in_arrays),
    ("escapes", 8_000, escapes),
];

fn bytes_of(bytes: &[u8]) -> impl Iterator<Item = [u8; 1]> {
    bytes.iter().map(|byte| [*byte])
}

fn heads(bytes: &[u8]) -> usize {
    let mut reader = HeadReader::default();
    let mut found = 0;
    for piece in bytes_of(bytes) {
        let mut at = 0;
        while let Some(head) = reader.next(&piece, &mut at).unwrap() {
            found += Request::parse(head).unwrap().headers.iter().count();
        }
    }
    found
}

fn one_long_field(len: usize) -> usize {
    heads(format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "a".repeat(len)).as_bytes())
}

fn many_heads(len: usize) -> usize {
    let head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    heads(head.repeat(len / head.len()).as_bytes())
}

fn body(bytes: &[u8]) -> usize {
    let mut reader = BodyReader::new(BodyLength::Chunked);
    let mut content = 0;
    for piece in bytes_of(bytes) {
        let mut at = 0;
        while let Some(part) = reader.next(&piece, &mut at).unwrap() {
            content += part.len();
        }
    }
    content
}

fn chunks_of_a_byte(len: usize) -> usize {
    let chunk = "1\r\na\r\n";
    body((chunk.repeat(len / chunk.len()) + "0\r\n\r\n").as_bytes())
}

fn one_long_chunk(len: usize) -> usize {
    body(format!("{len:x}\r\n{}\r\n0\r\n\r\n", "a".repeat(len)).as_bytes())
}

fn messages(extension: Extension, bytes: &[u8]) -> usize {
    let mut decoder = Decoder::new(Role::Server).with(extension);
    let mut pool = Pool::new(MAX_MESSAGE, 1024);
    let mut heard = 0;
    for mut piece in bytes_of(bytes) {
        let mut at = 0;
        while decoder
            .next(&mut piece, &mut at, &mut pool)
            .unwrap()
            .is_some()
        {
            heard += 1;
        }
    }
    decoder.release(&mut pool);
    heard
}

fn framed(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode(&mut bytes, opcode, payload, Some(KEY));
    bytes
}

fn one_long_message(len: usize) -> usize {
    messages(Extension::None, &framed(Opcode::Binary, &vec![7; len]))
}

fn one_long_text(len: usize) -> usize {
    let text = "\u{20ac}".repeat(len / 3);
    messages(Extension::None, &framed(Opcode::Text, text.as_bytes()))
}

fn one_long_deflated_text(len: usize) -> usize {
    let mut random = fastrand::Rng::with_seed(7);
    let text: String = (0..len).map(|_| random.alphanumeric()).collect();
    let mut deflater = Deflater::default();
    let packed = deflater.deflate(text.as_bytes()).unwrap();
    let mut bytes = framed(Opcode::Text, packed);
    bytes[0] |= 0x40;
    messages(Extension::Deflate, &bytes)
}

fn many_fragments(len: usize) -> usize {
    let mut bytes = framed(Opcode::Text, b"a");
    bytes[0] &= 0x7f;
    for _ in 0..len {
        let begin = bytes.len();
        bytes.extend(framed(Opcode::Continuation, b"b"));
        bytes[begin] &= 0x7f;
    }
    bytes.extend(framed(Opcode::Continuation, b"c"));
    messages(Extension::None, &bytes)
}

fn empty_messages(len: usize) -> usize {
    let empty = framed(Opcode::Text, b"");
    messages(Extension::None, &empty.repeat(len / empty.len()))
}

fn pings_in_a_message(len: usize) -> usize {
    let mut bytes = framed(Opcode::Text, b"a");
    bytes[0] &= 0x7f;
    let ping = framed(Opcode::Ping, b"hi");
    bytes.extend(ping.repeat(len / ping.len()));
    bytes.extend(framed(Opcode::Continuation, b"c"));
    messages(Extension::None, &bytes)
}

fn events(text: &str) -> usize {
    let mut pool = sse::Pool::new(MAX_MESSAGE);
    let mut parser = Parser::new();
    let mut heard = 0;
    for piece in bytes_of(text.as_bytes()) {
        let mut at = 0;
        while parser.next(&piece, &mut at, &mut pool).unwrap().is_some() {
            heard += 1;
        }
    }
    heard
}

fn one_long_line(len: usize) -> usize {
    events(&format!("data: {}\n\n", "a".repeat(len)))
}

fn many_lines(len: usize) -> usize {
    events(&("data:\r".repeat(len / 6) + "\r"))
}

fn many_fields(len: usize) -> usize {
    events(&(":\n\nid: 7\nevent: e\nretry: 1\n\n".repeat(len / 28) + "data: a\n\n"))
}

/// A server, with a connection.
fn begun<S: Shard>(server: impl FnOnce(Server) -> S) -> (S, Scripted) {
    let mut wire = Scripted::new();
    let config = server::Config::new("counted", wire.now);
    let mut shard = server(Server::new(Core(0), config));
    shard.started(&mut wire);
    wire.lines.insert(ID, wire::Line::default());
    shard.opened(ID, ACCEPTED, &mut wire);
    (shard, wire)
}

/// Bytes that a shard sends for what it receives.
fn answered<S: Shard>((mut shard, mut wire): (S, Scripted), bytes: &[u8]) -> usize {
    for mut piece in bytes_of(bytes) {
        shard.received(ID, &mut piece, &mut wire);
    }
    let line = &wire.lines[&ID];
    assert_eq!(line.closed, None);
    line.sent.len()
}

/// An upgrade, and a message.
fn talk(len: usize) -> Vec<u8> {
    let mut bytes = UPGRADE.to_vec();
    bytes.extend(framed(Opcode::Text, &vec![b'a'; len]));
    bytes
}

fn a_servers_long_message(len: usize) -> usize {
    answered(begun(|server| server), &talk(len))
}

fn a_servers_many_requests(len: usize) -> usize {
    let request = "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";
    let requests = request.repeat(len / request.len());
    answered(begun(|server| server), requests.as_bytes())
}

/// A server behind TLS with its client, whose handshake is over.
fn secured(
    version: &'static SupportedProtocolVersion,
    mutual: Mutual,
) -> ((impl Shard, Scripted), ClientConnection) {
    let role = CERTIFICATES.server(version, mutual);
    let anywhere = SocketAddr::from(([0; 4], 0));
    let client = CERTIFICATES.client(CERTIFICATES.roots(), "sim", anywhere);
    let tls::Role::Client { config, .. } = client else {
        panic!("a client's")
    };
    let mut client = ClientConnection::new(config, "sim".try_into().unwrap()).unwrap();
    let (mut shard, mut wire) = begun(|server| Tls::new(server, role, MAX_MESSAGE));
    while client.is_handshaking() || client.wants_write() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        shard.received(ID, &mut bytes, &mut wire);
        shard.expired(&mut wire);
        let sent = std::mem::take(&mut wire.lines.get_mut(&ID).unwrap().sent);
        client.read_tls(&mut &sent[..]).unwrap();
        client.process_new_packets().unwrap();
    }
    ((shard, wire), client)
}

/// What the client sends for these, each in records of its own.
fn records<'a>(client: &mut ClientConnection, parts: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        client.writer().write_all(part).unwrap();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
    }
    bytes
}

fn one_long_record(len: usize) -> usize {
    let (server, mut client) = secured(&TLS13, Mutual::No);
    let bytes = records(&mut client, std::iter::once(&talk(len)[..]));
    answered(server, &bytes)
}

fn records_of_a_byte(len: usize) -> usize {
    let (server, mut client) = secured(&TLS12, Mutual::Yes);
    let bytes = records(&mut client, talk(len).chunks(1));
    answered(server, &bytes)
}

/// It never ends, so there is no answer.
fn a_long_hello(len: usize) -> usize {
    let role = CERTIFICATES.server(&TLS13, Mutual::No);
    let hello = [&[22, 3, 1, 64, 0, 1, 0, 63, 252][..], &vec![0; len - 1]].concat();
    1 + answered(begun(|server| Tls::new(server, role, MAX_MESSAGE)), &hello)
}

/// What servers of other makes say comes whole.
fn json(text: &str) -> usize {
    let text = text.as_bytes();
    let _ = cable::read(text);
    let mut heard = 0;
    let _ = socketcluster::read(text, |_| heard += 1);
    let _ = socketio::read(text);
    heard + 1
}

/// So many, each as deep as readers of JSON go: serde_json's limit is 128.
fn arrays_in_arrays(len: usize) -> usize {
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let all = vec![deep; len].join(",");
    json(&format!(r#"{{"event":"e","data":[{all}]}}"#))
}

fn escapes(len: usize) -> usize {
    json(&format!(
        r#"{{"event":"{}","message":1}}"#,
        r"\u00e9".repeat(len / 6)
    ))
}

/// Whose instructions are counted, apart from all else.
#[inline(never)]
fn counted(feed: Feed, len: usize) -> usize {
    feed(len)
}

#[test]
fn every_feed_is_understood_at_every_length() {
    // Nobody's to count.
    LazyLock::force(&CERTIFICATES);
    for (name, len, feed) in FEEDS {
        for times in [1, 2, 4] {
            assert!(counted(*feed, len * times) > 0, "{name}, {times} times");
        }
    }
    // Ends what is counted for the last one, before what the test program itself does then.
    counted(|len| len, 0);
}

#[test]
fn twice_the_input_is_at_most_twice_the_work() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("skipped: there is no valgrind here; try: apt-get install valgrind");
        return;
    }
    let work = instructions();
    for ((name, _, _), work) in FEEDS.iter().zip(work.chunks(3)) {
        // Differences leave out what is the same for any length.
        let (first, second) = (work[1] - work[0], work[2] - work[1]);
        assert!(first > 0.0, "{name}: {work:?}");
        let growth = second / first;
        assert!(
            growth <= GROWTH_MAX,
            "{name}: {growth:.2} times, {work:?} instructions"
        );
    }
}

/// Instructions of each call of [`counted`] in a run of the other test.
fn instructions() -> Vec<f64> {
    let folder = std::env::temp_dir().join(format!("ringstorm-counted-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let out = Command::new("valgrind")
        .args(["--tool=callgrind", "--dump-before=*linear::counted*"])
        .arg(format!("--callgrind-out-file={}/part", folder.display()))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("fuzzing::linear::every_feed_is_understood_at_every_length")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{said}");
    // The first part is what came before the first call; a part ends where the next call begins.
    let totals = (2..=3 * FEEDS.len() + 1).map(|number| {
        let text = std::fs::read_to_string(folder.join(format!("part.{number}"))).unwrap();
        let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
        total.unwrap().trim().parse().unwrap()
    });
    let totals = totals.collect();
    std::fs::remove_dir_all(&folder).unwrap();
    totals
}
