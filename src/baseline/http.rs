//! `/events`, `/healthz` and `/stats` on hyper.

use super::Shared;
use super::counts::OpenKind;
use futures_util::{StreamExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, UPGRADE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::broadcast::error::RecvError;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Serves requests on one connection until the peer or the server ends.
pub(super) async fn serve(stream: TcpStream, shared: &Arc<Shared>) {
    let service = service_fn(|request: Request<Incoming>| {
        std::future::ready(Ok::<_, Infallible>(answer(&request, shared)))
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => Some(ended),
        () = shared.stopped() => None,
    };
    if ended.is_none() {
        connection.as_mut().graceful_shutdown();
        // The peer's errors are the peer's: the connection is over either way.
        drop(connection.await);
    }
}

fn answer(request: &Request<Incoming>, shared: &Arc<Shared>) -> Response<Body> {
    if request.method() != Method::GET {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is served here\n");
    }
    match request.uri().path() {
        "/events" => events(shared),
        "/healthz" => plain(StatusCode::OK, "ok\n"),
        "/stats" => typed("application/json", shared.counts.json().to_string()),
        "/echo" | "/push" => {
            let mut refused = plain(StatusCode::UPGRADE_REQUIRED, "this is a WebSocket\n");
            refused
                .headers_mut()
                .insert(UPGRADE, HeaderValue::from_static("websocket"));
            refused
        }
        _ => plain(
            StatusCode::NOT_FOUND,
            "try /echo, /push, /events, /healthz or /stats\n",
        ),
    }
}

fn events(shared: &Arc<Shared>) -> Response<Body> {
    let first = stream::once(std::future::ready(Bytes::from_static(b"retry: 1000\n\n")));
    let open = shared.counts.open(OpenKind::Events);
    let state = (shared.push.events(), Arc::clone(shared), open);
    let published = stream::unfold(state, |mut state| async move {
        loop {
            match state.0.recv().await {
                Ok(event) => {
                    state.1.counts.sent(1);
                    return Some((event, state));
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    });
    let stopping = Arc::clone(shared);
    let until = Box::pin(async move { stopping.stopped().await });
    let frames = first.chain(published).take_until(until);
    let body = StreamBody::new(frames.map(|event| Ok(Frame::data(event))));
    let mut response = Response::new(body.boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = typed("text/plain", text.to_owned());
    *response.status_mut() = status;
    response
}

fn typed(content_type: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(text)).boxed_unsync());
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
