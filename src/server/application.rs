//! One application on one core, and what the server keeps for it.

use super::effects::{Asking, Mail};
use super::framing::{Framing, user};
use super::members::Moves;
use super::outgoing::Outgoing;
use super::round::NamedRound;
use super::route::Route;
use super::topic::Topic;
use crate::app::{ApiCall, App, Message, Reach, Seat, Unsaid};
use crate::shard::{ConnectionId, Wire};
use crate::time::Instant;
use std::time::Duration;

/// One application, and what the server keeps for it.
pub(super) struct Here<A: App> {
    pub(super) app: A,
    pub(super) routes: &'static [Route],
    pub(super) topic: Topic,
    pub(super) round: NamedRound,
    pub(super) mail: Mail<A::Batch>,
}

impl<A: App> Here<A> {
    pub(super) fn new(app: A, routes: &'static [Route]) -> Self {
        Self {
            app,
            routes,
            topic: Topic::default(),
            round: NamedRound::default(),
            mail: Mail::default(),
        }
    }

    /// The application, and what carries out what it asks for.
    #[inline]
    pub(super) fn parts<'a, 's, M, W: Wire<M>>(
        &'a mut self,
        out: &'a mut Outgoing<'s, M, W>,
    ) -> (&'a mut A, Asking<'a, 's, M, W, A::Batch>) {
        let asking = Asking {
            out,
            topic: &mut self.topic,
            round: &mut self.round,
            mail: &mut self.mail,
        };
        (&mut self.app, asking)
    }

    #[inline]
    pub(super) fn hears(&mut self, (id, framing, seat): (ConnectionId, Framing, u32)) -> bool {
        self.app.hears(user(id, framing), Seat(seat))
    }

    #[inline]
    pub(super) fn said<M, W: Wire<M>>(
        &mut self,
        (id, framing, seat): (ConnectionId, Framing, u32),
        message: Message<'_>,
        out: &mut Outgoing<'_, M, W>,
    ) {
        let reaches_others = !matches!(A::REACH, Reach::Replies);
        if A::HEARS && !(reaches_others && out.is_ending()) {
            let (app, mut asking) = self.parts(out);
            app.said(user(id, framing), Seat(seat), message, &mut asking);
            if reaches_others {
                out.may_come_back();
            }
        }
    }

    pub(super) fn caught_up<M, W: Wire<M>>(
        &mut self,
        (id, framing, seat): (ConnectionId, Framing, u32),
        out: &mut Outgoing<'_, M, W>,
    ) {
        let (app, mut asking) = self.parts(out);
        app.caught_up(user(id, framing), Seat(seat), &mut asking);
    }

    pub(super) fn came<M, W: Wire<M>>(
        &mut self,
        (id, framing): (ConnectionId, Framing),
        out: &mut Outgoing<'_, M, W>,
    ) -> u32 {
        let seat = match A::REACH {
            Reach::All => Some(self.topic.members(framing).join(id)),
            Reach::Replies | Reach::Named => None,
        };
        let (app, mut asking) = self.parts(out);
        let Seat(own) = app.came(user(id, framing), &mut asking);
        seat.unwrap_or(own)
    }

    pub(super) fn left<M, W: Wire<M>>(
        &mut self,
        (id, framing, seat): (ConnectionId, Framing, u32),
        out: &mut Outgoing<'_, M, W>,
    ) -> Moves {
        let moves = match A::REACH {
            Reach::All => self.topic.members(framing).leave(seat),
            Reach::Replies | Reach::Named => Moves::default(),
        };
        let (app, mut asking) = self.parts(out);
        app.left(user(id, framing), Seat(seat), &mut asking);
        moves
    }

    pub(super) fn called<M, W: Wire<M>>(
        &mut self,
        id: ConnectionId,
        call: ApiCall<'_>,
        out: &mut Outgoing<'_, M, W>,
    ) {
        let (app, mut asking) = self.parts(out);
        app.called(user(id, Framing::Events), call, &mut asking);
    }

    pub(super) fn hung_up<M, W: Wire<M>>(
        &mut self,
        id: ConnectionId,
        out: &mut Outgoing<'_, M, W>,
    ) {
        let (app, mut asking) = self.parts(out);
        app.hung_up(user(id, Framing::Events), &mut asking);
    }

    pub(super) fn awake(&mut self, now: Instant) {
        if A::REACH == Reach::All {
            if self.topic.is_empty() {
                self.app.awake(now);
            }
            self.topic.awake(now);
        }
    }

    pub(super) fn posted<M, W: Wire<M>>(
        &mut self,
        id: ConnectionId,
        (query, text): (&str, &str),
        out: &mut Outgoing<'_, M, W>,
    ) -> Result<(), Unsaid> {
        let (app, mut asking) = self.parts(out);
        app.posted(user(id, Framing::Events), query, text, &mut asking)
    }

    pub(super) fn expired<M, W: Wire<M>>(
        &mut self,
        heartbeat: Duration,
        out: &mut Outgoing<'_, M, W>,
    ) {
        let now = out.now();
        let is_free = self.topic.telling_since().is_none();
        if is_free && self.app_deadline().is_some_and(|at| at <= now) {
            let (app, mut asking) = self.parts(out);
            let late = app.expired(now, &mut asking);
            out.pushed_late(late);
        }
        let is_due = self
            .topic
            .heartbeat_at(heartbeat)
            .is_some_and(|at| at <= now);
        // What the application has just told goes round.
        let is_free = self.topic.telling_since().is_none();
        if is_free && is_due && !self.topic.is_commenting() {
            self.topic.heartbeat(heartbeat, out);
        }
        self.topic.step(out);
        self.round.step(out);
    }

    pub(super) fn deadline(&self, heartbeat: Duration) -> Option<Instant> {
        let silent = self.topic.heartbeat_at(heartbeat);
        let telling = self.topic.telling_since();
        let deadlines = [self.app_deadline(), telling, self.round.since(), silent];
        deadlines.into_iter().flatten().min()
    }

    /// When the application wants to be told the time, if it is to be told at all.
    fn app_deadline(&self) -> Option<Instant> {
        let alone = A::REACH == Reach::All && self.topic.is_empty();
        self.app.deadline().filter(|_| !alone)
    }
}
