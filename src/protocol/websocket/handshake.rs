//! The opening handshake: HTTP becomes WebSocket, seen from either side (RFC 6455, 4).

use super::deflate::{self, Agreement, ContextTakeover, Terms};
use crate::protocol::Fault;
use crate::protocol::http::headers::trim;
use crate::protocol::http::{BodyLength, Request, Response, merged};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tungstenite::handshake::derive_accept_key;

/// Whose pages may connect (RFC 6455, 10.2). A client that is no browser sends no `Origin`, or
/// any it likes: this protects users of browsers, not the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginPolicy {
    /// Anyone's: nothing here is authenticated by cookies.
    Any,
    /// Those of these origins, compared without case, and clients that send none.
    Only(Vec<String>),
}

/// A request that may be answered with 101.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted<'a> {
    /// `Sec-WebSocket-Key` as sent: 24 characters.
    pub key: &'a str,
    /// The subprotocol agreed on: the client's most wanted that the server has.
    pub subprotocol: Option<&'a str>,
    /// What is agreed on about permessage-deflate, if it is. [`accept`] leaves it out.
    pub deflate: Option<Agreement>,
}

/// Whether a request asks to become a WebSocket.
#[must_use]
pub fn is_upgrade(request: &Request<'_>) -> bool {
    request.headers.has_token("upgrade", "websocket")
}

/// The server's side of the handshake: all of RFC 6455, 4.2.1.
///
/// # Errors
/// [`Fault::Http`]: 405 for a method but GET; 426 for a request that does not ask for a WebSocket
/// or asks for another version, to be answered with `Sec-WebSocket-Version: 13`, `Upgrade:
/// websocket` and `Connection: Upgrade`; 403 for an origin that is not allowed; 400 for the rest.
pub fn accept<'a>(
    request: &Request<'a>,
    subprotocols: &[String],
    origins: &OriginPolicy,
) -> Result<Accepted<'a>, Fault> {
    let headers = &request.headers;
    if request.method != "GET" {
        return refuse(405, "a WebSocket is opened with GET");
    }
    if request.minor_version == 0 {
        return refuse(400, "a WebSocket needs HTTP/1.1");
    }
    if !is_upgrade(request) {
        return refuse(426, "this is a WebSocket");
    }
    if !headers.has_token("connection", "upgrade") {
        return refuse(400, "no Connection: Upgrade");
    }
    // Bytes of a body could be taken for frames by one side and not by the other.
    if !matches!(request.body, BodyLength::None | BodyLength::Known(0)) {
        return refuse(400, "an upgrade with a body");
    }
    match headers.single("sec-websocket-version") {
        Ok(Some(b"13")) => {}
        Ok(Some(version)) if version.iter().all(u8::is_ascii_digit) => {
            return refuse(426, "another version than 13");
        }
        _ => return refuse(400, "no single Sec-WebSocket-Version"),
    }
    let key = match headers.single("sec-websocket-key") {
        Ok(Some(key)) if is_key(key) => key,
        _ => return refuse(400, "no single Sec-WebSocket-Key of 16 bytes"),
    };
    match headers.single("origin") {
        Ok(origin) if is_allowed(origin, origins) => {}
        Ok(_) => return refuse(403, "this origin is not allowed"),
        Err(_) => return refuse(400, "several Origin fields"),
    }
    let Ok(key) = std::str::from_utf8(key) else {
        return refuse(400, "no single Sec-WebSocket-Key of 16 bytes");
    };
    Ok(Accepted {
        key,
        subprotocol: agree(request, subprotocols)?,
        deflate: None,
    })
}

