//! Who is asked for an upgrade, by a signal or by `ringstorm upgrade`: a server, or the process
//! that watches it. New servers ask here for what they take over, too.

use super::giver::Giver;
use super::notify;
use super::starter::{NewServer, UpgradeEnd, arguments, check, own_binary};
use super::talk::{self, Talk, UpgradeMessage};
use crate::cli::print;
use std::path::PathBuf;
use std::process::{self, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Time for a new server to get ready, if nothing else is said.
pub(in crate::cli) const READY_TIME: Duration = Duration::from_secs(30);

/// Whether another process is the parent of servers, and so the one to start them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Watched {
    /// That one.
    By(u32),
    /// None, but the server ends with the process that started it.
    EndsWithParent,
    /// None.
    No,
}

/// What is asked for.
#[derive(Debug)]
pub(in crate::cli) struct UpgradeRequest {
    /// `None` for the path of the program that runs.
    pub(in crate::cli) binary: Option<PathBuf>,
    /// Time to get ready.
    pub(in crate::cli) within: Duration,
    /// Who has asked.
    pub(in crate::cli) asker: UpgradeAsker,
}

/// Who asked for an upgrade, and is told of it beside the log.
#[derive(Debug)]
pub(in crate::cli) struct UpgradeAsker(Option<Talk>);

/// Upgrades a server that nobody watches. Clones are the same.
#[derive(Clone)]
pub(in crate::cli) struct Upgrader {
    giver: Giver,
    watched: Watched,
    /// The new server is being started.
    is_busy: Arc<AtomicBool>,
}

impl Watched {
    /// What keeps a server from starting the one that comes after it.
    fn obstacle(self) -> Option<String> {
        let text = match self {
            Self::By(pid) => {
                return Some(format!(
                    "process {pid} watches this server and has to start the new one; try: --pid \
                     {pid}"
                ));
            }
            Self::EndsWithParent => {
                "this server ends with the process that started it; try: to have that start it anew"
            }
            Self::No if process::id() == 1 => {
                "this is process 1 of its container, which ends with it; try: --supervise, whose \
                 process stays"
            }
            Self::No if notify::would_not_hear() => {
                "systemd would take the end of this process for that of the service; try: \
                 Type=notify in its unit, or --supervise"
            }
            Self::No => return None,
        };
        Some(text.to_owned())
    }
}

impl UpgradeRequest {
    /// By a signal.
    pub(in crate::cli) const fn signalled() -> Self {
        Self {
            binary: None,
            within: READY_TIME,
            asker: UpgradeAsker(None),
        }
    }

    /// The new server, which takes over from the one of that name; what is wrong with the program.
    pub(in crate::cli) fn new_server(&self, from: String) -> Result<NewServer, String> {
        let own = || own_binary().map_err(|error| format!("where this program is: {error}"));
        let binary = self.binary.clone().map_or_else(own, Ok)?;
        check(&binary)?;
        self.asker
            .note(format!("upgrade: starting {}", binary.display()));
        let within = self.within;
        Ok(NewServer {
            binary,
            from,
            within,
        })
    }

    /// Tells who has asked how it went.
    pub(in crate::cli) fn end(self, went: Result<u32, String>) {
        self.asker
            .end(went, "The server that runs goes on as before");
    }

    /// The same of a server that has nothing any more.
    fn end_after(self, went: Result<u32, String>) {
        self.asker
            .end(went, "This server has handed over, and ends");
    }
}

impl UpgradeAsker {
    /// Tells what goes on.
    fn note(&self, text: String) {
        print::note(&text);
        self.say(&UpgradeMessage::Note(text));
    }

    /// Tells how it went, and what comes of it if it went wrong.
    fn end(self, went: Result<u32, String>, sequel: &str) {
        match went {
            Ok(pid) => self.say(&UpgradeMessage::Done(pid)),
            Err(why) => {
                let why = why.strip_prefix("upgrade: ").unwrap_or(&why);
                let why = format!("{why}. {sequel}");
                print::note(format_args!("upgrade: {why}"));
                self.say(&UpgradeMessage::Failed(why));
            }
        }
    }

    fn say(&self, message: &UpgradeMessage) {
        if let Some(talk) = &self.0 {
            let _ = talk.say(message);
        }
    }
}

impl Upgrader {
    /// Of that server. It can be asked by its name from now on.
    pub(in crate::cli) fn start(giver: Giver, watched: Watched) -> Self {
        let upgrader = Self {
            giver,
            watched,
            is_busy: Arc::default(),
        };
        let asked = upgrader.clone();
        answer(
            &name(process::id(), watched),
            move |talk, message| match message {
                UpgradeMessage::Take { version } => asked.giver.give(talk, version),
                UpgradeMessage::Upgrade { binary, within_ms } => asked.upgrade(UpgradeRequest {
                    binary,
                    within: Duration::from_millis(within_ms),
                    asker: UpgradeAsker(Some(talk)),
                }),
                _ => {}
            },
        );
        upgrader
    }

