//! What the flags mean: the run that they describe.

use super::chat::chat;
use super::flags::LoadFlags;
use super::following::follow;
use super::pacing::RunFrame;
use super::proxied::way;
use super::realtime::{Realtime, Retarget};
use super::scenario_flag::ScenarioFlag;
use super::script;
use crate::cli::sources::Need;
use crate::cli::url::{Scheme, Url, server_name};
use crate::cli::{Failure, host, print, sources};
use crate::load::scenario::Connect;
use crate::load::scenario::rooms::Rooms;
use crate::load::{self, Follow, Pace, PayloadKind, Scenario, Site, Target, Transport, Values};
use crate::tls::Role;
use rustls::pki_types::ServerName;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

/// The longest that iterations are waited for where no duration is given.
const ITERATIONS_TIME: Duration = Duration::from_secs(3600);
/// How long all stay connected in a round of connects.
const ROUND_TIME: Duration = Duration::from_millis(1);
/// Rounds of connects where nobody says.
const ROUNDS: u32 = 10;
/// Where nobody goes: it stands for a target whose name was not found.
const UNKNOWN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));

/// The run that the flags describe.
pub(super) fn resolve(flags: &LoadFlags) -> Result<load::Config, Failure> {
    let (url, targets) = targets(flags)?;
    let known = || targets.iter().flat_map(Target::addresses);
    // Of both families, the one that has more source addresses.
    let four = known().find(|address| address.is_ipv4());
    let address = four.or_else(|| known().next()).copied().unwrap_or(UNKNOWN);
    let (transport, usual) = match url.scheme {
        Scheme::Ws => (Transport::WebSocket, Scenario::Echo),
        Scheme::Http => (Transport::Sse, Scenario::Listen),
    };
    let seed = flags.seed.unwrap_or_else(|| fastrand::u64(..));
    let ScenarioChoice {
        scenario,
        retarget,
        subprotocols,
        is_text,
    } = ScenarioChoice::new(flags, usual, seed)?;
    check_flags(flags, &scenario)?;
    let frame = RunFrame {
        connections: flags.connections,
        warm_up: flags.warm_up,
        duration: flags.duration.or_else(|| longest(flags)),
        seed,
        part: flags.part.stripe(),
    };
    let values = values(flags, &subprotocols)?;
    let payload_bytes = payload_bytes(flags, &values);
    let messages = flags.pace.messages(&frame)?;
    let connect_pace = flags.pace.connects(&frame)?;
    let follow = follow(flags, url, &targets)?;
    let defaults = load::Config::new(address, url.authority(), retarget(&url.target));
    Ok(load::Config {
        targets,
        others: flags
            .urls
            .iter()
            .skip(1)
            .map(|url| page(url, &retarget))
            .collect(),
        sources: sources::expand(&flags.source_ip, address, need(flags)),
        headers: headers(flags, url),
        values,
        subprotocols,
        deflate: flags.connection.deflate.0,
        transport,
        scenario,
        connections: flags.connections,
        connect_phase: connect_phase(flags, connect_pace.as_ref(), defaults.connect_phase),
        connect_pace,
        connect_time: flags.connect_timeout,
        in_flight: flags.pace.in_flight(&messages),
        tick: flags.pace.tick(),
        messages,
        payload_bytes,
        message: flags.message.clone(),
        payload_kind: payload_kind(is_text),
        follow,
        retry: flags.churn.retry_policy(),
        ping: flags.churn.ping(),
        outage: flags.churn.storm(),
        session: flags.churn.session(),
        warm_up: flags.warm_up,
        duration: flags.pace.duration(&frame),
        message_bytes_max: flags.max_message.max(payload_bytes),
        fragments_max: flags.max_fragments,
        grace: flags.grace,
        silence: flags.silence,
        seed,
        ..defaults
    })
}

const fn payload_kind(is_text: bool) -> PayloadKind {
    match is_text {
        true => PayloadKind::Text,
        false => PayloadKind::Binary,
    }
}

/// The most bytes that a message has.
fn payload_bytes(flags: &LoadFlags, values: &Values) -> usize {
    let message = flags.message.as_deref();
    message.map_or(flags.payload, |text| {
        values.bytes_max(text, flags.connections)
    })
}

