//! The clients of one core, and what each has subscribed to.

use super::answer::{Asker, EncodingId, HubError, SubscribeWish};
use super::letter::SubscriptionRef;
use super::publication::{ClientId, ClientInfo};
use super::tight::push_tight;
use crate::app::{Seat, User};
use crate::limits;
use crate::shard::Core;
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::Arc;

/// The clients of one core. Their seats are dense from 0, and free again once a client has left.
#[derive(Debug)]
pub(super) struct HubClients {
    here: Core,
    seats: Vec<Option<HubClient>>,
    free: Vec<u32>,
    /// What the names of clients are made of: random, another on every core and in every run.
    seed: u64,
    /// How many clients there have been.
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
    /// What others are told of it; made when it is first needed.
    info: Option<Arc<ClientInfo>>,
    pub(super) subscriptions: Vec<HubSubscription>,
}

/// One subscription of a client.
#[derive(Clone, Copy, Debug)]
pub(super) struct HubSubscription {
    /// The channel's place on this core.
    pub(super) channel: u32,
    /// What the dialect knows it by.
    pub(super) ticket: u32,
    pub(super) token: u32,
    pub(super) stage: SubscriptionStage,
    /// The application wanted it, not the client.
    pub(super) by_server: bool,
    /// Rather nothing than a subscription with a gap.
    pub(super) whole: bool,
}

/// How far a subscription is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SubscriptionStage {
    /// The channel's home was asked.
    Asked,
    /// It is told what is said: its place in the channel's list.
    Live(u32),
    /// It does not read: it has been told everything up to that publication.
    Late(u64),
}

/// Up to so many subscriptions of a client take no memory beyond their own.
const FEW: usize = 2;

const _: () = assert!(
    size_of::<Option<HubClient>>() <= 64,
    "an idle client is small"
);

impl HubClients {
    pub(super) fn new(here: Core, seed: u64) -> Self {
        Self {
            here,
            seats: Vec::new(),
            free: Vec::new(),
            seed,
            count: 0,
            // Those of a core that began anew are others.
            tokens: u32::try_from(seed >> 32).unwrap_or_default(),
        }
    }

    /// A client has come.
    pub(super) fn came(&mut self, user: User, encoding: EncodingId) -> Seat {
        self.count += 1;
        let client = HubClient {
            user,
            encoding,
            number: self.count,
            info: None,
            subscriptions: Vec::new(),
        };
        if let Some(seat) = self.free.pop() {
            if let Some(place) = self.seats.get_mut(seat as usize) {
                *place = Some(client);
            }
            return Seat(seat);
        }
        push_tight(&mut self.seats, Some(client));
        Seat(u32::try_from(self.seats.len() - 1).unwrap_or(u32::MAX))
    }

    /// It is gone.
    pub(super) fn left(&mut self, seat: Seat) {
        if let Some(place) = self.seats.get_mut(seat.0 as usize)
            && place.take().is_some()
        {
            self.free.push(seat.0);
        }
    }

    /// Others are told that it is that user, and that about it.
    pub(super) fn identify(&mut self, seat: Seat, user: &str, info: &str) {
        let Some(client) = self.id(seat) else {
            return;
        };
        let info = Arc::new(ClientInfo {
            client,
            user: user.into(),
            info: info.into(),
        });
        if let Some(client) = self.get_mut(seat) {
            client.info = Some(info);
        }
    }

    /// What others are told of a client.
    pub(super) fn info(&mut self, seat: Seat) -> Option<Arc<ClientInfo>> {
        if self.get(seat)?.info.is_none() {
            self.identify(seat, "", "");
        }
        self.get(seat)?.info.clone()
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
        let info = self.get(seat).and_then(|client| client.info.as_ref());
        info.map_or("", |info| &*info.user) == user
    }

    /// Notes a subscription that is asked for.
    pub(super) fn begin(
        &mut self,
        seat: Seat,
        channel: u32,
        wish: SubscribeWish<'_>,
    ) -> Result<SubscriptionRef, HubError> {
        self.tokens = self.tokens.wrapping_add(1);
        let token = self.tokens;
        let client = self.get_mut(seat).ok_or(HubError::BadRequest)?;
        if client.subscriptions.len() >= limits::CHANNELS_PER_CLIENT {
            return Err(HubError::LimitExceeded);
        }
        if client.subscriptions.len() < FEW {
            // Most have one, beside their session.
            client.subscriptions.reserve_exact(1);
        }
        client.subscriptions.push(HubSubscription {
            channel,
            ticket: wish.ticket,
            token,
            stage: SubscriptionStage::Asked,
            by_server: wish.by_server,
            whole: wish.whole,
        });
        Ok(SubscriptionRef {
            seat: seat.0,
            token,
        })
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
        let ended = client.subscriptions.swap_remove(at);
        if client.subscriptions.is_empty() {
            client.subscriptions = Vec::new();
        }
        Some(ended)
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
        self.seats.get(seat.0 as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, seat: Seat) -> Option<&mut HubClient> {
        self.seats.get_mut(seat.0 as usize)?.as_mut()
    }

    /// Every seat that is taken.
    pub(super) fn taken(&self) -> impl Iterator<Item = Seat> {
        let all = (0..).zip(&self.seats);
        all.filter(|(_, client)| client.is_some())
            .map(|(seat, _)| Seat(seat))
    }

    /// How many are here.
    pub(super) fn len(&self) -> usize {
        self.seats.len() - self.free.len()
    }

    /// Seats, free ones included.
    pub(super) fn seats(&self) -> usize {
        self.seats.len()
    }
}
