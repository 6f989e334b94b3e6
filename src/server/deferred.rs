//! Bytes of connections that have had their share of a turn: they wait here for their next one, and
//! everyone else is served in between.

use super::Server;
use super::apps::Apps;
use super::connection::Paused;
use super::shared::Shared;
use super::stats::Message;
use crate::limits;
use crate::shard::{ConnectionId, Wire};
use crate::time::Instant;
use std::collections::{BTreeMap, VecDeque};

/// Bytes that came and have not been looked at, by connection, and whose turn is next.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    bytes: BTreeMap<ConnectionId, Vec<u8>>,
    held: usize,
    queue: VecDeque<ConnectionId>,
    /// Who waits for a time, the first first.
    later: VecDeque<(Instant, ConnectionId)>,
    /// Who was the last to work in this turn, on how much the pool knows.
    share: Option<(ConnectionId, Instant)>,
    /// Since when something waits.
    since: Option<Instant>,
}

impl Deferred {
    /// A connection begins its share of a turn: what others worked is none of it.
    #[inline]
    pub(super) fn begin(&self, share: (ConnectionId, Instant), worked: &mut usize) {
        if *worked > 0 && self.share != Some(share) {
            *worked = 0;
        }
    }

    /// Whether it has worked for all of its share.
    #[inline]
    pub(super) fn is_spent(&mut self, share: (ConnectionId, Instant), worked: usize) -> bool {
        if worked > 0 {
            self.share = Some(share);
        }
        worked >= limits::SHARE_BYTES
    }

    /// Keeps bytes for the connection's next share.
    pub(super) fn keep(&mut self, id: ConnectionId, bytes: &[u8]) {
        self.bytes.entry(id).or_default().extend_from_slice(bytes);
        self.held += bytes.len();
    }

    /// The connection waits for its next share.
    pub(super) fn wait(&mut self, id: ConnectionId, now: Instant) {
        self.queue.push_back(id);
        self.since.get_or_insert(now);
    }

    /// When the next shares are due, if somebody waits.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let later = self.later.front().map(|(at, _)| *at);
        self.since.or(later)
    }

    /// Those whose time has come wait no longer than the others.
    fn wake(&mut self, now: Instant) {
        while let Some((_, id)) = self.later.pop_front_if(|(at, _)| *at <= now) {
            self.wait(id, now);
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.queue.is_empty() && self.later.is_empty()
    }

    /// The connection is gone, or nothing that it says counts any more.
    pub(super) fn forget(&mut self, id: ConnectionId) {
        self.take(id);
    }

    /// Bytes kept for all.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Bytes kept for that connection.
    pub(super) fn held_for(&self, id: ConnectionId) -> usize {
        self.bytes.get(&id).map_or(0, Vec::len)
    }

    fn take(&mut self, id: ConnectionId) -> Vec<u8> {
        let bytes = self.bytes.remove(&id).unwrap_or_default();
        self.held -= bytes.len();
        bytes
    }
}

impl<A: Apps> Server<A> {
    /// Gives those who wait a share each, in turn, some of them in one turn.
    pub(super) fn work_on_deferred(&mut self, wire: &mut impl Wire<Message<A::Letters>>) {
        self.shared.deferred.wake(wire.now());
        if self.shared.deferred.since.is_none() {
            return;
        }
        let waiting = self.shared.deferred.queue.len();
        for _ in 0..waiting.min(limits::SHARES_PER_TURN) {
            let Some(id) = self.shared.deferred.queue.pop_front() else {
                break;
            };
            self.work_on(id, wire);
        }
        let Shared { deferred, .. } = &mut self.shared;
        deferred.since = (!deferred.queue.is_empty()).then(|| wire.now());
    }

    fn work_on(&mut self, id: ConnectionId, wire: &mut impl Wire<Message<A::Letters>>) {
        let Some(connection) = self.connections.get_mut(id) else {
            self.shared.deferred.forget(id);
            return;
        };
        // Whose backlog is high waits for `drained`.
        if !connection.paused.contains(Paused::WORK) || connection.paused.contains(Paused::BACKLOG)
        {
            return;
        }
        connection.paused.remove(Paused::WORK);
        self.shared.deferred.share = None;
        let mut bytes = self.shared.deferred.take(id);
        let step = connection.received(id, &mut bytes, &mut self.shared, wire);
        self.carry_out(id, step, wire);
        if let Some(connection) = self.connections.get_mut(id)
            && connection.paused.is_none()
        {
            wire.resume(id);
        }
    }

    /// The connection has had its share, and perhaps more than its peer reads.
    pub(super) fn defer(
        &mut self,
        id: ConnectionId,
        until: Option<Instant>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        wire.pause(id);
        connection.paused.insert(Paused::WORK);
        if wire.backlog(id) > limits::BACKLOG_HIGH {
            connection.paused.insert(Paused::BACKLOG);
        }
        match until {
            None => self.shared.deferred.wait(id, wire.now()),
            Some(at) => self.shared.deferred.later.push_back((at, id)),
        }
    }

    /// The backlog is low again: receives again, unless the connection waits for its share.
    pub(super) fn resume(&mut self, id: ConnectionId, wire: &mut impl Wire<Message<A::Letters>>) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        if !connection.paused.contains(Paused::BACKLOG) {
            return;
        }
        connection.paused.remove(Paused::BACKLOG);
        if connection.paused.is_none() {
            wire.resume(id);
        } else {
            self.shared.deferred.wait(id, wire.now());
        }
    }
}
