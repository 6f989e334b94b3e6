//! What peers sent and this core is not done with: messages and requests in pieces, bytes that wait
//! for a share of a turn, and how much work of one turn the present connection has had.

use super::deferred::Deferred;
use super::step::DeferWait;
use crate::limits;
use crate::protocol::Fault;
use crate::protocol::websocket::deflate::Windows;
use crate::protocol::websocket::{Decoder, Event, Pool};
use crate::shard::{ConnectionId, ReceiveInto};
use crate::time::Instant;

/// What peers sent and this core is not done with.
pub(super) struct Inbound {
    pool: Pool,
    deferred: Deferred,
    /// Bytes of memory of unfinished requests.
    requests: usize,
}

impl Inbound {
    /// Nothing, with buffers of that pool for what comes.
    pub(super) fn new(pool: Pool) -> Self {
        Self {
            pool,
            deferred: Deferred::default(),
            requests: 0,
        }
    }

    /// A connection begins its share of a turn: what others worked is none of it.
    #[inline]
    pub(super) fn begin_share(&mut self, id: ConnectionId, now: Instant) {
        if self.deferred.begin((id, now)) {
            self.pool.worked = 0;
        }
    }

    /// The next event in `bytes[*at..]`: [`Decoder::next`].
    #[inline]
    pub(super) fn next<'e>(
        &mut self,
        decoder: &'e mut Decoder,
        bytes: &'e mut [u8],
        at: &mut usize,
    ) -> Result<Option<Event<'e>>, Fault> {
        decoder.next(bytes, at, &mut self.pool)
    }

    /// Where the bytes that come next belong: [`Decoder::receive_into`].
    pub(super) fn receive_into(&mut self, decoder: &mut Decoder) -> Option<ReceiveInto> {
        decoder.receive_into(&mut self.pool)
    }

    /// What was lent comes back: [`Decoder::received_into`].
    pub(super) fn take_back(&mut self, decoder: &mut Decoder, buffer: Vec<u8>) -> usize {
        decoder.received_into(buffer, &mut self.pool)
    }

    /// A frame has been looked at. Whether the share is spent.
    #[inline]
    pub(super) const fn is_spent_by_frame(&mut self) -> bool {
        self.pool.worked += limits::SHARE_BYTES_OF_A_FRAME;
        self.pool.worked >= limits::SHARE_BYTES
    }

    /// Something that was done for the connection costs so much of its share.
    #[inline]
    pub(super) const fn work(&mut self, bytes: usize) {
        self.pool.worked += bytes;
    }

    /// What the peers said last that keep context.
    pub(super) const fn windows(&mut self) -> &mut Windows {
        &mut self.pool.windows
    }

    /// A request has got an answer of so many bytes. Whether the share is spent.
    pub(super) const fn is_spent_by_answer(&mut self, bytes: usize) -> bool {
        self.pool.worked += limits::SHARE_BYTES_OF_A_MESSAGE + bytes;
        self.pool.worked >= limits::SHARE_BYTES
    }

    /// Keeps bytes for the connection's next share.
    pub(super) fn keep(&mut self, id: ConnectionId, bytes: &[u8]) {
        self.deferred.keep(id, bytes);
    }

    /// What is kept for a connection, which begins a share of its own.
    pub(super) fn take(&mut self, id: ConnectionId) -> Vec<u8> {
        self.deferred.begin_anew();
        self.deferred.take(id)
    }

    /// A connection waits for that.
    pub(super) fn defer(&mut self, id: ConnectionId, wait: DeferWait, now: Instant) {
        match wait {
            DeferWait::Share => self.deferred.wait(id, now),
            DeferWait::Until(at) => self.deferred.wait_until(id, at),
            DeferWait::Release => {}
        }
    }

    /// A turn begins: how many of the connections that wait have a share in it.
    pub(super) fn begin_shares(&mut self, now: Instant) -> usize {
        self.deferred.wake(now);
        self.deferred.waiting().min(limits::SHARES_PER_TURN)
    }

    /// The connection that has the next share.
    pub(super) fn next_share(&mut self) -> Option<ConnectionId> {
        self.deferred.next()
    }

    /// The shares of a turn are over: the connections that still wait do so
    /// from now on.
    pub(super) fn end_shares(&mut self, now: Instant) {
        self.deferred.worked(now);
    }

    /// The memory of one connection's unfinished request was and is so many bytes.
    #[inline]
    pub(super) const fn request_changed(&mut self, was: usize, is: usize) {
        self.requests = self.requests + is - was;
    }

    /// A WebSocket gives back what it keeps: it ends.
    pub(super) fn release(&mut self, decoder: &mut Decoder) {
        decoder.release(&mut self.pool);
    }

    /// A connection is gone.
    pub(super) fn forget(&mut self, id: ConnectionId) {
        self.deferred.forget(id);
    }

    /// Frees the spare buffers of large messages.
    pub(super) fn trim_spare(&mut self) {
        self.pool.shelf.trim();
    }

    /// Frees all spare buffers.
    pub(super) fn trim(&mut self) {
        self.pool.trim();
    }

    /// Whether the connection waits for a share.
    pub(super) fn has_a_share_coming(&self, id: ConnectionId) -> bool {
        self.deferred.has_a_share_coming(id)
    }

    /// When the next shares are due, if a connection waits.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deferred.deadline()
    }

    /// Bytes of memory of all of it.
    #[inline]
    pub(super) fn held(&self) -> usize {
        self.pool.held + self.requests + self.deferred.held()
    }

    /// Bytes of memory of what waits for a connection's next share.
    pub(super) fn held_for(&self, id: ConnectionId) -> usize {
        self.deferred.held_for(id)
    }

    /// Bytes of memory of spare buffers for large messages.
    pub(super) fn spare(&self) -> usize {
        self.pool.shelf.bytes()
    }

    #[cfg(test)]
    pub(super) fn nothing_waits(&self) -> bool {
        self.deferred.is_empty()
    }

    #[cfg(test)]
    pub(super) fn worked(&self) -> usize {
        self.pool.worked
    }
}
