//! What dialogues that ask and are answered share: the content of a message, and what is under way.

use super::{Context, Exchange, Piece};
use crate::load::decimal::Decimal;
use crate::time::Instant;
use std::collections::VecDeque;

/// Bytes of a stamp.
pub const STAMP_BYTES: usize = 32;
/// Where a stamp begins and ends in whatever it comes back in: no server escapes it.
const MARK: u8 = b'~';
/// Hexadecimal digits of its parts: client, number of the message, nanoseconds.
const PARTS: [usize; 3] = [7, 8, 15];
/// The lowest number of a message: those below are for the calls of a handshake.
const FIRST: u32 = 16;

const _: () = assert!(PARTS[0] + PARTS[1] + PARTS[2] + 2 == STAMP_BYTES);

/// Who said a message, which of theirs it is, and when: 32 characters that need no escape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// The connection's number in the run.
    pub(super) client: u32,
    /// The message's.
    pub(super) number: u32,
    /// On the clock of this host.
    pub(super) sent: Instant,
}

impl Stamp {
    /// The message's number as text.
    pub(super) fn decimal(&self) -> Decimal {
        Decimal::new(u64::from(self.number))
    }

    /// As text.
    pub(super) fn encode(self) -> [u8; STAMP_BYTES] {
        let mut text = [MARK; STAMP_BYTES];
        let [client, number, sent] = PARTS;
        let values = [
            (u64::from(self.client), client),
            (u64::from(self.number), number),
            (self.sent.as_nanos(), sent),
        ];
        let mut place = text.iter_mut().skip(1);
        for (value, digits) in values {
            for digit in (0..digits).rev() {
                let nibble = usize::try_from(value >> (4 * digit) & 15).unwrap_or(0);
                let character = b"0123456789abcdef".get(nibble).copied();
                if let (Some(place), Some(character)) = (place.next(), character) {
                    *place = character;
                }
            }
        }
        text
    }

    /// The first one in a text.
    pub(super) fn find(text: &[u8]) -> Option<Self> {
        memchr::memchr_iter(MARK, text).find_map(|at| {
            let stamp = text.get(at..at + STAMP_BYTES)?;
            let digits = stamp.strip_prefix(&[MARK])?.strip_suffix(&[MARK])?;
            let [client, number, _] = PARTS;
            let (client, rest) = digits.split_at_checked(client)?;
            let (number, sent) = rest.split_at_checked(number)?;
            Some(Self {
                client: u32::try_from(hexadecimal(client)?).ok()?,
                number: u32::try_from(hexadecimal(number)?).ok()?,
                sent: Instant::from_nanos(hexadecimal(sent)?),
            })
        })
    }
}

/// Lowercase digits only: what was written here.
fn hexadecimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |value, digit| {
        let nibble = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(nibble))
    })
}

/// What follows the stamp in a message of so many bytes: letters and digits by a seed.
#[must_use]
pub(super) fn filler(content_bytes: usize, seed: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let letter = |_| u8::try_from(rng.alphanumeric()).unwrap_or(b'x');
    (STAMP_BYTES..content_bytes).map(letter).collect()
}

/// A client's exchanges under way, by the numbers of their messages.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// The next one's number; 0 before the first, which is drawn: another run's do not pass for
    /// this one's.
    next: u32,
    /// Never more than the exchanges that the run allows: a lost one stays.
    under_way: VecDeque<(u32, Exchange)>,
}

impl Calls {
    /// Takes a piece of work; what its message is stamped with.
    pub(super) fn begin(&mut self, piece: Piece, context: &mut Context<'_>) -> Stamp {
        if self.next < FIRST {
            self.next = context.rng().u32(FIRST..u32::MAX / 2);
        }
        let number = self.next;
        self.next = number.wrapping_add(1);
        self.under_way.push_back((number, context.begin(piece)));
        Stamp {
            client: context.number(),
            number,
            sent: context.now(),
        }
    }

    /// The exchange whose message had that number. They come back in order, mostly.
    pub(super) fn take(&mut self, number: u64) -> Option<Exchange> {
        let place = self
            .under_way
            .iter()
            .position(|(known, _)| u64::from(*known) == number)?;
        self.under_way.remove(place).map(|(_, exchange)| exchange)
    }

    /// A message with that stamp came back: the reply if it is one of this client's, else what
    /// somebody else said.
    pub(super) fn came_back(&mut self, stamp: Stamp, bytes: usize, context: &mut Context<'_>) {
        let is_own = stamp.client == context.number();
        let exchange = is_own.then(|| self.take(u64::from(stamp.number))).flatten();
        match exchange {
            Some(exchange) => context.finish(exchange),
            None => delivered(Some(stamp), bytes, context),
        }
    }
}

/// Something was heard that answers nothing, with the stamp of whoever said it.
pub(super) fn delivered(stamp: Option<Stamp>, bytes: usize, context: &mut Context<'_>) {
    context.received(bytes);
    if let Some(stamp) = stamp {
        context.one_way(stamp.sent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_stamp_is_found_in_whatever_it_comes_back_in(
            client in 0..1_u32 << 28, number: u32, ns in 0..1_u64 << 60,
            before in "\\PC{0,40}", after in "\\PC{0,40}",
        ) {
            let stamp = Stamp { client, number, sent: Instant::from_nanos(ns) };
            let text = [before.as_bytes(), &stamp.encode(), after.as_bytes()].concat();
            prop_assert_eq!(Stamp::find(&text), Some(stamp));
        }

        #[test]
        fn no_text_panics_and_a_stamp_cut_short_is_none(text: Vec<u8>) {
            let _ = Stamp::find(&text);
            let stamp = Stamp { client: 1, number: 2, sent: Instant::from_nanos(3) }.encode();
            prop_assert_eq!(Stamp::find(&stamp[..31]), None);
        }
    }
}
