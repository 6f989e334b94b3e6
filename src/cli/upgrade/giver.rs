//! The server that runs gives what it has to the one that takes over: its listening sockets, then
//! the files that only one process can have, then everybody who comes. Till then it can go back.

use super::notify;
use super::talk::{Talk, UpgradeMessage, VERSION};
use crate::cli::print;
use crate::engine::{GivenSockets, InHandover, Listeners, Stop};
use crate::server::HandedOver;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Time to hear something of a new server; it has a limit of its own, and its end is heard of.
const SILENCE: Duration = Duration::from_secs(3600);

/// A file or folder that only one process can have.
pub(in crate::cli) trait Lendable: Send {
    /// Closes it.
    fn lend(&self);

    /// It is not used elsewhere after all.
    fn take_back(&self);
}

/// What a server has to give. Clones are the same.
#[derive(Clone)]
pub(in crate::cli) struct Giver(Arc<GiverParts>);

struct GiverParts {
    engine: &'static str,
    upgrades: u64,
    stop: Stop,
    handed_over: HandedOver,
    holdings: Mutex<Holding>,
    files: Mutex<Vec<Box<dyn Lendable>>>,
}

/// What it has, and how far giving has come.
#[derive(Default)]
struct Holding {
    sockets: Vec<GivenSockets>,
    /// Whether some of its sockets came from whoever started the process.
    has_handed: bool,
    handover: InHandover,
    stage: GivingStage,
}

/// How far giving has come.
#[derive(Default)]
enum GivingStage {
    /// It serves.
    #[default]
    Serving,
    /// A new server is getting ready.
    Giving(Arc<Talk>),
    /// That process serves; it notices the end of this one by the end of the talk.
    Over(
        u32,
        #[expect(dead_code, reason = "its end is what is said")] Arc<Talk>,
    ),
}

/// Why a server gives nothing that stops.
const ENDING: &str = "the server that runs is being ended";

impl Holding {
    /// Why nothing of it is given at the moment.
    fn refusal(&self, stop: &Stop) -> Option<String> {
        match self.stage {
            GivingStage::Over(pid, _) => Some(format!("process {pid} has taken over already")),
            GivingStage::Giving(_) => Some("an upgrade is under way".to_owned()),
            GivingStage::Serving if stop.is_thrown() => Some(ENDING.to_owned()),
            GivingStage::Serving if self.sockets.is_empty() && !self.has_handed => {
                Some("the server does not listen yet; try: again in a moment".to_owned())
            }
            GivingStage::Serving => None,
        }
    }
}

impl Giver {
    /// Of a server with that engine, which came from so many upgrades.
    pub(in crate::cli) fn new(
        engine: &'static str,
        upgrades: u64,
        (stop, handed_over): (Stop, HandedOver),
    ) -> Self {
        let giver = Self(Arc::new(GiverParts {
            engine,
            upgrades,
            stop: stop.clone(),
            handed_over,
            holdings: Mutex::default(),
            files: Mutex::default(),
        }));
        let holder = giver.clone();
        stop.on_throw(move || holder.stopped());
        giver
    }

    /// It listens there.
    pub(in crate::cli) fn listens(
        &self,
        listeners: &Listeners,
        has_handed: bool,
    ) -> io::Result<()> {
        let mut holding = self.holding();
        holding.sockets = listeners.copies()?;
        holding.handover = listeners.handover().clone();
        holding.has_handed = has_handed;
        Ok(())
    }

    /// It has a file that only one process can have.
    pub(in crate::cli) fn has(&self, file: impl Lendable + 'static) {
        self.files().push(Box::new(file));
    }

    /// Whether another process serves in its place.
    pub(in crate::cli) fn is_over(&self) -> bool {
        matches!(self.holding().stage, GivingStage::Over(..))
    }

    /// Whether some of its sockets came from whoever started the process.
    pub(super) fn has_handed(&self) -> bool {
        self.holding().has_handed
    }

    /// Why it gives nothing at the moment.
    pub(super) fn refusal(&self) -> Option<String> {
        self.holding().refusal(&self.0.stop)
    }

