//! Accepts connections and gives each a task: tungstenite for WebSocket upgrades, hyper for the
//! rest, told apart by a look at the request that leaves it in the socket.

use super::counts::OpenKind;
use super::{Shared, http, websocket};
use crate::limits;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;
use tokio::io::ReadBuf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Bytes of a request that are looked at. A head that is longer and shows no upgrade by then is
/// hyper's.
const GLANCE_BYTES: usize = 2048;
/// Time between two looks at a head that is not complete yet.
const GLANCE_PAUSE: Duration = Duration::from_millis(1);
/// Pause after a failed accept: out of descriptors, mostly, and spinning does not free any.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Echo,
    Push,
    Http,
    /// The head is not complete yet.
    Unknown,
}

/// Accepts until the server is asked to end.
pub(super) async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    alive: mpsc::Sender<Infallible>,
) {
    let stopped = shared.stopped();
    tokio::pin!(stopped);
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            () = &mut stopped => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let (shared, alive) = (Arc::clone(&shared), alive.clone());
                tokio::spawn(async move {
                    connection(stream, shared).await;
                    drop(alive);
                });
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// A connection's whole life. Its errors are its peer's: they end it and nothing else.
async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    shared.counts.accepted();
    if stream.set_nodelay(true).is_err() {
        return shared.counts.closed();
    }
    let routed = tokio::select! {
        biased;
        routed = route(&stream) => routed,
        () = shared.stopped() => return shared.counts.closed(),
    };
    match routed {
        Ok(Route::Echo) => websocket::echo(stream, &shared).await,
        Ok(Route::Push) => websocket::push(stream, &shared).await,
        Ok(Route::Http | Route::Unknown) => {
            let open = shared.counts.open(OpenKind::Http);
            http::serve(stream, &shared).await;
            drop(open);
        }
        Err(_) => {}
    }
    shared.counts.closed();
}

async fn route(stream: &TcpStream) -> io::Result<Route> {
    let mut patience = limits::HEAD_TIME;
    loop {
        match glance(stream).await? {
            Route::Unknown if patience.is_zero() => return Err(io::ErrorKind::TimedOut.into()),
            // What is there already keeps the socket readable: readiness would not wait for more.
            Route::Unknown => tokio::time::sleep(GLANCE_PAUSE).await,
            route @ (Route::Echo | Route::Push | Route::Http) => return Ok(route),
        }
        patience = patience.saturating_sub(GLANCE_PAUSE);
    }
}

/// Peeks with the buffer on the stack of the poll, so that no task carries it.
async fn glance(stream: &TcpStream) -> io::Result<Route> {
    poll_fn(|context| {
        let mut bytes = [0; GLANCE_BYTES];
        let mut bytes = ReadBuf::new(&mut bytes);
        match ready!(stream.poll_peek(context, &mut bytes))? {
            0 => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            _ => Poll::Ready(Ok(classify(bytes.filled()))),
        }
    })
    .await
}

fn classify(head: &[u8]) -> Route {
    if head.len() < GLANCE_BYTES && !head.windows(4).any(|end| end == b"\r\n\r\n") {
        return Route::Unknown;
    }
    let wanted = b"\r\nupgrade: websocket";
    if !head
        .windows(wanted.len())
        .any(|field| field.eq_ignore_ascii_case(wanted))
    {
        return Route::Http;
    }
    match head.split(|&byte| byte == b' ' || byte == b'?').nth(1) {
        Some(b"/echo") => Route::Echo,
        Some(b"/push") => Route::Push,
        _ => Route::Http,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upgrade_goes_by_its_path_and_anything_else_to_hyper() {
        let upgrade = "Host: a\r\nUPGRADE: WebSocket\r\n\r\n";
        let at = |line: &str, fields: &str| classify(format!("{line}\r\n{fields}").as_bytes());
        assert_eq!(at("GET /echo HTTP/1.1", upgrade), Route::Echo);
        assert_eq!(at("GET /echo?a=b HTTP/1.1", upgrade), Route::Echo);
        assert_eq!(at("GET /push HTTP/1.1", upgrade), Route::Push);
        assert_eq!(at("GET /other HTTP/1.1", upgrade), Route::Http);
        assert_eq!(at("GET /echo HTTP/1.1", "Host: a\r\n\r\n"), Route::Http);
        assert_eq!(at("GET /echo HTTP/1.1", "Host: a\r\n"), Route::Unknown);
    }

    #[test]
    fn a_head_longer_than_the_glance_is_hypers() {
        assert_eq!(classify(&[b'a'; GLANCE_BYTES]), Route::Http);
    }
}
