//! What every command is about: a subscription that the client has, and what rules say of it.

use super::{
    Broker, CableSubscription, Desk, EXTENDED_CABLE, Effects, ErrorCode, Hub, HubLetter, Ruling,
    Seat, User, views,
};

/// A client's subscription of that name.
pub(super) fn known<E: Effects<Vec<HubLetter>>>(
    user: User,
    identifier: &str,
    desk: &mut Desk<'_, E>,
) -> Result<CableSubscription, ErrorCode> {
    let known = desk.identifiers().get(user, identifier).cloned();
    known.ok_or(ErrorCode::BAD_REQUEST)
}

/// Whether a client speaks the extended protocol.
pub(super) fn is_extended<B: Broker>(seat: Seat, hub: &Hub<B>) -> bool {
    let at = seat.0 as usize;
    let found = hub.at(at..at + 1).next();
    found.is_some_and(|(_, _, encoding)| encoding == EXTENDED_CABLE)
}

/// Whether a rule refuses a command.
pub(super) fn ruling<E: Effects<Vec<HubLetter>>>(
    user: User,
    event: &str,
    channel: &str,
    desk: &mut Desk<'_, E>,
) -> Result<(), ErrorCode> {
    match desk.gatekeeper().event(user, event, channel) {
        Ruling::Pass | Ruling::Allow => Ok(()),
        Ruling::Refuse(refusal) => Err(views::refusal(refusal)),
    }
}
