//! What a client asks for that has made its handshake: first the rules are asked, then each is
//! carried out.

use super::{
    Broker, ClientPacket, ClusterClients, ClusterError, Desk, Effects, ErrorCode, Hub, HubLetter,
    Ruling, SOCKETCLUSTER, Seat, User, codec, views,
};
use crate::app::dialect::allowed;
use crate::app::hub::answer::{Asker, HubError, ShownAs, SubscribeWish};
use crate::app::tokens::TokenFault;
use crate::protocol::socketcluster::Subscription;
use std::borrow::Cow;

impl ClusterClients {
    /// Carries out an event.
    pub(super) fn carry_out<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        (user, seat): (User, Seat),
        (event, packet): (&str, &ClientPacket<'_>),
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) -> Result<(), ErrorCode> {
        ruling(user, (event, packet), desk)?;
        match event {
            "#publish" => self.publish((user, seat), packet, hub, desk),
            // Without a call it subscribes to nothing (`_processInboundPacket`).
            "#subscribe" if packet.call.is_none() => Ok(()),
            "#subscribe" => self.subscribe((user, seat), packet, hub, desk),
            "#unsubscribe" => {
                let channel = codec::read_text(packet.data).ok_or(ErrorCode::BAD_REQUEST)?;
                desk.holders().unsubscribed(seat, &channel);
                let is_done = hub.unsubscribe(seat, &channel, desk);
                if let Some(call) = packet.call {
                    self.note(|into| match is_done {
                        true => codec::response(into, &call, None),
                        false => codec::failure(into, &call, NOT_SUBSCRIBED),
                    });
                }
                Ok(())
            }
            event => {
                let data = packet.data.map_or("null", |data| data.get());
                let returned = match packet.call {
                    Some(_) => desk.gatekeeper().called(user, event, data),
                    None => None,
                };
                match (packet.call, returned) {
                    (Some(call), Some(Ok(data))) => {
                        self.note(|into| codec::response(into, &call, Some(&data)));
                        Ok(())
                    }
                    (_, Some(Err(refusal))) => Err(views::refusal(refusal)),
                    (_, Some(Ok(_)) | None) => self.call(seat, (event, packet)),
                }
            }
        }
    }

    fn subscribe<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        (user, seat): (User, Seat),
        packet: &ClientPacket<'_>,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) -> Result<(), ErrorCode> {
        let said = Subscription::read(packet.data).map_err(|_| ErrorCode::BAD_REQUEST)?;
        let channel = &*said.channel;
        let is_open = self.rules.subscribe;
        let may = allowed::may_subscribe((user, seat), channel, is_open, desk)?;
        let until_s = match said.token() {
            Some(token) if !may => {
                let now = desk.effects().now();
                let until_s = desk.holders().subscribe(seat, (channel, &token), now);
                until_s.map_err(|fault| match fault {
                    TokenFault::Invalid => ErrorCode::PERMISSION_DENIED,
                    TokenFault::Expired => ErrorCode::TOKEN_EXPIRED,
                })?
            }
            Some(_) | None if may => None,
            Some(_) | None => return Err(ErrorCode::PERMISSION_DENIED),
        };
        let wish = SubscribeWish {
            channel,
            since: None,
            ticket: ticket(packet)?,
            by_server: false,
            whole: false,
            shown: ShownAs::Itself,
        };
        self.flush(user, desk);
        match hub.subscribe(seat, wish, desk) {
            Ok(()) => {}
            // It is told as if it were not (`_subscribeSocket`).
            Err(HubError::AlreadySubscribed) => {
                if let Some(call) = packet.call {
                    self.note(|into| codec::response(into, &call, None));
                }
            }
            Err(error) => return Err(views::error(error)),
        }
        desk.holders().subscribed(seat, channel, until_s);
        Ok(())
    }

    fn publish<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        (user, seat): (User, Seat),
        packet: &ClientPacket<'_>,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) -> Result<(), ErrorCode> {
        let said = Subscription::read(packet.data).map_err(|_| ErrorCode::BAD_REQUEST)?;
        let asker = Asker {
            user,
            encoding: SOCKETCLUSTER,
            ticket: ticket(packet)?,
        };
        let data = said.data.map_or("null", |data| data.get());
        self.flush(user, desk);
        allowed::publish((asker, seat), (&said.channel, data), hub, desk)
    }
}

/// What is told to who leaves a channel that it is not in.
const NOT_SUBSCRIBED: ClusterError<'_> = ClusterError {
    name: "BrokerError",
    message: "not subscribed to that channel",
    code: None,
};

/// What a packet is known by that is answered later; 0 for one that wants no answer.
fn ticket(packet: &ClientPacket<'_>) -> Result<u32, ErrorCode> {
    const STRANGE: ErrorCode = ErrorCode {
        message: "the number of a call is a whole one up to 4294967290",
        ..ErrorCode::BAD_REQUEST
    };
    match packet.call {
        Some(call) => call.ticket().ok_or(STRANGE),
        None => Ok(0),
    }
}

/// Whether a rule refuses a packet.
fn ruling<E: Effects<Vec<HubLetter>>>(
    user: User,
    (event, packet): (&str, &ClientPacket<'_>),
    desk: &mut Desk<'_, E>,
) -> Result<(), ErrorCode> {
    let gatekeeper = desk.gatekeeper();
    if !gatekeeper.is_on() {
        return Ok(());
    }
    let about = Subscription::read(packet.data).map(|said| said.channel);
    let (name, channel) = match (event, packet.call) {
        ("#publish", _) => (Cow::Borrowed("publish"), about.unwrap_or_default()),
        ("#subscribe", _) => (Cow::Borrowed("subscribe"), about.unwrap_or_default()),
        ("#unsubscribe", _) => {
            let channel = codec::read_text(packet.data).unwrap_or_default();
            (Cow::Borrowed("unsubscribe"), channel)
        }
        (event, Some(_)) => (Cow::Owned(format!("rpc:{event}")), Cow::Borrowed("")),
        (event, None) => (Cow::Owned(format!("send:{event}")), Cow::Borrowed("")),
    };
    match gatekeeper.event(user, &name, &channel) {
        Ruling::Pass | Ruling::Allow => Ok(()),
        Ruling::Refuse(refusal) => Err(views::refusal(refusal)),
    }
}
