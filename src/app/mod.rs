//! What users came for: echo, push, rooms, chats, each behind one seam. Pure.
//!
//! An application is an [`App`]: one value per core, told of users that come, speak and leave, of
//! what it said to itself on other cores, and of time; it asks for [`Effects`]. It knows neither
//! wire nor connection: the server alone knows that one user has a WebSocket and another an event
//! stream, that one takes deflated messages, and who reads too slowly. It is mounted by one line
//! of `server/mount.rs`.

#![forbid(unsafe_code)]
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used
)]

mod arrival;
pub mod backend;
mod calls;
pub mod chat;
pub mod complaints;
pub mod console;
pub mod dialect;
pub mod echo;
pub mod engineio;
pub mod facts;
mod holdings;
pub mod hub;
pub mod namespaces;
pub mod passing;
pub mod push;
pub mod realtime;
pub mod rooms;
pub mod rules;
pub mod sessions;
mod slab;
pub mod tokens;

pub use arrival::{AddressShare, Admittance, Arrival, ArrivalPurpose, Refusal};
pub use calls::{ApiCall, ApiResponse, CallMethod, Media};
pub use holdings::Holdings;

use crate::shard::{Core, PeerNames};
use crate::time::Instant;
use std::fmt::Write;
use std::sync::Arc;

/// What a message is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Bytes.
    Binary,
}

/// What a user said, or what is said to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'m> {
    /// Text (then `bytes` are UTF-8) or binary.
    pub kind: Kind,
    /// The content.
    pub bytes: &'m [u8],
}

/// What everyone who listens to an app is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice<'n> {
    /// Its place in the sequence, from 1: the `id` of an event stream, or a part of it. 0 for no
    /// place.
    pub id: u64,
    /// The run that the sequence belongs to, where somebody may come back to another run.
    pub run: Option<u32>,
    /// The `id` of an event stream, where it is no number.
    pub cursor: Option<&'n str>,
    /// What it is called: the `event` of an event stream; empty for a plain message.
    pub name: &'n str,
    /// The content.
    pub text: &'n str,
}

/// A user as the server names one. An app keeps it and gives it back; it means nothing to the app,
/// and nothing on another core but to be sent home with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct User(pub u64);

/// A user as an app names one, where it tells its users by name; the server keeps it and gives it
/// back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seat(pub u32);

/// How an app speaks to its users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It only replies to whoever speaks.
    Replies,
    /// To all of a core at once: [`Effects::broadcast`]. The server keeps who they are, and tells
    /// the app the time only while there is one.
    All,
    /// To those whom it names: [`Effects::tell`].
    Named,
}

impl User {
    /// A user that has no connection: the app's own. The server names none like it.
    #[must_use]
    pub const fn own(number: u64) -> Self {
        Self(OWN_USER | number)
    }

    /// Which of its own users an app means; `None` for one of the server's.
    #[inline]
    #[must_use]
    pub const fn own_number(self) -> Option<u64> {
        if self.0 & OWN_USER == 0 {
            return None;
        }
        Some(self.0 & !OWN_USER)
    }
}

/// The server's users are connections, of which there are fewer than 2^31 (`server/framing.rs`).
const OWN_USER: u64 = 1 << 63;

/// How a user is ended: a close code, and what is said with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goodbye {
    /// For a WebSocket.
    pub code: u16,
    /// In a few words; empty for none.
    pub reason: &'static str,
}

/// The close codes that an app may end a WebSocket with, beside those of its own from 4000 on
/// (RFC 6455, 7.4).
pub mod close {
    /// It takes text only.
    pub const UNSUPPORTED: u16 = 1003;
    /// It does not allow that.
    pub const POLICY: u16 = 1008;
    /// It takes no message that long.
    pub const TOO_BIG: u16 = 1009;
    /// It may come again later.
    pub const TRY_AGAIN_LATER: u16 = 1013;
}

/// Why something was not said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsaid {
    /// The user is not known yet.
    Early,
    /// More than [`crate::limits::SAID_BYTES`].
    TooLong,
    /// No such user, or it has left.
    Gone,
    /// Too much is said already: later it may be said.
    Busy,
}

/// What became of a text that was posted: its number.
pub type Answer = Result<u64, Unsaid>;

/// What somebody who comes back has missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// Every message after `after` is still here: see [`App::replay`].
    Kept {
        /// The newest message the listener has.
        after: u64,
        /// How many bytes it missed, at most.
        bytes: u64,
    },
    /// Something after that message is not here any more.
    Lost {
        /// The oldest message of this run that the listener has not.
        from: u64,
    },
    /// That is no message of this run: whatever the listener has, it has nothing of this.
    Foreign,
}

