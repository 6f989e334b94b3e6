//! Parts of one run, from several hosts or processes, made one record: counts are sums, percentiles
//! are those of the summed histograms.

use super::figures::{float, ratio, rounded, whole as shown_whole};
use super::judgement::{Judgement, Verdict};
use super::latency::LatencyRecord;
use super::packed::{packed, unpacked};
use super::percentile::Missing;
use super::record::{Connects, Events, Failure, Latencies, Messages, Pings, Record};
use super::returns::Returns;
use super::series::Second;
use super::{record, verdict};
use crate::load::latency::Latency;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Why records are not parts of one run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// One record, or none.
    #[error("{0} record is nothing to merge; try: ringstorm merge part1.json part2.json")]
    Few(usize),
    /// One of them was written by another version of the schema.
    #[error(
        "part {part} is of schema {schema}, this program reads {}",
        record::SCHEMA
    )]
    Schema {
        /// Which, from 1.
        part: usize,
        /// What it says.
        schema: String,
    },
    /// They were not asked for the same.
    #[error("part {part} has another {key} than part 1 ({other}, not {first}): not one run")]
    Plan {
        /// Which, from 1.
        part: usize,
        /// Key of `run`.
        key: &'static str,
        /// What part 1 says.
        first: String,
        /// What it says.
        other: String,
    },
    /// The same record twice.
    #[error("part {0} is the same run as an earlier one; try: each part once")]
    Twice(usize),
    /// The same part twice.
    #[error("parts {one} and {other} both are part {number} of {of}; try: each part once")]
    SamePart {
        /// Which, from 1.
        one: usize,
        /// Which, from 1.
        other: usize,
        /// What both say that they are.
        number: u64,
        /// Of how many.
        of: u64,
    },
    /// A part has not ended.
    #[error("part {0} had not ended when its record was written (time.ending is running)")]
    Running(usize),
    /// A histogram cannot be read.
    #[error("part {part}: histogram {name}: {why}")]
    Histogram {
        /// Which, from 1.
        part: usize,
        /// Of which latency.
        name: String,
        /// What is wrong with it.
        why: String,
    },
}

/// The whole that these are the parts of.
///
/// # Errors
/// Why they are none: [`MergeError`].
pub fn merged(parts: &[Record]) -> Result<Record, MergeError> {
    let (Some(first), true) = (parts.first(), parts.len() > 1) else {
        return Err(MergeError::Few(parts.len()));
    };
    check(first, parts)?;
    let histograms = summed(parts)?;
    let sum = |of: fn(&Record) -> u64| parts.iter().map(of).sum::<u64>();
    let received = sum(received);
    let mut whole = first.clone();
    whole.program.command = ["ringstorm".to_owned(), "merge".to_owned()].into();
    whole.program.cpus.clear();
    whole.run.part = None;
    whole.host_samples = None;
    whole.run.connections = parts
        .iter()
        .fold(0_u32, |sum, part| sum.saturating_add(part.run.connections));
    let total = |of: fn(&Record) -> Option<f64>| {
        let all: Option<Vec<f64>> = parts.iter().map(of).collect();
        all.map(|all| all.iter().sum::<f64>())
    };
    whole.run.rate_per_s = total(|it| it.run.rate_per_s);
    whole.run.connect_rate_per_s = total(|it| it.run.connect_rate_per_s);
    let starts = parts.iter().map(|it| it.run.started_unix_ms);
    whole.run.started_unix_ms = starts.min().unwrap_or_default();
    whole.time.ended_unix_ms = parts.iter().filter_map(|it| it.time.ended_unix_ms).max();
    let longest = |of: fn(&Record) -> f64| parts.iter().map(of).fold(0.0, f64::max);
    whole.time.connect_s = longest(|it| it.time.connect_s);
    whole.time.measured_s = longest(|it| it.time.measured_s);
    let odd = parts.iter().find(|it| it.time.ending != "complete");
    whole.time.ending = odd.map_or("complete", |it| &it.time.ending).to_owned();
    whole.connects = connects(parts);
    whole.messages = messages(parts);
    whole.events = events(parts);
    whole.pings = first.pings.as_ref().map(|_| Pings {
        sent: sum(|it| it.pings.as_ref().map_or(0, |it| it.sent)),
        answered: sum(|it| it.pings.as_ref().map_or(0, |it| it.answered)),
    });
    whole.returns = first.returns.map(|_| returns(parts));
    whole.failures = failures(parts);
    whole.latency = latencies(first, parts, &histograms);
    whole.histograms = histograms
        .iter()
        .filter_map(|(name, it)| Some((name.clone(), packed(it.histogram()).ok()?)))
        .collect();
    whole.series = series(parts, whole.run.started_unix_ms);
    generator(&mut whole, parts, received);
    whole.server = one_server(parts, received);
    (whole.storm, whole.fan_out, whole.rounds, whole.network) = (None, None, None, None);
    // Each part's places are its own: there is no sum to judge.
    whole.deliveries = None;
    whole.thresholds = Vec::new();
    whole.verdict = judged(&whole, parts);
    Ok(whole)
}

