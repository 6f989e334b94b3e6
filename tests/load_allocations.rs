//! The load client allocates nothing per message once it is warm, and an idle client costs little.

use crate::counting::measure;
use ringstorm::load::{
    Buckets, Config, CoreMessage, Load, Loop, Pace, Poisson, Rate, Scenario, Stage, Stages, Think,
    Transport,
};
use ringstorm::protocol::http::Request;
use ringstorm::protocol::websocket::{OriginPolicy, handshake, mask};
use ringstorm::shard::{
    Close, ConnectionId, Core, NoSlot, Origin, Payload, Shard, Unsent, Vitals, Wire,
};
use ringstorm::time::Instant;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A wire that keeps what each connection sent last, in buffers that it uses again.
struct Mirror {
    now: Instant,
    sent: Vec<Vec<u8>>,
}

impl Mirror {
    fn new() -> Self {
        Self {
            now: Instant::from_nanos(1_000_000_000),
            sent: Vec::new(),
        }
    }

    /// What an echo server would answer to what connection `slot` sent: the frames, unmasked.
    fn echo_into(&mut self, slot: usize, into: &mut Vec<u8>) {
        into.clear();
        let mut rest = &self.sent[slot][..];
        while let [opcode, short, behind @ ..] = rest {
            let short = short & 0x7f;
            // RFC 6455, 5.2: the length is in the next 8 bytes.
            let long = if short == 127 { 8 } else { 0 };
            let (length, behind) = behind.split_at(long);
            let [a, b, c, d, after @ ..] = behind else {
                return;
            };
            let len = length
                .iter()
                .fold(0, |len, byte| len << 8 | usize::from(*byte));
            let len = if long == 0 { usize::from(short) } else { len };
            into.extend_from_slice(&[*opcode, short]);
            into.extend_from_slice(length);
            let start = into.len();
            into.extend_from_slice(&after[..len]);
            mask::apply(&mut into[start..], [*a, *b, *c, *d], 0);
            rest = &after[len..];
        }
        self.sent[slot].clear();
    }
}

impl Wire<CoreMessage> for Mirror {
    fn now(&self) -> Instant {
        self.now
    }
    fn core(&self) -> Core {
        Core(0)
    }
    fn cores(&self) -> u16 {
        1
    }
    fn send_parts(&mut self, id: ConnectionId, parts: &[&[u8]]) -> Result<(), Unsent> {
        parts
            .iter()
            .for_each(|part| self.sent[id.slot()].extend_from_slice(part));
        Ok(())
    }
    fn share(&mut self, id: ConnectionId, payload: &Payload) -> Result<(), Unsent> {
        self.send_parts(id, &[payload.bytes()])
    }
    fn backlog(&self, _: ConnectionId) -> usize {
        0
    }
    fn pause(&mut self, _: ConnectionId) {}
    fn resume(&mut self, _: ConnectionId) {}
    fn connect(&mut self, _: SocketAddr, _: Option<IpAddr>) -> Result<ConnectionId, NoSlot> {
        // As an engine does, more than any round of these tests needs.
        self.sent.push(Vec::with_capacity(4096));
        let slot = u32::try_from(self.sent.len() - 1).map_err(|_| NoSlot)?;
        Ok(ConnectionId::new(slot, 0))
    }
    fn close(&mut self, _: ConnectionId, _: Close) {}
    fn forward(&mut self, _: Core, _: CoreMessage) {}
    fn stop_accepting(&mut self) {}
    fn vitals(&mut self) -> Vitals {
        Vitals::default()
    }
}

fn id(slot: usize) -> ConnectionId {
    ConnectionId::new(u32::try_from(slot).unwrap_or(u32::MAX), 0)
}

fn config(connections: u32) -> Config {
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    Config {
        connections,
        connecting: connections,
        duration: Duration::from_secs(3_600),
        ..Config::new(address, "host".to_owned(), "/echo".to_owned())
    }
}

/// The answer to a request: 101, or the head of an event stream.
fn answer(request: &[u8]) -> Vec<u8> {
    let request = Request::parse(request).expect("a request");
    let mut answer = Vec::new();
    match handshake::accept(&request, &[], &OriginPolicy::Any) {
        Ok(accepted) => accepted.encode(&mut answer),
        Err(_) => {
            answer.extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        }
    }
    answer
}

/// A run whose connections are all up.
fn up(config: Config) -> (Load, Mirror) {
    let connections = usize::try_from(config.connections).unwrap_or(0);
    let mut load = Load::new(Core(0), config, None);
    let mut wire = Mirror::new();
    load.started(&mut wire);
    for slot in 0..connections {
        // Some connects are under way at once; the next ones start as those come up.
        while wire.sent.len() <= slot {
            load.expired(&mut wire);
        }
        load.opened(id(slot), Origin::Connected, &mut wire);
        let mut bytes = answer(&std::mem::take(&mut wire.sent[slot]));
        load.received(id(slot), &mut bytes, &mut wire);
    }
    (load, wire)
}

/// Echoes everything that was sent; how many bytes.
fn round(load: &mut Load, wire: &mut Mirror, bytes: &mut Vec<u8>) -> usize {
    let mut heard = 0;
    for slot in 0..wire.sent.len() {
        wire.echo_into(slot, bytes);
        heard += bytes.len();
        if !bytes.is_empty() {
            load.received(id(slot), bytes, wire);
        }
    }
    wire.now += Duration::from_micros(200);
    if load.deadline().is_some_and(|at| at <= wire.now) {
        load.expired(wire);
    }
    heard
}

