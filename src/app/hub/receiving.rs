//! What the hub of one core hears from the others, and what it tells its own clients then.

use super::Hub;
use super::answer::{
    Asker, Audience, ChannelEvent, EncodingId, HubAnswer, HubError, ShownAs, SubscribeWish,
    Subscribed,
};
use super::broker::Broker;
use super::clients::HubClient;
use super::letter::{ClientAction, ClientOrder, HubLetter, LocalRef, SubscriptionRef};
use super::options::SlowPolicy;
use super::outlet::Outlet;
use super::pattern::is_pattern;
use super::position::{Epoch, Position};
use super::publication::Publication;
use super::subscriptions::SubscriptionStage;
use crate::app::{Seat, User};
use crate::shard::Core;
use std::collections::BTreeMap;
use std::sync::Arc;

impl<B: Broker> Hub<B> {
    /// The hub of another core says something.
    pub fn took(&mut self, from: Core, letters: &[HubLetter], out: &mut impl Outlet) {
        for letter in letters {
            self.take(from, letter.clone(), out);
        }
    }

    /// A client that did not read has read: it is told what it missed.
    pub fn caught_up(&mut self, seat: Seat, out: &mut impl Outlet) {
        let Some(client) = self.clients.get_mut(seat) else {
            return;
        };
        let (user, encoding) = (client.user, client.encoding);
        for subscription in client.subscriptions.iter_mut() {
            if subscription.stage != SubscriptionStage::Late {
                continue;
            }
            let Some(channel) = self.subscribers.get_mut(subscription.channel) else {
                continue;
            };
            let mut late = channel.late.iter();
            let Some(at) = late.position(|(late, _)| *late == seat) else {
                continue;
            };
            let (_, read) = channel.late.swap_remove(at);
            subscription.stage = SubscriptionStage::Live(channel.add(encoding, user, seat));
            let to = Audience {
                encoding,
                users: &[user],
                slow: SlowPolicy::Disconnect,
            };
            let Position { epoch, offset } = channel.told;
            let newest = channel.newest.as_ref();
            let missed = offset.saturating_sub(read) - u64::from(newest.is_some());
            let mut tell = |event| out.tell(to, &channel.name, event, &mut Vec::new());
            if missed > 0 {
                tell(ChannelEvent::Missed(missed));
            }
            if let Some(publication) = newest {
                tell(ChannelEvent::Publication(epoch, publication));
            }
        }
    }

    /// Something is said to this core.
    pub(super) fn take(&mut self, from: Core, letter: HubLetter, out: &mut impl Outlet) {
        match letter {
            HubLetter::Subscribe(order) => {
                self.home.tick(out.now());
                self.home.subscribe(from, *order);
                self.deliver(out);
            }
            HubLetter::Unsubscribe { channel, client } => {
                self.home.tick(out.now());
                self.home.unsubscribe(from, &channel, client);
                self.deliver(out);
            }
            HubLetter::Attend(order) => self.attended(*order, out),
            HubLetter::Ask {
                asker,
                channel,
                question,
            } => {
                self.home.tick(out.now());
                self.home.asked(from, asker, &channel, *question);
                self.deliver(out);
            }
            HubLetter::Answer { asker, answer } => out.answer(asker, *answer),
            HubLetter::Subscribed {
                subscription,
                subscribed,
            } => self.subscribed(subscription, subscribed, out),
            HubLetter::Refused {
                subscription,
                error,
            } => self.refused(subscription, error, out),
            HubLetter::Deliver {
                local,
                epoch,
                publication,
            } => self.published(local, epoch, &publication, out),
            HubLetter::Watch {
                pattern,
                local,
                subscription,
            } => self.watched(from, (&pattern, local), subscription, out),
            HubLetter::Watching { subscription } => self.watching(subscription, out),
            HubLetter::Unwatch { pattern } => self.home.watchers.leave(from, &pattern),
            HubLetter::Matched {
                local,
                channel,
                publication,
            } => self.matched(local, &channel, &publication, out),
            HubLetter::Changed { local, changes } => {
                self.tell(local, ChannelEvent::Changed(&changes), out);
            }
            HubLetter::Interrupted { local } => self.interrupted(local, out),
            HubLetter::Order { asker, order } => {
                let (clients, channels) = self.carry_out(&order, out);
                let letter = HubLetter::Carried {
                    asker,
                    clients,
                    channels,
                };
                self.send(from, letter, out);
            }
            // Whose clients those are hears it.
            HubLetter::Recall { .. } | HubLetter::Recalled { .. } => {}
            HubLetter::Carried {
                asker,
                clients,
                channels,
            } => out.answer(asker, HubAnswer::Reached { clients, channels }),
        }
    }

