//! How an event stream begins: its head, and what a client that comes back has missed.

use super::apps::{AppIndex, Apps};
use super::fields::Fields;
use super::outbox::encode_event;
use super::shared::Shared;
use crate::app::{Missed, Notice};
use crate::limits;
use crate::protocol::http::{Request, Response};
use crate::protocol::sse;
use crate::time::Instant;
use std::io::Write as _;

/// What an event stream's head says beside its status.
///
/// `no-store` and `X-Accel-Buffering` keep caches and gateways from holding events back, and
/// `no-transform` (RFC 9111, 5.2.2.6) from deflating them, which holds them back too. Neither
/// length nor chunks: the stream ends with the connection.
pub(super) const HEADERS: [(&str, &str); 3] = [
    ("Content-Type", MEDIA_TYPE),
    ("Cache-Control", "no-store, no-transform"),
    ("X-Accel-Buffering", "no"),
];

/// HTML, 9.2.5.
pub(super) const MEDIA_TYPE: &str = "text/event-stream";

/// The name of the event that tells a client that it missed something for good, because HTML gives
/// it no other sign (whatwg/html#8297). Its data, `{"run":"R","missed_from":N,"latest":M}`, says
/// that of run R it missed the messages N to M, and `"other_run":true` if it came with an id of
/// another run, of which nothing is known here.
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

/// Whose a stream is, and where it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resumed {
    app: AppIndex,
    /// Which of the listed origins the page is of, if any.
    origin: Option<u16>,
    /// The first message that the client has not; `None` if it has none of this run.
    from: Option<u64>,
}

/// Writes the beginning of a stream into `Shared::scratch`.
pub(super) fn begin<A: Apps>(
    app: AppIndex,
    last_event_id: Option<&str>,
    origin: Option<u16>,
    shared: &mut Shared<A>,
    now: Instant,
) -> Resumed {
    let resumed = |from| Resumed { app, origin, from };
    let Some(missed) = last_event_id.and_then(|id| shared.apps.missed(app, id)) else {
        head(origin, shared, now);
        return resumed(None);
    };
    let resumed = match missed {
        Missed::Kept { after, bytes } => {
            if bytes <= limits::BACKLOG_BYTES as u64 {
                head(origin, shared, now);
                let Shared {
                    apps,
                    scratch,
                    outbox,
                    ..
                } = shared;
                let number = &mut outbox.number;
                let mut each = |notice: Notice<'_>| encode_event(scratch, notice, number);
                apps.replay(app, after, &mut each);
                return resumed(Some(after + 1));
            }
            resumed(Some(after + 1))
        }
        Missed::Lost { from } => resumed(Some(from)),
        Missed::Foreign => resumed(None),
    };
    begin_stale(resumed, shared, now);
    resumed
}

/// Writes the beginning of a stream whose client missed something that is lost.
pub(super) fn begin_stale<A: Apps>(resumed: Resumed, shared: &mut Shared<A>, now: Instant) {
    let Resumed { app, origin, from } = resumed;
    head(origin, shared, now);
    let Shared {
        apps,
        scratch,
        outbox,
        ..
    } = shared;
    let (run, last) = apps.newest(app);
    let number = &mut outbox.number;
    number.clear();
    Notice::write_id(run, last, number);
    let (other, from) = (from.is_none(), from.unwrap_or(1));
    let data = format!(
        "{{\"run\":\"{run:08x}\",\"other_run\":{other},\"missed_from\":{from},\"latest\":{last}}}"
    );
    // The id moves the client on: what it missed is told once.
    let event = sse::Event {
        id: Some(number),
        event: Some(STALE),
        retry_ms: None,
        data: &data,
    };
    let encoded = sse::encode(scratch, &event);
    debug_assert!(encoded.is_ok(), "digits have no line breaks");
}

fn head<A: Apps>(origin: Option<u16>, shared: &mut Shared<A>, now: Instant) {
    let Shared {
        scratch,
        config,
        clock,
        ..
    } = shared;
    let mut fields = Fields::default();
    fields.extend(&HEADERS);
    fields.date(clock.date(now, config));
    fields.readers(config.origins(), origin);
    fields.push("Connection", "close");
    scratch.clear();
    Response::encode(scratch, 200, fields.as_slice(), None);
    // No empty line: it belongs to the first event. Writing to a Vec does not fail.
    let _ = writeln!(scratch, "retry: {}", config.retry_ms());
}
