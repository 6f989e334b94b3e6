//! `--calibrate`: short runs against a server of this program's own, to find the highest rate that
//! this client would keep, and by how much that is above the plan.

use super::drive::drive;
use super::part_flags::PartFlags;
use super::sinks::Wanted;
use super::{Config, ProgressForm};
use crate::cli::child::Server;
use crate::cli::deflate::DeflateMode;
use crate::cli::engine_flag::LoadEngine;
use crate::cli::{Failure, host, print};
use crate::engine::{self, Stop};
use crate::load::{self, Loop, Pace, Rate, RetryPolicy, Scenario, Transport};
use crate::report::{Ceiling, Facts, Headroom, SEARCH_TIME, Trial, Verdict, judged};
use std::net::SocketAddr;
use std::time::Duration;

/// Connections of a calibration at the most: all connect again for every run.
const CONNECTIONS_MAX: u32 = 2_000;
/// Each run's time before it is measured, and while it is.
const WARM_UP: Duration = Duration::from_millis(100);
const MEASURED: Duration = Duration::from_millis(400);
/// What each run may take beside that, of a server that is next to this client: to connect, to wait
/// for replies, and to close (ten times that in all).
const CONNECT_PHASE: Duration = Duration::from_secs(5);
const GRACE: Duration = Duration::from_secs(1);
const CLOSE_TIME: Duration = Duration::from_millis(100);
/// The plan's highest rate is that of its busiest second.
const SECOND: Duration = Duration::from_secs(1);

/// Refuses a run that has nothing to compare with.
pub(super) fn check(load: &load::Config, is_secured: bool) -> Result<(), Failure> {
    let refused = |why: &str| Err(Failure::Usage(format!("--calibrate: {why}")));
    match (&load.scenario, load.transport) {
        (Scenario::Echo, Transport::WebSocket) if is_secured => {
            refused("its own server speaks no TLS; try it with a ws:// URL")
        }
        (Scenario::Echo, Transport::WebSocket) if load.message_pace().is_none() => {
            refused("a closed loop plans no rate to compare with; add -r 20k")
        }
        (Scenario::Echo, Transport::WebSocket) => Ok(()),
        (Scenario::Listen | Scenario::Idle | Scenario::Dialogue(_), _)
        | (Scenario::Echo, Transport::Sse) => refused("only --scenario echo can be compared"),
    }
}

/// Searches for the ceiling of this run's generator; `None` if somebody ended it.
pub(super) fn headroom(config: &Config, stop: &Stop) -> Result<Option<Headroom>, Failure> {
    let planned_per_s = busiest_per_s(&config.load);
    let allowed = host::allowed_cpus();
    let apart = allowed.iter().find(|cpu| !config.cpus.contains(cpu));
    let cpu = apart.or(config.cpus.last()).copied().unwrap_or(0);
    let engine = match config.engine {
        LoadEngine::Ring => "ring",
        LoadEngine::Tokio => "tokio",
    };
    let deflate = DeflateMode::typed(config.load.deflate);
    let server = Server::start(engine, &cpu.to_string(), deflate.as_slice())?;
    let address: SocketAddr = server
        .address
        .parse()
        .map_err(|_| Failure::Run(format!("{} is no address: a bug", server.address)))?;
    let connections = config.load.connections.min(CONNECTIONS_MAX);
    let mut ceiling = Ceiling::new(planned_per_s);
    if config.form != ProgressForm::Nothing {
        let most = SEARCH_TIME.as_secs();
        print::note(format_args!("calibrating: {most} s at most"));
    }
    while let Some(per_s) = ceiling.next_per_s() {
        let Some(rate) = Rate::per_second(per_s) else {
            break;
        };
        let one = short(config, address, rate, connections);
        let began = engine::now();
        let trial = tried(&one, stop)?;
        if stop.is_thrown() {
            return Ok(None);
        }
        if config.form != ProgressForm::Nothing {
            let what = match trial {
                Trial::Held => "held",
                Trial::GeneratorLimited => "too much for this client",
                Trial::ServerLimited => "too much for its own server",
            };
            print::note(format_args!("calibrating: {rate} {what}"));
        }
        ceiling.tried(per_s, trial, engine::now().since(began));
    }
    server.end()?;
    let found = ceiling.found(connections);
    Ok(Some(Headroom {
        // A server on a CPU of the generator takes from what it measures.
        is_lower_bound: found.is_lower_bound || apart.is_none(),
        ..found
    }))
}

/// The rate of the busiest second of the plan.
fn busiest_per_s(load: &load::Config) -> f64 {
    let Some(pace) = load.message_pace() else {
        return 0.0;
    };
    let all = load.warm_up + load.duration;
    let seconds = u32::try_from(all.as_secs()).unwrap_or(u32::MAX).max(1);
    let rates = (0..seconds).map(|second| {
        let from = SECOND * second;
        pace.mean_per_second(from..(from + SECOND).min(all).max(from))
    });
    rates.fold(0.0, f64::max)
}

/// The same generator at that rate, for a moment, against that server.
fn short(config: &Config, to: SocketAddr, rate: Rate, connections: u32) -> Config {
    let burst = match config.load.messages {
        Loop::Open { burst, .. } => burst,
        Loop::PerConnection { .. } | Loop::Closed | Loop::Thinking(_) => 1,
    };
    let pace = Pace::Constant(rate);
    Config {
        load: load::Config {
            targets: vec![load::Target::At(to)],
            sources: Vec::new(),
            others: Vec::new(),
            host: to.to_string(),
            target: "/echo".to_owned(),
            connections,
            connect_pace: None,
            messages: Loop::Open { pace, burst },
            retry: RetryPolicy::NEVER,
            outage: None,
            session: None,
            warm_up: WARM_UP,
            duration: MEASURED,
            connect_phase: CONNECT_PHASE,
            grace: GRACE.min(config.load.grace),
            close_time: CLOSE_TIME.min(config.load.close_time),
            ..config.load.clone()
        },
        cpus: config.cpus.clone(),
        engine: config.engine,
        url: format!("ws://{to}/echo"),
        command: Vec::new(),
        tls: None,
        proxy: None,
        routes: Vec::new(),
        debugs: 0,
        server_pid: None,
        // Slip is judged against the bounds of response times.
        thresholds: config.thresholds.clone(),
        allowed_failures: 0.0,
        inconclusive_ok: false,
        capacity: String::new(),
        calibrates: false,
        output: config.output,
        hgrm: None,
        form: ProgressForm::Nothing,
        sinks: Wanted::default(),
        iterations: None,
        rounds: None,
        aborts: false,
        part: PartFlags::default(),
    }
}

/// Runs it, and says what was the limit.
fn tried(one: &Config, stop: &Stop) -> Result<Trial, Failure> {
    let facts = Facts {
        thresholds: one.thresholds.clone(),
        ..Facts::default()
    };
    let ran = drive(one, &facts, one.plan(stop.clone()), |load| load)?;
    let record = judged(&facts, &one.load, &ran.outcome);
    match record.verdict.limited_by.as_deref() {
        Some("generator") => Ok(Trial::GeneratorLimited),
        Some(_) => Ok(Trial::ServerLimited),
        None if record.messages.as_ref().is_some_and(|it| it.lost > 0) => Ok(Trial::ServerLimited),
        None if record.connects.up == 0 && record.verdict.verdict == Verdict::Fail => {
            let why = record.verdict.reasons.join("; ");
            Err(Failure::Run(format!("--calibrate: {why}")))
        }
        None => Ok(Trial::Held),
    }
}
