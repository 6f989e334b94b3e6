//! Asks the middleware of a core, and keeps for it what is known of each client. Where there is no
//! middleware it keeps nothing and asks nobody.

use super::foreseen::{self, Foreseen};
use super::{Middleware, RuleRefusal, Ruling, Visitor, answered};
use crate::app::User;
use crate::app::backend::{AnsweredHook, HookFailure, HookKind, HookQuestion};
use crate::app::facts::ClientFacts;
use crate::app::hub::session::SessionId;
use crate::app::tokens::TokenClaims;
use crate::shard::PeerNames;
use crate::time::Instant;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The middleware of one core, and the clients that it is asked about.
#[derive(Default)]
pub struct Gatekeeper {
    middleware: Option<Box<dyn Middleware>>,
    /// Whether who is told a publication has to be asked about.
    watches_out: bool,
    known: BTreeMap<User, KnownClient>,
    /// Whoever asks for something now has proved those with a certificate.
    names: Option<Arc<PeerNames>>,
    now: Instant,
    /// The application behind the server is asked too; what holds while it does not answer.
    backend: Option<HookFailure>,
    /// What rules have said to what clients ask for of which it is asked, before it was.
    foreseen: BTreeMap<User, Foreseen>,
    /// What it has answered to what is heard now.
    heard: Option<(User, Vec<AnsweredHook>)>,
    /// What it wants to have published instead.
    replaced: Option<Box<str>>,
    /// Channels that it wants the client to be in that is heard now.
    wished: Vec<Box<str>>,
    /// Sessions that have ended, if it is to be told.
    ended: Vec<(SessionId, Box<str>)>,
}

/// What is known of a client.
#[derive(Debug, Default)]
struct KnownClient {
    path: &'static str,
    claims: Option<Arc<TokenClaims>>,
    session: Option<Arc<ClientFacts>>,
    names: Option<Arc<PeerNames>>,
}

/// Nobody's connection.
const NOBODY: User = User(u64::MAX);

impl Gatekeeper {
    /// Asks that, if there is something to ask.
    #[must_use]
    pub fn new(middleware: Option<Box<dyn Middleware>>) -> Self {
        Self {
            watches_out: middleware.as_ref().is_some_and(|it| it.watches_out()),
            middleware,
            ..Self::default()
        }
    }

    /// The application behind the server is asked too.
    pub const fn ask_backend(&mut self, failure: HookFailure) {
        self.backend = Some(failure);
    }

    /// Whether the application behind the server is asked too.
    #[must_use]
    pub const fn has_backend(&self) -> bool {
        self.backend.is_some()
    }

    /// A client asks for something, perhaps with a token, about which the application is to be
    /// asked: rules say now what they say to it, and what they refuse is not asked about.
    pub fn foresee(
        &mut self,
        user: User,
        claims: Option<&TokenClaims>,
        questions: &mut Vec<HookQuestion>,
    ) {
        let mut foreseen = Foreseen::default();
        let is_asked = self.middleware.is_some() && !questions.is_empty();
        if is_asked {
            let mut ends = false;
            questions.retain(|question| {
                let may =
                    !ends && self.with(user, claims, |it, from| foreseen.ask(question, it, from));
                // Nobody hears what comes behind.
                ends |= !may && question.kind == HookKind::Connect;
                may
            });
        }
        match foreseen.is_empty() {
            true => drop(self.foreseen.remove(&user)),
            false => drop(self.foreseen.insert(user, foreseen)),
        }
    }

    /// What that client asks for from now on has been answered so.
    pub fn hear(&mut self, user: User, answers: Vec<AnsweredHook>, wished: Vec<Box<str>>) {
        self.heard = Some((user, answers));
        self.wished = wished;
    }

    /// Whether the application wants the client to be in channels that is heard now.
    #[must_use]
    pub const fn wishes(&self) -> bool {
        !self.wished.is_empty()
    }

    /// Those channels: whoever takes them subscribes the client.
    pub fn take_wished(&mut self) -> Vec<Box<str>> {
        std::mem::take(&mut self.wished)
    }

    /// Whether what that client asks for has been answered.
    #[must_use]
    pub fn is_heard(&self, user: User) -> bool {
        self.heard.as_ref().is_some_and(|(heard, _)| *heard == user)
    }

    /// All of it has been carried out.
    pub fn heard(&mut self) {
        self.heard = None;
    }

