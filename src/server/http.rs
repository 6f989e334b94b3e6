//! A connection as long as it speaks HTTP: requests in, answers out, until one of them makes it a
//! WebSocket or an event stream.

use super::Config;
use super::answer::{self, Answer, Content, Reply};
use super::connection::{Due, Feed, Stamp, Step};
use super::say::{self, Saying};
use super::shared::Shared;
use super::stats::{Form, Message, Reader};
use super::stream;
use super::tally::Why;
use super::websocket::Route;
use crate::app::rooms;
use crate::limits;
use crate::protocol::Fault;
use crate::protocol::http::{BodyLength, BodyReader, HeadReader, Request};
use crate::protocol::websocket::{Extension, handshake};
use crate::shard::{Close, ConnectionId, Half, Unsent, Wire};
use crate::stats::exposition::OPENMETRICS;
use std::time::Duration;

/// What a connection is while it speaks HTTP.
#[derive(Default)]
pub(super) struct Http {
    reader: HeadReader,
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
    /// Waiting for another core: for what it counts, or for a room's number.
    Waiting(Reply),
}

struct Body {
    reader: BodyReader,
    bytes: u64,
    reply: Reply,
}

/// What comes out of received bytes.
pub(super) enum Turn {
    Step(Step),
    /// The rest of the bytes belongs to a WebSocket.
    WebSocket(Route, Extension),
    /// It is an event stream now.
    Stream(Feed),
}

/// What a request asks for.
enum Asked {
    Reply(Reply),
    /// The reply is for after the body.
    Body(Body),
    /// What is said is the body.
    Say(Box<Saying>),
    /// The response is in `Shared::scratch`.
    WebSocket(Route, Extension),
    /// The response is in `Shared::scratch`.
    Stream(Feed),
}

impl Http {
    /// Takes bytes from `*at` on. Many requests may be in them: each is answered in its turn.
    pub(super) fn received(
        &mut self,
        id: ConnectionId,
        bytes: &[u8],
        at: &mut usize,
        since: &mut Stamp,
        shared: &mut Shared,
        wire: &mut impl Wire<Message>,
    ) -> Turn {
        loop {
            let reply = match &mut self.phase {
                Phase::Waiting(reply) => {
                    // A request behind one that waits: RFC 9112, 9.6 lets the server end the
                    // connection after an answer, and the client asks again. Nothing is kept.
                    if *at < bytes.len() && reply.end.is_none() {
                        reply.end = Some(Why::Done);
                    }
                    return Turn::Step(Step::Stay);
                }
                Phase::Body(body) => match body.skip(bytes, at) {
                    Ok(false) => return Turn::Step(Step::Stay),
                    Ok(true) => body.reply,
                    Err(fault) => Reply::refuse(fault),
                },
                Phase::Saying(saying) => match saying.take(bytes, at) {
                    Ok(false) => return Turn::Step(Step::Stay),
                    Ok(true) => saying.say(id, shared, wire),
                    Err(fault) => Reply::refuse(fault),
                },
                Phase::Fresh | Phase::Head | Phase::Idle => {
                    let more = *at < bytes.len();
                    let asked = match self.reader.next(bytes, at) {
                        Ok(Some(head)) => asked(head, shared, wire),
                        Ok(None) => return Turn::Step(self.rest(more, id, since, shared, wire)),
                        Err(fault) => Asked::Reply(Reply::refuse(fault)),
                    };
                    *since = Stamp::new(wire.now());
                    match asked {
                        Asked::Reply(reply) => reply,
                        Asked::Body(body) => {
                            self.phase = Phase::Body(Box::new(body));
                            shared.wheel.schedule(id, wire.now() + limits::HEAD_TIME);
                            continue;
                        }
                        Asked::Say(saying) => {
                            self.phase = Phase::Saying(saying);
                            shared.wheel.schedule(id, wire.now() + limits::HEAD_TIME);
                            continue;
                        }
                        Asked::WebSocket(route, extension) => {
                            return begin(id, Turn::WebSocket(route, extension), shared, wire);
                        }
                        Asked::Stream(feed) => {
                            return begin(id, Turn::Stream(feed), shared, wire);
                        }
                    }
                }
            };
            if let Some(step) = self.answer(id, reply, shared, wire) {
                return Turn::Step(step);
            }
        }
    }

