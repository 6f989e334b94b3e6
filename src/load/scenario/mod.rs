//! Dialogues: what a client says and hears where that is more than an echo, one message at a time.
//!
//! A scenario of this kind is two types. A [`Program`] is what all clients of a run share: options,
//! texts, tables; it is read-only. A [`Dialogue`] is one client's side of one connection: a small
//! state machine, told what happens, that says what it wants through the [`Line`] it is lent. It
//! knows no socket, no thread and no clock, and it never waits: whatever it waits for is told to it
//! by a later call. So it is tested by calling it.
//!
//! # Life of a dialogue
//!
//! ```text
//! begin -> up -> ... line.ready(part) -> turn* -> ... -> closed
//!            heard, due, told at any time after `up`
//! ```
//!
//! 1. [`Program::begin`] makes it when its connection has been upgraded. [`Dialogue::up`] comes at
//!    once: say hello here, or nothing if the server speaks first.
//! 2. The connection counts as up only when the dialogue has called [`Line::ready`]: when the
//!    application's own handshake is done (ActionCable: subscription confirmed). The time from the
//!    upgrade to that is the latency `ready`. Until then the connect's own time-out runs; whatever
//!    ends the connection before is a failed connect of the stage `ready`.
//! 3. From the start of the run the *pace* gives out pieces of work: [`Dialogue::turn`], on clients
//!    that are ready as [`Part::Speaks`]. A piece is due at a planned time (open loop) or whenever
//!    fewer exchanges than `--pipeline` are under way (closed loop). Take it with [`Line::begin`]
//!    and say something; or let it go, which counts as dropped (in an open loop) or is asked again
//!    after the next thing that happens on this connection (in a closed one).
//! 4. `begin` gives an [`Exchange`]. Keep it beside what identifies the reply, and give it back to
//!    [`Line::finish`] when that has come: slip, service and response are recorded. One that never
//!    comes needs no call: it is counted as lost at the end. If it is known not to come, and no
//!    longer to be under way, [`Line::lose`] says so.
//! 5. [`Dialogue::closed`] is the last call, when the peer or the network ended the connection. It
//!    does not come after [`Line::fail`], [`Line::close`] or [`Line::vanish`], nor at the end of
//!    the run.
//!
//! What must hold: a dialogue bounds what it keeps, whatever the peer sends. Bytes that make no
//! sense are no reason to panic: [`Line::fail`] with a short fixed name, or [`Line::wrong`].
//!
//! # Measurements
//!
//! | call | counts |
//! |---|---|
//! | [`Line::begin`], [`Line::finish`], [`Line::lose`] | messages `sent`, `replied`, slip, service, response |
//! | [`Line::received`] | a message that answers nothing: events `received`, `bytes` |
//! | [`Line::one_way`] | its latency, from the stamp that it carries ([`Line::now`] when it was said) |
//! | [`Line::wrong`] | a message that should not have come |
//! | [`Line::broadcast`], [`Line::delivered`], [`Line::spread`], [`Line::stray`] | fan-out |
//!
//! Only what belongs to the measured time is recorded; a dialogue need not know when that is.

mod cable;
mod calls;
mod connect;
pub mod custom;
mod line;
#[cfg(test)]
mod realtime_tests;
pub mod rooms;
mod socketcluster;
mod socketio;
mod trigger;

pub use cable::{Cable, CableOptions};
pub use calls::STAMP_BYTES;
pub use connect::Connect;
pub use super::measure::fan_out::Stray;
pub use line::{Exchange, Line, Piece};
pub(super) use line::{Flow, Leave, Post, Said, Speaker, Wake};
pub use socketcluster::{SocketCluster, SocketClusterOptions};
pub use socketio::{SocketIo, SocketIoOptions};
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
    /// The dialogue of connection `number` of the run, counted over all cores from 0.
    fn begin(&self, number: u32) -> Box<dyn Dialogue>;
}

/// How many turns the clients of a program take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turns {
    /// None: they only hear.
    Never,
    /// As many as the pace has in the duration of the run.
    Endless,
    /// Each until it calls [`Line::done`]; when all have, the run is over before its duration.
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
    fn up(&mut self, line: &mut Line<'_>);
    /// Something came.
    fn heard(&mut self, heard: Heard<'_>, line: &mut Line<'_>);
    /// The pace says: do your next piece of work. Only after [`Line::ready`].
    fn turn(&mut self, piece: Piece, line: &mut Line<'_>) {
        let (_, _) = (piece, line);
    }
    /// The time asked for with [`Line::wake_after`] has passed.
    fn due(&mut self, line: &mut Line<'_>) {
        let _ = line;
    }
    /// Another dialogue of the run, on this core or another, said this with [`Line::tell`].
    fn told(&mut self, note: Note, line: &mut Line<'_>) {
        let (_, _) = (note, line);
    }
    /// The connection is over. Nothing can be said any more, but other dialogues can be told.
    fn closed(&mut self, line: &mut Line<'_>) {
        let _ = line;
    }
}

/// What came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard<'a> {
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
    },
}

/// Whether a client that is ready takes turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It does, until [`Line::done`].
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
