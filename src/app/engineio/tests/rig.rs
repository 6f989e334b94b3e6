//! Sessions on several cores without a server, and what they ask for.

use crate::app::engineio::{EngineApp, EngineBatch, EngineItem};
use crate::app::realtime::{RealtimePlan, SOCKETIO_SOCKET};
use crate::app::{
    AddressShare, Answer, ApiCall, ApiResponse, App as _, Arrival, ArrivalPurpose, Batch as _,
    CallMethod, Effects, Goodbye, Kind, Message, Notice, Refusal, Seat, User,
};
use crate::shard::Core;
use crate::time::Instant;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// What the cores asked for.
#[derive(Default)]
pub(super) struct Yard {
    pub(super) now: Instant,
    /// Whose message is looked at.
    speaking: Option<User>,
    here: u16,
    mail: VecDeque<(u16, u16, EngineItem)>,
    pub(super) told: BTreeMap<User, Vec<(Kind, Vec<u8>)>>,
    pub(super) answers: BTreeMap<User, ApiResponse>,
    pub(super) dismissed: BTreeMap<User, Goodbye>,
    pub(super) behind: BTreeSet<User>,
    pub(super) known: BTreeMap<User, String>,
    pub(super) released: Vec<User>,
}

impl Effects<EngineBatch> for Yard {
    fn reply(&mut self, message: Message<'_>) {
        let user = self.speaking.expect("somebody speaks");
        self.say(user, message);
    }

    fn broadcast(&mut self, notice: Notice<'_>) {
        panic!("{notice:?}");
    }

    fn tell(&mut self, users: &[User], notice: Notice<'_>) {
        for user in users {
            let (kind, bytes) = (Kind::Text, notice.text.as_bytes());
            self.say(*user, Message { kind, bytes });
        }
    }

    fn say(&mut self, user: User, message: Message<'_>) {
        assert_eq!(user.own_number(), None, "it has a connection");
        let told = self.told.entry(user).or_default();
        told.push((message.kind, message.bytes.into()));
    }

    fn turn_away(&mut self, user: User) {
        panic!("{user:?}");
    }

    fn dismiss(&mut self, user: User, goodbye: Goodbye) {
        self.dismissed.entry(user).or_insert(goodbye);
    }

    fn answer(&mut self, asker: User, _: Answer) {
        panic!("{asker:?}");
    }

    fn respond(&mut self, asker: User, response: ApiResponse) {
        let before = self.answers.insert(asker, response);
        assert_eq!(before, None, "one answer for a request");
    }

    fn forward(&mut self, to: Core, item: EngineItem) {
        assert_ne!(to.0, self.here, "nothing is said to oneself by letter");
        self.mail.push_back((self.here, to.0, item));
    }

    fn now(&self) -> Instant {
        self.now
    }

    fn is_behind(&self, user: User) -> bool {
        self.behind.contains(&user)
    }

    fn known_as(&mut self, user: User, name: &str) {
        self.known.insert(user, name.to_owned());
    }

    fn hold(&mut self) {}

    fn release(&mut self, user: User) {
        self.released.push(user);
    }
}

pub(super) struct EngineRig {
    cores: Vec<EngineApp>,
    pub(super) yard: Yard,
    /// Whom those count for who come.
    pub(super) share: Option<AddressShare>,
    users: u64,
}

/// A WebSocket.
#[derive(Clone, Copy)]
pub(super) struct Visitor {
    core: u16,
    pub(super) user: User,
    seat: Seat,
}

pub(super) const POLLING: &str = "EIO=4&transport=polling";

impl EngineRig {
    pub(super) fn new(cores: u16) -> Self {
        Self::with(&RealtimePlan::dev([7; 32]), cores)
    }

