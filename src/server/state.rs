//! What a connection is, and what becomes of it for that.

use super::apps::{AppIndex, Apps};
use super::framing::Framing;
use super::http::Http;
use super::memory::PartialInput;
use super::step::Step;
use super::tally::{CloseReason, ConnectionKind};
use super::websocket::WebSocket;
use crate::app::Goodbye;
use crate::shard::Close;
use crate::time::Instant;

/// What a connection is.
pub(super) enum ConnectionState {
    /// Nothing: its slot is free.
    Vacant,
    /// Waiting for a request, reading or answering one. Boxed: the others are what is idle in
    /// great numbers, and should not pay for it.
    Http(Box<Http>),
    /// A WebSocket.
    WebSocket(WebSocket),
    /// An event stream.
    Stream(AppIndex),
    /// Ended here; the engine sends what is queued and says `closed`.
    Ending,
}

impl ConnectionState {
    /// What of its peer is unfinished, which is heard or not, and for how long that has made no
    /// progress; `None` for what has ended.
    pub(super) fn unfinished(&mut self, is_heard: bool, now: Instant) -> Option<PartialInput> {
        match self {
            Self::WebSocket(socket) => Some(PartialInput {
                is_any: socket.held() > 0,
                waited: Some(socket.stalled(is_heard, now)),
            }),
            Self::Http(http) => Some(PartialInput {
                is_any: http.held() > 0,
                waited: None,
            }),
            Self::Stream(_) => Some(PartialInput::default()),
            // The engine has a time for those.
            Self::Vacant | Self::Ending => None,
        }
    }

    /// The WebSocket that it is.
    pub(super) const fn socket_mut(&mut self) -> Option<&mut WebSocket> {
        match self {
            Self::WebSocket(socket) => Some(socket),
            Self::Vacant | Self::Http(_) | Self::Stream(_) | Self::Ending => None,
        }
    }

    pub(super) const fn is_vacant(&self) -> bool {
        matches!(self, Self::Vacant)
    }

    /// The application that it is an event stream of.
    pub(super) const fn streams(&self) -> Option<AppIndex> {
        match self {
            Self::Stream(app) => Some(*app),
            Self::Vacant | Self::Http(_) | Self::WebSocket(_) | Self::Ending => None,
        }
    }

    /// Its application, and how messages are put for it.
    pub(super) fn user(&self) -> Option<(AppIndex, Framing)> {
        match self {
            Self::Stream(app) => Some((*app, Framing::Events)),
            Self::WebSocket(socket) => Some((socket.app(), socket.framing())),
            Self::Vacant | Self::Http(_) | Self::Ending => None,
        }
    }

    /// Bytes of memory of what its peer has begun and not finished.
    pub(super) fn held(&self) -> usize {
        match self {
            Self::WebSocket(socket) => socket.held(),
            Self::Http(http) => http.held(),
            Self::Vacant | Self::Stream(_) | Self::Ending => 0,
        }
    }

    /// What becomes of it when its application ends it.
    pub(super) const fn ended(&self, goodbye: Goodbye, why: CloseReason) -> Step {
        match self {
            Self::WebSocket(_) => Step::CloseSocket { goodbye, why },
            // It comes back after `retry`.
            Self::Stream(_) => Step::End {
                how: Close::Flush,
                why,
            },
            Self::Vacant | Self::Http(_) | Self::Ending => Step::Stay,
        }
    }

    /// What becomes of a listener that does not read what it is sent.
    pub(super) fn ended_as_slow<A: Apps>(&self) -> Step {
        let why = CloseReason::SlowConsumer;
        match self {
            Self::WebSocket(socket) => Step::CloseSocket {
                goodbye: A::too_slow(socket.app()),
                why,
            },
            Self::Stream(_) => Step::End {
                how: Close::Abort,
                why,
            },
            Self::Vacant | Self::Http(_) | Self::Ending => Step::Stay,
        }
    }

    /// What becomes of it when the server stops.
    pub(super) fn dismissed(&self, goodbye: Goodbye) -> Step {
        let why = CloseReason::Drain;
        match self {
            Self::WebSocket(_) | Self::Stream(_) => self.ended(goodbye, why),
            Self::Http(http) if http.is_quiet() => Step::End {
                how: Close::Flush,
                why,
            },
            // A request that has begun gets its answer, which ends the connection.
            Self::Vacant | Self::Http(_) | Self::Ending => Step::Stay,
        }
    }

    /// How it is counted; `None` for a free slot.
    pub(super) const fn kind(&self) -> Option<ConnectionKind> {
        match self {
            Self::Vacant => None,
            Self::Http(_) | Self::Ending => Some(ConnectionKind::Http),
            Self::WebSocket(_) => Some(ConnectionKind::WebSocket),
            Self::Stream(_) => Some(ConnectionKind::Stream),
        }
    }
}
