//! Who is there for the others of a channel, as `AnyCable` has it: a client of the extended
//! protocol is once it joins, under a name that it chooses. Clients of other protocols are as those
//! that they are.

use super::subscriptions::{is_extended, known, ruling};
use super::{Asker, Broker, Desk, EXTENDED_CABLE, Effects, ErrorCode, Hub, HubLetter, Seat, User};
use super::{codec, limits};
use crate::app::hub::answer::ShownAs;
use crate::app::hub::letter::ChannelQuestion;
use crate::app::hub::publication::ChosenName;
use crate::protocol::cable::{CableCommand, CablePresence, CableVerb};
use crate::protocol::json;

/// A client is there, or not any more, or asks who is.
pub(super) fn attend<B: Broker, E: Effects<Vec<HubLetter>>>(
    (user, seat): (User, Seat),
    (identifier, command): (&str, &CableCommand<'_>),
    hub: &mut Hub<B>,
    desk: &mut Desk<'_, E>,
) -> Result<(), ErrorCode> {
    if !is_extended(seat, hub) {
        return Err(ErrorCode::METHOD_NOT_FOUND);
    }
    let known = known(user, identifier, desk);
    let channel = known.as_ref().ok().and_then(|it| it.channel.clone());
    let done = match (command.verb, channel) {
        (_, None) => Err(ErrorCode::BAD_REQUEST),
        (CableVerb::Join, Some(channel)) => {
            let chosen = command.presence().map_err(|_| ErrorCode::BAD_REQUEST)?;
            let chosen = chosen.ok_or(ErrorCode::BAD_REQUEST)?;
            let chosen = may_join(user, &chosen, &channel, hub, desk)?;
            if desk.identifiers().chosen(user, &channel).as_ref() != Some(&chosen) {
                hub.attend(seat, &channel, ShownAs::Called(&chosen), desk);
                desk.identifiers().choose(user, &channel, Some(&chosen));
            }
            Ok(())
        }
        (CableVerb::Leave, Some(channel)) => {
            hub.attend(seat, &channel, ShownAs::Nobody, desk);
            desk.identifiers().choose(user, &channel, None);
            Ok(())
        }
        (_, Some(channel)) => ask((user, seat), (identifier, command), &channel, hub, desk),
    };
    if done.is_err() && command.verb == CableVerb::Presence {
        desk.say(user, |into| codec::presence_error(into, identifier));
    }
    done
}

/// A client asks who is there.
fn ask<B: Broker, E: Effects<Vec<HubLetter>>>(
    (user, _): (User, Seat),
    (identifier, command): (&str, &CableCommand<'_>),
    channel: &str,
    hub: &mut Hub<B>,
    desk: &mut Desk<'_, E>,
) -> Result<(), ErrorCode> {
    ruling(user, "presence", channel, desk)?;
    let wants = command.wants_records();
    let ticket = desk.identifiers().asks_presence(user, identifier, wants);
    let asker = Asker {
        user,
        encoding: EXTENDED_CABLE,
        ticket: ticket.ok_or(ErrorCode::BAD_REQUEST)?,
    };
    hub.ask(asker, channel, ChannelQuestion::Presence, desk);
    Ok(())
}

/// As whom a client is there that begins a subscription, if it says so with it. What it says wrong
/// is passed over: the subscription is none the worse for it.
pub(super) fn begins<B: Broker, E: Effects<Vec<HubLetter>>>(
    (user, seat): (User, Seat),
    command: &CableCommand<'_>,
    channel: Option<&str>,
    hub: &mut Hub<B>,
    desk: &mut Desk<'_, E>,
) -> Option<ChosenName> {
    let channel = channel.filter(|_| is_extended(seat, hub))?;
    let Ok(Some(chosen)) = command.presence() else {
        return desk.identifiers().chosen(user, channel);
    };
    match may_join(user, &chosen, channel, hub, desk) {
        Ok(chosen) => {
            desk.identifiers().choose(user, channel, Some(&chosen));
            Some(chosen)
        }
        Err(error) => {
            desk.complain(error.code);
            None
        }
    }
}

/// As whom a client is there that has chosen that name, or none.
pub(super) fn shown<'c, B: Broker>(
    seat: Seat,
    chosen: Option<&'c ChosenName>,
    hub: &Hub<B>,
) -> ShownAs<'c> {
    match chosen {
        Some(chosen) => ShownAs::Called(chosen),
        None if is_extended(seat, hub) => ShownAs::Nobody,
        None => ShownAs::Itself,
    }
}

/// Whether a client may be there under that name.
fn may_join<B: Broker, E: Effects<Vec<HubLetter>>>(
    user: User,
    chosen: &CablePresence<'_>,
    channel: &str,
    hub: &Hub<B>,
    desk: &mut Desk<'_, E>,
) -> Result<ChosenName, ErrorCode> {
    let options = hub.options(channel).ok_or(ErrorCode::UNKNOWN_CHANNEL)?;
    if !options.shows_who() {
        return Err(ErrorCode::NOT_AVAILABLE);
    }
    if chosen.id.is_empty() {
        return Err(ErrorCode::BAD_REQUEST);
    }
    let info = json::one_line(chosen.info);
    if chosen.id.len() > limits::CABLE_NAME_BYTES || info.len() > limits::CABLE_INFO_BYTES {
        return Err(ErrorCode::LIMIT_EXCEEDED);
    }
    ruling(user, "join", channel, desk)?;
    Ok(ChosenName {
        name: (*chosen.id).into(),
        info: (*info).into(),
    })
}
