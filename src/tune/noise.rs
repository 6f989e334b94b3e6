//! What makes figures differ from run to run: clocks, siblings, huge pages, quotas, neighbours.

use super::{Check, Finding, HostFacts, Severity, Workload, counted, note};

/// Every one of them.
pub(super) const CHECKS: &[Check] = &[
    governor,
    turbo,
    siblings,
    idle_states,
    huge_pages,
    quota,
    steal,
    receive_skew,
    pressure,
];

/// Microseconds to leave an idle state that show in a p99.
const WAKE_US: u64 = 50;
/// Parts in a thousand of stolen time that show.
const STEAL_PERMILLE: u64 = 10;
/// Packets below which their spread over the CPUs says nothing.
const PACKETS_MIN: u64 = 1_000_000;
/// Percent of the time that something waited.
const WAITING_PERCENT: f64 = 10.0;

fn governor(_: &Workload, facts: &HostFacts) -> Option<Finding> {
    let slow = facts.governors.iter().any(|name| name != "performance");
    slow.then(|| {
        let is = facts.governors.join(", ");
        let why = "the clock follows the load and latency follows the clock";
        let command = "cpupower frequency-set -g performance";
        note("cpufreq governor", is, "performance", why, command)
    })
}

fn turbo(_: &Workload, facts: &HostFacts) -> Option<Finding> {
    facts.turbo.filter(|&on| on)?;
    let why = "the clock depends on heat and on how many cores are busy";
    let command = "echo 1 > /sys/devices/system/cpu/intel_pstate/no_turbo  \
                   (or 0 > .../cpufreq/boost)";
    Some(note("turbo", "on".to_owned(), "off", why, command))
}

fn siblings(_: &Workload, facts: &HostFacts) -> Option<Finding> {
    facts.smt.filter(|&on| on)?;
    let why = "siblings share a core: server and load on a pair slow each other";
    let command = "echo off > /sys/devices/system/cpu/smt/control, or --cores without siblings";
    Some(note("SMT", "on".to_owned(), "off", why, command))
}

fn idle_states(_: &Workload, facts: &HostFacts) -> Option<Finding> {
    let wake = facts.wake_us.filter(|&wake| wake > WAKE_US)?;
    let is = format!("{wake} us to wake");
    let wanted = format!("at most {WAKE_US} us");
    let why = "an idle core sleeps deeply and answers late";
    let command = "cpupower idle-set -D 50";
    Some(note("C-states", is, &wanted, why, command))
}

fn huge_pages(_: &Workload, facts: &HostFacts) -> Option<Finding> {
    let mode = facts.huge_pages.as_ref().filter(|mode| *mode == "always")?;
    let why = "memory per connection is rounded up to 2 MiB pages, and compaction stalls";
    let command = "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled";
    Some(note("THP", mode.clone(), "madvise", why, command))
}

fn quota(_: &Workload, facts: &HostFacts) -> Option<Finding> {
    let percent = facts.quota_percent?;
    let finding = note(
        "cgroup CPU quota",
        format!("{}.{:02} CPUs", percent / 100, percent % 100),
        "none",
        "the whole process stands still once its share of a period is used",
        "systemd: CPUQuota=; docker run without --cpus; --cpuset-cpus instead",
    );
    let evidence = counted(facts, &["nr_throttled"]);
    Some(
        finding
            .with_evidence(evidence)
            .with_severity(Severity::Warning),
    )
}

fn steal(_: &Workload, facts: &HostFacts) -> Option<Finding> {
    let stolen = facts
        .steal_permille
        .filter(|&stolen| stolen >= STEAL_PERMILLE)?;
    let is = format!("{}.{} % since boot", stolen / 10, stolen % 10);
    let why = "the hypervisor runs others on these CPUs";
    let command = "a host with CPUs of its own; repeat runs and take medians";
    Some(note("steal", is, "below 1 %", why, command))
}

fn receive_skew(_: &Workload, facts: &HostFacts) -> Option<Finding> {
    let all: u64 = facts.softnet.iter().sum();
    let cpus = u64::try_from(facts.softnet.len()).ok()?;
    let most = *facts.softnet.iter().max()?;
    let skewed = cpus > 1 && all > PACKETS_MIN && most.saturating_mul(cpus) > all.saturating_mul(3);
    // With two or three CPUs one may have them all.
    let alone = cpus > 1 && all > PACKETS_MIN && most > all / 20 * 19;
    (skewed || alone).then(|| {
        let is = format!("one of {cpus} CPUs took {} %", most / (all / 100));
        let why = "one CPU receives for all: interrupts or RPS are not spread";
        let command =
            "spread the IRQs (/proc/irq/N/smp_affinity_list) or set rps_cpus of the queue";
        note("IRQ and RPS", is, "evenly", why, command)
    })
}

fn pressure(_: &Workload, facts: &HostFacts) -> Option<Finding> {
    let waiting: Vec<String> = facts
        .pressure
        .iter()
        .filter(|(_, share)| *share >= WAITING_PERCENT)
        .map(|(resource, share)| format!("{resource} {share:.0} %"))
        .collect();
    (!waiting.is_empty()).then(|| {
        let is = waiting.join(", ");
        let why = "something else keeps this host busy (PSI, last 10 s)";
        let command = "end what runs beside it; `top` names it";
        note("pressure", is, "below 10 %", why, command)
    })
}
