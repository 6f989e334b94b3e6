//! What is posted to an application: by users who have no WebSocket, or prefer not to use it.

use super::answer::{Answer, Content, Reply};
use super::apps::{AppIndex, Apps};
use super::shared::Shared;
use super::stats::Message;
use super::tally::CloseReason;
use crate::app::{self, ApiCall, ApiResponse, Arrival, Refusal, Unsaid};
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
    /// Which of the listed origins the page is of that says it, if any.
    pub(super) origin: Option<u16>,
    /// Why the connection ends with the answer; `None` if it goes on.
    end: Option<CloseReason>,
}

/// Where a text goes.
enum To {
    /// To the user with that address: what the application told as one.
    Address(Box<str>),
    /// To the application itself: at that path, with its permit.
    Call(Box<str>, u32),
}

/// Reads the head of a call.
pub(super) fn begin_call(
    app: AppIndex,
    request: &Request<'_>,
    apps: &mut impl Apps,
) -> Result<Box<Saying>, Reply> {
    let most = limits::CALL_BYTES;
    check(request, most, CALL_TOO_LONG)?;
    let arrival = Arrival {
        path: request.path(),
        query: request.query().unwrap_or(""),
        header: &|name| request.headers.get(name),
    };
    let permit = apps.arriving(app, &arrival);
    let permit = permit
        .map_err(|Refusal { status, reason }| Reply::refuse(Fault::Http { status, reason }))?;
    let to = To::Call(request.path().into(), permit);
    Ok(Saying::new(app, to, most, request))
}

/// Reads the head of a post.
pub(super) fn begin(
    app: AppIndex,
    request: &Request<'_>,
    apps: &impl Apps,
) -> Result<Box<Saying>, Reply> {
    let most = limits::SAID_BYTES;
    check(request, most, TOO_LONG)?;
    let is_address = |query: &&str| apps.is_address(app, query);
    let Some(query) = request.query().filter(is_address) else {
        return Err(Reply::refuse(Fault::Http {
            status: 404,
            reason: "not an address that a member was told",
        }));
    };
    Ok(Saying::new(app, To::Address(query.into()), most, request))
}

/// Whether a request is a post of a text that short.
fn check(request: &Request<'_>, most: usize, too_long: &'static str) -> Result<(), Reply> {
    let refuse = |status, reason| Err(Reply::refuse(Fault::Http { status, reason }));
    if request.method != "POST" {
        let reply = Reply::refuse(Fault::Http {
            status: 405,
            reason: "POST what you say",
        });
        let answer = Answer::OnlyPost;
        let content = match request.method {
            "HEAD" => Content::HeadOnly,
            _ => Content::Full,
        };
        return Err(Reply {
            answer,
            content,
            ..reply
        });
    }
    if request.headers.has_token("Expect", "100-continue") {
        return refuse(417, "send the text at once");
    }
    if matches!(request.body, BodyLength::Known(bytes) if bytes > most as u64) {
        return refuse(413, too_long);
    }
    Ok(())
}

const TOO_LONG: &str = "a text is at most 65536 bytes";
const CALL_TOO_LONG: &str = "a call is at most 1048576 bytes";

impl Saying {
    fn new(app: AppIndex, to: To, most: usize, request: &Request<'_>) -> Box<Self> {
        Box::new(Self {
            reader: BodyReader::new(request.body),
            text: Vec::new(),
            app,
            to,
            most,
            origin: None,
            end: (!request.keep_alive).then_some(CloseReason::Done),
        })
    }

    /// Bytes of memory of the text that has come.
    pub(super) const fn held(&self) -> usize {
        self.text.capacity()
    }

    /// Takes what `bytes` has of the text. True if it is whole.
    pub(super) fn take(&mut self, bytes: &[u8], at: &mut usize) -> Result<bool, Fault> {
        while let Some(piece) = self.reader.next(bytes, at)? {
            if self.text.len() + piece.len() > self.most {
                return Err(match self.to {
                    To::Address(_) => refused(Unsaid::TooLong),
                    To::Call(..) => Fault::Http {
                        status: 413,
                        reason: CALL_TOO_LONG,
                    },
                });
            }
            self.text.extend_from_slice(piece);
        }
        Ok(self.reader.is_done())
    }

    /// The answer, before it is known what it says.
    pub(super) fn reply(&self) -> Reply {
        Reply {
            answer: Answer::SaidLater,
            content: Content::Full,
            origin: self.origin,
            end: self.end,
        }
    }

    /// Says it. The answer, which waits for the room's home if that is another core.
    pub(super) fn say<A: Apps>(
        &self,
        id: ConnectionId,
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) -> Reply {
        let reply = self.reply();
        let Ok(text) = std::str::from_utf8(&self.text) else {
            return reply.refused(Fault::Http {
                status: 400,
                reason: "a text is UTF-8",
            });
        };
        if wire.mail_is_full() {
            return answered(reply, Err(Unsaid::Busy));
        }
        shared.tally.received();
        let (apps, mut outgoing) = shared.apps_and_outgoing(wire);
        let query = match &self.to {
            To::Address(query) => query,
            To::Call(path, permit) => {
                let (path, permit) = (&**path, *permit);
                let call = ApiCall { path, permit, text };
                apps.called(self.app, id, call, &mut outgoing);
                let responses = &mut shared.outbox.responses;
                return match responses.pop_if(|(asker, _)| *asker == id) {
                    Some((_, ApiResponse { status, json })) => {
                        shared.response = json;
                        let answer = Answer::Called { status };
                        Reply { answer, ..reply }
                    }
                    None => reply,
                };
            }
        };
        let posted = apps.posted(self.app, id, (query, text), &mut outgoing);
        let answers = &mut shared.outbox.answers;
        match posted {
            Err(unsaid) => answered(reply, Err(unsaid)),
            Ok(()) => match answers.pop_if(|(asker, _)| *asker == id) {
                Some((_, answer)) => answered(reply, answer),
                None => reply,
            },
        }
    }
}

/// The answer to who posted, with what has become of the text.
pub(super) fn answered(reply: Reply, answer: app::Answer) -> Reply {
    let answer = match answer {
        Ok(seq) => Answer::Said { seq },
        Err(unsaid) => Reply::refuse(refused(unsaid)).answer,
    };
    Reply { answer, ..reply }
}

fn refused(unsaid: Unsaid) -> Fault {
    let (status, reason) = match unsaid {
        Unsaid::TooLong => (413, TOO_LONG),
        Unsaid::Early | Unsaid::Gone => (404, "no such member, or it has left"),
        // RFC 6585, 4.
        Unsaid::Busy => (429, "its members cannot keep up: say it again later"),
    };
    Fault::Http { status, reason }
}
