//! What the connections of one core share, and what they tell it: bytes that wait, requests, users
//! that come and leave, responses, what is counted.

use super::admission::{Admission, Place};
use super::apps::{AppIndex, Apps};
use super::draining::Draining;
use super::framing::Framing;
use super::heartbeat::Heartbeat;
use super::inbound::Inbound;
use super::log_book::LogBook;
use super::members::Moves;
use super::memory::HeldMemory;
use super::outbox::{Outbox, Task, window_key};
use super::outgoing::Outgoing;
use super::passing::PassBook;
use super::responses::Responses;
use super::stats::{Message, Round};
use super::step::DeferWait;
use super::tally::{CloseReason, ConnectionKind, Tally};
use super::{Config, Outcome};
use crate::app::Reach;
use crate::door::{Door, DoorRefusal, Eviction};
use crate::limits;
use crate::protocol::websocket::deflate::{Agreement, Kept};
use crate::protocol::websocket::{Decoder, Extension, Role};
use crate::shard::{CloseCause, ConnectionId, Core, Wire};
use crate::time::Instant;
use crate::wheel::Wheel;
use std::ops::Range;
use std::time::Duration;

mod requests;

/// To within this a connection's time-out is kept. With the wheel's buckets it makes a horizon of
/// two minutes: a quiet connection with a shorter time-out is touched once per time-out.
const TICK: Duration = Duration::from_millis(64);

/// What the connections of one core share.
pub(super) struct Shared<A> {
    config: Config,
    wheel: Wheel,
    apps: A,
    outbox: Outbox,
    memory: HeldMemory,
    heartbeat: Heartbeat,
    tally: Tally,
    round: Round,
    responses: Responses,
    admission: Admission,
    draining: Draining,
    door: Door,
    log: LogBook,
    passing: PassBook,
    /// Which news was the last.
    seen: u64,
}

impl<A: Apps> Shared<A> {
    pub(super) fn new(apps: A, config: Config) -> Self {
        let config = config.normalized();
        Self {
            wheel: Wheel::new(config.started(), TICK),
            apps,
            outbox: Outbox::default(),
            memory: HeldMemory::new(Inbound::new(config.pool()), config.memory_bounds()),
            heartbeat: Heartbeat::new(config.started()),
            tally: Tally::default(),
            round: Round::default(),
            responses: Responses::default(),
            admission: Admission::default(),
            draining: Draining::new(config.farewell()),
            door: config.door(),
            log: LogBook::new(config.log.clone()),
            passing: PassBook::default(),
            seen: 0,
            config,
        }
    }

    /// Goes by what is new in the configuration, if anything is.
    #[inline]
    pub(super) fn renew(&mut self) {
        self.log.renew();
        let is_counted = self.door.counts_holders();
        self.outbox.want_names(is_counted || self.log.is_on());
        if let Some(limits) = self.config.renew(&mut self.seen) {
            self.door.renew(limits);
        }
    }

    /// The core begins.
    pub(super) fn started(&mut self, here: Core, cores: u16) {
        self.log.started(here);
        self.passing.started(here, self.config.passing.as_ref());
        self.apps.started(here, cores);
    }

    /// What a server was asked to be.
    pub(super) const fn config(&self) -> &Config {
        &self.config
    }

    /// Memory that peers make this core hold.
    #[inline]
    pub(super) const fn memory(&mut self) -> &mut HeldMemory {
        &mut self.memory
    }

    /// What peers sent and this core is not done with.
    #[inline]
    pub(super) const fn inbound(&mut self) -> &mut Inbound {
        self.memory.inbound()
    }

    /// Who is let in, and what becomes of it.
    #[inline]
    pub(super) const fn door(&mut self) -> &mut Door {
        &mut self.door
    }

    /// What is told of connections.
    #[inline]
    pub(super) const fn log(&mut self) -> &mut LogBook {
        &mut self.log
    }

    /// Requests that are passed on.
    #[inline]
    pub(super) const fn passing(&mut self) -> &mut PassBook {
        &mut self.passing
    }

    /// WebSocket messages and posted texts so far.
    #[inline]
    pub(super) const fn messages_in(&self) -> u64 {
        self.tally.heard()
    }

