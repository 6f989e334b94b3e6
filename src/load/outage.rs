//! A storm: many connections are dropped at once, and how they come back is watched.

use super::barrier::Message;
use super::client::table::State;
use super::measure::failure::Kind;
use super::phase::NEVER;
use super::seed::seeded;
use super::shard::Load;
use crate::shard::{Close, ConnectionId, Wire};
use crate::time::Instant;
use std::time::Duration;

/// The shortest time from one point of the curve of recovery to the next.
const STEP: Duration = Duration::from_millis(100);
/// Points of the curve at most.
const POINTS_MAX: u32 = 600;
/// What the purpose of the generator that chooses begins at.
const CHOICE: u64 = 1 << 48;

/// Connections dropped at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storm {
    /// When, from the beginning of the measured time.
    pub at: Duration,
    /// How many of a thousand connections that are up.
    pub permille: u16,
}

/// What a storm did, and how its connections came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Connections up before it.
    pub before: u64,
    /// Connections it dropped.
    pub dropped: u64,
    /// Messages that were under way on them.
    pub messages: u64,
    /// Time from one point of the curve to the next.
    pub step: Duration,
    /// Connections up: right after it, a step later, and so on.
    pub up: Vec<u64>,
}

impl Recovery {
    /// When as many were up as before, as far as the curve tells.
    #[must_use]
    pub fn recovered(&self) -> Option<Duration> {
        let point = self.up.iter().position(|&up| up >= self.before)?;
        Some(self.step * u32::try_from(point).ok()?)
    }

    /// Adds another core's.
    pub fn merge(&mut self, other: &Self) {
        self.before += other.before;
        self.dropped += other.dropped;
        self.messages += other.messages;
        self.step = self.step.max(other.step);
        // A core that ended before the others stays as it was.
        let len = self.up.len().max(other.up.len());
        let last = |up: &[u64]| up.last().copied().unwrap_or(0);
        self.up.resize(len, last(&self.up));
        let rest = std::iter::repeat(last(&other.up));
        for (sum, up) in self.up.iter_mut().zip(other.up.iter().copied().chain(rest)) {
            *sum += up;
        }
    }
}

impl Storm {
    /// Time from one point of the curve to the next: the same on every core.
    fn step(self, duration: Duration) -> Duration {
        STEP.max(duration.saturating_sub(self.at) / POINTS_MAX)
    }
}

impl Load {
    /// When the storm breaks, once the start is known.
    pub(super) fn await_storm(&mut self) {
        if let Some(storm) = self.config.storm {
            self.storm_at = self.timeline.from() + storm.at;
        }
    }

    /// The storm breaks, or the next point of its curve is due.
    pub(super) fn weather(&mut self, wire: &mut impl Wire<Message>) {
        let now = wire.now();
        let Some(storm) = self.config.storm else {
            return;
        };
        while self.storm_at <= now && self.storm_at < self.timeline.until() {
            let step = storm.step(self.config.duration);
            if self.recorder.outcome.recovery.is_none() {
                self.recorder.outcome.recovery = Some(Recovery {
                    step,
                    ..self.strike(storm, wire)
                });
            }
            let up = u64::try_from(self.fleet.up()).unwrap_or(u64::MAX);
            if let Some(recovery) = &mut self.recorder.outcome.recovery {
                recovery.up.push(up);
            }
            self.storm_at += step;
        }
        if self.storm_at >= self.timeline.until() {
            self.storm_at = NEVER;
        }
    }

    /// Drops the storm's share of the connections that are up, chosen by the seed.
    fn strike(&mut self, storm: Storm, wire: &mut impl Wire<Message>) -> Recovery {
        let up = u64::try_from(self.fleet.up()).unwrap_or(u64::MAX);
        let wanted = (up * u64::from(storm.permille)).div_ceil(1000);
        let mut recovery = Recovery {
            before: up,
            ..Recovery::default()
        };
        let purpose = CHOICE + u64::from(wire.core().0);
        let mut rng = seeded(self.config.seed, purpose);
        let mut rest = up;
        let mut slot = 0;
        while let Some((id, state)) = self.fleet.at(slot) {
            slot += 1;
            if state != State::Open {
                continue;
            }
            // Each of the rest is as likely as any other (Knuth, 3.4.2, algorithm S).
            if rng.u64(..rest.max(1)) < wanted - recovery.dropped {
                recovery.dropped += 1;
                recovery.messages += u64::from(self.tear(id, wire));
            }
            rest -= 1;
        }
        self.after_loss(wire);
        recovery
    }

    /// Drops a connection that is up; how many messages were under way on it.
    fn tear(&mut self, id: ConnectionId, wire: &mut impl Wire<Message>) -> u32 {
        // As a network that went away: its client comes back by the backoff.
        let under_way = self.let_go(id, Kind::Reset);
        wire.close(id, Close::Abort);
        under_way
    }

    /// When the storm needs attention next.
    pub(super) fn storm_deadline(&self) -> Instant {
        self.storm_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_add_and_one_that_ended_stays_where_it_was() {
        let curve = |before, up: &[u64]| Recovery {
            before,
            step: STEP,
            up: up.to_vec(),
            ..Recovery::default()
        };
        let mut sum = curve(10, &[0, 4, 10]);
        sum.merge(&curve(5, &[1, 5]));
        assert_eq!(sum.up, [1, 9, 15]);
        assert_eq!(sum.recovered(), Some(2 * STEP));
        assert_eq!(curve(9, &[0, 8]).recovered(), None);
    }
}
