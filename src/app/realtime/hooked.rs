//! Clients of a server whose application is asked first: what they say waits for its answers, and
//! nobody else does.

use super::{
    Core, Desk, Effects, Gatekeeper, HubLetter, Message, Newcomer, RealtimeApp, RealtimePlan, Seat,
    ShownAs, SubscribeWish, User, dialect, read_connect,
};
use crate::app::backend::{AnsweredHook, HookCaller, HookKind, HookOutcome, HookWords, Hooks};
use crate::app::dialect::AskedFirst;
use crate::app::hub::answer::EncodingId;
use crate::app::hub::letter::ChannelQuestion;
use crate::app::hub::outlet::Outlet as _;
use crate::app::hub::session::SessionId;
use crate::app::hub::sessions::NOBODY;
use crate::app::rules::{Ruling, ruling};
use crate::app::{Arrival, Kind};
use crate::protocol::json;
use crate::time::Instant;
use std::collections::BTreeMap;

/// Clients whose application is asked first.
#[derive(Debug)]
pub(super) struct HookedClients {
    hooks: Hooks,
    /// What goes on when it is answered.
    paused: BTreeMap<User, (Seat, PausedWork)>,
    /// The fields of who is about to come.
    headers: Box<str>,
}

#[derive(Debug)]
enum PausedWork {
    /// A client has said that.
    Message(Box<[u8]>, Kind, MessageHold),
    /// An event stream has come, or a client of `ActionCable`.
    Newcomer(Newcomer),
}

/// Whether the client is not received until it is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessageHold {
    Held,
    Heard,
}

/// Fields of a head that the application is told.
const FIELDS: [&str; 6] = [
    "authorization",
    "cookie",
    "forwarded",
    "origin",
    "user-agent",
    "x-forwarded-for",
];

impl HookedClients {
    /// Who is asked what clients of a core may, by that plan; nobody is here.
    pub(super) fn begin(plan: &RealtimePlan, here: Core) -> (Gatekeeper, Option<Self>) {
        let mut gatekeeper = Gatekeeper::new(plan.middleware.make(here));
        let hooks = plan.backend.clone().and_then(|it| Hooks::new(it, here));
        if let Some(hooks) = &hooks {
            gatekeeper.ask_backend(hooks.failure());
        }
        let hooked = hooks.map(|hooks| Self {
            hooks,
            paused: BTreeMap::new(),
            headers: Box::default(),
        });
        (gatekeeper, hooked)
    }

    /// Somebody is about to come, with that head.
    pub(super) fn arriving(&mut self, arrival: &Arrival<'_>) {
        let mut text = vec![b'{'];
        for name in FIELDS {
            if let Some(value) = (arrival.header)(name) {
                if text.len() > 1 {
                    text.push(b',');
                }
                json::string(&mut text, name);
                text.push(b':');
                json::string(&mut text, value);
            }
        }
        text.push(b'}');
        self.headers = String::from_utf8(text).unwrap_or_default().into();
    }

    /// Somebody is about to come of whose head nothing is told.
    pub(super) fn arriving_again(&mut self) {
        self.headers = Box::default();
    }

    /// Whether a client waits.
    pub(super) fn is_waiting(&self, user: User) -> bool {
        self.hooks.is_waiting(user)
    }

    /// A client is gone.
    pub(super) fn left(&mut self, user: User) {
        self.paused.remove(&user);
        self.hooks.left(user);
    }

    /// When it wants to look for answers.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.hooks.deadline()
    }

    /// Asks what is to be asked; `None` if that is nothing, and the work goes on at once.
    fn ask(
        &mut self,
        (user, seat): (User, Seat),
        mut asked: AskedFirst,
        (gatekeeper, now): (&mut Gatekeeper, Instant),
    ) -> Option<PausedPlace<'_>> {
        asked.questions.retain(|it| self.hooks.asks(it.kind));
        gatekeeper.tick(now);
        gatekeeper.foresee(user, asked.claims.as_deref(), &mut asked.questions);
        if asked.questions.is_empty() {
            return None;
        }
        if let Some(claims) = asked.claims {
            self.hooks.identify(user, &claims.user);
        }
        self.hooks.ask(user, asked.questions, now);
        let paused = &mut self.paused;
        Some(PausedPlace { paused, user, seat })
    }
}

