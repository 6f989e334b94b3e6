//! Header fields of a response, on the stack: what all have, and what web pages may read.

use super::Config;
use crate::protocol::http::{Headers, date};
use crate::protocol::websocket::OriginPolicy;
use crate::time::Instant;

/// Fields of one response at most.
const MOST: usize = 20;

/// What an event stream's head says beside its status.
///
/// `no-store` and `X-Accel-Buffering` keep caches and gateways from holding events back, and
/// `no-transform` (RFC 9111, 5.2.2.6) from deflating them, which holds them back too. Neither
/// length nor chunks: the stream ends with the connection.
pub(super) const EVENT_STREAM: [(&str, &str); 3] = [
    ("Content-Type", EVENT_STREAM_TYPE),
    ("Cache-Control", "no-store, no-transform"),
    ("X-Accel-Buffering", "no"),
];

/// HTML, 9.2.5.
pub(super) const EVENT_STREAM_TYPE: &str = "text/event-stream";

/// Header fields, in order.
#[derive(Default)]
pub(super) struct Fields<'a> {
    all: [(&'a str, &'a str); MOST],
    count: usize,
}

impl<'a> Fields<'a> {
    pub(super) fn push(&mut self, name: &'a str, value: &'a str) {
        debug_assert!(self.count < MOST, "no room for {name}");
        if let Some(place) = self.all.get_mut(self.count) {
            *place = (name, value);
            self.count += 1;
        }
    }

    pub(super) fn extend(&mut self, fields: &[(&'a str, &'a str)]) {
        for (name, value) in fields {
            self.push(name, value);
        }
    }

    /// RFC 9110, 6.6.1: a server with a clock says the time, one without says nothing.
    pub(super) fn date(&mut self, date: Option<&'a str>) {
        if let Some(date) = date {
            self.push("Date", date);
        }
    }

    /// Which pages may read the response (Fetch, 3.2): all of them, but then without credentials;
    /// or those of listed origins, which are named one by one and may bring credentials.
    pub(super) fn readers(&mut self, policy: &'a OriginPolicy, origin: Option<u16>) {
        let OriginPolicy::Only(listed) = policy else {
            return self.push("Access-Control-Allow-Origin", "*");
        };
        // RFC 9110, 12.5.5: the response is another one for another origin.
        self.push("Vary", "Origin");
        if let Some(origin) = origin.and_then(|at| listed.get(usize::from(at))) {
            self.push("Access-Control-Allow-Origin", origin);
            self.push("Access-Control-Allow-Credentials", "true");
        }
    }

    /// What a page may ask for (Fetch, 3.2.3), for the answer to its preflight.
    pub(super) fn preflight(&mut self, methods: &'a str) {
        self.extend(&[
            ("Access-Control-Allow-Methods", methods),
            (
                "Access-Control-Allow-Headers",
                "Accept, Authorization, Cache-Control, Content-Type, Last-Event-ID",
            ),
            // Seconds; browsers cap it at two hours or less.
            ("Access-Control-Max-Age", "7200"),
        ]);
    }

    pub(super) fn as_slice(&self) -> &[(&'a str, &'a str)] {
        self.all.get(..self.count).unwrap_or_default()
    }
}

/// The index of the page's origin among those that are listed.
pub(super) fn listed(headers: &Headers<'_>, policy: &OriginPolicy) -> Option<u16> {
    let OriginPolicy::Only(listed) = policy else {
        return None;
    };
    let origin = headers.get("Origin")?;
    let at = listed.iter().position(|it| it.eq_ignore_ascii_case(origin));
    u16::try_from(at?).ok()
}

/// The time of day, written once a second. What is known is its distance from the monotonic clock.
#[derive(Debug, Default)]
pub(super) struct Clock {
    written: Option<(u64, [u8; date::DATE_BYTES])>,
}

impl Clock {
    /// The date, if the time of day is known.
    pub(super) fn date(&mut self, now: Instant, config: &Config) -> Option<&str> {
        const SECOND: u64 = 1_000_000_000;
        let tick = now.as_nanos() / SECOND;
        if self.written.is_none_or(|(written, _)| written != tick) {
            let unix = config.unix_time(now)?;
            self.written = Some((tick, date::imf_fixdate(unix.as_secs())));
        }
        let (_, text) = self.written.as_ref()?;
        std::str::from_utf8(text).ok()
    }
}