    /// A signal asks for it.
    pub(in crate::cli) fn signalled(&self) {
        let upgrader = self.clone();
        let thread = std::thread::Builder::new().name("upgrade".to_owned());
        let started = thread.spawn(move || upgrader.upgrade(UpgradeRequest::signalled()));
        if let Err(error) = started {
            print::note(format_args!("upgrade: there can be no thread: {error}"));
        }
    }

    /// Upgrades, and tells how it went.
    fn upgrade(&self, request: UpgradeRequest) {
        let went = self.try_upgrade(&request);
        match self.giver.is_over() {
            true => request.end_after(went),
            false => request.end(went),
        }
    }

    fn try_upgrade(&self, request: &UpgradeRequest) -> Result<u32, String> {
        if let Some(why) = self.watched.obstacle() {
            return Err(why);
        }
        if let Some(why) = self.giver.refusal() {
            return Err(why);
        }
        if self.is_busy.swap(true, Ordering::AcqRel) {
            return Err("an upgrade is under way".to_owned());
        }
        let went = self.start_server(request);
        self.is_busy.store(false, Ordering::Release);
        went
    }

    fn start_server(&self, request: &UpgradeRequest) -> Result<u32, String> {
        let new = request.new_server(name(process::id(), self.watched))?;
        let mut command = Command::new(&new.binary);
        command.args(arguments());
        if self.giver.has_handed() {
            // sd_listen_fds(3): they are those of the process that passes them on.
            command.env("LISTEN_PID", process::id().to_string());
        }
        let (mut child, started) = new.start(&mut command)?;
        let came: UpgradeEnd = started.wait();
        came.settled(&mut child)
    }
}

/// By which name a process is asked, or a server that another one watches.
fn name(pid: u32, watched: Watched) -> String {
    match watched {
        Watched::By(_) => server_name(pid),
        Watched::No | Watched::EndsWithParent => process_name(pid),
    }
}

/// By which name a server is asked that another process watches.
pub(in crate::cli) fn server_name(pid: u32) -> String {
    format!("{PREFIX}{pid}/server")
}

/// By which name a process is asked for an upgrade.
pub(super) fn process_name(pid: u32) -> String {
    format!("{PREFIX}{pid}")
}

/// What all names begin with.
pub(super) const PREFIX: &str = "ringstorm/";

/// Hears whoever comes, each on a thread of its own, and hands over what was said first.
fn listen(
    name: &str,
    heard: impl Fn(Talk, UpgradeMessage) + Send + Sync + 'static,
) -> Result<(), String> {
    let socket = talk::listen(name);
    let socket = socket.map_err(|error| format!("no socket by the name @{name}: {error}"))?;
    let heard = Arc::new(heard);
    let accept = move || {
        loop {
            let Ok((peer, _)) = socket.accept() else {
                std::thread::sleep(Duration::from_millis(100));
                continue;
            };
            let heard = Arc::clone(&heard);
            let hear = move || {
                let Ok(talk) = Talk::with(peer) else {
                    return;
                };
                if let Ok(Some((message, _))) = talk.hear(Some(Duration::from_secs(5))) {
                    heard(talk, message);
                }
            };
            let thread = std::thread::Builder::new().name("upgrade".to_owned());
            let _ = thread.spawn(hear);
        }
    };
    let thread = std::thread::Builder::new().name("upgrades".to_owned());
    let started = thread.spawn(accept).map(drop);
    started
        .map_err(|error| format!("no thread for it (clone): {error}; try: a higher limit of tasks"))
}

/// The same; that nobody can be heard is said, and is no reason not to serve.
fn answer(name: &str, heard: impl Fn(Talk, UpgradeMessage) + Send + Sync + 'static) {
    if let Err(why) = listen(name, heard) {
        print::note(format_args!("upgrade: not possible: {why}"));
    }
}

/// Has a process that watches a server asked for upgrades of it.
pub(in crate::cli) fn answer_for_server(asked: impl Fn(UpgradeRequest) + Send + Sync + 'static) {
    let heard = move |talk: Talk, message| {
        if let UpgradeMessage::Upgrade { binary, within_ms } = message {
            asked(UpgradeRequest {
                binary,
                within: Duration::from_millis(within_ms),
                asker: UpgradeAsker(Some(talk)),
            });
        }
    };
    answer(&process_name(process::id()), heard);
}
