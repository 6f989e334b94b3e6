//! TLS allocates nothing per message once it is warm, keeps to one send for one event, and an idle
//! connection costs little on either side.

#![expect(clippy::unwrap_used, reason = "what must not fail in a test may panic")]

#[path = "tls/certificates.rs"]
mod certificates;

use crate::counting::measure;
use certificates::{Certificates, Mutual};
use ringstorm::shard::{
    Close, CloseCause, ConnectionId, Core, NoSlot, Origin, Payload, Shard, Unsent, Vitals, Wire,
};
use ringstorm::time::Instant;
use ringstorm::tls::Tls;
use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};
use std::net::{IpAddr, SocketAddr};

/// Sends back what it receives, each in two parts.
struct Echo {
    opened: usize,
    heard: usize,
    connects: usize,
}

impl Shard for Echo {
    type Message = ();
    type Outcome = ();
    fn started(&mut self, wire: &mut impl Wire<()>) {
        for _ in 0..self.connects {
            wire.connect(target(), None).unwrap();
        }
    }
    fn opened(&mut self, _: ConnectionId, _: Origin, _: &mut impl Wire<()>) {
        self.opened += 1;
    }
    fn received(&mut self, id: ConnectionId, bytes: &mut [u8], wire: &mut impl Wire<()>) {
        self.heard += bytes.len();
        let (head, tail) = bytes.split_at(bytes.len() / 2);
        wire.send(id, head).unwrap();
        wire.send(id, tail).unwrap();
    }
    fn drained(&mut self, _: ConnectionId, _: &mut impl Wire<()>) {}
    fn closed(&mut self, id: ConnectionId, cause: CloseCause, _: &mut impl Wire<()>) {
        panic!("{id:?}: {cause:?}");
    }
    /// Says hello on every connection.
    fn forwarded(&mut self, _: Core, (): (), wire: &mut impl Wire<()>) {
        for slot in 0..self.opened {
            wire.send(id(slot), &[b'x'; 32]).unwrap();
        }
    }
    fn expired(&mut self, _: &mut impl Wire<()>) {}
    fn stopped(&mut self, _: &mut impl Wire<()>) {}
    fn deadline(&self) -> Option<Instant> {
        None
    }
    fn finished(&self) -> bool {
        false
    }
    fn outcome(self) {}
}

const NOW: Instant = Instant::from_nanos(1);

/// What one side has sent on each connection, in buffers that are used again.
#[derive(Default)]
struct Cable {
    sent: Vec<Vec<u8>>,
    sends: usize,
    connected: usize,
}

impl Wire<()> for Cable {
    fn now(&self) -> Instant {
        NOW
    }
    fn core(&self) -> Core {
        Core(0)
    }
    fn cores(&self) -> u16 {
        1
    }
    fn send_parts(&mut self, id: ConnectionId, parts: &[&[u8]]) -> Result<(), Unsent> {
        self.sends += 1;
        let into = &mut self.sent[id.slot()];
        parts.iter().for_each(|part| into.extend_from_slice(part));
        Ok(())
    }
    fn share(&mut self, id: ConnectionId, payload: &Payload) -> Result<(), Unsent> {
        self.send_parts(id, &[payload.bytes()])
    }
    fn backlog(&self, id: ConnectionId) -> usize {
        self.sent[id.slot()].len()
    }
    fn pause(&mut self, _: ConnectionId) {}
    fn resume(&mut self, _: ConnectionId) {}
    fn connect(&mut self, _: SocketAddr, _: Option<IpAddr>) -> Result<ConnectionId, NoSlot> {
        self.connected += 1;
        Ok(id(self.connected - 1))
    }
    fn close(&mut self, id: ConnectionId, how: Close) {
        panic!("{id:?} was closed: {how:?}");
    }
    fn forward(&mut self, _: Core, (): ()) {}
    fn stop_accepting(&mut self) {}
    fn vitals(&mut self) -> Vitals {
        Vitals::default()
    }
}

fn id(slot: usize) -> ConnectionId {
    ConnectionId::new(u32::try_from(slot).unwrap(), 0)
}

fn target() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 1))
}

