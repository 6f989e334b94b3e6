//! What is told of chats for files on disk: events as values, which wait in a bounded queue of
//! their core until a thread beside the cores takes them, and figures.

use super::letter::ChatSeat;
use crate::limits;
use crate::shard::Core;
use crate::time::Instant;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

/// Something that is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatRecord {
    /// When it happened.
    pub at: Instant,
    /// The core of the user that it is about.
    pub core: Core,
    /// Which of that core's users, from 1.
    pub user: u32,
    /// The chat that it belongs to: both of its users have the same.
    pub chat: Option<ChatName>,
    /// What happened.
    pub what: ChatDeed,
}

/// Names a chat, for as long as the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChatName {
    core: Core,
    ticket: u64,
}

/// What happened to a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChatDeed {
    /// It came.
    Connected,
    /// It has a name.
    Entered(Box<str>),
    /// It has a partner, of that name.
    Matched(Box<str>),
    /// It said something.
    Said {
        /// The how manieth of its messages in this chat it is, from 1.
        number: u32,
        /// Bytes of the message.
        bytes: u32,
        /// The text, as a string of JSON, if it is kept.
        text: Option<Box<str>>,
    },
    /// Its chat is over: it left it, or reported its partner, or its partner did what the word
    /// says.
    Ended(&'static str),
    /// It is gone.
    Disconnected,
}

/// What all chats are at a time, and have been so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChatFigures {
    /// Users that are there.
    pub users: u64,
    /// Those of them that are in a chat.
    pub chatting: u64,
    /// What was said so far, in messages.
    pub messages: u64,
    /// And in bytes.
    pub bytes: u64,
    /// Events that found no room.
    pub lost: u64,
}

/// What the cores have told and nobody has taken: [`limits::CHAT_RECORDS`] of each at most. Clones
/// are the same. The default tells nothing, and costs nothing.
#[derive(Clone, Debug, Default)]
pub struct ChatJournal(Option<Arc<JournalShelves>>);

#[derive(Debug)]
struct JournalShelves {
    by_core: Vec<JournalShelf>,
    texts: JournalTexts,
}

#[derive(Debug, Default)]
struct JournalShelf {
    records: Mutex<Vec<ChatRecord>>,
    users: AtomicU64,
    chatting: AtomicU64,
    messages: AtomicU64,
    bytes: AtomicU64,
    lost: AtomicU64,
}

/// Whether what is said is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JournalTexts {
    /// How long it is, and no word of it.
    #[default]
    Lengths,
    /// All of it.
    Whole,
}

impl ChatJournal {
    /// For so many cores.
    #[must_use]
    pub fn new(cores: usize, texts: JournalTexts) -> Self {
        let by_core = (0..cores).map(|_| JournalShelf::default()).collect();
        Self(Some(Arc::new(JournalShelves { by_core, texts })))
    }

    /// Takes what has been told, core by core, each in its order. `spare` is what the cores write
    /// into next.
    pub fn take(&self, spare: &mut Vec<ChatRecord>, mut each: impl FnMut(ChatRecord)) {
        let shelves = self.0.iter().flat_map(|all| &all.by_core);
        for shelf in shelves {
            let mut records = shelf.records.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(&mut *records, spare);
            drop(records);
            spare.drain(..).for_each(&mut each);
        }
    }

    /// The sum over all cores.
    #[must_use]
    pub fn figures(&self) -> ChatFigures {
        let mut sum = ChatFigures::default();
        for shelf in self.0.iter().flat_map(|all| &all.by_core) {
            sum.users += shelf.users.load(Relaxed);
            sum.chatting += shelf.chatting.load(Relaxed);
            sum.messages += shelf.messages.load(Relaxed);
            sum.bytes += shelf.bytes.load(Relaxed);
            sum.lost += shelf.lost.load(Relaxed);
        }
        sum
    }
}

/// What one core tells with.
#[derive(Debug)]
pub(super) struct JournalPen {
    journal: ChatJournal,
    here: Core,
    users: u32,
    /// What somebody who took kept from the queue.
    pending: Vec<ChatRecord>,
}

impl JournalPen {
    pub(super) const fn new(journal: ChatJournal) -> Self {
        Self {
            journal,
            here: Core(0),
            users: 0,
            pending: Vec::new(),
        }
    }

    pub(super) const fn started(&mut self, here: Core) {
        self.here = here;
    }

    /// Somebody has come: its number.
    pub(super) fn came(&mut self, at: Instant) -> u32 {
        self.users = self.users.wrapping_add(1);
        self.count(|it| &it.users, 1);
        self.tell(at, (self.users, None), || ChatDeed::Connected);
        self.users
    }

    /// Somebody is gone.
    pub(super) fn left(&mut self, at: Instant, user: u32) {
        self.count(|it| &it.users, -1);
        self.tell(at, (user, None), || ChatDeed::Disconnected);
    }

    /// Somebody has a partner of that name.
    pub(super) fn matched(&mut self, at: Instant, who: (u32, Option<ChatName>), partner: &str) {
        self.count(|it| &it.chatting, 1);
        self.tell(at, who, || ChatDeed::Matched(partner.into()));
    }

    /// Somebody's chat is over.
    pub(super) fn ended(&mut self, at: Instant, who: (u32, Option<ChatName>), word: &'static str) {
        self.count(|it| &it.chatting, -1);
        self.tell(at, who, || ChatDeed::Ended(word));
    }