impl Accepted<'_> {
    /// Agrees to permessage-deflate, if the request offers what can be kept (RFC 7692, 5.1).
    #[must_use]
    pub fn deflating(self, request: &Request<'_>, terms: Terms) -> Self {
        let deflate = deflate::agree(request.headers.values("sec-websocket-extensions"), terms);
        Self { deflate, ..self }
    }

    /// What is agreed on about permessage-deflate, if anything is.
    #[must_use]
    pub const fn agreement(&self) -> Option<Agreement> {
        self.deflate
    }

    /// Appends the answer, 101 (RFC 6455, 4.2.2).
    pub fn encode(&self, into: &mut Vec<u8>) {
        let accept = derive_accept_key(self.key.as_bytes());
        let extension = self.deflate.map(|deflate| deflate.answer());
        let mut fields = [("", ""); 5];
        let agreed = [
            Some(("Upgrade", "websocket")),
            Some(("Connection", "Upgrade")),
            Some(("Sec-WebSocket-Accept", accept.as_str())),
            self.subprotocol
                .map(|name| ("Sec-WebSocket-Protocol", name)),
            extension.as_deref().map(|answer| (EXTENSIONS, answer)),
        ];
        let mut count = 0;
        for (place, field) in fields.iter_mut().zip(agreed.into_iter().flatten()) {
            *place = field;
            count += 1;
        }
        Response::encode(into, 101, fields.get(..count).unwrap_or_default(), None);
    }
}

/// The client's side of the handshake: one key for one attempt.
#[derive(Clone, Debug)]
pub struct ClientHandshake {
    key: [u8; KEY_LEN],
}

/// The field that offers and agrees on extensions.
pub const EXTENSIONS: &str = "Sec-WebSocket-Extensions";
/// 16 bytes in base64.
const KEY_LEN: usize = 24;

impl ClientHandshake {
    /// A handshake with that nonce; it must be random and new for each attempt (RFC 6455, 4.1).
    #[must_use]
    pub fn new(nonce: [u8; 16]) -> Self {
        let mut key = [0; KEY_LEN];
        let written = STANDARD.encode_slice(nonce, &mut key);
        debug_assert_eq!(written, Ok(KEY_LEN));
        Self { key }
    }

    /// Appends the request: the fields that RFC 6455, 4.1 demands, the subprotocols in order of
    /// preference, and the user's own.
    pub fn encode(&self, into: &mut Vec<u8>, offer: &Offer<'_>) {
        let subprotocols = offer.subprotocols.join(", ");
        let deflate = offer.deflate.map(deflate::offer);
        let mut fields = vec![
            ("Host", offer.host),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            (
                "Sec-WebSocket-Key",
                std::str::from_utf8(&self.key).unwrap_or_default(),
            ),
        ];
        if !subprotocols.is_empty() {
            fields.push(("Sec-WebSocket-Protocol", &subprotocols));
        }
        if let Some(deflate) = &deflate {
            fields.push((EXTENSIONS, deflate));
        }
        Request::encode(into, "GET", offer.target, &merged(&fields, offer.headers));
    }

    /// Whether the answer to a request with that offer opens the WebSocket, and what it agrees to
    /// of permessage-deflate.
    ///
    /// # Errors
    /// [`Fault::Response`] if it does not: another status than 101, any of RFC 6455, 4.1 that
    /// does not hold, an extension that was offered and is not agreed on.
    pub fn verify(
        &self,
        response: &Response<'_>,
        offer: &Offer<'_>,
    ) -> Result<Option<Agreement>, Fault> {
        self.verify_upgrade(response, offer)?;
        let mut extensions = response.headers.values("sec-websocket-extensions");
        let reason = match offer.deflate {
            Some(takeover) => match deflate::agreed(extensions, takeover) {
                Ok(Some(agreement)) => return Ok(Some(agreement)),
                Ok(None) => "the server does not agree to permessage-deflate",
                Err(reason) => reason,
            },
            // RFC 6455, 4.1: what was not offered must not be agreed on.
            None if extensions.all(<[u8]>::is_empty) => return Ok(None),
            None if offer.given(EXTENSIONS).next().is_some() => {
                "101 with an extension that only the user offered"
            }
            None => "101 with an extension that was not offered",
        };
        Err(Fault::Response { reason })
    }

