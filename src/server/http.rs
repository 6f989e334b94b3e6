//! A connection as long as it speaks HTTP: requests in, answers out, until one of them makes it a
//! WebSocket or an event stream.

mod passed;

use super::Config;
use super::admission::Place;
use super::answer::{Answer, Reply};
use super::apps::{AppIndex, Apps};
use super::passing::Passing;
use super::routes::{self, Asked, Body};
use super::say::Saying;
use super::sending::Sending;
use super::shared::Shared;
use super::stats::Message;
use super::step::{DeferWait, Due, Stamp, Step};
use super::stream::Resumed;
use super::tally::CloseReason;
use crate::app::{self, ApiResponse};
use crate::limits;
use crate::protocol::Fault;
use crate::protocol::http::{HeadReader, Opening};
use crate::protocol::websocket::deflate::Agreement;
use crate::shard::{Close, ConnectionId, Half, Unsent, Wire};
use std::mem;
use std::ops::ControlFlow;
use std::time::Duration;

/// What a connection is while it speaks HTTP.
#[derive(Default)]
pub(super) struct Http {
    reader: HeadReader,
    /// What the head that is incomplete has been so far.
    opening: Opening,
    phase: Phase,
    requests: u32,
}

#[derive(Default)]
enum Phase {
    /// Accepted, and nothing came yet.
    #[default]
    Fresh,
    /// In a head.
    Head,
    /// Between requests.
    Idle,
    /// Skipping the body of a request that gets its answer then. Boxed: it is rare.
    Body(Box<Body>),
    /// Reading what a member says. Boxed: it is short-lived.
    Saying(Box<Saying>),
    /// Passing it on. Boxed: it is short-lived.
    Passing(Box<Passing>),
    /// Waiting for another core: for what it counts, or for a room's number.
    Waiting(Reply),
    /// Sending what follows the head of an answer. Boxed: it is short-lived.
    Sending(Box<Sending>),
}

/// Whose request it is.
pub(super) struct Requester<'c> {
    pub(super) id: ConnectionId,
    /// When its present wait began.
    pub(super) since: &'c mut Stamp,
    /// The place it has; a request may get it another one.
    pub(super) place: &'c mut Place,
}

/// What comes out of received bytes.
pub(super) enum Turn {
    Step(Step),
    /// The rest of the bytes belongs to a WebSocket.
    WebSocket(AppIndex, Option<Agreement>),
    /// It is an event stream now.
    Stream(AppIndex),
    /// It is not heard until then, and more has come.
    Defer(DeferWait),
}

impl Http {
    /// Takes bytes from `*at` on. Many requests may be in them: each is answered in its turn.
    pub(super) fn received<A: Apps>(
        &mut self,
        asker: &mut Requester<'_>,
        bytes: &[u8],
        at: &mut usize,
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) -> Turn {
        let id = asker.id;
        shared.inbound().begin_share(id, wire.now());
        loop {
            let reply = match &mut self.phase {
                Phase::Waiting(reply) => {
                    // A request behind one that waits: RFC 9112, 9.6 lets the server end the
                    // connection after an answer, and the client asks again. Nothing is kept.
                    if *at < bytes.len() {
                        reply.end_with(CloseReason::Done);
                    }
                    return Turn::Step(Step::Stay);
                }
                Phase::Sending(sending) => match sending.go_on(id, wire) {
                    // What comes behind waits, and so does the rest.
                    Ok(false) => return Turn::Defer(DeferWait::Share),
                    sent => {
                        let reply = sending.reply();
                        let step = self.sent(asker, reply, sent.map(drop), shared, wire);
                        match step {
                            Some(step) => return Turn::Step(step),
                            None => continue,
                        }
                    }
                },
                Phase::Body(body) => match body.skip(bytes, at) {
                    Ok(false) => return Turn::Step(Step::Stay),
                    Ok(true) => body.reply(),
                    Err(fault) => body.reply().refused(fault),
                },
                Phase::Saying(saying) => match saying.take(bytes, at) {
                    Ok(false) => return Turn::Step(Step::Stay),
                    Ok(true) => shared.say(saying, id, wire),
                    Err(fault) => saying.reply().refused(fault),
                },
                Phase::Passing(passing) => match passing.take(bytes, at) {
                    Ok(true) => {
                        if *at < bytes.len() {
                            // As behind one that waits.
                            passing.reply().end_with(CloseReason::Done);
                        }
                        return Turn::Step(Step::Stay);
                    }
                    Ok(false) => return Turn::Defer(DeferWait::Release),
                    Err(fault) => passing.reply().refused(fault),
                },
                Phase::Fresh | Phase::Head | Phase::Idle => {
                    match self.read_head(asker, bytes, at, shared, wire) {
                        ControlFlow::Continue(Some(reply)) => reply,
                        ControlFlow::Continue(None) => continue,
                        ControlFlow::Break(turn) => return turn,
                    }
                }
            };
            if let Some(step) = self.answer((id, *asker.place), reply, shared, wire) {
                return Turn::Step(step);
            }
            let is_sending = matches!(self.phase, Phase::Sending(_));
            if shared.is_spent_by_answer() && *at < bytes.len() && !is_sending {
                return Turn::Defer(DeferWait::Share);
            }
        }
    }

