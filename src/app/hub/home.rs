//! The channels whose home is one core: it asks the broker, and tells each core with subscribers
//! once, in one order.

mod asking;
mod attending;
mod ending;

use super::answer::{Asker, HubAnswer, HubError, Subscribed};
use super::broker::{Broker, BrokerCommand, BrokerEvent, BrokerReply, OfChannel, Ticket};
use super::channel_map::ChannelMap;
use super::history::Excerpt;
use super::home_channel::{Continuity, HomeChannel, Said};
use super::letter::{HubLetter, SubscribeOrder, SubscriptionRef};
use super::options::{ChannelOptions, Namespaces};
use super::position::Since;
use super::publication::{ClientId, ClientInfo, Publication};
use super::replies::{answer, refusal};
use super::session::is_session;
use super::store::RestoredChannel;
use super::tickets::Tickets;
use super::watchers::Watchers;
use crate::limits;
use crate::shard::Core;
use crate::time::Instant;
use ending::EndingSessions;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// The channels of one core.
#[derive(Debug)]
pub(super) struct Home<B> {
    namespaces: Arc<Namespaces>,
    pub(super) broker: B,
    channels: ChannelMap<HomeChannel>,
    pub(super) watchers: Watchers,
    waiting: Tickets<Waiting>,
    /// What the broker told, and nobody has looked at.
    pub(super) events: VecDeque<BrokerEvent>,
    /// What is to be said, in order.
    pub(super) said: Said,
    /// When it is told who came and went, if somebody did, and in which channels.
    changes_at: Option<Instant>,
    changed: BTreeSet<Arc<str>>,
    /// Sessions that nobody is in.
    ending: EndingSessions,
    /// Nobody is told who goes.
    closing: bool,
    now: Instant,
}

/// What an answer of the broker is for.
#[derive(Debug)]
struct Waiting {
    channel: Arc<str>,
    purpose: ArrivalPurpose,
}

#[derive(Debug)]
enum ArrivalPurpose {
    /// Nobody waits for it.
    Nothing,
    /// A subscription begins at the place that is asked for.
    Subscription {
        core: Core,
        subscription: SubscriptionRef,
        since: Option<Since>,
        attempts: u8,
    },
    /// What the broker did not tell.
    CatchUp,
    /// A client came.
    Came(ClientInfo),
    /// A client went.
    Went,
    /// A core has lost its clients: those who are here still are to go.
    Lost(Core),
    /// A session has ended.
    Ended,
    /// Somebody asked.
    Answer(Core, Asker),
    /// Somebody published that in a channel which a pattern takes.
    Published(Core, Asker, Publication),
}

/// How often a subscription is asked for while its channel speaks faster than the broker answers.
const ATTEMPTS: u8 = 4;

impl<B: Broker> Home<B> {
    pub(super) fn new(namespaces: Arc<Namespaces>, grace: Duration, broker: B) -> Self {
        Self {
            namespaces,
            broker,
            channels: ChannelMap::default(),
            watchers: Watchers::default(),
            waiting: Tickets::default(),
            events: VecDeque::new(),
            said: VecDeque::new(),
            changes_at: None,
            changed: BTreeSet::new(),
            ending: EndingSessions::new(grace),
            closing: false,
            now: Instant::default(),
        }
    }

    /// The time, before anything else is told.
    pub(super) fn tick(&mut self, now: Instant) {
        self.now = now;
    }

    /// Channels were like that when the program ended last; nobody is in any session yet.
    pub(super) fn restore(&mut self, all: Vec<RestoredChannel>) {
        let names = all.iter().map(|channel| &channel.name);
        self.ending.all_later(names, self.now);
        for channel in all {
            let name = channel.name.clone();
            let options = self.namespaces.of(&name);
            let of = OfChannel {
                name: &name,
                history: options.unwrap_or(ChannelOptions::PLAIN).history,
                now: self.now,
            };
            self.broker.restore(of, channel);
        }
    }

    /// All clients are about to leave.
    pub(super) fn closing(&mut self) {
        self.closing = true;
    }

    /// A client of that core subscribes.
    pub(super) fn subscribe(&mut self, core: Core, order: SubscribeOrder) {
        let SubscribeOrder {
            channel,
            local,
            subscription,
            since,
            info,
        } = order;
        let row = self.namespaces.row_of(&channel);
        let home = row.and_then(|row| self.channels.enter(&channel, || HomeChannel::new(row)));
        let Some(home) = home else {
            let error = HubError::UnknownChannel;
            let refused = HubLetter::Refused {
                subscription,
                error,
            };
            return self.said.push_back((core, refused));
        };
        if home.enter(core, local) {
            self.ask(&channel, ArrivalPurpose::Nothing, BrokerCommand::Open);
        }
        let purpose = ArrivalPurpose::Subscription {
            core,
            subscription,
            since,
            attempts: 1,
        };
        self.ask(&channel, purpose, beginning(&channel, since));
        if let Some(info) = info {
            self.enter(&channel, info);
        }
    }

