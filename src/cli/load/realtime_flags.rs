//! The flags that only the scenarios of message protocols (`cable`, `channels`, `sse-channels`,
//! `socketcluster`, `socketio`) and `chat` have, and which of them belongs to which.

use super::scenario_flag::ScenarioFlag;
use super::trigger::Request;
use crate::cli::{Failure, values};
use clap::{Args, ValueEnum};

/// The flags of `load` that some scenarios have.
#[derive(Args, Clone, Debug, Default)]
#[command(
    next_help_heading = "Scenarios cable, channels, chat, sse-channels, socketcluster, socketio"
)]
pub(in crate::cli) struct RealtimeFlags {
    /// Channel to subscribe to. Of cable its class, such as ChatChannel, or the whole identifier:
    /// '{"channel":"ChatChannel","room":1}'.
    #[arg(long, value_name = "NAME")]
    pub(super) channel: Option<String>,
    /// Number of channels: each client is in one of NAME0, NAME1, .. (channels), or listens to all
    /// of them (sse-channels) [default: NAME alone].
    #[arg(long, value_name = "N")]
    pub(super) channels: Option<u32>,
    /// What is called with each message: of cable the channel's action, of socketcluster the
    /// procedure, of socketio the event, which is to be acknowledged [default: echo, but
    /// socketcluster publishes if it has a channel].
    #[arg(long, value_name = "NAME")]
    pub(super) event: Option<String>,
    /// Namespace to join (socketio) [default: /].
    #[arg(long, value_name = "/NAME")]
    pub(super) namespace: Option<String>,
    /// What carries a session (socketio): a WebSocket; one to which it moves after a poll, as with
    /// clients by default; or polls alone [default: websocket].
    #[arg(long, value_name = "NAME")]
    pub(super) transport: Option<TransportFlag>,
    /// Token to show: a JWT for channels and socketcluster, auth.token for socketio.
    #[arg(
        long,
        value_name = "TOKEN",
        env = "RINGSTORM_AUTH_TOKEN",
        hide_env_values = true
    )]
    pub(super) auth_token: Option<String>,
    /// How many of the clients say something; the others only hear [default: all].
    #[arg(long, value_name = "N")]
    pub(super) senders: Option<u32>,
    /// Says that it types before each message, and that it has stopped after it (chat).
    #[arg(long)]
    pub(super) typing: bool,
    /// Messages after which a client asks for another partner (chat) [default: never].
    #[arg(long, value_name = "N", value_parser = values::count_u32)]
    pub(super) next_after: Option<u32>,
    /// Request that makes the server broadcast on the channel (cable), fired instead of sending:
    /// '[METHOD ]http://HOST:PORT/PATH', POST if no method is named. {stamp} in it is replaced; a
    /// broadcast that repeats that is told apart from others. It has the headers of -H, --cookie.
    #[arg(long, value_name = "REQUEST")]
    pub(super) trigger: Option<Request>,
}

/// What `--transport` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum TransportFlag {
    /// The session begins on a WebSocket.
    Websocket,
    /// It begins with a poll, and moves to a WebSocket.
    Upgrade,
    /// It polls, and posts on a second connection.
    Polling,
}

impl RealtimeFlags {
    /// Cores that the run may have at most: a core without anybody who sends would drop its share
    /// of the plan, and whoever fires and counts broadcasts leads clients of its own core only.
    pub(super) fn cores_max(&self) -> usize {
        match (self.senders, &self.trigger) {
            (_, Some(_)) => 1,
            (None | Some(0), None) => usize::MAX,
            (Some(senders), None) => usize::try_from(senders).unwrap_or(usize::MAX),
        }
    }

    /// The flags that were typed, each with the scenarios that have it.
    fn typed(&self) -> impl Iterator<Item = (&'static str, &'static [ScenarioFlag])> {
        use ScenarioFlag::{Cable, Channels, Chat, Socketcluster, Socketio, SseChannels};
        let all: [(_, _, &[ScenarioFlag]); 10] = [
            (
                "--channel",
                self.channel.is_some(),
                &[Cable, Channels, SseChannels, Socketcluster],
            ),
            (
                "--channels",
                self.channels.is_some(),
                &[Channels, SseChannels],
            ),
            (
                "--event",
                self.event.is_some(),
                &[Cable, Socketcluster, Socketio],
            ),
            ("--namespace", self.namespace.is_some(), &[Socketio]),
            ("--transport", self.transport.is_some(), &[Socketio]),
            (
                "--auth-token",
                self.auth_token.is_some(),
                &[Channels, Socketcluster, Socketio],
            ),
            (
                "--senders",
                self.senders.is_some(),
                &[Cable, Channels, Chat, SseChannels, Socketcluster, Socketio],
            ),
            ("--typing", self.typing, &[Chat]),
            ("--next-after", self.next_after.is_some(), &[Chat]),
            ("--trigger", self.trigger.is_some(), &[Cable]),
        ];
        let typed = all.into_iter().filter(|(_, is_typed, _)| *is_typed);
        typed.map(|(flag, _, scenarios)| (flag, scenarios))
    }

    /// Refuses a flag that the scenario does not have.
    pub(super) fn check(&self, scenario: Option<ScenarioFlag>) -> Result<(), Failure> {
        let fits = |scenarios: &[ScenarioFlag]| scenario.is_some_and(|it| scenarios.contains(&it));
        let Some((flag, scenarios)) = self.typed().find(|(_, scenarios)| !fits(scenarios)) else {
            return Ok(());
        };
        let names: Vec<&str> = scenarios.iter().map(|it| name(*it)).collect();
        let remedy = match (flag, scenario) {
            ("--auth-token", Some(ScenarioFlag::Cable)) => {
                "ActionCable has no token of its own: put it into the URL's query or a --header"
                    .to_owned()
            }
            ("--auth-token", Some(ScenarioFlag::SseChannels)) => {
                "-H 'Authorization: Bearer TOKEN'".to_owned()
            }
            _ => format!("leave it out, or write --scenario {}", names.join(" or ")),
        };
        Err(Failure::Usage(format!(
            "{flag} belongs to the scenario {}; try: {remedy}",
            names.join(", ")
        )))
    }
}

fn name(scenario: ScenarioFlag) -> &'static str {
    match scenario {
        ScenarioFlag::Cable => "cable",
        ScenarioFlag::Channels => "channels",
        ScenarioFlag::Chat => "chat",
        ScenarioFlag::SseChannels => "sse-channels",
        ScenarioFlag::Socketcluster => "socketcluster",
        ScenarioFlag::Socketio => "socketio",
        ScenarioFlag::Echo
        | ScenarioFlag::Listen
        | ScenarioFlag::Idle
        | ScenarioFlag::Connect
        | ScenarioFlag::Rooms
        | ScenarioFlag::Custom => "another",
    }
}