    /// Another core has told: answers a request that waits for it. `None` leaves the answer to
    /// be as it was meant.
    pub(super) fn told(
        &mut self,
        id: ConnectionId,
        answer: Option<rooms::Answer>,
        shared: &mut Shared,
        wire: &mut impl Wire<Message>,
    ) -> Step {
        let Phase::Waiting(reply) = self.phase else {
            return Step::Stay;
        };
        let reply = answer.map_or(reply, |answer| reply.with(answer));
        self.send(id, reply, shared, wire).unwrap_or(Step::Stay)
    }

    /// The peer has ended its stream. RFC 9112, 9.6: a client may do so after its last request,
    /// and gets its answer; RFC 9112, 8: an incomplete request is left unanswered.
    pub(super) fn peer_ended(&mut self) -> Half {
        let Phase::Waiting(reply) = &mut self.phase else {
            return Half::Close;
        };
        reply.end.get_or_insert(Why::Done);
        Half::Keep
    }

    /// The request that is under way takes too long.
    pub(super) fn time_out(
        &mut self,
        id: ConnectionId,
        shared: &mut Shared,
        wire: &mut impl Wire<Message>,
    ) -> Step {
        let reply = Reply {
            answer: Answer::Refused {
                status: 408,
                reason: "the request took too long",
            },
            content: Content::Full,
            end: Some(Why::RequestTime),
        };
        self.send(id, reply, shared, wire).unwrap_or(Step::Stay)
    }

    /// Whether no request is under way.
    pub(super) fn is_quiet(&self) -> bool {
        matches!(self.phase, Phase::Fresh | Phase::Idle)
    }

    /// How long the present phase may take, and what follows.
    pub(super) fn limit(&self, config: &Config) -> (Duration, Due) {
        match self.phase {
            Phase::Fresh | Phase::Head | Phase::Body(_) | Phase::Saying(_) => {
                (limits::HEAD_TIME, Due::RequestTime)
            }
            Phase::Idle => (
                idle(config),
                Due::Now(Step::End {
                    how: Close::Flush,
                    why: Why::Idle,
                }),
            ),
            // The round of questions has its own, shorter, deadline.
            Phase::Waiting(_) => (limits::HEAD_TIME, Due::Never),
        }
    }

    /// All bytes are used up, in a head or before one.
    fn rest(
        &mut self,
        more: bool,
        id: ConnectionId,
        since: &mut Stamp,
        shared: &mut Shared,
        wire: &mut impl Wire<Message>,
    ) -> Step {
        if more {
            if matches!(self.phase, Phase::Idle) {
                *since = Stamp::new(wire.now());
                shared.wheel.schedule(id, wire.now() + limits::HEAD_TIME);
            }
            self.phase = Phase::Head;
        }
        // A peer that asks faster than it reads.
        if wire.backlog(id) > limits::BACKLOG_HIGH {
            Step::Pause
        } else {
            Step::Stay
        }
    }

    /// Answers now, or once the other cores have told. `None` if the connection goes on.
    fn answer(
        &mut self,
        id: ConnectionId,
        reply: Reply,
        shared: &mut Shared,
        wire: &mut impl Wire<Message>,
    ) -> Option<Step> {
        let waits = match reply.answer {
            Answer::Stats(_) => !shared.round.ask(id, wire),
            Answer::SaidLater => true,
            Answer::Index
            | Answer::Health
            | Answer::Events
            | Answer::Said { .. }
            | Answer::OnlyPost
            | Answer::Refused { .. } => false,
        };
        if waits {
            self.phase = Phase::Waiting(reply);
            return None;
        }
        self.send(id, reply, shared, wire)
    }

