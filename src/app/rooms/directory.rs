//! Which rooms have a free place: known on one core only.

use super::message::Room;
use crate::limits;
use crate::shard::Core;

/// Every room there is, and those with a free place.
#[derive(Debug)]
pub(super) struct Directory {
    size: u16,
    /// By home and index.
    rooms: Vec<Vec<Occupancy>>,
    /// Rooms with members and a free place.
    open: Vec<Room>,
    /// Rooms without members.
    empty: Vec<Room>,
    count: u32,
}

/// How far a room is taken.
#[derive(Clone, Copy, Debug, Default)]
struct Occupancy {
    members: u16,
    /// Its place in `open` or `empty`, if it is in one of them.
    place: u32,
}

impl Directory {
    pub(super) fn new(cores: u16, size: u16) -> Self {
        Self {
            size,
            rooms: vec![Vec::new(); usize::from(cores)],
            open: Vec::new(),
            empty: Vec::new(),
            count: 0,
        }
    }

    /// Takes a place for a newcomer of that core: where somebody is, else in a room that emptied,
    /// else in a new one of that core. `None` if there may be no more rooms.
    pub(super) fn enter(&mut self, from: Core) -> Option<Room> {
        let room = self.open.last().or(self.empty.last()).copied();
        let room = room.or_else(|| self.make(from))?;
        self.change(room, |members| members + 1);
        Some(room)
    }

    /// A place is free again.
    pub(super) fn vacate(&mut self, room: Room) {
        self.change(room, |members| members.saturating_sub(1));
    }

    fn make(&mut self, home: Core) -> Option<Room> {
        if self.count >= limits::ROOMS {
            return None;
        }
        let rooms = self.rooms.get_mut(home.index())?;
        let index = u32::try_from(rooms.len()).ok()?;
        let room = Room { home, index };
        rooms.push(Occupancy::default());
        self.count += 1;
        self.list(room);
        Some(room)
    }

    fn change(&mut self, room: Room, members: impl FnOnce(u16) -> u16) {
        self.unlist(room);
        if let Some(occupancy) = self.occupancy(room) {
            occupancy.members = members(occupancy.members);
        }
        self.list(room);
    }

    /// The list that a room with so many members belongs to.
    fn lists(&mut self, members: u16) -> Option<&mut Vec<Room>> {
        match members {
            0 => Some(&mut self.empty),
            some if some < self.size => Some(&mut self.open),
            _ => None,
        }
    }

    fn list(&mut self, room: Room) {
        let Some(members) = self.occupancy(room).map(|occupancy| occupancy.members) else {
            return;
        };
        let Some(list) = self.lists(members) else {
            return;
        };
        let place = u32::try_from(list.len()).unwrap_or(u32::MAX);
        list.push(room);
        if let Some(occupancy) = self.occupancy(room) {
            occupancy.place = place;
        }
    }

    fn unlist(&mut self, room: Room) {
        let Some(Occupancy { members, place }) = self.occupancy(room).copied() else {
            return;
        };
        let Some(list) = self.lists(members) else {
            return;
        };
        let place_index = place as usize;
        if list.get(place_index) != Some(&room) {
            debug_assert!(false, "{room:?} is not where it should be");
            return;
        }
        list.swap_remove(place_index);
        if let Some(moved) = list.get(place_index).copied()
            && let Some(occupancy) = self.occupancy(moved)
        {
            occupancy.place = place;
        }
    }

    fn occupancy(&mut self, room: Room) -> Option<&mut Occupancy> {
        self.rooms
            .get_mut(room.home.index())?
            .get_mut(room.index as usize)
    }
}

#[cfg(test)]
impl Directory {
    pub(super) fn made(&self) -> u32 {
        self.count
    }

    pub(super) fn pretend(&mut self, count: u32) {
        self.count = count;
    }
}
