//! The facts of a host, read from the texts of `/proc`, `/sys` and `/etc` that [`HostTexts`] gives.

use super::want::numbers;
use std::collections::BTreeMap;

/// Where texts come from: a host, or a test's folder. Paths start at the root, without a slash.
pub trait HostTexts {
    /// The text of a file; `None` if it cannot be read.
    fn text(&self, path: &str) -> Option<String>;
    /// The names in a folder, sorted; none if it cannot be read.
    fn names(&self, folder: &str) -> Vec<String>;
}

/// A resource limit of a process; `u64::MAX` is unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What is in force.
    pub soft: u64,
    /// What a process may raise it to.
    pub hard: u64,
}

/// How it went when the ring engine was started on this host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EngineTrial {
    /// It was not started: this host is a folder, or the workload has another engine.
    #[default]
    NotMade,
    /// It started on all cores.
    Runs,
    /// It did not start.
    Refused {
        /// What it said.
        why: String,
        /// What to do about it.
        remedy: String,
    },
    /// It could not be tried.
    Unknown(String),
}

/// A line of a configuration file: a setting and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The file, from the root.
    pub file: String,
    /// The name with dots.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// What is known of a host; whatever could not be read is absent.
#[derive(Clone, Debug, Default)]
pub struct HostFacts {
    sysctls: BTreeMap<String, String>,
    counters: BTreeMap<String, u64>,
    /// Descriptors of one process.
    pub descriptors: Option<Limit>,
    /// Bytes that one user's rings may lock.
    pub locked_bytes: Option<Limit>,
    /// Whether this process may lock as much as it likes (`CAP_IPC_LOCK`).
    pub locks_freely: bool,
    /// How it went when the engine was started.
    pub trial: EngineTrial,
    /// Memory of the host.
    pub memory_bytes: Option<u64>,
    /// Memory that is free or can be freed.
    pub available_bytes: Option<u64>,
    /// Memory left in this control group.
    pub group_bytes: Option<u64>,
    /// CPUs' worth of time that this control group may use, in hundredths.
    pub quota_percent: Option<u64>,
    /// Processes and threads that this control group may have.
    pub threads_max: Option<u64>,
    /// Governors of the CPUs' clocks, each once.
    pub governors: Vec<String>,
    /// Whether siblings share cores.
    pub smt: Option<bool>,
    /// Whether the clock may rise above its nominal rate.
    pub turbo: Option<bool>,
    /// Microseconds that the deepest idle state takes to leave.
    pub wake_us: Option<u64>,
    /// The mode of transparent huge pages.
    pub huge_pages: Option<String>,
    /// Parts in a thousand of the CPUs' time that the hypervisor took.
    pub steal_permille: Option<u64>,
    /// Packets that each CPU has received.
    pub softnet: Vec<u64>,
    /// Share of the last 10 s, in percent, that something waited: resource and share.
    pub pressure: Vec<(String, f64)>,
    /// What is configured at boot.
    pub configured: Vec<Setting>,
    /// Whether `limits.conf` has a line for descriptors.
    pub limits_conf: bool,
    /// Whether systemd runs the services.
    pub systemd: bool,
}

/// Settings that are read beside those of the table.
const OTHERS: &[&str] = &[
    "kernel.io_uring_disabled",
    "net.core.rmem_default",
    "net.ipv4.tcp_abort_on_overflow",
    "net.ipv4.tcp_fack",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_low_latency",
    "net.ipv4.tcp_max_orphans",
    "net.ipv4.tcp_max_tw_buckets",
    "net.ipv4.tcp_timestamps",
    "net.ipv4.tcp_tw_recycle",
];

