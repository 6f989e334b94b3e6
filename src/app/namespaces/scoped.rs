//! What is asked for under the namespaces: what is for their clients goes to their connections.

use super::table::{JoinedNamespaces, number_of};
use crate::app::hub::letter::HubLetter;
use crate::app::{Answer, ApiResponse, Effects, Goodbye, Kind, Message, Notice, User};
use crate::protocol::socketio::namespace::put_namespace;
use crate::shard::Core;
use crate::time::Instant;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Carries out what is asked for.
pub(super) struct Scoped<'a, E> {
    pub(super) effects: &'a mut E,
    pub(super) table: &'a mut JoinedNamespaces,
}

impl<E: Effects<Vec<HubLetter>>> Scoped<'_, E> {
    /// The connection of a user.
    fn connection(&self, user: User) -> User {
        let client = number_of(user).and_then(|number| self.table.get(number));
        client.map_or(user, |client| client.connection)
    }

    /// A packet for a client as one for its connection; `None` if that is not told.
    fn put(&mut self, number: u64, packet: &str) -> Option<(User, String)> {
        if !self.table.told(number, packet) {
            return None;
        }
        let client = self.table.get(number)?;
        let mut text = String::new();
        put_namespace(&mut text, packet, &client.name);
        Some((client.connection, text))
    }

    /// Tells users, of whom some are clients of namespaces.
    fn tell_some(&mut self, users: &[User], notice: Notice<'_>) {
        let mut others = Vec::new();
        let mut told: BTreeMap<Arc<str>, Vec<User>> = BTreeMap::new();
        for user in users {
            let Some(number) = number_of(*user) else {
                others.push(*user);
                continue;
            };
            if self.table.told(number, notice.text)
                && let Some(client) = self.table.get(number)
            {
                let users = told.entry(client.name.clone()).or_default();
                users.push(client.connection);
            }
        }
        if !others.is_empty() {
            self.effects.tell(&others, notice);
        }
        for (name, users) in told {
            let mut text = String::new();
            put_namespace(&mut text, notice.text, &name);
            let text = &*text;
            self.effects.tell(&users, Notice { text, ..notice });
        }
    }
}

impl<E: Effects<Vec<HubLetter>>> Effects<Vec<HubLetter>> for Scoped<'_, E> {
    fn reply(&mut self, message: Message<'_>) {
        let Some(number) = self.table.speaking.filter(|_| message.kind == Kind::Text) else {
            return self.effects.reply(message);
        };
        let packet = str::from_utf8(message.bytes).unwrap_or_default();
        if let Some((_, text)) = self.put(number, packet) {
            let (kind, bytes) = (Kind::Text, text.as_bytes());
            self.effects.reply(Message { kind, bytes });
        }
    }

    fn broadcast(&mut self, notice: Notice<'_>) {
        self.effects.broadcast(notice);
    }

    #[inline]
    fn tell(&mut self, users: &[User], notice: Notice<'_>) {
        let is_scoped = |user: &User| number_of(*user).is_some();
        if self.table.is_empty() || !users.iter().any(is_scoped) {
            return self.effects.tell(users, notice);
        }
        self.tell_some(users, notice);
    }

    fn say(&mut self, user: User, message: Message<'_>) {
        match (number_of(user), message.kind) {
            (Some(number), Kind::Text) => {
                let packet = str::from_utf8(message.bytes).unwrap_or_default();
                if let Some((user, text)) = self.put(number, packet) {
                    let (kind, bytes) = (Kind::Text, text.as_bytes());
                    self.effects.say(user, Message { kind, bytes });
                }
            }
            (_, _) => self.effects.say(self.connection(user), message),
        }
    }

    fn turn_away(&mut self, user: User) {
        self.effects.turn_away(self.connection(user));
    }

    fn dismiss(&mut self, user: User, goodbye: Goodbye) {
        let dismissed = match number_of(user) {
            Some(number) => self.table.dismiss(number),
            None => Some(user),
        };
        if let Some(user) = dismissed {
            self.effects.dismiss(user, goodbye);
        }
    }

    fn session_of(&self, user: User) -> Option<String> {
        self.effects.session_of(user)
    }

    fn namespace_of(&self, user: User) -> Option<Arc<str>> {
        let client = self.table.get(number_of(user)?)?;
        Some(client.name.clone())
    }

    fn is_elsewhere(&self, user: User) -> bool {
        !self.table.of(user).is_empty()
    }

    fn known_as(&mut self, user: User, name: &str) {
        self.effects.known_as(self.connection(user), name);
    }

    fn answer(&mut self, asker: User, answer: Answer) {
        self.effects.answer(asker, answer);
    }

    fn respond(&mut self, asker: User, response: ApiResponse) {
        self.effects.respond(asker, response);
    }

    fn forward(&mut self, to: Core, item: HubLetter) {
        self.effects.forward(to, item);
    }

    fn now(&self) -> Instant {
        self.effects.now()
    }

    fn is_behind(&self, user: User) -> bool {
        self.effects.is_behind(self.connection(user))
    }

    fn hold(&mut self) {
        self.effects.hold();
    }

    fn release(&mut self, user: User) {
        self.effects.release(self.connection(user));
    }
}