/// One side, what it sent, and the heap memory it holds.
struct Side {
    shard: Tls<Echo>,
    cable: Cable,
    held: i64,
    allocations: u64,
}

impl Side {
    fn new(role: ringstorm::tls::Role, connections: usize, connects: usize) -> Self {
        let echo = Echo {
            opened: 0,
            heard: 0,
            connects,
        };
        let mut cable = Cable::default();
        cable
            .sent
            .resize_with(connections, || Vec::with_capacity(65_536));
        Self {
            shard: Tls::new(echo, role, 1 << 20),
            cable,
            held: 0,
            allocations: 0,
        }
    }

    fn tell(&mut self, event: impl FnOnce(&mut Tls<Echo>, &mut Cable)) {
        let Self { shard, cable, .. } = self;
        let used = measure(|| event(shard, cable));
        self.held += used.bytes_current;
        self.allocations += used.count_total;
    }
}

/// Carries what one side has sent to the other, in pieces of at most `piece` bytes.
fn carry(from: &mut Side, to: &mut Side, piece: usize) -> usize {
    let mut carried = 0;
    for slot in 0..from.cable.sent.len() {
        let mut bytes = std::mem::take(&mut from.cable.sent[slot]);
        carried += bytes.len();
        for part in bytes.chunks_mut(piece) {
            to.tell(|shard, cable| shard.received(id(slot), part, cable));
        }
        bytes.clear();
        from.cable.sent[slot] = bytes;
    }
    // As an engine ends a turn.
    while to.shard.deadline().is_some_and(|at| at <= NOW) {
        to.tell(|shard, cable| shard.expired(cable));
    }
    carried
}

/// Two sides whose connections are all secured.
fn pair(
    connections: usize,
    version: &'static SupportedProtocolVersion,
    mutual: Mutual,
) -> (Side, Side) {
    let certificates = Certificates::new();
    let client = certificates.client(certificates.roots(), "sim", target());
    let server = certificates.server(version, mutual);
    let mut client = Side::new(client, connections, connections);
    let mut server = Side::new(server, connections, 0);
    client.tell(|shard, cable| shard.started(cable));
    for slot in 0..connections {
        let accepted = Origin::Accepted { listener: 0 };
        server.tell(|shard, cable| shard.opened(id(slot), accepted, cable));
        client.tell(|shard, cable| shard.opened(id(slot), Origin::Connected, cable));
    }
    while carry(&mut client, &mut server, 4096) + carry(&mut server, &mut client, 4096) > 0 {}
    (client, server)
}

#[test]
fn a_message_allocates_nothing_and_an_event_is_answered_with_one_record() {
    for (version, piece) in [(&TLS13, 4096), (&TLS12, 4096), (&TLS13, 40), (&TLS12, 40)] {
        let (mut client, mut server) = pair(8, version, Mutual::Yes);
        client.tell(|shard, cable| shard.forwarded(Core(0), (), cable));
        for _ in 0..50 {
            carry(&mut client, &mut server, piece);
            carry(&mut server, &mut client, piece);
        }
        for side in [&mut client, &mut server] {
            (side.allocations, side.cable.sends) = (0, 0);
        }
        for _ in 0..500 {
            // 32 bytes of plaintext, and what a record adds.
            let carried = carry(&mut client, &mut server, piece);
            assert!((8 * 54..=8 * 61).contains(&carried), "{carried}");
            carry(&mut server, &mut client, piece);
        }
        assert_eq!((client.allocations, server.allocations), (0, 0));
        assert_eq!((client.cable.sends, server.cable.sends), (4000, 4000));
    }
}

#[test]
fn an_idle_connection_costs_at_most_4_kib_on_either_side() {
    let held = |connections| {
        let (client, server) = pair(connections, &TLS13, Mutual::No);
        [client.held, server.held]
    };
    let (few, many) = (held(100), held(600));
    for (side, few, many) in [("client", few[0], many[0]), ("server", few[1], many[1])] {
        let each = (many - few) / 500;
        println!("{side}: {each} bytes");
        assert!((500..4096).contains(&each), "{side}: {each} bytes");
    }
}
