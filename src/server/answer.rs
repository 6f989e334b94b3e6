//! Plain HTTP answers: what they say and how they are encoded.

use super::shared::Shared;
use super::stats::{Form, Message};
use super::stream;
use super::tally::Why;
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
    /// What becomes of a text is not known yet.
    SaidLater,
    /// Another method than POST where there is no other.
    OnlyPost,
    Refused {
        status: u16,
        reason: &'static str,
    },
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
    /// Why the connection ends with it; `None` if it goes on.
    pub(super) end: Option<Why>,
}

const INDEX: &str = "\
/echo     WebSocket: every message comes back, text or binary
/push     WebSocket: a message at every interval
/events   Server-Sent Events: the same messages; Last-Event-ID or ?lastEventId=N resumes
/rooms    WebSocket or Server-Sent Events: a room of a few; POST to the address it tells to say
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
            Why::Drain
        } else {
            Why::Fault
        });
        Self {
            answer: Answer::Refused { status, reason },
            content: Content::Full,
            end,
        }
    }
}

/// Queues an answer. A long one goes as a payload, which is freed when it has left: the engine's
/// outbound buffers would keep its length.
///
/// # Errors
/// [`Unsent`]; then nothing was queued.
pub(super) fn send(
    id: ConnectionId,
    reply: Reply,
    shared: &mut Shared,
    wire: &mut impl Wire<Message>,
) -> Result<(), Unsent> {
    encode(reply, shared, wire);
    if shared.scratch.len() <= limits::SHARED_BYTES_MIN {
        return wire.send(id, &shared.scratch);
    }
    let answer = std::mem::take(&mut shared.scratch);
    wire.share(id, &Payload::new(answer))
}

/// Writes an answer into `Shared::scratch`.
fn encode(reply: Reply, shared: &mut Shared, wire: &mut impl Wire<Message>) {
    shared.scratch.clear();
    shared.body.clear();
    if reply.answer == Answer::Events {
        return Response::encode(&mut shared.scratch, 200, &stream::HEADERS, None);
    }
    let (status, kind) = content(reply.answer, shared, wire);
    let Shared { scratch, body, .. } = shared;
    let connection = match (status, reply.end) {
        // RFC 9110, 7.8: `Upgrade` is listed in `Connection`.
        (426, None) => "Upgrade",
        (426, Some(_)) => "Upgrade, close",
        (_, None) => "keep-alive",
        (_, Some(_)) => "close",
    };
    let allow = match reply.answer {
        Answer::OnlyPost => "POST",
        Answer::Index
        | Answer::Health
        | Answer::Stats(_)
        | Answer::Events
        | Answer::Said { .. }
        | Answer::SaidLater
        | Answer::Refused { .. } => "GET, HEAD",
    };
    // The middle four are for all, the ends for two.
    let headers = [
        // RFC 9110, 15.5.22 and RFC 6455, 4.4: what to upgrade to.
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Content-Type", kind),
        ("Cache-Control", "no-store"),
        ("Access-Control-Allow-Origin", "*"),
        ("Connection", connection),
        // RFC 9110, 15.5.6.
        ("Allow", allow),
    ];
    let headers = match status {
        426 => headers.get(..6),
        405 => headers.get(2..),
        _ => headers.get(2..6),
    };
    let headers = headers.unwrap_or_default();
    Response::encode(scratch, status, headers, Some(body));
    match reply.content {
        Content::Full => {}
        Content::HeadOnly => scratch.truncate(scratch.len() - body.len()),
    }
}

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// Writes what an answer says into `Shared::body`; gives its status and type.
fn content(
    answer: Answer,
    shared: &mut Shared,
    wire: &mut impl Wire<Message>,
) -> (u16, &'static str) {
    let draining = shared.draining.is_some();
    let Shared {
        body,
        round,
        config,
        tally,
        ..
    } = shared;
    let (status, text) = match answer {
        Answer::Index => (200, INDEX),
        Answer::Health if draining => (503, "draining\n"),
        Answer::Health => (200, "ok\n"),
        Answer::Stats(form) => {
            round.write(body, form, config, *tally, wire);
            return (200, form.media_type());
        }
        Answer::Said { seq } => {
            // Writing to a Vec does not fail.
            let _ = write!(body, "{{\"seq\":{seq}}}");
            return (200, JSON);
        }
        Answer::OnlyPost => (405, "only POST here\n"),
        // The one is never sent so, the other has no content.
        Answer::SaidLater | Answer::Events => (200, ""),
        Answer::Refused { status, reason } => {
            body.extend_from_slice(reason.as_bytes());
            (status, "\n")
        }
    };
    body.extend_from_slice(text.as_bytes());
    (status, TEXT)
}