/// What an app says to itself on another core, many messages in one batch.
pub trait Batch: Default + Clone + std::fmt::Debug + Send + 'static {
    /// One of them, perhaps borrowed.
    type Item<'l>;
    /// Adds one behind the others.
    fn push(&mut self, item: Self::Item<'_>);
    /// Forgets them, and keeps the memory.
    fn clear(&mut self);
    /// Bytes of memory that they take until they are read.
    fn bytes(&self) -> usize;
    /// Bytes of memory that it keeps.
    fn capacity(&self) -> usize;
}

impl<T: Clone + std::fmt::Debug + Send + 'static> Batch for Vec<T> {
    type Item<'l> = T;

    fn push(&mut self, item: T) {
        self.push(item);
    }

    fn clear(&mut self) {
        self.clear();
    }

    fn bytes(&self) -> usize {
        self.len() * size_of::<T>()
    }

    fn capacity(&self) -> usize {
        self.capacity() * size_of::<T>()
    }
}

/// For an app that says nothing to itself.
impl Batch for () {
    type Item<'l> = std::convert::Infallible;

    fn push(&mut self, item: std::convert::Infallible) {
        match item {}
    }

    fn clear(&mut self) {}

    fn bytes(&self) -> usize {
        0
    }

    fn capacity(&self) -> usize {
        0
    }
}

