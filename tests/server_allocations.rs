//! The server allocates nothing per message once it is warm, and an idle connection costs little.

use crate::counting::measure;
use ringstorm::app::realtime::RealtimePlan;
use ringstorm::app::sessions::SessionPlan;
use ringstorm::protocol::websocket::{Opcode, frame};
use ringstorm::server::{Config, Message, Server};
use ringstorm::shard::{
    Close, ConnectionId, Core, NoSlot, Origin, Payload, Shard, Unsent, Vitals, Wire,
};
use ringstorm::time::Instant;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A wire that takes everything and, as an engine does, holds payloads until they are sent.
struct Sink {
    now: Instant,
    bytes: usize,
    held: Vec<Payload>,
}

impl Wire<Message> for Sink {
    fn now(&self) -> Instant {
        self.now
    }
    fn core(&self) -> Core {
        Core(0)
    }
    fn cores(&self) -> u16 {
        1
    }
    fn send_parts(&mut self, _: ConnectionId, parts: &[&[u8]]) -> Result<(), Unsent> {
        self.bytes += parts.iter().map(|part| part.len()).sum::<usize>();
        Ok(())
    }
    fn share(&mut self, _: ConnectionId, payload: &Payload) -> Result<(), Unsent> {
        self.bytes += payload.bytes().len();
        self.held.push(payload.clone());
        Ok(())
    }
    fn share_behind(
        &mut self,
        id: ConnectionId,
        head: &[u8],
        payload: &Payload,
    ) -> Result<(), Unsent> {
        self.send(id, head)?;
        self.share(id, payload)
    }
    fn backlog(&self, _: ConnectionId) -> usize {
        0
    }
    fn pause(&mut self, _: ConnectionId) {}
    fn resume(&mut self, _: ConnectionId) {}
    fn connect(&mut self, _: SocketAddr, _: Option<IpAddr>) -> Result<ConnectionId, NoSlot> {
        Err(NoSlot)
    }
    fn close(&mut self, id: ConnectionId, how: Close) {
        panic!("{id:?} was closed: {how:?}");
    }
    fn forward(&mut self, _: Core, _: Message) {}
    fn stop_accepting(&mut self) {}
    fn vitals(&mut self) -> Vitals {
        Vitals::default()
    }
}

struct Rig {
    server: Server,
    sink: Sink,
    slots: u32,
}

impl Rig {
    fn new() -> Self {
        Self::with(RealtimePlan::dev([5; 32]))
    }

    fn with(realtime: RealtimePlan) -> Self {
        let started = Instant::from_nanos(1_000_000_000);
        let chunk = Duration::from_millis(10);
        let server = Server::new(
            Core(0),
            Config {
                chunk,
                realtime: Some(realtime),
                ..Config::new("sink", started)
            },
        );
        let held = Vec::with_capacity(10_000);
        Self {
            server,
            sink: Sink {
                now: started,
                bytes: 0,
                held,
            },
            slots: 0,
        }
    }

    fn open(&mut self, request: &str) -> ConnectionId {
        let id = ConnectionId::new(self.slots, 0);
        self.slots += 1;
        self.server
            .opened(id, Origin::Accepted { listener: 0 }, &mut self.sink);
        self.receive(id, &mut request.as_bytes().to_vec());
        id
    }

    fn socket(&mut self, path: &str) -> ConnectionId {
        self.open(&format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ))
    }

    /// A client of Centrifugo's that has subscribed to that channel.
    fn subscriber(&mut self, channel: &str) -> ConnectionId {
        let id = self.socket("/connection/websocket");
        let said = format!(
            "{{\"id\":1,\"connect\":{{}}}}\n\
             {{\"id\":2,\"subscribe\":{{\"channel\":\"{channel}\"}}}}"
        );
        self.receive(id, &mut spoken(&said));
        id
    }

    fn receive(&mut self, id: ConnectionId, bytes: &mut [u8]) {
        self.server.received(id, bytes, &mut self.sink);
    }

    /// The next push message, which the kernel has taken by the time of the one after it.
    fn tick(&mut self, held: &mut Vec<Payload>) {
        while self.sink.held.is_empty() {
            self.sink.now = self.server.deadline().expect("somebody listens");
            self.server.expired(&mut self.sink);
        }
        std::mem::swap(&mut self.sink.held, held);
        self.sink.held.clear();
    }
}

