//! How a server stops: it says that it will, stops accepting, ends its connections one after the
//! other, and resets what is left.

use super::Server;
use super::apps::Apps;
use super::connection::State;
use super::stats::Message;
use super::tally::CloseReason;
use crate::app::Goodbye;
use crate::protocol::sse;
use crate::shard::{Close, ConnectionId, Wire};
use crate::time::Instant;
use std::time::Duration;

/// Time between two steps of ending connections over a while.
const STEP: Duration = Duration::from_millis(10);

/// How far stopping has come.
#[derive(Debug, Default)]
pub(super) enum Draining {
    /// Not begun.
    #[default]
    Serving,
    /// Said to load balancers that ask for health; everything is served until then.
    Announced(Instant),
    /// No longer accepting; those connections are ended one after the other from then on.
    Dismissing {
        began: Instant,
        ids: Vec<ConnectionId>,
        next: usize,
    },
    /// All were told to end.
    Dismissed,
}

impl<A: Apps> Server<A> {
    /// The outside asked to end.
    pub(super) fn begin_to_stop(&mut self, wire: &mut impl Wire<Message<A::Letters>>) {
        let now = wire.now();
        self.shared.unready = true;
        if self.shared.config.drain_delay.is_zero() {
            self.stop_serving(now, wire);
        } else {
            self.draining = Draining::Announced(now + self.shared.config.drain_delay);
        }
    }

    /// When stopping goes on.
    pub(super) fn draining_deadline(&self) -> Option<Instant> {
        match &self.draining {
            Draining::Announced(at) => Some(*at),
            Draining::Dismissing { began, ids, next } => {
                let share = self.dismissed_after(*next, ids.len());
                Some((*began + share).max(self.last_step + STEP))
            }
            Draining::Serving | Draining::Dismissed => None,
        }
    }

    /// What the time brings of it.
    pub(super) fn go_on_stopping(&mut self, wire: &mut impl Wire<Message<A::Letters>>) {
        let now = wire.now();
        match std::mem::take(&mut self.draining) {
            Draining::Announced(at) if at <= now => self.stop_serving(now, wire),
            Draining::Dismissing {
                began,
                ids,
                mut next,
            } => {
                self.last_step = now;
                while let Some(&id) = ids.get(next)
                    && began + self.dismissed_after(next, ids.len()) <= now
                {
                    self.dismiss(id, wire);
                    next += 1;
                }
                self.draining = if next < ids.len() {
                    Draining::Dismissing { began, ids, next }
                } else {
                    Draining::Dismissed
                };
            }
            as_it_was => self.draining = as_it_was,
        }
        let over = self.shared.draining.is_some_and(|until| until <= now);
        if over && self.left.is_none() {
            self.give_up(wire);
        }
    }

    /// After what part of the spread a connection's turn comes.
    fn dismissed_after(&self, index: usize, of: usize) -> Duration {
        let spread = self.shared.config.drain_spread.as_nanos();
        let nanos = spread * index as u128 / of.max(1) as u128;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Accepts nothing more and begins to end what is open.
    fn stop_serving(&mut self, now: Instant, wire: &mut impl Wire<Message<A::Letters>>) {
        let config = &self.shared.config;
        wire.stop_accepting();
        self.shared.draining = Some(now + config.drain_spread + config.drain);
        let (apps, mut outgoing) = self.shared.apps_and_outgoing(wire);
        apps.closing(&mut outgoing);
        let ids: Vec<_> = self.connections.ids().collect();
        self.draining = Draining::Dismissing {
            began: now,
            ids,
            next: 0,
        };
        self.go_on_stopping(wire);
    }

    /// Ends what may end at once, because the server is draining.
    fn dismiss(&mut self, id: ConnectionId, wire: &mut impl Wire<Message<A::Letters>>) {
        let why = CloseReason::Drain;
        let state = self.connections.get_mut(id).map(|found| &found.state);
        match state {
            Some(State::WebSocket(_)) => {
                let goodbye = Goodbye {
                    code: self.shared.config.drain_code,
                    reason: "",
                };
                self.close_socket(id, goodbye, why, wire);
            }
            Some(State::Stream(_)) => {
                self.say_when_to_return(id, wire);
                self.end(id, Close::Flush, why, wire);
            }
            // A request that has begun gets its answer, which ends the connection.
            Some(State::Http(http)) if http.is_quiet() => self.end(id, Close::Flush, why, wire),
            Some(State::Vacant | State::Http(_) | State::Ending) | None => {}
        }
    }

    /// Tells the client of an event stream to wait before it comes back, each another time, so
    /// that not all come at once. HTML, 9.2.6: `retry` counts as soon as its line is read.
    fn say_when_to_return(&mut self, id: ConnectionId, wire: &mut impl Wire<Message<A::Letters>>) {
        let config = &self.shared.config;
        let spread = u64::try_from(config.drain_spread.as_millis()).unwrap_or(u64::MAX);
        let window = spread.max(config.retry_ms).max(1);
        let here = (u64::from(self.core.0) << 48) | id.slot() as u64;
        let seed = config.started.as_nanos() ^ here;
        let retry_ms = config.retry_ms.saturating_add(scattered(seed) % window);
        self.shared.scratch.clear();
        sse::encode_retry(&mut self.shared.scratch, retry_ms);
        // One that does not read what it is sent comes back when it likes.
        let _ = wire.send(id, &self.shared.scratch);
    }

    /// The time to drain is over: resets what is left, also what was closing and whose peer still
    /// has something to get.
    fn give_up(&mut self, wire: &mut impl Wire<Message<A::Letters>>) {
        let ids: Vec<_> = self.connections.ids().collect();
        self.left = Some(ids.len() as u64);
        for id in ids {
            self.end(id, Close::Abort, CloseReason::Drain, wire);
        }
    }
}

/// A number that looks random and follows from another (`SplitMix64`, Steele and others, 2014).
const fn scattered(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
