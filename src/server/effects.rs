//! What one application asks for while it handles one event, and what it says to itself on other
//! cores: many messages in one.

use super::framing::connection;
use super::outbox::Ending;
use super::outgoing::Outgoing;
use super::round::NamedRound;
use super::tally::CloseReason;
use super::topic::Topic;
use crate::app::{Answer, ApiResponse, Batch, Effects, Goodbye, Message, Notice, User};
use crate::limits;
use crate::protocol::websocket::closing;
use crate::shard::{Core, Wire};
use crate::time::Instant;

/// Emptied batches that are kept to be written into again.
const SPARE_BATCHES: usize = 64;

/// The messages of one application that leave at the end of this event.
#[derive(Debug, Default)]
pub(super) struct Mail<B> {
    /// By core.
    batches: Vec<Option<Box<B>>>,
    addressees: Vec<Core>,
    spare: Vec<Box<B>>,
}

impl<B: Batch> Mail<B> {
    /// Hands out what was written: one batch for each core, and how large it is.
    pub(super) fn deliver(&mut self, mut each: impl FnMut(Core, Box<B>, usize)) {
        for to in self.addressees.drain(..) {
            if let Some(batch) = self.batches.get_mut(to.index()).and_then(Option::take) {
                let bytes = batch.bytes();
                each(to, batch, bytes);
            }
        }
    }

    /// Keeps a batch that has been read.
    pub(super) fn recycle(&mut self, mut batch: Box<B>) {
        if self.spare.len() < SPARE_BATCHES && batch.capacity() <= limits::SPARE_BYTES {
            batch.clear();
            self.spare.push(batch);
        }
    }

    /// Frees what is kept to be written into.
    pub(super) fn trim(&mut self) {
        self.spare.clear();
    }

    fn write(&mut self, to: Core, item: B::Item<'_>) {
        if self.batches.len() <= to.index() {
            self.batches.resize_with(to.index() + 1, || None);
        }
        let Some(place) = self.batches.get_mut(to.index()) else {
            return;
        };
        let batch = match place {
            Some(batch) => batch,
            None => {
                self.addressees.push(to);
                place.insert(self.spare.pop().unwrap_or_default())
            }
        };
        batch.push(item);
    }
}

/// Carries out what one application asks for.
pub(super) struct Asking<'a, 's, M, W, B> {
    pub(super) out: &'a mut Outgoing<'s, M, W>,
    pub(super) topic: &'a mut Topic,
    pub(super) round: &'a mut NamedRound,
    pub(super) mail: &'a mut Mail<B>,
}

impl<M, W: Wire<M>, B: Batch> Effects<B> for Asking<'_, '_, M, W, B> {
    #[inline]
    fn reply(&mut self, message: Message<'_>) {
        // An application that says nothing to itself names nobody.
        if size_of::<B>() > 0
            && let Some(user) = self.out.heard()
        {
            self.round.make_way(user, self.out);
        }
        self.out.reply(message);
    }

    fn broadcast(&mut self, notice: Notice<'_>) {
        self.topic.broadcast(notice, self.out);
    }

    fn tell(&mut self, users: &[User], notice: Notice<'_>) {
        if NamedRound::takes(users) {
            return self.round.tell(users, notice, self.out);
        }
        for &user in users {
            self.round.make_way(user, self.out);
        }
        self.out.tell(users, notice);
    }

    fn say(&mut self, user: User, message: Message<'_>) {
        self.round.make_way(user, self.out);
        self.out.say(user, message);
    }

    fn turn_away(&mut self, user: User) {
        self.round.make_way(user, self.out);
        self.out.end_later(Ending {
            id: connection(user).0,
            goodbye: Goodbye {
                code: closing::TRY_AGAIN_LATER,
                reason: "",
            },
            why: CloseReason::Full,
        });
    }

    fn dismiss(&mut self, user: User, goodbye: Goodbye) {
        self.round.make_way(user, self.out);
        self.out.end(Ending {
            id: connection(user).0,
            goodbye,
            why: CloseReason::Fault,
        });
    }

    fn answer(&mut self, asker: User, answer: Answer) {
        self.out.answer(asker, answer);
    }

    fn respond(&mut self, asker: User, response: ApiResponse) {
        self.out.respond(asker, response);
    }

    fn known_as(&mut self, user: User, name: &str) {
        self.out.name(user, name);
    }

    fn forward(&mut self, to: Core, item: B::Item<'_>) {
        self.out.note_mail();
        self.mail.write(to, item);
    }

    fn now(&self) -> Instant {
        self.out.now()
    }

    fn is_behind(&self, user: User) -> bool {
        self.out.is_behind(user)
    }

    fn measure(&mut self) {
        self.out.measure();
    }

    fn hold(&mut self) {
        self.out.hold();
    }

    fn release(&mut self, user: User) {
        self.out.release(user);
    }
}
