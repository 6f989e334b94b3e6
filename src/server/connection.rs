//! One connection of the server and all of a core: an array indexed by slot, generations checked.

use super::Config;
use super::admission::Place;
use super::apps::{AppIndex, Apps};
use super::http::{Asker, Http, Turn};
use super::members::{Moves, NO_SEAT};
use super::outbox::Framing;
use super::shared::Shared;
use super::stats::Message;
use super::step::{DeferWait, Due, Stamp, Step};
use super::tally::{CloseReason, ConnectionKind};
use super::websocket::WebSocket;
use crate::app::{Goodbye, Reach};
use crate::limits;
use crate::protocol::websocket::closing;
use crate::shard::{Close, ConnectionId, Wire};
use crate::time::Instant;
use std::ops::Range;
use std::time::Duration;

/// What an idle connection may cost here: with the engine's slot, the wheel's entry and the seat in
/// a topic, an idle WebSocket stays below 256 bytes of user memory.
const CONNECTION_BYTES: usize = 40;
const _: () = assert!(size_of::<Connection>() <= CONNECTION_BYTES);

/// One connection.
pub(super) struct Connection {
    generation: u32,
    /// When the present wait began: last heard of, request begun, close frame sent.
    pub(super) since: Stamp,
    /// Where it sits among the listeners of its kind.
    pub(super) seat: u32,
    /// Why receiving is paused, if it is.
    pub(super) paused: Paused,
    /// What it counts as.
    pub(super) place: Place,
    pub(super) state: State,
}

/// Why a connection's bytes are not received: any of these reasons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Paused(u8);

impl Paused {
    /// Its backlog is high.
    pub(super) const BACKLOG: Self = Self(1);
    /// It has had its share of a turn.
    pub(super) const WORK: Self = Self(2);
    /// Its peer has ended its stream, and of what came before not all is looked at.
    pub(super) const ENDED: Self = Self(4);

    pub(super) const fn is_none(self) -> bool {
        self.0 == 0
    }

    pub(super) const fn contains(self, reason: Self) -> bool {
        self.0 & reason.0 != 0
    }

    pub(super) const fn insert(&mut self, reason: Self) {
        self.0 |= reason.0;
    }

    pub(super) const fn remove(&mut self, reason: Self) {
        self.0 &= !reason.0;
    }
}

/// What a connection is.
pub(super) enum State {
    /// Nothing: its slot is free.
    Vacant,
    /// Waiting for a request, reading or answering one. Boxed: the others are what is idle in
    /// great numbers, and should not pay for it.
    Http(Box<Http>),
    /// A WebSocket.
    WebSocket(WebSocket),
    /// An event stream.
    Stream(AppIndex),
    /// Ended here; the engine sends what is queued and says `closed`.
    Ending,
}

impl Connection {
    const VACANT: Self = Self {
        // Generations are below 2^24: nobody has this one.
        generation: u32::MAX,
        since: Stamp::ZERO,
        seat: NO_SEAT,
        paused: Paused(0),
        place: Place::Nowhere,
        state: State::Vacant,
    };

    pub(super) fn received<A: Apps>(
        &mut self,
        id: ConnectionId,
        bytes: &mut [u8],
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) -> Step {
        if self.paused.contains(Paused::WORK) {
            // What the kernel had handed over before it was paused.
            shared.deferred.keep(id, bytes);
            return Step::Stay;
        }
        match &mut self.state {
            State::WebSocket(socket) => {
                if socket.is_open() {
                    self.since = Stamp::new(wire.now());
                }
                socket.received((id, self.seat), bytes, shared, wire)
            }
            State::Http(_) => self.requested(id, bytes, shared, wire),
            // Nothing is expected from the client of an event stream, nor after the end.
            State::Stream(_) | State::Ending | State::Vacant => Step::Stay,
        }
    }

