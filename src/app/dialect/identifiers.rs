//! What clients of `ActionCable` call their subscriptions, and which channel each is of: a client
//! may call one channel by several names, and others by others.

use crate::app::User;
use crate::app::hub::publication::ChosenName;
use crate::limits;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The subscriptions of the clients of one core.
#[derive(Debug, Default)]
pub struct IdentifierBook {
    clients: BTreeMap<User, Vec<CableSubscription>>,
    /// By channel: what its subscribers call it, and how many call it that.
    names: BTreeMap<Arc<str>, Vec<(Arc<str>, usize)>>,
    /// The number of the newest subscription or question.
    newest: u32,
}

/// One subscription.
#[derive(Clone, Debug)]
pub struct CableSubscription {
    /// What the client calls it: a JSON string.
    pub identifier: Arc<str>,
    /// What it is of; `None` for what no channel is behind.
    pub channel: Option<Arc<str>>,
    /// What performs its actions.
    pub kind: CableKind,
    /// What its answer is known by.
    pub ticket: u32,
    /// The client knows that it stands.
    pub is_confirmed: bool,
    /// The client wants to know whether it has been given everything that it missed.
    pub asks_history: bool,
    /// What the answer to who is there is known by, and whether they are to be named; 0 if nobody
    /// asks.
    presence: (u32, bool),
    /// What the client calls itself in that channel, if it is there for the others.
    pub chosen: Option<Box<ChosenName>>,
}

/// What performs the actions of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CableKind {
    /// `echo` is told to who performs it.
    Echo,
    /// `speak` is told to all.
    Chat,
    /// Nothing does: it is a stream.
    Stream,
}

impl IdentifierBook {
    /// A client's subscription of that name.
    pub fn get(&mut self, user: User, identifier: &str) -> Option<&mut CableSubscription> {
        let mut all = self.clients.get_mut(&user)?.iter_mut();
        all.find(|it| *it.identifier == *identifier)
    }

    /// The subscription that an answer is for.
    pub fn answered(&mut self, user: User, ticket: u32) -> Option<&mut CableSubscription> {
        let mut all = self.clients.get_mut(&user)?.iter_mut();
        all.find(|it| it.ticket == ticket)
    }

    /// A client subscribes; what the answer is known by. `None` if it may have no more.
    pub fn begin(
        &mut self,
        user: User,
        (identifier, kind): (&str, CableKind),
        channel: Option<&str>,
    ) -> Option<u32> {
        let all = self.clients.entry(user).or_default();
        if all.len() >= limits::CHANNELS_PER_CLIENT {
            return None;
        }
        let ticket = self.next();
        let all = self.clients.entry(user).or_default();
        let mut subscription = CableSubscription {
            identifier: identifier.into(),
            channel: channel.map(Into::into),
            kind,
            ticket,
            is_confirmed: false,
            asks_history: false,
            presence: (0, false),
            chosen: None,
        };
        if let Some(channel) = &mut subscription.channel {
            let known = self.names.get_key_value(channel);
            if let Some((name, _)) = known {
                *channel = name.clone();
            }
            let names = self.names.entry(channel.clone()).or_default();
            match names.iter_mut().find(|(name, _)| **name == *identifier) {
                Some((name, count)) => {
                    subscription.identifier = name.clone();
                    *count += 1;
                }
                None => names.push((subscription.identifier.clone(), 1)),
            }
        }
        all.push(subscription);
        Some(ticket)
    }

    /// What a client calls itself in a channel, if it is there for the others.
    pub fn chosen(&self, user: User, channel: &str) -> Option<ChosenName> {
        let all = self.clients.get(&user).into_iter().flatten();
        let mut of = all.filter(|it| it.channel.as_deref() == Some(channel));
        of.find_map(|it| it.chosen.as_deref().cloned())
    }

    /// A client calls itself that in a channel, whatever it calls the channel; `None`: it is not
    /// there any more.
    pub fn choose(&mut self, user: User, channel: &str, chosen: Option<&ChosenName>) {
        let all = self.clients.get_mut(&user).into_iter().flatten();
        let mut chosen = chosen.map(|it| Box::new(it.clone()));
        for it in all.filter(|it| it.channel.as_deref() == Some(channel)) {
            it.chosen = chosen.take();
        }
    }

    /// A client asks who is there: what the answer is known by.
    pub fn asks_presence(
        &mut self,
        user: User,
        identifier: &str,
        wants_records: bool,
    ) -> Option<u32> {
        let ticket = self.next();
        let known = self.get(user, identifier)?;
        known.presence = (ticket, wants_records);
        Some(ticket)
    }

