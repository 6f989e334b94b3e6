//! A run so far, and what came in each interval of it: from what its cores hand over meanwhile.

use super::figures::float;
use crate::load::latency::Latencies;
use crate::load::outcome::{CoreUse, Outcome};
use crate::load::progress::{Progress, Stage};
use std::time::Duration;

/// What one core hands over at the end of an interval.
#[derive(Debug)]
pub struct Share {
    /// Where the core is.
    pub progress: Progress,
    /// Its counts since the run began; its latencies since the last share.
    pub outcome: Outcome,
}

/// What came between two moments of a run, on all cores.
#[derive(Clone, Debug)]
pub struct Interval {
    /// Where the run is at its end.
    pub stage: Stage,
    /// When it began, since the run did.
    pub from: Duration,
    /// How long it was.
    pub span: Duration,
    /// Connections that are up at its end.
    pub up: u64,
    /// Connects that came up in it.
    pub connected: u64,
    /// Messages sent in it, as far as measured.
    pub sent: u64,
    /// Replies, or pushed messages, in it.
    pub received: u64,
    /// Planned messages not sent in it.
    pub dropped: u64,
    /// What went wrong in it.
    pub failures: u64,
    /// The part of it in which each core was busy.
    pub busy: Vec<f64>,
    /// The latencies recorded in it.
    pub latencies: Latencies,
}

/// A run so far.
#[derive(Debug, Default)]
pub struct Ledger {
    so_far: Outcome,
    last: Totals,
}

/// What intervals are the differences of.
#[derive(Clone, Debug, Default)]
struct Totals {
    elapsed: Duration,
    connected: u64,
    sent: u64,
    received: u64,
    dropped: u64,
    failures: u64,
    cpu: Vec<Duration>,
    begun: Vec<Option<(Duration, Duration)>>,
}

impl Ledger {
    /// Adds the shares of all cores, in their order, and says what came since the last ones.
    pub fn add(&mut self, shares: &[Share]) -> Interval {
        let mut whole = Outcome::default();
        let mut up = 0;
        let mut totals = Totals {
            begun: std::mem::take(&mut self.last.begun),
            ..Totals::default()
        };
        totals.begun.resize(shares.len(), None);
        let mut behind: Option<Progress> = None;
        for (share, begun) in shares.iter().zip(&mut totals.begun) {
            let (progress, outcome) = (share.progress, &share.outcome);
            whole.merge(outcome);
            up += progress.up;
            totals.elapsed = totals.elapsed.max(progress.elapsed);
            totals.cpu.push(progress.cpu);
            whole.cores.push(measured(&progress, begun));
            let is_behind = behind.is_none_or(|other| progress.stage < other.stage);
            behind = if is_behind { Some(progress) } else { behind };
        }
        totals.take(&whole);
        let so_far = std::mem::take(&mut self.so_far.latencies);
        let latencies = std::mem::replace(&mut whole.latencies, so_far);
        whole.latencies.merge(&latencies);
        self.so_far = whole;
        let interval = self.interval(behind, up, &totals, latencies);
        self.last = totals;
        interval
    }

    /// The run so far, as if it had ended now.
    #[must_use]
    pub fn so_far(&self) -> &Outcome {
        &self.so_far
    }

    /// The end of the run, with what its cores had left: what came since the last shares.
    pub fn end(&mut self, rest: Outcome) -> Interval {
        let known = rest.connect_time() + rest.measured_time();
        let mut totals = Totals {
            elapsed: known.max(self.last.elapsed),
            ..Totals::default()
        };
        totals.take(&rest);
        let latencies = rest.latencies.clone();
        let so_far = std::mem::take(&mut self.so_far.latencies);
        self.so_far = rest;
        self.so_far.latencies.merge(&so_far);
        let interval = self.interval(None, 0, &totals, latencies);
        Interval {
            stage: Stage::Finished,
            ..interval
        }
    }

    /// What the run measured.
    #[must_use]
    pub fn into_outcome(self) -> Outcome {
        self.so_far
    }

