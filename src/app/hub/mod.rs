//! Channels over cores: whoever subscribes is told what is published, in one order, and who comes
//! back is made whole or told that it is not. It knows neither connection nor protocol.
//!
//! A channel has a *home*, the core that its name falls to. The home asks the [`broker`] for
//! numbers, history and presence, and tells each core with subscribers once; that core tells its
//! own.
//!
//! ```text
//! client's core --Subscribe, Unsubscribe, Attend, Ask--> home --> broker
//! client's core <--Subscribed, Refused, Deliver, Matched, Changed, Interrupted, Answer-- home
//! any core --Watch, Unwatch, Order--> every core --Watching, Carried--> back
//! ```
//! Letters between two cores keep their order. So a subscription stands when `Subscribed` comes, is
//! at the place that it tells, and is followed by exactly what is published after that. What a core
//! would say to itself it does at once.

pub mod answer;
mod attending;
pub mod broker;
mod channel_map;
mod clients;
pub mod history;
mod holding;
mod home;
mod home_channel;
pub mod letter;
mod losing;
pub mod options;
pub mod outlet;
pub mod pattern;
pub mod position;
pub mod presence;
pub mod publication;
mod receiving;
mod replies;
pub mod session;
mod session_sockets;
mod session_table;
pub mod sessions;
pub mod store;
mod subscribers;
mod subscriptions;
#[cfg(test)]
mod tests;
mod tickets;
mod tight;
mod watchers;
mod watching;

use super::{Seat, User};
use crate::limits;
use crate::shard::Core;
use crate::time::Instant;
use answer::{Asker, EncodingId, HubAnswer, HubError, SubscribeWish};
use broker::Broker;
use clients::HubClients;
use home::Home;
use letter::{ChannelQuestion, ClientOrder, HubLetter, SubscribeOrder, SubscriptionRef};
use options::Namespaces;
use outlet::Outlet;
use pattern::is_pattern;
use position::Position;
use publication::{ClientId, ClientInfo};
use session_sockets::LocalSessions;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::Arc;
use std::time::Duration;
use store::RestoredChannel;
use subscribers::Subscribers;
use subscriptions::SubscriptionStage;
use watching::PendingWatch;

/// What the hub of a server is like, as one core sees it.
#[derive(Clone, Debug)]
pub struct HubPlan {
    /// The core.
    pub here: Core,
    /// How many cores there are.
    pub cores: u16,
    /// Time between the last socket of a session and its end.
    pub session_grace: Duration,
    /// What channels are like: the same on every core.
    pub namespaces: Arc<Namespaces>,
    /// What names are made of: random, the same on every core, told to nobody.
    pub secret: u64,
    /// The same, another on every core and whenever a core begins anew.
    pub seed: u64,
}

/// One core's part in all channels.
#[derive(Debug)]
pub struct Hub<B> {
    plan: HubPlan,
    clients: HubClients,
    subscribers: Subscribers,
    sessions: LocalSessions,
    home: Home<B>,
    /// Cores that are gone for good.
    gone: BTreeSet<Core>,
    /// Subscriptions to patterns that not every core has confirmed.
    watching: BTreeMap<SubscriptionRef, PendingWatch>,
    /// Places of those who were passed over: scratch space.
    late: Vec<usize>,
    /// What the home says is being heard.
    delivering: bool,
}

impl<B: Broker> Hub<B> {
    /// Nobody is here.
    #[must_use]
    pub fn new(plan: HubPlan, broker: B) -> Self {
        let [generation, ..] = plan.seed.to_le_bytes();
        Self {
            clients: HubClients::new(plan.here, plan.seed),
            subscribers: Subscribers::new(u32::from(generation) << 24),
            sessions: LocalSessions::default(),
            home: Home::new(plan.namespaces.clone(), plan.session_grace, broker),
            gone: BTreeSet::new(),
            watching: BTreeMap::new(),
            late: Vec::new(),
            delivering: false,
            plan,
        }
    }

