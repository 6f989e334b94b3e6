//! What a load run is: three independent values (pace, scenario, transport) and their bounds.

use super::nonce::Nonce;
use super::pace::Pace;
use super::policy::{PlannedOutage, RetryPolicy, Session, Think};
use super::redirect::Follow;
use super::scenario::{Program, Turns};
use super::target::Target;
use super::transport::{PayloadKind, Transport};
use super::values::Values;
use crate::limits;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Smallest payload, in bytes: every message carries its sequence number.
pub const PAYLOAD_BYTES_MIN: usize = 8;
/// Default in-flight messages of one connection in an open loop.
pub const IN_FLIGHT_DEFAULT: u32 = 1024;
/// Connects under way on one core at once where no rate is given: half of a 1024-deep accept queue.
pub const CONNECTING_DEFAULT: u32 = 512;
/// Default time for replies after the end of the plan: as long as a connect may take. A run whose
/// replies have all come does not wait.
pub const GRACE_TIME: Duration = Duration::from_secs(10);
/// The longest time from one turn for messages of a plan to the next.
const TICK_MAX: Duration = Duration::from_millis(100);
/// The shortest time from one ping of a connection to the next.
const PING_TIME_MIN: Duration = Duration::from_millis(10);
/// Default time for the closing handshakes after that.
pub const CLOSE_TIME: Duration = Duration::from_secs(1);

/// What one simulated client does.
#[derive(Clone, Debug)]
pub enum Scenario {
    /// Sends messages and expects each back.
    Echo,
    /// Receives stamped messages: one-way latency, gaps.
    Listen,
    /// Stays connected and counts what comes.
    Idle,
    /// Has a conversation of its own.
    Dialogue(Arc<dyn Program>),
}

impl Scenario {
    /// What reports call it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Listen => "listen",
            Self::Idle => "idle",
            Self::Dialogue(program) => program.name(),
        }
    }
}

/// What a URL asks for, and of whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The Host header.
    pub host: String,
    /// The request target: path and query; `Values` says what may stand in it.
    pub target: String,
}

/// When messages are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loop {
    /// At the times that the pace intends, whatever the server does. Indices run over the whole
    /// run and are striped over the cores.
    Open {
        /// When each message of the run is meant to be sent.
        pace: Pace,
        /// Consecutive messages that go to one connection before the next connection's turn, at
        /// least 1. More than 1 makes high rates cheap, for servers that read many at once.
        burst: u32,
    },
    /// As `Open`, but each connection has its own place in the plan: piece `i` is for connection
    /// `i % connections`, and dropped if that one is not up. So a rate is one per connection.
    PerConnection {
        /// When each message of the run is meant to be sent.
        pace: Pace,
    },
    /// Each as soon as a reply makes room.
    Closed,
    /// Each some time after the last reply: `in_flight` of them once nothing is under way.
    Thinking(Think),
}

