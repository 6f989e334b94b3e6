//! The wire as the inner shard sees it: a connect to the address of a proxy gets a tunnel.

use super::tunnel::{ProxyRoute, TunnelDialogue};
use crate::shard::{Close, ConnectionId, Core, NoSlot, Payload, ProxyFault, Unsent, Vitals, Wire};
use crate::time::Instant;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Connections on their way through a proxy; one that has its tunnel is forgotten.
#[derive(Debug, Default)]
pub(super) struct Tunnels {
    /// Where connects to these addresses go.
    routes: Vec<(SocketAddr, Arc<ProxyRoute>)>,
    under_way: BTreeMap<ConnectionId, TunnelState>,
    /// The last one that the inner shard closed.
    closed: Option<ConnectionId>,
}

/// How far one is.
#[derive(Debug)]
pub(super) enum TunnelState {
    /// The proxy is being connected to.
    Connecting(Arc<ProxyRoute>),
    /// It was asked.
    Asked(Arc<ProxyRoute>, TunnelDialogue),
    /// There will be no tunnel.
    Failed(ProxyFault),
}

impl Tunnels {
    pub(super) fn new(routes: Vec<(SocketAddr, Arc<ProxyRoute>)>) -> Self {
        Self {
            routes,
            ..Self::default()
        }
    }

    /// The connection, if it has no tunnel yet.
    #[inline]
    pub(super) fn get(&mut self, id: ConnectionId) -> Option<&mut TunnelState> {
        if self.under_way.is_empty() {
            return None;
        }
        self.under_way.get_mut(&id)
    }

    /// It has its tunnel, or is over.
    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<TunnelState> {
        self.under_way.remove(&id)
    }

    /// Whether the inner shard closed that one last.
    pub(super) fn has_closed(&self, id: ConnectionId) -> bool {
        self.closed == Some(id)
    }
}

/// The engine's wire, and what is known of tunnels.
pub(super) struct TunnelWire<'w, W> {
    pub(super) wire: &'w mut W,
    pub(super) tunnels: &'w mut Tunnels,
}

impl<M, W: Wire<M>> Wire<M> for TunnelWire<'_, W> {
    fn now(&self) -> Instant {
        self.wire.now()
    }

    fn core(&self) -> Core {
        self.wire.core()
    }

    fn cores(&self) -> u16 {
        self.wire.cores()
    }

    #[inline]
    fn send_parts(&mut self, id: ConnectionId, parts: &[&[u8]]) -> Result<(), Unsent> {
        self.wire.send_parts(id, parts)
    }

    fn share(&mut self, id: ConnectionId, payload: &Payload) -> Result<(), Unsent> {
        self.wire.share(id, payload)
    }

    fn share_behind(
        &mut self,
        id: ConnectionId,
        head: &[u8],
        payload: &Payload,
    ) -> Result<(), Unsent> {
        self.wire.share_behind(id, head, payload)
    }

    #[inline]
    fn backlog(&self, id: ConnectionId) -> usize {
        self.wire.backlog(id)
    }

    fn held_bytes(&self) -> usize {
        self.wire.held_bytes()
    }

    fn held(&self, id: ConnectionId) -> usize {
        self.wire.held(id)
    }

    fn progress(&self, id: ConnectionId) -> u64 {
        self.wire.progress(id)
    }

    fn trim_memory(&mut self) {
        self.wire.trim_memory();
    }

    fn pause(&mut self, id: ConnectionId) {
        self.wire.pause(id);
    }

    fn resume(&mut self, id: ConnectionId) {
        self.wire.resume(id);
    }

    fn connect(&mut self, to: SocketAddr, from: Option<IpAddr>) -> Result<ConnectionId, NoSlot> {
        let id = self.wire.connect(to, from)?;
        if let Some((_, route)) = self.tunnels.routes.iter().find(|(at, _)| *at == to) {
            let state = TunnelState::Connecting(Arc::clone(route));
            self.tunnels.under_way.insert(id, state);
        }
        Ok(id)
    }

    fn close(&mut self, id: ConnectionId, how: Close) {
        self.tunnels.under_way.remove(&id);
        self.tunnels.closed = Some(id);
        self.wire.close(id, how);
    }

    fn forward(&mut self, to: Core, message: M) {
        self.wire.forward(to, message);
    }

    fn forward_sized(&mut self, to: Core, message: M, bytes: usize) {
        self.wire.forward_sized(to, message, bytes);
    }

    fn mail_is_full(&self) -> bool {
        self.wire.mail_is_full()
    }

    fn stop_accepting(&mut self) {
        self.wire.stop_accepting();
    }

    fn vitals(&mut self) -> Vitals {
        self.wire.vitals()
    }
}