    /// Channels were like that when the program ended last, as was read at that time. Before
    /// anybody comes.
    pub fn restore(&mut self, all: Vec<RestoredChannel>, at: Instant) {
        self.home.tick(at);
        self.home.restore(all);
    }

    /// A client has come, that is spoken to in that way.
    pub fn came(&mut self, user: User, encoding: EncodingId) -> Seat {
        self.clients.came(user, encoding)
    }

    /// Others are told that a client is that user, and that about it (JSON, or nothing).
    pub fn identify(&mut self, seat: Seat, user: &str, info: &str) {
        self.clients.identify(seat, user, info);
    }

    /// A client is spoken to in another way from now on.
    pub fn recode(&mut self, seat: Seat, encoding: EncodingId) {
        let Some(client) = self.clients.get_mut(seat) else {
            return;
        };
        let (user, before) = (
            client.user,
            std::mem::replace(&mut client.encoding, encoding),
        );
        for at in 0..client.subscriptions.len() {
            let Some(client) = self.clients.get_mut(seat) else {
                return;
            };
            let Some(subscription) = client.subscriptions.get_mut(at) else {
                return;
            };
            let index = subscription.channel;
            if let SubscriptionStage::Live(place) = subscription.stage
                && let Some(channel) = self.subscribers.get_mut(index)
            {
                let moved = channel.remove(before, place);
                subscription.stage = SubscriptionStage::Live(channel.add(encoding, user, seat));
                self.settle_in(moved, index);
            }
        }
    }

    /// A client is gone.
    pub fn left(&mut self, seat: Seat, out: &mut impl Outlet) {
        while let Some(client) = self.clients.get(seat)
            && let Some(subscription) = client.subscriptions.last()
        {
            let channel = subscription.channel;
            self.end(seat, channel, out);
        }
        self.leave_session(seat, out);
        self.clients.left(seat);
    }

    /// All clients are about to leave: nobody has to be told of each that does.
    pub fn closing(&mut self) {
        self.home.closing();
    }

    /// A client subscribes. It is answered at once or later, unless it is refused here.
    ///
    /// # Errors
    /// [`HubError`]; then no answer comes.
    pub fn subscribe(
        &mut self,
        seat: Seat,
        wish: SubscribeWish<'_>,
        out: &mut impl Outlet,
    ) -> Result<(), HubError> {
        match wish.channel {
            name if !is_name(name) => Err(HubError::BadRequest),
            name if is_pattern(name) => self.watch(seat, wish, out),
            _ => self.begin(seat, wish, out),
        }
    }

    fn begin(
        &mut self,
        seat: Seat,
        wish: SubscribeWish<'_>,
        out: &mut impl Outlet,
    ) -> Result<(), HubError> {
        let name = wish.channel;
        let options = self.plan.namespaces.of(name);
        let options = options.ok_or(HubError::UnknownChannel)?;
        let known = self.subscribers.find(name);
        if known.is_some_and(|known| self.clients.to(seat, known).is_some()) {
            return Err(HubError::AlreadySubscribed);
        }
        let info = match options.shows_who() {
            true => self.shown(seat, wish.shown),
            false => None,
        };
        let local = self.subscribers.enter(name);
        let begun = self.clients.begin(seat, local.index, wish);
        let subscription = match begun {
            Ok(subscription) => subscription,
            Err(error) => {
                self.subscribers.leave(local.index);
                return Err(error);
            }
        };
        let Some(channel) = self.subscribers.get_mut(local.index) else {
            return Err(HubError::BadRequest);
        };
        channel.slow = options.slow;
        let channel = channel.name.clone();
        let home = self.home_of(&channel);
        let order = Box::new(SubscribeOrder {
            channel,
            local,
            subscription,
            since: wish.since,
            info,
        });
        self.send(home, HubLetter::Subscribe(order), out);
        Ok(())
    }

