//! Settings that are passed on in old advice and do harm, or nothing any more.

use super::want::numbers;
use super::{Check, Finding, HostFacts, Severity, Workload, counted, note};

/// Those that are in force.
pub(super) const CHECKS: &[Check] = &[
    tw_recycle,
    abort_on_overflow,
    timestamps_off,
    tcp_mem_in_bytes,
    tw_buckets_lowered,
    orphans_lowered,
    fin_timeout,
    rmem_default,
    low_latency,
    fack,
    limits_conf,
];

/// The kernel's own `net.core.rmem_default`.
const RMEM_DEFAULT: u64 = 212_992;
/// The kernel's own `net.ipv4.tcp_fin_timeout`, seconds.
const FIN_TIMEOUT: u64 = 60;

/// Names that configuration files should not have, and why.
const OBSOLETE: &[(&str, &str)] = &[
    (
        "net.ipv4.tcp_tw_recycle",
        "broke clients behind NAT; removed in Linux 4.12",
    ),
    ("net.ipv4.tcp_low_latency", "has no effect since Linux 4.14"),
    ("net.ipv4.tcp_fack", "has no effect since Linux 4.15"),
    (
        "net.ipv4.ip_conntrack_",
        "a name of Linux 2.4; today net.netfilter.nf_conntrack_*",
    ),
    (
        "net.ipv4.netfilter.ip_conntrack_",
        "a name of Linux 2.6; today net.netfilter.nf_conntrack_*",
    ),
];

/// Obsolete lines of configuration files.
pub(super) fn configured(facts: &HostFacts) -> Vec<Finding> {
    let settings = facts.configured.iter();
    let findings = settings.filter_map(|setting| {
        let (_, why) = OBSOLETE
            .iter()
            .find(|(name, _)| setting.name.starts_with(name))?;
        let is = format!("{} in /{}", setting.value, setting.file);
        let command = format!("sed -i '/{}/d' /{}", setting.name, setting.file);
        Some(note(&setting.name, is, "absent", why, &command))
    });
    findings.collect()
}

/// A setting that should have another value.
fn wrong(facts: &HostFacts, name: &str, to: u64, why: &str) -> Option<Finding> {
    let is = facts.sysctl(name)?;
    let to = to.to_string();
    Some(note(name, is.to_owned(), &to, why, "").with_change(name, is, &to))
}

fn tw_recycle(_: &Workload, facts: &HostFacts) -> Option<Finding> {
    let name = "net.ipv4.tcp_tw_recycle";
    facts.number(name).filter(|&is| is != 0)?;
    let why = "drops connections of clients behind one NAT; removed in Linux 4.12";
    Some(wrong(facts, name, 0, why)?.with_severity(Severity::Fault))
}

fn abort_on_overflow(_: &Workload, facts: &HostFacts) -> Option<Finding> {
    let name = "net.ipv4.tcp_abort_on_overflow";
    facts.number(name).filter(|&is| is != 0)?;
    let why = "a full accept queue resets clients that would have come in a second later";
    let finding = wrong(facts, name, 0, why)?.with_severity(Severity::Fault);
    Some(finding.with_evidence(counted(facts, &["ListenOverflows"])))
}

fn timestamps_off(_: &Workload, facts: &HostFacts) -> Option<Finding> {
    let name = "net.ipv4.tcp_timestamps";
    facts.number(name).filter(|&is| is == 0)?;
    let why = "without them TIME_WAIT ports cannot be used again, and round trips are guessed";
    Some(wrong(facts, name, 1, why)?.with_severity(Severity::Warning))
}

fn tcp_mem_in_bytes(_: &Workload, facts: &HostFacts) -> Option<Finding> {
    let name = "net.ipv4.tcp_mem";
    let is = facts.sysctl(name)?;
    let pages = facts.memory_bytes? / 4096;
    let most = *numbers(is)?.last()?;
    if most <= pages {
        return None;
    }
    // What the kernel computes itself: an eighth of the pages, three quarters and half as much.
    let to = format!("{} {} {}", pages / 32 * 3, pages / 8, pages / 16 * 3);
    let why = "counts pages of 4096 bytes: more than the host has was meant as bytes";
    let finding = note(name, is.to_owned(), &to, why, "").with_change(name, is, &to);
    let evidence = counted(facts, &["TCP mem"]);
    Some(
        finding
            .with_evidence(evidence)
            .with_severity(Severity::Fault),
    )
}

fn tw_buckets_lowered(_: &Workload, facts: &HostFacts) -> Option<Finding> {
    let why = "a TIME_WAIT beyond it is cut short: late segments meet new connections";
    lowered(
        facts,
        "net.ipv4.tcp_max_tw_buckets",
        why,
        "TCPTimeWaitOverflow",
    )
}

fn orphans_lowered(_: &Workload, facts: &HostFacts) -> Option<Finding> {
    let why = "sockets that are closing are reset beyond it";
    lowered(facts, "net.ipv4.tcp_max_orphans", why, "TCP orphan")
}

/// The kernel's own value is half of the established hash: one bucket per 128 KiB, 524,288 at most.
/// Rounding apart, less than half of that was set by hand.
fn lowered(facts: &HostFacts, name: &str, why: &str, counter: &str) -> Option<Finding> {
    let usual = (facts.memory_bytes? / (128 * 1024) / 2).min(262_144);
    let usual = usual.next_power_of_two() / 2;
    facts.number(name).filter(|&is| is < usual / 2)?;
    let finding = wrong(facts, name, usual, why)?.with_severity(Severity::Warning);
    Some(finding.with_evidence(counted(facts, &[counter])))
}

fn fin_timeout(_: &Workload, facts: &HostFacts) -> Option<Finding> {
    let name = "net.ipv4.tcp_fin_timeout";
    facts.number(name).filter(|&is| is < FIN_TIMEOUT)?;
    let why = "shortens FIN_WAIT_2 of orphans, not TIME_WAIT, which is 60 s in any case";
    wrong(facts, name, FIN_TIMEOUT, why)
}

fn rmem_default(_: &Workload, facts: &HostFacts) -> Option<Finding> {
    let name = "net.core.rmem_default";
    facts.number(name).filter(|&is| is > RMEM_DEFAULT)?;
    let why = "TCP takes the middle of net.ipv4.tcp_rmem instead; this is for UDP";
    wrong(facts, name, RMEM_DEFAULT, why)
}

fn low_latency(_: &Workload, facts: &HostFacts) -> Option<Finding> {
    let name = "net.ipv4.tcp_low_latency";
    facts.number(name).filter(|&is| is != 0)?;
    wrong(facts, name, 0, "has no effect since Linux 4.14")
}

fn fack(_: &Workload, facts: &HostFacts) -> Option<Finding> {
    let name = "net.ipv4.tcp_fack";
    facts.number(name).filter(|&is| is != 0)?;
    wrong(facts, name, 0, "has no effect since Linux 4.15")
}

fn limits_conf(_: &Workload, facts: &HostFacts) -> Option<Finding> {
    (facts.systemd && facts.limits_conf).then(|| {
        let is = "nofile is set there".to_owned();
        let why = "limits.conf is for logins; a systemd service does not read it";
        let command = "LimitNOFILE= in the unit: sysctl/systemd has a drop-in";
        note("limits.conf", is, "LimitNOFILE=", why, command)
    })
}
