//! Starts the program, reads what it says, and ends what it started.

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// What a run of the program left.
pub(super) struct Ran {
    /// Its exit code; -1 if a signal ended it.
    pub(super) code: i32,
    pub(super) out: String,
    pub(super) err: String,
}

/// A run that goes on. Killed when dropped.
pub(super) struct Running(Option<Child>);

/// A server that listens. Killed when dropped.
pub(super) struct Serving {
    running: Running,
    out: BufReader<ChildStdout>,
    /// Where it listens first: `127.0.0.1:PORT`.
    pub(super) address: String,
    /// What it said when it was ready.
    pub(super) line: String,
}

/// Runs the program to its end.
pub(super) fn ringstorm(arguments: &[&str]) -> Ran {
    Running::start(arguments).end()
}

/// The same, with these environment variables.
pub(super) fn ringstorm_within(environment: &[(&str, &str)], arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringstorm"));
    command.envs(environment.iter().copied());
    Running::start_by(command, arguments).end()
}

impl Running {
    pub(super) fn start(arguments: &[&str]) -> Self {
        Self::start_by(Command::new(env!("CARGO_BIN_EXE_ringstorm")), arguments)
    }

    /// As a script starts it that is to go on without its terminal; nohup(1) gives way to it.
    pub(super) fn start_ignoring_hang_up(arguments: &[&str]) -> Self {
        let mut command = Command::new("nohup");
        command.arg(env!("CARGO_BIN_EXE_ringstorm"));
        Self::start_by(command, arguments)
    }

    /// A process that was started otherwise, with its output in pipes.
    pub(super) const fn of(child: Child) -> Self {
        Self(Some(child))
    }

    /// In a network namespace of that name. ip(8) becomes the program, so a signal meets it.
    pub(super) fn start_within(namespace: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new("ip");
        let program = env!("CARGO_BIN_EXE_ringstorm");
        command.args(["netns", "exec", namespace, program]);
        Self::start_by(command, arguments)
    }

    /// A whole command, of which the program may become a part.
    pub(super) fn start_with(command: &[&str]) -> Self {
        let (first, rest) = command.split_first().expect("a command");
        Self::start_by(Command::new(first), rest)
    }

    fn start_by(mut command: Command, arguments: &[&str]) -> Self {
        let child = command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Self(Some(child.expect("the program starts")))
    }

    /// As Ctrl-C does.
    pub(super) fn interrupt(self) -> Ran {
        self.signal(Signal::INT);
        self.end()
    }

    /// The process is asked by the kernel, not by kill(1): a minimal Debian has none.
    pub(super) fn signal(&self, signal: Signal) {
        let child = self.0.as_ref().expect("not ended yet");
        kill_process(Pid::from_child(child), signal).expect("the process is there");
    }

    /// Its process, as a flag wants it.
    pub(super) fn pid(&self) -> String {
        let child = self.0.as_ref();
        child.expect("not ended yet").id().to_string()
    }

    /// Waits for its end, and interrupts it if that takes longer.
    pub(super) fn end_within(mut self, time: Duration) -> Ran {
        let by = Instant::now() + time;
        let child = self.0.as_mut().expect("not ended yet");
        while Instant::now() < by && child.try_wait().expect("a child").is_none() {
            std::thread::sleep(Duration::from_millis(10));
        }
        if child.try_wait().expect("a child").is_none() {
            self.signal(Signal::INT);
        }
        self.end()
    }

    pub(super) fn end(mut self) -> Ran {
        let child = self.0.take().expect("ended once");
        let output = child.wait_with_output().expect("its output can be read");
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Serving {
    /// Starts a server on a free port and waits until it listens.
    pub(super) fn start(flags: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", flags)
    }

    /// Starts a server there and waits until it listens.
    pub(super) fn start_at(address: &str, flags: &[&str]) -> Self {
        let drain: &[&str] = if flags.contains(&"--drain") {
            &[]
        } else {
            &["--drain", "5s"]
        };
        let all = [&["serve", "--listen", address], drain, flags].concat();
        Self::once_it_listens(Running::start(&all), flags)
    }

    /// As `start_at`, in a network namespace of that name.
    pub(super) fn start_within(namespace: &str, address: &str, flags: &[&str]) -> Self {
        let all = [&["serve", "--listen", address, "--drain", "5s"], flags].concat();
        Self::once_it_listens(Running::start_within(namespace, &all), flags)
    }

    /// As `start`, by a command that becomes the program.
    pub(super) fn start_by(command: &[&str], flags: &[&str]) -> Self {
        let serve = ["serve", "--listen", "127.0.0.1:0", "--drain", "5s"];
        let program = env!("CARGO_BIN_EXE_ringstorm");
        let all = [command, &[program], &serve, flags].concat();
        Self::once_it_listens(Running::start_with(&all), flags)
    }

    /// As `start`, by a whole command.
    pub(super) fn start_with(command: &[&str]) -> Self {
        Self::once_it_listens(Running::start_with(command), command)
    }

    fn once_it_listens(mut running: Running, flags: &[&str]) -> Self {
        let child = running.0.as_mut().expect("not ended yet");
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        out.read_line(&mut line).expect("a line");
        let address = line
            .strip_prefix("listening on ws://")
            .or_else(|| line.strip_prefix("listening on wss://"))
            .and_then(|rest| rest.split_whitespace().next());
        let address = address
            .unwrap_or_else(|| panic!("{flags:?}: {line:?}"))
            .to_owned();
        Self {
            running,
            out,
            address,
            line,
        }
    }

    pub(super) fn signal(&self, signal: Signal) {
        self.running.signal(signal);
    }

    /// Its process, as a flag wants it.
    pub(super) fn pid(&self) -> String {
        self.running.pid()
    }

    /// Waits until so many WebSockets and event streams are open.
    pub(super) fn wait_for_open(&self, connections: u64) {
        let by = Instant::now() + Duration::from_secs(20);
        loop {
            let open = &self.stats()["total"]["open"];
            let open = ["websocket", "sse"]
                .iter()
                .filter_map(|key| open[*key].as_u64());
            if open.sum::<u64>() >= connections {
                return;
            }
            assert!(
                Instant::now() < by,
                "{connections} connections are not open after 20 s"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(super) fn stats(&self) -> serde_json::Value {
        let mut peer = TcpStream::connect(&self.address).expect("the server accepts");
        let host = &self.address;
        let request = format!("GET /stats HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        peer.write_all(request.as_bytes())
            .expect("the server reads");
        let mut answer = String::new();
        peer.read_to_string(&mut answer)
            .expect("the server answers");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"))
    }

    /// Asks it to end: its exit code and what it said on stderr.
    pub(super) fn stop_and_read(self) -> (i32, String) {
        self.running.signal(Signal::TERM);
        self.read_to_end()
    }

    /// Waits for its end: its exit code and what it said on stderr.
    pub(super) fn read_to_end(mut self) -> (i32, String) {
        let mut said = String::new();
        self.out
            .read_to_string(&mut said)
            .expect("its output can be read");
        let ran = self.running.end();
        (ran.code, ran.err)
    }

    /// Asks it to end: its exit code and last line.
    pub(super) fn stop(mut self) -> (i32, String) {
        self.running.signal(Signal::TERM);
        let mut said = String::new();
        self.out
            .read_to_string(&mut said)
            .expect("its output can be read");
        (self.running.end().code, said)
    }
}
