//! Event streams of channels: which may come, and what they are told of.

use super::{
    CHANNELS, CloseAdvice, Desk, Effects, ErrorCode, HubLetter, RealtimeApp, Refusal, Ruling, Seat,
    ShownAs, SubscribeWish, TopicRequest, User, views,
};
use crate::app::hub::session::is_reserved;

impl RealtimeApp {
    /// Whether rules are asked about a stream when its session is known: not before it comes.
    pub(super) fn asks_later(&self) -> bool {
        let gatekeeper = &self.tools.gatekeeper;
        gatekeeper.has_backend() || self.cookies.is_some() && gatekeeper.is_on()
    }

    /// An event stream has come, that wants these topics.
    pub(super) fn stream(
        &mut self,
        (user, seat): (User, Seat),
        (request, token): (&TopicRequest, &str),
        effects: &mut impl Effects<Vec<HubLetter>>,
    ) {
        self.tools.streams.begin(user, request);
        let mut desk = Desk::new(effects, &mut self.tools);
        let allowed = self.clients.streams(seat, token, &mut desk);
        // Of a token that has expired nothing is known.
        if allowed.is_ok()
            && let Ok(claims) = self.tools.holders.signed(token)
        {
            self.tools.gatekeeper.identify(user, &claims);
            effects.known_as(user, &claims.user);
        }
        let denied = match self.asks_later() {
            true => self.tools.gatekeeper.handshake(user).refusal(),
            false => None,
        };
        if let Some(refusal) = denied {
            let mut desk = Desk::new(effects, &mut self.tools);
            for (channel, _) in &request.topics {
                desk.refuse(user, channel, views::refusal(refusal));
            }
            return desk.dismiss(user, CloseAdvice::PERMISSION_DENIED);
        }
        for (number, (channel, since)) in (0..).zip(&request.topics) {
            let wish = SubscribeWish {
                channel,
                since: *since,
                ticket: number,
                by_server: false,
                whole: false,
                shown: ShownAs::Itself,
            };
            let mut desk = Desk::new(effects, &mut self.tools);
            let may = match (desk.gatekeeper().subscribe(user, channel), &allowed) {
                (Ruling::Refuse(refusal), _) => Err(views::refusal(refusal)),
                (Ruling::Allow, _) => Ok(()),
                (Ruling::Pass, Ok(None)) if !is_reserved(channel) => Ok(()),
                (Ruling::Pass, Ok(Some(claims))) if claims.takes(channel) => Ok(()),
                (Ruling::Pass, Ok(_) | Err(_)) => Err(ErrorCode::PERMISSION_DENIED),
            };
            let begun = may.and_then(|()| {
                let begun = self.hub.subscribe(seat, wish, &mut desk);
                begun.map_err(views::error)
            });
            if let Err(error) = begun {
                desk.refuse(user, channel, error);
            }
        }
    }

    /// Whether an event stream of channels may come with that token, or without any.
    pub(super) fn let_in(&mut self, token: &str) -> Result<(), Refusal> {
        let claims = match token {
            "" => None,
            token => self.tools.holders.signed(token).ok(),
        };
        let ruling = self.tools.gatekeeper.arrival(CHANNELS, claims.as_deref());
        let is_good = match ruling {
            Ruling::Refuse(refusal) => {
                let (status, reason) = (refusal.status(), refusal.reason);
                return Err(Refusal { status, reason });
            }
            Ruling::Allow => token.is_empty() || claims.is_some(),
            Ruling::Pass => claims.is_some() || token.is_empty() && self.plan.rules.subscribe,
        };
        is_good.then_some(()).ok_or(Refusal {
            status: 401,
            reason: "this needs a token, in Authorization: Bearer or ?token=",
        })
    }
}
