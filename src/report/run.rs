//! What a run was meant to do, in the units of the JSON schema.

use super::facts::{Facts, RunPart};
use super::figures::per_second;
use crate::load::{Config, Loop, Pace, PayloadKind, Session, Transport};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Key `run` of the schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "docs/record.md documents every key")]
pub struct Run {
    pub url: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proxy: Option<String>,
    pub transport: String,
    pub scenario: String,
    #[serde(rename = "loop")]
    pub loop_kind: String,
    pub connections: u32,
    /// Which part of a larger run it is, where several processes share one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub part: Option<RunPart>,
    pub connect_rate_per_s: Option<f64>,
    pub connect_pace: Option<String>,
    /// Connects under way on one core at most, where no pace says when they start.
    #[serde(default)]
    pub connecting: Option<u32>,
    pub rate_per_s: Option<f64>,
    pub pace: Option<String>,
    /// Shortest and longest think time, in seconds.
    pub think_s: Option<[f64; 2]>,
    /// Mean time that a session lasts, in seconds.
    pub session_s: Option<f64>,
    pub session: Option<String>,
    pub in_flight: Option<u32>,
    pub burst: Option<u32>,
    pub tick_s: Option<f64>,
    pub payload_bytes: Option<usize>,
    pub payload_kind: Option<String>,
    pub warm_up_s: f64,
    pub duration_s: f64,
    /// Time for replies after the end of the plan.
    #[serde(default)]
    pub grace_s: f64,
    /// The share of connections, and of messages, that may fail.
    #[serde(default)]
    pub allowed_failures: f64,
    pub seed: u64,
    pub started_unix_ms: u64,
    /// Latency objective in nanoseconds.
    pub slo_ns: Option<u64>,
}

impl Run {
    pub(super) fn new(facts: &Facts, config: &Config) -> Self {
        let sends = config.sends();
        let (burst, think, kind_of_loop) = match &config.messages {
            Loop::Open { burst, .. } => (Some(*burst), None, "open"),
            Loop::PerConnection { .. } => (None, None, "open"),
            Loop::Closed => (None, None, "closed"),
            Loop::Thinking(think) => (None, Some(think), "closed"),
        };
        let think = think.filter(|_| sends);
        let session = config.session.map(|session| match session {
            Session::Constant(time) => (time, "constant"),
            Session::Exponential(mean) => (mean, "exponential"),
        });
        // A script says what its file has it say.
        let has_payload = sends && config.scenario.name() != "custom";
        let kind = match config.payload_kind {
            PayloadKind::Text => "text",
            PayloadKind::Binary => "binary",
        };
        Self {
            url: facts.url.clone(),
            proxy: facts.proxy.clone(),
            transport: match config.transport {
                Transport::WebSocket => "websocket".to_owned(),
                Transport::Sse => "sse".to_owned(),
            },
            scenario: config.scenario.name().to_owned(),
            loop_kind: if sends { kind_of_loop } else { "none" }.to_owned(),
            connections: config.connections,
            part: facts.part,
            connect_rate_per_s: config.connect_pace.as_ref().and_then(|pace| match pace {
                Pace::Constant(rate) => Some(rate.as_per_second()),
                Pace::Buckets(_) | Pace::Stages(_) | Pace::Poisson(_) | Pace::Part(_) => {
                    let before_last = u64::from(config.connections) - 1;
                    let took = Duration::from_nanos(pace.offset_ns(before_last));
                    per_second(before_last, took)
                }
            }),
            connect_pace: config.connect_pace.as_ref().map(Pace::to_string),
            connecting: config.connect_pace.is_none().then_some(config.connecting),
            rate_per_s: config
                .message_pace()
                .map(|pace| pace.mean_per_second(config.warm_up..config.warm_up + config.duration)),
            pace: config.message_pace().map(Pace::to_string),
            session_s: session.map(|(mean, _)| mean.as_secs_f64()),
            session: session.map(|(_, kind)| kind.to_owned()),
            think_s: think.map(|think| [think.least, think.most].map(|it| it.as_secs_f64())),
            in_flight: sends.then_some(config.in_flight),
            burst: burst.filter(|_| sends),
            tick_s: config.tick.map(|tick| tick.as_secs_f64()),
            payload_bytes: has_payload.then_some(config.payload_bytes),
            payload_kind: has_payload.then(|| kind.to_owned()),
            warm_up_s: config.warm_up.as_secs_f64(),
            duration_s: config.duration.as_secs_f64(),
            grace_s: config.grace.as_secs_f64(),
            allowed_failures: facts.allowed_failures,
            seed: config.seed,
            started_unix_ms: facts.started_unix_ms,
            slo_ns: facts.slo.and_then(|slo| u64::try_from(slo.as_nanos()).ok()),
        }
    }
}
