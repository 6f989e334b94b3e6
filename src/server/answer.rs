//! Plain HTTP answers: what they say and how they are encoded.

use super::apps::Apps;
use super::fields::Fields;
use super::route::{By, Route};
use super::shared::Shared;
use super::stats::{Form, Message};
use super::stream;
use super::tally::CloseReason;
use crate::limits;
use crate::protocol::Fault;
use crate::protocol::http::Response;
use crate::shard::{ConnectionId, Payload, Unsent, Wire};
use std::io::Write as _;

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Index,
    Health,
    Stats(Form),
    /// The head of an event stream, for HEAD.
    Events,
    /// A text has got that number in its room.
    Said {
        seq: u64,
    },
    /// What becomes of a text or a call is not known yet.
    SaidLater,
    /// An application's answer to a call: it is in `Shared::response`.
    Called {
        status: u16,
    },
    /// Another method than POST where there is no other.
    OnlyPost,
    /// What may be asked for.
    Options {
        methods: Methods,
    },
    Refused {
        status: u16,
        reason: &'static str,
    },
}

/// The methods of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Methods {
    Read,
    Post,
    All,
}

impl Methods {
    /// The value of `Allow` (RFC 9110, 10.2.1).
    const fn allow(self) -> &'static str {
        match self {
            Self::Read => "GET, HEAD, OPTIONS",
            Self::Post => "POST, OPTIONS",
            Self::All => "GET, HEAD, POST, OPTIONS",
        }
    }
}

/// Whether the content goes with the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Full,
    /// RFC 9110, 9.3.2: HEAD gets the fields of GET and no content.
    HeadOnly,
}

/// An answer as a request wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) answer: Answer,
    pub(super) content: Content,
    /// Which of the listed origins the page is of that asks, if any.
    pub(super) origin: Option<u16>,
    /// Why the connection ends with it; `None` if it goes on.
    pub(super) end: Option<CloseReason>,
}

const INDEX: &str = "\
/healthz  200 while serving, 503 while draining
/stats    JSON: connections, messages, bytes, CPU, memory, host; per core and in all
/metrics  the same as OpenMetrics text, for Prometheus
";

impl Reply {
    /// The answer to a peer's mistake; the connection ends with it.
    pub(super) fn refuse(fault: Fault) -> Self {
        let (status, reason) = match fault {
            Fault::Http { status, reason } => (status, reason),
            // Not from an HTTP request.
            Fault::WebSocket { reason, .. } | Fault::Response { reason } => (400, reason),
        };
        let end = Some(if status == 503 {
            CloseReason::Drain
        } else {
            CloseReason::Fault
        });
        Self {
            answer: Answer::Refused { status, reason },
            content: Content::Full,
            origin: None,
            end,
        }
    }

    /// The same request gets this instead: its body, which came later, was wrong.
    pub(super) fn refused(self, fault: Fault) -> Self {
        Self {
            content: self.content,
            origin: self.origin,
            ..Self::refuse(fault)
        }
    }
}

/// Queues an answer. A long one goes as a payload, which is freed when it has left: the engine's
/// outbound buffers would keep its length.
///
/// # Errors
/// [`Unsent`]; then nothing was queued.
pub(super) fn send<A: Apps>(
    id: ConnectionId,
    reply: Reply,
    shared: &mut Shared<A>,
    wire: &mut impl Wire<Message<A::Letters>>,
) -> Result<(), Unsent> {
    encode(reply, shared, wire);
    if shared.scratch.len() <= limits::SHARED_BYTES_MIN {
        return wire.send(id, &shared.scratch);
    }
    let answer = std::mem::take(&mut shared.scratch);
    wire.share(id, &Payload::new(answer))
}

