//! What the application under the sessions asks for: what is for their clients goes to them, all
//! else to the server.

use super::letter::{EngineBatch, EngineItem};
use super::outward::Outward;
use super::sessions::{EngineSessions, SessionEnd};
use super::sid::{SessionKey, SidBook};
use crate::app::hub::letter::HubLetter;
use crate::app::{Answer, ApiResponse, Effects, Goodbye, Message, Notice, User, close};
use crate::shard::Core;
use crate::time::Instant;

/// Carries out what the application asks for.
pub(super) struct Carrying<'a, E: Effects<EngineBatch>> {
    pub(super) sessions: &'a mut EngineSessions,
    pub(super) out: Outward<'a, E>,
    pub(super) sids: &'a SidBook,
}

impl<E: Effects<EngineBatch>> Effects<Vec<HubLetter>> for Carrying<'_, E> {
    fn reply(&mut self, message: Message<'_>) {
        match self.sessions.speaking {
            Some(number) => self.sessions.say(number, message, &mut self.out),
            None => self.out.effects.reply(message),
        }
    }

    fn broadcast(&mut self, notice: Notice<'_>) {
        self.out.effects.broadcast(notice);
    }

    #[inline]
    fn tell(&mut self, users: &[User], notice: Notice<'_>) {
        let is_own = |user: &User| user.own_number().is_some();
        if self.sessions.is_empty() || !users.iter().any(is_own) {
            return self.out.effects.tell(users, notice);
        }
        self.sessions.tell(users, notice, &mut self.out);
    }

    fn say(&mut self, user: User, message: Message<'_>) {
        match user.own_number() {
            Some(number) => self.sessions.say(number, message, &mut self.out),
            None => self.out.effects.say(user, message),
        }
    }

    fn turn_away(&mut self, user: User) {
        let code = close::TRY_AGAIN_LATER;
        let goodbye = Goodbye { code, reason: "" };
        match user.own_number() {
            Some(_) => self.dismiss(user, goodbye),
            None => self.out.effects.turn_away(user),
        }
    }

    fn dismiss(&mut self, user: User, goodbye: Goodbye) {
        match user.own_number() {
            Some(number) => {
                let end = SessionEnd::Dismissed(goodbye);
                self.sessions.end(number, end, &mut self.out);
            }
            None => self.out.effects.dismiss(user, goodbye),
        }
    }

    fn session_of(&self, user: User) -> Option<String> {
        let number = user.own_number()?;
        let core = self.out.here;
        Some(self.sids.name(SessionKey { core, number }))
    }

    fn known_as(&mut self, user: User, name: &str) {
        match user.own_number() {
            Some(number) => self.sessions.known_as(number, name, &mut self.out),
            None => self.out.effects.known_as(user, name),
        }
    }

    fn answer(&mut self, asker: User, answer: Answer) {
        self.out.effects.answer(asker, answer);
    }

    fn respond(&mut self, asker: User, response: ApiResponse) {
        self.out.effects.respond(asker, response);
    }

    fn forward(&mut self, to: Core, item: HubLetter) {
        self.out.effects.forward(to, EngineItem::Hub(item));
    }

    fn now(&self) -> Instant {
        self.out.now()
    }

    fn is_behind(&self, user: User) -> bool {
        match user.own_number() {
            Some(number) => self.sessions.is_behind(number, &self.out),
            None => self.out.effects.is_behind(user),
        }
    }

    fn hold(&mut self) {
        match self.sessions.speaking {
            Some(number) => self.sessions.hold(number),
            None => self.out.effects.hold(),
        }
    }

    fn release(&mut self, user: User) {
        match user.own_number() {
            Some(number) => self.sessions.release(number),
            None => self.out.effects.release(user),
        }
    }
}
