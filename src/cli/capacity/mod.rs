//! `capacity`: the largest load that a server holds within its objectives, and what stops it.

pub(super) mod flags;
mod step;
mod watching;

use super::engine_flag::LoadEngine;
use super::records::RecordKind;
use super::study::StudyFlags;
use super::url::{Scheme, Url};
use super::{Exit, Failure, host, print, signals};
use crate::report::{CAPACITY_SCHEMA, CapacityMemory, CapacityRecord, Scalability, Threshold};
use crate::study::search::{Found, Search, SearchBounds, StepAnswer};
use crate::study::trend::Trend;
use crate::study::usl::Fit;
use flags::{AxisFlag, CapacityFlags};
use procfs::process::Process;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use step::Stepped;
use watching::WatchedServer;

/// The records that this command writes.
const KIND: RecordKind = RecordKind {
    schema: CAPACITY_SCHEMA,
    command: "capacity",
};

/// A step may be far beyond the limit: no longer than that.
const STEP_MAX: Duration = Duration::from_secs(5);
/// Messages a second at most, where nothing else was typed.
const RATE_MAX: u32 = 10_000_000;

/// A search, as meant.
pub(super) struct CapacityConfig {
    url: String,
    address: Url,
    slo: Vec<String>,
    axis: AxisFlag,
    connections: u32,
    rate_per_connection: u32,
    /// Whether the connections of the axis connections send.
    sends: bool,
    bounds: SearchBounds,
    step: Duration,
    soak: Duration,
    server_pid: Option<i32>,
    /// CPUs that the server may run on.
    server_cores: usize,
    load_cpus: Vec<usize>,
    engine: &'static str,
    load: Vec<String>,
    study: StudyFlags,
}

impl CapacityConfig {
    /// What the flags mean.
    pub(super) fn new(flags: CapacityFlags) -> Result<Self, Failure> {
        for slo in &flags.slo {
            slo.parse::<Threshold>()
                .map_err(|error| Failure::Usage(format!("--slo: {error}")))?;
        }
        if flags.step > STEP_MAX {
            let text = "a step may be far beyond the limit; try 5s at most";
            return Err(Failure::Usage(format!("--step: {text}")));
        }
        let axis = flags.axis.unwrap_or(match flags.url.scheme {
            Scheme::Ws => AxisFlag::Rate,
            Scheme::Http => AxisFlag::Connections,
        });
        if axis == AxisFlag::Rate && flags.url.scheme == Scheme::Http {
            let text = "an event stream is sent nothing; try: --axis connections";
            return Err(Failure::Usage(format!("--axis rate: {text}")));
        }
        let (start, most) = match axis {
            AxisFlag::Rate => (1_000, RATE_MAX),
            AxisFlag::Connections => (100, u32::MAX),
        };
        let bounds = SearchBounds {
            start: f64::from(flags.start.unwrap_or(start)),
            most: f64::from(flags.max.unwrap_or(most)),
        };
        if bounds.start > bounds.most {
            return Err(Failure::Usage(
                "--start: it is above --max; try a smaller one".to_owned(),
            ));
        }
        let is_other = |word: &String| word == "--scenario" || word == "-r" || word == "--rate";
        let sends = flags.url.scheme == Scheme::Ws && !flags.load.iter().any(is_other);
        Ok(Self {
            url: flags.url.to_string(),
            address: flags.url,
            slo: flags.slo,
            axis,
            connections: flags.connections,
            rate_per_connection: flags.rate_per_connection,
            sends,
            bounds,
            step: flags.step,
            soak: flags.soak,
            server_cores: flags.server_pid.map_or(Ok(1), cores_of)?,
            server_pid: flags.server_pid,
            load_cpus: host::cpus(flags.load_cores)?,
            engine: match flags.load_engine {
                LoadEngine::Ring => "ring",
                LoadEngine::Tokio => "tokio",
            },
            load: flags.load,
            study: flags.study,
        })
    }
}

/// How many CPUs a process may run on.
fn cores_of(pid: i32) -> Result<usize, Failure> {
    let status = Process::new(pid)
        .and_then(|it| it.status())
        .map_err(|error| {
            Failure::Usage(format!(
                "--server-pid: {error}; try: --server-pid $(pidof ringstorm)"
            ))
        })?;
    let ranges = status.cpus_allowed_list.unwrap_or_default();
    let cpus: u32 = ranges.iter().map(|(first, last)| last - first + 1).sum();
    Ok(usize::try_from(cpus).unwrap_or(1).max(1))
}

