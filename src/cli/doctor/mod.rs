//! `doctor`: compares this host with a workload, says what to change, and changes it if asked to.

mod apply;
mod flags;
mod shown;
mod trial;

pub(super) use flags::DoctorFlags;

use super::engine_flag::LoadEngine;
use super::{Exit, Failure, host, print, sources, values};
use crate::tune::{self, Audit, Holder, HostFacts, HostTexts, Side, Workload, files};
use std::fs;
use std::path::{Path, PathBuf};

/// Most connections of a workload: beyond this nothing here was thought through.
const CONNECTIONS_MAX: u64 = 100_000_000;

/// An audit, resolved from its flags.
pub(super) struct Config {
    workload: Workload,
    cpus: Vec<usize>,
    root: PathBuf,
    task: Task,
}

/// What to do with the audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    /// The table.
    Show,
    /// The same for programs.
    Json,
    /// The commands.
    Commands,
    /// Make the changes.
    Apply,
    /// No audit: the file for a workload.
    File,
}

impl Config {
    /// What the flags mean.
    pub(super) fn new(flags: DoctorFlags) -> Result<Self, Failure> {
        let task = match &flags {
            DoctorFlags { print_sysctl, .. } if !print_sysctl.is_empty() => Task::File,
            DoctorFlags { apply: true, .. } => Task::Apply,
            DoctorFlags { fix: true, .. } => Task::Commands,
            DoctorFlags { json: true, .. } => Task::Json,
            _ => Task::Show,
        };
        let side = match (flags.server, flags.client, flags.both) {
            (true, false, false) => Side::Server,
            (false, true, false) => Side::Client,
            _ => Side::Both,
        };
        let (side, connections) = match flags.print_sysctl.as_slice() {
            [side, connections] => typed_plan(side, connections)?,
            _ => (side, flags.connections),
        };
        if !(1..=CONNECTIONS_MAX).contains(&connections) {
            return Err(Failure::Usage(format!(
                "--connections: from 1 to {CONNECTIONS_MAX}, such as --connections 100k"
            )));
        }
        let sources = flags.sources.unwrap_or(match side {
            Side::Both => sources::Need {
                connections: u32::try_from(connections).unwrap_or(u32::MAX),
                ports: host::local_ports(),
            }
            .loopback_addresses()
            .into(),
            Side::Server | Side::Client => 1,
        });
        if sources == 0 {
            let text = "--sources: at least 1, such as --sources 2";
            return Err(Failure::Usage(text.to_owned()));
        }
        let cpus = host::cpus(flags.cores)?;
        let workload = Workload {
            connections,
            side,
            holder: match flags.engine {
                LoadEngine::Ring => Holder::Ring,
                LoadEngine::Tokio => Holder::Tokio,
            },
            sources,
            cores: u64::try_from(cpus.len()).unwrap_or(u64::MAX),
            core_connections: flags.max_connections.map(u64::from),
        };
        Ok(Self {
            workload,
            cpus,
            root: flags.root,
            task,
        })
    }
}

fn typed_plan(side: &str, connections: &str) -> Result<(Side, u64), Failure> {
    let sides = [Side::Server, Side::Client, Side::Both];
    let side = sides.into_iter().find(|it| it.name() == side);
    let connections = values::count(connections).ok();
    side.zip(connections).ok_or_else(|| {
        let text = "--print-sysctl: a side and a number, such as --print-sysctl server 100000";
        Failure::Usage(text.to_owned())
    })
}

/// Does what wresolved from its flags.
pub(super) fn run(config: &Config) -> Result<Exit, Failure> {
    let workload = &config.workload;
    let audit = || Audit::new(workload, &facts(config));
    let found = match config.task {
        Task::File => {
            print::text(&files::sysctl(workload.side, workload.connections))?;
            return Ok(Exit::Pass);
        }
        Task::Show => {
            let found = audit();
            print::text(&shown::table(workload, &found))?;
            found
        }
        Task::Json => {
            let found = audit();
            print::line(shown::json(workload, &found))?;
            found
        }
        Task::Commands => {
            let found = audit();
            print::text(&shown::commands(&found))?;
            found
        }
        Task::Apply => {
            let before = audit();
            let changes = before.findings.iter();
            let changes = changes.filter_map(|finding| finding.change.as_ref());
            for done in apply::apply(&config.root, changes)? {
                print::line(done)?;
            }
            let after = audit();
            print::text(&shown::table(workload, &after))?;
            after
        }
    };
    Ok(if found.is_ready(workload) {
        Exit::Pass
    } else {
        Exit::Failed
    })
}

/// The facts of the host, and how it goes when the engine is started on it; or those of a folder,
/// in which nothing can be started.
fn facts(config: &Config) -> HostFacts {
    let source = Host(&config.root);
    if config.root != Path::new("/") {
        return tune::read(&source);
    }
    let connected = trial::connected();
    let mut facts = tune::read(&source);
    drop(connected);
    facts.trial = trial::of_engine(&config.workload, &config.cpus);
    facts
}

/// A host, or a folder that looks like one.
struct Host<'a>(&'a Path);

impl HostTexts for Host<'_> {
    fn text(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.0.join(path)).ok()
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.0.join(folder));
        let entries = entries.into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }
}
