//! One answer of `/stats`: its keys as numbers, those that a server does not tell as nothing.

use super::{Cgroup, HostSample, Listener, Process};
use crate::time::Instant;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a server told at one moment. The keys are those that `/stats` documents (docs/metrics.md).
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Sample {
    /// What moves the server's bytes: `ring`, `tokio`, `baseline`.
    pub engine: String,
    /// Seconds since the server started.
    pub uptime_s: f64,
    /// One per core; empty if the server does not tell them apart.
    #[serde(default)]
    pub cores: Vec<CoreFigures>,
    /// The sum over cores.
    pub total: Figures,
    /// The server's process.
    #[serde(default)]
    pub process: Process,
    /// Cores that did not answer in time: they are missing from `cores` and from `total`.
    #[serde(default)]
    pub missing: Vec<u16>,
    /// Its listening sockets.
    #[serde(default)]
    pub listeners: Vec<Listener>,
    /// Its host, if somebody samples it there.
    pub host: Option<HostSample>,
    /// Its control group.
    pub cgroup: Option<Cgroup>,
    /// How old the figures of process, listeners, host and group are.
    pub sample_age_s: Option<f64>,
}

/// One core's figures.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct CoreFigures {
    /// Which core of the server, from 0.
    pub core: u16,
    /// What it counts.
    #[serde(flatten)]
    pub figures: Figures,
}

/// What one core counts, or the sum over cores. `None` is what this server does not tell.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Figures {
    /// Connections open now.
    pub open: Open,
    /// Connections accepted so far.
    pub accepted: Option<u64>,
    /// Connections closed so far, by cause.
    pub closed: BTreeMap<String, u64>,
    /// HTTP requests so far.
    pub requests: Option<u64>,
    /// Messages received so far.
    pub messages_in: Option<u64>,
    /// Messages and events queued for peers so far.
    pub messages_out: Option<u64>,
    /// Bytes received so far.
    pub bytes_in: Option<u64>,
    /// Bytes that the kernel took so far.
    pub bytes_out: Option<u64>,
    /// Bytes queued and not yet taken by the kernel, now.
    pub backlog_bytes: Option<u64>,
    /// Turns of the engine's loop so far.
    pub turns: Option<u64>,
    /// Events handled in them.
    pub events: Option<u64>,
    /// Sends started so far.
    pub sends: Option<u64>,
    /// Receives that ended because no buffer was free.
    pub starved: Option<u64>,
    /// Times that accepting stopped because no slot was free.
    pub accept_pauses: Option<u64>,
    /// Work found by the watchdog: a bug if not 0.
    pub rescues: Option<u64>,
    /// Seconds of CPU time so far.
    pub cpu_s: Option<f64>,
    /// Slots for connections in use.
    pub slots_used: Option<u64>,
    /// Slots.
    pub slots: Option<u64>,
    /// Connections waiting to be accepted, now.
    pub accept_queue: Option<u64>,
    /// How many may wait.
    pub accept_queue_limit: Option<u64>,
}

/// Connections open now, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Open {
    /// WebSockets.
    pub websocket: u64,
    /// Event streams.
    pub sse: u64,
    /// Those that are neither yet, or on their way out.
    pub http: u64,
}

impl Open {
    /// All of them.
    #[must_use]
    pub const fn sum(&self) -> u64 {
        self.websocket
            .saturating_add(self.sse)
            .saturating_add(self.http)
    }
}

impl Sample {
    /// Its host, if it told of it, at the time when that was read, by the server's clock.
    #[must_use]
    pub fn host(&self) -> Option<HostSample> {
        let read_s = self.uptime_s - self.sample_age_s?;
        let at = Duration::try_from_secs_f64(read_s).ok()?;
        Some(HostSample {
            at: Instant::from_nanos(0) + at,
            ..self.host.clone()?
        })
    }

    /// Reads the body of an answer.
    ///
    /// # Errors
    /// What is wrong with it, if it is not JSON or lacks `engine`, `uptime_s` or `total`.
    pub fn parse(body: &[u8]) -> Result<Self, serde_json::Error> {
        let mut sample: Self = serde_json::from_slice(body)?;
        // These words are shown on a terminal: what could steer it is not.
        let is_plain = |word: &str| word.chars().all(|c| c.is_ascii_graphic());
        sample.engine.retain(|c| c.is_ascii_graphic());
        sample.total.closed.retain(|cause, _| is_plain(cause));
        for listener in &mut sample.listeners {
            listener.address.retain(|c| c.is_ascii_graphic());
        }
        for thread in &mut sample.process.threads {
            thread.name.retain(|c| c.is_ascii_graphic());
        }
        Ok(sample)
    }
}
