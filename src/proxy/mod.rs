//! Proxies as a layer between an engine and a shard: [`Proxied`] is a shard around a shard, whose
//! connects to the address of a proxy lead through it.
//!
//! ```text
//! engine -> Proxied -> Tls -> the load client
//! ```
//! The inner shard connects to the proxy's address, and gets `opened` when the proxy has made a
//! tunnel to the server; then the layer is out of the way. A proxy that makes none gives `closed`
//! with [`CloseCause::Proxy`] alone.
//!
//! There is no time-out here: whoever connects has one.
#![forbid(unsafe_code)]
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used
)]

#[cfg(test)]
mod tests;
mod tunnel;
mod wire;

pub use tunnel::{Passage, ProxyProtocol, ProxyRoute, Tunnel};

use crate::shard::{
    Close, CloseCause, ConnectionId, Core, Half, Origin, ProxyFault, ReceiveInto, Shard, Wire,
};
use crate::time::Instant;
use std::net::SocketAddr;
use std::sync::Arc;
use tunnel::TunnelDialogue;
use wire::{TunnelState, TunnelWire, Tunnels};

/// A shard some of whose connections go through a proxy.
pub struct Proxied<S> {
    inner: S,
    tunnels: Tunnels,
}

impl<S: Shard> Proxied<S> {
    /// Connects of `inner` to these addresses are connects to a proxy, and lead where it is told.
    #[must_use]
    pub fn new(inner: S, routes: Vec<(SocketAddr, Arc<ProxyRoute>)>) -> Self {
        Self {
            inner,
            tunnels: Tunnels::new(routes),
        }
    }

    /// Gives the inner shard one event.
    fn pass<W: Wire<S::Message>, T>(
        &mut self,
        wire: &mut W,
        event: impl FnOnce(&mut S, &mut TunnelWire<'_, W>) -> T,
    ) -> T {
        let tunnels = &mut self.tunnels;
        event(&mut self.inner, &mut TunnelWire { wire, tunnels })
    }

    /// Says something to a proxy. A few hundred bytes always fit.
    fn say(id: ConnectionId, text: &[u8], wire: &mut impl Wire<S::Message>) {
        if !text.is_empty() {
            let _ = wire.send(id, text);
        }
    }

    /// There will be no tunnel.
    fn fail(&mut self, id: ConnectionId, fault: ProxyFault, wire: &mut impl Wire<S::Message>) {
        if let Some(state) = self.tunnels.get(id) {
            *state = TunnelState::Failed(fault);
        }
        wire.close(id, Close::Abort);
    }
}

impl<S: Shard> Shard for Proxied<S> {
    type Message = S::Message;
    type Outcome = S::Outcome;

    fn started(&mut self, wire: &mut impl Wire<Self::Message>) {
        self.pass(wire, |inner, wire| inner.started(wire));
    }

    fn opened(&mut self, id: ConnectionId, origin: Origin, wire: &mut impl Wire<Self::Message>) {
        let route = match self.tunnels.get(id) {
            Some(TunnelState::Connecting(route)) => Arc::clone(route),
            Some(TunnelState::Asked(..) | TunnelState::Failed(_)) => return,
            None => return self.pass(wire, |inner, wire| inner.opened(id, origin, wire)),
        };
        let mut request = Vec::new();
        let dialogue = TunnelDialogue::begin(&route, &mut request);
        if let Some(state) = self.tunnels.get(id) {
            *state = TunnelState::Asked(route, dialogue);
        }
        Self::say(id, &request, wire);
        self.pass(wire, |inner, wire| inner.reached(id, wire));
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
        let (mut at, mut answer) = (0, Vec::new());
        let passage = match self.tunnels.get(id) {
            None => return self.pass(wire, |inner, wire| inner.received(id, bytes, wire)),
            Some(TunnelState::Connecting(_) | TunnelState::Failed(_)) => return,
            Some(TunnelState::Asked(route, dialogue)) => {
                dialogue.hear(route, (bytes, &mut at), &mut answer)
            }
        };
        Self::say(id, &answer, wire);
        match passage {
            Err(fault) => self.fail(id, fault, wire),
            Ok(Passage::Awaited) => {}
            Ok(Passage::Open) => {
                self.tunnels.remove(id);
                self.pass(wire, |inner, wire| {
                    inner.opened(id, Origin::Connected, wire);
                });
                let rest = bytes.get_mut(at..).unwrap_or_default();
                if !rest.is_empty() && !self.tunnels.has_closed(id) {
                    self.pass(wire, |inner, wire| inner.received(id, rest, wire));
                }
            }
        }
    }

    fn receive_into(&mut self, id: ConnectionId) -> Option<ReceiveInto> {
        match self.tunnels.get(id) {
            None => self.inner.receive_into(id),
            Some(_) => None,
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
        if self.tunnels.get(id).is_none() {
            self.pass(wire, |inner, wire| inner.drained(id, wire));
        }
    }

    fn ended(&mut self, id: ConnectionId, wire: &mut impl Wire<Self::Message>) -> Half {
        match self.tunnels.get(id) {
            None => self.pass(wire, |inner, wire| inner.ended(id, wire)),
            Some(state) => {
                *state = TunnelState::Failed(ProxyFault::Ended);
                Half::Close
            }
        }
    }

    fn closed(&mut self, id: ConnectionId, cause: CloseCause, wire: &mut impl Wire<Self::Message>) {
        let cause = match self.tunnels.remove(id) {
            None => cause,
            Some(TunnelState::Failed(fault)) => CloseCause::Proxy(fault),
            Some(TunnelState::Connecting(_) | TunnelState::Asked(..)) => of_proxy(cause),
        };
        self.pass(wire, |inner, wire| inner.closed(id, cause, wire));
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
        self.pass(wire, |inner, wire| inner.expired(wire));
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
        self.inner.deadline()
    }

    fn finished(&self) -> bool {
        self.inner.finished()
    }

    fn outcome(self) -> Self::Outcome {
        self.inner.outcome()
    }
}

/// What the end of a connection to a proxy is, that has no tunnel yet.
fn of_proxy(cause: CloseCause) -> CloseCause {
    CloseCause::Proxy(match cause {
        CloseCause::Refused => ProxyFault::Refused,
        CloseCause::Unreachable => ProxyFault::Unreachable,
        CloseCause::TimedOut => ProxyFault::TimedOut,
        CloseCause::Reset => ProxyFault::Reset,
        CloseCause::PeerEnded | CloseCause::CutOff => ProxyFault::Ended,
        // What is this host's own has nothing to do with a proxy.
        CloseCause::Local
        | CloseCause::NoSourcePort
        | CloseCause::NoDescriptor
        | CloseCause::Os(_)
        | CloseCause::Insecure(_)
        | CloseCause::Proxy(_) => return cause,
    })
}