/// A load run, resolved: nothing here is optional in meaning. The same on every core.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to connect; connection `i` of the run goes to `targets[i % len]`.
    pub targets: Vec<Target>,
    /// Source addresses; connection `i` uses those of its target's family in turn. Empty: any.
    pub sources: Vec<IpAddr>,
    /// The Host header.
    pub host: String,
    /// The request target: path and query.
    pub target: String,
    /// Whom and what connections to the targets after the first ask, where that is not the same.
    pub others: Vec<Page>,
    /// The user's request headers, in whose values clients may differ.
    pub headers: Vec<(String, String)>,
    /// What stands for names in braces in targets, headers and subprotocols.
    pub values: Values,
    /// Subprotocols to offer, best first.
    pub subprotocols: Vec<String>,
    /// Offers permessage-deflate; a server that does not agree to it has failed.
    pub deflate: bool,
    /// What carries messages.
    pub transport: Transport,
    /// What a client does.
    pub scenario: Scenario,
    /// Connections of the whole run.
    pub connections: u32,
    /// When to start each connect of the whole run; `None`: as fast as `connecting` allows.
    pub connect_pace: Option<Pace>,
    /// Connects under way on one core at once at most, where no pace is given: fewer while each
    /// takes a few milliseconds.
    pub connecting: u32,
    /// Time for one connect with its upgrade.
    pub connect_time: Duration,
    /// Time for all connects together, from the last intended one if they have a pace; what is
    /// not up then is counted and left behind.
    pub connect_phase: Duration,
    /// When messages are sent.
    pub messages: Loop,
    /// Messages in flight on one connection at most.
    pub in_flight: u32,
    /// Messages of a plan leave in turns so far apart at least, and are late by up to that;
    /// `None`: 50 us, and 100 us where a core sends 200,000 a second.
    pub tick: Option<Duration>,
    /// What the messages of an echo say, where `values` and `{seq}` may stand in braces; `None`:
    /// a sequence number and filler.
    pub message: Option<String>,
    /// Payload of one message, in bytes; at least [`PAYLOAD_BYTES_MIN`], unless `message` says
    /// what it is: then of the longest one.
    pub payload_bytes: usize,
    /// Type of the messages.
    pub payload_kind: PayloadKind,
    /// Which redirects of event streams are followed.
    pub follow: Follow,
    /// Who connects again, and when.
    pub retry: RetryPolicy,
    /// Each WebSocket connection pings so often, and has failed if no pong comes meanwhile.
    pub ping: Option<Duration>,
    /// Connections dropped at once.
    pub outage: Option<PlannedOutage>,
    /// Clients arrive at the connect pace while the run runs, `connections` at once at most, and
    /// go again; without it all connect before.
    pub session: Option<Session>,
    /// Time between the connects and the measured time, in which messages run already.
    pub warm_up: Duration,
    /// The measured time. Connecting, warm-up, grace and closing are not in it.
    pub duration: Duration,
    /// Time for outstanding replies after the measured time; what is missing then is lost.
    pub grace: Duration,
    /// Listeners that hear nothing for longer are silent; `None`: the rate so far tells.
    pub silence: Option<Duration>,
    /// Time for the closing handshakes after that: without one ending. Ten times that in all.
    pub close_time: Duration,
    /// Cap on one received message or event, in bytes.
    pub message_bytes_max: usize,
    /// Cap on the fragments of one received message.
    pub fragments_max: u32,
    /// Seed of everything random but the keys of handshakes: masks, sequence numbers, filler.
    pub seed: u64,
    /// What the keys of handshakes are made of: other ones for each run.
    pub nonce: Nonce,
}

/// A configuration that cannot be run. Each message says what would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Nowhere to connect.
    #[error("there is no address to connect to")]
    NoTarget,
    /// SSE is one way.
    #[error("an event stream cannot echo; use the scenario listen or idle, or a ws:// URL")]
    EchoOverSse,
    /// The payload has no room for its sequence number.
    #[error("a payload of {0} bytes has no room for its sequence number; use at least 8")]
    SmallPayload(usize),
    /// The payload is beyond what one message may be.
    #[error("a payload of {0} bytes is beyond the message cap of {1} bytes")]
    LargePayload(usize, usize),
    /// Nothing to do.
    #[error("there is nothing to do with {0} 0; use at least 1")]
    Zero(&'static str),
    /// Everything would be late.
    #[error("with a tick of {0:?} every message is late by up to that; use at most 100ms")]
    LongTick(Duration),
    /// A range that ends before it begins.
    #[error("a think time from {0:?} to {1:?} is no range; write the shorter one first")]
    BackwardThink(Duration, Duration),
    /// Sessions arrive by a pace.
    #[error("sessions need a pace of arrivals; add --connect-rate 100")]
    NoArrivals,
    /// A plan for connections that come and go has no places.
    #[error("a rate per connection needs connections that stay; use --think with sessions")]
    PerConnectionSessions,
    /// A storm that nobody lives to see.
    #[error("a storm at {0:?} is not within the {1:?} that are measured; use an earlier one")]
    LateStorm(Duration, Duration),
    /// SSE has no pings.
    #[error("an event stream has no pings; leave --ping out, or use a ws:// URL")]
    PingOverSse,
    /// A ping at once after each other.
    #[error("a ping every {0:?} is more than timers can keep; use at least 10ms")]
    HastyPing(Duration),
    /// A source address whose family no target has.
    #[error("no target has the address family of the source address {0}")]
    StraySource(IpAddr),
}

