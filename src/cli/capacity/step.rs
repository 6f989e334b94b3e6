//! One step: a load, the server watched meanwhile, and what both say.

use super::CapacityConfig;
use super::flags::AxisFlag;
use super::watching::{ServerSeen, WatchedServer};
use crate::cli::child::Load;
use crate::cli::scratch::Scratch;
use crate::cli::{Failure, host};
use crate::engine::Stop;
use crate::report::{CapacityStep, Record, Verdict};
use crate::stats::HostSample;
use crate::stats::proc::CpuTime;
use crate::study::attribution::{Bottleneck, Evidence, causes};
use crate::study::search::{Purpose, SearchStep, StepAnswer};
use std::time::Duration;

/// Time between two looks at a load.
const LOOK_TIME: Duration = Duration::from_millis(50);
/// Time before a step is measured.
const WARM_UP: Duration = Duration::from_millis(500);
/// What `load` says of more connections than this host can make.
const TOO_MANY: &str = "connections do not fit";

/// What came of a step.
pub(super) struct Stepped {
    pub(super) answer: StepAnswer,
    pub(super) said: CapacityStep,
    /// Replies or events a second, and how many were in flight by Little's law.
    pub(super) in_flight: Option<(f64, f64)>,
}

/// Runs a step; `None` if somebody ended it.
pub(super) fn run(
    config: &CapacityConfig,
    step: SearchStep,
    watched: &mut WatchedServer,
    stop: &Stop,
) -> Result<Option<Stepped>, Failure> {
    let flags = flags(config, step);
    let before = watched.take();
    let file = Scratch::new()?;
    let mut load = Load::start(&host::listed(&config.load_cpus), &flags, file.open()?)?;
    let code = loop {
        if let Some(code) = load.is_over()? {
            break code;
        }
        if stop.is_thrown() {
            load.terminate();
        }
        watched.look();
        std::thread::sleep(LOOK_TIME);
    };
    if stop.is_thrown() {
        return Ok(None);
    }
    let seen = watched.take();
    if watched.has_died() {
        let load = step.load;
        return Err(Failure::Run(format!(
            "the server's process ended in the step of {load}: that is no capacity; try: its log"
        )));
    }
    let text = std::fs::read_to_string(file.path())?;
    let record: Option<Record> = serde_json::from_str(&text).ok();
    let Some(record) = record else {
        // It was refused before it began: this host has not so many ports or descriptors.
        let why = load.said();
        if config.axis == AxisFlag::Connections && why.contains(TOO_MANY) {
            return Ok(Some(refused(step, why)));
        }
        let flags = flags.join(" ");
        return Err(Failure::Run(format!(
            "load {flags} ended with {code}: {why}"
        )));
    };
    Ok(Some(stepped(config, step, &record, &before, &seen)))
}

fn flags(config: &CapacityConfig, step: SearchStep) -> Vec<String> {
    let load = step.load;
    let mut flags = vec![config.url.clone()];
    let mut add = |name: &str, value: String| flags.extend([name.to_owned(), value]);
    match config.axis {
        AxisFlag::Rate => {
            add("-c", config.connections.to_string());
            add("-r", format!("{load:.0}"));
        }
        AxisFlag::Connections => {
            add("-c", format!("{load:.0}"));
            if config.sends {
                add(
                    "--rate-per-connection",
                    config.rate_per_connection.to_string(),
                );
            }
        }
    }
    let time = match step.purpose {
        Purpose::Probe => config.step,
        Purpose::Soak => config.soak,
        // More than the limit is not asked for long.
        Purpose::Check => config.step,
    };
    add("-d", format!("{}ms", time.as_millis()));
    add("--warm-up", format!("{}ms", WARM_UP.as_millis()));
    add("--grace", "2s".to_owned());
    add("--engine", config.engine.to_owned());
    if let Some(pid) = config.server_pid {
        add("--server-pid", pid.to_string());
    }
    flags.extend(config.load.iter().cloned());
    flags.push("--abort-on-fail".to_owned());
    flags.push("--threshold".to_owned());
    flags.extend(config.slo.iter().cloned());
    flags
}

/// A load that this host could not even begin.
fn refused(step: SearchStep, why: String) -> Stepped {
    let bottleneck = if why.contains("descriptors allow") {
        Bottleneck::Descriptors
    } else {
        Bottleneck::Ports
    };
    Stepped {
        answer: StepAnswer::NotApplied,
        in_flight: None,
        said: CapacityStep {
            load: step.load,
            purpose: purpose(step.purpose).to_owned(),
            answer: "not_applied".to_owned(),
            causes: vec![format!("{bottleneck}: {why}")],
            bottleneck: Some(bottleneck.to_string()),
            remedy: Some(bottleneck.remedy().to_owned()),
            reasons: vec![why],
            ..CapacityStep::default()
        },
    }
}

