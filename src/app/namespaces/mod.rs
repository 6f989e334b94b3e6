//! Namespaces of Socket.IO around the realtime channels: each that a connection has joined beside
//! `/` is a client of its own to what is under here, and says and is told packets of `/`.

mod scoped;
mod table;

use super::hub::letter::HubLetter;
use super::realtime::{RealtimeApp, RealtimePlan};
use super::{
    Admittance, ApiCall, App, Arrival, Effects, Goodbye, Holdings, Kind, Message, Reach, Refusal,
    Seat, User,
};
use crate::protocol::socketio::namespace::{Namespaced, may_have_namespace, take_namespace};
use crate::protocol::socketio::{self as codec, ClientSays};
use crate::shard::{Core, PeerNames};
use crate::time::Instant;
use scoped::Scoped;
use std::sync::Arc;
use table::{JoinedNamespaces, NamespaceClient};

/// The realtime channels of one core, and the namespaces around them.
#[derive(Debug)]
pub struct NamespaceApp {
    inner: RealtimeApp,
    table: JoinedNamespaces,
}

/// How a connection is closed that says what none says.
const CLOSED: Goodbye = Goodbye {
    code: codec::CLOSE_NORMAL,
    reason: "",
};
/// What is answered to who joins what is not there.
const INVALID: &str = "Invalid namespace";

impl NamespaceApp {
    /// Nobody is here.
    #[must_use]
    pub fn new(plan: RealtimePlan) -> Self {
        Self {
            inner: RealtimeApp::new(plan),
            table: JoinedNamespaces::default(),
        }
    }

    fn parts<'a, E: Effects<Vec<HubLetter>>>(
        &'a mut self,
        effects: &'a mut E,
    ) -> (&'a mut RealtimeApp, Scoped<'a, E>) {
        let table = &mut self.table;
        (&mut self.inner, Scoped { effects, table })
    }

    /// Does what is left to do at the end of an event.
    fn settle(&mut self, effects: &mut impl Effects<Vec<HubLetter>>) {
        loop {
            if let Some((number, seat)) = self.table.take_pinged() {
                let (kind, bytes) = (Kind::Text, codec::PONG.as_bytes());
                self.speak((number, seat), Message { kind, bytes }, effects);
            } else if let Some((number, seat)) = self.table.take_leaving() {
                let (inner, mut scoped) = self.parts(effects);
                inner.left(NamespaceClient::user(number), seat, &mut scoped);
            } else {
                return;
            }
        }
    }

    /// A client of a namespace is heard.
    fn speak(
        &mut self,
        (number, seat): (u64, Seat),
        message: Message<'_>,
        effects: &mut impl Effects<Vec<HubLetter>>,
    ) {
        self.table.speaking = Some(number);
        let (inner, mut scoped) = self.parts(effects);
        inner.said(NamespaceClient::user(number), seat, message, &mut scoped);
        self.table.speaking = None;
    }

    /// A connection says something that may be for a namespace. Whether it was.
    fn route(
        &mut self,
        user: User,
        message: Message<'_>,
        effects: &mut impl Effects<Vec<HubLetter>>,
    ) -> bool {
        if message.kind == Kind::Binary {
            let number = self.table.attach(user);
            let seat = number.and_then(|number| Some((number, self.table.get(number)?.seat?)));
            if let Some(client) = seat {
                self.speak(client, message, effects);
            }
            return number.is_some();
        }
        let text = str::from_utf8(message.bytes).unwrap_or_default();
        let is_packet = text.starts_with('4');
        if is_packet && self.table.is_pending(user) {
            // The binary messages of the one before are missing.
            effects.dismiss(user, CLOSED);
            return true;
        }
        let Some(Namespaced { name, packet }) = take_namespace(text) else {
            return false;
        };
        match codec::read_client(packet.as_bytes()) {
            Ok(ClientSays::Message(said)) => self.packet(user, (name, said, &packet), effects),
            Ok(_) | Err(_) => effects.dismiss(user, CLOSED),
        }
        true
    }

    /// Carries out a packet of a namespace (`Client.ondecoded`).
    fn packet(
        &mut self,
        user: User,
        (name, said, packet): (&str, codec::Said<'_>, &str),
        effects: &mut impl Effects<Vec<HubLetter>>,
    ) {
        let found = self.table.find(user, name);
        let client = match (found, said.kind) {
            (None, codec::Kind::Connect) => match self.join(user, name, effects) {
                Some(client) => client,
                None => return refuse(user, name, effects),
            },
            (None, _) => return effects.dismiss(user, CLOSED),
            (Some(number), codec::Kind::Disconnect) => return self.table.leave(number),
            (Some(number), _) => match self.table.get(number).and_then(|it| it.seat) {
                Some(seat) => (number, seat),
                None => return,
            },
        };
        if said.attachments > 0 {
            self.table.expect(user, client.0, said.attachments);
        }
        let (kind, bytes) = (Kind::Text, packet.as_bytes());
        self.speak(client, Message { kind, bytes }, effects);
    }

    /// A connection joins a namespace; `None` if it is not there, or one too many.
    fn join(
        &mut self,
        user: User,
        name: &str,
        effects: &mut impl Effects<Vec<HubLetter>>,
    ) -> Option<(u64, Seat)> {
        if !self.inner.has_namespace(name) {
            return None;
        }
        let number = self.table.join(user, name)?;
        let (inner, mut scoped) = self.parts(effects);
        let seat = inner.joins(NamespaceClient::user(number), user, &mut scoped);
        self.table.seat(number, seat);
        Some((number, seat))
    }
}

