//! The wire as the inner shard sees it: what it sends is gathered, sealed, and passed on.

use super::book::Book;
use super::is_plain;
use crate::shard::{
    Close, ConnectionId, NoSlot, Payload, PeerNames, Unsent, Vitals, Wire, forward_wire,
};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The engine's wire, and what is known of the connections.
pub(super) struct Secured<'w, W> {
    pub(super) wire: &'w mut W,
    pub(super) book: &'w mut Book,
}

impl<M, W: Wire<M>> Wire<M> for Secured<'_, W> {
    forward_wire!(M:
        now core cores peer progress pause resume forward forward_sized
        mail_is_full stop_accepting
    );

    fn peer_names(&self, id: ConnectionId) -> Option<Arc<PeerNames>> {
        self.book.names(id)
    }

    #[inline]
    fn send_parts(&mut self, id: ConnectionId, parts: &[&[u8]]) -> Result<(), Unsent> {
        match self.book.gather(id, parts, self.wire) {
            Err(Unsent::Gone) if is_plain(self.book, id) => self.wire.send_parts(id, parts),
            queued => queued,
        }
    }

    /// Everybody has keys of their own: what is shared is copied after all.
    fn share(&mut self, id: ConnectionId, payload: &Payload) -> Result<(), Unsent> {
        self.send_parts(id, &[payload.bytes()])
    }

    fn share_behind(
        &mut self,
        id: ConnectionId,
        head: &[u8],
        payload: &Payload,
    ) -> Result<(), Unsent> {
        self.send_parts(id, &[head, payload.bytes()])
    }

    #[inline]
    fn backlog(&self, id: ConnectionId) -> usize {
        self.wire.backlog(id) + self.book.gathered(id)
    }

    fn held_bytes(&self) -> usize {
        self.wire.held_bytes() + self.book.spares.used()
    }

    fn held(&self, id: ConnectionId) -> usize {
        self.wire.held(id) + self.book.partial_bytes(id)
    }

    fn trim_memory(&mut self) {
        self.book.spares.trim();
        self.wire.trim_memory();
    }

    fn connect(&mut self, to: SocketAddr, from: Option<IpAddr>) -> Result<ConnectionId, NoSlot> {
        let id = self.wire.connect(to, from)?;
        if let Err(why) = self.book.connect(id, to) {
            self.book.fail(id, why, self.wire);
        }
        Ok(id)
    }

    fn close(&mut self, id: ConnectionId, how: Close) {
        if is_plain(self.book, id) {
            return self.wire.close(id, how);
        }
        self.book.close(id, how, self.wire);
    }

    fn vitals(&mut self) -> Vitals {
        let mut vitals = self.wire.vitals();
        vitals.handshakes = self.book.handshakes();
        vitals
    }
}
