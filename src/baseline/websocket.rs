//! `/echo` and `/push` on tokio-tungstenite: all that is readable is answered with one write.

use super::Shared;
use super::counts::OpenKind;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::net::TcpStream;
use tokio::sync::broadcast::error::RecvError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, accept_async_with_config};

/// Bytes read at once. The default of 128 KiB is cleared before every read, which halves an echo
/// of small messages; 4 KiB is what tungstenite advises for many connections.
const READ_BYTES: usize = 4096;

type Socket = WebSocketStream<TcpStream>;

/// Returns every message until the peer or the server ends.
pub(super) async fn echo(stream: TcpStream, shared: &Shared) {
    let Ok(mut socket) = upgrade(stream, shared).await else {
        return;
    };
    let _open = shared.counts.open(OpenKind::WebSocket);
    let ended = tokio::select! {
        biased;
        ended = poll_fn(|context| poll_echo(&mut socket, context, shared)) => Some(ended),
        () = shared.stopped() => None,
    };
    if ended.is_none() {
        going_away(&mut socket).await;
    }
}

/// Sends the published messages until the peer or the server ends.
pub(super) async fn push(stream: TcpStream, shared: &Shared) {
    let Ok(mut socket) = upgrade(stream, shared).await else {
        return;
    };
    let _open = shared.counts.open(OpenKind::WebSocket);
    let ended = tokio::select! {
        biased;
        ended = push_all(&mut socket, shared) => Some(ended),
        () = shared.stopped() => None,
    };
    if ended.is_none() {
        going_away(&mut socket).await;
    }
}

async fn upgrade(stream: TcpStream, shared: &Shared) -> Result<Socket, Error> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .max_message_size(Some(shared.max_message))
        .max_frame_size(Some(shared.max_message));
    // Boxed: the handshake's future is large and short-lived, the connection's is neither.
    Box::pin(accept_async_with_config(stream, Some(config))).await
}

/// Queues an answer to everything that is readable, then writes once: what
/// `futures_util::StreamExt::forward` does, without the lock of a split socket.
fn poll_echo(
    socket: &mut Socket,
    context: &mut Context<'_>,
    shared: &Shared,
) -> Poll<Result<(), Error>> {
    let mut socket = Pin::new(socket);
    let mut echoed = 0;
    loop {
        // Pending while more than a full write buffer waits for the peer to read.
        ready!(socket.as_mut().poll_ready(context))?;
        match socket.as_mut().poll_next(context) {
            Poll::Ready(Some(Ok(message @ (Message::Text(_) | Message::Binary(_))))) => {
                echoed += 1;
                socket.as_mut().start_send(message)?;
            }
            // tungstenite answers pings and closes by itself.
            Poll::Ready(Some(Ok(
                Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_),
            ))) => {}
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
            Poll::Ready(None) => return Poll::Ready(Ok(())),
            Poll::Pending => {
                shared.counts.received(echoed);
                shared.counts.sent(echoed);
                ready!(socket.as_mut().poll_flush(context))?;
                return Poll::Pending;
            }
        }
    }
}

async fn push_all(socket: &mut Socket, shared: &Shared) -> Result<(), Error> {
    let mut messages = shared.push.messages();
    loop {
        tokio::select! {
            biased;
            message = messages.recv() => match message {
                Ok(text) => {
                    let mut sent = 1;
                    socket.feed(Message::Text(text)).await?;
                    // Behind by several: still one write.
                    while let Ok(text) = messages.try_recv() {
                        socket.feed(Message::Text(text)).await?;
                        sent += 1;
                    }
                    socket.flush().await?;
                    shared.counts.sent(sent);
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Ok(()),
            },
            incoming = socket.next() => match incoming {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            },
        }
    }
}

/// RFC 6455, 7.4.1: 1001, the server is going down. The peer may answer; the drain time bounds it.
async fn going_away(socket: &mut Socket) {
    let reason = Utf8Bytes::from_static("the server is stopping");
    let frame = CloseFrame {
        code: CloseCode::Away,
        reason,
    };
    if socket.close(Some(frame)).await.is_ok() {
        while let Some(Ok(_)) = socket.next().await {}
    }
}
