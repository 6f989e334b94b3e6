//! `load`: what was typed becomes a run; progress meanwhile, the record's summary at its end.

mod calibrate;
mod capacity;
mod chat;
mod churn_flags;
mod debug;
mod display;
mod drive;
pub(super) mod flags;
mod following;
mod goal;
mod meter;
mod output;
mod pacing;
mod part_flags;
mod progress_board;
mod proxied;
mod realtime;
mod realtime_flags;
mod recording;
mod resolve;
mod rounds;
mod scenario_flag;
mod scrape;
mod script;
mod sinks;
mod trigger;
mod view;

use super::deflate::DeflateMode;
use super::engine_flag::LoadEngine;
use super::proxy::ProxyFlag;
use super::sources::Source;
use super::{Exit, Failure, host, print, records, signals};
use crate::engine::{EngineConfig, Stop};
use crate::limits;
use crate::load::{self, Follow, Tapped};
use crate::proxy::Proxied;
use crate::report::{self, Facts, HostSamples, Record, ServerUse, Threshold, judging};
use crate::sampler::HostReader;
use crate::shard::Either;
use crate::tls::{Role, Tls};
use capacity::{Capacity, check_source};
use debug::Printed;
use display::ProgressForm;
use drive::{Ran, drive};
use flags::LoadFlags;
use goal::Goal;
use part_flags::PartFlags;
use proxied::{Routes, routes};
use resolve::{posting, resolve, role};
use sinks::Wanted;
use std::io::stderr;
use std::path::PathBuf;

/// Slots of a core beyond its share: a closed connection keeps its slot for a moment.
const SLOTS_SPARE: u32 = 16;

/// A run, resolved from its flags.
pub(super) struct Config {
    load: load::Config,
    cpus: Vec<usize>,
    engine: LoadEngine,
    /// As typed; of several, with blanks between.
    url: String,
    command: Vec<String>,
    tls: Option<Role>,
    proxy: Option<ProxyFlag>,
    /// The addresses of the proxy, if there is one, and where they lead.
    routes: Routes,
    /// How many clients are shown on stderr.
    debugs: u32,
    server_pid: Option<i32>,
    thresholds: Vec<Threshold>,
    /// The share of connections, and of messages, that may fail.
    allowed_failures: f64,
    /// Whether an open verdict is none to fail for.
    inconclusive_ok: bool,
    /// How many connections there are sources, ports and destinations for, in words.
    capacity: String,
    /// Whether short runs find the generator's ceiling first.
    calibrates: bool,
    output: Output,
    hgrm: Option<PathBuf>,
    form: ProgressForm,
    sinks: Wanted,
    /// Of each client, if they end the run.
    iterations: Option<u32>,
    /// Rounds of connects, of the scenario that is nothing else.
    rounds: Option<u32>,
    /// Whether a threshold that fails ends the run.
    aborts: bool,
    /// Which part of a larger run this is, and when it starts.
    part: PartFlags,
}

/// How the record is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    Text,
    Json,
}

impl Output {
    fn of(is_json: bool) -> Self {
        match is_json {
            true => Self::Json,
            false => Self::Text,
        }
    }
}

