//! Realtime channels for clients of several protocols, over one hub: the application that ties
//! them together.

#[cfg(test)]
mod rig;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod token_tests;

use super::dialect::api::{self, Api};
use super::dialect::centrifugo::{CentrifugoClients, ClientRules, STRIPES};
use super::dialect::channels::TopicRequest;
use super::dialect::{CENTRIFUGO, Desk, DeskTools, Parked, STREAM, STREAMS, query};
use super::hub::answer::{EncodingId, HubError, SubscribeWish};
use super::hub::broker::Memory;
use super::hub::letter::HubLetter;
use super::hub::options::{ChannelOptions, Namespaces};
use super::hub::{Hub, HubPlan};
use super::tokens::{TokenBook, TokenKeys, WallClock};
use super::{
    ApiCall, App, Arrival, Effects, Goodbye, Message, Reach, Refusal, Seat, User, dialect,
};
use crate::limits;
use crate::protocol::centrifugo::{CloseAdvice, read_connect};
use crate::shard::Core;
use crate::time::Instant;
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

/// Where Centrifugo's clients come.
pub const CENTRIFUGO_SOCKET: &str = "/connection/websocket";
/// Where those come that only listen.
pub const CENTRIFUGO_STREAM: &str = "/connection/uni_sse";
/// Where event streams of channels are.
pub const CHANNELS: &str = "/channels";

/// What the realtime channels of a server are like; by default there are none.
#[derive(Clone, Debug, Default)]
pub struct RealtimePlan {
    /// What channels are like.
    pub namespaces: Arc<Namespaces>,
    /// What clients without a token may.
    pub rules: ClientRules,
    /// What the application's own server shows.
    pub api_key: Option<Box<str>>,
    /// What tokens are verified with.
    pub tokens: Arc<TokenKeys>,
    /// What tokens expire by.
    pub wall: WallClock,
    /// Random, the same on every core, told to nobody.
    pub secret: [u8; 32],
}

/// The realtime channels of one core.
#[derive(Debug)]
pub struct RealtimeApp {
    plan: RealtimePlan,
    hub: Hub<Memory>,
    clients: CentrifugoClients,
    api: Api,
    tools: DeskTools,
    /// Who is about to come.
    newcomer: Newcomer,
    ping_at: Option<Instant>,
    stripe: usize,
    /// Scratch space.
    users: Vec<User>,
}

impl RealtimePlan {
    /// Everything for everyone: for first tries.
    #[must_use]
    pub fn dev(secret: [u8; 32]) -> Self {
        Self {
            namespaces: Arc::new(Namespaces::all(ChannelOptions::DEV)),
            rules: ClientRules {
                anonymous: true,
                subscribe: true,
                echo: true,
            },
            api_key: Some("dev".into()),
            secret,
            ..Self::default()
        }
    }

    /// Only what tokens allow, and the application.
    #[must_use]
    pub fn with_tokens(secret: [u8; 32]) -> Self {
        let options = ChannelOptions {
            clients_publish: false,
            ..ChannelOptions::DEV
        };
        Self {
            namespaces: Arc::new(Namespaces::all(options)),
            secret,
            ..Self::default()
        }
    }
}

/// Who is about to come.
#[derive(Debug, Default)]
enum Newcomer {
    #[default]
    Socket,
    /// A Centrifugo client that only listens, with what it connects with.
    Listener(String),
    /// An event stream of channels, and the token that it shows, if any.
    Stream(TopicRequest, String),
}

impl RealtimeApp {
    /// Nobody is here.
    #[must_use]
    pub fn new(plan: RealtimePlan) -> Self {
        Self::on(plan, Core(0), 1)
    }

