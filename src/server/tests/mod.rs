//! A server on a wire that only records: every state, without an engine.

mod admission;
mod door;
mod draining;
mod fairness;
mod files;
mod http;
mod log;
mod memory;
mod metrics;
mod pages;
mod random;
mod rounds;
mod stats;
mod stream;
mod websocket;

use super::*;
use crate::limits;
use crate::protocol::websocket::{Opcode, frame};
use crate::shard::{Counters, Handshakes, NoSlot, Payload, Table, Unsent, Vitals};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What was done to one connection.
#[derive(Default)]
struct Line {
    sent: Vec<u8>,
    /// Bytes the peer has not read, as far as the server is told.
    backlog: usize,
    /// Changes when the kernel takes something.
    progress: u64,
    paused: bool,
    closed: Option<Close>,
}

/// A wire that records.
struct Tape {
    now: Instant,
    core: Core,
    cores: u16,
    cap: usize,
    lines: BTreeMap<ConnectionId, Line>,
    forwarded: Vec<(Core, Message)>,
    accepting: bool,
    readings: u64,
    trimmed: u64,
    /// Much waits between the cores.
    full: bool,
    /// Where everybody comes from.
    from: Option<IpAddr>,
}

impl Tape {
    fn queue(&mut self, id: ConnectionId, parts: &[&[u8]]) -> Result<(), Unsent> {
        let line = self.lines.get_mut(&id).ok_or(Unsent::Gone)?;
        if line.closed.is_some() {
            return Err(Unsent::Gone);
        }
        let len: usize = parts.iter().map(|part| part.len()).sum();
        if line.backlog + len > self.cap {
            return Err(Unsent::Full);
        }
        for part in parts {
            line.sent.extend_from_slice(part);
        }
        Ok(())
    }
}

impl Wire<Message> for Tape {
    fn now(&self) -> Instant {
        self.now
    }
    fn core(&self) -> Core {
        self.core
    }
    fn cores(&self) -> u16 {
        self.cores
    }
    fn peer(&self, _: ConnectionId) -> Option<IpAddr> {
        self.from
    }
    fn send_parts(&mut self, id: ConnectionId, parts: &[&[u8]]) -> Result<(), Unsent> {
        self.queue(id, parts)
    }
    fn share(&mut self, id: ConnectionId, payload: &Payload) -> Result<(), Unsent> {
        self.queue(id, &[payload.bytes()])
    }
    fn backlog(&self, id: ConnectionId) -> usize {
        self.lines.get(&id).map_or(0, |line| line.backlog)
    }
    fn held_bytes(&self) -> usize {
        self.lines.values().map(|line| line.backlog).sum()
    }
    fn trim_memory(&mut self) {
        self.trimmed += 1;
    }
    fn progress(&self, id: ConnectionId) -> u64 {
        self.lines.get(&id).map_or(0, |line| line.progress)
    }
    fn pause(&mut self, id: ConnectionId) {
        if let Some(line) = self.lines.get_mut(&id) {
            line.paused = true;
        }
    }
    fn resume(&mut self, id: ConnectionId) {
        if let Some(line) = self.lines.get_mut(&id) {
            line.paused = false;
        }
    }
    fn connect(&mut self, _: SocketAddr, _: Option<IpAddr>) -> Result<ConnectionId, NoSlot> {
        panic!("a server does not connect")
    }
    fn close(&mut self, id: ConnectionId, how: Close) {
        if let Some(line) = self.lines.get_mut(&id) {
            line.closed = Some(how);
        }
    }
    fn forward(&mut self, to: Core, message: Message) {
        self.forwarded.push((to, message));
    }
    fn mail_is_full(&self) -> bool {
        self.full
    }
    fn stop_accepting(&mut self) {
        self.accepting = false;
    }
    fn vitals(&mut self) -> Vitals {
        self.readings += 1;
        let counters = Counters {
            bytes_in: 7,
            ..Counters::default()
        };
        Vitals {
            counters,
            tables: vec![Table { used: 2, size: 8 }],
            handshakes: Some(Handshakes {
                done: 3,
                ..Handshakes::default()
            }),
            ..Vitals::default()
        }
    }
}

