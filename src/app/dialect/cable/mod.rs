//! `ActionCable` over the hub: `/cable`, as Rails and `AnyCable` speak it.
//!
//! A client is welcomed at once, by whichever token it shows, and subscribes to channels by
//! identifiers: a few that are there for first tries, and streams whose names the application has
//! signed. What is no command is passed over, as by Rails.

mod attending;
mod commands;
mod streams;
mod subscriptions;

use super::by_seat::BySeat;
use super::centrifugo::ClientRules;
use super::desk::Desk;
use super::identifiers::{CableKind, CableSubscription};
use super::views;
use super::{CABLE, EXTENDED_CABLE};
use crate::app::hub::Hub;
use crate::app::hub::answer::{Asker, EncodingId, HubError, SubscribeWish};
use crate::app::hub::broker::Broker;
use crate::app::hub::letter::HubLetter;
use crate::app::hub::position::{Epoch, Since};
use crate::app::rules::Ruling;
use crate::app::tokens::TokenFault;
use crate::app::{Effects, Message, Seat, User};
use crate::limits;
use crate::protocol::cable::{self as codec, CableParting};
use crate::protocol::centrifugo::{CloseAdvice, ErrorCode};
use crate::time::Instant;
use std::time::Duration;
pub use streams::StreamKey;

/// The subprotocols, for whoever agrees to one: the last tells a client to stay away.
pub const SUBPROTOCOLS: [&str; 3] = [codec::SUBPROTOCOL, codec::EXTENDED, codec::UNSUPPORTED];

/// How a client comes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CableEntry {
    /// It is told places in histories too.
    pub is_extended: bool,
    /// The token that it shows; empty for none.
    pub token: String,
}

/// The clients of one core that speak it.
#[derive(Debug)]
pub struct CableClients {
    rules: ClientRules,
    /// Who signs streams.
    key: StreamKey,
    /// Their connections and seats.
    all: BySeat<(User, Seat)>,
    /// When a part of them is pinged.
    ping_at: Option<Instant>,
    part: usize,
    /// Who is pinged: scratch space.
    users: Vec<User>,
}

/// How many parts all clients are divided into: one is pinged at a time.
const PARTS: usize = 30;
/// Time between two parts.
const STEP_TIME: Duration = Duration::from_millis(3000 / PARTS as u64);

const _: () = assert!(limits::CABLE_PING_TIME.as_millis() == 3000);

impl CableClients {
    /// No client yet.
    #[must_use]
    pub const fn new(rules: ClientRules, key: StreamKey) -> Self {
        Self {
            rules,
            key,
            all: BySeat::new(),
            ping_at: None,
            part: 0,
            users: Vec::new(),
        }
    }

    /// Streams are signed with that from now on.
    pub fn verify_with(&mut self, key: StreamKey) {
        self.key = key;
    }

    /// A WebSocket has come.
    pub fn came<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        (user, seat): (User, Seat),
        entry: &CableEntry,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) {
        let now = desk.effects().now();
        self.all.insert(seat, (user, seat));
        self.ping_at.get_or_insert(now + STEP_TIME);
        if let Err((reason, advice)) = Self::admit((user, seat), &entry.token, hub, desk) {
            let parting = CableParting {
                reason,
                may_return: false,
            };
            desk.say(user, |into| codec::disconnect(into, parting));
            return desk.dismiss(user, advice);
        }
        hub.recode(seat, encoding(entry.is_extended));
        desk.say(user, codec::welcome);
    }

    /// Whether a client may stay, and as whom; else what it is told, and how it is ended.
    fn admit<B: Broker, E: Effects<Vec<HubLetter>>>(
        (user, seat): (User, Seat),
        token: &str,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) -> Result<(), (&'static str, CloseAdvice)> {
        const UNAUTHORIZED: &str = "unauthorized";
        if !token.is_empty() {
            let now = desk.effects().now();
            let claims = desk.holders().admit(seat, token, now);
            let claims = claims.map_err(|fault| match fault {
                TokenFault::Invalid => (UNAUTHORIZED, CloseAdvice::INVALID_TOKEN),
                TokenFault::Expired => (TOKEN_EXPIRED, CloseAdvice::EXPIRED),
            })?;
            desk.gatekeeper().identify(user, &claims);
            hub.identify(seat, &claims.user, &claims.info);
        }
        match desk.gatekeeper().handshake(user) {
            Ruling::Refuse(_) => Err((UNAUTHORIZED, CloseAdvice::PERMISSION_DENIED)),
            Ruling::Allow | Ruling::Pass => Ok(()),
        }
    }

    /// A client is gone, if it was one of these.
    pub fn left(&mut self, seat: Seat) {
        self.all.remove(seat);
        if self.all.is_empty() {
            self.ping_at = None;
        }
    }

    /// Whether a client is one of these.
    #[must_use]
    pub fn has(&self, seat: Seat) -> bool {
        self.all.get(seat).is_some()
    }

    /// When it wants to be told the time.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.ping_at
    }

    /// The time has come, perhaps: pings a part of all clients, and ends whose token is over.
    pub fn expired<E: Effects<Vec<HubLetter>>>(&mut self, now: Instant, desk: &mut Desk<'_, E>) {
        if self.ping_at.is_none_or(|at| at > now) {
            return;
        }
        self.ping_at = (!self.all.is_empty()).then_some(now + STEP_TIME);
        self.users.clear();
        for &mut (user, seat) in self.all.part(self.part, PARTS) {
            if desk.holders().is_over(seat, now) {
                let parting = CableParting {
                    reason: TOKEN_EXPIRED,
                    may_return: false,
                };
                desk.say(user, |into| codec::disconnect(into, parting));
                desk.dismiss(user, CloseAdvice::EXPIRED);
            } else {
                self.users.push(user);
            }
        }
        self.part = (self.part + 1) % PARTS;
        if !self.users.is_empty() {
            let seconds = desk.holders().seconds(now);
            let mut text = Vec::new();
            codec::ping(&mut text, seconds);
            let text = String::from_utf8(text).unwrap_or_default();
            desk.say_all(&self.users, &text);
        }
    }

    /// A client says something.
    pub fn said<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        client: (User, Seat),
        message: Message<'_>,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) {
        let Ok(command) = codec::read_command(message.bytes) else {
            return desk.complain(CloseAdvice::BAD_REQUEST.code);
        };
        if let Err(error) = self.carry_out(client, &command, hub, desk) {
            desk.complain(error.code);
        }
    }
}

/// What a client is told whose token was good: it may come with another.
const TOKEN_EXPIRED: &str = "token_expired";

const fn encoding(is_extended: bool) -> EncodingId {
    match is_extended {
        true => EXTENDED_CABLE,
        false => CABLE,
    }
}