    fn interval(
        &self,
        behind: Option<Progress>,
        up: u64,
        now: &Totals,
        latencies: Latencies,
    ) -> Interval {
        let last = &self.last;
        let span = now.elapsed.saturating_sub(last.elapsed);
        let cores = now.cpu.iter().enumerate().map(|(core, cpu)| {
            let before = last.cpu.get(core).copied().unwrap_or_default();
            let used = cpu.saturating_sub(before).as_secs_f64();
            if span.is_zero() {
                0.0
            } else {
                used / span.as_secs_f64()
            }
        });
        Interval {
            stage: behind.map_or(Stage::Connecting, |progress| progress.stage),
            from: last.elapsed,
            span,
            up,
            connected: now.connected.saturating_sub(last.connected),
            sent: now.sent.saturating_sub(last.sent),
            received: now.received.saturating_sub(last.received),
            dropped: now.dropped.saturating_sub(last.dropped),
            failures: now.failures.saturating_sub(last.failures),
            busy: cores.collect(),
            latencies,
        }
    }
}

impl Totals {
    fn take(&mut self, whole: &Outcome) {
        self.connected = whole.connects.up;
        self.sent = whole.messages.sent;
        self.received = whole.messages.replied + whole.events.received;
        self.dropped = whole.messages.dropped.total();
        self.failures = whole.failures.total();
    }
}

impl Interval {
    /// The latency to look at first, with its name.
    #[must_use]
    pub fn headline(&self) -> Option<(&'static str, &hdrhistogram::Histogram<u64>)> {
        let order = ["response", "service", "one_way", "ping", "connect"];
        let recorded = |name: &&str| {
            let mut named = self.latencies.named();
            let found = named.find(|(other, _)| other == name);
            found.filter(|(_, latency)| !latency.histogram().is_empty())
        };
        let (name, latency) = order.iter().find_map(recorded)?;
        Some((name, latency.histogram()))
    }

    /// `n` of it a second.
    #[must_use]
    pub fn per_second(&self, n: u64) -> f64 {
        if self.span.is_zero() {
            return 0.0;
        }
        float(n) / self.span.as_secs_f64()
    }
}

/// The use of a core so far, from when its measured time began.
fn measured(progress: &Progress, begun: &mut Option<(Duration, Duration)>) -> CoreUse {
    if progress.measured.is_zero() {
        *begun = Some((progress.elapsed, progress.cpu));
    }
    let (_, cpu) = begun.unwrap_or_default();
    CoreUse {
        core: progress.core,
        connect_cpu: cpu,
        connect_time: begun.map_or(progress.elapsed, |(elapsed, _)| elapsed),
        measured_cpu: progress.cpu.saturating_sub(cpu),
        measured_time: progress.measured,
        ..CoreUse::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(core: u16, second: u64, sent: u64) -> Share {
        let mut outcome = Outcome::default();
        (outcome.messages.sent, outcome.messages.replied) = (sent, sent);
        outcome.latencies.response.record_ns(second * 1_000);
        let progress = Progress {
            core,
            stage: Stage::Measuring,
            elapsed: Duration::from_secs(second + 1),
            measured: Duration::from_secs(second),
            connections: 5,
            up: 5,
            failed: 0,
            sent,
            dropped: 0,
            received: sent,
            failures: 0,
            cpu: Duration::from_millis(500 * (second + 1)),
        };
        Share { progress, outcome }
    }

    #[test]
    fn an_interval_is_what_came_since_the_last_one_and_the_run_is_all_of_it() {
        let mut ledger = Ledger::default();
        let first = ledger.add(&[share(0, 1, 100), share(1, 1, 50)]);
        assert_eq!((first.sent, first.up, first.span.as_secs()), (150, 10, 2));
        let second = ledger.add(&[share(0, 2, 180), share(1, 2, 90)]);
        assert_eq!((second.sent, second.received), (120, 120));
        assert_eq!((second.from.as_secs(), second.span.as_secs()), (2, 1));
        assert_eq!(second.busy, [0.5, 0.5]);
        assert_eq!(
            second.headline().map(|(name, it)| (name, it.len())),
            Some(("response", 2))
        );
        assert_eq!(ledger.so_far().messages.sent, 270);
        let mut rest = Outcome::default();
        rest.messages.sent = 300;
        rest.latencies.response.record_ns(9_000);
        let last = ledger.end(rest);
        assert_eq!((last.sent, last.stage), (30, Stage::Finished));
        let whole = ledger.into_outcome();
        assert_eq!(whole.latencies.response.histogram().len(), 5);
        assert_eq!(whole.messages.sent, 300);
    }
}
