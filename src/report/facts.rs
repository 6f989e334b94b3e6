//! What of a run its outcome cannot know.

use super::generator::ServerUse;
use super::headroom::Headroom;
use super::network::Network;
use super::surroundings::HostSamples;
use super::threshold::Threshold;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Key `run.part` of the schema: part `number`, from 1, of `of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "docs/record.md documents every key")]
pub struct RunPart {
    pub number: u64,
    pub of: u64,
}

/// What the outcome cannot know: said by the caller, who knows the host and the command line.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The program's version.
    pub version: String,
    /// The command line.
    pub command: Vec<String>,
    /// The URL as typed.
    pub url: String,
    /// Which part of a larger run it is, if it is one.
    pub part: Option<RunPart>,
    /// The proxy that connections went through, if they did: `--proxy` without its password.
    pub proxy: Option<String>,
    /// The engine's name.
    pub engine: String,
    /// The kernel's CPU numbers of the generator's cores.
    pub cpus: Vec<usize>,
    /// When the run began, in milliseconds of Unix time.
    pub started_unix_ms: u64,
    /// When it ended, likewise; `None` while it goes on.
    pub ended_unix_ms: Option<u64>,
    /// Facts of the host, such as kernel, CPU model, memory.
    pub host: BTreeMap<String, String>,
    /// What a calibration found of the generator, if there was one.
    pub headroom: Option<Headroom>,
    /// The host before and after, if it was read.
    pub host_samples: Option<HostSamples>,
    /// What the server used, if it was asked.
    pub server: Option<ServerUse>,
    /// What the kernel knows of the run's own sockets, if it was asked.
    pub network: Option<Network>,
    /// What the run has to keep to.
    pub thresholds: Vec<Threshold>,
    /// The latency objective, if there is one: slip is judged against it.
    pub slo: Option<Duration>,
    /// The share of connections, and of messages, that may fail.
    pub allowed_failures: f64,
}
