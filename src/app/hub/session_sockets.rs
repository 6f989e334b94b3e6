//! The sockets of sessions on one core, and what becomes of them there.

use super::Hub;
use super::answer::{Asker, Audience, ChannelEvent, HubAnswer, HubError, Subscribed};
use super::broker::Broker;
use super::clients::{HubClient, HubClients, NOWHERE};
use super::letter::{HubLetter, LocalRef, SubscribeOrder, SubscriptionRef};
use super::options::SlowPolicy;
use super::outlet::Outlet;
use super::position::Since;
use super::receiving::lanes_of;
use super::session::{SESSION_TICKET, SessionId};
use super::session_table::SessionTable;
use crate::app::Seat;
use crate::shard::Core;
use std::num::NonZero;
use std::sync::Arc;

/// The sessions that one core has sockets of.
#[derive(Debug, Default)]
pub(super) struct LocalSessions {
    all: SessionTable<SessionSockets>,
}

/// The sockets of one.
#[derive(Clone, Copy, Debug)]
struct SessionSockets {
    /// Tells it from others that had its place: what its first socket was known by.
    generation: NonZero<u32>,
    /// The seat of one of them; the client there knows the next.
    first: u32,
}

impl LocalSessions {
    /// The place of that session, if it has sockets here.
    pub(super) fn find(&self, session: SessionId) -> Option<u32> {
        self.all.find(session)
    }

    /// The session that another core means; `None` if no socket of it is here any more.
    pub(super) fn meant(&self, local: LocalRef) -> Option<u32> {
        let place = local.session()?;
        let (_, sockets) = self.all.at(place)?;
        (sockets.generation.get() == local.generation).then_some(place)
    }

    /// A socket of that session more.
    fn enter(
        &mut self,
        seat: Seat,
        session: SessionId,
        clients: &mut HubClients,
    ) -> Option<(LocalRef, SubscriptionRef)> {
        let it = clients.socket(seat)?;
        let generation = NonZero::new(it.token)?;
        let first = NOWHERE;
        let place = self
            .all
            .enter(session, || SessionSockets { generation, first });
        let sockets = self.all.at_mut(place)?;
        clients.enter(seat, place, sockets.first);
        sockets.first = seat.0;
        let generation = sockets.generation.get();
        Some((LocalRef::of_session(place, generation), it))
    }

    /// A socket less: of which session.
    fn leave(&mut self, seat: Seat, clients: &mut HubClients) -> Option<SessionId> {
        let was = clients.leave_session(seat)?;
        let (id, _) = self.all.at(was.session)?;
        let sockets = self.all.at_mut(was.session)?;
        if sockets.first == seat.0 {
            sockets.first = was.after;
        }
        if sockets.first == NOWHERE {
            self.all.remove(id);
        }
        Some(id)
    }

    /// The seats of those that are told what becomes of it, or of those that are not yet.
    fn seats(&self, place: u32, clients: &HubClients, that_hear: bool) -> Vec<Seat> {
        let first = self.all.at(place).map_or(NOWHERE, |(_, it)| it.first);
        let all = clients.sockets(first);
        let wanted = all.filter(|(_, client)| client.hears_session == that_hear);
        wanted.map(|(seat, _)| seat).collect()
    }
}

impl<B: Broker> Hub<B> {
    /// A socket asks to join its session.
    pub(super) fn enter_session(
        &mut self,
        seat: Seat,
        session: SessionId,
        out: &mut impl Outlet,
    ) -> Result<(), HubError> {
        let client = self.clients.get(seat).ok_or(HubError::BadRequest)?;
        if client.session.session != NOWHERE {
            return Err(HubError::AlreadySubscribed);
        }
        let entered = self.sessions.enter(seat, session, &mut self.clients);
        let (local, subscription) = entered.ok_or(HubError::BadRequest)?;
        let info = self.clients.info(seat);
        let order = SubscribeOrder {
            channel: session.channel().into(),
            local,
            subscription,
            // What is there, whatever the place.
            since: Some(Since::place(None, 0)),
            info,
        };
        let home = self.home_of(&order.channel);
        self.send(home, HubLetter::Subscribe(Box::new(order)), out);
        Ok(())
    }

    /// A socket is out of its session, if it was in one.
    pub(super) fn leave_session(&mut self, seat: Seat, out: &mut impl Outlet) {
        let client = self.clients.id(seat);
        let left = self.sessions.leave(seat, &mut self.clients);
        if let (Some(client), Some(session)) = (client, left) {
            let channel: Arc<str> = session.channel().into();
            let home = self.home_of(&channel);
            self.send(home, HubLetter::Unsubscribe { channel, client }, out);
        }
    }

    /// A socket has joined its session.
    pub(super) fn joined(
        &mut self,
        it: SubscriptionRef,
        joined: Box<Subscribed>,
        out: &mut impl Outlet,
    ) {
        // It may have left meanwhile.
        if let Some(client) = self.clients.in_session(it) {
            client.hears_session = true;
            let asker = asker(client);
            out.answer(asker, HubAnswer::Subscribed(joined));
        }
    }

    /// A socket cannot join its session.
    pub(super) fn turned_away(
        &mut self,
        it: SubscriptionRef,
        error: HubError,
        out: &mut impl Outlet,
    ) {
        if let Some(client) = self.clients.in_session(it) {
            let asker = asker(client);
            self.leave_session(Seat(it.seat), out);
            out.answer(asker, HubAnswer::Refused(error));
        }
    }

    /// Tells the sockets of a session.
    pub(super) fn tell_session(
        &mut self,
        place: u32,
        event: ChannelEvent<'_>,
        out: &mut impl Outlet,
    ) {
        let Some((id, _)) = self.sessions.all.at(place) else {
            return;
        };
        let (channel, slow) = (id.channel(), SlowPolicy::Disconnect);
        let seats = self.sessions.seats(place, &self.clients, true);
        let clients = seats.iter().filter_map(|seat| self.clients.get(*seat));
        for (encoding, users) in lanes_of(clients) {
            let users = &users;
            let to = Audience {
                encoding,
                users,
                slow,
            };
            out.tell(to, &channel, event, &mut Vec::new());
        }
    }

    /// A session has lost something: its sockets are out of it, and told so.
    pub(super) fn interrupt_session(&mut self, place: u32, out: &mut impl Outlet) {
        let seats = self.sessions.seats(place, &self.clients, true);
        self.tell_session(place, ChannelEvent::Interrupted, out);
        for seat in seats {
            self.leave_session(seat, out);
        }
    }

    /// The home of some sessions has lost all it had.
    pub(super) fn lose_sessions(&mut self, core: Core, out: &mut impl Outlet) {
        let all = self.sessions.all.iter();
        let homed = all.filter(|(_, id, _)| self.home_of(&id.channel()) == core);
        let homed: Vec<u32> = homed.map(|(place, ..)| place).collect();
        for place in homed {
            // Whoever asked is not answered any more.
            let asked = self.sessions.seats(place, &self.clients, false);
            self.interrupt_session(place, out);
            for seat in asked {
                let asker = self.clients.get(seat).map(asker);
                self.leave_session(seat, out);
                if let Some(asker) = asker {
                    out.answer(asker, HubAnswer::Refused(HubError::Unreachable));
                }
            }
        }
    }
}

/// A socket that asked to join its session.
fn asker(client: &HubClient) -> Asker {
    Asker {
        user: client.user,
        encoding: client.encoding,
        ticket: SESSION_TICKET,
    }
}
