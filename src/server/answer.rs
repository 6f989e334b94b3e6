//! Plain HTTP answers: what they say, in which fields, and what becomes of the connection.

use super::apps::{AppIndex, Apps};
use super::fields::{EVENT_STREAM, Fields};
use super::file_answer::FileAnswer;
use super::guard;
use super::route::{By, Route};
use super::stats::Form;
use super::step::Step;
use super::tally::CloseReason;
use crate::app::{self, Media, Unsaid};
use crate::protocol::Fault;
use crate::protocol::http::Request;
use crate::protocol::websocket::OriginPolicy;
use crate::shard::{Close, Unsent};
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
    /// That application answers in its own time.
    Exchanged(AppIndex),
    /// An application's answer to a call: the content is there already.
    Called {
        status: u16,
        media: Media,
    },
    /// Another method than those where there are no others.
    Only(Methods),
    /// What may be asked for.
    Options {
        methods: Methods,
    },
    /// A file, which follows its head, or what is to be said of it.
    File(FileAnswer),
    /// The same path with a slash is a folder with an index.
    Moved,
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
    Exchange,
    All,
}

impl Methods {
    /// The value of `Allow` (RFC 9110, 10.2.1).
    const fn allow(self) -> &'static str {
        match self {
            Self::Read => "GET, HEAD, OPTIONS",
            Self::Post => "POST, OPTIONS",
            Self::Exchange => "GET, POST, OPTIONS",
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
    answer: Answer,
    content: Content,
    /// Which of the listed origins the page is of that asks, if any.
    origin: Option<u16>,
    /// Why the connection ends with it; `None` if it goes on.
    end: Option<CloseReason>,
}

const INDEX: &str = "\
/healthz  200 while serving, 503 while draining
/stats    JSON: connections, messages, bytes, CPU, memory, host; per core and in all
/metrics  the same as OpenMetrics text, for Prometheus
";

impl Reply {
    /// The answer to a request.
    pub(super) fn new(answer: Answer, content: Content, request: &Request<'_>) -> Self {
        Self {
            answer,
            content,
            origin: None,
            end: (!request.keep_alive).then_some(CloseReason::Done),
        }
    }

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

    /// The same with that answer.
    pub(super) const fn with(self, answer: Answer) -> Self {
        Self { answer, ..self }
    }

    /// The same to a user that posted: what has become of the text.
    pub(super) fn said(self, answer: app::Answer) -> Self {
        self.with(match answer {
            Ok(seq) => Answer::Said { seq },
            Err(unsaid) => Self::refuse(why_unsaid(unsaid)).answer,
        })
    }

    /// The same without content, if HEAD asks for it.
    pub(super) fn for_method(self, method: &str) -> Self {
        match method {
            "HEAD" => Self {
                content: Content::HeadOnly,
                ..self
            },
            _ => self,
        }
    }

    /// The same for a page of that listed origin.
    pub(super) const fn for_page(self, origin: Option<u16>) -> Self {
        Self { origin, ..self }
    }

    /// The same, and the connection ends with it for that reason.
    pub(super) const fn ending(self, why: CloseReason) -> Self {
        let end = Some(why);
        Self { end, ..self }
    }

    /// The connection ends with it, if it did not anyhow.
    pub(super) fn end_with(&mut self, why: CloseReason) {
        self.end.get_or_insert(why);
    }

    /// Whether the connection ends with it.
    pub(super) const fn is_last(&self) -> bool {
        self.end.is_some()
    }

    /// What it says.
    pub(super) const fn answer(&self) -> Answer {
        self.answer
    }

    /// The application that answers in its own time, if one does.
    pub(super) const fn exchange(&self) -> Option<AppIndex> {
        match self.answer {
            Answer::Exchanged(app) => Some(app),
            _ => None,
        }
    }

    /// Whether it tells a peer its mistake.
    pub(super) const fn is_refusal(&self) -> bool {
        matches!(self.answer, Answer::Refused { .. })
    }

    /// Whether the content does not go with the head.
    pub(super) const fn is_head_only(&self) -> bool {
        matches!(self.content, Content::HeadOnly)
    }

    /// RFC 9110, 8.6: 204 has no length, and the length of an event stream is not known. A file
    /// says its own.
    pub(super) const fn has_length(&self) -> bool {
        !matches!(
            self.answer,
            Answer::Events | Answer::Options { .. } | Answer::File(_)
        )
    }

    /// What becomes of the connection once it was sent, or could not be; `None` if it goes on.
    pub(super) fn once_sent(&self, sent: Result<(), Unsent>) -> Option<Step> {
        let (how, why) = match (sent, self.end) {
            (Ok(()), None) => return None,
            (Ok(()) | Err(Unsent::Gone), Some(why)) => (Close::Flush, why),
            (Err(Unsent::Gone), None) => (Close::Flush, CloseReason::Done),
            (Err(Unsent::Full), _) => (Close::Abort, CloseReason::SlowConsumer),
        };
        Some(Step::End { how, why })
    }

