//! Message content: a sequence number and filler, so that every echo is verified byte by byte.

use crate::limits;
use crate::load::transport::PayloadKind;
use crate::load::wording::{MessageId, Wording, hexadecimal};
use crate::protocol::websocket::deflate::Deflation;
use crate::protocol::websocket::frame::{self, Opcode};
use crate::protocol::websocket::{Extension, mask};

/// Bytes of the stamp that carries the sequence number.
const STAMP_BYTES: usize = 8;

/// What every message of a run looks like, but for its stamp.
///
/// A stamp is 8 bytes: of a text message the sequence number in hexadecimal; of a binary one the
/// number and its complement, both little-endian. Numbers start at random, per connection, so
/// that another connection's echo does not pass for this one's.
#[derive(Debug)]
pub(in crate::load) struct Template {
    kind: PayloadKind,
    /// What follows the stamp: printable ASCII.
    filler: Vec<u8>,
    /// What is said instead, if the user says it.
    wording: Option<Wording>,
    /// Bytes of one message at the most.
    bytes: usize,
}

impl Template {
    /// Messages of `bytes` bytes, at least 8; the filler follows from the seed.
    pub(in crate::load) fn new(kind: PayloadKind, bytes: usize, rng: &mut fastrand::Rng) -> Self {
        let filler = (STAMP_BYTES..bytes).map(|_| rng.u8(b'0'..=b'z'));
        Self {
            kind,
            filler: filler.collect(),
            wording: None,
            bytes,
        }
    }

    /// The same, in the user's words.
    pub(in crate::load) fn worded(self, wording: Option<Wording>) -> Self {
        Self { wording, ..self }
    }

    /// Bytes of one frame on the wire, mask key included.
    pub(in crate::load) fn frame_bytes(&self) -> usize {
        let bytes = self.bytes;
        bytes
            + frame::header(Opcode::Binary, bytes, Some([0; 4]))
                .as_bytes()
                .len()
    }

    /// Appends a masked frame with that sequence number.
    #[inline]
    pub(in crate::load) fn encode(&self, into: &mut Vec<u8>, sender: MessageId, key: [u8; 4]) {
        let bytes = match &self.wording {
            None => STAMP_BYTES + self.filler.len(),
            Some(wording) => wording.bytes(sender),
        };
        into.extend_from_slice(frame::header(self.opcode(), bytes, Some(key)).as_bytes());
        if bytes >= limits::LARGE_BYTES && self.wording.is_none() {
            mask::append(into, &stamp(self.kind, sender.sequence), key, 0);
            mask::append(into, &self.filler, key, STAMP_BYTES);
            return;
        }
        let start = into.len();
        self.write(into, sender);
        if let Some(payload) = into.get_mut(start..) {
            mask::apply(payload, key, 0);
        }
    }

    /// Appends the message itself.
    #[inline]
    fn write(&self, into: &mut Vec<u8>, sender: MessageId) {
        match &self.wording {
            None => {
                into.extend_from_slice(&stamp(self.kind, sender.sequence));
                into.extend_from_slice(&self.filler);
            }
            Some(wording) => wording.write(into, sender),
        }
    }

    /// The same, deflated if that makes it smaller, for the connection whose window has that key.
    #[inline(never)]
    pub(in crate::load) fn encode_deflated(
        &self,
        into: &mut Vec<u8>,
        sender: MessageId,
        key: [u8; 4],
        (window, deflation): (u32, &mut Deflation),
    ) {
        let start = into.len();
        self.write(into, sender);
        let way = (window, Extension::DeflateTakeover);
        let plain = into.get(start..);
        let Some(packed) = plain.and_then(|plain| deflation.deflate(way, plain)) else {
            into.truncate(start);
            return self.encode(into, sender, key);
        };
        into.truncate(start);
        let header = frame::header(self.opcode(), packed.len(), Some(key)).deflated();
        into.extend_from_slice(header.as_bytes());
        let start = into.len();
        into.extend_from_slice(packed);
        if let Some(payload) = into.get_mut(start..) {
            mask::apply(payload, key, 0);
        }
    }

    const fn opcode(&self) -> Opcode {
        match self.kind {
            PayloadKind::Text => Opcode::Text,
            PayloadKind::Binary => Opcode::Binary,
        }
    }

