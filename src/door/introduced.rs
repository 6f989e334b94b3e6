//! A shard around a shard whose connections are introduced: those of some proxies begin with a
//! header of the PROXY protocol, and the inner shard sees what follows, as if the client had come.
//!
//! Who is none of those proxies is left as it is: what it says of itself counts for nothing.

use super::block::AddressBlock;
use super::proxy_header::ProxyHeader;
use crate::shard::{
    Close, CloseCause, ConnectionId, Core, Half, NoSlot, Origin, ReceiveInto, Shard, Wire,
    forward_wire,
};
use crate::time::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A shard, and who its connections are.
pub struct Introduced<S> {
    inner: S,
    /// Who introduces.
    proxies: Vec<AddressBlock>,
    /// The listener whose connections are left as they are.
    plain: Option<u16>,
    /// Time for a header.
    time: Duration,
    /// Connections whose header is not whole.
    waiting: BTreeMap<ConnectionId, Waiting>,
    /// When each has to be whole, the first first.
    times: VecDeque<(Instant, ConnectionId)>,
    clients: Clients,
}

#[derive(Debug)]
struct Waiting {
    origin: Origin,
    bytes: Vec<u8>,
}

/// Whose connections the inner shard has.
#[derive(Debug, Default)]
struct Clients {
    known: BTreeMap<ConnectionId, Option<IpAddr>>,
    /// What the inner shard closed last.
    closed: Option<ConnectionId>,
}

impl<S: Shard> Introduced<S> {
    /// Expects headers of connections that come from there, in that time.
    #[must_use]
    pub fn new(inner: S, proxies: Vec<AddressBlock>, time: Duration) -> Self {
        Self {
            inner,
            proxies,
            plain: None,
            time,
            waiting: BTreeMap::new(),
            times: VecDeque::new(),
            clients: Clients::default(),
        }
    }

    /// Leaves the connections of one listener as they are.
    #[must_use]
    pub fn except(self, plain: Option<u16>) -> Self {
        Self { plain, ..self }
    }

    /// Gives the inner shard one event.
    #[inline]
    fn pass<W: Wire<S::Message>, R>(
        &mut self,
        wire: &mut W,
        event: impl FnOnce(&mut S, &mut IntroducedWire<'_, W>) -> R,
    ) -> R {
        let clients = &mut self.clients;
        event(&mut self.inner, &mut IntroducedWire { wire, clients })
    }

    fn is_proxy(&self, origin: Origin, peer: Option<IpAddr>) -> bool {
        let is_ours = match origin {
            Origin::Accepted { listener } => self.plain != Some(listener),
            Origin::Connected | Origin::Secured { .. } => false,
        };
        is_ours && peer.is_some_and(|peer| self.proxies.iter().any(|it| it.contains(peer)))
    }

    /// More of a connection that waits for its header.
    #[cold]
    fn hear(&mut self, id: ConnectionId, bytes: &[u8], wire: &mut impl Wire<S::Message>) {
        let Some(waiting) = self.waiting.get_mut(&id) else {
            return;
        };
        waiting.bytes.extend_from_slice(bytes);
        let (length, client) = match ProxyHeader::read(&waiting.bytes) {
            Ok(ProxyHeader::Partial) => return,
            Ok(ProxyHeader::Whole { length, client }) => (length, client),
            Err(_) => return wire.close(id, Close::Abort),
        };
        let Some(mut waiting) = self.waiting.remove(&id) else {
            return;
        };
        self.clients.known.insert(id, client);
        self.clients.closed = None;
        let origin = waiting.origin;
        self.pass(wire, |inner, wire| inner.opened(id, origin, wire));
        let rest = waiting.bytes.get_mut(length..).unwrap_or_default();
        if !rest.is_empty() && self.clients.closed != Some(id) {
            self.pass(wire, |inner, wire| inner.received(id, rest, wire));
        }
    }
}

impl<S: Shard> Shard for Introduced<S> {
    type Message = S::Message;
    type Outcome = S::Outcome;

    fn started(&mut self, wire: &mut impl Wire<Self::Message>) {
        self.pass(wire, |inner, wire| inner.started(wire));
    }

    fn opened(&mut self, id: ConnectionId, origin: Origin, wire: &mut impl Wire<Self::Message>) {
        if !self.is_proxy(origin, wire.peer(id)) {
            return self.pass(wire, |inner, wire| inner.opened(id, origin, wire));
        }
        let bytes = Vec::new();
        self.waiting.insert(id, Waiting { origin, bytes });
        self.times.push_back((wire.now() + self.time, id));
    }

