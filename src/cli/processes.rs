//! Processes of servers of other makes: started on CPUs of their own, measured with all their
//! children, ended as a group.

use super::Failure;
use procfs::process::Process;
use rustix::process::{Pid, Signal, kill_process_group};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time for a server to listen.
const READY_TIME: Duration = Duration::from_secs(10);
/// Time for it to end after SIGTERM.
const END_TIME: Duration = Duration::from_secs(10);
/// Time between two looks at it.
const LOOK_TIME: Duration = Duration::from_millis(20);
/// Time for a connect to a server that is near.
const CONNECT_TIME: Duration = Duration::from_millis(500);
/// Processes of one server that are looked at.
const PROCESSES_MAX: usize = 1_000;

/// A server of another make. It and its children are killed when this is dropped.
pub(super) struct Foreign(Child);

impl Foreign {
    /// Starts a command line on those CPUs, and waits until it listens there.
    pub(super) fn start(line: &str, cpus: &[usize], at: &[SocketAddr]) -> Result<Self, Failure> {
        if listens(at) {
            return Err(Failure::Run(format!(
                "somebody serves there before `{line}` is started; try: end it, or another port"
            )));
        }
        let mut command = Command::new("sh");
        command
            .args(["-c", line])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut started = Self(spawned_on(&mut command, cpus)?);
        let said = Arc::new(Mutex::new(String::new()));
        if let Some(err) = started.0.stderr.take() {
            let said = Arc::clone(&said);
            std::thread::spawn(move || {
                for line in BufReader::new(err).lines().map_while(Result::ok) {
                    *said.lock().unwrap_or_else(PoisonError::into_inner) = line;
                }
            });
        }
        let words = || said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let by = Instant::now() + READY_TIME;
        while !listens(at) {
            if let Some(status) = started.0.try_wait()? {
                let text = format!("`{line}` ended with {status}: {}", words());
                return Err(Failure::Run(text));
            }
            if Instant::now() > by {
                let seconds = READY_TIME.as_secs();
                let text = format!("`{line}` does not listen after {seconds} s: {}", words());
                return Err(Failure::Run(text));
            }
            std::thread::sleep(LOOK_TIME);
        }
        Ok(started)
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Asks it and its children to end, and waits; kills what does not.
    pub(super) fn end(mut self) {
        self.signal(Signal::TERM);
        let by = Instant::now() + END_TIME;
        while Instant::now() < by && matches!(self.0.try_wait(), Ok(None)) {
            std::thread::sleep(LOOK_TIME);
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(pid, signal);
        }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.0.wait();
    }
}

/// Starts a child that may run on those CPUs only: it has the mask of the thread that starts it.
fn spawned_on(command: &mut Command, cpus: &[usize]) -> Result<Child, Failure> {
    let mut mask = CpuSet::new();
    cpus.iter().for_each(|&cpu| mask.set(cpu));
    let before = sched_getaffinity(None).map_err(io::Error::from)?;
    sched_setaffinity(None, &mask).map_err(io::Error::from)?;
    let child = command.spawn();
    sched_setaffinity(None, &before).map_err(io::Error::from)?;
    Ok(child?)
}

fn listens(at: &[SocketAddr]) -> bool {
    let mut all = at.iter();
    all.any(|at| TcpStream::connect_timeout(at, CONNECT_TIME).is_ok())
}

/// A process with all its children, as they are now.
pub(super) fn family(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut at = 0;
    while let Some(&one) = all.get(at).filter(|_| all.len() < PROCESSES_MAX) {
        at += 1;
        let threads = fs::read_dir(format!("/proc/{one}/task"));
        for thread in threads.into_iter().flatten().flatten() {
            let text = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            all.extend(
                text.split_ascii_whitespace()
                    .filter_map(|it| it.parse::<u32>().ok()),
            );
        }
    }
    all
}

/// What a process, its children and those of them that have ended used of the CPUs.
pub(super) fn cpu_time(pid: u32) -> Duration {
    let each = family(pid).into_iter().filter_map(|pid| {
        let stat = Process::new(i32::try_from(pid).ok()?).ok()?.stat().ok()?;
        let ended = u64::try_from(stat.cutime + stat.cstime).unwrap_or(0);
        Some(stat.utime + stat.stime + ended)
    });
    Duration::from_nanos(each.sum::<u64>() * 1_000_000_000 / procfs::ticks_per_second())
}

/// Bytes that only a process and its children hold and have written (`Private_Dirty` of
/// `smaps_rollup`); 0 if it cannot be read. The code that server and load share does not count.
pub(super) fn private_bytes(pid: u32) -> u64 {
    let each = family(pid).into_iter().map(|pid| {
        let process = pid.try_into().ok().and_then(|pid| Process::new(pid).ok());
        let rollup = process.and_then(|process| process.smaps_rollup().ok());
        let maps = rollup.iter().flat_map(|it| &it.memory_map_rollup);
        maps.filter_map(|map| map.extension.map.get("Private_Dirty"))
            .sum::<u64>()
    });
    each.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_this_process_is_something() {
        assert!(private_bytes(std::process::id()) > 4096);
        assert_eq!(private_bytes(u32::MAX), 0);
    }

    #[test]
    fn a_family_has_the_children_of_children_and_is_ended_whole() {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = nobody.local_addr().unwrap();
        drop(nobody);
        let port = at.port();
        let listening = format!("import socket; s=socket.create_server((\"127.0.0.1\",{port}))");
        let waits = "import time; time.sleep(60)";
        let line = format!("sleep 60 & exec python3 -c '{listening}; {waits}'");
        let first = super::super::host::allowed_cpus()[0];
        let server = Foreign::start(&line, &[first], &[at]).unwrap();
        let all = family(server.pid());
        assert_eq!(all.len(), 2, "{all:?}");
        let pinned = Process::new(i32::try_from(all[1]).unwrap())
            .unwrap()
            .status()
            .unwrap();
        let only = pinned.cpus_allowed_list.unwrap();
        let cpu = u32::try_from(first).unwrap();
        assert_eq!(only, [(cpu, cpu)]);
        let again = Foreign::start(&line, &[first], &[at]).map(drop);
        assert!(
            again
                .unwrap_err()
                .to_string()
                .contains("somebody serves there")
        );
        server.end();
        // A zombie has no memory: it waits for its parent, which is init's business.
        let is_alive = |pid: &&u32| private_bytes(**pid) > 0;
        assert_eq!(all.iter().find(is_alive), None);
    }

    #[test]
    fn a_command_that_ends_at_once_says_why() {
        let at = "127.0.0.1:1".parse().unwrap();
        let ended = Foreign::start("echo no such thing >&2; exit 3", &[0], &[at]).map(drop);
        let text = ended.unwrap_err().to_string();
        assert!(text.contains("ended with exit status: 3"), "{text}");
    }
}
