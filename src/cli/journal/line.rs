//! The lines of the logs of chats, as JSON.

use super::second::ServerSecond;
use crate::app::chat::{ChatDeed, ChatFigures, ChatRecord};
use crate::engine;
use crate::shard::Counters;
use crate::stats::Process;
use crate::time::Instant;
use serde::Serialize;
use serde_json::value::RawValue;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The version of the lines: another one where a key means something else.
const VERSION: u8 = 1;

/// Writes lines, and knows the time of day.
pub(super) struct LineWriter {
    /// A time of the host's monotonic clock, and the time of day then.
    at: (Instant, Duration),
}

/// A line of `chat-logs.jsonl`.
#[derive(Serialize)]
struct EventLine<'a> {
    v: u8,
    at: String,
    event: &'static str,
    core: u16,
    user: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    chat: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a RawValue>,
}

/// Which line of figures it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FiguresMoment {
    /// The first of a server.
    Start,
    Second,
    /// The last, of one that ends as it should.
    End,
}

/// A line of `bandwidth.jsonl`.
#[derive(Serialize)]
struct FiguresLine {
    v: u8,
    at: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    starts: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    ends: bool,
    users: u64,
    chatting: u64,
    messages: u64,
    bytes: u64,
    lost: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    rss_bytes: Option<u64>,
    cpu_s: f64,
    #[serde(flatten)]
    server: Option<ServerSecond>,
}

/// What a line of figures tells of.
pub(super) struct FiguresNow {
    pub(super) moment: FiguresMoment,
    pub(super) now: Instant,
    /// What chats are now, and what they were at the line before.
    pub(super) chats: (ChatFigures, ChatFigures),
    /// Events that are lost because they could not be written.
    pub(super) lost: u64,
    /// What the server did, if that is known.
    pub(super) server: Option<ServerSecond>,
}

impl LineWriter {
    /// The host's clock says the time of day now.
    pub(super) fn now() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            at: (engine::now(), unix.unwrap_or_default()),
        }
    }

    /// Appends the line of an event.
    pub(super) fn event(&self, into: &mut Vec<u8>, record: &ChatRecord) {
        let mut line = EventLine {
            v: VERSION,
            at: self.time(record.at),
            event: "",
            core: record.core.0,
            user: record.user,
            chat: record.chat.map(|it| it.to_string()),
            name: None,
            reason: None,
            number: None,
            bytes: None,
            text: None,
        };
        match &record.what {
            ChatDeed::Connected => line.event = "connected",
            ChatDeed::Entered(name) => (line.event, line.name) = ("entered", Some(&**name)),
            ChatDeed::Matched(name) => (line.event, line.name) = ("matched", Some(&**name)),
            ChatDeed::Said {
                number,
                bytes,
                text,
            } => {
                line.event = "said";
                (line.number, line.bytes) = (Some(*number), Some(*bytes));
                // It was a string of JSON when it came.
                let raw = text.as_deref().map(serde_json::from_str);
                line.text = raw.and_then(Result::ok);
            }
            ChatDeed::Ended(reason) => (line.event, line.reason) = ("ended", Some(*reason)),
            ChatDeed::Disconnected => line.event = "disconnected",
        }
        put(into, &line);
    }

    /// Appends the line of a second: what the figures are now, and what was said since they were as
    /// before.
    pub(super) fn figures(&self, into: &mut Vec<u8>, told: FiguresNow, process: Option<&Process>) {
        let (figures, before) = told.chats;
        let vitals = engine::vitals::read(Counters::default(), Vec::new());
        let line = FiguresLine {
            v: VERSION,
            at: self.time(told.now),
            starts: told.moment == FiguresMoment::Start,
            ends: told.moment == FiguresMoment::End,
            users: figures.users,
            chatting: figures.chatting,
            messages: figures.messages - before.messages,
            bytes: figures.bytes - before.bytes,
            lost: figures.lost + told.lost,
            rss_bytes: process.and_then(|it| it.rss_bytes),
            cpu_s: (vitals.process_cpu.as_secs_f64() * 1e6).round() / 1e6,
            server: told.server,
        };
        put(into, &line);
    }

    /// As RFC 3339 writes it, to the microsecond.
    fn time(&self, at: Instant) -> String {
        let (then, unix) = self.at;
        let unix = match at >= then {
            true => unix + at.since(then),
            false => unix.saturating_sub(then.since(at)),
        };
        let micros = i128::try_from(unix.as_micros()).unwrap_or(i128::MAX);
        let time = OffsetDateTime::from_unix_timestamp_nanos(micros.saturating_mul(1000));
        let text = time.ok().and_then(|it| it.format(&Rfc3339).ok());
        text.unwrap_or_default()
    }
}

fn put(into: &mut Vec<u8>, line: &impl Serialize) {
    // Neither a vector nor these lines can refuse.
    if serde_json::to_writer(&mut *into, line).is_ok() {
        into.push(b'\n');
    }
}