fn assert_no_allocation(config: Config) {
    let (mut load, mut wire) = up(config);
    let mut bytes = Vec::with_capacity(64 * 1024);
    for _ in 0..200 {
        round(&mut load, &mut wire, &mut bytes);
    }
    let mut heard = 0;
    let allocated = measure(|| {
        for _ in 0..500 {
            heard += round(&mut load, &mut wire, &mut bytes);
        }
    });
    // 34 bytes a message.
    assert!(heard > 34 * 10_000, "{heard}");
    assert_eq!(allocated.count_total, 0);
}

#[test]
fn a_closed_loop_allocates_nothing_once_it_is_warm() {
    assert_no_allocation(config(64));
    assert_no_allocation(Config {
        in_flight: 16,
        ..config(64)
    });
}

#[test]
fn a_loop_of_large_messages_allocates_nothing_once_it_is_warm() {
    let (mut load, mut wire) = up(Config {
        payload_bytes: 128 * 1024,
        ..config(4)
    });
    let mut bytes = Vec::with_capacity(256 * 1024);
    let mut round = || {
        let mut heard = 0;
        for slot in 0..wire.sent.len() {
            wire.echo_into(slot, &mut bytes);
            heard += bytes.len();
            for piece in bytes.chunks_mut(64 * 1024) {
                load.received(id(slot), piece, &mut wire);
            }
        }
        wire.now += Duration::from_micros(200);
        if load.deadline().is_some_and(|at| at <= wire.now) {
            load.expired(&mut wire);
        }
        heard
    };
    (0..50).for_each(|_| _ = round());
    let mut heard = 0;
    let allocated = measure(|| (0..50).for_each(|_| heard += round()));
    assert!(heard > 4 * 40 * 128 * 1024, "{heard}");
    assert_eq!(allocated.count_total, 0);
}

#[test]
fn an_open_loop_allocates_nothing_once_it_is_warm() {
    for burst in [1, 6] {
        let rate = Rate::per_second(500_000.0).expect("a rate");
        let messages = Loop::Open {
            pace: Pace::Constant(rate),
            burst,
        };
        assert_no_allocation(Config {
            messages,
            in_flight: 1_024,
            ..config(64)
        });
    }
}

#[test]
fn every_pace_and_a_thoughtful_loop_allocate_nothing_once_they_are_warm() {
    let minute = Duration::from_secs(60);
    let stage = |target_milli| Stage {
        target_milli,
        lasts: minute,
    };
    // About 6 in flight on each connection: the depth does not reach a new maximum by chance.
    let stages = Stages::new(2_000_000_000, &[stage(2_100_000_000)]).expect("stages");
    let buckets = Buckets::new(25, Duration::from_micros(50)).expect("buckets");
    let open = |pace| Loop::Open { pace, burst: 1 };
    let rate = Rate::per_second(500_000.0).expect("a rate");
    let loops = [
        open(Pace::from(stages.clone())),
        open(Pace::from(Poisson::new(stages, 3))),
        open(Pace::Buckets(buckets)),
        Loop::PerConnection {
            pace: Pace::Constant(rate),
        },
        Loop::Thinking(Think {
            least: Duration::ZERO,
            most: Duration::from_micros(100),
        }),
    ];
    for messages in loops {
        assert_no_allocation(Config {
            messages,
            in_flight: 1_024,
            ..config(64)
        });
    }
}

#[test]
fn a_pushed_message_allocates_nothing() {
    let listeners = Config {
        scenario: Scenario::Listen,
        ..config(8)
    };
    let sse = Config {
        transport: Transport::Sse,
        ..listeners.clone()
    };
    let frame = [&[0x81, 25][..], b"{\"seq\":17,\"sent_ns\":1234}"].concat();
    let event = b"id: 17\nevent: push\ndata: {\"seq\":17,\"sent_ns\":1234}\n\n".to_vec();
    for (config, message) in [(listeners, frame), (sse, event)] {
        let (mut load, mut wire) = up(config);
        let mut bytes = message.clone();
        load.received(id(3), &mut bytes, &mut wire);
        let allocated = measure(|| {
            for slot in 0..8 {
                bytes.copy_from_slice(&message);
                load.received(id(slot), &mut bytes, &mut wire);
            }
        });
        assert_eq!(allocated.count_total, 0);
        assert_eq!(load.outcome().events.unstamped, 0);
    }
}

#[test]
fn an_idle_client_costs_at_most_350_bytes_beside_the_engine_s_slot() {
    // The whole, with the engine's 48 bytes, is to stay within 400.
    for transport in [Transport::WebSocket, Transport::Sse] {
        let path = if transport == Transport::Sse {
            "/events"
        } else {
            "/echo"
        };
        let config = |connections| Config {
            transport,
            scenario: Scenario::Idle,
            target: path.to_owned(),
            ..config(connections)
        };
        let kept = |connections| {
            let mut run = None;
            let allocated = measure(|| run = Some(up(config(connections)).0));
            assert!(run.is_some(), "it lives on");
            allocated.bytes_current
        };
        let each = (kept(9_000) - kept(1_000)) / 8_000;
        assert!(each <= 350, "{transport:?}: {each} bytes");
    }
}
