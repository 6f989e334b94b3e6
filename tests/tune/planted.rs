//! A fault for each rule: the file, what it says then, and what the audit must name.

use ringstorm::tune::Severity::{self, Fault, Note, Warning};
use ringstorm::tune::{Holder, Side, Workload};

/// One planted fault.
pub(crate) struct Planted {
    /// Connections in thousands, and the side.
    pub(crate) workload: (u64, Side),
    /// The file, and its text.
    pub(crate) file: (&'static str, &'static str),
    /// The name of the finding, and its severity.
    pub(crate) finding: (&'static str, Severity),
    /// A part of what it is or of its evidence.
    pub(crate) part: &'static str,
}

pub(crate) const fn workload(thousands: u64, side: Side) -> Workload {
    Workload {
        connections: thousands * 1000,
        side,
        holder: Holder::Ring,
        sources: 16,
        cores: 2,
        core_connections: Some(600_000),
    }
}

macro_rules! planted {
    ($($n:literal $side:ident $path:literal = $text:literal
        => $severity:ident $name:literal $part:literal;)*) => {
        &[$(Planted {
            workload: ($n, Side::$side),
            file: ($path, $text),
            finding: ($name, $severity),
            part: $part,
        }),*]
    };
}

pub(crate) const PLANTED: &[Planted] = planted! {
    1000 Both "proc/sys/fs/nr_open" = "1048576\n" => Warning "fs.nr_open" "file-nr 1200";
    100 Server "proc/sys/fs/file-max" = "299999\n" => Fault "fs.file-max" "file-nr 1200";
    100 Both "proc/sys/fs/file-max" = "500000\n" => Fault "fs.file-max" "500000";
    100 Server "proc/sys/net/core/somaxconn" = "4096\n"
        => Fault "net.core.somaxconn" "ListenOverflows 7, ListenDrops 8";
    100 Server "proc/sys/net/ipv4/tcp_max_syn_backlog" = "2048\n"
        => Warning "net.ipv4.tcp_max_syn_backlog" "SyncookiesSent 3";
    100 Server "proc/sys/net/ipv4/tcp_syncookies" = "0\n"
        => Warning "net.ipv4.tcp_syncookies" "SyncookiesSent 3";
    1000 Client "proc/sys/net/ipv4/tcp_rmem" = "4096\t131072\t6291456\n"
        => Warning "net.ipv4.tcp_rmem" "4096 131072 6291456";
    1000 Server "proc/sys/net/ipv4/tcp_wmem" = "4096\t16384\t4194304\n"
        => Warning "net.ipv4.tcp_wmem" "4194304";
    100 Server "proc/sys/net/ipv4/tcp_notsent_lowat" = "4294967295\n"
        => Warning "net.ipv4.tcp_notsent_lowat" "TCP mem 4";
    100 Both "proc/sys/net/ipv4/tcp_mem" = "40000\t50000\t60000\n"
        => Warning "net.ipv4.tcp_mem" "TCP mem 4";
    100 Server "proc/sys/net/ipv4/tcp_mem" = "4294967296\t4294967296\t8589934592\n"
        => Fault "net.ipv4.tcp_mem" "8589934592";
    1000 Server "proc/sys/net/netfilter/nf_conntrack_max" = "262144\n"
        => Fault "net.netfilter.nf_conntrack_max" "nf_conntrack_count 120";
    1000 Client "proc/sys/net/ipv4/ip_local_port_range" = "32768\t60999\n"
        => Fault "net.ipv4.ip_local_port_range" "TCP tw 11";
    100 Client "proc/sys/net/ipv4/tcp_tw_reuse" = "2\n"
        => Warning "net.ipv4.tcp_tw_reuse" "TW 40";
    100 Both "proc/sys/net/ipv4/tcp_tw_reuse" = "0\n" => Warning "net.ipv4.tcp_tw_reuse" "0";
    1000 Client "proc/sys/net/ipv4/tcp_max_tw_buckets" = "262144\n"
        => Warning "net.ipv4.tcp_max_tw_buckets" "TCPTimeWaitOverflow 5";
    100 Server "proc/sys/net/ipv4/tcp_max_tw_buckets" = "4096\n"
        => Warning "net.ipv4.tcp_max_tw_buckets" "TCPTimeWaitOverflow 5";
    1000 Server "proc/sys/net/ipv4/tcp_max_orphans" = "131072\n"
        => Warning "net.ipv4.tcp_max_orphans" "TCP orphan 2";
    100 Client "proc/sys/net/ipv4/tcp_max_orphans" = "8192\n"
        => Warning "net.ipv4.tcp_max_orphans" "8192";
    100 Both "proc/sys/net/core/netdev_max_backlog" = "1000\n"
        => Warning "net.core.netdev_max_backlog" "softnet dropped 2";
    1000 Server "proc/net/softnet_stat" = "00001000 0 00000100\n"
        => Note "net.core.netdev_budget" "softnet squeezed 256";
    100 Server "proc/sys/net/ipv4/tcp_slow_start_after_idle" = "1\n"
        => Warning "net.ipv4.tcp_slow_start_after_idle" "1";
    100 Server "proc/sys/net/ipv4/tcp_migrate_req" = "0\n"
        => Note "net.ipv4.tcp_migrate_req" "0";
    100 Server "proc/self/limits" = "Max open files 1024 20000 files\n\
                                     Max locked memory 8388608 unlimited bytes\n"
        => Warning "RLIMIT_NOFILE" "hard 20000";
    100 Server "proc/self/limits" = "Max open files 1024 1200000 files\n\
                                     Max locked memory 65536 65536 bytes\n"
        => Fault "RLIMIT_MEMLOCK" "65536 bytes";
    100 Server "proc/sys/kernel/io_uring_disabled" = "2\n"
        => Fault "kernel.io_uring_disabled" "2";
    100 Both "proc/meminfo" = "MemTotal: 67108864 kB\nMemAvailable: 3900000 kB\n"
        => Fault "memory" "MiB";
    100 Server "sys/fs/cgroup/ringstorm/memory.max" = "200000000\n" => Fault "memory" "96 MiB";
    100 Server "sys/fs/cgroup/ringstorm/pids.max" = "10\n" => Warning "cgroup pids.max" "10";
    100 Server "sys/fs/cgroup/ringstorm/cpu.max" = "150000 100000\n"
        => Warning "cgroup CPU quota" "nr_throttled 0";
    100 Server "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor" = "powersave\n"
        => Note "cpufreq governor" "powersave";
    100 Server "sys/devices/system/cpu/intel_pstate/no_turbo" = "0\n" => Note "turbo" "on";
    100 Server "sys/devices/system/cpu/smt/active" = "1\n" => Note "SMT" "on";
    100 Server "sys/devices/system/cpu/cpu0/cpuidle/state2/latency" = "133\n"
        => Note "C-states" "133 us";
    100 Server "sys/kernel/mm/transparent_hugepage/enabled" = "[always] madvise never\n"
        => Note "THP" "always";
    100 Server "proc/stat" = "cpu  1000 0 500 8000 0 0 0 500\n" => Note "steal" "5.0 %";
    100 Server "proc/net/softnet_stat" = "00f00000 0 0\n00000010 0 0\n"
        => Note "IRQ and RPS" "took 100 %";
    100 Server "proc/pressure/memory" = "some avg10=42.00 avg60=1 avg300=1 total=1\n"
        => Note "pressure" "memory 42 %";
    100 Server "proc/sys/net/ipv4/tcp_tw_recycle" = "1\n"
        => Fault "net.ipv4.tcp_tw_recycle" "1";
    100 Server "proc/sys/net/ipv4/tcp_abort_on_overflow" = "1\n"
        => Fault "net.ipv4.tcp_abort_on_overflow" "ListenOverflows 7";
    100 Server "proc/sys/net/ipv4/tcp_timestamps" = "0\n"
        => Warning "net.ipv4.tcp_timestamps" "0";
    100 Server "proc/sys/net/ipv4/tcp_fin_timeout" = "10\n"
        => Note "net.ipv4.tcp_fin_timeout" "10";
    100 Server "proc/sys/net/core/rmem_default" = "16777216\n"
        => Note "net.core.rmem_default" "16777216";
    100 Server "proc/sys/net/ipv4/tcp_low_latency" = "1\n"
        => Note "net.ipv4.tcp_low_latency" "1";
    100 Server "proc/sys/net/ipv4/tcp_fack" = "1\n" => Note "net.ipv4.tcp_fack" "1";
    100 Server "etc/sysctl.d/99-old.conf" = "net/ipv4/tcp_tw_recycle=1\n"
        => Note "net.ipv4.tcp_tw_recycle" "/etc/sysctl.d/99-old.conf";
    100 Server "etc/sysctl.conf" = "net.ipv4.ip_conntrack_max = 65536\n"
        => Note "net.ipv4.ip_conntrack_max" "65536";
    100 Server "etc/security/limits.conf" = "* hard nofile 100000\n"
        => Note "limits.conf" "nofile";
};
