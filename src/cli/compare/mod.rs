//! `compare`: two servers by interleaved pairs of runs, and what that says of them.

mod case;
mod contender;
pub(super) mod flags;
mod measuring;

use super::engine_flag::LoadEngine;
use super::records::RecordKind;
use super::study::StudyFlags;
use super::{Exit, Failure, host, print, signals};
use crate::engine::Stop;
use crate::report::{VERSUS_SCHEMA, Versus, VersusContrast, VersusRun};
use crate::study::paired::{Contrast, Decision, Ends, contrast, is_a_first};
use crate::study::resample::median;
use case::Case;
use clap::ValueEnum;
use contender::Contender;
use flags::{CaseFlag, CompareFlags};
use measuring::{Measured, measured};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The records that this command writes.
const KIND: RecordKind = RecordKind {
    schema: VERSUS_SCHEMA,
    command: "compare",
};

/// A comparison, as meant.
pub(super) struct CompareConfig {
    a: Contender,
    b: Contender,
    cases: Vec<Case>,
    /// Pairs at most.
    pairs: usize,
    ends: Ends,
    margin: f64,
    duration: Duration,
    server_cpus: Vec<usize>,
    load_cpus: Vec<usize>,
    load_engine: LoadEngine,
    server_pid: Option<i32>,
    /// Flags of each load, if any were typed.
    load: Vec<String>,
    study: StudyFlags,
}

/// The runs of both so far.
#[derive(Default)]
struct Pairs {
    a: Vec<Measured>,
    b: Vec<Measured>,
}

impl CompareConfig {
    /// What the flags mean.
    pub(super) fn new(flags: CompareFlags) -> Result<Self, Failure> {
        let mut sides = flags.sides.iter();
        let mut side = |named: Option<&String>, url: Option<&String>, name: &str| {
            let typed = named.or_else(|| sides.next()).ok_or_else(|| {
                Failure::Usage(format!("what is {name}? try: ringstorm compare ring tokio"))
            })?;
            Contender::new(typed, url.map(String::as_str))
        };
        let a = side(flags.a.as_ref(), flags.a_url.as_ref(), "A")?;
        let b = side(flags.b.as_ref(), flags.b_url.as_ref(), "B")?;
        if let Some(extra) = sides.next() {
            let text = "two are compared; --a and --b are given as well";
            return Err(Failure::Usage(format!("{extra}: {text}")));
        }
        let cases = if flags.suite {
            CaseFlag::value_variants().to_vec()
        } else if flags.case.is_empty() {
            vec![CaseFlag::Echo]
        } else {
            flags.case
        };
        if flags.margin <= 0.0 {
            return Err(Failure::Usage(
                "--margin: nothing is within 0%; try 2%".to_owned(),
            ));
        }
        let (server_cpus, load_cpus) = halves(flags.server_cores, flags.load_cores)?;
        let (pairs, ends) = if flags.until_sure {
            (flags.pairs_max, Ends::WhenSure)
        } else {
            (flags.pairs, Ends::Fixed)
        };
        Ok(Self {
            a,
            b,
            cases: cases.into_iter().map(Case::of).collect(),
            pairs: usize::try_from(pairs).unwrap_or(usize::MAX),
            ends,
            margin: flags.margin,
            duration: flags.duration,
            server_cpus,
            load_cpus,
            load_engine: flags.load_engine,
            server_pid: flags.server_pid,
            load: flags.load,
            study: flags.study,
        })
    }
}

/// The CPUs of server and load: what was typed, or half of the allowed each.
pub(super) fn halves(
    server: Option<super::values::Cpus>,
    load: Option<super::values::Cpus>,
) -> Result<(Vec<usize>, Vec<usize>), Failure> {
    let allowed = host::allowed_cpus();
    let (first, second) = allowed.split_at(allowed.len().div_ceil(2));
    let second = if second.is_empty() { first } else { second };
    let or = |typed: Option<_>, half: &[usize]| match typed {
        Some(typed) => host::cpus(Some(typed)),
        None => Ok(half.to_vec()),
    };
    Ok((or(server, first)?, or(load, second)?))
}

/// Compares, case by case, and prints what each says.
pub(super) fn run(config: &CompareConfig) -> Result<Exit, Failure> {
    let stop = signals::stop()?;
    let (before, mut records) = config.study.open::<Versus>(KIND)?;
    let mut worst = Exit::Pass;
    for case in &config.cases {
        let (mut versus, exit) = compared(config, case, &stop)?;
        versus.judge_by(&before);
        records.leave(&versus, &versus.text())?;
        if exit == Exit::Interrupted {
            return Ok(exit);
        }
        let exit = if versus.worse_than_baseline.is_empty() {
            exit
        } else {
            Exit::Threshold
        };
        worst = match (worst, exit) {
            (Exit::Threshold, _) | (_, Exit::Threshold) => Exit::Threshold,
            (Exit::Inconclusive, _) | (_, Exit::Inconclusive) => Exit::Inconclusive,
            (other, _) => other,
        };
    }
    Ok(worst)
}

