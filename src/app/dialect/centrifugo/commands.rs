//! Commands of a client that is connected: first the rules are asked, then each is carried out.

use super::{
    Asker, Broker, CentrifugoClients, ChannelQuestion, ChannelRequest, CloseAdvice, CommandKind,
    Desk, Effects, ErrorCode, Hub, HubLetter, RpcRequest, Ruling, Seat, User, codec, done, excerpt,
    json, views,
};
use crate::app::dialect::allowed;
use crate::app::hub::session::is_reserved;
use std::borrow::Cow;
use std::ops::ControlFlow;

impl CentrifugoClients {
    /// Carries out one command, or says how the client is ended.
    pub(super) fn carry_out<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        (asker, seat): (Asker, Seat),
        kind: CommandKind<'_>,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) -> Result<ControlFlow<CloseAdvice>, ErrorCode> {
        let (user, id) = (asker.user, asker.ticket);
        let is_allowed = ruling(user, &kind, desk)?;
        match kind {
            // These are not for who is connected, or need no answer.
            CommandKind::Connect(_) | CommandKind::Pong | CommandKind::Send => {}
            CommandKind::Ping => done(asker, b"\"ping\":{}", desk),
            CommandKind::Subscribe(request) => {
                self.subscribe((user, seat), id, &request, hub, desk)?;
            }
            CommandKind::Unsubscribe(ChannelRequest { channel }) => {
                desk.holders().unsubscribed(seat, &channel);
                hub.unsubscribe(seat, &channel, desk);
                done(asker, b"\"unsubscribe\":{}", desk);
            }
            CommandKind::Publish(request) => {
                let data = request.data.ok_or(ErrorCode::BAD_REQUEST)?.get();
                allowed::publish((asker, seat), (&request.channel, data), hub, desk)?;
            }
            CommandKind::Presence(ChannelRequest { channel }) => {
                let question = (ChannelQuestion::Presence, is_allowed);
                self.look((asker, seat), &channel, question, hub, desk)?;
            }
            CommandKind::PresenceStats(ChannelRequest { channel }) => {
                let question = (ChannelQuestion::Headcount, is_allowed);
                self.look((asker, seat), &channel, question, hub, desk)?;
            }
            CommandKind::History(request) => {
                let question = ChannelQuestion::History(excerpt(&request));
                let question = (question, is_allowed);
                self.look((asker, seat), &request.channel, question, hub, desk)?;
            }
            CommandKind::Rpc(request) => self.call(asker, &request, desk)?,
            CommandKind::Refresh(request) => return Ok(self.refresh(asker, seat, &request, desk)),
            CommandKind::SubRefresh(request) => {
                self.refresh_subscription(asker, seat, &request, hub, desk)?;
            }
            CommandKind::Unknown => return Err(ErrorCode::METHOD_NOT_FOUND),
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Asks something about a channel, which a rule may have allowed.
    fn look<B: Broker, E: Effects<Vec<HubLetter>>>(
        &self,
        (asker, seat): (Asker, Seat),
        channel: &str,
        (question, is_allowed): (ChannelQuestion, bool),
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) -> Result<(), ErrorCode> {
        let is_open = is_allowed || self.rules.subscribe && !is_reserved(channel);
        if !is_open && !hub.has_subscribed(seat, channel) {
            return Err(ErrorCode::PERMISSION_DENIED);
        }
        hub.ask(asker, channel, question, desk);
        Ok(())
    }

    /// Calls a procedure.
    fn call<E: Effects<Vec<HubLetter>>>(
        &self,
        asker: Asker,
        request: &RpcRequest<'_>,
        desk: &mut Desk<'_, E>,
    ) -> Result<(), ErrorCode> {
        let data = request.data.map_or("null", |data| data.get());
        let returned = desk.gatekeeper().called(asker.user, &request.method, data);
        let data = match returned {
            Some(Ok(data)) => Cow::Owned(data.into_string()),
            Some(Err(refusal)) => return Err(views::refusal(refusal)),
            None if self.rules.echo && request.method == "echo" => json::one_line(data),
            None => return Err(ErrorCode::METHOD_NOT_FOUND),
        };
        desk.say(asker.user, |into| {
            codec::reply(into, asker.ticket, |into| codec::rpc(into, &data));
        });
        Ok(())
    }
}

/// Whether a rule allows a command; it may refuse it.
fn ruling<E: Effects<Vec<HubLetter>>>(
    user: User,
    kind: &CommandKind<'_>,
    desk: &mut Desk<'_, E>,
) -> Result<bool, ErrorCode> {
    let gatekeeper = desk.gatekeeper();
    if !gatekeeper.is_on() {
        return Ok(false);
    }
    let (event, channel) = event(kind);
    match gatekeeper.event(user, &event, channel) {
        Ruling::Pass => Ok(false),
        Ruling::Allow => Ok(true),
        Ruling::Refuse(refusal) => Err(views::refusal(refusal)),
    }
}

/// What a command is called in rules, and the channel that it is about.
fn event<'k>(kind: &'k CommandKind<'_>) -> (Cow<'static, str>, &'k str) {
    let (event, channel) = match kind {
        CommandKind::Connect(_) => ("connect", ""),
        CommandKind::Pong => ("pong", ""),
        CommandKind::Ping => ("ping", ""),
        CommandKind::Send => ("send", ""),
        CommandKind::Unknown => ("unknown", ""),
        CommandKind::Subscribe(request) => ("subscribe", &*request.channel),
        CommandKind::Unsubscribe(request) => ("unsubscribe", &*request.channel),
        CommandKind::Publish(request) => ("publish", &*request.channel),
        CommandKind::Presence(request) => ("presence", &*request.channel),
        CommandKind::PresenceStats(request) => ("presence_stats", &*request.channel),
        CommandKind::History(request) => ("history", &*request.channel),
        CommandKind::Refresh(_) => ("refresh", ""),
        CommandKind::SubRefresh(request) => ("sub_refresh", &*request.channel),
        CommandKind::Rpc(request) => {
            return (Cow::Owned(format!("rpc:{}", request.method)), "");
        }
    };
    (Cow::Borrowed(event), channel)
}
