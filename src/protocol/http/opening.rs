//! Says at the first impossible byte that what arrives will never be the head of a request.

use crate::protocol::Fault;

/// Follows the head of a request byte by byte while it is incomplete (RFC 9112, 2.2, 3 and 5).
///
/// It takes every beginning of a head that [`super::Request::parse`] takes whole, so that a peer
/// with another protocol hears of it at once and not when its time is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opening {
    at: At,
}

/// Where in a head the next byte is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// Before everything: one empty line is allowed here.
    #[default]
    Start,
    /// In the empty line before the head.
    EmptyLine,
    /// At the first byte of the request line.
    RequestLine,
    Method,
    /// Behind the space after the method.
    Target,
    InTarget,
    /// In the version, at that byte of it.
    Version(u8),
    /// Behind the CR of a line; the line is the empty one that ends the head, or not.
    LineFeed {
        ends: bool,
    },
    /// At the first byte of a line of fields.
    Field,
    FieldName,
    FieldValue,
    /// Behind the head.
    End,
}

/// `HTTP/`, a digit, a dot, a digit, CR.
const VERSION: &[u8; 9] = b"HTTP/d.d\r";

impl Opening {
    /// Takes the next bytes of a head; what follows the head is not looked at.
    ///
    /// # Errors
    /// [`Fault::Http`] 400 at the first byte that no head has in its place.
    pub fn next(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        for &byte in bytes {
            if self.at == At::End {
                break;
            }
            match self.at.after(byte) {
                Some(at) => self.at = at,
                None => return Err(self.at.refused(byte)),
            }
        }
        Ok(())
    }
}

impl At {
    fn after(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::Start, b'\r') => Some(Self::EmptyLine),
            (Self::EmptyLine, b'\n') => Some(Self::RequestLine),
            (Self::Start | Self::RequestLine | Self::Method, byte) if is_token(byte) => {
                Some(Self::Method)
            }
            (Self::Method, b' ') => Some(Self::Target),
            (Self::Target | Self::InTarget, b'!'..=b'~') => Some(Self::InTarget),
            (Self::InTarget, b' ') => Some(Self::Version(0)),
            (Self::Version(at), byte) => version(at, byte),
            (Self::LineFeed { ends: false }, b'\n') => Some(Self::Field),
            (Self::LineFeed { ends: true }, b'\n') => Some(Self::End),
            (Self::Field, b'\r') => Some(Self::LineFeed { ends: true }),
            (Self::Field | Self::FieldName, byte) if is_token(byte) => Some(Self::FieldName),
            (Self::FieldName, b':') => Some(Self::FieldValue),
            (Self::FieldValue, b'\r') => Some(Self::LineFeed { ends: false }),
            // RFC 9110, 5.5: text, white space and what is beyond ASCII.
            (Self::FieldValue, b'\t' | b' '..=b'~' | 0x80..) => Some(Self::FieldValue),
            (Self::End, _) => Some(Self::End),
            _ => None,
        }
    }

    /// What the peer is told: its own protocol, where that can be seen.
    const fn refused(self, byte: u8) -> Fault {
        let reason = match (self, byte) {
            // RFC 8446, 5.1: the content type of a handshake record.
            (Self::Start, 0x16) => {
                "this port speaks plain HTTP, not TLS; try http:// or ws:// instead"
            }
            // RFC 6455, 5.2: the first byte of a frame.
            (Self::Start, 0x81 | 0x82) => "a WebSocket begins with an HTTP request",
            (Self::Start | Self::EmptyLine | Self::RequestLine | Self::Method, _)
            | (Self::Target | Self::InTarget | Self::Version(_), _) => "not an HTTP request",
            (Self::LineFeed { .. }, _) => "a malformed line end",
            (Self::Field | Self::FieldName, _) => "a malformed header name",
            (Self::FieldValue | Self::End, _) => "a malformed header value",
        };
        Fault::Http {
            status: 400,
            reason,
        }
    }
}

fn version(at: u8, byte: u8) -> Option<At> {
    let fits = match VERSION.get(usize::from(at))? {
        b'd' => byte.is_ascii_digit(),
        wanted => byte == *wanted,
    };
    match byte {
        _ if !fits => None,
        b'\r' => Some(At::LineFeed { ends: false }),
        _ => Some(At::Version(at + 1)),
    }
}

