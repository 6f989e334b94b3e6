//! One turn of the demo: a server, warmed up, then an echo load, then an event stream load.

use super::{Config, Side, is_over, unwritable, watch};
use crate::cli::Failure;
use crate::cli::child::{Load, Server};
use crate::cli::print;
use crate::cli::processes::private_bytes;
use crate::engine::Stop;
use crate::report::Record;
use ratatui::crossterm::cursor::MoveToColumn;
use ratatui::crossterm::execute;
use ratatui::crossterm::style::Print;
use ratatui::crossterm::terminal::{self, Clear, ClearType};
use std::fs::{self, File};
use std::io::stderr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Time between two looks at the children.
const LOOK_TIME: Duration = Duration::from_millis(20);
/// Time between two looks at the server's memory, which halt it for a moment.
const MEMORY_TIME: Duration = Duration::from_millis(500);
/// Connections of the load that makes the server touch what it needs for any.
const WARMING: u32 = 50;

/// One turn, measured.
pub(super) struct DemoRound {
    pub(super) side: Side,
    pub(super) engine: &'static str,
    pub(super) echo: MeasuredLoad,
    pub(super) listen: MeasuredLoad,
}

/// One load of a turn, and what was seen of the server meanwhile.
pub(super) struct MeasuredLoad {
    pub(super) record: Record,
    /// The server's private memory while the connections were open, less that before.
    pub(super) grown_bytes: u64,
    /// The longest accept queue seen.
    pub(super) accept_queue: u64,
}

impl DemoRound {
    /// Both records.
    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        [&self.echo.record, &self.listen.record].into_iter()
    }
}

/// Whose turn it is and where it is noted.
#[derive(Clone, Copy)]
pub(super) struct DemoTurn<'d> {
    pub(super) side: Side,
    /// The server's engine.
    pub(super) engine: &'static str,
    /// The load client's engine: ours, whosever turn it is.
    pub(super) client: &'static str,
    /// For people: which turn of how many.
    pub(super) place: &'d str,
    /// The beginning of every file's path.
    pub(super) files: &'d Path,
}

/// One server and what is run against it.
struct DemoStage<'d> {
    config: &'d Config,
    turn: DemoTurn<'d>,
    server: &'d Server,
    stop: &'d Stop,
}

/// Runs one turn; `None` if somebody ended it.
pub(super) fn run(
    config: &Config,
    turn: DemoTurn<'_>,
    stop: &Stop,
) -> Result<Option<DemoRound>, Failure> {
    let scale = &config.scale;
    let paced = |connections: u32| [flag("-c", connections), flag("-r", scale.rate)].concat();
    let warming = [paced(WARMING), time("-d", scale.warm_up)].concat();
    let measured = [
        paced(scale.websockets),
        time("-d", scale.measured),
        time("--warm-up", scale.warm_up),
    ];
    let Some(echo) = fresh(config, turn, stop, "echo", [&warming, &measured.concat()])? else {
        return Ok(None);
    };
    let warming = [flag("-c", WARMING), time("-d", scale.warm_up)].concat();
    let measured = [flag("-c", scale.streams), time("-d", scale.measured)].concat();
    let Some(listen) = fresh(config, turn, stop, "events", [&warming, &measured])? else {
        return Ok(None);
    };
    Ok(Some(DemoRound {
        side: turn.side,
        engine: turn.engine,
        echo,
        listen,
    }))
}

/// Warms up a new server and measures it: memory that another load left behind would hide what
/// this one needs.
fn fresh(
    config: &Config,
    turn: DemoTurn<'_>,
    stop: &Stop,
    name: &str,
    [warming, measured]: [&[String]; 2],
) -> Result<Option<MeasuredLoad>, Failure> {
    let every = flag("--chunk-ms", config.scale.chunk_ms);
    let server = Server::start(turn.engine, &config.cpus.0.to_string(), &every)?;
    let stage = DemoStage {
        config,
        turn,
        server: &server,
        stop,
    };
    let file = stage.file(name, "json");
    let hgrm = flag("--hgrm", stage.file(name, "hgrm").display());
    // The record of the warm-up is written over.
    if stage.part(name, warming, &file)?.is_none() {
        return Ok(None);
    }
    let part = stage.part(name, &[measured, &hgrm].concat(), &file)?;
    if part.is_some() {
        server.end()?;
    }
    Ok(part)
}

fn flag(name: &str, value: impl ToString) -> Vec<String> {
    vec![name.to_owned(), value.to_string()]
}

fn time(name: &str, span: Duration) -> Vec<String> {
    flag(name, format!("{}ms", span.as_millis()))
}

impl DemoStage<'_> {
    fn file(&self, name: &str, kind: &str) -> PathBuf {
        let stem = self
            .turn
            .files
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        self.turn
            .files
            .with_file_name(format!("{stem}-{name}.{kind}"))
    }

    /// Runs one load to its end; `None` if somebody ended it.
    fn part(
        &self,
        name: &str,
        flags: &[String],
        file: &Path,
    ) -> Result<Option<MeasuredLoad>, Failure> {
        let scheme = if name == "events" { "http" } else { "ws" };
        let mut all = vec![format!("{scheme}://{}/{name}", self.server.address)];
        all.extend(flag("--engine", self.turn.client));
        all.extend(flag("--server-pid", self.server.pid()));
        all.extend_from_slice(flags);
        let record = File::create(file).map_err(|error| unwritable(file, &error))?;
        let before = private_bytes(self.server.pid());
        let mut load = Load::start(&self.config.cpus.1.to_string(), &all, record)?;
        let live = Live::new(format!("{} /{name}", self.turn.place));
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
        Ok(Some(MeasuredLoad {
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
            self.memory_bytes = self.memory_bytes.max(private_bytes(server.pid()));
            self.memory_at = Some(Instant::now());
        }
    }
}

/// The line that is shown while a load runs, drawn anew where a terminal is.
struct Live {
    what: String,
    draws: bool,
}

impl Live {
    fn new(what: String) -> Self {
        let draws = print::draws(&stderr());
        if !draws {
            print::note(format_args!("{what}"));
        }
        Self { what, draws }
    }

    fn show(&self, said: &str) {
        let (columns, _) = terminal::size().unwrap_or((80, 24));
        let line = format!("{}  {said}", self.what);
        // The last column stays free: a terminal may wrap there.
        let shown = line.chars().take(usize::from(columns).saturating_sub(1));
        self.draw(&shown.collect::<String>());
    }

    fn end(self) {
        self.draw("");
    }

    fn draw(&self, line: &str) {
        if self.draws {
            // A terminal that takes nothing more ends no demo.
            let clear = Clear(ClearType::CurrentLine);
            let _ = execute!(stderr(), MoveToColumn(0), clear, Print(line));
        }
    }
}
