//! Connection state recovery of Socket.IO: what one core remembers of its clients and of those that
//! it has lost, so that who comes back in time finds its rooms and what was said there meanwhile.
//!
//! A client that joins a namespace is given a name (`pid`) that it keeps. Each event of a room
//! tells its place among all that this core has told (`offset`), the same to all who are told. A
//! client that comes back shows the last that it has; where that is in each of its rooms
//! `ToldEvents` knows. What it missed comes out of the histories of the rooms.

mod returning;
mod told;

pub use returning::Returned;
pub use told::IoOffset;

use crate::app::hub::answer::Subscribed;
use crate::app::hub::letter::{LostClient, RecoveryName};
use crate::app::hub::position::Position;
use crate::app::{Seat, User};
use crate::limits;
use crate::shard::Core;
use crate::time::Instant;
use returning::Returning;
use ring::hmac;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use told::ToldEvents;

/// What recovery is like on one core.
#[derive(Clone, Copy, Debug)]
pub struct RecoveryPlan {
    /// How long a client may be away.
    pub time: Duration,
    /// Random, the same on every core, told to nobody.
    pub secret: [u8; 32],
    /// Which core that is.
    pub here: Core,
    /// How many there are.
    pub cores: u16,
}

/// Nothing else that is signed with the same key begins so.
const DOMAIN: &[u8] = b"socket.io client ";

/// What one core remembers.
#[derive(Debug)]
pub struct IoRecovery {
    plan: RecoveryPlan,
    mac: hmac::Key,
    told: ToldEvents,
    /// Names that were given.
    given: u64,
    /// Clients in a namespace.
    members: BTreeMap<User, Member>,
    names: BTreeMap<RecoveryName, User>,
    /// Clients that may come back, and since when.
    lost: BTreeMap<RecoveryName, LostMember>,
    lost_at: VecDeque<(Instant, RecoveryName)>,
    /// Clients that have come back and are not in their rooms yet.
    returning: BTreeMap<User, Returning>,
}

/// A client in a namespace.
#[derive(Debug)]
struct Member {
    name: RecoveryName,
    seat: Seat,
    /// The namespace; `None` for `/`.
    namespace: Option<Arc<str>>,
    /// The last event that was told here before it joined.
    since: u64,
    rooms: Vec<MemberRoom>,
}

/// A client that is lost: since when, and whose it is.
#[derive(Debug)]
struct LostMember {
    at: Instant,
    member: Member,
    user: Box<str>,
}

/// A room of a client.
#[derive(Clone, Debug)]
pub(super) struct MemberRoom {
    channel: Arc<str>,
    /// The newest publication when it joined, or came back.
    at: Position,
    /// What it had then, and what it missed and is told: how many of other rooms are told before.
    had: u64,
    missed: Vec<u64>,
    missed_from: u32,
    /// The newest publication that was told here when it was lost.
    told: u64,
}

impl IoRecovery {
    /// Nobody is here.
    #[must_use]
    pub fn new(plan: RecoveryPlan) -> Self {
        Self {
            mac: hmac::Key::new(hmac::HMAC_SHA256, &plan.secret),
            told: ToldEvents::new(plan.here, plan.time),
            plan,
            given: 0,
            members: BTreeMap::new(),
            names: BTreeMap::new(),
            lost: BTreeMap::new(),
            lost_at: VecDeque::new(),
            returning: BTreeMap::new(),
        }
    }

    /// The other cores.
    pub fn others(&self) -> impl Iterator<Item = Core> + use<> {
        let RecoveryPlan { here, cores, .. } = self.plan;
        (0..cores).map(Core).filter(move |core| *core != here)
    }

    /// A client has joined that namespace, or `/`: what it is called. Who joins again is called the
    /// same.
    pub fn joined(
        &mut self,
        (user, seat): (User, Seat),
        namespace: Option<Arc<str>>,
    ) -> RecoveryName {
        if let Some(member) = self.members.get(&user) {
            return member.name;
        }
        self.given += 1;
        let member = Member {
            name: self.name(self.given),
            seat,
            namespace,
            since: self.told.mark(),
            rooms: Vec::new(),
        };
        self.enter(user, member)
    }

    /// A client is in a namespace: what it is called.
    fn enter(&mut self, user: User, member: Member) -> RecoveryName {
        let name = member.name;
        self.members.insert(user, member);
        self.names.insert(name, user);
        name
    }

    /// A client is in a room.
    pub fn entered(&mut self, user: User, it: &Subscribed) {
        if let Some(member) = self.members.get_mut(&user) {
            member.rooms.retain(|room| room.channel != it.channel);
            member.rooms.push(MemberRoom::new(it));
        }
    }