/// Writes an answer into `Shared::scratch`.
fn encode<A: Apps>(
    reply: Reply,
    shared: &mut Shared<A>,
    wire: &mut impl Wire<Message<A::Letters>>,
) {
    shared.scratch.clear();
    shared.body.clear();
    let (status, kind) = content(reply.answer, shared, wire);
    let Shared {
        scratch,
        body,
        config,
        clock,
        ..
    } = shared;
    let mut fields = Fields::default();
    if status == 426 {
        // RFC 9110, 15.5.22 and RFC 6455, 4.4: what to upgrade to.
        fields.push("Upgrade", "websocket");
        fields.push("Sec-WebSocket-Version", "13");
    }
    match reply.answer {
        Answer::Events => fields.extend(&stream::HEADERS),
        Answer::Options { methods } => {
            fields.push("Allow", methods.allow());
            fields.preflight(methods.allow());
        }
        Answer::Index
        | Answer::Health
        | Answer::Stats(_)
        | Answer::Said { .. }
        | Answer::SaidLater
        | Answer::Called { .. }
        | Answer::OnlyPost
        | Answer::Refused { .. } => {
            fields.push("Content-Type", kind);
            fields.push("Cache-Control", "no-store");
        }
    }
    fields.date(clock.date(wire.now(), config));
    fields.readers(config.origins(), reply.origin);
    fields.push(
        "Connection",
        match (status, reply.end) {
            // RFC 9110, 7.8: `Upgrade` is listed in `Connection`.
            (426, None) => "Upgrade",
            (426, Some(_)) => "Upgrade, close",
            (_, None) => "keep-alive",
            (_, Some(_)) => "close",
        },
    );
    match (status, reply.answer) {
        // RFC 9110, 15.5.6.
        (405, Answer::OnlyPost) => fields.push("Allow", Methods::Post.allow()),
        (405, _) => fields.push("Allow", Methods::Read.allow()),
        // RFC 9110, 15.5.2: how to show who asks.
        (401, _) => fields.push("WWW-Authenticate", "apikey"),
        // RFC 9110, 10.2.3: seconds. Places come free all the time, and so does room in a backlog.
        (429 | 503, _) => fields.push("Retry-After", "1"),
        _ => {}
    }
    // RFC 9110, 8.6: 204 has no length, and what an event stream is long nobody knows.
    let has_length = !matches!(reply.answer, Answer::Events | Answer::Options { .. });
    let content = has_length.then_some(&**body);
    Response::encode(scratch, status, fields.as_slice(), content);
    match reply.content {
        Content::Full => {}
        Content::HeadOnly => scratch.truncate(scratch.len() - body.len()),
    }
}

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// Writes where each application is reached.
fn list(apps: &impl Apps, into: &mut Vec<u8>) {
    apps.routes(0, &mut |_, Route { path, by, about }| {
        let by = match by {
            By::WebSocket => "WebSocket",
            By::EventStream => "Server-Sent Events",
            By::Either => "WebSocket or Server-Sent Events",
            By::Call => "POST",
            // Members are told of it.
            By::Post => return,
        };
        if about.is_empty() {
            return;
        }
        // Writing to a Vec does not fail.
        let _ = writeln!(into, "{path:<9} {by}: {about}");
    });
}

/// Writes what an answer says into `Shared::body`; gives its status and type.
fn content<A: Apps>(
    answer: Answer,
    shared: &mut Shared<A>,
    wire: &mut impl Wire<Message<A::Letters>>,
) -> (u16, &'static str) {
    let draining = shared.unready;
    let figures = shared.figures(wire);
    let Shared {
        apps,
        body,
        response,
        round,
        config,
        ..
    } = shared;
    let (status, text) = match answer {
        Answer::Index => {
            list(apps, body);
            (200, INDEX)
        }
        Answer::Health if draining => (503, "draining\n"),
        Answer::Health => (200, "ok\n"),
        Answer::Stats(form) => {
            round.write(body, form, config, figures, wire);
            return (200, form.media_type());
        }
        Answer::Said { seq } => {
            // Writing to a Vec does not fail.
            let _ = write!(body, "{{\"seq\":{seq}}}");
            return (200, JSON);
        }
        Answer::Called { status } => {
            body.extend_from_slice(response.as_bytes());
            response.clear();
            response.shrink_to(limits::SPARE_BYTES);
            return (status, JSON);
        }
        Answer::OnlyPost => (405, "only POST here\n"),
        // The one is never sent so, the others have no content.
        Answer::SaidLater | Answer::Events => (200, ""),
        Answer::Options { .. } => (204, ""),
        Answer::Refused { status, reason } => {
            body.extend_from_slice(reason.as_bytes());
            (status, "\n")
        }
    };
    body.extend_from_slice(text.as_bytes());
    (status, TEXT)
}
