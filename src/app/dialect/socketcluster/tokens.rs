//! Tokens of clients: a bad one is no reason to close a connection, and who has shown a good one
//! may show another, or none any more. What only a token has opened closes when it ends.

use super::{
    Broker, CallNumber, ClientPacket, ClusterClients, ClusterError, Desk, Effects, ErrorCode, Hub,
    HubLetter, OverdueToken, Seat, User, codec,
};
use crate::app::dialect::allowed;
use crate::app::tokens::TokenFault;

impl ClusterClients {
    /// A client shows a token: that is who it is, or why it is nobody.
    pub(super) fn show<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        (user, seat): (User, Seat),
        token: &str,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) -> Result<(), ClusterError<'static>> {
        let now = desk.effects().now();
        match desk.holders().admit(seat, token, now) {
            Ok(claims) => {
                desk.gatekeeper().identify(user, &claims);
                hub.identify(seat, &claims.user, &claims.info);
                desk.effects().known_as(user, &claims.user);
                Ok(())
            }
            Err(fault) => {
                self.forget((user, seat), hub, desk);
                Err(token_error(fault, desk))
            }
        }
    }

    /// A client shows a token after its handshake.
    pub(super) fn authenticate<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        client: (User, Seat),
        (packet, call): (&ClientPacket<'_>, CallNumber<'_>),
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) {
        let token = codec::read_text(packet.data).unwrap_or_default();
        match self.show(client, &token, hub, desk) {
            Ok(()) => self.note(|into| codec::authenticated(into, &call)),
            Err(error) => {
                self.note(|into| codec::event(into, "#removeAuthToken", None));
                self.note(|into| codec::failure(into, &call, error));
            }
        }
    }

    /// The application gives a client a token, or takes it away with an empty one: the client keeps
    /// it, and shows it when it comes back. What is none is not given.
    pub fn given<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        (user, seat): (User, Seat),
        token: &str,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) {
        if !self.has(seat) {
            return;
        }
        if token.is_empty() {
            self.forget((user, seat), hub, desk);
            self.note(|into| codec::event(into, "#removeAuthToken", None));
        } else if self.show((user, seat), token, hub, desk).is_ok() {
            let data = serde_json::json!({ "token": token }).to_string();
            self.note(|into| codec::event(into, "#setAuthToken", Some(&data)));
        }
        self.flush(user, desk);
    }

    /// A client is nobody any more.
    pub(super) fn forget<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        (user, seat): (User, Seat),
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) {
        if !desk.holders().knows(seat) {
            return;
        }
        desk.holders().left(seat);
        desk.gatekeeper().forget(user);
        hub.identify(seat, "", "");
        self.flush(user, desk);
        for channel in hub.channels_of(seat) {
            let may = allowed::may_subscribe((user, seat), &channel, self.rules.subscribe, desk);
            if may != Ok(true) && hub.unsubscribe(seat, &channel, desk) {
                desk.kick_out(user, &channel, ErrorCode::TOKEN_EXPIRED.message);
            }
        }
    }

    /// Looks whether the time of a client's token is over, or that of a subscription: with whatever
    /// it says, pongs among it.
    pub(super) fn look_at_token<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        (user, seat): (User, Seat),
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) {
        let now = desk.effects().now();
        match desk.holders().overdue(seat, now) {
            None => {}
            Some(OverdueToken::Client) => {
                self.forget((user, seat), hub, desk);
                desk.complain(ErrorCode::TOKEN_EXPIRED.code);
                self.note(|into| codec::event(into, "#removeAuthToken", None));
                self.flush(user, desk);
            }
            Some(OverdueToken::Channels(ended)) => {
                self.flush(user, desk);
                for channel in ended {
                    if hub.unsubscribe(seat, &channel, desk) {
                        desk.kick_out(user, &channel, ErrorCode::TOKEN_EXPIRED.message);
                    }
                }
            }
        }
    }
}

/// Why a token is none, as a client's library knows it.
fn token_error<E: Effects<Vec<HubLetter>>>(
    fault: TokenFault,
    desk: &mut Desk<'_, E>,
) -> ClusterError<'static> {
    let (name, message, code) = match fault {
        TokenFault::Invalid => (
            "AuthTokenInvalidError",
            "invalid token",
            ErrorCode::UNAUTHORIZED,
        ),
        TokenFault::Expired => (
            "AuthTokenExpiredError",
            "jwt expired",
            ErrorCode::TOKEN_EXPIRED,
        ),
    };
    desk.complain(match fault {
        // As whoever connects with one.
        TokenFault::Invalid => super::CloseAdvice::INVALID_TOKEN.code,
        TokenFault::Expired => code.code,
    });
    ClusterError {
        name,
        message,
        code: Some(code.code),
    }
}
