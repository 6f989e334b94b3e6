//! A client that was here before comes back: the core that has lost it says what it has, its rooms
//! say what it missed, and then it is told that it has joined.

use super::{
    Broker, Desk, Effects, Hub, HubLetter, IoClients, IoStage, SOCKETIO, Seat, User, codec,
};
use crate::app::dialect::desk::io::SAID;
use crate::app::dialect::recovery::{IoOffset, is_same};
use crate::app::dialect::{SOCKETIO_RETURNING, allowed};
use crate::app::hub::answer::{EncodingId, ShownAs, SubscribeWish};
use crate::app::hub::letter::{LostClient, RecoveryName};
use crate::protocol::socketio::IoAuth;
use crate::shard::Core;

/// What a client shows that comes back.
#[derive(Clone, Copy, Debug)]
struct Shown {
    name: RecoveryName,
    /// The last event that it has, if it has any.
    offset: Option<IoOffset>,
}

impl Shown {
    /// What a client joins with; `None` if it shows nothing that was ever given.
    fn read(auth: &IoAuth<'_>) -> Option<Self> {
        let name = RecoveryName::parse(&auth.pid)?;
        let offset = match &*auth.offset {
            "" => None,
            text => Some(IoOffset::parse(text)?),
        };
        Some(Self { name, offset })
    }
}

