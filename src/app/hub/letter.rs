//! What the hubs of two cores say to each other.

use super::answer::{Asker, HubAnswer, HubError, Subscribed};
use super::history::Excerpt;
use super::position::{Epoch, Position, Since};
use super::presence::PresenceChange;
use super::publication::{ClientId, ClientInfo, Publication};
use super::session::SessionId;
use crate::app::{Seat, User};
use std::fmt;
use std::sync::Arc;

/// A channel as the core of its subscribers knows it. It is never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalRef {
    /// Its place there.
    pub index: u32,
    /// How many had that place before.
    pub generation: u32,
}

/// One subscription of one client, on the client's core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SubscriptionRef {
    /// The client's place there.
    pub seat: u32,
    /// Which of all subscriptions of that core, or of all sessions' sockets, modulo 2^31.
    pub token: u32,
}

impl LocalRef {
    /// A session, as the core of its sockets knows it.
    #[must_use]
    pub const fn of_session(index: u32, generation: u32) -> Self {
        let index = index | OF_SESSION;
        Self { index, generation }
    }

    /// The place of a session.
    #[must_use]
    pub const fn session(self) -> Option<u32> {
        if self.index & OF_SESSION == 0 {
            return None;
        }
        Some(self.index & !OF_SESSION)
    }
}

impl SubscriptionRef {
    /// Of all subscriptions of a core one that is no session's.
    #[must_use]
    pub const fn new(seat: Seat, token: u32) -> Self {
        let token = token & !OF_SESSION;
        Self {
            seat: seat.0,
            token,
        }
    }

    /// A socket in its session: which of all clients of that core it is.
    #[must_use]
    pub const fn of_session(seat: Seat, number: u64) -> Self {
        let [a, b, c, d, ..] = number.to_le_bytes();
        let token = u32::from_le_bytes([a, b, c, d]) | OF_SESSION;
        Self {
            seat: seat.0,
            token,
        }
    }

    /// Whether it is a socket in its session.
    #[must_use]
    pub const fn is_of_session(self) -> bool {
        self.token & OF_SESSION != 0
    }
}

/// What tells the places of sessions from those of channels.
const OF_SESSION: u32 = 1 << 31;

/// A client wants to subscribe.
#[derive(Clone, Debug)]
pub struct SubscribeOrder {
    /// To what.
    pub channel: Arc<str>,
    /// The same, as the client's core knows it.
    pub local: LocalRef,
    /// For which subscription.
    pub subscription: SubscriptionRef,
    /// From where on, if it comes back.
    pub since: Option<Since>,
    /// Who it is, if anybody is told.
    pub info: Option<ClientInfo>,
}

/// A client that has subscribed is there as somebody else, or not there.
#[derive(Clone, Debug)]
pub struct AttendOrder {
    /// Of what.
    pub channel: Arc<str>,
    /// Which.
    pub client: ClientId,
    /// As whom; `None` if it is not there any more.
    pub info: Option<ClientInfo>,
}

/// What may be asked of a channel.
#[derive(Clone, Debug)]
pub enum ChannelQuestion {
    /// Say this.
    Publish(Publication),
    /// Say this to those who are here; it has no number and is not kept.
    Tell(Publication),
    /// Which of it is kept?
    History(Excerpt),
    /// Forget what is kept.
    ClearHistory,
    /// Who is there?
    Presence,
    /// How many are there?
    Headcount,
    /// Of a session: set these members (JSON) of what it holds.
    Merge(Box<str>),
}

/// What the application wants of clients, wherever they are.
#[derive(Clone, Debug)]
pub struct ClientOrder {
    /// Of those of that user.
    pub user: Option<Box<str>>,
    /// Of that one.
    pub client: Option<ClientId>,
    /// Of those of that session.
    pub session: Option<SessionId>,
    /// Of all but that one.
    pub except: Option<ClientId>,
    /// What.
    pub what: ClientAction,
}

/// How long a client may be here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    /// Its time is over.
    Over,
    /// Until that second of Unix time.
    Until(u64),
    /// As long as it likes.
    Endless,
}

/// What the application wants of them.
#[derive(Clone, Debug)]
pub enum ClientAction {
    /// They go, with that close code.
    Disconnect(u16),
    /// They subscribe to that channel.
    Subscribe(Arc<str>),
    /// They are unsubscribed from that channel, or from all.
    Unsubscribe(Option<Arc<str>>),
    /// Which channels with subscribers are homed there? All whose names have that in them.
    Channels(Box<str>),
    /// How many are there?
    Count,
    /// They are told that JSON.
    Emit(Arc<str>),
    /// They may be here for so long.
    Refresh(Stay),
}

