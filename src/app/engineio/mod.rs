//! Sessions of Engine.IO 4 around the realtime channels: a client that polls, and may move to a
//! WebSocket, is a user like any other to what is under here.
//!
//! ```text
//! request, WebSocket (any core) --EngineLetter--> session (the core that began it) -> NamespaceApp
//! request, WebSocket            <--EngineLetter-- session                         <-
//! ```
//! A session stays on its core, whatever core its requests and its WebSocket come to: its name says
//! which that is. What is on one core is done at once, without a letter.

mod arrivals;
mod carrying;
mod hearing;
mod letter;
mod links;
mod outward;
mod query;
mod session;
mod sessions;
mod sid;
mod taking;
#[cfg(test)]
mod tests;
mod unheard;

pub use letter::{Carrier, EngineBatch, EngineItem, EngineLetter, EngineRequest, SocketEvent};

use super::namespaces::NamespaceApp;
use super::realtime::{RealtimePlan, SOCKETIO_SOCKET};
use super::{
    Admittance, ApiCall, App, Arrival, ArrivalPurpose, Effects, Goodbye, Holdings, Kind, Message,
    Reach, Refusal, Seat, User,
};
use crate::shard::{Core, PeerNames};
use crate::time::Instant;
use carrying::Carrying;
use links::EngineLinks;
use outward::Outward;
use query::{EngineFault, EngineQuery};
use sessions::{EngineSessions, SessionEnd};
use sid::{SessionKey, SidBook};
use std::sync::Arc;
use unheard::{Unheard, UnheardPacket};

/// The realtime channels of one core, and the sessions around them.
#[derive(Debug)]
pub struct EngineApp {
    inner: NamespaceApp,
    sessions: EngineSessions,
    links: EngineLinks,
    sids: SidBook,
    here: Core,
    /// The session that a WebSocket is about to come for.
    entering: Option<SessionKey>,
    /// What the browser of who is about to come is told to keep.
    cookie: Option<Box<str>>,
    /// The address that it counts for.
    address: Option<u64>,
}

impl EngineApp {
    /// Nobody is here.
    #[must_use]
    pub fn new(plan: RealtimePlan) -> Self {
        let sids = SidBook::new(&plan.secret);
        Self {
            inner: NamespaceApp::new(plan),
            sessions: EngineSessions::default(),
            links: EngineLinks::default(),
            sids,
            here: Core(0),
            entering: None,
            cookie: None,
            address: None,
        }
    }

    /// What is under here, and what carries out what it asks for.
    fn parts<'a, E: Effects<EngineBatch>>(
        &'a mut self,
        effects: &'a mut E,
    ) -> (&'a mut NamespaceApp, Carrying<'a, E>) {
        let carrying = Carrying {
            sessions: &mut self.sessions,
            out: Outward::new(self.here, &mut self.links, effects),
            sids: &self.sids,
        };
        (&mut self.inner, carrying)
    }

    /// The sessions, and the way to what carries them.
    fn sessions<'a, E: Effects<EngineBatch>>(
        &'a mut self,
        effects: &'a mut E,
    ) -> (&'a mut EngineSessions, Outward<'a, E>) {
        let out = Outward::new(self.here, &mut self.links, effects);
        (&mut self.sessions, out)
    }

    /// Does what is left to do at the end of an event.
    fn settle(&mut self, effects: &mut impl Effects<EngineBatch>) {
        loop {
            if let Some((number, seat)) = self.sessions.take_ended() {
                let (inner, mut carrying) = self.parts(effects);
                if let Some(seat) = seat {
                    inner.left(User::own(number), seat, &mut carrying);
                }
            } else if let Some((number, seat)) = self.sessions.take_caught_up() {
                let (inner, mut carrying) = self.parts(effects);
                inner.caught_up(User::own(number), seat, &mut carrying);
            } else {
                break;
            }
        }
        let (sessions, mut out) = self.sessions(effects);
        sessions.flush(&mut out);
    }

    /// What a session calls a request of this core.
    const fn carrier(&self, user: User) -> Carrier {
        let (core, link) = (self.here, 0);
        Carrier { core, user, link }
    }
}

impl App for EngineApp {
    type Batch = EngineBatch;
    const REACH: Reach = NamespaceApp::REACH;
    const TOO_SLOW: Goodbye = NamespaceApp::TOO_SLOW;

    fn started(&mut self, here: Core, cores: u16) {
        self.here = here;
        self.inner.started(here, cores);
    }

    fn holdings(&self) -> Holdings {
        self.inner.holdings()
    }

    fn requested(&mut self, path: &str, now: Instant) -> Result<(), Refusal> {
        self.inner.requested(path, now)
    }

    fn certified(&mut self, names: Option<&Arc<PeerNames>>) {
        self.inner.certified(names);
    }

    fn session(&mut self, arrival: &Arrival<'_>) -> Option<(Box<str>, Option<Box<str>>)> {
        self.inner.session(arrival)
    }

    fn arriving(&mut self, arrival: &Arrival<'_>) -> Result<Admittance, Refusal> {
        (self.entering, self.cookie, self.address) = (None, None, None);
        match arrival.path {
            SOCKETIO_SOCKET => self.admit(arrival),
            _ => self.inner.arriving(arrival),
        }
    }

