//! A whole server shard and a whole load shard, whose peers say anything.

use super::wire::Scripted;
use super::{Cut, property};
use ringstorm::load::{self, Follow, Load, Site, Target};
use ringstorm::server::{self, Server};
use ringstorm::shard::{CloseCause, ConnectionId, Core, Origin, Shard};
use ringstorm::time::Instant;
use std::net::SocketAddr;
use std::time::Duration;

const ID: ConnectionId = ConnectionId::new(0, 1);
const OTHER: ConnectionId = ConnectionId::new(1, 1);

const CLIENT: &[&[u8]] = &[
    b"GET /echo HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
      Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /events HTTP/1.1\r\nHost: h\r\n\r\n",
    b"POST /rooms/say HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
    b"\x81\x85\0\0\0\0hello",
    b"\x82\x80\0\0\0\0",
    b"\x01\x83\0\0\0\0abc",
    b"\x80\x83\0\0\0\0abc",
    b"\x89\x82\0\0\0\0hi",
    b"\x88\x82\0\0\0\0\x03\xe8",
    // A message of 100,000 bytes.
    b"\x82\xff\0\0\0\0\0\x01\x86\xa0\x01\x02\x03\x04",
    &[b'y'; 50_000],
    b"GET / HTTP/1.1\r\n",
    b"Host: h\r\n",
    b"\r\n",
    b"x",
];

/// What a server answers to these pieces, and what it tells of another who says the others later
/// and goes; and that it ends with nothing left.
pub(super) fn serve(
    config: impl Fn(Instant) -> server::Config,
    pieces: &[&[u8]],
    other: &[&[u8]],
) -> (Vec<u8>, bool) {
    let mut wire = Scripted::new();
    let mut config = config(wire.now);
    config.drain = Duration::from_secs(1);
    let mut server = Server::new(Core(0), config);
    server.started(&mut wire);
    wire.lines.insert(ID, super::wire::Line::default());
    server.opened(ID, Origin::Accepted { listener: 0 }, &mut wire);
    for piece in pieces {
        // After its close a shard is told nothing more.
        if wire.lines[&ID].closed.is_some() {
            break;
        }
        hear(&mut server, (ID, piece), &mut wire);
    }
    if !other.is_empty() {
        wire.lines.insert(OTHER, super::wire::Line::default());
        server.opened(OTHER, Origin::Accepted { listener: 0 }, &mut wire);
        for piece in other {
            if wire.lines[&OTHER].closed.is_none() {
                hear(&mut server, (OTHER, piece), &mut wire);
            }
        }
        wire.lines.remove(&OTHER);
        server.closed(OTHER, CloseCause::Reset, &mut wire);
    }
    // Timers: news that is told in time, and whoever is silent is asked whether it is there.
    let until = wire.now + Duration::from_secs(70);
    while let Some(at) = server.deadline().filter(|at| *at < until) {
        wire.now = at.max(wire.now);
        server.expired(&mut wire);
    }
    let line = wire.lines.remove(&ID).expect("it was opened");
    let said = (line.sent, line.closed.is_some());
    server.closed(ID, CloseCause::PeerEnded, &mut wire);
    server.stopped(&mut wire);
    for _ in 0..1000 {
        if server.finished() {
            let outcome = server.outcome();
            assert_eq!((outcome.tally.opened(), outcome.left), (0, 0));
            assert_eq!(outcome.tally.accepted, 1 + u64::from(!other.is_empty()));
            return said;
        }
        wire.now = server.deadline().map_or(wire.now, |at| at.max(wire.now));
        server.expired(&mut wire);
    }
    panic!("it never ends");
}

/// Something is received, and as an engine does it straight into the message that it belongs to
/// where the server lends that.
fn hear(server: &mut Server, (id, mut piece): (ConnectionId, &[u8]), wire: &mut Scripted) {
    while let Some(mut lent) = server.receive_into(id) {
        let (into, behind) = piece.split_at(lent.most.min(piece.len()));
        lent.buffer.extend_from_slice(into);
        server.received_into(id, lent.buffer, wire);
        piece = behind;
        if piece.is_empty() {
            return;
        }
    }
    if wire.lines[&id].closed.is_none() {
        server.received(id, &mut piece.to_vec(), wire);
    }
}