impl HostFacts {
    /// Reads everything that the audit looks at: of the kernel settings those, and [`OTHERS`].
    pub(super) fn read<'s>(
        source: &impl HostTexts,
        settings: impl Iterator<Item = &'s str>,
    ) -> Self {
        let mut facts = Self::default();
        for name in settings.chain(OTHERS.iter().copied()) {
            let path = format!("proc/sys/{}", name.replace('.', "/"));
            if let Some(text) = source.text(&path) {
                facts.sysctls.insert(name.to_owned(), one_spaced(&text));
            }
        }
        facts.read_counters(source);
        facts.read_limits(source);
        facts.read_groups(source);
        facts.read_noise(source);
        facts.read_configuration(source);
        facts
    }

    /// A kernel setting, its fields one space apart.
    #[must_use]
    pub fn sysctl(&self, name: &str) -> Option<&str> {
        self.sysctls.get(name).map(String::as_str)
    }

    /// A kernel setting that is one number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.sysctl(name)?.parse().ok()
    }

    /// A counter: those of netstat and snmp by their name, others as `TCP tw` (sockstat),
    /// `softnet dropped`, `file-nr`, `nf_conntrack_count`, `nr_throttled`.
    #[must_use]
    pub fn counter(&self, name: &str) -> Option<u64> {
        self.counters.get(name).copied()
    }

    /// Ports of one source address.
    #[must_use]
    pub fn ports(&self) -> Option<u64> {
        let range = numbers(self.sysctl("net.ipv4.ip_local_port_range")?)?;
        match *range {
            [first, last] if first <= last => Some(last - first + 1),
            _ => None,
        }
    }

    /// Whether connections are tracked: a table that stays empty is not used in this network
    /// namespace. Whoever reads keeps a connection that would be in it. `None` without connection
    /// tracking.
    #[must_use]
    pub fn is_tracking(&self) -> Option<bool> {
        Some(self.counter("nf_conntrack_count")? > 0)
    }

    fn read_counters(&mut self, source: &impl HostTexts) {
        for path in ["proc/net/netstat", "proc/net/snmp"] {
            let text = source.text(path).unwrap_or_default();
            self.counters.extend(named_pairs(&text));
        }
        let sockstat = source.text("proc/net/sockstat").unwrap_or_default();
        for line in sockstat.lines() {
            let Some((kind, rest)) = line.split_once(':') else {
                continue;
            };
            let mut words = rest.split_whitespace();
            while let (Some(name), Some(value)) = (words.next(), words.next()) {
                self.count(&format!("{kind} {name}"), value);
            }
        }
        let softnet = source.text("proc/net/softnet_stat").unwrap_or_default();
        for line in softnet.lines() {
            let hex = |word| u64::from_str_radix(word, 16).unwrap_or(0);
            let mut fields = line.split_whitespace().map(hex);
            self.softnet.extend(fields.next());
            for name in ["softnet dropped", "softnet squeezed"] {
                *self.counters.entry(name.to_owned()).or_default() += fields.next().unwrap_or(0);
            }
        }
        if !self.softnet.is_empty() {
            let processed = self.softnet.iter().sum();
            self.counters
                .insert("softnet processed".to_owned(), processed);
        }
        let files = source.text("proc/sys/fs/file-nr").unwrap_or_default();
        self.count("file-nr", files.split_whitespace().next().unwrap_or(""));
        let tracked = source.text("proc/sys/net/netfilter/nf_conntrack_count");
        self.count("nf_conntrack_count", &tracked.unwrap_or_default());
    }

    fn count(&mut self, name: &str, value: &str) {
        if let Ok(value) = value.trim().parse() {
            self.counters.insert(name.to_owned(), value);
        }
    }

    fn read_limits(&mut self, source: &impl HostTexts) {
        let limits = source.text("proc/self/limits").unwrap_or_default();
        self.descriptors = limit(&limits, "Max open files");
        self.locked_bytes = limit(&limits, "Max locked memory");
        let status = source.text("proc/self/status").unwrap_or_default();
        self.locks_freely = has_capability(&status, CAP_IPC_LOCK);
        let memory = source.text("proc/meminfo").unwrap_or_default();
        self.memory_bytes = kibibytes(&memory, "MemTotal:");
        self.available_bytes = kibibytes(&memory, "MemAvailable:");
    }

    /// The limits of the control group that this process is in: version 2, or else version 1.
    fn read_groups(&mut self, source: &impl HostTexts) {
        let groups = source.text("proc/self/cgroup").unwrap_or_default();
        let of = |kind: &str| {
            let mut lines = groups.lines().map(|line| line.splitn(3, ':'));
            let folder = lines.find_map(|mut parts| {
                let kinds = parts.nth(1)?;
                let path = parts.next()?;
                kinds.split(',').any(|it| it == kind).then_some(path)
            })?;
            let base = if kind.is_empty() {
                "sys/fs/cgroup".to_owned()
            } else {
                format!("sys/fs/cgroup/{kind}")
            };
            Some(format!("{base}{}", folder.trim_end_matches('/')))
        };
        let text = |kind: &str, file: &str| source.text(&format!("{}/{file}", of(kind)?));
        let number = |kind, file| text(kind, file)?.trim().parse::<u64>().ok();
        let left = |most: Option<u64>, used: Option<u64>| Some(most?.saturating_sub(used?));
        self.group_bytes = left(number("", "memory.max"), number("", "memory.current"));
        if self.group_bytes.is_none() {
            let used = number("memory", "memory.usage_in_bytes");
            // Version 1 writes "unlimited" as the largest number of whole pages.
            let most = number("memory", "memory.limit_in_bytes").filter(|&it| it < 1 << 62);
            self.group_bytes = left(most, used);
        }
        let quota = text("", "cpu.max").or_else(|| {
            let quota = text("cpu", "cpu.cfs_quota_us")?;
            Some(format!("{quota} {}", text("cpu", "cpu.cfs_period_us")?))
        });
        if let Some([quota, period]) = quota.as_deref().and_then(numbers).as_deref() {
            self.quota_percent = quota.saturating_mul(100).checked_div(*period);
        }
        self.threads_max = number("", "pids.max").or_else(|| number("pids", "pids.max"));
        let throttled = text("", "cpu.stat").or_else(|| text("cpu", "cpu.stat"));
        let throttled = throttled.unwrap_or_default();
        let throttled = throttled
            .lines()
            .find_map(|line| line.strip_prefix("nr_throttled "));
        self.count("nr_throttled", throttled.unwrap_or(""));
    }

    fn read_noise(&mut self, source: &impl HostTexts) {
        let cpus = "sys/devices/system/cpu";
        let trimmed = |path: &str| Some(source.text(path)?.trim().to_owned());
        for name in source.names(cpus) {
            let governor = trimmed(&format!("{cpus}/{name}/cpufreq/scaling_governor"));
            self.governors.extend(governor);
        }
        self.governors.sort();
        self.governors.dedup();
        self.smt = trimmed(&format!("{cpus}/smt/active")).map(|text| text == "1");
        let no_turbo = trimmed(&format!("{cpus}/intel_pstate/no_turbo")).map(|text| text == "0");
        let boost = || trimmed(&format!("{cpus}/cpufreq/boost")).map(|text| text == "1");
        self.turbo = no_turbo.or_else(boost);
        let states = format!("{cpus}/cpu0/cpuidle");
        let states = source.names(&states).into_iter().filter_map(|state| {
            let latency = trimmed(&format!("{states}/{state}/latency"))?;
            let off = trimmed(&format!("{states}/{state}/disable")).is_some_and(|it| it != "0");
            latency.parse::<u64>().ok().filter(|_| !off)
        });
        self.wake_us = states.max();
        let pages = source.text("sys/kernel/mm/transparent_hugepage/enabled");
        self.huge_pages = pages.and_then(|text| {
            let (_, rest) = text.split_once('[')?;
            Some(rest.split_once(']')?.0.to_owned())
        });
        self.steal_permille = source.text("proc/stat").as_deref().and_then(steal);
        for resource in ["cpu", "io", "memory"] {
            let text = source.text(&format!("proc/pressure/{resource}"));
            let share = text.as_deref().and_then(waiting);
            self.pressure
                .extend(share.map(|share| (resource.to_owned(), share)));
        }
    }

    fn read_configuration(&mut self, source: &impl HostTexts) {
        let folder = "etc/sysctl.d";
        let files = source.names(folder).into_iter();
        let files = files.filter(|name| name.ends_with(".conf"));
        let files = files.map(|name| format!("{folder}/{name}"));
        for file in std::iter::once("etc/sysctl.conf".to_owned()).chain(files) {
            let text = source.text(&file).unwrap_or_default();
            let lines = text.lines().filter_map(|line| setting(&file, line));
            self.configured.extend(lines);
        }
        let folder = "etc/security/limits.d";
        let files = source.names(folder).into_iter();
        let files = files.map(|name| format!("{folder}/{name}"));
        let mut files = std::iter::once("etc/security/limits.conf".to_owned()).chain(files);
        let has_line = |text: &str| {
            let words = |line: &str| {
                let line = line.trim_start();
                !line.starts_with('#') && line.split_whitespace().any(|word| word == "nofile")
            };
            text.lines().any(words)
        };
        self.limits_conf = files.any(|file| source.text(&file).is_some_and(|it| has_line(&it)));
        self.systemd = !source.names("run/systemd/system").is_empty();
    }
}

