//! Where a channel's publications are: of which history, and how far in it.

use crate::time::Instant;
use std::fmt;

/// Names one history of a channel: what lost its history begins a new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u32);

/// A place in one history of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Position {
    /// Which history.
    pub epoch: Epoch,
    /// The number of the newest publication that is meant, from 1; 0 before the first.
    pub offset: u64,
}

/// From where on a subscriber who comes back wants what it missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    /// Which history; `None` for a text that no history here was ever named with.
    pub epoch: Option<Epoch>,
    /// The newest publication that the subscriber has.
    pub offset: u64,
    /// It knows no place: it wants what was published from then on.
    pub from: Option<Instant>,
}

impl Since {
    /// After that place of a history; `None` for one that was never named with that text.
    #[must_use]
    pub const fn place(epoch: Option<Epoch>, offset: u64) -> Self {
        let from = None;
        Self {
            epoch,
            offset,
            from,
        }
    }

    /// From that time on.
    #[must_use]
    pub const fn time(from: Instant) -> Self {
        Self {
            epoch: None,
            offset: 0,
            from: Some(from),
        }
    }
}

impl Epoch {
    /// Reads what [`Epoch`] is written as; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        // Digits only: `from_str_radix` alone would take "+7".
        let is_plain = text.len() == 8 && text.bytes().all(is_digit);
        is_plain
            .then(|| u32::from_str_radix(text, 16).ok())?
            .map(Self)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl From<Position> for Since {
    fn from(Position { epoch, offset }: Position) -> Self {
        Self::place(Some(epoch), offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_read_as_it_is_written_and_nothing_else_is() {
        for epoch in [Epoch(0), Epoch(0xbeef), Epoch(u32::MAX)] {
            assert_eq!(Epoch::parse(&epoch.to_string()), Some(epoch));
        }
        for text in [
            "",
            "beef",
            "0000BEEF",
            "+000beef",
            "0000beef0",
            "0000bee\u{e9}",
        ] {
            assert_eq!(Epoch::parse(text), None, "{text:?}");
        }
    }
}
