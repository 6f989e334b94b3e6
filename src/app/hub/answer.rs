//! What the hub tells: answers to those who ask, events to those who have subscribed.

use super::history::Catchup;
use super::options::{ChannelOptions, SlowPolicy};
use super::position::{Epoch, Position, Since};
use super::presence::{Headcount, PresenceChange};
use super::publication::{ChosenName, ClientId, ClientInfo, Publication};
use crate::app::User;
use std::sync::Arc;

/// How a client is spoken to: what a dialect gives, and is given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EncodingId(pub u8);

impl EncodingId {
    /// A client that is not let in yet: it is told nothing but what it asked for.
    pub const NOT_YET: Self = Self(7);
}

/// Who wants an answer, and to what. It is sent home with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// Who.
    pub user: User,
    /// How it is spoken to.
    pub encoding: EncodingId,
    /// What the dialect knows the command by.
    pub ticket: u32,
}

/// A subscription that is wanted.
#[derive(Clone, Copy, Debug)]
pub struct SubscribeWish<'c> {
    /// To what.
    pub channel: &'c str,
    /// From where on, for a client that comes back.
    pub since: Option<Since>,
    /// What the dialect knows it by.
    pub ticket: u32,
    /// The application wants it, not the client.
    pub by_server: bool,
    /// Rather nothing than a subscription with a gap.
    pub whole: bool,
    /// As whom the client is there.
    pub shown: ShownAs<'c>,
}

/// As whom a client is in a channel, where it is known who is there.
#[derive(Clone, Copy, Debug, Default)]
pub enum ShownAs<'c> {
    /// As the client that it is.
    #[default]
    Itself,
    /// It is not there until it says so.
    Nobody,
    /// Under a name that it has chosen.
    Called(&'c ChosenName),
}

/// Why something was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HubError {
    /// There is no such channel.
    UnknownChannel,
    /// That name is none, or what was said is too long.
    BadRequest,
    /// The client has subscribed before.
    AlreadySubscribed,
    /// The client may have no more channels, or the server none.
    LimitExceeded,
    /// It is not allowed there.
    PermissionDenied,
    /// The channel has no such thing: no history, or no presence.
    NotAvailable,
    /// The broker cannot be reached now.
    Unreachable,
    /// That place is none of the channel's history.
    UnrecoverablePosition,
}

/// What became of a subscription.
#[derive(Clone, Debug)]
pub struct Subscribed {
    /// The channel.
    pub channel: Arc<str>,
    /// What the channel is like.
    pub options: ChannelOptions,
    /// Its newest publication: the next that the subscriber is told follows it.
    pub position: Position,
    /// What the subscriber asked to be given of what it missed; `None` if it did not.
    pub missed: Option<Catchup>,
    /// The client did not ask: the application did.
    pub by_server: bool,
}

/// Where a publication is, and whom it goes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Its place.
    pub position: Position,
    /// Clients that have subscribed.
    pub clients: u64,
    /// Cores that they are on.
    pub cores: u16,
}

/// What became of a command.
#[derive(Clone, Debug)]
pub enum HubAnswer {
    /// A subscription stands.
    Subscribed(Box<Subscribed>),
    /// A publication has its place.
    Published(Delivery),
    /// A part of the history of a channel.
    History(Arc<str>, Catchup),
    /// Who is there.
    Presence(Vec<ClientInfo>),
    /// How many are there.
    Headcount(Headcount),
    /// An order reached so many clients, on that many cores.
    Reached {
        /// Clients.
        clients: u64,
        /// What channels there are, for who asked that.
        channels: Vec<(Arc<str>, u64)>,
    },
    /// It is done.
    Done,
    /// It is not.
    Refused(HubError),
}

/// What subscribers are told.
#[derive(Clone, Copy, Debug)]
pub enum ChannelEvent<'e> {
    /// Something was said.
    Publication(Epoch, &'e Publication),
    /// Something was said in that channel, which the pattern takes that was subscribed to.
    Matched(&'e str, &'e Publication),
    /// These clients came and went, in that order.
    Changed(&'e [PresenceChange]),
    /// So many publications were passed over, because the subscriber did not read.
    Missed(u64),
    /// The subscription is over, because of something here: who subscribes again with the place
    /// that it has is made whole, or told that it is not.
    Interrupted,
    /// The subscription is over: the application wants it so.
    Unsubscribed,
}

impl ChannelEvent<'_> {
    /// The client that is not told, because it has said that itself.
    #[must_use]
    pub fn spared(&self) -> Option<ClientId> {
        match self {
            Self::Publication(_, it) | Self::Matched(_, it) if it.spares_author => {
                it.by.as_ref().map(|by| by.client)
            }
            Self::Publication(..)
            | Self::Matched(..)
            | Self::Changed(_)
            | Self::Missed(_)
            | Self::Interrupted
            | Self::Unsubscribed => None,
        }
    }
}

/// Who is told.
#[derive(Clone, Copy, Debug)]
pub struct Audience<'u> {
    /// How they are spoken to.
    pub encoding: EncodingId,
    /// Who.
    pub users: &'u [User],
    /// What becomes of those who do not read.
    pub slow: SlowPolicy,
}