    /// The server is ended. One that stops to listen is to refuse: no descriptor of a socket may be
    /// left; and nobody is to take the end for a crash.
    fn stopped(&self) {
        let mut holding = self.holding();
        holding.sockets.clear();
        if let GivingStage::Giving(talk) = &holding.stage {
            let _ = talk.say(&UpgradeMessage::Failed(ENDING.to_owned()));
        }
    }

    /// Gives everything to the process at the other end, which has asked for it.
    pub(super) fn give(&self, talk: Talk, version: u32) {
        let talk = Arc::new(talk);
        let went = self.begin(&talk, version).and_then(|()| {
            let went = self.give_sockets(&talk);
            let went = went.map_err(|error| format!("sockets cannot be given: {error}"));
            let went = went.and_then(|()| self.hand_over(&talk));
            went.inspect_err(|_| self.go_back())
        });
        match went {
            Ok(pid) => self.finish(pid, talk),
            Err(why) => {
                let _ = talk.say(&UpgradeMessage::Failed(why));
            }
        }
    }

    /// From now on it is given.
    fn begin(&self, talk: &Arc<Talk>, version: u32) -> Result<(), String> {
        if version != VERSION {
            return Err(format!(
                "the server that runs hands over in another way (version {VERSION}, not \
                 {version}); try: a restart"
            ));
        }
        let mut holding = self.holding();
        if let Some(why) = holding.refusal(&self.0.stop) {
            return Err(why);
        }
        holding.stage = GivingStage::Giving(Arc::clone(talk));
        Ok(())
    }

    fn give_sockets(&self, talk: &Talk) -> io::Result<()> {
        talk.say(&UpgradeMessage::Begin {
            version: VERSION,
            engine: self.0.engine.to_owned(),
            upgrades: self.0.upgrades,
        })?;
        let holding = self.holding();
        holding.handover.begin();
        for (number, given) in holding.sockets.iter().enumerate() {
            let place = given.place.clone();
            let sockets = UpgradeMessage::Sockets { number, place };
            talk.say_all(&sockets, &given.sockets)?;
        }
        talk.say(&UpgradeMessage::All)
    }

    /// Does what the new server asks for until it is ready: its process.
    fn hand_over(&self, talk: &Talk) -> Result<u32, String> {
        loop {
            let heard = talk.hear(Some(SILENCE));
            let heard = heard.map_err(|error| format!("the new server is not understood: {error}"));
            match heard?.map(|(message, _)| message) {
                Some(UpgradeMessage::Files) => {
                    self.files().iter().for_each(|it| it.lend());
                    let said = talk.say(&UpgradeMessage::Closed);
                    said.map_err(|error| format!("the new server is gone: {error}"))?;
                }
                Some(UpgradeMessage::Ready) if self.0.stop.is_thrown() => {
                    return Err(ENDING.to_owned());
                }
                Some(UpgradeMessage::Ready) => {
                    return talk.pid().map_err(|error| error.to_string());
                }
                Some(other) => return Err(format!("the new server says {other:?}: out of place")),
                None => return Err("the new server is gone".to_owned()),
            }
        }
    }

    /// That process serves; this one has only those who are here.
    fn finish(&self, pid: u32, talk: Arc<Talk>) {
        // Whether it hears that or not, it has all.
        let _ = talk.say(&UpgradeMessage::Yours);
        self.holding().stage = GivingStage::Over(pid, talk);
        notify::tell(&format!(
            "MAINPID={pid}\nSTATUS=taken over by process {pid}"
        ));
        print::note(format_args!(
            "upgrade: process {pid} has taken over; who is connected here is told to come back"
        ));
        self.0.handed_over.say();
        self.0.stop.throw();
    }

    /// The new server is none: all is as it was.
    fn go_back(&self) {
        let mut holding = self.holding();
        holding.handover.end();
        holding.stage = GivingStage::Serving;
        drop(holding);
        self.files().iter().for_each(|it| it.take_back());
    }

    fn holding(&self) -> MutexGuard<'_, Holding> {
        self.0
            .holdings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn files(&self) -> MutexGuard<'_, Vec<Box<dyn Lendable>>> {
        self.0.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
