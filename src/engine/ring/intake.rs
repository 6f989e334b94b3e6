//! Into which buffers a connection receives: small ones, many times with one entry, or a large one
//! at a time, where it fills the small ones, or one of the shard's, where a large message goes on.

#![forbid(unsafe_code)]

use super::operation::Operation;
use crate::limits;

/// Which of a ring's two kinds of receive buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    /// Of the configured size, taken by a multishot receive.
    Small,
    /// For connections that fill those, taken by one receive at a time: what comes next waits in
    /// the socket, so a turn gives each such connection one large buffer, and a pause is not to
    /// submit the next.
    Large,
}

impl Group {
    /// The number of the buffer group, as the kernel knows it.
    pub(super) const fn number(self) -> u16 {
        match self {
            Self::Small => 1,
            Self::Large => 2,
        }
    }

    /// The receive that takes buffers of this kind.
    pub(super) const fn operation(self) -> Operation {
        match self {
            Self::Small => Operation::Receive,
            Self::Large => Operation::ReceiveLarge,
        }
    }
}

/// Small buffers filled one after the other, after which a connection moves to large ones.
const FULL_IN_A_ROW: u8 = 2;
/// Receives in a row that would have fitted a small buffer, after which it moves back.
const SMALL_IN_A_ROW: u8 = 15;

/// Which buffers a connection is to receive into, and which its present receive takes. One byte:
/// there is one for each idle connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Intake(u8);

const WANTS_LARGE: u8 = 0x80;
const TAKES_LARGE: u8 = 0x40;
/// The present receive fills a buffer of the shard.
const TAKES_LENT: u8 = 0x20;
/// The message before this was received into a buffer of the shard.
const WAS_LENT: u8 = 0x10;
const IN_A_ROW: u8 = 0x0f;

const _: () = assert!(FULL_IN_A_ROW <= IN_A_ROW && SMALL_IN_A_ROW <= IN_A_ROW);

impl Intake {
    /// A receive is submitted: which buffers it is to take.
    pub(super) const fn arm(&mut self) -> Group {
        self.0 &= !TAKES_LENT;
        if self.0 & WANTS_LARGE == 0 {
            self.0 &= !(TAKES_LARGE | WAS_LENT);
        } else {
            self.0 |= TAKES_LARGE;
        }
        self.takes()
    }

    /// A receive into a buffer of the shard is submitted.
    pub(super) const fn arm_lent(&mut self) {
        self.0 &= !IN_A_ROW;
        self.0 |= TAKES_LENT | TAKES_LARGE | WAS_LENT;
    }

    /// Whether the next message is probably one to be received into a buffer of the shard too: then
    /// its beginning is all that need be copied. True once for each such message.
    pub(super) const fn takes_beginning(&mut self) -> bool {
        let was_lent = self.0 & WAS_LENT != 0;
        self.0 &= !WAS_LENT;
        was_lent
    }

    /// Whether one receive at a time is to be submitted, when it is the connection's turn.
    pub(super) const fn wants_large(self) -> bool {
        self.0 & WANTS_LARGE != 0
    }

    /// The receive that was submitted last.
    pub(super) const fn operation(self) -> Operation {
        if self.takes_lent() {
            Operation::ReceiveInto
        } else {
            self.takes().operation()
        }
    }

    /// Whether the receive that was submitted last fills a buffer of the shard.
    pub(super) const fn takes_lent(self) -> bool {
        self.0 & TAKES_LENT != 0
    }

    /// Which of the ring's buffers the receive takes that was submitted last, if any.
    pub(super) const fn takes(self) -> Group {
        if self.0 & TAKES_LARGE == 0 {
            Group::Small
        } else {
            Group::Large
        }
    }

    /// Whether the present receive should make way for one that takes large buffers.
    pub(super) const fn is_outgrown(self) -> bool {
        self.0 & (WANTS_LARGE | TAKES_LARGE) == WANTS_LARGE
    }

    /// So many bytes came into a buffer of that kind, where a small one has `small` bytes. Returns
    /// whether the receive is to be looked at.
    #[inline]
    pub(super) fn note(&mut self, group: Group, len: usize, small: usize) -> bool {
        let (counts, most) = match group {
            Group::Small => (
                len >= small && small < limits::LARGE_RECEIVE_BYTES as usize,
                FULL_IN_A_ROW,
            ),
            Group::Large => (len <= small, SMALL_IN_A_ROW),
        };
        if !counts {
            self.0 &= !IN_A_ROW;
            return false;
        }
        // What was received before a change took effect says nothing about the change.
        if group != self.takes() || self.is_outgrown() {
            return false;
        }
        self.0 += 1;
        if self.0 & IN_A_ROW < most {
            return false;
        }
        self.0 &= !(IN_A_ROW | WANTS_LARGE);
        if group == Group::Small {
            self.0 |= WANTS_LARGE;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: usize = 4096;

    #[test]
    fn full_buffers_in_a_row_ask_for_large_ones_and_small_receives_for_small_ones() {
        let mut intake = Intake::default();
        assert_eq!(intake.arm(), Group::Small);
        for len in [SMALL, 100, SMALL, SMALL - 1] {
            assert!(!intake.note(Group::Small, len, SMALL), "{len}");
        }
        assert!(!intake.note(Group::Small, SMALL, SMALL));
        assert!(intake.note(Group::Small, SMALL, SMALL));
        assert!(intake.is_outgrown());
        // More comes until the receive has been cancelled.
        assert!(!intake.note(Group::Small, SMALL, SMALL));
        assert_eq!((intake.takes(), intake.arm()), (Group::Small, Group::Large));
        assert!(!intake.is_outgrown());
        for len in [100, 40_000, 0].into_iter().chain([7; 13]) {
            assert!(!intake.note(Group::Large, len, SMALL));
            assert_eq!(intake.arm(), Group::Large);
        }
        assert!(intake.note(Group::Large, 7, SMALL));
        assert_eq!(intake.arm(), Group::Small);
    }

    #[test]
    fn where_small_buffers_are_no_smaller_nobody_asks_for_large_ones() {
        let (mut intake, size) = (Intake::default(), limits::LARGE_RECEIVE_BYTES as usize);
        assert!(!(0..100).any(|_| intake.note(Group::Small, size, size)));
    }
}