impl Config {
    /// One idle-free default run: an echo over WebSocket in a closed loop, 1 connection, 10 s.
    #[must_use]
    pub fn new(target: SocketAddr, host: String, path: String) -> Self {
        Self {
            targets: vec![Target::At(target)],
            sources: Vec::new(),
            host,
            target: path,
            others: Vec::new(),
            headers: Vec::new(),
            values: Values::default(),
            subprotocols: Vec::new(),
            deflate: false,
            transport: Transport::WebSocket,
            scenario: Scenario::Echo,
            connections: 1,
            connect_pace: None,
            connecting: CONNECTING_DEFAULT,
            connect_time: limits::CONNECT_TIME,
            connect_phase: Duration::from_secs(120),
            messages: Loop::Closed,
            in_flight: 1,
            tick: None,
            message: None,
            payload_bytes: 32,
            payload_kind: PayloadKind::Text,
            follow: Follow::Never,
            retry: RetryPolicy::NEVER,
            ping: None,
            outage: None,
            session: None,
            warm_up: Duration::ZERO,
            duration: Duration::from_secs(10),
            grace: GRACE_TIME,
            silence: None,
            close_time: CLOSE_TIME,
            message_bytes_max: limits::CLIENT_MESSAGE_BYTES,
            fragments_max: limits::CLIENT_MESSAGE_FRAGMENTS,
            seed: 0,
            nonce: Nonce::new(0),
        }
    }

