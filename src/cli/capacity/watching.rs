//! A server's process during a step: CPU, memory, descriptors, control group, accept queue.

use crate::cli::processes::{family, private_bytes};
use crate::sampler::diagnosis::AddressFamily;
use crate::sampler::queues::Queues;
use crate::stats::cgroup::{Version, limit, place};
use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

/// Time between two looks at what halts the server for a moment.
const RARELY: Duration = Duration::from_millis(500);

/// A server that is watched; without a process only its accept queue is, if it is here.
pub(super) struct WatchedServer {
    pid: Option<u32>,
    port: u16,
    queues: Option<Queues>,
    looked: Option<Instant>,
    /// Ticks of each of its threads, and when they were read.
    threads: Option<(Instant, BTreeMap<u32, u64>)>,
    seen: ServerSeen,
}

/// What was seen during a step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct ServerSeen {
    /// The longest accept queue, as a part of its limit.
    pub(super) accept_queue: Option<f64>,
    /// Descriptors, as a part of the limit: of that process which has most.
    pub(super) descriptors: Option<f64>,
    /// Memory of the control group, as a part of its limit.
    pub(super) memory: Option<f64>,
    /// How busy its busiest thread was in any half second, of one CPU: a server of one thread has
    /// no more, however many CPUs there are.
    pub(super) busiest_thread: Option<f64>,
    /// Private memory at most, in bytes.
    pub(super) private_bytes: Option<u64>,
    /// Times that memory ran short in the control group, since it was made.
    pub(super) memory_events: Option<u64>,
    /// Periods in which its quota was used up, since it was made.
    pub(super) throttled: Option<u64>,
}

impl WatchedServer {
    pub(super) fn new(pid: Option<u32>, port: u16) -> Self {
        Self {
            pid,
            port,
            queues: Queues::open(&[AddressFamily::V4, AddressFamily::V6]).ok(),
            looked: None,
            threads: None,
            seen: ServerSeen::default(),
        }
    }

    /// Whether there is a process to look at, and it has gone.
    pub(super) fn has_died(&self) -> bool {
        let gone = |pid: u32| !fs::exists(format!("/proc/{pid}/stat")).unwrap_or(false);
        self.pid.is_some_and(gone)
    }

    /// Looks now.
    pub(super) fn look(&mut self) {
        let most = |known: &mut Option<f64>, now: Option<f64>| {
            *known = match (*known, now) {
                (Some(known), Some(now)) => Some(known.max(now)),
                (known, now) => now.or(known),
            };
        };
        let queue = self.accept_queue();
        most(&mut self.seen.accept_queue, queue);
        let is_time = self.looked.is_none_or(|at| at.elapsed() >= RARELY);
        let Some(pid) = self.pid.filter(|_| is_time) else {
            return;
        };
        self.looked = Some(Instant::now());
        let each = family(pid).into_iter().filter_map(descriptors);
        most(&mut self.seen.descriptors, each.reduce(f64::max));
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        most(&mut self.seen.memory, memory(&groups));
        let busiest = self.busiest_thread(pid);
        most(&mut self.seen.busiest_thread, busiest);
        let bytes = private_bytes(pid);
        self.seen.private_bytes = self
            .seen
            .private_bytes
            .max(Some(bytes).filter(|it| *it > 0));
        self.seen.memory_events = event(&groups, "memory", "memory.events", &["max", "oom_kill"]);
        self.seen.throttled = event(&groups, "cpu", "cpu.stat", &["nr_throttled"]);
    }

    /// What was seen since the last time, and what counters say now.
    pub(super) fn take(&mut self) -> ServerSeen {
        self.looked = None;
        self.look();
        self.threads = None;
        std::mem::take(&mut self.seen)
    }

    /// How busy the busiest thread was since the last look.
    fn busiest_thread(&mut self, pid: u32) -> Option<f64> {
        let (now, ticks) = (Instant::now(), threads(pid));
        let (before, known) = self.threads.replace((now, ticks.clone()))?;
        let span = now.duration_since(before);
        if span < RARELY * 4 / 5 {
            return None;
        }
        let grown = ticks.iter().filter_map(|(thread, ticks)| {
            let before = known.get(thread)?;
            Some(ticks.saturating_sub(*before))
        });
        let per_s = procfs::ticks_per_second() as f64;
        Some(grown.max()? as f64 / per_s / span.as_secs_f64())
    }

    fn accept_queue(&mut self) -> Option<f64> {
        let queues = self.queues.as_mut()?.read().ok()?;
        let own = queues
            .iter()
            .filter(|queue| queue.port == self.port && queue.limit > 0);
        let parts = own.map(|queue| f64::from(queue.length) / f64::from(queue.limit));
        parts.reduce(f64::max)
    }
}

/// CPU time in ticks of every thread of a process and its children (proc(5), /proc/PID/stat).
fn threads(pid: u32) -> BTreeMap<u32, u64> {
    let tasks = family(pid).into_iter().flat_map(|pid| {
        let tasks = fs::read_dir(format!("/proc/{pid}/task"));
        tasks.into_iter().flatten().flatten()
    });
    let each = tasks.filter_map(|task| {
        let thread = task.file_name().to_str()?.parse().ok()?;
        let text = fs::read_to_string(task.path().join("stat")).ok()?;
        // The name, in parentheses, may hold anything.
        let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
        let user: u64 = fields.next()?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        Some((thread, user + system))
    });
    each.collect()
}

/// Descriptors of a process as a part of its limit.
fn descriptors(pid: u32) -> Option<f64> {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = limits
        .lines()
        .find_map(|it| it.strip_prefix("Max open files"))?;
    let soft: f64 = line.split_whitespace().next()?.parse().ok()?;
    // What was opened under a higher limit stays open.
    Some((open as f64 / soft).min(1.0))
}

/// Memory of the control group whose limit is nearest.
fn memory(groups: &str) -> Option<f64> {
    let place = place(groups, "memory")?;
    let (used, most) = match place.version {
        Version::One => ("memory.usage_in_bytes", "memory.limit_in_bytes"),
        Version::Two => ("memory.current", "memory.max"),
    };
    let each = place.folders.iter().filter_map(|folder| {
        let most = limit(&fs::read_to_string(format!("{folder}/{most}")).ok()?)?;
        let used = limit(&fs::read_to_string(format!("{folder}/{used}")).ok()?)?;
        Some(used as f64 / most as f64)
    });
    each.reduce(f64::max)
}

/// The sum of counters in a file of the control group of a process.
fn event(groups: &str, controller: &str, file: &str, names: &[&str]) -> Option<u64> {
    let place = place(groups, controller)?;
    let folder = place.folders.first()?;
    let text = fs::read_to_string(format!("{folder}/{file}")).ok()?;
    let counts = text.lines().filter_map(|line| {
        let (name, count) = line.split_once(' ')?;
        names
            .contains(&name)
            .then(|| count.trim().parse::<u64>().ok())?
    });
    Some(counts.sum())
}
