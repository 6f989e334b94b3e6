//! Dialogues: what a client says and hears where that is more than an echo, one message at a time.
//!
//! A scenario of this kind is two types. A [`Program`] is what all clients of a run share: options,
//! texts, tables; it is read-only. A [`Dialogue`] is one client's side of one connection: a small
//! state machine, told what happens, that says what it wants through the [`Context`] it is lent. It
//! knows no socket, no thread and no clock, and it never waits: whatever it waits for is told to it
//! by a later call. So it is tested by calling it.
//!
//! # Life of a dialogue
//!
//! ```text
//! begin -> on_open -> ... context.ready(part) -> on_turn* -> ... -> on_close
//!            on_message, on_timer, on_note at any time after `on_open`
//! ```
//!
//! 1. [`Program::begin`] makes it when its connection has been upgraded. [`Dialogue::on_open`]
//!    comes at once: say hello here, or nothing if the server speaks first.
//! 2. The connection counts as up only when the dialogue has called [`Context::ready`]: when the
//!    application's own handshake is done (ActionCable: subscription confirmed). The time from the
//!    upgrade to that is the latency `ready`. Until then the connect's own time-out runs; whatever
//!    ends the connection before is a failed connect of the stage `ready`.
//! 3. From the start of the run the *pace* gives out pieces of work: [`Dialogue::on_turn`], on
//!    clients that are ready as [`Part::Speaks`]. A piece is due at a planned time (open loop) or
//!    whenever fewer exchanges than `--pipeline` are under way (closed loop). Take it with
//!    [`Context::begin`] and say something; or let it go, which counts as dropped (in an open
//!    loop) or is asked again after the next thing that happens on this connection (in a closed
//!    one).
//! 4. `begin` gives an [`Exchange`]. Keep it beside what identifies the reply, and give it back to
//!    [`Context::finish`] when that has come: slip, service and response are recorded. One that
//!    never comes needs no call: it is counted as lost at the end. If it is known not to come, and
//!    no longer to be under way, [`Context::lose`] says so.
//! 5. [`Dialogue::on_close`] is the last call, when the peer or the network ended the connection.
//!    It does not come after [`Context::fail`], [`Context::close`] or [`Context::vanish`], nor at
//!    the end of the run.
//!
//! What must hold: a dialogue bounds what it keeps, whatever the peer sends. Bytes that make no
//! sense are no reason to panic: [`Context::fail`] with a short fixed name, or [`Context::wrong`].
//!
//! # Measurements
//!
//! | call | counts |
//! |---|---|
//! | [`Context::begin`], [`Context::finish`], [`Context::lose`] | messages `sent`, `replied`, slip, service, response |
//! | [`Context::received`] | a message that answers nothing: events `received`, `bytes` |
//! | [`Context::one_way`] | its latency, from the stamp that it carries ([`Context::now`] when it was said) |
//! | [`Context::wrong`] | a message that should not have come |
//! | [`Context::delivery`] | what became of a numbered publication |
//! | [`Context::broadcast`], [`Context::delivered`], [`Context::spread`], [`Context::stray`] | fan-out |
//!
//! Only what belongs to the measured time is recorded; a dialogue need not know when that is.

mod cable;
mod calls;
mod channel_place;
mod channels;
#[cfg(test)]
mod channels_tests;
mod chat;
#[cfg(test)]
mod chat_tests;
mod connect;
mod context;
pub mod custom;
#[cfg(test)]
mod realtime_tests;
pub mod rooms;
#[cfg(test)]
mod rooms_tests;
mod socketcluster;
mod socketio;
#[cfg(test)]
mod socketio_tests;
mod sse_channels;
#[cfg(test)]
mod sse_channels_tests;
mod trigger;

pub use super::measure::fan_out::Stray;
pub use cable::{Cable, CableOptions};
pub use calls::STAMP_BYTES;
pub use channels::{NumberedChannels, NumberedChannelsOptions};
pub use chat::{CHAT_TEXT_BYTES, ChatScenario};
pub use connect::Connect;
pub(super) use context::{Actions, Flow, Leave, Post, Speaker, Wake};
pub use context::{Context, Exchange, Piece};
pub use socketcluster::{SocketCluster, SocketClusterOptions};
pub use socketio::{IoTransport, SocketIo, SocketIoOptions};
pub use sse_channels::{StreamedChannels, StreamedChannelsOptions};
pub use trigger::{Fire, Trigger};

use crate::shard::{ConnectionId, Core};
use crate::time::Instant;
use std::fmt;

