//! Plain HTTP answers: what they say and how they are encoded.

use super::shared::Shared;
use super::stats::Message;
use super::stream;
use super::tally::Why;
use crate::protocol::Fault;
use crate::protocol::http::Response;
use crate::shard::Wire;

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Index,
    Health,
    Stats,
    /// The head of an event stream, for HEAD.
    Events,
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
/healthz  200 while serving, 503 while draining
/stats    JSON: connections, messages, bytes, CPU, memory; per core and in all
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

/// Writes an answer into `Shared::scratch`.
pub(super) fn encode(reply: Reply, shared: &mut Shared, wire: &mut impl Wire<Message>) {
    let draining = shared.draining.is_some();
    let Shared {
        scratch,
        body,
        round,
        config,
        tally,
        ..
    } = shared;
    scratch.clear();
    body.clear();
    let mut kind = "text/plain; charset=utf-8";
    let status = match reply.answer {
        Answer::Index => {
            body.extend_from_slice(INDEX.as_bytes());
            200
        }
        Answer::Health if draining => {
            body.extend_from_slice(b"draining\n");
            503
        }
        Answer::Health => {
            body.extend_from_slice(b"ok\n");
            200
        }
        Answer::Stats => {
            kind = "application/json";
            round.write(body, (config.engine, config.started), *tally, wire);
            200
        }
        Answer::Events => return Response::encode(scratch, 200, &stream::HEADERS, None),
        Answer::Refused { status, reason } => {
            body.extend_from_slice(reason.as_bytes());
            body.push(b'\n');
            status
        }
    };
    let connection = match (status, reply.end) {
        // RFC 9110, 7.8: `Upgrade` is listed in `Connection`.
        (426, None) => "Upgrade",
        (426, Some(_)) => "Upgrade, close",
        (_, None) => "keep-alive",
        (_, Some(_)) => "close",
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
        ("Allow", "GET, HEAD"),
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
