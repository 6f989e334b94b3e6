//! Bytes to events and back: HTTP/1.1 heads and bodies, WebSocket, Server-Sent Events, and what
//! `ActionCable`, `SocketCluster` and Socket.IO say over a WebSocket.
//!
//! Nothing here knows a socket, a clock or a connection. A decoder is given what arrived and says
//! what it means, borrowed from those bytes wherever it lay whole in them; an encoder appends to
//! its caller's buffer. What a peer sends never panics and never sizes an allocation: memory
//! follows the bytes that really came, up to a limit.
#![forbid(unsafe_code)]
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used
)]

pub mod cable;
pub mod centrifugo;
pub mod http;
pub mod json;
pub mod socketcluster;
pub mod socketio;
pub mod sse;
pub mod websocket;

/// The peer's mistake; who is to blame and how decides what it is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A request that gets this status; the connection is closed after it.
    #[error("{status}: {reason}")]
    Http {
        /// HTTP status to answer with.
        status: u16,
        /// What was wrong, in a few words.
        reason: &'static str,
    },
    /// A frame that gets a close frame with this code; the connection is closed after it.
    #[error("close {code}: {reason}")]
    WebSocket {
        /// Close code to send: 1002, 1007 or 1009 (RFC 6455, 7.4.1).
        code: u16,
        /// What was wrong, in a few words; fits into a close frame.
        reason: &'static str,
    },
    /// A response or an event stream that a client cannot use; the connection is closed.
    #[error("unusable response: {reason}")]
    Response {
        /// What was wrong, in a few words.
        reason: &'static str,
    },
}

/// A message that is whole and yet none that its protocol has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed: {0}")]
pub struct Malformed(
    /// What was wrong, in a few words.
    pub &'static str,
);
