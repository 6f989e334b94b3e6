//! How an event stream begins: its head, and what a client that comes back has missed.

use super::fields::Fields;
use super::shared::Shared;
use super::topic::encode_event;
use crate::app::push::Missed;
use crate::limits;
use crate::protocol::http::{Request, Response};
use crate::protocol::sse;
use crate::time::Instant;
use std::io::Write as _;

/// What an event stream's head says beside its status.
///
/// `no-store` and `X-Accel-Buffering` keep caches and gateways from holding events back, and
/// `no-transform` (RFC 9111, 5.2.2.6) from deflating them, which holds them back too. Neither length
/// nor chunks: the stream ends with the connection.
pub(super) const HEADERS: [(&str, &str); 3] = [
    ("Content-Type", MEDIA_TYPE),
    ("Cache-Control", "no-store, no-transform"),
    ("X-Accel-Buffering", "no"),
];

/// HTML, 9.2.5.
pub(super) const MEDIA_TYPE: &str = "text/event-stream";

/// The name of the event that tells a client that it missed something for good, because HTML gives
/// it no other sign (whatwg/html#8297). Its data: `{"oldest":N,"latest":M}`, the ids still known.
const STALE: &str = "stale";

/// The id a client has seen last: the header, or `lastEventId` of the query for clients that cannot
/// set headers. HTML, 9.2.2: empty means none.
pub(super) fn last_event_id<'a>(request: &Request<'a>) -> Option<&'a str> {
    let query = || {
        let pairs = request.query()?.split('&');
        pairs
            .filter_map(|pair| pair.strip_prefix("lastEventId="))
            .next_back()
    };
    request
        .headers
        .get("Last-Event-ID")
        .or_else(query)
        .filter(|id| !id.is_empty())
}

/// Writes the beginning of a stream into `Shared::scratch`.
pub(super) fn begin(
    last_event_id: Option<&str>,
    origin: Option<u16>,
    shared: &mut Shared,
    now: Instant,
) {
    let Some(missed) = last_event_id.map(|id| shared.push.missed(id)) else {
        return head(origin, shared, now);
    };
    match missed {
        Missed::Kept { after, count } if fits(count, shared.config.chunk_bytes) => {
            head(origin, shared, now);
            let Shared {
                push,
                scratch,
                number,
                ..
            } = shared;
            push.replay(after, |notice| encode_event(scratch, notice, number));
        }
        Missed::Kept { .. } | Missed::Lost { .. } => begin_stale(origin, shared, now),
    }
}

/// Writes the beginning of a stream whose client missed something that is lost.
pub(super) fn begin_stale(origin: Option<u16>, shared: &mut Shared, now: Instant) {
    head(origin, shared, now);
    let Shared { push, scratch, .. } = shared;
    let (id, data) = (
        push.last().to_string(),
        format!(
            "{{\"oldest\":{},\"latest\":{}}}",
            push.oldest(),
            push.last()
        ),
    );
    // The id moves the client on: what it missed is told once.
    let event = sse::Event {
        id: Some(&id),
        event: Some(STALE),
        retry_ms: None,
        data: &data,
    };
    let encoded = sse::encode(scratch, &event);
    debug_assert!(encoded.is_ok(), "digits have no line breaks");
}

fn head(origin: Option<u16>, shared: &mut Shared, now: Instant) {
    let Shared {
        scratch,
        config,
        clock,
        ..
    } = shared;
    let mut fields = Fields::default();
    fields.extend(&HEADERS);
    fields.date(clock.date(now, config.started, config.epoch, &config.board));
    fields.readers(&config.origins, origin);
    fields.push("Connection", "close");
    scratch.clear();
    Response::encode(scratch, 200, fields.as_slice(), None);
    // No empty line: it belongs to the first event. Writing to a Vec does not fail.
    let _ = writeln!(scratch, "retry: {}", config.retry_ms);
}

/// Whether so many events may be queued at once.
fn fits(count: u64, bytes: usize) -> bool {
    const AROUND: u64 = 128;
    let each = u64::try_from(bytes)
        .unwrap_or(u64::MAX)
        .saturating_add(AROUND);
    count.saturating_mul(each) <= limits::BACKLOG_BYTES as u64
}
