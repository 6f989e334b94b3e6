//! What the engine had used by the turning points of a run.

use super::recorder::Recorder;
use crate::shard::Wire;
use crate::time::Instant;
use std::time::Duration;

/// The engine's figures at the turning points of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::load) struct Marks {
    begun: Mark,
    from: Option<Mark>,
}

/// The time and what the engine had used by then.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    at: Instant,
    thread_cpu: Duration,
    turns: u64,
}

impl Marks {
    /// The run begins.
    pub(in crate::load) fn begin<M>(&mut self, wire: &mut impl Wire<M>) {
        self.begun = Mark::now(wire);
    }

    /// The connects are over on this core: what they took.
    pub(in crate::load) fn connected<M>(&self, recorder: &mut Recorder, wire: &mut impl Wire<M>) {
        let (cpu, time, _) = self.begun.since(wire);
        recorder.core_use(|used| (used.connect_cpu, used.connect_time) = (cpu, time));
    }

    /// The measured time has begun.
    pub(in crate::load) fn measured_from<M>(&mut self, wire: &mut impl Wire<M>) {
        if self.from.is_none() {
            self.from = Some(Mark::now(wire));
        }
    }

    /// Whether it has.
    pub(in crate::load) const fn is_measuring(&self) -> bool {
        self.from.is_some()
    }

    /// The measured time is over: what was used in it.
    pub(in crate::load) fn measured<M>(&self, recorder: &mut Recorder, wire: &mut impl Wire<M>) {
        let from = self.from.unwrap_or_else(|| Mark::now(wire));
        let (cpu, time, turns) = from.since(wire);
        let rescues = wire.vitals().counters.rescues;
        recorder.core_use(|used| {
            (used.measured_cpu, used.measured_time) = (cpu, time);
            (used.turns, used.rescues) = (turns, rescues);
        });
    }
}

impl Mark {
    fn now<M>(wire: &mut impl Wire<M>) -> Self {
        let vitals = wire.vitals();
        Self {
            at: wire.now(),
            thread_cpu: vitals.thread_cpu,
            turns: vitals.counters.turns,
        }
    }

    /// What the core has used since: time of its thread, time, and turns.
    fn since<M>(self, wire: &mut impl Wire<M>) -> (Duration, Duration, u64) {
        let vitals = wire.vitals();
        let cpu = vitals.thread_cpu.saturating_sub(self.thread_cpu);
        let turns = vitals.counters.turns.saturating_sub(self.turns);
        (cpu, wire.now().since(self.at), turns)
    }
}
