//! The control group of a process: its limits, what it uses of them, and how often it met them.

use super::proc;
use serde::{Deserialize, Serialize};

/// Which interface of the kernel a controller has here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A hierarchy per controller.
    One,
    /// One for all.
    Two,
}

/// Where the files of one controller are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupPath {
    /// Which files to look for.
    pub version: Version,
    /// The folder of the process's own group, then that of each group around it. Limits of all of
    /// them hold.
    pub folders: Vec<String>,
}

/// Where a controller's files are, by the text of /proc/self/cgroup (cgroups(7)). Version 1 goes
/// first: a controller that has a hierarchy of its own is in no other.
#[must_use]
pub fn place(groups: &str, controller: &str) -> Option<GroupPath> {
    let line = |wanted: &str| {
        groups.lines().find_map(|line| {
            let (kinds, path) = line.split_once(':')?.1.split_once(':')?;
            kinds.split(',').any(|kind| kind == wanted).then_some(path)
        })
    };
    let (version, base, path) = match line(controller) {
        Some(path) => (Version::One, format!("/sys/fs/cgroup/{controller}"), path),
        None => (Version::Two, "/sys/fs/cgroup".to_owned(), line("")?),
    };
    let mut path = path.trim_end_matches('/');
    let mut folders = vec![format!("{base}{path}")];
    while let Some((around, _)) = path.rsplit_once('/') {
        path = around;
        folders.push(format!("{base}{path}"));
    }
    Some(GroupPath { version, folders })
}

/// A limit as its file has it; `None` for none. Version 1 writes none as the largest number of
/// whole pages.
#[must_use]
pub fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|&limit| limit < 1 << 62)
}

/// The texts that a sample is read from, empty where there is no such file. Where the versions
/// differ, both files are named.
#[derive(Clone, Debug, Default)]
pub struct CgroupTexts {
    /// memory.current, memory.usage_in_bytes
    pub memory: String,
    /// memory.max, memory.limit_in_bytes
    pub memory_limit: String,
    /// memory.events, memory.oom_control
    pub memory_events: String,
    /// memory.failcnt of version 1
    pub memory_fails: String,
    /// memory.stat
    pub memory_stat: String,
    /// memory.kmem.tcp.usage_in_bytes of version 1
    pub sockets: String,
    /// cpu.stat
    pub cpu_stat: String,
    /// cpu.max, cpu.cfs_quota_us
    pub cpu_quota: String,
    /// cpu.cfs_period_us of version 1
    pub cpu_period: String,
    /// pids.current
    pub pids: String,
    /// pids.max
    pub pids_limit: String,
}

/// A control group at one moment. `None` is what it does not tell, or no limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cgroup {
    /// Memory in use, the kernel's included.
    pub memory_bytes: Option<u64>,
    /// How much there may be.
    pub memory_limit_bytes: Option<u64>,
    /// Times that the limit was met.
    pub memory_limit_hits: Option<u64>,
    /// Processes killed for want of memory.
    pub oom_kills: Option<u64>,
    /// Memory of socket buffers.
    pub socket_bytes: Option<u64>,
    /// The kernel's objects of all kinds.
    pub slab_bytes: Option<u64>,
    /// CPU time allowed, in percent of one CPU.
    pub cpu_quota_percent: Option<f64>,
    /// Periods in which it was wanted.
    pub cpu_periods: Option<u64>,
    /// Periods in which it was used up.
    pub cpu_throttled: Option<u64>,
    /// Time that was spent without a CPU for that.
    pub cpu_throttled_us: Option<u64>,
    /// Threads.
    pub pids: Option<u64>,
    /// How many there may be.
    pub pids_limit: Option<u64>,
}

impl Cgroup {
    /// Reads the texts.
    #[must_use]
    pub fn parse(texts: &CgroupTexts) -> Self {
        let [memory] = proc::numbers(&texts.memory);
        let [fails] = proc::numbers(&texts.memory_fails);
        let [sockets] = proc::numbers(&texts.sockets);
        let [pids] = proc::numbers(&texts.pids);
        let [quota, period] = proc::numbers(&texts.cpu_quota);
        let [period_apart] = proc::numbers(&texts.cpu_period);
        let throttled_us = proc::named(&texts.cpu_stat, "throttled_usec");
        // Version 1 counts nanoseconds.
        let throttled_ns = proc::named(&texts.cpu_stat, "throttled_time");
        Self {
            memory_bytes: memory,
            memory_limit_bytes: limit(&texts.memory_limit),
            memory_limit_hits: proc::named(&texts.memory_events, "max").or(fails),
            oom_kills: proc::named(&texts.memory_events, "oom_kill"),
            socket_bytes: proc::named(&texts.memory_stat, "sock").or(sockets),
            slab_bytes: proc::named(&texts.memory_stat, "slab"),
            cpu_quota_percent: quota
                .zip(period.or(period_apart))
                .filter(|(_, period)| *period > 0)
                .map(|(quota, period)| quota as f64 / period as f64 * 100.0),
            cpu_periods: proc::named(&texts.cpu_stat, "nr_periods"),
            cpu_throttled: proc::named(&texts.cpu_stat, "nr_throttled"),
            cpu_throttled_us: throttled_us.or(throttled_ns.map(|ns| ns / 1000)),
            pids,
            pids_limit: limit(&texts.pids_limit),
        }
    }
}
