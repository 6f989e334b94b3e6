//! Reads one frame header, as far as its bytes have come (RFC 6455, 5.2).

use super::frame::{Extension, Opcode, Role};
use super::mask;
use super::{TOO_BIG, broken};
use crate::limits;
use crate::protocol::Fault;

/// A frame's header, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) opcode: Opcode,
    pub(super) is_last: bool,
    /// RSV1: the message that begins here is deflated (RFC 7692, 6).
    pub(super) is_deflated: bool,
    /// Bytes of payload: within what [`Expected`] allows.
    pub(super) payload: usize,
    /// Zero in an unmasked frame, which then changes nothing.
    pub(super) key: [u8; 4],
    /// Bytes of this header.
    pub(super) size: usize,
}

/// What the next header has to keep to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    pub(super) role: Role,
    /// Whether fragments of a message came and its last did not.
    pub(super) in_message: bool,
    pub(super) extension: Extension,
    /// Bytes of payload that a data frame may still bring.
    pub(super) room: usize,
}

impl Head {
    /// The header that `bytes` begin with; `None` if there is more of it to come. Each rule is
    /// applied as soon as the byte that breaks it is there.
    pub(super) fn parse(bytes: &[u8], expected: Expected) -> Result<Option<Self>, Fault> {
        let [first, rest @ ..] = bytes else {
            return Ok(None);
        };
        let opcode = opcode(*first, expected)?;
        let [second, rest @ ..] = rest else {
            return Ok(None);
        };
        let is_last = first & 0x80 != 0;
        let is_masked = second & 0x80 != 0;
        let short = second & 0x7f;
        match (expected.role, is_masked) {
            (Role::Server, true) | (Role::Client, false) => {}
            // RFC 6455, 5.1
            (Role::Server, false) => return Err(broken("a client's frame without a mask")),
            (Role::Client, true) => return Err(broken("a server's frame with a mask")),
        }
        // RFC 6455, 5.5
        if opcode.is_control() && !is_last {
            return Err(broken("a control frame in fragments"));
        }
        if opcode.is_control() && usize::from(short) > limits::CONTROL_BYTES {
            return Err(broken("a control frame over 125 bytes"));
        }
        let Some((declared, rest)) = length(short, rest)? else {
            return Ok(None);
        };
        let payload = match usize::try_from(declared) {
            Ok(payload) if payload <= expected.room || opcode.is_control() => payload,
            _ => return Err(TOO_BIG),
        };
        let (key, rest) = match (is_masked, rest) {
            (false, rest) => ([0; 4], rest),
            (true, [a, b, c, d, rest @ ..]) => ([*a, *b, *c, *d], rest),
            (true, _) => return Ok(None),
        };
        Ok(Some(Self {
            opcode,
            is_last,
            is_deflated: first & RSV1 != 0,
            payload,
            key,
            size: bytes.len() - rest.len(),
        }))
    }
}

/// A frame whose header is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) opcode: Opcode,
    pub(super) is_last: bool,
    pub(super) is_deflated: bool,
    /// Bytes of payload to come.
    pub(super) left: usize,
    /// The key as it stands at the next byte.
    pub(super) key: [u8; 4],
}

impl Frame {
    /// The frame when `bytes` more of it have come; `None` when it is over.
    pub(super) const fn after(self, bytes: usize) -> Option<Self> {
        if bytes >= self.left {
            return None;
        }
        Some(Self {
            left: self.left - bytes,
            key: mask::rotated(self.key, bytes),
            ..self
        })
    }
}

impl From<Head> for Frame {
    fn from(head: Head) -> Self {
        let Head {
            opcode,
            is_last,
            is_deflated,
            payload,
            key,
            size: _,
        } = head;
        Self {
            opcode,
            is_last,
            is_deflated,
            left: payload,
            key,
        }
    }
}

/// The first reserved bit.
const RSV1: u8 = 0x40;