    /// A client of that core is out of a channel.
    pub(super) fn unsubscribe(&mut self, core: Core, channel: &Arc<str>, client: ClientId) {
        let Some(home) = self.channels.get_mut(channel) else {
            return;
        };
        let is_empty = home.leave(core);
        if self.namespaces.at(home.row).shows_who() {
            self.ask(channel, ArrivalPurpose::Went, BrokerCommand::Leave(client));
        }
        if is_empty {
            self.close(channel);
        }
    }

    /// That core has begun anew: its clients are gone.
    pub(super) fn lost(&mut self, core: Core) {
        self.watchers.lose(core);
        for channel in self.channels.names() {
            let Some(home) = self.channels.get_mut(&channel) else {
                continue;
            };
            let is_empty = home.lose(core);
            if self.namespaces.at(home.row).shows_who() {
                let command = BrokerCommand::List(usize::MAX);
                self.ask(&channel, ArrivalPurpose::Lost(core), command);
            }
            if is_empty {
                self.close(&channel);
            }
        }
    }

    /// Looks at what the broker told.
    pub(super) fn settle(&mut self) {
        while let Some(event) = self.events.pop_front() {
            match event {
                BrokerEvent::Reply { ticket, reply } => self.replied(ticket, reply),
                BrokerEvent::Published {
                    channel,
                    epoch,
                    publication,
                } => {
                    let Some(home) = self.channels.get_mut(&channel) else {
                        continue;
                    };
                    let heard = home.published(epoch, &publication, &mut self.said);
                    self.mend(&channel, heard);
                }
                BrokerEvent::Restored => self.restored(),
            }
        }
    }

    /// The time has come.
    pub(super) fn expired(&mut self) {
        if self.broker.deadline().is_some_and(|at| at <= self.now) {
            self.broker.expired(self.now, &mut self.events);
        }
        self.end_due();
        if self.changes_at.is_some_and(|at| at <= self.now) {
            self.changes_at = None;
            for channel in std::mem::take(&mut self.changed) {
                if let Some(home) = self.channels.get_mut(&channel) {
                    home.tell_changes(&mut self.said);
                }
            }
        }
    }

