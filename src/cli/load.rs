//! `load`: what was typed becomes a run; progress meanwhile, the record's summary at its end.

mod meter;

use super::flags::{LoadEngine, LoadFlags, ScenarioFlag};
use super::progress::{Board, Display};
use super::url::{Scheme, Url};
use super::{Exit, Failure, host, print, signals, sources};
use crate::engine::{self, EngineError, Plan};
use crate::load::config::IN_FLIGHT_DEFAULT;
use crate::load::progress::{PROGRESS_TIME, Progress, Stage};
use crate::load::{self, Load, Loop, Outcome, Pace, PayloadKind, Scenario, Transport};
use crate::report::{self, Facts, Record};
use crate::shard::Core;
use meter::Meter;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Slots of a core beyond its share: a closed connection keeps its slot for a moment.
const SLOTS_SPARE: u32 = 16;

/// A run, as meant.
pub(super) struct Config {
    load: load::Config,
    cpus: Vec<usize>,
    engine: LoadEngine,
    url: Url,
    server_pid: Option<i32>,
    output: Output,
    hgrm: Option<PathBuf>,
    quiet: bool,
}

/// How the record is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    Text,
    Json,
}

impl Config {
    /// What the flags mean, under that limit on descriptors.
    pub(super) fn new(flags: Box<LoadFlags>, descriptor_limit: u64) -> Result<Self, Failure> {
        let mut cpus = host::cpus(flags.cores.clone())?;
        // A core without a connection would only wait.
        cpus.truncate(usize::try_from(flags.connections).unwrap_or(usize::MAX));
        let load = meant(&flags)?;
        load.check()
            .map_err(|error| Failure::Usage(error.to_string()))?;
        let room = Room {
            descriptor_limit,
            engine: flags.engine,
            sources: load.sources.len() as u64,
            ports: host::local_ports(),
        };
        room.check(u64::from(load.connections))?;
        load.sources.iter().try_for_each(check_source)?;
        Ok(Self {
            load,
            cpus,
            engine: flags.engine,
            url: flags.url,
            server_pid: flags.server_pid,
            output: if flags.json {
                Output::Json
            } else {
                Output::Text
            },
            hgrm: flags.hgrm,
            quiet: flags.quiet,
        })
    }

    fn plan(&self) -> Result<Plan, Failure> {
        let cores = u32::try_from(self.cpus.len()).unwrap_or(u32::MAX);
        Ok(Plan {
            slots: self.load.connections.div_ceil(cores) + SLOTS_SPARE,
            stop: signals::stop()?,
            ..Plan::new(self.cpus.clone())
        })
    }
}

/// The run that the flags describe.
fn meant(flags: &LoadFlags) -> Result<load::Config, Failure> {
    let url = &flags.url;
    let address = url.resolve(flags.connect_timeout).map_err(Failure::Run)?;
    let (transport, usual) = match url.scheme {
        Scheme::Ws => (Transport::WebSocket, Scenario::Echo),
        Scheme::Http => (Transport::Sse, Scenario::Listen),
    };
    let scenario = flags.scenario.map_or(usual, |typed| match typed {
        ScenarioFlag::Echo => Scenario::Echo,
        ScenarioFlag::Listen => Scenario::Listen,
        ScenarioFlag::Idle => Scenario::Idle,
    });
    if flags.rate.is_some() && scenario != Scenario::Echo {
        let text = "--rate: only the scenario echo sends messages; leave --rate out, or write \
                    --scenario echo with a ws:// URL";
        return Err(Failure::Usage(text.to_owned()));
    }
    let (messages, usual_in_flight) = flags.rate.map_or((Loop::Closed, 1), |rate| {
        let pace = Pace::Constant(rate);
        (
            Loop::Open {
                pace,
                burst: flags.burst,
            },
            IN_FLIGHT_DEFAULT,
        )
    });
    let defaults = load::Config::new(address, url.authority(), url.target.clone());
    Ok(load::Config {
        sources: sources::expand(&flags.source_ip, address, flags.connections),
        headers: flags.header.clone(),
        subprotocols: flags.subprotocol.clone(),
        transport,
        scenario,
        connections: flags.connections,
        connect_pace: flags.connect_rate.map(Pace::Constant),
        connect_time: flags.connect_timeout,
        connect_phase: connect_phase(flags, defaults.connect_phase),
        messages,
        in_flight: flags.pipeline.unwrap_or(usual_in_flight),
        payload_bytes: flags.payload,
        payload_kind: if flags.text {
            PayloadKind::Text
        } else {
            PayloadKind::Binary
        },
        warm_up: flags.warm_up,
        duration: flags.duration,
        message_bytes_max: defaults.message_bytes_max.max(flags.payload),
        seed: flags.seed.unwrap_or_else(|| fastrand::u64(..)),
        ..defaults
    })
}

