//! All connections of a core: an array indexed by slot, generations checked; and what becomes of
//! one after an event.

use super::admission::Place;
use super::apps::{AppIndex, Apps};
use super::connection::Connection;
use super::shared::Shared;
use super::stats::Message;
use super::step::Step;
use super::tally::CloseReason;
use crate::shard::{Close, CloseCause, ConnectionId, Wire};
use crate::time::Instant;
use std::ops::Range;

/// The connections of one core.
#[derive(Default)]
pub(super) struct Connections {
    slots: Vec<Connection>,
}

impl Connections {
    /// Fills a slot.
    pub(super) fn open(&mut self, id: ConnectionId, place: Place, now: Instant) {
        if self.slots.len() <= id.slot() {
            self.slots.resize_with(id.slot() + 1, || Connection::VACANT);
        }
        if let Some(connection) = self.slots.get_mut(id.slot()) {
            debug_assert!(
                connection.state().is_vacant(),
                "an engine opened {id:?} twice"
            );
            *connection = Connection::new(id, place, now);
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let found = self.slots.get_mut(id.slot());
        found.filter(|found| found.has(id))
    }

    pub(super) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.slots.get(id.slot()).filter(|found| found.has(id))
    }

    /// Lets a connection act, if it is still there, and carries out what follows.
    pub(super) fn act<A: Apps, W: Wire<Message<A::Letters>>>(
        &mut self,
        id: ConnectionId,
        shared: &mut Shared<A>,
        wire: &mut W,
        act: impl FnOnce(&mut Connection, &mut Shared<A>, &mut W) -> Step,
    ) {
        if let Some(connection) = self.get_mut(id) {
            let step = act(connection, shared, wire);
            self.carry_out(id, step, shared, wire);
        }
    }

    /// Carries out what becomes of a connection.
    pub(super) fn carry_out<A: Apps>(
        &mut self,
        id: ConnectionId,
        step: Step,
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        let Some(connection) = self.get_mut(id) else {
            return;
        };
        match step {
            Step::Stay => {}
            Step::Pause => {
                connection.note_backlog();
                wire.pause(id);
            }
            Step::Defer { wait } => connection.defer(id, wait, shared, wire),
            Step::Ping => connection.ping(id, shared, wire),
            Step::CloseSocket { goodbye, why } => {
                shared.log().closes(id, goodbye.code);
                let step = connection.close_socket(id, goodbye, why, wire);
                self.carry_out(id, step, shared, wire);
            }
            Step::AwaitClose => {
                self.leave(id, shared, wire);
                if let Some(connection) = self.get_mut(id) {
                    connection.await_close(id, shared, wire);
                }
            }
            Step::End { how, why } => self.end(id, how, why, shared, wire),
        }
    }

    /// Ends a connection.
    pub(super) fn end<A: Apps>(
        &mut self,
        id: ConnectionId,
        how: Close,
        why: CloseReason,
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        self.leave(id, shared, wire);
        if let Some(connection) = self.get_mut(id) {
            shared.log().decided(id, why);
            connection.end(why, shared);
            wire.close(id, how);
        }
    }

    /// A connection is gone. Whether it was here.
    pub(super) fn gone<A: Apps>(
        &mut self,
        id: ConnectionId,
        cause: CloseCause,
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) -> bool {
        self.leave(id, shared, wire);
        let found = self.get_mut(id).filter(|found| !found.state().is_vacant());
        found.is_some_and(|connection| {
            shared.log().closed(id, cause, wire.now());
            connection.vacate(id, cause, shared);
            true
        })
    }

    /// Takes a connection from the users of its application, if it is one.
    fn leave<A: Apps>(
        &mut self,
        id: ConnectionId,
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        let Some(connection) = self.get_mut(id) else {
            return;
        };
        let moves = connection.leave(id, shared, wire);
        for (moved, seat) in moves.into_iter().flatten() {
            if let Some(connection) = self.get_mut(moved) {
                connection.move_to(seat);
            }
        }
    }

    /// Slots, vacant ones included.
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The event streams in these slots, and which application each came to.
    pub(super) fn streams(
        &self,
        slots: Range<usize>,
    ) -> impl Iterator<Item = (ConnectionId, AppIndex)> {
        let all = self.of(slots);
        all.filter_map(|(id, connection)| connection.state().streams().map(|app| (id, app)))
    }

    /// The ids of all that are not vacant.
    pub(super) fn ids(&self) -> impl Iterator<Item = ConnectionId> {
        self.ids_of(0..usize::MAX)
    }

    /// The ids of those in these slots that are not vacant.
    pub(super) fn ids_of(&self, slots: Range<usize>) -> impl Iterator<Item = ConnectionId> {
        let open = self
            .of(slots)
            .filter(|(_, found)| !found.state().is_vacant());
        open.map(|(id, _)| id)
    }

    fn of(&self, slots: Range<usize>) -> impl Iterator<Item = (ConnectionId, &Connection)> {
        let all = (0..).zip(&self.slots);
        let some = all.skip(slots.start).take(slots.len());
        some.map(|(slot, connection)| (connection.id(slot), connection))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_event_never_reaches_a_reused_slot() {
        let mut connections = Connections::default();
        let id = ConnectionId::new(2, 9);
        connections.open(id, Place::Regular, Instant::default());
        assert!(connections.get_mut(id).is_some());
        assert!(connections.get_mut(ConnectionId::new(2, 8)).is_none());
        assert!(connections.get_mut(ConnectionId::new(7, 9)).is_none());
        assert_eq!(connections.ids().collect::<Vec<_>>(), [id]);
    }
}
