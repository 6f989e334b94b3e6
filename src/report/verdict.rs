//! Whether a run may be believed, and its exit code. docs/measurement.md has the rules.

use super::figures::{float, span, whole};
use super::record::{Messages, Record};
use crate::load::scenario::rooms::OTHER_ROOM_SIZE;
use serde::{Deserialize, Serialize};

/// A generator core busier than this was the limit.
const BUSY_MAX: f64 = 0.85;
/// Less of the plan than this was not the planned load.
const ACHIEVED_MIN: f64 = 0.99;
/// Slip beyond this part of the objective is the generator's own latency.
const SLIP_OF_SLO_MAX: f64 = 0.1;

/// What to think of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// It measured what it planned.
    Pass,
    /// The server did not do what was asked.
    Fail,
    /// There are not enough samples to say.
    #[default]
    Inconclusive,
    /// The planned load was not applied, so its figures are not that load's.
    Invalid,
}

impl Verdict {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::Invalid => "INVALID",
        }
    }
}

/// A verdict with its reasons, and what else is worth knowing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// What kept the load from being the planned one: `generator` if this program was too slow,
    /// `plan` if connections or their in-flight cap could not carry it.
    pub limited_by: Option<String>,
    /// Why the verdict is not PASS.
    pub reasons: Vec<String>,
    /// What does not change the verdict.
    pub notes: Vec<String>,
}

/// The exit code of a run: `0` pass, `99` failed, `98` invalid, `105` interrupted.
///
/// A run that is inconclusive failed no threshold: `0`. One that was aborted did: `99`.
#[must_use]
pub fn exit_code(record: &Record) -> u8 {
    if record.time.ending == "interrupted" {
        return 105;
    }
    if record.time.ending == "aborted" {
        return 99;
    }
    match record.verdict.verdict {
        Verdict::Pass | Verdict::Inconclusive => 0,
        Verdict::Fail => 99,
        Verdict::Invalid => 98,
    }
}

/// Judges a record by its figures.
#[must_use]
pub(super) fn judge(record: &Record) -> Judgement {
    let generator = generator_limits(record);
    let plan = plan_limits(record);
    let failed = failures(record);
    let thin = too_thin(record);
    let broken = thresholds(record, Verdict::Fail);
    let open = thresholds(record, Verdict::Inconclusive);
    let limited_by = if !generator.is_empty() {
        Some("generator")
    } else if !plan.is_empty() {
        Some("plan")
    } else {
        None
    };
    // Latency of a load that was not wholly applied is, if anything, too good: what fails then
    // would fail of all of it. That the generator was late makes no server fail.
    let is_generator = limited_by == Some("generator");
    let verdict = if !failed.is_empty() || (!broken.is_empty() && !is_generator) {
        Verdict::Fail
    } else if limited_by.is_some() {
        Verdict::Invalid
    } else if thin.is_some() || !open.is_empty() {
        Verdict::Inconclusive
    } else {
        Verdict::Pass
    };
    Judgement {
        verdict,
        limited_by: limited_by.map(str::to_owned),
        reasons: failed
            .into_iter()
            .chain(broken)
            .chain(generator)
            .chain(plan)
            .chain(open)
            .chain(thin)
            .collect(),
        notes: notes(record),
    }
}

fn failures(record: &Record) -> Vec<String> {
    let connects = &record.connects;
    if connects.attempted > connects.unfinished && connects.up == 0 {
        let none = format!("none of {} connections came up", whole(connects.planned));
        let sizes = record.failures.iter().any(|it| it.kind == OTHER_ROOM_SIZE);
        let remedy = "the server's rooms are of another size than --room-size: start it with the \
                      same --room-size, or leave it out here";
        return [none]
            .into_iter()
            .chain(sizes.then(|| remedy.to_owned()))
            .collect();
    }
    if record.time.ending == "deserted" {
        let measured = record.time.measured_s;
        return vec![format!(
            "every connection ended before the run did, after {measured:.2} s"
        )];
    }
    Vec::new()
}

/// The thresholds that ended so, as reasons.
fn thresholds(record: &Record, result: Verdict) -> Vec<String> {
    let alike = record.thresholds.iter().filter(|met| met.result == result);
    let said = alike.map(|met| match &met.reason {
        Some(reason) => format!("threshold {} cannot be told: {reason}", met.threshold),
        None => format!("threshold {} failed: {}", met.threshold, met.shown()),
    });
    said.collect()
}

/// Slip that is a large part of the bound of a response time at the same percentile.
fn slips(record: &Record) -> impl Iterator<Item = String> {
    let slip = record.latency.slip.as_ref();
    record.thresholds.iter().filter_map(move |met| {
        let (latency, statistic, bound) = met.latency_bound_ns()?;
        let slip = slip?.percentile_ns(statistic)?;
        (latency == "response" && float(slip) > SLIP_OF_SLO_MAX * bound).then(|| {
            let (slip, threshold) = (span(slip), &met.threshold);
            format!("slip {statistic} is {slip}, above 10 % of the bound of {threshold}")
        })
    })
}