    /// How far stopping has come.
    pub(super) const fn draining(&mut self) -> &mut Draining {
        &mut self.draining
    }

    /// The applications, and where what they ask for is carried out.
    pub(super) fn apps_and_outgoing<'s, W: Wire<Message<A::Letters>>>(
        &'s mut self,
        wire: &'s mut W,
    ) -> (&'s mut A, Outgoing<'s, Message<A::Letters>, W>) {
        let outgoing = Outgoing::new(wire, &mut self.outbox, &mut self.tally);
        (&mut self.apps, outgoing)
    }

    /// The same beside what messages are read from.
    #[inline]
    pub(super) fn hearing<'s, W: Wire<Message<A::Letters>>>(
        &'s mut self,
        wire: &'s mut W,
    ) -> (
        &'s mut Inbound,
        &'s mut A,
        Outgoing<'s, Message<A::Letters>, W>,
    ) {
        let outgoing = Outgoing::new(wire, &mut self.outbox, &mut self.tally);
        (self.memory.inbound(), &mut self.apps, outgoing)
    }
}

/// Connections: they come, are something, and go.
impl<A: Apps> Shared<A> {
    /// A connection was accepted at that listener: its place. One that has none is to be reset.
    pub(super) fn accepted(
        &mut self,
        id: ConnectionId,
        listener: u16,
        wire: &impl Wire<Message<A::Letters>>,
    ) -> Place {
        if self.log.is_on() {
            self.log.accepted(id, wire.peer(id), wire.now());
        }
        self.tally.accepted();
        self.tally.began(ConnectionKind::Http);
        let refusal = match self.config.is_admin(listener) {
            true => None,
            false => {
                let from = self.door.counts_addresses().then(|| wire.peer(id));
                self.door.enter(id, from.flatten(), wire.now()).err()
            }
        };
        if let Some(refusal) = refusal {
            self.tally.barred(refusal);
        }
        let place = self.admission.enter(listener, refusal, &self.config);
        if place == Place::Nowhere {
            self.log.refused(id, None, "no place is left");
        }
        if place == Place::Nowhere && refusal.is_some() {
            self.config.barred();
        } else if place == Place::Nowhere {
            self.tally.refused();
            self.config.refused_by_reset();
        }
        place
    }

    /// A connection is of the holder of a token: why it is to be ended, if it is.
    pub(super) fn named(&mut self, id: ConnectionId, holder: &str) -> Option<Eviction> {
        let eviction = self.door.named(id, holder)?;
        self.tally.barred(DoorRefusal::Token);
        self.config.barred();
        Some(eviction)
    }

    /// A connection failed before it was opened.
    pub(super) fn accepted_in_vain(&mut self, cause: CloseCause) {
        self.tally.accepted();
        self.tally.ended(cause);
        self.log.failed(cause);
    }

    /// A connection has become something else, as far as it is counted.
    pub(super) fn changed(&mut self, from: Option<ConnectionKind>, to: Option<ConnectionKind>) {
        if let Some(kind) = from {
            self.tally.left(kind);
        }
        if let Some(kind) = to {
            self.tally.began(kind);
        }
    }

    /// This side ends a connection.
    pub(super) fn decided(&mut self, why: CloseReason) {
        self.tally.decided(why);
    }

    /// A connection becomes a WebSocket of that application, with what was agreed on: what reads
    /// its frames, and what is sent in them.
    pub(super) fn begin_frames(
        &mut self,
        id: ConnectionId,
        app: AppIndex,
        agreement: Option<Agreement>,
    ) -> (Decoder, Extension) {
        let (_, hears) = A::manner(app);
        let extension = agreement.map_or(Extension::None, |it| it.extension(Role::Server));
        let mut decoder = Decoder::new(Role::Server).with(extension);
        if !hears {
            decoder = decoder.discarding();
        }
        if let Some(agreement) = agreement.filter(Agreement::keeps) {
            let key = window_key(id);
            decoder = decoder.keyed(key);
            let heard = agreement.received_by(Role::Server);
            if hears && heard.1 == Kept::Last {
                self.inbound().windows().open(key, heard);
            }
            self.outbox.deflation().open(key, &agreement, Role::Server);
            self.windows_changed();
        }
        (decoder, extension)
    }