    /// Refuses what cannot be run.
    ///
    /// # Errors
    /// [`ConfigError`] with the first reason.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.targets.is_empty() {
            return Err(ConfigError::NoTarget);
        }
        if self.transport == Transport::Sse && matches!(self.scenario, Scenario::Echo) {
            return Err(ConfigError::EchoOverSse);
        }
        if self.message.is_none() && self.payload_bytes < PAYLOAD_BYTES_MIN {
            return Err(ConfigError::SmallPayload(self.payload_bytes));
        }
        if self.payload_bytes > self.message_bytes_max {
            return Err(ConfigError::LargePayload(
                self.payload_bytes,
                self.message_bytes_max,
            ));
        }
        let counts = [
            ("connections", self.connections),
            ("connects under way", self.connecting),
            ("messages in flight", self.in_flight),
        ];
        if let Some((name, _)) = counts.iter().find(|(_, n)| *n == 0) {
            return Err(ConfigError::Zero(name));
        }
        if let Some(tick) = self.tick.filter(|tick| *tick > TICK_MAX) {
            return Err(ConfigError::LongTick(tick));
        }
        if let Loop::Thinking(Think { least, most }) = self.messages
            && most < least
        {
            return Err(ConfigError::BackwardThink(least, most));
        }
        self.check_comings_and_goings()?;
        let stray = self.sources.iter().find(|source| {
            let known = |target: &Target| !target.addresses().is_empty();
            let mut all = self.targets.iter().flat_map(Target::addresses);
            self.targets.iter().all(known) && all.all(|to| to.is_ipv4() != source.is_ipv4())
        });
        stray.map_or(Ok(()), |source| Err(ConfigError::StraySource(*source)))
    }

    fn check_comings_and_goings(&self) -> Result<(), ConfigError> {
        if self.session.is_some() {
            if self.connect_pace.is_none() {
                return Err(ConfigError::NoArrivals);
            }
            if matches!(self.messages, Loop::PerConnection { .. }) {
                return Err(ConfigError::PerConnectionSessions);
            }
        }
        match self.ping {
            Some(_) if self.transport == Transport::Sse => return Err(ConfigError::PingOverSse),
            Some(ping) if ping < PING_TIME_MIN => return Err(ConfigError::HastyPing(ping)),
            Some(_) | None => {}
        }
        match self.outage {
            Some(storm) if storm.at >= self.duration => {
                Err(ConfigError::LateStorm(storm.at, self.duration))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Where connection `number` of the run goes, and which turn of that target's it is.
    pub(super) fn target_of(&self, number: u64) -> Option<(&Target, u64)> {
        let turn = number / u64::try_from(self.targets.len()).unwrap_or(1);
        Some((pick(self.targets.iter(), number)?, turn))
    }

    /// The source address of a connection to there: each target sees them in turn, also where
    /// there are as many of one as the other.
    pub(super) fn source_of(&self, to: SocketAddr, number: u64, turn: u64) -> Option<IpAddr> {
        let is_fitting = |source: &&IpAddr| source.is_ipv4() == to.is_ipv4();
        let count = u64::try_from(self.target_of(number)?.0.addresses().len()).unwrap_or(1);
        // Several addresses of one target take its turns in turn.
        let turn = turn / count.max(1);
        pick(self.sources.iter().filter(is_fitting), turn).copied()
    }

    /// Connections that the run may have at once: of a dialogue over event streams, each client may
    /// post on a second one.
    #[must_use]
    pub fn sockets(&self) -> u32 {
        match (&self.scenario, self.transport) {
            (Scenario::Dialogue(_), Transport::Sse) => self.connections.saturating_mul(2),
            (Scenario::Dialogue(_), Transport::WebSocket)
            | (Scenario::Echo | Scenario::Listen | Scenario::Idle, _) => self.connections,
        }
    }

    /// The Host header and the request target of connection `number` of the run.
    pub(super) fn page(&self, number: u64) -> (&str, &str) {
        let place = number.checked_rem(u64::try_from(self.targets.len()).unwrap_or(1));
        let place = place.and_then(|place| usize::try_from(place).ok());
        let other = place.and_then(|place| self.others.get(place.checked_sub(1)?));
        other.map_or((&self.host, &self.target), |page| {
            (&page.host, &page.target)
        })
    }

    /// The place of connection `number`'s target among the targets.
    #[inline]
    pub(super) fn place(&self, number: u32) -> usize {
        match self.targets.len() {
            0 | 1 => 0,
            len => number as usize % len,
        }
    }

    /// Whether messages are sent, rather than only received.
    #[must_use]
    pub fn sends(&self) -> bool {
        match (&self.scenario, self.transport) {
            (Scenario::Dialogue(program), _) => program.turns() != Turns::Never,
            (Scenario::Echo, Transport::WebSocket) => true,
            (Scenario::Echo, Transport::Sse) | (Scenario::Listen | Scenario::Idle, _) => false,
        }
    }

    /// The pace of messages, if they are sent at intended times.
    #[must_use]
    pub fn message_pace(&self) -> Option<&Pace> {
        match &self.messages {
            Loop::Open { pace, .. } | Loop::PerConnection { pace } if self.sends() => Some(pace),
            Loop::Open { .. } | Loop::PerConnection { .. } | Loop::Closed | Loop::Thinking(_) => {
                None
            }
        }
    }

    /// Addresses that connection `number` of the run may go to: of its own target, or of another
    /// instead of that.
    pub(super) fn addresses_of(&self, number: u32, other: Option<&Target>) -> usize {
        let own = || Some(self.target_of(u64::from(number))?.0);
        let target = other.or_else(own);
        target.map_or(0, |target| target.addresses().len())
    }

    /// Sessions of the whole run that arrive in so much time; `None`: all connect before.
    pub(super) fn arrivals(&self, time: Duration) -> Option<u64> {
        self.session?;
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let pace = self.connect_pace.as_ref();
        Some(pace.map_or(0, |pace| pace.before(ns)))
    }

    /// Whether clients have dialogues.
    #[inline]
    pub(super) const fn has_dialogues(&self) -> bool {
        matches!(self.scenario, Scenario::Dialogue(_))
    }

    /// Whether the run is over when no client takes turns any more.
    pub(super) fn ends_with_turns(&self) -> bool {
        match &self.scenario {
            Scenario::Dialogue(program) => program.turns() == Turns::Limited,
            Scenario::Echo | Scenario::Listen | Scenario::Idle => false,
        }
    }

    /// From the first intended connect to the last one.
    pub(super) fn connect_ramp(&self) -> Duration {
        let last = u64::from(self.connections.saturating_sub(1));
        let ramp = self.connect_pace.as_ref().map(|pace| pace.offset_ns(last));
        Duration::from_nanos(ramp.unwrap_or(0))
    }

    /// Whether a reply makes room for the next message.
    pub(super) fn is_closed_loop(&self) -> bool {
        matches!(self.messages, Loop::Closed | Loop::Thinking(_)) && self.sends()
    }
}

fn pick<T>(among: impl Iterator<Item = T> + Clone, number: u64) -> Option<T> {
    let len = u64::try_from(among.clone().count()).ok()?;
    let place = number.checked_rem(len)?;
    among.into_iter().nth(usize::try_from(place).ok()?)
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
