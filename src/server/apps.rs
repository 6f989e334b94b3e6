//! The applications of a server: a list of types, so that the compiler sees through each call of
//! one. The list ends in `()`, and an [`AppIndex`] counts down along it.

mod end;

use super::application::Here;
use super::framing::Framing;
use super::members::Moves;
use super::outgoing::Outgoing;
use super::route::{By, Route};
use crate::app::{
    Admittance, ApiCall, App, Arrival, Goodbye, Holdings, Message, Missed, Notice, Reach, Refusal,
    Unsaid,
};
use crate::shard::{ConnectionId, Core, PeerNames, Wire};
use crate::time::Instant;
use std::sync::Arc;
use std::time::Duration;

/// Which application of a server: the first of the list is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppIndex(u8);

/// An application and the rest of the list.
pub struct Mounted<A: App, R> {
    here: Here<A>,
    rest: R,
}

/// Letters of one application of a list.
#[derive(Clone, Debug)]
pub enum Letters<B, R> {
    /// Of the first.
    First(Box<B>),
    /// Of one behind it.
    Rest(R),
}

impl<A: App, R: Apps> Mounted<A, R> {
    /// That application beside those.
    #[must_use]
    pub fn new(app: A, routes: &'static [Route], rest: R) -> Self {
        let here = Here::new(app, routes);
        Self { here, rest }
    }
}

