//! What one core has told clients of Socket.IO of rooms, in its order, and where in each room an
//! event was.

use super::{Member, MemberRoom};
use crate::app::hub::position::{Epoch, Position};
use crate::limits;
use crate::shard::Core;
use crate::time::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The place of an event among all that a core has told: what a client shows of the last that it
/// has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoOffset {
    /// The core.
    pub core: Core,
    /// Which event of that core; of who came back, the last before it did.
    pub number: u64,
    /// Which of those that it had missed, from 1, if it is one of them.
    pub missed: Option<u32>,
}

/// The events of one core, by their rooms.
#[derive(Debug)]
pub(super) struct ToldEvents {
    here: Core,
    /// Time after which each client has heard an event, or is gone and too late to come back.
    life: Duration,
    last: u64,
    rooms: BTreeMap<Arc<str>, RoomEvents>,
    look_at: Option<Instant>,
}

/// The events of one room.
#[derive(Debug)]
struct RoomEvents {
    epoch: Epoch,
    all: VecDeque<RoomEvent>,
    /// The newest that is not there any more.
    dropped: Option<RoomEvent>,
}

/// An event: its number here, its number in the room, and when it was told.
#[derive(Clone, Copy, Debug)]
struct RoomEvent {
    number: u64,
    offset: u64,
    at: Instant,
}

/// Time between two looks for rooms that nobody here is in.
const LOOK_TIME: Duration = Duration::from_secs(10);
/// Time after which a client that is still there has heard an event: it has answered a ping since.
const HEARD_TIME: Duration = limits::IO_PING_TIME.saturating_add(limits::IO_PONG_TIME);

impl ToldEvents {
    pub(super) const fn new(here: Core, time: Duration) -> Self {
        Self {
            here,
            life: time.saturating_add(HEARD_TIME),
            last: 0,
            rooms: BTreeMap::new(),
            look_at: None,
        }
    }

    /// A place that no event has: what is told after it is told later.
    pub(super) const fn mark(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// The place of the newest event.
    pub(super) const fn newest(&self) -> IoOffset {
        IoOffset {
            core: self.here,
            number: self.last,
            missed: None,
        }
    }

    /// An event is told, perhaps in several ways.
    pub(super) fn tells(&mut self, channel: &str, at: Position, now: Instant) -> IoOffset {
        self.look_at.get_or_insert(now + LOOK_TIME);
        let Position { epoch, offset } = at;
        if !self.rooms.contains_key(channel) {
            self.rooms.insert(channel.into(), RoomEvents::new(epoch));
        }
        let (core, missed) = (self.here, None);
        let Some(room) = self.rooms.get_mut(channel) else {
            let number = self.last;
            return IoOffset {
                core,
                number,
                missed,
            };
        };
        if room.epoch != epoch {
            *room = RoomEvents::new(epoch);
        }
        let known = room.all.back().filter(|it| it.offset >= offset);
        let number = known.map_or(self.last + 1, |it| it.number);
        if known.is_none() {
            self.last = number;
            let at = now;
            room.push(RoomEvent { number, offset, at }, self.life);
        }
        IoOffset {
            core,
            number,
            missed,
        }
    }

    /// The newest publication of one of its rooms that a client has, by the last event that it has
    /// of all; `None` if that is not known any more. It was lost at that time.
    pub(super) fn place(
        &self,
        room: &MemberRoom,
        shown: Option<IoOffset>,
        (member, lost_at): (&Member, Instant),
    ) -> Option<u64> {
        let shown = shown.filter(|it| it.core == self.here && it.number >= member.since);
        let Some(IoOffset { number, missed, .. }) = shown else {
            // It was told nothing since it joined, or came back.
            return Some(room.had);
        };
        if number > self.last {
            return None;
        }
        if let Some(count) = missed {
            let own = usize::try_from(count.saturating_sub(room.missed_from)).ok()?;
            let last = own.min(room.missed.len()).checked_sub(1);
            let last = last.and_then(|at| room.missed.get(at));
            return Some(last.copied().unwrap_or(room.had));
        }
        let events = self.rooms.get(&room.channel);
        let least = room.at.offset;
        let Some(events) = events.filter(|it| it.epoch == room.at.epoch) else {
            return Some(least.max(room.told));
        };
        Some(least.max(events.until(number, room.told, lost_at)?))
    }

    pub(super) fn expired(&mut self, now: Instant, is_open: impl Fn(&str) -> bool) {
        if self.look_at.is_none_or(|at| at > now) {
            return;
        }
        let life = self.life;
        self.rooms.retain(|name, room| {
            let newest = room.all.back();
            newest.is_some_and(|it| now.since(it.at) <= life) || is_open(name)
        });
        self.look_at = (!self.rooms.is_empty()).then_some(now + LOOK_TIME);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }
}

impl RoomEvents {
    const fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            all: VecDeque::new(),
            dropped: None,
        }
    }

    fn push(&mut self, event: RoomEvent, life: Duration) {
        let is_old = |it: &RoomEvent| event.at.since(it.at) > life;
        while self.all.len() >= limits::IO_ROOM_EVENTS || self.all.front().is_some_and(is_old) {
            self.dropped = self.all.pop_front();
        }
        self.all.push_back(event);
    }

    /// The newest publication of who was told all until that event, and was lost then.
    fn until(&self, number: u64, told: u64, lost_at: Instant) -> Option<u64> {
        let later = self.all.partition_point(|it| it.number <= number);
        if let Some(at) = later.checked_sub(1) {
            return self.all.get(at).map(|it| it.offset);
        }
        match self.dropped {
            Some(it) if it.number > number && lost_at.since(it.at) < HEARD_TIME => None,
            Some(it) => Some(it.offset),
            None => Some(self.all.front().map_or(told, |it| it.offset - 1)),
        }
    }
}

impl IoOffset {
    /// Reads what it is written as; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let core = Core(parts.next()?.parse().ok()?);
        let number = parts.next()?.parse().ok()?;
        let missed = parts.next().map(|part| part.parse().ok());
        let missed = match missed {
            Some(part) => Some(part?),
            None => None,
        };
        let offset = Self {
            core,
            number,
            missed,
        };
        (offset.to_string() == text).then_some(offset)
    }
}

impl fmt::Display for IoOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.core.0, self.number)?;
        match self.missed {
            Some(missed) => write!(f, ".{missed}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_read_as_it_is_written_and_nothing_else_is() {
        for missed in [None, Some(7)] {
            let (core, number) = (Core(3), 70_000);
            let offset = IoOffset {
                core,
                number,
                missed,
            };
            assert_eq!(IoOffset::parse(&offset.to_string()), Some(offset));
        }
        for text in [
            "", "1", "1.", "1.2.", "1.02", "+1.2", "1.2.3.4", "x.y", "70000.1",
        ] {
            assert_eq!(IoOffset::parse(text), None, "{text:?}");
        }
    }
}