fn stepped(
    config: &CapacityConfig,
    step: SearchStep,
    record: &Record,
    before: &ServerSeen,
    seen: &ServerSeen,
) -> Stepped {
    let judgement = &record.verdict;
    let is_late = judgement.limited_by.as_deref() == Some("generator");
    let evidence = evidence(config, record, before, seen);
    let is_short = evidence.no_ports + evidence.no_descriptors > 0;
    let answer = match judgement.verdict {
        Verdict::Pass => StepAnswer::Held,
        // Connects that this host had nothing for are not the server's failure.
        Verdict::Fail if is_short => StepAnswer::NotApplied,
        Verdict::Fail => StepAnswer::Broke,
        Verdict::Inconclusive => StepAnswer::Open,
        Verdict::Invalid if is_late => StepAnswer::NotApplied,
        // The plan did not go out because replies did not come in time: that is the server's.
        Verdict::Invalid => StepAnswer::Broke,
    };
    let busy = evidence.server_busy;
    let found = causes(&evidence);
    let per_s = match (&record.messages, &record.events) {
        (Some(messages), _) => messages.replied_per_s,
        (None, events) => events.as_ref().and_then(|it| it.received_per_s),
    };
    let service = record.latency.service.as_ref().map(|it| it.mean_ns / 1e9);
    let headline = record.headline().map(|(_, it)| it);
    Stepped {
        answer,
        in_flight: per_s.zip(service).map(|(x, mean_s)| (x * mean_s, x)),
        said: CapacityStep {
            load: step.load,
            purpose: purpose(step.purpose).to_owned(),
            answer: match answer {
                StepAnswer::Held => "held",
                StepAnswer::Broke => "broke",
                StepAnswer::Open => "open",
                StepAnswer::NotApplied => "not_applied",
            }
            .to_owned(),
            connections: record.connects.up,
            per_s,
            p50_ns: headline.map(|it| it.p50_ns),
            p99_ns: headline.map(|it| it.p99_ns),
            server_busy: busy,
            private_bytes: seen.private_bytes,
            reasons: judgement.reasons.clone(),
            causes: found
                .iter()
                .map(|it| format!("{}: {it}", it.bottleneck))
                .collect(),
            bottleneck: found.first().map(|it| it.bottleneck.to_string()),
            remedy: found.first().map(|it| it.bottleneck.remedy().to_owned()),
        },
    }
}

const fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Probe => "probe",
        Purpose::Soak => "soak",
        Purpose::Check => "check",
    }
}

/// What both ends show of a step.
fn evidence(
    config: &CapacityConfig,
    record: &Record,
    before: &ServerSeen,
    seen: &ServerSeen,
) -> Evidence {
    let failed = |kind: &str| -> u64 {
        let alike = record.failures.iter().filter(|it| it.kind == kind);
        alike.map(|it| it.count).sum()
    };
    let grown = |of: fn(&HostSample) -> Option<u64>| {
        let samples = record.host_samples.as_ref()?;
        Some(of(&samples.after)?.saturating_sub(of(&samples.before)?))
    };
    let sum = |one: Option<u64>, other: Option<u64>| match (one, other) {
        (None, None) => None,
        (one, other) => Some(one.unwrap_or(0) + other.unwrap_or(0)),
    };
    let after = record.host_samples.as_ref().map(|it| &it.after);
    let part = |of: Option<u64>, all: Option<u64>| {
        let (of, all) = (of? as f64, all? as f64);
        (all > 0.0).then_some(of / all)
    };
    let counted = |before: Option<u64>, now: Option<u64>| Some(now?.saturating_sub(before?));
    let time = HostTime::new(record);
    let cores = config.server_cores as f64;
    let busy = record
        .server
        .map(|it| it.cpu_s / (record.time.measured_s * cores));
    Evidence {
        is_generator_late: record.verdict.limited_by.as_deref() == Some("generator"),
        no_ports: failed("no_source_port") + failed("port_exhausted"),
        no_descriptors: failed("no_descriptor"),
        accept_drops: sum(grown(|it| it.listen_overflows), grown(|it| it.listen_drops)),
        accept_queue: seen.accept_queue,
        syn_drops: sum(
            grown(|it| it.syn_queue_drops),
            grown(|it| it.syncookies_sent),
        ),
        tcp_memory_pressures: sum(
            grown(|it| it.tcp_memory_pressures),
            grown(|it| it.aborts_on_memory),
        ),
        tcp_memory: after.and_then(|it| part(it.tcp_memory_pages, it.tcp_memory_pages_pressure)),
        descriptors: seen.descriptors,
        memory: seen.memory,
        memory_events: counted(before.memory_events, seen.memory_events),
        softnet_drops: grown(|it| it.softnet_drops),
        retransmits: grown(|it| it.retransmits),
        conntrack: after.and_then(|it| part(it.conntrack, it.conntrack_max)),
        throttled: counted(before.throttled, seen.throttled),
        steal: time.as_ref().map(|it| it.steal),
        foreign: time.as_ref().and_then(|it| it.foreign),
        server_busy: busy
            .filter(|it| it.is_finite())
            .into_iter()
            .chain(seen.busiest_thread)
            .reduce(f64::max),
    }
}

/// Where the CPU time of the host went while a step ran.
struct HostTime {
    /// The part that the hypervisor took.
    steal: f64,
    /// The part that neither the server nor the generator used.
    foreign: Option<f64>,
}

impl HostTime {
    fn new(record: &Record) -> Option<Self> {
        let samples = record.host_samples.as_ref()?;
        let sum_s = |host: &HostSample, of: fn(&CpuTime) -> u64| -> f64 {
            host.cpus.iter().map(|cpu| of(cpu) as f64 / 1e3).sum()
        };
        let grown_s = |of| sum_s(&samples.after, of) - sum_s(&samples.before, of);
        let all_s = grown_s(CpuTime::sum_ms);
        if all_s <= 0.0 || samples.after.cpus.is_empty() {
            return None;
        }
        let span_s = all_s / samples.after.cpus.len() as f64;
        let cores = record.generator.cores.iter();
        let generator_s: f64 = cores.map(|it| it.cpu_s + it.connect_cpu_s).sum();
        // Of the server its measured time is known: it is taken for as busy before and after.
        let server_s = record
            .server
            .map(|it| it.cpu_s * span_s / record.time.measured_s);
        let busy_s = all_s - grown_s(|cpu| cpu.idle_ms);
        let foreign = server_s.map(|server_s| (busy_s - generator_s - server_s) / all_s);
        Some(Self {
            steal: grown_s(|cpu| cpu.steal_ms) / all_s,
            foreign: foreign.filter(|it| it.is_finite()),
        })
    }
}
