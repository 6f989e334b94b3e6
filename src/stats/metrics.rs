//! The families of `/metrics` that tell of a process, its host and its control group.

use super::cgroup::Cgroup;
use super::exposition::{Exposition, MetricFamily};
use super::host::HostSample;
use super::proc::CpuTime;
use super::process::{Process, Thread};

/// A family, and where its one value is.
type Row<T> = (MetricFamily, fn(&T) -> Option<f64>);

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
        MetricFamily::counter(
            "process_cpu_seconds",
            "CPU time of the process, user and system.",
        ),
        |it| it.cpu_s,
    ),
    (
        MetricFamily::gauge("process_resident_bytes", "Resident memory."),
        |it| number(it.rss_bytes),
    ),
    (
        MetricFamily::gauge(
            "process_proportional_bytes",
            "Resident memory, what is shared by its share (PSS).",
        ),
        |it| number(it.pss_bytes),
    ),
    (
        MetricFamily::gauge(
            "process_anonymous_bytes",
            "Resident memory that no file stands behind.",
        ),
        |it| number(it.anonymous_bytes),
    ),
    (
        MetricFamily::gauge("process_descriptors", "Open descriptors."),
        |it| number(it.descriptors),
    ),
    (
        MetricFamily::gauge(
            "process_descriptors_limit",
            "Soft limit on open descriptors.",
        ),
        |it| number(it.descriptor_limit),
    ),
];

/// A family with a sample for each thread name.
type ThreadRow = (MetricFamily, fn(&Thread) -> f64);

