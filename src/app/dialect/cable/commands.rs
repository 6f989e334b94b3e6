//! What a client of `ActionCable` asks for.

use super::subscriptions::{is_extended, known, ruling};
use super::{
    Asker, Broker, CABLE, CableClients, CableKind, CableSubscription, Desk, Effects, Epoch,
    ErrorCode, Hub, HubError, HubLetter, Seat, Since, SubscribeWish, User, attending, codec,
    limits, views,
};
use crate::app::Message;
use crate::app::backend::HookKind;
use crate::app::dialect::allowed::Voice;
use crate::app::dialect::{AskedFirst, allowed};
use crate::protocol::cable::{CableAction, CableCommand, CableHistory, CableVerb};
use crate::protocol::json;
use std::borrow::Cow;

impl CableClients {
    /// What the application is asked before a client is heard that says that. Of streams whose
    /// names it has signed it is not asked.
    #[must_use]
    pub fn asks(&self, message: Message<'_>) -> AskedFirst {
        let mut asked = AskedFirst::default();
        let Ok(command) = codec::read_command(message.bytes) else {
            return asked;
        };
        let Ok(identifier) = command.identifier() else {
            return asked;
        };
        let target = self.target(&identifier);
        let channel = target.as_ref().and_then(|it| it.channel.as_deref());
        match (command.verb, &target) {
            (CableVerb::Subscribe, Some(target)) if !target.is_signed => {
                if let Some(channel) = channel {
                    asked.ask(HookKind::Subscribe, channel, None);
                }
            }
            (CableVerb::Whisper, _) => {
                if let (Some(channel), Some(data)) = (channel, command.data) {
                    asked.ask(HookKind::Publish, channel, Some(data.get()));
                }
            }
            (CableVerb::Message, target) => {
                let Ok(CableAction { name, data }) = command.action() else {
                    return asked;
                };
                match (target.as_ref().map(|it| it.kind), &*name, channel) {
                    (Some(CableKind::Echo), "echo", _) => {}
                    (Some(CableKind::Chat), "speak", Some(channel)) => {
                        asked.ask(HookKind::Publish, channel, Some(&data));
                    }
                    _ => asked.ask(HookKind::Call, &name, Some(&data)),
                }
            }
            (_, _) => {}
        }
        asked
    }

