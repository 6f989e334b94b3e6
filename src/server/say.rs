//! What is posted to an application: by users who have no WebSocket, or prefer not to use it.

use super::answer::{Answer, Content, Reply};
use super::apps::{AppIndex, Apps};
use super::shared::Shared;
use super::stats::Message;
use super::tally::CloseReason;
use crate::app::{self, Unsaid};
use crate::limits;
use crate::protocol::Fault;
use crate::protocol::http::{BodyLength, BodyReader, Request};
use crate::shard::{ConnectionId, Wire};

/// A text whose bytes are still coming.
pub(super) struct Saying {
    reader: BodyReader,
    text: Vec<u8>,
    app: AppIndex,
    /// To whom: what the application told as an address.
    query: Box<str>,
    /// Which of the listed origins the page is of that says it, if any.
    pub(super) origin: Option<u16>,
    /// CloseReason the connection ends with the answer; `None` if it goes on.
    end: Option<CloseReason>,
}

/// Reads the head of a post.
pub(super) fn begin(
    app: AppIndex,
    request: &Request<'_>,
    apps: &impl Apps,
) -> Result<Box<Saying>, Reply> {
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
    if matches!(request.body, BodyLength::Known(bytes) if bytes > limits::SAID_BYTES as u64) {
        return refuse(413, TOO_LONG);
    }
    let is_address = |query: &&str| apps.is_address(app, query);
    let Some(query) = request.query().filter(is_address) else {
        return refuse(404, "not an address that a member was told");
    };
    Ok(Box::new(Saying {
        reader: BodyReader::new(request.body),
        text: Vec::new(),
        app,
        query: query.into(),
        origin: None,
        end: (!request.keep_alive).then_some(CloseReason::Done),
    }))
}

const TOO_LONG: &str = "a text is at most 65536 bytes";

impl Saying {
    /// Bytes of the text that have come.
    pub(super) fn held(&self) -> usize {
        self.text.len()
    }

    /// Takes what `bytes` has of the text. True if it is whole.
    pub(super) fn take(&mut self, bytes: &[u8], at: &mut usize) -> Result<bool, Fault> {
        while let Some(piece) = self.reader.next(bytes, at)? {
            if self.text.len() + piece.len() > limits::SAID_BYTES {
                return Err(refused(Unsaid::TooLong));
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
        shared.tally.messages_in += 1;
        let (apps, mut outgoing) = shared.apps_and_outgoing(wire);
        let posted = apps.posted(self.app, id, (&self.query, text), &mut outgoing);
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