impl Config {
    /// What the flags mean, under that limit on descriptors.
    pub(super) fn new(mut flags: Box<LoadFlags>, descriptor_limit: u64) -> Result<Self, Failure> {
        flags.connections = flags.part.connections(flags.connections)?;
        let mut cpus = host::cpus(flags.cores.clone())?;
        // A core without a connection would only wait.
        cpus.truncate(usize::try_from(flags.connections).unwrap_or(usize::MAX));
        cpus.truncate(flags.realtime.cores_max());
        let load = resolve(&flags)?;
        load.check()
            .map_err(|error| Failure::Usage(error.to_string()))?;
        let capacity = Capacity {
            descriptor_limit,
            engine: flags.engine,
            sources: &load.sources,
            is_auto: flags.source_ip.contains(&Source::Auto),
            posting: u64::from(posting(&flags)),
            targets: &load.targets,
            ports: host::local_ports(),
        };
        capacity.check(u64::from(load.connections))?;
        let capacity = capacity.shown();
        load.sources.iter().try_for_each(check_source)?;
        let facts = Facts {
            thresholds: flags.threshold.clone(),
            server: flags.server_pid.map(|_| ServerUse::default()),
            ..Facts::default()
        };
        judging::check(&facts, &load)
            .map_err(|error| Failure::Usage(format!("--threshold: {error}")))?;
        let form = form(&flags);
        let routes = routes(&flags, &load)?;
        let tls = role(&flags, &load)?;
        if flags.calibrate {
            calibrate::check(&load, tls.is_some())?;
        }
        Ok(Self {
            tls,
            proxy: flags.connection.proxy,
            routes,
            debugs: if flags.debug { flags.debug_clients } else { 0 },
            load,
            cpus,
            engine: flags.engine,
            url: resolve::listed(&flags.urls),
            command: flags.command,
            server_pid: flags.server_pid,
            thresholds: facts.thresholds,
            allowed_failures: flags.allow_failures,
            inconclusive_ok: flags.inconclusive_ok,
            capacity,
            calibrates: flags.calibrate,
            output: Output::of(flags.json),
            hgrm: flags.hgrm,
            form,
            sinks: Wanted {
                record: flags.record,
                html: flags.html,
                baseline: flags.baseline,
                tolerance: flags.tolerance,
                csv: flags.csv,
                hlog: flags.hlog,
                prometheus: flags.prometheus,
                metrics_listen: flags.metrics_listen,
            },
            iterations: flags.iterations,
            rounds: resolve::rounds(flags.scenario, flags.iterations),
            aborts: flags.abort_on_fail,
            part: flags.part,
        })
    }

    /// What ends the measured time.
    fn goal(&self) -> Goal {
        let time = Goal::Time(self.load.duration);
        self.iterations.map_or(time, Goal::Iterations)
    }

    fn plan(&self, stop: Stop) -> EngineConfig {
        let cores = u32::try_from(self.cpus.len()).unwrap_or(u32::MAX);
        let share = self.load.connections.div_ceil(cores);
        let sockets = self.load.sockets().div_ceil(cores);
        // One that comes back may be there before the one that went has left its slot: all of
        // them, where all are sent away at once.
        // So do those who follow a redirect.
        let spare = if self.load.retry.reconnects > 0 || self.load.follow != Follow::Never {
            SLOTS_SPARE + share.max(sockets)
        } else if self.load.session.is_some() {
            SLOTS_SPARE + share / 4
        } else {
            SLOTS_SPARE
        };
        EngineConfig {
            slots: sockets + spare,
            stop,
            // A message fits whatever its size; behind it, less than a high backlog waits.
            max_backlog: limits::BACKLOG_BYTES + self.load.payload_bytes,
            ..EngineConfig::new(self.cpus.clone())
        }
    }
}

/// How progress is shown: what was asked for, as far as stderr can.
fn form(flags: &LoadFlags) -> ProgressForm {
    if flags.quiet {
        ProgressForm::Nothing
    } else if flags.plain || flags.debug || !print::draws(&stderr()) {
        ProgressForm::Lines
    } else {
        ProgressForm::View
    }
}

/// Runs one load shard per core, secured, led through a proxy and shown if they are to be.
fn drive_once(config: &Config, facts: &Facts, plan: EngineConfig) -> Result<Ran, Failure> {
    let cap = plan.max_backlog;
    let (routes, debugs) = (config.routes.clone(), config.debugs);
    let is_bare = routes.is_empty() && debugs == 0;
    let (printed, transport) = (Printed::default(), config.load.transport);
    match config.tls.clone() {
        None if is_bare => drive(config, facts, plan, |load| load),
        Some(role) if is_bare => drive(config, facts, plan, move |load| {
            Tls::new(load, role.clone(), cap)
        }),
        role => drive(config, facts, plan, move |load| {
            let observer = printed.clone().observer(transport);
            let load = Tapped::new(load, debugs, observer);
            let load = match role.clone() {
                None => Either::A(load),
                Some(role) => Either::B(Tls::new(load, role, cap)),
            };
            Proxied::new(load, routes.clone())
        }),
    }
}

