//! What this host is and allows: CPUs, descriptors, ports.

use super::Failure;
use super::values::Cpus;
use procfs::{CpuInfo, Current as _, Meminfo};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::BTreeMap;
use std::fs;

pub(super) use crate::limits::DESCRIPTORS_KEPT;

/// Raises the soft limits on descriptors and on locked memory to the hard ones; gives how many
/// descriptors are allowed then.
pub(super) fn raise_limits() -> u64 {
    for resource in [Resource::Nofile, Resource::Memlock] {
        let Rlimit { maximum, .. } = getrlimit(resource);
        // What is refused is found out when a connection or a ring does not fit.
        let _ = setrlimit(
            resource,
            Rlimit {
                current: maximum,
                maximum,
            },
        );
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// The CPUs that this process may run on, ascending.
pub(super) fn allowed_cpus() -> Vec<usize> {
    let cpus = core_affinity::get_core_ids().unwrap_or_default();
    if cpus.is_empty() {
        return vec![0];
    }
    cpus.into_iter().map(|cpu| cpu.id).collect()
}

/// The CPUs meant: those typed, if this process may run on them, or all it may.
pub(super) fn cpus(typed: Option<Cpus>) -> Result<Vec<usize>, Failure> {
    let allowed = allowed_cpus();
    let Some(Cpus(typed)) = typed else {
        return Ok(allowed);
    };
    match typed.iter().find(|cpu| !allowed.contains(cpu)) {
        None => Ok(typed),
        Some(cpu) => Err(Failure::Usage(format!(
            "--cores: this process may not run on CPU {cpu}; try: --cores {}",
            listed(&allowed)
        ))),
    }
}

/// CPU numbers as `--cores` takes them: `0-3,6`.
pub(super) fn listed(cpus: &[usize]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &cpu in cpus {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => ranges.push((cpu, cpu)),
        }
    }
    let text = |&(first, last): &(usize, usize)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    };
    ranges.iter().map(text).collect::<Vec<_>>().join(",")
}

/// How many ports one source address has for outgoing connections.
pub(super) fn local_ports() -> u64 {
    let range = read("/proc/sys/net/ipv4/ip_local_port_range");
    let mut numbers = range
        .split_whitespace()
        .filter_map(|number| number.parse::<u64>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(first), Some(last)) if first <= last => last - first + 1,
        _ => 28_232,
    }
}

/// Facts for people and records: kernel, CPUs, memory, limits.
pub(super) fn facts() -> BTreeMap<String, String> {
    let cpu = CpuInfo::current().ok();
    let cpu = cpu.as_ref().and_then(|cpu| cpu.model_name(0));
    let memory = Meminfo::current().ok();
    let memory = memory.map(|it| format!("{} kB", it.mem_total / 1024));
    let descriptors = getrlimit(Resource::Nofile).current;
    let descriptors = descriptors.map_or_else(|| "unlimited".to_owned(), |n| n.to_string());
    let ports = read("/proc/sys/net/ipv4/ip_local_port_range");
    // A tenth of an echo's CPU lies between bbr and reno.
    let congestion = read("/proc/sys/net/ipv4/tcp_congestion_control");
    let facts = [
        (
            "kernel",
            read("/proc/sys/kernel/osrelease").trim().to_owned(),
        ),
        ("cpu", cpu.unwrap_or_default().to_owned()),
        ("cpus", listed(&allowed_cpus())),
        ("memory", memory.unwrap_or_default()),
        ("descriptors", descriptors),
        ("congestion", congestion.trim().to_owned()),
        (
            "somaxconn",
            read("/proc/sys/net/core/somaxconn").trim().to_owned(),
        ),
        (
            "ports",
            ports.split_whitespace().collect::<Vec<_>>().join("-"),
        ),
    ];
    facts
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// A file of /proc or /sys; empty if it cannot be read.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_cpus_is_written_as_it_is_read() {
        assert_eq!(listed(&[0, 1, 2, 3, 6]), "0-3,6");
        assert_eq!(
            super::super::values::cpus("0-3,6"),
            Ok(Cpus(vec![0, 1, 2, 3, 6]))
        );
        assert_eq!(listed(&[4]), "4");
    }

    #[test]
    fn a_cpu_beyond_this_host_is_refused_with_those_it_has() {
        let error = cpus(Some(Cpus(vec![9999]))).unwrap_err().to_string();
        assert!(
            error.contains("--cores") && error.contains("9999"),
            "{error}"
        );
    }
}
