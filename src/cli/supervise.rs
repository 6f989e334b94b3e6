//! `serve --supervise`: a process that watches the server, its child: a server that crashes is
//! started again, sooner or later by how often it crashed. Signals are passed on; in an upgrade the
//! new server is a child too, and the one before is until it has ended.

use super::upgrade::{self, UpgradeEnd, UpgradeRequest, Watched, own_binary, server_name};
use super::{Exit, Failure, print};
use clap::Args;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, set_parent_process_death_signal, waitid,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR2};
use signal_hook::iterator::Signals;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// Flags of supervision.
#[derive(Args, Debug)]
pub(super) struct SuperviseFlags {
    /// Watches the server from a process of its own, and starts it again when it crashes: at once
    /// the first time, then after 0.2 s, 0.4 s and so on up to 30 s, while it crashes soon.
    #[arg(long)]
    supervise: bool,
    /// Does not, whatever a configuration file says: a crash is the end.
    #[arg(long)]
    no_restart: bool,
    /// Ends when the process that started it does: for servers that another process watches.
    #[arg(long, hide = true)]
    pub(super) end_with_parent: bool,
}

impl SuperviseFlags {
    /// Whether the server is another process.
    pub(super) const fn is_on(&self) -> bool {
        self.supervise && !self.no_restart
    }

    /// Who has to start a server that comes after this one.
    pub(super) fn watched(&self) -> Watched {
        match (self.is_watched(), self.end_with_parent) {
            (true, _) => Watched::By(std::os::unix::process::parent_id()),
            (false, true) => Watched::EndsWithParent,
            (false, false) => Watched::No,
        }
    }

    /// Whether this is the server, which another process watches.
    pub(super) const fn is_watched(&self) -> bool {
        self.supervise && self.no_restart && self.end_with_parent
    }
}

/// What happens to the watching process.
enum Happened {
    /// The server that is this process has ended.
    Ended(u32),
    /// It was sent that signal.
    Signalled(i32),
    /// It is asked for an upgrade.
    Asked(UpgradeRequest),
    /// The new server that is this process has taken over, or has not.
    NewServer(u32, UpgradeEnd),
}

/// What becomes of a server that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sequel {
    /// So does the watching process, with that exit code.
    Over(u8),
    /// It is started again after that time.
    Again(Duration),
}

/// How a server ended, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ServerEnd {
    Code(i32),
    Signal(i32),
}

/// When a server is started again.
#[derive(Debug, Default)]
struct Restarts {
    /// Crashes one soon after the other.
    soon: u32,
    /// A server has stayed.
    has_stayed: bool,
    /// Somebody wants the end.
    is_ending: bool,
    /// A server that was to take over has died: it may have taken over before, and then the one
    /// that runs ends of itself.
    has_lost_successor: bool,
}

/// A server that ends within that time of the first start has not started: nothing mends that.
const START_TIME: Duration = Duration::from_secs(1);
/// Whoever stays for so long has not crashed soon.
const STAY_TIME: Duration = Duration::from_secs(10);
/// Time before the second start of a series of crashes; it doubles from there.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// It does not get longer.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

