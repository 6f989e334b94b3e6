//! The clients of one core, and what each has subscribed to.

use super::answer::{Asker, EncodingId, HubError, SubscribeWish};
use super::letter::SubscriptionRef;
use super::publication::{ClientAbout, ClientId, ClientInfo};
use super::subscriptions::{HubSubscription, SubscriptionStage, Subscriptions};
use crate::app::slab::Slab;
use crate::app::{Seat, User};
use crate::limits;
use crate::shard::Core;
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::Arc;

/// The clients of one core. Their seats are dense from 0, and free again once a client has left.
#[derive(Debug)]
pub(super) struct HubClients {
    here: Core,
    seats: Slab<HubClient>,
    /// What the names of clients are made of: random, another on every core and in every run.
    seed: u64,
    /// Which was the last of all clients.
    count: u64,
    /// How many subscriptions there have been.
    tokens: u32,
}

/// One client.
#[derive(Debug)]
pub(super) struct HubClient {
    pub(super) user: User,
    pub(super) encoding: EncodingId,
    /// Which of all that there have been on this core.
    number: u64,
    /// What others are told of it beside its name.
    about: Option<Arc<ClientAbout>>,
    pub(super) subscriptions: Subscriptions,
    pub(super) session: SessionSeat,
    /// It is told what becomes of its session.
    pub(super) hears_session: bool,
}

/// A client's place among the sockets of its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SessionSeat {
    /// The session's place on this core, or [`NOWHERE`].
    pub(super) session: u32,
    /// The seats of the sockets before it and after it, or [`NOWHERE`].
    pub(super) before: u32,
    pub(super) after: u32,
}

/// No place.
pub(super) const NOWHERE: u32 = u32::MAX;

impl SessionSeat {
    const NONE: Self = Self {
        session: NOWHERE,
        before: NOWHERE,
        after: NOWHERE,
    };
}

const _: () = assert!(
    size_of::<Option<HubClient>>() <= 64,
    "an idle client is small"
);

impl HubClients {
    pub(super) fn new(here: Core, seed: u64) -> Self {
        Self {
            here,
            seats: Slab::default(),
            seed,
            // Those of a core that began anew are others.
            count: seed >> 32,
            // Those of a core that began anew are others.
            tokens: u32::try_from(seed >> 32).unwrap_or_default(),
        }
    }

    /// A client has come.
    pub(super) fn came(&mut self, user: User, encoding: EncodingId) -> Seat {
        self.count += 1;
        Seat(self.seats.insert(HubClient {
            user,
            encoding,
            number: self.count,
            about: None,
            subscriptions: Subscriptions::None,
            session: SessionSeat::NONE,
            hears_session: false,
        }))
    }

    /// It is gone.
    pub(super) fn left(&mut self, seat: Seat) {
        self.seats.remove(seat.0);
    }

    /// Others are told that it is that user, and that about it.
    pub(super) fn identify(&mut self, seat: Seat, user: &str, info: &str) {
        if let Some(client) = self.get_mut(seat) {
            client.about = ClientAbout::new(user, info);
        }
    }

    /// What others are told of a client.
    pub(super) fn info(&self, seat: Seat) -> Option<ClientInfo> {
        Some(ClientInfo {
            client: self.id(seat)?,
            about: self.get(seat)?.about.clone(),
        })
    }

    /// What a client is called.
    pub(super) fn id(&self, seat: Seat) -> Option<ClientId> {
        let number = self.get(seat)?.number;
        let half = |which: u8| {
            let mut hasher = DefaultHasher::new();
            hasher.write_u64(self.seed);
            hasher.write_u64(number);
            hasher.write_u8(which);
            u128::from(hasher.finish())
        };
        Some(ClientId::new(self.here, half(0) << 64 | half(1)))
    }

    /// Whether a client is of that user; an empty one is nobody's.
    pub(super) fn is_of(&self, seat: Seat, user: &str) -> bool {
        let about = self.get(seat).and_then(|client| client.about.as_ref());
        about.map_or("", |about| &*about.user) == user
    }