    pub(super) fn with(plan: &RealtimePlan, cores: u16) -> Self {
        let all = (0..cores).map(|core| {
            let mut app = EngineApp::new(plan.clone());
            app.started(Core(core), cores);
            app
        });
        Self {
            cores: all.collect(),
            yard: Yard::default(),
            share: None,
            users: 0,
        }
    }

    fn on<R>(&mut self, core: u16, act: impl FnOnce(&mut EngineApp, &mut Yard) -> R) -> R {
        self.yard.here = core;
        let done = act(&mut self.cores[usize::from(core)], &mut self.yard);
        while let Some((from, to, item)) = self.yard.mail.pop_front() {
            self.yard.here = to;
            let mut batch = EngineBatch::default();
            batch.push(item);
            let app = &mut self.cores[usize::from(to)];
            app.took(Core(from), &batch, &mut self.yard);
        }
        done
    }

    /// Makes a request, which is answered at once or later.
    pub(super) fn request(
        &mut self,
        core: u16,
        method: CallMethod,
        query: &str,
        text: &str,
    ) -> User {
        let asked = self.may_request(core, method, query, text);
        asked.expect("it may ask")
    }

    /// The same, if it may.
    pub(super) fn may_request(
        &mut self,
        core: u16,
        method: CallMethod,
        query: &str,
        text: &str,
    ) -> Result<User, Refusal> {
        self.users += 1;
        let asker = User(self.users);
        let share = self.share;
        self.on(core, |app, yard| {
            let (path, header) = (SOCKETIO_SOCKET, &|_: &str| None);
            let arrival = Arrival {
                share,
                path,
                query,
                header,
                purpose: ArrivalPurpose::Call,
            };
            let permit = app.arriving(&arrival)?.permit;
            let call = ApiCall {
                method,
                path,
                query,
                permit,
                text,
            };
            app.called(asker, call, yard);
            Ok(asker)
        })
    }

    pub(super) fn answer(&mut self, asker: User) -> Option<(u16, String)> {
        let response = self.yard.answers.remove(&asker)?;
        Some((response.status, response.text))
    }

    /// Begins a session on a core: the query of its requests.
    pub(super) fn open(&mut self, core: u16) -> String {
        let asker = self.request(core, CallMethod::Get, POLLING, "");
        let (status, text) = self.answer(asker).expect("an answer");
        let open = text.strip_prefix('0').expect("it opens");
        let open: serde_json::Value = serde_json::from_str(open).expect("JSON");
        assert_eq!((status, &open["upgrades"][0]), (200, &"websocket".into()));
        format!("{POLLING}&sid={}", open["sid"].as_str().expect("a name"))
    }

    /// The same, in the namespace.
    pub(super) fn joined(&mut self, core: u16) -> String {
        let query = self.open(core);
        self.post(core, &query, "40");
        assert!(self.poll(core, &query).starts_with("40{\"sid\":\""));
        query
    }

    /// Polls: what is answered at once, or nothing.
    pub(super) fn poll(&mut self, core: u16, query: &str) -> String {
        let asker = self.request(core, CallMethod::Get, query, "");
        self.answer(asker).unwrap_or_default().1
    }

    /// Polls, and waits.
    pub(super) fn wait_for(&mut self, core: u16, query: &str) -> User {
        let asker = self.request(core, CallMethod::Get, query, "");
        assert_eq!(self.yard.answers.get(&asker), None);
        asker
    }

    /// Posts, which is answered at once.
    pub(super) fn post(&mut self, core: u16, query: &str, text: &str) {
        let asker = self.request(core, CallMethod::Post, query, text);
        assert_eq!(self.answer(asker), Some((200, "ok".into())));
    }

    pub(super) fn arrives(&mut self, core: u16, query: &str) -> Result<(), Refusal> {
        self.on(core, |app, _| {
            let (path, header) = (SOCKETIO_SOCKET, &|_: &str| None);
            let arrival = Arrival {
                share: None,
                path,
                query,
                header,
                purpose: ArrivalPurpose::Stay,
            };
            app.arriving(&arrival).map(drop)
        })
    }

