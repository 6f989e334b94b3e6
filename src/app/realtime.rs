//! Realtime channels for clients of several protocols, over one hub: what ties them together.

mod arrivals;
#[cfg(test)]
mod cable_presence_tests;
#[cfg(test)]
mod cable_rig;
#[cfg(test)]
mod cable_tests;
#[cfg(test)]
mod channel_tests;
#[cfg(test)]
mod cluster_tests;
#[cfg(test)]
mod complaint_tests;
#[cfg(test)]
mod hook_tests;
mod hooked;
#[cfg(test)]
mod io_tests;
mod newcomer;
mod plan;
#[cfg(test)]
mod recovery_tests;
mod revoking;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod rule_tests;
#[cfg(test)]
mod session_tests;
mod streams;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod token_tests;
mod trying;

pub use plan::{RealtimeNews, RealtimePlan};
pub use trying::TRIGGER;

use super::complaints::FOREIGN_SESSION;
use super::dialect::api::{self, Api};
use super::dialect::cable::{self, CableClients, CableEntry};
use super::dialect::centrifugo::{CentrifugoClients, STRIPES};
use super::dialect::channels::TopicRequest;
use super::dialect::socketcluster::ClusterClients;
use super::dialect::socketio::IoClients;
use super::dialect::{Desk, DeskTools, Parked, STREAM, STREAMS, query, views};
use super::hub::answer::{EncodingId, ShownAs, SubscribeWish};
use super::hub::broker::Memory;
use super::hub::letter::HubLetter;
use super::hub::options::Namespaces;
use super::hub::{Hub, HubPlan};
use super::rules::{Gatekeeper, Ruling};
use super::sessions::{SessionCookies, SessionEntry};
use super::tokens::TokenBook;
use super::{
    Admittance, ApiCall, App, Arrival, Effects, Goodbye, Holdings, Message, Reach, Refusal, Seat,
    User, dialect,
};
use crate::limits;
use crate::protocol::centrifugo::{CloseAdvice, ErrorCode, read_connect};
use crate::protocol::socketio::namespace::is_namespace;
use crate::shard::{Core, PeerNames};
use crate::time::Instant;
use hooked::{HookedClients, MessageHold};
use newcomer::Newcomer;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Where Centrifugo's clients come.
pub const CENTRIFUGO_SOCKET: &str = "/connection/websocket";
/// Where those come that only listen.
pub const CENTRIFUGO_STREAM: &str = "/connection/uni_sse";
/// Where `SocketCluster`'s clients come.
pub const SOCKETCLUSTER_SOCKET: &str = "/socketcluster/";
/// Where Socket.IO's clients come.
pub const SOCKETIO_SOCKET: &str = "/socket.io/";
/// Where `ActionCable`'s clients come.
pub const CABLE_SOCKET: &str = "/cable";
/// The subprotocols that clients of channels ask for.
pub const SUBPROTOCOLS: [&str; 3] = cable::SUBPROTOCOLS;
/// Where event streams of channels are.
pub const CHANNELS: &str = "/channels";

/// The realtime channels of one core.
#[derive(Debug)]
pub struct RealtimeApp {
    plan: RealtimePlan,
    hub: Hub<Memory>,
    clients: CentrifugoClients,
    clusters: ClusterClients,
    sockets: IoClients,
    cables: CableClients,
    api: Api,
    tools: DeskTools,
    cookies: Option<SessionCookies>,
    /// Those who wait for the application behind the server, if it is asked.
    hooked: Option<HookedClients>,
    /// Who is about to come, and its session.
    newcomer: Newcomer,
    entry: SessionEntry,
    /// Event streams that wait for their session.
    waiting: BTreeMap<User, (Seat, Newcomer)>,
    /// Who is not heard until its session is known.
    held: BTreeSet<User>,
    ping_at: Option<Instant>,
    stripe: usize,
    /// Scratch space.
    users: Vec<User>,
    here: Core,
    /// Which news was the last.
    seen: u64,
}

impl RealtimeApp {
    /// Nobody is here.
    #[must_use]
    pub fn new(plan: RealtimePlan) -> Self {
        Self::on(plan, Core(0), 1)
    }

