//! The thread that passes requests on to a web application over HTTP, and its responses back, each
//! piece as it comes.

use super::signature;
use crate::app::passing::{
    PassPlan, PassedEnd, PassedExchange, PassedFields, PassedHead, PassedRequest, is_hop_by_hop,
};
use crate::limits;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use ring::hmac;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;
use tokio::time::timeout;

/// Where requests are passed on to.
pub struct PassTarget {
    client: Client<HttpsConnector<HttpConnector>, AskedBody>,
    /// Scheme, host and port.
    origin: Uri,
    key: Option<hmac::Key>,
}

/// The thread that passes on.
#[derive(Debug)]
pub struct Passer {
    ends: Arc<AtomicBool>,
    notify: Arc<Notify>,
    thread: JoinHandle<()>,
}

/// The body of a request, as it comes.
struct AskedBody {
    exchange: PassedExchange,
    length: Option<u64>,
}

impl PassTarget {
    /// The application at that origin, whose requests are signed with that secret if there is one.
    ///
    /// # Errors
    /// Certificates of authorities that cannot be read, for `https://`.
    pub fn new(origin: Uri, secret: Option<&[u8]>) -> io::Result<Self> {
        let connector = HttpsConnectorBuilder::new()
            .with_native_roots()?
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(connector);
        let key = secret.map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret));
        Ok(Self {
            client,
            origin,
            key,
        })
    }
}

impl Passer {
    /// Begins to pass on what comes over the lines of `plan`, which are woken by `notify`.
    ///
    /// # Errors
    /// There can be no thread, or no runtime on it.
    pub fn start(target: PassTarget, plan: PassPlan, notify: Arc<Notify>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let ends = Arc::new(AtomicBool::new(false));
        let (bell, is_over) = (Arc::clone(&notify), Arc::clone(&ends));
        let thread = std::thread::Builder::new()
            .name("http-backend".to_owned())
            .spawn(move || runtime.block_on(follow(Arc::new(target), &plan, &bell, &is_over)))?;
        Ok(Self {
            ends,
            notify,
            thread,
        })
    }

    /// The cores have ended.
    pub fn finish(self) {
        self.ends.store(true, Release);
        self.notify.notify_one();
        let _ = self.thread.join();
    }
}

/// Passes requests on until the end.
async fn follow(target: Arc<PassTarget>, plan: &PassPlan, bell: &Notify, is_over: &AtomicBool) {
    while !is_over.load(Acquire) {
        for request in plan.lines.iter().flat_map(|line| line.take_requests()) {
            let (target, time) = (Arc::clone(&target), plan.time);
            tokio::spawn(async move {
                let exchange = request.exchange.clone();
                let mut passed = pin!(target.pass(request, time));
                let ended = poll_fn(|context| {
                    if exchange.poll_left(context).is_ready() {
                        return Poll::Ready(None);
                    }
                    passed.as_mut().poll(context).map(Some)
                });
                if let Some(end) = ended.await {
                    exchange.finish(end);
                }
            });
        }
        bell.notified().await;
    }
}

impl PassTarget {
    /// Passes one request on, and its response back: how that ended.
    async fn pass(&self, request: PassedRequest, time: Duration) -> PassedEnd {
        let exchange = request.exchange.clone();
        let Some(request) = self.made(request) else {
            return PassedEnd::Broken;
        };
        let asked = pin!(self.client.request(request));
        let response = match while_it_moves(asked, &exchange, time).await {
            None => return PassedEnd::TooLate,
            Some(Err(_)) => return PassedEnd::Broken,
            Some(Ok(response)) => response,
        };
        let Some(head) = head(&response) else {
            return PassedEnd::Broken;
        };
        exchange.set_head(head);
        carry(response.into_body(), &exchange, time).await
    }

