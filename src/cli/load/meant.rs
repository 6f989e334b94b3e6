//! What the flags mean: the run that they describe.

use super::flags::{LoadFlags, ScenarioFlag};
use super::pacing::Frame;
use crate::cli::url::Scheme;
use crate::cli::{Failure, sources};
use crate::load::scenario::rooms::Rooms;
use crate::load::{self, Pace, PayloadKind, Scenario, Transport};
use crate::tls::Role;
use std::sync::Arc;
use std::time::Duration;

/// The longest that iterations are waited for where no duration is given.
const ITERATIONS_TIME: Duration = Duration::from_secs(3600);

/// The run that the flags describe.
pub(super) fn meant(flags: &LoadFlags) -> Result<load::Config, Failure> {
    let url = &flags.url;
    let address = url
        .resolve(&flags.connection.resolve, flags.connect_timeout)
        .map_err(Failure::Run)?;
    let (transport, usual) = match url.scheme {
        Scheme::Ws => (Transport::WebSocket, Scenario::Echo),
        Scheme::Http => (Transport::Sse, Scenario::Listen),
    };
    let scenario = flags.scenario.map_or(usual, |typed| match typed {
        ScenarioFlag::Echo => Scenario::Echo,
        ScenarioFlag::Listen => Scenario::Listen,
        ScenarioFlag::Idle => Scenario::Idle,
        ScenarioFlag::Rooms => Scenario::Dialogue(Arc::new(Rooms {
            iterations: flags.iterations,
            payload_bytes: flags.payload,
        })),
    });
    if let Some(flag) = flags.pace.typed()
        && matches!(scenario, Scenario::Listen | Scenario::Idle)
    {
        return Err(Failure::Usage(format!(
            "{flag}: the scenario {} sends no messages; leave {flag} out, or write \
             --scenario echo with a ws:// URL",
            scenario.name()
        )));
    }
    if flags.iterations.is_some() && flags.scenario != Some(ScenarioFlag::Rooms) {
        let text = "--iterations: only the scenario rooms has them; add --scenario rooms";
        return Err(Failure::Usage(text.to_owned()));
    }
    let seed = flags.seed.unwrap_or_else(|| fastrand::u64(..));
    let frame = Frame {
        connections: flags.connections,
        warm_up: flags.warm_up,
        duration: flags.duration.or(flags.iterations.map(|_| ITERATIONS_TIME)),
        seed,
    };
    let messages = flags.pace.messages(&frame)?;
    let connect_pace = flags.pace.connects(&frame)?;
    let defaults = load::Config::new(address, url.authority(), url.target.clone());
    Ok(load::Config {
        sources: sources::expand(&flags.source_ip, address, flags.connections),
        headers: flags.connection.headers(),
        subprotocols: flags.connection.subprotocol.clone(),
        deflate: flags.connection.deflate,
        transport,
        scenario,
        connections: flags.connections,
        connect_phase: connect_phase(flags, connect_pace.as_ref(), defaults.connect_phase),
        connect_pace,
        connect_time: flags.connect_timeout,
        in_flight: flags.pace.in_flight(&messages),
        messages,
        payload_bytes: flags.payload,
        payload_kind: if flags.text {
            PayloadKind::Text
        } else {
            PayloadKind::Binary
        },
        warm_up: flags.warm_up,
        duration: flags.pace.duration(&frame),
        message_bytes_max: defaults.message_bytes_max.max(flags.payload),
        seed,
        ..defaults
    })
}

/// Time for all connects: what their rate needs, and then time for the last one.
fn connect_phase(flags: &LoadFlags, pace: Option<&Pace>, least: Duration) -> Duration {
    let planned = pace.map_or(Duration::ZERO, |pace| {
        Duration::from_nanos(pace.offset_ns(u64::from(flags.connections) - 1))
    });
    least.max(planned + 2 * flags.connect_timeout)
}

/// How its connections are secured, if they are.
pub(super) fn role(flags: &LoadFlags, load: &load::Config) -> Result<Option<Role>, Failure> {
    let Some(securing) = flags.connection.trust.securing(&flags.url)? else {
        return Ok(None);
    };
    let name = securing.name.map_or_else(|| flags.url.server_name(), Ok);
    let name = name.map_err(Failure::Usage)?;
    let names = load.targets.iter().map(|to| (*to, name.clone())).collect();
    Ok(Some(Role::Client {
        config: securing.config,
        names,
    }))
}
