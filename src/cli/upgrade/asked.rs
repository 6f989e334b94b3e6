//! `ringstorm upgrade`: finds the server, asks it, tells how it goes.

use super::talk::{Talk, UpgradeMessage};
use super::upgrader::{PREFIX, process_name};
use crate::cli::{Exit, Failure, print, values};
use clap::Args;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Time beyond that of the new server to hear how it went.
const GRACE: Duration = Duration::from_secs(10);

/// Flags of `upgrade`.
#[derive(Args, Debug)]
pub(in crate::cli) struct UpgradeFlags {
    /// The process of the server; with --supervise the one that watches it [default: the only one
    /// there is].
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pid: Option<u32>,
    /// The new program [default: what is at the path of the one that runs].
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// Time for it to get ready; the server that runs goes on if it does not.
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    #[arg(default_value = "30s")]
    timeout: Duration,
}

/// Asks the server, and waits until the new one serves.
pub(in crate::cli) fn run(flags: &UpgradeFlags) -> Result<Exit, Failure> {
    let pid = flags.pid.map_or_else(only_one, Ok)?;
    let binary = flags.binary.as_ref().map(|typed| {
        // The server may be in another folder.
        let found = typed.canonicalize();
        found.map_err(|error| {
            let shown = typed.display();
            Failure::Usage(format!(
                "--binary: {shown}: {error}; try: the path of a program"
            ))
        })
    });
    let lost = |error: io::Error| lost(pid, &error);
    let talk = Talk::to(&process_name(pid)).map_err(lost)?;
    talk.say(&UpgradeMessage::Upgrade {
        binary: binary.transpose()?,
        within_ms: u64::try_from(flags.timeout.as_millis()).unwrap_or(u64::MAX),
    })
    .map_err(lost)?;
    loop {
        match talk.hear(Some(flags.timeout + GRACE)).map_err(lost)? {
            Some((UpgradeMessage::Note(text), _)) => print::note(text),
            Some((UpgradeMessage::Done(new), _)) => {
                print::line(format_args!("process {new} serves"))?;
                return Ok(Exit::Pass);
            }
            Some((UpgradeMessage::Failed(why), _)) => return Err(Failure::Run(why)),
            Some((other, _)) => {
                return Err(Failure::Run(format!("process {pid} says {other:?}")));
            }
            None => {
                return Err(Failure::Run(format!(
                    "process {pid} is gone; try: look at what it said last"
                )));
            }
        }
    }
}

fn lost(pid: u32, error: &io::Error) -> Failure {
    Failure::Run(match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => format!(
            "process {pid} is no server that can be upgraded; try: --pid of a ringstorm serve in \
             this network namespace"
        ),
        io::ErrorKind::PermissionDenied => format!("process {pid}: {error}; try: as that user"),
        io::ErrorKind::WouldBlock => {
            format!("process {pid} does not answer; try: look at what it says")
        }
        _ => format!("process {pid}: {error}"),
    })
}

/// The only process here that can be asked.
fn only_one() -> Result<u32, Failure> {
    let table = fs::read_to_string("/proc/net/unix")?;
    let found = processes(&table);
    let usage = |text: String| Err(Failure::Usage(text));
    match found[..] {
        [pid] => Ok(pid),
        [] => usage("no server runs here that can be upgraded; try: --pid PID".to_owned()),
        _ => {
            let all: Vec<String> = found.iter().map(u32::to_string).collect();
            let all = all.join(", ");
            usage(format!(
                "several servers run here; try: --pid with one of {all}"
            ))
        }
    }
}

/// Processes whose names are in a table of unix sockets (proc_net(5)).
fn processes(table: &str) -> Vec<u32> {
    let names = table.lines().filter_map(|line| line.rsplit_once(" @"));
    let names = names.filter_map(|(_, name)| name.strip_prefix(PREFIX));
    let mut found: Vec<u32> = names.filter_map(|name| name.parse().ok()).collect();
    found.sort_unstable();
    // Each talk has the name as well.
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::super::upgrader::READY_TIME;
    use super::*;

    #[test]
    fn servers_are_found_by_their_names() {
        let table = "\
Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0005 01 78151 @ringstorm/812
0000000000000000: 00000003 00000000 00000000 0005 03 78155 @ringstorm/812
0000000000000000: 00000002 00000000 00010000 0005 01 78152 @ringstorm/813/server
0000000000000000: 00000002 00000000 00010000 0001 01 78153 /run/ringstorm/7
0000000000000000: 00000002 00000000 00010000 0005 01 78154 @ringstorm/9
";
        assert_eq!(processes(table), [9, 812]);
    }

    #[test]
    fn the_time_is_that_of_a_signal() {
        assert_eq!(values::duration("30s"), Ok(READY_TIME));
    }
}