    /// Notes a subscription that is asked for.
    pub(super) fn begin(
        &mut self,
        seat: Seat,
        channel: u32,
        wish: SubscribeWish<'_>,
    ) -> Result<SubscriptionRef, HubError> {
        self.tokens = self.tokens.wrapping_add(1);
        let it = SubscriptionRef::new(seat, self.tokens);
        let client = self.get_mut(seat).ok_or(HubError::BadRequest)?;
        if client.subscriptions.len() >= limits::CHANNELS_PER_CLIENT {
            return Err(HubError::LimitExceeded);
        }
        client.subscriptions.push(HubSubscription {
            channel,
            ticket: wish.ticket,
            token: it.token,
            stage: SubscriptionStage::Asked,
            by_server: wish.by_server,
            whole: wish.whole,
        });
        Ok(it)
    }

    /// A subscription by what the home core knows it by; `None` if it is over.
    pub(super) fn subscription(&mut self, it: SubscriptionRef) -> Option<&mut HubSubscription> {
        let client = self.get_mut(Seat(it.seat))?;
        let mut all = client.subscriptions.iter_mut();
        all.find(|subscription| subscription.token == it.token)
    }

    /// A client's subscription to that channel.
    pub(super) fn to(&mut self, seat: Seat, channel: u32) -> Option<&mut HubSubscription> {
        let client = self.get_mut(seat)?;
        let mut all = client.subscriptions.iter_mut();
        all.find(|subscription| subscription.channel == channel)
    }

    /// Takes a client's subscription to that channel.
    pub(super) fn end(&mut self, seat: Seat, channel: u32) -> Option<HubSubscription> {
        let client = self.get_mut(seat)?;
        let mut all = client.subscriptions.iter();
        let at = all.position(|subscription| subscription.channel == channel)?;
        client.subscriptions.swap_remove(at)
    }

    /// What the home of a socket's session knows it by.
    pub(super) fn socket(&self, seat: Seat) -> Option<SubscriptionRef> {
        let client = self.get(seat)?;
        Some(SubscriptionRef::of_session(seat, client.number))
    }

    /// A socket is one of those of a session at that place, before the one that was the first.
    pub(super) fn enter(&mut self, seat: Seat, session: u32, first: u32) {
        if let Some(first) = self.get_mut(Seat(first)) {
            first.session.before = seat.0;
        }
        if let Some(client) = self.get_mut(seat) {
            client.session = SessionSeat {
                session,
                after: first,
                ..SessionSeat::NONE
            };
        }
    }

    /// A socket is none of its session's any more: where it was.
    pub(super) fn leave_session(&mut self, seat: Seat) -> Option<SessionSeat> {
        let client = self.get_mut(seat)?;
        let was = std::mem::replace(&mut client.session, SessionSeat::NONE);
        client.hears_session = false;
        if let Some(before) = self.get_mut(Seat(was.before)) {
            before.session.after = was.after;
        }
        if let Some(after) = self.get_mut(Seat(was.after)) {
            after.session.before = was.before;
        }
        (was.session != NOWHERE).then_some(was)
    }

    /// The socket of a session by what its home knows it by; `None` if it is none any more.
    pub(super) fn in_session(&mut self, it: SubscriptionRef) -> Option<&mut HubClient> {
        let seat = Seat(it.seat);
        let client = self.get_mut(seat)?;
        let is_it = SubscriptionRef::of_session(seat, client.number) == it;
        (is_it && client.session.session != NOWHERE).then_some(client)
    }

    /// The sockets of a session, from the first one on.
    pub(super) fn sockets(&self, first: u32) -> impl Iterator<Item = (Seat, &HubClient)> {
        let one = |seat: u32| Some((Seat(seat), self.get(Seat(seat))?));
        std::iter::successors(one(first), move |(_, it)| one(it.session.after))
    }

    /// One client as a command of its own names it.
    pub(super) fn asker(&self, seat: Seat, ticket: u32) -> Option<Asker> {
        let client = self.get(seat)?;
        Some(Asker {
            user: client.user,
            encoding: client.encoding,
            ticket,
        })
    }

    pub(super) fn get(&self, seat: Seat) -> Option<&HubClient> {
        self.seats.get(seat.0)
    }

    pub(super) fn get_mut(&mut self, seat: Seat) -> Option<&mut HubClient> {
        self.seats.get_mut(seat.0)
    }

    /// Every seat that is taken.
    pub(super) fn taken(&self) -> impl Iterator<Item = Seat> {
        self.seats.iter().map(|(seat, _)| Seat(seat))
    }

    /// How many are here.
    pub(super) fn len(&self) -> usize {
        self.seats.len()
    }

    /// Seats, free ones included.
    pub(super) fn seats(&self) -> usize {
        self.seats.places()
    }
}