/// What stands for names in braces; what is there and stands for nothing is refused.
fn values(flags: &LoadFlags, subprotocols: &[String]) -> Result<Values, Failure> {
    let values = match &flags.values {
        None => Values::default(),
        Some(path) => {
            let named = |error: String| {
                let path = path.display();
                Failure::Usage(format!(
                    "--values: {path}: {error}; try: a first line user,token"
                ))
            };
            let text = std::fs::read(path).map_err(|error| named(error.to_string()))?;
            Values::parse(&text).map_err(|error| named(error.to_string()))?
        }
    };
    let values = values.of_part(flags.part.stripe());
    let refuse = |what: String, unknown: &str| {
        let known = values.known();
        let text = format!("{what}: {unknown} stands for nothing; there are {known}");
        Err(Failure::Usage(format!(
            "{text}; try: /echo?user={{number}}"
        )))
    };
    for url in &flags.urls {
        if let Err(unknown) = values.check(&url.target) {
            return refuse(format!("URL: {url}"), unknown);
        }
    }
    if let Some((name, unknown)) = subprotocols
        .iter()
        .find_map(|name| Some((name, values.check(name).err()?)))
    {
        return refuse(format!("--subprotocol: {name}"), unknown);
    }
    // Other braces in headers and messages may be JSON: what is no name in them is let be.
    let message = flags.message.as_deref();
    if let Some(unknown) = message.and_then(|text| values.stray_name(text, &["seq"])) {
        return refuse("--message".to_owned(), unknown);
    }
    for url in &flags.urls {
        for (name, value) in flags.connection.headers(url) {
            if let Some(unknown) = values.stray_name(&value, &[]) {
                return refuse(format!("--header: {name}"), unknown);
            }
        }
    }
    Ok(values)
}

/// The request headers. Of cable an `Origin` is one of them, as of a browser's page on the server:
/// Rails answers 404 to others, unless its protection from request forgery is off.
fn headers(flags: &LoadFlags, url: &Url) -> Vec<(String, String)> {
    let mut headers = flags.connection.headers(url);
    let has_origin = headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("Origin"));
    if flags.scenario == Some(ScenarioFlag::Cable) && !has_origin {
        headers.push(("Origin".to_owned(), url.origin()));
    }
    headers
}

/// Refuses parts of a plan that is another one in each of them.
fn check_part(flags: &LoadFlags) -> Result<(), Failure> {
    if let (Some(_), Some(flag), None) = (flags.part.part, flags.pace.by_chance(), flags.seed) {
        let text = "all parts follow one plan; add the same --seed N to each";
        return Err(Failure::Usage(format!("--part: with {flag} {text}")));
    }
    Ok(())
}

/// Refuses flags that the scenario has no use for.
fn check_flags(flags: &LoadFlags, scenario: &Scenario) -> Result<(), Failure> {
    if let Some(flag) = flags.pace.typed()
        && (matches!(scenario, Scenario::Listen | Scenario::Idle)
            || flags.scenario == Some(ScenarioFlag::Connect))
    {
        return Err(Failure::Usage(format!(
            "{flag}: the scenario {} sends no messages; leave {flag} out, or write \
             --scenario echo with a ws:// URL",
            scenario.name()
        )));
    }
    if flags.message.is_some() && !matches!(scenario, Scenario::Echo) {
        return Err(Failure::Usage(format!(
            "--message: the scenario {} has messages of its own; leave it out, or write \
             --scenario echo with a ws:// URL",
            scenario.name()
        )));
    }
    let iterates = [
        ScenarioFlag::Rooms,
        ScenarioFlag::Chat,
        ScenarioFlag::Connect,
        ScenarioFlag::Custom,
    ];
    check_part(flags)?;
    if flags.iterations.is_some() && !iterates.map(Some).contains(&flags.scenario) {
        let text = "--iterations: only the scenarios rooms, chat, connect and custom have them; \
                    add --scenario rooms";
        return Err(Failure::Usage(text.to_owned()));
    }
    if flags.room_size.is_some() && flags.scenario != Some(ScenarioFlag::Rooms) {
        let text = "--room-size: only the scenario rooms has rooms; add --scenario rooms";
        return Err(Failure::Usage(text.to_owned()));
    }
    let of_one_run = [
        (flags.csv.is_some(), "--csv"),
        (flags.hlog.is_some(), "--hlog"),
        (flags.prometheus.is_some(), "--prometheus"),
        (flags.metrics_listen.is_some(), "--metrics-listen"),
    ];
    if flags.scenario == Some(ScenarioFlag::Connect)
        && let Some((_, flag)) = of_one_run.iter().find(|(is_typed, _)| *is_typed)
    {
        let text = "the scenario connect is several short runs; use --json, or leave it out";
        return Err(Failure::Usage(format!("{flag}: {text}")));
    }
    Ok(())
}

