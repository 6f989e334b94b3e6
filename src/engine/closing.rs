//! How long a closing connection may take: as long as its peer takes what is left, and fast enough.
//!
//! RFC 9112, 9.6: a server that closes at once may reset what the client has not read yet. So what
//! counts is what the peer has acknowledged, not what the kernel took: its buffers hold megabytes.

use crate::limits;
use crate::shard::ConnectionId;
use crate::time::Instant;
use std::time::Duration;

/// A connection that is closing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closing {
    pub(super) id: ConnectionId,
    /// When to look at it.
    pub(super) at: Instant,
    began: Instant,
    /// When the peer was last seen to have taken something.
    moved: Instant,
    /// Bytes that the peer was seen to take.
    taken: u64,
    /// Bytes that the peer had not taken at the last look; `None` before the first.
    left: Option<u64>,
}

/// What becomes of a closing connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LingerStep {
    /// The peer takes what is left, or has a moment to end its stream.
    Wait,
    /// The peer has everything, and does not end its stream: an ordinary close.
    Done,
    /// The peer has stopped taking what is left, or is too slow: a reset.
    CutOff,
}

impl Closing {
    /// A connection that begins to close, with so many bytes still queued here.
    pub(super) fn new(id: ConnectionId, backlog: usize, now: Instant) -> Self {
        Self {
            id,
            at: now + limits::LINGER_TIME,
            began: now,
            moved: now,
            taken: 0,
            left: (backlog == 0).then_some(0),
        }
    }

    /// Judges by the bytes that the peer has not acknowledged, those still queued here included
    /// and our FIN not. `stall` is how long it may take nothing.
    pub(super) fn look(&mut self, left: u64, stall: Duration, now: Instant) -> LingerStep {
        self.at = now + limits::LINGER_TIME;
        match (left, self.left.replace(left)) {
            (0, Some(0)) => return LingerStep::Done,
            (0, _) => return LingerStep::Wait,
            (_, Some(before)) if left < before => {
                self.taken += before - left;
                self.moved = now;
            }
            _ => {}
        }
        let earned = Duration::from_secs(self.taken / limits::CLOSING_RATE);
        let stalled = now.since(self.moved) >= stall;
        if stalled || now.since(self.began) >= stall.saturating_add(earned) {
            LingerStep::CutOff
        } else {
            LingerStep::Wait
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = limits::STALL_TIME;

    /// Looks every time it is due at a peer that leaves so many bytes after so many seconds; the
    /// verdict and when.
    fn watch(backlog: usize, left: impl Fn(u64) -> u64) -> (LingerStep, u64) {
        let start = Instant::from_nanos(5_000_000_000);
        let mut closing = Closing::new(ConnectionId::new(1, 1), backlog, start);
        loop {
            let now = closing.at;
            let seconds = now.since(start).as_secs();
            match closing.look(left(seconds), STALL, now) {
                LingerStep::Wait => assert!(seconds < 100_000, "for ever"),
                verdict => return (verdict, seconds),
            }
        }
    }

    #[test]
    fn a_slow_steady_reader_gets_everything() {
        const ALL: u64 = 4 << 20;
        for rate in [2_000, 5_000, 300_000] {
            let left = |seconds: u64| ALL.saturating_sub(seconds * rate);
            let (verdict, after) = watch(4 << 20, left);
            assert_eq!(verdict, LingerStep::Done, "{rate} bytes a second");
            assert!(after >= ALL / rate, "{rate} bytes a second: {after} s");
        }
        // A window that opens by 64 KiB at a time, as on the loopback interface.
        let left = |seconds: u64| ALL.saturating_sub(seconds / 13 * 65_536);
        assert_eq!(watch(4 << 20, left).0, LingerStep::Done);
    }

    #[test]
    fn a_peer_that_takes_nothing_or_next_to_nothing_is_cut_off() {
        let (verdict, after) = watch(4 << 20, |_| 4 << 20);
        assert_eq!(verdict, LingerStep::CutOff);
        assert!((STALL.as_secs()..STALL.as_secs() + 5).contains(&after));
        // A byte every two seconds.
        let (verdict, after) = watch(4 << 20, |seconds| (4 << 20) - seconds / 2);
        assert_eq!(verdict, LingerStep::CutOff);
        assert!(after < STALL.as_secs() + 5, "{after} s");
        // Quick at first, then nothing.
        let (verdict, after) = watch(4 << 20, |seconds| (4 << 20) - seconds.min(10) * 300_000);
        assert_eq!(verdict, LingerStep::CutOff);
        assert!(after < STALL.as_secs() + 15, "{after} s");
    }

    #[test]
    fn it_is_given_as_long_as_it_is_told_to_and_for_ever_if_need_be() {
        for minutes in [0, 2, 10] {
            let stall = STALL + Duration::from_secs(60 * minutes);
            let mut closing = Closing::new(ConnectionId::new(1, 1), 9, Instant::default());
            let looks = std::iter::repeat_with(|| closing.look(9, stall, closing.at));
            let looks = looks.take_while(|step| *step == LingerStep::Wait).count();
            let waited = limits::LINGER_TIME * u32::try_from(looks).unwrap();
            assert!(
                (stall - limits::LINGER_TIME..stall).contains(&waited),
                "{waited:?}"
            );
        }
        let mut closing = Closing::new(ConnectionId::new(1, 1), 9, Instant::default());
        for left in (1..100_000).rev() {
            let at = closing.at;
            assert_eq!(closing.look(left, Duration::MAX, at), LingerStep::Wait);
        }
    }

    #[test]
    fn a_peer_that_has_everything_gets_a_moment_to_end() {
        assert_eq!(watch(0, |_| 0), (LingerStep::Done, 2));
        assert_eq!(watch(100, |_| 0), (LingerStep::Done, 4));
    }
}
