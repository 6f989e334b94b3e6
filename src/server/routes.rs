//! What a request asks for and what it gets: the routes.

use super::admission::Place;
use super::answer::{Answer, Content, Methods, Reply};
use super::apps::{AppIndex, Apps};
use super::draining::DRAINING;
use super::fields::EVENT_STREAM_TYPE;
use super::passing::Passing;
use super::route::By;
use super::say::{self, Saying};
use super::shared::Shared;
use super::stats::{Form, Message, Reader};
use super::stream::Resumed;
use super::tally::CloseReason;
use crate::app::ArrivalPurpose;
use crate::limits;
use crate::protocol::Fault;
use crate::protocol::http::{BodyLength, BodyReader, Request, accept};
use crate::protocol::websocket::deflate::Agreement;
use crate::protocol::websocket::handshake;
use crate::shard::{ConnectionId, Wire};
use crate::stats::exposition::{OPENMETRICS, PROMETHEUS};
use crate::time::Instant;

/// What a request asks for.
pub(super) enum Asked {
    Reply(Reply),
    /// The reply is for after the body.
    Body(Body),
    /// What is said is the body.
    Say(Box<Saying>),
    /// The body is passed on as it comes.
    Pass(Box<Passing>),
    /// The response is written: see `Shared::send_response`.
    WebSocket(AppIndex, Option<Agreement>),
    /// The response is written: see `Shared::send_response`.
    Stream(AppIndex, Resumed),
}

/// The body of a request that gets its answer after it.
pub(super) struct Body {
    reader: BodyReader,
    bytes: u64,
    reply: Reply,
}

impl Body {
    /// The reply, once the body is over.
    pub(super) const fn reply(&self) -> Reply {
        self.reply
    }

