//! What a session and what carries it say to each other where they are on two cores.

use crate::app::hub::letter::HubLetter;
use crate::app::{ApiResponse, Batch, Goodbye, Kind, User};
use crate::shard::Core;
use std::sync::Arc;

/// A request or a WebSocket that carries what a session is told and says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carrier {
    /// Where it is.
    pub core: Core,
    /// What it is called there.
    pub user: User,
    /// Its place there, if it is a WebSocket.
    pub link: u32,
}

/// What one core says to another about a session.
#[derive(Clone, Debug)]
pub enum EngineLetter {
    /// To a session: something is asked of it.
    Asked(u64, Carrier, EngineRequest),
    /// To a session: its poll's connection is gone.
    HungUp(u64, Carrier),
    /// To a session: what its WebSocket did.
    Socket(u64, Carrier, SocketEvent),
    /// From a session: the answer to what was asked.
    Answer(Carrier, ApiResponse),
    /// From a session: its WebSocket is told that.
    Say(Carrier, Kind, Arc<[u8]>),
    /// From a session: so many bytes of what its WebSocket said are heard.
    Heard(Carrier, usize),
    /// From a session: its WebSocket is that user's.
    Known(Carrier, Box<str>),
    /// From a session: its WebSocket is closed.
    Dismiss(Carrier, Goodbye),
}

/// What is asked of a session.
#[derive(Clone, Debug)]
pub enum EngineRequest {
    /// What there is to be told, now or as soon as there is something.
    Poll,
    /// To hear these packets.
    Post(Box<str>),
    /// To hear what is no payload.
    Strange,
}

/// What a WebSocket that carries a session did.
#[derive(Clone, Debug)]
pub enum SocketEvent {
    /// It has come.
    Came,
    /// It has said that.
    Said(Kind, Box<[u8]>),
    /// It is gone.
    Left,
    /// It takes less than it is told.
    Behind,
    /// It has taken what it was told.
    CaughtUp,
}

/// One letter.
#[derive(Clone, Debug)]
pub enum EngineItem {
    /// Of the hub.
    Hub(HubLetter),
    /// About a session.
    Own(EngineLetter),
}

/// Letters to one core.
#[derive(Clone, Debug, Default)]
pub struct EngineBatch {
    /// Those of the hub.
    pub hub: Vec<HubLetter>,
    /// Those about sessions.
    pub own: Vec<EngineLetter>,
}

impl Batch for EngineBatch {
    type Item<'l> = EngineItem;

    fn push(&mut self, item: EngineItem) {
        match item {
            EngineItem::Hub(letter) => self.hub.push(letter),
            EngineItem::Own(letter) => self.own.push(letter),
        }
    }

    fn clear(&mut self) {
        self.hub.clear();
        self.own.clear();
    }

    fn bytes(&self) -> usize {
        let own = self
            .own
            .iter()
            .map(|it| size_of::<EngineLetter>() + it.content());
        size_of_val(&self.hub[..]) + own.sum::<usize>()
    }

    fn capacity(&self) -> usize {
        Batch::capacity(&self.hub) + Batch::capacity(&self.own)
    }
}

impl EngineLetter {
    /// Bytes of what is carried.
    fn content(&self) -> usize {
        match self {
            Self::Asked(_, _, EngineRequest::Post(body)) => body.len(),
            Self::Socket(_, _, SocketEvent::Said(_, bytes)) => bytes.len(),
            Self::Answer(_, response) => response.text.len(),
            Self::Say(_, _, bytes) => bytes.len(),
            Self::Asked(..)
            | Self::HungUp(..)
            | Self::Socket(..)
            | Self::Heard(..)
            | Self::Known(..)
            | Self::Dismiss(..) => 0,
        }
    }
}
