//! What the run cost: CPU of the generator's cores, and what the server used meanwhile.

use super::figures::{float, ratio};
use super::headroom::Headroom;
use crate::load::outcome::{self, Outcome};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the server used in the measured time, from its `/stats`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerUse {
    /// CPU time, user and system, in seconds.
    pub cpu_s: f64,
    /// Resident memory at the end, in bytes.
    pub rss_bytes: u64,
    /// Open descriptors at the end.
    pub descriptors: u64,
    /// Replies or events per second of its CPU time. Computed by [`super::judged`].
    pub messages_per_cpu_s: Option<f64>,
}

/// Key `generator` of the schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "docs/record.md documents every key")]
pub struct Generator {
    pub cores: Vec<GeneratorCore>,
    pub busy_max: f64,
    pub cpu_us_per_message: Option<f64>,
    pub connect_cpu_us: Option<f64>,
    #[serde(default)]
    pub headroom: Option<Headroom>,
}

/// An entry of key `generator.cores` of the schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "docs/record.md documents every key")]
pub struct GeneratorCore {
    pub core: u16,
    pub busy: f64,
    pub cpu_s: f64,
    pub connect_cpu_s: f64,
    pub turns: u64,
    pub rescues: u64,
}

impl ServerUse {
    pub(super) fn per_message(self, received: u64) -> Self {
        let spent = self.cpu_s > 0.0 && received > 0;
        Self {
            messages_per_cpu_s: spent.then(|| float(received) / self.cpu_s),
            ..self
        }
    }
}

impl Generator {
    pub(super) fn new(outcome: &Outcome, received: u64, headroom: Option<Headroom>) -> Self {
        let is_connects = !outcome.rounds.is_empty();
        let core = |core| GeneratorCore::new(core, is_connects);
        let cores: Vec<GeneratorCore> = outcome.cores.iter().map(core).collect();
        let cpu_s: f64 = cores.iter().map(|core| core.cpu_s).sum();
        let connect_cpu_s: f64 = cores.iter().map(|core| core.connect_cpu_s).sum();
        Self {
            busy_max: cores.iter().map(|core| core.busy).fold(0.0, f64::max),
            cpu_us_per_message: ratio(cpu_s * 1e6, received),
            connect_cpu_us: ratio(connect_cpu_s * 1e6, outcome.connects.up),
            headroom,
            cores,
        }
    }
}

impl GeneratorCore {
    /// What a core used; of rounds of connects, how busy the connects made it.
    fn new(core: &outcome::CoreUse, is_connects: bool) -> Self {
        let connect_s = core.connect_time.as_secs_f64();
        Self {
            core: core.core,
            busy: if is_connects && connect_s > 0.0 {
                core.connect_cpu.as_secs_f64() / connect_s
            } else {
                core.busy()
            },
            cpu_s: core.measured_cpu.as_secs_f64(),
            connect_cpu_s: core.connect_cpu.as_secs_f64(),
            turns: core.turns,
            rescues: core.rescues,
        }
    }
}
