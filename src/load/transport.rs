//! What carries messages, and of which type they are.

/// What carries messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// RFC 6455 over HTTP/1.1.
    WebSocket,
    /// Server-Sent Events: the response to a GET.
    Sse,
}

/// WebSocket message types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadKind {
    /// UTF-8.
    Text,
    /// Bytes.
    Binary,
}
