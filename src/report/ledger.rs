//! A run so far, and what came in each interval of it: from what its cores hand over meanwhile.

use super::figures::float;
use crate::load::latency::Latencies;
use crate::load::outcome::{CoreUse, Outcome};
use crate::load::progress::{Progress, Stage};
use std::collections::BTreeMap;
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
    /// What each core told last, by its number: it stays when a core has ended before the others.
    cores: BTreeMap<u16, Told>,
}

/// A core's counts since the run began.
#[derive(Debug, Default)]
struct Told {
    progress: Option<Progress>,
    counts: Outcome,
    /// When its measured time began: time and CPU time.
    begun: Option<(Duration, Duration)>,
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
}

impl Ledger {
    /// Adds the shares of some cores or all, and says what came since the last ones.
    pub fn add(&mut self, shares: Vec<Share>) -> (Interval, Vec<(u16, Latencies)>) {
        let mut latencies = Latencies::default();
        let mut used = Vec::with_capacity(shares.len());
        for Share { progress, outcome } in shares {
            latencies.merge(&outcome.latencies);
            let told = self.cores.entry(progress.core).or_default();
            if progress.measured.is_zero() {
                told.begun = Some((progress.elapsed, progress.cpu));
            }
            told.progress = Some(progress);
            let mut counts = outcome;
            used.push((progress.core, std::mem::take(&mut counts.latencies)));
            told.counts = counts;
        }
        let mut whole = Outcome::default();
        let (mut up, mut totals) = (0, Totals::default());
        let mut behind: Option<Progress> = None;
        for told in self.cores.values() {
            let Some(progress) = told.progress else {
                continue;
            };
            whole.merge(&told.counts);
            up += progress.up;
            totals.elapsed = totals.elapsed.max(progress.elapsed);
            totals.cpu.push(progress.cpu);
            whole.cores.push(measured(&progress, told.begun));
            let is_behind = behind.is_none_or(|other| progress.stage < other.stage);
            behind = if is_behind { Some(progress) } else { behind };
        }
        totals.take(&whole);
        whole.latencies = std::mem::take(&mut self.so_far.latencies);
        whole.latencies.merge(&latencies);
        self.so_far = whole;
        let interval = self.interval(behind, up, &totals, latencies);
        self.last = totals;
        (interval, used)
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
    /// The latency to look at first, with its name. That of connects is none: a curve would begin
    /// with another latency than it goes on with.
    #[must_use]
    pub fn headline(&self) -> Option<(&'static str, &hdrhistogram::Histogram<u64>)> {
        let order = ["response", "service", "one_way", "ping"];
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
fn measured(progress: &Progress, begun: Option<(Duration, Duration)>) -> CoreUse {
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
            speakers: 0,
            sent,
            dropped: 0,
            received: sent,
            failures: 0,
            cpu: Duration::from_millis(500 * (second + 1)),
        };
        Share { progress, outcome }
    }

    #[test]
    fn the_counts_of_a_core_that_ended_before_the_others_stay() {
        let mut ledger = Ledger::default();
        let add = |ledger: &mut Ledger, shares| ledger.add(shares).0;
        add(&mut ledger, vec![share(0, 1, 100), share(1, 1, 50)]);
        let alone = add(&mut ledger, vec![share(0, 2, 180)]);
        assert_eq!((alone.sent, ledger.so_far().messages.sent), (80, 230));
        let both = add(&mut ledger, vec![share(0, 3, 260)]);
        assert_eq!((both.sent, ledger.so_far().messages.sent), (80, 310));
        let mut whole = Outcome::default();
        whole.messages.sent = 310;
        assert_eq!(ledger.end(whole).sent, 0, "nothing is counted twice");
    }

    #[test]
    fn an_interval_is_what_came_since_the_last_one_and_the_run_is_all_of_it() {
        let mut ledger = Ledger::default();
        let first = ledger.add(vec![share(0, 1, 100), share(1, 1, 50)]).0;
        assert_eq!((first.sent, first.up, first.span.as_secs()), (150, 10, 2));
        let second = ledger.add(vec![share(0, 2, 180), share(1, 2, 90)]).0;
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
