//! A realtime application on several cores without a server, and what it asks for.

use crate::app::hub::letter::HubLetter;
use crate::app::realtime::{CENTRIFUGO_SOCKET, RealtimeApp, RealtimePlan};
use crate::app::{
    Answer, ApiCall, ApiResponse, App as _, Arrival, CallMethod, Effects, Goodbye, Kind, Message,
    Notice, Seat, User,
};
use crate::shard::Core;
use crate::time::Instant;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// What the applications asked for.
#[derive(Default)]
pub(super) struct Hall {
    pub(super) now: Instant,
    pub(super) here: u16,
    pub(super) mail: VecDeque<(u16, u16, HubLetter)>,
    /// How often something was told, to however many.
    pub(super) tells: usize,
    pub(super) told: BTreeMap<User, Vec<ToldNotice>>,
    pub(super) dismissed: BTreeMap<User, Goodbye>,
    pub(super) released: Vec<User>,
    /// Who does not read.
    pub(super) behind: BTreeSet<User>,
    pub(super) responses: Vec<(User, ApiResponse)>,
    /// Whose message is heard.
    pub(super) heard: Option<User>,
}

#[derive(Clone, Debug)]
pub(super) struct ToldNotice {
    pub(super) cursor: Option<String>,
    pub(super) name: String,
    pub(super) text: String,
}

impl Effects<Vec<HubLetter>> for Hall {
    fn reply(&mut self, message: Message<'_>) {
        assert_eq!(message.kind, Kind::Text);
        let text = str::from_utf8(message.bytes).expect("a text");
        let user = self.heard.expect("somebody is heard");
        self.tell(&[user], Notice::new(0, "", text));
    }

    fn broadcast(&mut self, notice: Notice<'_>) {
        panic!("{notice:?}");
    }

    fn tell(&mut self, users: &[User], notice: Notice<'_>) {
        assert!(!users.is_empty() && notice.id == 0);
        self.tells += 1;
        for user in users {
            self.told.entry(*user).or_default().push(ToldNotice {
                cursor: notice.cursor.map(Into::into),
                name: notice.name.into(),
                text: notice.text.into(),
            });
        }
    }

    fn say(&mut self, user: User, message: Message<'_>) {
        panic!("{user:?}: {message:?}");
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
        self.responses.push((asker, response));
    }

    fn forward(&mut self, to: Core, letter: HubLetter) {
        self.mail.push_back((self.here, to.0, letter));
    }

    fn now(&self) -> Instant {
        self.now
    }

    fn is_behind(&self, user: User) -> bool {
        self.behind.contains(&user)
    }

    fn hold(&mut self) {}

    fn release(&mut self, user: User) {
        self.released.push(user);
    }
}

pub(super) struct Rig {
    pub(super) cores: Vec<RealtimeApp>,
    pub(super) hall: Hall,
    pub(super) users: u64,
}

#[derive(Clone, Copy)]
pub(super) struct Guest {
    pub(super) core: u16,
    pub(super) user: User,
    pub(super) seat: Seat,
}

impl Rig {
    pub(super) fn new(cores: u16) -> Self {
        Self::with(RealtimePlan::dev([7; 32]), cores)
    }

    pub(super) fn with(plan: RealtimePlan, cores: u16) -> Self {
        let cores = (0..cores)
            .map(|core| {
                let mut app = RealtimeApp::new(plan.clone());
                app.started(Core(core), cores);
                app
            })
            .collect();
        Self {
            cores,
            hall: Hall::default(),
            users: 0,
        }
    }

    pub(super) fn on<R>(
        &mut self,
        core: u16,
        act: impl FnOnce(&mut RealtimeApp, &mut Hall) -> R,
    ) -> R {
        self.hall.here = core;
        act(&mut self.cores[usize::from(core)], &mut self.hall)
    }

    pub(super) fn settle(&mut self) {
        while let Some((from, to, letter)) = self.hall.mail.pop_front() {
            self.on(to, |app, hall| app.took(Core(from), &vec![letter], hall));
        }
    }