fn generator_limits(record: &Record) -> Vec<String> {
    let mut reasons = Vec::new();
    let busiest = record
        .generator
        .cores
        .iter()
        .max_by(|a, b| a.busy.total_cmp(&b.busy));
    if let Some(core) = busiest.filter(|core| core.busy > BUSY_MAX) {
        let (number, busy) = (core.core, core.busy * 100.0);
        reasons.push(format!(
            "generator core {number} was {busy:.0} % busy (limit 85 %)"
        ));
    }
    if let Some(messages) = &record.messages
        && is_short(messages.dropped_by.late, messages.planned)
    {
        let late = whole(messages.dropped_by.late);
        reasons.push(format!(
            "the generator did not get to {late} messages in time"
        ));
    }
    if let Some(waited) = record.connects.waited_for_slot {
        let waited = whole(waited);
        let text = format!("{waited} connects waited for a slot: this client has too few");
        reasons.push(format!("{text}; more --cores have more"));
    }
    let slip = record.latency.slip.as_ref().and_then(|slip| slip.p99_ns);
    if let (Some(slip), Some(slo)) = (slip, record.run.slo_ns)
        && float(slip) > SLIP_OF_SLO_MAX * float(slo)
    {
        let (slip, slo) = (span(slip), span(slo));
        reasons.push(format!(
            "slip p99 is {slip}, above 10 % of the objective of {slo}"
        ));
    }
    reasons.extend(slips(record));
    reasons
}

fn plan_limits(record: &Record) -> Vec<String> {
    let Some(messages) = &record.messages else {
        return Vec::new();
    };
    if !is_short(messages.dropped, messages.planned) {
        return Vec::new();
    }
    let achieved = 100.0 * float(messages.sent) / float(messages.planned);
    let mut reasons = vec![format!("{achieved:.1} % of the plan was sent (limit 99 %)")];
    let by = &messages.dropped_by;
    let cap = record.run.in_flight.unwrap_or(0);
    if by.in_flight > 0 {
        let n = whole(by.in_flight);
        reasons.push(format!(
            "{n} met the cap of {cap} in flight: replies came too slowly"
        ));
    }
    if by.backlog > 0 {
        reasons.push(format!(
            "{} met a full backlog: the server did not read",
            whole(by.backlog)
        ));
    }
    if by.no_connection > 0 {
        reasons.push(format!("{} had no connection", whole(by.no_connection)));
    }
    reasons
}

fn too_thin(record: &Record) -> Option<String> {
    if record.time.ending == "interrupted" {
        return Some("the run was interrupted".to_owned());
    }
    match (&record.messages, &record.events) {
        (Some(messages), _) if messages.replied == 0 => Some("no reply came".to_owned()),
        (None, Some(events)) if events.received == 0 && record.run.scenario == "listen" => {
            Some("nothing was received".to_owned())
        }
        _ => None,
    }
}

fn notes(record: &Record) -> Vec<String> {
    let mut notes = Vec::new();
    let connects = &record.connects;
    if connects.failed + connects.dropped > 0 && connects.up > 0 {
        let (up, planned) = (whole(connects.up), whole(connects.planned));
        notes.push(format!("only {up} of {planned} connections came up"));
    }
    if connects.ended_early > 0 {
        notes.push(format!(
            "{} connections ended before the run",
            whole(connects.ended_early)
        ));
    }
    if connects.still_open > 0 {
        let n = whole(connects.still_open);
        notes.push(format!(
            "{n} connections did not finish their closing handshake in time"
        ));
    }
    if record.run.loop_kind == "closed" {
        notes.push("closed loop: latency is exposed to coordinated omission".to_owned());
    }
    if let Some(messages) = &record.messages {
        notes.extend(echo_notes(messages));
    }
    notes.extend(record.generator.headroom.and_then(|it| it.note()));
    if let Some(samples) = &record.host_samples {
        notes.extend(samples.signs());
    }
    let p99 = |latency: &Option<super::LatencyRecord>| latency.as_ref().and_then(|l| l.p99_ns);
    if let (Some(slip), Some(response)) = (p99(&record.latency.slip), p99(&record.latency.response))
        && slip > response / 10
    {
        let slip = span(slip);
        notes.push(format!(
            "slip p99 is {slip}: a visible part of response is the generator's"
        ));
    }
    notes
}

fn echo_notes(messages: &Messages) -> impl Iterator<Item = String> {
    let lost =
        (messages.lost > 0).then(|| format!("{} messages got no reply", whole(messages.lost)));
    let wrong = (messages.wrong > 0).then(|| {
        format!(
            "{} messages received were not the echo expected",
            whole(messages.wrong)
        )
    });
    lost.into_iter().chain(wrong)
}

fn is_short(missing: u64, planned: u64) -> bool {
    float(missing) > (1.0 - ACHIEVED_MIN) * float(planned)
}
