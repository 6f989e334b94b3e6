//! Two samples of one server to what it does a second.

use super::growth::{grown, per_second};
use super::sample::{CoreFigures, Figures, Sample};
use std::collections::BTreeMap;

/// What changed between two samples, a second. `None` where a sample does not tell, or where a
/// counter went back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rates {
    /// Seconds between the samples, by the server's clock.
    pub span_s: f64,
    /// Connections accepted.
    pub accepted: Option<f64>,
    /// Connections closed, by cause.
    pub closed: BTreeMap<String, f64>,
    /// Messages received.
    pub messages_in: Option<f64>,
    /// Messages and events queued for peers.
    pub messages_out: Option<f64>,
    /// Bytes received.
    pub bytes_in: Option<f64>,
    /// Bytes that the kernel took.
    pub bytes_out: Option<f64>,
    /// Turns of the engine's loop.
    pub turns: Option<f64>,
    /// Events in one turn; not a second.
    pub events_per_turn: Option<f64>,
    /// Sends started.
    pub sends: Option<f64>,
    /// Receives that ended because no buffer was free.
    pub starved: Option<f64>,
    /// CPU of the process, percent of one CPU.
    pub process_cpu_percent: Option<f64>,
    /// CPU of each core's thread, percent of one CPU.
    pub cores_cpu_percent: Vec<(u16, Option<f64>)>,
}

impl Rates {
    /// The rates from one sample to a later one of the same server; `None` if no time is between.
    ///
    /// When the cores that are missing differ, the sums are not of the same things: then only the
    /// rates of the process and of single cores are told.
    #[must_use]
    pub fn between(old: &Sample, new: &Sample) -> Option<Self> {
        let span_s = new.uptime_s - old.uptime_s;
        if !(span_s > 0.0 && span_s.is_finite()) {
            return None;
        }
        let mut rates = if old.missing == new.missing {
            Self::of_totals(&old.total, &new.total, span_s)
        } else {
            Self::default()
        };
        rates.span_s = span_s;
        let (before, after) = (old.process.cpu_s, new.process.cpu_s);
        rates.process_cpu_percent = percent(before, after, span_s);
        let cpu = |core: &CoreFigures| {
            let same = |other: &&CoreFigures| other.core == core.core;
            let before = old.cores.iter().find(same).and_then(|it| it.figures.cpu_s);
            (core.core, percent(before, core.figures.cpu_s, span_s))
        };
        rates.cores_cpu_percent = new.cores.iter().map(cpu).collect();
        Some(rates)
    }

    /// All closed connections a second; `None` if no cause is told.
    #[must_use]
    pub fn closed_sum(&self) -> Option<f64> {
        (!self.closed.is_empty()).then(|| self.closed.values().sum())
    }

    fn of_totals(old: &Figures, new: &Figures, span_s: f64) -> Self {
        let rate = |of: fn(&Figures) -> Option<u64>| per_second(of(old), of(new), span_s);
        let turns = grown(old.turns, new.turns);
        let events = grown(old.events, new.events);
        let closed = new.closed.iter().filter_map(|(cause, &count)| {
            let before = old.closed.get(cause).copied().unwrap_or(0);
            let rate = per_second(Some(before), Some(count), span_s)?;
            Some((cause.clone(), rate))
        });
        Self {
            accepted: rate(|it| it.accepted),
            closed: closed.collect(),
            messages_in: rate(|it| it.messages_in),
            messages_out: rate(|it| it.messages_out),
            bytes_in: rate(|it| it.bytes_in),
            bytes_out: rate(|it| it.bytes_out),
            turns: rate(|it| it.turns),
            events_per_turn: turns
                .zip(events)
                .filter(|(turns, _)| *turns > 0)
                .map(|(turns, events)| events as f64 / turns as f64),
            sends: rate(|it| it.sends),
            starved: rate(|it| it.starved),
            ..Self::default()
        }
    }
}

/// CPU seconds to percent of one CPU.
fn percent(old: Option<f64>, new: Option<f64>, span_s: f64) -> Option<f64> {
    let used = new? - old?;
    (used >= 0.0 && used.is_finite()).then(|| used / span_s * 100.0)
}
