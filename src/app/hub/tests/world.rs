//! Hubs of several cores, and clients that check what they are told.

use crate::app::hub::answer::{
    Asker, Audience, ChannelEvent, EncodingId, HubAnswer, HubError, ShownAs, SubscribeWish,
    Subscribed,
};
use crate::app::hub::broker::{Broker, Memory};
use crate::app::hub::letter::{ChannelQuestion, ClientOrder, HubLetter, Stay};
use crate::app::hub::options::{ChannelOptions, Namespaces, SlowPolicy};
use crate::app::hub::outlet::Outlet;
use crate::app::hub::position::{Epoch, Position, Since};
use crate::app::hub::presence::Headcount;
use crate::app::hub::publication::{ClientId, Publication};
use crate::app::hub::session::SessionId;
use crate::app::hub::{Hub, HubPlan};
use crate::app::{Seat, User};
use crate::shard::Core;
use crate::time::Instant;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// What a client was told of a channel.
#[derive(Clone, Debug)]
pub(super) enum Heard {
    Publication(String, Epoch, Publication),
    Matched(String, String, Publication),
    Joined(String),
    Left(String),
    Missed(String, u64),
    Interrupted(String),
    Unsubscribed(String),
}

impl Heard {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Publication(channel, _, publication) => {
                format!("{channel}#{} {}", publication.offset, publication.data)
            }
            Self::Matched(pattern, channel, publication) => {
                format!(
                    "{pattern} {channel}#{} {}",
                    publication.offset, publication.data
                )
            }
            Self::Joined(channel) => format!("{channel} +"),
            Self::Left(channel) => format!("{channel} -"),
            Self::Missed(channel, count) => format!("{channel} missed {count}"),
            Self::Interrupted(channel) => format!("{channel} interrupted"),
            Self::Unsubscribed(channel) => format!("{channel} ended"),
        }
    }
}

/// What the hubs of all cores asked for.
#[derive(Default)]
pub(super) struct Post {
    pub(super) now: Instant,
    here: usize,
    pub(super) mail: BTreeMap<(usize, usize), VecDeque<HubLetter>>,
    pub(super) answers: Vec<(Asker, HubAnswer)>,
    pub(super) heard: BTreeMap<User, Vec<Heard>>,
    unread: BTreeSet<User>,
    disconnected: usize,
    pub(super) emitted: Vec<(User, String)>,
    pub(super) ended: Vec<(SessionId, String)>,
}

impl Outlet for Post {
    fn now(&self) -> Instant {
        self.now
    }

    fn forward(&mut self, to: Core, letter: HubLetter) {
        let way = (self.here, to.index());
        self.mail.entry(way).or_default().push_back(letter);
    }

    fn answer(&mut self, to: Asker, answer: HubAnswer) {
        self.answers.push((to, answer));
    }

    fn tell(
        &mut self,
        to: Audience<'_>,
        channel: &str,
        event: ChannelEvent<'_>,
        late: &mut Vec<usize>,
    ) {
        for (at, user) in to.users.iter().enumerate() {
            if to.slow != SlowPolicy::Disconnect && self.unread.contains(user) {
                late.push(at);
                continue;
            }
            let channel = channel.to_owned();
            let heard = self.heard.entry(*user).or_default();
            if let ChannelEvent::Changed(changes) = event {
                heard.extend(changes.iter().map(|change| match change.came {
                    true => Heard::Joined(channel.clone()),
                    false => Heard::Left(channel.clone()),
                }));
                continue;
            }
            heard.push(match event {
                ChannelEvent::Changed(_) => continue,
                ChannelEvent::Publication(epoch, it) => {
                    Heard::Publication(channel, epoch, it.clone())
                }
                ChannelEvent::Matched(within, it) => {
                    Heard::Matched(channel, within.to_owned(), it.clone())
                }
                ChannelEvent::Missed(count) => Heard::Missed(channel, count),
                ChannelEvent::Interrupted => Heard::Interrupted(channel),
                ChannelEvent::Unsubscribed => Heard::Unsubscribed(channel),
            });
        }
    }

    fn emit(&mut self, _: EncodingId, users: &[User], data: &str) {
        self.emitted
            .extend(users.iter().map(|user| (*user, data.to_owned())));
    }

    fn refresh(&mut self, _: (User, Seat), _: EncodingId, _: Stay) {}

    fn session_ended(&mut self, session: SessionId, data: &str) {
        self.ended.push((session, data.to_owned()));
    }

    fn disconnect(&mut self, _: User, _: EncodingId, _: u16) {
        self.disconnected += 1;
    }
}

