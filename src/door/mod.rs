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

pub use address::{AddressKey, AddressTable};
pub use block::{AddressBlock, NoAddressBlock};
pub use introduced::Introduced;
pub use proxy_header::{NoProxyHeader, ProxyHeader};
pub use rate::{Bucket, DoorRate};

use crate::shard::ConnectionId;
use crate::time::Instant;
use crate::wheel::Wheel;
use guest::{Admitted, Guests};
use std::net::IpAddr;
use std::time::Duration;

/// To within this what may stay for a while is ended.
const TICK: Duration = Duration::from_millis(64);

/// The limits; by default there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DoorLimits {
    /// Connections of one address, over all cores: IPv4, or IPv6 without its last 64 bits.
    pub per_address: Option<u32>,
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
}

/// Why a connection is ended that was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eviction {
    /// It sends more messages than it may.
    Messages,
    /// It sends more bytes than it may.
    Bytes,
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
            connects: Bucket::default(),
            guests: Guests::default(),
            wheel: Wheel::new(now, TICK),
            seed: now.as_nanos(),
        }
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

    /// Whether what connections send has to be told to [`Self::heard`].
    #[inline]
    #[must_use]
    pub const fn listens(&self) -> bool {
        let limits = &self.limits;
        limits.messages.is_some() || limits.bytes.is_some() || limits.first_message.is_some()
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
        (!may(&mut guest.bytes, limits.bytes, bytes)).then_some(Eviction::Bytes)
    }

    /// A connection is gone, or was not let in.
    pub fn left(&mut self, id: ConnectionId) {
        if let Some(address) = self.guests.take(id).and_then(|guest| guest.address) {
            self.table.leave(address);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::default() + Duration::from_millis(ms)
    }

    fn door(limits: DoorLimits) -> Door {
        Door::new(limits, AddressTable::default(), at(0))
    }

    fn id(slot: u32) -> ConnectionId {
        ConnectionId::new(slot, 1)
    }

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn an_address_has_so_many_connections_over_all_cores_and_gets_them_back() {
        let limits = DoorLimits {
            per_address: Some(2),
            ..DoorLimits::default()
        };
        let table = AddressTable::default();
        let [mut one, mut two] = [(); 2].map(|()| Door::new(limits.clone(), table.clone(), at(0)));
        assert_eq!(one.enter(id(0), address("192.0.2.1"), at(0)), Ok(()));
        // The same by another name (RFC 4291, 2.5.5.2).
        assert_eq!(two.enter(id(0), address("::ffff:192.0.2.1"), at(0)), Ok(()));
        let refused = Err(DoorRefusal::Address);
        assert_eq!(one.enter(id(1), address("192.0.2.1"), at(0)), refused);
        one.left(id(1));
        assert_eq!(one.enter(id(1), address("192.0.2.1"), at(0)), refused);
        assert_eq!(one.enter(id(2), address("192.0.2.2"), at(0)), Ok(()));
        two.left(id(0));
        assert_eq!(one.enter(id(3), address("192.0.2.1"), at(0)), Ok(()));
        // A network of one subscriber, whatever its hosts call themselves.
        assert_eq!(one.enter(id(4), address("2001:db8::1"), at(0)), Ok(()));
        assert_eq!(one.enter(id(5), address("2001:db8::2:1"), at(0)), Ok(()));
        assert_eq!(one.enter(id(6), address("2001:db8::3"), at(0)), refused);
        assert_eq!(one.enter(id(7), address("2001:db8:0:1::3"), at(0)), Ok(()));
    }

    #[test]
    fn loopback_is_counted_only_if_it_is_told_and_who_is_unknown_never() {
        for (counts_loopback, expected) in [(false, Ok(())), (true, Err(DoorRefusal::Address))] {
            let mut door = door(DoorLimits {
                per_address: Some(1),
                counts_loopback,
                ..DoorLimits::default()
            });
            for loopback in ["127.0.0.1", "::1"] {
                assert_eq!(door.enter(id(1), address(loopback), at(0)), Ok(()));
                assert_eq!(door.enter(id(2), address(loopback), at(0)), expected);
            }
            for slot in 3..10 {
                assert_eq!(door.enter(id(slot), None, at(0)), Ok(()));
            }
        }
    }

    #[test]
    fn a_proxy_counts_for_whom_it_speaks_and_is_looked_through_only_if_it_is_trusted() {
        let mut door = door(DoorLimits {
            per_address: Some(1),
            trusted: vec!["192.0.2.0/24".parse().unwrap()],
            ..DoorLimits::default()
        });
        for slot in 0..3 {
            assert_eq!(door.enter(id(slot), address("192.0.2.9"), at(0)), Ok(()));
            assert!(door.is_proxy(id(slot)));
        }
        let [ann, bob] = ["203.0.113.1", "203.0.113.2"].map(|it| it.parse().unwrap());
        assert_eq!(door.speaks_for(id(0), ann), Ok(()));
        assert_eq!(door.speaks_for(id(1), ann), Err(DoorRefusal::Address));
        assert_eq!(door.speaks_for(id(1), bob), Ok(()));
        // The same connection for another: the first is free again.
        assert_eq!(door.speaks_for(id(0), bob), Err(DoorRefusal::Address));
        assert_eq!(door.speaks_for(id(2), ann), Ok(()));
        assert_eq!(door.enter(id(3), address("198.51.100.1"), at(0)), Ok(()));
        assert!(!door.is_proxy(id(3)));
    }

    #[test]
    fn newcomers_come_so_fast_and_a_seconds_worth_at_once() {
        let mut door = door(DoorLimits {
            connects: DoorRate::per_second(10),
            ..DoorLimits::default()
        });
        let mut came = |ms| {
            (0..100)
                .filter(|_| door.enter(id(0), None, at(ms)).is_ok())
                .count()
        };
        assert_eq!(
            [came(0), came(50), came(100), came(1100), came(9999)],
            [10, 0, 1, 10, 10]
        );
    }

    #[test]
    fn what_is_sent_is_metered_for_each_connection_alone() {
        let mut door = door(DoorLimits {
            messages: DoorRate::per_second(10),
            bytes: DoorRate::per_second(1000),
            ..DoorLimits::default()
        });
        assert!(door.listens() && !door.counts_addresses());
        assert_eq!(door.heard(id(0), 10, 500, at(0)), None);
        assert_eq!(door.heard(id(1), 10, 500, at(0)), None);
        assert_eq!(door.heard(id(0), 1, 1, at(0)), Some(Eviction::Messages));
        assert_eq!(door.heard(id(1), 0, 501, at(0)), Some(Eviction::Bytes));
        assert_eq!(door.heard(id(1), 1, 100, at(100)), None);
        // Another in the same slot has nothing to do with it.
        door.left(id(0));
        assert_eq!(door.heard(ConnectionId::new(0, 2), 10, 0, at(0)), None);
    }

    #[test]
    fn who_says_nothing_is_ended_and_who_speaks_in_time_is_not() {
        let mut door = door(DoorLimits {
            first_message: Some(Duration::from_secs(1)),
            ..DoorLimits::default()
        });
        for slot in [0, 1] {
            assert_eq!(door.enter(id(slot), None, at(0)), Ok(()));
            door.upgraded(id(slot), at(0));
        }
        assert_eq!(door.heard(id(1), 1, 10, at(500)), None);
        let mut due = Vec::new();
        door.take_due(at(1100), &mut due);
        let found: Vec<_> = due
            .iter()
            .filter_map(|id| door.judge(*id, at(1100)))
            .collect();
        assert_eq!((due.len(), &*found), (2, &[Eviction::Silence][..]));
        assert_eq!(door.deadline(), None);
    }

    #[test]
    fn lifetimes_end_within_a_tenth_and_not_together() {
        let mut door = door(DoorLimits {
            lifetime: Some(Duration::from_secs(100)),
            ..DoorLimits::default()
        });
        for slot in 0..1000 {
            assert_eq!(door.enter(id(slot), None, at(0)), Ok(()));
        }
        let (mut due, mut ends) = (Vec::new(), Vec::new());
        for second in 0..=120 {
            let now = at(second * 1000);
            door.take_due(now, &mut due);
            for id in due.drain(..) {
                if let Some(eviction) = door.judge(id, now) {
                    assert_eq!(eviction, Eviction::Lifetime);
                    ends.push(second);
                }
            }
        }
        assert_eq!(ends.len(), 1000);
        assert!(ends.iter().all(|end| (90..=111).contains(end)), "{ends:?}");
        let early = ends.iter().filter(|end| **end <= 100).count();
        assert!(
            (400..600).contains(&early),
            "{early} of 1000 in the first half"
        );
    }

    #[test]
    fn the_table_of_addresses_has_an_end() {
        let table = AddressTable::of_at_most(3);
        let key = |number: u32| AddressKey::of(std::net::Ipv4Addr::from_bits(number).into());
        for number in 0..3 {
            assert_eq!(table.enter(key(number), 9), Ok(()));
        }
        assert_eq!(table.enter(key(9), 9), Err(DoorRefusal::Addresses));
        assert_eq!(table.enter(key(1), 9), Ok(()));
        assert_eq!(table.len(), 3);
        table.leave(key(1));
        assert_eq!(table.enter(key(9), 9), Err(DoorRefusal::Addresses));
        table.leave(key(0));
        assert_eq!((table.enter(key(9), 9), table.len()), (Ok(()), 3));
    }
}
