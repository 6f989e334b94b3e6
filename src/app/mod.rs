//! What users came for: echo, push, rooms. Pure.
//!
//! An app knows neither wire nor connection: it takes what happened to a user and asks for
//! [`Effects`]. The server carries them out, and it alone knows that one user has a WebSocket and
//! another an event stream.
//!
//! An app whose users hear from each other names them by [`User`] and asks for [`Tell`] as well.
//! Its users may sit on several cores: it says things to itself there with letters of its own,
//! which the server forwards many in one (`rooms::Letter`, `rooms::Post`). Channels and chat fit
//! the same shape.

#![forbid(unsafe_code)]
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used
)]

pub mod echo;
pub mod push;
pub mod rooms;

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
    /// Its place in the sequence, from 1: the `id` of an event stream, or a part of it.
    pub id: u64,
    /// The run that the sequence belongs to, where somebody may come back to another run.
    pub run: Option<u32>,
    /// What it is called: the `event` of an event stream.
    pub name: &'n str,
    /// The content.
    pub text: &'n str,
}

/// What an app may ask for.
pub trait Effects {
    /// Says something to the user whose message this is.
    fn reply(&mut self, message: Message<'_>);
    /// Tells everyone who listens to this app.
    fn broadcast(&mut self, notice: Notice<'_>);
}

/// A user as the server names one. An app keeps it and gives it back; it means nothing to the app,
/// and nothing on another core but to be sent home with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct User(pub u64);

/// What an app may ask for whose users hear from each other.
pub trait Tell {
    /// Tells these users of this core: encoded once for each kind of connection.
    fn tell(&mut self, users: &[User], notice: Notice<'_>);
    /// There is no place for this user now: it may come again later.
    fn turn_away(&mut self, user: User);
}
