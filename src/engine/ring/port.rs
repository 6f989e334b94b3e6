//! One core's side of the ring, all but the shard: what the shard sees as its [`Wire`].

mod connect;
mod lifecycle;
mod peers;
mod sending;

use super::accept::Acceptor;
use super::addresses::Addresses;
use super::heap;
use super::lent::LentBuffers;
use super::mailer::Mailer;
use super::probe::Features;
use super::rings::Rings;
use super::slot::{Phase, Slots};
use crate::engine::closing::Closing;
use crate::engine::outbound::BatchPool;
use crate::engine::vitals;
use crate::shard::{
    Close, CloseCause, ConnectionId, Core, Counters, NoSlot, Payload, Unsent, Vitals, Wire,
};
use crate::time::Instant;
pub(super) use peers::Peers;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// An event that the shard is yet to be told. Nothing is told inside a call to the wire.
#[derive(Clone, Copy, Debug)]
pub(super) enum RingEvent {
    /// A connection was accepted on that listener, and there is room for it.
    Opened(ConnectionId, u16),
    /// The backlog came down to the low mark.
    Drained(ConnectionId),
    /// The connection is over.
    Closed(ConnectionId, CloseCause),
}

/// One core's connections, queues and ring.
pub(super) struct Port<M> {
    pub(super) rings: Rings,
    pub(super) slots: Slots,
    pub(super) pool: BatchPool,
    /// Buffers of the shard that are received into.
    pub(super) lent: LentBuffers,
    pub(super) acceptor: Acceptor,
    pub(super) addresses: Addresses,
    pub(super) mailer: Mailer<M>,
    pub(super) now: Instant,
    pub(super) core: Core,
    pub(super) max_backlog: usize,
    pub(super) features: Features,
    pub(super) counters: Counters,
    /// To be settled at the end of the turn.
    pub(super) dirty: Vec<ConnectionId>,
    /// Closing connections, the one to look at next first.
    pub(super) lingering: VecDeque<Closing>,
    /// Closing connections for which the kernel was asked what their peers have not acknowledged.
    pub(super) querying: VecDeque<Closing>,
    /// How long the peer of a closing connection may take nothing.
    pub(super) stall: Duration,
    pub(super) pending: VecDeque<RingEvent>,
    /// Accepted on that listener when every slot was taken: opened when there is room.
    pub(super) waiting: VecDeque<(ConnectionId, u16)>,
    /// Where connections come from, if the shard needs it.
    pub(super) peers: Option<Peers>,
    /// The shard has asked for memory to be given back.
    pub(super) trims: bool,
}

impl<M> Port<M> {
    /// Opens accepted connections for which there is room now.
    pub(super) fn open_waiting(&mut self) {
        while self.waiting.len() > self.slots.excess()
            && let Some((id, listener)) = self.waiting.pop_front()
        {
            self.pending.push_back(RingEvent::Opened(id, listener));
        }
    }

    /// Puts a connection on the list of those to be settled at the end of the turn.
    #[inline]
    pub(super) fn mark(&mut self, id: ConnectionId) {
        if let Some(slot) = self.slots.get(id)
            && !slot.dirty
        {
            slot.dirty = true;
            self.dirty.push(id);
        }
    }

    /// Queues bytes through `queue` if the connection is open and has room.
    #[inline]
    fn queue(
        &mut self,
        id: ConnectionId,
        queue: impl FnOnce(&mut super::slot::Slot, &mut BatchPool, usize) -> Result<(), Unsent>,
    ) -> Result<(), Unsent> {
        let slot = self.slots.get(id).ok_or(Unsent::Gone)?;
        if slot.phase != Phase::Open {
            return Err(Unsent::Gone);
        }
        let before = slot.out.backlog();
        queue(slot, &mut self.pool, self.max_backlog)?;
        self.counters.backlog_bytes += (slot.out.backlog() - before) as u64;
        if !slot.dirty {
            slot.dirty = true;
            self.dirty.push(id);
        }
        Ok(())
    }
}

impl<M> Wire<M> for Port<M> {
    fn now(&self) -> Instant {
        self.now
    }

    fn core(&self) -> Core {
        self.core
    }

    fn cores(&self) -> u16 {
        self.mailer.cores()
    }

    fn peer(&self, id: ConnectionId) -> Option<IpAddr> {
        self.slots.out(id)?;
        self.peers.as_ref()?.of(id)
    }

    #[inline]
    fn send_parts(&mut self, id: ConnectionId, parts: &[&[u8]]) -> Result<(), Unsent> {
        self.queue(id, |slot, pool, cap| slot.out.push_parts(pool, cap, parts))
    }

    #[inline]
    fn share(&mut self, id: ConnectionId, payload: &Payload) -> Result<(), Unsent> {
        self.queue(id, |slot, pool, cap| slot.out.share(pool, cap, payload))
    }

    fn share_behind(
        &mut self,
        id: ConnectionId,
        head: &[u8],
        payload: &Payload,
    ) -> Result<(), Unsent> {
        self.queue(id, |slot, pool, cap| {
            slot.out.share_behind(pool, cap, head, payload)
        })
    }

    fn backlog(&self, id: ConnectionId) -> usize {
        self.slots.backlog(id)
    }

    #[inline]
    fn trim_memory(&mut self) {
        self.trims = true;
        self.pool.trim();
        heap::trim();
    }

    fn held_bytes(&self) -> usize {
        self.pool.held()
    }

    fn held(&self, id: ConnectionId) -> usize {
        self.slots.out(id).map_or(0, |out| out.held(&self.pool))
    }

    fn progress(&self, id: ConnectionId) -> u64 {
        self.slots.out(id).map_or(0, |out| out.progress(&self.pool))
    }

    fn pause(&mut self, id: ConnectionId) {
        if let Some(slot) = self.slots.get(id) {
            slot.paused = true;
            self.mark(id);
        }
    }

    fn resume(&mut self, id: ConnectionId) {
        if let Some(slot) = self.slots.get(id) {
            slot.paused = false;
            self.mark(id);
        }
    }

    fn connect(&mut self, to: SocketAddr, from: Option<IpAddr>) -> Result<ConnectionId, NoSlot> {
        self.dial(to, from)
    }

    fn close(&mut self, id: ConnectionId, how: Close) {
        match how {
            Close::Flush => self.finish(id),
            Close::Abort => self.abort(id),
        }
    }

    fn forward(&mut self, to: Core, message: M) {
        self.mailer.queue(to, message, 0);
    }

    fn forward_sized(&mut self, to: Core, message: M, bytes: usize) {
        self.mailer.queue(to, message, bytes);
    }

    fn mail_is_full(&self) -> bool {
        self.mailer.mail_is_full()
    }

    fn stop_accepting(&mut self) {
        self.acceptor.stop();
        if !self.acceptor.is_shut() {
            return;
        }
        for (id, _) in std::mem::take(&mut self.waiting) {
            self.abort(id);
        }
    }

    fn vitals(&mut self) -> Vitals {
        let (enters, entries) = self.rings.submissions();
        let counters = Counters {
            enters,
            entries,
            ..self.counters
        };
        vitals::read(counters, self.slots.tables())
    }
}
