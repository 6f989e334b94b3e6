//! The record of one load run: plain data, in the order and units of the JSON schema.

use super::change::BaselineChange;
use super::deliveries::DeliveryRecord;
use super::facts::Facts;
use super::fan_out::FanOut;
use super::figures::per_second;
use super::generator::{Generator, ServerUse};
use super::judgement::{Judgement, Verdict};
use super::latency::LatencyRecord;
use super::met::Met;
use super::network::Network;
use super::packed::packed;
use super::percentile::Missing;
use super::returns::{Returns, Storm};
use super::rounds::Rounds;
pub use super::run::Run;
use super::series::Second;
use super::surroundings::HostSamples;
use crate::load::config::Config;
use crate::load::latency;
use crate::load::outcome::{Ending, Outcome};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The schema's name and version.
pub const SCHEMA: &str = "ringstorm.load/1";

/// One load run; see the module for the schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "docs/record.md documents every key")]
pub struct Record {
    pub schema: String,
    pub program: Program,
    pub host: BTreeMap<String, String>,
    #[serde(default)]
    pub host_samples: Option<HostSamples>,
    pub run: Run,
    pub time: Time,
    pub connects: Connects,
    pub returns: Option<Returns>,
    pub storm: Option<Storm>,
    pub messages: Option<Messages>,
    pub events: Option<Events>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pings: Option<Pings>,
    pub headline: Option<String>,
    pub latency: Latencies,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fan_out: Option<FanOut>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub deliveries: Option<DeliveryRecord>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rounds: Option<Rounds>,
    pub failures: Vec<Failure>,
    pub generator: Generator,
    pub server: Option<ServerUse>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub network: Option<Network>,
    #[serde(default)]
    pub thresholds: Vec<Met>,
    pub verdict: Judgement,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub baseline: Option<Vec<BaselineChange>>,
    #[serde(default)]
    pub histograms: BTreeMap<String, String>,
    #[serde(default)]
    pub series: Vec<Second>,
}

/// Key `program` of the schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "docs/record.md documents every key")]
pub struct Program {
    pub version: String,
    pub command: Vec<String>,
    pub engine: String,
    pub cpus: Vec<usize>,
}

/// Key `time` of the schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "docs/record.md documents every key")]
pub struct Time {
    pub connect_s: f64,
    pub measured_s: f64,
    pub ending: String,
    #[serde(default)]
    pub ended_unix_ms: Option<u64>,
}

/// Key `connects` of the schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "docs/record.md documents every key")]
pub struct Connects {
    pub planned: u64,
    pub attempted: u64,
    pub retries: u64,
    pub dropped: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub waited_for_slot: Option<u64>,
    pub up: u64,
    pub failed: u64,
    pub unfinished: u64,
    pub ended_early: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub left: Option<u64>,
    pub still_open: u64,
    pub up_per_s: Option<f64>,
}

/// Key `messages` of the schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "docs/record.md documents every key")]
pub struct Messages {
    pub planned: u64,
    pub sent: u64,
    pub dropped: u64,
    pub dropped_by: DroppedBy,
    pub replied: u64,
    #[serde(default)]
    pub replied_late: u64,
    pub lost: u64,
    pub wrong: u64,
    pub unmeasured: u64,
    pub sent_per_s: Option<f64>,
    pub replied_per_s: Option<f64>,
}

/// Key `messages.dropped_by` of the schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "docs/record.md documents every key")]
pub struct DroppedBy {
    pub in_flight: u64,
    pub backlog: u64,
    pub no_connection: u64,
    pub late: u64,
}

/// Key `events` of the schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "docs/record.md documents every key")]
pub struct Events {
    pub received: u64,
    pub bytes: u64,
    pub received_per_s: Option<f64>,
    pub unstamped: u64,
    pub negative: u64,
    pub gaps: u64,
    pub repeated: u64,
    #[serde(default)]
    pub missing_at_end: u64,
    #[serde(default)]
    pub silent: u64,
    #[serde(default)]
    pub silences: u64,
    #[serde(default)]
    pub longest_silence_s: f64,
}

/// Key `pings` of the schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "docs/record.md documents every key")]
pub struct Pings {
    pub sent: u64,
    pub answered: u64,
}