    /// Reads a request from `*at` on: its reply, or none yet because a body follows. Breaks off
    /// where there is no whole head, or it makes the connection something else.
    fn read_head<A: Apps>(
        &mut self,
        asker: &mut Requester<'_>,
        bytes: &[u8],
        at: &mut usize,
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) -> ControlFlow<Turn, Option<Reply>> {
        let id = asker.id;
        let rest = bytes.get(*at..).unwrap_or_default();
        // What is too long is refused for what it says as far as a head may reach.
        let reach = rest.get(..self.reader.room()).unwrap_or(rest);
        let asked = match self.reader.next(bytes, at) {
            Ok(Some(head)) => {
                let asked = routes::asked(head, (id, asker.place), shared, wire);
                self.as_in_pieces(rest, asked)
            }
            Ok(None) => match self.opening.next(rest) {
                Ok(()) => {
                    let more = !rest.is_empty();
                    return ControlFlow::Break(Turn::Step(self.rest(more, asker, shared, wire)));
                }
                // It will not become a request, so it is not waited for.
                Err(fault) => Asked::Reply(Reply::refuse(fault)),
            },
            Err(fault) => self.as_in_pieces(reach, Asked::Reply(Reply::refuse(fault))),
        };
        *asker.since = Stamp::new(wire.now());
        self.phase = match asked {
            Asked::Reply(reply) => return ControlFlow::Continue(Some(reply)),
            Asked::Body(body) => Phase::Body(Box::new(body)),
            Asked::Say(saying) => Phase::Saying(saying),
            Asked::Pass(mut passing) => {
                self.count(passing.reply(), *asker.place, shared);
                self.phase = Phase::Passing(passing);
                return ControlFlow::Continue(None);
            }
            Asked::WebSocket(app, agreement) => {
                let turn = Turn::WebSocket(app, agreement);
                return ControlFlow::Break(begin(id, turn, None, shared, wire));
            }
            Asked::Stream(app, resumed) => {
                let turn = Turn::Stream(app);
                return ControlFlow::Break(begin(id, turn, Some(resumed), shared, wire));
            }
        };
        shared.await_rest(id, wire.now());
        ControlFlow::Continue(None)
    }

    /// A refused head is refused for its first impossible byte, whether it came whole or in pieces.
    fn as_in_pieces(&mut self, rest: &[u8], asked: Asked) -> Asked {
        let mut opening = mem::take(&mut self.opening);
        match asked {
            Asked::Reply(reply) if reply.is_refusal() => {
                let fault = opening.next(rest).err();
                Asked::Reply(fault.map_or(reply, Reply::refuse))
            }
            asked => asked,
        }
    }

