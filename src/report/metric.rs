//! What a threshold may name: every latency's statistics, every number of the record by the path
//! of its key, failures by family, and two shares that follow from them.

use super::figures::{float, share};
use super::percentile::{Missing, Ranks};
use super::record::Record;
use super::unit::Unit;
use crate::load::Scenario;
use crate::load::failure::Family;
use crate::load::latency::Latency;
use crate::load::outcome::Outcome;
use crate::load::{Config, Transport};
use serde_json::Value;
use std::collections::BTreeMap;

/// Keys of the record whose numbers are no metrics: what was asked for, and what follows.
const NO_METRICS: [&str; 9] = [
    "program",
    "host",
    "run",
    "latency",
    "failures",
    "verdict",
    "thresholds",
    "histograms",
    "baseline",
];
/// Statistics of a latency beside its percentiles.
const STATISTICS: [&str; 5] = ["samples", "min", "mean", "stdev", "max"];

/// One metric of one run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figure {
    pub(super) unit: Unit,
    /// Its value, or why there is none.
    pub(super) value: Result<f64, String>,
    /// Its 95 % rank confidence interval: without an upper end where messages without a reply
    /// leave it open.
    pub(super) interval: Option<(f64, Option<f64>)>,
    /// What it does while a run goes on.
    course: Course,
}

/// What a figure does while a run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    /// It only grows.
    Grows,
    /// It is what it is.
    Holds,
    /// It means nothing before the last replies have come.
    Settles,
}

/// All metrics of one run.
#[derive(Debug)]
pub struct Metrics<'a> {
    config: &'a Config,
    outcome: &'a Outcome,
    numbers: BTreeMap<String, Option<f64>>,
}

impl<'a> Metrics<'a> {
    /// The metrics of that outcome, whose record this is.
    #[must_use]
    pub fn new(config: &'a Config, record: &Record, outcome: &'a Outcome) -> Self {
        let mut numbers = BTreeMap::new();
        if let Ok(Value::Object(keys)) = serde_json::to_value(record) {
            let kept = keys
                .iter()
                .filter(|(key, _)| !NO_METRICS.contains(&key.as_str()));
            for (key, value) in kept.filter(|(_, value)| value.is_object()) {
                flatten(key, value, &mut numbers);
            }
        }
        Self {
            config,
            outcome,
            numbers,
        }
    }

    /// The metric of that name.
    pub(super) fn figure(&self, name: &str) -> Option<Figure> {
        if name == "errors" {
            return Some(errors(self.outcome));
        }
        if name == "reach" {
            return is_to_receive(self.config).then(|| reach(self.outcome));
        }
        let (head, tail) = name.split_once('.')?;
        if head == "failures" {
            return failures(self.outcome, tail);
        }
        let mut latencies = self.outcome.latencies.named();
        if let Some((_, latency)) = latencies.find(|(latency, _)| *latency == head) {
            let is_of_replies = matches!(head, "response" | "service");
            let missing = is_of_replies.then(|| Missing::unanswered(self.config, self.outcome));
            return has_latency(self.config, head)
                .then(|| statistic(latency, missing.unwrap_or_default(), tail))?;
        }
        let value = *self.numbers.get(name)?;
        let unit = Unit::of_key(name);
        Some(Figure {
            course: if unit == Unit::Count {
                Course::Grows
            } else {
                Course::Holds
            },
            ..Figure::maybe(unit, value, "not known in this run")
        })
    }

    /// What a threshold may name, for people.
    pub(super) fn known(&self) -> Vec<String> {
        let latencies: Vec<&str> = self
            .outcome
            .latencies
            .named()
            .map(|(name, _)| name)
            .filter(|name| has_latency(self.config, name))
            .collect();
        let families: Vec<&str> = Family::ALL.map(Family::name).to_vec();
        let mut known = vec![
            format!(
                "{}.{{p50,p99.9,..,{}}}",
                braces(&latencies),
                STATISTICS.join(",")
            ),
            "errors".to_owned(),
            format!("failures.{{total,{}}}", families.join(",")),
        ];
        if is_to_receive(self.config) {
            known.push("reach".to_owned());
        }
        let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for name in self.numbers.keys() {
            let (group, rest) = name.split_once('.').unwrap_or((name, ""));
            groups.entry(group).or_default().push(rest);
        }
        known.extend(
            groups
                .iter()
                .map(|(group, keys)| format!("{group}.{}", braces(keys))),
        );
        known
    }
}

/// Whether a run of that kind can have a latency of that name.
fn has_latency(config: &Config, name: &str) -> bool {
    let is_dialogue = matches!(config.scenario, Scenario::Dialogue(_));
    let listens = matches!(config.scenario, Scenario::Listen);
    match name {
        "response" | "slip" => config.message_pace().is_some(),
        "service" => config.sends(),
        "one_way" => listens || is_dialogue,
        "ping" => config.ping.is_some() || is_dialogue,
        "first_event" => listens,
        "resume" | "replayed" => config.retry.reconnects > 0,
        "ready" => is_dialogue,
        _ => true,
    }
}

