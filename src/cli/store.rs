//! `serve --store`: opens the file, says what was recovered, and what becomes of it later.

use super::upgrade::Lendable;
use super::{Failure, print};
use crate::app::hub::session::is_session;
use crate::app::hub::store::{
    RestoredChannels, StoreBatch, StoreChange, StoreCounts, StoreDisk, StoreEnd, StoreEntry,
    StoreNews, StorePlan,
};
use crate::app::realtime::RealtimePlan;
use crate::app::tokens::RevokedTokens;
use crate::engine::{self, EngineError};
use crate::limits;
use crate::store::{Store, StoreBell, StoreContents, StoreFile};
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A store that is open.
pub(super) struct OpenStore {
    store: Store,
    restored: RestoredChannels,
    /// Nothing was missing when it was opened.
    was_whole: bool,
    loan: StoreLoan,
}

/// A store that another process may have for a while, or for good.
#[derive(Clone, Debug)]
pub(super) struct StoreLoan(Arc<Mutex<LentFile>>);

#[derive(Debug)]
struct LentFile {
    file: StoreFile,
    is_lent: bool,
}

/// What is said of a store that another process has.
const LENT: &str = "the server that takes over has it";

impl StoreLoan {
    fn file(&self) -> MutexGuard<'_, LentFile> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lendable for StoreLoan {
    /// What comes from now on is not written. It is not closed as whole: whoever opens it knows
    /// that something may be missing.
    fn lend(&self) {
        // What has been told by now is written by then.
        std::thread::sleep(limits::STORE_GATHER_TIME * 4);
        let mut lent = self.file();
        lent.is_lent = true;
        lent.file.close();
    }

    fn take_back(&self) {
        self.file().is_lent = false;
    }
}

impl StoreDisk for StoreLoan {
    fn write(&mut self, batch: &StoreBatch, end: StoreEnd) -> Result<(), String> {
        let mut lent = self.file();
        match lent.is_lent {
            true => Err(LENT.to_owned()),
            false => lent.file.write(batch, end),
        }
    }

    fn bytes(&self) -> u64 {
        self.file().file.bytes()
    }
}

impl OpenStore {
    /// Opens that file for so many cores: their channels are then as they were.
    pub(super) fn open(
        path: &Path,
        realtime: &mut RealtimePlan,
        cores: usize,
        secret: [u8; 32],
    ) -> Result<Self, Failure> {
        let shown = path.display().to_string();
        let begun = engine::now();
        let opened = StoreFile::open(path.to_owned(), realtime.wall, secret);
        let (file, mut contents) =
            opened.map_err(|fault| Failure::Run(format!("--store {shown}: {fault}")))?;
        let (bell, counts) = (StoreBell::default(), StoreCounts::default());
        let over = take_revoked(&mut contents, realtime);
        let recovered = recovered(&contents, &counts);
        counts.bytes.store(file.bytes(), Relaxed);
        let cookie_secret = contents.secret;
        let was_whole = contents.was_whole;
        let count = u16::try_from(cores).unwrap_or(u16::MAX);
        let home = |name: &str| realtime.home_of(name, count);
        let restored = RestoredChannels::new(engine::now(), count, contents.channels, home);
        let plan = StorePlan {
            lines: bell.lines(cores, &counts),
            counts,
            restored: restored.clone(),
            cookie_secret,
        };
        if let Some(line) = plan.lines.first() {
            over.into_iter().for_each(|entry| line.push(entry));
        }
        let took = engine::now().since(begun).as_millis();
        print::note(format!("store {shown}: {recovered} ({took} ms)"));
        let told = move |news: StoreNews| {
            // That is no fault, and the upgrade tells of it.
            if news != StoreNews::Failing(LENT.to_owned()) {
                print::note(format!("store {shown}: {}", said(&news)));
            }
        };
        let is_lent = false;
        let loan = StoreLoan(Arc::new(Mutex::new(LentFile { file, is_lent })));
        let started = Store::start(loan.clone(), &plan, &bell, told);
        let started = started.map_err(|it| EngineError::no_threads("the thread of --store", it));
        realtime.store = Some(plan);
        Ok(Self {
            store: started?,
            restored,
            was_whole,
            loan,
        })
    }

    /// For another process, which can have it instead.
    pub(super) fn loan(&self) -> StoreLoan {
        self.loan.clone()
    }

    /// The cores have ended as they should, or not.
    pub(super) fn finish(self, ran: &Result<String, Failure>) {
        let is_untouched = self.was_whole && self.restored.is_untouched();
        self.store.finish(match ran {
            Ok(_) => StoreEnd::Whole,
            Err(_) if is_untouched => StoreEnd::Whole,
            Err(_) => StoreEnd::GoesOn,
        });
    }
}

/// Takes the tokens that were taken back from what a file held; what it need not hold any more.
fn take_revoked(contents: &mut StoreContents, realtime: &RealtimePlan) -> Vec<StoreEntry> {
    let now_s = realtime.wall.seconds(engine::now());
    let mut over = Vec::new();
    contents.channels.retain(|it| {
        let is_token = RevokedTokens::is_channel(&it.name);
        if is_token && it.top <= now_s {
            over.push(StoreEntry {
                channel: Arc::clone(&it.name),
                change: StoreChange::Forgotten,
            });
        } else if is_token {
            realtime.revoked.restore(&it.name, it.top);
        }
        !is_token
    });
    over
}

/// What a file held, in words.
fn recovered(contents: &StoreContents, counts: &StoreCounts) -> String {
    if contents.is_new {
        return "begun".to_owned();
    }
    let all = &contents.channels;
    let sessions = all.iter().filter(|it| is_session(&it.name)).count() as u64;
    let channels = all.len() as u64 - sessions;
    let publications: u64 = all.iter().map(|it| it.publications.len() as u64).sum();
    counts.restored_channels.store(channels, Relaxed);
    counts
        .restored_publications
        .store(publications - sessions, Relaxed);
    counts.restored_sessions.store(sessions, Relaxed);
    let missing = match (contents.was_whole, contents.unreadable) {
        (true, 0) => String::new(),
        (_, 0) => ", but it was not closed: what came last may be missing, and subscribers who \
                   come back are told so"
            .to_owned(),
        (_, unreadable) => format!(", without {} that cannot be read", print::whole(unreadable)),
    };
    format!(
        "recovered {} with {}, {}{missing}",
        print::counted(channels, "channel"),
        print::counted(publications - sessions, "publication"),
        print::counted(sessions, "session"),
    )
}

fn said(news: &StoreNews) -> String {
    match news {
        StoreNews::Failing(why) => format!(
            "cannot be written: {why}. The server goes on, and tries again each second; what is \
             new is kept in memory until then"
        ),
        StoreNews::Written { lost: 0 } => "is written again, nothing is lost".to_owned(),
        StoreNews::Written { lost } => format!(
            "is written again; {} changes are lost, so subscribers who come back after the next \
             start are told that something may be missing",
            print::whole(*lost)
        ),
    }
}
