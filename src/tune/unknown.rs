//! What a workload depends on and nothing is known of: a host of which that is so is never ready.

use super::{EngineTrial, Holder, HostFacts, Side, Workload};
use serde::Serialize;

/// Something that the workload depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unknown {
    /// The setting or resource.
    pub name: String,
    /// Why nothing is known of it.
    pub why: String,
}

/// Everything that the workload depends on and that could not be read or tried.
pub(super) fn unknown(workload: &Workload, facts: &HostFacts) -> Vec<Unknown> {
    let (serves, loads) = (
        workload.side.meets(Side::Server),
        workload.side.meets(Side::Client),
    );
    let ring = workload.holder == Holder::Ring;
    let has = |name: &str| facts.sysctl(name).is_some();
    let tried = ring && facts.trial != EngineTrial::NotMade;
    // What was tried needs no file that says whether it may work.
    let allowed = !ring || tried || has("kernel.io_uring_disabled");
    let memory = facts.memory_bytes.is_some() && facts.available_bytes.is_some();
    let needed = [
        ("memory", "/proc/meminfo", memory),
        (
            "RLIMIT_NOFILE",
            "/proc/self/limits",
            facts.descriptors.is_some(),
        ),
        (
            "RLIMIT_MEMLOCK",
            "/proc/self/limits",
            !ring || facts.locked_bytes.is_some(),
        ),
        ("fs.file-max", "/proc/sys/fs/file-max", has("fs.file-max")),
        (
            "net.core.somaxconn",
            "/proc/sys/net/core/somaxconn",
            !serves || has("net.core.somaxconn"),
        ),
        (
            "net.ipv4.ip_local_port_range",
            "/proc/sys/net/ipv4/ip_local_port_range",
            !loads || facts.ports().is_some(),
        ),
        (
            "kernel.io_uring_disabled",
            "/proc/sys/kernel/io_uring_disabled",
            allowed,
        ),
    ];
    let unread = needed.into_iter().filter(|(_, _, is_known)| !is_known);
    let unread = unread.map(|(name, path, _)| Unknown {
        name: name.to_owned(),
        why: format!("cannot read {path}"),
    });
    let untried = match &facts.trial {
        EngineTrial::Unknown(why) if ring => Some(Unknown {
            name: "io_uring".to_owned(),
            why: why.clone(),
        }),
        EngineTrial::NotMade
        | EngineTrial::Runs
        | EngineTrial::Refused { .. }
        | EngineTrial::Unknown(_) => None,
    };
    unread.chain(untried).collect()
}