/// Whether anything is to come in a run of that kind.
fn is_to_receive(config: &Config) -> bool {
    match (&config.scenario, config.transport) {
        (Scenario::Idle, _) | (Scenario::Echo, Transport::Sse) => false,
        (Scenario::Dialogue(program), _) => program.name() != "connect",
        (Scenario::Echo | Scenario::Listen, _) => true,
    }
}

fn braces(words: &[&str]) -> String {
    format!("{{{}}}", words.join(","))
}

/// The numbers below a key, by path; a `null` is a number that is not known.
fn flatten(path: &str, value: &Value, numbers: &mut BTreeMap<String, Option<f64>>) {
    match value {
        Value::Object(keys) => {
            for (key, value) in keys {
                flatten(&format!("{path}.{key}"), value, numbers);
            }
        }
        Value::Number(number) => {
            numbers.insert(path.to_owned(), number.as_f64());
        }
        Value::Null => {
            numbers.insert(path.to_owned(), None);
        }
        Value::Bool(_) | Value::String(_) | Value::Array(_) => {}
    }
}

/// Work that went wrong, of all work: connects that failed, connections that ended early or had
/// fallen silent, messages
/// without their reply and messages that were none.
fn errors(outcome: &Outcome) -> Figure {
    let (connects, messages) = (&outcome.connects, &outcome.messages);
    let wrong = connects.failed
        + connects.ended_early
        + outcome.due.silent
        + messages.lost
        + messages.wrong;
    let work = connects.attempted + messages.sent + outcome.events.received;
    Figure::maybe(Unit::Share, share(wrong, work), "nothing was attempted")
}

/// What came of what was to come: replies of messages sent, or pushed messages of those and the
/// gaps between them.
fn reach(outcome: &Outcome) -> Figure {
    let (messages, events) = (&outcome.messages, &outcome.events);
    let fan_out = outcome.fan_out.as_deref();
    let reached = fan_out
        .and_then(|fan_out| share(fan_out.received, fan_out.expected))
        .or_else(|| share(messages.replied, messages.sent))
        .or_else(|| {
            let missing = events.gaps + outcome.due.missing();
            share(events.received, events.received + missing)
        });
    Figure {
        course: Course::Settles,
        ..Figure::maybe(Unit::Share, reached, "nothing was to come")
    }
}

fn failures(outcome: &Outcome, name: &str) -> Option<Figure> {
    let count = if name == "total" {
        outcome.failures.total()
    } else {
        let family = Family::ALL
            .into_iter()
            .find(|family| family.name() == name)?;
        let alike = outcome
            .failures
            .iter()
            .filter(|(_, kind, _)| kind.family() == family);
        alike.map(|(_, _, n)| n).sum()
    };
    Some(Figure {
        course: Course::Grows,
        ..Figure::maybe(Unit::Count, Some(float(count)), "")
    })
}

fn statistic(latency: &Latency, missing: Missing, name: &str) -> Option<Figure> {
    let histogram = latency.histogram();
    let is_empty = histogram.is_empty();
    let known = |value: f64| {
        let value = (!is_empty).then_some(value);
        Some(Figure::maybe(Unit::Nanoseconds, value, "no samples"))
    };
    match name {
        "samples" => Some(Figure {
            course: Course::Grows,
            ..Figure::maybe(Unit::Count, Some(float(histogram.len())), "")
        }),
        "min" => known(float(histogram.min())),
        "mean" => known(histogram.mean()),
        "stdev" => known(histogram.stdev()),
        "max" => known(float(histogram.max())),
        _ => {
            let percent: f64 = name.strip_prefix('p')?.replace('_', ".").parse().ok()?;
            let is_one = (0.0..100.0).contains(&percent);
            is_one.then(|| percentile(Ranks::new(latency, missing), percent / 100.0))
        }
    }
}

/// A percentile with its rank interval.
fn percentile(ranks: Ranks<'_>, quantile: f64) -> Figure {
    let Some(found) = ranks.at(quantile) else {
        return Figure::unknown(Unit::Nanoseconds, "no samples");
    };
    let (low, high) = found.interval_ns;
    Figure {
        interval: Some((float(low), high.map(float))),
        ..Figure::maybe(Unit::Nanoseconds, Some(float(found.value_ns)), "")
    }
}

impl Figure {
    /// A metric without a value.
    pub(super) fn unknown(unit: Unit, why: &str) -> Self {
        Self::maybe(unit, None, why)
    }

    fn maybe(unit: Unit, value: Option<f64>, why: &str) -> Self {
        Self {
            unit,
            value: value.ok_or_else(|| why.to_owned()),
            interval: None,
            course: Course::Holds,
        }
    }

    /// Whether a bound that does not hold now can be told to be broken for good.
    pub(super) fn tells_early(&self, is_upper: bool) -> bool {
        match self.course {
            Course::Grows => is_upper,
            Course::Holds => true,
            Course::Settles => false,
        }
    }
}
