//! This host at one moment, from the texts of /proc, and what changed between two moments.

use super::growth::per_second;
use super::proc::{self, CpuTime};
use crate::time::Instant;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// /proc/pressure/io
    pub pressure_io: String,
    /// /proc/meminfo
    pub memory: String,
    /// /proc/sys/fs/file-nr
    pub files: String,
    /// /proc/sys/net/ipv4/tcp_mem
    pub tcp_limits: String,
    /// /proc/sys/net/netfilter/nf_conntrack_count
    pub conntrack: String,
    /// /proc/sys/net/netfilter/nf_conntrack_max
    pub conntrack_max: String,
    /// /proc/slabinfo
    pub slab: String,
    /// The units that the kernel counts in.
    pub units: Units,
}

/// The units that the kernel counts in (sysconf(3)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Units {
    /// Ticks of /proc/stat.
    pub ticks_per_s: u64,
    /// Bytes of a page.
    pub page_bytes: u64,
}

impl Default for Units {
    /// Those of x86-64.
    fn default() -> Self {
        Self {
            ticks_per_s: 100,
            page_bytes: 4096,
        }
    }
}

/// Slab caches of sockets and of what waits in them, under the names of several kernels.
const SOCKET_CACHES: &[&str] = &[
    "TCP",
    "TCPv6",
    "MPTCP",
    "tw_sock_TCP",
    "tw_sock_TCPv6",
    "request_sock_TCP",
    "request_sock_TCPv6",
    "sock_inode_cache",
    "skbuff_head_cache",
    "skbuff_fclone_cache",
    "skbuff_small_head",
    "net_bind_bucket",
    "tcp_bind_bucket",
    "tcp_bind2_bucket",
];

/// A host at one moment. `None` is what its kernel does not tell. Counters are since boot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HostSample {
    /// When, by the clock of who watches.
    #[serde(skip)]
    pub at: Instant,
    /// Where the time of each CPU went.
    pub cpus: Vec<CpuTime>,
    /// TCP connections that are established or half closed.
    pub tcp_established: Option<u64>,
    /// TCP sockets in use.
    pub tcp_in_use: Option<u64>,
    /// TCP sockets that no process holds any more.
    pub tcp_orphans: Option<u64>,
    /// TCP connections in TIME_WAIT.
    pub tcp_time_wait: Option<u64>,
    /// Pages of TCP buffers.
    pub tcp_memory_pages: Option<u64>,
    /// From so many pages on the kernel is sparing with them (`tcp_mem`).
    pub tcp_memory_pages_pressure: Option<u64>,
    /// More it does not give.
    pub tcp_memory_pages_max: Option<u64>,
    /// Bytes of a page.
    pub page_bytes: Option<u64>,
    /// Connections refused because an accept queue was full.
    pub listen_overflows: Option<u64>,
    /// Connections dropped by a listener for any reason.
    pub listen_drops: Option<u64>,
    /// SYNs dropped because a SYN queue was full.
    pub syn_queue_drops: Option<u64>,
    /// Times that a full SYN queue was answered with cookies.
    pub syn_queue_cookies: Option<u64>,
    /// SYN cookies sent.
    pub syncookies_sent: Option<u64>,
    /// TCP segments sent again.
    pub retransmits: Option<u64>,
    /// Retransmission timers that ran out.
    pub timeouts: Option<u64>,
    /// Times that TCP came under memory pressure.
    pub tcp_memory_pressures: Option<u64>,
    /// Connections ended for want of memory.
    pub aborts_on_memory: Option<u64>,
    /// Packets dropped because a CPU's queue was full.
    pub softnet_drops: Option<u64>,
    /// Times that a CPU ended its receive work with some left.
    pub softnet_squeezes: Option<u64>,
    /// Connections that are tracked (netfilter).
    pub conntrack: Option<u64>,
    /// How many may be.
    pub conntrack_max: Option<u64>,
    /// Open files.
    pub files: Option<u64>,
    /// How many there may be.
    pub files_max: Option<u64>,
    /// Load average of the last minute.
    pub load_average: Option<f64>,
    /// Share of the last 10 s that some task waited for a CPU.
    pub pressure_cpu_percent: Option<f64>,
    /// Share of the last 10 s that some task waited for memory.
    pub pressure_memory_percent: Option<f64>,
    /// Share of the last 10 s that some task waited for a disk.
    pub pressure_io_percent: Option<f64>,
    /// Time that some task waited for a CPU.
    pub pressure_cpu_us: Option<u64>,
    /// Time that some task waited for memory.
    pub pressure_memory_us: Option<u64>,
    /// Time that some task waited for a disk.
    pub pressure_io_us: Option<u64>,
    /// Memory that can be had without swapping.
    pub memory_available_bytes: Option<u64>,
    /// All memory.
    pub memory_bytes: Option<u64>,
    /// The kernel's objects of all kinds.
    pub slab_bytes: Option<u64>,
    /// Of them, sockets and what waits in them; for root only.
    pub socket_slab_bytes: Option<u64>,
}

