//! What is carried out at the end of an event, when no connection is in use: it may concern any.

use super::Server;
use super::apps::Apps;
use super::connection::State;
use super::outbox::Ending;
use super::shared::Shared;
use super::stats::Message;
use super::tally::CloseReason;
use crate::shard::{Close, ConnectionId, Wire};

impl<A: Apps> Server<A> {
    /// Carries out what is left to do at the end of an event: it may concern any connection.
    #[inline]
    pub(super) fn settle(&mut self, wire: &mut impl Wire<Message<A::Letters>>) {
        if !self.shared.outbox.is_empty() {
            self.empty_outbox(wire);
        }
        self.watch(wire);
    }

    #[inline(never)]
    fn empty_outbox(&mut self, wire: &mut impl Wire<Message<A::Letters>>) {
        // Each of them may make others of the kinds before.
        loop {
            if let Some(id) = self.shared.outbox.slow.pop() {
                self.end_slow(id, wire);
            } else if let Some(ending) = self.shared.outbox.ending.pop() {
                self.end_user(ending, wire);
            } else if let Some((id, answer)) = self.shared.outbox.answers.pop() {
                self.answer(id, Some(answer), wire);
            } else if !self.shared.outbox.released.is_empty() {
                self.release(wire);
            } else if let Some((id, response)) = self.shared.outbox.responses.pop() {
                self.respond(id, response, wire);
            } else {
                break;
            }
        }
        self.shared.outbox.has_mail = false;
        self.shared.apps.deliver(&Message::App, wire);
    }

    /// Hears those again that an application held, in their order.
    fn release(&mut self, wire: &mut impl Wire<Message<A::Letters>>) {
        let Shared {
            outbox, deferred, ..
        } = &mut self.shared;
        for id in outbox.released.drain(..) {
            deferred.wait(id, wire.now());
        }
    }

    /// Ends a user, as its application wants it.
    fn end_user(&mut self, ending: Ending, wire: &mut impl Wire<Message<A::Letters>>) {
        let Ending { id, goodbye, why } = ending;
        match self
            .connections
            .get_mut(id)
            .map(|connection| &connection.state)
        {
            Some(State::WebSocket(_)) => self.close_socket(id, goodbye, why, wire),
            // It comes back after `retry`.
            Some(State::Stream(_)) => self.end(id, Close::Flush, why, wire),
            Some(State::Vacant | State::Http(_) | State::Ending) | None => {}
        }
    }

    /// Ends a listener that does not read what it is sent.
    fn end_slow(&mut self, id: ConnectionId, wire: &mut impl Wire<Message<A::Letters>>) {
        let why = CloseReason::SlowConsumer;
        match self
            .connections
            .get_mut(id)
            .map(|connection| &connection.state)
        {
            Some(State::WebSocket(socket)) => {
                let goodbye = A::too_slow(socket.app());
                self.close_socket(id, goodbye, why, wire);
            }
            Some(State::Stream(_)) => self.end(id, Close::Abort, why, wire),
            Some(State::Vacant | State::Http(_) | State::Ending) | None => {}
        }
    }
}
