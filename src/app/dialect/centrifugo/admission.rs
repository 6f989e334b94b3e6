//! Whom tokens let in: clients that connect, subscriptions, event streams; and for how long.

use super::{
    Asker, Broker, CENTRIFUGO, CentrifugoClients, ClientStage, CloseAdvice, ConnectRequest, Desk,
    Effects, EncodingId, ErrorCode, Hub, HubLetter, Seat, ShownAs, SubscribeRequest, SubscribeWish,
    TokenClaims, TokenFault, TokenRequest, UNIDIRECTIONAL, User, codec, since,
};
use crate::app::dialect::views;
use crate::app::hub::letter::Stay;
use crate::app::hub::session::is_reserved;
use crate::app::rules::{RuleRefusal, Ruling};
use crate::protocol::centrifugo::Wrap;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Why a client is not connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectDenial {
    /// Its connection is closed.
    Closed(CloseAdvice),
    /// Its token was good: it may come with another.
    Expired,
    /// It comes too often: later it may.
    Later(ErrorCode),
}

impl From<TokenFault> for ConnectDenial {
    fn from(fault: TokenFault) -> Self {
        match fault {
            TokenFault::Invalid => Self::Closed(CloseAdvice::INVALID_TOKEN),
            TokenFault::Expired => Self::Expired,
        }
    }
}

impl From<RuleRefusal> for ConnectDenial {
    fn from(refusal: RuleRefusal) -> Self {
        let reason = refusal.reason;
        match (refusal.is_too_often, refusal.code) {
            // RFC 6455, 7.4.2: these are for libraries and applications.
            (_, Some(code @ 3000..=4999)) => Self::Closed(CloseAdvice { code, reason }),
            (true, _) | (_, Some(_)) => Self::Later(views::refusal(refusal)),
            (false, None) => Self::Closed(CloseAdvice {
                reason,
                ..CloseAdvice::PERMISSION_DENIED
            }),
        }
    }
}

/// What a command is answered whose token is not taken.
const fn token_error(fault: TokenFault) -> ErrorCode {
    match fault {
        TokenFault::Invalid => ErrorCode::PERMISSION_DENIED,
        TokenFault::Expired => ErrorCode::TOKEN_EXPIRED,
    }
}

impl CentrifugoClients {
    /// An event stream of channels has come, perhaps with a token: whether it may be told of each
    /// channel that the token names, or of any.
    ///
    /// # Errors
    /// [`TokenFault`]: it may be told of nothing.
    pub fn streams<E: Effects<Vec<HubLetter>>>(
        &mut self,
        seat: Seat,
        token: &str,
        desk: &mut Desk<'_, E>,
    ) -> Result<Option<Arc<TokenClaims>>, TokenFault> {
        self.set(seat, ClientStage::Vacant);
        match (token.is_empty(), self.rules.subscribe) {
            (true, true) => Ok(None),
            (true, false) => Err(TokenFault::Invalid),
            (false, is_open) => {
                let now = desk.effects().now();
                let claims = desk.holders().stream(seat, token, now)?;
                Ok((!is_open).then_some(claims))
            }
        }
    }

