//! Writes what the chats of a server tell into files, on a thread of its own: `chat-logs.jsonl`, an
//! event a line, `bandwidth.jsonl`, a second a line, and beside them a rollup of each minute.

mod file;
mod folder;
mod kind;
mod line;
mod minute;
mod replay;
mod rollup;
mod scan;
mod second;

pub(super) use folder::LogFolder;
pub(super) use kind::{LogFile, LogKind};
pub(super) use minute::{COUNTS, LEVELS, Minute, MinuteCount};
#[cfg(test)]
pub(super) use minute::{MinuteLevel, MinuteRecord, head};
#[cfg(test)]
pub(super) use rollup::ROLLUP_FILE as ROLLUPS;

use super::upgrade::Lendable;
use super::{Failure, print};
use crate::app::chat::{ChatFigures, ChatJournal, ChatRecord, JournalTexts};
use crate::engine::{self, EngineError};
use crate::live::Live;
use crate::server;
use crate::stats::Board;
use crate::time::Instant;
use clap::Args;
use file::{FileComplaint, JsonlFile, Rotation};
use line::{FiguresMoment, FiguresNow, LineWriter};
use rollup::{ROLLUP_FILE, RollupBook};
use second::SecondWatch;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Time between two looks at what the cores have told.
const LOOK: Duration = Duration::from_millis(25);
/// Time between two lines of figures, and between two times that files are told to the disk.
const SECOND: Duration = Duration::from_secs(1);
/// Time that closing the files may take for another process.
const CLOSING: Duration = Duration::from_secs(5);
/// Bytes that are gathered before they are written.
const GATHERED: usize = 256 * 1024;

/// Flags of the files that chats are told to.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Logs of chats")]
pub(super) struct JournalFlags {
    /// Folder for chat-logs.jsonl (who came, was matched, said how much, left) and bandwidth.jsonl
    /// (messages and bytes of each second): docs/chat.md. It is made if it is not there; one server
    /// at a time writes there.
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,
    /// The texts too, and not only how long they are.
    #[arg(long, requires = "logs")]
    log_text: bool,
    /// Size after which a file of --logs is put aside, with the time in its name, and a new one
    /// begun.
    #[arg(long, value_name = "BYTES", default_value = "64M", value_parser = super::values::size)]
    logs_size: usize,
    /// Age after which one is.
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = super::values::duration)]
    logs_age: Duration,
}

/// The files, open.
struct JournalFiles {
    events: JsonlFile,
    figures: JsonlFile,
    rollups: RollupBook,
    /// Locked, so that no other server writes here.
    _lock: File,
}

/// The thread that writes.
pub(super) struct JournalThread {
    ends: Arc<AtomicBool>,
    loan: JournalLoan,
    thread: JoinHandle<()>,
}

/// A folder of logs that another process may have for a while, or for good.
#[derive(Clone, Debug, Default)]
pub(super) struct JournalLoan(Arc<(Mutex<FolderState>, Condvar)>);

/// Who has the folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum FolderState {
    /// This process.
    #[default]
    Ours,
    /// This process, until it has closed the files.
    Wanted,
    /// Another one.
    Lent,
}

impl JournalLoan {
    fn state(&self) -> MutexGuard<'_, FolderState> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lendable for JournalLoan {
    /// What chats tell from now on is not written: it is lost, and counted, unless it is taken back
    /// soon.
    fn lend(&self) {
        let mut state = self.state();
        *state = FolderState::Wanted;
        let changed = &self.0.1;
        let waits = |state: &mut FolderState| *state == FolderState::Wanted;
        let _ = changed.wait_timeout_while(state, CLOSING, waits);
    }

    fn take_back(&self) {
        *self.state() = FolderState::Ours;
    }
}

impl JournalFlags {
    /// The flag, if it was given.
    pub(super) fn asked(&self) -> Option<&'static str> {
        self.logs.is_some().then_some("--logs")
    }

    /// The folder, if there is one.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.logs.as_deref()
    }

    /// Begins to write what the chats of such a server tell on so many cores, if that is asked for.
    pub(super) fn start(
        &self,
        server: &mut server::Config,
        cores: usize,
    ) -> Result<Option<JournalThread>, Failure> {
        let Some(folder) = &self.logs else {
            return Ok(None);
        };
        let files = self.open(folder)?;
        let texts = match self.log_text {
            false => JournalTexts::Lengths,
            true => JournalTexts::Whole,
        };
        server.chat = ChatJournal::new(cores, texts);
        let seconds = Live::default();
        if let Some(console) = &mut server.console {
            console.seconds = Some(seconds.clone());
        }
        let writer = JournalWriter {
            files: Some(files),
            flags: self.clone(),
            loan: JournalLoan::default(),
            journal: server.chat.clone(),
            board: server.board.clone(),
            seconds: SecondWatch::new(seconds),
            line: LineWriter::now(),
            text: Vec::new(),
            spare: Vec::new(),
            told: ChatFigures::default(),
            next: engine::now() + SECOND,
            rollups_failed: FileComplaint::new(folder.join(ROLLUP_FILE)),
        };
        Ok(Some(writer.start()?))
    }

    /// Opens the files, and mends what an end without warning has torn.
    fn open(&self, folder: &Path) -> Result<JournalFiles, Failure> {
        let refused = |error: io::Error| {
            let text = "try: a folder that this user may write";
            Failure::Usage(format!("--logs: {}: {error}; {text}", folder.display()))
        };
        fs::create_dir_all(folder).map_err(refused)?;
        let lock = lock(folder, refused)?;
        let rotation = Rotation {
            bytes: self.logs_size as u64,
            age: self.logs_age,
        };
        let open = |kind: LogKind| JsonlFile::open(folder, kind.name(), rotation).map_err(refused);
        let (events, figures) = (open(LogKind::Events)?, open(LogKind::Figures)?);
        for note in [&events, &figures]
            .into_iter()
            .filter_map(JsonlFile::mended)
        {
            print::note(note);
        }
        Ok(JournalFiles {
            events,
            figures,
            rollups: RollupBook::open(folder).map_err(refused)?,
            _lock: lock,
        })
    }
}

