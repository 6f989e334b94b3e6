//! One connection of the server: what it is, why it is not received, and what becomes of it.

mod passed;

use super::Config;
use super::admission::Place;
use super::apps::{AppIndex, Apps};
use super::framing::Framing;
use super::http::{Requester, Turn};
use super::inbound::Inbound;
use super::members::{Moves, NO_SEAT};
use super::memory::PartialInput;
use super::paused::Paused;
use super::shared::Shared;
use super::state::ConnectionState;
use super::stats::Message;
use super::step::{DeferWait, Due, Stamp, Step};
use super::tally::CloseReason;
use super::websocket::WebSocket;
use crate::app::{self, ApiResponse, Goodbye};
use crate::limits;
use crate::protocol::websocket::{Opcode, closing, frame};
use crate::shard::{Close, CloseCause, ConnectionId, Half, ReceiveInto, Wire};
use crate::time::Instant;
use std::time::Duration;

/// What an idle connection may cost here: with the engine's slot, the wheel's entry and the seat in
/// a topic, an idle WebSocket stays below 256 bytes of user memory.
const CONNECTION_BYTES: usize = 40;
const _: () = assert!(size_of::<Connection>() <= CONNECTION_BYTES);

/// One connection.
pub(super) struct Connection {
    generation: u32,
    /// When the present wait began: last heard of, request begun, close frame sent.
    since: Stamp,
    /// Where it sits among the listeners of its kind.
    seat: u32,
    /// Why receiving is paused, if it is.
    paused: Paused,
    /// What it counts as.
    place: Place,
    state: ConnectionState,
}

impl Connection {
    /// A free slot.
    pub(super) const VACANT: Self = Self {
        // Generations are below 2^24: no connection has this one.
        generation: u32::MAX,
        since: Stamp::ZERO,
        seat: NO_SEAT,
        paused: Paused::NONE,
        place: Place::Nowhere,
        state: ConnectionState::Vacant,
    };

    /// One that has just been accepted, in that place.
    pub(super) fn new(id: ConnectionId, place: Place, now: Instant) -> Self {
        Self {
            generation: id.generation(),
            since: Stamp::new(now),
            place,
            state: ConnectionState::Http(Box::default()),
            ..Self::VACANT
        }
    }

    #[inline]
    pub(super) fn received<A: Apps>(
        &mut self,
        id: ConnectionId,
        bytes: &mut [u8],
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) -> Step {
        if self.paused.contains(Paused::WORK) {
            // What the kernel had handed over before it was paused.
            shared.inbound().keep(id, bytes);
            return Step::Stay;
        }
        match &mut self.state {
            ConnectionState::WebSocket(socket) => {
                if socket.is_open() {
                    self.since = Stamp::new(wire.now());
                }
                socket.received((id, self.seat), bytes, shared, wire)
            }
            ConnectionState::Http(_) => self.requested(id, bytes, shared, wire),
            // Nothing is expected from the client of an event stream, nor after the end.
            ConnectionState::Stream(_) | ConnectionState::Ending | ConnectionState::Vacant => {
                Step::Stay
            }
        }
    }

    /// Where the bytes that come next belong, unless earlier ones wait for a share.
    pub(super) fn receive_into(&mut self, inbound: &mut Inbound) -> Option<ReceiveInto> {
        let is_heard = !self.paused.contains(Paused::WORK);
        let socket = self.state.socket_mut().filter(|_| is_heard)?;
        socket.receive_into(inbound)
    }

    /// A message that was lent comes back: how many bytes more of it.
    pub(super) fn take_back(&mut self, buffer: Vec<u8>, inbound: &mut Inbound) -> usize {
        let socket = self.state.socket_mut();
        socket.map_or(0, |it| it.take_back(buffer, inbound))
    }