/// Where the work of a client is put that waits.
struct PausedPlace<'p> {
    paused: &'p mut BTreeMap<User, (Seat, PausedWork)>,
    user: User,
    seat: Seat,
}

impl PausedPlace<'_> {
    fn put(self, work: PausedWork) {
        self.paused.insert(self.user, (self.seat, work));
    }
}

impl RealtimeApp {
    /// A client has come.
    pub(super) fn introduce(
        &mut self,
        (user, seat): (User, Seat),
        path: &'static str,
        session: Option<SessionId>,
    ) {
        let Some(hooked) = &mut self.hooked else {
            return;
        };
        let client = self.hub.id(seat).unwrap_or_default().to_string();
        let caller = HookCaller {
            client: client.into(),
            user: Box::default(),
            session,
            path,
            headers: std::mem::take(&mut hooked.headers),
        };
        hooked.hooks.came(user, caller);
        if !hooked.hooks.asks(HookKind::Connect) {
            hooked.hooks.let_in(user);
        }
    }

    /// A client says something: the application is asked, if it is to be; else it is heard. It is
    /// held if its message is the one that is looked at.
    pub(super) fn listen(
        &mut self,
        (user, seat): (User, Seat),
        message: Message<'_>,
        held: MessageHold,
        effects: &mut impl Effects<Vec<HubLetter>>,
    ) {
        let now = effects.now();
        if let Some(hooked) = &mut self.hooked {
            let holders = &mut self.tools.holders;
            let asked = if self.clusters.has(seat) {
                dialect::of_cluster(message, holders)
            } else if self.sockets.has(seat) {
                dialect::of_io(message, effects.namespace_of(user).as_deref(), holders)
            } else if self.cables.has(seat) {
                self.cables.asks(message)
            } else {
                dialect::of_centrifugo(message, holders)
            };
            let rules = (&mut self.tools.gatekeeper, now);
            if let Some(place) = hooked.ask((user, seat), asked, rules) {
                place.put(PausedWork::Message(
                    message.bytes.into(),
                    message.kind,
                    held,
                ));
                if held == MessageHold::Held {
                    effects.hold();
                }
                return;
            }
        }
        self.hear((user, seat), message, effects);
    }

    /// A client has said that while it could not be heard.
    pub(super) fn listen_again(
        &mut self,
        client: (User, Seat),
        text: &[u8],
        effects: &mut impl Effects<Vec<HubLetter>>,
    ) {
        let message = Message {
            kind: Kind::Text,
            bytes: text,
        };
        self.listen(client, message, MessageHold::Heard, effects);
    }

    /// A client is heard.
    fn hear(
        &mut self,
        client: (User, Seat),
        message: Message<'_>,
        effects: &mut impl Effects<Vec<HubLetter>>,
    ) {
        let mut desk = Desk::new(effects, &mut self.tools);
        let hub = &mut self.hub;
        if self.clusters.has(client.1) {
            self.clusters.said(client, message, hub, &mut desk);
        } else if self.sockets.has(client.1) {
            self.sockets.said(client, message, hub, &mut desk);
        } else if self.cables.has(client.1) {
            self.cables.said(client, message, hub, &mut desk);
        } else {
            self.clients.said(client, message, hub, &mut desk);
        }
        self.settle(effects);
    }

    /// Whether an event stream that begins, or a client of `ActionCable` that comes, waits for what
    /// the application answers; if not it is given back.
    pub(super) fn ask_first(
        &mut self,
        (user, seat): (User, Seat),
        newcomer: Newcomer,
        now: Instant,
    ) -> Option<Newcomer> {
        let Some(hooked) = &mut self.hooked else {
            return Some(newcomer);
        };
        if self.tools.gatekeeper.is_heard(user) {
            return Some(newcomer);
        }
        let holders = &mut self.tools.holders;
        let asked = match &newcomer {
            Newcomer::Listener(wish) => match read_connect(wish.as_bytes()) {
                Ok(request) => dialect::of_listener(&request, holders),
                Err(_) => AskedFirst::default(),
            },
            Newcomer::Stream(request, token) => dialect::of_topics(request, token, holders),
            Newcomer::Cable(entry) => dialect::of_cable(&entry.token, holders),
            Newcomer::Socket | Newcomer::Cluster | Newcomer::Io => return Some(newcomer),
        };
        let rules = (&mut self.tools.gatekeeper, now);
        match hooked.ask((user, seat), asked, rules) {
            None => Some(newcomer),
            Some(place) => {
                place.put(PausedWork::Newcomer(newcomer));
                None
            }
        }
    }

