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
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::thread::JoinHandle;
use std::time::Duration;

/// Time between two looks at what the cores have told.
const LOOK: Duration = Duration::from_millis(25);
/// Time between two lines of figures, and between two times that files are told to the disk.
const SECOND: Duration = Duration::from_secs(1);
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
    thread: JoinHandle<()>,
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
        for file in [&files.events, &files.figures] {
            if let Some(note) = file.mended() {
                print::note(note);
            }
        }
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
            files,
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
        Ok(JournalFiles {
            events: open(LogKind::Events)?,
            figures: open(LogKind::Figures)?,
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
    /// All cores have ended: what they told is written.
    pub(super) fn finish(self) {
        self.ends.store(true, Release);
        self.thread.thread().unpark();
        let _ = self.thread.join();
    }
}

/// What the thread has.
struct JournalWriter {
    files: JournalFiles,
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
        let is_over = Arc::clone(&ends);
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
        Ok(JournalThread { ends, thread })
    }

    /// Writes what has been told, and a line of figures if it is time.
    fn look(&mut self, now: Instant) {
        self.write_events();
        if now < self.next {
            return;
        }
        self.next = now + SECOND;
        self.write_figures(now, FiguresMoment::Second);
        self.keep();
    }

    /// Has the disk keep what was written, and writes what the minutes have come to.
    fn keep(&mut self) {
        self.files.events.sync();
        self.files.figures.sync();
        if let Err(error) = self.files.rollups.write() {
            let remedy = "they are made from the logs at the next start";
            self.rollups_failed.say(&error, remedy);
        }
    }

    fn write_events(&mut self) {
        let Self {
            files,
            journal,
            line,
            text,
            spare,
            ..
        } = self;
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
        let figures = self.journal.figures();
        let lost = self.files.events.lost();
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
        self.files.rollups.take(LogKind::Figures, &self.text);
        self.files.figures.append(&mut self.text);
    }

    fn finish(mut self) {
        self.write_events();
        self.write_figures(engine::now(), FiguresMoment::End);
        self.keep();
    }
}
