//! Writes frames and their headers (RFC 6455, 5.2).

use super::mask;
use crate::limits;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of a message.
    Continuation = 0x0,
    /// A text message, or its first fragment.
    Text = 0x1,
    /// A binary message, or its first fragment.
    Binary = 0x2,
    /// The sender closes.
    Close = 0x8,
    /// Wants a pong with the same payload.
    Ping = 0x9,
    /// Answers a ping, or comes unasked.
    Pong = 0xa,
}

impl Opcode {
    /// Whether it is close, ping or pong: at most 125 bytes, never in fragments (RFC 6455, 5.5).
    #[must_use]
    #[inline]
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    /// The opcode of these four bits, if they are assigned.
    #[inline]
    pub(super) const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0x0 => Some(Self::Continuation),
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xa => Some(Self::Pong),
            _ => None,
        }
    }
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8, which has been checked.
    Text,
    /// Any bytes.
    Binary,
}

impl Kind {
    /// The opcode to send such a message with.
    #[must_use]
    #[inline]
    pub const fn opcode(self) -> Opcode {
        match self {
            Self::Text => Opcode::Text,
            Self::Binary => Opcode::Binary,
        }
    }
}

/// What both sides have agreed on beyond RFC 6455.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// Nothing.
    None,
    /// permessage-deflate without context takeover (RFC 7692; [`super::deflate`]).
    Deflate,
    /// The same, and the client has a window of 512 bytes at least, and not the usual one.
    DeflateNarrow,
    /// permessage-deflate where this side keeps what it said, for the messages that follow.
    DeflateTakeover,
}

/// Whose decoder it is: clients mask what they send, servers do not (RFC 6455, 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Demands masked frames.
    Server,
    /// Demands unmasked frames.
    Client,
}

/// Whether more fragments of the message follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fin {
    /// This is the last fragment, or the whole message.
    Last,
    /// Others follow.
    More,
}

/// An encoded frame header: 2 to 14 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    bytes: [u8; HEADER_BYTES],
    len: u8,
}

/// The longest header: 2 bytes, 8 of length, 4 of key.
pub const HEADER_BYTES: usize = 14;

impl Header {
    /// The bytes to send before the payload.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The same for a message whose payload is deflated (RFC 7692, 6: RSV1 on its first frame).
    #[must_use]
    pub const fn deflated(mut self) -> Self {
        let [first, ..] = &mut self.bytes;
        debug_assert!(*first & 0x0f < 8, "RFC 7692, 6.1: never on a control frame");
        *first |= 0x40;
        self
    }
}

/// The header of a whole message or control frame of `payload_len` bytes.
///
/// With a mask the payload that follows must have gone through [`mask::apply`] with that key.
/// A client always masks, a server never does (RFC 6455, 5.3).
#[must_use]
#[inline]
pub const fn header(opcode: Opcode, payload_len: usize, mask: Option<[u8; 4]>) -> Header {
    fragment_header(opcode, Fin::Last, payload_len, mask)
}

/// The header of a frame that may be a fragment: the first of a message has the message's opcode,
/// the others [`Opcode::Continuation`] (RFC 6455, 5.4).
#[must_use]
#[inline]
pub const fn fragment_header(
    opcode: Opcode,
    fin: Fin,
    payload_len: usize,
    mask: Option<[u8; 4]>,
) -> Header {
    debug_assert!(
        !opcode.is_control() || (payload_len <= limits::CONTROL_BYTES && matches!(fin, Fin::Last)),
        "RFC 6455, 5.5: control frames are short and whole"
    );
    let first = opcode as u8 | if matches!(fin, Fin::Last) { 0x80 } else { 0 };
    let masked = if mask.is_some() { 0x80 } else { 0 };
    // RFC 6455, 5.2: the shortest form of the length, in network order.
    let [h, g, f, e, d, c, b, a] = (payload_len as u64).to_be_bytes();
    let [k, l, m, n] = match mask {
        Some(key) => key,
        None => [0; 4],
    };
    let (bytes, len) = if payload_len <= 125 {
        ([first, masked | a, k, l, m, n, 0, 0, 0, 0, 0, 0, 0, 0], 2)
    } else if payload_len <= 0xffff {
        ([first, masked | 126, b, a, k, l, m, n, 0, 0, 0, 0, 0, 0], 4)
    } else {
        (
            [first, masked | 127, h, g, f, e, d, c, b, a, k, l, m, n],
            10,
        )
    };
    Header {
        bytes,
        len: len + if mask.is_some() { 4 } else { 0 },
    }
}