/// Tells a connection that it does not join a namespace.
fn refuse(user: User, name: &str, effects: &mut impl Effects<Vec<HubLetter>>) {
    let mut text = Vec::new();
    codec::connect_error(&mut text, name, INVALID);
    let (kind, bytes) = (Kind::Text, &text[..]);
    effects.say(user, Message { kind, bytes });
}

impl App for NamespaceApp {
    type Batch = Vec<HubLetter>;
    const REACH: Reach = RealtimeApp::REACH;
    const TOO_SLOW: Goodbye = RealtimeApp::TOO_SLOW;

    fn started(&mut self, here: Core, cores: u16) {
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
        self.inner.arriving(arrival)
    }

    fn came(&mut self, user: User, effects: &mut impl Effects<Vec<HubLetter>>) -> Seat {
        let (inner, mut scoped) = self.parts(effects);
        inner.came(user, &mut scoped)
    }

    fn hears(&mut self, user: User, seat: Seat) -> bool {
        let Self { inner, table } = self;
        let mut joined = table.of(user).iter();
        let hears = joined.all(|number| {
            let seat = table.get(*number).and_then(|it| it.seat);
            seat.is_none_or(|seat| inner.hears(NamespaceClient::user(*number), seat))
        });
        hears && inner.hears(user, seat)
    }

    fn said(
        &mut self,
        user: User,
        seat: Seat,
        message: Message<'_>,
        effects: &mut impl Effects<Vec<HubLetter>>,
    ) {
        let may_be_routed = may_have_namespace(message.bytes) || !self.table.is_empty();
        if may_be_routed && self.inner.is_io(seat) && self.route(user, message, effects) {
            return self.settle(effects);
        }
        let (inner, mut scoped) = self.parts(effects);
        inner.said(user, seat, message, &mut scoped);
        self.settle(effects);
    }

    fn left(&mut self, user: User, seat: Seat, effects: &mut impl Effects<Vec<HubLetter>>) {
        self.table.left(user);
        let (inner, mut scoped) = self.parts(effects);
        inner.left(user, seat, &mut scoped);
        self.settle(effects);
    }

    fn caught_up(&mut self, user: User, seat: Seat, effects: &mut impl Effects<Vec<HubLetter>>) {
        for number in self.table.of(user).to_vec() {
            let client = self.table.get(number).and_then(|it| it.seat);
            let (inner, mut scoped) = self.parts(effects);
            if let Some(seat) = client {
                inner.caught_up(NamespaceClient::user(number), seat, &mut scoped);
            }
        }
        let (inner, mut scoped) = self.parts(effects);
        inner.caught_up(user, seat, &mut scoped);
        self.settle(effects);
    }

    fn called(
        &mut self,
        asker: User,
        call: ApiCall<'_>,
        effects: &mut impl Effects<Vec<HubLetter>>,
    ) {
        let (inner, mut scoped) = self.parts(effects);
        inner.called(asker, call, &mut scoped);
        self.settle(effects);
    }

    fn took(
        &mut self,
        from: Core,
        letters: &Vec<HubLetter>,
        effects: &mut impl Effects<Vec<HubLetter>>,
    ) {
        let (inner, mut scoped) = self.parts(effects);
        inner.took(from, letters, &mut scoped);
        self.settle(effects);
    }

    fn lost(&mut self, core: Core, effects: &mut impl Effects<Vec<HubLetter>>) {
        let (inner, mut scoped) = self.parts(effects);
        inner.lost(core, &mut scoped);
        self.settle(effects);
    }

    fn deadline(&self) -> Option<Instant> {
        self.inner.deadline()
    }

    fn expired(&mut self, now: Instant, effects: &mut impl Effects<Vec<HubLetter>>) -> u64 {
        let (inner, mut scoped) = self.parts(effects);
        let late = inner.expired(now, &mut scoped);
        self.settle(effects);
        late
    }

    fn closing(&mut self) {
        self.inner.closing();
    }
}