    /// The request as the application gets it.
    fn made(&self, asked: PassedRequest) -> Option<Request<AskedBody>> {
        let mut parts = self.origin.clone().into_parts();
        parts.path_and_query = Some(asked.target.parse().ok()?);
        let mut request = Request::builder()
            .method(&*asked.method)
            .uri(Uri::from_parts(parts).ok()?);
        for (name, value) in &asked.fields {
            request = request.header(&**name, &**value);
        }
        let session = asked.session.as_deref().unwrap_or_default();
        if !session.is_empty() {
            request = request.header("X-Ringstorm-Session", session);
        }
        if let Some(key) = &self.key {
            let unix = SystemTime::now().duration_since(UNIX_EPOCH);
            let unix_s = unix.unwrap_or_default().as_secs();
            let said = format!("{} {} {session}", asked.method, asked.target);
            let signed = signature::sign(key, unix_s, said.as_bytes());
            request = request.header("X-Ringstorm-Signature", signed);
        }
        let body = AskedBody {
            exchange: asked.exchange,
            length: asked.length,
        };
        request.body(body).ok()
    }
}

/// What comes of that, unless nothing moves for so long.
async fn while_it_moves<F: Future>(
    mut future: Pin<&mut F>,
    exchange: &PassedExchange,
    time: Duration,
) -> Option<F::Output> {
    loop {
        let moved = exchange.moved();
        match timeout(time, future.as_mut()).await {
            Ok(output) => return Some(output),
            Err(_) if exchange.moved() == moved => return None,
            Err(_) => {}
        }
    }
}

/// Passes the body of a response back.
async fn carry(mut body: Incoming, exchange: &PassedExchange, time: Duration) -> PassedEnd {
    loop {
        // A client that does not read is the engine's to reset.
        poll_fn(|context| exchange.poll_room(context)).await;
        let frame = pin!(body.frame());
        let frame = match while_it_moves(frame, exchange, time).await {
            None => return PassedEnd::TooLate,
            Some(None) => return PassedEnd::Whole,
            Some(Some(Err(_))) => return PassedEnd::Broken,
            Some(Some(Ok(frame))) => frame,
        };
        match frame.into_data() {
            Ok(bytes) => {
                for piece in bytes.chunks(limits::PASSED_PIECE_BYTES) {
                    exchange.give(piece.to_vec());
                }
            }
            Err(frame) => exchange.set_trailers(
                frame
                    .into_trailers()
                    .map_or_else(|_| PassedFields::new(), |trailers| trailing(&trailers)),
            ),
        }
    }
}

/// Fields behind a body, without those that have to stand before it (RFC 9110, 6.5.1); none if they
/// are too long.
fn trailing(trailers: &HeaderMap) -> PassedFields {
    let is_early = |name: &str| name.starts_with("content-") || BEFORE.contains(&name);
    let mut fields = kept(trailers);
    fields.retain(|(name, _)| !is_early(name));
    if bytes(&fields) > limits::PASSED_HEAD_BYTES {
        fields.clear();
    }
    fields
}

/// Fields that decide what becomes of a message, or of later ones.
const BEFORE: [&str; 8] = [
    "age",
    "authorization",
    "cache-control",
    "host",
    "location",
    "set-cookie",
    "vary",
    "www-authenticate",
];

/// Bytes of fields.
fn bytes(fields: &PassedFields) -> usize {
    let each = fields.iter().map(|(name, value)| name.len() + value.len());
    each.sum()
}

/// The head of a response as the client gets it; `None` if it is too long.
fn head(response: &Response<Incoming>) -> Option<PassedHead> {
    let headers = response.headers();
    let length = headers.get(CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse().ok());
    let fields = kept(headers);
    let status = response.status();
    (bytes(&fields) <= limits::PASSED_HEAD_BYTES).then_some(PassedHead {
        status: status.as_u16(),
        reason: status.canonical_reason().unwrap_or_default(),
        fields,
        length,
    })
}

fn kept(headers: &HeaderMap) -> PassedFields {
    let named = || {
        let all = headers.get_all(CONNECTION).iter();
        all.filter_map(|value| value.to_str().ok())
    };
    let is_kept = |(name, _): &(&HeaderName, &HeaderValue)| {
        *name != CONTENT_LENGTH && !is_hop_by_hop(name.as_str(), named())
    };
    let kept = headers.iter().filter(is_kept);
    kept.map(|(name, value)| (name.as_str().into(), value.as_bytes().into()))
        .collect()
}

impl Body for AskedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.exchange.poll_asked(context).map(|asked| {
            asked.map(|piece| match piece {
                Ok(piece) => Ok(Frame::data(piece.into())),
                Err(()) => Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.length == Some(0) || self.exchange.is_asked()
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