    /// What is to be published instead of what was asked about last.
    pub fn replaced(&mut self) -> Option<Box<str>> {
        self.replaced.take()
    }

    /// Sessions that have ended since the last time, with what they held.
    pub fn ended(&mut self) -> Vec<(SessionId, Box<str>)> {
        std::mem::take(&mut self.ended)
    }

    /// Asks that from now on. Who asked nobody before does not know its clients, and goes on so.
    pub fn ask_instead(&mut self, middleware: Option<Box<dyn Middleware>>) {
        if let (Some(old), Some(new)) = (&mut self.middleware, middleware) {
            *old = new;
            self.watches_out = old.watches_out();
        }
    }

    /// Whether there is anything to ask.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.middleware.is_some()
    }

    /// Whether who is told a publication has to be asked about.
    #[must_use]
    pub const fn watches_out(&self) -> bool {
        self.watches_out
    }

    /// The time.
    pub const fn tick(&mut self, now: Instant) {
        self.now = now;
    }

    /// Whoever asks for something next, and comes by it, has proved those names.
    pub fn certified(&mut self, names: Option<&Arc<PeerNames>>) {
        if self.middleware.is_some() {
            self.names = names.cloned();
        }
    }

    /// Whoever comes next has proved what that client has.
    pub fn certified_as(&mut self, user: User) {
        let known = self.known.get(&user);
        self.names = known.and_then(|known| known.names.clone());
    }

    /// A client has come to that path.
    pub fn came(&mut self, user: User, path: &'static str) {
        if self.middleware.is_some() {
            let known = KnownClient {
                path,
                names: self.names.take(),
                ..KnownClient::default()
            };
            self.known.insert(user, known);
        }
    }

    /// A client shows a token.
    pub fn identify(&mut self, user: User, claims: &Arc<TokenClaims>) {
        if let Some(known) = self.known.get_mut(&user) {
            known.claims = Some(claims.clone());
        }
    }

    /// A client shows no token any more.
    pub fn forget(&mut self, user: User) {
        if let Some(known) = self.known.get_mut(&user) {
            known.claims = None;
        }
    }

    /// The session of these holds that now: a JSON object.
    pub fn holds(&mut self, users: &[User], data: &str) {
        if self.middleware.is_some() {
            let session = Arc::new(ClientFacts::read(data));
            for user in users {
                if let Some(known) = self.known.get_mut(user) {
                    known.session = Some(session.clone());
                }
            }
        }
    }

    /// A session has ended that held that.
    pub fn session_ended(&mut self, session: SessionId, data: &str) {
        if self.backend.is_some() {
            self.ended.push((session, data.into()));
        }
        if let Some(middleware) = &mut self.middleware {
            middleware.session_ended(session, data);
        }
    }

    /// A client is gone.
    pub fn left(&mut self, user: User) {
        if let Some(middleware) = &mut self.middleware {
            self.known.remove(&user);
            self.foreseen.remove(&user);
            middleware.left(user);
        }
    }

    /// A request has come, to that path.
    pub fn request(&mut self, path: &str, now: Instant) -> Ruling {
        self.now = now;
        let Some(middleware) = &mut self.middleware else {
            return Ruling::Pass;
        };
        middleware.request(&stranger((path, self.names.as_deref()), None, now))
    }

    /// Somebody is about to come to that path, perhaps with a token.
    pub fn arrival(&mut self, path: &str, claims: Option<&TokenClaims>) -> Ruling {
        let Some(middleware) = &mut self.middleware else {
            return Ruling::Pass;
        };
        middleware.handshake(&stranger((path, self.names.as_deref()), claims, self.now))
    }

    /// A client connects.
    pub fn handshake(&mut self, user: User) -> Ruling {
        let rules = self.ruled((user, HookKind::Connect, ""), None);
        self.judged((user, HookKind::Connect, ""), None, rules)
    }

    /// A client sends a command, about that channel if it is about one.
    pub fn event(&mut self, user: User, event: &str, channel: &str) -> Ruling {
        let foreseen = self.foreseen.get_mut(&user);
        if let Some(ruling) = foreseen.and_then(|it| it.take_event(event, channel)) {
            return ruling;
        }
        self.ask(user, |middleware, from| {
            middleware.event(from, event, channel)
        })
    }

    /// A client is about to subscribe.
    pub fn subscribe(&mut self, user: User, channel: &str) -> Ruling {
        let rules = self.ruled((user, HookKind::Subscribe, channel), None);
        self.judged((user, HookKind::Subscribe, channel), None, rules)
    }

    /// A client publishes that.
    pub fn publish_in(&mut self, user: User, channel: &str, data: &str) -> Ruling {
        let rules = self.ruled((user, HookKind::Publish, channel), Some(data));
        self.judged((user, HookKind::Publish, channel), Some(data), rules)
    }

    /// What a procedure returns that a client calls with that, if the application has one.
    ///
    /// # Errors
    /// What the client is told in place of it.
    pub fn called(
        &mut self,
        user: User,
        method: &str,
        data: &str,
    ) -> Option<Result<Box<str>, RuleRefusal>> {
        let (_, outcome) = self.answer((user, HookKind::Call, method), Some(data))?;
        answered::returned(outcome)
    }

    /// Whether a client may be told that.
    pub fn may_hear(&mut self, user: User, channel: &str, data: &str) -> bool {
        let ruling = self.ask(user, |middleware, to| {
            middleware.publish_out(to, channel, data)
        });
        !matches!(ruling, Ruling::Refuse(_))
    }

    /// What rules say, now or before the application was asked.
    fn ruled(&mut self, (user, kind, about): (User, HookKind, &str), data: Option<&str>) -> Ruling {
        let foreseen = self.foreseen.get_mut(&user);
        let foreseen = foreseen.and_then(|it| it.take_line(kind, about, data));
        foreseen.unwrap_or_else(|| {
            self.ask(user, |middleware, from| {
                foreseen::line(middleware, from, (kind, about), data.unwrap_or_default())
            })
        })
    }

    /// What rules and the application say together.
    fn judged(
        &mut self,
        asked: (User, HookKind, &str),
        data: Option<&str>,
        rules: Ruling,
    ) -> Ruling {
        self.replaced = None;
        let Some((_, mut outcome)) = self.answer(asked, data) else {
            return rules;
        };
        self.replaced = outcome.take_data();
        answered::ruling(&outcome, rules, self.backend.unwrap_or_default())
    }

    /// What the application has answered to that, once.
    fn answer(
        &mut self,
        (user, kind, about): (User, HookKind, &str),
        data: Option<&str>,
    ) -> Option<AnsweredHook> {
        let (heard, answers) = self.heard.as_mut()?;
        if *heard != user {
            return None;
        }
        let mut all = answers.iter();
        let at = all.position(|(question, _)| question.is(kind, about, data))?;
        Some(answers.remove(at))
    }

    #[inline]
    fn ask(
        &mut self,
        user: User,
        ask: impl FnOnce(&mut dyn Middleware, &Visitor<'_>) -> Ruling,
    ) -> Ruling {
        self.with(user, None, ask)
    }

    /// Asks about a client, which perhaps shows that token just now.
    #[inline]
    fn with<R: Default>(
        &mut self,
        user: User,
        shown: Option<&TokenClaims>,
        ask: impl FnOnce(&mut dyn Middleware, &Visitor<'_>) -> R,
    ) -> R {
        let Some(middleware) = &mut self.middleware else {
            return R::default();
        };
        let known = self.known.get(&user);
        let claims = known.and_then(|known| known.claims.as_deref());
        let claims = shown.or(claims);
        let session = known.and_then(|known| known.session.as_deref());
        let path = known.map_or("", |known| known.path);
        let names = known.and_then(|known| known.names.as_deref());
        let from = Visitor {
            connection: user,
            session: session.unwrap_or(ClientFacts::NONE),
            ..stranger((path, names), claims, self.now)
        };
        ask(&mut **middleware, &from)
    }
}

/// What is known of who comes to a path with that token, having proved those names.
fn stranger<'v>(
    (path, names): (&'v str, Option<&'v PeerNames>),
    claims: Option<&'v TokenClaims>,
    now: Instant,
) -> Visitor<'v> {
    Visitor {
        certificate: names.unwrap_or(PeerNames::NONE),
        connection: NOBODY,
        path,
        user: claims.map_or("", |claims| &claims.user),
        claims: claims.map_or(ClientFacts::NONE, |claims| &claims.facts),
        session: ClientFacts::NONE,
        now,
    }
}

impl fmt::Debug for Gatekeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (is_on, known) = (self.middleware.is_some(), self.known.len());
        write!(f, "Gatekeeper({is_on}, {known} known)")
    }
}
