//! Child processes: this executable as a server and as a load client, and servers of other makes.

use crate::cli::Failure;
use crate::cli::config_key::PREFIX;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time for a server to say that it listens.
const READY_TIME: Duration = Duration::from_secs(10);
/// Time for a child to end after SIGTERM.
const END_TIME: Duration = Duration::from_secs(10);
/// Time between two looks at a child.
const LOOK_TIME: Duration = Duration::from_millis(20);

/// A serving child. It is killed when this is dropped.
pub(super) struct Server {
    child: Child,
    /// Where it listens: `127.0.0.1:PORT`.
    pub(super) address: String,
}

/// A loading child. It is killed when this is dropped.
pub(super) struct Load {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Server {
    /// Starts a server on those CPUs and a free port, and waits until it listens.
    pub(super) fn start(engine: &str, cpus: &str, flags: &[String]) -> Result<Self, Failure> {
        Self::start_by(program()?, engine, cpus, flags)
    }

    /// The same of another build of this program.
    pub(super) fn start_build(build: &Path, cpus: &str, flags: &[String]) -> Result<Self, Failure> {
        if !build.is_file() {
            let path = build.display();
            let text = format!("{path} is no program; try: the path of a built ringstorm");
            return Err(Failure::Usage(text));
        }
        Self::start_by(Command::new(build), "ring", cpus, flags)
    }

    fn start_by(
        mut program: Command,
        engine: &str,
        cpus: &str,
        flags: &[String],
    ) -> Result<Self, Failure> {
        let mut child = program
            .args(["serve", "--listen", "127.0.0.1:0", "--engine", engine])
            .args(["--cores", cpus])
            .args(["--drain", "1s", "--end-with-parent"])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (send, ready) = channel();
        let Some(out) = child.stdout.take() else {
            return Err(Failure::Run("a child without stdout: a bug".to_owned()));
        };
        // Reads on after the first line: a closed pipe is no way to treat a server.
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let _ = send.send(line);
            }
        });
        let line = ready.recv_timeout(READY_TIME).unwrap_or_default();
        match address(&line) {
            Some(address) => Ok(Self {
                address: address.to_owned(),
                child,
            }),
            None => Err(Failure::Run(last_words(&mut child, engine))),
        }
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The port it listens on.
    pub(super) fn port(&self) -> u16 {
        self.address
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok())
            .unwrap_or(0)
    }

    /// Asks it to end and waits.
    pub(super) fn end(mut self) -> Result<(), Failure> {
        terminate(&self.child);
        let by = Instant::now() + END_TIME;
        while Instant::now() < by {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => {
                    return Err(Failure::Run(format!("the server ended with {status}")));
                }
                None => std::thread::sleep(LOOK_TIME),
            }
        }
        Err(Failure::Run(
            "the server did not end within 10 s of SIGTERM".to_owned(),
        ))
    }
}

impl Load {
    /// Starts a load on those CPUs, its record going to that file.
    pub(super) fn start(cpus: &str, flags: &[String], record: File) -> Result<Self, Failure> {
        let mut child = program()?
            .arg("load")
            .args(flags)
            .args(["--cores", cpus, "--json"])
            .stdin(Stdio::null())
            .stdout(record)
            .stderr(Stdio::piped())
            .spawn()?;
        let said = Arc::new(Mutex::new(String::new()));
        if let Some(err) = child.stderr.take() {
            listen(err, Arc::clone(&said));
        }
        Ok(Self { child, said })
    }

    /// What it said last.
    pub(super) fn said(&self) -> String {
        self.said
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Its exit code, once it is over.
    pub(super) fn is_over(&mut self) -> Result<Option<i32>, Failure> {
        let status = self.child.try_wait()?;
        Ok(status.map(|status| status.code().unwrap_or(-1)))
    }

    /// Asks it to end.
    pub(super) fn terminate(&self) {
        terminate(&self.child);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        kill(&mut self.child);
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        kill(&mut self.child);
    }
}

fn program() -> Result<Command, Failure> {
    let mut program = Command::new(std::env::current_exe()?);
    // Whoever starts it says all: what a variable tells is meant for this process.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with(PREFIX) {
            program.env_remove(name);
        }
    }
    Ok(program)
}

/// Keeps the last line that a child says.
fn listen(from: ChildStderr, said: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            *said.lock().unwrap_or_else(PoisonError::into_inner) = line;
        }
    });
}

/// The address in a ready line.
fn address(line: &str) -> Option<&str> {
    line.strip_prefix("listening on ws://")?
        .split_whitespace()
        .next()
}

fn last_words(child: &mut Child, engine: &str) -> String {
    kill(child);
    let mut text = String::new();
    if let Some(err) = child.stderr.as_mut() {
        let _ = err.read_to_string(&mut text);
    }
    let text = text.trim();
    let text = text.strip_prefix("ringstorm: ").unwrap_or(text);
    format!("the server with --engine {engine} did not start: {text}")
}

fn terminate(child: &Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::TERM);
    }
}

/// Ends a child that has not ended, and takes its status, so that nothing of it is left.
fn kill(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_names_the_address() {
        let line = "listening on ws://127.0.0.1:41 ws://[::1]:42 (engine ring, CPUs 0)";
        assert_eq!(address(line), Some("127.0.0.1:41"));
        assert_eq!(address("served"), None);
    }
}
