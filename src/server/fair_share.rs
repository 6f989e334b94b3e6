//! Each connection works for its share of a turn, and receives again once its backlog is low.

use super::Server;
use super::apps::Apps;
use super::connection::{Paused, State};
use super::stats::Message;
use super::step::DeferWait;
use super::tally::CloseReason;
use crate::limits;
use crate::shard::{Close, ConnectionId, Half, Wire};

impl<A: Apps> Server<A> {
    /// Gives those who wait a share each, in turn, some of them in one turn.
    pub(super) fn work_on_deferred(&mut self, wire: &mut impl Wire<Message<A::Letters>>) {
        self.shared.deferred.wake(wire.now());
        let waiting = self.shared.deferred.waiting();
        for _ in 0..waiting.min(limits::SHARES_PER_TURN) {
            let Some(id) = self.shared.deferred.next() else {
                break;
            };
            self.work_on(id, wire);
        }
        self.shared.deferred.worked(wire.now());
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
        self.shared.deferred.begin_anew();
        let mut bytes = self.shared.deferred.take(id);
        let step = connection.received(id, &mut bytes, &mut self.shared, wire);
        self.carry_out(id, step, wire);
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        if connection.paused.is_none() {
            wire.resume(id);
        } else if connection.paused.contains(Paused::ENDED) && self.peer_ended(id) == Half::Close {
            self.end(id, Close::Flush, CloseReason::Done, wire);
        }
    }

    /// The peer has ended its stream: what came before counts, also what waits for a share.
    pub(super) fn peer_ended(&mut self, id: ConnectionId) -> Half {
        let Some(connection) = self.connections.get_mut(id) else {
            return Half::Close;
        };
        let paused = &mut connection.paused;
        if paused.contains(Paused::WORK)
            && (paused.contains(Paused::BACKLOG) || self.shared.deferred.has_a_share_coming(id))
        {
            paused.insert(Paused::ENDED);
            return Half::Keep;
        }
        match &mut connection.state {
            State::Http(http) => http.peer_ended(),
            // RFC 6455, 7.1.1: a FIN without a close frame is the end, and who listens to events
            // has left.
            State::WebSocket(_) | State::Stream(_) | State::Vacant | State::Ending => Half::Close,
        }
    }

    /// The connection is not heard for a while, and perhaps was sent more than its peer reads.
    pub(super) fn defer(
        &mut self,
        id: ConnectionId,
        wait: DeferWait,
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
        match wait {
            DeferWait::Share => self.shared.deferred.wait(id, wire.now()),
            DeferWait::Until(at) => self.shared.deferred.wait_until(id, at),
            DeferWait::Release => {}
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