/// Key `latency` of the schema.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "`load::latency::Latencies` documents each")]
pub struct Latencies {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub response: Option<LatencyRecord>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub service: Option<LatencyRecord>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub slip: Option<LatencyRecord>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub one_way: Option<LatencyRecord>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub replayed: Option<LatencyRecord>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ping: Option<LatencyRecord>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_event: Option<LatencyRecord>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub resume: Option<LatencyRecord>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub connect: Option<LatencyRecord>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tcp: Option<LatencyRecord>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tls: Option<LatencyRecord>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub upgrade: Option<LatencyRecord>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ready: Option<LatencyRecord>,
}

/// An entry of key `failures` of the schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "docs/record.md documents every key")]
pub struct Failure {
    pub stage: String,
    pub kind: String,
    pub count: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub said: Option<String>,
}

impl Record {
    /// What was measured, not yet judged.
    pub(super) fn measured(facts: &Facts, config: &Config, outcome: &Outcome) -> Self {
        let received = received(config, outcome);
        let latency = Latencies::new(config, outcome);
        Self {
            schema: SCHEMA.to_owned(),
            program: Program {
                version: facts.version.clone(),
                command: facts.command.clone(),
                engine: facts.engine.clone(),
                cpus: facts.cpus.clone(),
            },
            host: facts.host.clone(),
            host_samples: facts.host_samples.clone(),
            run: Run::new(facts, config),
            time: Time {
                connect_s: outcome.connect_time().as_secs_f64(),
                measured_s: outcome.measured_time().as_secs_f64(),
                ending: ending(outcome.ending).to_owned(),
                ended_unix_ms: facts.ended_unix_ms,
            },
            connects: Connects::new(outcome),
            returns: (config.retry.reconnects > 0).then(|| Returns::new(outcome.returns)),
            storm: config
                .outage
                .and_then(|storm| Some(Storm::new(storm, outcome.recovery.as_ref()?))),
            messages: config.sends().then(|| Messages::new(outcome)),
            events: has_events(config, outcome).then(|| Events::new(outcome)),
            pings: config.ping.map(|_| Pings {
                sent: outcome.pings.sent,
                answered: outcome.pings.answered,
            }),
            headline: latency.headline().map(str::to_owned),
            latency,
            fan_out: FanOut::new(outcome),
            deliveries: DeliveryRecord::new(outcome),
            rounds: Rounds::new(outcome),
            failures: failures(outcome),
            generator: Generator::new(outcome, received, facts.headroom),
            server: facts.server.map(|server| server.per_message(received)),
            network: facts.network,
            thresholds: Vec::new(),
            verdict: Judgement::default(),
            baseline: None,
            histograms: histograms(outcome),
            series: Vec::new(),
        }
    }

    /// The record of a run that goes on: of what it shows, nothing is settled.
    #[must_use]
    pub fn unfinished(self) -> Self {
        let reason = "the run had not ended when this record was written".to_owned();
        Self {
            time: Time {
                ending: "running".to_owned(),
                ..self.time
            },
            verdict: Judgement {
                verdict: Verdict::Inconclusive,
                reasons: vec![reason],
                ..self.verdict
            },
            ..self
        }
    }

    /// The record as one line of JSON.
    ///
    /// # Errors
    /// None in practice: the record holds only strings, numbers and lists.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }

    /// The latency to look at first, with its name.
    #[must_use]
    pub fn headline(&self) -> Option<(&str, &LatencyRecord)> {
        let name = self.headline.as_deref()?;
        self.latency.named().find(|(other, _)| *other == name)
    }
}

impl Latencies {
    fn new(config: &Config, outcome: &Outcome) -> Self {
        let latencies = &outcome.latencies;
        let of = |latency: &latency::Latency| LatencyRecord::new(latency);
        let missing = Missing::unanswered(config, outcome);
        let of_replies = |latency| LatencyRecord::with_missing(latency, missing);
        Self {
            response: of_replies(&latencies.response),
            service: of_replies(&latencies.service),
            slip: of(&latencies.slip),
            one_way: of(&latencies.one_way),
            replayed: of(&latencies.replayed),
            ping: of(&latencies.ping),
            first_event: of(&latencies.first_event),
            resume: of(&latencies.resume),
            connect: of(&latencies.connect),
            tcp: of(&latencies.tcp),
            tls: of(&latencies.tls),
            upgrade: of(&latencies.upgrade),
            ready: of(&latencies.ready),
        }
    }

