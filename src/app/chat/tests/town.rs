//! Chats of several cores, what their users are told, and messages that take their time.

use crate::app::chat::people::ChatStage;
use crate::app::chat::{Chat, ChatBatch, ChatLetter};
use crate::app::{
    Answer, ApiResponse, App, Batch as _, Effects, Goodbye, Kind, Message, Notice, Seat, User,
};
use crate::shard::Core;
use crate::time::Instant;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What users have been told, and what is to be carried out.
#[derive(Default)]
pub(super) struct Town {
    heard: BTreeMap<User, Vec<Value>>,
    under_way: BTreeMap<(u16, u16), VecDeque<ChatBatch>>,
    here: u16,
    pub(super) now: Instant,
    pub(super) behind: BTreeSet<User>,
    pub(super) held: Vec<User>,
    pub(super) released: Vec<User>,
    speaker: Option<User>,
    pub(super) dismissed: Vec<(User, u16)>,
}

impl Effects<ChatBatch> for Town {
    fn tell(&mut self, users: &[User], notice: Notice<'_>) {
        let json: Value = serde_json::from_str(notice.text).expect("JSON");
        for user in users {
            self.heard.entry(*user).or_default().push(json.clone());
        }
    }

    fn forward(&mut self, to: Core, item: (ChatLetter, &str)) {
        assert_ne!(to.0, self.here, "what is said to oneself is done at once");
        let mut batch = ChatBatch::default();
        batch.push(item);
        let batches = self.under_way.entry((self.here, to.0)).or_default();
        batches.push_back(batch);
    }

    fn dismiss(&mut self, user: User, goodbye: Goodbye) {
        self.dismissed.push((user, goodbye.code));
    }

    fn now(&self) -> Instant {
        self.now
    }

    fn is_behind(&self, user: User) -> bool {
        self.behind.contains(&user)
    }

    fn hold(&mut self) {
        self.held.extend(self.speaker);
    }

    fn release(&mut self, user: User) {
        self.released.push(user);
    }

    fn reply(&mut self, message: Message<'_>) {
        panic!("a chat replied {message:?}");
    }

    fn broadcast(&mut self, notice: Notice<'_>) {
        panic!("a chat told everyone {notice:?}");
    }

    fn say(&mut self, user: User, message: Message<'_>) {
        panic!("{user:?}: {message:?}");
    }

    fn turn_away(&mut self, user: User) {
        panic!("{user:?} was turned away");
    }

    fn respond(&mut self, asker: User, _: ApiResponse) {
        panic!("{asker:?} did not call");
    }

    fn answer(&mut self, asker: User, _: Answer) {
        panic!("{asker:?} did not post");
    }
}

#[derive(Clone, Copy)]
pub(super) struct Somebody {
    pub(super) core: u16,
    pub(super) user: User,
    pub(super) seat: Seat,
}

pub(super) struct World {
    pub(super) cores: Vec<Option<Chat>>,
    pub(super) town: Town,
    pub(super) dice: fastrand::Rng,
    users: u64,
}

impl World {
    pub(super) fn new(cores: u16, seed: u64) -> Self {
        let chat = |core| {
            let mut chat = Chat::default();
            chat.started(Core(core), cores);
            Some(chat)
        };
        Self {
            cores: (0..cores).map(chat).collect(),
            town: Town::default(),
            dice: fastrand::Rng::with_seed(seed),
            users: 0,
        }
    }

    pub(super) fn on<R>(&mut self, core: u16, act: impl FnOnce(&mut Chat, &mut Town) -> R) -> R {
        self.town.here = core;
        let chat = self.cores[usize::from(core)]
            .as_mut()
            .expect("a living core");
        act(chat, &mut self.town)
    }

    pub(super) fn came(&mut self, core: u16) -> Somebody {
        self.users += 1;
        let user = User(self.users);
        let seat = self.on(core, |chat, town| chat.came(user, town));
        Somebody { core, user, seat }
    }

