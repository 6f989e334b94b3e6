//! Reads and writes the head of an HTTP/1.1 response (RFC 9112, 4).

use super::request::encode_fields;
use super::{BodyLength, Headers, headers};
use crate::limits;
use crate::protocol::Fault;

/// The head of a response, borrowed from the bytes it was parsed from.
#[derive(Clone, Debug)]
pub struct Response<'a> {
    /// The status code, 100 to 999.
    pub status: u16,
    /// The reason phrase as sent; empty if there is none or it is not ASCII.
    pub reason: &'a str,
    /// 0 or 1, of HTTP/1.x.
    pub minor_version: u8,
    /// The header fields.
    pub headers: Headers<'a>,
    /// How long the body of a response to GET is.
    pub body: BodyLength,
    /// Whether the server takes another request on this connection.
    pub keep_alive: bool,
}

impl<'a> Response<'a> {
    /// Adds a field to a head without content that was just encoded.
    pub fn add_field(head: &mut Vec<u8>, (name, value): (&str, &str)) {
        debug_assert!(head.ends_with(b"\r\n\r\n"), "no head");
        head.truncate(head.len().saturating_sub(2));
        for part in [name, ": ", value, "\r\n\r\n"] {
            head.extend_from_slice(part.as_bytes());
        }
    }

    /// Parses a whole head, as [`super::HeadReader`] gives it.
    ///
    /// # Errors
    /// [`Fault::Response`] for whatever breaks RFC 9112 or can be read in two ways.
    pub fn parse(head: &'a [u8]) -> Result<Self, Fault> {
        Self::parse_head(head).map_err(|fault| match fault {
            Fault::Http { reason, .. } => Fault::Response { reason },
            Fault::WebSocket { .. } | Fault::Response { .. } => fault,
        })
    }

    fn parse_head(head: &'a [u8]) -> Result<Self, Fault> {
        let head = headers::strict(head)?;
        let mut headers = Headers::EMPTY;
        let line = match StatusLine::read(head, headers.slots()) {
            Ok((line, count)) => {
                headers.set_count(count);
                line
            }
            Err(httparse::Error::TooManyHeaders) => {
                let mut many = vec![httparse::EMPTY_HEADER; limits::RESPONSE_FIELDS];
                let read = StatusLine::read(head, &mut many);
                let (line, count) = read.map_err(headers::refused)?;
                many.truncate(count);
                headers = Headers::of_many(many);
                line
            }
            Err(error) => return Err(headers::refused(error)),
        };
        let StatusLine {
            status,
            reason,
            minor_version,
        } = line;
        if status < 100 {
            return headers::bad("a status below 100");
        }
        // RFC 9112, 6.3: these have no body, whatever they declare.
        let body = if matches!(status, 100..=199 | 204 | 304) {
            BodyLength::None
        } else {
            let declared = headers.response_body_length(minor_version)?;
            declared.unwrap_or(BodyLength::UntilEnd)
        };
        let keep_alive = body != BodyLength::UntilEnd && headers.keep_alive(minor_version);
        Ok(Self {
            status,
            reason,
            minor_version,
            headers,
            body,
            keep_alive,
        })
    }

    /// Appends a response: status line, these fields in order, and with a body its
    /// `Content-Length`, the empty line and the body. Without one, the empty line ends it.
    ///
    /// Names and values are the caller's: no CR, LF or NUL in them.
    pub fn encode(into: &mut Vec<u8>, status: u16, headers: &[(&str, &str)], body: Option<&[u8]>) {
        let mut digits = [0; 20];
        into.extend_from_slice(b"HTTP/1.1 ");
        into.extend_from_slice(decimal(u64::from(status), &mut digits));
        into.push(b' ');
        into.extend_from_slice(reason(status).as_bytes());
        into.extend_from_slice(b"\r\n");
        encode_fields(into, headers);
        if let Some(body) = body {
            into.extend_from_slice(b"Content-Length: ");
            into.extend_from_slice(decimal(body.len() as u64, &mut digits));
            into.extend_from_slice(b"\r\n");
        }
        into.extend_from_slice(b"\r\n");
        into.extend_from_slice(body.unwrap_or_default());
    }
}

/// The status of a whole head, alone: of a response to CONNECT, in which nothing frames a body, and
/// what seems to is ignored (RFC 9110, 9.3.6).
///
/// # Errors
/// [`Fault::Http`] for what is no head of a response.
pub fn status(head: &[u8]) -> Result<u16, Fault> {
    let head = headers::strict(head)?;
    let mut fields = vec![httparse::EMPTY_HEADER; limits::RESPONSE_FIELDS];
    let (line, _) = StatusLine::read(head, &mut fields).map_err(headers::refused)?;
    Ok(line.status)
}

/// What a response begins with.
struct StatusLine<'a> {
    status: u16,
    reason: &'a str,
    minor_version: u8,
}

impl<'a> StatusLine<'a> {
    /// Reads a whole head; the fields, of which there are so many, go to `slots`.
    fn read(
        head: &'a [u8],
        slots: &mut [httparse::Header<'a>],
    ) -> Result<(Self, usize), httparse::Error> {
        let mut parsed = httparse::Response::new(slots);
        let complete = parsed.parse(head)?;
        match (parsed.code, parsed.reason, parsed.version) {
            (Some(status), Some(reason), Some(minor_version))
                if complete == httparse::Status::Complete(head.len()) =>
            {
                let line = Self {
                    status,
                    reason,
                    minor_version,
                };
                Ok((line, parsed.headers.len()))
            }
            // A head that does not end where it should.
            _ => Err(httparse::Error::Token),
        }
    }
}

/// The usual phrase for a status (RFC 9110, 15); `Unknown` for one that this program never sends.
#[must_use]
pub const fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}