/// The duration of a run that ends by itself, where none was typed.
fn longest(flags: &LoadFlags) -> Option<Duration> {
    if flags.scenario == Some(ScenarioFlag::Connect) {
        return Some(ROUND_TIME);
    }
    flags.iterations.map(|_| ITERATIONS_TIME)
}

/// How many ports are taken: those of the rounds before are not free at once.
fn need(flags: &LoadFlags) -> Need {
    let rounds = rounds(flags.scenario, flags.iterations).unwrap_or(1);
    Need {
        connections: flags
            .connections
            .saturating_add(posting(flags))
            .saturating_mul(rounds),
        ports: host::local_ports(),
    }
}

/// Second connections of clients: of each room over event streams one member posts, and whoever
/// publishes in channels.
pub(super) fn posting(flags: &LoadFlags) -> u32 {
    let is_stream = flags
        .urls
        .first()
        .is_some_and(|url| url.scheme == Scheme::Http);
    if flags.scenario == Some(ScenarioFlag::SseChannels) {
        let senders = flags.realtime.senders.unwrap_or(u32::MAX);
        return senders.min(flags.connections);
    }
    match flags.room_size {
        Some(size) if is_stream => flags.connections.div_ceil(size.max(1)),
        None | Some(_) => 0,
    }
}

/// The rounds of connects, if that is the scenario.
pub(super) fn rounds(scenario: Option<ScenarioFlag>, iterations: Option<u32>) -> Option<u32> {
    (scenario == Some(ScenarioFlag::Connect)).then(|| iterations.unwrap_or(ROUNDS))
}

/// What clients say, and what they have to ask for so that they may.
struct ScenarioChoice {
    scenario: Scenario,
    /// From the targets that were typed to those where the scenario's server answers.
    retarget: Retarget,
    subprotocols: Vec<String>,
    is_text: bool,
}

impl ScenarioChoice {
    /// As typed; `usual` is the scenario of the URL.
    fn new(flags: &LoadFlags, usual: Scenario, seed: u64) -> Result<Self, Failure> {
        let mut subprotocols = flags.connection.subprotocol.clone();
        if let Some(realtime) = Realtime::new(flags, seed)? {
            let needed = realtime.program.subprotocol().map(str::to_owned);
            subprotocols.extend(needed);
            return Ok(Self {
                scenario: Scenario::Dialogue(realtime.program),
                retarget: realtime.retarget,
                subprotocols,
                is_text: true,
            });
        }
        let custom = script::custom(flags)?;
        let custom = custom.map(|it| Scenario::Dialogue(Arc::new(it)));
        let scenario = match flags.scenario {
            Some(ScenarioFlag::Echo) => Scenario::Echo,
            Some(ScenarioFlag::Listen) => Scenario::Listen,
            Some(ScenarioFlag::Idle) => Scenario::Idle,
            Some(ScenarioFlag::Connect) => Scenario::Dialogue(Arc::new(Connect)),
            Some(ScenarioFlag::Rooms) => Scenario::Dialogue(Arc::new(Rooms {
                iterations: flags.iterations,
                payload_bytes: flags.payload,
                size: flags.room_size,
                comes_and_goes: flags.churn.session().is_some(),
            })),
            Some(ScenarioFlag::Chat) => chat(flags)?,
            Some(ScenarioFlag::Custom) => custom.unwrap_or(usual),
            // Those that `Realtime` knows are none of these.
            Some(
                ScenarioFlag::Cable
                | ScenarioFlag::Channels
                | ScenarioFlag::SseChannels
                | ScenarioFlag::Socketcluster
                | ScenarioFlag::Socketio,
            )
            | None => usual,
        };
        Ok(Self {
            scenario,
            retarget: Box::new(str::to_owned),
            subprotocols,
            is_text: flags.scenario == Some(ScenarioFlag::Chat)
                || flags.text
                || flags.message.is_some() && !flags.binary,
        })
    }
}

