//! This host at one moment, from the texts of /proc, and what changed between two moments.

use super::proc::{self, CpuTicks};
use super::rates::per_second;
use crate::time::Instant;

/// The texts that a sample is read from; empty where the file cannot be read.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    /// /proc/stat
    pub stat: String,
    /// /proc/net/sockstat
    pub sockstat: String,
    /// /proc/net/netstat
    pub netstat: String,
    /// /proc/net/snmp
    pub snmp: String,
    /// /proc/net/softnet_stat
    pub softnet: String,
    /// /proc/loadavg
    pub load: String,
    /// /proc/pressure/cpu
    pub pressure_cpu: String,
    /// /proc/pressure/memory
    pub pressure_memory: String,
    /// /proc/meminfo
    pub memory: String,
}

/// A host at one moment. `None` is what its kernel does not tell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostSample {
    /// When.
    pub at: Instant,
    /// Ticks of each CPU.
    pub cpus: Vec<CpuTicks>,
    /// TCP sockets in use.
    pub tcp_in_use: Option<u64>,
    /// TCP sockets that no process holds any more.
    pub tcp_orphans: Option<u64>,
    /// TCP connections in TIME_WAIT.
    pub tcp_time_wait: Option<u64>,
    /// Pages of TCP buffers.
    pub tcp_memory_pages: Option<u64>,
    /// Connections refused because an accept queue was full, since boot.
    pub listen_overflows: Option<u64>,
    /// Connections dropped by a listener for any reason, since boot.
    pub listen_drops: Option<u64>,
    /// TCP segments sent again, since boot.
    pub retransmits: Option<u64>,
    /// Packets dropped because a CPU's queue was full, since boot.
    pub softnet_drops: Option<u64>,
    /// Times that a CPU ended its receive work with some left, since boot.
    pub softnet_squeezes: Option<u64>,
    /// Load average of the last minute.
    pub load_average: Option<f64>,
    /// Share of the last 10 s that some task waited for a CPU.
    pub pressure_cpu_percent: Option<f64>,
    /// Share of the last 10 s that some task waited for memory.
    pub pressure_memory_percent: Option<f64>,
    /// Memory that can be had without swapping.
    pub memory_available_bytes: Option<u64>,
    /// All memory.
    pub memory_bytes: Option<u64>,
}

impl HostSample {
    /// Reads the texts.
    #[must_use]
    pub fn parse(texts: &Texts, at: Instant) -> Self {
        let tcp = |name| proc::sockstat(&texts.sockstat, "TCP", name);
        let extended = |name| proc::paired(&texts.netstat, "TcpExt", name);
        let softnet = proc::softnet(&texts.softnet);
        Self {
            at,
            cpus: proc::cpu_ticks(&texts.stat),
            tcp_in_use: tcp("inuse"),
            tcp_orphans: tcp("orphan"),
            tcp_time_wait: tcp("tw"),
            tcp_memory_pages: tcp("mem"),
            listen_overflows: extended("ListenOverflows"),
            listen_drops: extended("ListenDrops"),
            retransmits: proc::paired(&texts.snmp, "Tcp", "RetransSegs"),
            softnet_drops: softnet.map(|(drops, _)| drops),
            softnet_squeezes: softnet.map(|(_, squeezes)| squeezes),
            load_average: proc::load_average(&texts.load),
            pressure_cpu_percent: proc::pressure(&texts.pressure_cpu),
            pressure_memory_percent: proc::pressure(&texts.pressure_memory),
            memory_available_bytes: proc::memory(&texts.memory, "MemAvailable"),
            memory_bytes: proc::memory(&texts.memory, "MemTotal"),
        }
    }
}

/// Where one CPU's time went, in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CpuShare {
    /// The kernel's number of the CPU.
    pub cpu: u32,
    /// Anything but idle.
    pub busy_percent: f64,
    /// Of that, soft interrupts.
    pub softirq_percent: f64,
    /// Of that, taken by the hypervisor.
    pub steal_percent: f64,
}

/// What changed on a host, a second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostRates {
    /// Per CPU.
    pub cpus: Vec<CpuShare>,
    /// Connections refused because an accept queue was full.
    pub listen_overflows: Option<f64>,
    /// Connections dropped by a listener for any reason.
    pub listen_drops: Option<f64>,
    /// TCP segments sent again.
    pub retransmits: Option<f64>,
    /// Packets dropped because a CPU's queue was full.
    pub softnet_drops: Option<f64>,
    /// Times that a CPU ended its receive work with some left.
    pub softnet_squeezes: Option<f64>,
}

impl HostRates {
    /// From one sample to a later one of the same host. A counter that went back gives `None`.
    #[must_use]
    pub fn between(old: &HostSample, new: &HostSample) -> Self {
        let span_s = new.at.since(old.at).as_secs_f64();
        let rate = |of: fn(&HostSample) -> Option<u64>| per_second(of(old), of(new), span_s);
        let share = |ticks: &CpuTicks| {
            let before = old.cpus.iter().find(|other| other.cpu == ticks.cpu)?;
            CpuShare::between(before, ticks)
        };
        Self {
            cpus: new.cpus.iter().filter_map(share).collect(),
            listen_overflows: rate(|it| it.listen_overflows),
            listen_drops: rate(|it| it.listen_drops),
            retransmits: rate(|it| it.retransmits),
            softnet_drops: rate(|it| it.softnet_drops),
            softnet_squeezes: rate(|it| it.softnet_squeezes),
        }
    }

    /// The mean over CPUs of one share, in percent; `None` without CPUs.
    #[must_use]
    pub fn mean(&self, of: fn(&CpuShare) -> f64) -> Option<f64> {
        let sum: f64 = self.cpus.iter().map(of).sum();
        (!self.cpus.is_empty()).then(|| sum / self.cpus.len() as f64)
    }
}

impl CpuShare {
    fn between(old: &CpuTicks, new: &CpuTicks) -> Option<Self> {
        let all = new.sum().checked_sub(old.sum()).filter(|&all| all > 0)?;
        // Idle time may go back a little (kernel/time/tick-sched.c, `get_cpu_idle_time_us`).
        let percent = |old: u64, new: u64| {
            let part = new.saturating_sub(old) as f64 / all as f64;
            (part * 100.0).min(100.0)
        };
        Some(Self {
            cpu: new.cpu,
            busy_percent: 100.0 - percent(old.idle, new.idle),
            softirq_percent: percent(old.softirq, new.softirq),
            steal_percent: percent(old.steal, new.steal),
        })
    }
}