/// A server, its wire, and its peers.
struct Rig {
    server: Server,
    wire: Tape,
    slots: u32,
}

const START: Instant = Instant::from_nanos(1_000_000_000_000);

fn config() -> Config {
    Config {
        chunk: Duration::from_millis(100),
        ..Config::new("tape", START)
    }
}

impl Rig {
    fn new(config: Config) -> Self {
        Self::on(Core(0), 1, config)
    }

    fn on(core: Core, cores: u16, config: Config) -> Self {
        let mut wire = Tape {
            now: START,
            core,
            cores,
            cap: limits::BACKLOG_BYTES,
            lines: BTreeMap::new(),
            forwarded: Vec::new(),
            accepting: true,
            readings: 0,
            trimmed: 0,
            full: false,
            from: None,
        };
        let mut server = Server::new(core, config);
        server.started(&mut wire);
        Self {
            server,
            wire,
            slots: 0,
        }
    }

    fn open(&mut self) -> ConnectionId {
        self.open_at(0)
    }

    fn open_at(&mut self, listener: u16) -> ConnectionId {
        let id = ConnectionId::new(self.slots, 1);
        self.slots += 1;
        self.wire.lines.insert(id, Line::default());
        self.server
            .opened(id, Origin::Accepted { listener }, &mut self.wire);
        id
    }

    fn receive(&mut self, id: ConnectionId, bytes: &[u8]) {
        // As an engine: a connection that was closed here gets nothing more.
        if self.closed(id).is_none() {
            self.server
                .received(id, &mut bytes.to_vec(), &mut self.wire);
        }
    }

    /// What was sent to the peer since the last time.
    fn sent(&mut self, id: ConnectionId) -> Vec<u8> {
        std::mem::take(&mut self.wire.lines.get_mut(&id).expect("opened").sent)
    }

    fn text(&mut self, id: ConnectionId) -> String {
        String::from_utf8(self.sent(id)).expect("UTF-8")
    }

    fn closed(&self, id: ConnectionId) -> Option<Close> {
        self.wire.lines[&id].closed
    }

    fn gone(&mut self, id: ConnectionId, cause: CloseCause) {
        self.wire.lines.remove(&id);
        self.server.closed(id, cause, &mut self.wire);
    }

    fn line(&mut self, id: ConnectionId) -> &mut Line {
        self.wire.lines.get_mut(&id).expect("opened")
    }

    /// Lets time pass, and wakes the server exactly when it asks to be.
    fn pass(&mut self, span: Duration) {
        let until = self.wire.now + span;
        let mut wakes = 0;
        while let Some(at) = self.server.deadline().filter(|at| *at <= until) {
            self.wire.now = self.wire.now.max(at);
            self.server.expired(&mut self.wire);
            wakes += 1;
            assert!(wakes < 100_000, "the server asks to be woken for nothing");
        }
        self.wire.now = until;
    }

    fn stop(&mut self) {
        self.server.stopped(&mut self.wire);
    }

    /// A connection that asked for this and has not been answered.
    fn asked(&mut self, request: &str) -> ConnectionId {
        let id = self.open();
        self.receive(id, request.as_bytes());
        id
    }

    /// An open WebSocket.
    fn socket(&mut self, path: &str) -> ConnectionId {
        let id = self.asked(&upgrade(path));
        let answer = self.text(id);
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        id
    }

    /// An open event stream, its head and first line already taken.
    fn stream(&mut self) -> ConnectionId {
        let id = self.asked(&get("/events"));
        let answer = self.text(id);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        id
    }