    fn on(plan: RealtimePlan, here: Core, cores: u16) -> Self {
        let random = |what: u64| plan.random(what);
        let own = u64::from(here.0) + 1;
        let hub = HubPlan {
            here,
            cores,
            session_grace: plan
                .sessions
                .as_ref()
                .map_or(limits::SESSION_GRACE_TIME, |it| it.grace),
            namespaces: plan.namespaces.clone(),
            secret: random(0),
            seed: random(own),
        };
        let line = plan.store.as_ref();
        let line = line.and_then(|it| it.lines.get(here.index()).cloned());
        let memory = Memory::new(random(own << 16)).stored_in(line);
        let book = TokenBook::new(plan.tokens.clone(), plan.wall).without(plan.revoked.clone());
        let (gatekeeper, hooked) = HookedClients::begin(&plan, here);
        let mut tools = DeskTools::new(gatekeeper, plan.complaints.clone(), book);
        tools.recovery = plan.recovery(here, cores);
        Self {
            hub: Hub::new(hub, memory),
            clients: CentrifugoClients::new(plan.rules),
            clusters: ClusterClients::new(plan.rules),
            sockets: IoClients::new(plan.rules),
            cables: CableClients::new(plan.rules, plan.stream_key.clone()),
            api: Api::new(plan.api_key.clone(), cores),
            tools,
            cookies: plan.cookies(here),
            hooked,
            newcomer: Newcomer::default(),
            entry: SessionEntry::default(),
            waiting: BTreeMap::new(),
            held: BTreeSet::new(),
            ping_at: None,
            stripe: 0,
            users: Vec::new(),
            here,
            seen: 0,
            plan,
        }
    }

    /// Goes by what is new, if anything is.
    #[inline]
    fn renew(&mut self) {
        if let Some(news) = self.plan.news.news(&mut self.seen) {
            self.tools
                .gatekeeper
                .ask_instead(news.middleware.make(self.here));
            self.tools.holders.verify_with(news.tokens.clone());
            self.api.expect(news.api_key.clone());
            self.cables.verify_with(news.stream_key.clone());
            if let Some(cookies) = &mut self.cookies {
                cookies.welcome(news.origins.clone());
            }
        }
    }

    /// Whether there is a namespace of that name beside `/`: any for first tries, else one for
    /// whose rooms there is a table of options.
    #[must_use]
    pub fn has_namespace(&self, name: &str) -> bool {
        let is_named = name.len() <= limits::IO_NAMESPACE_BYTES && is_namespace(name);
        let is_for = |namespaces: &Namespaces| namespaces.has_pattern_for(&format!("{name}:"));
        is_named && (self.plan.rules.echo || is_for(&self.plan.namespaces))
    }

    /// Whether a client is one of Socket.IO's.
    #[must_use]
    pub fn is_io(&self, seat: Seat) -> bool {
        self.sockets.has(seat)
    }

    /// Looks at what took more than to write it.
    fn settle(&mut self, effects: &mut impl Effects<Vec<HubLetter>>) {
        while !self.tools.parked.is_empty() {
            for parked in std::mem::take(&mut self.tools.parked) {
                let mut desk = Desk::new(effects, &mut self.tools);
                match parked {
                    Parked::Answer(asker, answer) if asker.encoding == dialect::CALLER => {
                        self.api.answered(asker.ticket, answer, &mut desk);
                    }
                    Parked::Answer(asker, answer) => {
                        let hub = &mut self.hub;
                        self.clients.answered(asker, &answer, hub, &mut desk);
                    }
                    Parked::Push(user, push) => self.clients.hold(user, push),
                    Parked::Returned(user) => {
                        self.sockets.returned(user, &mut self.hub, &mut desk);
                    }
                    Parked::Refresh(client, encoding, stay) => {
                        self.clients.stays(client, encoding, stay, &mut desk);
                    }
                    Parked::Said(client, text) => {
                        self.listen_again(client, &text, effects);
                    }
                    Parked::Joined(user) => {
                        if self.held.remove(&user) {
                            effects.release(user);
                        }
                        if let Some((seat, newcomer)) = self.waiting.remove(&user) {
                            self.begin((user, seat), newcomer, effects);
                        }
                    }
                }
            }
        }
    }

