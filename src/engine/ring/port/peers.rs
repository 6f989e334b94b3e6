//! Where accepted connections come from: a direct descriptor has no name for getpeername(2), so the
//! ring asks the kernel with an entry, and the connection is opened once that has answered.

use super::Port;
use crate::engine::ListenSocket;
use crate::engine::listen::OF_UNIX;
use crate::engine::ring::operation::{Operation, tag};
use crate::engine::ring::option::peer_name_entry;
use crate::shard::ConnectionId;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where a kernel writes a peer's address.
pub(in crate::engine::ring) type PeerName = libc::sockaddr_in6;

/// What is known of peers; a core has it only if its shard needs it.
pub(in crate::engine::ring) struct Peers {
    /// Of each listener, whose names its sockets have.
    families: Vec<PeerFamily>,
    /// What was asked and is not answered, the oldest first. Boxed: the kernel writes there.
    asked: VecDeque<(ConnectionId, u16, Box<PeerName>)>,
    #[expect(clippy::vec_box, reason = "they go to `asked` as they are")]
    spare: Vec<Box<PeerName>>,
    /// By slot.
    known: Vec<Option<IpAddr>>,
}

/// Which names the peers of a listener have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PeerFamily {
    V4,
    V6,
    /// None: they are on this host, as those of loopback are.
    Unix,
}

/// Answers that are kept to be used again.
const SPARES: usize = 64;

impl Peers {
    /// Nothing is known yet of who comes to these.
    pub(in crate::engine::ring) fn new(listeners: &[ListenSocket]) -> Self {
        let family = |listener: &ListenSocket| match listener.tcp() {
            None => PeerFamily::Unix,
            Some(tcp) if tcp.local_addr().is_ok_and(|it| it.is_ipv6()) => PeerFamily::V6,
            Some(_) => PeerFamily::V4,
        };
        Self {
            families: listeners.iter().map(family).collect(),
            asked: VecDeque::new(),
            spare: Vec::new(),
            known: Vec::new(),
        }
    }

    fn set(&mut self, id: ConnectionId, address: Option<IpAddr>) {
        if self.known.len() <= id.slot() {
            self.known.resize(id.slot() + 1, None);
        }
        self.known[id.slot()] = address;
    }

    /// The address of a connection that is open.
    pub(in crate::engine::ring) fn of(&self, id: ConnectionId) -> Option<IpAddr> {
        self.known.get(id.slot()).copied().flatten()
    }
}

impl<M> Port<M> {
    /// Asks where a connection comes from that was accepted on that listener. Whether it is to be
    /// waited for.
    pub(in crate::engine::ring) fn ask_peer(&mut self, id: ConnectionId, listener: u16) -> bool {
        let has_answers = self.features.socket_options;
        let Some(peers) = self.peers.as_mut().filter(|_| has_answers) else {
            return false;
        };
        let family = peers.families.get(listener as usize);
        let is_unix = family == Some(&PeerFamily::Unix);
        let is_v6 = family == Some(&PeerFamily::V6);
        peers.set(id, is_unix.then_some(OF_UNIX));
        if is_unix {
            return false;
        }
        let mut name = peers.spare.pop().unwrap_or_else(|| Box::new(no_name()));
        let entry = peer_name_entry(self.rings.direct(id), &mut name, is_v6);
        peers.asked.push_back((id, listener, name));
        if let Some(slot) = self.slots.get(id) {
            // The kernel holds it.
            slot.busy = true;
        }
        self.rings
            .push(id, &entry.user_data(tag(Operation::PeerName, id)));
        true
    }

    /// The kernel has answered, or could not: the listener of a connection that can be opened now.
    pub(in crate::engine::ring) fn peer_told(
        &mut self,
        id: ConnectionId,
        result: i32,
    ) -> Option<u16> {
        if let Some(slot) = self.slots.get(id) {
            slot.busy = false;
        }
        let peers = self.peers.as_mut()?;
        // Answers come in the order of the questions: it is the first, mostly.
        let place = peers.asked.iter().position(|(of, ..)| *of == id)?;
        let (_, listener, name) = peers.asked.remove(place)?;
        let address = (result > 0).then(|| address(&name)).flatten();
        peers.set(id, address);
        if peers.spare.len() < SPARES {
            peers.spare.push(name);
        }
        Some(listener)
    }
}

const fn no_name() -> PeerName {
    PeerName {
        sin6_family: 0,
        sin6_port: 0,
        sin6_flowinfo: 0,
        sin6_addr: libc::in6_addr { s6_addr: [0; 16] },
        sin6_scope_id: 0,
    }
}

/// ip(7), ipv6(7): the address of IPv4 is where IPv6 has its flow.
fn address(name: &PeerName) -> Option<IpAddr> {
    match libc::c_int::from(name.sin6_family) {
        libc::AF_INET => {
            let four = Ipv4Addr::from(name.sin6_flowinfo.to_ne_bytes());
            Some(four.into())
        }
        libc::AF_INET6 => {
            let six = Ipv6Addr::from(name.sin6_addr.s6_addr);
            Some(IpAddr::from(six).to_canonical())
        }
        _ => None,
    }
}