#[test]
fn a_server_answers_alike_in_any_pieces_and_counts_whoever_came() {
    property!(|input: &[u8]| {
        let cut = Cut::new(input, CLIENT);
        let plain = |started| server::Config::new("scripted", started);
        let (whole, closed) = serve(plain, &cut.whole(), &[]);
        assert_eq!(serve(plain, &cut.pieces(), &[]), (whole.clone(), closed));
        // One answer of at most a page for each request or message, which is 2 bytes at least.
        assert!(whole.len() <= 128 * 1024 + 1024 * cut.bytes.len());
    });
}

const SERVER: &[&[u8]] = &[
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
      Sec-WebSocket-Accept: ",
    b"HTTP/1.1 503 no\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
    b"data: a\nid: 1\n\n",
    b"\r\n\r\n",
    b"\x81\x05hello",
    b"\x82\0",
    b"\x89\x02hi",
    b"\x8a\0",
    b"\x88\x02\x03\xe8",
    b"\x01\x03abc",
    b"x",
];

/// What ActionCable's clients offer, and others may.
const SUBPROTOCOL: &str = "actioncable-v1-json";

/// A load run against whoever says these pieces: every connect is accounted for.
pub(super) fn load(transport: load::Transport, scenario: load::Scenario, pieces: &[&[u8]]) {
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    let mut config = load::Config::new(address, "h".to_owned(), "/echo".to_owned());
    config.transport = transport;
    config.scenario = scenario;
    config.subprotocols = vec![SUBPROTOCOL.to_owned()];
    config.duration = Duration::from_millis(200);
    config.connect_time = Duration::from_millis(100);
    config.connect_phase = Duration::from_millis(500);
    if transport == load::Transport::Sse {
        let site = |host: &str, port| Site {
            host: host.to_owned(),
            port,
            target: Target::At(address),
        };
        config.follow = Follow::To {
            scheme: ("http", 80),
            sites: vec![site("h", 80), site("h", 2), site("127.0.0.1", 1)].into(),
        };
    }
    config.check().expect("a run that may begin");
    let mut wire = Scripted::new();
    let mut shard = Load::new(Core(0), config, None);
    shard.started(&mut wire);
    let mut opened = 0;
    for _ in 0..10_000 {
        if shard.finished() {
            let connects = shard.outcome().connects;
            assert_eq!(
                connects.planned,
                connects.up + connects.failed,
                "{connects:?}"
            );
            return;
        }
        // Whoever was connected is heard, and whoever was closed is gone.
        while opened < wire.connects && !shard.finished() {
            let id = ConnectionId::new(opened, 1);
            opened += 1;
            shard.opened(id, Origin::Connected, &mut wire);
            for piece in pieces {
                if wire.lines[&id].closed.is_some() || shard.finished() {
                    break;
                }
                let accept = answer(&wire.lines[&id].sent, piece);
                shard.received(id, &mut accept.unwrap_or_else(|| piece.to_vec()), &mut wire);
            }
        }
        let closed: Vec<_> = wire
            .lines
            .iter()
            .filter(|(_, line)| line.closed.is_some())
            .map(|(id, _)| *id)
            .collect();
        for id in closed {
            wire.lines.remove(&id);
            if !shard.finished() {
                shard.closed(id, CloseCause::Local, &mut wire);
            }
        }
        if let Some(at) = shard.deadline().filter(|_| !shard.finished()) {
            wire.now = wire.now.max(at);
            shard.expired(&mut wire);
        }
    }
    panic!("it never ends");
}

/// The right key behind a piece that ends where one belongs.
fn answer(sent: &[u8], piece: &[u8]) -> Option<Vec<u8>> {
    use ringstorm::protocol::http::Request;
    use ringstorm::protocol::websocket::{OriginPolicy, handshake};
    if !piece.ends_with(b"Sec-WebSocket-Accept: ") {
        return None;
    }
    let request = Request::parse(sent).ok()?;
    let known = [SUBPROTOCOL.to_owned()];
    let mut answer = Vec::new();
    let accepted = handshake::accept(&request, &known, &OriginPolicy::Any).ok()?;
    accepted.encode(&mut answer);
    Some(answer)
}

#[test]
fn a_load_run_ends_and_accounts_for_every_connect_whatever_the_server_says() {
    property!(|input: &[u8]| {
        let cut = Cut::new(input, SERVER);
        let first = [SERVER[0]];
        let all = [&first[..], &cut.pieces()].concat();
        load(load::Transport::WebSocket, load::Scenario::Echo, &all);
        load(
            load::Transport::WebSocket,
            load::Scenario::Idle,
            &cut.pieces(),
        );
        load(load::Transport::Sse, load::Scenario::Listen, &cut.pieces());
    });
}