    /// Whether a client may connect, and as whom.
    pub(super) fn admit<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        (user, seat): (User, Seat),
        request: &ConnectRequest<'_>,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) -> Result<Option<Arc<TokenClaims>>, ConnectDenial> {
        let now = desk.effects().now();
        let claims = match &*request.token {
            "" => None,
            token => Some(desk.holders().admit(seat, token, now)?),
        };
        let gatekeeper = desk.gatekeeper();
        if let Some(claims) = &claims {
            gatekeeper.identify(user, claims);
        }
        let may = match gatekeeper.handshake(user) {
            Ruling::Refuse(refusal) => return Err(refusal.into()),
            Ruling::Allow => true,
            Ruling::Pass => self.rules.anonymous || claims.is_some(),
        };
        if !may {
            return Err(ConnectDenial::Closed(CloseAdvice::PERMISSION_DENIED));
        }
        if let Some(claims) = &claims {
            hub.identify(seat, &claims.user, &claims.info);
            desk.effects().known_as(user, &claims.user);
        }
        Ok(claims)
    }

    /// Tells a client why it is not connected, or says how it is ended.
    pub(super) fn deny<E: Effects<Vec<HubLetter>>>(
        user: User,
        id: u32,
        denial: ConnectDenial,
        desk: &mut Desk<'_, E>,
    ) -> ControlFlow<CloseAdvice> {
        let error = match denial {
            ConnectDenial::Closed(advice) => return ControlFlow::Break(advice),
            ConnectDenial::Expired => ErrorCode::TOKEN_EXPIRED,
            ConnectDenial::Later(error) => error,
        };
        desk.fail(user, id, error);
        ControlFlow::Continue(())
    }

    /// A client shows a new token. Who is another by it is ended.
    pub(super) fn refresh<E: Effects<Vec<HubLetter>>>(
        &mut self,
        asker: Asker,
        seat: Seat,
        request: &TokenRequest<'_>,
        desk: &mut Desk<'_, E>,
    ) -> ControlFlow<CloseAdvice> {
        let now = desk.effects().now();
        let ttl_s = match desk.holders().refresh(seat, &request.token, now) {
            Ok(ttl_s) => ttl_s,
            Err(TokenFault::Invalid) => return ControlFlow::Break(CloseAdvice::INVALID_TOKEN),
            Err(TokenFault::Expired) => return ControlFlow::Break(CloseAdvice::EXPIRED),
        };
        desk.say(asker.user, |into| {
            codec::reply(into, asker.ticket, |into| {
                codec::refresh(into, "refresh", ttl_s)
            });
        });
        ControlFlow::Continue(())
    }

    /// The application says for how long a client may be here.
    pub fn stays<E: Effects<Vec<HubLetter>>>(
        &mut self,
        (user, seat): (User, Seat),
        encoding: EncodingId,
        stay: Stay,
        desk: &mut Desk<'_, E>,
    ) {
        let until_s = match stay {
            Stay::Over => return desk.end(user, encoding, CloseAdvice::EXPIRED),
            Stay::Until(until_s) => Some(until_s),
            Stay::Endless => None,
        };
        let now = desk.effects().now();
        desk.holders().stays(seat, until_s);
        let ttl_s = desk.holders().ttl_s(until_s, now);
        match encoding {
            CENTRIFUGO => desk.say(user, |into| codec::push_refresh(into, Wrap::Push, ttl_s)),
            UNIDIRECTIONAL => desk.say(user, |into| codec::push_refresh(into, Wrap::Bare, ttl_s)),
            // It is told nothing of its time.
            EncodingId(_) => {}
        }
    }

    /// A client shows a new token for a subscription that it has.
    pub(super) fn refresh_subscription<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        asker: Asker,
        seat: Seat,
        request: &TokenRequest<'_>,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) -> Result<(), ErrorCode> {
        let channel = &*request.channel;
        if !hub.has_subscribed(seat, channel) {
            return Err(ErrorCode::PERMISSION_DENIED);
        }
        let now = desk.effects().now();
        let until_s = desk
            .holders()
            .subscribe(seat, (channel, &request.token), now);
        let until_s = until_s.map_err(token_error)?;
        desk.holders().subscribed(seat, channel, until_s);
        let ttl_s = desk.holders().ttl_s(until_s, now);
        desk.say(asker.user, |into| {
            codec::reply(into, asker.ticket, |into| {
                codec::refresh(into, "sub_refresh", ttl_s)
            });
        });
        Ok(())
    }

    pub(super) fn subscribe<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        (user, seat): (User, Seat),
        id: u32,
        request: &SubscribeRequest<'_>,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) -> Result<(), ErrorCode> {
        let now = desk.effects().now();
        let is_open = match desk.gatekeeper().subscribe(user, &request.channel) {
            Ruling::Refuse(refusal) => return Err(views::refusal(refusal)),
            Ruling::Allow => true,
            Ruling::Pass => self.rules.subscribe && !is_reserved(&request.channel),
        };
        let until_s = match (request.token.is_empty(), is_open) {
            (true, true) => None,
            (true, false) => return Err(ErrorCode::PERMISSION_DENIED),
            (false, _) => {
                let shown = (&*request.channel, &*request.token);
                let until_s = desk.holders().subscribe(seat, shown, now);
                until_s.map_err(token_error)?
            }
        };
        let wish = SubscribeWish {
            channel: &request.channel,
            since: since(request),
            ticket: id,
            by_server: false,
            whole: request.rejects_unrecovered(),
            shown: ShownAs::Itself,
        };
        let ttl_s = desk.holders().ttl_s(until_s, now);
        desk.expires(user, id, ttl_s);
        if let Err(error) = hub.subscribe(seat, wish, desk) {
            desk.expires(user, id, None);
            return Err(views::error(error));
        }
        desk.holders().subscribed(seat, &request.channel, until_s);
        Ok(())
    }
}
