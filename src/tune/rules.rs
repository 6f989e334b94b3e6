//! The kernel settings of the audit as a table: what each should be for a workload, why, and which
//! counters show that it is needed.
//!
//! Values are judgements for 100,000 and 1,000,000 connections and scale in between; below 100,000
//! a queue need not be longer than the connections that can wait in it.

use super::{Finding, HostFacts, Severity, Side, Want, Workload, counted};
use Severity::{Fault, Note, Warning};
use Side::{Both, Client, Server};

/// One kernel setting.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name with dots.
    pub name: &'static str,
    /// Which side of the connections it concerns.
    pub side: Side,
    /// How much it matters.
    pub severity: Severity,
    /// Whether the kernel derives the default from the memory of the host, so that a fixed value
    /// in a file would lower it on a large one.
    pub by_memory: bool,
    /// What goes wrong otherwise.
    pub why: &'static str,
    /// Counters that rise when it is too low, as [`HostFacts::counter`] knows them.
    pub evidence: &'static [&'static str],
    /// What it should be; `None` if the workload on this host does not ask for anything.
    pub want: fn(&Workload, &HostFacts) -> Option<Want>,
}

/// From so many connections on, the worst case of all of them matters more than one's speed.
const MANY: u64 = 250_000;
/// Kernel bytes queued per socket that the TCP memory must allow for: a page, which is what one
/// message in flight takes.
const QUEUED_PAGES: u64 = 1;

/// Every setting, in the order of the tuning table.
pub const RULES: &[Rule] = &[
    Rule {
        name: "fs.nr_open",
        side: Both,
        severity: Warning,
        by_memory: true,
        why: "the ceiling of a process' descriptor limit",
        evidence: &["file-nr"],
        want: |workload, _| match descriptors(workload) {
            0..=1_048_576 => at_least(1_048_576),
            more => at_least(more.next_power_of_two()),
        },
    },
    Rule {
        name: "fs.file-max",
        side: Both,
        severity: Fault,
        by_memory: true,
        why: "ENFILE: open files of all processes, registered ones too",
        evidence: &["file-nr"],
        want: |workload, _| {
            let n = workload.connections;
            at_least(workload.side.ends() * (2 * n + (n / 5).max(n.min(100_000))))
        },
    },
    Rule {
        name: "net.core.somaxconn",
        side: Server,
        severity: Fault,
        by_memory: false,
        why: "a storm of connects overflows the accept queue and waits for a second",
        evidence: &["ListenOverflows", "ListenDrops"],
        want: |workload, _| queue(workload, 16_384, 65_535),
    },
    Rule {
        name: "net.ipv4.tcp_max_syn_backlog",
        side: Server,
        severity: Warning,
        by_memory: false,
        why: "handshakes under way beyond it are dropped or become cookies",
        evidence: &["TCPReqQFullDrop", "TCPReqQFullDoCookies", "SyncookiesSent"],
        want: |workload, _| queue(workload, 8192, 65_535),
    },
    Rule {
        name: "net.ipv4.tcp_syncookies",
        side: Server,
        severity: Warning,
        by_memory: false,
        why: "without cookies a full SYN queue drops; sent under real load it is too short",
        evidence: &["SyncookiesSent", "SyncookiesFailed"],
        want: |_, _| Some(Want::Exactly(vec![1])),
    },
    Rule {
        name: "net.ipv4.tcp_rmem",
        side: Both,
        severity: Warning,
        by_memory: false,
        why: "bounds what one socket can make the kernel hold unread",
        evidence: &["TCPRcvCollapsed", "PruneCalled", "TCPRcvQDrop"],
        want: |workload, _| socket_buffers(workload),
    },
    Rule {
        name: "net.ipv4.tcp_wmem",
        side: Both,
        severity: Warning,
        by_memory: false,
        why: "bounds what a slow reader can make the kernel hold unsent",
        evidence: &["TCPWqueueTooBig"],
        want: |workload, _| socket_buffers(workload),
    },
    Rule {
        name: "net.ipv4.tcp_notsent_lowat",
        side: Server,
        severity: Warning,
        by_memory: false,
        why: "keeps the backlog in the server, where its own limit sees it",
        evidence: &["TCP mem"],
        want: |workload, _| match workload.connections {
            0..=MANY => Some(Want::AtMost(vec![65_536])),
            _ => Some(Want::AtMost(vec![32_768])),
        },
    },
    Rule {
        name: "net.ipv4.tcp_mem",
        side: Both,
        severity: Warning,
        by_memory: true,
        why: "pages, not bytes, of all sockets' queues; beyond them the kernel drops and aborts",
        evidence: &["TCP mem", "TCPMemoryPressures", "TCPAbortOnMemory"],
        want: |workload, facts| {
            let most = workload.connections * workload.side.ends() * QUEUED_PAGES;
            let half = facts
                .memory_bytes
                .map_or(u64::MAX, |bytes| bytes / 2 / 4096);
            let most = most.min(half);
            Some(Want::AtLeast(vec![most / 2, most / 4 * 3, most]))
        },
    },
    Rule {
        name: "net.netfilter.nf_conntrack_max",
        side: Both,
        severity: Fault,
        by_memory: true,
        why: "a full table drops packets silently; NOTRACK for the port is better still",
        evidence: &["nf_conntrack_count"],
        // A table that stays empty while sockets are open: no rule asks for tracking.
        want: |workload, facts| match facts.is_tracking() {
            Some(false) => None,
            Some(true) | None => at_least((2 * workload.connections).max(262_144)),
        },
    },
    Rule {
        name: "net.ipv4.ip_local_port_range",
        side: Client,
        severity: Fault,
        by_memory: false,
        why: "EADDRNOTAVAIL: each source address has so many ports to one destination",
        evidence: &["TCP tw"],
        want: |workload, facts| {
            let ports = facts.ports().unwrap_or(0);
            let fits = ports.saturating_mul(workload.sources) >= workload.connections;
            (!fits).then(|| Want::Exactly(vec![1024, 65_535]))
        },
    },
    Rule {
        name: "net.ipv4.tcp_tw_reuse",
        side: Client,
        severity: Warning,
        by_memory: false,
        why: "a port in TIME_WAIT can be used again for the next connection out",
        evidence: &["TW", "TCP tw"],
        want: |workload, _| match workload.side {
            // 2, the default, does it on loopback only.
            Both => at_least(1),
            Client | Server => Some(Want::Exactly(vec![1])),
        },
    },
    Rule {
        name: "net.ipv4.tcp_max_tw_buckets",
        side: Client,
        severity: Warning,
        by_memory: true,
        why: "beyond it TIME_WAIT is cut short, and late segments meet new connections",
        evidence: &["TCPTimeWaitOverflow", "TCP tw"],
        want: |workload, _| large(workload).then(|| Want::AtLeast(vec![workload.connections])),
    },
    Rule {
        name: "net.ipv4.tcp_max_orphans",
        side: Server,
        severity: Warning,
        by_memory: true,
        why: "when all peers go at once, sockets beyond it are reset",
        evidence: &["TCP orphan", "TCPAbortOnMemory"],
        want: |workload, _| large(workload).then(|| Want::AtLeast(vec![262_144])),
    },
    Rule {
        name: "net.core.netdev_max_backlog",
        side: Both,
        severity: Warning,
        by_memory: false,
        why: "packets beyond it are dropped before TCP sees them; loopback passes here",
        evidence: &["softnet dropped"],
        want: |workload, _| {
            let n = workload.connections;
            at_least((n / 20).min(5000).max(scaled(n, 16_384)).max(1000))
        },
    },
    Rule {
        name: "net.core.netdev_budget",
        side: Both,
        severity: Note,
        by_memory: false,
        why: "softirq ends its turn with packets left",
        evidence: &["softnet squeezed", "softnet processed"],
        want: |workload, facts| {
            let squeezed = facts.counter("softnet squeezed")?;
            let often = squeezed * 10_000 > facts.counter("softnet processed")?;
            (often && large(workload)).then(|| Want::AtLeast(vec![600]))
        },
    },
    Rule {
        name: "net.ipv4.tcp_slow_start_after_idle",
        side: Server,
        severity: Warning,
        by_memory: false,
        why: "a push after a silence starts with the smallest window again",
        evidence: &[],
        want: |_, _| Some(Want::Exactly(vec![0])),
    },
    Rule {
        name: "net.ipv4.tcp_migrate_req",
        side: Server,
        severity: Note,
        by_memory: false,
        why: "handshakes queued on a listener that closes go to another of its port",
        evidence: &["TCPMigrateReqSuccess", "TCPMigrateReqFailure"],
        want: |_, _| Some(Want::Exactly(vec![1])),
    },
];