fn check(first: &Record, parts: &[Record]) -> Result<(), MergeError> {
    for (n, other) in parts.iter().enumerate() {
        let part = n + 1;
        if other.schema != record::SCHEMA {
            let schema = other.schema.clone();
            return Err(MergeError::Schema { part, schema });
        }
        if other.time.ending == "running" {
            return Err(MergeError::Running(part));
        }
        let same = |one: &&Record| one.run == other.run && one.histograms == other.histograms;
        if parts.iter().take(n).any(|one| same(&one)) {
            return Err(MergeError::Twice(part));
        }
        if let Some(one) = parts
            .iter()
            .take(n)
            .position(|one| is_same_part(one, other))
        {
            let (number, of) = other.run.part.map_or((0, 0), |it| (it.number, it.of));
            let (one, other) = (one + 1, part);
            return Err(MergeError::SamePart {
                one,
                other,
                number,
                of,
            });
        }
        for (key, of) in PLAN {
            let (first, other) = (of(first), of(other));
            if first != other {
                return Err(MergeError::Plan {
                    part,
                    key,
                    first,
                    other,
                });
            }
        }
    }
    Ok(())
}

fn is_same_part(one: &Record, other: &Record) -> bool {
    one.run.part.is_some() && one.run.part == other.run.part
}