    /// A client unsubscribes. Whether it had subscribed.
    pub fn unsubscribe(&mut self, seat: Seat, channel: &str, out: &mut impl Outlet) -> bool {
        let Some(index) = self.subscribers.find(channel) else {
            return false;
        };
        self.end(seat, index, out)
    }

    /// Whether a client has subscribed, or is about to.
    pub fn has_subscribed(&mut self, seat: Seat, channel: &str) -> bool {
        let index = self.subscribers.find(channel);
        index.is_some_and(|index| self.clients.to(seat, index).is_some())
    }

    /// Somebody asks something of a channel, and is answered at once or later.
    pub fn ask(
        &mut self,
        asker: Asker,
        channel: &str,
        question: ChannelQuestion,
        out: &mut impl Outlet,
    ) {
        let is_long = match &question {
            ChannelQuestion::Publish(publication) | ChannelQuestion::Tell(publication) => {
                publication.data.len() > limits::PUBLICATION_BYTES
            }
            ChannelQuestion::History(_)
            | ChannelQuestion::ClearHistory
            | ChannelQuestion::Presence
            | ChannelQuestion::Headcount
            | ChannelQuestion::Merge(_) => false,
        };
        if is_long || !is_name(channel) || is_pattern(channel) {
            return out.answer(asker, HubAnswer::Refused(HubError::BadRequest));
        }
        let channel: Arc<str> = match self.subscribers.find(channel) {
            Some(index) => self.name(index),
            None => channel.into(),
        };
        self.put(asker, channel, question, out);
    }

    /// Asks the home of a channel.
    fn put(
        &mut self,
        asker: Asker,
        channel: Arc<str>,
        question: ChannelQuestion,
        out: &mut impl Outlet,
    ) {
        let home = self.home_of(&channel);
        let question = Box::new(question);
        let letter = HubLetter::Ask {
            asker,
            channel,
            question,
        };
        self.send(home, letter, out);
    }

    /// The application wants something of clients: on every core, each of which answers.
    pub fn order(&mut self, asker: Asker, order: ClientOrder, out: &mut impl Outlet) {
        let order = Arc::new(order);
        for core in 0..self.plan.cores {
            let order = order.clone();
            self.send(Core(core), HubLetter::Order { asker, order }, out);
        }
    }

    /// When it wants to be told the time.
    pub fn deadline(&self) -> Option<Instant> {
        self.home.deadline()
    }

    /// The time has come.
    pub fn expired(&mut self, out: &mut impl Outlet) {
        self.home.tick(out.now());
        self.home.expired();
        self.deliver(out);
        self.tell_ended(out);
    }

    /// What a client has subscribed to, or is about to; its session is none of it.
    pub fn channels_of(&self, seat: Seat) -> Vec<Arc<str>> {
        let client = self.clients.get(seat);
        let all = client.map_or(&[][..], |client| &client.subscriptions);
        let names = all
            .iter()
            .map(|subscription| self.name(subscription.channel));
        names.collect()
    }

    /// The same, and the newest publication that was told here of each.
    pub fn places_of(&self, seat: Seat) -> Vec<(Arc<str>, Position)> {
        let client = self.clients.get(seat);
        let all = client.map_or(&[][..], |client| &client.subscriptions);
        let known = all.iter();
        let known = known.filter_map(|it| self.subscribers.get(it.channel));
        known.map(|it| (it.name.clone(), it.told)).collect()
    }

    /// Whether any client of this core has subscribed to that channel.
    pub fn is_open(&self, channel: &str) -> bool {
        self.subscribers.find(channel).is_some()
    }

    /// What a client is called.
    pub fn id(&self, seat: Seat) -> Option<ClientId> {
        self.clients.id(seat)
    }

    /// What others are told of a client.
    pub fn info(&self, seat: Seat) -> Option<ClientInfo> {
        self.clients.info(seat)
    }