    /// The sequence number of a message of that client; `None` for any other content.
    #[inline]
    pub(in crate::load) fn sequence(
        &self,
        number: u32,
        kind: PayloadKind,
        bytes: &[u8],
    ) -> Option<u32> {
        if let Some(wording) = &self.wording {
            let found = wording.sequence(bytes, number);
            return found.filter(|_| kind == self.kind);
        }
        let (stamp, filler) = bytes.split_first_chunk::<STAMP_BYTES>()?;
        (kind == self.kind && filler == self.filler)
            .then(|| read(kind, *stamp))
            .flatten()
    }

    /// Whether these bytes are the message with that sequence number.
    #[inline]
    pub(in crate::load) fn is(&self, sender: MessageId, kind: PayloadKind, bytes: &[u8]) -> bool {
        if let Some(wording) = &self.wording {
            return kind == self.kind && wording.is(bytes, sender);
        }
        let sequence = sender.sequence;
        match bytes.split_first_chunk::<STAMP_BYTES>() {
            Some((stamped, filler)) => {
                kind == self.kind && *stamped == stamp(kind, sequence) && filler == self.filler
            }
            None => false,
        }
    }
}

#[inline]
fn stamp(kind: PayloadKind, sequence: u32) -> [u8; STAMP_BYTES] {
    match kind {
        PayloadKind::Text => hexadecimal(sequence),
        PayloadKind::Binary => (u64::from(sequence) | u64::from(!sequence) << 32).to_le_bytes(),
    }
}

fn read(kind: PayloadKind, stamp: [u8; STAMP_BYTES]) -> Option<u32> {
    match kind {
        PayloadKind::Text => u32::from_str_radix(str::from_utf8(&stamp).ok()?, 16).ok(),
        PayloadKind::Binary => {
            let [a, b, c, d, e, f, g, h] = stamp;
            let sequence = u32::from_le_bytes([a, b, c, d]);
            (u32::from_le_bytes([e, f, g, h]) == !sequence).then_some(sequence)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sender(sequence: u32) -> MessageId {
        let number = 0;
        MessageId { number, sequence }
    }

    fn unmasked(frame: &[u8], key: [u8; 4], header: usize) -> Vec<u8> {
        let mut payload = frame[header..].to_vec();
        mask::apply(&mut payload, key, 0);
        payload
    }

    #[test]
    fn the_smallest_text_message_is_eight_hexadecimal_digits() {
        let mut rng = fastrand::Rng::with_seed(1);
        let template = Template::new(PayloadKind::Text, 8, &mut rng);
        let mut frame = Vec::new();
        template.encode(&mut frame, sender(0x00c0_ffee), [1, 2, 3, 4]);
        assert_eq!(frame[..6], [0x81, 0x88, 1, 2, 3, 4]);
        assert_eq!(unmasked(&frame, [1, 2, 3, 4], 6), b"00c0ffee");
    }

    proptest! {
        #[test]
        fn an_echo_is_recognised_and_any_other_byte_is_not(
            sequence: u32, key: [u8; 4], bytes in prop_oneof![8..100_usize, 8100..12_400_usize],
            flip in 0..100_usize, binary: bool,
        ) {
            let kind = if binary { PayloadKind::Binary } else { PayloadKind::Text };
            let template = Template::new(kind, bytes, &mut fastrand::Rng::with_seed(3));
            let mut frame = Vec::new();
            template.encode(&mut frame, sender(sequence), key);
            let header = frame::header(Opcode::Binary, bytes, Some(key)).as_bytes().len();
            let mut payload = unmasked(&frame, key, header);
            prop_assert_eq!(payload.len(), bytes);
            prop_assert!(template.is(sender(sequence), kind, &payload));
            prop_assert_eq!(template.sequence(0, kind, &payload), Some(sequence));
            prop_assert!(!template.is(sender(sequence.wrapping_add(1)), kind, &payload));
            prop_assert!(!template.is(sender(sequence), kind, &payload[..bytes - 1]));
            payload[flip % bytes] ^= 0x80;
            prop_assert!(!template.is(sender(sequence), kind, &payload));
            prop_assert_eq!(template.sequence(0, kind, &payload), None);
        }
    }
}