    fn requested<A: Apps>(
        &mut self,
        id: ConnectionId,
        bytes: &mut [u8],
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) -> Step {
        let ConnectionState::Http(http) = &mut self.state else {
            return Step::Stay;
        };
        let (mut at, before) = (0, http.held());
        let (since, place) = (&mut self.since, &mut self.place);
        let mut asker = Requester { id, since, place };
        let turn = http.received(&mut asker, bytes, &mut at, shared, wire);
        shared.inbound().request_changed(before, http.held());
        match turn {
            Turn::Step(step) => step,
            Turn::Defer(wait) => {
                let rest = bytes.get(at..).unwrap_or_default();
                shared.inbound().keep(id, rest);
                Step::Defer { wait }
            }
            Turn::Stream(app) => {
                self.switch(ConnectionState::Stream(app), shared);
                self.seat = shared.came(id, (app, Framing::Events), wire);
                Step::Stay
            }
            Turn::WebSocket(app, agreement) => {
                let socket = WebSocket::new(id, app, agreement, shared);
                let framing = socket.framing();
                self.switch(ConnectionState::WebSocket(socket), shared);
                self.seat = shared.came(id, (app, framing), wire);
                shared.await_word(id, wire.now());
                match bytes.get_mut(at..) {
                    None | Some([]) => Step::Stay,
                    Some(rest) => self.received(id, rest, shared, wire),
                }
            }
        }
    }

    /// A request takes too long.
    pub(super) fn time_out<A: Apps>(
        &mut self,
        id: ConnectionId,
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) -> Step {
        match &mut self.state {
            ConnectionState::Http(http) => http.time_out((id, self.place), shared, wire),
            ConnectionState::WebSocket(_)
            | ConnectionState::Stream(_)
            | ConnectionState::Ending
            | ConnectionState::Vacant => Step::Stay,
        }
    }

    /// Answers a request that waited for another core. `None` leaves the answer to be as it was
    /// meant.
    pub(super) fn answer<A: Apps>(
        &mut self,
        id: ConnectionId,
        answer: Option<app::Answer>,
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) -> Step {
        let ConnectionState::Http(http) = &mut self.state else {
            return Step::Stay;
        };
        self.since = Stamp::new(wire.now());
        http.told((id, self.place), answer, shared, wire)
    }

    /// Answers a call.
    pub(super) fn respond<A: Apps>(
        &mut self,
        id: ConnectionId,
        response: ApiResponse,
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) -> Step {
        let ConnectionState::Http(http) = &mut self.state else {
            return Step::Stay;
        };
        self.since = Stamp::new(wire.now());
        http.called((id, self.place), response, shared, wire)
    }

    /// Asks a WebSocket that was silent for half of its time for a pong.
    pub(super) fn ping<A: Apps>(
        &mut self,
        id: ConnectionId,
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        let ConnectionState::WebSocket(socket) = &mut self.state else {
            return;
        };
        socket.ping();
        let header = frame::header(Opcode::Ping, 0, None);
        // If the backlog is full then the peer does not read, and time will tell.
        let _ = wire.send(id, header.as_bytes());
        shared.await_word(id, wire.now());
    }

    /// Begins the close handshake of a WebSocket.
    pub(super) fn close_socket<M>(
        &mut self,
        id: ConnectionId,
        goodbye: Goodbye,
        why: CloseReason,
        wire: &mut impl Wire<M>,
    ) -> Step {
        match &mut self.state {
            ConnectionState::WebSocket(socket) => socket.close(id, goodbye, why, wire),
            ConnectionState::Http(_)
            | ConnectionState::Stream(_)
            | ConnectionState::Ending
            | ConnectionState::Vacant => Step::Stay,
        }
    }

    /// Our close frame is queued: nothing else may be, and the peer's is awaited.
    pub(super) fn await_close<A: Apps>(
        &mut self,
        id: ConnectionId,
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        self.since = Stamp::new(wire.now());
        self.resume(id, shared, wire);
        shared.schedule(id, wire.now() + limits::CLOSE_TIME);
    }

    /// Its backlog is high.
    pub(super) const fn note_backlog(&mut self) {
        self.paused.insert(Paused::BACKLOG);
    }

