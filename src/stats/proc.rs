//! Parsers of single files of /proc. Fields are found by name where the file has names, so their
//! order and what a newer kernel adds do not matter. What is not there is `None`, never 0.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the time of one CPU went since boot, in milliseconds (proc(5), /proc/stat).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CpuTime {
    /// The kernel's number of the CPU.
    pub cpu: u32,
    /// User programs, niced ones and guests included.
    pub user_ms: u64,
    /// The kernel, but for interrupts.
    pub system_ms: u64,
    /// Nothing to do, or waiting for a disk.
    pub idle_ms: u64,
    /// Hardware interrupts.
    pub irq_ms: u64,
    /// Soft interrupts: where the network's receive path runs.
    pub softirq_ms: u64,
    /// Taken by the hypervisor.
    pub steal_ms: u64,
}

impl CpuTime {
    /// All of it.
    #[must_use]
    pub const fn sum_ms(&self) -> u64 {
        let busy = self.user_ms.saturating_add(self.system_ms);
        busy.saturating_add(self.idle_ms)
            .saturating_add(self.irq_ms)
            .saturating_add(self.softirq_ms)
            .saturating_add(self.steal_ms)
    }
}

/// The lines `cpuN` of /proc/stat, in the file's order, whose ticks are so many a second. Old
/// kernels lack the last columns.
#[must_use]
pub fn cpu_times(stat: &str, ticks_per_s: u64) -> Vec<CpuTime> {
    let lines = stat.lines().take_while(|line| line.starts_with("cpu"));
    lines
        .filter_map(|line| cpu_line(line, ticks_per_s))
        .collect()
}

fn cpu_line(line: &str, ticks_per_s: u64) -> Option<CpuTime> {
    let mut words = line.strip_prefix("cpu")?.split_ascii_whitespace();
    if !line.as_bytes().get(3)?.is_ascii_digit() {
        return None;
    }
    let cpu = words.next()?.parse().ok()?;
    let mut next = || {
        let ticks = words.next()?.parse::<u64>().ok()?;
        ticks.saturating_mul(1000).checked_div(ticks_per_s)
    };
    // user nice system idle are always there. Guests are within user and nice.
    let (user, nice, system, idle) = (next()?, next()?, next()?, next()?);
    let waiting = next().unwrap_or(0);
    Some(CpuTime {
        cpu,
        user_ms: user.saturating_add(nice),
        system_ms: system,
        idle_ms: idle.saturating_add(waiting),
        irq_ms: next().unwrap_or(0),
        softirq_ms: next().unwrap_or(0),
        steal_ms: next().unwrap_or(0),
    })
}

/// One number of a file of pairs of lines, names above values: /proc/net/netstat and
/// /proc/net/snmp. `group` is the word before the colon.
#[must_use]
pub fn paired(text: &str, group: &str, name: &str) -> Option<u64> {
    let mut rows = text.lines().filter_map(|line| {
        let (word, rest) = line.split_once(':')?;
        (word == group).then_some(rest)
    });
    // A group may have more than one pair.
    while let (Some(names), Some(values)) = (rows.next(), rows.next()) {
        let mut pairs = names
            .split_ascii_whitespace()
            .zip(values.split_ascii_whitespace());
        if let Some((_, value)) = pairs.find(|(found, _)| *found == name) {
            return value.parse().ok();
        }
    }
    None
}

/// One number of /proc/net/sockstat: `TCP: inuse 5 orphan 0`. Pages for `mem`.
#[must_use]
pub fn sockstat(text: &str, group: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| {
        let (word, rest) = line.split_once(':')?;
        (word == group).then_some(rest)
    })?;
    let mut words = rest.split_ascii_whitespace();
    while let (Some(found), Some(value)) = (words.next(), words.next()) {
        if found == name {
            return value.parse().ok();
        }
    }
    None
}

/// Packets dropped and times squeezed, summed over CPUs: the second and third hexadecimal column
/// of /proc/net/softnet_stat (net/core/net-procfs.c). `None` if no line has them.
#[must_use]
pub fn softnet(text: &str) -> Option<(u64, u64)> {
    let rows = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let mut next = || u64::from_str_radix(words.next()?, 16).ok();
        Some((next()?, next()?))
    });
    rows.reduce(|a, b| (a.0.saturating_add(b.0), a.1.saturating_add(b.1)))
}

/// The load average of the last minute (/proc/loadavg).
#[must_use]
pub fn load_average(text: &str) -> Option<f64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

/// How long some task waited for a resource (Documentation/accounting/psi.rst).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    /// Share of the last 10 s, in percent.
    pub percent: Option<f64>,
    /// Since boot.
    pub waited_us: Option<u64>,
}

/// `avg10` and `total` of the line `some` of a file of /proc/pressure.
#[must_use]
pub fn pressure(text: &str) -> Pressure {
    let line = text.lines().find_map(|line| line.strip_prefix("some "));
    let word = |name: &str| {
        let mut words = line?.split_ascii_whitespace();
        words.find_map(|word| word.strip_prefix(name))
    };
    Pressure {
        percent: word("avg10=").and_then(|word| word.parse().ok()),
        waited_us: word("total=").and_then(|word| word.parse().ok()),
    }
}

/// The numbers of a file that has nothing else: /proc/sys/net/ipv4/tcp_mem, /proc/sys/fs/file-nr.
#[must_use]
pub fn numbers<const N: usize>(text: &str) -> [Option<u64>; N] {
    let mut words = text.split_ascii_whitespace();
    std::array::from_fn(|_| words.next()?.parse().ok())
}

/// One number of a file of lines with a name and a value: memory.stat, cpu.stat, memory.events.
#[must_use]
pub fn named(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (found, value) = line.split_once([' ', '\t'])?;
        (found == name).then(|| value.trim().parse().ok())?
    })
}

/// Bytes of the slab caches with these names (slabinfo(5): objects there are, bytes of one).
/// `None` if the text has none of them: only root may read it, and caches are merged at will.
#[must_use]
pub fn slab_bytes(text: &str, names: &[&str]) -> Option<u64> {
    let caches = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let name = words.next()?;
        let objects: u64 = words.nth(1)?.parse().ok()?;
        let bytes: u64 = words.next()?.parse().ok()?;
        names.contains(&name).then(|| objects.saturating_mul(bytes))
    });
    caches.reduce(u64::saturating_add)
}

/// One line of /proc/meminfo or of smaps_rollup, in bytes.
#[must_use]
pub fn memory(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| {
        let (found, rest) = line.split_once(':')?;
        (found == name).then_some(rest)
    })?;
    let kib: u64 = rest.split_ascii_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}
