//! Checks of what a process or the host has only so much of: descriptors, locked memory, memory,
//! source addresses, rings.

use super::ceiling::{core_slots, free_bytes, needed_bytes, tables};
use super::rules::descriptors;
use super::{
    Check, EngineTrial, Finding, Holder, HostFacts, Severity, Side, Workload, counted, note,
};
use crate::limits::{
    EXECUTOR_LOCKED_BYTES, LARGE_RECEIVE_BUFFERS, RECEIVE_BUFFER_LOCKED_BYTES, RECEIVE_BUFFERS,
    RING_LOCKED_BYTES, TABLE_BESIDE,
};

/// Every one of them.
pub(super) const CHECKS: &[Check] = &[
    descriptor_limit,
    locked_memory,
    ring_allowed,
    ring_tried,
    served,
    source_addresses,
    memory,
    threads,
];

/// What glommio asks of the limit before it looks further, whatever its rings take.
const EXECUTOR_LIMIT: u64 = 512 * 1024;
/// Ports of one source address once the range is as wide as it gets.
const PORTS_MAX: u64 = 65_535 - 1024 + 1;

fn descriptor_limit(workload: &Workload, facts: &HostFacts) -> Option<Finding> {
    let limit = facts.descriptors?;
    let wanted = descriptors(workload);
    if limit.hard >= wanted {
        return None;
    }
    let (why, severity) = match workload.holder {
        Holder::Ring => (
            "a table of the ring engine holds no more; it needs several of them then",
            Severity::Warning,
        ),
        Holder::Tokio => ("EMFILE: a descriptor per connection", Severity::Fault),
    };
    let finding = note(
        "RLIMIT_NOFILE",
        format!("soft {}, hard {}", amount(limit.soft), amount(limit.hard)),
        &wanted.to_string(),
        why,
        &format!("ulimit -n {wanted}  (a service: LimitNOFILE={wanted})"),
    );
    let evidence = counted(facts, &["file-nr"]);
    Some(finding.with_evidence(evidence).with_severity(severity))
}

fn locked_memory(workload: &Workload, facts: &HostFacts) -> Option<Finding> {
    let limit = facts.locked_bytes?;
    // A capability beats the limit, but not a program that looks at the limit alone.
    let wanted = if facts.locks_freely {
        EXECUTOR_LIMIT
    } else {
        needed_locked_bytes(workload, facts).max(EXECUTOR_LIMIT)
    };
    if workload.holder == Holder::Tokio || limit.hard >= wanted {
        return None;
    }
    let kib = wanted.div_ceil(1024);
    let finding = note(
        "RLIMIT_MEMLOCK",
        format!("{} bytes", amount(limit.hard)),
        &format!("{wanted} bytes"),
        "ENOMEM when the rings of an executor are set up",
        &format!("ulimit -l {kib}  (a service: LimitMEMLOCK={wanted})"),
    );
    Some(finding.with_severity(Severity::Fault))
}

fn ring_allowed(workload: &Workload, facts: &HostFacts) -> Option<Finding> {
    let name = "kernel.io_uring_disabled";
    let is = facts.sysctl(name)?;
    if workload.holder == Holder::Tokio || is == "0" {
        return None;
    }
    let why = "the ring engine cannot start; --engine tokio can";
    let finding = note(name, is.to_owned(), "0", why, "").with_change(name, is, "0");
    Some(finding.with_severity(Severity::Fault))
}

/// Memory that the rings of all cores lock: of one user together, whatever the process.
fn needed_locked_bytes(workload: &Workload, facts: &HostFacts) -> u64 {
    let of_core = |tables: u64| {
        EXECUTOR_LOCKED_BYTES
            + RING_LOCKED_BYTES * tables
            + RECEIVE_BUFFER_LOCKED_BYTES * u64::from(RECEIVE_BUFFERS + LARGE_RECEIVE_BUFFERS)
    };
    let mut bytes = 0;
    if workload.side.meets(Side::Server) {
        let slots = core_slots(workload, facts).unwrap_or(0);
        bytes += of_core(tables(slots, TABLE_BESIDE, facts));
    }
    if workload.side.meets(Side::Client) {
        let slots = workload.connections.div_ceil(workload.cores.max(1));
        bytes += of_core(tables(slots, 0, facts));
    }
    bytes * workload.cores.max(1)
}

fn ring_tried(workload: &Workload, facts: &HostFacts) -> Option<Finding> {
    // A switch that is off is a finding of its own.
    if workload.holder == Holder::Tokio || ring_allowed(workload, facts).is_some() {
        return None;
    }
    match &facts.trial {
        EngineTrial::NotMade | EngineTrial::Runs | EngineTrial::Unknown(_) => None,
        EngineTrial::Refused { why, remedy } => {
            let finding = note("io_uring", "refused".to_owned(), "allowed", why, remedy);
            Some(finding.with_severity(Severity::Fault))
        }
    }
}

fn served(workload: &Workload, facts: &HostFacts) -> Option<Finding> {
    let room = super::ceiling::served(workload, facts)?.connections;
    if room >= workload.connections {
        return None;
    }
    let each = workload.connections.div_ceil(workload.cores.max(1));
    let finding = note(
        "serve --max-connections",
        format!("room for {room}"),
        &workload.connections.to_string(),
        "a full server refuses who comes next",
        &format!("ringstorm serve --max-connections {each}  (and here the same)"),
    );
    Some(finding.with_severity(Severity::Fault))
}

fn source_addresses(workload: &Workload, facts: &HostFacts) -> Option<Finding> {
    let ports = facts.ports()?.max(PORTS_MAX);
    let wanted = workload.connections.div_ceil(ports);
    if !workload.side.meets(Side::Client) || workload.sources >= wanted {
        return None;
    }
    let finding = note(
        "source addresses",
        workload.sources.to_string(),
        &wanted.to_string(),
        "EADDRNOTAVAIL: connections to one destination need a source address and port each",
        &format!("ringstorm load --source-ip auto, or a list  (and here: --sources {wanted})"),
    );
    let evidence = counted(facts, &["TCP tw"]);
    Some(
        finding
            .with_evidence(evidence)
            .with_severity(Severity::Fault),
    )
}

fn memory(workload: &Workload, facts: &HostFacts) -> Option<Finding> {
    let free = free_bytes(facts)?;
    let needed = needed_bytes(workload);
    if free >= needed {
        return None;
    }
    let mib = |bytes: u64| format!("{} MiB", bytes.div_ceil(1 << 20));
    let finding = note(
        "memory",
        format!("{} free", mib(free)),
        &mib(needed),
        "sockets and connections take it; the kernel kills a process without",
        "free memory, or plan fewer connections",
    );
    let evidence = counted(facts, &["TCP mem", "TCP inuse"]);
    Some(
        finding
            .with_evidence(evidence)
            .with_severity(Severity::Fault),
    )
}

fn threads(_: &Workload, facts: &HostFacts) -> Option<Finding> {
    let most = facts.threads_max?;
    let wanted = 64 + 8 * u64::try_from(facts.softnet.len()).ok()?;
    (most < wanted).then(|| {
        let finding = note(
            "cgroup pids.max",
            most.to_string(),
            &wanted.to_string(),
            "threads of the executors and of the kernel's workers count",
            &format!("systemd: TasksMax={wanted}; docker run --pids-limit {wanted}"),
        );
        finding.with_severity(Severity::Warning)
    })
}

fn amount(number: u64) -> String {
    if number == u64::MAX {
        "unlimited".to_owned()
    } else {
        number.to_string()
    }
}