    /// It is not heard for a while, and perhaps was sent more than its peer reads.
    pub(super) fn defer<A: Apps>(
        &mut self,
        id: ConnectionId,
        wait: DeferWait,
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        wire.pause(id);
        self.paused.insert(Paused::WORK);
        if wire.backlog(id) > limits::BACKLOG_HIGH {
            self.note_backlog();
        }
        shared.inbound().defer(id, wait, wire.now());
    }

    /// The backlog is low again: receives again, unless the connection waits for its share.
    pub(super) fn resume<A: Apps>(
        &mut self,
        id: ConnectionId,
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        if !self.paused.contains(Paused::BACKLOG) {
            return;
        }
        self.paused.remove(Paused::BACKLOG);
        if self.paused.is_none() {
            wire.resume(id);
        } else {
            shared.inbound().defer(id, DeferWait::Share, wire.now());
        }
    }

    /// Works on what waits for its share; `None` if it does not wait for one.
    pub(super) fn work<A: Apps>(
        &mut self,
        id: ConnectionId,
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) -> Option<Step> {
        // One whose backlog is high waits for `drained`.
        if !self.paused.contains(Paused::WORK) || self.paused.contains(Paused::BACKLOG) {
            return None;
        }
        self.paused.remove(Paused::WORK);
        let mut bytes = shared.inbound().take(id);
        Some(self.received(id, &mut bytes, shared, wire))
    }

    /// What it waited with is worked on: it receives again, or has ended.
    pub(super) fn worked<A: Apps>(
        &mut self,
        id: ConnectionId,
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) -> Step {
        if self.paused.is_none() {
            wire.resume(id);
        } else if self.paused.contains(Paused::ENDED) && self.peer_ended(id, shared) == Half::Close
        {
            return Step::End {
                how: Close::Flush,
                why: CloseReason::Done,
            };
        }
        Step::Stay
    }

    /// The peer has ended its stream: what came before counts, also what waits for a share.
    pub(super) fn peer_ended<A: Apps>(&mut self, id: ConnectionId, shared: &mut Shared<A>) -> Half {
        if self.paused.contains(Paused::WORK)
            && (self.paused.contains(Paused::BACKLOG) || shared.inbound().has_a_share_coming(id))
        {
            self.paused.insert(Paused::ENDED);
            return Half::Keep;
        }
        match &mut self.state {
            ConnectionState::Http(http) => http.peer_ended(),
            // RFC 6455, 7.1.1: a FIN without a close frame is the end, and a listener to
            // events has left.
            ConnectionState::WebSocket(_)
            | ConnectionState::Stream(_)
            | ConnectionState::Vacant
            | ConnectionState::Ending => Half::Close,
        }
    }

    /// What of its peer is unfinished; `None` for what has ended.
    pub(super) fn unfinished(&mut self, now: Instant) -> Option<PartialInput> {
        let is_heard = self.paused.is_none();
        self.state.unfinished(is_heard, now)
    }

    /// Ends it because of what it holds: a WebSocket that reads is told.
    pub(super) fn give_up<M>(
        &mut self,
        id: ConnectionId,
        why: CloseReason,
        wire: &mut impl Wire<M>,
    ) -> Step {
        let reads = wire.backlog(id) <= limits::BACKLOG_LOW;
        match &mut self.state {
            ConnectionState::WebSocket(socket) if reads => socket.give_up(id, why, wire),
            ConnectionState::WebSocket(_)
            | ConnectionState::Http(_)
            | ConnectionState::Stream(_)
            | ConnectionState::Ending
            | ConnectionState::Vacant => Step::End {
                how: Close::Abort,
                why,
            },
        }
    }

    /// Leaves its application. The others that are returned have moved to the seats beside them.
    pub(super) fn leave<A: Apps>(
        &mut self,
        id: ConnectionId,
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) -> Moves {
        if let ConnectionState::Http(http) = &self.state
            && let Some(app) = http.exchange()
        {
            shared.hung_up(id, app, wire);
        }
        let Some(user) = self.seat() else {
            return Moves::default();
        };
        self.seat = NO_SEAT;
        shared.left(id, user, wire)
    }

