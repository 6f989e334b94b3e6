//! The header fields of one head, borrowed from it, and what they say of the body's length.

use super::BodyLength;
use crate::limits;
use crate::protocol::Fault;

/// Header fields in the order they came: on the stack up to [`limits::HEAD_FIELDS`], and of a
/// response that has more, up to [`limits::RESPONSE_FIELDS`] on the heap.
///
/// Names are compared without regard to case; values come without the white space around them.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    fields: [httparse::Header<'a>; limits::HEAD_FIELDS],
    count: usize,
    many: Vec<httparse::Header<'a>>,
}

impl<'a> Headers<'a> {
    pub(super) const EMPTY: Self = Self {
        fields: [httparse::EMPTY_HEADER; limits::HEAD_FIELDS],
        count: 0,
        many: Vec::new(),
    };

    /// Those fields, which are more than have room on the stack.
    pub(super) fn of_many(many: Vec<httparse::Header<'a>>) -> Self {
        Self {
            many,
            ..Self::EMPTY
        }
    }

    /// Where `httparse` puts the fields; [`Headers::set_count`] follows.
    pub(super) const fn slots(&mut self) -> &mut [httparse::Header<'a>] {
        &mut self.fields
    }

    pub(super) const fn set_count(&mut self, count: usize) {
        self.count = count;
    }

    /// The first field of that name, if its value is UTF-8.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        std::str::from_utf8(self.values(name).next()?).ok()
    }

    /// The fields of that name whose values are UTF-8, in order.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.values(name)
            .filter_map(|value| std::str::from_utf8(value).ok())
    }

    /// Whether the comma-separated lists of that name hold the token, in any case
    /// (RFC 9110, 5.6.1).
    #[must_use]
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.values(name)
            .flat_map(|value| value.split(|&byte| byte == b','))
            .any(|member| trim(member).eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Every field: its name as sent and its value.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.fields
            .iter()
            .take(self.count)
            .chain(&self.many)
            .map(|field| (field.name, trim(field.value)))
    }

    /// The values of that name, in order, UTF-8 or not.
    pub(in crate::protocol) fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.iter()
            .filter(move |(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The one value of that name: `Ok(None)` if there is none, `Err` if there are several.
    pub(in crate::protocol) fn single(&self, name: &str) -> Result<Option<&'a [u8]>, Several> {
        let mut values = self.values(name);
        let first = values.next();
        if values.next().is_some() {
            Err(Several)
        } else {
            Ok(first)
        }
    }

    /// Whether the connection can take another message (RFC 9112, 9.3).
    pub(super) fn keep_alive(&self, minor_version: u8) -> bool {
        if minor_version == 0 {
            return self.has_token("connection", "keep-alive")
                && !self.has_token("connection", "close");
        }
        !self.has_token("connection", "close")
    }

    /// What the head declares of the body's length, `None` if nothing (RFC 9112, 6).
    ///
    /// # Errors
    /// [`Fault::Http`] 400 where two readings are possible, 501 for a coding other than chunked.
    pub(super) fn body_length(&self, minor_version: u8) -> Result<Option<BodyLength>, Fault> {
        let length = self.content_length()?;
        let mut codings = self.values("transfer-encoding");
        let Some(coding) = codings.next() else {
            return Ok(length.map(BodyLength::Known));
        };
        // RFC 9112, 6.1: a sender must not send both; with both, someone on the way may have been
        // deceived. The same for a coding in HTTP/1.0, which has none.
        if length.is_some() {
            return bad("both Transfer-Encoding and Content-Length");
        }
        if minor_version == 0 {
            return bad("Transfer-Encoding in HTTP/1.0");
        }
        if codings.next().is_some() {
            return bad("several Transfer-Encoding fields");
        }
        if !coding.eq_ignore_ascii_case(b"chunked") {
            // RFC 9112, 6.1: a coding that is not understood gets 501.
            return Err(Fault::Http {
                status: 501,
                reason: "a transfer coding but chunked",
            });
        }
        Ok(Some(BodyLength::Chunked))
    }

    /// The same of a response. `identity` says nothing: RFC 9112 has it no longer, but RFC 2616,
    /// 4.4 read it so, and servers still send it.
    pub(super) fn response_body_length(
        &self,
        minor_version: u8,
    ) -> Result<Option<BodyLength>, Fault> {
        let mut codings = self.values("transfer-encoding").peekable();
        let is_plain = |coding: &[u8]| coding.eq_ignore_ascii_case(b"identity");
        if codings.peek().is_some() && codings.all(is_plain) {
            return Ok(self.content_length()?.map(BodyLength::Known));
        }
        self.body_length(minor_version)
    }

    fn content_length(&self) -> Result<Option<u64>, Fault> {
        let mut length = None;
        for value in self.values("content-length") {
            let Some(next) = digits(value) else {
                return bad("a Content-Length that is not a number");
            };
            // RFC 9110, 8.6: the same value twice may be taken for one; different ones never.
            if length.is_some_and(|earlier| earlier != next) {
                return bad("several different Content-Length fields");
            }
            length = Some(next);
        }
        Ok(length)
    }
}

/// More than one field where there may be one.
#[derive(Clone, Copy, Debug)]
pub(in crate::protocol) struct Several;

/// What `httparse` says against a head, with the status it deserves.
pub(super) const fn refused(error: httparse::Error) -> Fault {
    let (status, reason) = match error {
        httparse::Error::HeaderName => (400, "a malformed header name"),
        httparse::Error::HeaderValue => (400, "a malformed header value"),
        httparse::Error::NewLine => (400, "a malformed line end"),
        httparse::Error::Status => (400, "a malformed status"),
        httparse::Error::Token => (400, "a malformed request line"),
        httparse::Error::TooManyHeaders => (431, "too many header fields"),
        httparse::Error::Version => (505, "an HTTP version but 1.0 and 1.1"),
    };
    Fault::Http { status, reason }
}

/// Strips the empty line that may precede a head, and refuses what `httparse` would forgive.
///
/// # Errors
/// [`Fault::Http`] 400 for a line end that is not CRLF, and for a second empty line before.
pub(super) fn strict(head: &[u8]) -> Result<&[u8], Fault> {
    let head = head.strip_prefix(b"\r\n").unwrap_or(head);
    if matches!(head.first(), Some(b'\r' | b'\n')) {
        return bad("empty lines before the head");
    }
    let mut previous = 0;
    for newline in memchr::memchr_iter(b'\n', head) {
        // RFC 9112, 2.2: a recipient may take a bare LF for a line end, so two of them may
        // disagree on where the head ends.
        if !head
            .get(previous..newline)
            .is_some_and(|line| line.ends_with(b"\r"))
        {
            return bad("a line that ends in a bare LF");
        }
        previous = newline + 1;
    }
    Ok(head)
}

pub(super) fn bad<T>(reason: &'static str) -> Result<T, Fault> {
    Err(Fault::Http {
        status: 400,
        reason,
    })
}

/// A decimal number without sign, space or overflow (RFC 9110, 8.6: `1*DIGIT`).
fn digits(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Without optional white space around (RFC 9110, 5.6.3).
pub(in crate::protocol) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}
