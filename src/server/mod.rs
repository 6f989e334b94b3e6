//! The server shard: routes, connections, timers, listeners, counts. Pure.
//!
//! ```text
//! received -> connection -> http | websocket -> app -> Outbox -> Wire
//! expired  -> wheel -> connection.due;  push -> topic -> members: all that listen
//! ```
//! Whatever a peer sends, it gets a status, a close code or a reset, and no other connection
//! notices. An idle connection holds no heap memory.
//!
//! `/stats` answers with JSON: `schema`, `engine`, `uptime_s`, `upgrades` (how often the program
//! was replaced while it served), `cores` (an entry per core: `core`
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
mod connections;
mod deferred;
mod draining;
mod effects;
mod event;
mod eviction;
mod fair_share;
mod fields;
mod figures;
mod file_answer;
mod framing;
mod guard;
mod heartbeat;
mod http;
mod inbound;
pub mod log;
mod log_book;
mod members;
mod memory;
mod metered;
mod metrics;
mod mount;
mod outbox;
mod outgoing;
mod passing;
mod paused;
mod payloads;
mod public;
mod refusals;
mod responses;
mod round;
mod route;
mod routes;
mod say;
mod sending;
mod settle;
mod shared;
mod spread;
mod started;
mod state;
mod stats;
mod step;
mod stopping;
mod stream;
mod sweep;
mod tally;
#[cfg(test)]
mod tests;
mod topic;
mod watch;
mod websocket;

pub use apps::{AppIndex, Apps, Letters, Mounted};
pub use config::{Config, Outcome, ServerNews};
pub use draining::HandedOver;
pub use figures::Figures;
pub use guard::{Guard, LocalListeners};
pub use metered::Server;
pub use mount::{BuiltIn, built_in};
pub use public::{PublicFile, PublicFiles, PublicForm, PublicPlace};
pub use refusals::{RefusalCounts, Refusals};
pub use route::{By, Route};
pub use started::StartedCores;
pub use stats::Message;
pub use tally::{Barred, Closed, Decided, Open, Tally};

use crate::shard::{Close, CloseCause, ConnectionId, Core, Half, Origin, ReceiveInto, Shard, Wire};
use crate::time::Instant;
use admission::Place;
use connections::Connections;
use eviction::Heard;
use shared::Shared;
use step::{Due, Step};
use tally::CloseReason;

/// One core's server, but for what leaves.
struct CoreServer<A: Apps> {
    core: Core,
    connections: Connections,
    shared: Shared<A>,
    /// Connections to look at: scratch space.
    due: Vec<ConnectionId>,
}

impl<A: Apps> CoreServer<A> {
    fn with(core: Core, config: Config, apps: A) -> Self {
        Self {
            core,
            connections: Connections::default(),
            shared: Shared::new(apps, config),
            due: Vec::new(),
        }
    }

    /// Whether something is told of connections that come now.
    fn tells(&mut self) -> bool {
        self.shared.renew();
        self.shared.log().is_on()
    }

    /// So many bytes were queued for a connection that is gone.
    fn sent(&mut self, id: ConnectionId, bytes: u64) {
        self.shared.log().sent(id, bytes);
    }

    /// Looks at a connection whose entry in the wheel came due.
    fn look(&mut self, id: ConnectionId, now: Instant, wire: &mut impl Wire<Message<A::Letters>>) {
        let (connections, shared) = (&mut self.connections, &mut self.shared);
        connections.act(id, shared, wire, |it, shared, wire| {
            match it.due(now, shared.config()) {
                Due::Never => Step::Stay,
                Due::Later(at) => {
                    shared.schedule(id, at);
                    Step::Stay
                }
                Due::Now(step) => step,
                Due::RequestTime => it.time_out(id, shared, wire),
            }
        });
    }

    /// Tells the applications the time, and event streams that the server is there.
    fn tell_time(&mut self, now: Instant, wire: &mut impl Wire<Message<A::Letters>>) {
        self.shared.tell_time(wire);
        if let Some(slots) = self.shared.beat(self.connections.slots(), now) {
            for stream in self.connections.streams(slots) {
                self.shared.comment(stream, wire);
            }
        }
    }

    /// A response that is passed on goes on, if that connection gets one.
    fn go_on_passing(&mut self, id: ConnectionId, wire: &mut impl Wire<Message<A::Letters>>) {
        let (connections, shared) = (&mut self.connections, &mut self.shared);
        connections.act(id, shared, wire, |it, shared, wire| {
            it.passed(id, shared, wire)
        });
    }

    /// Answers the connections that wait for the figures.
    fn answer_askers(&mut self, wire: &mut impl Wire<Message<A::Letters>>) {
        self.due.clear();
        if self.shared.take_askers(&mut self.due) {
            self.shared.tell_measured(wire);
        }
        let (connections, shared) = (&mut self.connections, &mut self.shared);
        for &id in &self.due {
            connections.act(id, shared, wire, |it, shared, wire| {
                it.answer(id, None, shared, wire)
            });
        }
    }

