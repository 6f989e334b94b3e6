//! One run of one contender: started, loaded, watched, stopped, read.

use super::CompareConfig;
use super::case::{Case, CaseFigure, figures};
use super::contender::Contender;
use crate::cli::Failure;
use crate::cli::child::Load;
use crate::cli::engine_flag::LoadEngine;
use crate::cli::host;
use crate::cli::processes::private_bytes;
use crate::cli::scratch::Scratch;
use crate::engine::Stop;
use crate::report::{Record, Verdict};
use crate::sampler::HostReader;
use crate::stats::HostSample;
use procfs::process::Process;
use std::fs;
use std::time::{Duration, Instant};

/// Time between two looks at a load.
const LOOK_TIME: Duration = Duration::from_millis(20);
/// Time between two looks at a server's memory.
const MEMORY_TIME: Duration = Duration::from_millis(500);

/// What a run measured.
pub(super) struct Measured {
    pub(super) figures: Vec<CaseFigure>,
    pub(super) started_unix_ms: u64,
    pub(super) foreign_cpus: Option<f64>,
    pub(super) steal: Option<f64>,
    pub(super) mhz: Option<f64>,
}

/// The host and what this process and its children have used of it.
struct Before {
    at: Instant,
    host: HostSample,
    own: Duration,
}

/// Runs it once; `None` if somebody ended it.
pub(super) fn measured(
    config: &CompareConfig,
    case: &Case,
    contender: &Contender,
    stop: &Stop,
) -> Result<Option<Measured>, Failure> {
    let before = Before::now();
    let standing = contender.start(case, &config.server_cpus)?;
    let pid = standing.pid;
    let mut flags = vec![standing.url.clone()];
    let engine = match config.load_engine {
        LoadEngine::Ring => "ring",
        LoadEngine::Tokio => "tokio",
    };
    flags.extend(["--engine".to_owned(), engine.to_owned()]);
    let watched = pid.map(|pid| pid.to_string());
    let watched = watched.or(config.server_pid.map(|pid| pid.to_string()));
    flags.extend(
        watched
            .into_iter()
            .flat_map(|pid| ["--server-pid".to_owned(), pid]),
    );
    flags.extend(case.load(&config.load, config.duration));
    let memory = pid.or(config.server_pid.and_then(|pid| u32::try_from(pid).ok()));
    let ran = loaded(config, &flags, memory, stop)?;
    let mhz = clock_mhz(config.server_cpus.first().copied().unwrap_or(0));
    let is_ours = pid.is_some();
    standing.end()?;
    let Some((record, grown_bytes)) = ran else {
        return Ok(None);
    };
    believable(contender, &record)?;
    let (foreign, steal) = before.since();
    Ok(Some(Measured {
        figures: figures(&record, grown_bytes),
        started_unix_ms: record.run.started_unix_ms,
        foreign_cpus: is_ours.then_some(foreign).flatten(),
        steal,
        mhz,
    }))
}

/// A run that failed compares nothing.
fn believable(contender: &Contender, record: &Record) -> Result<(), Failure> {
    let verdict = &record.verdict;
    match verdict.verdict {
        Verdict::Pass | Verdict::Inconclusive => Ok(()),
        Verdict::Fail | Verdict::Invalid => Err(Failure::Run(format!(
            "a run against {} is {}: {}; try: a load that both can carry, such as -- -c 100 -r 5k",
            contender.shown(),
            verdict.verdict.word(),
            verdict.reasons.join("; ")
        ))),
    }
}

/// Runs one load to its end, with what the server's memory grew by; `None` if somebody ended it.
fn loaded(
    config: &CompareConfig,
    flags: &[String],
    pid: Option<u32>,
    stop: &Stop,
) -> Result<Option<(Record, Option<u64>)>, Failure> {
    let file = Scratch::new()?;
    let before = pid.map(private_bytes);
    let mut most = 0;
    let mut looked = Instant::now();
    let mut load = Load::start(&host::listed(&config.load_cpus), flags, file.open()?)?;
    let code = loop {
        if let Some(code) = load.is_over()? {
            break code;
        }
        if stop.is_thrown() {
            load.terminate();
        }
        let is_time = looked.elapsed() >= MEMORY_TIME && load.said().starts_with("measuring");
        if let (true, Some(pid)) = (is_time, pid) {
            most = most.max(private_bytes(pid));
            looked = Instant::now();
        }
        std::thread::sleep(LOOK_TIME);
    };
    if stop.is_thrown() {
        return Ok(None);
    }
    let text = fs::read_to_string(file.path())?;
    let record: Record = serde_json::from_str(&text).map_err(|_| {
        let said = load.said();
        Failure::Run(format!(
            "load {} ended with {code}: {said}",
            flags.join(" ")
        ))
    })?;
    let grown = before
        .filter(|_| most > 0)
        .map(|before| most.saturating_sub(before));
    Ok(Some((record, grown)))
}

impl Before {
    fn now() -> Self {
        Self {
            at: Instant::now(),
            host: HostReader::new().read(),
            own: own_time(),
        }
    }

    /// CPUs that others used since then, and the part that the hypervisor took.
    fn since(&self) -> (Option<f64>, Option<f64>) {
        let after = HostReader::new().read();
        let sum = |host: &HostSample, of: fn(&crate::stats::proc::CpuTime) -> u64| -> f64 {
            host.cpus.iter().map(|cpu| of(cpu) as f64 / 1e3).sum()
        };
        let grown = |of| sum(&after, of) - sum(&self.host, of);
        let all = grown(crate::stats::proc::CpuTime::sum_ms);
        let busy = all - grown(|cpu| cpu.idle_ms);
        let own = own_time().saturating_sub(self.own).as_secs_f64();
        let span = self.at.elapsed().as_secs_f64();
        if all <= 0.0 || span <= 0.0 {
            return (None, None);
        }
        let foreign = ((busy - own) / span).max(0.0);
        (Some(foreign), Some(grown(|cpu| cpu.steal_ms) / all))
    }
}

/// CPU time of this process and of its children that have ended.
fn own_time() -> Duration {
    let Ok(stat) = Process::myself().and_then(|own| own.stat()) else {
        return Duration::ZERO;
    };
    let children = u64::try_from(stat.cutime + stat.cstime).unwrap_or(0);
    let ticks = stat.utime + stat.stime + children;
    Duration::from_nanos(ticks * 1_000_000_000 / procfs::ticks_per_second())
}

/// The clock of that CPU now.
fn clock_mhz(cpu: usize) -> Option<f64> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let mut clocks = text.lines().filter(|line| line.starts_with("cpu MHz"));
    clocks.nth(cpu)?.split(':').nth(1)?.trim().parse().ok()
}
