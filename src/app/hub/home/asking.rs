//! What is asked of a home core's channels, and whom a publication goes to beside their
//! subscribers.

use super::{ArrivalPurpose, Publication};
use super::{
    Asker, Broker, BrokerCommand, Core, Home, HomeChannel, HubAnswer, HubError, HubLetter,
};
use crate::app::hub::letter::ChannelQuestion;
use crate::app::hub::session::is_session;
use crate::app::hub::watchers::WatchingCore;
use crate::limits;
use std::collections::BTreeSet;
use std::sync::Arc;

impl<B: Broker> Home<B> {
    /// Somebody on that core asks something of a channel.
    pub(in super::super) fn asked(
        &mut self,
        core: Core,
        asker: Asker,
        channel: &Arc<str>,
        question: ChannelQuestion,
    ) {
        let purpose = match &question {
            ChannelQuestion::Publish(it) | ChannelQuestion::Tell(it)
                if self.watchers.of(channel).next().is_some() =>
            {
                ArrivalPurpose::Published(core, asker, it.clone())
            }
            _ => ArrivalPurpose::Answer(core, asker),
        };
        let options = self.namespaces.of(channel);
        let command = match (options, question) {
            (None, _) => Err(HubError::UnknownChannel),
            (Some(_), ChannelQuestion::Publish(publication)) => {
                Ok(BrokerCommand::Publish(publication))
            }
            (Some(_), ChannelQuestion::Tell(publication)) => Ok(BrokerCommand::Tell(publication)),
            (Some(_), ChannelQuestion::Merge(members)) if is_session(channel) => {
                self.end_later(channel);
                Ok(BrokerCommand::Merge(members))
            }
            (Some(of), ChannelQuestion::History(excerpt)) if of.history.is_on() => {
                Ok(BrokerCommand::Read(excerpt))
            }
            (Some(of), ChannelQuestion::ClearHistory) if of.history.is_on() => {
                Ok(BrokerCommand::Clear)
            }
            (Some(of), ChannelQuestion::Presence) if of.presence => {
                Ok(BrokerCommand::List(limits::PRESENCE_LISTED))
            }
            (Some(of), ChannelQuestion::Headcount) if of.presence => Ok(BrokerCommand::Count),
            (
                Some(_),
                ChannelQuestion::History(_)
                | ChannelQuestion::ClearHistory
                | ChannelQuestion::Presence
                | ChannelQuestion::Headcount
                | ChannelQuestion::Merge(_),
            ) => Err(HubError::NotAvailable),
        };
        match command {
            Ok(command) => self.ask(channel, purpose, command),
            Err(error) => self.answer(core, asker, HubAnswer::Refused(error)),
        }
    }

    /// Tells those who watch a pattern of what was published there, once it has its number.
    pub(super) fn tell_watchers(&mut self, channel: &Arc<str>, (offset, it): (u64, Publication)) {
        let publication = Publication { offset, ..it };
        for WatchingCore { core, local, .. } in self.watchers.of(channel) {
            let letter = HubLetter::Matched {
                local: *local,
                channel: channel.clone(),
                publication: publication.clone(),
            };
            self.said.push_back((*core, letter));
        }
    }

    /// How many are told of a channel, patterns among them, and on how many cores.
    pub(super) fn reach(&self, channel: &Arc<str>) -> (u64, u16) {
        let home = self.channels.get(channel);
        let named = home.into_iter().flat_map(HomeChannel::cores);
        let watching = self.watchers.of(channel);
        let watching = watching.map(|it| (it.core, it.subscribers));
        let mut cores = BTreeSet::new();
        let mut clients = 0;
        for (core, subscribers) in named.chain(watching) {
            cores.insert(core);
            clients += u64::from(subscribers);
        }
        (clients, u16::try_from(cores.len()).unwrap_or(u16::MAX))
    }
}