/// Searches and prints what was found.
pub(super) fn run(config: &CapacityConfig) -> Result<Exit, Failure> {
    let (before, mut records) = config.study.open::<CapacityRecord>(KIND)?;
    let stop = signals::stop()?;
    let started = unix_ms();
    let mut search = Search::new(config.bounds);
    let mut steps: Vec<Stepped> = Vec::new();
    let pid = config.server_pid.and_then(|pid| u32::try_from(pid).ok());
    let mut watched = WatchedServer::new(pid, config.address.port);
    let mut is_interrupted = false;
    while let Some(next) = search.next_step() {
        let Some(stepped) = step::run(config, next, &mut watched, &stop)? else {
            is_interrupted = true;
            break;
        };
        if !config.study.quiet {
            let why = stepped.said.reasons.first().map_or("", String::as_str);
            let (load, answer) = (next.load, &stepped.said.answer);
            let purpose = &stepped.said.purpose;
            print::note(format_args!("{purpose} {load:.0}: {answer} {why}"));
        }
        search.took(next, stepped.answer);
        steps.push(stepped);
    }
    let mut capacity = capacity(config, started, &search.found(), &steps);
    if let Some(before) = before.first() {
        capacity
            .judge_by(before)
            .map_err(|why| Failure::Run(format!("--baseline: {why}")))?;
    }
    records.leave(&capacity, &capacity.text())?;
    Ok(exit(&capacity, is_interrupted))
}

fn exit(capacity: &CapacityRecord, is_interrupted: bool) -> Exit {
    let is_generator = capacity.broke_by.as_deref() == Some("not_applied");
    match capacity.held {
        _ if is_interrupted => Exit::Interrupted,
        _ if capacity.worse_than_baseline.is_some() => Exit::Threshold,
        _ if is_generator => Exit::Invalid,
        None => Exit::Threshold,
        Some(_) if capacity.is_confirmed => Exit::Pass,
        Some(_) => Exit::Inconclusive,
    }
}

fn capacity(
    config: &CapacityConfig,
    started_unix_ms: u64,
    found: &Found,
    steps: &[Stepped],
) -> CapacityRecord {
    // The step that broke nearest to what was held says what stood in the way.
    let broke = found.broke.map(|(load, _)| load);
    let limit = steps
        .iter()
        .rev()
        .find(|it| Some(it.said.load) == broke && it.answer != StepAnswer::Held);
    let limit = limit.map(|it| it.said.clone()).unwrap_or_default();
    CapacityRecord {
        schema: CAPACITY_SCHEMA.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: config.study.command.clone(),
        host: host::facts(),
        url: config.url.clone(),
        slo: config.slo.clone(),
        axis: match config.axis {
            AxisFlag::Rate => "rate".to_owned(),
            AxisFlag::Connections => "connections".to_owned(),
        },
        fixed: match config.axis {
            AxisFlag::Rate => Some(f64::from(config.connections)),
            AxisFlag::Connections => config.sends.then(|| f64::from(config.rate_per_connection)),
        },
        soak_s: config.soak.as_secs_f64(),
        started_unix_ms,
        ended_unix_ms: unix_ms(),
        held: found.held,
        broke,
        broke_by: found.broke.map(|(_, answer)| match answer {
            StepAnswer::Held | StepAnswer::Broke => "broke".to_owned(),
            StepAnswer::Open => "open".to_owned(),
            StepAnswer::NotApplied => "not_applied".to_owned(),
        }),
        is_confirmed: found.is_confirmed,
        broke_below: found.broke_below,
        bottleneck: limit.bottleneck,
        remedy: limit.remedy,
        causes: limit.causes,
        memory: memory(config, steps),
        scalability: scalability(steps),
        worse_than_baseline: None,
        steps: steps.iter().map(|it| it.said.clone()).collect(),
    }
}

/// The server's memory by connections, where those varied.
fn memory(config: &CapacityConfig, steps: &[Stepped]) -> Option<CapacityMemory> {
    if config.axis != AxisFlag::Connections {
        return None;
    }
    let points = steps.iter().filter_map(|it| {
        let bytes = it.said.private_bytes?;
        Some((it.said.connections as f64, bytes as f64))
    });
    let points: Vec<(f64, f64)> = points.collect();
    let line = Trend::through(&points)?;
    let known = |end: f64| end.is_finite().then_some(end);
    Some(CapacityMemory {
        base_bytes: line.base,
        each_bytes: line.slope,
        low_bytes: known(line.slope_range.low),
        high_bytes: known(line.slope_range.high),
    })
}

/// The law of the steps that were held: what broke is not in balance.
fn scalability(steps: &[Stepped]) -> Option<Scalability> {
    let held = steps.iter().filter(|it| it.answer == StepAnswer::Held);
    let points = held
        .filter_map(|it| it.in_flight)
        .filter(|(n, _)| *n >= 1.0);
    let points: Vec<(f64, f64)> = points.collect();
    let fit = Fit::of(&points, 1)?;
    Some(Scalability {
        lambda: fit.law.lambda,
        sigma: (fit.law.sigma, fit.sigma.low, fit.sigma.high),
        kappa: (fit.law.kappa, fit.kappa.low, fit.kappa.high),
        peak: fit.law.peak(),
        measured_to: fit.measured_to,
    })
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}
