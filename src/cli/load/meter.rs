//! What the server's process uses while a load run measures: CPU time, memory, descriptors.

use crate::cli::Failure;
use crate::cli::processes::cpu_time;
use crate::engine;
use crate::load::Outcome;
use crate::report::ServerUse;
use crate::time::Instant;
use procfs::process::Process;
use std::time::Duration;

/// A process of this host, read now and then.
pub(super) struct Meter {
    process: Process,
    first: Option<Reading>,
    last: Option<Reading>,
}

/// The part of a run that is asked about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Use {
    /// The measured time.
    Messages,
    /// The connects of all rounds; it was read in their closing too.
    Connects,
}

/// What a process had used at one moment.
#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Instant,
    cpu: Duration,
    rss_bytes: u64,
    descriptors: u64,
}

impl Meter {
    /// A meter on that process.
    pub(super) fn new(pid: i32) -> Result<Self, Failure> {
        let process = Process::new(pid).map_err(|error| {
            Failure::Usage(format!(
                "--server-pid: {error}; try: --server-pid $(pidof ringstorm)"
            ))
        })?;
        Ok(Self {
            process,
            first: None,
            last: None,
        })
    }

    /// Reads it now. A process that is gone is not read any more.
    pub(super) fn read(&mut self) {
        let Ok(stat) = self.process.stat() else {
            return;
        };
        // With its children: a server of several processes is one server.
        let cpu = u32::try_from(self.process.pid()).map_or(Duration::ZERO, cpu_time);
        let reading = Reading {
            at: engine::now(),
            cpu,
            rss_bytes: stat.rss * procfs::page_size(),
            descriptors: self.process.fd_count().unwrap_or(0) as u64,
        };
        self.first.get_or_insert(reading);
        self.last = Some(reading);
    }

    /// What it used in that part of a run; `None` if it was too short to say.
    ///
    /// It was not read at the very ends of that part, so its CPU time is scaled from the time
    /// between the readings to all of it.
    pub(super) fn used(&self, part: Use, outcome: &Outcome) -> Option<ServerUse> {
        let (first, last) = (self.first?, self.last?);
        let span = last.at.since(first.at).as_secs_f64();
        if span <= 0.0 {
            return None;
        }
        let cpu = last.cpu.saturating_sub(first.cpu).as_secs_f64();
        let of = match part {
            Use::Messages => outcome.measured_time(),
            Use::Connects => outcome.connect_time(),
        };
        Some(ServerUse {
            cpu_s: cpu * of.as_secs_f64() / span,
            rss_bytes: last.rss_bytes,
            descriptors: last.descriptors,
            messages_per_cpu_s: None,
        })
    }
}
