//! The channels that clients of one core have subscribed to, and who those are.

use super::answer::{Audience, EncodingId};
use super::letter::LocalRef;
use super::options::SlowPolicy;
use super::pattern::is_pattern;
use super::position::Position;
use super::publication::Publication;
use super::tight::push_tight;
use crate::app::{Seat, User};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The channels of one core's clients.
#[derive(Debug)]
pub(super) struct Subscribers {
    names: BTreeMap<Arc<str>, u32>,
    channels: Vec<LocalChannel>,
    free: Vec<u32>,
    /// How many of them are patterns.
    patterns: usize,
    /// What the generation of a place begins with: random.
    seed: u32,
}

/// One of them.
#[derive(Debug)]
pub(super) struct LocalChannel {
    pub(super) name: Arc<str>,
    generation: u32,
    /// Subscriptions, those that are only asked for and those that are late among them.
    pub(super) subscriptions: u32,
    /// The newest publication that was told here.
    pub(super) told: Position,
    pub(super) slow: SlowPolicy,
    /// That publication, where slow subscribers are told it.
    pub(super) newest: Option<Publication>,
    /// Who does not read, and is passed over until it has, and the number of the newest
    /// publication that each was told.
    pub(super) late: Vec<(Seat, u64)>,
    lanes: Vec<SubscriberLane>,
}

/// Those of one channel who are spoken to alike.
#[derive(Debug)]
struct SubscriberLane {
    encoding: EncodingId,
    users: Vec<User>,
    /// Of each of them.
    seats: Vec<Seat>,
}

/// Who has moved to which place in the list of its channel.
pub(super) type LaneMove = Option<(Seat, u32)>;

impl Subscribers {
    pub(super) fn new(seed: u32) -> Self {
        Self {
            names: BTreeMap::new(),
            channels: Vec::new(),
            free: Vec::new(),
            patterns: 0,
            seed,
        }
    }

    /// The place of the channel of that name, if anybody has subscribed.
    pub(super) fn find(&self, name: &str) -> Option<u32> {
        self.names.get(name).copied()
    }

    /// One more subscription to that channel: where it is.
    pub(super) fn enter(&mut self, name: &str) -> LocalRef {
        let index = self.find(name).unwrap_or_else(|| self.make(name));
        let generation = self.channels.get_mut(index as usize).map(|channel| {
            channel.subscriptions += 1;
            channel.generation
        });
        LocalRef {
            index,
            generation: generation.unwrap_or_default(),
        }
    }

    /// One subscription less to that channel, which is forgotten with the last.
    pub(super) fn leave(&mut self, index: u32) {
        let Some(channel) = self.channels.get_mut(index as usize) else {
            return;
        };
        channel.subscriptions -= 1;
        if channel.subscriptions == 0 {
            self.names.remove(&channel.name);
            self.patterns -= usize::from(is_pattern(&channel.name));
            *channel = LocalChannel::vacant(channel.generation.wrapping_add(1));
            self.free.push(index);
        }
    }

    /// How many patterns somebody has subscribed to.
    pub(super) const fn patterns(&self) -> usize {
        self.patterns
    }

    /// The channel that another core means; `None` if nobody here is in it any more.
    pub(super) fn meant(&self, local: LocalRef) -> Option<&LocalChannel> {
        let found = self.get(local.index);
        found.filter(|found| found.generation == local.generation && found.subscriptions > 0)
    }

    pub(super) fn get(&self, index: u32) -> Option<&LocalChannel> {
        self.channels.get(index as usize)
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut LocalChannel> {
        self.channels.get_mut(index as usize)
    }

    /// Every channel that somebody has subscribed to.
    pub(super) fn names(&self) -> impl Iterator<Item = (&Arc<str>, u32)> {
        self.names.iter().map(|(name, index)| (name, *index))
    }

    fn make(&mut self, name: &str) -> u32 {
        self.patterns += usize::from(is_pattern(name));
        let name: Arc<str> = name.into();
        let index = self.free.pop().unwrap_or_else(|| {
            push_tight(&mut self.channels, LocalChannel::vacant(self.seed));
            u32::try_from(self.channels.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(channel) = self.get_mut(index) {
            channel.name = name.clone();
        }
        self.names.insert(name, index);
        index
    }
}

impl LocalChannel {
    fn vacant(generation: u32) -> Self {
        Self {
            name: Arc::from(""),
            generation,
            subscriptions: 0,
            told: Position::default(),
            slow: SlowPolicy::default(),
            newest: None,
            late: Vec::new(),
            lanes: Vec::new(),
        }
    }

    /// Adds somebody who is told what is said: the place in the list.
    pub(super) fn add(&mut self, encoding: EncodingId, user: User, seat: Seat) -> u32 {
        let known = self.lanes.iter().position(|lane| lane.encoding == encoding);
        let at = known.unwrap_or_else(|| {
            // Most channels have one.
            self.lanes.reserve_exact(1);
            self.lanes.push(SubscriberLane {
                encoding,
                users: Vec::new(),
                seats: Vec::new(),
            });
            self.lanes.len() - 1
        });
        let Some(lane) = self.lanes.get_mut(at) else {
            return u32::MAX;
        };
        push_tight(&mut lane.users, user);
        push_tight(&mut lane.seats, seat);
        u32::try_from(lane.users.len() - 1).unwrap_or(u32::MAX)
    }

    /// Takes the one at that place from the list; whoever is returned has moved.
    pub(super) fn remove(&mut self, encoding: EncodingId, place: u32) -> LaneMove {
        let mut lanes = self.lanes.iter_mut();
        let lane = lanes.find(|lane| lane.encoding == encoding)?;
        let at = place as usize;
        if at >= lane.users.len() {
            debug_assert!(false, "nobody at {place}");
            return None;
        }
        lane.users.swap_remove(at);
        lane.seats.swap_remove(at);
        lane.seats.get(at).map(|moved| (*moved, place))
    }

    /// How many lists there are.
    pub(super) fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// Those of one list.
    pub(super) fn audience(&self, lane: usize) -> Option<Audience<'_>> {
        self.lanes.get(lane).map(|lane| Audience {
            encoding: lane.encoding,
            users: &lane.users,
            slow: self.slow,
        })
    }

    /// The seat of somebody in a list.
    pub(super) fn seat(&self, lane: usize, at: usize) -> Option<Seat> {
        self.lanes.get(lane)?.seats.get(at).copied()
    }

    /// Somebody in any list, or late.
    pub(super) fn anybody(&self) -> Option<Seat> {
        let mut lanes = self.lanes.iter();
        let told = lanes.find_map(|lane| lane.seats.last());
        told.copied().or(self.late.last().map(|(late, _)| *late))
    }
}