    pub(super) fn says(&mut self, who: Somebody, json: &str) {
        self.town.speaker = Some(who.user);
        let bytes = json.as_bytes();
        let kind = Kind::Text;
        self.on(who.core, |chat, town| {
            chat.said(who.user, who.seat, Message { kind, bytes }, town);
        });
    }

    /// Comes and enters, by a name that tells who it is.
    pub(super) fn enters(&mut self, core: u16) -> Somebody {
        let who = self.came(core);
        let name = who.user.0;
        self.says(who, &format!(r#"{{"type":"enter","name":"{name}"}}"#));
        who
    }

    pub(super) fn leaves(&mut self, who: Somebody) {
        self.on(who.core, |chat, town| chat.left(who.user, who.seat, town));
    }

    /// Lets some message arrive. False if there is none.
    pub(super) fn arrive(&mut self) -> bool {
        let pairs: Vec<_> = self.town.under_way.keys().copied().collect();
        let Some(&(from, to)) = self.dice.choice(&pairs) else {
            return false;
        };
        let batches = self.town.under_way.get_mut(&(from, to)).expect("a pair");
        let batch = batches.pop_front().expect("not empty");
        if batches.is_empty() {
            self.town.under_way.remove(&(from, to));
        }
        if self.cores[usize::from(to)].is_some() {
            self.on(to, |chat, town| chat.took(Core(from), &batch, town));
        }
        true
    }

    pub(super) fn quiet(&mut self) {
        while self.arrive() {}
    }

    pub(super) fn heard(&self, who: Somebody) -> &[Value] {
        self.town.heard.get(&who.user).map_or(&[], Vec::as_slice)
    }

    pub(super) fn last(&self, who: Somebody) -> &str {
        let last = self.heard(who).last();
        last.and_then(|it| it["type"].as_str()).unwrap_or_default()
    }

    /// Who somebody's partner is, as far as it has been told.
    pub(super) fn partner(&self, who: User) -> Option<User> {
        let mut partner = None;
        for event in self.town.heard.get(&who).into_iter().flatten() {
            match event["type"].as_str() {
                Some("matched") => {
                    assert_eq!(partner, None, "{who:?} has one partner at a time");
                    let name = event["partner"].as_str().expect("a name");
                    partner = Some(User(name.parse().expect("a number")));
                }
                Some("gone" | "left" | "waiting") => partner = None,
                _ => {}
            }
        }
        partner
    }

    pub(super) fn stage(&mut self, who: Somebody) -> ChatStage {
        let stage = |chat: &mut Chat, _: &mut Town| chat.people.get(who.seat).map(|it| it.stage);
        self.on(who.core, stage).expect("somebody")
    }

    /// Once nothing is under way: whoever chats does so with one who chats with it, and at most
    /// one of all waits.
    pub(super) fn check(&mut self, all: &[Somebody]) {
        let mut waiting = 0;
        for &who in all {
            match self.stage(who) {
                ChatStage::Waiting => waiting += 1,
                ChatStage::Chatting(_) => {
                    let partner = self.partner(who.user).expect("it was told");
                    assert_ne!(partner, who.user);
                    assert_eq!(
                        self.partner(partner),
                        Some(who.user),
                        "{who:?}",
                        who = who.user
                    );
                }
                ChatStage::Outside => assert_eq!(self.partner(who.user), None),
                stage @ ChatStage::Meeting(_) => panic!("{stage:?}"),
            }
        }
        assert!(waiting <= 1, "{waiting} wait");
    }

    /// A core is gone: each of the others is told so once what came from it before has arrived, or
    /// before that.
    pub(super) fn dies(&mut self, core: u16, all: &mut Vec<Somebody>) {
        self.cores[usize::from(core)] = None;
        all.retain(|it| it.core != core);
        for other in 0..u16::try_from(self.cores.len()).expect("few") {
            for _ in 0..self.dice.u8(..4) {
                self.arrive();
            }
            if self.cores[usize::from(other)].is_some() {
                self.on(other, |chat, town| chat.lost(Core(core), town));
            }
        }
    }
}
