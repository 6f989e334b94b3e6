//! The families of `/metrics` that tell of a process, its host and its control group.

use super::cgroup::Cgroup;
use super::exposition::{Exposition, Family};
use super::host::HostSample;
use super::proc::CpuTime;
use super::process::{Process, Thread};

/// A family, and where its one value is.
type Row<T> = (Family, fn(&T) -> Option<f64>);

/// Writes what is known of a process, its host and its control group.
pub fn write(
    into: &mut Exposition<'_>,
    process: &Process,
    host: Option<&HostSample>,
    cgroup: Option<&Cgroup>,
) {
    rows(into, PROCESS, process);
    threads(into, process);
    if let Some(host) = host {
        rows(into, HOST, host);
        cpus(into, host);
        pressures(into, host);
    }
    if let Some(cgroup) = cgroup {
        rows(into, CGROUP, cgroup);
    }
}

fn rows<T>(into: &mut Exposition<'_>, rows: &[Row<T>], from: &T) {
    for (family, of) in rows {
        into.single(family, of(from));
    }
}

fn number(value: Option<u64>) -> Option<f64> {
    value.map(|value| value as f64)
}

fn pages(host: &HostSample, pages: Option<u64>) -> Option<f64> {
    let bytes = pages?.checked_mul(host.page_bytes?);
    number(bytes)
}

const PROCESS: &[Row<Process>] = &[
    (
        Family::counter(
            "process_cpu_seconds",
            "CPU time of the process, user and system.",
        ),
        |it| it.cpu_s,
    ),
    (
        Family::gauge("process_resident_bytes", "Resident memory."),
        |it| number(it.rss_bytes),
    ),
    (
        Family::gauge(
            "process_proportional_bytes",
            "Resident memory, what is shared by its share (PSS).",
        ),
        |it| number(it.pss_bytes),
    ),
    (
        Family::gauge(
            "process_anonymous_bytes",
            "Resident memory that no file stands behind.",
        ),
        |it| number(it.anonymous_bytes),
    ),
    (
        Family::gauge("process_descriptors", "Open descriptors."),
        |it| number(it.descriptors),
    ),
    (
        Family::gauge(
            "process_descriptors_limit",
            "Soft limit on open descriptors.",
        ),
        |it| number(it.descriptor_limit),
    ),
];

/// A family with a sample for each thread name.
type ThreadRow = (Family, fn(&Thread) -> f64);

const THREADS: &[ThreadRow] = &[
    (Family::gauge("threads", "Threads by name."), |it| {
        it.count as f64
    }),
    (
        Family::counter("thread_cpu_seconds", "CPU time of threads by name."),
        |it| it.cpu_s,
    ),
    (
        Family::counter("thread_wait_seconds", "Time that threads waited for a CPU."),
        |it| it.wait_s,
    ),
];

fn threads(into: &mut Exposition<'_>, process: &Process) {
    for (family, of) in THREADS {
        into.family(family);
        for thread in &process.threads {
            into.sample(&[("thread", &thread.name)], of(thread));
        }
    }
}

const HOST: &[Row<HostSample>] = &[
    (
        Family::gauge(
            "host_tcp_established",
            "TCP connections that are established or half closed.",
        ),
        |it| number(it.tcp_established),
    ),
    (
        Family::gauge("host_tcp_sockets", "TCP sockets in use."),
        |it| number(it.tcp_in_use),
    ),
    (
        Family::gauge("host_tcp_orphans", "TCP sockets that no process holds."),
        |it| number(it.tcp_orphans),
    ),
    (
        Family::gauge("host_tcp_time_wait", "TCP connections in TIME_WAIT."),
        |it| number(it.tcp_time_wait),
    ),
    (
        Family::gauge("host_tcp_memory_bytes", "Memory of TCP buffers."),
        |it| pages(it, it.tcp_memory_pages),
    ),
    (
        Family::gauge(
            "host_tcp_memory_pressure_bytes",
            "TCP is sparing with memory from here on (tcp_mem).",
        ),
        |it| pages(it, it.tcp_memory_pages_pressure),
    ),
    (
        Family::gauge(
            "host_tcp_memory_limit_bytes",
            "TCP gets no more memory (tcp_mem).",
        ),
        |it| pages(it, it.tcp_memory_pages_max),
    ),
    (
        Family::counter(
            "host_listen_overflows",
            "Connections refused because an accept queue was full.",
        ),
        |it| number(it.listen_overflows),
    ),
    (
        Family::counter(
            "host_listen_drops",
            "Connections dropped by listeners for any reason.",
        ),
        |it| number(it.listen_drops),
    ),
    (
        Family::counter(
            "host_syn_queue_drops",
            "SYNs dropped because a SYN queue was full.",
        ),
        |it| number(it.syn_queue_drops),
    ),
    (
        Family::counter(
            "host_syn_queue_cookies",
            "Times that a full SYN queue was answered with cookies.",
        ),
        |it| number(it.syn_queue_cookies),
    ),
    (
        Family::counter("host_syncookies_sent", "SYN cookies sent."),
        |it| number(it.syncookies_sent),
    ),
    (
        Family::counter("host_tcp_retransmits", "TCP segments sent again."),
        |it| number(it.retransmits),
    ),
    (
        Family::counter("host_tcp_timeouts", "Retransmission timers that ran out."),
        |it| number(it.timeouts),
    ),
    (
        Family::counter(
            "host_tcp_memory_pressures",
            "Times that TCP came under memory pressure.",
        ),
        |it| number(it.tcp_memory_pressures),
    ),
    (
        Family::counter(
            "host_tcp_memory_aborts",
            "Connections ended for want of memory.",
        ),
        |it| number(it.aborts_on_memory),
    ),
    (
        Family::counter(
            "host_softnet_drops",
            "Packets dropped because the queue of a CPU was full.",
        ),
        |it| number(it.softnet_drops),
    ),
    (
        Family::counter(
            "host_softnet_squeezes",
            "Times that a CPU left received packets for later.",
        ),
        |it| number(it.softnet_squeezes),
    ),
    (
        Family::gauge("host_conntrack", "Connections that are tracked."),
        |it| number(it.conntrack),
    ),
    (
        Family::gauge("host_conntrack_limit", "Connections that can be tracked."),
        |it| number(it.conntrack_max),
    ),
    (Family::gauge("host_files", "Open files."), |it| {
        number(it.files)
    }),
    (
        Family::gauge("host_files_limit", "Files that can be open."),
        |it| number(it.files_max),
    ),
    (
        Family::gauge("host_load_average", "Load average of the last minute."),
        |it| it.load_average,
    ),
    (
        Family::gauge(
            "host_memory_available_bytes",
            "Memory that can be had without swapping.",
        ),
        |it| number(it.memory_available_bytes),
    ),
    (Family::gauge("host_memory_bytes", "All memory."), |it| {
        number(it.memory_bytes)
    }),
    (
        Family::gauge("host_slab_bytes", "Objects of the kernel."),
        |it| number(it.slab_bytes),
    ),
    (
        Family::gauge(
            "host_socket_slab_bytes",
            "Objects of the kernel that are sockets.",
        ),
        |it| number(it.socket_slab_bytes),
    ),
];

