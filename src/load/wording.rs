//! A message in the user's words, with what differs by client and by message in its place.

use crate::load::values::{SEQUENCE_DIGITS, TextPart, Values};

/// The text of every message of an echo, but for what stands in braces: what a client has of its
/// own, as in URLs and headers, and `{seq}`, the message's number on its connection.
#[derive(Debug)]
pub(in crate::load) struct Wording {
    values: Values,
    pieces: Vec<TextPart>,
    seed: u64,
}

/// Whose message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::load) struct MessageId {
    /// The connection's number in the run.
    pub(in crate::load) number: u32,
    /// The message's on the connection.
    pub(in crate::load) sequence: u32,
}

impl Wording {
    pub(in crate::load) fn new(text: &str, values: Values, seed: u64) -> Self {
        Self {
            pieces: values.pieces(text),
            values,
            seed,
        }
    }

    /// Calls `take` with one part of that message after the other, until it says false.
    #[inline]
    fn each(&self, sender: MessageId, mut take: impl FnMut(&[u8]) -> bool) -> bool {
        self.pieces.iter().all(|piece| match piece {
            TextPart::Text(text) => take(text.as_bytes()),
            TextPart::Sequence => take(&hexadecimal(sender.sequence)),
            TextPart::Number | TextPart::Random | TextPart::Column(_) => {
                self.values
                    .with(piece, (self.seed, sender.number), &mut take)
            }
        })
    }

    /// Appends that message.
    pub(in crate::load) fn write(&self, into: &mut Vec<u8>, sender: MessageId) {
        self.each(sender, |part| {
            into.extend_from_slice(part);
            true
        });
    }

    /// Bytes of that message; the same for all of one client.
    pub(in crate::load) fn bytes(&self, sender: MessageId) -> usize {
        let mut bytes = 0;
        self.each(sender, |part| {
            bytes += part.len();
            true
        });
        bytes
    }

    /// Whether these bytes are that message.
    pub(in crate::load) fn is(&self, bytes: &[u8], sender: MessageId) -> bool {
        let mut rest = Some(bytes);
        let is_begin = self.each(sender, |part| {
            rest = rest.and_then(|rest| rest.strip_prefix(part));
            rest.is_some()
        });
        is_begin && rest == Some(&[])
    }

    /// The number of a message of that client; `None` for any other content, and where messages
    /// have no number.
    pub(in crate::load) fn sequence(&self, bytes: &[u8], number: u32) -> Option<u32> {
        let mut sender = MessageId {
            number,
            sequence: 0,
        };
        let (mut before, mut place) = (0, 0);
        let has_none = self.each(sender, |part| {
            let is_it = matches!(self.pieces.get(place), Some(TextPart::Sequence));
            before += if is_it { 0 } else { part.len() };
            place += 1;
            !is_it
        });
        if has_none {
            return None;
        }
        let digits = bytes.get(before..before + SEQUENCE_DIGITS)?;
        sender.sequence = u32::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
        self.is(bytes, sender).then_some(sender.sequence)
    }
}

/// Eight lowercase digits, computed in one word: a loop of eight would be a third of a frame.
#[inline]
pub(in crate::load) fn hexadecimal(n: u32) -> [u8; SEQUENCE_DIGITS] {
    // One nibble to a byte, the most significant first.
    let mut x = u64::from(n);
    x = (x & 0x0000_ffff) << 32 | (x & 0xffff_0000) >> 16;
    x = (x & 0x0000_00ff_0000_00ff) << 16 | (x & 0x0000_ff00_0000_ff00) >> 8;
    x = (x & 0x000f_000f_000f_000f) << 8 | (x & 0x00f0_00f0_00f0_00f0) >> 4;
    // 1 in each byte that is a letter; letters are 39 further than the digits would go.
    let letters = ((x + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
    (x + 0x3030_3030_3030_3030 + letters * 39).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wording(text: &str) -> Wording {
        let table = Values::parse(b"user,token\nann,t-1\nbob,t-two\n").unwrap();
        Wording::new(text, table, 7)
    }

    fn said(wording: &Wording, number: u32, sequence: u32) -> String {
        let mut bytes = Vec::new();
        let sender = MessageId { number, sequence };
        wording.write(&mut bytes, sender);
        assert_eq!(bytes.len(), wording.bytes(sender));
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn each_client_says_its_own_and_other_braces_stay() {
        let wording = wording(r#"{"u":"{user}","n":{number},"s":"{seq}","x":{}} {token}{"#);
        let first = r#"{"u":"ann","n":4,"s":"00c0ffee","x":{}} t-1{"#;
        assert_eq!(said(&wording, 4, 0x00c0_ffee), first);
        let second = r#"{"u":"bob","n":5,"s":"00000001","x":{}} t-two{"#;
        assert_eq!(said(&wording, 5, 1), second);
        assert_eq!(said(&self::wording("{rand}"), 5, 1).len(), 16);
    }

    proptest! {
        #[test]
        fn hexadecimal_is_what_format_prints(n: u32) {
            prop_assert_eq!(hexadecimal(n).to_vec(), format!("{n:08x}").into_bytes());
        }

        #[test]
        fn a_message_is_known_by_its_number_and_any_other_byte_is_not(
            number in 0..1000_u32, sequence: u32, flip in 0..100_usize,
        ) {
            let sender = MessageId { number, sequence };
            let wording = wording("{token} says {seq} and {number}");
            let mut text = said(&wording, number, sequence).into_bytes();
            prop_assert!(wording.is(&text, sender));
            prop_assert_eq!(wording.sequence(&text, number), Some(sequence));
            prop_assert_eq!(wording.sequence(&text, number + 1), None);
            prop_assert!(!wording.is(&text[..text.len() - 1], sender));
            let at = flip % text.len();
            text[at] ^= 0x80;
            prop_assert!(!wording.is(&text, sender));
            prop_assert_eq!(wording.sequence(&text, number), None);
        }

        #[test]
        fn words_without_a_number_are_known_as_they_are(number: u32, sequence: u32) {
            let wording = wording("hello {user}");
            let text = said(&wording, number, 0).into_bytes();
            let sender = MessageId { number, sequence };
            prop_assert!(wording.is(&text, sender));
            prop_assert_eq!(wording.sequence(&text, number), None);
        }
    }
}
