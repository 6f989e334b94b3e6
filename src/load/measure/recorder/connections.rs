//! What is counted of connections: connects, losses, returns, pings, and what a core used.

use super::super::failure::{Kind, Stage};
use super::super::outcome::{CoreUse, Ending};
use super::super::recovery::Recovery;
use super::{Recorder, ns_between};
use crate::shard::Origin;
use crate::time::Instant;
use std::time::Duration;

/// Connects. `planned = attempted + dropped`; `attempted = up + failed + unfinished`.
impl Recorder {
    /// So many connects are planned.
    pub(in crate::load) fn plan_connects(&mut self, connects: u64) {
        self.outcome.connects.planned = connects;
    }

    /// A first connect begins.
    pub(in crate::load) fn connect_attempted(&mut self) {
        self.outcome.connects.attempted += 1;
    }

    /// First connects that will never begin.
    pub(in crate::load) fn connects_dropped(&mut self, connects: u64) {
        self.outcome.connects.dropped += connects;
    }

    /// A first connect begins again.
    pub(in crate::load) fn connect_retried(&mut self) {
        self.outcome.connects.retries += 1;
    }

    /// An attempt finds no slot, and waits for one.
    pub(in crate::load) fn waited_for_slot(&mut self) {
        self.outcome.connects.waited_for_slot += 1;
    }

    /// TCP is up, and secured if it is to be, of a connect that started then.
    pub(in crate::load) fn tcp_up(&mut self, since: Instant, origin: Origin, now: Instant) {
        let latencies = &mut self.outcome.latencies;
        match origin {
            Origin::Accepted { .. } | Origin::Connected => {
                latencies.tcp.record_ns(ns_between(since, now));
            }
            Origin::Secured { connected } => {
                latencies.tcp.record_ns(ns_between(since, connected));
                latencies.tls.record_ns(ns_between(connected, now));
            }
        }
    }

    /// The response head was right, so long after the request.
    pub(in crate::load) fn upgraded(&mut self, time: Duration) {
        self.outcome.latencies.upgrade.record_ns(ns(time));
    }

    /// A scenario's own handshake is done, so long after the upgrade.
    pub(in crate::load) fn ready(&mut self, time: Duration) {
        self.outcome.latencies.ready.record_ns(ns(time));
    }

    /// A client that is ready takes turns.
    pub(in crate::load) fn speaker(&mut self) {
        self.outcome.connects.speakers += 1;
    }

    /// A first connect is up, that was meant to start then.
    pub(in crate::load) fn connect_up(&mut self, intended: Instant, now: Instant) {
        self.outcome.connects.up += 1;
        let latencies = &mut self.outcome.latencies;
        latencies.connect.record_ns(ns_between(intended, now));
    }

    /// Something went wrong with a connection.
    pub(in crate::load) fn failed(&mut self, stage: Stage, kind: Kind) {
        self.outcome.failures.count(stage, kind);
    }

    /// A server refused with that status; what it said is kept if it is the first time.
    pub(in crate::load) fn refused(&mut self, status: u16, said: impl FnOnce() -> Option<String>) {
        self.outcome.failures.refused(status, said);
    }

    /// First connects that are not tried any more.
    pub(in crate::load) fn connects_failed(&mut self, connects: u64) {
        self.outcome.connects.failed += connects;
    }

    /// First connects that were under way, or to be tried again, when the run needed them no
    /// more.
    pub(in crate::load) fn connects_unfinished(&mut self, connects: u64) {
        self.outcome.connects.unfinished += connects;
    }

    /// A connection was ended as its scenario or its session wants it.
    pub(in crate::load) fn left(&mut self) {
        self.outcome.connects.left += 1;
    }

    /// A connection that was up ended before the run did.
    pub(in crate::load) fn ended_early(&mut self, kind: Kind) {
        self.failed(Stage::Open, kind);
        self.outcome.connects.ended_early += 1;
    }

    /// Closing handshakes that have not ended.
    pub(in crate::load) fn still_open(&mut self, connections: u64) {
        self.outcome.connects.still_open += connections;
    }

    /// No connection is left, and none comes.
    pub(in crate::load) fn deserted(&mut self) {
        let connects = &self.outcome.connects;
        // Where all went as their scenario wanted, that was the run.
        let is_in_order = connects.left > 0 && connects.ended_early == 0;
        self.outcome.ending = if is_in_order {
            Ending::Complete
        } else {
            Ending::Deserted
        };
    }

    /// Whether this core had anything to connect.
    pub(in crate::load) const fn plans_connects(&self) -> bool {
        self.outcome.connects.planned > 0
    }
}

/// Losses and returns. `lost = resumed + given_up + absent`.
impl Recorder {
    /// A connection was lost whose client is to come back.
    pub(in crate::load) fn lost(&mut self) {
        self.outcome.returns.lost += 1;
    }

