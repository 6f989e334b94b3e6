//! Chats of two: whoever enters is matched with the next one who does, and what one says the other
//! hears, as it was written.
//!
//! Users may sit on any core. The first core that lives is the *home* of the matcher, which pairs
//! who comes with who waits. The two cores then ask each other, so that nobody is told of a partner
//! who has gone, and nobody is in two chats: each time of waiting has a ticket, which names the
//! chat after it too. From then on the two cores speak to each other alone.
//!
//! ```text
//! user's core --Enter--> home --Pair--> core of the first --Meet--> core of the second
//!                                       core of the first <--Met, Missed-- core of the second
//! user's core --Relay, Gone, Behind, CaughtUp--> core of its partner
//! ```
//! A core that is gone takes with it what it was told: whoever had a partner there is told so, and
//! whoever waits enters again, by another ticket. A pair that the old ticket made is refused by the
//! core of the first or of the second, and who is left of it enters again.

mod idle;
mod journal;
mod letter;
mod matcher;
mod matching;
mod notice;
mod people;
mod request;
#[cfg(test)]
mod tests;

pub use journal::{ChatDeed, ChatFigures, ChatJournal, ChatName, ChatRecord, JournalTexts};
pub use letter::{ChatBatch, ChatEnd, ChatLetter, ChatSeat};

use super::{App, Effects, Goodbye, Kind, Message, Notice, Reach, Seat, User, close};
use crate::limits;
use crate::shard::Core;
use crate::time::Instant;
use idle::IdleWatch;
use journal::JournalPen;
use matcher::Matcher;
use notice::ChatSide;
use people::{ChatStage, People};
use request::{ChatRequest, Complaint, ENTERED, NO_PARTNER, NOT_ENTERED};
use std::collections::BTreeSet;

/// Where the chat is, as a WebSocket.
pub const CHAT: &str = "/chat";

/// One core's part in all chats.
#[derive(Debug)]
pub struct Chat {
    here: Core,
    cores: u16,
    people: People,
    matcher: Matcher,
    idle: IdleWatch,
    pen: JournalPen,
    lost: BTreeSet<Core>,
    /// Everyone is leaving.
    closing: bool,
}

impl Chat {
    /// Nobody is here, and there is one core. What happens is told there.
    #[must_use]
    pub fn new(journal: ChatJournal) -> Self {
        Self {
            here: Core(0),
            cores: 1,
            people: People::default(),
            matcher: Matcher::default(),
            idle: IdleWatch::default(),
            pen: JournalPen::new(journal),
            lost: BTreeSet::new(),
            closing: false,
        }
    }

    /// Where who waits is matched.
    fn home(&self) -> Core {
        let mut living = (0..self.cores)
            .map(Core)
            .filter(|it| !self.lost.contains(it));
        living.next().unwrap_or(self.here)
    }

    fn send(
        &mut self,
        to: Core,
        letter: ChatLetter,
        text: &str,
        effects: &mut impl Effects<ChatBatch>,
    ) {
        if to == self.here {
            self.take(letter, text, effects);
        } else if !self.lost.contains(&to) {
            effects.forward(to, (letter, text));
        }
    }

    /// The chats of a core say something, or this one's themselves.
    fn take(&mut self, letter: ChatLetter, text: &str, effects: &mut impl Effects<ChatBatch>) {
        match letter {
            ChatLetter::Enter { who } => {
                if !self.lost.contains(&who.core)
                    && let Some(first) = self.matcher.enter(who)
                {
                    let pair = ChatLetter::Pair { first, second: who };
                    self.send(first.core, pair, "", effects);
                }
            }
            ChatLetter::Pair { first, second } => self.pair(first, second, effects),
            ChatLetter::Meet { to, from } => self.meet(to, from, text, effects),
            ChatLetter::Met { to } => {
                if let Some(person) = self.people.find(to)
                    && let ChatStage::Meeting(partner) = person.stage
                {
                    person.stage = ChatStage::Chatting(partner);
                    self.begin(to.seat, (text, ChatSide::First), effects);
                }
            }
            ChatLetter::Missed { to } => {
                let person = self.people.find(to);
                if person.is_some_and(|it| matches!(it.stage, ChatStage::Meeting(_))) {
                    self.wait(to.seat, effects);
                }
            }
            ChatLetter::Relay { to } => self.hear(to, text, effects),
            ChatLetter::Gone { to, end } => self.gone(to, end, effects),
            ChatLetter::Behind { to } => {
                if let Some(person) = self.people.find(to) {
                    person.is_held = person.partner().is_some();
                }
            }
            ChatLetter::CaughtUp { to } => {
                if self.people.find(to).is_some() {
                    self.release(to.seat, effects);
                }
            }
            ChatLetter::Again => self.enter_again(effects),
        }
    }

