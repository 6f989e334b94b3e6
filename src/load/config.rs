//! What a load run is: three independent values (pace, scenario, transport) and their bounds.

use super::config_error::ConfigError;
use super::nonce::Nonce;
use super::pace::{Pace, Stripe};
use super::policy::{PlannedOutage, RetryPolicy, Session, Think};
use super::redirect::Follow;
use super::scenario::{Program, Turns};
use super::seed::seeded;
use super::target::{Onward, Page, Target, onward};
use super::transport::{PayloadKind, Transport};
use super::values::Values;
use super::wording::Wording;
use super::work::{Loop, Scenario};
use crate::limits;
use crate::protocol::websocket::deflate::ContextTakeover;
use crate::shard::{ConnectionId, Core};
use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
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
    /// If permessage-deflate is offered, and whether with context. A server has to agree.
    pub deflate: Option<ContextTakeover>,
    /// What carries messages.
    pub transport: Transport,
    /// What a client does.
    pub scenario: Scenario,
    /// Connections of the whole run.
    pub connections: u32,
    /// When to start each connect of the whole run; `None`: as fast as `connecting` allows.
    pub connect_pace: Option<Pace>,
    /// Connects under way on one core at most where no pace is given: fewer while they take long.
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
            deflate: None,
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
            Some(_) if !self.scenario.can_ping(self.transport) => {
                return Err(ConfigError::PingOverSse);
            }
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

    /// Whose turn it is among the targets, and which turn of that target's it is.
    pub(super) fn target_of(&self, turn: u64) -> Option<(&Target, u64)> {
        let own = turn / u64::try_from(self.targets.len()).unwrap_or(1);
        Some((pick(self.targets.iter(), turn)?, own))
    }

    /// Where a client goes next whose server is overloaded, if to another one.
    pub(super) fn onward(&self, turn: u64) -> Option<Onward> {
        onward(&self.targets, turn)
    }

    /// The source address of a connection to there: each target sees them in turn, also where
    /// there are as many of one as the other.
    pub(super) fn source_of(&self, to: SocketAddr, among: u64, turn: u64) -> Option<IpAddr> {
        let is_fitting = |source: &&IpAddr| source.is_ipv4() == to.is_ipv4();
        let count = u64::try_from(self.target_of(among)?.0.addresses().len()).unwrap_or(1);
        // Several addresses of one target take its turns in turn.
        let turn = turn / count.max(1);
        pick(self.sources.iter().filter(is_fitting), turn).copied()
    }

    /// Connections that the run may have at once: two a client of a dialogue without WebSockets.
    #[must_use]
    pub fn sockets(&self) -> u32 {
        let has_two = self.scenario.posts_over(self.transport);
        self.connections.saturating_mul(1 + u32::from(has_two))
    }

    /// The Host header and the request target of the target whose turn it is.
    pub(super) fn page(&self, turn: u64) -> (&str, &str) {
        let place = self.place(turn).checked_sub(1);
        let other = place.and_then(|place| self.others.get(place));
        other.map_or((&self.host, &self.target), |page| {
            (&page.host, &page.target)
        })
    }

    /// The text, with what connection `number` of the run has of its own in it.
    pub(super) fn expanded<'t>(&self, text: &'t str, number: u32) -> Cow<'t, str> {
        self.values.expanded(text, self.seed, number)
    }

    /// The user's headers, as connection `number` of the run sends them.
    pub(super) fn headers_of(&self, number: u32) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let headers = self.headers.iter();
        headers.map(move |(name, value)| (name.as_str(), self.expanded(value, number)))
    }

    /// The key of the handshake of one attempt.
    pub(super) fn handshake_key(&self, core: Core, id: ConnectionId) -> [u8; 16] {
        self.nonce.key(core, id)
    }

    /// The generator of what fills messages.
    pub(super) fn filler(&self) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.seed)
    }

    /// The generator of one purpose of the run.
    pub(super) fn random(&self, purpose: u64) -> fastrand::Rng {
        seeded(self.seed, purpose)
    }

    /// The place among the targets of the one whose turn it is.
    #[inline]
    pub(super) fn place(&self, turn: u64) -> usize {
        match self.targets.len() {
            0 | 1 => 0,
            len => usize::try_from(turn).unwrap_or(usize::MAX) % len,
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

    /// Which messages of the plan are a core's, and how many in a row go to one connection: of its
    /// part of all messages, and of all connections.
    pub(super) fn planned(&self, messages: Stripe, connections: Stripe) -> (Stripe, u32) {
        match self.messages {
            Loop::PerConnection { .. } => (connections.per_connection(self.connections), 1),
            Loop::Open { burst, .. } => (messages, burst),
            Loop::Closed | Loop::Thinking(_) => (messages, 1),
        }
    }

    /// Whether each connection has its place in the plan.
    #[inline]
    pub(super) const fn is_per_connection(&self) -> bool {
        matches!(self.messages, Loop::PerConnection { .. })
    }

    /// How long clients think, if they do.
    #[inline]
    pub(super) const fn think(&self) -> Option<Think> {
        match self.messages {
            Loop::Thinking(think) => Some(think),
            Loop::Closed | Loop::Open { .. } | Loop::PerConnection { .. } => None,
        }
    }

    /// What the messages of an echo say, if the user says it.
    pub(super) fn wording(&self) -> Option<Wording> {
        let text = self.message.as_deref()?;
        Some(Wording::new(text, self.values.clone(), self.seed))
    }

    /// The program of the clients' dialogues, if they have any.
    pub(super) fn program(&self) -> Option<&dyn Program> {
        match &self.scenario {
            Scenario::Dialogue(program) => Some(program.as_ref()),
            Scenario::Echo | Scenario::Listen | Scenario::Idle => None,
        }
    }

    /// Whether clients arrive and leave while the run runs.
    #[inline]
    pub(super) const fn has_sessions(&self) -> bool {
        self.session.is_some()
    }

    /// Sessions that a core may have at once, of its stripe of them, if there are any.
    pub(super) fn sessions_at_once(&self, stripe: Stripe) -> Option<u64> {
        self.has_sessions()
            .then(|| stripe.share(u64::from(self.connections)))
    }

    /// How long a client stays that is up, if not for ever.
    pub(super) fn session_time(&self, rng: &mut fastrand::Rng) -> Option<Duration> {
        Some(self.session?.draw(rng))
    }

    /// Addresses of the target whose turn it is, or of another instead of that.
    pub(super) fn addresses_of(&self, turn: u64, other: Option<&Target>) -> usize {
        let target = other.or_else(|| Some(self.target_of(turn)?.0));
        target.map_or(0, |target| target.addresses().len())
    }

    /// Sessions of the whole run that arrive in so much time; `None`: all connect before.
    pub(super) fn arrivals(&self, time: Duration) -> Option<u64> {
        self.session?;
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let pace = self.connect_pace.as_ref();
        Some(pace.map_or(0, |pace| pace.before(ns)))
    }

    /// What carries messages.
    #[inline]
    pub(super) const fn transport(&self) -> Transport {
        self.transport
    }

    /// What a client does.
    pub(super) const fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// When to start each first connect, and how many at once where no time is given.
    pub(super) fn first_connects(&self) -> (Option<Pace>, u32) {
        (self.connect_pace.clone(), self.connecting)
    }

    /// Time for one connect with its upgrade.
    pub(super) const fn connect_time(&self) -> Duration {
        self.connect_time
    }

    /// Time for the last replies, and for a closing handshake.
    pub(super) const fn ending_times(&self) -> [Duration; 2] {
        [self.grace, self.close_time]
    }

    /// Who connects again, and when.
    pub(super) const fn retry(&self) -> RetryPolicy {
        self.retry
    }

    /// How often a WebSocket connection pings.
    pub(super) const fn ping(&self) -> Option<Duration> {
        self.ping
    }

    /// The time from turn to turn for planned messages, and what is dropped at once.
    pub(super) const fn turns_and_outage(&self) -> (Option<Duration>, Option<PlannedOutage>) {
        (self.tick, self.outage)
    }

    /// What tells a silent listener.
    #[inline]
    pub(super) const fn silence(&self) -> Option<Duration> {
        self.silence
    }

    /// Caps on one received message: its bytes, its fragments.
    pub(super) const fn read_caps(&self) -> (usize, u32) {
        (self.message_bytes_max, self.fragments_max)
    }

    /// Type and bytes of one message that is sent.
    pub(super) const fn payload(&self) -> (PayloadKind, usize) {
        (self.payload_kind, self.payload_bytes)
    }

    /// Whether messages are deflated.
    pub(super) const fn is_deflated(&self) -> bool {
        self.deflate.is_some()
    }

    /// Messages in flight on one connection at most.
    pub(super) const fn in_flight_max(&self) -> u32 {
        self.in_flight
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