    /// When it wants to be told the time.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let ending = self.ending.deadline();
        let deadlines = [self.broker.deadline(), self.changes_at, ending];
        deadlines.into_iter().flatten().min()
    }

    /// The channels whose names have that in them, and how many subscribers each has.
    pub(super) fn channels(&self, part: &str) -> Vec<(Arc<str>, u64)> {
        let wanted = self
            .channels
            .named()
            .filter(|(name, _)| name.contains(part));
        let listed = wanted.map(|(name, home)| (name.clone(), home.reach().0));
        listed.take(limits::CHANNELS_LISTED).collect()
    }

    /// Channels that have subscribers, and sessions.
    pub(super) fn counts(&self) -> (usize, usize) {
        self.channels.counts()
    }

    /// How many channels have subscribers.
    pub(super) fn open(&self) -> usize {
        self.channels.len()
    }

    fn replied(&mut self, ticket: Ticket, reply: BrokerReply) {
        let Some(Waiting { channel, purpose }) = self.waiting.redeem(ticket) else {
            return;
        };
        match purpose {
            ArrivalPurpose::Nothing => {}
            ArrivalPurpose::Subscription {
                core,
                subscription,
                since,
                attempts,
            } => {
                let whose = (core, subscription, since, attempts);
                self.begin(&channel, whose, reply);
            }
            ArrivalPurpose::CatchUp => self.caught_up(&channel, reply),
            ArrivalPurpose::Ended => self.forgotten(&channel, reply),
            ArrivalPurpose::Came(info) => self.came(&channel, info, &reply),
            ArrivalPurpose::Went => self.went(&channel, reply),
            ArrivalPurpose::Lost(core) => {
                if let BrokerReply::Listed(here) = reply {
                    for info in here.iter().filter(|info| info.client.core() == core) {
                        let command = BrokerCommand::Leave(info.client);
                        self.ask(&channel, ArrivalPurpose::Went, command);
                    }
                }
            }
            ArrivalPurpose::Answer(core, asker) => {
                let home = self.channels.get(&channel);
                let reach = home.map_or((0, 0), HomeChannel::reach);
                self.answer(core, asker, answer(&channel, reply, reach));
            }
            ArrivalPurpose::Published(core, asker, publication) => {
                if let BrokerReply::Published(place) = &reply {
                    self.tell_watchers(&channel, (place.offset, publication));
                }
                let reach = self.reach(&channel);
                self.answer(core, asker, answer(&channel, reply, reach));
            }
        }
    }

    /// The place where a subscription begins has come.
    fn begin(
        &mut self,
        channel: &Arc<str>,
        (core, subscription, since, attempts): (Core, SubscriptionRef, Option<Since>, u8),
        reply: BrokerReply,
    ) {
        let Some(home) = self.channels.get_mut(channel) else {
            // The client has left meanwhile.
            return;
        };
        let error = match reply {
            BrokerReply::Read(caught) => {
                let subscribed = Box::new(Subscribed {
                    channel: channel.clone(),
                    options: self.namespaces.at(home.row),
                    position: caught.position,
                    missed: since.map(|_| caught),
                    by_server: false,
                });
                if home.subscribed((core, subscription), subscribed, &mut self.said) {
                    return self.mend_seen(channel);
                }
                if attempts < ATTEMPTS {
                    let purpose = ArrivalPurpose::Subscription {
                        core,
                        subscription,
                        since,
                        attempts: attempts + 1,
                    };
                    return self.ask(channel, purpose, beginning(channel, since));
                }
                HubError::Unreachable
            }
            BrokerReply::Full => HubError::LimitExceeded,
            other => refusal(&other),
        };
        let refused = HubLetter::Refused {
            subscription,
            error,
        };
        self.said.push_back((core, refused));
    }

    /// What was not told has come, or is lost.
    fn caught_up(&mut self, channel: &Arc<str>, reply: BrokerReply) {
        let Some(home) = self.channels.get_mut(channel) else {
            return;
        };
        let caught = match reply {
            BrokerReply::Read(caught) => caught,
            // It is asked for again when the broker is back.
            _ => {
                home.is_catching_up = false;
                return;
            }
        };
        let heard = home.caught_up(&caught, &mut self.said);
        self.mend(channel, heard);
    }

    fn mend(&mut self, channel: &Arc<str>, heard: Continuity) {
        if let Continuity::Gap(last) = heard {
            if let Some(home) = self.channels.get_mut(channel) {
                home.is_catching_up = true;
            }
            let command = BrokerCommand::CatchUp(Some(last.into()));
            self.ask(channel, ArrivalPurpose::CatchUp, command);
        }
    }

    /// A subscription waits for a place of which the broker may have told everything, and it was
    /// lost.
    fn mend_seen(&mut self, channel: &Arc<str>) {
        let Some(home) = self.channels.get(channel) else {
            return;
        };
        if let Some(last) = home.waits_after().filter(|_| !home.is_catching_up) {
            self.mend(channel, Continuity::Gap(last));
        }
    }

    /// The broker is back: what it did not tell is asked for.
    fn restored(&mut self) {
        for channel in self.channels.names() {
            self.ask(&channel, ArrivalPurpose::Nothing, BrokerCommand::Open);
            let last = self.channels.get(&channel).and_then(HomeChannel::last);
            if let Some(last) = last {
                self.mend(&channel, Continuity::Gap(last));
            }
        }
    }

    fn close(&mut self, channel: &Arc<str>) {
        self.channels.remove(channel);
        self.ask(channel, ArrivalPurpose::Nothing, BrokerCommand::Close);
        self.end_later(channel);
    }

    fn ask(&mut self, channel: &Arc<str>, purpose: ArrivalPurpose, command: BrokerCommand) {
        let known = self.channels.get(channel).map(|home| home.row);
        let row = known.or_else(|| self.namespaces.row_of(channel));
        let options = row.map(|row| self.namespaces.at(row));
        let of = OfChannel {
            name: channel,
            history: options.unwrap_or(ChannelOptions::PLAIN).history,
            now: self.now,
        };
        let channel = channel.clone();
        let ticket = self.waiting.take(Waiting { channel, purpose });
        self.broker.ask(ticket, of, command, &mut self.events);
    }

    fn answer(&mut self, core: Core, asker: Asker, answer: HubAnswer) {
        let answer = Box::new(answer);
        self.said
            .push_back((core, HubLetter::Answer { asker, answer }));
    }
}

/// What a subscription begins with: of a session all that it holds.
fn beginning(channel: &str, since: Option<Since>) -> BrokerCommand {
    match is_session(channel) {
        true => BrokerCommand::Read(Excerpt {
            since: None,
            limit: 1,
            reverse: true,
        }),
        false => BrokerCommand::CatchUp(since),
    }
}

#[cfg(test)]
impl<B> Home<B> {
    /// How many commands are not answered.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}