    /// Somebody has a partner now, of that name.
    fn begin(
        &mut self,
        seat: Seat,
        (partner, side): (&str, ChatSide),
        effects: &mut impl Effects<ChatBatch>,
    ) {
        if let Some(person) = self.people.get(seat) {
            // Whoever was held for it was another one.
            (person.is_behind, person.said) = (false, 0);
            let who = person.in_chat(self.here, seat);
            self.pen.matched(effects.now(), who, partner);
        }
        self.tell(seat, &notice::matched(partner, side), effects);
        self.watch(seat, effects.now());
    }

    /// Somebody hears what its partner says.
    #[inline]
    fn hear(&mut self, to: ChatSeat, text: &str, effects: &mut impl Effects<ChatBatch>) {
        let Some(person) = self.people.find(to) else {
            return;
        };
        let Some(partner) = person.partner() else {
            return;
        };
        effects.tell(&[person.user], Notice::new(0, "chat", text));
        if !person.is_behind && effects.is_behind(person.user) {
            person.is_behind = true;
            let behind = ChatLetter::Behind { to: partner };
            self.send(partner.core, behind, "", effects);
        }
        self.watch(to.seat, effects.now());
    }

    /// Somebody's partner is gone, as its core says.
    fn gone(&mut self, to: ChatSeat, end: ChatEnd, effects: &mut impl Effects<ChatBatch>) {
        let Some(person) = self.people.find(to) else {
            return;
        };
        match person.stage {
            ChatStage::Outside | ChatStage::Waiting => return,
            // It has not been told of that partner.
            ChatStage::Meeting(_) => return self.wait(to.seat, effects),
            ChatStage::Chatting(_) => {
                let who = person.in_chat(to.core, to.seat);
                self.pen.ended(effects.now(), who, end.of_partner());
                person.stage = ChatStage::Outside;
            }
        }
        person.reports += u8::from(end == ChatEnd::Reported);
        if person.reports >= limits::CHAT_REPORTS {
            let (code, reason) = (close::POLICY, "reported by too many partners");
            return effects.dismiss(person.user, Goodbye { code, reason });
        }
        self.release(to.seat, effects);
        self.tell(to.seat, notice::gone(end), effects);
    }

    /// Somebody wants no partner, or is gone itself.
    fn part(&mut self, seat: Seat, end: ChatEnd, effects: &mut impl Effects<ChatBatch>) {
        let Some(person) = self.people.get(seat) else {
            return;
        };
        if person.partner().is_some() {
            let who = person.in_chat(self.here, seat);
            self.pen.ended(effects.now(), who, end.own());
        }
        let stage = std::mem::replace(&mut person.stage, ChatStage::Outside);
        if let ChatStage::Meeting(to) | ChatStage::Chatting(to) = stage {
            self.send(to.core, ChatLetter::Gone { to, end }, "", effects);
        }
        self.release(seat, effects);
    }

    /// Somebody may be heard again.
    fn release(&mut self, seat: Seat, effects: &mut impl Effects<ChatBatch>) {
        if let Some(person) = self.people.get(seat) {
            person.is_held = false;
            if std::mem::take(&mut person.is_unheard) {
                effects.release(person.user);
            }
        }
    }

    fn tell(&mut self, seat: Seat, text: &str, effects: &mut impl Effects<ChatBatch>) {
        if let Some(person) = self.people.get(seat) {
            effects.tell(&[person.user], Notice::new(0, "chat", text));
        }
    }