impl Restarts {
    /// A server has ended, that long after its start.
    fn ended(&mut self, end: ServerEnd, after: Duration) -> Sequel {
        let code = match end {
            ServerEnd::Code(code) => u8::try_from(code).unwrap_or(Exit::Failed as u8),
            // As a shell tells it.
            ServerEnd::Signal(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        };
        let is_wrong = end == ServerEnd::Code(Exit::Usage as i32);
        let has_not_started =
            !self.has_stayed && after < START_TIME && matches!(end, ServerEnd::Code(_));
        let is_meant = end == ServerEnd::Code(0) && !self.has_lost_successor;
        if self.is_ending || is_meant || is_wrong || has_not_started {
            return Sequel::Over(code);
        }
        self.has_stayed = true;
        self.soon = match after >= STAY_TIME {
            true => 0,
            false => self.soon.saturating_add(1),
        };
        Sequel::Again(match self.soon {
            0 | 1 => Duration::ZERO,
            soon => (FIRST_WAIT * 2u32.saturating_pow(soon.min(12) - 2)).min(LONGEST_WAIT),
        })
    }
}

/// The servers of a process that watches them.
struct Servers {
    tell: Sender<Happened>,
    happens: Receiver<Happened>,
    restarts: Restarts,
    /// What is started: another one after an upgrade.
    binary: PathBuf,
    current: Child,
    begun: Instant,
    /// One that is to take over.
    coming: Option<Coming>,
    /// Those whose successors have taken over, until they end.
    leaving: Vec<Child>,
}

/// A new server that is getting ready.
struct Coming {
    child: Child,
    begun: Instant,
    binary: PathBuf,
    request: UpgradeRequest,
}

/// Watches servers that are started as this process was, until one ends as it should.
pub(super) fn run(flags: &SuperviseFlags) -> Result<u8, Failure> {
    let (tell, happens) = channel();
    pass_signals(tell.clone())?;
    let asked = tell.clone();
    upgrade::answer_for_server(move |request| {
        let _ = asked.send(Happened::Asked(request));
    });
    if flags.end_with_parent {
        set_parent_process_death_signal(Some(Signal::TERM)).map_err(io::Error::from)?;
    }
    // By this thread, which stays: the kernel takes the end of the thread that started a
    // process for that of its parent (prctl(2), PR_SET_PDEATHSIG).
    let binary = own_binary()?;
    let current = server(&binary, std::env::args_os()).spawn()?;
    await_end(&current, tell.clone())?;
    let mut servers = Servers {
        tell,
        happens,
        restarts: Restarts::default(),
        binary,
        current,
        begun: Instant::now(),
        coming: None,
        leaving: Vec::new(),
    };
    loop {
        let status = servers.follow()?;
        let end = match status.signal() {
            Some(signal) => ServerEnd::Signal(signal),
            None => ServerEnd::Code(status.code().unwrap_or(Exit::Failed as i32)),
        };
        let stood = servers.begun.elapsed();
        let wait = match servers.restarts.ended(end, stood) {
            Sequel::Over(code) => {
                servers.await_rest();
                return Ok(code);
            }
            Sequel::Again(wait) => wait,
        };
        let (pid, stood) = (servers.current.id(), stood.as_secs_f64());
        let soon = match wait.is_zero() {
            true => "at once".to_owned(),
            false => format!("in {:.1} s", wait.as_secs_f64()),
        };
        print::note(format!(
            "supervise: the server (process {pid}) ended with {status} after {stood:.1} s; it is \
             started again {soon}"
        ));
        if let Some(code) = servers.pause(wait) {
            return Ok(code);
        }
        servers.start_again()?;
    }
}

/// The command that this process was started with, of that program, as one that watches nobody.
fn server(binary: &Path, all: impl IntoIterator<Item = OsString>) -> Command {
    let mut command = Command::new(binary);
    let mut ends_with_parent = false;
    for typed in all.into_iter().skip(1) {
        ends_with_parent |= typed == "--end-with-parent";
        command.arg(typed);
    }
    command.arg("--no-restart");
    if !ends_with_parent {
        command.arg("--end-with-parent");
    }
    // Ctrl-C reaches a whole group: it would meet the server twice, once passed on.
    command.process_group(0);
    command
}

impl Servers {
    /// Passes signals on and carries upgrades out until the server has ended; how it did.
    fn follow(&mut self) -> Result<ExitStatus, Failure> {
        while let Ok(happened) = self.happens.recv() {
            match happened {
                Happened::Signalled(SIGUSR2) => self.begin(UpgradeRequest::signalled()),
                Happened::Signalled(signal) => self.pass(signal),
                Happened::Asked(request) => self.begin(request),
                Happened::NewServer(pid, came) => self.came(pid, came),
                Happened::Ended(pid) if pid == self.current.id() => break,
                Happened::Ended(pid) => self.forget(pid),
            }
        }
        let status = self.current.wait()?;
        if let Some(mut coming) = self.coming.take() {
            let _ = UpgradeEnd::Ended.settled(&mut coming.child);
            let why = "the server that runs has ended meanwhile".to_owned();
            coming.request.end(Err(why));
        }
        Ok(status)
    }

    fn pass(&mut self, signal: i32) {
        self.restarts.is_ending |= signal != SIGHUP;
        let Some(named) = Signal::from_named_raw(signal) else {
            return;
        };
        let _ = kill_process(Pid::from_child(&self.current), named);
        let others = self.leaving.iter();
        let others = others.chain(self.coming.as_ref().map(|it| &it.child));
        for other in others.filter(|_| signal != SIGHUP) {
            let _ = kill_process(Pid::from_child(other), named);
        }
    }

    /// Starts the server that is to take over.
    fn begin(&mut self, request: UpgradeRequest) {
        let begun = match (&self.coming, self.restarts.is_ending) {
            (Some(_), _) => Err("an upgrade is under way".to_owned()),
            (None, true) => Err("the server is being ended".to_owned()),
            (None, false) => self.start_new(&request),
        };
        match begun {
            Ok((child, binary)) => {
                self.coming = Some(Coming {
                    child,
                    begun: Instant::now(),
                    binary,
                    request,
                });
            }
            Err(why) => request.end(Err(why)),
        }
    }

    fn start_new(&self, request: &UpgradeRequest) -> Result<(Child, PathBuf), String> {
        let new = request.new_server(server_name(self.current.id()))?;
        let mut command = server(&new.binary, std::env::args_os());
        let (mut child, started) = new.start(&mut command)?;
        let (tell, pid) = (self.tell.clone(), child.id());
        let thread = std::thread::Builder::new().name("upgrade".to_owned());
        let waits = thread.spawn(move || tell.send(Happened::NewServer(pid, started.wait())));
        if let Err(error) = waits {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("there can be no thread: {error}"));
        }
        Ok((child, new.binary))
    }