    /// Somebody says that, the how manieth in its chat.
    #[inline]
    pub(super) fn said(
        &mut self,
        at: Instant,
        who: (u32, Option<ChatName>),
        (number, json, text): (u32, &str, &str),
    ) {
        let Some(shelves) = &self.journal.0 else {
            return;
        };
        let texts = shelves.texts;
        self.count(|it| &it.messages, 1);
        self.count(|it| &it.bytes, i64::try_from(json.len()).unwrap_or(0));
        self.tell(at, who, || ChatDeed::Said {
            number,
            bytes: u32::try_from(json.len()).unwrap_or(u32::MAX),
            text: (texts == JournalTexts::Whole).then(|| text.into()),
        });
    }

    /// Tells something else of somebody.
    pub(super) fn tell(
        &mut self,
        at: Instant,
        (user, chat): (u32, Option<ChatName>),
        what: impl FnOnce() -> ChatDeed,
    ) {
        let Some(shelves) = &self.journal.0 else {
            return;
        };
        let Some(shelf) = shelves.by_core.get(self.here.index()) else {
            return;
        };
        self.pending.push(ChatRecord {
            at,
            core: self.here,
            user,
            chat,
            what: what(),
        });
        let mut records = match shelf.records.try_lock() {
            Ok(records) => records,
            Err(TryLockError::Poisoned(records)) => records.into_inner(),
            // A core does not wait for a thread: it leaves with what comes next.
            Err(TryLockError::WouldBlock) if self.pending.len() < PENDING => return,
            Err(TryLockError::WouldBlock) => {
                shelf.lost.fetch_add(self.pending.len() as u64, Relaxed);
                return self.pending.clear();
            }
        };
        let room = limits::CHAT_RECORDS.saturating_sub(records.len());
        let lost = self.pending.len().saturating_sub(room);
        if lost > 0 {
            shelf.lost.fetch_add(lost as u64, Relaxed);
            self.pending.truncate(room);
        }
        records.append(&mut self.pending);
    }

    /// Adds to a figure of this core, which it alone changes; of what is less it wraps to that.
    fn count(&self, figure: impl FnOnce(&JournalShelf) -> &AtomicU64, by: i64) {
        let shelf = self.journal.0.as_ref();
        if let Some(shelf) = shelf.and_then(|all| all.by_core.get(self.here.index())) {
            figure(shelf).fetch_add(by.cast_unsigned(), Relaxed);
        }
    }
}

/// Records that wait for the lock at most: a thread holds it for less than a microsecond.
const PENDING: usize = 1024;

impl ChatName {
    /// Of the chat of these two.
    pub(super) fn of(one: ChatSeat, other: ChatSeat) -> Self {
        let seats = [one, other].map(|it| (it.core, it.ticket));
        let (core, ticket) = seats.into_iter().min().unwrap_or((one.core, one.ticket));
        Self { core, ticket }
    }
}

impl std::fmt::Display for ChatName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.core.0, self.ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pen(journal: &ChatJournal) -> JournalPen {
        let mut pen = JournalPen::new(journal.clone());
        pen.started(Core(1));
        pen
    }

    #[test]
    fn what_is_told_is_taken_in_order_and_what_finds_no_room_is_counted() {
        let journal = ChatJournal::new(2, JournalTexts::Lengths);
        let mut pen = pen(&journal);
        let at = Instant::from_nanos(7);
        for _ in 0..limits::CHAT_RECORDS + 3 {
            pen.came(at);
        }
        let (mut spare, mut users) = (Vec::new(), Vec::new());
        journal.take(&mut spare, |record| users.push(record.user));
        assert_eq!(users.len(), limits::CHAT_RECORDS);
        assert!(users.is_sorted() && users[0] == 1);
        assert_eq!(journal.figures().lost, 3);
        assert_eq!(journal.figures().users, users.len() as u64 + 3);
        pen.left(at, 1);
        users.clear();
        journal.take(&mut spare, |record| users.push(record.user));
        assert_eq!(users, [1]);
    }

    #[test]
    fn a_core_does_not_wait_for_who_takes() {
        let journal = ChatJournal::new(2, JournalTexts::Lengths);
        let mut pen = pen(&journal);
        let at = Instant::from_nanos(7);
        let shelves = journal.0.clone().unwrap();
        let taking = shelves.by_core[1].records.lock().unwrap();
        pen.came(at);
        drop(taking);
        pen.came(at);
        let mut users = Vec::new();
        journal.take(&mut Vec::new(), |record| users.push(record.user));
        assert_eq!(users, [1, 2]);
    }

    #[test]
    fn a_text_is_kept_only_where_it_is_asked_for() {
        for (texts, kept) in [
            (JournalTexts::Lengths, None),
            (JournalTexts::Whole, Some("\"a\"".into())),
        ] {
            let journal = ChatJournal::new(2, texts);
            let said = (1, r#"{"type":"say","text":"a"}"#, "\"a\"");
            pen(&journal).said(Instant::from_nanos(7), (3, None), said);
            let mut deeds = Vec::new();
            journal.take(&mut Vec::new(), |record| deeds.push(record.what));
            let text = kept;
            assert_eq!(
                deeds,
                [ChatDeed::Said {
                    number: 1,
                    bytes: 25,
                    text
                }]
            );
            let figures = journal.figures();
            assert_eq!((figures.messages, figures.bytes), (1, 25));
        }
    }
}