/// A client: its core and its seat there.
pub(super) type Place = (usize, Seat, User);

pub(super) struct World<B> {
    pub(super) hubs: Vec<Hub<B>>,
    pub(super) post: Post,
    pub(super) namespaces: Arc<Namespaces>,
    users: u64,
    pub(super) tickets: u32,
    incarnations: u64,
    pub(super) disconnected: usize,
}

impl World<Memory> {
    pub(super) fn new(cores: u16, options: ChannelOptions) -> Self {
        Self::with(cores, Namespaces::all(options))
    }

    pub(super) fn with(cores: u16, namespaces: Namespaces) -> Self {
        Self::of(cores, namespaces, |core| Memory::new(core.into()))
    }

    /// A core fails, and another begins in its place.
    pub(super) fn begin_anew(&mut self, core: usize) {
        let broker = Memory::new(77 + self.incarnations);
        self.replace(core, broker);
        self.settle();
    }
}

impl<B: Broker> World<B> {
    /// A core is gone for good; what was said to it and by it, and not heard, is lost.
    pub(super) fn end(&mut self, core: usize) {
        self.post
            .mail
            .retain(|(from, to), _| *from != core && *to != core);
        let gone = Core(u16::try_from(core).expect("few"));
        for other in (0..self.hubs.len()).filter(|other| *other != core) {
            self.on(other, |hub, post| hub.ended(gone, post));
        }
        self.settle();
    }

    pub(super) fn of(cores: u16, namespaces: Namespaces, broker: impl Fn(u16) -> B) -> Self {
        let namespaces = Arc::new(namespaces);
        let hubs = (0..cores)
            .map(|core| Hub::new(plan(core, cores, &namespaces, 0), broker(core)))
            .collect();
        Self {
            hubs,
            post: Post::default(),
            namespaces,
            users: 0,
            tickets: 0,
            incarnations: 0,
            disconnected: 0,
        }
    }

    /// Another hub in the place of one; what was said to it and by it, and not heard, is lost.
    pub(super) fn replace(&mut self, core: usize, broker: B) {
        self.incarnations += 1;
        let cores = u16::try_from(self.hubs.len()).expect("few");
        let number = u16::try_from(core).expect("few");
        let plan = plan(number, cores, &self.namespaces, self.incarnations);
        self.hubs[core] = Hub::new(plan, broker);
        self.post
            .mail
            .retain(|(from, to), _| *from != core && *to != core);
        for other in (0..self.hubs.len()).filter(|other| *other != core) {
            self.on(other, |hub, post| hub.lost(Core(number), post));
        }
    }

    pub(super) fn on<R>(
        &mut self,
        core: usize,
        act: impl FnOnce(&mut Hub<B>, &mut Post) -> R,
    ) -> R {
        self.post.here = core;
        let result = act(&mut self.hubs[core], &mut self.post);
        self.disconnected = self.post.disconnected;
        result
    }

    /// One letter from one core to another, if there is any.
    pub(super) fn carry(&mut self, from: usize, to: usize) -> bool {
        let letters = self.post.mail.get_mut(&(from, to));
        let Some(letter) = letters.and_then(VecDeque::pop_front) else {
            return false;
        };
        let sender = Core(u16::try_from(from).expect("few"));
        self.on(to, |hub, post| hub.took(sender, &[letter], post));
        true
    }

    /// Everything that is under way arrives.
    pub(super) fn settle(&mut self) {
        let ways = |count| (0..count).flat_map(move |from| (0..count).map(move |to| (from, to)));
        while ways(self.hubs.len()).any(|(from, to)| self.carry(from, to)) {}
    }

    pub(super) fn came(&mut self, core: usize) -> Place {
        self.users += 1;
        let user = User(self.users);
        let seat = self.hubs[core].came(user, EncodingId((self.users % 2) as u8));
        (core, seat, user)
    }

    pub(super) fn identify(&mut self, (core, seat, _): Place, user: &str, info: &str) {
        self.hubs[core].identify(seat, user, info);
    }

    pub(super) fn id(&self, (core, seat, _): Place) -> Option<ClientId> {
        self.hubs[core].id(seat)
    }

    pub(super) fn left(&mut self, (core, seat, _): Place) {
        self.on(core, |hub, post| hub.left(seat, post));
        self.settle();
    }