    fn tally(&self) -> Tally {
        self.server.core.shared.outcome(Core(0)).tally
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

fn upgrade(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// A masked frame, as a client sends it.
fn masked(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode(&mut bytes, opcode, payload, Some([1, 2, 3, 4]));
    bytes
}

/// An unmasked frame, as a server sends it.
fn plain(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode(&mut bytes, opcode, payload, None);
    bytes
}

/// An unmasked close frame without a reason.
fn close_frame(code: u16) -> Vec<u8> {
    plain(Opcode::Close, &code.to_be_bytes())
}

/// The code of the close frame that `bytes` begins with.
fn close_code(bytes: &[u8]) -> u16 {
    assert_eq!(bytes[0], 0x88, "a close frame: {bytes:?}");
    u16::from_be_bytes([bytes[2], bytes[3]])
}

#[test]
fn a_server_that_is_stopped_with_nothing_open_is_finished_at_once() {
    let mut rig = Rig::new(config());
    assert!(!rig.server.finished());
    rig.stop();
    assert!(rig.server.finished() && !rig.wire.accepting);
    assert_eq!(rig.server.outcome().left, 0);
}

#[test]
fn a_draining_server_ends_each_kind_of_connection_in_its_way() {
    let mut rig = Rig::new(config());
    let (echo, push, stream) = (rig.socket("/echo"), rig.socket("/push"), rig.stream());
    let fresh = rig.open();
    let asking = rig.asked("GET /healthz HTTP/1.1\r\nHo");
    rig.stop();
    for socket in [echo, push] {
        // RFC 6455, 7.4.1: 1001, going away.
        assert_eq!(rig.sent(socket), close_frame(1001));
        assert_eq!(rig.closed(socket), None);
        rig.receive(socket, &masked(Opcode::Close, &1001_u16.to_be_bytes()));
        assert_eq!(rig.closed(socket), Some(Close::Flush));
    }
    assert_eq!(rig.closed(stream), Some(Close::Flush));
    assert_eq!(rig.closed(fresh), Some(Close::Flush));
    assert_eq!(rig.closed(asking), None);
    rig.receive(asking, b"st: a\r\n\r\n");
    let answer = rig.text(asking);
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("Connection: close"));
    assert_eq!(rig.closed(asking), Some(Close::Flush));
    for id in [echo, push, stream, fresh, asking] {
        assert!(!rig.server.finished());
        rig.gone(id, CloseCause::Local);
    }
    assert!(rig.server.finished());
    assert_eq!(rig.tally().decided.drain, 5);
}

#[test]
fn what_does_not_end_in_the_time_to_drain_is_reset() {
    let mut rig = Rig::new(config());
    let (echo, asking) = (rig.socket("/echo"), rig.asked("GET / HTTP/1.1\r\n"));
    rig.stop();
    rig.pass(limits::DRAIN_TIME - Duration::from_millis(100));
    assert!(!rig.server.finished());
    rig.pass(Duration::from_millis(200));
    assert!(rig.server.finished());
    for id in [echo, asking] {
        assert!(rig.closed(id).is_some());
    }
    assert_eq!(rig.closed(asking), Some(Close::Abort));
    assert_eq!(rig.server.outcome().left, 2);
}

#[test]
fn a_draining_server_opens_no_websocket_and_no_stream() {
    let mut rig = Rig::new(config());
    let held = rig.socket("/echo");
    rig.stop();
    for request in [
        upgrade("/echo"),
        upgrade("/push"),
        get("/events"),
        get("/healthz"),
    ] {
        let id = rig.asked(&request);
        assert!(rig.text(id).starts_with("HTTP/1.1 503 "), "{request}");
        assert_eq!(rig.closed(id), Some(Close::Flush));
    }
    assert!(!rig.sent(held).is_empty());
}

#[test]
fn every_connection_is_counted_once_by_kind_and_by_end() {
    let mut rig = Rig::new(config());
    let (echo, stream) = (rig.socket("/echo"), rig.stream());
    let plain = rig.asked(&get("/"));
    assert_eq!(
        rig.tally().open,
        Open {
            websocket: 1,
            sse: 1,
            http: 1
        }
    );
    rig.gone(echo, CloseCause::PeerEnded);
    rig.gone(stream, CloseCause::Reset);
    rig.gone(plain, CloseCause::Os(5));
    let tally = rig.tally();
    assert_eq!(tally.open, Open::default());
    assert_eq!((tally.accepted, tally.requests), (3, 3));
    let closed = Closed {
        peer_ended: 1,
        reset: 1,
        os: 1,
        ..Closed::default()
    };
    assert_eq!(tally.closed, closed);
    // A late event for a connection that is gone.
    rig.server.received(echo, &mut [1, 2, 3], &mut rig.wire);
    rig.server.drained(echo, &mut rig.wire);
    rig.server.closed(echo, CloseCause::Local, &mut rig.wire);
    assert_eq!(rig.tally(), tally);
}
