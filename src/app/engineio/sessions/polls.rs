//! What is asked of a session: polls, one at a time, and payloads.

use super::{EngineSessions, SessionEnd, payload};
use crate::app::engineio::letter::{Carrier, EngineBatch, EngineRequest};
use crate::app::engineio::outward::Outward;
use crate::app::engineio::query::EngineFault;
use crate::app::engineio::session::SessionWay;
use crate::app::engineio::unheard::Unheard;
use crate::app::{ApiResponse, Effects, Media};
use crate::protocol::socketio::polling::{CLOSE, NOOP, push_text};

impl EngineSessions {
    /// Something is asked of a session.
    pub(in crate::app::engineio) fn asked<E: Effects<EngineBatch>>(
        &mut self,
        number: u64,
        from: Carrier,
        request: EngineRequest,
        out: &mut Outward<'_, E>,
    ) {
        let Some(session) = self.all.get(&number) else {
            return out.respond(from, EngineFault::UnknownSession.response());
        };
        match (session.way, request) {
            // `Server.verify`: another transport than the session's.
            (SessionWay::Socket(_), _) => out.respond(from, EngineFault::BadRequest.response()),
            (SessionWay::Polling | SessionWay::Over, EngineRequest::Poll) => {
                self.polled(number, from, out);
            }
            (SessionWay::Over, EngineRequest::Post(_) | EngineRequest::Strange) => {
                out.respond(from, EngineFault::UnknownSession.response());
            }
            (SessionWay::Polling, EngineRequest::Post(body)) => {
                self.keep(number, Unheard::payload(body, from), out);
                self.go_on(number);
            }
            (SessionWay::Polling, EngineRequest::Strange) => {
                self.end(number, SessionEnd::Fault, out);
                out.respond(from, nothing());
            }
        }
    }

    /// The connection of a request is gone: with a poll the session is (`onPollRequest`).
    pub(in crate::app::engineio) fn hung_up<E: Effects<EngineBatch>>(
        &mut self,
        number: u64,
        from: Carrier,
        out: &mut Outward<'_, E>,
    ) {
        let session = self.all.get_mut(&number);
        let poll = session.and_then(|it| it.poll.take_if(|poll| *poll == from));
        if poll.is_some() {
            self.end(number, SessionEnd::Left, out);
        }
    }

    /// Answers the polls that have something to be told.
    pub(in crate::app::engineio) fn flush<E: Effects<EngineBatch>>(
        &mut self,
        out: &mut Outward<'_, E>,
    ) {
        while let Some(number) = self.stirred.pop() {
            self.answer_poll(number, out);
        }
    }

    fn polled<E: Effects<EngineBatch>>(
        &mut self,
        number: u64,
        from: Carrier,
        out: &mut Outward<'_, E>,
    ) {
        let Some(session) = self.all.get_mut(&number) else {
            return;
        };
        if session.poll.is_some() {
            // One poll at a time: the session is over, and so says the first.
            self.end(number, SessionEnd::Fault, out);
            return out.respond(from, nothing());
        }
        session.poll = Some(from);
        self.answer_poll(number, out);
    }

    /// Answers the poll of a session if there is something to be told.
    fn answer_poll<E: Effects<EngineBatch>>(&mut self, number: u64, out: &mut Outward<'_, E>) {
        let Some(session) = self.all.get_mut(&number) else {
            return;
        };
        let is_over = session.way == SessionWay::Over;
        let is_probed = session.upgrade.is_some_and(|it| it.is_probed);
        if session.is_told() && !is_over && !is_probed {
            return;
        }
        let Some(poll) = session.poll.take() else {
            return;
        };
        let was_late = session.is_late();
        let mut text = session.take_queue();
        self.waiting -= text.len();
        if is_over {
            push_text(&mut text, CLOSE);
        } else if text.is_empty() {
            push_text(&mut text, NOOP);
        }
        out.respond(poll, payload(text, session.cookie.take()));
        if let (true, false, Some(seat)) = (was_late, is_over, session.seat) {
            self.caught_up.push((number, seat));
            self.ready.push(number);
        }
        if is_over {
            self.remove(number);
        }
    }
}

/// The answer to who may not ask that.
fn nothing() -> ApiResponse {
    ApiResponse {
        status: 400,
        media: Media::Text,
        text: String::new(),
        cookie: None,
    }
}
