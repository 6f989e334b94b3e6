//! Bytes of connections that have had their share of a turn: they wait here for their next one, and
//! everyone else is served in between.

use crate::shard::ConnectionId;
use crate::time::Instant;
use std::collections::{BTreeMap, VecDeque};

/// Bytes that came and have not been looked at, by connection, and whose turn is next.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    bytes: BTreeMap<ConnectionId, Vec<u8>>,
    held: usize,
    queue: VecDeque<ConnectionId>,
    /// Connections that wait for a time, the first first.
    later: VecDeque<(Instant, ConnectionId)>,
    /// Which connection was the last to work, and in which turn; on how much the pool knows.
    share: Option<(ConnectionId, Instant)>,
    /// Since when something waits.
    since: Option<Instant>,
}

impl Deferred {
    /// A connection begins its share of a turn. Whether it is another share than before.
    #[inline]
    pub(super) fn begin(&mut self, share: (ConnectionId, Instant)) -> bool {
        let is_another = self.share != Some(share);
        self.share = Some(share);
        is_another
    }

    /// Keeps bytes for the connection's next share.
    pub(super) fn keep(&mut self, id: ConnectionId, bytes: &[u8]) {
        let kept = self.bytes.entry(id).or_default();
        self.held -= kept.capacity();
        kept.extend_from_slice(bytes);
        self.held += kept.capacity();
    }

    /// The connection waits for its next share.
    pub(super) fn wait(&mut self, id: ConnectionId, now: Instant) {
        self.queue.push_back(id);
        self.since.get_or_insert(now);
    }

    /// The connection waits until then.
    pub(super) fn wait_until(&mut self, id: ConnectionId, at: Instant) {
        self.later.push_back((at, id));
    }

    /// The connection that has the next share.
    pub(super) fn next(&mut self) -> Option<ConnectionId> {
        self.queue.pop_front()
    }

    /// Whether the connection waits for a share.
    pub(super) fn has_a_share_coming(&self, id: ConnectionId) -> bool {
        self.queue.contains(&id) || self.later.iter().any(|(_, later)| *later == id)
    }

    /// How many wait for a share now; none if it is not time for one.
    pub(super) fn waiting(&self) -> usize {
        self.since.map_or(0, |_| self.queue.len())
    }

    /// The connections that still wait do so from now on.
    pub(super) fn worked(&mut self, now: Instant) {
        self.since = (!self.queue.is_empty()).then_some(now);
    }

    /// The next connection begins a share of its own, though it were the last one again.
    pub(super) fn begin_anew(&mut self) {
        self.share = None;
    }

    /// When the next shares are due, if a connection waits.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let later = self.later.front().map(|(at, _)| *at);
        self.since.or(later)
    }

    /// Those whose time has come wait no longer than the others.
    pub(super) fn wake(&mut self, now: Instant) {
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

    /// Bytes of memory of what is kept for all.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Bytes of memory of what is kept for that connection.
    pub(super) fn held_for(&self, id: ConnectionId) -> usize {
        self.bytes.get(&id).map_or(0, Vec::capacity)
    }

    pub(super) fn take(&mut self, id: ConnectionId) -> Vec<u8> {
        let bytes = self.bytes.remove(&id).unwrap_or_default();
        self.held -= bytes.capacity();
        bytes
    }
}