    /// Each latency that has samples, with its name, the headline ones first.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &LatencyRecord)> {
        [
            ("response", &self.response),
            ("service", &self.service),
            ("slip", &self.slip),
            ("one_way", &self.one_way),
            ("replayed", &self.replayed),
            ("ping", &self.ping),
            ("first_event", &self.first_event),
            ("resume", &self.resume),
            ("connect", &self.connect),
            ("tcp", &self.tcp),
            ("tls", &self.tls),
            ("upgrade", &self.upgrade),
            ("ready", &self.ready),
        ]
        .into_iter()
        .filter_map(|(name, latency)| Some((name, latency.as_ref()?)))
    }

    fn headline(&self) -> Option<&'static str> {
        let order = ["response", "service", "one_way", "ping", "connect"];
        order
            .into_iter()
            .find(|name| self.named().any(|(other, _)| other == *name))
    }
}

impl Connects {
    fn new(outcome: &Outcome) -> Self {
        let connects = outcome.connects;
        Self {
            planned: connects.planned,
            attempted: connects.attempted,
            retries: connects.retries,
            dropped: connects.dropped,
            waited_for_slot: (connects.waited_for_slot > 0).then_some(connects.waited_for_slot),
            up: connects.up,
            failed: connects.failed,
            unfinished: connects.unfinished,
            ended_early: connects.ended_early,
            left: (connects.left > 0).then_some(connects.left),
            still_open: connects.still_open,
            up_per_s: per_second(connects.up, outcome.connect_time()),
        }
    }
}

impl Messages {
    fn new(outcome: &Outcome) -> Self {
        let messages = outcome.messages;
        let time = outcome.measured_time();
        let dropped = messages.dropped;
        Self {
            planned: messages.planned,
            sent: messages.sent,
            dropped: dropped.total(),
            dropped_by: DroppedBy {
                in_flight: dropped.in_flight,
                backlog: dropped.backlog,
                no_connection: dropped.no_connection,
                late: dropped.late,
            },
            replied: messages.replied,
            replied_late: messages.replied.saturating_sub(messages.replied_in_time),
            lost: messages.lost,
            wrong: messages.wrong,
            unmeasured: messages.unmeasured,
            sent_per_s: per_second(messages.sent, time),
            replied_per_s: per_second(messages.replied_in_time, time),
        }
    }
}

impl Events {
    fn new(outcome: &Outcome) -> Self {
        let events = outcome.events;
        Self {
            received: events.received,
            bytes: events.bytes,
            received_per_s: per_second(events.received, outcome.measured_time()),
            unstamped: events.unstamped,
            negative: events.negative,
            gaps: events.gaps,
            repeated: events.repeated,
            missing_at_end: outcome.due.missing(),
            silent: outcome.due.silent,
            silences: outcome.due.silences,
            longest_silence_s: outcome.due.longest.as_secs_f64(),
        }
    }
}

/// Whether messages could come, or did, that answer nothing.
fn has_events(config: &Config, outcome: &Outcome) -> bool {
    let is_all_ears = !config.sends() && outcome.rounds.is_empty();
    is_all_ears || outcome.events.received > 0
}

fn received(config: &Config, outcome: &Outcome) -> u64 {
    if config.sends() {
        outcome.messages.replied_in_time
    } else {
        outcome.events.received
    }
}

fn failures(outcome: &Outcome) -> Vec<Failure> {
    let each = outcome.failures.iter();
    each.map(|(stage, kind, count)| Failure {
        stage: stage.to_string(),
        kind: kind.to_string(),
        count,
        said: outcome.failures.said(kind).map(str::to_owned),
    })
    .collect()
}

/// Each latency with samples. One that could not be encoded would be missing: none is of bounds
/// that the encoding does not take.
fn histograms(outcome: &Outcome) -> BTreeMap<String, String> {
    let named = outcome.latencies.named();
    let recorded = named.filter(|(_, latency)| !latency.histogram().is_empty());
    recorded
        .filter_map(|(name, latency)| Some((name.to_owned(), packed(latency.histogram()).ok()?)))
        .collect()
}

fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Complete => "complete",
        Ending::Deserted => "deserted",
        Ending::NeverBegan => "never_began",
        Ending::Interrupted => "interrupted",
        Ending::Aborted => "aborted",
    }
}
