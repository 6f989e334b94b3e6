//! `demo`: server and load on this host, ours and the baseline interleaved, and a table of both.

mod round;
mod table;
mod watch;

use super::child::Server;
use super::flags::DemoFlags;
use super::{Exit, Failure, host, print, serve, signals};
use crate::engine::{self, Stop};
use crate::report::Verdict;
use round::{DemoRound, DemoTurn};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A demo, resolved from its flags.
pub(super) struct Config {
    out: PathBuf,
    scale: Scale,
    /// The CPU of the server, and of the generator; the same where there is only one.
    cpus: (usize, usize),
}

/// How much is run.
struct Scale {
    websockets: u32,
    /// Echo messages a second in all.
    rate: u32,
    streams: u32,
    /// Milliseconds between events of one stream.
    chunk_ms: u32,
    warm_up: Duration,
    /// The measured time of each load.
    measured: Duration,
    /// Whose turn it is: interleaved, so that a host that slows down slows both.
    turns: &'static [Side],
}

/// Whose server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Ours,
    Baseline,
}

/// Under a minute in all; every percentile of the table has its samples.
const WHOLE: Scale = Scale {
    websockets: 1000,
    rate: 30_000,
    streams: 500,
    chunk_ms: 20,
    warm_up: Duration::from_millis(500),
    measured: Duration::from_millis(4200),
    turns: &[Side::Ours, Side::Baseline, Side::Baseline, Side::Ours],
};

/// About ten seconds in all: one pair, so the direction only.
const SHORT: Scale = Scale {
    websockets: 100,
    rate: 5_000,
    streams: 100,
    warm_up: Duration::from_millis(200),
    measured: Duration::from_millis(1_500),
    turns: &[Side::Ours, Side::Baseline],
    ..WHOLE
};

impl Config {
    /// What the flags mean.
    pub(super) fn new(flags: DemoFlags) -> Result<Self, Failure> {
        if !cfg!(feature = "baseline") {
            return Err(serve::without_baseline("demo, which compares with it"));
        }
        let allowed = host::allowed_cpus();
        let first = allowed.first().copied().unwrap_or(0);
        Ok(Self {
            out: flags.out,
            scale: if flags.short { SHORT } else { WHOLE },
            cpus: (first, allowed.get(1).copied().unwrap_or(first)),
        })
    }
}

/// Runs it and prints the table.
pub(super) fn run(config: &Config) -> Result<Exit, Failure> {
    let started = engine::now();
    let stop = signals::stop()?;
    let folder = folder(&config.out)?;
    introduce(config)?;
    let ours = our_engine(config)?;
    let mut rounds = Vec::new();
    for (index, &side) in config.scale.turns.iter().enumerate() {
        let engine = match side {
            Side::Ours => ours,
            Side::Baseline => "baseline",
        };
        let number = index + 1;
        let place = format!("{number} of {}: {engine}", config.scale.turns.len());
        let files = folder.join(format!("{number}-{engine}"));
        let turn = DemoTurn {
            side,
            engine,
            client: ours,
            place: &place,
            files: &files,
        };
        match round::run(config, turn, &stop)? {
            Some(round) => rounds.push(round),
            None => {
                print::note(format_args!("interrupted; records in {}", folder.display()));
                return Ok(Exit::Interrupted);
            }
        }
    }
    let table = table::text(&rounds, &config.scale);
    print::text(&table)?;
    let file = folder.join("table.txt");
    fs::write(&file, &table).map_err(|error| unwritable(&file, &error))?;
    print::line(format_args!(
        "\nrecords (JSON), latency distributions (hgrm) and this table: {}\ntook {:.0} s",
        folder.display(),
        engine::now().since(started).as_secs_f64()
    ))?;
    Ok(verdict(&rounds))
}

/// Says what will run where, and on what.
fn introduce(config: &Config) -> Result<(), Failure> {
    let facts = host::facts();
    let facts: Vec<String> = facts
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    print::line(format_args!("host     {}", facts.join(", ")))?;
    let (server, load) = config.cpus;
    let scale = &config.scale;
    if server == load {
        print::line(format_args!(
            "CPUs     server and load share CPU {server}, the only one: latency is theirs together"
        ))?;
    } else {
        print::line(format_args!("CPUs     server on {server}, load on {load}"))?;
    }
    print::line(format_args!(
        "load     {} WebSockets echoing {} messages of 32 bytes a second, then\n         \
         {} event streams with an event each every {} ms; {:.1} s each",
        print::whole(u64::from(scale.websockets)),
        print::whole(u64::from(scale.rate)),
        print::whole(u64::from(scale.streams)),
        scale.chunk_ms,
        scale.measured.as_secs_f64(),
    ))
}

/// The ring, or tokio where `io_uring` is not to be had.
fn our_engine(config: &Config) -> Result<&'static str, Failure> {
    match Server::start("ring", &config.cpus.0.to_string(), &[]) {
        Ok(server) => server.end().map(|()| "ring"),
        Err(failure) => {
            print::note(format_args!("{failure}\nso this demo runs --engine tokio"));
            Ok("tokio")
        }
    }
}

/// A folder of its own for the files of this run.
fn folder(out: &Path) -> Result<PathBuf, Failure> {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let folder = out.join(format!("demo-{}", since.as_secs()));
    fs::create_dir_all(&folder).map_err(|error| unwritable(out, &error))?;
    Ok(folder)
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    let path = path.display();
    Failure::Run(format!(
        "cannot write {path}: {error}; try: --out with a folder of yours"
    ))
}

fn verdict(rounds: &[DemoRound]) -> Exit {
    let verdicts = || {
        rounds
            .iter()
            .flat_map(DemoRound::records)
            .map(|it| it.verdict.verdict)
    };
    if verdicts().any(|verdict| verdict == Verdict::Fail) {
        Exit::Threshold
    } else if verdicts().any(|verdict| verdict == Verdict::Invalid) {
        Exit::Invalid
    } else if verdicts().any(|verdict| verdict == Verdict::Inconclusive) {
        Exit::Inconclusive
    } else {
        Exit::Pass
    }
}

/// Whether somebody asked the demo to end.
fn is_over(stop: &Stop) -> bool {
    stop.is_thrown()
}
