//! What the flags of the scenarios `cable`, `channels`, `sse-channels`, `socketcluster` and
//! `socketio` mean.

use super::flags::LoadFlags;
use super::realtime_flags::TransportFlag;
use super::scenario_flag::ScenarioFlag;
use super::trigger::trigger;
use crate::cli::Failure;
use crate::cli::url::Scheme;
use crate::limits::CHANNELS_PER_CLIENT;
use crate::load::scenario::{
    Cable, CableOptions, IoTransport, NumberedChannels, NumberedChannelsOptions, Program,
    STAMP_BYTES, Senders, SocketCluster, SocketClusterOptions, SocketIo, SocketIoOptions,
    StreamedChannels, StreamedChannelsOptions,
};
use std::fmt::Write as _;
use std::sync::Arc;

/// Where servers answer whose URL names no path.
const CABLE_PATH: &str = "/cable";
const CHANNELS_PATH: &str = "/connection/websocket";
const STREAMS_PATH: &str = "/channels";
const SOCKETCLUSTER_PATH: &str = "/socketcluster/";

/// A scenario of these, and where its server answers if it is asked for that target.
pub(super) struct Realtime {
    pub(super) program: Arc<dyn Program>,
    pub(super) retarget: Retarget,
}

/// From a target that was typed to that where the scenario's server answers.
pub(super) type Retarget = Box<dyn Fn(&str) -> String>;

impl Realtime {
    /// What the flags mean, with that seed; `None` for other scenarios.
    pub(super) fn new(flags: &LoadFlags, seed: u64) -> Result<Option<Self>, Failure> {
        flags.realtime.check(flags.scenario)?;
        let realtime = match flags.scenario {
            Some(ScenarioFlag::Cable) => Self {
                program: Arc::new(cable(flags, seed)?),
                retarget: Box::new(|target| or_path(target, CABLE_PATH)),
            },
            Some(ScenarioFlag::Channels) => Self {
                program: Arc::new(channels(flags, seed)?),
                retarget: Box::new(|target| or_path(target, CHANNELS_PATH)),
            },
            Some(ScenarioFlag::SseChannels) => {
                let options = streams(flags, seed)?;
                let topics = options.topics.clone();
                Self {
                    program: Arc::new(StreamedChannels::new(options)),
                    retarget: Box::new(move |target| with_topics(target, &topics)),
                }
            }
            Some(ScenarioFlag::Socketcluster) => Self {
                program: Arc::new(SocketCluster::new(SocketClusterOptions {
                    channel: flags.realtime.channel.clone(),
                    procedure: flags.realtime.event.clone(),
                    auth_token: flags.realtime.auth_token.clone(),
                    content_bytes: flags.payload,
                    senders: senders(flags),
                    seed,
                })),
                retarget: Box::new(|target| or_path(target, SOCKETCLUSTER_PATH)),
            },
            Some(ScenarioFlag::Socketio) => Self {
                program: Arc::new(SocketIo::new(SocketIoOptions {
                    namespace: namespace(flags)?,
                    event: event(flags),
                    auth_token: flags.realtime.auth_token.clone(),
                    content_bytes: flags.payload,
                    senders: senders(flags),
                    begins_by: match flags.realtime.transport {
                        None | Some(TransportFlag::Websocket) => IoTransport::WebSocket,
                        Some(TransportFlag::Upgrade) => IoTransport::Upgrade,
                        Some(TransportFlag::Polling) => IoTransport::Polling,
                    },
                    seed,
                })),
                retarget: Box::new(with_query),
            },
            Some(
                ScenarioFlag::Echo
                | ScenarioFlag::Listen
                | ScenarioFlag::Idle
                | ScenarioFlag::Connect
                | ScenarioFlag::Rooms
                | ScenarioFlag::Chat
                | ScenarioFlag::Custom,
            )
            | None => {
                return Ok(None);
            }
        };
        realtime.check(flags)?;
        Ok(Some(realtime))
    }

