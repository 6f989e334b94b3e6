//! What the engine had used by the turning points of a run.

use crate::shard::Wire;
use crate::time::Instant;
use std::time::Duration;

/// The engine's figures at the turning points of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::load) struct Marks {
    pub(in crate::load) begun: Mark,
    pub(in crate::load) from: Option<Mark>,
}

/// The time and what the engine had used by then.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::load) struct Mark {
    at: Instant,
    thread_cpu: Duration,
    turns: u64,
}

impl Mark {
    pub(in crate::load) fn now<M>(wire: &mut impl Wire<M>) -> Self {
        let vitals = wire.vitals();
        Self {
            at: wire.now(),
            thread_cpu: vitals.thread_cpu,
            turns: vitals.counters.turns,
        }
    }

    /// What the core has used since: time of its thread, time, and turns.
    pub(in crate::load) fn since<M>(self, wire: &mut impl Wire<M>) -> (Duration, Duration, u64) {
        let vitals = wire.vitals();
        let cpu = vitals.thread_cpu.saturating_sub(self.thread_cpu);
        let turns = vitals.counters.turns.saturating_sub(self.turns);
        (cpu, wire.now().since(self.at), turns)
    }
}
