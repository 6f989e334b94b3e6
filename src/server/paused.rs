//! Why a connection is not received.

/// Why a connection's bytes are not received: any of these reasons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Paused(u8);

impl Paused {
    /// It is received.
    pub(super) const NONE: Self = Self(0);
    /// Its backlog is high.
    pub(super) const BACKLOG: Self = Self(1);
    /// It has had its share of a turn.
    pub(super) const WORK: Self = Self(2);
    /// Its peer has ended its stream, and of what came before not all is looked at.
    pub(super) const ENDED: Self = Self(4);

    pub(super) const fn is_none(self) -> bool {
        self.0 == 0
    }

    pub(super) const fn contains(self, reason: Self) -> bool {
        self.0 & reason.0 != 0
    }

    pub(super) const fn insert(&mut self, reason: Self) {
        self.0 |= reason.0;
    }

    pub(super) const fn remove(&mut self, reason: Self) {
        self.0 &= !reason.0;
    }
}