fn cpus(into: &mut Exposition<'_>, host: &HostSample) {
    type Part = (&'static str, fn(&CpuTime) -> u64);
    const PARTS: &[Part] = &[
        ("user", |it| it.user_ms),
        ("system", |it| it.system_ms),
        ("idle", |it| it.idle_ms),
        ("irq", |it| it.irq_ms),
        ("softirq", |it| it.softirq_ms),
        ("steal", |it| it.steal_ms),
    ];
    if host.cpus.is_empty() {
        return;
    }
    into.family(&Family::counter(
        "host_cpu_seconds",
        "Where the time of each CPU went.",
    ));
    for cpu in &host.cpus {
        let number = cpu.cpu.to_string();
        for (mode, of) in PARTS {
            let labels = [("cpu", number.as_str()), ("mode", mode)];
            into.sample(&labels, of(cpu) as f64 / 1e3);
        }
    }
}

fn pressures(into: &mut Exposition<'_>, host: &HostSample) {
    let all = [
        ("cpu", host.pressure_cpu_us),
        ("memory", host.pressure_memory_us),
        ("io", host.pressure_io_us),
    ];
    let told: Vec<_> = all
        .iter()
        .filter_map(|(resource, waited_us)| Some((*resource, (*waited_us)?)))
        .collect();
    if told.is_empty() {
        return;
    }
    into.family(&Family::counter(
        "host_pressure_wait_seconds",
        "Time that some task waited for a resource (PSI).",
    ));
    for (resource, waited_us) in told {
        into.sample(&[("resource", resource)], waited_us as f64 / 1e6);
    }
}

const CGROUP: &[Row<Cgroup>] = &[
    (
        Family::gauge("cgroup_memory_bytes", "Memory of the control group."),
        |it| number(it.memory_bytes),
    ),
    (
        Family::gauge("cgroup_memory_limit_bytes", "Memory that it may have."),
        |it| number(it.memory_limit_bytes),
    ),
    (
        Family::counter(
            "cgroup_memory_limit_hits",
            "Times that the memory limit was met.",
        ),
        |it| number(it.memory_limit_hits),
    ),
    (
        Family::counter("cgroup_oom_kills", "Processes killed for want of memory."),
        |it| number(it.oom_kills),
    ),
    (
        Family::gauge("cgroup_socket_bytes", "Memory of its socket buffers."),
        |it| number(it.socket_bytes),
    ),
    (
        Family::gauge(
            "cgroup_slab_bytes",
            "Objects of the kernel that are charged to it.",
        ),
        |it| number(it.slab_bytes),
    ),
    (
        Family::gauge("cgroup_cpu_quota", "CPUs that it may use."),
        |it| it.cpu_quota_percent.map(|it| it / 100.0),
    ),
    (
        Family::counter("cgroup_cpu_periods", "Periods in which it wanted CPU time."),
        |it| number(it.cpu_periods),
    ),
    (
        Family::counter(
            "cgroup_cpu_throttled_periods",
            "Periods in which its CPU time was used up.",
        ),
        |it| number(it.cpu_throttled),
    ),
    (
        Family::counter(
            "cgroup_cpu_throttled_seconds",
            "Time without a CPU for that.",
        ),
        |it| it.cpu_throttled_us.map(|us| us as f64 / 1e6),
    ),
    (
        Family::gauge("cgroup_pids", "Threads of the control group."),
        |it| number(it.pids),
    ),
    (
        Family::gauge("cgroup_pids_limit", "Threads that it may have."),
        |it| number(it.pids_limit),
    ),
];
