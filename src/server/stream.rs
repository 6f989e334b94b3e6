//! How an event stream begins: its head, and what a client that comes back has missed.

use super::Config;
use super::apps::{AppIndex, Apps};
use super::event::{self, EventId};
use super::responses::Responses;
use crate::app::{Missed, Notice};
use crate::limits;
use crate::protocol::http::Request;
use crate::protocol::sse;
use crate::time::Instant;

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

/// Writes the beginning of a stream of that application, for a page of that listed origin.
pub(super) fn begin(
    (app, origin): (AppIndex, Option<u16>),
    last_event_id: Option<&str>,
    (apps, responses): (&mut impl Apps, &mut Responses),
    config: &Config,
    now: Instant,
) -> Resumed {
    let resumed = |from| Resumed { app, origin, from };
    let Some(missed) = last_event_id.and_then(|id| apps.missed(app, id)) else {
        responses.stream(origin, config, now);
        return resumed(None);
    };
    let resumed = match missed {
        Missed::Kept { after, bytes } if bytes <= limits::BACKLOG_BYTES as u64 => {
            let into = responses.stream(origin, config, now);
            let mut each = |notice: Notice<'_>| event::encode(into, notice);
            apps.replay(app, after, &mut each);
            return resumed(Some(after + 1));
        }
        Missed::Kept { after, .. } => resumed(Some(after + 1)),
        Missed::Lost { from } => resumed(Some(from)),
        Missed::Foreign => resumed(None),
    };
    begin_stale(resumed, apps, responses, config, now);
    resumed
}

/// Writes the beginning of a stream whose client missed something that is lost.
pub(super) fn begin_stale(
    resumed: Resumed,
    apps: &impl Apps,
    responses: &mut Responses,
    config: &Config,
    now: Instant,
) {
    let Resumed { app, origin, from } = resumed;
    let into = responses.stream(origin, config, now);
    let (run, last) = apps.newest(app);
    let id = EventId::new(Some(run), last);
    let (other, from) = (from.is_none(), from.unwrap_or(1));
    let data = format!(
        "{{\"run\":\"{run:08x}\",\"other_run\":{other},\"missed_from\":{from},\"latest\":{last}}}"
    );
    // The id moves the client on: what it missed is told once.
    let event = sse::Event {
        id: Some(id.as_str()),
        event: Some(STALE),
        retry_ms: None,
        data: &data,
    };
    let encoded = sse::encode(into, &event);
    debug_assert!(encoded.is_ok(), "digits have no line breaks");
}