/// Runs it and prints what it measured.
pub(super) fn run(config: Config) -> Result<Exit, Failure> {
    output::check(&config)?;
    config.part.check()?;
    let baseline = config
        .sinks
        .baseline
        .as_deref()
        .map(records::read)
        .transpose()?;
    let stop = signals::stop()?;
    if config.form != ProgressForm::Nothing {
        ProxyFlag::note_unused(config.proxy.as_ref());
        print::note(&config.capacity);
        let (deflate, connections) = (config.load.deflate, config.load.connections);
        if let Some(line) = DeflateMode::client_line(deflate, connections) {
            print::note(line);
        }
    }
    let headroom = if config.calibrates {
        let Some(found) = calibrate::headroom(&config, &stop)? else {
            print::note("interrupted in the calibration");
            return Ok(Exit::Interrupted);
        };
        Some(found)
    } else {
        None
    };
    if config
        .part
        .wait(&stop, config.form != ProgressForm::Nothing)
    {
        print::note("interrupted before its start");
        return Ok(Exit::Interrupted);
    }
    let before = HostReader::new().read();
    let facts = output::facts(&config);
    let ran = match config.rounds {
        None => drive_once(&config, &facts, config.plan(stop))?,
        Some(rounds) => rounds::run(&config, &facts, rounds, &stop)?,
    };
    let host_samples = HostSamples {
        before,
        // A new reader reads all, also what is read now and then.
        after: HostReader::new().read(),
    };
    let facts = Facts {
        headroom,
        ended_unix_ms: Some(output::unix_ms()),
        host_samples: Some(host_samples),
        server: ran.server,
        network: ran.network,
        ..facts
    };
    let mut record = report::judged(&facts, &config.load, &ran.outcome);
    record.series = ran.series;
    if let Some(baseline) = baseline {
        output::judge_by(&mut record, &baseline, config.sinks.tolerance)?;
    }
    if config.form == ProgressForm::Lines {
        output::note_connects(&record);
    }
    conclude(&config, &record)
}

/// Prints and writes the record, and ends as its verdict says.
fn conclude(config: &Config, record: &Record) -> Result<Exit, Failure> {
    let printed = match config.output {
        Output::Json => print::line(record.to_json().map_err(|error| {
            Failure::Run(format!("the record cannot be written as JSON: {error}"))
        })?),
        Output::Text => print::text(&report::text::text(record)),
    };
    if let Some(path) = &config.sinks.record {
        recording::write(path, record)?;
    }
    if let Some(path) = &config.sinks.html {
        output::write_page(path, record)?;
    }
    if let Some(path) = &config.hgrm {
        output::write_hgrm(path, record)?;
    }
    printed?;
    Ok(match report::exit_code(record) {
        report::INCONCLUSIVE_CODE if config.inconclusive_ok => Exit::Pass,
        code => Exit::of_run(code),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::flags::{Command, Flags};
    use clap::Parser;

    /// The slots of one core of a run that is typed so.
    fn slots(line: &str) -> u32 {
        let argv = ["ringstorm", "load"].into_iter().chain(line.split(' '));
        let flags = Flags::try_parse_from(argv).expect("flags");
        let Some(Command::Load(flags)) = flags.command else {
            panic!("no load");
        };
        let config = Config::new(flags, 20_000).expect("a run");
        config.plan(Stop::default()).slots
    }

    /// All may come back while those that they were still linger.
    #[test]
    fn who_may_come_back_has_a_second_slot() {
        let run = "ws://127.0.0.1:9/echo -c 100 --cores 0";
        assert_eq!(slots(run), 100 + SLOTS_SPARE);
        assert_eq!(slots(&format!("{run} --reconnect")), 200 + SLOTS_SPARE);
        let stream = "http://127.0.0.1:9/ -c 100 --cores 0";
        assert_eq!(slots(&format!("{stream} --follow")), 200 + SLOTS_SPARE);
        // Of rooms over event streams, each client posts on a second connection.
        let rooms = format!("{stream} --scenario rooms");
        assert_eq!(slots(&rooms), 200 + SLOTS_SPARE);
        assert_eq!(slots(&format!("{rooms} --reconnect")), 400 + SLOTS_SPARE);
        let sessions = format!("{run} --connect-rate 9 --session-time 1s");
        assert_eq!(slots(&sessions), 125 + SLOTS_SPARE);
    }
}
