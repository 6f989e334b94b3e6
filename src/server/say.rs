//! What is posted to an application: by users who have no WebSocket, or prefer not to use it.

use super::answer::{Answer, Content, Methods, Reply, TEXT_TOO_LONG, why_unsaid};
use super::apps::{AppIndex, Apps};
use super::outgoing::Outgoing;
use crate::app::{ApiCall, CallMethod, Unsaid};
use crate::limits;
use crate::protocol::Fault;
use crate::protocol::http::{BodyLength, BodyReader, Request};
use crate::shard::{ConnectionId, Wire};

/// A text whose bytes are still coming.
pub(super) struct Saying {
    reader: BodyReader,
    text: Vec<u8>,
    app: AppIndex,
    to: To,
    /// Bytes that it may have.
    most: usize,
    /// The answer, before it is known what it says.
    reply: Reply,
}

/// Where a text goes.
enum To {
    /// To the user with that address: what the application told as one.
    Address(Box<str>),
    /// To the application itself: at that path and query, with its permit.
    Call {
        method: CallMethod,
        path: Box<str>,
        query: Box<str>,
        permit: u32,
    },
}

/// Reads the head of a call; the application permits it, or not.
pub(super) fn begin_call(
    app: AppIndex,
    request: &Request<'_>,
    permit: impl FnOnce() -> Result<u32, Fault>,
) -> Result<Box<Saying>, Reply> {
    let most = limits::CALL_BYTES;
    check(request, most, CALL_TOO_LONG)?;
    let to = call(CallMethod::Post, request, permit)?;
    Ok(Saying::new((app, Answer::SaidLater), to, most, request))
}

/// Reads the head of a request of an exchange; the application permits it, or not.
pub(super) fn begin_exchange(
    app: AppIndex,
    request: &Request<'_>,
    permit: impl FnOnce() -> Result<u32, Fault>,
) -> Result<Box<Saying>, Reply> {
    let most = limits::EXCHANGED_BYTES;
    let has_body = !matches!(request.body, BodyLength::None | BodyLength::Known(0));
    let method = match request.method {
        "GET" if has_body => {
            return Err(Reply::refuse(Fault::Http {
                status: 400,
                reason: "no body is allowed here",
            }));
        }
        "GET" => CallMethod::Get,
        "POST" => {
            check(request, most, EXCHANGED_TOO_LONG)?;
            CallMethod::Post
        }
        _ => {
            let reply = Reply::refuse(Fault::Http {
                status: 405,
                reason: "only GET and POST here",
            });
            let reply = reply.with(Answer::Only(Methods::Exchange));
            return Err(reply.for_method(request.method));
        }
    };
    let to = call(method, request, permit)?;
    Ok(Saying::new(
        (app, Answer::Exchanged(app)),
        to,
        most,
        request,
    ))
}

fn call(
    method: CallMethod,
    request: &Request<'_>,
    permit: impl FnOnce() -> Result<u32, Fault>,
) -> Result<To, Reply> {
    Ok(To::Call {
        method,
        permit: permit().map_err(Reply::refuse)?,
        path: request.path().into(),
        query: request.query().unwrap_or_default().into(),
    })
}

/// Reads the head of a post.
pub(super) fn begin(
    app: AppIndex,
    request: &Request<'_>,
    is_address: impl FnOnce(&&str) -> bool,
) -> Result<Box<Saying>, Reply> {
    let most = limits::SAID_BYTES;
    check(request, most, TEXT_TOO_LONG)?;
    let Some(query) = request.query().filter(is_address) else {
        return Err(Reply::refuse(Fault::Http {
            status: 404,
            reason: "not an address that a member was told",
        }));
    };
    let to = To::Address(query.into());
    Ok(Saying::new((app, Answer::SaidLater), to, most, request))
}

/// Whether a request is a post of a text that short.
fn check(request: &Request<'_>, most: usize, too_long: &'static str) -> Result<(), Reply> {
    let refuse = |status, reason| Reply::refuse(Fault::Http { status, reason });
    if request.method != "POST" {
        let reply = refuse(405, "POST what you say").with(Answer::Only(Methods::Post));
        return Err(reply.for_method(request.method));
    }
    if request.headers.has_token("Expect", "100-continue") {
        return Err(refuse(417, "send the text at once"));
    }
    if matches!(request.body, BodyLength::Known(bytes) if bytes > most as u64) {
        return Err(refuse(413, too_long));
    }
    Ok(())
}