/// Time for all connects: what their rate needs, and then time for the last one.
fn connect_phase(flags: &LoadFlags, least: Duration) -> Duration {
    let planned = flags.connect_rate.map_or(Duration::ZERO, |rate| {
        Duration::from_secs_f64(f64::from(flags.connections) / rate.as_per_second())
    });
    least.max(planned + 2 * flags.connect_timeout)
}

/// What bounds the connections of a run.
struct Room {
    descriptor_limit: u64,
    engine: LoadEngine,
    sources: u64,
    ports: u64,
}

impl Room {
    /// Refuses more connections than fit, and says how many do.
    fn check(&self, connections: u64) -> Result<(), Failure> {
        let limit = self.descriptor_limit;
        let descriptors = match self.engine {
            // Each table may be as long as the limit, and a core has as many as it needs.
            LoadEngine::Ring => u64::from(u32::MAX),
            LoadEngine::Tokio => limit.saturating_sub(host::DESCRIPTORS_KEPT),
        };
        let (sources, per_source) = (self.sources.max(1), self.ports);
        let fit = descriptors.min(sources * per_source);
        let refuse = |why: String, more: String| {
            let text = format!("-c: {connections} connections do not fit: {why}");
            Err(Failure::Usage(format!("{text}; try: -c {fit}, or {more}")))
        };
        if connections > descriptors {
            let why = format!("{limit} descriptors allow {descriptors}");
            let needed = connections + host::DESCRIPTORS_KEPT;
            return refuse(why, format!("--engine ring, or ulimit -n {needed}"));
        }
        if connections > sources * per_source {
            let why = format!("{sources} source address has {per_source} ports each");
            let more = format!(
                "--source-ip auto, or {} addresses",
                connections.div_ceil(per_source)
            );
            return refuse(why, more);
        }
        Ok(())
    }
}

fn check_source(source: &IpAddr) -> Result<(), Failure> {
    TcpListener::bind(SocketAddr::new(*source, 0))
        .map(drop)
        .map_err(|error| {
            let text = format!("--source-ip: {source}: {error}");
            Failure::Usage(format!(
                "{text}; try: an address of this host, see `ip addr`"
            ))
        })
}

/// Runs it and prints what it measured.
pub(super) fn run(config: Config) -> Result<Exit, Failure> {
    let plan = config.plan()?;
    let facts = facts(&config);
    let ran = match config.engine {
        LoadEngine::Ring => drive(&config, plan, engine::ring::run)?,
        LoadEngine::Tokio => drive(&config, plan, engine::tokio::run)?,
    };
    let facts = Facts {
        server: ran.meter.and_then(|meter| meter.used(&ran.outcome)),
        ..facts
    };
    let record = Record::new(&facts, &config.load, &ran.outcome);
    match config.output {
        Output::Json => print::line(record.to_json().map_err(|error| {
            Failure::Run(format!("the record cannot be written as JSON: {error}"))
        })?),
        Output::Text => print::text(&report::text::text(&record)),
    }
    if let Some(path) = &config.hgrm {
        write_hgrm(path, &record)?;
    }
    Ok(match report::exit_code(&record) {
        0 => Exit::Pass,
        98 => Exit::Invalid,
        99 => Exit::Threshold,
        105 => Exit::Interrupted,
        _ => Exit::Failed,
    })
}

