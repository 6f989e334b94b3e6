//! Where responses are written before they are queued.

use super::Config;
use super::answer::Reply;
use super::fields::{Clock, EVENT_STREAM, Fields};
use super::file_answer::FileAnswer;
use crate::limits;
use crate::protocol::http::Response;
use crate::protocol::sse;
use crate::protocol::websocket::handshake::Accepted;
use crate::shard::{ConnectionId, Payload, Unsent, Wire};
use crate::time::Instant;
use std::io::Write as _;

/// Buffers of one core, and the time of day for `Date`.
#[derive(Default)]
pub(super) struct Responses {
    /// The response.
    whole: Vec<u8>,
    /// The content of an answer, before its head.
    content: Vec<u8>,
    clock: Clock,
    cookie: Option<Box<str>>,
    /// Where the client of the next answer is sent.
    location: Option<String>,
}

impl Responses {
    /// Begins the content of the next answer.
    pub(super) fn begin_content(&mut self) {
        self.content.clear();
        self.content.shrink_to(limits::SPARE_BYTES);
    }

    /// Where the content of the next answer is written.
    pub(super) const fn content(&mut self) -> &mut Vec<u8> {
        &mut self.content
    }

    /// The content of the next answer, whole.
    pub(super) fn take_content(&mut self, text: String) {
        self.content = text.into_bytes();
    }

    /// Writes an answer: its head, and the content that was written before.
    pub(super) fn answer(
        &mut self,
        reply: &Reply,
        (status, media_type): (u16, &str),
        config: &Config,
        now: Instant,
    ) {
        let Self {
            whole,
            content,
            clock,
            location,
            cookie,
        } = self;
        whole.clear();
        let location = location.take();
        // Of other answers it is none.
        let cookie = cookie.take().filter(|_| reply.answer().is_written());
        let mut fields = Fields::default();
        let date = clock.date(now, config);
        reply.put((status, media_type), date, config.origins(), &mut fields);
        if let Some(location) = &location {
            fields.push("Location", location);
        }
        if let Some(cookie) = &cookie {
            fields.push("Set-Cookie", cookie);
        }
        let counted = reply.has_length().then_some(&**content);
        Response::encode(whole, status, fields.as_slice(), counted);
        if reply.is_head_only() {
            whole.truncate(whole.len() - content.len());
        }
    }

    /// Writes the head of an answer about a file, which follows it.
    pub(super) fn file(&mut self, reply: &Reply, file: FileAnswer, config: &Config, now: Instant) {
        let Self { whole, clock, .. } = self;
        whole.clear();
        let texts = file.texts(config.public());
        let (status, mut fields) = (file.status(), Fields::default());
        file.put(config.public(), &texts, &mut fields);
        let date = clock.date(now, config);
        reply.put((status, ""), date, config.origins(), &mut fields);
        Response::encode(whole, status, fields.as_slice(), None);
    }

    /// Where the client of the next answer is sent.
    pub(super) fn set_location(&mut self, location: String) {
        self.location = Some(location);
    }

    /// What the browser is to keep whose WebSocket or event stream begins next.
    pub(super) fn set_cookie(&mut self, cookie: Option<Box<str>>) {
        self.cookie = cookie;
    }

    /// Writes the response that makes a connection a WebSocket.
    pub(super) fn upgrade(&mut self, accepted: &Accepted<'_>) {
        self.whole.clear();
        accepted.encode(&mut self.whole);
        if let Some(cookie) = &self.cookie {
            Response::add_field(&mut self.whole, ("Set-Cookie", cookie));
        }
    }

    /// Writes the head of an event stream, and gives where its first events may follow.
    pub(super) fn stream(
        &mut self,
        origin: Option<u16>,
        config: &Config,
        now: Instant,
    ) -> &mut Vec<u8> {
        let Self {
            whole,
            clock,
            cookie,
            ..
        } = self;
        whole.clear();
        let mut fields = Fields::default();
        fields.extend(&EVENT_STREAM);
        fields.date(clock.date(now, config));
        fields.readers(config.origins(), origin);
        if let Some(cookie) = cookie {
            fields.push("Set-Cookie", cookie);
        }
        fields.push("Connection", "close");
        Response::encode(whole, 200, fields.as_slice(), None);
        // No empty line: it belongs to the first event. Writing to a Vec does not fail.
        let _ = writeln!(whole, "retry: {}", config.retry_ms());
        whole
    }

    /// Tells an event stream how long its client is to wait before it comes back.
    pub(super) fn send_retry<M>(
        &mut self,
        id: ConnectionId,
        retry_ms: u64,
        wire: &mut impl Wire<M>,
    ) {
        self.whole.clear();
        sse::encode_retry(&mut self.whole, retry_ms);
        // One that does not read what it is sent comes back when it likes.
        let _ = wire.send(id, &self.whole);
    }

    /// Queues what was written.
    ///
    /// # Errors
    /// [`Unsent`]; then nothing was queued, and it may be written anew.
    pub(super) fn send<M>(&self, id: ConnectionId, wire: &mut impl Wire<M>) -> Result<(), Unsent> {
        wire.send(id, &self.whole)
    }

    /// Queues the answer that was written. A long one goes as a payload, which is freed when it
    /// has left: the engine's outbound buffers would keep its length.
    ///
    /// # Errors
    /// [`Unsent`]; then nothing was queued.
    pub(super) fn send_answer<M>(
        &mut self,
        id: ConnectionId,
        wire: &mut impl Wire<M>,
    ) -> Result<(), Unsent> {
        if self.whole.len() <= limits::SHARED_BYTES_MIN {
            return wire.send(id, &self.whole);
        }
        let answer = std::mem::take(&mut self.whole);
        wire.share(id, &Payload::new(answer))
    }

    /// Bytes of the content of the last answer.
    pub(super) fn content_len(&self) -> usize {
        self.content.len()
    }

    /// Frees the buffers.
    pub(super) fn trim(&mut self) {
        (self.whole, self.content) = (Vec::new(), Vec::new());
    }
}