    /// Somebody who has come begins, once its session is known.
    fn begin(
        &mut self,
        (user, seat): (User, Seat),
        newcomer: Newcomer,
        effects: &mut impl Effects<Vec<HubLetter>>,
    ) {
        let Some(newcomer) = self.ask_first((user, seat), newcomer, effects.now()) else {
            return;
        };
        match newcomer {
            Newcomer::Socket => self.clients.came(seat),
            Newcomer::Cluster => self.clusters.came((user, seat), effects.now()),
            Newcomer::Io => {
                let desk = &mut Desk::new(effects, &mut self.tools);
                self.sockets.came((user, seat), &self.hub, desk);
            }
            Newcomer::Cable(entry) => {
                let mut desk = Desk::new(effects, &mut self.tools);
                self.cables
                    .came((user, seat), &entry, &mut self.hub, &mut desk);
            }
            Newcomer::Listener(wish) => {
                self.hub.recode(seat, CentrifugoClients::listening());
                let mut desk = Desk::new(effects, &mut self.tools);
                // It was read before.
                if let Ok(request) = read_connect(wish.as_bytes()) {
                    let hub = &mut self.hub;
                    let listens = self.clients.listens((user, seat), &request, hub, &mut desk);
                    if let Err(advice) = listens {
                        desk.tell_and_dismiss(user, advice);
                    }
                }
            }
            Newcomer::Stream(request, token) => {
                let encoding = match request.topics.len() {
                    1 => STREAM,
                    _ => STREAMS,
                };
                self.hub.recode(seat, encoding);
                self.stream((user, seat), (&request, &token), effects);
            }
        }
    }

    /// The time of the next ping, if there is anybody to ping.
    fn plan_ping(&mut self, now: Instant) {
        self.ping_at = (self.hub.clients() > 0).then_some(now + PING_STEP);
    }
}

/// Time between the pings of two stripes.
const PING_STEP: Duration = Duration::from_nanos(
    // It is far below 2^64 nanoseconds.
    limits::CLIENT_PING_TIME.as_secs() * 1_000_000_000 / STRIPES as u64,
);

impl App for RealtimeApp {
    type Batch = Vec<HubLetter>;
    const REACH: Reach = Reach::Named;
    const TOO_SLOW: Goodbye = Goodbye {
        code: CloseAdvice::SLOW.code,
        reason: CloseAdvice::SLOW.reason,
    };

    fn holdings(&self) -> Holdings {
        self.hub.holdings()
    }

    fn started(&mut self, here: Core, cores: u16) {
        *self = Self::on(self.plan.clone(), here, cores);
        if let Some(store) = &self.plan.store {
            let restored = &store.restored;
            self.hub.restore(restored.take(here), restored.at());
        }
    }

    fn requested(&mut self, path: &str, now: Instant) -> Result<(), Refusal> {
        self.renew();
        match self.tools.gatekeeper.request(path, now) {
            Ruling::Pass | Ruling::Allow => Ok(()),
            Ruling::Refuse(refusal) => {
                let (status, reason) = (refusal.status(), refusal.reason);
                self.plan.complaints.count(status);
                Err(Refusal { status, reason })
            }
        }
    }

    fn certified(&mut self, names: Option<&Arc<PeerNames>>) {
        self.tools.gatekeeper.certified(names);
    }

    fn session(&mut self, arrival: &Arrival<'_>) -> Option<(Box<str>, Option<Box<str>>)> {
        let SessionEntry { id, cookie, .. } = self.cookies.as_mut()?.enter(arrival);
        Some((id?.to_string().into(), cookie))
    }

    fn arriving(&mut self, arrival: &Arrival<'_>) -> Result<Admittance, Refusal> {
        let welcome = self.admit(arrival);
        if let Err(refusal) = &welcome {
            self.plan.complaints.count(refusal.status);
        }
        welcome
    }

    fn came(&mut self, user: User, effects: &mut impl Effects<Vec<HubLetter>>) -> Seat {
        if self.ping_at.is_none() {
            self.ping_at = Some(effects.now() + PING_STEP);
        }
        let newcomer = std::mem::take(&mut self.newcomer);
        self.tools.gatekeeper.came(user, newcomer.path());
        let seat = self.hub.came(user, EncodingId::NOT_YET);
        let session = std::mem::take(&mut self.entry).id;
        self.introduce((user, seat), newcomer.path(), session);
        if let Some(session) = session {
            self.tools.joining.insert(user);
            let mut desk = Desk::new(effects, &mut self.tools);
            if self.hub.join(seat, session, &mut desk).is_err() {
                self.tools.joining.remove(&user);
            }
        }
        let waits = match newcomer {
            Newcomer::Socket | Newcomer::Cluster | Newcomer::Io => false,
            Newcomer::Cable(_) | Newcomer::Listener(_) | Newcomer::Stream(..) => true,
        };
        if waits && self.tools.joining.contains(&user) {
            self.waiting.insert(user, (seat, newcomer));
        } else {
            self.begin((user, seat), newcomer, effects);
        }
        self.settle(effects);
        seat
    }

