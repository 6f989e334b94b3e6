//! The broker of one host alone: all it knows is in the memory of the home core.

use super::journal::{self, Journal};
use super::stored::{Aging, Stored, StoredChannel};
use super::{
    Broker, BrokerCommand, BrokerEvent, BrokerReply, Excerpt, OfChannel, Publication, Ticket,
};
use crate::app::hub::channel_map::ChannelMap;
use crate::app::hub::history::ChannelHistory;
use crate::app::hub::position::{Epoch, Position};
use crate::app::hub::session::{is_session, merge};
use crate::app::hub::store::{RestoredChannel, StoreChange, StoreLine};
use crate::limits;
use crate::time::Instant;
use std::collections::{BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::Arc;

/// Channels in the memory of one core.
#[derive(Debug)]
pub struct Memory {
    channels: ChannelMap<StoredChannel>,
    /// When something of a channel becomes too old.
    expiries: BTreeSet<(Instant, Arc<str>)>,
    /// Bytes of all histories.
    bytes: usize,
    /// What epochs are made of: random, another on every core and in every run.
    seed: u64,
    /// How many epochs were made.
    epochs: u64,
    /// When something was forgotten last that was not too old, and had no newer in its place.
    forgot_at: Option<Instant>,
    /// What outlives the process is told there.
    journal: Journal,
}

impl Memory {
    /// Nothing is known of any channel.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            channels: ChannelMap::default(),
            expiries: BTreeSet::new(),
            bytes: 0,
            seed,
            epochs: 0,
            forgot_at: None,
            journal: Journal::default(),
        }
    }

    /// What becomes of channels that outlive the process is told there, if anywhere.
    #[must_use]
    pub fn stored_in(self, line: Option<StoreLine>) -> Self {
        let journal = Journal::of(line);
        Self { journal, ..self }
    }

    /// How many channels there are.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels.len()
    }

    /// Bytes of all histories.
    #[must_use]
    pub fn history_bytes(&self) -> usize {
        self.bytes
    }

    /// The channel of that name, made if there is none; `None` if there may be no more.
    fn stored(&mut self, channel: OfChannel<'_>) -> Option<&mut Stored> {
        if self.channels.get(channel.name).is_none() {
            if self.channels.len() >= limits::CHANNELS {
                return None;
            }
            let stored = Box::new(Stored::new(self.epoch()));
            let stored = || StoredChannel::Whole(stored);
            return self.channels.enter(channel.name, stored)?.whole_mut();
        }
        let stored = self.channels.get_mut(channel.name)?;
        stored.unpack();
        stored.whole_mut()
    }

    /// An epoch that a history had before is taken again once in 2^32 times.
    fn epoch(&mut self) -> Epoch {
        self.epochs += 1;
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.seed);
        hasher.write_u64(self.epochs);
        Epoch(u32::try_from(hasher.finish() >> 32).unwrap_or(0))
    }

    /// What of a channel is too old is forgotten, the channel itself if nobody needs it; its entry
    /// among the expiries is as it should be.
    fn tidy(&mut self, channel: OfChannel<'_>) {
        let known = self.channels.get_mut(channel.name);
        let Some(stored) = known.and_then(StoredChannel::whole_mut) else {
            // Nothing of a bare one becomes too old.
            return;
        };
        let before = stored.history.bytes();
        stored.history.expire(channel.history, channel.now);
        self.bytes -= before - stored.history.bytes();
        let aging = stored.aging.as_ref();
        let (closed_at, entry) = aging.map_or((None, None), |it| (it.closed_at, it.expiry));
        // What a session holds is kept until its home forgets it.
        let is_session = is_session(channel.name);
        // Whoever leaves finds the channel as it was, for as long as its history lives.
        let returns = closed_at.map(|at| at + channel.history.life);
        let returns = returns.filter(|until| *until > channel.now);
        let kept = stored.history.expires_at(channel.history);
        let expiry = kept.into_iter().chain(returns).min();
        let expiry = expiry.filter(|_| !is_session);
        if expiry != entry {
            if let Some(at) = entry {
                self.expiries.remove(&(at, channel.name.clone()));
            }
            if let Some(at) = expiry {
                self.expiries.insert((at, channel.name.clone()));
            }
        }
        let is_aging = !is_session && (expiry.is_some() || closed_at.is_some());
        stored.aging = is_aging.then(|| {
            let mut aging = stored.aging.take().unwrap_or_else(|| Aging::of(channel));
            (aging.options, aging.expiry) = (channel.history, expiry);
            aging
        });
        let holds = is_session && !stored.history.is_empty();
        let is_idle = expiry.is_none() && stored.present.is_empty() && !holds;
        if !stored.history.is_open && is_idle {
            let was_told = stored.history.top().offset > 0;
            self.channels.remove(channel.name);
            if was_told && self.journal.follows(channel.history) {
                self.journal.tell(channel, StoreChange::Forgotten);
            }
        } else if is_session && let Some(known) = self.channels.get_mut(channel.name) {
            known.pack();
        }
    }

    fn publish(
        &mut self,
        channel: OfChannel<'_>,
        publication: Publication,
        events: &mut VecDeque<BrokerEvent>,
    ) -> BrokerReply {
        let mut bytes = self.bytes;
        let is_told = self.journal.follows(channel.history);
        let Some(stored) = self.stored(channel) else {
            return BrokerReply::Full;
        };
        bytes -= stored.history.bytes();
        let full = (stored.history.len() + 1).min(channel.history.count);
        let publication = stored
            .history
            .push(publication, channel.history, channel.now);
        // What all may keep is bounded: whoever speaks then keeps less of itself.
        while bytes + stored.history.bytes() > limits::HISTORY_BYTES && !stored.history.is_empty() {
            stored.history.drop_oldest();
        }
        bytes += stored.history.bytes();
        let has_forgotten = stored.history.len() < full;
        let position = stored.history.top();
        let change = is_told.then(|| journal::published(&stored.history, channel.now));
        if stored.history.is_open {
            events.push_back(BrokerEvent::Published {
                channel: channel.name.clone(),
                epoch: position.epoch,
                publication,
            });
        }
        if let Some(change) = change {
            self.journal.tell(channel, change);
        }
        self.bytes = bytes;
        if has_forgotten {
            self.forgot_at = Some(channel.now);
        }
        BrokerReply::Published(position)
    }

    fn merge(
        &mut self,
        channel: OfChannel<'_>,
        members: &str,
        events: &mut VecDeque<BrokerEvent>,
    ) -> BrokerReply {
        let known = self.channels.get(channel.name);
        let whole = known.and_then(StoredChannel::whole);
        let newest = whole.and_then(|stored| stored.history.newest());
        let Some(data) = merge(newest.map(|newest| &*newest.data), members) else {
            return BrokerReply::Full;
        };
        let publication = Publication {
            offset: 0,
            data: data.into(),
            by: None,
            tags: None,
            spares_author: false,
        };
        self.publish(channel, publication, events)
    }

    fn forget(&mut self, channel: OfChannel<'_>) -> BrokerReply {
        let known = self.channels.remove(channel.name);
        let Some(StoredChannel::Whole(stored)) = known else {
            return BrokerReply::Read(ChannelHistory::new(Epoch(0)).excerpt(NEWEST));
        };
        self.bytes -= stored.history.bytes();
        if stored.history.top().offset > 0 && self.journal.follows(channel.history) {
            self.journal.tell(channel, StoreChange::Forgotten);
        }
        if let Some(at) = stored.aging.and_then(|aging| aging.expiry) {
            self.expiries.remove(&(at, channel.name.clone()));
        }
        BrokerReply::Read(stored.history.excerpt(NEWEST))
    }

    fn answer(
        &mut self,
        channel: OfChannel<'_>,
        command: BrokerCommand,
        events: &mut VecDeque<BrokerEvent>,
    ) -> BrokerReply {
        match command {
            BrokerCommand::Publish(publication) => {
                return self.publish(channel, publication, events);
            }
            BrokerCommand::Merge(members) => return self.merge(channel, &members, events),
            BrokerCommand::Forget => return self.forget(channel),
            _ => {}
        }
        let forgot_at = self.forgot_at;
        let Some(stored) = self.stored(channel) else {
            return BrokerReply::Full;
        };
        match command {
            BrokerCommand::Open => {
                stored.history.is_open = true;
                if let Some(aging) = &mut stored.aging {
                    aging.closed_at = None;
                }
            }
            BrokerCommand::Tell(publication) => {
                let epoch = stored.history.top().epoch;
                if stored.history.is_open {
                    events.push_back(BrokerEvent::Published {
                        channel: channel.name.clone(),
                        epoch,
                        publication,
                    });
                }
                let offset = 0;
                return BrokerReply::Published(Position { epoch, offset });
            }
            BrokerCommand::Close => {
                stored.history.is_open = false;
                if channel.history.is_on() {
                    let aging = stored.aging.get_or_insert_with(|| Aging::of(channel));
                    aging.closed_at = Some(channel.now);
                }
            }
            BrokerCommand::CatchUp(since) => {
                return BrokerReply::Read(stored.catch_up(since, channel, forgot_at));
            }
            BrokerCommand::Read(excerpt) => {
                return BrokerReply::Read(stored.history.excerpt(excerpt));
            }
            BrokerCommand::Clear => {
                let bytes = stored.history.bytes();
                stored.history.clear();
                let change = journal::changed(&stored.history);
                if self.journal.follows(channel.history) {
                    self.journal.tell(channel, change);
                }
                self.bytes -= bytes;
                self.forgot_at = Some(channel.now);
            }
            BrokerCommand::Enter(info) => {
                let is_alone = stored.present.enter(info);
                let count = stored.present.count();
                return BrokerReply::Entered { is_alone, count };
            }
            BrokerCommand::Leave(client) => {
                let who = stored.present.leave(client);
                let count = stored.present.count();
                return BrokerReply::Gone { who, count };
            }
            BrokerCommand::List(most) => return BrokerReply::Listed(stored.present.list(most)),
            BrokerCommand::Count => return BrokerReply::Counted(stored.present.count()),
            // Done above.
            BrokerCommand::Publish(_) | BrokerCommand::Merge(_) | BrokerCommand::Forget => {}
        }
        BrokerReply::Done
    }
}

