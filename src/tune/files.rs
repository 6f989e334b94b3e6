//! The tuning files of `sysctl/`, written from the same rules as the audit.

use super::rules::{RULES, descriptors};
use super::{Holder, HostFacts, Rule, Side, Workload};
use std::fmt::Write;

/// The sizes that files are made for: the word in their names, and connections.
pub const SIZES: [(&str, u64); 2] = [("100k", 100_000), ("1m", 1_000_000)];
/// Locked memory of a service: the rings of 64 cores with several tables each.
const LOCKED: &str = "256M";

/// A file of the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TuningFile {
    /// Its path in the repository.
    pub path: String,
    /// What it says.
    pub text: String,
}

/// Every file that is written from the rules.
#[must_use]
pub fn all() -> Vec<TuningFile> {
    let mut files = Vec::new();
    let mut file = |path: String, text| files.push(TuningFile { path, text });
    for (size, connections) in SIZES {
        for side in [Side::Server, Side::Client, Side::Both] {
            let path = format!("sysctl/90-ringstorm-{size}-{}.conf", side.name());
            file(path, sysctl(side, connections));
        }
        let path = format!("sysctl/systemd/ringstorm.service.d/{size}.conf");
        file(path, drop_in(connections));
        let path = format!("sysctl/limits.d/90-ringstorm-{size}.conf");
        file(path, limits(connections));
    }
    files
}

/// A file for `/etc/sysctl.d`.
///
/// A setting whose default the kernel derives from memory stands in a comment that begins with
/// `#?`: a fixed value would lower it on a large host. `scripts/tune` reads those too and raises
/// what is lower.
#[must_use]
pub fn sysctl(side: Side, connections: u64) -> String {
    let workload = workload(side, connections);
    let mut text = format!(
        "# Kernel settings for {connections} connections, {}.\n\
         # Written by: ringstorm doctor --print-sysctl {} {connections}\n\
         # In force: sysctl -p THIS_FILE, or scripts/tune apply, which can take it back.\n\
         # A line with #? is raised by scripts/tune if the kernel's own value is lower.\n",
        match side {
            Side::Server => "accepted by this host",
            Side::Client => "opened by this host",
            Side::Both => "both ends on this host",
        },
        side.name()
    );
    for rule in RULES.iter().filter(|rule| rule.side.meets(side)) {
        entry(&mut text, rule, &workload);
    }
    text
}

fn entry(text: &mut String, rule: &Rule, workload: &Workload) {
    let Some(want) = (rule.want)(workload, &HostFacts::default()) else {
        return;
    };
    let mark = if rule.by_memory { "#? " } else { "" };
    let (word, why, name, value) = (want.word(), rule.why, rule.name, want.value());
    // Writing to a String cannot fail.
    let _ = writeln!(text, "\n# {word}: {why}\n{mark}{name} = {value}");
}

/// A drop-in for the systemd unit.
#[must_use]
pub fn drop_in(connections: u64) -> String {
    format!(
        "# {connections} connections; to /etc/systemd/system/ringstorm.service.d/\n\
         [Service]\n\
         LimitNOFILE={}\n\
         LimitMEMLOCK={LOCKED}\n",
        descriptors(&workload(Side::Server, connections))
    )
}

/// A file for `/etc/security/limits.d`: for logins, not for services.
#[must_use]
pub fn limits(connections: u64) -> String {
    let descriptors = descriptors(&workload(Side::Both, connections));
    let mut text = format!(
        "# {connections} connections from a login; to /etc/security/limits.d/\n\
         # A systemd service does not read this: it takes sysctl/systemd.\n"
    );
    for who in ["*", "root"] {
        for kind in ["soft", "hard"] {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{who} {kind} nofile {descriptors}");
        }
    }
    text
}

/// A workload for a host of which nothing is known.
const fn workload(side: Side, connections: u64) -> Workload {
    Workload {
        connections,
        side,
        holder: Holder::Ring,
        sources: 1,
        cores: 1,
        core_connections: None,
    }
}
