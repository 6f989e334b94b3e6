//! What clients of `ActionCable` are told: that subscriptions stand, and messages by the name that
//! each calls its subscription.

use super::{
    Asker, Audience, ChannelEvent, CloseAdvice, Desk, EXTENDED_CABLE, Effects, HubAnswer,
    HubLetter, User, as_text, plain, views,
};
use crate::app::dialect::identifiers::IdentifierBook;
use crate::app::hub::answer::EncodingId;
use crate::app::hub::publication::ClientInfo;
use crate::protocol::cable::{self as codec, CableParting, StreamPlace};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl<E: Effects<Vec<HubLetter>>> Desk<'_, E> {
    /// What clients call their subscriptions.
    pub const fn identifiers(&mut self) -> &mut IdentifierBook {
        self.identifiers
    }

    /// A subscription stands, and the client is told so.
    pub fn stands(&mut self, user: User, identifier: &str) {
        if let Some(known) = self.identifiers.get(user, identifier) {
            known.is_confirmed = true;
            self.say(user, |into| codec::confirm(into, identifier));
        }
    }

    /// Ends a client, and tells it whether to come back.
    pub(super) fn cable_end(&mut self, user: User, advice: CloseAdvice) {
        let parting = CableParting {
            reason: "remote",
            may_return: !matches!(advice.code, 3500..=3999 | 4500..),
        };
        self.say(user, |into| codec::disconnect(into, parting));
        self.dismiss(user, advice);
    }

    /// What became of a subscription.
    pub(super) fn cable_answer(&mut self, to: Asker, answer: &HubAnswer) {
        let user = to.user;
        if let Some(asked) = self.identifiers.presence_answered(user, to.ticket) {
            return self.cable_presence(user, asked, answer);
        }
        let known = self.identifiers.answered(user, to.ticket);
        let known = known.map(|known| {
            let asks_history = std::mem::take(&mut known.asks_history);
            let was_confirmed = std::mem::replace(&mut known.is_confirmed, true);
            (known.identifier.clone(), was_confirmed, asks_history)
        });
        match (answer, known) {
            (HubAnswer::Subscribed(it), Some((name, was_confirmed, asks_history))) => {
                if !was_confirmed {
                    self.say(user, |into| codec::confirm(into, &name));
                }
                let missed = it.missed.as_ref();
                let epoch = it.position.epoch.to_string();
                for publication in missed.iter().flat_map(|missed| &missed.publications) {
                    let stream = (&*it.channel, &*epoch);
                    let place = place(to.encoding, stream, publication.offset);
                    self.say(user, |into| {
                        codec::message(into, &name, &publication.data, place);
                    });
                }
                if asks_history {
                    let is_whole = missed.is_none_or(|missed| missed.whole);
                    self.say(user, |into| match is_whole {
                        true => codec::confirm_history(into, &name),
                        false => codec::reject_history(into, &name),
                    });
                }
            }
            (HubAnswer::Refused(error), Some((name, _, _))) => {
                self.complain(views::error(*error).code);
                self.identifiers.end(user, &name);
                self.say(user, |into| codec::reject(into, &name));
            }
            // Whoever performs an action is not answered.
            (HubAnswer::Refused(error), None) => self.complain(views::error(*error).code),
            (
                HubAnswer::Subscribed(_)
                | HubAnswer::Published(_)
                | HubAnswer::History(..)
                | HubAnswer::Presence(_)
                | HubAnswer::Headcount(_)
                | HubAnswer::Reached { .. }
                | HubAnswer::Done,
                _,
            ) => {}
        }
    }

    /// Tells a client who is there: each name once.
    fn cable_presence(
        &mut self,
        user: User,
        (identifier, wants_records): (Arc<str>, bool),
        answer: &HubAnswer,
    ) {
        let HubAnswer::Presence(all) = answer else {
            if let HubAnswer::Refused(error) = answer {
                self.complain(views::error(*error).code);
            }
            return self.say(user, |into| codec::presence_error(into, &identifier));
        };
        let all = all.iter().map(ClientInfo::presented);
        let all: BTreeMap<_, _> = all.collect();
        let records = all.iter().map(|(name, info)| (&**name, *info));
        let records = wants_records.then_some(records);
        self.say(user, |into| {
            codec::presence(into, &identifier, all.len(), records);
        });
    }

    /// Tells clients of an event of a channel.
    pub(super) fn cable_event(
        &mut self,
        to: Audience<'_>,
        channel: &str,
        event: ChannelEvent<'_>,
        late: &mut Vec<usize>,
    ) {
        match event {
            ChannelEvent::Publication(epoch, it) => {
                let epoch = epoch.to_string();
                let place = place(to.encoding, (channel, &epoch), it.offset);
                let write = |into: &mut Vec<u8>, name: &str| {
                    codec::message(into, name, &it.data, place);
                };
                self.cable_told(to, channel, write, late);
            }
            ChannelEvent::Matched(_, it) => {
                let write = |into: &mut Vec<u8>, name: &str| {
                    codec::message(into, name, &it.data, None);
                };
                self.cable_told(to, channel, write, late);
            }
            // The extended protocol alone tells that; a name comes with the first who has it.
            ChannelEvent::Changed(changes) if to.encoding == EXTENDED_CABLE => {
                let mut passed_over: BTreeSet<usize> = BTreeSet::new();
                for change in changes.iter().filter(|change| change.is_alone) {
                    let (name, info) = change.info.presented();
                    let write = |into: &mut Vec<u8>, identifier: &str| match change.came {
                        true => codec::joined(into, identifier, (&name, info)),
                        false => codec::left(into, identifier, &name),
                    };
                    let mut behind = Vec::new();
                    self.cable_told(to, channel, write, &mut behind);
                    passed_over.extend(behind);
                }
                late.extend(passed_over);
            }
            // What it has is not all any more: the extended protocol has a word for that.
            ChannelEvent::Missed(_) if to.encoding == EXTENDED_CABLE => {
                for user in to.users {
                    let names: Vec<_> =
                        self.identifiers.names_of(*user, channel).cloned().collect();
                    for name in names {
                        self.say(*user, |into| codec::reject_history(into, &name));
                    }
                }
            }
            ChannelEvent::Unsubscribed => {
                for user in to.users {
                    for name in self.identifiers.end_channel(*user, channel) {
                        self.say(*user, |into| codec::reject(into, &name));
                    }
                }
            }
            // Who comes back subscribes again, and says where it was.
            ChannelEvent::Interrupted => {
                for user in to.users {
                    self.cable_end(*user, CloseAdvice::INSUFFICIENT_STATE);
                }
            }
            ChannelEvent::Missed(_) | ChannelEvent::Changed(_) => {}
        }
    }

    /// Tells clients what is written: each by the name that it calls its subscription.
    fn cable_told(
        &mut self,
        to: Audience<'_>,
        channel: &str,
        write: impl Fn(&mut Vec<u8>, &str),
        late: &mut Vec<usize>,
    ) {
        let mut text = std::mem::take(self.text);
        if let Some(name) = self.identifiers.only_name(channel) {
            text.clear();
            write(&mut text, &name);
            self.send(to, plain(as_text(&text)), late);
        } else {
            let mut named: BTreeMap<Arc<str>, Vec<usize>> = BTreeMap::new();
            for (at, user) in to.users.iter().enumerate() {
                for name in self.identifiers.names_of(*user, channel) {
                    named.entry(name.clone()).or_default().push(at);
                }
            }
            let mut passed_over: BTreeSet<usize> = BTreeSet::new();
            for (name, places) in named {
                text.clear();
                write(&mut text, &name);
                let users = places.iter().filter_map(|at| to.users.get(*at));
                let users: Vec<User> = users.copied().collect();
                let mut behind = Vec::new();
                let some = Audience {
                    users: &users,
                    ..to
                };
                self.send(some, plain(as_text(&text)), &mut behind);
                passed_over.extend(behind.iter().filter_map(|at| places.get(*at)));
            }
            late.extend(passed_over);
        }
        *self.text = text;
    }
}

/// The place of a publication, if it has one, for who is told places.
fn place<'p>(
    encoding: EncodingId,
    (stream, epoch): (&'p str, &'p str),
    offset: u64,
) -> Option<StreamPlace<'p>> {
    let is_told = encoding == EXTENDED_CABLE && offset > 0;
    is_told.then_some(StreamPlace {
        stream,
        epoch,
        offset,
    })
}
