//! Sessions that nobody is in any more: after a grace time they have ended, and are forgotten.

use super::{ArrivalPurpose, Broker, BrokerCommand, BrokerReply, Home};
use crate::app::hub::session::{SessionId, is_session};
use crate::time::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// When which session ends.
#[derive(Debug, Default)]
pub(super) struct EndingSessions {
    /// Time between the last socket and the end.
    grace: Duration,
    at: BTreeMap<Arc<str>, Instant>,
    /// The same, the first first; some have been put off.
    order: VecDeque<(Instant, Arc<str>)>,
    /// Those that have ended and are not told of yet, with what they held.
    ended: Vec<(SessionId, Arc<str>)>,
}

impl EndingSessions {
    pub(super) fn new(grace: Duration) -> Self {
        Self {
            grace,
            ..Self::default()
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.order.front().map(|(at, _)| *at)
    }

    fn later(&mut self, channel: &Arc<str>, now: Instant) {
        let at = now + self.grace;
        self.at.insert(channel.clone(), at);
        self.order.push_back((at, channel.clone()));
    }

    /// Those of these channels that are sessions end later; there were none before.
    pub(super) fn all_later<'c>(
        &mut self,
        channels: impl Iterator<Item = &'c Arc<str>>,
        now: Instant,
    ) {
        let at = now + self.grace;
        let sessions = channels.filter(|channel| is_session(channel));
        self.order = sessions.map(|channel| (at, channel.clone())).collect();
        let order = self.order.iter();
        self.at = order.map(|(at, channel)| (channel.clone(), *at)).collect();
    }

    /// The next one whose time has come.
    fn next(&mut self, now: Instant) -> Option<Arc<str>> {
        while let Some((at, channel)) = self.order.pop_front_if(|(at, _)| *at <= now) {
            if self.at.get(&channel) == Some(&at) {
                self.at.remove(&channel);
                return Some(channel);
            }
        }
        None
    }
}

impl<B: Broker> Home<B> {
    /// Nobody is in that channel: if it is a session's it ends later.
    pub(super) fn end_later(&mut self, channel: &Arc<str>) {
        if is_session(channel) && self.channels.get(channel).is_none() {
            self.ending.later(channel, self.now);
        }
    }

    /// Ends those whose time has come.
    pub(super) fn end_due(&mut self) {
        while let Some(channel) = self.ending.next(self.now) {
            if self.channels.get(&channel).is_none() {
                self.ask(&channel, ArrivalPurpose::Ended, BrokerCommand::Forget);
            }
        }
    }

    /// A session is forgotten, if the broker could be reached.
    pub(super) fn forgotten(&mut self, channel: &Arc<str>, reply: BrokerReply) {
        let BrokerReply::Read(caught) = reply else {
            return self.end_later(channel);
        };
        if let Some(session) = SessionId::of_channel(channel) {
            let last = caught.publications.last();
            let data = last.map_or_else(|| "{}".into(), |last| last.data.clone());
            self.ending.ended.push((session, data));
        }
    }

    /// Those that have ended since this was asked, with what they held.
    pub(in super::super) fn ended(&mut self) -> Vec<(SessionId, Arc<str>)> {
        std::mem::take(&mut self.ending.ended)
    }
}
