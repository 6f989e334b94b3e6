//! What a load run measured: counts, latencies, failures and what each core used. Cores merge.

use super::deliveries::Deliveries;
pub use super::due::{Due, Numbering};
use super::failure::Failures;
use super::fan_out::FanOut;
use super::latency::Latencies;
pub use super::pings::Pings;
use super::recovery::Recovery;
pub use super::returns::ReconnectCounts;
use std::time::Duration;

/// Counts of connects. `planned = attempted + dropped`; `attempted = up + failed + unfinished`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connects {
    /// Connections that the run was to make.
    pub planned: u64,
    /// Connections that were tried, once or more.
    pub attempted: u64,
    /// Further attempts of first connects that had failed.
    pub retries: u64,
    /// Connections that were never tried, for want of time, or of room for a session.
    pub dropped: u64,
    /// Attempts that had to wait until another connection had left its slot: this client's own
    /// shortage.
    pub waited_for_slot: u64,
    /// Connections that came up, upgrade included.
    pub up: u64,
    /// Connects that failed.
    pub failed: u64,
    /// Connects that were under way when the run was stopped.
    pub unfinished: u64,
    /// Those that take turns, of a scenario that is a dialogue.
    pub speakers: u64,
    /// Sessions whose time was over, and connections that their scenario ended, as it was to.
    pub left: u64,
    /// Connections that were up and ended before the run did.
    pub ended_early: u64,
    /// Connections whose closing handshake had not ended when the run gave up on them.
    pub still_open: u64,
}

/// Why planned messages were not sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// The connection already had as many in flight as are allowed.
    pub in_flight: u64,
    /// The connection's outbound backlog was full: the peer does not read.
    pub backlog: u64,
    /// No connection was up.
    pub no_connection: u64,
    /// The generator was late: the run was over before it got to them.
    pub late: u64,
}

impl Dropped {
    /// All of them.
    #[must_use]
    pub fn total(self) -> u64 {
        self.in_flight + self.backlog + self.no_connection + self.late
    }
}

/// Counts of sent messages and their replies, of the measured time only.
/// `planned = sent + dropped`; `sent = replied + lost`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Messages {
    /// Messages that the pace asked for; in a closed loop, messages sent.
    pub planned: u64,
    /// Messages handed to the engine.
    pub sent: u64,
    /// Planned messages that were not sent.
    pub dropped: Dropped,
    /// Replies that verified, byte by byte, until the end of the grace time.
    pub replied: u64,
    /// Those of them that came before the end of the measured time: what a rate is made of.
    pub replied_in_time: u64,
    /// Sent messages without a reply.
    pub lost: u64,
    /// Messages received that were no reply to anything in flight.
    pub wrong: u64,
    /// Messages sent outside the measured time.
    pub unmeasured: u64,
}

/// Counts of what servers sent unasked, of the measured time only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// Messages or events.
    pub received: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Events whose content had no stamp of ours, so that their latency is unknown.
    pub unstamped: u64,
    /// Stamps later than their receipt.
    pub negative: u64,
    /// Sequence numbers that were passed over.
    pub gaps: u64,
    /// Sequence numbers that were not above the last one.
    pub repeated: u64,
}

/// What one core of the generator used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoreUse {
    /// The core's index in the run.
    pub core: u16,
    /// CPU time of the connect phase.
    pub connect_cpu: Duration,
    /// Length of the connect phase.
    pub connect_time: Duration,
    /// CPU time of the measured time.
    pub measured_cpu: Duration,
    /// Length of the measured time.
    pub measured_time: Duration,
    /// Engine turns in the measured time.
    pub turns: u64,
    /// Times in the whole run that the engine's watchdog found work nobody had been woken for.
    pub rescues: u64,
}

impl CoreUse {
    /// The part of the measured time in which the core was busy, 0 to about 1. Of less than
    /// 100 ms nothing can be said: 0.
    #[must_use]
    pub fn busy(&self) -> f64 {
        if self.measured_time < Duration::from_millis(100) {
            return 0.0;
        }
        self.measured_cpu.as_secs_f64() / self.measured_time.as_secs_f64()
    }
}