    fn said(
        &mut self,
        user: User,
        seat: Seat,
        message: Message<'_>,
        effects: &mut impl Effects<Vec<HubLetter>>,
    ) {
        self.renew();
        self.listen((user, seat), message, MessageHold::Held, effects);
    }

    fn hears(&mut self, user: User, _: Seat) -> bool {
        let is_asking = self.hooked.as_ref().is_some_and(|it| it.is_waiting(user));
        let waits = is_asking || self.tools.joining.contains(&user);
        if waits {
            self.held.insert(user);
        }
        !waits
    }

    fn left(&mut self, user: User, seat: Seat, effects: &mut impl Effects<Vec<HubLetter>>) {
        self.clients.left(user, seat);
        self.clusters.left(seat);
        self.cables.left(seat);
        self.tools.end((user, seat));
        self.waiting.remove(&user);
        self.held.remove(&user);
        self.hooked.iter_mut().for_each(|it| it.left(user));
        let mut desk = Desk::new(effects, &mut self.tools);
        self.sockets.left((user, seat), &self.hub, &mut desk);
        self.hub.left(seat, &mut desk);
        self.settle(effects);
    }

    fn caught_up(&mut self, _: User, seat: Seat, effects: &mut impl Effects<Vec<HubLetter>>) {
        let mut desk = Desk::new(effects, &mut self.tools);
        self.hub.caught_up(seat, &mut desk);
    }

    fn called(
        &mut self,
        asker: User,
        call: ApiCall<'_>,
        effects: &mut impl Effects<Vec<HubLetter>>,
    ) {
        let mut desk = Desk::new(effects, &mut self.tools);
        let triggered = (call.path == TRIGGER).then(|| trying::publication(call.query));
        let call = match &triggered {
            Some(text) => ApiCall { text, ..call },
            None => call,
        };
        self.api.called(asker, call, &mut self.hub, &mut desk);
        self.keep_revoked();
        self.settle(effects);
    }

    fn took(
        &mut self,
        from: Core,
        letters: &Vec<HubLetter>,
        effects: &mut impl Effects<Vec<HubLetter>>,
    ) {
        self.renew();
        let mut desk = Desk::new(effects, &mut self.tools);
        self.hub.took(from, letters, &mut desk);
        self.sockets.took(from, letters, &mut self.hub, &mut desk);
        self.settle(effects);
    }

    fn lost(&mut self, core: Core, effects: &mut impl Effects<Vec<HubLetter>>) {
        let mut desk = Desk::new(effects, &mut self.tools);
        self.hub.ended(core, &mut desk);
        self.sockets.lost(core, &mut self.hub, &mut desk);
        self.settle(effects);
    }

    fn deadline(&self) -> Option<Instant> {
        let own = self.hub.deadline().into_iter().chain(self.ping_at);
        let clients = [
            self.clusters.deadline(),
            self.sockets.deadline(),
            self.cables.deadline(),
            self.hooked.as_ref().and_then(HookedClients::deadline),
        ];
        own.chain(clients.into_iter().flatten()).min()
    }

    fn expired(&mut self, now: Instant, effects: &mut impl Effects<Vec<HubLetter>>) -> u64 {
        let mut desk = Desk::new(effects, &mut self.tools);
        self.hub.expired(&mut desk);
        self.clusters.expired(now, &mut desk);
        self.sockets.expired(now, &self.hub, &mut desk);
        self.cables.expired(now, &mut desk);
        self.go_on(now, effects);
        let mut desk = Desk::new(effects, &mut self.tools);
        if self.ping_at.is_some_and(|at| at <= now) {
            let (hub, users) = (&mut self.hub, &mut self.users);
            self.clients.ping(self.stripe, hub, users, &mut desk);
            self.stripe = (self.stripe + 1) % STRIPES;
            self.plan_ping(now);
        }
        self.settle(effects);
        0
    }

    fn closing(&mut self) {
        self.hub.closing();
    }
}

/// The methods of the API, as paths.
pub const API: [&str; api::METHODS.len()] = api::METHODS;