/// What all clients of a run share: read-only, the same on every core.
pub trait Program: fmt::Debug + Send + Sync {
    /// The scenario's name in the report.
    fn name(&self) -> &'static str;
    /// Whether clients are given turns, and for how long.
    fn turns(&self) -> Turns;
    /// The subprotocol that the upgrade has to agree on, if it must be one.
    fn subprotocol(&self) -> Option<&'static str> {
        None
    }
    /// Whether its clients poll, instead of being upgraded, and post what they say.
    fn polls(&self) -> bool {
        false
    }
    /// What is asked for by GET before the upgrade, on the same connection, where the upgrade is to
    /// be asked of that target; `None` for nothing.
    fn asks_first(&self, _target: &str) -> Option<String> {
        None
    }
    /// What is asked for then, once that has been answered so.
    ///
    /// # Errors
    /// What the answer lacks: a short fixed name.
    fn asks_then(&self, target: &str, _answer: &[u8]) -> Result<AskedThen, &'static str> {
        Ok(AskedThen::Upgrade(target.to_owned()))
    }
    /// The dialogue of connection `number` of the run, counted over all cores from 0.
    fn begin(&self, number: u32) -> Box<dyn Dialogue>;
    /// The same, where the upgrade was to be asked of that target, after that answer.
    fn begin_after(&self, number: u32, (_target, _answer): (&str, &[u8])) -> Box<dyn Dialogue> {
        self.begin(number)
    }
}

/// What follows what is asked for first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskedThen {
    /// The upgrade is asked of that target.
    Upgrade(String),
    /// That is asked for again and again instead: each answer is a text. What the dialogue says it
    /// posts.
    Poll(String),
}

/// How many turns the clients of a program take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turns {
    /// None: they only hear.
    Never,
    /// As many as the pace has in the duration of the run.
    Endless,
    /// Each until it calls [`Context::done`]; when all have, the run is over before its duration.
    Limited,
}

/// How many clients of a run say something: those with the lowest numbers. The others only hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Senders(pub u32);

impl Senders {
    /// All of them.
    pub const ALL: Self = Self(u32::MAX);

    /// Whether there are any.
    pub(super) fn turns(self) -> Turns {
        match self {
            Self(0) => Turns::Never,
            Self(_) => Turns::Endless,
        }
    }

    /// The part of a client by its number.
    pub(super) fn part(self, number: u32) -> Part {
        if number < self.0 {
            Part::Speaks
        } else {
            Part::Listens
        }
    }
}

/// One client's side of one connection. See the module for what is called when.
pub trait Dialogue: fmt::Debug {
    /// The connection is upgraded.
    fn on_open(&mut self, context: &mut Context<'_>);
    /// Something came.
    fn on_message(&mut self, heard: Incoming<'_>, context: &mut Context<'_>);
    /// The pace says: do your next piece of work. Only after [`Context::ready`].
    fn on_turn(&mut self, piece: Piece, context: &mut Context<'_>) {
        let (_, _) = (piece, context);
    }
    /// The time asked for with [`Context::wake_after`] has passed.
    fn on_timer(&mut self, context: &mut Context<'_>) {
        let _ = context;
    }
    /// Another dialogue of the run, on this core or another, said this with [`Context::tell`].
    fn on_note(&mut self, note: Note, context: &mut Context<'_>) {
        let (_, _) = (note, context);
    }
    /// The connection is over. Nothing can be said any more, but other dialogues can be told.
    fn on_close(&mut self, context: &mut Context<'_>) {
        let _ = context;
    }
}

/// What came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A WebSocket text message. Its bytes are UTF-8: the protocol has checked them.
    Text(&'a [u8]),
    /// A WebSocket binary message.
    Binary(&'a [u8]),
    /// A WebSocket pong, with the payload of the ping. Pings are answered without the dialogue.
    Pong(&'a [u8]),
    /// An event of an event stream.
    Event {
        /// Its type; `message` if the stream gave none.
        kind: &'a str,
        /// Its data.
        text: &'a str,
        /// The last id of the stream as of this event: its own, or an earlier one's.
        id: &'a str,
    },
}

/// Whether a client that is ready takes turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It does, until [`Context::done`].
    Speaks,
    /// It only hears.
    Listens,
}

/// Names one dialogue of the run, on whichever core. As text it fits into a message, so that who
/// hears the message can tell who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    pub(super) core: Core,
    pub(super) id: ConnectionId,
}

/// What one dialogue tells another. What the fields mean is theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// Which message it is about.
    pub sequence: u64,
    /// Who tells.
    pub from: u32,
    /// When it happened.
    pub at: Instant,
}

impl Address {
    pub(super) const fn new(core: Core, id: ConnectionId) -> Self {
        Self { core, id }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (slot, generation) = (self.id.slot(), self.id.generation());
        write!(f, "{}.{slot}.{generation}", self.core.0)
    }
}

impl std::str::FromStr for Address {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        let mut numbers = text.splitn(3, '.').map(|part| part.parse::<u32>().ok());
        let mut number = || numbers.next().flatten().ok_or(NoAddress);
        let core = u16::try_from(number()?).map_err(|_| NoAddress)?;
        Ok(Self {
            core: Core(core),
            id: ConnectionId::new(number()?, number()?),
        })
    }
}

/// The text is no [`Address`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the address of a dialogue")]
pub struct NoAddress;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_written_and_anything_else_is_none() {
        let address = Address {
            core: Core(3),
            id: ConnectionId::new(70_000, 12),
        };
        assert_eq!(address.to_string().parse(), Ok(address));
        for other in ["", "1", "1.2", "1.2.x", "70000.1.1", "1.2.3.4"] {
            assert_eq!(other.parse::<Address>(), Err(NoAddress), "{other}");
        }
    }
}