/// A key of a run's plan, and what a record says of it.
type PlanKey = (&'static str, fn(&Record) -> String);

/// What all parts of one run were asked for.
const PLAN: [PlanKey; 9] = [
    ("number of parts", |it| shown(it.run.part.map(|it| it.of))),
    ("transport", |it| it.run.transport.clone()),
    ("scenario", |it| it.run.scenario.clone()),
    ("loop", |it| it.run.loop_kind.clone()),
    ("payload_bytes", |it| shown(it.run.payload_bytes)),
    ("payload_kind", |it| shown(it.run.payload_kind.as_ref())),
    ("warm_up_s", |it| it.run.warm_up_s.to_string()),
    ("duration_s", |it| it.run.duration_s.to_string()),
    ("grace_s", |it| it.run.grace_s.to_string()),
];

fn shown(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

fn received(part: &Record) -> u64 {
    match (&part.messages, &part.events) {
        (Some(messages), _) => messages.replied.saturating_sub(messages.replied_late),
        (None, events) => events.as_ref().map_or(0, |events| events.received),
    }
}

/// Each latency's samples of all parts.
fn summed(parts: &[Record]) -> Result<BTreeMap<String, Latency>, MergeError> {
    let mut all: BTreeMap<String, Latency> = BTreeMap::new();
    for (n, part) in parts.iter().enumerate() {
        for (name, text) in &part.histograms {
            let fault = |why: String| MergeError::Histogram {
                part: n + 1,
                name: name.clone(),
                why,
            };
            let histogram = unpacked(text).map_err(fault)?;
            let sum = all.entry(name.clone()).or_default();
            sum.add(&histogram)
                .map_err(|error| fault(error.to_string()))?;
        }
    }
    Ok(all)
}

fn latencies(first: &Record, parts: &[Record], all: &BTreeMap<String, Latency>) -> Latencies {
    let of = |name: &str| {
        let latency = all.get(name)?;
        let unanswered = parts.iter().filter_map(|part| {
            let mut named = part.latency.named();
            named
                .find(|(other, _)| *other == name)
                .map(|(_, it)| it.unanswered)
        });
        let missing = Missing {
            count: unanswered.sum(),
            waited_ns: rounded(first.run.grace_s * 1e9),
        };
        LatencyRecord::with_missing(latency, missing)
    };
    Latencies {
        response: of("response"),
        service: of("service"),
        slip: of("slip"),
        one_way: of("one_way"),
        replayed: of("replayed"),
        ping: of("ping"),
        first_event: of("first_event"),
        resume: of("resume"),
        connect: of("connect"),
        tcp: of("tcp"),
        tls: of("tls"),
        upgrade: of("upgrade"),
        ready: of("ready"),
    }
}

fn connects(parts: &[Record]) -> Connects {
    let sum = |of: fn(&Connects) -> u64| parts.iter().map(|it| of(&it.connects)).sum::<u64>();
    let some = |n: u64| (n > 0).then_some(n);
    let rates = parts.iter().map(|it| it.connects.up_per_s);
    Connects {
        planned: sum(|it| it.planned),
        attempted: sum(|it| it.attempted),
        retries: sum(|it| it.retries),
        dropped: sum(|it| it.dropped),
        waited_for_slot: some(sum(|it| it.waited_for_slot.unwrap_or(0))),
        up: sum(|it| it.up),
        failed: sum(|it| it.failed),
        unfinished: sum(|it| it.unfinished),
        ended_early: sum(|it| it.ended_early),
        left: some(sum(|it| it.left.unwrap_or(0))),
        still_open: sum(|it| it.still_open),
        up_per_s: rates.sum(),
    }
}

fn messages(parts: &[Record]) -> Option<Messages> {
    let all: Option<Vec<&Messages>> = parts.iter().map(|it| it.messages.as_ref()).collect();
    let all = all?;
    let sum = |of: fn(&Messages) -> u64| all.iter().map(|it| of(it)).sum::<u64>();
    Some(Messages {
        planned: sum(|it| it.planned),
        sent: sum(|it| it.sent),
        dropped: sum(|it| it.dropped),
        dropped_by: record::DroppedBy {
            in_flight: sum(|it| it.dropped_by.in_flight),
            backlog: sum(|it| it.dropped_by.backlog),
            no_connection: sum(|it| it.dropped_by.no_connection),
            late: sum(|it| it.dropped_by.late),
        },
        replied: sum(|it| it.replied),
        replied_late: sum(|it| it.replied_late),
        lost: sum(|it| it.lost),
        wrong: sum(|it| it.wrong),
        unmeasured: sum(|it| it.unmeasured),
        sent_per_s: all.iter().map(|it| it.sent_per_s).sum(),
        replied_per_s: all.iter().map(|it| it.replied_per_s).sum(),
    })
}

fn events(parts: &[Record]) -> Option<Events> {
    let all: Option<Vec<&Events>> = parts.iter().map(|it| it.events.as_ref()).collect();
    let all = all?;
    let sum = |of: fn(&Events) -> u64| all.iter().map(|it| of(it)).sum::<u64>();
    let longest = all.iter().map(|it| it.longest_silence_s);
    Some(Events {
        received: sum(|it| it.received),
        bytes: sum(|it| it.bytes),
        received_per_s: all.iter().map(|it| it.received_per_s).sum(),
        unstamped: sum(|it| it.unstamped),
        negative: sum(|it| it.negative),
        gaps: sum(|it| it.gaps),
        repeated: sum(|it| it.repeated),
        missing_at_end: sum(|it| it.missing_at_end),
        silent: sum(|it| it.silent),
        silences: sum(|it| it.silences),
        longest_silence_s: longest.fold(0.0, f64::max),
    })
}

fn returns(parts: &[Record]) -> Returns {
    let all = || parts.iter().filter_map(|it| it.returns);
    let sum = |of: fn(Returns) -> u64| all().map(of).sum::<u64>();
    Returns {
        lost: sum(|it| it.lost),
        attempts: sum(|it| it.attempts),
        resumed: sum(|it| it.resumed),
        given_up: sum(|it| it.given_up),
        absent: sum(|it| it.absent),
        replayed: sum(|it| it.replayed),
        missed: sum(|it| it.missed),
        duplicated: sum(|it| it.duplicated),
    }
}

fn failures(parts: &[Record]) -> Vec<Failure> {
    let mut all: Vec<Failure> = Vec::new();
    for one in parts.iter().flat_map(|it| &it.failures) {
        let alike = all
            .iter_mut()
            .find(|it| it.stage == one.stage && it.kind == one.kind);
        match alike {
            Some(known) => known.count += one.count,
            None => all.push(one.clone()),
        }
    }
    all
}

/// The cores of all generators, numbered anew.
fn generator(whole: &mut Record, parts: &[Record], received: u64) {
    let cores = parts.iter().flat_map(|it| &it.generator.cores);
    let generator = &mut whole.generator;
    generator.cores = (0..)
        .zip(cores)
        .map(|(core, it)| super::generator::GeneratorCore { core, ..it.clone() })
        .collect();
    let cores = || generator.cores.iter();
    let busiest = cores().map(|it| it.busy).fold(0.0, f64::max);
    let cpu_s: f64 = cores().map(|it| it.cpu_s).sum();
    let connect_s: f64 = cores().map(|it| it.connect_cpu_s).sum();
    generator.busy_max = busiest;
    generator.cpu_us_per_message = ratio(cpu_s * 1e6, received);
    generator.connect_cpu_us = ratio(connect_s * 1e6, whole.connects.up);
    generator.headroom = None;
}

/// The server, where one part alone looked at it: what several saw of one would be counted twice.
fn one_server(parts: &[Record], received: u64) -> Option<super::ServerUse> {
    let mut seen = parts.iter().filter_map(|it| it.server);
    let one = seen.next().filter(|_| seen.next().is_none())?;
    Some(one.per_message(received))
}

/// The rows of all parts by the second, by the clocks of their hosts. Percentiles of several cannot
/// be added up, distributions can.
fn series(parts: &[Record], started_unix_ms: u64) -> Vec<Second> {
    let mut rows: BTreeMap<u64, Second> = BTreeMap::new();
    for part in parts {
        let later_ms = part.run.started_unix_ms.saturating_sub(started_unix_ms);
        for row in &part.series {
            let at_s = row.at_s + float(later_ms) / 1e3;
            let second = rounded(at_s);
            match rows.entry(second) {
                std::collections::btree_map::Entry::Vacant(place) => {
                    place.insert(Second {
                        at_s: float(second),
                        p50_ns: None,
                        p99_ns: None,
                        ..row.clone()
                    });
                }
                std::collections::btree_map::Entry::Occupied(mut place) => {
                    place.get_mut().add(row);
                }
            }
        }
    }
    rows.into_values().collect()
}

/// Which parts of the plan nobody has a record of: without them its load was not the planned one.
fn missing(parts: &[Record]) -> Option<String> {
    let of = parts.first()?.run.part?.of;
    let has = |number: &u64| {
        let mut known = parts.iter().filter_map(|it| it.run.part);
        known.any(|it| it.number == *number)
    };
    let missing: Vec<String> = (1..=of)
        .filter(|number| !has(number))
        .map(|number| number.to_string())
        .collect();
    (!missing.is_empty()).then(|| {
        let missing = missing.join(", ");
        format!("of {of} parts there is no record of {missing}: the load was not the whole plan")
    })
}

/// One INVALID part makes the whole INVALID, one that failed makes it FAIL; and what the whole says
/// itself counts too.
fn judged(whole: &Record, parts: &[Record]) -> Judgement {
    let own = verdict::judge(whole);
    let has = |verdict| parts.iter().any(|it| it.verdict.verdict == verdict);
    let missing = missing(parts);
    let has = |verdict| has(verdict) || verdict == Verdict::Invalid && missing.is_some();
    let worst = [Verdict::Invalid, Verdict::Fail]
        .into_iter()
        .find(|&verdict| has(verdict) || own.verdict == verdict);
    let inconclusive = has(Verdict::Inconclusive).then_some(Verdict::Inconclusive);
    let mut reasons = own.reasons;
    reasons.extend(missing);
    for (n, part) in parts.iter().enumerate() {
        let each = part.verdict.reasons.iter();
        reasons.extend(each.map(|reason| format!("part {}: {reason}", n + 1)));
    }
    let limited = parts.iter().find_map(|it| it.verdict.limited_by.clone());
    let starts = || parts.iter().map(|it| it.run.started_unix_ms);
    let apart_ms = starts().max().unwrap_or(0) - starts().min().unwrap_or(0);
    let mut notes = own.notes;
    let mut text = format!(
        "{} parts; by the clocks of their hosts they began within {} ms of each other",
        parts.len(),
        shown_whole(apart_ms)
    );
    if parts.iter().any(|it| !it.thresholds.is_empty()) {
        // Writing to a String does not fail.
        let _ = write!(text, "; thresholds were judged by each part alone");
    }
    notes.push(text);
    Judgement {
        verdict: worst.or(inconclusive).unwrap_or(own.verdict),
        limited_by: limited.or(own.limited_by),
        failed_share: own.failed_share,
        reasons,
        notes,
    }
}