/// Names a client of Socket.IO for as long as it may come back: nobody else is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecoveryName(pub u128);

/// A client that was lost on one core, as another is told that it has come back to.
#[derive(Clone, Debug)]
pub struct LostClient {
    /// Its rooms, and the newest publication that it has of each.
    pub rooms: Vec<(Arc<str>, Position)>,
    /// The user that it was of; empty for nobody in particular.
    pub user: Box<str>,
    /// The namespace of Socket.IO that it was in; `None` for `/`.
    pub namespace: Option<Arc<str>>,
}

impl RecoveryName {
    /// Reads what it is written as; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = text.len() == 32 && !text.starts_with('+');
        let number = u128::from_str_radix(text, 16).ok();
        number.filter(|_| is_plain).map(Self)
    }
}

impl fmt::Display for RecoveryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What the hub of one core says to that of another.
#[derive(Clone, Debug)]
pub enum HubLetter {
    /// To a channel's home: a client of mine subscribes.
    Subscribe(Box<SubscribeOrder>),
    /// To a channel's home: a client of mine is out of it.
    Unsubscribe {
        /// Of what.
        channel: Arc<str>,
        /// Which.
        client: ClientId,
    },
    /// To a channel's home: a client of mine that has subscribed is there as that one, whoever it
    /// was there before.
    Attend(Box<AttendOrder>),
    /// To every core: a client of mine subscribes to a pattern.
    Watch {
        /// To which.
        pattern: Arc<str>,
        /// The same, as the client's core knows it.
        local: LocalRef,
        /// For which subscription.
        subscription: SubscriptionRef,
    },
    /// From a core: whatever is published there in a channel of that pattern is told from now on.
    Watching {
        /// For which subscription.
        subscription: SubscriptionRef,
    },
    /// To every core: a client of mine is out of a pattern.
    Unwatch {
        /// Of which.
        pattern: Arc<str>,
    },
    /// From a channel's home: tell your subscribers to a pattern.
    Matched {
        /// To which.
        local: LocalRef,
        /// In which channel that was.
        channel: Arc<str>,
        /// What.
        publication: Publication,
    },
    /// To a channel's home: somebody here wants something.
    Ask {
        /// Who.
        asker: Asker,
        /// Of what.
        channel: Arc<str>,
        /// What.
        question: Box<ChannelQuestion>,
    },
    /// From a channel's home: what became of it.
    Answer {
        /// Who asked.
        asker: Asker,
        /// What became of it.
        answer: Box<HubAnswer>,
    },
    /// From a channel's home: your client's subscription stands.
    Subscribed {
        /// Which.
        subscription: SubscriptionRef,
        /// What it begins with.
        subscribed: Box<Subscribed>,
    },
    /// From a channel's home: your client's subscription does not.
    Refused {
        /// Which.
        subscription: SubscriptionRef,
        /// Why.
        error: HubError,
    },
    /// From a channel's home: tell your subscribers.
    Deliver {
        /// Of what.
        local: LocalRef,
        /// In which history.
        epoch: Epoch,
        /// What.
        publication: Publication,
    },
    /// From a channel's home: these came and went.
    Changed {
        /// Where.
        local: LocalRef,
        /// Who, in order.
        changes: Arc<[PresenceChange]>,
    },
    /// From a channel's home: something was lost. Your subscriptions are over.
    Interrupted {
        /// Of what.
        local: LocalRef,
    },
    /// To every core: the application wants something of clients.
    Order {
        /// Who asked.
        asker: Asker,
        /// What.
        order: Arc<ClientOrder>,
    },
    /// From a core: an order is carried out.
    Carried {
        /// Who asked.
        asker: Asker,
        /// How many clients it reached.
        clients: u64,
        /// What channels there are, for who asked that.
        channels: Vec<(Arc<str>, u64)>,
    },
    /// To every core: a client here has come back, under that name. Was it lost there?
    Recall {
        /// Which.
        user: User,
        /// Under which name.
        name: RecoveryName,
        /// The last event that it has, as it says.
        offset: Box<str>,
    },
    /// From a core: it was, or not.
    Recalled {
        /// Which.
        user: User,
        /// What it had; `None` if it is not known.
        lost: Option<Box<LostClient>>,
    },
}
