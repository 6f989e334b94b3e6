//! The door of a server: who is let in, how fast it may speak and for how long it may stay. Told of
//! connections and of time, asked what becomes of them. Where no limit is set it does nothing.

#![forbid(unsafe_code)]
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used
)]

mod address;
mod block;
pub mod forwarded;
mod guest;
mod introduced;
mod proxy_header;
mod rate;
#[cfg(test)]
mod tests;

pub use address::{AddressKey, AddressTable};
pub use block::{AddressBlock, NoAddressBlock};
pub use introduced::Introduced;
pub use proxy_header::{NoProxyHeader, ProxyHeader};
pub use rate::{Bucket, DoorRate};

use crate::shard::ConnectionId;
use crate::time::Instant;
use crate::wheel::Wheel;
use guest::{Admitted, Guests};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::IpAddr;
use std::time::Duration;

/// To within this what may stay for a while is ended.
const TICK: Duration = Duration::from_millis(64);

/// The limits; by default there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DoorLimits {
    /// Connections of one address, over all cores: IPv4, or IPv6 without its last 64 bits.
    pub per_address: Option<u32>,
    /// Connections of the holder of a token, over all cores.
    pub per_token: Option<u32>,
    /// WebSocket messages of all connections of the holder of a token, on one core.
    pub token_messages: Option<DoorRate>,
    /// Addresses of the loopback interface have that limit too.
    pub counts_loopback: bool,
    /// Proxies: their connections count for whom they say to speak for.
    pub trusted: Vec<AddressBlock>,
    /// Newcomers of this core.
    pub connects: Option<DoorRate>,
    /// WebSocket messages of one connection.
    pub messages: Option<DoorRate>,
    /// Bytes of one connection.
    pub bytes: Option<DoorRate>,
    /// Time from the upgrade to the first message of a WebSocket.
    pub first_message: Option<Duration>,
    /// Time from accept to the end; each connection has up to a tenth more or less.
    pub lifetime: Option<Duration>,
}

/// Why a newcomer is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoorRefusal {
    /// Its address has as many connections as one may have: 429.
    Address,
    /// The table of addresses is full, and its address is not in it: 503.
    Addresses,
    /// Newcomers come too fast: 503.
    Connects,
    /// The holder of its token has as many connections as one may have.
    Token,
}

/// Why a connection is ended that was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eviction {
    /// It sends more messages than it may.
    Messages,
    /// It sends more bytes than it may.
    Bytes,
    /// The holder of its token has as many connections as one may have.
    Token,
    /// It has not said anything.
    Silence,
    /// It has been here for as long as it may.
    Lifetime,
}

/// One core's door.
#[derive(Debug)]
pub struct Door {
    limits: DoorLimits,
    table: AddressTable,
    /// Holders of tokens by their connections over all cores.
    tokens: AddressTable,
    /// Those of this core: how many connections each has, and what they have said together.
    holders: BTreeMap<AddressKey, (u32, Bucket)>,
    connects: Bucket,
    guests: Guests,
    wheel: Wheel,
    /// What makes lifetimes differ from one run to the next.
    seed: u64,
}

impl Door {
    /// A door with those limits. The table is that of all cores.
    #[must_use]
    pub fn new(limits: DoorLimits, table: AddressTable, now: Instant) -> Self {
        Self {
            limits,
            table,
            tokens: AddressTable::default(),
            holders: BTreeMap::new(),
            connects: Bucket::default(),
            guests: Guests::default(),
            wheel: Wheel::new(now, TICK),
            seed: now.as_nanos(),
        }
    }

    /// The same with that table of holders of tokens, which is that of all cores.
    #[must_use]
    pub fn with_tokens(self, tokens: AddressTable) -> Self {
        Self { tokens, ..self }
    }

    /// Has those limits from now on. Who is in stays in, and is counted as it was when it came.
    pub fn renew(&mut self, limits: DoorLimits) {
        self.limits = limits;
    }