fn opcode(first: u8, expected: Expected) -> Result<Opcode, Fault> {
    let known = match expected.extension {
        Extension::None => 0,
        // RFC 7692, 6: on the first frame of a message only, never on a control frame.
        Extension::Deflate | Extension::DeflateNarrow | Extension::DeflateTakeover
            if matches!(first & 0x0f, 1 | 2) =>
        {
            RSV1
        }
        Extension::Deflate | Extension::DeflateNarrow | Extension::DeflateTakeover => 0,
    };
    if first & 0x70 & !known != 0 {
        // RFC 6455, 5.2: nothing was agreed on that would give it a meaning.
        return Err(broken("a reserved bit"));
    }
    match (Opcode::from_bits(first & 0x0f), expected.in_message) {
        (None, _) => Err(broken("an unknown opcode")),
        // RFC 6455, 5.4: messages do not interleave.
        (Some(Opcode::Continuation), false) => Err(broken("a continuation of no message")),
        (Some(Opcode::Text | Opcode::Binary), true) => Err(broken("a message within a message")),
        (Some(opcode), _) => Ok(opcode),
    }
}

/// The payload's length and what follows it in `rest`; `None` if it is not all there.
fn length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, Fault> {
    let (length, minimum, rest) = match (short, rest) {
        (0..=125, rest) => (u64::from(short), 0, rest),
        (126, [a, b, rest @ ..]) => (u64::from(u16::from_be_bytes([*a, *b])), 126, rest),
        // RFC 6455, 5.2: the most significant bit must be 0. CVE-2026-27889, CVE-2020-27813.
        (127.., [0x80..=0xff, ..]) => return Err(broken("a length with its top bit set")),
        (127.., [a, b, c, d, e, f, g, h, rest @ ..]) => (
            u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]),
            0x1_0000,
            rest,
        ),
        (126.., _) => return Ok(None),
    };
    if length < minimum {
        // RFC 6455, 5.2: the minimal number of bytes must be used.
        return Err(broken("a length that is not in its shortest form"));
    }
    Ok(Some((length, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rsv1_is_for_the_first_frame_of_a_deflated_message_and_nothing_else() {
        // RFC 7692, 6
        let deflate = Expected {
            extension: Extension::Deflate,
            ..CLIENT
        };
        for first in 0..=0xff_u8 {
            let head = Head::parse(&[first, 0], deflate);
            let plain = Head::parse(&[first & !RSV1, 0], CLIENT);
            if first & RSV1 == 0 {
                assert_eq!(head, plain, "{first:x}");
            } else if matches!(first & 0x3f, 1 | 2) {
                let plain = plain.unwrap().unwrap();
                let is_deflated = true;
                assert_eq!(
                    head,
                    Ok(Some(Head {
                        is_deflated,
                        ..plain
                    })),
                    "{first:x}"
                );
            } else {
                assert_eq!(code(&[first, 0], deflate), 1002, "{first:x}");
            }
            assert!(
                first & 0x70 == 0 || code(&[first, 0], CLIENT) == 1002,
                "{first:x}"
            );
        }
    }

    use crate::protocol::websocket::{Fin, frame};

    const SERVER: Expected = Expected {
        role: Role::Server,
        in_message: false,
        extension: Extension::None,
        room: limits::MESSAGE_BYTES,
    };
    const CLIENT: Expected = Expected {
        role: Role::Client,
        ..SERVER
    };

    fn code(bytes: &[u8], expected: Expected) -> u16 {
        match Head::parse(bytes, expected) {
            Err(Fault::WebSocket { code, .. }) => code,
            other => panic!("{bytes:x?} gives {other:?}"),
        }
    }

    #[test]
    fn every_header_that_is_written_is_read_back() {
        for opcode in [Opcode::Text, Opcode::Binary, Opcode::Continuation] {
            for payload in [0, 1, 125, 126, 127, 65535, 65536, limits::MESSAGE_BYTES] {
                for fin in [Fin::Last, Fin::More] {
                    for (key, expected) in [(Some([1, 2, 3, 4]), SERVER), (None, CLIENT)] {
                        let expected = Expected {
                            in_message: opcode == Opcode::Continuation,
                            ..expected
                        };
                        let header = frame::fragment_header(opcode, fin, payload, key);
                        let bytes = header.as_bytes();
                        for len in 0..bytes.len() {
                            assert_eq!(Head::parse(&bytes[..len], expected), Ok(None));
                        }
                        let head = Head::parse(bytes, expected).unwrap().unwrap();
                        assert_eq!(head.opcode, opcode);
                        assert_eq!(head.is_last, fin == Fin::Last);
                        assert_eq!(head.payload, payload);
                        assert_eq!(head.key, key.unwrap_or_default());
                        assert_eq!(head.size, bytes.len());
                    }
                }
            }
        }
    }

    #[test]
    fn reserved_bits_and_opcodes_are_refused_at_the_first_byte() {
        // RFC 6455, 5.2
        for first in 0..=u8::MAX {
            let opcode = first & 0x0f;
            let known = matches!(opcode, 1 | 2 | 8 | 9 | 10) && first & 0x70 == 0;
            match Head::parse(&[first], SERVER) {
                Ok(None) => assert!(known, "{first:#x}"),
                Err(Fault::WebSocket { code: 1002, .. }) => assert!(!known, "{first:#x}"),
                other => panic!("{first:#x} gives {other:?}"),
            }
        }
    }

    #[test]
    fn messages_do_not_interleave() {
        // RFC 6455, 5.4
        let within = Expected {
            in_message: true,
            ..CLIENT
        };
        assert_eq!(code(&[0x80], CLIENT), 1002);
        assert_eq!(code(&[0x81], within), 1002);
        assert_eq!(code(&[0x02], within), 1002);
        assert!(Head::parse(&[0x80, 0], within).unwrap().is_some());
        assert!(Head::parse(&[0x89, 0], within).unwrap().is_some());
    }

    #[test]
    fn clients_mask_and_servers_do_not() {
        // RFC 6455, 5.1
        assert_eq!(code(&[0x81, 0x05], SERVER), 1002);
        assert_eq!(code(&[0x81, 0x85], CLIENT), 1002);
    }

    #[test]
    fn control_frames_are_short_and_whole() {
        // RFC 6455, 5.5
        for opcode in [8, 9, 10] {
            assert_eq!(code(&[0x80 | opcode, 126], CLIENT), 1002);
            assert_eq!(code(&[0x80 | opcode, 127], CLIENT), 1002);
            assert_eq!(code(&[opcode, 1], CLIENT), 1002);
            assert!(
                Head::parse(&[0x80 | opcode, 125], CLIENT)
                    .unwrap()
                    .is_some()
            );
        }
    }

    #[test]
    fn a_length_is_in_its_shortest_form_and_its_top_bit_is_clear() {
        // RFC 6455, 5.2
        assert_eq!(code(&[0x82, 126, 0, 125], CLIENT), 1002);
        assert_eq!(
            code(&[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], CLIENT),
            1002
        );
        assert_eq!(code(&[0x82, 127, 0x80], CLIENT), 1002);
        assert_eq!(
            code(
                &[0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
                CLIENT
            ),
            1002
        );
    }

    #[test]
    fn a_length_beyond_the_room_is_refused_before_the_key_has_come() {
        // RFC 6455, 7.4.1: 1009
        let little = Expected { room: 10, ..SERVER };
        assert_eq!(code(&[0x82, 0x80 | 11], little), 1009);
        assert_eq!(Head::parse(&[0x82, 0x80 | 10], little), Ok(None));
        assert_eq!(code(&[0x82, 0x80 | 126, 0, 126], little), 1009);
        assert_eq!(
            code(
                &[0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
                SERVER
            ),
            1009
        );
        let none = Expected { room: 0, ..CLIENT };
        assert!(
            Head::parse(&[0x89, 125], none).unwrap().is_some(),
            "a ping is no message"
        );
    }
}