    /// Another core has told: answers a request that waits for it. `None` leaves the answer to
    /// be as it was meant.
    pub(super) fn told<A: Apps>(
        &mut self,
        id: (ConnectionId, Place),
        answer: Option<app::Answer>,
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) -> Step {
        let Phase::Waiting(reply) = self.phase else {
            return Step::Stay;
        };
        let reply = answer.map_or(reply, |answer| reply.said(answer));
        self.send(id, reply, shared, wire).unwrap_or(Step::Stay)
    }

    /// An application has answered a call.
    pub(super) fn called<A: Apps>(
        &mut self,
        id: (ConnectionId, Place),
        response: ApiResponse,
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) -> Step {
        let Phase::Waiting(reply) = self.phase else {
            return Step::Stay;
        };
        let reply = shared.called(reply, response);
        self.send(id, reply, shared, wire).unwrap_or(Step::Stay)
    }

    /// The peer has ended its stream. RFC 9112, 9.6: a client may do so after its last request,
    /// and gets its answer; RFC 9112, 8: an incomplete request is left unanswered.
    pub(super) fn peer_ended(&mut self) -> Half {
        match &mut self.phase {
            // Who waits in an exchange has left it.
            Phase::Waiting(reply) if reply.exchange().is_none() => {
                reply.end_with(CloseReason::Done);
                Half::Keep
            }
            Phase::Passing(passing) if passing.is_asked() => {
                passing.reply().end_with(CloseReason::Done);
                Half::Keep
            }
            _ => Half::Close,
        }
    }

    /// The request that is under way takes too long.
    pub(super) fn time_out<A: Apps>(
        &mut self,
        id: (ConnectionId, Place),
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) -> Step {
        let refusal = Reply::refuse(Fault::Http {
            status: 408,
            reason: "the request took too long",
        });
        let reply = refusal.ending(CloseReason::RequestTime);
        self.send(id, reply, shared, wire).unwrap_or(Step::Stay)
    }

    /// Bytes of memory of an unfinished request.
    pub(super) fn held(&self) -> usize {
        let text = match &self.phase {
            Phase::Saying(saying) => saying.held(),
            Phase::Fresh
            | Phase::Head
            | Phase::Idle
            | Phase::Body(_)
            | Phase::Passing(_)
            | Phase::Waiting(_)
            | Phase::Sending(_) => 0,
        };
        self.reader.held() + text
    }

    /// Whether no request is under way that would be answered by itself.
    pub(super) fn is_quiet(&self) -> bool {
        matches!(self.phase, Phase::Fresh | Phase::Idle) || self.exchange().is_some()
    }

    /// The application that it waits for in an exchange.
    pub(super) const fn exchange(&self) -> Option<AppIndex> {
        match &self.phase {
            Phase::Waiting(reply) => reply.exchange(),
            Phase::Fresh
            | Phase::Head
            | Phase::Idle
            | Phase::Body(_)
            | Phase::Saying(_)
            | Phase::Passing(_)
            | Phase::Sending(_) => None,
        }
    }

    /// How long the present phase may take, and what follows.
    pub(super) fn limit(&self, place: Place, config: &Config) -> (Duration, Due) {
        match self.phase {
            Phase::Fresh | Phase::Head | Phase::Body(_) | Phase::Saying(_) => {
                (place.head_time(config), Due::RequestTime)
            }
            Phase::Idle => (
                config.http_idle(),
                Due::Now(Step::End {
                    how: Close::Flush,
                    why: CloseReason::Idle,
                }),
            ),
            // The round of questions has its own, shorter, deadline; a peer that does not read is
            // the engine's to reset.
            // The thread that passes it on has a time for it.
            Phase::Waiting(_) | Phase::Sending(_) | Phase::Passing(_) => {
                (limits::HEAD_TIME, Due::Never)
            }
        }
    }