    /// It gives back what it keeps.
    pub(super) fn end_frames(&mut self, decoder: &mut Decoder) {
        self.memory.inbound().release(decoder);
        if let Some(key) = decoder.key() {
            self.outbox.deflation().close(key);
            self.windows_changed();
        }
    }

    fn windows_changed(&mut self) {
        let bytes = self.outbox.deflation().promised() + self.inbound().windows().promised();
        self.memory.windows_changed(bytes);
    }

    /// A connection is gone that had that place.
    pub(super) fn gone(&mut self, id: ConnectionId, place: Place, cause: CloseCause) {
        self.memory.forget(id);
        self.door.left(id);
        self.admission.leave(place);
        self.tally.ended(cause);
    }

    /// Looks at a connection again then.
    pub(super) fn schedule(&mut self, id: ConnectionId, at: Instant) {
        self.wheel.schedule(id, at);
    }

    /// Looks at a WebSocket again before it has been silent for too long.
    pub(super) fn await_word(&mut self, id: ConnectionId, now: Instant) {
        if let Some(idle) = self.config.websocket_idle() {
            self.wheel.schedule(id, now + idle / 2);
        }
    }

    /// Looks at a connection again when a request that has begun has to be whole.
    pub(super) fn await_rest(&mut self, id: ConnectionId, now: Instant) {
        self.wheel.schedule(id, now + self.config.head_time());
    }

    /// Looks at a connection between two requests again before it has been idle for too long. It
    /// is looked at after the time for a head anyhow.
    pub(super) fn await_request(&mut self, id: ConnectionId, now: Instant) {
        let idle = self.config.http_idle();
        if idle < self.config.head_time() {
            self.wheel.schedule(id, now + idle);
        }
    }

    /// Looks at a connection again before it has been idle for too long, after an answer that may
    /// have taken long.
    pub(super) fn await_next(&mut self, id: ConnectionId, now: Instant) {
        self.wheel.schedule(id, now + self.config.http_idle());
    }

    /// The connections to look at now.
    pub(super) fn take_due(&mut self, now: Instant, due: &mut Vec<ConnectionId>) {
        self.wheel.expire(now, due);
    }
}

/// Users of applications.
impl<A: Apps> Shared<A> {
    /// A connection comes to an application: its seat there.
    pub(super) fn came(
        &mut self,
        id: ConnectionId,
        (app, framing): (AppIndex, Framing),
        wire: &mut impl Wire<Message<A::Letters>>,
    ) -> u32 {
        if framing == Framing::Events && is_told_singly::<A>(app) {
            self.heartbeat.begin(wire.now());
        }
        if framing != Framing::Events {
            self.door.upgraded(id, wire.now());
        }
        if self.log.is_on() {
            self.log.opened(id, framing.transport());
        }
        let (apps, mut outgoing) = self.apps_and_outgoing(wire);
        apps.came(app, (id, framing), &mut outgoing)
    }

    /// A connection leaves its application. Whoever is returned has moved to the seat that is
    /// returned with it.
    pub(super) fn left(
        &mut self,
        id: ConnectionId,
        (app, framing, seat): (AppIndex, Framing, u32),
        wire: &mut impl Wire<Message<A::Letters>>,
    ) -> Moves {
        if framing == Framing::Events && is_told_singly::<A>(app) {
            self.heartbeat.end();
        }
        let (apps, mut outgoing) = self.apps_and_outgoing(wire);
        apps.left(app, (id, framing, seat), &mut outgoing)
    }

    /// A connection is gone that waits for that application in an exchange.
    pub(super) fn hung_up(
        &mut self,
        id: ConnectionId,
        app: AppIndex,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        let (apps, mut outgoing) = self.apps_and_outgoing(wire);
        apps.hung_up(app, id, &mut outgoing);
    }