    /// A subscription stands, unless the client wants it whole and it is not.
    pub(super) fn subscribed(
        &mut self,
        it: SubscriptionRef,
        mut subscribed: Box<Subscribed>,
        out: &mut impl Outlet,
    ) {
        if it.is_of_session() {
            return self.joined(it, subscribed, out);
        }
        let seat = Seat(it.seat);
        let Some(client) = self.clients.get(seat) else {
            return;
        };
        let (user, encoding) = (client.user, client.encoding);
        let Some(subscription) = self.clients.subscription(it) else {
            // It is over, and its end was said.
            return;
        };
        let missed = subscribed.missed.as_ref();
        if subscription.whole && missed.is_some_and(|caught| !caught.whole) {
            return self.refused(it, HubError::UnrecoverablePosition, out);
        }
        let Some(channel) = self.subscribers.get_mut(subscription.channel) else {
            return;
        };
        if !is_pattern(&channel.name) {
            channel.told = subscribed.position;
        }
        subscription.stage = SubscriptionStage::Live(channel.add(encoding, user, seat));
        subscribed.by_server = subscription.by_server;
        let ticket = subscription.ticket;
        let asker = Asker {
            user,
            encoding,
            ticket,
        };
        out.answer(asker, HubAnswer::Subscribed(subscribed));
    }

    /// A subscription does not stand.
    pub(super) fn refused(&mut self, it: SubscriptionRef, error: HubError, out: &mut impl Outlet) {
        if it.is_of_session() {
            return self.turned_away(it, error, out);
        }
        let Some(subscription) = self.clients.subscription(it) else {
            return;
        };
        let (index, ticket) = (subscription.channel, subscription.ticket);
        let by_server = subscription.by_server;
        let seat = Seat(it.seat);
        let asker = self.clients.asker(seat, ticket);
        self.end(seat, index, out);
        if let Some(asker) = asker.filter(|_| !by_server) {
            out.answer(asker, HubAnswer::Refused(error));
        }
    }

    /// Something was published.
    fn published(
        &mut self,
        local: LocalRef,
        epoch: Epoch,
        publication: &Publication,
        out: &mut impl Outlet,
    ) {
        if let Some(session) = self.sessions.meant(local) {
            return self.tell_session(session, ChannelEvent::Publication(epoch, publication), out);
        }
        if self.subscribers.meant(local).is_none() {
            return;
        }
        let offset = publication.offset;
        if offset > 0
            && let Some(channel) = self.subscribers.get_mut(local.index)
        {
            debug_assert!(
                channel.told.epoch != epoch || channel.told.offset < offset,
                "told out of order: {offset} after {:?}",
                channel.told
            );
            channel.told = Position { epoch, offset };
            if channel.slow == SlowPolicy::Conflate {
                channel.newest = Some(publication.clone());
            }
        }
        self.tell(local, ChannelEvent::Publication(epoch, publication), out);
    }