    /// All bytes are used up, in a head or before one.
    fn rest<A: Apps>(
        &mut self,
        more: bool,
        asker: &mut Requester<'_>,
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) -> Step {
        if more {
            if matches!(self.phase, Phase::Idle) {
                *asker.since = Stamp::new(wire.now());
                shared.await_rest(asker.id, wire.now());
            }
            self.phase = Phase::Head;
        }
        // A peer that asks faster than it reads.
        if wire.backlog(asker.id) > limits::BACKLOG_HIGH {
            Step::Pause
        } else {
            Step::Stay
        }
    }

    /// Answers now, or once the other cores have told. `None` if the connection goes on.
    fn answer<A: Apps>(
        &mut self,
        id: (ConnectionId, Place),
        reply: Reply,
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) -> Option<Step> {
        let waits = match reply.answer() {
            Answer::Stats(_) => shared.ask_cores(id.0, wire),
            Answer::SaidLater | Answer::Exchanged(_) => true,
            Answer::Index
            | Answer::Health
            | Answer::Events
            | Answer::Said { .. }
            | Answer::Called { .. }
            | Answer::Only(_)
            | Answer::Options { .. }
            | Answer::File(_)
            | Answer::Moved
            | Answer::Refused { .. } => false,
        };
        if waits {
            self.phase = Phase::Waiting(reply);
            return None;
        }
        self.send(id, reply, shared, wire)
    }

    fn send<A: Apps>(
        &mut self,
        (id, place): (ConnectionId, Place),
        mut reply: Reply,
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) -> Option<Step> {
        self.count(&mut reply, place, shared);
        let sent = shared.answer(id, &reply, wire);
        if sent.is_ok()
            && let Some(content) = shared.content(&reply)
        {
            self.phase = Phase::Sending(Box::new(Sending::new(content, reply)));
            return None;
        }
        let step = reply.once_sent(sent);
        if step.is_none() {
            self.phase = Phase::Idle;
            shared.await_request(id, wire.now());
        }
        step
    }

    /// One more request gets its answer: whether the connection ends with it.
    fn count<A: Apps>(&mut self, reply: &mut Reply, place: Place, shared: &Shared<A>) {
        self.requests += 1;
        if self.requests >= limits::KEPT_ALIVE_REQUESTS {
            reply.end_with(CloseReason::Done);
        } else if shared.is_draining() {
            reply.end_with(CloseReason::Drain);
        } else if place.is_brief() {
            reply.end_with(CloseReason::Full);
        }
    }

    /// What followed the head of an answer is queued, or cannot be. `None` if the connection goes
    /// on.
    fn sent<A: Apps>(
        &mut self,
        asker: &mut Requester<'_>,
        mut reply: Reply,
        sent: Result<(), Unsent>,
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) -> Option<Step> {
        if shared.is_draining() {
            // It may have begun before.
            reply.end_with(CloseReason::Drain);
        }
        let step = reply.once_sent(sent);
        if step.is_none() {
            self.phase = Phase::Idle;
            *asker.since = Stamp::new(wire.now());
            shared.await_next(asker.id, wire.now());
        }
        step
    }
}

/// Queues the response that makes a connection something else.
fn begin<A: Apps>(
    id: ConnectionId,
    turn: Turn,
    resumed: Option<Resumed>,
    shared: &mut Shared<A>,
    wire: &mut impl Wire<Message<A::Letters>>,
) -> Turn {
    let mut sent = shared.send_response(id, wire);
    if let (Some(resumed), Err(Unsent::Full)) = (resumed, sent) {
        // What was missed is more than a backlog may hold: then it is lost.
        shared.begin_stale(resumed, wire.now());
        sent = shared.send_response(id, wire);
    }
    match sent {
        Ok(()) => turn,
        Err(Unsent::Gone) => Turn::Step(Step::End {
            how: Close::Flush,
            why: CloseReason::Done,
        }),
        Err(Unsent::Full) => Turn::Step(Step::End {
            how: Close::Abort,
            why: CloseReason::SlowConsumer,
        }),
    }
}