/// How the run came to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// At its duration.
    #[default]
    Complete,
    /// No connection was left.
    Deserted,
    /// No connection came up: nothing was measured.
    NeverBegan,
    /// Somebody stopped it.
    Interrupted,
    /// It was stopped because a threshold failed: said by who stopped it.
    Aborted,
}

/// What one core measured; merged, what the run measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Connects.
    pub connects: Connects,
    /// Connections lost and made anew.
    pub returns: ReconnectCounts,
    /// How connections came back from the storm, if there was one.
    pub recovery: Option<Recovery>,
    /// Messages sent.
    pub messages: Messages,
    /// Messages received unasked.
    pub events: Events,
    /// What was due to listeners, and who of them fell silent.
    pub due: Due,
    /// Pings sent, if clients ping.
    pub pings: Pings,
    /// Broadcasts, if the scenario has any.
    pub fan_out: Option<Box<FanOut>>,
    /// Numbered publications, if the scenario hears any.
    pub deliveries: Option<Deliveries>,
    /// Latencies.
    pub latencies: Latencies,
    /// What went wrong.
    pub failures: Failures,
    /// What each core used, in the order of merging.
    pub cores: Vec<CoreUse>,
    /// How long each round of connects took, of a run that is several.
    pub rounds: Vec<Duration>,
    /// How it ended; of several cores, interrupted if one was, else what is nearest to complete.
    pub ending: Ending,
}

impl Outcome {
    /// Adds another core's outcome.
    pub fn merge(&mut self, other: &Self) {
        self.connects.merge(&other.connects);
        self.returns.merge(&other.returns);
        if let Some(recovery) = &other.recovery {
            self.recovery.get_or_insert_default().merge(recovery);
        }
        self.messages.merge(&other.messages);
        self.events.merge(&other.events);
        self.due.merge(&other.due);
        self.pings.sent += other.pings.sent;
        self.pings.answered += other.pings.answered;
        if let Some(other) = &other.fan_out {
            self.fan_out.get_or_insert_default().merge(other);
        }
        if let Some(other) = &other.deliveries {
            self.deliveries.get_or_insert_default().merge(other);
        }
        self.latencies.merge(&other.latencies);
        self.failures.merge(&other.failures);
        self.cores.extend_from_slice(&other.cores);
        self.ending = self.ending.with(other.ending);
    }

    /// The latencies recorded so far, with the counts as they are; `empty` takes their place.
    #[must_use]
    pub fn hand_over(&mut self, empty: Latencies) -> Self {
        Self {
            connects: self.connects,
            returns: self.returns,
            // The curve stays with the core as well.
            recovery: None,
            messages: self.messages,
            events: self.events,
            // Told at the end.
            due: Due::default(),
            pings: self.pings,
            // Its histograms stay with the core.
            fan_out: None,
            deliveries: self.deliveries,
            failures: self.failures.clone(),
            latencies: std::mem::replace(&mut self.latencies, empty),
            cores: Vec::new(),
            rounds: Vec::new(),
            ending: self.ending,
        }
    }

    /// Adds the next round of the same run, on the same cores.
    pub fn follow(&mut self, round: &Self) {
        let before = std::mem::take(&mut self.cores);
        self.merge(round);
        for (core, before) in self.cores.iter_mut().zip(&before) {
            core.connect_cpu += before.connect_cpu;
            core.connect_time += before.connect_time;
            core.measured_cpu += before.measured_cpu;
            core.measured_time += before.measured_time;
            core.turns += before.turns;
            core.rescues += before.rescues;
        }
        self.rounds.push(round.connect_time());
        self.ending = round.ending;
    }

