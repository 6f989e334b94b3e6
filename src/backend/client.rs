//! The HTTP client: one URL, kept-alive connections, an answer of bounded length.

use super::signature;
use crate::app::backend::HookWords;
use crate::limits;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{CONTENT_TYPE, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use ring::hmac;
use std::fmt;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

/// Asks at one URL.
pub struct BackendClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: Uri,
    key: Option<hmac::Key>,
}

/// What became of a request.
#[derive(Debug)]
pub(super) enum BackendAnswer {
    Said(Box<HookWords>),
    /// It came, and says nothing.
    Garbage,
    /// That status: the application has failed, and may not the next time.
    Failing(StatusCode),
    /// None came.
    Nothing,
}

impl BackendClient {
    /// A client for that URL, `http://` or `https://`, whose requests are signed with that secret
    /// if there is one.
    ///
    /// # Errors
    /// Certificates of authorities that cannot be read, for `https://`.
    pub fn new(url: Uri, secret: Option<&[u8]>) -> io::Result<Self> {
        let connector = HttpsConnectorBuilder::new()
            .with_native_roots()?
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(connector);
        let key = secret.map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret));
        Ok(Self { client, url, key })
    }

    /// Makes one request.
    pub(super) async fn ask(&self, body: Bytes) -> BackendAnswer {
        let mut request = Request::post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("ringstorm/", env!("CARGO_PKG_VERSION")));
        if let Some(key) = &self.key {
            let unix = SystemTime::now().duration_since(UNIX_EPOCH);
            let unix_s = unix.unwrap_or_default().as_secs();
            let signed = signature::sign(key, unix_s, &body);
            request = request.header("X-Ringstorm-Signature", signed);
        }
        let Ok(request) = request.body(Full::new(body)) else {
            return BackendAnswer::Nothing;
        };
        let Ok(response) = self.client.request(request).await else {
            return BackendAnswer::Nothing;
        };
        let status = response.status();
        if status.is_server_error() {
            return BackendAnswer::Failing(status);
        }
        let body = Limited::new(response.into_body(), limits::HOOK_ANSWER_BYTES);
        let Ok(body) = body.collect().await else {
            return BackendAnswer::Garbage;
        };
        match status
            .is_success()
            .then(|| HookWords::read(&body.to_bytes()))
        {
            Some(Ok(words)) => BackendAnswer::Said(Box::new(words)),
            Some(Err(_)) | None => BackendAnswer::Garbage,
        }
    }
}

impl BackendAnswer {
    /// Whether the application is there: it has said something, whatever it was.
    pub(super) const fn is_from_there(&self) -> bool {
        matches!(self, Self::Said(_) | Self::Garbage)
    }

    /// Whether the same request may have more luck: no answer came, or the application's proxy had
    /// none (RFC 9110, 15.6.3 to 15.6.5).
    pub(super) fn is_worth_another(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Failing(status) => matches!(status.as_u16(), 502..=504),
            Self::Said(_) | Self::Garbage => false,
        }
    }

    pub(super) fn words(self) -> Option<Box<HookWords>> {
        match self {
            Self::Said(words) => Some(words),
            Self::Garbage | Self::Failing(_) | Self::Nothing => None,
        }
    }
}

impl fmt::Debug for BackendClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key is told to nobody.
        write!(f, "BackendClient({})", self.url)
    }
}
