//! How messages that are meant for many reached them.

use super::latency::Latency;

/// How broadcasts reached their audience, of the measured time only.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FanOut {
    /// Broadcasts that were sent.
    pub broadcasts: u64,
    /// Those of them that reached everyone they were to.
    pub complete: u64,
    /// Deliveries that there should have been.
    pub expected: u64,
    /// Deliveries that there were, each counted once.
    pub received: u64,
    /// Deliveries of what had come before.
    pub duplicates: u64,
    /// Deliveries after a later one.
    pub reordered: u64,
    /// Sequence numbers that were passed over.
    pub gaps: u64,
    /// From the send to the first delivery of each complete broadcast.
    pub first: Latency,
    /// To the median one.
    pub p50: Latency,
    /// To the one that 99 % are not later than: of fewer than 100, the last.
    pub p99: Latency,
    /// To the last.
    pub last: Latency,
    /// From the first to the last.
    pub spread: Latency,
}

/// What may be wrong with one delivery of a broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stray {
    /// It had come before.
    Duplicate,
    /// It came after a later one.
    Reordered,
    /// So many before it have not come.
    Gap(u64),
}

impl FanOut {
    /// The part of the expected deliveries that there were; 1 of none.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
    pub fn reach(&self) -> f64 {
        if self.expected == 0 {
            return 1.0;
        }
        self.received as f64 / self.expected as f64
    }

    /// Adds another core's.
    pub fn merge(&mut self, other: &Self) {
        let Self {
            broadcasts,
            complete,
            expected,
            received,
            duplicates,
            reordered,
            gaps,
            first,
            p50,
            p99,
            last,
            spread,
        } = self;
        *broadcasts += other.broadcasts;
        *complete += other.complete;
        *expected += other.expected;
        *received += other.received;
        *duplicates += other.duplicates;
        *reordered += other.reordered;
        *gaps += other.gaps;
        first.merge(&other.first);
        p50.merge(&other.p50);
        p99.merge(&other.p99);
        last.merge(&other.last);
        spread.merge(&other.spread);
    }
}
