//! The other implementations, each asked what it hears in some bytes.

use super::MAX_MESSAGE;
use ringstorm::protocol::websocket::{Opcode, Role, frame};
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, Message, WebSocket};

/// What a peer said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
}

impl Said {
    /// The opcode and payload of the frame that says it.
    pub(crate) fn parts(&self) -> (Opcode, Vec<u8>) {
        match self {
            Self::Text(text) => (Opcode::Text, text.clone().into_bytes()),
            Self::Binary(bytes) => (Opcode::Binary, bytes.clone()),
            Self::Ping(payload) => (Opcode::Ping, payload.clone()),
            Self::Pong(payload) => (Opcode::Pong, payload.clone()),
            Self::Close(None, _) => (Opcode::Close, Vec::new()),
            Self::Close(Some(code), reason) => {
                let mut payload = Vec::new();
                frame::close_payload(&mut payload, *code, reason);
                (Opcode::Close, payload)
            }
        }
    }
}

/// How it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum End {
    /// All bytes were read, and more could follow.
    #[default]
    Starved,
    /// With a close frame.
    Closed,
    /// With a fault of the peer.
    Fault(String),
}

/// What was heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) said: Vec<Said>,
    pub(crate) end: End,
}

/// A socket that holds received bytes, and forgets what is sent.
struct Memory<'e>(&'e [u8]);

impl Read for Memory<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.0.read(into)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            len => Ok(len),
        }
    }
}

impl Write for Memory<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) fn tungstenite(role: Role, bytes: &[u8]) -> Heard {
    let role = match role {
        Role::Server => tungstenite::protocol::Role::Server,
        Role::Client => tungstenite::protocol::Role::Client,
    };
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let mut socket = WebSocket::from_raw_socket(Memory(bytes), role, Some(config));
    let mut heard = Heard::default();
    loop {
        let said = match socket.read() {
            Ok(Message::Text(text)) => Said::Text(text.to_string()),
            Ok(Message::Binary(bytes)) => Said::Binary(bytes.to_vec()),
            Ok(Message::Ping(payload)) => Said::Ping(payload.to_vec()),
            Ok(Message::Pong(payload)) => Said::Pong(payload.to_vec()),
            Ok(Message::Close(None)) => Said::Close(None, String::new()),
            Ok(Message::Close(Some(frame))) => {
                // It replaces a frame with a bad code by this one.
                if frame.reason.as_str() == "Protocol violation" {
                    heard.end = End::Fault("code".to_owned());
                    return heard;
                }
                Said::Close(Some(frame.code.into()), frame.reason.to_string())
            }
            Ok(Message::Frame(frame)) => panic!("not read: {frame:?}"),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return heard,
            Err(error) => {
                heard.end = End::Fault(error.to_string());
                return heard;
            }
        };
        let is_close = matches!(said, Said::Close(..));
        heard.said.push(said);
        if is_close {
            heard.end = End::Closed;
            return heard;
        }
    }
}

impl AsyncRead for Memory<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let len = self.0.len().min(into.remaining());
        let (now, later) = self.0.split_at(len);
        into.put_slice(now);
        self.0 = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

pub(crate) fn fastwebsockets(role: Role, bytes: &[u8]) -> Heard {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(fastwebsockets_async(role, bytes))
}

async fn fastwebsockets_async(role: Role, bytes: &[u8]) -> Heard {
    use fastwebsockets::{FragmentCollector, OpCode, WebSocketError};
    let role = match role {
        Role::Server => fastwebsockets::Role::Server,
        Role::Client => fastwebsockets::Role::Client,
    };
    let mut socket = fastwebsockets::WebSocket::after_handshake(Memory(bytes), role);
    socket.set_auto_pong(false);
    // It refuses frames of this size already.
    socket.set_max_message_size(MAX_MESSAGE + 1);
    let mut socket = FragmentCollector::new(socket);
    let mut heard = Heard::default();
    loop {
        let frame = match socket.read_frame().await {
            Ok(frame) => frame,
            Err(WebSocketError::UnexpectedEOF) => return heard,
            Err(error) => {
                heard.end = End::Fault(error.to_string());
                return heard;
            }
        };
        let payload = frame.payload.to_vec();
        match frame.opcode {
            OpCode::Text => match String::from_utf8(payload) {
                Ok(text) => heard.said.push(Said::Text(text)),
                Err(error) => {
                    heard.end = End::Fault(error.to_string());
                    return heard;
                }
            },
            OpCode::Binary => heard.said.push(Said::Binary(payload)),
            OpCode::Ping => heard.said.push(Said::Ping(payload)),
            OpCode::Pong => heard.said.push(Said::Pong(payload)),
            OpCode::Close => {
                let said = match payload.as_slice() {
                    [a, b, reason @ ..] => Said::Close(
                        Some(u16::from_be_bytes([*a, *b])),
                        String::from_utf8_lossy(reason).into_owned(),
                    ),
                    _ => Said::Close(None, String::new()),
                };
                heard.said.push(said);
                heard.end = End::Closed;
                return heard;
            }
            OpCode::Continuation => panic!("the collector joins them"),
        }
    }
}
