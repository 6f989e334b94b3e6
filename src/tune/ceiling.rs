//! Predicts how many connections the host can hold and what sets it.

use super::{Holder, HostFacts, Side, Workload};
use crate::limits::{self, DESCRIPTORS_KEPT};
use serde::Serialize;

/// Bytes of host memory, kernel's and both programs', of one idle connection with both its ends
/// here. Measured with 100,000 WebSocket connections over loopback: about 8.1 KiB.
const PAIR_BYTES: u64 = 8295;
/// Bytes of one end: 3.8 KB of kernel slab (TCP 2304, `sock_inode` 768, `filp` 184, `dentry` 192,
/// rounded to slabs) and the program's own.
const END_BYTES: u64 = PAIR_BYTES.div_ceil(2);
/// One part in so many of the memory is left to everything else.
const MEMORY_KEPT: u64 = 20;

/// Something that bounds the connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bound {
    /// Connections that it lets through.
    pub connections: u64,
    /// What sets it.
    pub set_by: String,
}

/// Everything that bounds the connections, the tightest first.
#[must_use]
pub fn bounds(workload: &Workload, facts: &HostFacts) -> Vec<Bound> {
    let mut bounds: Vec<Bound> = [
        memory(workload, facts),
        open_files(workload, facts),
        tracking(facts),
        ports(workload, facts),
        descriptors(workload, facts),
        served(workload, facts),
    ]
    .into_iter()
    .flatten()
    .collect();
    bounds.sort_by_key(|bound| bound.connections);
    bounds
}

/// Memory that the workload takes.
pub(super) fn needed_bytes(workload: &Workload) -> u64 {
    workload
        .connections
        .saturating_mul(bytes_each(workload.side))
}

/// Memory that connections may take, in bytes: what is free here, and in the control group.
pub(super) fn free_bytes(facts: &HostFacts) -> Option<u64> {
    let kept = facts.memory_bytes? / MEMORY_KEPT;
    let free = facts.available_bytes?.saturating_sub(kept);
    Some(facts.group_bytes.map_or(free, |left| left.min(free)))
}

const fn bytes_each(side: Side) -> u64 {
    match side {
        Side::Server | Side::Client => END_BYTES,
        Side::Both => PAIR_BYTES,
    }
}

fn memory(workload: &Workload, facts: &HostFacts) -> Option<Bound> {
    let each = bytes_each(workload.side);
    let free = free_bytes(facts)?;
    let whose = match facts.group_bytes {
        Some(left) if left <= free => "left in the control group",
        Some(_) | None => "free",
    };
    Some(Bound {
        connections: free / each,
        set_by: format!("memory: {} MiB {whose}, {each} bytes each", free >> 20),
    })
}

fn open_files(workload: &Workload, facts: &HostFacts) -> Option<Bound> {
    let most = facts.number("fs.file-max")?;
    let open = facts.counter("file-nr").unwrap_or(0);
    let ends = workload.side.ends();
    Some(Bound {
        connections: most.saturating_sub(open) / ends,
        set_by: format!("fs.file-max {most}: {open} open, {ends} each"),
    })
}

fn tracking(facts: &HostFacts) -> Option<Bound> {
    facts.is_tracking().filter(|&tracking| tracking)?;
    let most = facts.number("net.netfilter.nf_conntrack_max")?;
    let tracked = facts.counter("nf_conntrack_count").unwrap_or(0);
    Some(Bound {
        connections: most.saturating_sub(tracked),
        set_by: format!("nf_conntrack_max {most}: {tracked} tracked"),
    })
}

fn ports(workload: &Workload, facts: &HostFacts) -> Option<Bound> {
    if !workload.side.meets(Side::Client) {
        return None;
    }
    let ports = facts.ports()?;
    let sources = workload.sources;
    Some(Bound {
        connections: ports.saturating_mul(sources),
        set_by: format!("ports: {ports} for each of {sources} source addresses"),
    })
}

/// The ring engine registers its connections in several tables: the limit is no ceiling there.
fn descriptors(workload: &Workload, facts: &HostFacts) -> Option<Bound> {
    let limit = facts.descriptors?.hard;
    match workload.holder {
        Holder::Ring => None,
        Holder::Tokio => Some(Bound {
            connections: limit.saturating_sub(DESCRIPTORS_KEPT),
            set_by: format!("RLIMIT_NOFILE {limit}: a descriptor each"),
        }),
    }
}

/// What `serve` has room for on all its cores.
pub(super) fn served(workload: &Workload, facts: &HostFacts) -> Option<Bound> {
    if !workload.side.meets(Side::Server) {
        return None;
    }
    let room = core_slots(workload, facts)?;
    let how = match workload.core_connections {
        Some(typed) => format!("--max-connections {typed}"),
        None => "without --max-connections".to_owned(),
    };
    let cores = workload.cores;
    Some(Bound {
        connections: room.saturating_mul(cores),
        set_by: format!("serve {how}: {room} on each of {cores} cores"),
    })
}

/// Connections of one core of `serve`: as told, or what one file table holds.
pub(super) fn core_slots(workload: &Workload, facts: &HostFacts) -> Option<u64> {
    workload.core_connections.or_else(|| {
        let limit = facts.descriptors?.hard;
        Some(match workload.holder {
            Holder::Ring => limits::ring_connections(limit),
            Holder::Tokio => limits::descriptor_connections(limit, workload.cores),
        })
    })
}

/// File tables that so many connections take, where each has some slots for others: a table is
/// bounded by the descriptor limit.
pub(super) fn tables(connections: u64, beside: u64, facts: &HostFacts) -> u64 {
    let limit = facts.descriptors.map_or(u64::MAX, |limit| limit.hard);
    let each = limit.saturating_sub(beside).max(1);
    connections.div_ceil(each).max(1)
}
