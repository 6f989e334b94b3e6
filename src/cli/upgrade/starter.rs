//! Starts the server that is to take over, and waits until it does or says why not.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, io};

/// What tells a server whom it takes over from, and how many milliseconds it has for that. Its
/// standard input is then where it says how it went.
const VARIABLE: &str = "RINGSTORM_TAKE_OVER";
/// What a server says when it has taken over.
const READY: &str = "ready";
/// What it says before the reason why it does not.
const FAILED: &str = "failed: ";
/// Time beyond its own that a new server has to say how it went.
const GRACE: Duration = Duration::from_secs(3);

/// What is to be started.
#[derive(Debug)]
pub(in crate::cli) struct NewServer {
    /// The program.
    pub(in crate::cli) binary: PathBuf,
    /// The name of the server that runs.
    pub(in crate::cli) from: String,
    /// Time to get ready.
    pub(in crate::cli) within: Duration,
}

/// A server that was started and has not yet said how it went.
#[derive(Debug)]
pub(in crate::cli) struct StartedServer {
    link: BufReader<UnixStream>,
    within: Duration,
}

/// How a new server went on.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) enum UpgradeEnd {
    /// It has taken over.
    Ready,
    /// It says why it has not.
    Failed(String),
    /// It ended, or is no server of this kind.
    Ended,
    /// It is too slow.
    Late(Duration),
}

/// The program that runs, or what has taken its place on disk.
pub(in crate::cli) fn own_binary() -> io::Result<PathBuf> {
    let path = env::current_exe()?;
    // proc(5): that is what a file is called whose name is another file's by now.
    let text = path.to_string_lossy();
    let replaced = text.strip_suffix(" (deleted)").map(PathBuf::from);
    Ok(replaced.unwrap_or(path))
}

/// Says what is wrong with a program before it is started.
pub(in crate::cli) fn check(binary: &Path) -> Result<(), String> {
    let shown = binary.display();
    match binary.metadata() {
        Err(error) => Err(format!("{shown}: {error}; try: --binary PATH")),
        Ok(found) if !found.is_file() => {
            Err(format!("{shown} is no file; try: the path of a program"))
        }
        Ok(_) => Ok(()),
    }
}

impl NewServer {
    /// Starts it by that command, to which whom it takes over from is added.
    pub(in crate::cli) fn start(
        &self,
        command: &mut Command,
    ) -> Result<(Child, StartedServer), String> {
        let shown = self.binary.display();
        let failed = |error: io::Error| {
            format!("{shown} cannot be started: {error}; try: a program, chmod +x")
        };
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let within = self.within.as_millis();
        let child = command
            .env(VARIABLE, format!("{} {within}", self.from))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn();
        // The command holds the other end, whose closing is to be noticed.
        command.stdin(Stdio::null());
        let started = StartedServer {
            link: BufReader::new(ours),
            within: self.within,
        };
        Ok((child.map_err(failed)?, started))
    }
}

impl StartedServer {
    /// Waits until it has said how it went.
    pub(in crate::cli) fn wait(mut self) -> UpgradeEnd {
        let late = UpgradeEnd::Late(self.within);
        let limit = self
            .link
            .get_ref()
            .set_read_timeout(Some(self.within + GRACE));
        if limit.is_err() {
            return late;
        }
        let mut line = String::new();
        match self.link.read_line(&mut line) {
            Ok(_) => match line.trim_end() {
                READY => UpgradeEnd::Ready,
                text => text
                    .strip_prefix(FAILED)
                    .map_or(UpgradeEnd::Ended, |why| UpgradeEnd::Failed(why.to_owned())),
            },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => late,
            Err(_) => UpgradeEnd::Ended,
        }
    }
}

impl UpgradeEnd {
    /// Ends what has not taken over; why it has not.
    pub(in crate::cli) fn settled(self, child: &mut Child) -> Result<u32, String> {
        if self == Self::Ready {
            return Ok(child.id());
        }
        // One that says why ends by itself; what it has printed is to be whole.
        let is_ending = matches!(self, Self::Failed(_) | Self::Ended);
        for _ in 0..if is_ending { 100 } else { 0 } {
            if let Ok(Some(_)) = child.try_wait() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = child.kill();
        let status = child.wait();
        Err(match self {
            Self::Failed(why) => why,
            Self::Late(within) => format!(
                "the new server was not ready within {}; try: --timeout, or look at what it says",
                shown(within)
            ),
            Self::Ended | Self::Ready => match status {
                Ok(status) => format!(
                    "the new server ended ({status}) before it was ready; try: look at what it says"
                ),
                Err(error) => format!("the new server is gone: {error}"),
            },
        })
    }
}

/// A time as it would be typed.
fn shown(time: Duration) -> String {
    match time.subsec_millis() {
        0 => format!("{} s", time.as_secs()),
        _ => format!("{} ms", time.as_millis()),
    }
}

/// Whether this process was started to take over.
pub(in crate::cli) fn is_under_way() -> bool {
    env::var_os(VARIABLE).is_some()
}

/// Whom this process takes over from, and the time for that.
pub(super) fn task() -> Option<(String, Duration)> {
    let text = env::var(VARIABLE).ok()?;
    let (name, within) = text.rsplit_once(' ')?;
    Some((name.to_owned(), Duration::from_millis(within.parse().ok()?)))
}

/// Says that this process has taken over.
pub(super) fn say_ready() {
    say(READY);
}

/// Says why this process does not take over, if it was to.
pub(in crate::cli) fn say_failed(why: &str) {
    if is_under_way() {
        say(&format!("{FAILED}{}", why.replace('\n', " ")));
    }
}

/// It is heard by nobody if that process is gone, or had said so before.
fn say(text: &str) {
    let stdin = io::stdin();
    let _ = rustix::io::write(stdin.as_fd(), format!("{text}\n").as_bytes());
}

/// The arguments that this process was started with.
pub(super) fn arguments() -> impl Iterator<Item = OsString> {
    env::args_os().skip(1)
}