    pub(super) fn subscribe(
        &mut self,
        (core, seat, _): Place,
        channel: &str,
        since: Option<Since>,
    ) -> Result<Box<Subscribed>, HubError> {
        self.tickets += 1;
        let ticket = self.tickets;
        let wish = SubscribeWish {
            channel,
            since,
            ticket,
            by_server: false,
            whole: false,
            shown: ShownAs::Itself,
        };
        self.on(core, |hub, post| hub.subscribe(seat, wish, post))?;
        self.settle();
        match self.answer(ticket) {
            HubAnswer::Subscribed(subscribed) => Ok(subscribed),
            HubAnswer::Refused(error) => Err(error),
            other => panic!("{other:?}"),
        }
    }

    /// Subscribes, as it is allowed.
    pub(super) fn enter(&mut self, client: Place, channel: &str) -> Box<Subscribed> {
        let subscribed = self.subscribe(client, channel, None);
        subscribed.expect("it is allowed")
    }

    pub(super) fn unsubscribe(&mut self, (core, seat, _): Place, channel: &str) -> bool {
        let ended = self.on(core, |hub, post| hub.unsubscribe(seat, channel, post));
        self.settle();
        ended
    }

    pub(super) fn publish(&mut self, core: usize, channel: &str, text: &str) {
        let publication = publication(text);
        let answer = self.ask(core, channel, ChannelQuestion::Publish(publication));
        assert!(matches!(answer, HubAnswer::Published(_)), "{answer:?}");
    }

    pub(super) fn ask(&mut self, core: usize, channel: &str, what: ChannelQuestion) -> HubAnswer {
        let asker = self.asker();
        self.on(core, |hub, post| hub.ask(asker, channel, what, post));
        self.settle();
        self.answer(asker.ticket)
    }

    pub(super) fn count(&mut self, channel: &str) -> Headcount {
        match self.ask(0, channel, ChannelQuestion::Headcount) {
            HubAnswer::Headcount(count) => count,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn order(&mut self, core: usize, order: ClientOrder) -> (u64, Vec<(Arc<str>, u64)>) {
        let asker = self.asker();
        self.on(core, |hub, post| hub.order(asker, order, post));
        self.settle();
        let cores = self.hubs.len();
        let mut all = (0, Vec::new());
        for _ in 0..cores {
            let HubAnswer::Reached { clients, channels } = self.answer(asker.ticket) else {
                panic!("every core answers");
            };
            all.0 += clients;
            all.1.extend(channels);
        }
        all
    }

    pub(super) fn asker(&mut self) -> Asker {
        self.tickets += 1;
        Asker {
            user: User(0),
            encoding: EncodingId(0),
            ticket: self.tickets,
        }
    }

    fn answer(&mut self, ticket: u32) -> HubAnswer {
        let mut answers = self.post.answers.iter();
        let at = answers.position(|(asker, _)| asker.ticket == ticket);
        self.post.answers.remove(at.expect("an answer")).1
    }

    /// The place that a client was told last.
    pub(super) fn position(&self, (.., user): Place, channel: &str) -> Option<Position> {
        let heard = self.post.heard.get(&user)?.iter().rev();
        let mut places = heard.filter_map(|heard| match heard {
            Heard::Publication(of, epoch, publication) if of == channel => Some(Position {
                epoch: *epoch,
                offset: publication.offset,
            }),
            _ => None,
        });
        places.next()
    }

    pub(super) fn heard(&self, (.., user): Place) -> &[Heard] {
        self.post.heard.get(&user).map_or(&[], Vec::as_slice)
    }

    pub(super) fn clear(&mut self) {
        self.post.heard.clear();
    }

    pub(super) fn stop_reading(&mut self, (.., user): Place) {
        self.post.unread.insert(user);
    }

    pub(super) fn read_again(&mut self, (core, seat, user): Place) {
        self.post.unread.remove(&user);
        self.on(core, |hub, post| hub.caught_up(seat, post));
    }

    pub(super) fn wait(&mut self, time: Duration) {
        self.post.now += time;
        for core in 0..self.hubs.len() {
            let now = self.post.now;
            if self.hubs[core].deadline().is_some_and(|at| at <= now) {
                self.on(core, |hub, post| hub.expired(post));
            }
        }
        self.settle();
    }
}

fn plan(core: u16, cores: u16, namespaces: &Arc<Namespaces>, incarnation: u64) -> HubPlan {
    HubPlan {
        here: Core(core),
        cores,
        namespaces: namespaces.clone(),
        session_grace: Duration::from_secs(30),
        secret: 1,
        seed: (incarnation << 16 | u64::from(core)).wrapping_mul(0x9e37_79b9_7f4a_7c15),
    }
}

pub(super) fn publication(text: &str) -> Publication {
    Publication {
        offset: 0,
        data: text.into(),
        by: None,
        tags: None,
        spares_author: false,
    }
}