    /// A WebSocket comes.
    pub(super) fn socket(&mut self, core: u16, query: &str) -> Visitor {
        self.arrives(core, query).expect("it may come");
        self.users += 1;
        let user = User(self.users);
        let seat = self.on(core, |app, yard| app.came(user, yard));
        Visitor { core, user, seat }
    }

    /// A WebSocket comes for the session of that query.
    pub(super) fn upgrade(&mut self, core: u16, query: &str) -> Visitor {
        self.socket(core, &query.replace("polling", "websocket"))
    }

    /// The same, and the session moves to it.
    pub(super) fn moved(&mut self, core: u16, query: &str) -> Visitor {
        let socket = self.upgrade(core, query);
        self.say(socket, "2probe");
        self.say(socket, "5");
        socket
    }

    pub(super) fn say(&mut self, visitor: Visitor, text: &str) {
        self.say_as(visitor, Kind::Text, text.as_bytes());
    }

    pub(super) fn say_as(&mut self, visitor: Visitor, kind: Kind, bytes: &[u8]) {
        let Visitor { core, user, seat } = visitor;
        let message = Message { kind, bytes };
        self.on(core, |app, yard| {
            yard.speaking = Some(user);
            app.said(user, seat, message, yard);
            yard.speaking = None;
        });
    }

    pub(super) fn may_say(&mut self, Visitor { core, user, seat }: Visitor) -> bool {
        self.on(core, |app, _| app.hears(user, seat))
    }

    pub(super) fn leaves(&mut self, Visitor { core, user, seat }: Visitor) {
        self.on(core, |app, yard| app.left(user, seat, yard));
    }

    pub(super) fn caught_up(&mut self, Visitor { core, user, seat }: Visitor) {
        self.yard.behind.remove(&user);
        self.on(core, |app, yard| app.caught_up(user, seat, yard));
    }

    pub(super) fn hangs_up(&mut self, core: u16, asker: User) {
        self.on(core, |app, yard| app.hung_up(asker, yard));
    }

    pub(super) fn loses(&mut self, core: u16, lost: u16) {
        self.on(core, |app, yard| app.lost(Core(lost), yard));
    }

    /// The application ends everyone.
    pub(super) fn disconnect_all(&mut self, core: u16) {
        self.call(core, "/api/disconnect", "{}");
    }

    /// The application calls.
    pub(super) fn call(&mut self, core: u16, path: &str, text: &str) {
        self.users += 1;
        let asker = User(self.users);
        self.on(core, |app, yard| {
            let call = ApiCall {
                method: CallMethod::Post,
                path,
                query: "",
                permit: 0,
                text,
            };
            app.called(asker, call, yard);
        });
        assert_eq!(self.answer(asker).expect("an answer").0, 200);
    }

    pub(super) fn told(&self, visitor: Visitor) -> Vec<&str> {
        let told = self.yard.told.get(&visitor.user);
        let told = told.map_or(&[][..], Vec::as_slice).iter();
        told.map(|(_, bytes)| str::from_utf8(bytes).unwrap_or("binary"))
            .collect()
    }

    pub(super) fn closed(&self, visitor: Visitor) -> Option<u16> {
        let goodbye = self.yard.dismissed.get(&visitor.user);
        goodbye.map(|goodbye| goodbye.code)
    }

    pub(super) fn wait(&mut self, time: Duration) {
        self.yard.now += time;
        let now = self.yard.now;
        for core in 0..u16::try_from(self.cores.len()).expect("few") {
            let deadline = |rig: &Self| rig.cores[usize::from(core)].deadline();
            while deadline(self).is_some_and(|at| at <= now) {
                let at = deadline(self).expect("a time");
                self.on(core, |app, yard| {
                    yard.now = at;
                    app.expired(at, yard);
                    yard.now = now;
                });
            }
        }
    }
}