/// A text as a client sends it.
fn spoken(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode(
        &mut bytes,
        Opcode::Text,
        text.as_bytes(),
        Some([1, 2, 3, 4]),
    );
    bytes
}

const EVENTS: &str = "GET /events HTTP/1.1\r\nHost: a\r\n\r\n";

/// What a client says, cut into pieces that arrive one by one.
fn talk() -> Vec<Vec<u8>> {
    let mut bytes = Vec::new();
    for (opcode, payload) in [
        (Opcode::Text, &b"hello"[..]),
        (Opcode::Binary, &[7; 3000]),
        (Opcode::Ping, b"now"),
        (Opcode::Text, "grüße".as_bytes()),
    ] {
        frame::encode(&mut bytes, opcode, payload, Some([1, 2, 3, 4]));
    }
    let mut fragments = bytes.clone();
    fragments[0] = 0x01;
    let mut last = Vec::new();
    frame::encode(&mut last, Opcode::Continuation, b" world", Some([9; 4]));
    let whole = bytes.repeat(3);
    let pieces = whole
        .chunks(700)
        .chain([&fragments[..11], &last])
        .map(<[u8]>::to_vec);
    pieces.collect()
}

#[test]
fn an_echo_allocates_nothing_per_message_however_it_arrives() {
    let mut rig = Rig::new();
    let ids: Vec<_> = (0..10).map(|_| rig.socket("/echo")).collect();
    let talk = talk();
    let mut pieces = talk.clone();
    let round = |rig: &mut Rig, pieces: &mut Vec<Vec<u8>>| {
        for (fresh, piece) in talk.iter().zip(pieces) {
            for id in &ids {
                piece.copy_from_slice(fresh);
                rig.receive(*id, piece);
            }
        }
    };
    round(&mut rig, &mut pieces);
    let before = rig.sink.bytes;
    let counted = measure(|| (0..100).for_each(|_| round(&mut rig, &mut pieces)));
    assert!(rig.sink.bytes - before > 100 * 10 * 9000, "it was answered");
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

#[test]
fn an_echo_of_a_large_message_allocates_nothing_and_is_not_copied() {
    const PAYLOAD: usize = 128 * 1024;
    let mut rig = Rig::new();
    let ids: Vec<_> = (0..10).map(|_| rig.socket("/echo")).collect();
    let mut message = Vec::new();
    frame::encode(
        &mut message,
        Opcode::Binary,
        &vec![7; PAYLOAD],
        Some([1, 2, 3, 4]),
    );
    let mut piece = vec![0; 64 * 1024];
    let mut round = |rig: &mut Rig| {
        for fresh in message.chunks(piece.len()) {
            for id in &ids {
                let piece = &mut piece[..fresh.len()];
                piece.copy_from_slice(fresh);
                rig.receive(*id, piece);
            }
        }
        // All are queued before the kernel takes the first.
        assert_eq!(rig.sink.held.len(), ids.len());
        for payload in rig.sink.held.drain(..) {
            assert_eq!(
                (payload.bytes().len(), payload.bytes()[PAYLOAD - 1]),
                (PAYLOAD, 7)
            );
        }
    };
    (0..3).for_each(|_| round(&mut rig));
    let counted = measure(|| (0..100).for_each(|_| round(&mut rig)));
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

#[test]
fn a_broadcast_allocates_nothing_once_its_payloads_return() {
    let mut rig = Rig::new();
    for _ in 0..100 {
        rig.socket("/push");
        rig.open(EVENTS);
    }
    let mut held = Vec::with_capacity(10_000);
    // Until the time for heads is over, and numbers do not grow for a while.
    (0..1100).for_each(|_| rig.tick(&mut held));
    let counted = measure(|| {
        for _ in 0..5000 {
            rig.tick(&mut held);
            assert_eq!(held.len(), 200);
        }
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

#[test]
fn what_is_said_in_a_chat_allocates_nothing() {
    let mut rig = Rig::new();
    let mut ids = Vec::new();
    for _ in 0..10 {
        let id = rig.socket("/chat");
        rig.receive(id, &mut spoken("{\"type\":\"enter\",\"name\":\"Ann\"}"));
        ids.push(id);
    }
    let text = "\\n".repeat(1000);
    let said = spoken(&format!("{{\"type\":\"say\",\"text\":\"{text}\"}}"));
    let mut bytes = said.clone();
    let mut round = |rig: &mut Rig| {
        for id in &ids {
            bytes.copy_from_slice(&said);
            rig.receive(*id, &mut bytes);
        }
    };
    round(&mut rig);
    let before = rig.sink.bytes;
    let counted = measure(|| (0..100).for_each(|_| round(&mut rig)));
    // A client masks what it says with four bytes.
    assert_eq!(rig.sink.bytes - before, 100 * 10 * (said.len() - 4));
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

#[test]
fn a_plain_request_on_a_kept_connection_allocates_nothing() {
    let mut rig = Rig::new();
    let request = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let id = rig.open(request);
    let mut bytes = request.as_bytes().to_vec();
    let counted = measure(|| (0..100).for_each(|_| rig.receive(id, &mut bytes)));
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

#[test]
fn an_idle_connection_costs_less_than_its_share_of_256_bytes() {
    // What is left for an engine: its slot, about 48 bytes.
    const SHARE: u64 = 256 - 64;
    type Open = fn(&mut Rig) -> ConnectionId;
    let kinds: [(&str, Open); 4] = [
        ("echo", |rig| rig.socket("/echo")),
        ("push", |rig| rig.socket("/push")),
        ("events", |rig| rig.open(EVENTS)),
        ("chat", |rig| rig.socket("/chat")),
    ];
    for (kind, open) in kinds {
        for count in [2000, 10_000, 18_000] {
            let mut rig = Rig::new();
            open(&mut rig);
            let counted = measure(|| {
                for _ in 0..count {
                    open(&mut rig);
                }
            });
            let each = u64::try_from(counted.bytes_current).expect("it grew") / count;
            println!("{kind}: {each} bytes for each of {count}");
            assert!(each <= SHARE, "{kind}: {each} bytes for each of {count}");
        }
    }
}

#[test]
fn a_subscription_with_presence_and_a_session_costs_at_most_400_bytes_with_its_connection() {
    // What is left for an engine: its slot, about 48 bytes.
    const SHARE: u64 = 400 - 64;
    for sessions in [None, Some(SessionPlan::new("shop"))] {
        // Just below what lists have room for that double: memory that was never touched is none.
        for count in [2000, 8000, 16_000] {
            let mut rig = Rig::with(RealtimePlan {
                sessions: sessions.clone(),
                ..RealtimePlan::dev([5; 32])
            });
            rig.subscriber("a");
            let counted = measure(|| {
                for _ in 0..count {
                    rig.subscriber("a");
                }
            });
            let each = u64::try_from(counted.bytes_current).expect("it grew") / count;
            let what = if sessions.is_some() {
                " and a session"
            } else {
                ""
            };
            println!("a subscription{what}: {each} bytes for each of {count}");
            assert!(each <= SHARE, "{each} bytes for each of {count}{what}");
        }
    }
}

#[test]
fn a_delivery_allocates_nothing_and_a_publication_what_it_keeps() {
    let publish =
        spoken("{\"id\":3,\"publish\":{\"channel\":\"a\",\"data\":{\"text\":\"hello\"}}}");
    let mut counts = [100, 1000].map(|subscribers| {
        let mut rig = Rig::new();
        let ids: Vec<_> = (0..subscribers).map(|_| rig.subscriber("a")).collect();
        let mut bytes = publish.clone();
        let mut round = |rig: &mut Rig| {
            bytes.copy_from_slice(&publish);
            rig.receive(ids[0], &mut bytes);
            // The kernel takes them.
            rig.sink.held.clear();
        };
        // Until the history is full.
        (0..200).for_each(|_| round(&mut rig));
        let before = rig.sink.bytes;
        let counted = measure(|| (0..100).for_each(|_| round(&mut rig)));
        let told = (rig.sink.bytes - before) as u64;
        assert!(told > 100 * subscribers * 60, "each was told: {told}");
        counted.count_total
    });
    println!("{counts:?} allocations for 100 publications");
    counts.sort_unstable();
    assert_eq!(counts[0], counts[1], "they do not follow the subscribers");
    assert!(counts[1] <= 100 * 8, "{counts:?}");
}