/// The applications of a server: `()` or [`Mounted`].
pub trait Apps: Sized + 'static {
    /// What they say to themselves on other cores.
    type Letters: Clone + std::fmt::Debug + Send + 'static;
    /// Each place where one is reached, in order.
    fn routes(&self, first: u8, each: &mut dyn FnMut(AppIndex, &'static Route));
    /// How that one reaches its users, and whether it hears them.
    fn manner(index: AppIndex) -> (Reach, bool);
    /// The core begins.
    fn started(&mut self, here: Core, cores: u16);
    /// What the same application said on another core.
    fn took<M, W: Wire<M>>(
        &mut self,
        from: Core,
        letters: Self::Letters,
        out: &mut Outgoing<'_, M, W>,
    );
    /// Another core is gone for good.
    fn lost<M, W: Wire<M>>(&mut self, core: Core, out: &mut Outgoing<'_, M, W>);
    /// Forwards what they said to themselves.
    fn deliver<M, W: Wire<M>>(&mut self, wrap: &dyn Fn(Self::Letters) -> M, wire: &mut W);
    /// What the time brings.
    fn expired<M, W: Wire<M>>(&mut self, heartbeat: Duration, out: &mut Outgoing<'_, M, W>);
    /// What they hold now.
    fn holdings(&self) -> Holdings;
    /// What all cores count.
    fn measured<M, W: Wire<M>>(&mut self, figures: &str, out: &mut Outgoing<'_, M, W>);
    /// When it does.
    fn deadline(&self, heartbeat: Duration) -> Option<Instant>;
    /// All users are about to leave: what goes round to them ends at once.
    fn closing<M, W: Wire<M>>(&mut self, out: &mut Outgoing<'_, M, W>);
    /// Frees what is kept to be written into.
    fn trim(&mut self);
    /// Whether a message of that user is heard now.
    fn hears(&mut self, index: AppIndex, from: (ConnectionId, Framing, u32)) -> bool;
    /// A message.
    fn said<M, W: Wire<M>>(
        &mut self,
        index: AppIndex,
        from: (ConnectionId, Framing, u32),
        message: Message<'_>,
        out: &mut Outgoing<'_, M, W>,
    );
    /// A user that was behind has caught up.
    fn caught_up<M, W: Wire<M>>(
        &mut self,
        index: AppIndex,
        who: (ConnectionId, Framing, u32),
        out: &mut Outgoing<'_, M, W>,
    );
    /// Somebody has come: its seat.
    fn came<M, W: Wire<M>>(
        &mut self,
        index: AppIndex,
        who: (ConnectionId, Framing),
        out: &mut Outgoing<'_, M, W>,
    ) -> u32;
    /// Somebody has left: who has moved to which seat.
    fn left<M, W: Wire<M>>(
        &mut self,
        index: AppIndex,
        who: (ConnectionId, Framing, u32),
        out: &mut Outgoing<'_, M, W>,
    ) -> Moves;
    /// Something is asked of the server.
    fn requested(&mut self, path: &str, now: Instant) -> Result<(), Refusal>;
    /// [`App::session`] of the first that has one.
    fn session(&mut self, arrival: &Arrival<'_>) -> Option<(Box<str>, Option<Box<str>>)>;
    /// [`App::certified`], of all of them.
    fn certified(&mut self, names: Option<&Arc<PeerNames>>);
    /// Somebody is about to come, or to call.
    fn arriving(&mut self, index: AppIndex, arrival: &Arrival<'_>) -> Result<Admittance, Refusal>;
    /// Somebody calls over HTTP.
    fn called<M, W: Wire<M>>(
        &mut self,
        index: AppIndex,
        id: ConnectionId,
        call: ApiCall<'_>,
        out: &mut Outgoing<'_, M, W>,
    );
    /// Somebody is gone who called and was not answered.
    fn hung_up<M, W: Wire<M>>(
        &mut self,
        index: AppIndex,
        id: ConnectionId,
        out: &mut Outgoing<'_, M, W>,
    );
    /// How a user of that one is ended who does not read.
    fn too_slow(index: AppIndex) -> Goodbye;
    /// Somebody is about to come.
    fn awake(&mut self, index: AppIndex, now: Instant);
    /// Somebody posts to a query.
    fn posted<M, W: Wire<M>>(
        &mut self,
        index: AppIndex,
        id: ConnectionId,
        what: (&str, &str),
        out: &mut Outgoing<'_, M, W>,
    ) -> Result<(), Unsaid>;
    /// Whether somebody may post to that query.
    fn is_address(&self, index: AppIndex, query: &str) -> bool;
    /// What somebody has missed.
    fn missed(&self, index: AppIndex, id: &str) -> Option<Missed>;
    /// Hands out what was missed.
    fn replay(&mut self, index: AppIndex, after: u64, each: &mut dyn FnMut(Notice<'_>));
    /// The run and the number of its newest message.
    fn newest(&self, index: AppIndex) -> (u32, u64);

    /// Who answers at that path.
    fn find(&self, path: &str) -> Option<(AppIndex, By)> {
        let mut found = None;
        self.routes(0, &mut |index, route| {
            if route.path == path {
                found = Some((index, route.by));
            }
        });
        found
    }
}

impl AppIndex {
    /// The same one, counted from the second of the list; `None` for the first.
    #[inline]
    const fn behind(self) -> Option<Self> {
        match self.0.checked_sub(1) {
            Some(index) => Some(Self(index)),
            None => None,
        }
    }
}

impl<A: App, R: Apps> Apps for Mounted<A, R> {
    type Letters = Letters<A::Batch, R::Letters>;

    fn routes(&self, first: u8, each: &mut dyn FnMut(AppIndex, &'static Route)) {
        for route in self.here.routes {
            each(AppIndex(first), route);
        }
        self.rest.routes(first + 1, each);
    }

    fn manner(index: AppIndex) -> (Reach, bool) {
        match index.behind() {
            None => (A::REACH, A::HEARS),
            Some(index) => R::manner(index),
        }
    }

    fn started(&mut self, here: Core, cores: u16) {
        self.here.app.started(here, cores);
        self.rest.started(here, cores);
    }

    fn took<M, W: Wire<M>>(
        &mut self,
        from: Core,
        letters: Self::Letters,
        out: &mut Outgoing<'_, M, W>,
    ) {
        match letters {
            Letters::First(batch) => {
                let (app, mut asking) = self.here.parts(out);
                app.took(from, &batch, &mut asking);
                self.here.mail.recycle(batch);
            }
            Letters::Rest(letters) => self.rest.took(from, letters, out),
        }
    }

    fn lost<M, W: Wire<M>>(&mut self, core: Core, out: &mut Outgoing<'_, M, W>) {
        let (app, mut asking) = self.here.parts(out);
        app.lost(core, &mut asking);
        self.rest.lost(core, out);
    }

    fn deliver<M, W: Wire<M>>(&mut self, wrap: &dyn Fn(Self::Letters) -> M, wire: &mut W) {
        let mail = &mut self.here.mail;
        mail.deliver(|to, batch, bytes| {
            wire.forward_sized(to, wrap(Letters::First(batch)), bytes);
        });
        let wrap = |letters| wrap(Letters::Rest(letters));
        self.rest.deliver(&wrap, wire);
    }

    fn expired<M, W: Wire<M>>(&mut self, heartbeat: Duration, out: &mut Outgoing<'_, M, W>) {
        self.here.expired(heartbeat, out);
        self.rest.expired(heartbeat, out);
    }

    fn holdings(&self) -> Holdings {
        let mut all = self.here.app.holdings();
        all.add(self.rest.holdings());
        all
    }

    fn measured<M, W: Wire<M>>(&mut self, figures: &str, out: &mut Outgoing<'_, M, W>) {
        let (app, mut asking) = self.here.parts(out);
        app.measured(figures, &mut asking);
        self.rest.measured(figures, out);
    }

    fn deadline(&self, heartbeat: Duration) -> Option<Instant> {
        let deadlines = [self.here.deadline(heartbeat), self.rest.deadline(heartbeat)];
        deadlines.into_iter().flatten().min()
    }

    fn closing<M, W: Wire<M>>(&mut self, out: &mut Outgoing<'_, M, W>) {
        self.here.app.closing();
        self.here.topic.finish(out);
        self.here.round.finish(out);
        self.rest.closing(out);
    }

    fn trim(&mut self) {
        self.here.topic.trim();
        self.here.round.trim();
        self.here.mail.trim();
        self.rest.trim();
    }

    #[inline]
    fn hears(&mut self, index: AppIndex, from: (ConnectionId, Framing, u32)) -> bool {
        match index.behind() {
            None => self.here.hears(from),
            Some(index) => self.rest.hears(index, from),
        }
    }

    #[inline]
    fn said<M, W: Wire<M>>(
        &mut self,
        index: AppIndex,
        from: (ConnectionId, Framing, u32),
        message: Message<'_>,
        out: &mut Outgoing<'_, M, W>,
    ) {
        match index.behind() {
            None => self.here.said(from, message, out),
            Some(index) => self.rest.said(index, from, message, out),
        }
    }

    fn caught_up<M, W: Wire<M>>(
        &mut self,
        index: AppIndex,
        who: (ConnectionId, Framing, u32),
        out: &mut Outgoing<'_, M, W>,
    ) {
        match index.behind() {
            None => self.here.caught_up(who, out),
            Some(index) => self.rest.caught_up(index, who, out),
        }
    }

    fn came<M, W: Wire<M>>(
        &mut self,
        index: AppIndex,
        who: (ConnectionId, Framing),
        out: &mut Outgoing<'_, M, W>,
    ) -> u32 {
        match index.behind() {
            None => self.here.came(who, out),
            Some(index) => self.rest.came(index, who, out),
        }
    }

    fn left<M, W: Wire<M>>(
        &mut self,
        index: AppIndex,
        who: (ConnectionId, Framing, u32),
        out: &mut Outgoing<'_, M, W>,
    ) -> Moves {
        match index.behind() {
            None => self.here.left(who, out),
            Some(index) => self.rest.left(index, who, out),
        }
    }

    fn requested(&mut self, path: &str, now: Instant) -> Result<(), Refusal> {
        self.here.app.requested(path, now)?;
        self.rest.requested(path, now)
    }

    fn session(&mut self, arrival: &Arrival<'_>) -> Option<(Box<str>, Option<Box<str>>)> {
        let session = self.here.app.session(arrival);
        session.or_else(|| self.rest.session(arrival))
    }

    fn certified(&mut self, names: Option<&Arc<PeerNames>>) {
        self.here.app.certified(names);
        self.rest.certified(names);
    }

    fn arriving(&mut self, index: AppIndex, arrival: &Arrival<'_>) -> Result<Admittance, Refusal> {
        match index.behind() {
            None => self.here.app.arriving(arrival),
            Some(index) => self.rest.arriving(index, arrival),
        }
    }

    fn called<M, W: Wire<M>>(
        &mut self,
        index: AppIndex,
        id: ConnectionId,
        call: ApiCall<'_>,
        out: &mut Outgoing<'_, M, W>,
    ) {
        match index.behind() {
            None => self.here.called(id, call, out),
            Some(index) => self.rest.called(index, id, call, out),
        }
    }

    fn hung_up<M, W: Wire<M>>(
        &mut self,
        index: AppIndex,
        id: ConnectionId,
        out: &mut Outgoing<'_, M, W>,
    ) {
        match index.behind() {
            None => self.here.hung_up(id, out),
            Some(index) => self.rest.hung_up(index, id, out),
        }
    }

    fn too_slow(index: AppIndex) -> Goodbye {
        match index.behind() {
            None => A::TOO_SLOW,
            Some(index) => R::too_slow(index),
        }
    }

    fn awake(&mut self, index: AppIndex, now: Instant) {
        match index.behind() {
            None => self.here.awake(now),
            Some(index) => self.rest.awake(index, now),
        }
    }

    fn posted<M, W: Wire<M>>(
        &mut self,
        index: AppIndex,
        id: ConnectionId,
        what: (&str, &str),
        out: &mut Outgoing<'_, M, W>,
    ) -> Result<(), Unsaid> {
        match index.behind() {
            None => self.here.posted(id, what, out),
            Some(index) => self.rest.posted(index, id, what, out),
        }
    }

    fn is_address(&self, index: AppIndex, query: &str) -> bool {
        match index.behind() {
            None => self.here.app.is_address(query),
            Some(index) => self.rest.is_address(index, query),
        }
    }

    fn missed(&self, index: AppIndex, id: &str) -> Option<Missed> {
        match index.behind() {
            None => self.here.app.missed(id),
            Some(index) => self.rest.missed(index, id),
        }
    }

    fn replay(&mut self, index: AppIndex, after: u64, each: &mut dyn FnMut(Notice<'_>)) {
        match index.behind() {
            None => self.here.app.replay(after, each),
            Some(index) => self.rest.replay(index, after, each),
        }
    }

    fn newest(&self, index: AppIndex) -> (u32, u64) {
        match index.behind() {
            None => self.here.app.newest(),
            Some(index) => self.rest.newest(index),
        }
    }
}
