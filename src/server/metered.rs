//! A core's server as engines see it: what leaves is counted by connection where it is told.

use super::stats::Message;
use super::{Apps, BuiltIn, Config, CoreServer, Outcome, built_in};
use crate::shard::{
    Close, CloseCause, ConnectionId, Core, Half, NoSlot, Origin, Payload, ReceiveInto, Shard,
    Unsent, Wire, forward_wire,
};
use crate::time::Instant;
use std::net::{IpAddr, SocketAddr};

/// One core's server.
pub struct Server<A: Apps = BuiltIn> {
    pub(super) core: CoreServer<A>,
    sent: SentBytes,
}

/// Bytes queued for each connection, by slot: for none unless somebody wants to know.
#[derive(Debug, Default)]
struct SentBytes {
    is_counted: bool,
    slots: Vec<u64>,
}

impl SentBytes {
    #[inline]
    fn add(&mut self, id: ConnectionId, queued: Result<(), Unsent>, bytes: impl FnOnce() -> usize) {
        if self.is_counted && queued.is_ok() {
            self.count(id, bytes());
        }
    }

    #[cold]
    fn count(&mut self, id: ConnectionId, bytes: usize) {
        if let Some(sum) = self.slots.get_mut(id.slot()) {
            *sum += bytes as u64;
        }
    }

    /// A connection comes into its slot, and is counted or not.
    fn begin(&mut self, id: ConnectionId, is_counted: bool) {
        if !is_counted {
            if self.is_counted {
                *self = Self::default();
            }
            return;
        }
        self.is_counted = true;
        if self.slots.len() <= id.slot() {
            self.slots.resize(id.slot() + 1, 0);
        }
        if let Some(sum) = self.slots.get_mut(id.slot()) {
            *sum = 0;
        }
    }
}

impl Server {
    /// A server for one core; every core gets the same configuration.
    #[must_use]
    pub fn new(core: Core, config: Config) -> Self {
        let apps = built_in(&config);
        Self::with(core, config, apps)
    }
}

impl<A: Apps> Server<A> {
    /// A server for one core with those applications.
    #[must_use]
    pub fn with(core: Core, config: Config, apps: A) -> Self {
        Self {
            core: CoreServer::with(core, config, apps),
            sent: SentBytes::default(),
        }
    }

    #[inline]
    fn parts<'s, W>(&'s mut self, wire: &'s mut W) -> (&'s mut CoreServer<A>, Metered<'s, W>) {
        let sent = &mut self.sent;
        (&mut self.core, Metered { wire, sent })
    }
}

impl<A: Apps> Shard for Server<A> {
    type Message = Message<A::Letters>;
    type Outcome = Outcome;

    fn started(&mut self, wire: &mut impl Wire<Self::Message>) {
        let (core, mut wire) = self.parts(wire);
        core.started(&mut wire);
    }

    fn opened(&mut self, id: ConnectionId, origin: Origin, wire: &mut impl Wire<Self::Message>) {
        self.sent.begin(id, self.core.tells());
        let (core, mut wire) = self.parts(wire);
        core.opened(id, origin, &mut wire);
    }

    #[inline]
    fn received(
        &mut self,
        id: ConnectionId,
        bytes: &mut [u8],
        wire: &mut impl Wire<Self::Message>,
    ) {
        let (core, mut wire) = self.parts(wire);
        core.received(id, bytes, &mut wire);
    }

    fn receive_into(&mut self, id: ConnectionId) -> Option<ReceiveInto> {
        self.core.receive_into(id)
    }

    fn received_into(
        &mut self,
        id: ConnectionId,
        buffer: Vec<u8>,
        wire: &mut impl Wire<Self::Message>,
    ) {
        let (core, mut wire) = self.parts(wire);
        core.received_into(id, buffer, &mut wire);
    }

    fn drained(&mut self, id: ConnectionId, wire: &mut impl Wire<Self::Message>) {
        let (core, mut wire) = self.parts(wire);
        core.drained(id, &mut wire);
    }

    fn ended(&mut self, id: ConnectionId, wire: &mut impl Wire<Self::Message>) -> Half {
        let (core, mut wire) = self.parts(wire);
        core.ended(id, &mut wire)
    }

    fn closed(&mut self, id: ConnectionId, cause: CloseCause, wire: &mut impl Wire<Self::Message>) {
        if self.sent.is_counted {
            let bytes = self.sent.slots.get(id.slot());
            self.core.sent(id, bytes.copied().unwrap_or_default());
        }
        let (core, mut wire) = self.parts(wire);
        core.closed(id, cause, &mut wire);
    }

    fn forwarded(
        &mut self,
        from: Core,
        message: Self::Message,
        wire: &mut impl Wire<Self::Message>,
    ) {
        let (core, mut wire) = self.parts(wire);
        core.forwarded(from, message, &mut wire);
    }

    fn expired(&mut self, wire: &mut impl Wire<Self::Message>) {
        let (core, mut wire) = self.parts(wire);
        core.expired(&mut wire);
    }

    fn lost(&mut self, core: Core, wire: &mut impl Wire<Self::Message>) {
        let (server, mut wire) = self.parts(wire);
        server.lost(core, &mut wire);
    }

    fn stopped(&mut self, wire: &mut impl Wire<Self::Message>) {
        let (core, mut wire) = self.parts(wire);
        core.stopped(&mut wire);
    }

    fn deadline(&self) -> Option<Instant> {
        self.core.deadline()
    }

    fn finished(&self) -> bool {
        self.core.finished()
    }

    fn outcome(self) -> Outcome {
        self.core.outcome()
    }
}

/// A wire that counts what is queued.
struct Metered<'w, W> {
    wire: &'w mut W,
    sent: &'w mut SentBytes,
}

impl<M, W: Wire<M>> Wire<M> for Metered<'_, W> {
    forward_wire!(M: now core cores peer peer_names backlog held_bytes held progress trim_memory
        pause resume forward forward_sized mail_is_full stop_accepting vitals);

    #[inline]
    fn send_parts(&mut self, id: ConnectionId, parts: &[&[u8]]) -> Result<(), Unsent> {
        let queued = self.wire.send_parts(id, parts);
        let bytes = || parts.iter().map(|part| part.len()).sum();
        self.sent.add(id, queued, bytes);
        queued
    }

    #[inline]
    fn send(&mut self, id: ConnectionId, bytes: &[u8]) -> Result<(), Unsent> {
        let queued = self.wire.send(id, bytes);
        self.sent.add(id, queued, || bytes.len());
        queued
    }

    #[inline]
    fn share(&mut self, id: ConnectionId, payload: &Payload) -> Result<(), Unsent> {
        let queued = self.wire.share(id, payload);
        self.sent.add(id, queued, || payload.bytes().len());
        queued
    }

    #[inline]
    fn share_behind(
        &mut self,
        id: ConnectionId,
        head: &[u8],
        payload: &Payload,
    ) -> Result<(), Unsent> {
        let queued = self.wire.share_behind(id, head, payload);
        let bytes = || head.len() + payload.bytes().len();
        self.sent.add(id, queued, bytes);
        queued
    }

    fn connect(&mut self, to: SocketAddr, from: Option<IpAddr>) -> Result<ConnectionId, NoSlot> {
        self.wire.connect(to, from)
    }

    #[inline]
    fn close(&mut self, id: ConnectionId, how: Close) {
        self.wire.close(id, how);
    }
}