    /// A connect after a loss begins.
    pub(in crate::load) fn return_attempted(&mut self) {
        self.outcome.returns.attempts += 1;
    }

    /// A client is up again.
    pub(in crate::load) fn resumed(&mut self) {
        self.outcome.returns.resumed += 1;
    }

    /// What a client missed since it lost its connection, as time.
    pub(in crate::load) fn resumed_after(&mut self, lost_at: Instant, now: Instant) {
        let latencies = &mut self.outcome.latencies;
        latencies.resume.record_ns(ns_between(lost_at, now));
    }

    /// A client does not come back.
    pub(in crate::load) fn given_up(&mut self) {
        self.outcome.returns.given_up += 1;
    }

    /// Clients that had not come back when the run needed them no more.
    pub(in crate::load) fn absent(&mut self, clients: u64) {
        self.outcome.returns.absent += clients;
    }

    /// Messages that a client will never hear.
    pub(in crate::load) fn missed(&mut self, messages: u64) {
        self.outcome.returns.missed += messages;
    }

    /// A message came that had been heard before the loss.
    pub(in crate::load) fn heard_twice(&mut self) {
        self.outcome.returns.duplicated += 1;
    }

    /// A message came that was asked for, by the last event ID.
    pub(in crate::load) fn replayed(&mut self) {
        self.outcome.returns.replayed += 1;
    }

    /// Connections were dropped at once; their curve of recovery begins.
    pub(in crate::load) fn outage(&mut self, recovery: Recovery) {
        self.outcome.recovery = Some(recovery);
    }

    /// A point of that curve: so many are up.
    pub(in crate::load) fn recovery_point(&mut self, up: u64) {
        if let Some(recovery) = &mut self.outcome.recovery {
            recovery.up.push(up);
        }
    }
}

/// What else is known of connections, and of the core.
impl Recorder {
    /// A listener heard its first event; its connect was meant to start then.
    pub(in crate::load) fn first_event(&mut self, intended: Instant, now: Instant) {
        let latencies = &mut self.outcome.latencies;
        latencies.first_event.record_ns(ns_between(intended, now));
    }

    /// A ping was sent.
    pub(in crate::load) fn pinged(&mut self) {
        self.outcome.pings.sent += 1;
    }

    /// The pong came for the ping that was sent then.
    pub(in crate::load) fn ponged(&mut self, sent: Instant, now: Instant) {
        self.outcome.pings.answered += 1;
        if self.is_measured(sent) {
            let latencies = &mut self.outcome.latencies;
            latencies.ping.record_ns(ns_between(sent, now));
        }
    }

    /// It is this core's outcome.
    pub(in crate::load) fn of_core(&mut self, core: u16) {
        self.outcome.cores = vec![CoreUse {
            core,
            ..CoreUse::default()
        }];
    }

    /// Changes what is known of this core's use of its thread.
    pub(in crate::load) fn core_use(&mut self, change: impl FnOnce(&mut CoreUse)) {
        if let Some(used) = self.outcome.cores.first_mut() {
            change(used);
        }
    }
}

fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ns: u64) -> Instant {
        Instant::from_nanos(ns)
    }

    #[test]
    fn each_part_of_a_connect_has_its_latency() {
        let mut recorder = Recorder::new(false);
        let connected = at(30);
        recorder.tcp_up(at(10), Origin::Secured { connected }, at(70));
        recorder.upgraded(Duration::from_nanos(5));
        recorder.connect_up(at(0), at(90));
        let latencies = &recorder.outcome().latencies;
        let all = [
            &latencies.tcp,
            &latencies.tls,
            &latencies.upgrade,
            &latencies.connect,
        ];
        assert_eq!(all.map(|it| it.histogram().max()), [20, 40, 5, 90]);
        assert_eq!(recorder.outcome().connects.up, 1);
    }

    #[test]
    fn a_run_without_connections_is_in_order_only_if_all_left_as_they_were_to() {
        let ending = |early: bool| {
            let mut recorder = Recorder::new(false);
            recorder.left();
            if early {
                recorder.ended_early(Kind::Reset);
            }
            recorder.deserted();
            recorder.outcome().ending
        };
        assert_eq!(ending(false), Ending::Complete);
        assert_eq!(ending(true), Ending::Deserted);
    }

    #[test]
    fn a_pong_counts_always_and_is_timed_if_its_ping_was_measured() {
        let mut recorder = Recorder::new(false);
        recorder.measure(at(100), at(200));
        recorder.pinged();
        recorder.ponged(at(50), at(120));
        recorder.ponged(at(150), at(220));
        let outcome = recorder.outcome();
        assert_eq!((outcome.pings.sent, outcome.pings.answered), (1, 2));
        let pings = outcome.latencies.ping.histogram();
        assert_eq!((pings.len(), pings.max()), (1, 70));
    }
}