    pub(super) fn comes(
        &mut self,
        core: u16,
        path: &str,
        query: &str,
        last: &'static str,
    ) -> Guest {
        self.users += 1;
        let user = User(self.users);
        let seat = self.on(core, |app, hall| {
            let header = |name: &str| (name == "Last-Event-ID" && !last.is_empty()).then_some(last);
            let header = &header;
            let arrival = Arrival {
                share: None,
                purpose: crate::app::ArrivalPurpose::Stay,
                path,
                query,
                header,
            };
            app.arriving(&arrival).expect("it may come");
            app.came(user, hall)
        });
        Guest { core, user, seat }
    }

    /// A Centrifugo client comes and connects.
    pub(super) fn client(&mut self, core: u16) -> Guest {
        let guest = self.comes(core, CENTRIFUGO_SOCKET, "", "");
        let reply = self.ask(guest, r#"{"id":1,"connect":{}}"#);
        assert_eq!(reply["connect"]["pong"], true);
        guest
    }

    pub(super) fn say(&mut self, guest: Guest, text: &str) {
        self.say_as(guest, Kind::Text, text.as_bytes());
    }

    pub(super) fn say_as(&mut self, Guest { core, user, seat }: Guest, kind: Kind, bytes: &[u8]) {
        let message = Message { kind, bytes };
        self.hall.heard = Some(user);
        self.on(core, |app, hall| app.said(user, seat, message, hall));
        self.hall.heard = None;
        self.settle();
    }

    /// Says something, and gives the last that is told then.
    pub(super) fn ask(&mut self, guest: Guest, text: &str) -> Value {
        self.say(guest, text);
        self.last(guest)
    }

    /// Says something, and gives the last answer to it.
    pub(super) fn reply(&mut self, guest: Guest, text: &str) -> Value {
        self.say(guest, text);
        let asked: Value = serde_json::from_str(text).expect("JSON");
        let mut all = self.all(guest).into_iter().rev();
        all.find(|it| it["id"] == asked["id"]).unwrap_or_default()
    }

    pub(super) fn told(&self, guest: Guest) -> &[ToldNotice] {
        self.hall.told.get(&guest.user).map_or(&[], Vec::as_slice)
    }

    pub(super) fn all(&self, guest: Guest) -> Vec<Value> {
        let all = self.told(guest).iter();
        all.map(|told| serde_json::from_str(&told.text).expect("JSON"))
            .collect()
    }

    pub(super) fn last(&self, guest: Guest) -> Value {
        self.all(guest).pop().unwrap_or_default()
    }

    pub(super) fn closed(&self, guest: Guest) -> Option<u16> {
        self.hall
            .dismissed
            .get(&guest.user)
            .map(|goodbye| goodbye.code)
    }

    pub(super) fn leaves(&mut self, Guest { core, user, seat }: Guest) {
        self.on(core, |app, hall| app.left(user, seat, hall));
        self.settle();
    }

    pub(super) fn call(&mut self, core: u16, path: &str, text: &str) -> Value {
        self.on(core, |app, hall| {
            let header = &|name: &str| (name == "X-API-Key").then_some("dev");
            let query = "";
            let arrival = Arrival {
                share: None,
                purpose: crate::app::ArrivalPurpose::Stay,
                path,
                query,
                header,
            };
            let permit = app.arriving(&arrival).expect("it may call").permit;
            let call = ApiCall {
                method: CallMethod::Post,
                path,
                query,
                permit,
                text,
            };
            app.called(User(77), call, hall);
        });
        self.settle();
        let (user, response) = self.hall.responses.pop().expect("an answer");
        assert_eq!(user, User(77));
        serde_json::from_str(&response.text).expect("JSON")
    }

    pub(super) fn wait(&mut self, time: Duration) {
        self.hall.now += time;
        let now = self.hall.now;
        for core in 0..u16::try_from(self.cores.len()).expect("few") {
            while self.cores[usize::from(core)]
                .deadline()
                .is_some_and(|at| at <= now)
            {
                let at = self.cores[usize::from(core)].deadline().expect("a time");
                self.on(core, |app, hall| {
                    hall.now = at;
                    app.expired(at, hall);
                    hall.now = now;
                });
            }
        }
        self.settle();
    }
}
