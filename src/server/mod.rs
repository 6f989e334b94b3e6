//! The server shard: routes, connections, timers, listeners, counts. Pure.
//!
//! ```text
//! received -> connection -> http | websocket -> app -> Outbox -> Wire
//! expired  -> wheel -> connection.due;  push -> topic -> members: everyone who listens
//! ```
//! Whatever a peer sends, it gets a status, a close code or a reset, and no other connection
//! notices. An idle connection holds no heap memory.
//!
//! `/stats` answers with JSON: `schema`, `engine`, `uptime_s`, `cores` (an entry per core: `core`
//! and the keys of [`Figures`] and [`Tally`]), `total` (the same summed), `missing` (cores that did
//! not tell in 500 ms); and what the [`crate::stats::Board`] shows: `process`, `listeners`,
//! `host`, `cgroup`, `sample_age_s`. `open`, `inbound_bytes`, `held_bytes`, `backlog_bytes`,
//! `slots` and `accept_queue` are levels, what else a core has only grows. `/metrics` has the same
//! figures for Prometheus.

#![forbid(unsafe_code)]
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used
)]

mod admission;
mod answer;
mod application;
mod apps;
mod config;
mod connection;
mod deferred;
mod draining;
mod effects;
mod fair_share;
mod fields;
mod figures;
mod http;
mod members;
mod metrics;
mod mount;
mod outbox;
mod refusals;
mod route;
mod routes;
mod say;
mod settle;
mod shared;
mod spread;
mod stats;
mod step;
mod stream;
mod sweep;
mod tally;
#[cfg(test)]
mod tests;
mod topic;
mod watch;
mod websocket;

pub use apps::{AppIndex, Apps, Letters, Mounted};
pub use config::{Config, Outcome};
pub use figures::Figures;
pub use mount::{BuiltIn, built_in};
pub use refusals::{RefusalCounts, Refusals};
pub use route::{By, Route};
pub use stats::Message;
pub use tally::{Closed, Decided, Open, Tally};

use crate::app::{self, ApiResponse, Goodbye};
use crate::limits;
use crate::protocol::websocket::{Opcode, frame};
use crate::shard::{Close, CloseCause, ConnectionId, Core, Half, Origin, Shard, Wire};
use crate::time::Instant;
use admission::Place;
use connection::{Connection, Connections, Paused, State, is_told_singly};
use draining::Draining;
use shared::Shared;
use step::{Due, Stamp, Step};
use tally::CloseReason;

/// One core's server.
pub struct Server<A: Apps = BuiltIn> {
    core: Core,
    connections: Connections,
    shared: Shared<A>,
    /// Connections to look at: scratch space.
    due: Vec<ConnectionId>,
    /// How many connections were still open when the time to drain was over, once it is.
    left: Option<u64>,
    draining: Draining,
    /// When connections were last told to end.
    last_step: Instant,
}

impl Server {
    /// A server for one core; every core gets the same configuration.
    #[must_use]
    pub fn new(core: Core, config: Config) -> Self {
        let apps = built_in(&config);
        Self::with(core, config, apps)
    }
}

impl<A: Apps> Server<A> {
    /// A server for one core with those applications.
    #[must_use]
    pub fn with(core: Core, config: Config, apps: A) -> Self {
        Self {
            core,
            connections: Connections::default(),
            shared: Shared::new(apps, config),
            due: Vec::new(),
            left: None,
            draining: Draining::default(),
            last_step: Instant::default(),
        }
    }

    fn carry_out(
        &mut self,
        id: ConnectionId,
        step: Step,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        match step {
            Step::Stay => {}
            Step::Pause => {
                if let Some(connection) = self.connections.get_mut(id) {
                    connection.paused.insert(Paused::BACKLOG);
                    wire.pause(id);
                }
            }
            Step::Defer { wait } => self.defer(id, wait, wire),
            Step::Ping => self.ping(id, wire),
            Step::CloseSocket { goodbye, why } => self.close_socket(id, goodbye, why, wire),
            Step::AwaitClose => self.await_close(id, wire),
            Step::End { how, why } => self.end(id, how, why, wire),
        }
    }

