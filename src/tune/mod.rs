//! The host audit: facts of a host and a workload to findings, a predicted ceiling, tuning files.
//!
//! Nothing here reads or changes a host: [`read`] is handed a [`HostTexts`], and what to change
//! comes back as [`Change`] values.
#![forbid(unsafe_code)]
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used
)]

mod ceiling;
mod facts;
pub mod files;
mod harmful;
mod noise;
mod resources;
mod rules;
mod unknown;
mod want;

pub use ceiling::{Bound, bounds};
pub use facts::{EngineTrial, HostFacts, HostTexts, Limit, Setting};
pub use rules::{RULES, Rule};
pub use unknown::Unknown;
pub use want::Want;

use serde::Serialize;

/// Reads the facts of a host that its audit needs.
#[must_use]
pub fn read(source: &impl HostTexts) -> HostFacts {
    HostFacts::read(source, RULES.iter().map(|rule| rule.name))
}

/// Which ends of the connections this host runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// It accepts them.
    Server,
    /// It opens them.
    Client,
    /// It does both, over loopback.
    Both,
}

impl Side {
    /// Sockets of one connection on this host.
    #[must_use]
    pub const fn ends(self) -> u64 {
        match self {
            Self::Server | Self::Client => 1,
            Self::Both => 2,
        }
    }

    /// Whether this host runs what `other` runs, or a part of it.
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        match (self, other) {
            (Self::Server, Self::Client) | (Self::Client, Self::Server) => false,
            (Self::Server, Self::Server | Self::Both)
            | (Self::Client, Self::Client | Self::Both)
            | (Self::Both, Self::Server | Self::Client | Self::Both) => true,
        }
    }

    /// The word for it, as the flags and the names of the files have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Both => "both",
        }
    }
}

/// What moves the bytes, as far as the limits of the host are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Holder {
    /// `io_uring`: connections live in registered tables, not among the descriptors.
    Ring,
    /// epoll: a descriptor per connection.
    Tokio,
}

/// What the host is to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Connections at once.
    pub connections: u64,
    /// Which ends of them are here.
    pub side: Side,
    /// What holds them.
    pub holder: Holder,
    /// Source addresses that the client uses; each has the ports of the range for itself.
    pub sources: u64,
    /// Cores of each end that is here.
    pub cores: u64,
    /// What `serve --max-connections` is given: connections of one core.
    pub core_connections: Option<u64>,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Connections fail or are dropped: the host is not ready.
    Fault,
    /// It works, slower or with less room than it could.
    Warning,
    /// Figures differ from run to run, or a setting has no effect.
    Note,
}

/// A kernel setting to write, with what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Its name with dots, such as `net.core.somaxconn`.
    pub name: String,
    /// The value that stands there now, its fields one space apart.
    pub from: String,
    /// The value to write.
    pub to: String,
}

/// What the audit found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The setting or resource.
    pub name: String,
    /// Its value now.
    pub is: String,
    /// The value that fits the workload.
    pub should_be: String,
    /// What goes wrong otherwise.
    pub why: String,
    /// What the kernel has counted so far; empty if nothing counts it.
    pub evidence: String,
    /// The command that changes it.
    pub command: String,
    /// How much it matters.
    pub severity: Severity,
    /// The change, if it is one of a kernel setting.
    pub change: Option<Change>,
}

/// What the audit says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Every finding, faults first.
    pub findings: Vec<Finding>,
    /// What bounds the connections, the tightest first.
    pub bounds: Vec<Bound>,
    /// What the workload depends on and could not be read or tried.
    pub unknown: Vec<Unknown>,
}

impl Audit {
    /// Compares the host with the workload. What could not be read is not judged, but named.
    #[must_use]
    pub fn new(workload: &Workload, facts: &HostFacts) -> Self {
        let mut findings = rules::findings(workload, facts);
        let checks = resources::CHECKS.iter();
        let checks = checks.chain(harmful::CHECKS).chain(noise::CHECKS);
        for finding in checks.filter_map(|check| check(workload, facts)) {
            // A setting is changed to one value: the one that the workload asks for.
            let is_known = findings.iter().any(|known| known.name == finding.name);
            if finding.change.is_none() || !is_known {
                findings.push(finding);
            }
        }
        findings.extend(harmful::configured(facts));
        findings.sort_by_key(|finding| finding.severity);
        Self {
            findings,
            bounds: bounds(workload, facts),
            unknown: unknown::unknown(workload, facts),
        }
    }

    /// Whether the workload fits: no fault, no bound below it, nothing unknown that it depends on.
    #[must_use]
    pub fn is_ready(&self, workload: &Workload) -> bool {
        let fault = |finding: &Finding| finding.severity == Severity::Fault;
        let fits = |bound: &Bound| bound.connections >= workload.connections;
        self.unknown.is_empty() && !self.findings.iter().any(fault) && self.bounds.iter().all(fits)
    }
}

/// One check beside the table of kernel settings.
type Check = fn(&Workload, &HostFacts) -> Option<Finding>;

/// A finding about what is no kernel setting of the table.
fn note(name: &str, is: String, should_be: &str, why: &str, command: &str) -> Finding {
    Finding {
        name: name.to_owned(),
        is,
        should_be: should_be.to_owned(),
        why: why.to_owned(),
        evidence: String::new(),
        command: command.to_owned(),
        severity: Severity::Note,
        change: None,
    }
}

impl Finding {
    fn with_severity(self, severity: Severity) -> Self {
        Self { severity, ..self }
    }

    fn with_evidence(self, evidence: String) -> Self {
        Self { evidence, ..self }
    }

    /// The finding with the kernel setting that cures it.
    fn with_change(self, name: &str, from: &str, to: &str) -> Self {
        let change = Change {
            name: name.to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
        };
        Self {
            command: change.command(),
            change: Some(change),
            ..self
        }
    }
}

impl Change {
    /// The command that makes it.
    #[must_use]
    pub fn command(&self) -> String {
        set(&self.name, &self.to)
    }

    /// The command that takes it back.
    #[must_use]
    pub fn undo(&self) -> String {
        set(&self.name, &self.from)
    }

    /// Where the setting lives below `/proc/sys`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("proc/sys/{}", self.name.replace('.', "/"))
    }
}

fn set(name: &str, value: &str) -> String {
    if value.contains(' ') {
        format!("sysctl -w {name}='{value}'")
    } else {
        format!("sysctl -w {name}={value}")
    }
}

/// Names with their numbers: `ListenDrops 3, ListenOverflows 3`.
fn counted(facts: &HostFacts, names: &[&str]) -> String {
    let one = |name: &&str| Some(format!("{name} {}", facts.counter(name)?));
    let all: Vec<String> = names.iter().filter_map(one).collect();
    all.join(", ")
}
