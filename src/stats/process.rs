//! A process at one moment: memory, descriptors, and the CPU time of its threads by name.

use super::proc;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The texts that a process is read from; empty where the file cannot be read.
#[derive(Clone, Debug, Default)]
pub struct ProcessTexts {
    /// /proc/self/statm
    pub statm: String,
    /// /proc/self/smaps_rollup
    pub rollup: String,
    /// Entries of /proc/self/fd.
    pub descriptors: Option<u64>,
    /// The soft limit on them.
    pub descriptor_limit: Option<u64>,
}

/// A process at one moment. `None` is what is not told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Process {
    /// Seconds of CPU time so far, over all threads.
    pub cpu_s: Option<f64>,
    /// Memory in use.
    pub rss_bytes: Option<u64>,
    /// The same, with what is shared counted by its share.
    pub pss_bytes: Option<u64>,
    /// Of that, what no file stands behind.
    pub anonymous_bytes: Option<u64>,
    /// Descriptors in use.
    pub descriptors: Option<u64>,
    /// How many there may be.
    pub descriptor_limit: Option<u64>,
    /// Threads, those of one name together.
    pub threads: Vec<Thread>,
}

/// The threads of one name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Thread {
    /// Their name.
    pub name: String,
    /// How many there are now.
    pub count: u64,
    /// Seconds that they ran so far, ended ones included.
    pub cpu_s: f64,
    /// Seconds that they were ready to run and waited for a CPU.
    pub wait_s: f64,
}

impl Process {
    /// Reads the texts; the CPU time is for the caller.
    #[must_use]
    pub fn parse(texts: &ProcessTexts, page_bytes: u64, threads: &Threads) -> Self {
        let [_, pages] = proc::numbers(&texts.statm);
        Self {
            cpu_s: None,
            rss_bytes: pages.map(|pages| pages.saturating_mul(page_bytes)),
            pss_bytes: proc::memory(&texts.rollup, "Pss"),
            anonymous_bytes: proc::memory(&texts.rollup, "Anonymous"),
            descriptors: texts.descriptors,
            descriptor_limit: texts.descriptor_limit,
            threads: threads.told(),
        }
    }
}

/// Follows the threads of a process from sample to sample, so that what ended ones used stays in
/// the sums.
#[derive(Clone, Debug, Default)]
pub struct Threads {
    alive: BTreeMap<u32, Alive>,
    groups: BTreeMap<String, Used>,
    round: u64,
}

#[derive(Clone, Debug)]
struct Alive {
    group: String,
    used: Used,
    round: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Used {
    ran_ns: u64,
    waited_ns: u64,
}

impl Threads {
    /// A new sample begins.
    pub fn begin(&mut self) {
        self.round += 1;
    }

    /// Whether the name of that thread is known already.
    #[must_use]
    pub fn knows(&self, thread: u32) -> bool {
        self.alive.contains_key(&thread)
    }

    /// A thread appeared, with the text of its `comm`.
    pub fn name(&mut self, thread: u32, comm: &str) {
        let comm = comm.trim();
        // Workers of io_uring carry the number of their thread.
        let name = if comm.starts_with("iou-wrk") {
            "iou-wrk"
        } else {
            comm
        };
        let alive = Alive {
            group: name.to_owned(),
            used: Used::default(),
            round: self.round,
        };
        self.groups.entry(alive.group.clone()).or_default();
        self.alive.insert(thread, alive);
    }

    /// What a named thread has used, by the text of its `schedstat` (Documentation/scheduler/
    /// sched-stats.rst: time on the CPU and time in the run queue, in nanoseconds).
    pub fn note(&mut self, thread: u32, schedstat: &str) {
        let [ran_ns, waited_ns] = proc::numbers(schedstat);
        let Some((alive, (ran_ns, waited_ns))) =
            self.alive.get_mut(&thread).zip(ran_ns.zip(waited_ns))
        else {
            return;
        };
        alive.round = self.round;
        let before = std::mem::replace(&mut alive.used, Used { ran_ns, waited_ns });
        if let Some(group) = self.groups.get_mut(&alive.group) {
            group.ran_ns += ran_ns.saturating_sub(before.ran_ns);
            group.waited_ns += waited_ns.saturating_sub(before.waited_ns);
        }
    }

    /// The sample is over: who was not noted has ended.
    pub fn end(&mut self) {
        let round = self.round;
        self.alive.retain(|_, alive| alive.round == round);
    }

    fn told(&self) -> Vec<Thread> {
        let seconds = |ns: u64| ns as f64 / 1e9;
        let told = |(name, used): (&String, &Used)| {
            let count = self.alive.values().filter(|alive| alive.group == *name);
            Thread {
                name: name.clone(),
                count: count.count() as u64,
                cpu_s: seconds(used.ran_ns),
                wait_s: seconds(used.waited_ns),
            }
        };
        self.groups.iter().map(told).collect()
    }
}