    /// What the client calls the subscription that an answer to who is there is for, and whether
    /// they are to be named; `None` for an answer to something else.
    pub fn presence_answered(&mut self, user: User, ticket: u32) -> Option<(Arc<str>, bool)> {
        let mut all = self.clients.get_mut(&user)?.iter_mut();
        let known = all.find(|it| it.presence.0 == ticket && ticket > 0)?;
        let (_, wants_records) = std::mem::take(&mut known.presence);
        Some((known.identifier.clone(), wants_records))
    }

    /// A subscription is over. Its channel, if the client calls it by no other name.
    pub fn end(&mut self, user: User, identifier: &str) -> Option<Arc<str>> {
        let all = self.clients.get_mut(&user)?;
        let at = all.iter().position(|it| *it.identifier == *identifier)?;
        let ended = all.swap_remove(at);
        let channel = ended.channel.clone()?;
        let is_last = !all.iter().any(|it| it.channel.as_ref() == Some(&channel));
        self.forget(&ended);
        is_last.then_some(channel)
    }

    /// All of a client's subscriptions to a channel are over: what it called them.
    pub fn end_channel(&mut self, user: User, channel: &str) -> Vec<Arc<str>> {
        let names: Vec<_> = self.names_of(user, channel).cloned().collect();
        for name in &names {
            self.end(user, name);
        }
        names
    }

    /// A client is gone.
    pub fn left(&mut self, user: User) {
        for ended in self.clients.remove(&user).unwrap_or_default() {
            self.forget(&ended);
        }
    }

    /// What all subscribers of a channel call it, if they agree.
    #[must_use]
    pub fn only_name(&self, channel: &str) -> Option<Arc<str>> {
        match self.names.get(channel).map(Vec::as_slice) {
            Some([(name, _)]) => Some(name.clone()),
            _ => None,
        }
    }

    /// What a client calls a channel.
    pub fn names_of(&self, user: User, channel: &str) -> impl Iterator<Item = &Arc<str>> {
        let all = self.clients.get(&user).into_iter().flatten();
        let of = all.filter(move |it| it.channel.as_deref() == Some(channel));
        of.map(|it| &it.identifier)
    }

    /// What a subscription or a question is known by: those of sessions and of nobody are others.
    const fn next(&mut self) -> u32 {
        self.newest = (self.newest % (u32::MAX - 2)) + 1;
        self.newest
    }

    /// Nobody calls a channel that any more, perhaps.
    fn forget(&mut self, ended: &CableSubscription) {
        let Some(channel) = &ended.channel else {
            return;
        };
        if let Some(names) = self.names.get_mut(channel) {
            if let Some((_, count)) = names.iter_mut().find(|(name, _)| *name == ended.identifier) {
                *count -= 1;
            }
            names.retain(|(_, count)| *count > 0);
            if names.is_empty() {
                self.names.remove(channel);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_has_one_name_while_all_agree_and_none_once_nobody_is_there() {
        let mut book = IdentifierBook::default();
        let (a, b) = (User(1), User(2));
        let chat = |name: &'static str| (name, CableKind::Chat);
        let first = book.begin(a, chat("x"), Some("chat")).expect("room");
        let second = book.begin(b, chat("x"), Some("chat")).expect("room");
        assert_ne!(first, second);
        assert_eq!(book.only_name("chat").as_deref(), Some("x"));
        book.begin(b, chat("y"), Some("chat"));
        assert_eq!(book.only_name("chat"), None);
        assert_eq!(book.names_of(b, "chat").count(), 2);
        assert_eq!(book.end(b, "x"), None, "it calls it y too");
        assert_eq!(book.end(b, "x"), None, "twice");
        assert_eq!(book.end(b, "y").as_deref(), Some("chat"));
        assert_eq!(book.only_name("chat").as_deref(), Some("x"));
        assert!(book.answered(a, first).is_some() && book.answered(a, second).is_none());
        assert_eq!(book.end_channel(a, "chat").len(), 1);
        assert_eq!((book.only_name("chat"), book.names.len()), (None, 0));
        book.begin(a, ("e", CableKind::Echo), None);
        book.begin(a, chat("x"), Some("chat"));
        book.left(a);
        assert_eq!((book.names.len(), book.clients.len()), (0, 1));
    }

    #[test]
    fn a_client_has_a_bounded_number_of_them() {
        let mut book = IdentifierBook::default();
        let mut begun = 0;
        while book
            .begin(User(1), (&begun.to_string(), CableKind::Echo), None)
            .is_some()
        {
            begun += 1;
        }
        assert_eq!(begun, limits::CHANNELS_PER_CLIENT);
    }
}