    fn requested<A: Apps>(
        &mut self,
        id: ConnectionId,
        bytes: &mut [u8],
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) -> Step {
        let State::Http(http) = &mut self.state else {
            return Step::Stay;
        };
        let (mut at, before) = (0, http.held());
        let mut asker = Asker {
            id,
            since: &mut self.since,
            place: &mut self.place,
        };
        let turn = http.received(&mut asker, bytes, &mut at, shared, wire);
        shared.watch.request_changed(before, http.held());
        match turn {
            Turn::Step(step) => step,
            Turn::Defer => {
                shared
                    .deferred
                    .keep(id, bytes.get(at..).unwrap_or_default());
                let wait = DeferWait::Share;
                Step::Defer { wait }
            }
            Turn::Stream(app) => {
                self.switch(State::Stream(app), shared);
                if is_told_singly::<A>(app) {
                    shared.heartbeat.begin(wire.now());
                }
                self.enter(id, (app, Framing::Events), shared, wire);
                Step::Stay
            }
            Turn::WebSocket(app, extension) => {
                let (_, hears) = A::manner(app);
                let socket = WebSocket::new(app, extension, hears);
                self.switch(State::WebSocket(socket), shared);
                self.enter(id, (app, Framing::of(extension)), shared, wire);
                if let Some(idle) = shared.config.websocket_idle() {
                    shared.wheel.schedule(id, wire.now() + idle / 2);
                }
                match bytes.get_mut(at..) {
                    None | Some([]) => Step::Stay,
                    Some(rest) => self.received(id, rest, shared, wire),
                }
            }
        }
    }

    /// Comes to an application.
    fn enter<A: Apps>(
        &mut self,
        id: ConnectionId,
        (app, framing): (AppIndex, Framing),
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        let (apps, mut outgoing) = shared.apps_and_outgoing(wire);
        self.seat = apps.came(app, (id, framing), &mut outgoing);
    }

    /// Becomes something else, as far as the counts of open connections go.
    pub(super) fn switch<A: Apps>(&mut self, state: State, shared: &mut Shared<A>) {
        if let Some(kind) = self.kind() {
            shared.tally.left(kind);
        }
        match &mut self.state {
            State::Http(http) => shared.watch.request_changed(http.held(), 0),
            State::WebSocket(socket) => socket.release(&mut shared.pool),
            State::Stream(_) | State::Ending | State::Vacant => {}
        }
        self.state = state;
        if let Some(kind) = self.kind() {
            shared.tally.began(kind);
        }
    }

    /// Leaves its application. Whoever is returned has moved to the seat that is returned with it.
    pub(super) fn leave<A: Apps>(
        &mut self,
        id: ConnectionId,
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) -> Moves {
        let Some((app, framing, seat)) = self.seat() else {
            return Moves::default();
        };
        self.seat = NO_SEAT;
        if framing == Framing::Events && is_told_singly::<A>(app) {
            shared.heartbeat.streams -= 1;
        }
        let (apps, mut outgoing) = shared.apps_and_outgoing(wire);
        apps.left(app, (id, framing, seat), &mut outgoing)
    }

    /// Its application, how messages are put for it, and where it sits there; `None` if it has none
    /// or has left it.
    pub(super) fn seat(&self) -> Option<(AppIndex, Framing, u32)> {
        let (app, framing) = match &self.state {
            State::Stream(app) => (*app, Framing::Events),
            State::WebSocket(socket) => (socket.app(), socket.framing()),
            State::Vacant | State::Http(_) | State::Ending => return None,
        };
        (self.seat != NO_SEAT).then_some((app, framing, self.seat))
    }

    /// What the time says. Called when its entry in the wheel comes due, which may be early.
    pub(super) fn due(&self, now: Instant, config: &Config) -> Due {
        let waited = self.since.elapsed(now);
        let at = |limit: Duration| Due::Later(now + limit.saturating_sub(waited));
        match &self.state {
            State::Http(http) => {
                let (limit, over) = http.limit(self.place, config);
                if waited < limit { at(limit) } else { over }
            }
            State::WebSocket(socket) if !socket.is_open() => {
                if waited < limits::CLOSE_TIME {
                    return at(limits::CLOSE_TIME);
                }
                Due::Now(Step::End {
                    how: Close::Flush,
                    why: socket.why(),
                })
            }
            State::WebSocket(socket) => match config.websocket_idle() {
                None => Due::Never,
                // What it says is not looked at yet.
                Some(idle) if self.paused.contains(Paused::WORK) => Due::Later(now + idle / 2),
                Some(idle) if waited >= idle => Due::Now(Step::CloseSocket {
                    goodbye: Goodbye {
                        code: closing::GOING_AWAY,
                        reason: "",
                    },
                    why: CloseReason::Idle,
                }),
                Some(idle) if socket.pinged => at(idle),
                Some(idle) if waited >= idle / 2 => Due::Now(Step::Ping),
                Some(idle) => at(idle / 2),
            },
            // The engine resets who does not take what is queued.
            State::Stream(_) | State::Ending | State::Vacant => Due::Never,
        }
    }