/// RFC 9110, 5.6.2.
const fn is_token(byte: u8) -> bool {
    matches!(byte,
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.'
        | b'^'..=b'`' | b'|' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::http::Request;
    use proptest::prelude::*;

    fn refused_at(bytes: &[u8]) -> Option<usize> {
        let mut opening = Opening::default();
        bytes
            .iter()
            .position(|byte| opening.next(&[*byte]).is_err())
    }

    #[test]
    fn another_protocol_is_refused_at_its_first_impossible_byte() {
        // RFC 9112, 3: a request line is a method, a target and a version.
        for (bytes, at) in [
            (&b"\x16\x03\x01\x02\x00\x01"[..], 0),
            (b"\0", 0),
            (b"\x81\x85abcd", 0),
            (b"\x80\x2e\x01\x03\x01", 0),
            (b" GET", 0),
            (b"\n", 0),
            (b"\r\n\r\n", 2),
            (b"SSH-2.0-OpenSSH_9.2p1\r\n", 21),
            (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", 30),
            (b"GET  /", 4),
            (b"GET /\r\n", 5),
            (b"GET / HTTX", 9),
            (b"GET / HTTP/1.1\n", 14),
            (b"GET / HTTP/1.1\r\n folded", 16),
            (b"GET / HTTP/1.1\r\nA : b", 17),
            (b"GET / HTTP/1.1\r\nA: \0", 19),
            (b"GET / HTTP/1.1\r\nA: b\n", 20),
            (b"GET / HTTP/1.1\r\nA\r\n", 17),
        ] {
            assert_eq!(refused_at(bytes), Some(at), "{:?}", bytes.escape_ascii());
        }
    }

    #[test]
    fn every_byte_that_a_place_may_have_is_taken_there_and_no_other() {
        // RFC 9110, 5.6.2 (token) and 5.5 (field-content); RFC 9112, 3.2 (a target has no space).
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let is_value = |byte: u8| !matches!(byte, 0..=8 | 10..=31 | 127) || byte == b'\r';
        for byte in 0..=u8::MAX {
            for (before, is_taken) in [
                (&b"G"[..], is_token(byte) || byte == b' '),
                (b"GET /", matches!(byte, b' '..=b'~')),
                (b"GET / HTTP/1.1\r\nA", is_token(byte) || byte == b':'),
                (b"GET / HTTP/1.1\r\nA: ", is_value(byte)),
            ] {
                let refused = refused_at(&[before, &[byte]].concat());
                let wanted = (!is_taken).then_some(before.len());
                assert_eq!(refused, wanted, "{byte} behind {}", before.escape_ascii());
            }
        }
    }

    #[test]
    fn a_tls_hello_hears_that_this_port_speaks_plain_http() {
        let fault = Opening::default().next(&[0x16, 3, 1]).unwrap_err();
        assert!(fault.to_string().contains("plain HTTP, not TLS"), "{fault}");
    }

    #[test]
    fn every_beginning_of_a_head_is_taken_and_what_follows_it_left_alone() {
        for head in [
            &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            b"\r\nGET /a?b=c HTTP/1.1\r\nHost:a\r\nX: \xe4\tb \r\nY:\r\n\r\n",
            b"OPTIONS * HTTP/1.0\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\n",
            b"M-SEARCH http://a/b HTTP/9.9\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n\0\x16\xff",
        ] {
            assert_eq!(refused_at(head), None, "{:?}", head.escape_ascii());
        }
    }

    /// What heads, and almost heads, are made of.
    const PARTS: &[&[u8]] = &[
        b"GET",
        b" ",
        b"/",
        b"HTTP/1.1",
        b"\r\n",
        b"\r\n",
        b"Host",
        b":",
        b"a",
        b"\t",
        b"\0",
        b"\xff",
        b"\n",
        b"\r",
        b"*",
        b"Host: a\r\n",
        b"GET / HTTP/1.1\r\n",
        b"\"",
    ];

    proptest! {
        #[test]
        fn what_parses_is_never_refused(
            parts in prop::collection::vec(prop::sample::select(PARTS), 0..12),
        ) {
            let mut head = parts.concat();
            head.extend_from_slice(b"\r\n\r\n");
            for (start, whole) in [(&b""[..], &head), (b"GET / HTTP/1.1\r\nHost: a\r\n", &head)] {
                let whole = [start, whole].concat();
                let end = whole.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
                let whole = &whole[..end.unwrap_or(whole.len())];
                if Request::parse(whole).is_ok() {
                    prop_assert_eq!(refused_at(whole), None, "{:?}", whole.escape_ascii());
                }
            }
        }
    }
}
