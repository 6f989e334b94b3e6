//! The seam behind which each decision of a home core lies: numbers, histories, who is present.
//!
//! A home core asks ([`BrokerCommand`]) and goes on with other things; the answer is an event that
//! may come at once, as [`Memory`]'s does, or later. Publications are events too, for every channel
//! that the core has open, its own among them. A broker may tell a publication twice, or leave some
//! out while its connection is gone; it never tells them in another order. It answers each ticket
//! once, if only with [`BrokerReply::Unavailable`].

mod journal;
mod memory;
mod stored;
mod unreliable;

pub use memory::Memory;
pub use unreliable::{BrokerWeather, Unreliable};

use super::history::{Catchup, Excerpt};
use super::options::HistoryOptions;
use super::position::{Epoch, Position, Since};
use super::presence::Headcount;
use super::publication::{ClientId, ClientInfo, Publication};
use super::store::RestoredChannel;
use crate::time::Instant;
use std::collections::VecDeque;
use std::sync::Arc;

/// Names a command until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u32);

/// Of which channel something is asked, and what that channel keeps.
#[derive(Clone, Copy, Debug)]
pub struct OfChannel<'c> {
    /// Its name.
    pub name: &'c Arc<str>,
    /// What of it is kept.
    pub history: HistoryOptions,
    /// The time.
    pub now: Instant,
}

/// What a home core asks of the broker.
#[derive(Clone, Debug)]
pub enum BrokerCommand {
    /// The channel has subscribers: its publications are wanted.
    Open,
    /// It has none any more.
    Close,
    /// Gives a publication its number, keeps it, tells those who have the channel open.
    Publish(Publication),
    /// Tells those who have the channel open something that has no number and is not kept.
    Tell(Publication),
    /// Sets these members (JSON) of the object that the newest publication is, and publishes that.
    Merge(Box<str>),
    /// Forgets the channel, and tells its newest publication once more.
    Forget,
    /// What came after that place; only the newest place if `None`.
    CatchUp(Option<Since>),
    /// A part of the history.
    Read(Excerpt),
    /// Forgets the history.
    Clear,
    /// A client is in the channel.
    Enter(ClientInfo),
    /// A client is no longer in it.
    Leave(ClientId),
    /// Who is in it: so many at most.
    List(usize),
    /// How many are in it.
    Count,
}

/// What becomes of a command.
#[derive(Clone, Debug)]
pub enum BrokerReply {
    /// It is done.
    Done,
    /// The publication has that place; with the number 0 if it has none.
    Published(Position),
    /// What was to be read.
    Read(Catchup),
    /// The client is in the channel, with so many.
    Entered {
        /// Whether nobody else of its name is; `None` if it was there before.
        is_alone: Option<bool>,
        /// How many are there now.
        count: Headcount,
    },
    /// The client is out of the channel.
    Gone {
        /// Who it was, if it was there, and whether nobody else of its name is.
        who: Option<(ClientInfo, bool)>,
        /// How many are there now.
        count: Headcount,
    },
    /// Who is there.
    Listed(Vec<ClientInfo>),
    /// How many are there.
    Counted(Headcount),
    /// There may be no more channels, or no more in it.
    Full,
    /// The broker cannot be reached.
    Unavailable,
}

/// What a broker tells.
#[derive(Clone, Debug)]
pub enum BrokerEvent {
    /// The answer to a command.
    Reply {
        /// To which.
        ticket: Ticket,
        /// What it is.
        reply: BrokerReply,
    },
    /// A publication in a channel that is open.
    Published {
        /// Where.
        channel: Arc<str>,
        /// In which history.
        epoch: Epoch,
        /// What.
        publication: Publication,
    },
    /// It was gone, and is back: what was published meanwhile was not told.
    Restored,
}

/// Where the numbers, histories and presence of channels are.
pub trait Broker {
    /// Asks something: one reply to that ticket is among the events, now or later.
    fn ask(
        &mut self,
        ticket: Ticket,
        channel: OfChannel<'_>,
        command: BrokerCommand,
        events: &mut VecDeque<BrokerEvent>,
    );

    /// A channel was like that when the program ended last. Before anything is asked.
    fn restore(&mut self, channel: OfChannel<'_>, restored: RestoredChannel);

    /// When it wants to be told the time.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// The time has come.
    fn expired(&mut self, _now: Instant, _events: &mut VecDeque<BrokerEvent>) {}
}
