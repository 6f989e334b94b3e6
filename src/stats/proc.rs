//! Parsers of single files of /proc. Fields are found by name where the file has names, so their
//! order and what a newer kernel adds do not matter. What is not there is `None`, never 0.

/// Clock ticks of one CPU since boot (proc(5), /proc/stat). Shares are what counts, so their
/// length does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTicks {
    /// The kernel's number of the CPU.
    pub cpu: u32,
    /// User programs, niced ones and guests included.
    pub user: u64,
    /// The kernel, but for interrupts.
    pub system: u64,
    /// Nothing to do, or waiting for a disk.
    pub idle: u64,
    /// Hardware interrupts.
    pub irq: u64,
    /// Soft interrupts: where the network's receive path runs.
    pub softirq: u64,
    /// Taken by the hypervisor.
    pub steal: u64,
}

impl CpuTicks {
    /// All of them.
    #[must_use]
    pub const fn sum(&self) -> u64 {
        let busy = self.user.saturating_add(self.system);
        busy.saturating_add(self.idle)
            .saturating_add(self.irq)
            .saturating_add(self.softirq)
            .saturating_add(self.steal)
    }
}

/// The lines `cpuN` of /proc/stat, in the file's order. Old kernels lack the last columns.
#[must_use]
pub fn cpu_ticks(stat: &str) -> Vec<CpuTicks> {
    stat.lines().filter_map(cpu_line).collect()
}

fn cpu_line(line: &str) -> Option<CpuTicks> {
    let mut words = line.strip_prefix("cpu")?.split_ascii_whitespace();
    if !line.as_bytes().get(3)?.is_ascii_digit() {
        return None;
    }
    let cpu = words.next()?.parse().ok()?;
    let mut next = || words.next().and_then(|word| word.parse::<u64>().ok());
    // user nice system idle are always there. Guests are within user and nice.
    let (user, nice, system, idle) = (next()?, next()?, next()?, next()?);
    let waiting = next().unwrap_or(0);
    Some(CpuTicks {
        cpu,
        user: user.saturating_add(nice),
        system,
        idle: idle.saturating_add(waiting),
        irq: next().unwrap_or(0),
        softirq: next().unwrap_or(0),
        steal: next().unwrap_or(0),
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

/// `avg10` of the line `some` of a file of /proc/pressure, in percent
/// (Documentation/accounting/psi.rst).
#[must_use]
pub fn pressure(text: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let mut words = line.split_ascii_whitespace();
    words
        .find_map(|word| word.strip_prefix("avg10="))?
        .parse()
        .ok()
}

/// One line of /proc/meminfo, in bytes.
#[must_use]
pub fn memory(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| {
        let (found, rest) = line.split_once(':')?;
        (found == name).then_some(rest)
    })?;
    let kib: u64 = rest.split_ascii_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}