    /// Refuses what no message of the scenario could be sent with.
    fn check(&self, flags: &LoadFlags) -> Result<(), Failure> {
        let (scheme, needs) = match flags.scenario {
            Some(ScenarioFlag::SseChannels) => {
                (Scheme::Http, "an event stream; use an http:// URL")
            }
            _ => (Scheme::Ws, "a WebSocket; use a ws:// URL"),
        };
        if flags.urls.iter().any(|url| url.scheme != scheme) {
            let name = self.program.name();
            return Err(Failure::Usage(format!("--scenario {name} needs {needs}")));
        }
        if flags.payload < STAMP_BYTES {
            let text = format!(
                "--payload: a message of this scenario carries {STAMP_BYTES} bytes of its own; use \
                 at least {STAMP_BYTES}"
            );
            return Err(Failure::Usage(text));
        }
        Ok(())
    }
}

fn cable(flags: &LoadFlags, seed: u64) -> Result<Cable, Failure> {
    let Some(channel) = flags.realtime.channel.clone() else {
        let text = "--scenario cable has to know what to subscribe to; try: --channel ChatChannel";
        return Err(Failure::Usage(text.to_owned()));
    };
    let is_object = |text: &str| {
        serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).is_ok()
    };
    if channel.starts_with('{') && !is_object(&channel) {
        let text = "--channel: not a JSON object; write it like '{\"channel\":\"ChatChannel\"}'";
        return Err(Failure::Usage(text.to_owned()));
    }
    let request = flags.realtime.trigger.clone();
    Ok(Cable::new(CableOptions {
        channel,
        action: event(flags),
        content_bytes: flags.payload,
        senders: senders(flags),
        trigger: request
            .map(|request| {
                let url = request.url().clone();
                let request = request.with(flags.connection.headers(&url));
                trigger(request, &flags.connection.resolve, flags.connect_timeout)
            })
            .transpose()?,
        seed,
    }))
}

/// What to subscribe to.
fn channel(flags: &LoadFlags, scenario: &str) -> Result<String, Failure> {
    let channel = flags.realtime.channel.clone();
    channel.ok_or_else(|| {
        Failure::Usage(format!(
            "--scenario {scenario} has to know what to subscribe to; try: --channel news"
        ))
    })
}

fn streams(flags: &LoadFlags, seed: u64) -> Result<StreamedChannelsOptions, Failure> {
    let channel = channel(flags, "sse-channels")?;
    let topics = match flags.realtime.channels {
        None | Some(0 | 1) => vec![channel],
        Some(many) => (0..many).map(|at| format!("{channel}{at}")).collect(),
    };
    if topics.len() > CHANNELS_PER_CLIENT {
        let text = format!("--channels: a stream has at most {CHANNELS_PER_CLIENT} topics");
        return Err(Failure::Usage(text));
    }
    Ok(StreamedChannelsOptions {
        topics,
        content_bytes: flags.payload,
        senders: senders(flags),
        seed,
    })
}

fn channels(flags: &LoadFlags, seed: u64) -> Result<NumberedChannels, Failure> {
    Ok(NumberedChannels::new(NumberedChannelsOptions {
        channel: channel(flags, "channels")?,
        channels: flags.realtime.channels.unwrap_or(1),
        auth_token: flags.realtime.auth_token.clone(),
        content_bytes: flags.payload,
        senders: senders(flags),
        seed,
    }))
}

fn senders(flags: &LoadFlags) -> Senders {
    flags.realtime.senders.map_or(Senders::ALL, Senders)
}

fn event(flags: &LoadFlags) -> String {
    flags
        .realtime
        .event
        .clone()
        .unwrap_or_else(|| "echo".to_owned())
}

fn namespace(flags: &LoadFlags) -> Result<String, Failure> {
    let namespace = flags.realtime.namespace.as_deref().unwrap_or("/");
    // A comma ends it on the wire.
    if !namespace.starts_with('/') || namespace.contains(',') {
        let text = "--namespace: write it with a slash and without a comma, such as /chat";
        return Err(Failure::Usage(text.to_owned()));
    }
    Ok(namespace.to_owned())
}

fn or_path(target: &str, path: &str) -> String {
    match target.strip_prefix('/') {
        Some("") => path.to_owned(),
        Some(query) if query.starts_with('?') => format!("{path}{query}"),
        Some(_) | None => target.to_owned(),
    }
}

