//! What the flags mean: the run that they describe.

use super::flags::{LoadFlags, ScenarioFlag};
use crate::cli::url::Scheme;
use crate::cli::{Failure, sources};
use crate::load::config::IN_FLIGHT_DEFAULT;
use crate::load::{self, Loop, Pace, PayloadKind, Scenario, Transport};
use std::time::Duration;

/// The run that the flags describe.
pub(super) fn meant(flags: &LoadFlags) -> Result<load::Config, Failure> {
    let url = &flags.url;
    let address = url.resolve(flags.connect_timeout).map_err(Failure::Run)?;
    let (transport, usual) = match url.scheme {
        Scheme::Ws => (Transport::WebSocket, Scenario::Echo),
        Scheme::Http => (Transport::Sse, Scenario::Listen),
    };
    let scenario = flags.scenario.map_or(usual, |typed| match typed {
        ScenarioFlag::Echo => Scenario::Echo,
        ScenarioFlag::Listen => Scenario::Listen,
        ScenarioFlag::Idle => Scenario::Idle,
    });
    if flags.rate.is_some() && scenario != Scenario::Echo {
        let text = "--rate: only the scenario echo sends messages; leave --rate out, or write \
                    --scenario echo with a ws:// URL";
        return Err(Failure::Usage(text.to_owned()));
    }
    let (messages, usual_in_flight) = flags.rate.map_or((Loop::Closed, 1), |rate| {
        let pace = Pace::Constant(rate);
        (
            Loop::Open {
                pace,
                burst: flags.burst,
            },
            IN_FLIGHT_DEFAULT,
        )
    });
    let defaults = load::Config::new(address, url.authority(), url.target.clone());
    Ok(load::Config {
        sources: sources::expand(&flags.source_ip, address, flags.connections),
        headers: flags.header.clone(),
        subprotocols: flags.subprotocol.clone(),
        transport,
        scenario,
        connections: flags.connections,
        connect_pace: flags.connect_rate.map(Pace::Constant),
        connect_time: flags.connect_timeout,
        connect_phase: connect_phase(flags, defaults.connect_phase),
        messages,
        in_flight: flags.pipeline.unwrap_or(usual_in_flight),
        payload_bytes: flags.payload,
        payload_kind: if flags.text {
            PayloadKind::Text
        } else {
            PayloadKind::Binary
        },
        warm_up: flags.warm_up,
        duration: flags.duration,
        message_bytes_max: defaults.message_bytes_max.max(flags.payload),
        seed: flags.seed.unwrap_or_else(|| fastrand::u64(..)),
        ..defaults
    })
}

/// Time for all connects: what their rate needs, and then time for the last one.
fn connect_phase(flags: &LoadFlags, least: Duration) -> Duration {
    let planned = flags.connect_rate.map_or(Duration::ZERO, |rate| {
        Duration::from_secs_f64(f64::from(flags.connections) / rate.as_per_second())
    });
    least.max(planned + 2 * flags.connect_timeout)
}