const CALL_TOO_LONG: &str = "a call is at most 1048576 bytes";
const EXCHANGED_TOO_LONG: &str = "a payload is at most 1000000 bytes";

impl Saying {
    fn new(
        (app, later): (AppIndex, Answer),
        to: To,
        most: usize,
        request: &Request<'_>,
    ) -> Box<Self> {
        Box::new(Self {
            reader: BodyReader::new(request.body),
            text: Vec::new(),
            app,
            to,
            most,
            reply: Reply::new(later, Content::Full, request),
        })
    }

    /// A page of that listed origin says it, if any does.
    pub(super) const fn set_page(&mut self, origin: Option<u16>) {
        self.reply = self.reply.for_page(origin);
    }

    /// Takes what `bytes` has of the text. True if it is whole.
    pub(super) fn take(&mut self, bytes: &[u8], at: &mut usize) -> Result<bool, Fault> {
        while let Some(piece) = self.reader.next(bytes, at)? {
            if self.text.len() + piece.len() > self.most {
                return Err(match self.to {
                    To::Address(_) => why_unsaid(Unsaid::TooLong),
                    To::Call { .. } => Fault::Http {
                        status: 413,
                        reason: match self.reply.exchange() {
                            Some(_) => EXCHANGED_TOO_LONG,
                            None => CALL_TOO_LONG,
                        },
                    },
                });
            }
            self.text.extend_from_slice(piece);
        }
        Ok(self.reader.is_done())
    }

    /// Says the whole text to its application.
    ///
    /// # Errors
    /// The answer, if that is known at once.
    pub(super) fn say<M, W: Wire<M>>(
        &self,
        id: ConnectionId,
        apps: &mut impl Apps,
        out: &mut Outgoing<'_, M, W>,
    ) -> Result<(), Reply> {
        let Ok(text) = str::from_utf8(&self.text) else {
            return Err(self.reply.refused(Fault::Http {
                status: 400,
                reason: "a text is UTF-8",
            }));
        };
        if out.mail_is_full() {
            return Err(self.reply.said(Err(Unsaid::Busy)));
        }
        for _ in 0..self.messages() {
            out.received();
        }
        match &self.to {
            To::Address(query) => {
                let posted = apps.posted(self.app, id, (query, text), out);
                posted.map_err(|unsaid| self.reply.said(Err(unsaid)))
            }
            To::Call {
                method,
                path,
                query,
                permit,
            } => {
                let call = ApiCall {
                    method: *method,
                    path,
                    query,
                    permit: *permit,
                    text,
                };
                apps.called(self.app, id, call, out);
                Ok(())
            }
        }
    }

    /// As how many messages it counts, for those who bound how many there are: what asks for
    /// something as none, what is posted to an exchange as one for each of its records (ASCII, RS).
    fn messages(&self) -> usize {
        match (&self.to, self.reply.exchange()) {
            (
                To::Call {
                    method: CallMethod::Get,
                    ..
                },
                _,
            ) => 0,
            (_, None) => 1,
            (_, Some(_)) => records(&self.text),
        }
    }

    /// The answer, before it is known what it says.
    pub(super) const fn reply(&self) -> Reply {
        self.reply
    }

    /// Bytes of memory of the text that has come.
    pub(super) const fn held(&self) -> usize {
        self.text.capacity()
    }
}

/// How many records a payload has; an empty one has one.
fn records(payload: &[u8]) -> usize {
    const SEPARATOR: u8 = 0x1e;
    1 + payload.iter().filter(|byte| **byte == SEPARATOR).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_record_of_a_payload_counts_as_a_message() {
        assert_eq!(records(b"3"), 1);
        assert_eq!(records(b""), 1);
        assert_eq!(records(b"42[\"a\"]\x1e3\x1e3"), 3);
    }
}
