//! One turn of the demo: a server, warmed up, then an echo load, then an event stream load.

use super::child::{Load, Server};
use super::{Config, Side, is_over, unwritable, watch};
use crate::cli::Failure;
use crate::cli::print;
use crate::engine::Stop;
use crate::report::Record;
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::{self, File};
use std::io::{IsTerminal, stderr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Time between two looks at the children.
const LOOK_TIME: Duration = Duration::from_millis(20);
/// Time between two looks at the server's memory, which halt it for a moment.
const MEMORY_TIME: Duration = Duration::from_millis(500);
/// Connections of the load that makes the server touch what it needs for any.
const WARMING: u32 = 50;

/// One turn, measured.
pub(super) struct Round {
    pub(super) side: Side,
    pub(super) engine: &'static str,
    pub(super) echo: Part,
    pub(super) listen: Part,
}

/// One load of a turn, and what was seen of the server meanwhile.
pub(super) struct Part {
    pub(super) record: Record,
    /// The server's private memory while the connections were open, less that before.
    pub(super) grown_bytes: u64,
    /// The longest accept queue seen.
    pub(super) accept_queue: u64,
}

impl Round {
    /// Both records.
    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        [&self.echo.record, &self.listen.record].into_iter()
    }
}

/// What the parts of a turn have in common.
struct Stage<'d> {
    config: &'d Config,
    server: &'d Server,
    /// The engine of the load client: ours, whosever turn it is.
    engine: &'static str,
    place: &'d str,
    stop: &'d Stop,
}

/// Runs one turn; `None` if somebody ended it.
pub(super) fn run(
    config: &Config,
    (side, engine, ours): (Side, &'static str, &'static str),
    place: &str,
    files: &Path,
    stop: &Stop,
) -> Result<Option<Round>, Failure> {
    let server = Server::start(engine, config.cpus.0, config.scale.chunk_ms)?;
    let stage = Stage {
        config,
        server: &server,
        engine: ours,
        place,
        stop,
    };
    let scale = &config.scale;
    let file = |name: &str, kind: &str| -> PathBuf {
        let stem = files
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        files.with_file_name(format!("{stem}-{name}.{kind}"))
    };
    let warm_up = [
        flag("-c", WARMING),
        flag("-r", scale.rate),
        time("-d", scale.warm_up),
    ];
    let warmed = stage.part("/echo", &warm_up.concat(), &file("warm", "json"))?;
    fs::remove_file(file("warm", "json")).ok();
    let echo = [
        flag("-c", scale.websockets),
        flag("-r", scale.rate),
        time("-d", scale.measured),
        time("--warm-up", scale.warm_up),
        flag("--hgrm", file("echo", "hgrm").display()),
    ];
    let listen = [
        flag("-c", scale.streams),
        time("-d", scale.measured),
        flag("--hgrm", file("events", "hgrm").display()),
    ];
    if warmed.is_none() {
        return Ok(None);
    }
    let Some(echo) = stage.part("/echo", &echo.concat(), &file("echo", "json"))? else {
        return Ok(None);
    };
    let Some(listen) = stage.part("/events", &listen.concat(), &file("events", "json"))? else {
        return Ok(None);
    };
    server.end()?;
    Ok(Some(Round {
        side,
        engine,
        echo,
        listen,
    }))
}

fn flag(name: &str, value: impl ToString) -> Vec<String> {
    vec![name.to_owned(), value.to_string()]
}

fn time(name: &str, span: Duration) -> Vec<String> {
    flag(name, format!("{}ms", span.as_millis()))
}

impl Stage<'_> {
    /// Runs one load to its end; `None` if somebody ended it.
    fn part(&self, path: &str, flags: &[String], file: &Path) -> Result<Option<Part>, Failure> {
        let scheme = if path == "/events" { "http" } else { "ws" };
        let mut all = vec![format!("{scheme}://{}{path}", self.server.address)];
        all.extend(flag("--engine", self.engine));
        all.extend(flag("--server-pid", self.server.pid()));
        all.extend_from_slice(flags);
        let record = File::create(file).map_err(|error| unwritable(file, &error))?;
        let before = watch::private_bytes(self.server.pid());
        let mut load = Load::start(self.config.cpus.1, &all, record)?;
        let mut live = Live::new(format!("{} {path}", self.place));
        let mut seen = Seen::default();
        let code = loop {
            if let Some(code) = load.is_over()? {
                break code;
            }
            if is_over(self.stop) {
                load.terminate();
            }
            let said = load.said();
            seen.look(self.server, &said);
            live.show(&said);
            std::thread::sleep(LOOK_TIME);
        };
        live.end();
        if is_over(self.stop) {
            return Ok(None);
        }
        let text = fs::read_to_string(file)?;
        let record: Record = serde_json::from_str(&text).map_err(|_| {
            let said = load.said();
            Failure::Run(format!("load {} ended with {code}: {said}", all.join(" ")))
        })?;
        let grown_bytes = seen.memory_bytes.saturating_sub(before);
        Ok(Some(Part {
            record,
            grown_bytes,
            accept_queue: seen.accept_queue,
        }))
    }
}

/// What was seen of a server during one load.
#[derive(Default)]
struct Seen {
    memory_bytes: u64,
    memory_at: Option<Instant>,
    accept_queue: u64,
}

impl Seen {
    fn look(&mut self, server: &Server, said: &str) {
        self.accept_queue = self.accept_queue.max(watch::accept_queue(server.port()));
        let is_time = self.memory_at.is_none_or(|at| at.elapsed() >= MEMORY_TIME);
        if said.starts_with("measuring") && is_time {
            self.memory_bytes = self.memory_bytes.max(watch::private_bytes(server.pid()));
            self.memory_at = Some(Instant::now());
        }
    }
}

/// What is shown while a load runs.
struct Live {
    what: String,
    bar: Option<ProgressBar>,
}

impl Live {
    fn new(what: String) -> Self {
        let bar = stderr().is_terminal().then(ProgressBar::new_spinner);
        if let (Some(bar), Ok(style)) = (&bar, ProgressStyle::with_template("{spinner} {wide_msg}"))
        {
            bar.set_style(style);
        } else {
            print::note(format_args!("{what}"));
        }
        Self { what, bar }
    }

    fn show(&self, said: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{}  {said}", self.what));
            bar.tick();
        }
    }

    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
