//! The rooms that live on one core: who is in them, and the number of their newest event.

use super::message::{Member, Room};
use crate::limits;
use crate::shard::Core;

/// The rooms of one core, by index.
#[derive(Debug, Default)]
pub(super) struct HomeRooms {
    rooms: Vec<RoomState>,
}

/// One room.
#[derive(Debug, Default)]
struct RoomState {
    /// The number of its newest event.
    seq: u64,
    /// How many members it has had.
    numbered: u32,
    members: Vec<HomeMember>,
    branches: Vec<Branch>,
}

#[derive(Clone, Copy, Debug)]
struct HomeMember {
    number: u32,
    core: Core,
}

/// A core with members.
#[derive(Clone, Copy, Debug)]
struct Branch {
    core: Core,
    members: u16,
    /// Bytes that its members were told, and that it has not acknowledged.
    told: u32,
    /// Bytes that its members have said, and that it was given no credit for.
    said: u32,
}

impl HomeRooms {
    /// A number for a newcomer.
    pub(super) fn number(&mut self, room: Room) -> Member {
        let index = room.index as usize;
        if self.rooms.len() <= index {
            self.rooms.resize_with(index + 1, RoomState::default);
        }
        let number = self.rooms.get_mut(index).map_or(0, |room_state| {
            room_state.numbered += 1;
            room_state.numbered
        });
        Member { room, number }
    }

    /// Adds a member. Whether it is the only one of its core.
    pub(super) fn join(&mut self, member: Member, core: Core) -> bool {
        let Some(room_state) = self.room_state(member.room) else {
            return false;
        };
        let number = member.number;
        room_state.members.push(HomeMember { number, core });
        let mut branches = room_state.branches.iter_mut();
        match branches.find(|branch| branch.core == core) {
            Some(branch) => branch.members += 1,
            None => {
                room_state.branches.push(Branch {
                    core,
                    members: 1,
                    told: 0,
                    said: 0,
                });
                return true;
            }
        }
        false
    }

    /// Takes a member out: how many are left; `None` if it was not there.
    pub(super) fn leave(&mut self, member: Member) -> Option<u16> {
        let room_state = self.room_state(member.room)?;
        let mut members = room_state.members.iter();
        let at = members.position(|known| known.number == member.number)?;
        let core = room_state.members.swap_remove(at).core;
        for branch in &mut room_state.branches {
            if branch.core == core {
                branch.members -= 1;
            }
        }
        room_state.branches.retain(|branch| branch.members > 0);
        Some(self.members(member.room))
    }

    /// Takes the next number for an event; 0 for no room.
    #[inline]
    pub(super) fn count(&mut self, room: Room) -> u64 {
        self.room_state(room).map_or(0, |room_state| {
            room_state.seq += 1;
            room_state.seq
        })
    }

    /// The cores with members, one by one.
    #[inline]
    pub(super) fn branch(&self, room: Room, at: usize) -> Option<Core> {
        let room_state = self.rooms.get(room.index as usize)?;
        room_state.branches.get(at).map(|branch| branch.core)
    }

    /// Every core with members is told so much.
    #[inline]
    pub(super) fn told(&mut self, room: Room, bytes: u32) {
        for branch in self.branches(room) {
            branch.told = branch.told.saturating_add(bytes);
        }
    }

    /// A core has acknowledged so much.
    pub(super) fn heard(&mut self, room: Room, core: Core, bytes: u32) {
        for branch in self.branches(room).filter(|branch| branch.core == core) {
            branch.told = branch.told.saturating_sub(bytes);
        }
    }

    /// A talker of that core has said so much.
    #[inline]
    pub(super) fn said(&mut self, room: Room, core: Core, bytes: u32) {
        for branch in self.branches(room).filter(|branch| branch.core == core) {
            branch.said = branch.said.saturating_add(bytes);
        }
    }

    /// Whether more may be said: every core has acknowledged enough.
    #[inline]
    pub(super) fn is_open(&mut self, room: Room) -> bool {
        let mut branches = self.branches(room);
        branches.all(|branch| branch.told < limits::ROOM_WINDOW)
    }

    /// Takes a core that is owed credit of so much at least, if there is one, and what it is owed.
    #[inline]
    pub(super) fn credit(&mut self, room: Room, least: u32) -> Option<(Core, u32)> {
        let mut branches = self.branches(room);
        let owed = branches.find(|branch| branch.said >= least)?;
        Some((owed.core, std::mem::take(&mut owed.said)))
    }

    pub(super) fn members(&self, room: Room) -> u16 {
        let room_state = self.rooms.get(room.index as usize);
        room_state.map_or(0, |room_state| {
            u16::try_from(room_state.members.len()).unwrap_or(u16::MAX)
        })
    }

    pub(super) fn has(&self, member: Member) -> bool {
        let room_state = self.rooms.get(member.room.index as usize);
        room_state.is_some_and(|room_state| {
            let mut members = room_state.members.iter();
            members.any(|known| known.number == member.number)
        })
    }

    fn branches(&mut self, room: Room) -> impl Iterator<Item = &mut Branch> {
        let room_state = self.room_state(room).into_iter();
        room_state.flat_map(|room_state| room_state.branches.iter_mut())
    }

    fn room_state(&mut self, room: Room) -> Option<&mut RoomState> {
        self.rooms.get_mut(room.index as usize)
    }
}

#[cfg(test)]
impl HomeRooms {
    pub(super) fn total(&self) -> usize {
        self.rooms
            .iter()
            .map(|room_state| room_state.members.len())
            .sum()
    }
}
