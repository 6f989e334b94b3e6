//! The last reading of a process and its host, pinned up by who reads and lent to who is asked.

use super::cgroup::Cgroup;
use super::host::HostSample;
use super::process::Process;
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What one reading found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// When it was read.
    pub at: Instant,
    /// The time of day then, since 1970.
    pub unix: Option<Duration>,
    /// This process.
    pub process: Process,
    /// Its listening sockets.
    pub listeners: Vec<Listener>,
    /// The host.
    pub host: HostSample,
    /// The control group that the process is in.
    pub cgroup: Cgroup,
}

/// A listening socket and who waits there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Listener {
    /// Its address and port.
    pub address: String,
    /// The core that accepts there.
    pub core: u16,
    /// Connections that wait to be accepted.
    pub accept_queue: Option<u64>,
    /// How many may wait.
    pub accept_queue_limit: Option<u64>,
}

/// Holds the last snapshot: one pins up, many look. A look copies a reference.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<Option<Arc<Snapshot>>>>);

impl Board {
    /// Pins up what was read.
    pub fn post(&self, snapshot: Snapshot) {
        let snapshot = Some(Arc::new(snapshot));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }

    /// What was read last; `None` if nobody reads.
    #[must_use]
    pub fn latest(&self) -> Option<Arc<Snapshot>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
