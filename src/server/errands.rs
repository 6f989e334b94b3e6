//! What an app asked for whose users hear from each other: told at once, the rest carried out at
//! the end of the event, when no connection is in use.

use super::Server;
use super::connection::State;
use super::shared::{Outbox, Shared};
use super::stats::Message;
use super::tally::Why;
use super::topic::{Payloads, encode_event};
use crate::app::rooms::{self, Letter, Post};
use crate::app::{Notice, Tell, User};
use crate::limits;
use crate::protocol::websocket::{Opcode, closing, deflate, frame};
use crate::shard::{Close, ConnectionId, Core, Payload, Unsent, Wire};
use crate::time::Instant;

/// Emptied posts that are kept to be written into again.
const SPARE_POSTS: usize = 64;

/// How a connection of the rooms is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speech {
    /// In frames: a WebSocket.
    Frames,
    /// In deflated frames: a WebSocket too.
    Deflated,
    /// In events: an event stream.
    Events,
}

/// What is to be done, and scratch space for it.
#[derive(Default)]
pub(super) struct Errands {
    /// By core.
    posts: Vec<Option<Box<Post>>>,
    addressees: Vec<Core>,
    #[expect(clippy::vec_box, reason = "a post is forwarded in its box")]
    spare: Vec<Box<Post>>,
    /// Users for whom there is no room.
    pub(super) away: Vec<ConnectionId>,
    pub(super) answers: Vec<(ConnectionId, rooms::Answer)>,
    frame: Parcel,
    deflated: Parcel,
    event: Parcel,
}

/// A notice as it is sent to one kind of connection.
#[derive(Default)]
struct Parcel {
    written: Written,
    /// What is small is copied: nobody has to wait for the last who is sent it.
    small: Vec<u8>,
    large: Payloads,
}

#[derive(Default)]
enum Written {
    #[default]
    Not,
    Small,
    Large(Payload),
}

impl Errands {
    /// Whether nothing is left to do.
    pub(super) fn is_empty(&self) -> bool {
        self.addressees.is_empty() && self.away.is_empty() && self.answers.is_empty()
    }

    /// Forwards the letters of this event: one message for each core.
    pub(super) fn deliver(&mut self, wire: &mut impl Wire<Message>) {
        for to in self.addressees.drain(..) {
            if let Some(post) = self.posts.get_mut(to.index()).and_then(Option::take) {
                wire.forward(to, Message::Rooms(post));
            }
        }
    }

    /// Frees what is kept to be written into.
    pub(super) fn trim(&mut self) {
        self.spare.clear();
        for parcel in [&mut self.frame, &mut self.deflated, &mut self.event] {
            parcel.large.trim();
            parcel.small = Vec::new();
        }
    }

    /// Keeps a post that has been read.
    pub(super) fn recycle(&mut self, mut post: Box<Post>) {
        if self.spare.len() < SPARE_POSTS && post.capacity() <= limits::SPARE_BYTES {
            post.clear();
            self.spare.push(post);
        }
    }

    fn write(&mut self, to: Core, letter: Letter<&str>) {
        if self.posts.len() <= to.index() {
            self.posts.resize_with(to.index() + 1, || None);
        }
        let Some(place) = self.posts.get_mut(to.index()) else {
            return;
        };
        let post = match place {
            Some(post) => post,
            None => {
                self.addressees.push(to);
                place.insert(self.spare.pop().unwrap_or_default())
            }
        };
        post.push(letter);
    }
}

impl Parcel {
    /// Sends it, written first if nobody was sent it yet.
    fn send<M>(
        &mut self,
        id: ConnectionId,
        size: usize,
        wire: &mut impl Wire<M>,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Unsent> {
        if matches!(self.written, Written::Not) {
            self.written = if size <= limits::SHARED_BYTES_MIN {
                self.small.clear();
                write(&mut self.small);
                Written::Small
            } else {
                Written::Large(self.large.encode(write))
            };
        }
        match &self.written {
            Written::Large(payload) => wire.share(id, payload),
            Written::Small | Written::Not => wire.send(id, &self.small),
        }
    }
}

impl Server {
    /// Sends a comment to every event stream of the rooms when it is time.
    pub(super) fn keep_rooms_alive(&mut self, now: Instant, wire: &mut impl Wire<Message>) {
        let Shared {
            rooms,
            topic,
            pulse,
            config,
            ..
        } = &mut self.shared;
        if pulse.streams == 0 || now < pulse.at + config.heartbeat {
            return;
        }
        pulse.at = now;
        for (id, speech) in rooms.users().map(connection) {
            match speech {
                Speech::Frames | Speech::Deflated => {}
                Speech::Events => topic.comment(id, wire),
            }
        }
    }