    /// A connection has said that; `came` bytes, with those that lie in its message already.
    #[inline]
    fn hear(
        &mut self,
        id: ConnectionId,
        bytes: &mut [u8],
        came: usize,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        if self.shared.log().is_on() {
            self.shared.log().received(id, came);
        }
        let before = self.shared.messages_in();
        let step = connection.received(id, bytes, &mut self.shared, wire);
        if step != Step::Stay {
            self.connections.carry_out(id, step, &mut self.shared, wire);
        }
        if self.shared.door().listens() {
            let messages = self.shared.messages_in() - before;
            let heard = Heard {
                messages,
                bytes: came,
            };
            eviction::meter(id, heard, &mut self.connections, &mut self.shared, wire);
        }
        self.settle(wire);
    }

    #[inline]
    fn settle(&mut self, wire: &mut impl Wire<Message<A::Letters>>) {
        settle::settle(&mut self.connections, &mut self.shared, wire);
    }
}

impl<A: Apps> Shard for CoreServer<A> {
    type Message = Message<A::Letters>;
    type Outcome = Outcome;

    fn started(&mut self, wire: &mut impl Wire<Message<A::Letters>>) {
        debug_assert_eq!(self.core, wire.core());
        self.shared.started(self.core, wire.cores());
        self.shared.config().core_started();
    }

    fn opened(
        &mut self,
        id: ConnectionId,
        origin: Origin,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        let now = wire.now();
        let listener = match origin {
            Origin::Accepted { listener } => listener,
            Origin::Connected | Origin::Secured { .. } => 0,
        };
        let place = self.shared.accepted(id, listener, wire);
        self.connections.open(id, place, now);
        if place == Place::Nowhere {
            let (connections, shared) = (&mut self.connections, &mut self.shared);
            connections.end(id, Close::Abort, CloseReason::Full, shared, wire);
        } else {
            let time = place.head_time(self.shared.config());
            self.shared.schedule(id, now + time);
        }
    }

    #[inline]
    fn received(
        &mut self,
        id: ConnectionId,
        bytes: &mut [u8],
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        let came = bytes.len();
        self.hear(id, bytes, came, wire);
    }

    fn receive_into(&mut self, id: ConnectionId) -> Option<ReceiveInto> {
        let connection = self.connections.get_mut(id)?;
        connection.receive_into(self.shared.inbound())
    }

    fn received_into(
        &mut self,
        id: ConnectionId,
        buffer: Vec<u8>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        let came = connection.take_back(buffer, self.shared.inbound());
        if came > 0 {
            // Whether the message is whole now is seen where nothing more has come.
            self.hear(id, &mut [], came, wire);
        }
    }

    fn drained(&mut self, id: ConnectionId, wire: &mut impl Wire<Message<A::Letters>>) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.resume(id, &mut self.shared, wire);
            if let Some((app, framing, seat)) = connection.seat() {
                let (apps, mut outgoing) = self.shared.apps_and_outgoing(wire);
                apps.caught_up(app, (id, framing, seat), &mut outgoing);
            }
        }
        self.go_on_passing(id, wire);
        self.settle(wire);
    }

    fn ended(&mut self, id: ConnectionId, _wire: &mut impl Wire<Message<A::Letters>>) -> Half {
        let connection = self.connections.get_mut(id);
        connection.map_or(Half::Close, |it| it.peer_ended(id, &mut self.shared))
    }

    fn closed(
        &mut self,
        id: ConnectionId,
        cause: CloseCause,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) {
        let was_here = self.connections.gone(id, cause, &mut self.shared, wire);
        if !was_here && let CloseCause::Insecure(_) = cause {
            // It was accepted, and did not get as far as `opened`.
            self.shared.accepted_in_vain(cause);
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
            Message::Ask { round } => self.shared.tell_figures(from, round, wire),
            Message::Tell { round, figures } => {
                if self.shared.told_figures(from, round, *figures) {
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
        self.shared.take_due(now, &mut due);
        for &id in &due {
            self.look(id, now, wire);
        }
        eviction::expire(&mut self.connections, &mut self.shared, &mut due, wire);
        sweep::sweep(&mut self.connections, &mut self.shared, &mut due, wire);
        self.due = due;
        self.tell_time(now, wire);
        fair_share::work(&mut self.connections, &mut self.shared, wire);
        if self.shared.is_round_over(now) {
            self.answer_askers(wire);
        }
        for id in self.shared.passing().take_ready(now) {
            self.go_on_passing(id, wire);
        }
        stopping::go_on(&mut self.connections, &mut self.shared, wire);
        self.settle(wire);
    }

    fn lost(&mut self, core: Core, wire: &mut impl Wire<Message<A::Letters>>) {
        let (apps, mut outgoing) = self.shared.apps_and_outgoing(wire);
        apps.lost(core, &mut outgoing);
        self.shared.draining().fail();
        self.settle(wire);
    }

    fn stopped(&mut self, wire: &mut impl Wire<Message<A::Letters>>) {
        if self.shared.config().is_handed_over() {
            wire.stop_accepting();
            self.shared.draining().hand_over(wire.now());
        } else {
            self.shared.draining().begin(wire.now());
        }
        stopping::go_on(&mut self.connections, &mut self.shared, wire);
        self.settle(wire);
    }

    fn deadline(&self) -> Option<Instant> {
        self.shared.deadline(self.connections.slots())
    }

    fn finished(&self) -> bool {
        self.shared.is_finished()
    }

    fn outcome(mut self) -> Outcome {
        self.shared.log().finish();
        self.shared.outcome(self.core)
    }
}
