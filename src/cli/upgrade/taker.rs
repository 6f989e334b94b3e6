//! The server that takes over: it asks the one that runs for what it has, gets ready with it, says
//! so, and is the only one from then on.

use super::starter::{say_ready, task};
use super::talk::{Talk, UpgradeMessage, VERSION};
use crate::cli::{Failure, print};
use crate::engine::{EngineError, GivenSockets, InHandover, Stop};
use crate::server::StartedCores;
use std::time::{Duration, Instant};

/// Time between two looks at whether all cores serve.
const LOOK: Duration = Duration::from_millis(2);
/// Time for the server that runs to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// What was taken, and from whom.
#[derive(Debug)]
pub(in crate::cli) struct Taker {
    talk: Talk,
    /// The process that runs.
    from: u32,
    /// When it is too late.
    until: Instant,
    /// What it listens at.
    pub(in crate::cli) sockets: Vec<GivenSockets>,
    /// How often servers were upgraded to come to this one.
    pub(in crate::cli) upgrades: u64,
}

/// When a server that takes over is ready.
#[derive(Debug)]
pub(in crate::cli) struct Readiness {
    /// How many cores serve.
    pub(in crate::cli) started: StartedCores,
    /// How many there are.
    pub(in crate::cli) cores: usize,
    /// How they are told to end.
    pub(in crate::cli) stop: Stop,
    /// Whether the other process accepts at its sockets.
    pub(in crate::cli) handover: InHandover,
}

impl Taker {
    /// Asks for the sockets, if this process was started to take over, for a server of that engine.
    pub(in crate::cli) fn new(engine: &str) -> Result<Option<Self>, Failure> {
        let Some((name, within)) = task() else {
            return Ok(None);
        };
        let until = Instant::now() + within;
        let gone = |error| failure(&format!("the server that runs cannot be asked: {error}"));
        let talk = Talk::to(&name).map_err(gone)?;
        let mut taker = Self {
            from: talk.pid().map_err(gone)?,
            talk,
            until,
            sockets: Vec::new(),
            upgrades: 0,
        };
        taker.take(engine)?;
        Ok(Some(taker))
    }

    fn take(&mut self, own: &str) -> Result<(), Failure> {
        self.say(&UpgradeMessage::Take { version: VERSION })?;
        loop {
            let (message, descriptors) = self.hear()?;
            match message {
                UpgradeMessage::Begin {
                    engine, upgrades, ..
                } => {
                    // A socket either waits for those who accept or does not: engines differ.
                    if engine != own {
                        return Err(failure(&format!(
                            "the server that runs has --engine {engine}, this one --engine {own}; \
                             try: the same, or a restart"
                        )));
                    }
                    self.upgrades = upgrades + 1;
                }
                // Those of one place may come in several messages.
                UpgradeMessage::Sockets { number, place } => match self.sockets.get_mut(number) {
                    Some(given) => given.sockets.extend(descriptors),
                    None => self.sockets.push(GivenSockets {
                        place,
                        sockets: descriptors,
                    }),
                },
                UpgradeMessage::All => return Ok(()),
                other => return Err(unexpected(other)),
            }
        }
    }

    /// Has the other one close the files that only one process can have.
    pub(in crate::cli) fn take_files(&self) -> Result<(), Failure> {
        self.say(&UpgradeMessage::Files)?;
        match self.hear()?.0 {
            UpgradeMessage::Closed => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    /// Says on a thread of its own that this server is ready, once it is.
    pub(in crate::cli) fn finish(self, ready: Readiness) -> Result<(), EngineError> {
        let thread = std::thread::Builder::new().name("upgrade".to_owned());
        let finishes = move || self.follow(&ready);
        let started = thread.spawn(finishes).map(drop);
        started.map_err(|source| EngineError::no_threads("the thread of an upgrade", source))
    }

    fn follow(self, ready: &Readiness) {
        while ready.started.number() < ready.cores {
            if ready.stop.is_thrown() {
                return;
            }
            std::thread::sleep(LOOK);
        }
        if let Err(failure) = self.commit() {
            super::say_failed(&failure.to_string());
            print::complain(&failure);
            // Who came here already is told to come back.
            ready.stop.throw();
            return;
        }
        ready.handover.decide();
        let from = self.from;
        print::note(format_args!("upgrade: took over from process {from}"));
        say_ready();
        while let Ok(Some(_)) | Err(_) = self.talk.hear(None) {
            if ready.stop.is_thrown() {
                return;
            }
        }
        ready.handover.end();
        print::note(format_args!("upgrade: process {from} has ended"));
    }

    /// From here on there is no way back: all is this server's.
    fn commit(&self) -> Result<(), Failure> {
        if Instant::now() > self.until {
            return Err(failure("it took too long; try: --timeout"));
        }
        // It may be gone: what it said last is heard all the same, and if that was nothing against
        // it this server is all that is left.
        let _ = self.talk.say(&UpgradeMessage::Ready);
        match self.talk.hear(Some(ANSWER)) {
            Ok(Some((UpgradeMessage::Failed(why), _))) => Err(failure(&why)),
            Ok(Some((UpgradeMessage::Yours, _)) | None) => Ok(()),
            Ok(Some((other, _))) => Err(unexpected(other)),
            Err(error) => Err(failure(&format!("the server that runs is silent: {error}"))),
        }
    }

    fn say(&self, message: &UpgradeMessage) -> Result<(), Failure> {
        let said = self.talk.say(message);
        said.map_err(|error| failure(&format!("the server that runs is gone: {error}")))
    }

    fn hear(&self) -> Result<(UpgradeMessage, Vec<std::os::fd::OwnedFd>), Failure> {
        match self.talk.hear(Some(ANSWER)) {
            Ok(Some(heard)) => Ok(heard),
            Ok(None) => Err(failure("the server that runs is gone")),
            Err(error) => Err(failure(&format!("the server that runs is silent: {error}"))),
        }
    }
}

fn failure(why: &str) -> Failure {
    Failure::Run(format!("upgrade: {why}"))
}

fn unexpected(message: UpgradeMessage) -> Failure {
    match message {
        UpgradeMessage::Failed(why) => failure(&why),
        other => failure(&format!(
            "the server that runs says {other:?}: out of place"
        )),
    }
}
