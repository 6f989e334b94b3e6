//! What the layer promises: the inner shard hears of a connection once it is known whose it is.

use super::*;
use crate::shard::{Payload, Unsent, Vitals};
use std::net::Ipv4Addr;

const ID: ConnectionId = ConnectionId::new(3, 7);
const HEADER: &[u8] = b"PROXY TCP4 192.0.2.1 10.0.0.9 4711 443\r\n";

/// A wire whose connections all come from there, and that keeps what was closed.
struct Line {
    now: Instant,
    from: Option<IpAddr>,
    closed: Vec<Close>,
}

impl Wire<()> for Line {
    fn now(&self) -> Instant {
        self.now
    }

    fn core(&self) -> Core {
        Core(0)
    }

    fn cores(&self) -> u16 {
        1
    }

    fn peer(&self, _id: ConnectionId) -> Option<IpAddr> {
        self.from
    }

    fn send_parts(&mut self, _id: ConnectionId, _parts: &[&[u8]]) -> Result<(), Unsent> {
        Ok(())
    }

    fn share(&mut self, _id: ConnectionId, _payload: &Payload) -> Result<(), Unsent> {
        Ok(())
    }

    fn backlog(&self, _id: ConnectionId) -> usize {
        0
    }

    fn pause(&mut self, _id: ConnectionId) {}

    fn resume(&mut self, _id: ConnectionId) {}

    fn connect(&mut self, _to: SocketAddr, _from: Option<IpAddr>) -> Result<ConnectionId, NoSlot> {
        Err(NoSlot)
    }

    fn close(&mut self, _id: ConnectionId, how: Close) {
        self.closed.push(how);
    }

    fn forward(&mut self, _to: Core, (): ()) {}

    fn stop_accepting(&mut self) {}

    fn vitals(&mut self) -> Vitals {
        Vitals::default()
    }
}

/// Keeps what it is told.
#[derive(Default)]
struct Told {
    /// Whether it closes what is opened at once.
    leaves: bool,
    told: Vec<String>,
}

impl Shard for Told {
    type Message = ();
    type Outcome = Vec<String>;

    fn started(&mut self, _wire: &mut impl Wire<()>) {}

    fn opened(&mut self, id: ConnectionId, _origin: Origin, wire: &mut impl Wire<()>) {
        let peer = wire.peer(id).map(|it| it.to_string());
        self.told
            .push(format!("opened {}", peer.unwrap_or_default()));
        if self.leaves {
            wire.close(id, Close::Abort);
        }
    }

    fn received(&mut self, _id: ConnectionId, bytes: &mut [u8], _wire: &mut impl Wire<()>) {
        self.told.push(String::from_utf8_lossy(bytes).into_owned());
    }

    fn receive_into(&mut self, _id: ConnectionId) -> Option<ReceiveInto> {
        let buffer = Vec::with_capacity(64);
        Some(ReceiveInto { buffer, most: 64 })
    }

    fn received_into(&mut self, _id: ConnectionId, buffer: Vec<u8>, _wire: &mut impl Wire<()>) {
        let text = String::from_utf8_lossy(&buffer);
        self.told.push(format!("lent {text}"));
    }

    fn drained(&mut self, _id: ConnectionId, _wire: &mut impl Wire<()>) {}

    fn lost(&mut self, core: Core, _wire: &mut impl Wire<()>) {
        self.told.push(format!("lost {}", core.0));
    }

    fn closed(&mut self, _id: ConnectionId, _cause: CloseCause, _wire: &mut impl Wire<()>) {
        self.told.push("closed".to_owned());
    }

    fn forwarded(&mut self, _from: Core, (): (), _wire: &mut impl Wire<()>) {}

    fn expired(&mut self, _wire: &mut impl Wire<()>) {}

    fn stopped(&mut self, _wire: &mut impl Wire<()>) {}

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn finished(&self) -> bool {
        false
    }

    fn outcome(self) -> Vec<String> {
        self.told
    }
}

/// A layer, a connection from `from` on that listener, and its wire.
fn opened(from: [u8; 4], listener: u16, inner: Told) -> (Introduced<Told>, Line) {
    let proxies = vec!["10.0.0.0/8".parse().unwrap()];
    let layer = Introduced::new(inner, proxies, Duration::from_secs(10));
    let mut layer = layer.except(Some(1));
    let mut wire = Line {
        now: Instant::default(),
        from: Some(Ipv4Addr::from(from).into()),
        closed: Vec::new(),
    };
    layer.opened(ID, Origin::Accepted { listener }, &mut wire);
    (layer, wire)
}

#[test]
fn a_client_is_opened_by_its_own_address_and_its_words_follow() {
    for cut in 0..HEADER.len() {
        let (mut layer, mut wire) = opened([10, 0, 0, 1], 0, Told::default());
        let mut bytes = [HEADER, b"hello"].concat();
        let (one, two) = bytes.split_at_mut(cut);
        layer.received(ID, one, &mut wire);
        layer.received(ID, two, &mut wire);
        layer.received(ID, &mut b"again".to_vec(), &mut wire);
        layer.closed(ID, CloseCause::PeerEnded, &mut wire);
        assert_eq!(
            layer.outcome(),
            ["opened 192.0.2.1", "hello", "again", "closed"]
        );
    }
}

#[test]
fn who_is_no_proxy_and_who_asks_for_health_is_left_as_it_is() {
    for (from, listener) in [([192, 0, 2, 9], 0), ([10, 0, 0, 1], 1)] {
        let (mut layer, mut wire) = opened(from, listener, Told::default());
        layer.received(ID, &mut HEADER.to_vec(), &mut wire);
        let told = layer.outcome();
        assert_eq!(told[0], format!("opened {}", Ipv4Addr::from(from)));
        assert_eq!(told[1].as_bytes(), HEADER);
    }
}

#[test]
fn a_proxy_that_does_not_introduce_is_reset_and_nobody_hears_of_it() {
    for bytes in [&b"GET / HTTP/1.1\r\n"[..], b"PROXY T"] {
        let (mut layer, mut wire) = opened([10, 0, 0, 1], 0, Told::default());
        layer.received(ID, &mut bytes.to_vec(), &mut wire);
        if wire.closed.is_empty() {
            wire.now = layer.deadline().expect("a header has its time");
            layer.expired(&mut wire);
        }
        assert_eq!(wire.closed, [Close::Abort]);
        layer.closed(ID, CloseCause::Local, &mut wire);
        assert!(layer.outcome().is_empty());
    }
}

#[test]
fn nothing_more_comes_for_what_the_inner_shard_has_closed() {
    let inner = Told {
        leaves: true,
        ..Told::default()
    };
    let (mut layer, mut wire) = opened([10, 0, 0, 1], 0, inner);
    layer.received(ID, &mut [HEADER, b"hello"].concat(), &mut wire);
    layer.closed(ID, CloseCause::Local, &mut wire);
    assert_eq!(layer.outcome(), ["opened 192.0.2.1", "closed"]);
}

#[test]
fn the_inner_shard_lends_its_messages_once_it_knows_a_connection_and_hears_of_cores_that_failed() {
    let (mut layer, mut wire) = opened([10, 0, 0, 1], 0, Told::default());
    assert_eq!(layer.receive_into(ID), None);
    layer.lost(Core(1), &mut wire);
    layer.received(ID, &mut HEADER.to_vec(), &mut wire);
    let lent = layer.receive_into(ID).expect("it is introduced");
    layer.received_into(ID, [&lent.buffer[..], b"much"].concat(), &mut wire);
    assert_eq!(layer.outcome(), ["lost 1", "opened 192.0.2.1", "lent much"]);
}