fn write_hgrm(path: &Path, record: &Record) -> Result<(), Failure> {
    let Some((name, latency)) = record.headline() else {
        print::note("--hgrm: nothing was measured, so no file was written");
        return Ok(());
    };
    std::fs::write(path, report::hgrm::hgrm(latency)).map_err(|error| {
        let path = path.display();
        Failure::Run(format!(
            "--hgrm: cannot write {path}: {error}; try: another file"
        ))
    })?;
    print::note(format_args!("{name} latency written to {}", path.display()));
    Ok(())
}

fn facts(config: &Config) -> Facts {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Facts {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: std::env::args().collect(),
        url: config.url.to_string(),
        engine: match config.engine {
            LoadEngine::Ring => "ring".to_owned(),
            LoadEngine::Tokio => "tokio".to_owned(),
        },
        cpus: config.cpus.clone(),
        started_unix_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
        host: host::facts(),
        ..Facts::default()
    }
}

/// What a run leaves: what its cores measured, and what was seen of the server.
struct Ran {
    outcome: Outcome,
    meter: Option<Meter>,
}

type Make = Box<dyn Fn(Core) -> Load + Send + Sync>;

/// Runs one load shard per core, and shows the progress meanwhile.
fn drive(
    config: &Config,
    plan: Plan,
    run: impl FnOnce(Plan, Make) -> Result<Vec<Outcome>, EngineError>,
) -> Result<Ran, Failure> {
    let meter = config.server_pid.map(Meter::new).transpose()?;
    let board = Board::new(config.cpus.len());
    let noted = board.clone();
    let load = config.load.clone();
    let make = move |core| {
        let board = noted.clone();
        let observer = Box::new(move |progress: &Progress| board.note(progress));
        Load::new(core, load.clone(), Some(observer))
    };
    let (over, is_over) = channel::<()>();
    let mut display = if config.quiet {
        Display::Nothing
    } else {
        Display::new(config.load.duration)
    };
    let duration = config.load.duration;
    std::thread::scope(|scope| {
        let watcher = scope.spawn(move || {
            let meter = watch(&board, &is_over, duration, &mut display, meter);
            display.end();
            meter
        });
        let outcomes = run(plan, Box::new(make));
        drop(over);
        let meter = watcher.join().unwrap_or_default();
        Ok(Ran {
            outcome: Outcome::merged(&outcomes?),
            meter,
        })
    })
}

/// Shows the board until the run is over; reads the server's meter in the measured time.
fn watch(
    board: &Board,
    is_over: &Receiver<()>,
    duration: Duration,
    display: &mut Display,
    mut meter: Option<Meter>,
) -> Option<Meter> {
    while is_over.recv_timeout(PROGRESS_TIME) == Err(RecvTimeoutError::Timeout) {
        let Some(total) = board.total() else { continue };
        display.show(&total, duration);
        if let Some(meter) = meter.as_mut().filter(|_| total.stage == Stage::Measuring) {
            meter.read();
        }
    }
    meter
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(engine: LoadEngine) -> Room {
        Room {
            descriptor_limit: 20_000,
            engine,
            sources: 0,
            ports: 28_232,
        }
    }

    #[test]
    fn connections_that_do_not_fit_are_refused_with_what_does() {
        let too_many = |room: &Room, n| room.check(n).unwrap_err().to_string();
        assert!(room(LoadEngine::Ring).check(28_000).is_ok());
        let error = too_many(&room(LoadEngine::Tokio), 20_000);
        assert!(
            error.contains("-c 19936") && error.contains("ulimit -n 20064"),
            "{error}"
        );
        let error = too_many(&room(LoadEngine::Ring), 30_000);
        assert!(
            error.contains("--source-ip auto, or 2 addresses"),
            "{error}"
        );
        assert!(
            Room {
                sources: 2,
                ..room(LoadEngine::Ring)
            }
            .check(30_000)
            .is_ok()
        );
    }

    #[test]
    fn a_source_that_is_not_this_hosts_is_refused() {
        assert!(check_source(&"127.0.0.9".parse().unwrap()).is_ok());
        let error = check_source(&"192.0.2.1".parse().unwrap())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("--source-ip") && error.contains("ip addr"),
            "{error}"
        );
    }
}
