//! What users came for: echo, push. Pure.
//!
//! An app knows neither wire nor connection: it takes what happened to a user and asks for
//! [`Effects`]. The server carries them out, and it alone knows that one user has a WebSocket and
//! another an event stream. Rooms, channels and chat fit the same shape.

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
    /// Its place in the sequence, from 1: the `id` of an event stream.
    pub id: u64,
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