    /// Does what somebody wants.
    fn carry_out(
        &mut self,
        seat: Seat,
        (json, request): (&str, ChatRequest<'_>),
        effects: &mut impl Effects<ChatBatch>,
    ) -> Result<(), Complaint> {
        let Some(person) = self.people.get(seat) else {
            return Ok(());
        };
        let is_named = person.name.is_some();
        match request {
            ChatRequest::Say(text) => {
                let to = person.partner().ok_or(NO_PARTNER)?;
                person.said += 1;
                let (who, said) = (person.in_chat(self.here, seat), (person.said, json, text));
                self.pen.said(effects.now(), who, said);
                self.watch(seat, effects.now());
                self.send(to.core, ChatLetter::Relay { to }, json, effects);
                return Ok(());
            }
            ChatRequest::Signal => {
                let to = person.partner().ok_or(NO_PARTNER)?;
                self.watch(seat, effects.now());
                self.send(to.core, ChatLetter::Relay { to }, json, effects);
                return Ok(());
            }
            ChatRequest::Enter(_) if is_named => return Err(ENTERED),
            ChatRequest::Enter(name) => {
                let entered = || ChatDeed::Entered(name.clone());
                self.pen.tell(effects.now(), (person.number, None), entered);
                person.name = Some(name);
            }
            ChatRequest::Next | ChatRequest::Leave | ChatRequest::Report if !is_named => {
                return Err(NOT_ENTERED);
            }
            ChatRequest::Leave => {
                self.part(seat, ChatEnd::Left, effects);
                self.tell(seat, notice::LEFT, effects);
                return Ok(());
            }
            ChatRequest::Report => {
                person.partner().ok_or(NO_PARTNER)?;
                self.part(seat, ChatEnd::Reported, effects);
                self.tell(seat, notice::LEFT, effects);
                return Ok(());
            }
            ChatRequest::Next => match person.stage {
                // It is the next already.
                ChatStage::Waiting | ChatStage::Meeting(_) => return Ok(()),
                ChatStage::Outside | ChatStage::Chatting(_) => {
                    self.part(seat, ChatEnd::Left, effects);
                }
            },
        }
        self.tell(seat, notice::WAITING, effects);
        self.wait(seat, effects);
        Ok(())
    }

    /// Something is said in somebody's chat: it is told if nothing more is for a while.
    #[inline]
    fn watch(&mut self, seat: Seat, now: Instant) {
        if let Some(person) = self.people.get(seat) {
            person.heard = now;
            if person.watched == Instant::default() {
                person.watched = self.idle.look(now + limits::CHAT_IDLE_TIME, seat);
            }
        }
    }
}

impl Default for Chat {
    fn default() -> Self {
        Self::new(ChatJournal::default())
    }
}

impl App for Chat {
    type Batch = ChatBatch;
    const REACH: Reach = Reach::Named;

    fn started(&mut self, here: Core, cores: u16) {
        (self.here, self.cores) = (here, cores);
        self.pen.started(here);
    }

    fn came(&mut self, user: User, effects: &mut impl Effects<ChatBatch>) -> Seat {
        let number = self.pen.came(effects.now());
        self.people.came(user, number)
    }

    #[inline]
    fn hears(&mut self, _: User, seat: Seat) -> bool {
        self.people.get(seat).is_none_or(|person| {
            person.is_unheard |= person.is_held;
            !person.is_held
        })
    }

    fn said(
        &mut self,
        user: User,
        seat: Seat,
        message: Message<'_>,
        effects: &mut impl Effects<ChatBatch>,
    ) {
        let json = match message.kind {
            // The server has checked it, and no app is given bytes that it would have to trust.
            Kind::Text => std::str::from_utf8(message.bytes).ok(),
            Kind::Binary => None,
        };
        let Some(json) = json else {
            return effects.close(user, close::UNSUPPORTED);
        };
        let request = ChatRequest::parse(json);
        let done = request.and_then(|it| self.carry_out(seat, (json, it), effects));
        if let Err(complaint) = done {
            self.tell(seat, &notice::error(complaint), effects);
        }
        // Its partner may have fallen behind by this very message.
        if !self.hears(user, seat) {
            effects.hold();
        }
    }

    fn caught_up(&mut self, _: User, seat: Seat, effects: &mut impl Effects<ChatBatch>) {
        if let Some(person) = self.people.get(seat)
            && std::mem::take(&mut person.is_behind)
            && let Some(to) = person.partner()
        {
            self.send(to.core, ChatLetter::CaughtUp { to }, "", effects);
        }
    }

    fn left(&mut self, _: User, seat: Seat, effects: &mut impl Effects<ChatBatch>) {
        if let Some(person) = self.people.get(seat) {
            // There is nobody to be heard.
            person.is_unheard = false;
        }
        if !self.closing {
            self.part(seat, ChatEnd::Disconnected, effects);
        }
        let Some(person) = self.people.left(seat) else {
            return;
        };
        self.pen.left(effects.now(), person.number);
        self.idle.forget(person.watched, seat);
    }

    fn took(&mut self, from: Core, batch: &ChatBatch, effects: &mut impl Effects<ChatBatch>) {
        // What it said of chats that are over.
        if self.lost.contains(&from) {
            return;
        }
        for (letter, text) in batch.letters() {
            self.take(letter, text, effects);
        }
    }

    fn lost(&mut self, core: Core, effects: &mut impl Effects<ChatBatch>) {
        self.lose(core, effects);
    }

    fn deadline(&self) -> Option<Instant> {
        self.idle.deadline()
    }

    fn expired(&mut self, now: Instant, effects: &mut impl Effects<ChatBatch>) -> u64 {
        while let Some(seat) = self.idle.due(now) {
            let Some(person) = self.people.get(seat) else {
                continue;
            };
            person.watched = Instant::default();
            if person.partner().is_none() {
                continue;
            }
            let until = person.heard + limits::CHAT_IDLE_TIME;
            if until <= now {
                self.tell(seat, &notice::idle(), effects);
            } else {
                person.watched = self.idle.look(until, seat);
            }
        }
        0
    }

    fn closing(&mut self) {
        self.closing = true;
    }
}