const THREADS: &[ThreadRow] = &[
    (MetricFamily::gauge("threads", "Threads by name."), |it| {
        it.count as f64
    }),
    (
        MetricFamily::counter("thread_cpu_seconds", "CPU time of threads by name."),
        |it| it.cpu_s,
    ),
    (
        MetricFamily::counter("thread_wait_seconds", "Time that threads waited for a CPU."),
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
        MetricFamily::gauge(
            "host_tcp_established",
            "TCP connections that are established or half closed.",
        ),
        |it| number(it.tcp_established),
    ),
    (
        MetricFamily::gauge("host_tcp_sockets", "TCP sockets in use."),
        |it| number(it.tcp_in_use),
    ),
    (
        MetricFamily::gauge("host_tcp_orphans", "TCP sockets that no process holds."),
        |it| number(it.tcp_orphans),
    ),
    (
        MetricFamily::gauge("host_tcp_time_wait", "TCP connections in TIME_WAIT."),
        |it| number(it.tcp_time_wait),
    ),
    (
        MetricFamily::gauge("host_tcp_memory_bytes", "Memory of TCP buffers."),
        |it| pages(it, it.tcp_memory_pages),
    ),
    (
        MetricFamily::gauge(
            "host_tcp_memory_pressure_bytes",
            "TCP is sparing with memory from here on (tcp_mem).",
        ),
        |it| pages(it, it.tcp_memory_pages_pressure),
    ),
    (
        MetricFamily::gauge(
            "host_tcp_memory_limit_bytes",
            "TCP gets no more memory (tcp_mem).",
        ),
        |it| pages(it, it.tcp_memory_pages_max),
    ),
    (
        MetricFamily::counter(
            "host_listen_overflows",
            "Connections refused because an accept queue was full.",
        ),
        |it| number(it.listen_overflows),
    ),
    (
        MetricFamily::counter(
            "host_listen_drops",
            "Connections dropped by listeners for any reason.",
        ),
        |it| number(it.listen_drops),
    ),
    (
        MetricFamily::counter(
            "host_syn_queue_drops",
            "SYNs dropped because a SYN queue was full.",
        ),
        |it| number(it.syn_queue_drops),
    ),
    (
        MetricFamily::counter(
            "host_syn_queue_cookies",
            "Times that a full SYN queue was answered with cookies.",
        ),
        |it| number(it.syn_queue_cookies),
    ),
    (
        MetricFamily::counter("host_syncookies_sent", "SYN cookies sent."),
        |it| number(it.syncookies_sent),
    ),
    (
        MetricFamily::counter("host_tcp_retransmits", "TCP segments sent again."),
        |it| number(it.retransmits),
    ),
    (
        MetricFamily::counter("host_tcp_timeouts", "Retransmission timers that ran out."),
        |it| number(it.timeouts),
    ),
    (
        MetricFamily::counter(
            "host_tcp_memory_pressures",
            "Times that TCP came under memory pressure.",
        ),
        |it| number(it.tcp_memory_pressures),
    ),
    (
        MetricFamily::counter(
            "host_tcp_memory_aborts",
            "Connections ended for want of memory.",
        ),
        |it| number(it.aborts_on_memory),
    ),
    (
        MetricFamily::counter(
            "host_softnet_drops",
            "Packets dropped because the queue of a CPU was full.",
        ),
        |it| number(it.softnet_drops),
    ),
    (
        MetricFamily::counter(
            "host_softnet_squeezes",
            "Times that a CPU left received packets for later.",
        ),
        |it| number(it.softnet_squeezes),
    ),
    (
        MetricFamily::gauge("host_conntrack", "Connections that are tracked."),
        |it| number(it.conntrack),
    ),
    (
        MetricFamily::gauge("host_conntrack_limit", "Connections that can be tracked."),
        |it| number(it.conntrack_max),
    ),
    (MetricFamily::gauge("host_files", "Open files."), |it| {
        number(it.files)
    }),
    (
        MetricFamily::gauge("host_files_limit", "Files that can be open."),
        |it| number(it.files_max),
    ),
    (
        MetricFamily::gauge("host_load_average", "Load average of the last minute."),
        |it| it.load_average,
    ),
    (
        MetricFamily::gauge(
            "host_memory_available_bytes",
            "Memory that can be had without swapping.",
        ),
        |it| number(it.memory_available_bytes),
    ),
    (
        MetricFamily::gauge("host_memory_bytes", "All memory."),
        |it| number(it.memory_bytes),
    ),
    (
        MetricFamily::gauge("host_slab_bytes", "Objects of the kernel."),
        |it| number(it.slab_bytes),
    ),
    (
        MetricFamily::gauge(
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
    into.family(&MetricFamily::counter(
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
    into.family(&MetricFamily::counter(
        "host_pressure_wait_seconds",
        "Time that some task waited for a resource (PSI).",
    ));
    for (resource, waited_us) in told {
        into.sample(&[("resource", resource)], waited_us as f64 / 1e6);
    }
}

const CGROUP: &[Row<Cgroup>] = &[
    (
        MetricFamily::gauge("cgroup_memory_bytes", "Memory of the control group."),
        |it| number(it.memory_bytes),
    ),
    (
        MetricFamily::gauge("cgroup_memory_limit_bytes", "Memory that it may have."),
        |it| number(it.memory_limit_bytes),
    ),
    (
        MetricFamily::counter(
            "cgroup_memory_limit_hits",
            "Times that the memory limit was met.",
        ),
        |it| number(it.memory_limit_hits),
    ),
    (
        MetricFamily::counter("cgroup_oom_kills", "Processes killed for want of memory."),
        |it| number(it.oom_kills),
    ),
    (
        MetricFamily::gauge("cgroup_socket_bytes", "Memory of its socket buffers."),
        |it| number(it.socket_bytes),
    ),
    (
        MetricFamily::gauge(
            "cgroup_slab_bytes",
            "Objects of the kernel that are charged to it.",
        ),
        |it| number(it.slab_bytes),
    ),
    (
        MetricFamily::gauge("cgroup_cpu_quota", "CPUs that it may use."),
        |it| it.cpu_quota_percent.map(|it| it / 100.0),
    ),
    (
        MetricFamily::counter("cgroup_cpu_periods", "Periods in which it wanted CPU time."),
        |it| number(it.cpu_periods),
    ),
    (
        MetricFamily::counter(
            "cgroup_cpu_throttled_periods",
            "Periods in which its CPU time was used up.",
        ),
        |it| number(it.cpu_throttled),
    ),
    (
        MetricFamily::counter(
            "cgroup_cpu_throttled_seconds",
            "Time without a CPU for that.",
        ),
        |it| it.cpu_throttled_us.map(|us| us as f64 / 1e6),
    ),
    (
        MetricFamily::gauge("cgroup_pids", "Threads of the control group."),
        |it| number(it.pids),
    ),
    (
        MetricFamily::gauge("cgroup_pids_limit", "Threads that it may have."),
        |it| number(it.pids_limit),
    ),
];
