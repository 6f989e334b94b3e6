//! How two find each other, and what becomes of them when a core is gone.

use super::people::ChatStage;
use super::{Chat, ChatBatch, ChatEnd, ChatLetter, ChatSeat};
use crate::app::chat::notice::ChatSide;
use crate::app::{Effects, Seat};
use crate::shard::Core;

impl Chat {
    /// The home has found two for each other: the first is ours.
    pub(super) fn pair(
        &mut self,
        first: ChatSeat,
        second: ChatSeat,
        effects: &mut impl Effects<ChatBatch>,
    ) {
        let is_gone = self.lost.contains(&second.core);
        let waiting = self.people.find(first);
        match waiting.filter(|it| it.stage == ChatStage::Waiting) {
            // It is still the next one.
            Some(_) if is_gone => self.wait(first.seat, effects),
            Some(person) => {
                person.stage = ChatStage::Meeting(second);
                let name = person.name.clone().unwrap_or_default();
                let (to, from) = (second, first);
                self.send(to.core, ChatLetter::Meet { to, from }, &name, effects);
            }
            // It has gone, or waits by another ticket.
            None => {
                let enter = ChatLetter::Enter { who: second };
                self.send(self.home(), enter, "", effects);
            }
        }
    }

    /// Somebody who waited longer wants to meet one of ours.
    pub(super) fn meet(
        &mut self,
        to: ChatSeat,
        from: ChatSeat,
        name: &str,
        effects: &mut impl Effects<ChatBatch>,
    ) {
        let waiting = self.people.find(to);
        let Some(person) = waiting.filter(|it| it.stage == ChatStage::Waiting) else {
            return self.send(from.core, ChatLetter::Missed { to: from }, "", effects);
        };
        person.stage = ChatStage::Chatting(from);
        let own = person.name.clone().unwrap_or_default();
        self.send(from.core, ChatLetter::Met { to: from }, &own, effects);
        self.begin(to.seat, (name, ChatSide::Second), effects);
    }

    /// Somebody waits for a partner, by a new ticket.
    pub(super) fn wait(&mut self, seat: Seat, effects: &mut impl Effects<ChatBatch>) {
        let who = self.people.wait(seat, self.here);
        self.send(self.home(), ChatLetter::Enter { who }, "", effects);
    }

    /// What the home knew of who waits may be lost.
    pub(super) fn enter_again(&mut self, effects: &mut impl Effects<ChatBatch>) {
        for seat in self.people.seats() {
            // Those before it may have been matched with it.
            let person = self.people.get(seat);
            if person.is_some_and(|it| it.stage == ChatStage::Waiting) {
                self.wait(seat, effects);
            }
        }
    }

    /// Somebody's partner may have been of a core that is gone.
    fn leave_lost(&mut self, seat: Seat, core: Core, effects: &mut impl Effects<ChatBatch>) {
        let Some(person) = self.people.get(seat) else {
            return;
        };
        if let ChatStage::Meeting(partner) | ChatStage::Chatting(partner) = person.stage
            && partner.core == core
        {
            let to = ChatSeat {
                core: self.here,
                seat,
                ticket: person.ticket,
            };
            self.gone(to, ChatEnd::Lost, effects);
        }
    }

    /// A core is gone.
    pub(super) fn lose(&mut self, core: Core, effects: &mut impl Effects<ChatBatch>) {
        let home = self.home();
        self.lost.insert(core);
        self.matcher.forget(core);
        for seat in self.people.seats() {
            self.leave_lost(seat, core, effects);
        }
        if home != self.home() {
            self.enter_again(effects);
        }
        if self.here == self.home() {
            // It may have paired some of them with users of the core that is gone.
            for other in (0..self.cores).map(Core) {
                self.send(other, ChatLetter::Again, "", effects);
            }
        }
    }
}