/// Takes the folder for this server alone.
fn lock(folder: &Path, refused: impl Fn(io::Error) -> Failure) -> Result<File, Failure> {
    let path = folder.join(".lock");
    let lock = File::create(&path).map_err(&refused)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(Failure::Usage(format!(
            "--logs: {}: another server writes there; try: a folder for each",
            folder.display()
        ))),
        Err(TryLockError::Error(error)) => Err(refused(error)),
    }
}

impl JournalThread {
    /// For another process, which can have the folder instead.
    pub(super) fn loan(&self) -> JournalLoan {
        self.loan.clone()
    }

    /// All cores have ended: what they told is written.
    pub(super) fn finish(self) {
        self.ends.store(true, Release);
        self.thread.thread().unpark();
        let _ = self.thread.join();
    }
}

/// What the thread has.
struct JournalWriter {
    /// `None` while another process has the folder.
    files: Option<JournalFiles>,
    flags: JournalFlags,
    loan: JournalLoan,
    journal: ChatJournal,
    board: Board,
    seconds: SecondWatch,
    line: LineWriter,
    text: Vec<u8>,
    spare: Vec<ChatRecord>,
    /// The figures of the last line.
    told: ChatFigures,
    next: Instant,
    rollups_failed: FileComplaint,
}

impl JournalWriter {
    /// Writes on a thread of its own, until it is over.
    fn start(mut self) -> Result<JournalThread, EngineError> {
        let ends = Arc::new(AtomicBool::new(false));
        let (is_over, loan) = (Arc::clone(&ends), self.loan.clone());
        let write = move || {
            self.write_figures(engine::now(), FiguresMoment::Start);
            while !is_over.load(Acquire) {
                self.look(engine::now());
                std::thread::park_timeout(LOOK);
            }
            self.finish();
        };
        let thread = std::thread::Builder::new().name("logs".to_owned());
        let thread = thread.spawn(write).map_err(|source| {
            EngineError::no_threads("the thread that writes the logs of chats", source)
        })?;
        Ok(JournalThread { ends, loan, thread })
    }

    /// Writes what has been told, and a line of figures if it is time.
    fn look(&mut self, now: Instant) {
        let is_second = now >= self.next;
        if is_second {
            self.next = now + SECOND;
        }
        self.pass_on(is_second);
        self.write_events();
        if is_second {
            self.write_figures(now, FiguresMoment::Second);
            self.keep();
        }
    }

    /// Closes the files if another process wants them, or opens them anew, which is tried once a
    /// second.
    fn pass_on(&mut self, tries: bool) {
        let loan = self.loan.clone();
        let state = *loan.state();
        match (state, &self.files) {
            (FolderState::Wanted, _) => {
                self.finish();
                self.files = None;
                let mut state = loan.state();
                if *state == FolderState::Wanted {
                    *state = FolderState::Lent;
                }
                loan.0.1.notify_all();
            }
            (FolderState::Ours, None) if tries => {
                let folder = self.flags.logs.as_deref().unwrap_or(Path::new(""));
                match self.flags.open(folder) {
                    Ok(files) => {
                        self.files = Some(files);
                        self.write_figures(engine::now(), FiguresMoment::Start);
                    }
                    Err(failure) => print::note(failure),
                }
            }
            (FolderState::Ours | FolderState::Lent, _) => {}
        }
    }

    /// Has the disk keep what was written, and writes what the minutes have come to.
    fn keep(&mut self) {
        let Some(files) = &mut self.files else {
            return;
        };
        files.events.sync();
        files.figures.sync();
        if let Err(error) = files.rollups.write() {
            let remedy = "they are made from the logs at the next start";
            self.rollups_failed.say(&error, remedy);
        }
    }

    fn write_events(&mut self) {
        let Self {
            files: Some(files),
            journal,
            line,
            text,
            spare,
            ..
        } = self
        else {
            return;
        };
        journal.take(spare, |record| {
            line.event(text, &record);
            if text.len() >= GATHERED {
                files.rollups.take(LogKind::Events, text);
                files.events.append(text);
            }
        });
        files.rollups.take(LogKind::Events, text);
        files.events.append(text);
    }

    fn write_figures(&mut self, now: Instant, moment: FiguresMoment) {
        let Some(files) = &mut self.files else {
            return;
        };
        let figures = self.journal.figures();
        let lost = files.events.lost();
        let process = self.board.latest();
        let process = process.as_ref().map(|it| &it.process);
        let line = FiguresNow {
            moment,
            now,
            chats: (figures, self.told),
            lost,
            server: self.seconds.look(),
        };
        self.line.figures(&mut self.text, line, process);
        self.told = figures;
        files.rollups.take(LogKind::Figures, &self.text);
        files.figures.append(&mut self.text);
    }

    fn finish(&mut self) {
        self.write_events();
        self.write_figures(engine::now(), FiguresMoment::End);
        self.keep();
    }
}
