//! The files of this process's control group, under either interface of the kernel.
//!
//! The limits of all groups around it hold too: of each resource the tightest is shown, with what
//! is used of it.

use super::files::{Cadence, Files, once};
use crate::stats::cgroup::{self, CgroupTexts, GroupPath, Version};
use std::path::Path;

/// The folder of a controller whose limit is the tightest.
#[derive(Debug)]
struct Group {
    version: Version,
    folder: String,
}

/// The files of the groups that this process is in now; none where there is no such controller.
pub(super) fn find() -> Files<CgroupTexts> {
    let mut groups = String::new();
    once("/proc/self/cgroup", &mut groups);
    let mut files = Files::default();
    let memory = ("memory.limit_in_bytes", "memory.max");
    if let Some(group) = tightest(cgroup::place(&groups, "memory"), memory) {
        group.add_memory(&mut files);
    }
    let quota = ("cpu.cfs_quota_us", "cpu.max");
    if let Some(group) = tightest(cgroup::place(&groups, "cpu"), quota) {
        let quota = group.of(quota.0, quota.1);
        files.add(Cadence::Slow, group.file("cpu.stat"), |it| &mut it.cpu_stat);
        files.add(Cadence::Rare, quota, |it| &mut it.cpu_quota);
        if group.version == Version::One {
            let period = group.file("cpu.cfs_period_us");
            files.add(Cadence::Rare, period, |it| &mut it.cpu_period);
        }
    }
    if let Some(group) = tightest(cgroup::place(&groups, "pids"), ("pids.max", "pids.max")) {
        files.add(Cadence::Slow, group.file("pids.current"), |it| &mut it.pids);
        files.add(Cadence::Rare, group.file("pids.max"), |it| {
            &mut it.pids_limit
        });
    }
    files
}

impl Group {
    fn add_memory(&self, files: &mut Files<CgroupTexts>) {
        let limit = self.of("memory.limit_in_bytes", "memory.max");
        files.add(Cadence::Rare, limit, |it| &mut it.memory_limit);
        let used = self.of("memory.usage_in_bytes", "memory.current");
        files.add(Cadence::Slow, used, |it| &mut it.memory);
        let events = self.of("memory.oom_control", "memory.events");
        files.add(Cadence::Slow, events, |it| &mut it.memory_events);
        // The kernel adds it up over groups and CPUs.
        let stat = self.file("memory.stat");
        files.add(Cadence::Rare, stat, |it| &mut it.memory_stat);
        if self.version == Version::One {
            let fails = self.file("memory.failcnt");
            files.add(Cadence::Slow, fails, |it| &mut it.memory_fails);
            let sockets = self.file("memory.kmem.tcp.usage_in_bytes");
            files.add(Cadence::Slow, sockets, |it| &mut it.sockets);
        }
    }

    fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }

    fn of(&self, one: &str, two: &str) -> String {
        self.file(match self.version {
            Version::One => one,
            Version::Two => two,
        })
    }
}

/// The group with the least limit of those whose file of that name is there; without any limit,
/// the process's own. A folder that is not there is outside of what this container sees.
fn tightest(place: Option<GroupPath>, (one, two): (&str, &str)) -> Option<Group> {
    let GroupPath { version, folders } = place?;
    let name = match version {
        Version::One => one,
        Version::Two => two,
    };
    let mut text = String::new();
    let there = folders
        .into_iter()
        .filter(|folder| Path::new(folder).join(name).exists());
    let folder = there.min_by_key(|folder| {
        once(&format!("{folder}/{name}"), &mut text);
        // The quota of a CPU is the first of two numbers, and its period hardly ever another.
        let first = text.split_ascii_whitespace().next().unwrap_or_default();
        cgroup::limit(first).unwrap_or(u64::MAX)
    })?;
    Some(Group { version, folder })
}
