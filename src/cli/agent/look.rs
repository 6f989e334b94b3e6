//! One look: asks the server, reads this host's /proc, and hands both to the watch.

use super::poll::Poller;
use super::{Config, HostFigures};
use crate::engine;
use crate::stats::{HostSample, Reading, Texts, Watch};
use std::fs;

/// What it takes to look again and again.
pub(super) struct Looker {
    poller: Poller,
    watch: Watch,
    host: HostFigures,
}

impl Looker {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            poller: Poller::new(config.url.clone(), config.securing.clone()),
            watch: Watch::new(),
            host: config.host,
        }
    }

    /// Looks once; takes as long as the server takes to answer, or the time for it.
    pub(super) fn look(&mut self) -> Reading {
        let told = self.poller.poll();
        let now = engine::now();
        let host = match self.host {
            HostFigures::Off => None,
            HostFigures::On => Some(HostSample::parse(&texts(), now)),
        };
        self.watch.look(now, told, host)
    }
}

/// Reads the files of /proc. None of them grows with connections.
fn texts() -> Texts {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    Texts {
        stat: read("/proc/stat"),
        sockstat: read("/proc/net/sockstat"),
        netstat: read("/proc/net/netstat"),
        snmp: read("/proc/net/snmp"),
        softnet: read("/proc/net/softnet_stat"),
        load: read("/proc/loadavg"),
        pressure_cpu: read("/proc/pressure/cpu"),
        pressure_memory: read("/proc/pressure/memory"),
        memory: read("/proc/meminfo"),
    }
}