/// Writes a number in decimal without allocating; the digits are at the end of `digits`.
pub(in crate::protocol) fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut start = digits.len();
    for digit in digits.iter_mut().rev() {
        let last = (number % 10) as u8;
        *digit = b'0' + last;
        number /= 10;
        start -= 1;
        if number == 0 {
            break;
        }
    }
    digits.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_response_is_read() {
        let response = Response::parse(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n").unwrap();
        assert_eq!(
            (response.status, response.reason, response.minor_version),
            (200, "OK", 1)
        );
        assert_eq!(
            (response.body, response.keep_alive),
            (BodyLength::Known(2), true)
        );
    }

    #[test]
    fn a_body_of_undeclared_length_ends_with_the_connection() {
        // RFC 9112, 6.3
        for (head, body, keep_alive) in [
            ("HTTP/1.1 200 OK\r\n\r\n", BodyLength::UntilEnd, false),
            (
                "HTTP/1.1 101 X\r\nContent-Length: 5\r\n\r\n",
                BodyLength::None,
                true,
            ),
            (
                "HTTP/1.1 101 X\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
                BodyLength::None,
                true,
            ),
            (
                "HTTP/1.1 101 X\r\nContent-Length: x\r\nTransfer-Encoding: gzip\r\n\r\n",
                BodyLength::None,
                true,
            ),
            (
                "HTTP/1.1 200 X\r\nTransfer-Encoding: Identity\r\n\r\n",
                BodyLength::UntilEnd,
                false,
            ),
            (
                "HTTP/1.1 200 X\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n\r\n",
                BodyLength::Known(5),
                true,
            ),
            ("HTTP/1.1 204 X\r\n\r\n", BodyLength::None, true),
            (
                "HTTP/1.1 304 X\r\nTransfer-Encoding: chunked\r\n\r\n",
                BodyLength::None,
                true,
            ),
            (
                "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n",
                BodyLength::Chunked,
                true,
            ),
            (
                "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n",
                BodyLength::Known(5),
                false,
            ),
        ] {
            let response = Response::parse(head.as_bytes()).unwrap();
            assert_eq!(
                (response.body, response.keep_alive),
                (body, keep_alive),
                "{head:?}"
            );
        }
    }

    #[test]
    fn a_malformed_response_is_the_servers_fault() {
        for head in [
            "HTTP/1.1 099 X\r\n\r\n",
            "HTTP/1.1 20 X\r\n\r\n",
            "HTTP/1.1 2000 X\r\n\r\n",
            "HTTP/2 200 X\r\n\r\n",
            "HTTP/1.1  200 X\r\n\r\n",
            "HTTP/1.1 200 X\nA: b\r\n\r\n",
            "HTTP/1.1 200 X\r\nA: b\r\n c\r\n\r\n",
            "HTTP/1.1 200 X\r\nA : b\r\n\r\n",
            "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
            "HTTP/1.1 200 X\r\nContent-Length: 2\r\nContent-Length: 1\r\n\r\n",
            "HTTP/1.1 200 X\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 200 X\r\n",
            "",
        ] {
            let fault = Response::parse(head.as_bytes()).unwrap_err();
            assert!(
                matches!(fault, Fault::Response { .. }),
                "{head:?} gives {fault}"
            );
        }
    }

    #[test]
    fn a_response_may_have_more_fields_than_a_request() {
        for count in [0, 1, 63, 64, 65, 255, 256] {
            let head = format!("HTTP/1.1 101 X\r\n{}\r\n", "A: b\r\n".repeat(count));
            let response = Response::parse(head.as_bytes()).unwrap();
            assert_eq!(response.headers.iter().count(), count);
            assert_eq!(response.headers.get("a").is_some(), count > 0);
        }
        let head = format!("HTTP/1.1 101 X\r\n{}\r\n", "A: b\r\n".repeat(257));
        let fault = Response::parse(head.as_bytes()).unwrap_err();
        let reason = "too many header fields";
        assert_eq!(fault, Fault::Response { reason });
    }

    #[test]
    fn what_is_encoded_is_parsed_to_the_same() {
        let mut bytes = Vec::new();
        Response::encode(
            &mut bytes,
            426,
            &[("Sec-WebSocket-Version", "13")],
            Some(b"no\n"),
        );
        let expected = "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\n\
                        Content-Length: 3\r\n\r\nno\n";
        assert_eq!(std::str::from_utf8(&bytes), Ok(expected));
        let response = Response::parse(&bytes[..bytes.len() - 3]).unwrap();
        assert_eq!(
            (response.status, response.body),
            (426, BodyLength::Known(3))
        );
        bytes.clear();
        Response::encode(&mut bytes, 200, &[], None);
        assert_eq!(bytes, b"HTTP/1.1 200 OK\r\n\r\n");
    }

    #[test]
    fn numbers_are_written_as_the_standard_library_does() {
        for number in [0, 1, 9, 10, 12_345, u64::MAX] {
            assert_eq!(decimal(number, &mut [0; 20]), number.to_string().as_bytes());
        }
    }
}