    /// The new server has taken over, or has not.
    fn came(&mut self, pid: u32, came: UpgradeEnd) {
        let Some(mut coming) = self.coming.take_if(|it| it.child.id() == pid) else {
            return;
        };
        let went = came.settled(&mut coming.child);
        self.restarts.has_lost_successor |= went.is_err();
        if went.is_ok() {
            // Should it not be possible to hear of its end, it is heard of when all end.
            let _ = await_end(&coming.child, self.tell.clone());
            let before = std::mem::replace(&mut self.current, coming.child);
            self.leaving.push(before);
            self.begun = coming.begun;
            self.binary = coming.binary;
        }
        coming.request.end(went);
    }

    /// A server whose successor has taken over has ended.
    fn forget(&mut self, pid: u32) {
        self.leaving.retain_mut(|it| {
            let is_it = it.id() == pid;
            if is_it {
                let _ = it.wait();
            }
            !is_it
        });
    }

    /// Waits for those that still tell their peers to come back; a signal is passed on.
    fn await_rest(&mut self) {
        while !self.leaving.is_empty() {
            match self.happens.recv() {
                Ok(Happened::Ended(pid)) => self.forget(pid),
                Ok(Happened::Signalled(signal)) => self.pass(signal),
                Ok(Happened::Asked(request)) => {
                    request.end(Err("the server is being ended".to_owned()));
                }
                Ok(Happened::NewServer(..)) => {}
                Err(_) => return,
            }
        }
    }

    /// Waits for that time; the exit code if somebody wants the end meanwhile.
    fn pause(&mut self, time: Duration) -> Option<u8> {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.happens.recv_timeout(left) {
                Ok(Happened::Signalled(SIGHUP | SIGUSR2) | Happened::NewServer(..)) => {}
                Ok(Happened::Ended(pid)) => self.forget(pid),
                Ok(Happened::Asked(request)) => {
                    request.end(Err(
                        "the server has crashed, and is started again".to_owned()
                    ));
                }
                Ok(Happened::Signalled(_)) => return Some(Exit::Pass as u8),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    fn start_again(&mut self) -> Result<(), Failure> {
        self.current = server(&self.binary, std::env::args_os()).spawn()?;
        self.begun = Instant::now();
        await_end(&self.current, self.tell.clone())
    }
}

/// Signals to this process happen to it.
fn pass_signals(tell: Sender<Happened>) -> Result<(), Failure> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR2])?;
    let thread = std::thread::Builder::new().name("signals".to_owned());
    thread.spawn(move || {
        for signal in signals.forever() {
            if tell.send(Happened::Signalled(signal)).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

/// The end of that process happens to this one. Its number stays its own until it is waited for.
fn await_end(child: &Child, tell: Sender<Happened>) -> Result<(), Failure> {
    let (pid, ended) = (Pid::from_child(child), child.id());
    let thread = std::thread::Builder::new().name("server".to_owned());
    thread.spawn(move || {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(pid), options) {}
        let _ = tell.send(Happened::Ended(ended));
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KILLED: ServerEnd = ServerEnd::Signal(9);
    const LONG: Duration = Duration::from_secs(60);
    const SOON: Duration = Duration::from_millis(300);

    #[test]
    fn who_crashes_is_started_again_and_more_slowly_the_sooner_it_crashes() {
        let mut restarts = Restarts::default();
        let mut next = |end, after| restarts.ended(end, after);
        let again = |ms| Sequel::Again(Duration::from_millis(ms));
        assert_eq!(next(KILLED, LONG), again(0));
        for wait in [0, 200, 400, 800] {
            assert_eq!(next(ServerEnd::Code(1), SOON), again(wait));
        }
        for _ in 0..20 {
            next(KILLED, SOON);
        }
        assert_eq!(next(KILLED, SOON), again(30_000));
        assert_eq!(next(KILLED, LONG), again(0), "it had stayed");
    }

    #[test]
    fn who_ends_as_it_should_or_never_started_is_not() {
        for (end, after, code) in [
            (ServerEnd::Code(0), LONG, 0),
            (ServerEnd::Code(2), LONG, 2),
            (ServerEnd::Code(1), SOON, 1),
        ] {
            let mut restarts = Restarts::default();
            assert_eq!(restarts.ended(end, after), Sequel::Over(code), "{end:?}");
        }
        // It has ended because another one was to serve, which is gone too.
        let mut restarts = Restarts {
            has_lost_successor: true,
            ..Restarts::default()
        };
        let again = Sequel::Again(Duration::ZERO);
        assert_eq!(restarts.ended(ServerEnd::Code(0), LONG), again);
        restarts.is_ending = true;
        assert_eq!(restarts.ended(ServerEnd::Code(0), LONG), Sequel::Over(0));
        let mut restarts = Restarts {
            is_ending: true,
            ..Restarts::default()
        };
        assert_eq!(restarts.ended(KILLED, LONG), Sequel::Over(137));
    }
}