    /// Another has left, and it sits there now.
    pub(super) const fn move_to(&mut self, seat: u32) {
        self.seat = seat;
    }

    /// This side ends it; the engine sends what is queued.
    pub(super) fn end<A: Apps>(&mut self, why: CloseReason, shared: &mut Shared<A>) {
        if !matches!(self.state, ConnectionState::Ending) {
            shared.decided(why);
            self.switch(ConnectionState::Ending, shared);
        }
    }

    /// It is gone: its slot is free.
    pub(super) fn vacate<A: Apps>(
        &mut self,
        id: ConnectionId,
        cause: CloseCause,
        shared: &mut Shared<A>,
    ) {
        self.switch(ConnectionState::Vacant, shared);
        shared.gone(id, self.place, cause);
        *self = Self::VACANT;
    }

    /// Becomes something else, as far as the counts of open connections go.
    fn switch<A: Apps>(&mut self, state: ConnectionState, shared: &mut Shared<A>) {
        let before = self.state.kind();
        match &mut self.state {
            ConnectionState::Http(http) => shared.inbound().request_changed(http.held(), 0),
            ConnectionState::WebSocket(socket) => socket.release(shared),
            ConnectionState::Stream(_) | ConnectionState::Ending | ConnectionState::Vacant => {}
        }
        self.state = state;
        shared.changed(before, self.state.kind());
    }

    /// Whether it is that one, and no later one in its slot.
    #[inline]
    pub(super) const fn has(&self, id: ConnectionId) -> bool {
        self.generation == id.generation()
    }

    /// Its id in that slot.
    pub(super) const fn id(&self, slot: u32) -> ConnectionId {
        ConnectionId::new(slot, self.generation)
    }

    /// What it is.
    pub(super) const fn state(&self) -> &ConnectionState {
        &self.state
    }

    /// Its application, how messages are put for it, and where it sits there; `None` if it has none
    /// or has left it.
    pub(super) fn seat(&self) -> Option<(AppIndex, Framing, u32)> {
        let (app, framing) = self.state.user()?;
        (self.seat != NO_SEAT).then_some((app, framing, self.seat))
    }

    /// For how long its present wait has lasted.
    pub(super) fn waited(&self, now: Instant) -> Duration {
        self.since.elapsed(now)
    }

    /// Bytes of memory that its peer makes this side hold, beside its backlog.
    pub(super) fn held<A: Apps>(&self, id: ConnectionId, shared: &mut Shared<A>) -> usize {
        let own = self.state.held();
        let waits = self.paused.contains(Paused::WORK);
        own + if waits {
            shared.inbound().held_for(id)
        } else {
            0
        }
    }

    /// What the time says. Called when its entry in the wheel comes due, which may be early.
    pub(super) fn due(&self, now: Instant, config: &Config) -> Due {
        let waited = self.since.elapsed(now);
        let at = |limit: Duration| Due::Later(now + limit.saturating_sub(waited));
        match &self.state {
            ConnectionState::Http(http) => {
                let (limit, over) = http.limit(self.place, config);
                if waited < limit { at(limit) } else { over }
            }
            ConnectionState::WebSocket(socket) if !socket.is_open() => {
                if waited < limits::CLOSE_TIME {
                    return at(limits::CLOSE_TIME);
                }
                Due::Now(Step::End {
                    how: Close::Flush,
                    why: socket.why(),
                })
            }
            ConnectionState::WebSocket(socket) => match config.websocket_idle() {
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
                Some(idle) if socket.is_pinged() => at(idle),
                Some(idle) if waited >= idle / 2 => Due::Now(Step::Ping),
                Some(idle) => at(idle / 2),
            },
            // The engine resets a peer that does not take what is queued.
            ConnectionState::Stream(_) | ConnectionState::Ending | ConnectionState::Vacant => {
                Due::Never
            }
        }
    }
}
