//! Pings: each WebSocket connection sends one every so often, and times the pong.
//!
//! Each connection has a place of its own in the interval, by its number in the run, so however
//! many come up at once their pings are spread evenly. A ping carries the time at which it was
//! sent, so a connection keeps no more than whether a pong is awaited, and its entry in a wheel.

use super::table::State;
use crate::load::barrier::Message;
use crate::load::measure::failure::Kind;
use crate::load::phase::{NEVER, Phase};
use crate::load::shard::Load;
use crate::protocol::websocket::frame::{self, Opcode};
use crate::shard::{Close, ConnectionId, Wire};
use crate::time::Instant;
use crate::wheel::Wheel;
use std::time::Duration;

/// What a ping of ours begins with: the time follows, in nanoseconds of this host's clock.
const MARK: &[u8; 4] = b"ping";
/// The horizon of the wheel is 2,047 ticks, and a ping is due within five quarters of an interval.
const TICKS: u32 = 1_024;
const TICK_TIME_MIN: Duration = Duration::from_millis(1);

/// When the clients of a core ping next.
#[derive(Debug, Default)]
pub(in crate::load) struct Pinging {
    wheel: Option<Wheel>,
    due: Vec<ConnectionId>,
}

impl Load {
    /// A connection is up: it pings from now on.
    pub(in crate::load) fn begin_pinging(&mut self, id: ConnectionId, now: Instant) {
        self.ping_from(id, now, now);
    }

    /// Sends the pings that are due; who has not answered the last one has failed.
    pub(in crate::load) fn send_pings(&mut self, wire: &mut impl Wire<Message>) {
        let now = wire.now();
        let mut due = std::mem::take(&mut self.pinging.due);
        if let Some(wheel) = &mut self.pinging.wheel {
            wheel.expire(now, &mut due);
        }
        for id in due.drain(..) {
            let Some(client) = self.fleet.get(id) else {
                continue;
            };
            if client.state != State::Open {
                continue;
            }
            if client.talk.flight.is_paused() {
                // It would not read the pong.
                client.awaits_pong = false;
            } else if client.awaits_pong {
                self.is_dead(id, wire);
                continue;
            } else {
                self.ping(id, wire);
            }
            if let Some(interval) = self.config.ping {
                // At its next place, but not before the pong has had its time.
                self.ping_from(id, now + interval - interval / 4, now);
            }
        }
        self.pinging.due = due;
    }

    /// When pings are due next.
    #[inline]
    pub(in crate::load) fn ping_deadline(&self) -> Instant {
        let wheel = self.pinging.wheel.as_ref();
        match self.timeline.phase() {
            Phase::Connecting | Phase::Waiting | Phase::Running => {
                wheel.and_then(Wheel::deadline).unwrap_or(NEVER)
            }
            Phase::Draining | Phase::Closing | Phase::Finished => NEVER,
        }
    }

    /// Schedules a connection's ping at its first place in the interval after that time.
    fn ping_from(&mut self, id: ConnectionId, after: Instant, now: Instant) {
        let (Some(interval), Some(client)) = (self.config.ping, self.fleet.get(id)) else {
            return;
        };
        let at = place_after(client.number, interval, after);
        let wheel = &mut self.pinging.wheel;
        let tick = TICK_TIME_MIN.max(interval / TICKS);
        wheel
            .get_or_insert_with(|| Wheel::new(now, tick))
            .schedule(id, at);
    }

    fn ping(&mut self, id: ConnectionId, wire: &mut impl Wire<Message>) {
        let key = self.tools.rng.u32(..).to_ne_bytes();
        let scratch = &mut self.tools.scratch;
        scratch.clear();
        frame::encode(scratch, Opcode::Ping, &payload(wire.now()), Some(key));
        // What a peer that does not read makes fail is its backlog, not its pong.
        if wire.send(id, scratch).is_ok()
            && let Some(client) = self.fleet.get(id)
        {
            client.awaits_pong = true;
            self.recorder.outcome.pings.sent += 1;
        }
    }

    /// A connection has not answered its ping for an interval: it is taken for dead.
    fn is_dead(&mut self, id: ConnectionId, wire: &mut impl Wire<Message>) {
        self.say_closed(id, wire);
        let is_open = self.fleet.get(id).map(|client| client.state) == Some(State::Open);
        if is_open {
            self.ended_early(id, Kind::NoPong, wire.now());
            // What is queued would wait for a peer that is not there, and keep the slot meanwhile.
            wire.close(id, Close::Abort);
            self.after_loss(wire);
        }
    }
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
pub(in crate::load) fn sent_at(pong: &[u8]) -> Option<Instant> {
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