    fn send(
        &mut self,
        id: ConnectionId,
        mut reply: Reply,
        shared: &mut Shared,
        wire: &mut impl Wire<Message>,
    ) -> Option<Step> {
        self.requests += 1;
        let last = self.requests >= limits::KEPT_ALIVE_REQUESTS;
        if reply.end.is_none() && (last || shared.draining.is_some()) {
            reply.end = Some(if last { Why::Done } else { Why::Drain });
        }
        match (answer::send(id, reply, shared, wire), reply.end) {
            (Ok(()), None) => {
                self.phase = Phase::Idle;
                let idle = idle(&shared.config);
                if idle < limits::HEAD_TIME {
                    shared.wheel.schedule(id, wire.now() + idle);
                }
                None
            }
            (Ok(()) | Err(Unsent::Gone), Some(why)) => Some(Step::End {
                how: Close::Flush,
                why,
            }),
            (Err(Unsent::Gone), None) => Some(Step::End {
                how: Close::Flush,
                why: Why::Done,
            }),
            (Err(Unsent::Full), _) => Some(Step::End {
                how: Close::Abort,
                why: Why::SlowConsumer,
            }),
        }
    }
}

/// How long a connection may be without a request.
fn idle(config: &Config) -> Duration {
    config.idle_timeout.unwrap_or(limits::KEEP_ALIVE_TIME)
}

impl Body {
    /// Skips what `bytes` has of the body. True if it is over.
    fn skip(&mut self, bytes: &[u8], at: &mut usize) -> Result<bool, Fault> {
        while let Some(piece) = self.reader.next(bytes, at)? {
            self.bytes += piece.len() as u64;
            if self.bytes > limits::BODY_BYTES {
                return Err(TOO_LARGE);
            }
        }
        Ok(self.reader.is_done())
    }
}

const TOO_LARGE: Fault = Fault::Http {
    status: 413,
    reason: "no body is wanted here",
};

/// Queues the response in `Shared::scratch` that makes a connection something else.
fn begin(id: ConnectionId, turn: Turn, shared: &mut Shared, wire: &mut impl Wire<Message>) -> Turn {
    let mut sent = wire.send(id, &shared.scratch);
    if let (Turn::Stream(Feed::Push), Err(Unsent::Full)) = (&turn, sent) {
        // What was missed is more than a backlog may hold: then it is lost.
        stream::begin_stale(shared);
        sent = wire.send(id, &shared.scratch);
    }
    match sent {
        Ok(()) => turn,
        Err(Unsent::Gone) => Turn::Step(Step::End {
            how: Close::Flush,
            why: Why::Done,
        }),
        Err(Unsent::Full) => Turn::Step(Step::End {
            how: Close::Abort,
            why: Why::SlowConsumer,
        }),
    }
}

/// Reads a request and decides what it gets.
fn asked(head: &[u8], shared: &mut Shared, wire: &mut impl Wire<Message>) -> Asked {
    let request = match Request::parse(head) {
        Ok(request) => request,
        Err(fault) => return Asked::Reply(Reply::refuse(fault)),
    };
    shared.tally.requests += 1;
    match request.path() {
        "/echo" => socket(Route::Echo, &request, shared, wire),
        "/push" => socket(Route::Push, &request, shared, wire),
        "/events" => events(Feed::Push, &request, shared, wire),
        "/rooms" if handshake::is_upgrade(&request) => socket(Route::Rooms, &request, shared, wire),
        "/rooms" => events(Feed::Rooms, &request, shared, wire),
        rooms::SAY => say::begin(&request).map_or_else(Asked::Reply, Asked::Say),
        "/healthz" => plain(Answer::Health, &request),
        "/stats" => plain(Answer::Stats(Form::Json), &request),
        "/metrics" => {
            let form = Form::Metrics(reader(&request));
            plain(Answer::Stats(form), &request)
        }
        "/" => plain(Answer::Index, &request),
        _ => plain(
            Answer::Refused {
                status: 404,
                reason: "no such route; / lists them",
            },
            &request,
        ),
    }
}

/// What a reader of metrics takes: media types in any order, their weights left aside.
fn reader(request: &Request<'_>) -> Reader {
    let media_type = OPENMETRICS.split(';').next().unwrap_or(OPENMETRICS);
    let accepts = request.headers.get("Accept").unwrap_or_default();
    let mut accepts = accepts.split([',', ';']).map(str::trim);
    if accepts.any(|accepted| accepted.eq_ignore_ascii_case(media_type)) {
        Reader::OpenMetrics
    } else {
        Reader::Any
    }
}

