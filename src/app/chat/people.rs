//! The users of one core: who has entered, who waits, who chats with whom.

use super::journal::ChatName;
use super::letter::ChatSeat;
use crate::app::slab::Slab;
use crate::app::{Seat, User};
use crate::shard::Core;
use crate::time::Instant;

/// The users of one core. A seat is free again once its user has left.
#[derive(Debug, Default)]
pub(super) struct People {
    seats: Slab<Person>,
    /// The newest ticket of this core.
    ticket: u64,
}

/// One user.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) user: User,
    pub(super) stage: ChatStage,
    /// Of the time it waits, and of the chat after it.
    pub(super) ticket: u64,
    /// What it is called, once it has entered.
    pub(super) name: Option<Box<str>>,
    /// When its chat was last heard.
    pub(super) heard: Instant,
    /// When the idle watch looks at it; the beginning of time if it does not.
    pub(super) watched: Instant,
    /// It takes less than it is told, and its partner is not heard.
    pub(super) is_behind: bool,
    /// It is not to be heard, because its partner takes less than it is told.
    pub(super) is_held: bool,
    /// It has something to say meanwhile.
    pub(super) is_unheard: bool,
    /// What it has said in its chat, in messages.
    pub(super) said: u32,
    /// Which of all users of its core it is.
    pub(super) number: u32,
    /// Partners that have reported it.
    pub(super) reports: u8,
}

/// Where somebody is on its way to a partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChatStage {
    /// In no chat, and waiting for none.
    Outside,
    /// It waits.
    Waiting,
    /// It is to be with that one, if that one still waits.
    Meeting(ChatSeat),
    /// It is with that one.
    Chatting(ChatSeat),
}

const _: () = assert!(size_of::<Person>() <= 88, "a user is small");

impl People {
    /// Somebody has come.
    pub(super) fn came(&mut self, user: User, number: u32) -> Seat {
        Seat(self.seats.insert(Person::new(user, number)))
    }

    /// Somebody is gone.
    pub(super) fn left(&mut self, seat: Seat) -> Option<Person> {
        self.seats.remove(seat.0)
    }

    /// Who has that seat.
    #[inline]
    pub(super) fn get(&mut self, seat: Seat) -> Option<&mut Person> {
        self.seats.get_mut(seat.0)
    }

    /// Who is meant, if that is still true.
    #[inline]
    pub(super) fn find(&mut self, who: ChatSeat) -> Option<&mut Person> {
        let person = self.get(who.seat)?;
        (person.ticket == who.ticket).then_some(person)
    }

    /// Somebody waits from now on, by a new ticket.
    pub(super) fn wait(&mut self, seat: Seat, here: Core) -> ChatSeat {
        self.ticket += 1;
        let ticket = self.ticket;
        if let Some(person) = self.get(seat) {
            (person.stage, person.ticket) = (ChatStage::Waiting, ticket);
        }
        ChatSeat {
            core: here,
            seat,
            ticket,
        }
    }

    /// Everyone's seat.
    pub(super) fn seats(&self) -> Vec<Seat> {
        self.seats.iter().map(|(seat, _)| Seat(seat)).collect()
    }
}

impl Person {
    fn new(user: User, number: u32) -> Self {
        Self {
            user,
            stage: ChatStage::Outside,
            ticket: 0,
            name: None,
            heard: Instant::default(),
            watched: Instant::default(),
            is_behind: false,
            is_held: false,
            is_unheard: false,
            said: 0,
            number,
            reports: 0,
        }
    }

    /// Which user it is, and in which chat.
    #[inline]
    pub(super) fn in_chat(&self, core: Core, seat: Seat) -> (u32, Option<ChatName>) {
        let ticket = self.ticket;
        let own = ChatSeat { core, seat, ticket };
        let chat = self.partner().map(|partner| ChatName::of(own, partner));
        (self.number, chat)
    }

    /// Its partner, if it is in a chat.
    #[inline]
    pub(super) const fn partner(&self) -> Option<ChatSeat> {
        match self.stage {
            ChatStage::Chatting(partner) => Some(partner),
            ChatStage::Outside | ChatStage::Waiting | ChatStage::Meeting(_) => None,
        }
    }
}