    /// Skips what `bytes` has of the body. True if it is over.
    pub(super) fn skip(&mut self, bytes: &[u8], at: &mut usize) -> Result<bool, Fault> {
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

/// Reads a request of a connection in that place and decides what it gets.
pub(super) fn asked<A: Apps>(
    head: &[u8],
    (id, place): (ConnectionId, &mut Place),
    shared: &mut Shared<A>,
    wire: &mut impl Wire<Message<A::Letters>>,
) -> Asked {
    let request = match Request::parse(head) {
        Ok(request) => request,
        Err(fault) => return Asked::Reply(Reply::refuse(fault)),
    };
    if shared.log().is_on() {
        shared.log().asked(id, request.path());
    }
    if let Err(refusal) = shared.admit(place, request.path()) {
        return Asked::Reply(refusal);
    }
    shared.certified(wire.peer_names(id).as_ref());
    if let Err(fault) = shared.requested(request.path(), wire.now()) {
        return refuse(fault, &request);
    }
    if let Err(fault) = shared.guard(*place, &request) {
        return refuse(fault, &request);
    }
    if let Err(fault) = shared.looks_through(id, &request) {
        let refusal = Reply::refuse(fault).ending(CloseReason::Barred);
        return Asked::Reply(refusal);
    }
    let origin = shared.listed(&request);
    if is_passed(&request, shared) {
        return match shared.pass(&request, id, wire) {
            Ok(passing) => Asked::Pass(passing),
            Err(fault) => refuse(fault, &request),
        };
    }
    match route(&request, (id, shared), wire.now()) {
        Asked::Reply(reply) => Asked::Reply(reply.for_page(origin)),
        Asked::Body(mut body) => {
            body.reply = body.reply.for_page(origin);
            Asked::Body(body)
        }
        Asked::Say(mut saying) => {
            saying.set_page(origin);
            Asked::Say(saying)
        }
        other @ (Asked::WebSocket(..) | Asked::Stream(..) | Asked::Pass(_)) => other,
    }
}

/// Whether a request is for the application behind the server: no route takes it, nor a file.
fn is_passed<A: Apps>(request: &Request<'_>, shared: &mut Shared<A>) -> bool {
    let path = request.path();
    shared.passing().is_on()
        && path.starts_with('/')
        && !handshake::is_upgrade(request)
        && !OWN.contains(&path)
        && shared.find(path).is_none()
        && !shared.has_file(path)
}

/// Paths of the server itself.
const OWN: [&str; 3] = ["/healthz", "/stats", "/metrics"];

fn route<A: Apps>(
    request: &Request<'_>,
    (id, shared): (ConnectionId, &mut Shared<A>),
    now: Instant,
) -> Asked {
    match request.path() {
        path if request.method == "OPTIONS" => {
            options(path, (shared.find(path), shared.has_file(path)), request)
        }
        "/healthz" => plain(Answer::Health, request),
        "/stats" => figures(
            Some(Form::Json).filter(|it| takes(request, it.media_type())),
            request,
        ),
        "/metrics" => figures(reader(request).map(Form::Metrics), request),
        "/" if !shared.has_file("/") => home(request, shared),
        path => match shared.find(path) {
            Some((app, By::WebSocket)) => socket(app, request, shared, now),
            Some((app, By::EventStream)) => events(app, request, shared, now),
            Some((app, By::Either)) if handshake::is_upgrade(request) => {
                socket(app, request, shared, now)
            }
            Some((app, By::Either)) => events(app, request, shared, now),
            Some((app, By::Post)) => {
                let is_address = |query: &&str| shared.is_address(app, query);
                say::begin(app, request, is_address).map_or_else(Asked::Reply, Asked::Say)
            }
            Some((app, By::Call)) => {
                let permit = || shared.arriving(app, request, (ArrivalPurpose::Call, None));
                say::begin_call(app, request, permit).map_or_else(Asked::Reply, Asked::Say)
            }
            Some((app, By::Exchange)) if handshake::is_upgrade(request) => {
                socket(app, request, shared, now)
            }
            Some((_, By::Exchange)) if shared.is_refusing() => refuse(DRAINING, request),
            Some((app, By::Exchange)) => {
                let permit = || {
                    let share = shared.share(id, request);
                    shared.arriving(app, request, (ArrivalPurpose::Call, share))
                };
                say::begin_exchange(app, request, permit).map_or_else(Asked::Reply, Asked::Say)
            }
            None => file(request, shared),
        },
    }
}

/// The list of what there is: a page for browsers, which name HTML, and lines for others.
fn home<A: Apps>(request: &Request<'_>, shared: &mut Shared<A>) -> Asked {
    let mut accepts = request
        .headers
        .all("Accept")
        .flat_map(|it| it.split([',', ';']));
    let is_browser = accepts.any(|it| it.trim().eq_ignore_ascii_case("text/html"));
    let reads = matches!(request.method, "GET" | "HEAD");
    let page = (is_browser && reads).then(|| shared.file_at(HOME, request));
    plain(page.flatten().unwrap_or(Answer::Index), request)
}

/// The page that lists the pages there are.
const HOME: &str = "/console/home.html";

/// What a reader of metrics takes; `None` if neither form is acceptable (RFC 9110, 12.5.1).
fn reader(request: &Request<'_>) -> Option<Reader> {
    let essence = |full: &'static str| full.split(';').next().unwrap_or(full);
    let wanted = |full| accept::quality(&request.headers, essence(full));
    let named = request.headers.all("Accept").any(|accepts| {
        let mut names = accepts.split([',', ';']).map(str::trim);
        names.any(|name| name.eq_ignore_ascii_case(essence(OPENMETRICS)))
    });
    match (wanted(OPENMETRICS), wanted(PROMETHEUS)) {
        (Some(0), Some(0)) => None,
        (Some(open), plain) if named && open > 0 && open >= plain.unwrap_or(0) => {
            Some(Reader::OpenMetrics)
        }
        (Some(1..), Some(0)) => Some(Reader::OpenMetrics),
        _ => Some(Reader::Any),
    }
}

/// Whether the client does not rule the media type out.
fn takes(request: &Request<'_>, media_type: &str) -> bool {
    accept::quality(&request.headers, media_type) != Some(0)
}

const NOT_ACCEPTABLE: Answer = Answer::Refused {
    status: 406,
    reason: "there is no other media type here",
};

/// A request for the figures, in a form that the client takes.
fn figures(form: Option<Form>, request: &Request<'_>) -> Asked {
    plain(form.map_or(NOT_ACCEPTABLE, Answer::Stats), request)
}

/// What may be asked for there: for a page that asks before it does (Fetch, 4.8), and for anyone
/// (RFC 9110, 9.3.7).
fn options(
    path: &str,
    (app, is_file): (Option<(AppIndex, By)>, bool),
    request: &Request<'_>,
) -> Asked {
    let methods = match (path, app) {
        ("*", _) => Methods::All,
        (_, Some((_, By::Exchange))) => Methods::Exchange,
        (_, Some((_, By::Post | By::Call))) => Methods::Post,
        (_, Some((_, By::WebSocket | By::EventStream | By::Either)))
        | ("/" | "/healthz" | "/stats" | "/metrics", None) => Methods::Read,
        (_, None) if is_file => Methods::Read,
        (_, None) => return answered(NOWHERE, Content::Full, request),
    };
    answered(Answer::Options { methods }, Content::HeadOnly, request)
}

/// A request for a file for browsers.
fn file<A: Apps>(request: &Request<'_>, shared: &mut Shared<A>) -> Asked {
    let has_body = !matches!(request.body, BodyLength::None | BodyLength::Known(0));
    match request.method {
        // What is found is for now: a body may come when the files are others.
        "GET" | "HEAD" if has_body => plain(NOWHERE, request),
        "GET" | "HEAD" => plain(shared.file(request).unwrap_or(NOWHERE), request),
        _ if shared.has_file(request.path()) => plain(Answer::Index, request),
        _ => plain(NOWHERE, request),
    }
}

const NOWHERE: Answer = Answer::Refused {
    status: 404,
    reason: "no such route; / lists them",
};

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
    answered(answer, content, request)
}

/// A request with that answer, once its body has been skipped.
fn answered(answer: Answer, content: Content, request: &Request<'_>) -> Asked {
    let reply = Reply::new(answer, content, request);
    match request.body {
        BodyLength::None | BodyLength::Known(0) => Asked::Reply(reply),
        BodyLength::Known(bytes) if bytes > limits::BODY_BYTES => {
            Asked::Reply(reply.refused(TOO_LARGE))
        }
        // RFC 9110, 10.1.1: a final answer instead of 100. The body may come or not, so the
        // connection ends with it.
        _ if request.headers.has_token("Expect", "100-continue") => {
            Asked::Reply(reply.ending(CloseReason::Done))
        }
        length @ (BodyLength::Known(_) | BodyLength::Chunked | BodyLength::UntilEnd) => {
            Asked::Body(Body {
                reader: BodyReader::new(length),
                bytes: 0,
                reply,
            })
        }
    }
}

const BODY: Fault = Fault::Http {
    status: 400,
    reason: "no body is allowed here",
};

/// A request for a WebSocket route.
fn socket<A: Apps>(
    app: AppIndex,
    request: &Request<'_>,
    shared: &mut Shared<A>,
    now: Instant,
) -> Asked {
    if !handshake::is_upgrade(request) {
        // A page about it may be in the folder of that name.
        if shared.has_file(request.path()) {
            return file(request, shared);
        }
        let answer = Answer::Refused {
            status: 426,
            reason: "this route is a WebSocket",
        };
        return plain(answer, request);
    }
    match shared.upgrade(app, request, now) {
        Ok(agreement) => Asked::WebSocket(app, agreement),
        // What follows a refused upgrade may be frames: the connection ends with every refusal.
        Err(fault) => refuse(fault, request),
    }
}

/// A request for an event stream.
fn events<A: Apps>(
    app: AppIndex,
    request: &Request<'_>,
    shared: &mut Shared<A>,
    now: Instant,
) -> Asked {
    let has_body = !matches!(request.body, BodyLength::None | BodyLength::Known(0));
    match request.method {
        "GET" if has_body => return refuse(BODY, request),
        "GET" | "HEAD" if handshake::is_upgrade(request) => {
            return refuse(NO_WEBSOCKET, request);
        }
        "GET" | "HEAD" if shared.is_refusing() => return refuse(DRAINING, request),
        "GET" | "HEAD" if !takes(request, EVENT_STREAM_TYPE) => {
            return plain(NOT_ACCEPTABLE, request);
        }
        "GET" => {}
        _ => return plain(Answer::Events, request),
    }
    match shared.begin_stream(app, request, now) {
        Ok(resumed) => Asked::Stream(app, resumed),
        Err(fault) => refuse(fault, request),
    }
}

const NO_WEBSOCKET: Fault = Fault::Http {
    status: 400,
    reason: "an event stream, not a WebSocket",
};

/// The answer to a mistake; the connection ends with it.
fn refuse(fault: Fault, request: &Request<'_>) -> Asked {
    Asked::Reply(Reply::refuse(fault).for_method(request.method))
}