/// One case: pairs until they are enough.
fn compared(config: &CompareConfig, case: &Case, stop: &Stop) -> Result<(Versus, Exit), Failure> {
    let started = unix_ms();
    // What is loaded for the first time is slow: one run of each that does not count.
    let mut is_interrupted = false;
    for contender in [&config.a, &config.b] {
        is_interrupted |= measured(config, case, contender, stop)?.is_none();
    }
    let mut pairs = Pairs::default();
    let mut found = Vec::new();
    while !is_interrupted && pairs.a.len() < config.pairs {
        let number = pairs.a.len();
        let (first, second) = if is_a_first(number) {
            (&config.a, &config.b)
        } else {
            (&config.b, &config.a)
        };
        let first = measured(config, case, first, stop)?;
        let second = if first.is_some() {
            measured(config, case, second, stop)?
        } else {
            None
        };
        let Some((first, second)) = first.zip(second) else {
            is_interrupted = true;
            break;
        };
        let (a, b) = if is_a_first(number) {
            (first, second)
        } else {
            (second, first)
        };
        pairs.a.push(a);
        pairs.b.push(b);
        found = contrasts(config, &pairs);
        tell(config, case, &pairs, &found);
        let decides = found.first().map(|(_, it)| it.decision);
        let is_open = matches!(decides, Some(Decision::TooNoisy { .. }) | None);
        if config.ends == Ends::WhenSure && !is_open {
            break;
        }
    }
    let decides = found.first().map(|(_, it)| it.decision);
    let exit = match decides {
        _ if is_interrupted => Exit::Interrupted,
        Some(Decision::Better | Decision::NoDifference) => Exit::Pass,
        Some(Decision::Worse) => Exit::Threshold,
        Some(Decision::TooNoisy { .. }) | None => Exit::Inconclusive,
    };
    Ok((versus(config, case, started, &pairs, found), exit))
}

/// How each figure that both have compares, with the record of it.
fn contrasts(config: &CompareConfig, pairs: &Pairs) -> Vec<(VersusContrast, Contrast)> {
    let Some(first) = pairs.a.first() else {
        return Vec::new();
    };
    let value = |run: &Measured, name: &str| {
        let mut figures = run.figures.iter();
        figures.find(|it| it.name == name).map(|it| it.value)
    };
    let each = first.figures.iter().filter_map(|figure| {
        let name = figure.name;
        let both = pairs.a.iter().zip(&pairs.b);
        let both = both.filter_map(|(a, b)| value(a, name).zip(value(b, name)));
        let values: Vec<(f64, f64)> = both.collect();
        let found = contrast(&values, figure.better, config.ends, config.margin)?;
        let (a, b): (Vec<f64>, Vec<f64>) = values.into_iter().unzip();
        let medians = (median(&a)?, median(&b)?);
        Some((
            VersusContrast::new(name, figure.better, medians, &found),
            found,
        ))
    });
    each.collect()
}

fn tell(config: &CompareConfig, case: &Case, pairs: &Pairs, found: &[(VersusContrast, Contrast)]) {
    if config.study.quiet {
        return;
    }
    let (number, most) = (pairs.a.len(), config.pairs);
    let so_far = found.first().map_or_else(String::new, |(it, _)| {
        format!(": B/A {:.3} so far, {}", it.ratio, it.words(config.margin))
    });
    let of = if config.ends == Ends::WhenSure {
        "at most"
    } else {
        "of"
    };
    print::note(format_args!(
        "{}: pair {number} {of} {most}{so_far}",
        case.name
    ));
}

fn versus(
    config: &CompareConfig,
    case: &Case,
    started_unix_ms: u64,
    pairs: &Pairs,
    found: Vec<(VersusContrast, Contrast)>,
) -> Versus {
    let run = |side: &str, pair: usize, run: &Measured| VersusRun {
        side: side.to_owned(),
        pair,
        started_unix_ms: run.started_unix_ms,
        metrics: run
            .figures
            .iter()
            .map(|it| (it.name.to_owned(), it.value))
            .collect(),
        foreign_cpus: run.foreign_cpus,
        steal: run.steal,
        mhz: run.mhz,
    };
    let both = pairs.a.iter().zip(&pairs.b).enumerate();
    let both = both.flat_map(|(n, (a, b))| [run("a", n, a), run("b", n, b)]);
    let mut runs: Vec<VersusRun> = both.collect();
    runs.sort_by_key(|run| run.started_unix_ms);
    Versus {
        schema: VERSUS_SCHEMA.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: config.study.command.clone(),
        host: host::facts(),
        case: case.name.to_owned(),
        load: case.load(&config.load, config.duration),
        a: config.a.shown(),
        b: config.b.shown(),
        server_cpus: host::listed(&config.server_cpus),
        load_cpus: host::listed(&config.load_cpus),
        margin: config.margin,
        until_sure: config.ends == Ends::WhenSure,
        started_unix_ms,
        ended_unix_ms: unix_ms(),
        runs,
        contrasts: found.into_iter().map(|(it, _)| it).collect(),
        worse_than_baseline: Vec::new(),
    }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}
