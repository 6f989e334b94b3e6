//! What the layer promises: the inner shard hears of a connection when it leads to the server.

use super::*;
use crate::shard::{NoSlot, Payload, Unsent, Vitals};
use std::net::IpAddr;

const ID: ConnectionId = ConnectionId::new(3, 7);
const OPEN: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";

/// A wire that keeps what was asked of it.
#[derive(Default)]
struct Noted {
    sent: Vec<u8>,
    closed: Vec<Close>,
}

impl Wire<()> for Noted {
    fn now(&self) -> Instant {
        Instant::default()
    }

    fn core(&self) -> Core {
        Core(0)
    }

    fn cores(&self) -> u16 {
        1
    }

    fn send_parts(&mut self, _id: ConnectionId, parts: &[&[u8]]) -> Result<(), Unsent> {
        self.sent.extend_from_slice(&parts.concat());
        Ok(())
    }

    fn share(&mut self, id: ConnectionId, payload: &Payload) -> Result<(), Unsent> {
        self.send(id, payload.bytes())
    }

    fn backlog(&self, _id: ConnectionId) -> usize {
        0
    }

    fn pause(&mut self, _id: ConnectionId) {}

    fn resume(&mut self, _id: ConnectionId) {}

    fn connect(&mut self, _to: SocketAddr, _from: Option<IpAddr>) -> Result<ConnectionId, NoSlot> {
        Ok(ID)
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

/// Connects to that address at the start, and keeps what it is told.
struct Client {
    to: SocketAddr,
    /// Whether it closes what is opened at once.
    leaves: bool,
    told: Vec<String>,
}

impl Shard for Client {
    type Message = ();
    type Outcome = Vec<String>;

    fn started(&mut self, wire: &mut impl Wire<()>) {
        wire.connect(self.to, None).unwrap();
    }

    fn opened(&mut self, id: ConnectionId, origin: Origin, wire: &mut impl Wire<()>) {
        self.told.push(format!("opened {origin:?}"));
        wire.send(id, b"to the server").unwrap();
        if self.leaves {
            wire.close(id, Close::Flush);
        }
    }

    fn reached(&mut self, _id: ConnectionId, _wire: &mut impl Wire<()>) {
        self.told.push("reached".to_owned());
    }

    fn received(&mut self, _id: ConnectionId, bytes: &mut [u8], _wire: &mut impl Wire<()>) {
        let text = String::from_utf8_lossy(bytes);
        self.told.push(format!("received {text}"));
    }

    fn drained(&mut self, _id: ConnectionId, _wire: &mut impl Wire<()>) {
        self.told.push("drained".to_owned());
    }

    fn ended(&mut self, _id: ConnectionId, _wire: &mut impl Wire<()>) -> Half {
        self.told.push("ended".to_owned());
        Half::Keep
    }

    fn closed(&mut self, _id: ConnectionId, cause: CloseCause, _wire: &mut impl Wire<()>) {
        self.told.push(format!("closed {cause:?}"));
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

/// A client that has begun to connect to the proxy, or to somebody else.
fn begun(port: u16, leaves: bool) -> (Proxied<Client>, Noted) {
    let proxy: SocketAddr = "127.0.0.1:3128".parse().unwrap();
    let route = ProxyRoute {
        protocol: ProxyProtocol::Connect { basic: None },
        host: "a.test".to_owned(),
        port: 443,
    };
    let to = SocketAddr::new(proxy.ip(), port);
    let client = Client {
        to,
        leaves,
        told: Vec::new(),
    };
    let mut shard = Proxied::new(client, vec![(proxy, Arc::new(route))]);
    let mut wire = Noted::default();
    shard.started(&mut wire);
    (shard, wire)
}

#[test]
fn what_follows_the_answer_of_the_proxy_is_the_servers() {
    let (mut shard, mut wire) = begun(3128, false);
    shard.opened(ID, Origin::Connected, &mut wire);
    assert!(wire.sent.starts_with(b"CONNECT a.test:443 HTTP/1.1\r\n"));
    wire.sent.clear();
    shard.received(ID, &mut OPEN.to_vec(), &mut wire);
    assert_eq!(wire.sent, b"to the server");
    shard.received(ID, &mut b"one".to_vec(), &mut wire);
    assert_eq!(shard.ended(ID, &mut wire), Half::Keep);
    shard.closed(ID, CloseCause::PeerEnded, &mut wire);
    let expected = [
        "reached",
        "opened Connected",
        "received one",
        "ended",
        "closed PeerEnded",
    ];
    assert_eq!(shard.outcome(), expected);
    let (mut shard, mut wire) = begun(3128, false);
    shard.opened(ID, Origin::Connected, &mut wire);
    shard.received(ID, &mut [OPEN, b"both"].concat(), &mut wire);
    assert_eq!(shard.outcome()[1..], ["opened Connected", "received both"]);
}

#[test]
fn who_leaves_at_once_hears_nothing_more_but_the_end() {
    let (mut shard, mut wire) = begun(3128, true);
    shard.opened(ID, Origin::Connected, &mut wire);
    shard.received(ID, &mut [OPEN, b"late"].concat(), &mut wire);
    shard.closed(ID, CloseCause::Local, &mut wire);
    assert_eq!(shard.outcome()[1..], ["opened Connected", "closed Local"]);
}

#[test]
fn another_address_than_the_proxys_is_connected_to_straight() {
    let (mut shard, mut wire) = begun(80, false);
    shard.opened(ID, Origin::Connected, &mut wire);
    shard.closed(ID, CloseCause::Refused, &mut wire);
    assert_eq!(wire.sent, b"to the server");
    assert_eq!(shard.outcome(), ["opened Connected", "closed Refused"]);
}

#[test]
fn a_proxy_that_makes_no_tunnel_is_told_apart_from_the_server() {
    for (cause, told) in [
        (CloseCause::Refused, "Proxy(Refused)"),
        (CloseCause::TimedOut, "Proxy(TimedOut)"),
        (CloseCause::NoSourcePort, "NoSourcePort"),
    ] {
        let (mut shard, mut wire) = begun(3128, false);
        shard.closed(ID, cause, &mut wire);
        assert_eq!(shard.outcome(), [format!("closed {told}")]);
    }
    let (mut shard, mut wire) = begun(3128, false);
    shard.opened(ID, Origin::Connected, &mut wire);
    shard.received(ID, &mut b"HTTP/1.1 407 No\r\n\r\n".to_vec(), &mut wire);
    assert_eq!(wire.closed, [Close::Abort]);
    shard.closed(ID, CloseCause::Local, &mut wire);
    assert_eq!(shard.outcome(), ["reached", "closed Proxy(Status(407))"]);
    let (mut shard, mut wire) = begun(3128, false);
    shard.opened(ID, Origin::Connected, &mut wire);
    assert_eq!(shard.ended(ID, &mut wire), Half::Close);
    shard.closed(ID, CloseCause::PeerEnded, &mut wire);
    assert_eq!(shard.outcome(), ["reached", "closed Proxy(Ended)"]);
}