    /// Carries out one command. Whoever performs an action is not answered by any other.
    pub(super) fn carry_out<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        client: (User, Seat),
        command: &CableCommand<'_>,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) -> Result<(), ErrorCode> {
        let user = client.0;
        let identifier = identifier(user, command, desk)?;
        let identifier = &*identifier;
        match command.verb {
            CableVerb::Subscribe => self.subscribe(client, (identifier, command), hub, desk),
            CableVerb::Unsubscribe => {
                ruling(user, "unsubscribe", "", desk)?;
                if let Some(channel) = desk.identifiers().end(user, identifier) {
                    hub.unsubscribe(client.1, &channel, desk);
                }
                Ok(())
            }
            CableVerb::Message => Self::perform(client, (identifier, command), hub, desk),
            CableVerb::History => {
                let known = known(user, identifier, desk)?;
                let history = command.history.as_ref();
                Self::catch_up(client, &known, history, hub, desk)
            }
            CableVerb::Whisper => whisper(client, (identifier, command), hub, desk),
            CableVerb::Join | CableVerb::Leave | CableVerb::Presence => {
                attending::attend(client, (identifier, command), hub, desk)
            }
            CableVerb::Pong => Ok(()),
            CableVerb::Other => Err(ErrorCode::METHOD_NOT_FOUND),
        }
    }

    fn subscribe<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        (user, seat): (User, Seat),
        (identifier, command): (&str, &CableCommand<'_>),
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) -> Result<(), ErrorCode> {
        if let Some(known) = desk.identifiers().get(user, identifier) {
            // Rails says nothing here, and its client asks again and again (rails#48292).
            if known.is_confirmed {
                desk.say(user, |into| codec::confirm(into, identifier));
            }
            return Ok(());
        }
        let begun = self.begin((user, seat), (identifier, command), hub, desk);
        if begun.is_err() {
            desk.identifiers().end(user, identifier);
            desk.say(user, |into| codec::reject(into, identifier));
        }
        begun
    }

    fn begin<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        (user, seat): (User, Seat),
        (identifier, command): (&str, &CableCommand<'_>),
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) -> Result<(), ErrorCode> {
        if identifier.len() > limits::CABLE_IDENTIFIER_BYTES {
            return Err(ErrorCode::LIMIT_EXCEEDED);
        }
        let called = command.identifier().map_err(|_| ErrorCode::BAD_REQUEST)?;
        let target = self.target(&called);
        let target = target.ok_or(ErrorCode::UNKNOWN_CHANNEL)?;
        let channel = target.channel.as_deref();
        ruling(user, "subscribe", channel.unwrap_or_default(), desk)?;
        if let Some(channel) = channel {
            let is_open = self.rules.subscribe;
            let may = allowed::may_subscribe((user, seat), channel, is_open, desk)?;
            if !may && !target.is_signed {
                return Err(ErrorCode::PERMISSION_DENIED);
            }
        }
        let called = (identifier, target.kind);
        let ticket = desk.identifiers().begin(user, called, channel);
        let ticket = ticket.ok_or(ErrorCode::LIMIT_EXCEEDED)?;
        let chosen = attending::begins((user, seat), command, channel, hub, desk);
        let Some(channel) = channel else {
            desk.stands(user, identifier);
            return Ok(());
        };
        let history = command.history.as_ref().filter(|_| is_extended(seat, hub));
        if let Some(known) = desk.identifiers().get(user, identifier) {
            known.asks_history = history.is_some();
        }
        let wish = SubscribeWish {
            channel,
            since: history.and_then(|history| since(history, channel, desk)),
            ticket,
            by_server: false,
            whole: false,
            shown: attending::shown(seat, chosen.as_ref(), hub),
        };
        match hub.subscribe(seat, wish, desk) {
            Ok(()) => Ok(()),
            // By another name, or the application has subscribed it.
            Err(HubError::AlreadySubscribed) => {
                desk.stands(user, identifier);
                if chosen.is_some() {
                    hub.attend(seat, channel, wish.shown, desk);
                }
                match history {
                    Some(_) => {
                        let known = known(user, identifier, desk)?;
                        Self::catch_up((user, seat), &known, history, hub, desk)
                    }
                    None => Ok(()),
                }
            }
            Err(error) => Err(views::error(error)),
        }
    }

    /// A client asks for what it has missed of a subscription that stands: it subscribes anew.
    fn catch_up<B: Broker, E: Effects<Vec<HubLetter>>>(
        (user, seat): (User, Seat),
        known: &CableSubscription,
        history: Option<&CableHistory<'_>>,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) -> Result<(), ErrorCode> {
        let (channel, history) = match (known.channel.as_deref(), history) {
            (Some(channel), Some(history)) if known.is_confirmed => (channel, history),
            _ => return Err(ErrorCode::BAD_REQUEST),
        };
        if !is_extended(seat, hub) {
            return Err(ErrorCode::METHOD_NOT_FOUND);
        }
        if let Some(known) = desk.identifiers().get(user, &known.identifier) {
            known.asks_history = true;
        }
        hub.unsubscribe(seat, channel, desk);
        let wish = SubscribeWish {
            channel,
            since: since(history, channel, desk),
            ticket: known.ticket,
            by_server: false,
            whole: false,
            shown: attending::shown(seat, known.chosen.as_deref(), hub),
        };
        hub.subscribe(seat, wish, desk).map_err(views::error)
    }

    /// Performs an action.
    fn perform<B: Broker, E: Effects<Vec<HubLetter>>>(
        (user, seat): (User, Seat),
        (identifier, command): (&str, &CableCommand<'_>),
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) -> Result<(), ErrorCode> {
        let known = desk.identifiers().get(user, identifier);
        let known = known.ok_or(ErrorCode::BAD_REQUEST)?;
        let (kind, channel) = (known.kind, known.channel.clone());
        let channel = channel.as_deref();
        let action = command.action().map_err(|_| ErrorCode::BAD_REQUEST)?;
        let CableAction { name, data } = &action;
        if desk.gatekeeper().is_on() {
            let event = format!("rpc:{name}");
            ruling(user, &event, channel.unwrap_or_default(), desk)?;
        }
        match (kind, &**name, channel) {
            (CableKind::Echo, "echo", _) => {
                desk.answer_at_once(|into| codec::message(into, identifier, data, None));
                Ok(())
            }
            (CableKind::Chat, "speak", Some(channel)) => {
                let asker = Asker {
                    user,
                    encoding: CABLE,
                    ticket: 0,
                };
                allowed::publish((asker, seat), (channel, data), hub, desk)
            }
            _ => match desk.gatekeeper().called(user, name, data) {
                None => Err(ErrorCode::METHOD_NOT_FOUND),
                Some(Ok(said)) => {
                    desk.say(user, |into| codec::message(into, identifier, &said, None));
                    Ok(())
                }
                Some(Err(refusal)) => Err(views::refusal(refusal)),
            },
        }
    }
}

/// What a client calls its subscription, as it is written here: clients write it alike, mostly.
fn identifier<'c, E: Effects<Vec<HubLetter>>>(
    user: User,
    command: &CableCommand<'c>,
    desk: &mut Desk<'_, E>,
) -> Result<Cow<'c, str>, ErrorCode> {
    let written = command.written_identifier();
    if desk.identifiers().get(user, written).is_some() {
        return Ok(Cow::Borrowed(written));
    }
    let text = command.identifier().map_err(|_| ErrorCode::BAD_REQUEST)?;
    let mut encoded = Vec::new();
    json::string(&mut encoded, &text);
    // It was written as text.
    Ok(Cow::Owned(String::from_utf8(encoded).unwrap_or_default()))
}

/// A client tells the others something that is not kept.
fn whisper<B: Broker, E: Effects<Vec<HubLetter>>>(
    (user, seat): (User, Seat),
    (identifier, command): (&str, &CableCommand<'_>),
    hub: &mut Hub<B>,
    desk: &mut Desk<'_, E>,
) -> Result<(), ErrorCode> {
    let known = known(user, identifier, desk)?;
    let (Some(channel), Some(data)) = (known.channel, command.data) else {
        return Err(ErrorCode::BAD_REQUEST);
    };
    let asker = Asker {
        user,
        encoding: CABLE,
        ticket: 0,
    };
    let said = (&*channel, data.get());
    allowed::say(Voice::Whisper, (asker, seat), said, hub, desk)
}

/// Where a client was in a channel: at a place, or at a time by its own clock. Of what was before
/// this server nothing is known.
fn since<E: Effects<Vec<HubLetter>>>(
    history: &CableHistory<'_>,
    channel: &str,
    desk: &mut Desk<'_, E>,
) -> Option<Since> {
    if let Some(place) = history.streams.get(channel) {
        return Some(Since::place(Epoch::parse(&place.epoch), place.offset));
    }
    let at = desk.holders().instant(history.since?);
    Some(at.map_or(Since::place(None, 0), Since::time))
}