    /// Goes on with the clients to whom all is answered, and tells the application what has ended.
    pub(super) fn go_on(&mut self, now: Instant, effects: &mut impl Effects<Vec<HubLetter>>) {
        let Some(hooked) = &mut self.hooked else {
            return;
        };
        for (session, data) in self.tools.gatekeeper.ended() {
            let caller = HookCaller {
                session: Some(session),
                ..HookCaller::default()
            };
            hooked.hooks.session_ended(caller, &data);
        }
        for (user, answers) in hooked.hooks.answered(now) {
            self.answered(user, answers, effects);
        }
    }

    /// All that a client waits for is answered.
    fn answered(
        &mut self,
        user: User,
        answers: Vec<AnsweredHook>,
        effects: &mut impl Effects<Vec<HubLetter>>,
    ) {
        let Some(hooked) = &mut self.hooked else {
            return;
        };
        let Some((seat, work)) = hooked.paused.remove(&user) else {
            return;
        };
        let failure = hooked.hooks.failure();
        let mut wishes = Vec::new();
        for (question, outcome) in &answers {
            if let Ruling::Refuse(_) = ruling(outcome, Ruling::Pass, failure) {
                continue;
            }
            if question.kind == HookKind::Connect {
                hooked.hooks.let_in(user);
            }
            if let HookOutcome::Said(words) = outcome {
                if let Some(name) = words.user.as_deref()
                    && question.kind == HookKind::Connect
                {
                    hooked.hooks.identify(user, name);
                    let info = words.info.as_deref().unwrap_or_default();
                    self.hub.identify(seat, name, info);
                    effects.known_as(user, name);
                }
                wishes.push(words.clone());
            }
        }
        let wished = wishes
            .iter_mut()
            .flat_map(|it| std::mem::take(&mut it.subscribe));
        let wished = wished.collect();
        self.tools.gatekeeper.hear(user, answers, wished);
        let is_held = match work {
            PausedWork::Message(bytes, kind, held) => {
                let message = Message {
                    kind,
                    bytes: &bytes,
                };
                self.hear((user, seat), message, effects);
                held == MessageHold::Held
            }
            PausedWork::Newcomer(newcomer) => {
                self.begin((user, seat), newcomer, effects);
                false
            }
        };
        self.tools.gatekeeper.heard();
        let wished = self.tools.gatekeeper.take_wished();
        self.carry_out((user, seat), &wished, &wishes, effects);
        self.settle(effects);
        if self.held.remove(&user) || is_held {
            effects.release(user);
        }
    }

    /// Does for a client what the application wants beside its answer, if it was let in.
    fn carry_out(
        &mut self,
        (user, seat): (User, Seat),
        wished: &[Box<str>],
        wishes: &[Box<HookWords>],
        effects: &mut impl Effects<Vec<HubLetter>>,
    ) {
        let at = seat.0 as usize;
        let client = self.hub.at(at..at + 1).next();
        let Some((_, _, encoding)) = client.filter(|(_, found, _)| *found == user) else {
            return;
        };
        if encoding == EncodingId::NOT_YET {
            return;
        }
        let session = self.hooked.as_ref();
        let session = session.and_then(|it| it.hooks.caller(user)?.session);
        let mut desk = Desk::new(effects, &mut self.tools);
        for channel in wished {
            let wish = SubscribeWish {
                channel,
                since: None,
                ticket: 0,
                by_server: true,
                whole: false,
                shown: ShownAs::Itself,
            };
            // Who has subscribed already stays so.
            let _ = self.hub.subscribe(seat, wish, &mut desk);
        }
        for words in wishes {
            for data in &words.emit {
                desk.emit(encoding, &[user], data);
            }
            if let Some(token) = &words.token {
                let (hub, client) = (&mut self.hub, (user, seat));
                self.clusters.given(client, token, hub, &mut desk);
                let claims = desk.holders().claims(seat);
                let name = claims.map_or_else(Box::default, |it| it.user.clone());
                if let Some(hooked) = &mut self.hooked {
                    hooked.hooks.identify(user, &name);
                }
            }
            if let Some((session, fields)) = session.zip(words.session.clone()) {
                let question = ChannelQuestion::Merge(fields);
                self.hub.ask_session(NOBODY, session, question, &mut desk);
            }
        }
    }
}
