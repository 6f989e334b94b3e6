//! Reads and writes the head of an HTTP/1.1 request (RFC 9112, 3).

use super::headers::{self, bad};
use super::{BodyLength, Headers};
use crate::protocol::Fault;

/// The head of a request, borrowed from the bytes it was parsed from.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The method, in the case it was sent in; methods are case-sensitive.
    pub method: &'a str,
    /// The request target as sent: `/path?query`, `http://host/path`, `*` or `host:port`.
    pub target: &'a str,
    /// 0 or 1, of HTTP/1.x.
    pub minor_version: u8,
    /// The header fields.
    pub headers: Headers<'a>,
    /// How long the body is; never [`BodyLength::UntilEnd`].
    pub body: BodyLength,
    /// Whether the client wants to send another request on this connection.
    pub keep_alive: bool,
}

impl<'a> Request<'a> {
    /// Parses a whole head, as [`super::HeadReader`] gives it.
    ///
    /// # Errors
    /// [`Fault::Http`]: 400 for whatever breaks RFC 9112 or can be read in two ways (a bare CR or
    /// LF, a folded line, a NUL, a missing or second `Host`, doubtful body lengths), 431 for too
    /// many fields, 501 for an unknown transfer coding, 505 for another version.
    pub fn parse(head: &'a [u8]) -> Result<Self, Fault> {
        let head = headers::strict(head)?;
        let mut headers = Headers::EMPTY;
        let mut parsed = httparse::Request::new(headers.slots());
        let status = parsed.parse(head).map_err(|error| refused(error, head))?;
        let (Some(method), Some(target), Some(minor_version)) =
            (parsed.method, parsed.path, parsed.version)
        else {
            return bad("an incomplete head");
        };
        if status != httparse::Status::Complete(head.len()) {
            return bad("an incomplete head");
        }
        let count = parsed.headers.len();
        headers.set_count(count);
        check_target(method, target)?;
        check_host(&headers, minor_version)?;
        let body = headers
            .body_length(minor_version)?
            .unwrap_or(BodyLength::None);
        let keep_alive = headers.keep_alive(minor_version);
        Ok(Self {
            method,
            target,
            minor_version,
            headers,
            body,
            keep_alive,
        })
    }

    /// The target's path: `/` if it has none, the target itself if it is `*` or `host:port`.
    #[must_use]
    pub fn path(&self) -> &'a str {
        let resource = resource(self.target);
        match resource.split_once('?') {
            Some(("", _)) => "/",
            Some((path, _)) => path,
            None if resource.is_empty() => "/",
            None => resource,
        }
    }

    /// What follows the first `?` of the target.
    #[must_use]
    pub fn query(&self) -> Option<&'a str> {
        resource(self.target)
            .split_once('?')
            .map(|(_, query)| query)
    }

    /// Appends a request head: request line, these fields in order, the empty line.
    ///
    /// Method, target, names and values are the caller's: no CR, LF or NUL in them.
    pub fn encode(into: &mut Vec<u8>, method: &str, target: &str, headers: &[(&str, &str)]) {
        debug_assert!(
            !method.contains(['\r', '\n', '\0', ' ']),
            "{method:?} is no method"
        );
        debug_assert!(
            !target.contains(['\r', '\n', '\0', ' ']),
            "{target:?} is no target"
        );
        for part in [method, " ", target, " HTTP/1.1\r\n"] {
            into.extend_from_slice(part.as_bytes());
        }
        encode_fields(into, headers);
        into.extend_from_slice(b"\r\n");
    }
}

/// What `httparse` says against a request. Its `Version` is anything that is not HTTP/1.0 or 1.1:
/// 505 is for what is a version, 400 for what is none.
fn refused(error: httparse::Error, head: &[u8]) -> Fault {
    let mut parts = head.split(|byte| matches!(byte, b' ' | b'\r'));
    let version = parts.nth(2).unwrap_or_default();
    let is_version = matches!(
        version,
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9']
    );
    match error {
        httparse::Error::Version if !is_version => headers::refused(httparse::Error::Token),
        _ => headers::refused(error),
    }
}

/// Appends `Name: value` lines.
pub(super) fn encode_fields(into: &mut Vec<u8>, headers: &[(&str, &str)]) {
    for (name, value) in headers {
        debug_assert!(
            !name.contains(['\r', '\n', '\0', ':', ' ']),
            "{name:?} is no field name"
        );
        debug_assert!(
            !value.contains(['\r', '\n', '\0']),
            "{value:?} is no field value"
        );
        for part in [name, ": ", value, "\r\n"] {
            into.extend_from_slice(part.as_bytes());
        }
    }
}

/// The target without scheme and authority: RFC 9112, 3.2.2 makes servers take both forms.
fn resource(target: &str) -> &str {
    if target.starts_with('/') {
        return target;
    }
    match target.split_once("://") {
        Some((_, rest)) => rest
            .find(['/', '?'])
            .and_then(|at| rest.get(at..))
            .unwrap_or(""),
        None => target,
    }
}

/// RFC 9112, 3.2: the four forms of a target. No form has a fragment or a byte beyond ASCII.
fn check_target(method: &str, target: &str) -> Result<(), Fault> {
    let absolute = || {
        let scheme = target.split_once("://").map(|(scheme, _)| scheme);
        scheme.is_some_and(|scheme| {
            ["http", "https", "ws", "wss"]
                .iter()
                .any(|known| scheme.eq_ignore_ascii_case(known))
        })
    };
    let known = target.starts_with('/')
        || (target == "*" && method == "OPTIONS")
        || method == "CONNECT"
        || absolute();
    if !known || !target.is_ascii() || target.contains('#') {
        return bad("a malformed request target");
    }
    Ok(())
}

/// RFC 9112, 3.2: 400 to a request without `Host`, with several, or with an invalid one.
fn check_host(headers: &Headers<'_>, minor_version: u8) -> Result<(), Fault> {
    match headers.single("host") {
        Err(headers::Several) => bad("several Host fields"),
        Ok(None) if minor_version == 0 => Ok(()),
        Ok(None) => bad("no Host field"),
        Ok(Some(host)) if host.iter().all(|byte| is_host_byte(*byte)) => Ok(()),
        Ok(Some(_)) => bad("a malformed Host field"),
    }
}

/// What a host, a port and the brackets of an IPv6 address consist of (RFC 3986, 3.2.2).
const fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'%'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b':'
                | b'['
                | b']'
        )
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