    fn ping(&mut self, id: ConnectionId, wire: &mut impl Wire<Message<A::Letters>>) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        let State::WebSocket(socket) = &mut connection.state else {
            return;
        };
        socket.pinged = true;
        let header = frame::header(Opcode::Ping, 0, None);
        // If the backlog is full then the peer does not read, and time will tell.
        let _ = wire.send(id, header.as_bytes());
        if let Some(idle) = self.shared.config.websocket_idle() {
            self.shared.wheel.schedule(id, wire.now() + idle / 2);
        }
    }

    /// Begins the close handshake.
    fn close_socket(
        &mut self,
        id: ConnectionId,
        goodbye: Goodbye,
        why: CloseReason,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        let State::WebSocket(socket) = &mut connection.state else {
            return;
        };
        let step = socket.close(id, goodbye, why, &mut self.shared.scratch, wire);
        self.carry_out(id, step, wire);
    }

    /// Our close frame is queued: nothing else may be, and the peer's is awaited.
    fn await_close(&mut self, id: ConnectionId, wire: &mut impl Wire<Message<A::Letters>>) {
        self.leave(id, wire);
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        connection.since = Stamp::new(wire.now());
        self.resume(id, wire);
        self.shared
            .wheel
            .schedule(id, wire.now() + limits::CLOSE_TIME);
    }

    /// Ends a connection.
    fn end(
        &mut self,
        id: ConnectionId,
        how: Close,
        why: CloseReason,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        self.leave(id, wire);
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        if !matches!(connection.state, State::Ending) {
            self.shared.tally.decided(why);
            connection.switch(State::Ending, &mut self.shared);
        }
        wire.close(id, how);
    }

    /// Takes a connection from the listeners, if it is one.
    fn leave(&mut self, id: ConnectionId, wire: &mut impl Wire<Message<A::Letters>>) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        let moves = connection.leave(id, &mut self.shared, wire);
        for (moved, seat) in moves.into_iter().flatten() {
            if let Some(connection) = self.connections.get_mut(moved) {
                connection.seat = seat;
            }
        }
    }

    /// Looks at a connection whose entry in the wheel came due.
    fn look(&mut self, id: ConnectionId, now: Instant, wire: &mut impl Wire<Message<A::Letters>>) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        match connection.due(now, &self.shared.config) {
            Due::Never => {}
            Due::Later(at) => self.shared.wheel.schedule(id, at),
            Due::Now(step) => self.carry_out(id, step, wire),
            Due::RequestTime => {
                let State::Http(http) = &mut connection.state else {
                    return;
                };
                let step = http.time_out((id, connection.place), &mut self.shared, wire);
                self.carry_out(id, step, wire);
            }
        }
    }

    /// Tells the applications the time, and event streams that the server is there.
    fn tell_time(&mut self, now: Instant, wire: &mut impl Wire<Message<A::Letters>>) {
        let heartbeat = self.shared.config.heartbeat();
        let (apps, mut outgoing) = self.shared.apps_and_outgoing(wire);
        apps.expired(heartbeat, &mut outgoing);
        let beat = &mut self.shared.heartbeat;
        let slots = self.connections.slots();
        if beat.due(slots, heartbeat).is_none_or(|at| now < at) {
            return;
        }
        let slots = beat.step(slots, heartbeat, now);
        for (id, app) in self.connections.streams(slots) {
            if is_told_singly::<A>(app) {
                self.shared.outbox.comment(id, wire);
            }
        }
    }

    /// Answers a request that waited for another core.
    fn answer(
        &mut self,
        id: ConnectionId,
        answer: Option<app::Answer>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        let State::Http(http) = &mut connection.state else {
            return;
        };
        connection.since = Stamp::new(wire.now());
        let step = http.told((id, connection.place), answer, &mut self.shared, wire);
        self.carry_out(id, step, wire);
    }

    /// Answers a call.
    fn respond(
        &mut self,
        id: ConnectionId,
        response: ApiResponse,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        let State::Http(http) = &mut connection.state else {
            return;
        };
        connection.since = Stamp::new(wire.now());
        let status = response.status;
        self.shared.response = response.json;
        let step = http.called((id, connection.place), status, &mut self.shared, wire);
        self.carry_out(id, step, wire);
    }

    /// Answers everyone who waits for the figures.
    fn answer_askers(&mut self, wire: &mut impl Wire<Message<A::Letters>>) {
        let mut askers = std::mem::take(&mut self.due);
        askers.clear();
        self.shared.round.end(&mut askers);
        for &id in &askers {
            self.answer(id, None, wire);
        }
        self.due = askers;
    }
}

impl<A: Apps> Shard for Server<A> {
    type Message = Message<A::Letters>;
    type Outcome = Outcome;

    fn started(&mut self, wire: &mut impl Wire<Message<A::Letters>>) {
        debug_assert_eq!(self.core, wire.core());
        self.shared.apps.started(self.core, wire.cores());
    }