    /// Whether it has to be known where newcomers come from.
    #[must_use]
    pub const fn counts_addresses(&self) -> bool {
        self.limits.per_address.is_some()
    }

    /// Whether it has to be known whose connections are.
    #[inline]
    #[must_use]
    pub const fn counts_holders(&self) -> bool {
        self.limits.per_token.is_some() || self.limits.token_messages.is_some()
    }

    /// Whether what connections send has to be told to [`Self::heard`].
    #[inline]
    #[must_use]
    pub const fn listens(&self) -> bool {
        let limits = &self.limits;
        let is_metered = limits.messages.is_some() || limits.bytes.is_some();
        is_metered || limits.first_message.is_some() || limits.token_messages.is_some()
    }

    /// A newcomer is at the door, from that address if it is known.
    ///
    /// # Errors
    /// Why it is not let in. [`Self::left`] is to be told of it all the same.
    pub fn enter(
        &mut self,
        id: ConnectionId,
        from: Option<IpAddr>,
        now: Instant,
    ) -> Result<(), DoorRefusal> {
        if let Some(rate) = self.limits.connects
            && !self.connects.takes(rate, 1, now)
        {
            return Err(DoorRefusal::Connects);
        }
        if let Some(lifetime) = self.limits.lifetime {
            let end = now + self.jittered(lifetime, id);
            self.guests.get(id).ends_at = Some(end);
            self.wheel.schedule(id, end);
        }
        let Some((most, from)) = self.limits.per_address.zip(from) else {
            return Ok(());
        };
        let from = from.to_canonical();
        if self.limits.trusted.iter().any(|it| it.contains(from)) {
            self.guests.get(id).is_proxy = true;
            return Ok(());
        }
        self.count(id, from, most)
    }

    /// Whether a connection is a trusted proxy's: then it is to be told for whom it asks.
    #[must_use]
    pub fn is_proxy(&mut self, id: ConnectionId) -> bool {
        self.counts_addresses() && self.guests.known(id).is_some_and(|it| it.is_proxy)
    }

    /// Whom somebody counts for who asks over that connection and has none that counts, and how
    /// many of it there may be; over a proxy's it is for that address. `None` where nothing bounds
    /// it.
    pub fn share(&mut self, id: ConnectionId, client: Option<IpAddr>) -> Option<(AddressKey, u32)> {
        let most = self.limits.per_address?;
        let client = client.filter(|_| self.is_proxy(id));
        let counts = self.limits.counts_loopback;
        let client = client.map(|it| it.to_canonical());
        let client = client.filter(|it| counts || !it.is_loopback());
        let key = match client {
            Some(client) => AddressKey::of(client),
            None => self.guests.known(id)?.address?,
        };
        Some((key, most))
    }

    /// The networks of trusted proxies.
    #[must_use]
    pub fn trusted(&self) -> &[AddressBlock] {
        &self.limits.trusted
    }

    /// A proxy's connection counts for that address from now on.
    ///
    /// # Errors
    /// Why it may not.
    pub fn speaks_for(&mut self, id: ConnectionId, client: IpAddr) -> Result<(), DoorRefusal> {
        if let Some(before) = self.guests.get(id).address.take() {
            self.table.leave(before);
        }
        let most = self.limits.per_address.unwrap_or(u32::MAX);
        let counted = self.count(id, client.to_canonical(), most);
        self.guests.get(id).is_proxy = true;
        counted
    }

    fn count(&mut self, id: ConnectionId, from: IpAddr, most: u32) -> Result<(), DoorRefusal> {
        if from.is_loopback() && !self.limits.counts_loopback {
            return Ok(());
        }
        let key = AddressKey::of(from);
        self.table.enter(key, most)?;
        self.guests.get(id).address = Some(key);
        Ok(())
    }

