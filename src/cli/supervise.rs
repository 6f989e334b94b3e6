//! `serve --supervise`: a process that watches the server, its child: a server that crashes is
//! started again, sooner or later by how often it crashed. Signals are passed on.

use super::{Exit, Failure, print};
use clap::Args;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, set_parent_process_death_signal, waitid,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
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

    /// Whether this is the server, which another process watches.
    pub(super) const fn is_watched(&self) -> bool {
        self.supervise && self.no_restart && self.end_with_parent
    }
}

/// What happens to the watching process.
enum Happened {
    /// The server has ended.
    Ended,
    /// It was sent that signal.
    Signalled(i32),
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
        if self.is_ending || end == ServerEnd::Code(0) || is_wrong || has_not_started {
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

/// Watches servers that are started as this process was, until one ends as it should.
pub(super) fn run(flags: &SuperviseFlags) -> Result<u8, Failure> {
    let (tell, happens) = channel();
    pass_signals(tell.clone())?;
    if flags.end_with_parent {
        set_parent_process_death_signal(Some(Signal::TERM)).map_err(io::Error::from)?;
    }
    let mut restarts = Restarts::default();
    loop {
        // By this thread, which stays: the kernel takes the end of the thread that started a
        // process for that of its parent (prctl(2), PR_SET_PDEATHSIG).
        let mut child = server(std::env::args_os())?.spawn()?;
        let begun = Instant::now();
        await_end(&child, tell.clone())?;
        let status = follow(&mut child, &happens, &mut restarts)?;
        let end = match status.signal() {
            Some(signal) => ServerEnd::Signal(signal),
            None => ServerEnd::Code(status.code().unwrap_or(Exit::Failed as i32)),
        };
        let wait = match restarts.ended(end, begun.elapsed()) {
            Sequel::Over(code) => return Ok(code),
            Sequel::Again(wait) => wait,
        };
        let (pid, stood) = (child.id(), begun.elapsed().as_secs_f64());
        let soon = match wait.is_zero() {
            true => "at once".to_owned(),
            false => format!("in {:.1} s", wait.as_secs_f64()),
        };
        print::note(format!(
            "supervise: the server (process {pid}) ended with {status} after {stood:.1} s; it is \
             started again {soon}"
        ));
        if let Some(code) = pause(wait, &happens) {
            return Ok(code);
        }
    }
}

/// The command that this process was started with, as one that watches nobody.
fn server(all: impl IntoIterator<Item = OsString>) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
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
    Ok(command)
}

/// Signals to this process happen to it.
fn pass_signals(tell: Sender<Happened>) -> Result<(), Failure> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
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
    let pid = Pid::from_child(child);
    let thread = std::thread::Builder::new().name("server".to_owned());
    thread.spawn(move || {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(pid), options) {}
        let _ = tell.send(Happened::Ended);
    })?;
    Ok(())
}

/// Passes signals on until the server has ended; how it did.
fn follow(
    child: &mut Child,
    happens: &Receiver<Happened>,
    restarts: &mut Restarts,
) -> Result<ExitStatus, Failure> {
    while let Ok(Happened::Signalled(signal)) = happens.recv() {
        restarts.is_ending |= signal != SIGHUP;
        if let Some(signal) = Signal::from_named_raw(signal) {
            let _ = kill_process(Pid::from_child(child), signal);
        }
    }
    Ok(child.wait()?)
}

/// Waits for that time; the exit code if somebody wants the end meanwhile.
fn pause(time: Duration, happens: &Receiver<Happened>) -> Option<u8> {
    let until = Instant::now() + time;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match happens.recv_timeout(left) {
            Ok(Happened::Signalled(SIGHUP) | Happened::Ended) => {}
            Ok(Happened::Signalled(_)) => return Some(Exit::Pass as u8),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
        }
    }
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
        let mut restarts = Restarts {
            is_ending: true,
            ..Restarts::default()
        };
        assert_eq!(restarts.ended(KILLED, LONG), Sequel::Over(137));
    }
}