    /// All cores' outcomes as one.
    #[must_use]
    pub fn merged(outcomes: &[Self]) -> Self {
        let Some((first, rest)) = outcomes.split_first() else {
            return Self::default();
        };
        let mut whole = first.clone();
        rest.iter().for_each(|outcome| whole.merge(outcome));
        whole
    }

    /// Length of the connect phase: the longest of all cores.
    #[must_use]
    pub fn connect_time(&self) -> Duration {
        self.cores
            .iter()
            .map(|core| core.connect_time)
            .max()
            .unwrap_or_default()
    }

    /// Length of the measured time: the longest of all cores.
    #[must_use]
    pub fn measured_time(&self) -> Duration {
        self.cores
            .iter()
            .map(|core| core.measured_time)
            .max()
            .unwrap_or_default()
    }
}

impl Ending {
    /// The ending of a run of which two cores ended so.
    fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Interrupted, _) | (_, Self::Interrupted) => Self::Interrupted,
            (Self::Aborted, _) | (_, Self::Aborted) => Self::Aborted,
            (Self::Complete | Self::Deserted | Self::NeverBegan, _) => self.min(other),
        }
    }
}

impl Connects {
    fn merge(&mut self, other: &Self) {
        let Self {
            planned,
            attempted,
            retries,
            dropped,
            waited_for_slot,
            up,
            failed,
            unfinished,
            speakers,
            left,
            ended_early,
            still_open,
        } = self;
        *planned += other.planned;
        *attempted += other.attempted;
        *retries += other.retries;
        *dropped += other.dropped;
        *waited_for_slot += other.waited_for_slot;
        *up += other.up;
        *failed += other.failed;
        *unfinished += other.unfinished;
        *speakers += other.speakers;
        *ended_early += other.ended_early;
        *left += other.left;
        *still_open += other.still_open;
    }
}

impl Messages {
    fn merge(&mut self, other: &Self) {
        let Self {
            planned,
            sent,
            dropped,
            replied,
            replied_in_time,
            lost,
            wrong,
            unmeasured,
        } = self;
        *planned += other.planned;
        *sent += other.sent;
        dropped.in_flight += other.dropped.in_flight;
        dropped.backlog += other.dropped.backlog;
        dropped.no_connection += other.dropped.no_connection;
        dropped.late += other.dropped.late;
        *replied += other.replied;
        *replied_in_time += other.replied_in_time;
        *lost += other.lost;
        *wrong += other.wrong;
        *unmeasured += other.unmeasured;
    }
}

impl Events {
    fn merge(&mut self, other: &Self) {
        let Self {
            received,
            bytes,
            unstamped,
            negative,
            gaps,
            repeated,
        } = self;
        *received += other.received;
        *bytes += other.bytes;
        *unstamped += other.unstamped;
        *negative += other.negative;
        *gaps += other.gaps;
        *repeated += other.repeated;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn merged_histograms_equal_one_histogram(
            samples in prop::collection::vec((0..4_usize, 0..100_000_000_000_u64), 0..300),
        ) {
            let mut one = Outcome::default();
            let mut cores = vec![Outcome::default(); 4];
            for &(core, ns) in &samples {
                one.latencies.response.record_ns(ns);
                cores[core].latencies.response.record_ns(ns);
            }
            prop_assert_eq!(Outcome::merged(&cores).latencies, one.latencies);
        }
    }

    #[test]
    fn one_core_without_connections_is_not_the_run_s_end_and_an_interruption_is() {
        let merged = |endings: [Ending; 3]| {
            let outcomes = endings.map(|ending| Outcome {
                ending,
                ..Outcome::default()
            });
            Outcome::merged(&outcomes).ending
        };
        let [complete, deserted, interrupted] =
            [Ending::Complete, Ending::Deserted, Ending::Interrupted];
        assert_eq!(merged([deserted, complete, deserted]), complete);
        assert_eq!(merged([deserted; 3]), deserted);
        assert_eq!(merged([complete, deserted, interrupted]), interrupted);
        assert_eq!(merged([interrupted, deserted, complete]), interrupted);
    }
}
