//! Counts of pings and of their pongs.

/// Counts of pings, of the whole run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pings {
    /// Pings that were sent.
    pub sent: u64,
    /// Pongs that came for them.
    pub answered: u64,
}
