//! Who comes to a home core's channels and goes: the broker notes it, and those who are told are.

use super::{ArrivalPurpose, Broker, BrokerCommand, BrokerReply, Home, HomeChannel};
use crate::app::hub::presence::PresenceChange;
use crate::app::hub::publication::{ClientId, ClientInfo};
use crate::limits;
use std::sync::Arc;

impl<B: Broker> Home<B> {
    /// A client that has subscribed is there as that one, or not any more, whoever it was before.
    pub(in super::super) fn attend(
        &mut self,
        channel: &Arc<str>,
        client: ClientId,
        info: Option<ClientInfo>,
    ) {
        let home = self.channels.get(channel);
        if !home.is_some_and(|home| self.namespaces.at(home.row).shows_who()) {
            return;
        }
        self.ask(channel, ArrivalPurpose::Went, BrokerCommand::Leave(client));
        if let Some(info) = info {
            self.enter(channel, info);
        }
    }

    /// A client is there.
    pub(super) fn enter(&mut self, channel: &Arc<str>, info: ClientInfo) {
        let purpose = ArrivalPurpose::Came(info.clone());
        self.ask(channel, purpose, BrokerCommand::Enter(info));
    }

    /// The broker has noted that a client came.
    pub(super) fn came(&mut self, channel: &Arc<str>, info: ClientInfo, reply: &BrokerReply) {
        if let BrokerReply::Entered {
            is_alone: Some(is_alone),
            count,
        } = *reply
        {
            let change = PresenceChange {
                info,
                came: true,
                is_alone,
            };
            self.changed(channel, change, count.clients);
        }
    }

    /// The broker has noted that a client went.
    pub(super) fn went(&mut self, channel: &Arc<str>, reply: BrokerReply) {
        if let BrokerReply::Gone {
            who: Some((info, is_alone)),
            count,
        } = reply
            && !self.closing
        {
            let change = PresenceChange {
                info,
                came: false,
                is_alone,
            };
            self.changed(channel, change, count.clients);
        }
    }

    /// Tells who are told, now or within a second.
    fn changed(&mut self, channel: &Arc<str>, change: PresenceChange, clients: usize) {
        if let Some(home) = self.channels.get_mut(channel)
            && self.namespaces.at(home.row).join_leave
        {
            home.change(change, clients, &mut self.said);
            self.plan_changes(channel);
        }
    }

    fn plan_changes(&mut self, channel: &Arc<str>) {
        let home = self.channels.get(channel);
        if home.is_some_and(HomeChannel::has_changes) {
            let at = self.now + limits::PRESENCE_TIME;
            self.changes_at.get_or_insert(at);
            self.changed.insert(channel.clone());
        }
    }
}