impl IoClients {
    /// A client that may be here joins: as who it was, if it can.
    pub(super) fn joins<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        client: (User, Seat),
        auth: &IoAuth<'_>,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) {
        let user = client.0;
        let shown = Shown::read(auth);
        let namespace = desk.effects().namespace_of(user);
        let (Some(shown), Some(recovery)) = (shown, desk.recovery()) else {
            return self.begin(client, hub, desk);
        };
        let others: Vec<Core> = recovery.others().collect();
        let called = (shown.name, namespace);
        recovery.returns(client, called, others.iter().copied());
        if let Some(lost) = self.lost_here(shown, hub, desk) {
            return self.known(user, &lost, hub, desk);
        }
        if others.is_empty() {
            return self.begin(client, hub, desk);
        }
        for core in others {
            let offset = shown.offset.map(|it| it.to_string());
            let letter = HubLetter::Recall {
                user,
                name: shown.name,
                offset: offset.unwrap_or_default().into(),
            };
            desk.effects().forward(core, letter);
        }
    }

    /// A client begins anew.
    fn begin<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        (user, seat): (User, Seat),
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) {
        hub.recode(seat, SOCKETIO);
        self.set(seat, IoStage::Inside, desk.effects().now());
        if let Some(recovery) = desk.recovery() {
            recovery.leaves(user);
        }
        self.welcome((user, seat), hub, desk);
    }

    /// A client is told that it is in the namespace, and what it is called there.
    pub(super) fn welcome<B: Broker, E: Effects<Vec<HubLetter>>>(
        &self,
        (user, seat): (User, Seat),
        hub: &Hub<B>,
        desk: &mut Desk<'_, E>,
    ) {
        let id = hub.id(seat).unwrap_or_default();
        let namespace = desk.effects().namespace_of(user);
        let pid = desk.recovery().map(|it| it.joined((user, seat), namespace));
        desk.say(user, |into| {
            codec::connected(into, &id, pid.as_ref().map(|it| it as _));
        });
    }

    /// A core hears of clients that have come back, or have been lost.
    pub fn took<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        from: Core,
        letters: &[HubLetter],
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) {
        if desk.recovery().is_none() {
            return;
        }
        for letter in letters {
            if let HubLetter::Recall { user, name, offset } = letter {
                let (user, name) = (*user, *name);
                let offset = IoOffset::parse(offset);
                let lost = self.lost_here(Shown { name, offset }, hub, desk);
                let lost = lost.map(Box::new);
                let letter = HubLetter::Recalled { user, lost };
                desk.effects().forward(from, letter);
            } else if let HubLetter::Recalled { user, lost } = letter {
                match lost {
                    Some(lost) => self.known(*user, lost, hub, desk),
                    None => self.unknown_to(from, *user, hub, desk),
                }
            }
        }
    }

    /// A core is gone, which might have known clients that have come back.
    pub fn lost<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        core: Core,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) {
        let waiting = desk.recovery().map(|it| it.waiting_for(core));
        for user in waiting.unwrap_or_default() {
            self.unknown_to(core, user, hub, desk);
        }
    }

    fn unknown_to<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        core: Core,
        user: User,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) {
        let seat = desk.recovery().and_then(|it| it.unknown_to(core, user));
        if let Some(seat) = seat {
            self.begin((user, seat), hub, desk);
        }
    }

    /// A client that was lost on this core. One whose connection has not ended yet is lost now.
    fn lost_here<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        Shown { name, offset }: Shown,
        hub: &Hub<B>,
        desk: &mut Desk<'_, E>,
    ) -> Option<LostClient> {
        if let Some((user, seat)) = desk.recovery()?.present(name) {
            self.lose((user, seat), hub, desk);
            desk.dismiss(user, super::CLOSED);
        }
        let now = desk.effects().now();
        desk.recovery()?.find(name, offset, now)
    }

    /// A client is gone, and may come back if it was in the namespace.
    pub fn lose<B: Broker, E: Effects<Vec<HubLetter>>>(
        &self,
        (user, seat): (User, Seat),
        hub: &Hub<B>,
        desk: &mut Desk<'_, E>,
    ) {
        let now = desk.effects().now();
        if let Some(recovery) = desk.recovery() {
            recovery.lose(user, &hub.places_of(seat), &owner(seat, hub), now);
        }
    }

    /// It is known what a client has: it subscribes to its rooms from there on.
    fn known<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        user: User,
        lost: &LostClient,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) {
        let rooms = lost.rooms.len();
        let Some(seat) = desk.recovery().and_then(|it| it.known(user, rooms)) else {
            return;
        };
        let namespace = desk.effects().namespace_of(user);
        if !is_same(lost, &owner(seat, hub), namespace.as_deref()) {
            return self.begin((user, seat), hub, desk);
        }
        if rooms == 0 {
            return self.returned(user, hub, desk);
        }
        hub.recode(seat, SOCKETIO_RETURNING);
        for ((channel, position), ticket) in lost.rooms.iter().zip(1..) {
            let may = allowed::may_subscribe((user, seat), channel, self.rules.subscribe, desk);
            let wish = SubscribeWish {
                channel,
                since: Some((*position).into()),
                ticket,
                by_server: false,
                whole: true,
                shown: ShownAs::Itself,
            };
            let asked = may == Ok(true) && hub.subscribe(seat, wish, desk).is_ok();
            let is_last = !asked && desk.recovery().is_some_and(|it| it.answered(user, None));
            if is_last {
                self.returned(user, hub, desk);
            }
        }
    }

    /// All rooms of a client have answered.
    pub fn returned<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        user: User,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) {
        let finished = desk.recovery().and_then(|it| it.finish(user));
        let Some((seat, returned)) = finished else {
            return;
        };
        let Some(returned) = returned else {
            for channel in hub.channels_of(seat) {
                hub.recode(seat, EncodingId::NOT_YET);
                hub.unsubscribe(seat, &channel, desk);
            }
            return self.begin((user, seat), hub, desk);
        };
        hub.recode(seat, SOCKETIO);
        self.set(seat, IoStage::Inside, desk.effects().now());
        self.welcome((user, seat), hub, desk);
        for (data, offset) in &returned.missed {
            desk.say(user, |into| codec::event(into, SAID, data, Some(offset)));
        }
        for packet in &returned.held {
            desk.say_all(&[user], packet);
        }
    }
}

/// Whose a client is; empty for nobody in particular.
fn owner<B: Broker>(seat: Seat, hub: &Hub<B>) -> Box<str> {
    let about = hub.info(seat).and_then(|info| info.about);
    about.map_or_else(Box::default, |about| about.user.clone())
}