/// A target of Socket.IO: its query names the revision and the transport.
fn with_query(target: &str) -> String {
    use crate::protocol::socketio::{PATH, QUERY};
    let target = or_path(target, PATH);
    if target.contains("EIO=") {
        return target;
    }
    let separator = if target.contains('?') { '&' } else { '?' };
    format!("{target}{separator}{QUERY}")
}

/// A target of event streams: its query names the topics.
fn with_topics(target: &str, topics: &[String]) -> String {
    let mut target = or_path(target, STREAMS_PATH);
    for topic in topics {
        target.push(if target.contains('?') { '&' } else { '?' });
        target.push_str("topic=");
        for byte in topic.bytes() {
            // RFC 3986, 2.3: what needs no escape.
            match byte {
                b'-' | b'.' | b'_' | b'~' => target.push(char::from(byte)),
                byte if byte.is_ascii_alphanumeric() => target.push(char::from(byte)),
                byte => {
                    // Writing to a String does not fail.
                    let _ = write!(target, "%{byte:02X}");
                }
            }
        }
    }
    target
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::flags::{Command, Flags};
    use clap::Parser;

    fn realtime(line: &str) -> Result<Option<String>, String> {
        let argv = ["ringstorm", "load"].into_iter().chain(line.split(' '));
        let flags = Flags::try_parse_from(argv).map_err(|error| error.to_string())?;
        let Some(Command::Load(flags)) = flags.command else {
            panic!("no load");
        };
        let realtime = Realtime::new(&flags, 1).map_err(|error| error.to_string())?;
        Ok(realtime.map(|it| (it.retarget)(&flags.urls[0].target)))
    }

    #[test]
    fn a_url_without_a_path_goes_where_servers_answer() {
        for (line, target) in [
            ("ws://a:1 --scenario cable --channel X", "/cable"),
            (
                "ws://a:1/?token=x --scenario cable --channel X",
                "/cable?token=x",
            ),
            ("ws://a:1/live --scenario cable --channel X", "/live"),
            ("ws://a:1 --scenario socketcluster", "/socketcluster/"),
            (
                "ws://a:1 --scenario channels --channel news",
                "/connection/websocket",
            ),
            (
                "ws://a:1 --scenario socketio",
                "/socket.io/?EIO=4&transport=websocket",
            ),
            (
                "http://a:1 --scenario sse-channels --channel a:&",
                "/channels?topic=a%3A%26",
            ),
            (
                "http://a:1/?token=x --scenario sse-channels --channel n --channels 2",
                "/channels?token=x&topic=n0&topic=n1",
            ),
            (
                "ws://a:1/s/?a=b --scenario socketio",
                "/s/?a=b&EIO=4&transport=websocket",
            ),
        ] {
            assert_eq!(realtime(line).unwrap().unwrap(), target, "{line}");
        }
        assert!(realtime("ws://a:1").unwrap().is_none());
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_does() {
        for (line, part) in [
            ("ws://a:1 --scenario cable", "--channel ChatChannel"),
            ("ws://a:1 --scenario cable --channel {x", "JSON object"),
            ("ws://a:1 --scenario channels", "--channel news"),
            (
                "ws://a:1 --scenario cable --channel X --channels 2",
                "--scenario channels",
            ),
            (
                "ws://a:1 --channel X",
                "--scenario cable or channels or sse-channels or socketcluster",
            ),
            (
                "ws://a:1 --scenario socketio --channel X",
                "--scenario cable or channels or sse-channels or socketcluster",
            ),
            ("http://a:1 --scenario sse-channels", "--channel news"),
            (
                "ws://a:1 --scenario sse-channels --channel a",
                "http:// URL",
            ),
            (
                "http://a:1 --scenario sse-channels --channel a --channels 129",
                "at most 128",
            ),
            (
                "http://a:1 --scenario sse-channels --channel a --auth-token t",
                "Bearer",
            ),
            (
                "ws://a:1 --scenario cable --channel X --auth-token t",
                "URL's query",
            ),
            ("ws://a:1 --scenario socketio --namespace chat", "/chat"),
            ("http://a:1 --scenario socketio", "ws:// URL"),
            ("ws://a:1 --scenario socketio --payload 8", "at least 32"),
            (
                "ws://a:1 --scenario cable --channel X --trigger a:1",
                "http://",
            ),
        ] {
            let error = realtime(line).map(|_| ()).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