    /// How many clients are here.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// The users at some seats, and the number of seats there are.
    pub fn at(
        &self,
        seats: std::ops::Range<usize>,
    ) -> impl Iterator<Item = (Seat, User, EncodingId)> {
        let seats = seats.start..seats.end.min(self.clients.seats());
        seats.filter_map(|at| {
            let seat = Seat(u32::try_from(at).ok()?);
            let client = self.clients.get(seat)?;
            Some((seat, client.user, client.encoding))
        })
    }

    /// Seats, free ones included.
    pub fn seats(&self) -> usize {
        self.clients.seats()
    }

    /// How many channels with subscribers are homed here.
    pub fn homed(&self) -> usize {
        self.home.open()
    }

    /// What a channel is like; `None` if there is none of that name.
    pub fn options(&self, channel: &str) -> Option<options::ChannelOptions> {
        self.plan.namespaces.of(channel)
    }

    /// The core that decides about a channel.
    fn home_of(&self, channel: &str) -> Core {
        home_of(channel, self.plan.cores, self.plan.secret)
    }

    fn send(&mut self, to: Core, letter: HubLetter, out: &mut impl Outlet) {
        if to == self.plan.here {
            self.take(to, letter, out);
        } else if self.gone.contains(&to) {
            self.unheard(letter, out);
        } else {
            out.forward(to, letter);
        }
    }

    /// Hears what the home says: what is for this core at once, in its order.
    fn deliver(&mut self, out: &mut impl Outlet) {
        if self.delivering {
            // It is heard further out, behind what came before it.
            return;
        }
        self.delivering = true;
        loop {
            self.home.settle();
            let Some((to, letter)) = self.home.said.pop_front() else {
                break;
            };
            self.send(to, letter, out);
        }
        self.delivering = false;
    }

    /// Ends a subscription. Whether there was one.
    fn end(&mut self, seat: Seat, index: u32, out: &mut impl Outlet) -> bool {
        let client = self.clients.id(seat);
        let encoding = self.clients.get(seat).map(|client| client.encoding);
        let ended = self.clients.end(seat, index);
        let (Some(client), Some(encoding), Some(ended)) = (client, encoding, ended) else {
            return false;
        };
        self.watching.remove(&SubscriptionRef {
            seat: seat.0,
            token: ended.token,
        });
        let Some(channel) = self.subscribers.get_mut(index) else {
            return false;
        };
        let moved = match ended.stage {
            SubscriptionStage::Live(place) => channel.remove(encoding, place),
            SubscriptionStage::Late => {
                channel.late.retain(|(late, _)| *late != seat);
                None
            }
            SubscriptionStage::Asked => None,
        };
        let channel = channel.name.clone();
        self.settle_in(moved, index);
        self.subscribers.leave(index);
        if is_pattern(&channel) {
            self.unwatch(&channel, out);
        } else {
            let home = self.home_of(&channel);
            self.send(home, HubLetter::Unsubscribe { channel, client }, out);
        }
        true
    }

    /// Somebody has moved to another place in the list of a channel.
    fn settle_in(&mut self, moved: subscribers::LaneMove, index: u32) {
        if let Some((seat, place)) = moved
            && let Some(subscription) = self.clients.to(seat, index)
        {
            subscription.stage = SubscriptionStage::Live(place);
        }
    }

    fn name(&self, index: u32) -> Arc<str> {
        let channel = self.subscribers.get(index);
        channel.map_or_else(|| Arc::from(""), |channel| channel.name.clone())
    }
}

/// The core of so many that decides about a channel, where names are dealt out by that secret.
#[must_use]
pub fn home_of(channel: &str, cores: u16, secret: u64) -> Core {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(secret);
    hasher.write(channel.as_bytes());
    let core = hasher.finish() % u64::from(cores.max(1));
    Core(u16::try_from(core).unwrap_or(0))
}

/// Whether a channel may be called that.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| (0x20..0x7f).contains(&byte) || byte >= 0x80;
    !name.is_empty() && name.len() <= limits::CHANNEL_NAME_BYTES && name.bytes().all(is_plain)
}