/// The newest publication.
const NEWEST: Excerpt = Excerpt {
    since: None,
    limit: 1,
    reverse: true,
};

impl Broker for Memory {
    fn restore(&mut self, channel: OfChannel<'_>, restored: RestoredChannel) {
        if !channel.history.is_stored() || self.channels.len() >= limits::CHANNELS {
            // Nobody wants it any more.
            return self.journal.tell(channel, StoreChange::Forgotten);
        }
        let position = restored.position(|| self.epoch());
        let mut history = ChannelHistory::restored(position, restored.publications);
        let is_too_much = |history: &ChannelHistory| {
            let (kept, bytes) = (channel.history, history.bytes());
            history.len() > kept.count || bytes > kept.bytes.min(limits::HISTORY_BYTES - self.bytes)
        };
        while is_too_much(&history) {
            history.drop_oldest();
        }
        self.bytes += history.bytes();
        let is_session = is_session(channel.name);
        if restored.epoch.is_none() {
            // What was published last may be missing: nobody is told that it is not.
            self.forgot_at = Some(channel.now);
            if !is_session {
                self.journal.tell(channel, journal::changed(&history));
            }
        }
        let aging = (!is_session).then(|| {
            let mut aging = Aging::of(channel);
            aging.closed_at = Some(channel.now);
            aging
        });
        let stored = Stored {
            history,
            aging,
            ..Stored::new(position.epoch)
        };
        let stored = || StoredChannel::Whole(Box::new(stored));
        self.channels.enter(channel.name, stored);
        if !is_session {
            self.tidy(channel);
        }
    }

    fn ask(
        &mut self,
        ticket: Ticket,
        channel: OfChannel<'_>,
        command: BrokerCommand,
        events: &mut VecDeque<BrokerEvent>,
    ) {
        // What is too old by now is no part of any answer.
        self.tidy(channel);
        let reply = self.answer(channel, command, events);
        self.tidy(channel);
        events.push_back(BrokerEvent::Reply { ticket, reply });
    }

    fn deadline(&self) -> Option<Instant> {
        self.expiries.first().map(|(at, _)| *at)
    }

    fn expired(&mut self, now: Instant, _: &mut VecDeque<BrokerEvent>) {
        while self.deadline().is_some_and(|at| at <= now)
            && let Some((at, name)) = self.expiries.pop_first()
        {
            let known = self.channels.get_mut(&name);
            let stored = known.and_then(StoredChannel::whole_mut);
            if let Some(aging) = stored.and_then(|stored| stored.aging.as_mut()) {
                debug_assert_eq!(aging.expiry, Some(at), "one entry for each channel");
                aging.expiry = None;
                let (name, history) = (&name, aging.options);
                self.tidy(OfChannel { name, history, now });
            }
        }
    }
}

#[cfg(test)]
mod tests;
