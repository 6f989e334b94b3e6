//! What the bytes of a connection are, by transport.

use super::http_answer::HttpAnswer;
use crate::load::attempt::LostConnection;
use crate::protocol::http::body::BodyReader;
use crate::protocol::http::{HeadReader, Inflater};
use crate::protocol::sse;
use crate::protocol::websocket::decoder::{Decoder, Pool};
use crate::shard::ReceiveInto;
use std::time::Duration;

/// What the bytes of a connection are, by transport.
#[derive(Debug)]
pub(super) enum Stream {
    /// A response head.
    Head(HeadReader),
    /// The answer to what is asked before the upgrade, then a response head.
    First(Box<HttpAnswer>),
    /// Answers to polls, each of which is a message.
    Polls(Box<PollStream>),
    /// WebSocket frames.
    WebSocket(Decoder),
    /// An event stream, boxed: its parser is larger than all the rest together.
    Sse(Box<EventStream>),
}

/// What is asked again and again.
#[derive(Debug)]
pub(super) struct PollStream {
    /// The answer that comes.
    pub(super) answer: HttpAnswer,
    /// The request for the next one.
    pub(super) request: Vec<u8>,
}

/// The body of a response that is an event stream.
#[derive(Debug)]
pub(super) struct EventStream {
    pub(super) body: BodyReader,
    /// If the content is coded, though that was not asked for.
    pub(super) inflater: Option<Box<Inflater>>,
    pub(super) parser: sse::Parser,
    /// The body lasts until the connection ends, so that the end is in good order.
    pub(super) is_until_end: bool,
    /// What the server asks to be waited before the next connect.
    pub(super) retry: Option<Duration>,
}

impl Stream {
    /// Whether there is a closing handshake (RFC 6455, 7.1.2).
    pub(super) const fn is_websocket(&self) -> bool {
        matches!(self, Self::WebSocket(_))
    }

    /// Whether the end of the connection is the end of the body, in good order.
    pub(super) fn is_until_end(&self) -> bool {
        matches!(self, Self::Sse(stream) if stream.is_until_end)
    }

    /// Whether the answer to what was asked before the upgrade has yet to come.
    pub(super) fn awaits_answer(&self) -> bool {
        matches!(self, Self::First(answer) if !answer.is_whole())
    }

    /// What was answered before the upgrade; nothing where nothing was asked.
    pub(super) fn answer(&self) -> &[u8] {
        match self {
            Self::First(answer) => answer.said(),
            Self::Head(_) | Self::Polls(_) | Self::WebSocket(_) | Self::Sse(_) => &[],
        }
    }

    /// Where the bytes that come next belong, if the rest of a large message comes next.
    pub(super) fn receive_into(&mut self, pool: &mut Pool) -> Option<ReceiveInto> {
        match self {
            Self::WebSocket(decoder) => decoder.receive_into(pool),
            Self::Head(_) | Self::First(_) | Self::Polls(_) | Self::Sse(_) => None,
        }
    }

    /// The connection is over: gives buffers back.
    pub(super) fn release(&mut self, pool: &mut Pool) {
        if let Self::WebSocket(decoder) = self {
            decoder.release(pool);
        }
    }

    /// What a client that heard up to that sequence number asks for when it comes back.
    pub(super) fn lost(&self, pushed: u64) -> LostConnection {
        match self {
            Self::Sse(stream) => {
                let last = stream.parser.last_event_id().to_owned();
                LostConnection::new(pushed, last, stream.retry)
            }
            Self::Head(_) | Self::First(_) | Self::Polls(_) | Self::WebSocket(_) => {
                LostConnection::new(pushed, String::new(), None)
            }
        }
    }
}