    /// How it is counted; `None` for a free slot.
    fn kind(&self) -> Option<ConnectionKind> {
        match self.state {
            State::Vacant => None,
            State::Http(_) | State::Ending => Some(ConnectionKind::Http),
            State::WebSocket(_) => Some(ConnectionKind::WebSocket),
            State::Stream(_) => Some(ConnectionKind::Stream),
        }
    }
}

/// Whether the server keeps no list of those who came to that application.
pub(super) fn is_told_singly<A: Apps>(app: AppIndex) -> bool {
    let (reach, _) = A::manner(app);
    reach != Reach::All
}

/// The connections of one core.
#[derive(Default)]
pub(super) struct Connections {
    slots: Vec<Connection>,
}

impl Connections {
    /// Fills a slot.
    pub(super) fn open(&mut self, id: ConnectionId, now: Instant) -> Option<&mut Connection> {
        if self.slots.len() <= id.slot() {
            self.slots.resize_with(id.slot() + 1, || Connection::VACANT);
        }
        let connection = self.slots.get_mut(id.slot())?;
        debug_assert!(
            matches!(connection.state, State::Vacant),
            "an engine opened {id:?} twice"
        );
        *connection = Connection {
            generation: id.generation(),
            since: Stamp::new(now),
            ..Connection::VACANT
        };
        Some(connection)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.slots
            .get_mut(id.slot())
            .filter(|found| found.generation == id.generation())
    }

    pub(super) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        let found = self.slots.get(id.slot());
        found.filter(|found| found.generation == id.generation())
    }

    /// The event streams in these slots, and which application each came to.
    pub(super) fn streams(
        &self,
        slots: Range<usize>,
    ) -> impl Iterator<Item = (ConnectionId, AppIndex)> {
        let len = slots.len();
        let all = (0..).zip(&self.slots).skip(slots.start).take(len);
        all.filter_map(|(slot, connection)| match connection.state {
            State::Stream(app) => Some((ConnectionId::new(slot, connection.generation), app)),
            State::Vacant | State::Http(_) | State::WebSocket(_) | State::Ending => None,
        })
    }

    /// Slots, vacant ones included.
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Empties a slot.
    pub(super) fn vacate<A: Apps>(&mut self, id: ConnectionId, shared: &mut Shared<A>) {
        if let Some(connection) = self.get_mut(id) {
            connection.switch(State::Vacant, shared);
            if connection.paused.contains(Paused::WORK) {
                shared.deferred.forget(id);
            }
            shared.admission.leave(connection.place);
            shared.watch.forget(id);
            *connection = Connection::VACANT;
        }
    }

    /// The ids of all that are not vacant.
    pub(super) fn ids(&self) -> impl Iterator<Item = ConnectionId> {
        self.ids_of(0..usize::MAX)
    }

    /// The ids of those in these slots that are not vacant.
    pub(super) fn ids_of(&self, slots: Range<usize>) -> impl Iterator<Item = ConnectionId> {
        let len = slots.len();
        (0..)
            .zip(&self.slots)
            .skip(slots.start)
            .take(len)
            .filter(|(_, connection)| !matches!(connection.state, State::Vacant))
            .map(|(slot, connection)| ConnectionId::new(slot, connection.generation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_event_never_reaches_a_reused_slot() {
        let mut connections = Connections::default();
        let id = ConnectionId::new(2, 9);
        let connection = connections.open(id, Instant::default()).expect("a slot");
        connection.state = State::Ending;
        assert!(connections.get_mut(id).is_some());
        assert!(connections.get_mut(ConnectionId::new(2, 8)).is_none());
        assert!(connections.get_mut(ConnectionId::new(7, 9)).is_none());
        assert_eq!(connections.ids().collect::<Vec<_>>(), [id]);
    }
}