/// What an app may ask for. Nothing of it calls back: it is carried out once the app has returned.
pub trait Effects<B: Batch> {
    /// Says something to the user whose message this is.
    fn reply(&mut self, message: Message<'_>);
    /// Tells everyone on this core who came to this app: encoded once for each kind of connection.
    fn broadcast(&mut self, notice: Notice<'_>);
    /// Tells these users of this core: encoded once for each kind of connection.
    fn tell(&mut self, users: &[User], notice: Notice<'_>);
    /// Says something to a user of this core, whoever's message is looked at.
    fn say(&mut self, user: User, message: Message<'_>);
    /// There is no place for this user now: it may come again later.
    fn turn_away(&mut self, user: User);
    /// Ends this user of this core: a WebSocket with that code. Nothing more is heard of it.
    fn close(&mut self, user: User, code: u16) {
        self.dismiss(user, Goodbye { code, reason: "" });
    }
    /// The same, and says why.
    fn dismiss(&mut self, user: User, goodbye: Goodbye);
    /// What the session of a user is called, if it may change its connection.
    fn session_of(&self, _user: User) -> Option<String> {
        None
    }
    /// The namespace of a user of Socket.IO, if it is not `/`.
    fn namespace_of(&self, _user: User) -> Option<Arc<str>> {
        None
    }
    /// Whether the connection of a user has joined namespaces beside `/`.
    fn is_elsewhere(&self, _user: User) -> bool {
        false
    }
    /// This user of this core is called that: for who reads the log.
    fn known_as(&mut self, _user: User, _name: &str) {}
    /// Answers a user who posted.
    fn answer(&mut self, asker: User, answer: Answer);
    /// Answers a call over HTTP.
    fn respond(&mut self, asker: User, response: ApiResponse);
    /// Says something to the same app on another core.
    fn forward(&mut self, to: Core, item: B::Item<'_>);
    /// The time.
    fn now(&self) -> Instant;
    /// Whether a user of this core takes less than it is told: [`App::caught_up`] says when it has
    /// caught up, and [`App::left`] if it never does.
    fn is_behind(&self, user: User) -> bool;
    /// Asks all cores what they count: [`App::measured`] says it, half a second later at most.
    fn measure(&mut self) {}
    /// The user whose message this is is not heard until it is released: its peer feels that.
    fn hold(&mut self);
    /// A user that was held is heard again.
    fn release(&mut self, user: User);
}

/// An application: one value per core. What it does not care for it need not write.
pub trait App: Sized + 'static {
    /// What it says to itself on other cores: `Vec<T>` of its messages, or `()`.
    type Batch: Batch;
    /// How it speaks to its users.
    const REACH: Reach;
    /// Whether it is told what users say; else nothing of it is kept.
    const HEARS: bool = true;
    /// How a user is ended who does not read.
    const TOO_SLOW: Goodbye = Goodbye {
        code: close::TRY_AGAIN_LATER,
        reason: "",
    };

    /// The core begins: which of how many it is. Comes first.
    fn started(&mut self, _here: Core, _cores: u16) {}

    /// Something is asked of the server, of this app or another, or of none.
    ///
    /// # Errors
    /// [`Refusal`]: then nobody is asked.
    #[inline]
    fn requested(&mut self, _path: &str, _now: Instant) -> Result<(), Refusal> {
        Ok(())
    }

    /// Whoever asks for something next, and comes by it, has proved those names with a certificate;
    /// none where there is none.
    #[inline]
    fn certified(&mut self, _names: Option<&Arc<PeerNames>>) {}

    /// The session of whoever asks for something that no app has, and what its browser is told to
    /// keep if that is new.
    fn session(&mut self, _arrival: &Arrival<'_>) -> Option<(Box<str>, Option<Box<str>>)> {
        None
    }

    /// Somebody is about to come, or to call: [`App::came`] follows at once, unless the connection
    /// ends before, or [`App::called`] with what is returned.
    ///
    /// # Errors
    /// [`Refusal`]: then it does not.
    fn arriving(&mut self, _arrival: &Arrival<'_>) -> Result<Admittance, Refusal> {
        Ok(Admittance::default())
    }

    /// A user has come. Its seat is given back with whatever it does.
    #[inline]
    fn came(&mut self, _user: User, _effects: &mut impl Effects<Self::Batch>) -> Seat {
        Seat::default()
    }

    /// Whether a user may say something now. If not it is held, until the app releases it.
    #[inline]
    fn hears(&mut self, _user: User, _seat: Seat) -> bool {
        true
    }

    /// A user says something.
    fn said(
        &mut self,
        user: User,
        seat: Seat,
        message: Message<'_>,
        effects: &mut impl Effects<Self::Batch>,
    );

    /// A user that was behind has caught up.
    fn caught_up(&mut self, _user: User, _seat: Seat, _: &mut impl Effects<Self::Batch>) {}

    /// A user is gone.
    #[inline]
    fn left(&mut self, _user: User, _seat: Seat, _effects: &mut impl Effects<Self::Batch>) {}

    /// Somebody calls over HTTP, and is answered at once or later.
    fn called(&mut self, asker: User, _call: ApiCall<'_>, effects: &mut impl Effects<Self::Batch>) {
        effects.respond(asker, ApiResponse::json(404, "{}".to_owned()));
    }

    /// The connection of somebody is gone that called and is not answered: who comes by
    /// `server::By::Exchange`.
    fn hung_up(&mut self, _asker: User, _effects: &mut impl Effects<Self::Batch>) {}

    /// The same app on another core says something.
    fn took(&mut self, _from: Core, _batch: &Self::Batch, _: &mut impl Effects<Self::Batch>) {}

    /// The same app on another core is gone for good: nothing that is said to it is heard.
    fn lost(&mut self, _core: Core, _: &mut impl Effects<Self::Batch>) {}

    /// What it holds now, for `/stats`.
    fn holdings(&self) -> Holdings {
        Holdings::default()
    }

    /// When it wants to be told the time.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// The time has come. How many of its messages are late.
    fn expired(&mut self, _now: Instant, _effects: &mut impl Effects<Self::Batch>) -> u64 {
        0
    }

    /// What all cores count, as `/stats` says it: JSON in one line, for whichever app has asked.
    fn measured(&mut self, _figures: &str, _effects: &mut impl Effects<Self::Batch>) {}

    /// All users are about to leave: nobody has to be told of each that does.
    fn closing(&mut self) {}

    /// Whether somebody may post to that query of its address.
    fn is_address(&self, _query: &str) -> bool {
        false
    }

    /// Somebody posts a text, who is answered at once or later.
    ///
    /// # Errors
    /// [`Unsaid`]; then no answer comes.
    fn posted(
        &mut self,
        _asker: User,
        _query: &str,
        _text: &str,
        _effects: &mut impl Effects<Self::Batch>,
    ) -> Result<(), Unsaid> {
        Err(Unsaid::Gone)
    }

    /// Somebody is about to come after nobody was here, where everyone is told everything.
    fn awake(&mut self, _now: Instant) {}

    /// What an event stream has missed that has seen `id` last; `None` if this app does not resume.
    fn missed(&self, _id: &str) -> Option<Missed> {
        None
    }

    /// Hands out every message after `after` that is still here, oldest first.
    fn replay(&mut self, _after: u64, _each: &mut dyn FnMut(Notice<'_>)) {}

    /// The run and the number of the newest message, where somebody may come back.
    fn newest(&self) -> (u32, u64) {
        (0, 0)
    }
}

impl<'n> Notice<'n> {
    /// One to which nobody comes back from another run.
    #[must_use]
    pub const fn new(id: u64, name: &'n str, text: &'n str) -> Self {
        Self {
            id,
            run: None,
            cursor: None,
            name,
            text,
        }
    }

    /// The same with that id.
    #[must_use]
    pub const fn at(self, cursor: &'n str) -> Self {
        let cursor = Some(cursor);
        Self { cursor, ..self }
    }

    /// Writes the id of a message of a run: the run's eight hexadecimal digits, a colon, its
    /// number.
    pub fn write_id(run: u32, number: u64, into: &mut impl Write) {
        // It has at most 29 bytes: whoever calls has room for them.
        let _ = write!(into, "{run:08x}:{number}");
    }
}