    fn verify_upgrade(&self, response: &Response<'_>, offer: &Offer<'_>) -> Result<(), Fault> {
        let headers = &response.headers;
        let refuse = |reason| Err(Fault::Response { reason });
        if response.status != 101 {
            return refuse("another status than 101");
        }
        if !headers.has_token("upgrade", "websocket") {
            return refuse("101 without Upgrade: websocket");
        }
        if !headers.has_token("connection", "upgrade") {
            return refuse("101 without Connection: Upgrade");
        }
        let given = offer.given("Sec-WebSocket-Key").next();
        let accept = derive_accept_key(given.map_or(&self.key, str::as_bytes));
        match headers.single("sec-websocket-accept") {
            Ok(Some(found)) if found == accept.as_bytes() => {}
            _ => return refuse("101 with another key's Sec-WebSocket-Accept"),
        }
        match headers.single("sec-websocket-protocol") {
            Ok(None) => Ok(()),
            Ok(Some(agreed)) if offer.has_subprotocol(agreed) => Ok(()),
            _ => refuse("101 with a subprotocol that was not offered"),
        }
    }
}

/// What a client asks for with its handshake.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// The Host header.
    pub host: &'a str,
    /// The request target.
    pub target: &'a str,
    /// The user's own fields: each replaces ours of its name, and counts as what was offered.
    pub headers: &'a [(&'a str, &'a str)],
    /// Subprotocols, best first.
    pub subprotocols: &'a [String],
    /// If permessage-deflate is offered, and has to be agreed to: with [`deflate::offer`].
    pub deflate: Option<ContextTakeover>,
}

impl<'a> Offer<'a> {
    /// What the user gave for a field.
    fn given(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let of_name = |(other, _): &&(&str, &str)| other.eq_ignore_ascii_case(name);
        self.headers.iter().filter(of_name).map(|(_, value)| *value)
    }

    /// Whether that subprotocol was offered.
    fn has_subprotocol(&self, agreed: &[u8]) -> bool {
        let mut given = self.given("Sec-WebSocket-Protocol").peekable();
        if given.peek().is_none() {
            return self
                .subprotocols
                .iter()
                .any(|name| name.as_bytes() == agreed);
        }
        let mut names = given.flat_map(|list| list.as_bytes().split(|byte| *byte == b','));
        names.any(|name| trim(name) == agreed)
    }
}

fn refuse<T>(status: u16, reason: &'static str) -> Result<T, Fault> {
    Err(Fault::Http { status, reason })
}

/// RFC 6455, 4.2.1: a base64 value of 16 bytes: 22 characters and two of padding.
fn is_key(key: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == KEY_LEN
        && key
            .strip_suffix(b"==")
            .is_some_and(|key| key.iter().all(is_digit))
}

fn is_allowed(origin: Option<&[u8]>, origins: &OriginPolicy) -> bool {
    match (origins, origin) {
        (OriginPolicy::Any, _) | (OriginPolicy::Only(_), None) => true,
        (OriginPolicy::Only(allowed), Some(origin)) => allowed
            .iter()
            .any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(origin)),
    }
}

/// The first subprotocol offered that the server has (RFC 6455, 4.2.2).
fn agree<'a>(request: &Request<'a>, known: &[String]) -> Result<Option<&'a str>, Fault> {
    let mut agreed = None;
    for list in request.headers.values("sec-websocket-protocol") {
        // RFC 9110, 5.6.1.2: empty members of a list are ignored; but RFC 6455, 4.3 wants one that
        // is not.
        let names = list.split(|byte| *byte == b',').map(trim);
        if names.clone().all(<[u8]>::is_empty) {
            return refuse(400, "an empty Sec-WebSocket-Protocol");
        }
        for name in names.filter(|name| !name.is_empty()) {
            // RFC 6455, 4.1: each one is a token.
            let Some(name) = token(name) else {
                return refuse(400, "a malformed Sec-WebSocket-Protocol");
            };
            if agreed.is_none() && known.iter().any(|known| known == name) {
                agreed = Some(name);
            }
        }
    }
    Ok(agreed)
}

/// A token of RFC 9110, 5.6.2.
fn token(name: &[u8]) -> Option<&str> {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let name = (!name.is_empty() && name.iter().all(is_token)).then_some(name)?;
    std::str::from_utf8(name).ok()
}

#[cfg(test)]
#[path = "handshake_tests.rs"]
mod tests;