    fn came(&mut self, user: User, effects: &mut impl Effects<EngineBatch>) -> Seat {
        if let Some(session) = self.entering.take() {
            let seat = self.links.insert(user, session);
            let socket = self.links.carrier(self.here, user, seat);
            self.tell_session(session, socket, SocketEvent::Came, effects);
            return seat;
        }
        let (inner, mut carrying) = self.parts(effects);
        let seat = inner.came(user, &mut carrying);
        self.settle(effects);
        seat
    }

    fn hears(&mut self, user: User, seat: Seat) -> bool {
        match self.links.get_mut(seat) {
            Some(link) => link.may_say(),
            None => self.inner.hears(user, seat),
        }
    }

    fn said(
        &mut self,
        user: User,
        seat: Seat,
        message: Message<'_>,
        effects: &mut impl Effects<EngineBatch>,
    ) {
        let socket = self.links.carrier(self.here, user, seat);
        if let Some(link) = self.links.get_mut(seat) {
            let SessionKey { core, number } = link.session;
            link.said(message.bytes.len());
            if core == self.here {
                return self.socket_said((number, socket), message, effects);
            }
            let said = SocketEvent::Said(message.kind, message.bytes.into());
            let letter = EngineLetter::Socket(number, socket, said);
            return effects.forward(core, EngineItem::Own(letter));
        }
        let (inner, mut carrying) = self.parts(effects);
        inner.said(user, seat, message, &mut carrying);
        self.settle(effects);
    }

    fn left(&mut self, user: User, seat: Seat, effects: &mut impl Effects<EngineBatch>) {
        let socket = self.links.carrier(self.here, user, seat);
        if links::is_link(seat) {
            if let Some(session) = self.links.remove(seat) {
                self.tell_session(session, socket, SocketEvent::Left, effects);
            }
            return;
        }
        let (inner, mut carrying) = self.parts(effects);
        inner.left(user, seat, &mut carrying);
        self.settle(effects);
    }

    fn caught_up(&mut self, user: User, seat: Seat, effects: &mut impl Effects<EngineBatch>) {
        let socket = self.links.carrier(self.here, user, seat);
        if let Some(link) = self.links.get_mut(seat) {
            let session = link.session;
            // One of this core was never said to be behind: it is asked.
            if link.caught_up() || session.core == self.here {
                self.tell_session(session, socket, SocketEvent::CaughtUp, effects);
            }
            return;
        }
        let (inner, mut carrying) = self.parts(effects);
        inner.caught_up(user, seat, &mut carrying);
        self.settle(effects);
    }

    fn called(&mut self, asker: User, call: ApiCall<'_>, effects: &mut impl Effects<EngineBatch>) {
        if call.path == SOCKETIO_SOCKET {
            return self.exchange(asker, call, effects);
        }
        let (inner, mut carrying) = self.parts(effects);
        inner.called(asker, call, &mut carrying);
        self.settle(effects);
    }

    fn hung_up(&mut self, asker: User, effects: &mut impl Effects<EngineBatch>) {
        let from = self.carrier(asker);
        let Some(SessionKey { core, number }) = self.links.answered(asker) else {
            return;
        };
        let (sessions, mut out) = self.sessions(effects);
        if core == out.here {
            sessions.hung_up(number, from, &mut out);
            self.settle(effects);
        } else {
            out.letter(core, EngineLetter::HungUp(number, from));
        }
    }

    fn took(&mut self, from: Core, batch: &EngineBatch, effects: &mut impl Effects<EngineBatch>) {
        if !batch.hub.is_empty() {
            let (inner, mut carrying) = self.parts(effects);
            inner.took(from, &batch.hub, &mut carrying);
        }
        for letter in &batch.own {
            self.take(letter, effects);
        }
        self.settle(effects);
    }

    fn lost(&mut self, core: Core, effects: &mut impl Effects<EngineBatch>) {
        let (asked, sockets) = self.links.of_core(core);
        for asker in asked {
            self.links.answered(asker);
            effects.respond(asker, EngineFault::UnknownSession.response());
        }
        for socket in sockets {
            effects.dismiss(socket, sessions::UNWANTED);
        }
        let (sessions, mut out) = self.sessions(effects);
        sessions.lost(core, &mut out);
        let (inner, mut carrying) = self.parts(effects);
        inner.lost(core, &mut carrying);
        self.settle(effects);
    }

    fn deadline(&self) -> Option<Instant> {
        let all = [self.inner.deadline(), self.sessions.deadline()];
        all.into_iter().flatten().min()
    }

    fn expired(&mut self, now: Instant, effects: &mut impl Effects<EngineBatch>) -> u64 {
        let (sessions, mut out) = self.sessions(effects);
        sessions.expired(now, &mut out);
        let (inner, mut carrying) = self.parts(effects);
        let late = inner.expired(now, &mut carrying);
        self.go_on(effects);
        late
    }

    fn closing(&mut self) {
        self.inner.closing();
    }
}