impl HostSample {
    /// Reads the texts.
    #[must_use]
    pub fn parse(texts: &Texts, at: Instant) -> Self {
        let tcp = |name| proc::sockstat(&texts.sockstat, "TCP", name);
        let extended = |name| proc::paired(&texts.netstat, "TcpExt", name);
        let snmp = |name| proc::paired(&texts.snmp, "Tcp", name);
        let softnet = proc::softnet(&texts.softnet);
        let pressure_cpu = proc::pressure(&texts.pressure_cpu);
        let pressure_memory = proc::pressure(&texts.pressure_memory);
        let pressure_io = proc::pressure(&texts.pressure_io);
        let [_, pages_pressure, pages_max] = proc::numbers(&texts.tcp_limits);
        let [files, _, files_max] = proc::numbers(&texts.files);
        let [conntrack] = proc::numbers(&texts.conntrack);
        let [conntrack_max] = proc::numbers(&texts.conntrack_max);
        Self {
            at,
            cpus: proc::cpu_times(&texts.stat, texts.units.ticks_per_s),
            tcp_established: snmp("CurrEstab"),
            tcp_in_use: tcp("inuse"),
            tcp_orphans: tcp("orphan"),
            tcp_time_wait: tcp("tw"),
            tcp_memory_pages: tcp("mem"),
            tcp_memory_pages_pressure: pages_pressure,
            tcp_memory_pages_max: pages_max,
            page_bytes: Some(texts.units.page_bytes),
            listen_overflows: extended("ListenOverflows"),
            listen_drops: extended("ListenDrops"),
            syn_queue_drops: extended("TCPReqQFullDrop"),
            syn_queue_cookies: extended("TCPReqQFullDoCookies"),
            syncookies_sent: extended("SyncookiesSent"),
            retransmits: snmp("RetransSegs"),
            timeouts: extended("TCPTimeouts"),
            tcp_memory_pressures: extended("TCPMemoryPressures"),
            aborts_on_memory: extended("TCPAbortOnMemory"),
            softnet_drops: softnet.map(|(drops, _)| drops),
            softnet_squeezes: softnet.map(|(_, squeezes)| squeezes),
            conntrack,
            conntrack_max,
            files,
            files_max,
            load_average: proc::load_average(&texts.load),
            pressure_cpu_percent: pressure_cpu.percent,
            pressure_memory_percent: pressure_memory.percent,
            pressure_io_percent: pressure_io.percent,
            pressure_cpu_us: pressure_cpu.waited_us,
            pressure_memory_us: pressure_memory.waited_us,
            pressure_io_us: pressure_io.waited_us,
            memory_available_bytes: proc::memory(&texts.memory, "MemAvailable"),
            memory_bytes: proc::memory(&texts.memory, "MemTotal"),
            slab_bytes: proc::memory(&texts.memory, "Slab"),
            socket_slab_bytes: proc::slab_bytes(&texts.slab, SOCKET_CACHES),
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
    /// SYNs dropped because a SYN queue was full.
    pub syn_queue_drops: Option<f64>,
    /// SYN cookies sent.
    pub syncookies_sent: Option<f64>,
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
        let share = |time: &CpuTime| {
            let before = old.cpus.iter().find(|other| other.cpu == time.cpu)?;
            CpuShare::between(before, time)
        };
        Self {
            cpus: new.cpus.iter().filter_map(share).collect(),
            listen_overflows: rate(|it| it.listen_overflows),
            listen_drops: rate(|it| it.listen_drops),
            syn_queue_drops: rate(|it| it.syn_queue_drops),
            syncookies_sent: rate(|it| it.syncookies_sent),
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
    fn between(old: &CpuTime, new: &CpuTime) -> Option<Self> {
        let all = new.sum_ms().checked_sub(old.sum_ms());
        let all = all.filter(|&all| all > 0)?;
        // Idle time may go back a little (kernel/time/tick-sched.c, `get_cpu_idle_time_us`).
        let percent = |old: u64, new: u64| {
            let part = new.saturating_sub(old) as f64 / all as f64;
            (part * 100.0).min(100.0)
        };
        Some(Self {
            cpu: new.cpu,
            busy_percent: 100.0 - percent(old.idle_ms, new.idle_ms),
            softirq_percent: percent(old.softirq_ms, new.softirq_ms),
            steal_percent: percent(old.steal_ms, new.steal_ms),
        })
    }
}
