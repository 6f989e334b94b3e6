//! What clients may do, whatever they speak: rules are asked first, then what a channel allows.

use super::desk::Desk;
use super::views;
use crate::app::hub::Hub;
use crate::app::hub::answer::Asker;
use crate::app::hub::broker::Broker;
use crate::app::hub::letter::{ChannelQuestion, HubLetter};
use crate::app::hub::publication::Publication;
use crate::app::hub::session::is_reserved;
use crate::app::rules::Ruling;
use crate::app::{Effects, Seat, User};
use crate::protocol::centrifugo::ErrorCode;
use crate::protocol::json;

/// What becomes of what a client says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Voice {
    /// It is published: numbered, kept, and told to all.
    Publish,
    /// It is told to the others who are there, and is then gone.
    Whisper,
}

/// A client says that JSON in that channel. It is answered at once or later.
///
/// # Errors
/// [`ErrorCode`]; then no answer comes.
pub(super) fn publish<B: Broker, E: Effects<Vec<HubLetter>>>(
    (asker, seat): (Asker, Seat),
    (channel, data): (&str, &str),
    hub: &mut Hub<B>,
    desk: &mut Desk<'_, E>,
) -> Result<(), ErrorCode> {
    say(Voice::Publish, (asker, seat), (channel, data), hub, desk)
}

/// The same, and what becomes of it.
///
/// # Errors
/// [`ErrorCode`]; then no answer comes.
pub(super) fn say<B: Broker, E: Effects<Vec<HubLetter>>>(
    voice: Voice,
    (asker, seat): (Asker, Seat),
    (channel, data): (&str, &str),
    hub: &mut Hub<B>,
    desk: &mut Desk<'_, E>,
) -> Result<(), ErrorCode> {
    let options = hub.options(channel).ok_or(ErrorCode::UNKNOWN_CHANNEL)?;
    let may = match desk.gatekeeper().publish_in(asker.user, channel, data) {
        Ruling::Refuse(refusal) => return Err(views::refusal(refusal)),
        Ruling::Allow => true,
        Ruling::Pass => options.clients_publish && !is_reserved(channel),
    };
    if !may {
        return Err(ErrorCode::PERMISSION_DENIED);
    }
    let replaced = desk.gatekeeper().replaced();
    let data = replaced.as_deref().unwrap_or(data);
    let publication = Publication {
        offset: 0,
        data: json::one_line(data).as_ref().into(),
        by: hub.info(seat),
        tags: None,
        spares_author: voice == Voice::Whisper,
    };
    let question = match voice {
        Voice::Publish => ChannelQuestion::Publish(publication),
        Voice::Whisper => ChannelQuestion::Tell(publication),
    };
    hub.ask(asker, channel, question, desk);
    Ok(())
}

/// Whether a client may be told of a channel for which it shows no token of its own: any may where
/// channels are open to all, else one whose token names the channel.
///
/// # Errors
/// [`ErrorCode`]: a rule says that it may not.
pub(super) fn may_subscribe<E: Effects<Vec<HubLetter>>>(
    (user, seat): (User, Seat),
    channel: &str,
    is_open: bool,
    desk: &mut Desk<'_, E>,
) -> Result<bool, ErrorCode> {
    match desk.gatekeeper().subscribe(user, channel) {
        Ruling::Refuse(refusal) => Err(views::refusal(refusal)),
        Ruling::Allow => Ok(true),
        Ruling::Pass if is_open && !is_reserved(channel) => Ok(true),
        Ruling::Pass => {
            let claims = desk.holders().claims(seat);
            Ok(claims.is_some_and(|claims| claims.takes(channel)))
        }
    }
}