/// The fields of a setting, one space apart: the kernel writes tabs.
fn one_spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Pairs of a line of names and a line of values; which names there are differs between kernels.
fn named_pairs(text: &str) -> Vec<(String, u64)> {
    let mut pairs = Vec::new();
    let mut lines = text.lines();
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        if !names.starts_with("Tcp") {
            continue;
        }
        let both = names.split_whitespace().zip(values.split_whitespace());
        let number = |(name, value): (&str, &str)| Some((name.to_owned(), value.parse().ok()?));
        pairs.extend(both.skip(1).filter_map(number));
    }
    pairs
}

/// A line of `/proc/PID/limits`: the name, the soft and the hard limit, the unit.
fn limit(text: &str, name: &str) -> Option<Limit> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    let mut words = rest.split_whitespace().map(|word| match word {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    });
    Some(Limit {
        soft: words.next()??,
        hard: words.next()??,
    })
}

/// `include/uapi/linux/capability.h`: what may lock more than the limit.
const CAP_IPC_LOCK: u32 = 14;

/// Whether the capability is in force: `CapEff:` and its bits in hex.
fn has_capability(status: &str, number: u32) -> bool {
    let line = status.lines().find_map(|it| it.strip_prefix("CapEff:"));
    let bits = line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    bits.is_some_and(|bits| bits >> number & 1 == 1)
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number = rest.split_whitespace().next()?;
    Some(number.parse::<u64>().ok()? * 1024)
}