    /// Tells all who have subscribed here.
    pub(super) fn tell(&mut self, local: LocalRef, event: ChannelEvent<'_>, out: &mut impl Outlet) {
        let lanes = self.subscribers.meant(local);
        let lanes = lanes.map_or(0, |channel| channel.lanes());
        for lane in 0..lanes {
            let Some(channel) = self.subscribers.get(local.index) else {
                return;
            };
            let Some(to) = channel.audience(lane) else {
                continue;
            };
            self.late.clear();
            let author = event.spared().and_then(|author| {
                let mut places = 0..to.users.len();
                let id_at = |at| {
                    channel
                        .seat(lane, at)
                        .and_then(|seat| self.clients.id(seat))
                };
                places.find(|at| id_at(*at) == Some(author))
            });
            if let Some(author) = author {
                let others = to.users.iter().enumerate().filter(|(at, _)| *at != author);
                let users: Vec<User> = others.map(|(_, user)| *user).collect();
                let others = Audience {
                    users: &users,
                    ..to
                };
                if !users.is_empty() {
                    out.tell(others, &channel.name, event, &mut self.late);
                }
                for at in self.late.iter_mut().filter(|at| **at >= author) {
                    *at += 1;
                }
            } else if !to.users.is_empty() {
                out.tell(to, &channel.name, event, &mut self.late);
            }
            if !self.late.is_empty() {
                self.pass_over(local.index, lane, event);
            }
        }
    }

    /// Those who were not told are told nothing more until they have read.
    fn pass_over(&mut self, index: u32, lane: usize, event: ChannelEvent<'_>) {
        let late = std::mem::take(&mut self.late);
        // From the end: whoever moves comes from behind.
        for &at in late.iter().rev() {
            let Some(channel) = self.subscribers.get_mut(index) else {
                break;
            };
            let place = u32::try_from(at).unwrap_or(u32::MAX);
            let (Some(seat), Some(to)) = (channel.seat(lane, at), channel.audience(lane)) else {
                continue;
            };
            let encoding = to.encoding;
            let moved = channel.remove(encoding, place);
            let told = channel.told.offset;
            let read = match event {
                ChannelEvent::Publication(_, publication) if publication.offset > 0 => {
                    publication.offset - 1
                }
                // Of a pattern each counts.
                ChannelEvent::Matched(..) => told - 1,
                ChannelEvent::Publication(..)
                | ChannelEvent::Changed(_)
                | ChannelEvent::Missed(_)
                | ChannelEvent::Interrupted
                | ChannelEvent::Unsubscribed => told,
            };
            channel.late.push((seat, read));
            self.settle_in(moved, index);
            if let Some(subscription) = self.clients.to(seat, index) {
                subscription.stage = SubscriptionStage::Late;
            }
        }
        self.late = late;
    }

    /// Something of a channel or a session was lost for good.
    fn interrupted(&mut self, local: LocalRef, out: &mut impl Outlet) {
        if let Some(session) = self.sessions.meant(local) {
            self.interrupt_session(session, out);
        } else if self.subscribers.meant(local).is_some() {
            self.interrupt(local.index, out);
        }
    }

    /// The subscriptions of this core to a channel are over, and those who have them are told.
    pub(super) fn interrupt(&mut self, index: u32, out: &mut impl Outlet) {
        loop {
            let Some(channel) = self.subscribers.get(index) else {
                return;
            };
            let name = channel.name.clone();
            let Some(seat) = channel.anybody() else {
                return;
            };
            if !self.end_and_tell(seat, index, &name, ChannelEvent::Interrupted, out) {
                debug_assert!(false, "a subscriber without a subscription");
                return;
            }
        }
    }

    /// Ends a subscription that the client did not ask to end. Whether there was one.
    fn end_and_tell(
        &mut self,
        seat: Seat,
        index: u32,
        name: &str,
        why: ChannelEvent<'_>,
        out: &mut impl Outlet,
    ) -> bool {
        let Some(client) = self.clients.get(seat) else {
            return false;
        };
        let (encoding, user) = (client.encoding, client.user);
        let to = Audience {
            encoding,
            users: &[user],
            slow: SlowPolicy::Disconnect,
        };
        let is_ended = self.end(seat, index, out);
        if is_ended {
            out.tell(to, name, why, &mut Vec::new());
        }
        is_ended
    }