    /// An event of a room is told: its place.
    pub fn tells(&mut self, channel: &str, at: Position, now: Instant) -> IoOffset {
        self.told.tells(channel, at, now)
    }

    /// The place of what is told and is no event of a room's history.
    #[must_use]
    pub const fn newest(&self) -> IoOffset {
        self.told.newest()
    }

    /// A client is gone, and may come back: it was in these channels, of each of which that was the
    /// newest publication.
    pub fn lose(
        &mut self,
        user: User,
        channels: &[(Arc<str>, Position)],
        owner: &str,
        now: Instant,
    ) {
        let Some(mut member) = self.forget(user) else {
            return;
        };
        member.rooms.retain_mut(|room| {
            let known = channels.iter().find(|(name, _)| *name == room.channel);
            let told = known.filter(|(_, told)| told.epoch == room.at.epoch);
            room.told = told.map_or(room.at.offset, |(_, told)| told.offset);
            known.is_some()
        });
        if self.lost.len() >= limits::IO_LOST_CLIENTS {
            self.drop_oldest();
        }
        self.lost_at.push_back((now, member.name));
        let lost = LostMember {
            at: now,
            user: owner.into(),
            member,
        };
        self.lost.insert(lost.member.name, lost);
    }

    /// A client is gone for good.
    fn forget(&mut self, user: User) -> Option<Member> {
        self.returning.remove(&user);
        let member = self.members.remove(&user)?;
        self.names.remove(&member.name);
        Some(member)
    }

    /// A client is gone for good.
    pub fn leaves(&mut self, user: User) {
        drop(self.forget(user));
    }

    /// The client of that name, if it is here still: its connection has not ended yet.
    #[must_use]
    pub fn present(&self, name: RecoveryName) -> Option<(User, Seat)> {
        let user = *self.names.get(&name)?;
        Some((user, self.members.get(&user)?.seat))
    }

    /// A client of that name that was lost here, and what it has of its rooms by the last event
    /// that it was told; `None` if there is none, or none that finds all of it.
    pub fn find(
        &mut self,
        name: RecoveryName,
        offset: Option<IoOffset>,
        now: Instant,
    ) -> Option<LostClient> {
        let lost = self.lost.remove(&name)?;
        if now.since(lost.at) > self.plan.time {
            return None;
        }
        let member = &lost.member;
        let place = |room: &MemberRoom| {
            let epoch = room.at.epoch;
            let offset = self.told.place(room, offset, (member, lost.at))?;
            Some((room.channel.clone(), Position { epoch, offset }))
        };
        let rooms = member.rooms.iter().map(place).collect::<Option<_>>()?;
        Some(LostClient {
            rooms,
            user: lost.user,
            namespace: lost.member.namespace,
        })
    }

    /// The time has come: what is too old is forgotten. Channels that somebody here is in stay.
    pub fn expired(&mut self, now: Instant, is_open: impl Fn(&str) -> bool) {
        while let Some((at, name)) = self.lost_at.front()
            && now.since(*at) > self.plan.time
        {
            let (at, name) = (*at, *name);
            self.lost_at.pop_front();
            if self.lost.get(&name).is_some_and(|lost| lost.at == at) {
                self.lost.remove(&name);
            }
        }
        self.told.expired(now, is_open);
    }

    /// Whether there is nothing that grows old.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lost_at.is_empty() && self.told.is_empty()
    }

    fn drop_oldest(&mut self) {
        while let Some((at, name)) = self.lost_at.pop_front() {
            if self.lost.get(&name).is_some_and(|lost| lost.at == at) {
                self.lost.remove(&name);
                return;
            }
        }
    }

    /// A name that nobody guesses.
    fn name(&self, number: u64) -> RecoveryName {
        let named = [
            DOMAIN,
            &self.plan.here.0.to_be_bytes(),
            &number.to_be_bytes(),
        ]
        .concat();
        let tag = hmac::sign(&self.mac, &named);
        let half = tag.as_ref().first_chunk().copied();
        RecoveryName(u128::from_be_bytes(half.unwrap_or_default()))
    }
}

impl MemberRoom {
    /// A room that a client is in from now on.
    fn new(it: &Subscribed) -> Self {
        let missed = it.missed.iter().flat_map(|it| &it.publications);
        let missed: Vec<u64> = missed.map(|it| it.offset).collect();
        let newest = it.position.offset;
        Self {
            channel: it.channel.clone(),
            at: it.position,
            had: missed.first().map_or(newest, |first| first - 1),
            missed,
            missed_from: 0,
            told: newest,
        }
    }
}

/// Whether a client that comes back is who was lost: the same user, in the same namespace.
#[must_use]
pub fn is_same(lost: &LostClient, user: &str, namespace: Option<&str>) -> bool {
    *lost.user == *user && lost.namespace.as_deref() == namespace
}
