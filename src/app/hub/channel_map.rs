//! Something of each channel by its name; of sessions, of which there are as many as clients, it
//! takes little more than what is kept of each.

use super::session::SessionId;
use super::session_table::SessionTable;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Something of each channel.
#[derive(Debug)]
pub(super) struct ChannelMap<T> {
    named: BTreeMap<Arc<str>, T>,
    sessions: SessionTable<T>,
}

impl<T> Default for ChannelMap<T> {
    fn default() -> Self {
        Self {
            named: BTreeMap::new(),
            sessions: SessionTable::default(),
        }
    }
}

impl<T> ChannelMap<T> {
    /// The channel of that name, which is made if there is none.
    pub(super) fn enter(&mut self, name: &Arc<str>, make: impl FnOnce() -> T) -> Option<&mut T> {
        match SessionId::of_channel(name) {
            Some(session) => {
                let at = self.sessions.enter(session, make);
                self.sessions.at_mut(at)
            }
            None => Some(self.named.entry(name.clone()).or_insert_with(make)),
        }
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<T> {
        match SessionId::of_channel(name) {
            Some(session) => self.sessions.remove(session),
            None => self.named.remove(name),
        }
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        match SessionId::of_channel(name) {
            Some(session) => self.sessions.get_mut(session),
            None => self.named.get_mut(name),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&T> {
        match SessionId::of_channel(name) {
            Some(session) => self.sessions.get(session),
            None => self.named.get(name),
        }
    }

    /// Those that are no session.
    pub(super) fn named(&self) -> impl Iterator<Item = (&Arc<str>, &T)> {
        self.named.iter()
    }

    /// What all are called, sessions among them.
    pub(super) fn names(&self) -> Vec<Arc<str>> {
        let sessions = self.sessions.iter();
        let sessions = sessions.map(|(_, session, _)| session.channel().into());
        self.named.keys().cloned().chain(sessions).collect()
    }

    /// How many there are that are no sessions, and how many sessions.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.named.len(), self.sessions.len())
    }

    /// How many there are, sessions among them.
    pub(super) fn len(&self) -> usize {
        self.named.len() + self.sessions.len()
    }
}
