//! What the chats of two cores say to each other, and many of it in one.

use crate::app::{Batch, Seat};
use crate::shard::Core;

/// Names somebody while it waits, and in the chat that it waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChatSeat {
    /// Whose user it is.
    pub core: Core,
    /// Which of that core's.
    pub seat: Seat,
    /// Tells this time from any other: a core gives no ticket twice.
    pub ticket: u64,
}

/// Why a chat is over for the one who stayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChatEnd {
    /// Its partner wants no more of it, or another one.
    Left,
    /// Its partner reported it.
    Reported,
    /// Its partner's connection is gone.
    Disconnected,
    /// Its partner's core is gone.
    Lost,
}

impl ChatEnd {
    /// What a log calls it, of the one who stayed.
    pub(super) const fn of_partner(self) -> &'static str {
        match self {
            Self::Left => "partner_left",
            Self::Reported => "reported_by_partner",
            Self::Disconnected => "partner_disconnected",
            Self::Lost => "partner_lost",
        }
    }

    /// The same, of the one who went.
    pub(super) const fn own(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Reported => "reported_partner",
            Self::Disconnected => "disconnected",
            Self::Lost => "lost",
        }
    }
}

/// What the chats of one core say to those of another. Some go with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChatLetter {
    /// To the home of the matcher: somebody waits.
    Enter {
        /// Who.
        who: ChatSeat,
    },
    /// From the home to the core of the first: these two are for each other, if they still wait.
    Pair {
        /// Who waited longer.
        first: ChatSeat,
        /// Who came then.
        second: ChatSeat,
    },
    /// To the core of the second, with the first one's name: mine waits for yours.
    Meet {
        /// The second.
        to: ChatSeat,
        /// The first.
        from: ChatSeat,
    },
    /// Back, with the second one's name: they are together.
    Met {
        /// The first.
        to: ChatSeat,
    },
    /// Back: the second does not wait any more.
    Missed {
        /// The first.
        to: ChatSeat,
    },
    /// With what its partner said.
    Relay {
        /// Who hears it.
        to: ChatSeat,
    },
    /// A chat is over.
    Gone {
        /// Who stayed.
        to: ChatSeat,
        /// Why.
        end: ChatEnd,
    },
    /// Its partner takes less than it is told.
    Behind {
        /// Who is not heard until it has caught up.
        to: ChatSeat,
    },
    /// Its partner has caught up.
    CaughtUp {
        /// Who is heard again.
        to: ChatSeat,
    },
    /// From the home: a core is gone, and what it was told with it. Whoever waits enters again.
    Again,
}

/// Many letters to one core, with their texts in one piece of memory.
#[derive(Clone, Debug, Default)]
pub struct ChatBatch {
    /// Each with where its text ends.
    letters: Vec<(ChatLetter, usize)>,
    texts: String,
}

impl ChatBatch {
    /// The letters in order, each with its text.
    pub fn letters(&self) -> impl Iterator<Item = (ChatLetter, &str)> {
        let mut start = 0;
        self.letters.iter().map(move |&(letter, end)| {
            let text = self.texts.get(start..end).unwrap_or_default();
            start = end;
            (letter, text)
        })
    }
}

impl Batch for ChatBatch {
    type Item<'l> = (ChatLetter, &'l str);

    fn push(&mut self, (letter, text): (ChatLetter, &str)) {
        self.texts.push_str(text);
        self.letters.push((letter, self.texts.len()));
    }

    fn clear(&mut self) {
        self.letters.clear();
        self.texts.clear();
    }

    fn bytes(&self) -> usize {
        self.letters.len() * size_of::<(ChatLetter, usize)>() + self.texts.len()
    }

    /// Of texts, which are what may be large.
    fn capacity(&self) -> usize {
        self.texts.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_read_in_order_each_with_its_own_text() {
        let to = |ticket| ChatSeat {
            core: Core(1),
            seat: Seat(2),
            ticket,
        };
        let mut batch = ChatBatch::default();
        let written = [
            (ChatLetter::Relay { to: to(1) }, "one"),
            (ChatLetter::Again, ""),
            (ChatLetter::Met { to: to(2) }, "Zoë"),
        ];
        for item in written {
            batch.push(item);
        }
        assert_eq!(batch.letters().collect::<Vec<_>>(), written);
        batch.clear();
        assert_eq!((batch.letters().count(), batch.bytes()), (0, 0));
    }
}