/// What the table finds.
pub(super) fn findings(workload: &Workload, facts: &HostFacts) -> Vec<Finding> {
    let rules = RULES.iter().filter(|rule| rule.side.meets(workload.side));
    rules
        .filter_map(|rule| rule.finding(workload, facts))
        .collect()
}

impl Rule {
    fn finding(&self, workload: &Workload, facts: &HostFacts) -> Option<Finding> {
        let want = (self.want)(workload, facts)?;
        let is = facts.sysctl(self.name)?;
        let to = want.nearest(is).filter(|to| to != is)?;
        let finding = Finding {
            name: self.name.to_owned(),
            is: is.to_owned(),
            should_be: to.clone(),
            why: self.why.to_owned(),
            evidence: counted(facts, self.evidence),
            command: String::new(),
            severity: self.severity,
            change: None,
        };
        Some(finding.with_change(self.name, is, &to))
    }
}

/// The descriptor limit that one process with a descriptor per connection needs.
pub(super) fn descriptors(workload: &Workload) -> u64 {
    let n = workload.connections;
    (n * 131_072 / 100_000).min(131_072).max(n * 11 / 10)
}

/// As long as a tier of the table asks, and never longer than what can wait in it.
fn queue(workload: &Workload, at_100k: u64, at_1m: u64) -> Option<Want> {
    let n = workload.connections;
    let tier = at_100k.max(scaled(n, at_1m));
    at_least(tier.min(n.next_power_of_two()).max(128))
}

/// The part of what 1,000,000 connections need.
fn scaled(connections: u64, at_1m: u64) -> u64 {
    (connections.saturating_mul(at_1m) / 1_000_000).min(at_1m)
}

fn socket_buffers(workload: &Workload) -> Option<Want> {
    large(workload).then(|| Want::AtMost(vec![4096, 16_384, 262_144]))
}

const fn large(workload: &Workload) -> bool {
    workload.connections > MANY
}

#[expect(clippy::unnecessary_wraps, reason = "the value of a rule")]
fn at_least(number: u64) -> Option<Want> {
    Some(Want::AtLeast(vec![number]))
}
