//! What the rooms of two cores say to each other, and many of it in one.

use super::flow;
use crate::app::{Answer, Batch, Seat, User};
use crate::shard::Core;
use std::ops::Range;

/// Names a room: the core it lives on and its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Room {
    /// Where its events are numbered.
    pub home: Core,
    /// Which of that core's rooms, from 0.
    pub index: u32,
}

/// Names a member. A number is never given twice in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// Its room.
    pub room: Room,
    /// Which of all the room has had, from 1.
    pub number: u32,
}

/// Where to post what a member says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SayAddress {
    /// Who says it.
    pub member: Member,
    /// What shows that it does: a MAC over the member.
    pub key: u128,
}

impl SayAddress {
    /// Reads the query of an address; `None` if it is none.
    #[must_use]
    pub fn parse(query: &str) -> Option<Self> {
        let value = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs
                .find(|(found, _)| *found == name)
                .map(|(_, value)| value)
        };
        let (home, index) = value("room")?.split_once('-')?;
        let room = Room {
            home: Core(number(home)?),
            index: number(index)?,
        };
        let number = number(value("member")?)?;
        let member = Member { room, number };
        let is_key = |key: &&str| key.len() == 32 && key.bytes().all(|c| c.is_ascii_hexdigit());
        let key = value("key").filter(is_key)?;
        let key = u128::from_str_radix(key, 16).ok()?;
        Some(Self { member, key })
    }
}

/// What happened in a room; `T` is the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomEvent<T> {
    /// A member came.
    Joined {
        /// Who.
        member: Member,
        /// How many there are now.
        members: u16,
    },
    /// A member went.
    Left {
        /// Who.
        member: Member,
        /// How many there are now.
        members: u16,
    },
    /// A member said something.
    Said {
        /// Who.
        member: Member,
        /// What.
        text: T,
    },
}

/// What the rooms of one core say to those of another; `T` is a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomMessage<T> {
    /// To the directory: a newcomer of mine wants a room.
    Enter {
        /// Which of mine.
        seat: Seat,
    },
    /// From the directory to a room's home: a newcomer gets its free place.
    Place {
        /// The room.
        room: Room,
        /// The newcomer's core.
        from: Core,
        /// Which of that core's.
        seat: Seat,
    },
    /// From the directory: there is no room left.
    Full {
        /// Which of yours.
        seat: Seat,
    },
    /// From a room's home: your newcomer is a member now.
    Welcome {
        /// Which of yours.
        seat: Seat,
        /// Who it is.
        member: Member,
        /// How many there are now.
        members: u16,
        /// The room's newest event: its own coming.
        seq: u64,
        /// No other member is of your core.
        is_only: bool,
    },
    /// To a room's home: a member of mine says something.
    Say {
        /// Who.
        member: Member,
        /// What.
        text: T,
    },
    /// To a room's home: somebody says something as a member, wherever that is.
    Post {
        /// As whom.
        member: Member,
        /// Who wants the answer.
        asker: User,
        /// What.
        text: T,
    },
    /// What became of a post.
    Answer {
        /// Who wants it.
        asker: User,
        /// Its number, or why it was not said.
        answer: Answer,
    },
    /// To a room's home: a member of mine is gone.
    Leave {
        /// Who.
        member: Member,
    },
    /// From a room's home: tell your members.
    Tell {
        /// The room.
        room: Room,
        /// The event's number.
        seq: u64,
        /// What happened.
        event: RoomEvent<T>,
    },
    /// To a room's home: my members have heard so much of what they were told.
    Heard {
        /// The room.
        room: Room,
        /// Bytes.
        bytes: u32,
    },
    /// From a room's home: your members may say so much again.
    Credit {
        /// The room.
        room: Room,
        /// Bytes.
        bytes: u32,
    },
    /// To the directory: a place in this room is free.
    Vacated {
        /// The room.
        room: Room,
    },
}

impl RoomEvent<&str> {
    /// What telling it counts in the windows of its room.
    #[inline]
    pub(super) fn weight(self) -> u32 {
        match self {
            Self::Joined { .. } | Self::Left { .. } => flow::weight(""),
            Self::Said { text, .. } => flow::weight(text),
        }
    }
}

impl<T> RoomEvent<T> {
    fn map<U>(self, text: impl FnOnce(T) -> U) -> RoomEvent<U> {
        match self {
            Self::Joined { member, members } => RoomEvent::Joined { member, members },
            Self::Left { member, members } => RoomEvent::Left { member, members },
            Self::Said { member, text: said } => RoomEvent::Said {
                member,
                text: text(said),
            },
        }
    }
}

impl<T> RoomMessage<T> {
    /// The same with another text.
    fn map<U>(self, text: impl FnOnce(T) -> U) -> RoomMessage<U> {
        match self {
            Self::Enter { seat } => RoomMessage::Enter { seat },
            Self::Place { room, from, seat } => RoomMessage::Place { room, from, seat },
            Self::Full { seat } => RoomMessage::Full { seat },
            Self::Welcome {
                seat,
                member,
                members,
                seq,
                is_only,
            } => RoomMessage::Welcome {
                seat,
                member,
                members,
                seq,
                is_only,
            },
            Self::Say { member, text: said } => RoomMessage::Say {
                member,
                text: text(said),
            },
            Self::Post {
                member,
                asker,
                text: said,
            } => RoomMessage::Post {
                member,
                asker,
                text: text(said),
            },
            Self::Answer { asker, answer } => RoomMessage::Answer { asker, answer },
            Self::Leave { member } => RoomMessage::Leave { member },
            Self::Tell { room, seq, event } => RoomMessage::Tell {
                room,
                seq,
                event: event.map(text),
            },
            Self::Heard { room, bytes } => RoomMessage::Heard { room, bytes },
            Self::Credit { room, bytes } => RoomMessage::Credit { room, bytes },
            Self::Vacated { room } => RoomMessage::Vacated { room },
        }
    }
}

/// Many messages to one core, with their texts in one piece of memory.
#[derive(Clone, Debug, Default)]
pub struct MessageBatch {
    messages: Vec<RoomMessage<Range<usize>>>,
    texts: String,
}

impl MessageBatch {
    /// The messages, in order.
    pub fn messages(&self) -> impl Iterator<Item = RoomMessage<&str>> {
        let text = |range: Range<usize>| self.texts.get(range).unwrap_or_default();
        self.messages
            .iter()
            .map(move |message| message.clone().map(text))
    }
}

impl Batch for MessageBatch {
    type Item<'l> = RoomMessage<&'l str>;

    fn push(&mut self, message: RoomMessage<&str>) {
        let texts = &mut self.texts;
        self.messages.push(message.map(|text| {
            let start = texts.len();
            texts.push_str(text);
            start..texts.len()
        }));
    }

    fn clear(&mut self) {
        self.messages.clear();
        self.texts.clear();
    }

    fn bytes(&self) -> usize {
        self.messages.len() * size_of::<RoomMessage<Range<usize>>>() + self.texts.len()
    }

    /// Of texts, which are what may be large.
    fn capacity(&self) -> usize {
        self.texts.capacity()
    }
}

fn number<N: std::str::FromStr>(digits: &str) -> Option<N> {
    // Digits only: `parse` alone would take "+7".
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok())?
}
