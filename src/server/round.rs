//! What very many named users are told goes round them in steps, as a broadcast does: see
//! [`super::members`]. Whatever else one of them is told comes after it.

use super::framing::connection;
use super::members::STEP;
use super::outgoing::Outgoing;
use super::topic::Topic;
use crate::app::{Notice, User};
use crate::shard::Wire;
use crate::time::Instant;

/// What goes round, and to whom.
#[derive(Default)]
pub(super) struct NamedRound {
    /// Whom it is for, as the application named them, or the last one was: mostly the next is for
    /// the same.
    users: Vec<User>,
    /// A bit for each of their slots.
    slots: Vec<u64>,
    topic: Topic,
}

impl NamedRound {
    /// Whether so many users are told in steps.
    pub(super) const fn takes(users: &[User]) -> bool {
        users.len() > STEP
    }

    /// Sends a notice round these users. With what has reached nobody yet, and is for the same, it
    /// leaves in one.
    pub(super) fn tell<M, W: Wire<M>>(
        &mut self,
        users: &[User],
        notice: Notice<'_>,
        out: &mut Outgoing<'_, M, W>,
    ) {
        if self.users != users {
            self.finish(out);
            self.forget();
            self.gather(users);
        }
        self.topic.broadcast(notice, out);
    }

    /// The next step of what goes round, if anything does.
    pub(super) fn step<M, W: Wire<M>>(&mut self, out: &mut Outgoing<'_, M, W>) {
        if self.is_on() {
            self.topic.step(out);
        }
    }

    /// Ends what goes round at once: all who were to be told are.
    pub(super) fn finish<M, W: Wire<M>>(&mut self, out: &mut Outgoing<'_, M, W>) {
        if self.is_on() {
            self.topic.finish(out);
        }
    }

    /// Ends it if it is for that user, who is about to be told something else.
    pub(super) fn make_way<M, W: Wire<M>>(&mut self, user: User, out: &mut Outgoing<'_, M, W>) {
        if self.is_on() && self.is_for(user) {
            self.finish(out);
        }
    }

    /// Since when something goes round, if it does.
    pub(super) fn since(&self) -> Option<Instant> {
        self.topic.telling_since()
    }

    /// Frees what is kept to be written into.
    pub(super) fn trim(&mut self) {
        self.topic.trim();
        if !self.is_on() {
            self.forget();
            (self.users, self.slots) = (Vec::new(), Vec::new());
        }
    }

    fn is_on(&self) -> bool {
        self.since().is_some()
    }

    fn is_for(&self, user: User) -> bool {
        let (word, bit) = place(user);
        self.slots.get(word).is_some_and(|word| word & bit != 0)
    }

    fn gather(&mut self, users: &[User]) {
        self.users.extend_from_slice(users);
        for &user in users {
            let (id, framing) = connection(user);
            self.topic.members(framing).join(id);
            let (word, bit) = place(user);
            if self.slots.len() <= word {
                self.slots.resize(word + 1, 0);
            }
            if let Some(word) = self.slots.get_mut(word) {
                *word |= bit;
            }
        }
    }

    fn forget(&mut self) {
        self.users.clear();
        self.slots.fill(0);
        self.topic.forget();
    }
}

/// Where the bit of a user's slot is.
fn place(user: User) -> (usize, u64) {
    let slot = connection(user).0.slot();
    (slot / 64, 1 << (slot % 64))
}