    /// Puts its header fields.
    pub(super) fn put<'a>(
        &self,
        (status, media_type): (u16, &'a str),
        date: Option<&'a str>,
        origins: &'a OriginPolicy,
        fields: &mut Fields<'a>,
    ) {
        if status == 426 {
            // RFC 9110, 15.5.22 and RFC 6455, 4.4: what to upgrade to.
            fields.push("Upgrade", "websocket");
            fields.push("Sec-WebSocket-Version", "13");
        }
        match self.answer {
            Answer::Events => fields.extend(&EVENT_STREAM),
            Answer::Options { methods } => {
                fields.push("Allow", methods.allow());
                fields.preflight(methods.allow());
            }
            // It has put its own.
            Answer::File(_) => {}
            Answer::Index
            | Answer::Health
            | Answer::Stats(_)
            | Answer::Said { .. }
            | Answer::SaidLater
            | Answer::Exchanged(_)
            | Answer::Called { .. }
            | Answer::Only(_)
            | Answer::Moved
            | Answer::Refused { .. } => {
                fields.push("Content-Type", media_type);
                fields.push("Cache-Control", "no-store");
            }
        }
        fields.date(date);
        fields.readers(origins, self.origin);
        fields.push(
            "Connection",
            match (status, self.end) {
                // RFC 9110, 7.8: `Upgrade` is listed in `Connection`.
                (426, None) => "Upgrade",
                (426, Some(_)) => "Upgrade, close",
                (_, None) => "keep-alive",
                (_, Some(_)) => "close",
            },
        );
        match (status, self.answer) {
            // RFC 9110, 15.5.6.
            (405, Answer::Only(methods)) => fields.push("Allow", methods.allow()),
            (405, _) => fields.push("Allow", Methods::Read.allow()),
            // RFC 9110, 15.5.2: how a caller shows what it is.
            (401, Answer::Refused { reason, .. }) => {
                fields.push("WWW-Authenticate", guard::challenge(reason));
            }
            // RFC 9110, 10.2.3: seconds. Places come free all the time, and so does room in a
            // backlog.
            (429 | 503, _) => fields.push("Retry-After", "1"),
            _ => {}
        }
    }
}

/// What a user gets whose text was not said.
pub(super) fn why_unsaid(unsaid: Unsaid) -> Fault {
    let (status, reason) = match unsaid {
        Unsaid::TooLong => (413, TEXT_TOO_LONG),
        Unsaid::Early | Unsaid::Gone => (404, "no such member, or it has left"),
        // RFC 6585, 4.
        Unsaid::Busy => (429, "its members cannot keep up: say it again later"),
    };
    Fault::Http { status, reason }
}

/// What a user gets whose text is too long.
pub(super) const TEXT_TOO_LONG: &str = "a text is at most 65536 bytes";

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

impl Answer {
    /// Whether an application has written its content already.
    pub(super) const fn is_written(self) -> bool {
        matches!(self, Self::Called { .. })
    }

    /// Writes what is the same whatever the server knows behind `into`; gives status and type.
    pub(super) fn write(self, is_unready: bool, into: &mut Vec<u8>) -> (u16, &'static str) {
        let (status, text) = match self {
            Self::Index => (200, INDEX),
            Self::Health if is_unready => (503, "draining\n"),
            Self::Health => (200, "ok\n"),
            Self::Stats(form) => return (200, form.media_type()),
            Self::Said { seq } => {
                // Writing to a Vec does not fail.
                let _ = write!(into, "{{\"seq\":{seq}}}");
                return (200, JSON);
            }
            Self::Called { status, media } => {
                let media_type = match media {
                    Media::Json => JSON,
                    Media::Text => TEXT,
                    Media::Html => "text/html",
                    Media::Csv => "text/csv; charset=utf-8",
                    Media::Lines => "application/jsonl",
                };
                return (status, media_type);
            }
            Self::Only(Methods::Post) => (405, "only POST here\n"),
            Self::Only(_) => (405, "no such method here\n"),
            // The one is never sent so, the others have no content.
            Self::SaidLater | Self::Exchanged(_) | Self::Events => (200, ""),
            Self::Options { .. } => (204, ""),
            Self::File(file) => (file.status(), ""),
            Self::Moved => (301, "a folder: its path ends with a slash\n"),
            Self::Refused { status, reason } => {
                into.extend_from_slice(reason.as_bytes());
                (status, "\n")
            }
        };
        into.extend_from_slice(text.as_bytes());
        (status, TEXT)
    }
}

/// Writes where each application is reached.
pub(super) fn list(apps: &impl Apps, into: &mut Vec<u8>) {
    apps.routes(0, &mut |_, Route { path, by, about }| {
        let by = match by {
            By::WebSocket => "WebSocket",
            By::EventStream => "Server-Sent Events",
            By::Either => "WebSocket or Server-Sent Events",
            By::Call => "POST",
            By::Exchange => "WebSocket or long polling",
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
