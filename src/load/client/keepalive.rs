//! Pings: each WebSocket connection sends one every so often, and times the pong.
//!
//! Each connection has a place of its own in the interval, by its number in the run, so however
//! many come up at once their pings are spread evenly. A ping carries the time at which it was
//! sent, so a connection keeps no more than whether a pong is awaited, and its entry in a wheel.

use crate::protocol::websocket::frame::{self, Opcode};
use crate::shard::ConnectionId;
use crate::time::Instant;
use crate::wheel::Wheel;
use std::time::Duration;

/// What a ping of ours begins with: the time follows, in nanoseconds of this host's clock.
const MARK: &[u8; 4] = b"ping";
/// The horizon of the wheel is 2,047 ticks, and a ping is due within five quarters of an interval.
const TICKS: u32 = 1_024;
const TICK_TIME_MIN: Duration = Duration::from_millis(1);

/// When the clients of a core ping next.
#[derive(Debug)]
pub(super) struct Keepalive {
    /// `None`: they do not.
    interval: Option<Duration>,
    wheel: Option<Wheel>,
    due: Vec<ConnectionId>,
}

impl Keepalive {
    pub(super) const fn new(interval: Option<Duration>) -> Self {
        Self {
            interval,
            wheel: None,
            due: Vec::new(),
        }
    }

    /// Connection `number` of the run is up: it pings from now on.
    pub(super) fn begin(&mut self, id: ConnectionId, number: u32, now: Instant) {
        self.schedule(id, number, now, now);
    }

    /// It has been its turn: the next one is at its next place, but not before the pong has had
    /// its time.
    pub(super) fn go_on(&mut self, id: ConnectionId, number: u32, now: Instant) {
        if let Some(interval) = self.interval {
            self.schedule(id, number, now + interval - interval / 4, now);
        }
    }

    /// The connections whose turn it is. The list is to be given back.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<ConnectionId> {
        let mut due = std::mem::take(&mut self.due);
        if let Some(wheel) = &mut self.wheel {
            wheel.expire(now, &mut due);
        }
        due
    }

    /// Gives the list back, for the next time.
    pub(super) fn give_back(&mut self, mut due: Vec<ConnectionId>) {
        due.clear();
        self.due = due;
    }

    /// When it is somebody's turn next.
    #[inline]
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.wheel.as_ref().and_then(Wheel::deadline)
    }

    /// Schedules a connection's ping at its first place in the interval after that time.
    fn schedule(&mut self, id: ConnectionId, number: u32, after: Instant, now: Instant) {
        let Some(interval) = self.interval else {
            return;
        };
        let at = place_after(number, interval, after);
        let tick = TICK_TIME_MIN.max(interval / TICKS);
        let wheel = &mut self.wheel;
        wheel
            .get_or_insert_with(|| Wheel::new(now, tick))
            .schedule(id, at);
    }
}

/// Appends a ping that is sent now.
pub(super) fn encode(into: &mut Vec<u8>, now: Instant, key: [u8; 4]) {
    frame::encode(into, Opcode::Ping, &payload(now), Some(key));
}

/// What a ping carries that is sent now.
fn payload(now: Instant) -> [u8; 12] {
    let mut payload = [0; 12];
    let (mark, time) = payload.split_at_mut(MARK.len());
    mark.copy_from_slice(MARK);
    time.copy_from_slice(&now.as_nanos().to_be_bytes());
    payload
}

/// When the ping was sent whose pong this is, if it is one of ours.
pub(super) fn sent_at(pong: &[u8]) -> Option<Instant> {
    let time = pong.strip_prefix(MARK)?.try_into().ok()?;
    Some(Instant::from_nanos(u64::from_be_bytes(time)))
}

/// The first time after that one that is this connection's place in an interval: multiples of the
/// golden ratio spread any number of connections evenly.
fn place_after(number: u32, interval: Duration, after: Instant) -> Instant {
    let interval = u64::try_from(interval.as_nanos())
        .unwrap_or(u64::MAX)
        .max(1);
    let turned = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let place = (u128::from(turned) * u128::from(interval)) >> 64;
    let place = u64::try_from(place).unwrap_or(0);
    let after = after.as_nanos();
    let into = after % interval;
    let wait = if into < place {
        place - into
    } else {
        interval - into + place
    };
    Instant::from_nanos(after.saturating_add(wait))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_place_comes_once_an_interval(
            number: u32,
            ms in 1..100_000_u64,
            after in 0..u64::MAX / 2,
        ) {
            let interval = Duration::from_millis(ms);
            let first = place_after(number, interval, Instant::from_nanos(after));
            let wait = first.as_nanos() - after;
            prop_assert!(wait > 0 && wait <= ms * 1_000_000);
            prop_assert_eq!(place_after(number, interval, first), first + interval);
        }
    }

    #[test]
    fn places_are_spread_over_the_interval() {
        let interval = Duration::from_secs(20);
        let mut tenths = [0; 10];
        for number in 0..10_000 {
            let at = place_after(number, interval, Instant::default()).as_nanos();
            tenths[usize::try_from((at - 1) / 2_000_000_000).unwrap()] += 1;
        }
        assert!(
            tenths.iter().all(|n| (990..=1_010).contains(n)),
            "{tenths:?}"
        );
    }

    #[test]
    fn a_connection_has_its_turn_once_an_interval_and_none_without_one() {
        let interval = Duration::from_secs(4);
        let (id, begun) = (ConnectionId::new(3, 1), Instant::from_nanos(7_000_000_000));
        let mut silent = Keepalive::new(None);
        silent.begin(id, 9, begun);
        assert_eq!(silent.deadline(), None);
        let mut keepalive = Keepalive::new(Some(interval));
        keepalive.begin(id, 9, begun);
        let mut turns = 0;
        for second in 1..=40 {
            let now = begun + Duration::from_secs(second);
            let due = keepalive.take_due(now);
            turns += due.len();
            for id in &due {
                keepalive.go_on(*id, 9, now);
            }
            keepalive.give_back(due);
        }
        assert!((9..=10).contains(&turns), "{turns}");
    }

    /// Its pong has three quarters of an interval at least.
    #[test]
    fn whose_turn_came_late_has_its_next_one_the_later() {
        let second = Duration::from_secs(1);
        let (id, begun) = (ConnectionId::new(3, 1), Instant::from_nanos(7_500_000_000));
        let mut keepalive = Keepalive::new(Some(second));
        // The first of all has its place at the full seconds.
        keepalive.begin(id, 0, begun);
        let late = Instant::from_nanos(8_600_000_000);
        assert_eq!(keepalive.take_due(late), [id]);
        keepalive.go_on(id, 0, late);
        assert_eq!(keepalive.take_due(late + Duration::from_millis(900)), []);
        assert_eq!(
            keepalive.take_due(late + Duration::from_millis(1_500)),
            [id]
        );
    }

    #[test]
    fn a_pong_says_when_its_ping_was_sent_and_others_are_none() {
        let now = Instant::from_nanos(123_456_789);
        assert_eq!(sent_at(&payload(now)), Some(now));
        for other in [
            &b""[..],
            b"ping",
            b"ping1234567",
            b"pong12345678",
            b"ping123456789",
        ] {
            assert_eq!(sent_at(other), None);
        }
    }
}