    fn on(plan: RealtimePlan, here: Core, cores: u16) -> Self {
        let random = |what: u64| {
            let mut hasher = DefaultHasher::new();
            hasher.write(&plan.secret);
            hasher.write_u64(what);
            hasher.finish()
        };
        let own = u64::from(here.0) + 1;
        let hub = HubPlan {
            here,
            cores,
            namespaces: plan.namespaces.clone(),
            secret: random(0),
            seed: random(own),
        };
        let book = TokenBook::new(plan.tokens.clone(), plan.wall);
        Self {
            hub: Hub::new(hub, Memory::new(random(own << 16))),
            clients: CentrifugoClients::new(plan.rules, book),
            api: Api::new(plan.api_key.clone(), cores),
            tools: DeskTools::default(),
            newcomer: Newcomer::default(),
            ping_at: None,
            stripe: 0,
            users: Vec::new(),
            plan,
        }
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
                }
            }
        }
    }

    /// An event stream has come, that wants these topics.
    fn stream(
        &mut self,
        (user, seat): (User, Seat),
        (request, token): (&TopicRequest, &str),
        effects: &mut impl Effects<Vec<HubLetter>>,
    ) {
        self.tools.streams.begin(user, request);
        let allowed = self.clients.streams(seat, token, effects.now());
        for (number, (channel, since)) in (0..).zip(&request.topics) {
            let wish = SubscribeWish {
                channel,
                since: *since,
                ticket: number,
                by_server: false,
                whole: false,
            };
            let mut desk = Desk::new(effects, &mut self.tools);
            let may = match &allowed {
                Ok(None) => true,
                Ok(Some(claims)) => claims.takes(channel),
                Err(_) => false,
            };
            if !may {
                desk.refuse(user, channel, HubError::PermissionDenied);
            } else if let Err(error) = self.hub.subscribe(seat, wish, &mut desk) {
                desk.refuse(user, channel, error);
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

    fn started(&mut self, here: Core, cores: u16) {
        *self = Self::on(self.plan.clone(), here, cores);
    }

    fn arriving(&mut self, arrival: &Arrival<'_>) -> Result<u32, Refusal> {
        let refuse = |reason| {
            let status = 400;
            Err(Refusal { status, reason })
        };
        self.newcomer = match arrival.path {
            CENTRIFUGO_SOCKET => Newcomer::Socket,
            CENTRIFUGO_STREAM => {
                let wish = query::values(arrival.query, "cf_connect").next();
                let wish = wish.map_or_else(|| "{}".to_owned(), |wish| wish.into_owned());
                if read_connect(wish.as_bytes()).is_err() {
                    return refuse("cf_connect is a JSON object: {\"subs\":{\"news\":{}}}");
                }
                Newcomer::Listener(wish)
            }
            CHANNELS => {
                let last = (arrival.header)("Last-Event-ID").unwrap_or("");
                let asked = query::values(arrival.query, "lastEventId").next();
                let last = match (last, &asked) {
                    ("", Some(asked)) => asked,
                    (last, _) => last,
                };
                let token = token(arrival);
                if !token.is_empty() && self.clients.signed(&token).is_err()
                    || token.is_empty() && !self.plan.rules.subscribe
                {
                    let reason = "this needs a token, in Authorization: Bearer or ?token=";
                    let status = 401;
                    return Err(Refusal { status, reason });
                }
                match TopicRequest::parse(arrival.query, last) {
                    Ok(request) => Newcomer::Stream(request, token),
                    Err(reason) => return refuse(reason),
                }
            }
            _ => {
                self.api.admit(arrival)?;
                Newcomer::Socket
            }
        };
        Ok(0)
    }

    fn came(&mut self, user: User, effects: &mut impl Effects<Vec<HubLetter>>) -> Seat {
        if self.ping_at.is_none() {
            self.ping_at = Some(effects.now() + PING_STEP);
        }
        match std::mem::take(&mut self.newcomer) {
            Newcomer::Socket => {
                let seat = self.hub.came(user, CENTRIFUGO);
                self.clients.came(seat);
                seat
            }
            Newcomer::Listener(wish) => {
                let seat = self.hub.came(user, CentrifugoClients::listening());
                let mut desk = Desk::new(effects, &mut self.tools);
                // It was read before.
                if let Ok(request) = read_connect(wish.as_bytes()) {
                    let hub = &mut self.hub;
                    let listens = self.clients.listens((user, seat), &request, hub, &mut desk);
                    if let Err(advice) = listens {
                        desk.tell_and_dismiss(user, advice);
                    }
                }
                self.settle(effects);
                seat
            }
            Newcomer::Stream(request, token) => {
                let encoding: EncodingId = match request.topics.len() {
                    1 => STREAM,
                    _ => STREAMS,
                };
                let seat = self.hub.came(user, encoding);
                self.stream((user, seat), (&request, &token), effects);
                seat
            }
        }
    }

    fn said(
        &mut self,
        user: User,
        seat: Seat,
        message: Message<'_>,
        effects: &mut impl Effects<Vec<HubLetter>>,
    ) {
        let mut desk = Desk::new(effects, &mut self.tools);
        let hub = &mut self.hub;
        self.clients.said((user, seat), message, hub, &mut desk);
        self.settle(effects);
    }

    fn left(&mut self, user: User, seat: Seat, effects: &mut impl Effects<Vec<HubLetter>>) {
        self.clients.left(user, seat);
        self.tools.end(user);
        let mut desk = Desk::new(effects, &mut self.tools);
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
        self.api.called(asker, call, &mut self.hub, &mut desk);
        self.settle(effects);
    }

    fn took(
        &mut self,
        from: Core,
        letters: &Vec<HubLetter>,
        effects: &mut impl Effects<Vec<HubLetter>>,
    ) {
        let mut desk = Desk::new(effects, &mut self.tools);
        self.hub.took(from, letters, &mut desk);
        self.settle(effects);
    }

    fn deadline(&self) -> Option<Instant> {
        let deadlines = [self.hub.deadline(), self.ping_at];
        deadlines.into_iter().flatten().min()
    }

    fn expired(&mut self, now: Instant, effects: &mut impl Effects<Vec<HubLetter>>) -> u64 {
        let mut desk = Desk::new(effects, &mut self.tools);
        self.hub.expired(&mut desk);
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
pub const API: [&str; 14] = api::METHODS;

/// The token that an event stream shows: browsers can add no field to it.
fn token(arrival: &Arrival<'_>) -> String {
    let field = (arrival.header)("Authorization").and_then(|value| value.split_once(' '));
    let bearer = field.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let asked = query::values(arrival.query, "token").next();
    match bearer {
        Some((_, token)) => token.trim().to_owned(),
        None => asked.map(|asked| asked.into_owned()).unwrap_or_default(),
    }
}
