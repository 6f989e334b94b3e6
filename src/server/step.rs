//! What becomes of a connection after an event, what the time says about it, and since when it
//! waits.

use super::tally::CloseReason;
use crate::app::Goodbye;
use crate::shard::Close;
use crate::time::Instant;
use std::time::Duration;

/// What becomes of a connection after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Stay,
    /// Receive no more until the backlog is low again.
    Pause,
    /// It is not heard for a while: what else came is kept.
    Defer { wait: DeferWait },
    /// Send a ping: the peer was silent for half of its time.
    Ping,
    /// Begin the close handshake.
    CloseSocket { goodbye: Goodbye, why: CloseReason },
    /// Our close frame is queued: wait for the peer's.
    AwaitClose,
    /// End it.
    End { how: Close, why: CloseReason },
}

/// What a connection waits for that is not heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeferWait {
    /// Its next share of a turn: it has had one.
    Share,
    /// A time.
    Until(Instant),
    /// Its application, which will release it.
    Release,
}

/// What the time says about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// It has no deadline.
    Never,
    /// Its deadline has moved to this.
    Later(Instant),
    /// Its deadline has passed.
    Now(Step),
    /// A request took too long: refuse it with 408.
    RequestTime,
}

/// A point in time in 4 bytes: units of 2^20 ns, about a millisecond, modulo 52 days. Waits are far
/// shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp(u32);

impl Stamp {
    pub(super) const ZERO: Self = Self(0);

    #[expect(clippy::cast_possible_truncation, reason = "modulo 52 days")]
    pub(super) const fn new(at: Instant) -> Self {
        Self((at.as_nanos() >> 20) as u32)
    }

    pub(super) fn elapsed(self, now: Instant) -> Duration {
        Duration::from_nanos(u64::from(Self::new(now).0.wrapping_sub(self.0)) << 20)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_measures_waits_across_its_wrap() {
        let before = Instant::from_nanos((u64::from(u32::MAX) << 20) - 5);
        let waited = Stamp::new(before).elapsed(before + Duration::from_secs(60));
        let error = waited.abs_diff(Duration::from_secs(60));
        assert!(error <= Duration::from_nanos(1 << 20), "{waited:?}");
    }
}