    /// A connection has shown the token of that holder: why it is to be ended, if it is.
    pub fn named(&mut self, id: ConnectionId, holder: &str) -> Option<Eviction> {
        if !self.counts_holders() {
            return None;
        }
        let key = AddressKey::of_name(holder);
        let before = self.guests.get(id).holder.take();
        if before != Some(key) {
            if let Some(before) = before {
                self.release(before);
            }
            let most = self.limits.per_token.unwrap_or(u32::MAX);
            if self.tokens.enter(key, most).is_err() {
                return Some(Eviction::Token);
            }
            self.holders.entry(key).or_default().0 += 1;
        }
        self.guests.get(id).holder = Some(key);
        None
    }

    /// A connection of that holder is gone, or is another's.
    fn release(&mut self, holder: AddressKey) {
        self.tokens.leave(holder);
        if let Entry::Occupied(mut known) = self.holders.entry(holder) {
            known.get_mut().0 -= 1;
            if known.get().0 == 0 {
                known.remove();
            }
        }
    }

    /// A connection has become a WebSocket.
    pub fn upgraded(&mut self, id: ConnectionId, now: Instant) {
        if let Some(time) = self.limits.first_message {
            let guest = self.guests.get(id);
            guest.speaks_by = Some(now + time);
            let at = guest.due().unwrap_or(now + time);
            self.wheel.schedule(id, at);
        }
    }

    /// A connection has sent so much; why it is to be ended, if it is.
    pub fn heard(
        &mut self,
        id: ConnectionId,
        messages: u64,
        bytes: u64,
        now: Instant,
    ) -> Option<Eviction> {
        let guest = self.guests.get(id);
        if messages > 0 {
            guest.speaks_by = None;
        }
        let limits = &self.limits;
        let may = |bucket: &mut Bucket, rate: Option<DoorRate>, count| {
            rate.is_none_or(|rate| bucket.takes(rate, count, now))
        };
        if !may(&mut guest.messages, limits.messages, messages) {
            return Some(Eviction::Messages);
        }
        if !may(&mut guest.bytes, limits.bytes, bytes) {
            return Some(Eviction::Bytes);
        }
        let holder = guest.holder.filter(|_| limits.token_messages.is_some());
        let (_, bucket) = self.holders.get_mut(&holder?)?;
        (!may(bucket, limits.token_messages, messages)).then_some(Eviction::Messages)
    }

    /// A connection is gone, or was not let in.
    pub fn left(&mut self, id: ConnectionId) {
        let Some(guest) = self.guests.take(id) else {
            return;
        };
        if let Some(address) = guest.address {
            self.table.leave(address);
        }
        if let Some(holder) = guest.holder {
            self.release(holder);
        }
    }

    /// Connections whose time may be over.
    pub fn take_due(&mut self, now: Instant, due: &mut Vec<ConnectionId>) {
        self.wheel.expire(now, due);
    }

    /// Whether the time of a connection is over; if not, it is looked at again.
    pub fn judge(&mut self, id: ConnectionId, now: Instant) -> Option<Eviction> {
        let guest: &mut Admitted = self.guests.known(id)?;
        if guest.speaks_by.is_some_and(|at| at <= now) {
            guest.speaks_by = None;
            return Some(Eviction::Silence);
        }
        if guest.ends_at.is_some_and(|at| at <= now) {
            guest.ends_at = None;
            return Some(Eviction::Lifetime);
        }
        if let Some(at) = guest.due() {
            self.wheel.schedule(id, at);
        }
        None
    }

    /// When to ask [`Self::take_due`].
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.wheel.deadline()
    }

    /// That time, up to a tenth more or less: who came together does not come back together.
    fn jittered(&self, time: Duration, id: ConnectionId) -> Duration {
        let here = (u64::from(id.generation()) << 32) | id.slot() as u64;
        let draw = scattered(self.seed ^ here) % 2001;
        // From 9,000 to 11,000 ten thousandths.
        let share = u32::try_from(9000 + draw).unwrap_or(10_000);
        time / 10_000 * share
    }
}

/// A number that looks random and follows from another (`SplitMix64`, Steele and others, 2014).
#[must_use]
pub const fn scattered(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