/// A request for a plain answer: any body it has is skipped first.
fn plain(answer: Answer, request: &Request<'_>) -> Asked {
    let (answer, content) = match request.method {
        "GET" => (answer, Content::Full),
        "HEAD" => (answer, Content::HeadOnly),
        _ => (
            Answer::Refused {
                status: 405,
                reason: "only GET and HEAD here",
            },
            Content::Full,
        ),
    };
    let end = if request.keep_alive {
        None
    } else {
        Some(Why::Done)
    };
    let reply = Reply {
        answer,
        content,
        end,
    };
    match request.body {
        BodyLength::None | BodyLength::Known(0) => Asked::Reply(reply),
        BodyLength::Known(bytes) if bytes > limits::BODY_BYTES => {
            Asked::Reply(Reply::refuse(TOO_LARGE))
        }
        // RFC 9110, 10.1.1: a final answer instead of 100. The body may come or not, so the
        // connection ends with it.
        _ if request.headers.has_token("Expect", "100-continue") => Asked::Reply(Reply {
            end: Some(Why::Done),
            ..reply
        }),
        length @ (BodyLength::Known(_) | BodyLength::Chunked | BodyLength::UntilEnd) => {
            Asked::Body(Body {
                reader: BodyReader::new(length),
                bytes: 0,
                reply,
            })
        }
    }
}

const DRAINING: Fault = Fault::Http {
    status: 503,
    reason: "the server is going away",
};
const BODY: Fault = Fault::Http {
    status: 400,
    reason: "no body is allowed here",
};

/// A request for a WebSocket route.
fn socket(
    route: Route,
    request: &Request<'_>,
    shared: &mut Shared,
    wire: &mut impl Wire<Message>,
) -> Asked {
    if !handshake::is_upgrade(request) {
        let answer = Answer::Refused {
            status: 426,
            reason: "this route is a WebSocket",
        };
        return plain(answer, request);
    }
    let config = &shared.config;
    // What follows a refused upgrade may be frames: the connection ends with every refusal.
    let accepted = match handshake::accept(request, &config.subprotocols, &config.origins) {
        Ok(_) if request.body != BodyLength::None => return Asked::Reply(Reply::refuse(BODY)),
        Ok(_) if shared.draining.is_some() => return Asked::Reply(Reply::refuse(DRAINING)),
        Ok(accepted) => accepted,
        Err(fault) => return Asked::Reply(Reply::refuse(fault)),
    };
    let accepted = if config.deflate {
        accepted.deflating(request)
    } else {
        accepted
    };
    shared.scratch.clear();
    accepted.encode(&mut shared.scratch);
    let extension = accepted
        .deflate
        .map_or(Extension::None, |_| Extension::Deflate);
    if route == Route::Push {
        shared.wake_push(wire.now());
    }
    Asked::WebSocket(route, extension)
}

/// A request for an event stream.
fn events(
    feed: Feed,
    request: &Request<'_>,
    shared: &mut Shared,
    wire: &mut impl Wire<Message>,
) -> Asked {
    let fault = match request.body {
        _ if request.method != "GET" => return plain(Answer::Events, request),
        BodyLength::None | BodyLength::Known(0) if handshake::is_upgrade(request) => Fault::Http {
            status: 400,
            reason: "an event stream, not a WebSocket",
        },
        BodyLength::None | BodyLength::Known(0) if shared.draining.is_some() => DRAINING,
        BodyLength::None | BodyLength::Known(0) => {
            match feed {
                Feed::Push => {
                    shared.wake_push(wire.now());
                    stream::begin(stream::last_event_id(request), shared);
                }
                // Who comes back is a new member: it was not there.
                Feed::Rooms => stream::begin(None, shared),
            }
            return Asked::Stream(feed);
        }
        BodyLength::Known(_) | BodyLength::Chunked | BodyLength::UntilEnd => BODY,
    };
    Asked::Reply(Reply::refuse(fault))
}