    /// The rooms of another core say something.
    pub(super) fn read_post(
        &mut self,
        from: Core,
        post: Box<rooms::Post>,
        wire: &mut impl Wire<Message>,
    ) {
        let (rooms, mut outbox) = self.shared.rooms_and_outbox(wire);
        for letter in post.letters() {
            rooms.took(from, letter, &mut outbox);
        }
        self.shared.errands.recycle(post);
    }

    #[inline(never)]
    pub(super) fn run_errands(&mut self, wire: &mut impl Wire<Message>) {
        // Each of them may make others of the kinds before.
        loop {
            if let Some(id) = self.shared.topic.slow.pop() {
                self.end_slow(id, wire);
            } else if let Some(id) = self.shared.errands.away.pop() {
                self.turn_away(id, wire);
            } else if let Some((id, answer)) = self.shared.errands.answers.pop() {
                self.answer(id, Some(answer), wire);
            } else {
                break;
            }
        }
        self.shared.errands.deliver(wire);
    }

    /// There is no room for a newcomer.
    fn turn_away(&mut self, id: ConnectionId, wire: &mut impl Wire<Message>) {
        let why = Why::Full;
        match self
            .connections
            .get_mut(id)
            .map(|connection| &connection.state)
        {
            Some(State::WebSocket(_)) => self.close_socket(id, closing::TRY_AGAIN_LATER, why, wire),
            // It comes back after `retry`.
            Some(State::Stream(_)) => self.end(id, Close::Flush, why, wire),
            Some(State::Vacant | State::Http(_) | State::Ending) | None => {}
        }
    }
}

/// Names a user of the rooms: its connection and how it is spoken to.
pub(super) fn user(id: ConnectionId, speech: Speech) -> User {
    let speech = match speech {
        Speech::Frames => 0,
        Speech::Events => 1,
        Speech::Deflated => 2,
    };
    let slot = u64::try_from(id.slot()).unwrap_or(u64::MAX);
    // A generation has 24 bits.
    User(slot << 32 | u64::from(id.generation() & 0x00ff_ffff) << 8 | speech)
}

/// The connection that a user is.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the parts that `user` joined"
)]
pub(super) const fn connection(user: User) -> (ConnectionId, Speech) {
    let id = ConnectionId::new((user.0 >> 32) as u32, (user.0 >> 8) as u32 & 0x00ff_ffff);
    let speech = match user.0 & 3 {
        0 => Speech::Frames,
        1 => Speech::Events,
        _ => Speech::Deflated,
    };
    (id, speech)
}

impl<W: Wire<Message>> Tell for Outbox<'_, W> {
    fn tell(&mut self, users: &[User], notice: Notice<'_>) {
        let Errands {
            frame,
            deflated,
            event,
            ..
        } = &mut *self.errands;
        frame.written = Written::Not;
        deflated.written = Written::Not;
        event.written = Written::Not;
        let (size, text) = (notice.text.len(), notice.text.as_bytes());
        for &user in users {
            let (id, speech) = connection(user);
            let sent = match speech {
                Speech::Frames => frame.send(id, size, self.wire, |into| {
                    frame::encode(into, Opcode::Text, text, None);
                }),
                Speech::Deflated => deflated.send(id, size, self.wire, |into| {
                    let deflater = self.topic.deflater.get_or_insert_with(Box::default);
                    deflate::encode(into, Opcode::Text, text, None, deflater);
                }),
                Speech::Events => event.send(id, size, self.wire, |into| {
                    encode_event(into, notice, self.number);
                }),
            };
            match sent {
                Ok(()) => self.tally.messages_out += 1,
                Err(Unsent::Full) => self.topic.slow.push(id),
                // It ended in this turn; `closed` is under way.
                Err(Unsent::Gone) => {}
            }
        }
        // A payload that is kept here could not be encoded into again.
        frame.written = Written::Not;
        deflated.written = Written::Not;
        event.written = Written::Not;
    }

    fn turn_away(&mut self, user: User) {
        self.errands.away.push(connection(user).0);
    }
}

impl<W: Wire<Message>> rooms::Effects for Outbox<'_, W> {
    fn post(&mut self, to: Core, letter: Letter<&str>) {
        self.errands.write(to, letter);
    }

    fn answer(&mut self, asker: User, answer: rooms::Answer) {
        self.errands.answers.push((connection(asker).0, answer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_the_connection_it_was_made_of() {
        for slot in [0, 1, 77_777, u32::MAX] {
            for generation in [0, 9, 0x00ff_ffff] {
                for speech in [Speech::Frames, Speech::Deflated, Speech::Events] {
                    let id = ConnectionId::new(slot, generation);
                    assert_eq!(connection(user(id, speech)), (id, speech));
                }
            }
        }
    }
}
