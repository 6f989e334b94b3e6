//! The wire as the inner shard sees it: a connect to the address of a proxy gets a tunnel.

use super::tunnel::{ProxyRoute, TunnelDialogue};
use crate::shard::{Close, ConnectionId, NoSlot, ProxyFault, Wire, forward_wire};
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
    forward_wire!(M:
        now core cores peer peer_names send_parts share share_behind backlog held_bytes held
        progress trim_memory pause resume forward forward_sized mail_is_full stop_accepting vitals
    );

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
}