    fn reached(&mut self, id: ConnectionId, wire: &mut impl Wire<Self::Message>) {
        self.pass(wire, |inner, wire| inner.reached(id, wire));
    }

    #[inline]
    fn received(
        &mut self,
        id: ConnectionId,
        bytes: &mut [u8],
        wire: &mut impl Wire<Self::Message>,
    ) {
        if !self.waiting.is_empty() && self.waiting.contains_key(&id) {
            return self.hear(id, bytes, wire);
        }
        self.pass(wire, |inner, wire| inner.received(id, bytes, wire));
    }

    fn receive_into(&mut self, id: ConnectionId) -> Option<ReceiveInto> {
        // Who has not been introduced is not known to the inner shard.
        match self.waiting.contains_key(&id) {
            true => None,
            false => self.inner.receive_into(id),
        }
    }

    fn received_into(
        &mut self,
        id: ConnectionId,
        buffer: Vec<u8>,
        wire: &mut impl Wire<Self::Message>,
    ) {
        self.pass(wire, |inner, wire| inner.received_into(id, buffer, wire));
    }

    fn drained(&mut self, id: ConnectionId, wire: &mut impl Wire<Self::Message>) {
        self.pass(wire, |inner, wire| inner.drained(id, wire));
    }

    fn ended(&mut self, id: ConnectionId, wire: &mut impl Wire<Self::Message>) -> Half {
        match self.waiting.contains_key(&id) {
            true => Half::Close,
            false => self.pass(wire, |inner, wire| inner.ended(id, wire)),
        }
    }

    fn closed(&mut self, id: ConnectionId, cause: CloseCause, wire: &mut impl Wire<Self::Message>) {
        // The inner shard does not know who has not been introduced.
        if self.waiting.remove(&id).is_none() {
            self.pass(wire, |inner, wire| inner.closed(id, cause, wire));
            self.clients.known.remove(&id);
        }
    }

    fn forwarded(
        &mut self,
        from: Core,
        message: Self::Message,
        wire: &mut impl Wire<Self::Message>,
    ) {
        self.pass(wire, |inner, wire| inner.forwarded(from, message, wire));
    }

    fn expired(&mut self, wire: &mut impl Wire<Self::Message>) {
        let now = wire.now();
        while let Some((_, id)) = self.times.pop_front_if(|(at, _)| *at <= now) {
            if self.waiting.contains_key(&id) {
                wire.close(id, Close::Abort);
            }
        }
        if self.inner.deadline().is_some_and(|at| at <= now) {
            self.pass(wire, |inner, wire| inner.expired(wire));
        }
    }

    fn lost(&mut self, core: Core, wire: &mut impl Wire<Self::Message>) {
        self.pass(wire, |inner, wire| inner.lost(core, wire));
    }

    fn stopped(&mut self, wire: &mut impl Wire<Self::Message>) {
        self.pass(wire, |inner, wire| inner.stopped(wire));
    }

    fn may_coalesce(&self) -> bool {
        self.inner.may_coalesce()
    }

    fn deadline(&self) -> Option<Instant> {
        let own = self.times.front().map(|(at, _)| *at);
        own.into_iter().chain(self.inner.deadline()).min()
    }

    fn finished(&self) -> bool {
        self.inner.finished()
    }

    fn outcome(self) -> Self::Outcome {
        self.inner.outcome()
    }
}

/// The engine's wire, and whose connections there are.
struct IntroducedWire<'w, W> {
    wire: &'w mut W,
    clients: &'w mut Clients,
}

impl<M, W: Wire<M>> Wire<M> for IntroducedWire<'_, W> {
    forward_wire!(M:
        now core cores peer_names send_parts share share_behind backlog held_bytes held
        progress trim_memory pause resume forward forward_sized mail_is_full stop_accepting vitals
    );

    /// The client of a connection that was introduced; of the proxy's own, the proxy.
    fn peer(&self, id: ConnectionId) -> Option<IpAddr> {
        let client = self.clients.known.get(&id).copied().flatten();
        client.or_else(|| self.wire.peer(id))
    }

    fn connect(&mut self, to: SocketAddr, from: Option<IpAddr>) -> Result<ConnectionId, NoSlot> {
        self.wire.connect(to, from)
    }

    fn close(&mut self, id: ConnectionId, how: Close) {
        self.clients.closed = Some(id);
        self.wire.close(id, how);
    }
}

#[cfg(test)]
#[path = "introduced_tests.rs"]
mod tests;