/// Appends a whole frame: header and payload, masked if there is a key.
#[inline]
pub fn encode(into: &mut Vec<u8>, opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) {
    into.extend_from_slice(header(opcode, payload.len(), mask).as_bytes());
    let start = into.len();
    into.extend_from_slice(payload);
    if let (Some(key), Some(payload)) = (mask, into.get_mut(start..)) {
        mask::apply(payload, key, 0);
    }
}

/// Appends the payload of a close frame: the code and as much of the reason as fits, in whole
/// characters (RFC 6455, 5.5.1). A reply to a close frame without a code has an empty payload
/// and needs none of this.
pub fn close_payload(into: &mut Vec<u8>, code: u16, reason: &str) {
    let (code, reason) = close_parts(code, reason);
    into.extend_from_slice(&code);
    into.extend_from_slice(reason);
}

/// The same in its two parts, for a caller that sends parts.
#[must_use]
pub fn close_parts(code: u16, reason: &str) -> ([u8; 2], &[u8]) {
    debug_assert!(
        super::closing::may_be_received(code),
        "{code} may not be sent"
    );
    let end = reason.floor_char_boundary(limits::CONTROL_BYTES - size_of::<u16>());
    let reason = reason.get(..end).unwrap_or_default();
    (code.to_be_bytes(), reason.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc_are_encoded() {
        // RFC 6455, 5.7
        let mut hello = Vec::new();
        encode(&mut hello, Opcode::Text, b"Hello", None);
        assert_eq!(hello, [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
        hello.clear();
        encode(
            &mut hello,
            Opcode::Text,
            b"Hello",
            Some([0x37, 0xfa, 0x21, 0x3d]),
        );
        let masked = [
            0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
        ];
        assert_eq!(hello, masked);
        let first = fragment_header(Opcode::Text, Fin::More, 3, None);
        assert_eq!(first.as_bytes(), [0x01, 0x03]);
        let last = fragment_header(Opcode::Continuation, Fin::Last, 2, None);
        assert_eq!(last.as_bytes(), [0x80, 0x02]);
        assert_eq!(
            header(Opcode::Binary, 256, None).as_bytes(),
            [0x82, 0x7e, 0x01, 0x00]
        );
        let long = [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0];
        assert_eq!(header(Opcode::Binary, 65536, None).as_bytes(), long);
    }

    #[test]
    fn lengths_take_the_shortest_form() {
        // RFC 6455, 5.2
        for (payload, bytes) in [(0, 2), (125, 2), (126, 4), (65535, 4), (65536, 10)] {
            assert_eq!(
                header(Opcode::Binary, payload, None).as_bytes().len(),
                bytes
            );
            let masked = header(Opcode::Binary, payload, Some([1, 2, 3, 4]));
            assert_eq!(masked.as_bytes().len(), bytes + 4);
            assert_eq!(masked.as_bytes()[bytes..], [1, 2, 3, 4]);
        }
    }

    #[test]
    fn a_close_reason_is_cut_between_characters() {
        // RFC 6455, 5.5: at most 125 bytes; 5.5.1: UTF-8.
        let mut payload = Vec::new();
        close_payload(&mut payload, 1001, &"\u{20ac}".repeat(60));
        assert_eq!(payload.len(), 2 + 123);
        payload.clear();
        close_payload(&mut payload, 1001, &format!("x{}", "\u{20ac}".repeat(60)));
        assert_eq!(payload.len(), 2 + 1 + 120);
        assert_eq!(payload[..2], [0x03, 0xe9]);
        assert!(std::str::from_utf8(&payload[2..]).is_ok());
    }
}