    /// What a WebSocket waits for before it is heard, if it may not say anything now.
    #[inline]
    pub(super) fn waits(
        &mut self,
        app: AppIndex,
        from: (ConnectionId, Framing, u32),
        wire: &impl Wire<Message<A::Letters>>,
    ) -> Option<DeferWait> {
        let (reach, _) = A::manner(app);
        if reach != Reach::Replies && wire.mail_is_full() {
            return Some(DeferWait::Until(wire.now() + limits::MAIL_TIME));
        }
        (!self.apps.hears(app, from)).then_some(DeferWait::Release)
    }

    /// Tells the applications the time.
    pub(super) fn tell_time(&mut self, wire: &mut impl Wire<Message<A::Letters>>) {
        let heartbeat = self.config.heartbeat();
        let (apps, mut outgoing) = self.apps_and_outgoing(wire);
        apps.expired(heartbeat, &mut outgoing);
    }

    /// Whose turn it is to get a heartbeat, of so many slots.
    pub(super) fn beat(&mut self, slots: usize, now: Instant) -> Option<Range<usize>> {
        self.heartbeat.step(slots, self.config.heartbeat(), now)
    }

    /// Sends a heartbeat to an event stream of that application, unless it gets them otherwise.
    pub(super) fn comment(
        &mut self,
        (id, app): (ConnectionId, AppIndex),
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        if is_told_singly::<A>(app) {
            self.outbox.comment(id, wire);
        }
    }

    /// The next thing to do at the end of an event.
    #[inline]
    pub(super) fn next_task(&mut self) -> Option<Task> {
        self.outbox.next()
    }

    /// Whether nothing is to be done at the end of an event.
    #[inline]
    pub(super) fn is_settled(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Forwards what applications have to say to themselves on other cores.
    pub(super) fn deliver(&mut self, wire: &mut impl Wire<Message<A::Letters>>) {
        self.outbox.mail_left();
        self.apps.deliver(&Message::App, wire);
    }
}

/// What the time brings, and the end.
impl<A: Apps> Shared<A> {
    /// Frees what is kept for later use: little is in use now.
    pub(super) fn trim(&mut self) {
        self.memory.trim();
        self.apps.trim();
        self.outbox.trim();
        self.responses.trim();
    }

    /// Nothing is accepted any more, and those connections are open.
    pub(super) fn stop_serving(
        &mut self,
        open: Vec<ConnectionId>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        let (apps, mut outgoing) = self.apps_and_outgoing(wire);
        apps.closing(&mut outgoing);
        self.draining.dismiss(open, wire.now());
    }

    /// Tells the client of an event stream to wait before it comes back. HTML, 9.2.6: `retry`
    /// counts as soon as its line is read.
    pub(super) fn say_when_to_return(
        &mut self,
        id: ConnectionId,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        let retry_ms = self.draining.retry_ms(wire.core(), id);
        self.responses.send_retry(id, retry_ms, wire);
    }

    /// Whether nothing is served much longer.
    pub(super) const fn is_draining(&self) -> bool {
        self.draining.is_begun()
    }

    /// Draining, and nothing is open or the time is over.
    pub(super) fn is_finished(&self) -> bool {
        let drained = self.is_draining() && self.tally.opened() == 0;
        drained || self.draining.left().is_some()
    }

    /// What this core did.
    pub(super) fn outcome(&self, core: Core) -> Outcome {
        Outcome {
            core,
            tally: self.tally,
            left: self.draining.left().unwrap_or(0),
        }
    }

    /// When the time brings something, with so many slots of connections.
    pub(super) fn deadline(&self, slots: usize) -> Option<Instant> {
        let heartbeat = self.config.heartbeat();
        let all = [
            self.wheel.deadline(),
            self.apps.deadline(heartbeat),
            self.heartbeat.due(slots, heartbeat),
            self.round.deadline(),
            self.memory.deadline(),
            self.draining.deadline(),
            self.door.deadline(),
            self.passing.deadline(),
        ];
        all.into_iter().flatten().min()
    }
}

/// Whether the server keeps no list of the users of that application.
fn is_told_singly<A: Apps>(app: AppIndex) -> bool {
    let (reach, _) = A::manner(app);
    reach != Reach::All
}
