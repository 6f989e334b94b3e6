//! Counts of connections that were lost and made anew.

/// Counts of connections that were up, lost, and to be made anew.
/// `lost = resumed + given_up + absent`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReconnectCounts {
    /// Losses, also of a connection that had been lost before.
    pub lost: u64,
    /// Connects after a loss.
    pub attempts: u64,
    /// Losses after which the connection was up again.
    pub resumed: u64,
    /// Losses after which nobody tried any more: too often in vain, or sent away for good.
    pub given_up: u64,
    /// Losses after which the connection was still to be made when the run ended.
    pub absent: u64,
    /// Events heard again or late, from before the connection was up again.
    pub replayed: u64,
    /// Sequence numbers passed over between the last one before a loss and the first one after.
    pub missed: u64,
    /// Events after a loss that had been heard before it.
    pub duplicated: u64,
}

impl ReconnectCounts {
    /// Adds another core's.
    pub(in crate::load) fn merge(&mut self, other: &Self) {
        let Self {
            lost,
            attempts,
            resumed,
            given_up,
            absent,
            replayed,
            missed,
            duplicated,
        } = self;
        *lost += other.lost;
        *attempts += other.attempts;
        *resumed += other.resumed;
        *given_up += other.given_up;
        *absent += other.absent;
        *replayed += other.replayed;
        *missed += other.missed;
        *duplicated += other.duplicated;
    }
}