/// The first line of `/proc/stat`: user nice system idle iowait irq softirq steal.
fn steal(text: &str) -> Option<u64> {
    let times = text.lines().next()?.strip_prefix("cpu ")?;
    let times: Vec<u64> = numbers(times)?.into_iter().take(8).collect();
    let all: u64 = times.iter().sum();
    (times.get(7)? * 1000).checked_div(all)
}

/// `some avg10=1.23 ...`: the share of the last 10 s.
fn waiting(text: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let mut words = line.split_whitespace();
    words.find_map(|word| word.strip_prefix("avg10=")?.parse().ok())
}

/// `name = value`, where the name may have slashes and a minus before it.
fn setting(file: &str, line: &str) -> Option<Setting> {
    let line = line.trim();
    if line.starts_with(['#', ';']) {
        return None;
    }
    let (name, value) = line.split_once('=')?;
    let name = name.trim().trim_start_matches('-').replace('/', ".");
    Some(Setting {
        file: file.to_owned(),
        name,
        value: one_spaced(value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_name_wherever_they_stand() {
        let text = "TcpExt: A ListenDrops B\nTcpExt: 1 7 x\nIpExt: C\nIpExt: 9\n";
        let pairs = named_pairs(text);
        assert_eq!(
            pairs,
            [("A".to_owned(), 1), ("ListenDrops".to_owned(), 7)],
            "what is no number is not counted"
        );
    }

    #[test]
    fn limits_may_be_unlimited() {
        let text = "Limit  Soft Limit  Hard Limit  Units\n\
                    Max locked memory         8388608              unlimited            bytes\n";
        let found = limit(text, "Max locked memory");
        let expected = Limit {
            soft: 8_388_608,
            hard: u64::MAX,
        };
        assert_eq!(found, Some(expected));
        assert_eq!(limit(text, "Max open files"), None);
    }

    #[test]
    fn steal_is_a_share_of_all_time() {
        assert_eq!(steal("cpu  50 0 30 10 0 0 0 10 0 0\n"), Some(100));
        assert_eq!(steal("cpu  0 0 0 0 0 0 0 0\n"), None);
        assert_eq!(steal("cpu0 1 2\n"), None);
    }

    #[test]
    fn a_setting_may_be_written_in_each_way_of_sysctl() {
        let found = setting("f", " -net/ipv4/tcp_mem =  1 2\t3").expect("a setting");
        assert_eq!(
            (found.name.as_str(), found.value.as_str()),
            ("net.ipv4.tcp_mem", "1 2 3")
        );
        assert_eq!(setting("f", "# a = b"), None);
    }
}
