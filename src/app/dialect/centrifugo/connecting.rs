//! Clients that only listen: they connect with the subscriptions that they want, and are told of
//! those in the first message. What is published meanwhile comes after it.

use super::{
    Asker, Broker, CONNECTING, CentrifugoClients, ClientStage, CloseAdvice, ConnectRequest, Desk,
    Effects, EncodingId, Hub, HubAnswer, HubLetter, Seat, SubscribeWish, UNIDIRECTIONAL, User,
    codec, connect_reply, json, since,
};
use crate::app::dialect::views;

/// A client whose subscriptions are not all answered.
#[derive(Debug)]
pub(super) struct PendingListener {
    /// Subscriptions that are not answered.
    waiting: usize,
    /// What its first message tells of them.
    subs: Vec<u8>,
    /// What came before it.
    held: Vec<String>,
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
        self.admit(request)?;
        self.set(seat, ClientStage::Listening);
        let wanted = match self.rules.subscribe {
            true => request.subs.len(),
            false => 0,
        };
        let connecting = PendingListener {
            // One for this function: nothing is told before it has asked for everything.
            waiting: wanted + 1,
            subs: Vec::new(),
            held: Vec::new(),
        };
        self.connecting.insert(seat.0, connecting);
        for (number, (channel, wish)) in (0..).zip(&request.subs).take(wanted) {
            let wish = SubscribeWish {
                channel,
                since: since(wish),
                ticket: number,
                by_server: true,
                whole: false,
            };
            if hub.subscribe(seat, wish, desk).is_err() {
                self.count(seat);
            }
        }
        self.count(seat);
        self.begin((user, seat), hub, desk);
        Ok(())
    }

    /// What became of a subscription that a client connects with.
    pub fn answered<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        asker: Asker,
        seat: Seat,
        answer: &HubAnswer,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) {
        if let Some(connecting) = self.connecting.get_mut(&seat.0)
            && let HubAnswer::Subscribed(it) = answer
        {
            let subs = &mut connecting.subs;
            if !subs.is_empty() {
                subs.push(b',');
            }
            json::string(subs, &it.channel);
            subs.push(b':');
            codec::subscription(subs, views::subscribed(it));
        }
        self.count(seat);
        self.begin((asker.user, seat), hub, desk);
    }

    /// A push to a client that is connecting.
    pub fn hold(&mut self, seat: Seat, push: String) {
        if let Some(connecting) = self.connecting.get_mut(&seat.0) {
            connecting.held.push(push);
        }
    }

    fn count(&mut self, seat: Seat) {
        if let Some(connecting) = self.connecting.get_mut(&seat.0) {
            connecting.waiting = connecting.waiting.saturating_sub(1);
        }
    }

    /// The first message, once nothing is waited for any more, and what came before it.
    fn begin<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        (user, seat): (User, Seat),
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) {
        let is_whole = |connecting: &PendingListener| connecting.waiting == 0;
        if !self.connecting.get(&seat.0).is_some_and(is_whole) {
            return;
        }
        let Some(connecting) = self.connecting.remove(&seat.0) else {
            return;
        };
        let client = hub.id(seat).unwrap_or_default();
        desk.say(user, |into| {
            into.push(b'{');
            codec::connect(into, connect_reply(&client), &connecting.subs);
            into.push(b'}');
        });
        for push in connecting.held {
            desk.say(user, |into| into.extend_from_slice(push.as_bytes()));
        }
        hub.recode(seat, UNIDIRECTIONAL);
    }
}
