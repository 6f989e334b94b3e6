//! Events of clients: first the rules are asked, then each is carried out, and acknowledged.

use super::{
    Broker, Desk, Effects, ErrorCode, Hub, HubLetter, IoClients, IoEvent, Kind, Message, Ruling,
    SOCKETIO, Said, Seat, User, codec, views,
};
use crate::app::dialect::allowed;
use crate::app::hub::answer::{Asker, HubError, ShownAs, SubscribeWish};

impl IoClients {
    /// Carries out an event.
    pub(super) fn event<B: Broker, E: Effects<Vec<HubLetter>>>(
        &self,
        (user, seat): (User, Seat),
        (said, event, attachments): (Said<'_>, &IoEvent<'_>, &[Vec<u8>]),
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) -> Result<(), ErrorCode> {
        let room = match &*event.name {
            "join" | "leave" | "say" => {
                let namespace = desk.effects().namespace_of(user);
                codec::namespace::room(namespace.as_deref(), event)
            }
            _ => None,
        };
        ruling(user, (said, event, room.as_deref()), desk)?;
        let asker = Asker {
            user,
            encoding: SOCKETIO,
            ticket: ticket(said)?,
        };
        let room = || room.as_deref().ok_or(ErrorCode::BAD_REQUEST);
        match &*event.name {
            "join" => {
                let room = room()?;
                if !allowed::may_subscribe((user, seat), room, self.rules.subscribe, desk)? {
                    return Err(ErrorCode::PERMISSION_DENIED);
                }
                let wish = SubscribeWish {
                    channel: room,
                    since: None,
                    ticket: asker.ticket,
                    by_server: false,
                    whole: false,
                    shown: ShownAs::Itself,
                };
                match hub.subscribe(seat, wish, desk) {
                    Ok(()) => {}
                    Err(HubError::AlreadySubscribed) => desk.io_acknowledge(user, said.id, None),
                    Err(error) => return Err(views::error(error)),
                }
            }
            "leave" => {
                hub.unsubscribe(seat, room()?, desk);
                desk.io_acknowledge(user, said.id, None);
            }
            "say" if !attachments.is_empty() => return Err(NO_JSON),
            "say" => {
                let data = event.json(1).unwrap_or("null");
                allowed::publish((asker, seat), (room()?, data), hub, desk)?;
            }
            "echo" if self.rules.echo => {
                if let Some(id) = said.id {
                    echo((user, id), event, attachments, desk);
                }
            }
            // An event that nobody expects is passed over; an acknowledgement would say that
            // somebody did.
            _ if said.id.is_none() => {}
            name => {
                let data = event.json(0).unwrap_or("null");
                let returned = desk.gatekeeper().called(user, name, data);
                let data = returned.ok_or(ErrorCode::METHOD_NOT_FOUND)?;
                let data = data.map_err(views::refusal)?;
                let id = said.id.unwrap_or_default();
                desk.say(user, |into| {
                    codec::acknowledgement(into, (id, 0), std::iter::once(&*data));
                });
            }
        }
        Ok(())
    }
}

/// Acknowledges an event with its own arguments, binary messages among them.
fn echo<E: Effects<Vec<HubLetter>>>(
    (user, id): (User, u64),
    event: &IoEvent<'_>,
    attachments: &[Vec<u8>],
    desk: &mut Desk<'_, E>,
) {
    let count = u32::try_from(attachments.len()).unwrap_or_default();
    let mut text = Vec::new();
    let arguments = event.arguments.iter().map(|json| json.get());
    codec::acknowledgement(&mut text, (id, count), arguments);
    // What waited for the application is not heard now.
    let is_asked = desk.gatekeeper().is_on();
    let mut tell = |kind, bytes| match is_asked {
        true => desk.effects().say(user, Message { kind, bytes }),
        false => desk.effects().reply(Message { kind, bytes }),
    };
    tell(Kind::Text, &text);
    for bytes in attachments {
        tell(Kind::Binary, bytes);
    }
}

/// What is told to who says something binary in a room: other protocols could not tell it.
const NO_JSON: ErrorCode = ErrorCode {
    message: "what is said in a room is JSON: it cannot be binary",
    ..ErrorCode::BAD_REQUEST
};

/// What an event is known by that is answered later; 0 for one that wants no acknowledgement.
fn ticket(said: Said<'_>) -> Result<u32, ErrorCode> {
    const STRANGE: ErrorCode = ErrorCode {
        message: "the number of an event is at most 4294967290",
        ..ErrorCode::BAD_REQUEST
    };
    match said.id {
        Some(id) if id <= 4_294_967_290 => u32::try_from(id + 1).map_err(|_| STRANGE),
        Some(_) => Err(STRANGE),
        None => Ok(0),
    }
}

/// Whether a rule refuses an event.
fn ruling<E: Effects<Vec<HubLetter>>>(
    user: User,
    (said, event, room): (Said<'_>, &IoEvent<'_>, Option<&str>),
    desk: &mut Desk<'_, E>,
) -> Result<(), ErrorCode> {
    let gatekeeper = desk.gatekeeper();
    if !gatekeeper.is_on() {
        return Ok(());
    }
    let room = room.unwrap_or_default();
    let ruling = match (&*event.name, said.id) {
        ("say", _) => gatekeeper.event(user, "publish", room),
        ("join", _) => gatekeeper.event(user, "subscribe", room),
        ("leave", _) => gatekeeper.event(user, "unsubscribe", room),
        (name, Some(_)) => gatekeeper.event(user, &format!("rpc:{name}"), ""),
        (name, None) => gatekeeper.event(user, &format!("send:{name}"), ""),
    };
    match ruling {
        Ruling::Pass | Ruling::Allow => Ok(()),
        Ruling::Refuse(refusal) => Err(views::refusal(refusal)),
    }
}