    /// Does to clients of this core what the application wants: how many there were, and channels
    /// if those were asked for.
    fn carry_out(
        &mut self,
        order: &ClientOrder,
        out: &mut impl Outlet,
    ) -> (u64, Vec<(Arc<str>, u64)>) {
        if let ClientAction::Channels(part) = &order.what {
            return (0, self.home.channels(part));
        }
        let meant = self.meant(order);
        if let ClientAction::Emit(data) = &order.what {
            return (self.emit(&meant, data, out), Vec::new());
        }
        let mut reached = 0;
        for seat in meant {
            let done = match &order.what {
                ClientAction::Disconnect(code) => {
                    if let Some(client) = self.clients.get(seat) {
                        out.disconnect(client.user, client.encoding, *code);
                    }
                    true
                }
                ClientAction::Refresh(stay) => {
                    if let Some(client) = self.clients.get(seat) {
                        out.refresh((client.user, seat), client.encoding, *stay);
                    }
                    true
                }
                ClientAction::Subscribe(channel) => {
                    let wish = SubscribeWish {
                        channel,
                        since: None,
                        ticket: 0,
                        by_server: true,
                        whole: false,
                        shown: ShownAs::Itself,
                    };
                    self.subscribe(seat, wish, out).is_ok()
                }
                ClientAction::Unsubscribe(Some(channel)) => self.expel(seat, channel, out),
                ClientAction::Unsubscribe(None) => self.expel_from_all(seat, out),
                ClientAction::Count => true,
                // Done above.
                ClientAction::Channels(_) | ClientAction::Emit(_) => false,
            };
            reached += u64::from(done);
        }
        (reached, Vec::new())
    }

    /// Which clients of this core an order is about: those who are not let in can only be ended.
    fn meant(&self, order: &ClientOrder) -> Vec<Seat> {
        let session = order.session.map(|session| self.sessions.find(session));
        let is_in = |seat: &Seat, session: Option<u32>| {
            let client = self.clients.get(*seat);
            client.is_some_and(|client| Some(client.session.session) == session)
        };
        let is_ended = matches!(order.what, ClientAction::Disconnect(_));
        let is_let_in = |seat: &Seat| {
            let client = self.clients.get(*seat);
            client.is_some_and(|client| client.encoding != EncodingId::NOT_YET)
        };
        let is_meant = |seat: &Seat| {
            let is_user = |user: &str| self.clients.is_of(*seat, user);
            let is_client = |client| self.clients.id(*seat) == Some(client);
            (is_ended || is_let_in(seat))
                && order.user.as_deref().is_none_or(is_user)
                && order.client.is_none_or(is_client)
                && session.is_none_or(|session| is_in(seat, session))
                && !order.except.is_some_and(is_client)
        };
        self.clients.taken().filter(is_meant).collect()
    }

    /// Tells these clients of this core that JSON: how many there are.
    fn emit(&self, meant: &[Seat], data: &str, out: &mut impl Outlet) -> u64 {
        let clients = meant.iter().filter_map(|seat| self.clients.get(*seat));
        for (encoding, users) in lanes_of(clients) {
            out.emit(encoding, &users, data);
        }
        meant.len() as u64
    }

    fn expel(&mut self, seat: Seat, channel: &str, out: &mut impl Outlet) -> bool {
        let Some(index) = self.subscribers.find(channel) else {
            return false;
        };
        self.end_and_tell(seat, index, channel, ChannelEvent::Unsubscribed, out)
    }

    fn expel_from_all(&mut self, seat: Seat, out: &mut impl Outlet) -> bool {
        let mut any = false;
        let client = self.clients.get(seat);
        let all = client.iter().flat_map(|client| client.subscriptions.iter());
        let all: Vec<u32> = all.map(|subscription| subscription.channel).collect();
        for index in all {
            let name = self.name(index);
            any |= self.end_and_tell(seat, index, &name, ChannelEvent::Unsubscribed, out);
        }
        any
    }
}

/// Clients by how they are spoken to.
pub(super) fn lanes_of<'c>(
    clients: impl Iterator<Item = &'c HubClient>,
) -> BTreeMap<EncodingId, Vec<User>> {
    let mut lanes: BTreeMap<EncodingId, Vec<User>> = BTreeMap::new();
    for client in clients {
        lanes.entry(client.encoding).or_default().push(client.user);
    }
    lanes
}
