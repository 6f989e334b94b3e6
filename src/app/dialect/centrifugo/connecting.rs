//! Clients that connect with subscriptions: those that only listen, and those whose token names
//! channels. They are told of them in the first message. What is published meanwhile comes after
//! it, and what the client says meanwhile is heard after it.

use super::{
    Asker, Broker, CENTRIFUGO, CONNECTING, CONNECTING_CLIENT, CentrifugoClients, ClientStage,
    CloseAdvice, ConnectDenial, ConnectRequest, Desk, Effects, EncodingId, Hub, HubAnswer,
    HubLetter, Seat, ShownAs, SubscribeWish, TokenClaims, UNIDIRECTIONAL, User, codec,
    connect_reply, json, since,
};
use crate::app::dialect::{Parked, views};
use crate::app::hub::session::is_reserved;
use crate::app::rules::Ruling;
use crate::limits;

/// A client whose subscriptions are not all answered.
#[derive(Debug)]
pub(super) struct PendingClient {
    seat: Seat,
    /// What the reply is known by; `None` for a client that only listens.
    id: Option<u32>,
    ttl_s: Option<u64>,
    /// Subscriptions that are not answered.
    waiting: usize,
    /// What its first message tells of them.
    subs: Vec<u8>,
    /// What came before it.
    held: Vec<String>,
    /// What the client said before it, each in a line.
    said: Vec<u8>,
}

impl PendingClient {
    /// The client says more. Whether there is room for it.
    pub(super) fn hears(&mut self, line: &[u8]) -> bool {
        let is_room = self.said.len() + line.len() < limits::EARLY_COMMAND_BYTES;
        if is_room {
            self.said.extend_from_slice(line);
            self.said.push(b'\n');
        }
        is_room
    }
}

impl CentrifugoClients {
    /// How an event stream is spoken to that has just come.
    #[must_use]
    pub const fn listening() -> EncodingId {
        CONNECTING
    }

    /// An event stream has come, with what its address asks for.
    ///
    /// # Errors
    /// How it is ended.
    pub fn listens<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        (user, seat): (User, Seat),
        request: &ConnectRequest<'_>,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) -> Result<(), CloseAdvice> {
        let claims = self.admit((user, seat), request, hub, desk);
        let claims = claims.map_err(|denial| match denial {
            ConnectDenial::Closed(advice) => advice,
            ConnectDenial::Expired => CloseAdvice::EXPIRED,
            // It comes back by itself.
            ConnectDenial::Later(error) => CloseAdvice {
                reason: error.message,
                ..CloseAdvice::TOO_OFTEN
            },
        })?;
        self.set(seat, ClientStage::Listening);
        let wanted = request.subs.keys().map(|channel| &**channel).collect();
        let wanted = (request, wanted, claims.as_deref());
        self.connects((user, seat), None, wanted, hub, desk);
        Ok(())
    }

    /// A client is admitted, with the subscriptions that it or its token wants.
    pub(super) fn connects<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        (user, seat): (User, Seat),
        id: Option<u32>,
        (request, wanted, claims): (&ConnectRequest<'_>, Vec<&str>, Option<&TokenClaims>),
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) {
        let named = claims.map_or(&[][..], |claims| &claims.channels);
        let is_named = |channel: &str| named.iter().any(|name| **name == *channel);
        let mut channels = wanted;
        channels.retain(|channel| !is_named(channel));
        channels.extend(named.iter().map(|name| &**name));
        channels.retain(|channel| match desk.gatekeeper().subscribe(user, channel) {
            Ruling::Refuse(_) => false,
            Ruling::Allow => true,
            Ruling::Pass => is_named(channel) || self.rules.subscribe && !is_reserved(channel),
        });
        let wished = desk.gatekeeper().take_wished();
        let known: Vec<&str> = channels.clone();
        let more = wished.iter().map(|channel| &**channel);
        channels.extend(more.filter(|channel| !known.contains(channel)));
        if id.is_some() {
            hub.recode(seat, CONNECTING_CLIENT);
        }
        let until_s = claims.and_then(|claims| claims.until_s);
        let now = desk.effects().now();
        let pending = PendingClient {
            seat,
            id,
            ttl_s: desk.holders().ttl_s(until_s, now),
            // One for this function: nothing is told before it has asked for everything.
            waiting: channels.len() + 1,
            subs: Vec::new(),
            held: Vec::new(),
            said: Vec::new(),
        };
        self.connecting.insert(user, pending);
        for (number, channel) in (0..).zip(channels) {
            let wish = SubscribeWish {
                channel,
                since: request.subs.get(channel).and_then(since),
                ticket: number,
                by_server: true,
                whole: false,
                shown: ShownAs::Itself,
            };
            if hub.subscribe(seat, wish, desk).is_err() {
                self.count(user);
            }
        }
        self.count(user);
        self.begin(user, hub, desk);
    }

    /// What became of a subscription that a client connects with.
    pub fn answered<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        asker: Asker,
        answer: &HubAnswer,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) {
        if let Some(pending) = self.connecting.get_mut(&asker.user)
            && let HubAnswer::Subscribed(it) = answer
        {
            let subs = &mut pending.subs;
            if !subs.is_empty() {
                subs.push(b',');
            }
            json::string(subs, &it.channel);
            subs.push(b':');
            codec::subscription(subs, views::subscribed(it, None));
        }
        self.count(asker.user);
        self.begin(asker.user, hub, desk);
    }

    /// A push to a client that is connecting.
    pub fn hold(&mut self, user: User, push: String) {
        if let Some(pending) = self.connecting.get_mut(&user) {
            pending.held.push(push);
        }
    }

    fn count(&mut self, user: User) {
        if let Some(pending) = self.connecting.get_mut(&user) {
            pending.waiting = pending.waiting.saturating_sub(1);
        }
    }

    /// The first message, once nothing is waited for any more, and what came before it.
    fn begin<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        user: User,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) {
        let is_whole = |pending: &PendingClient| pending.waiting == 0;
        if !self.connecting.get(&user).is_some_and(is_whole) {
            return;
        }
        let Some(pending) = self.connecting.remove(&user) else {
            return;
        };
        let seat = pending.seat;
        let client = hub.id(seat).unwrap_or_default();
        let reply = connect_reply(&client, pending.ttl_s);
        desk.say(user, |into| match pending.id {
            Some(id) => codec::reply(into, id, |into| codec::connect(into, reply, &pending.subs)),
            None => {
                into.push(b'{');
                codec::connect(into, reply, &pending.subs);
                into.push(b'}');
            }
        });
        for push in pending.held {
            desk.say(user, |into| into.extend_from_slice(push.as_bytes()));
        }
        let encoding = match pending.id {
            Some(_) => CENTRIFUGO,
            None => UNIDIRECTIONAL,
        };
        hub.recode(seat, encoding);
        if !pending.said.is_empty() {
            desk.park(Parked::Said((user, seat), pending.said));
        }
    }
}