    fn opened(
        &mut self,
        id: ConnectionId,
        origin: Origin,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        let now = wire.now();
        self.shared.tally.accepted();
        let listener = match origin {
            Origin::Accepted { listener } => listener,
            Origin::Connected | Origin::Secured { .. } => 0,
        };
        let place = self.shared.admission.enter(listener, &self.shared.config);
        let Some(connection) = self.connections.open(id, now) else {
            return;
        };
        connection.place = place;
        connection.switch(State::Http(Box::default()), &mut self.shared);
        if place == Place::Nowhere {
            self.shared.refuse_by_reset();
            self.end(id, Close::Abort, CloseReason::Full, wire);
        } else {
            self.shared.wheel.schedule(id, now + place.head_time());
        }
    }

    #[inline]
    fn received(
        &mut self,
        id: ConnectionId,
        bytes: &mut [u8],
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        let step = connection.received(id, bytes, &mut self.shared, wire);
        if step != Step::Stay {
            self.carry_out(id, step, wire);
        }
        self.settle(wire);
    }

    fn drained(&mut self, id: ConnectionId, wire: &mut impl Wire<Message<A::Letters>>) {
        self.resume(id, wire);
        if let Some(connection) = self.connections.get_mut(id)
            && let Some(seat) = connection.seat()
        {
            let (apps, mut outgoing) = self.shared.apps_and_outgoing(wire);
            apps.caught_up(seat.0, (id, seat.1, seat.2), &mut outgoing);
        }
        self.settle(wire);
    }

    fn ended(&mut self, id: ConnectionId, _wire: &mut impl Wire<Message<A::Letters>>) -> Half {
        self.peer_ended(id)
    }

    fn closed(
        &mut self,
        id: ConnectionId,
        cause: CloseCause,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        self.leave(id, wire);
        let open = |found: &mut Connection| !matches!(found.state, State::Vacant);
        if self.connections.get_mut(id).is_some_and(open) {
            self.connections.vacate(id, &mut self.shared);
            self.shared.tally.ended(cause);
        } else if let CloseCause::Insecure(_) = cause {
            // It was accepted, and did not get as far as `opened`.
            self.shared.tally.accepted();
            self.shared.tally.ended(cause);
        }
        self.settle(wire);
    }

    fn forwarded(
        &mut self,
        from: Core,
        message: Message<A::Letters>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        match message {
            Message::Ask { round } => {
                let vitals = self.shared.round.vitals(wire);
                let figures = Box::new(Figures::new(self.shared.figures(wire), &vitals));
                wire.forward(from, Message::Tell { round, figures });
            }
            Message::Tell { round, figures } => {
                if self.shared.round.tell(from, round, *figures) {
                    self.answer_askers(wire);
                }
            }
            Message::App(letters) => {
                let (apps, mut outgoing) = self.shared.apps_and_outgoing(wire);
                apps.took(from, letters, &mut outgoing);
            }
        }
        self.settle(wire);
    }

    fn expired(&mut self, wire: &mut impl Wire<Message<A::Letters>>) {
        let now = wire.now();
        let mut due = std::mem::take(&mut self.due);
        due.clear();
        self.shared.wheel.expire(now, &mut due);
        for &id in &due {
            self.look(id, now, wire);
        }
        self.due = due;
        self.sweep(wire);
        self.tell_time(now, wire);
        self.work_on_deferred(wire);
        if self
            .shared
            .round
            .deadline()
            .is_some_and(|until| until <= now)
        {
            self.answer_askers(wire);
        }
        self.go_on_stopping(wire);
        self.settle(wire);
    }

    fn stopped(&mut self, wire: &mut impl Wire<Message<A::Letters>>) {
        self.begin_to_stop(wire);
        self.settle(wire);
    }

    fn deadline(&self) -> Option<Instant> {
        let Shared {
            wheel,
            apps,
            heartbeat,
            round,
            config,
            draining,
            deferred,
            watch,
            ..
        } = &self.shared;
        let beat = heartbeat.due(self.connections.slots(), config.heartbeat());
        let draining = draining.filter(|_| self.left.is_none());
        [
            wheel.deadline(),
            apps.deadline(config.heartbeat()),
            beat,
            round.deadline(),
            deferred.deadline(),
            watch.deadline(),
            draining,
            self.draining_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Draining, and nothing is open or the time is over.
    fn finished(&self) -> bool {
        let drained = self.shared.draining.is_some() && self.shared.tally.opened() == 0;
        drained || self.left.is_some()
    }

    fn outcome(self) -> Outcome {
        Outcome {
            core: self.core,
            tally: self.shared.tally,
            left: self.left.unwrap_or(0),
        }
    }
}