/// Time for all connects: what their rate needs, and then time for the last one.
fn connect_phase(flags: &LoadFlags, pace: Option<&Pace>, least: Duration) -> Duration {
    let planned = pace.map_or(Duration::ZERO, |pace| {
        Duration::from_nanos(pace.offset_ns(u64::from(flags.connections) - 1))
    });
    least.max(planned + 2 * flags.connect_timeout)
}

/// The first URL, and where each leads; all of one scheme. A name that is not found is said, and is
/// the failure of each connection that is to go there.
fn targets(flags: &LoadFlags) -> Result<(&Url, Vec<Target>), Failure> {
    let usage = |text: String| Err(Failure::Usage(text));
    let Some(first) = flags.urls.first() else {
        return usage("URL: there is none; try: ws://127.0.0.1:9000/echo".to_owned());
    };
    let kind = |url: &Url| (url.scheme, url.security);
    if let Some(other) = flags.urls.iter().find(|url| kind(url) != kind(first)) {
        let text = "all have one scheme; try: a run for each scheme";
        return usage(format!("URL: {first} and {other}: {text}"));
    }
    let mut targets = Vec::new();
    for url in &flags.urls {
        targets.push(match way(flags, url) {
            Ok(way) => match *way.addresses {
                [address] => Target::At(address),
                _ => Target::Any(way.addresses.into()),
            },
            Err(error) => {
                print::complain(&error);
                Target::Unknown
            }
        });
    }
    Ok((first, targets))
}

fn page(url: &Url, retarget: &Retarget) -> load::Page {
    load::Page {
        host: url.authority(),
        target: retarget(&url.target),
    }
}

/// URLs as they were typed.
pub(super) fn listed(urls: &[Url]) -> String {
    let urls: Vec<String> = urls.iter().map(Url::to_string).collect();
    urls.join(" ")
}

/// How its connections are secured, if they are.
pub(super) fn role(flags: &LoadFlags, load: &load::Config) -> Result<Option<Role>, Failure> {
    let Some(url) = flags.urls.first() else {
        return Ok(None);
    };
    let Some(securing) = flags.connection.trust.securing(url)? else {
        return Ok(None);
    };
    let mut names: Vec<(SocketAddr, ServerName<'static>)> = Vec::new();
    let of_urls = flags.urls.iter().map(Url::server_name).zip(&load.targets);
    let sites: &[Site] = match &load.follow {
        Follow::Never => &[],
        Follow::To { sites, .. } => sites,
    };
    let of_sites = sites
        .iter()
        .map(|site| (server_name(&site.host), &site.target));
    for (name, to) in of_urls.chain(of_sites) {
        let name = securing.name.clone().map_or(name, Ok);
        let name = name.map_err(Failure::Usage)?;
        for to in to.addresses() {
            let is_other = |(other, known): &(_, _)| other == to && *known != name;
            if names.iter().any(is_other) {
                let text = format!("URL: {to} has two names; try: --sni NAME, or two runs");
                return Err(Failure::Usage(text));
            }
            names.push((*to, name.clone()));
        }
    }
    Ok(Some(Role::Client {
        config: securing.config,
        names,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::flags::{Command, Flags};
    use clap::Parser;

    fn origins(line: &str) -> Vec<String> {
        let argv = ["ringstorm", "load"].into_iter().chain(line.split(' '));
        let flags = Flags::try_parse_from(argv).expect("flags");
        let Some(Command::Load(flags)) = flags.command else {
            panic!("no load");
        };
        let load = resolve(&flags).expect("a run");
        let headers = load.headers.into_iter();
        let origins = headers.filter(|(name, _)| name.eq_ignore_ascii_case("Origin"));
        origins.map(|(_, value)| value).collect()
    }

    #[test]
    fn cable_sends_the_origin_of_its_server_and_others_none() {
        // Action Cable, ActionCable::Connection::Base#allow_request_origin?
        let cable = "--scenario cable --channel X";
        assert_eq!(
            origins(&format!("ws://127.0.0.1:3000 {cable}")),
            ["http://127.0.0.1:3000"]
        );
        assert_eq!(
            origins(&format!("wss://127.0.0.1 {cable}")),
            ["https://127.0.0.1"]
        );
        let given = origins(&format!("ws://127.0.0.1:1 {cable} -H Origin:http://b"));
        assert_eq!(given, ["http://b"]);
        assert!(origins("ws://127.0.0.1:1/echo").is_empty());
    }
}
