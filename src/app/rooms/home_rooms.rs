//! The rooms that live on one core: who is in them, and the number of their newest event.

use super::letter::{Member, Room};
use crate::limits;
use crate::shard::Core;

/// The rooms of one core, by index.
#[derive(Debug, Default)]
pub(super) struct HomeRooms {
    rooms: Vec<Living>,
}

/// One room.
#[derive(Debug, Default)]
struct Living {
    /// The number of its newest event.
    seq: u64,
    /// How many members it has had.
    numbered: u32,
    members: Vec<Resident>,
    branches: Vec<Branch>,
}

#[derive(Clone, Copy, Debug)]
struct Resident {
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
            self.rooms.resize_with(index + 1, Living::default);
        }
        let number = self.rooms.get_mut(index).map_or(0, |living| {
            living.numbered += 1;
            living.numbered
        });
        Member { room, number }
    }

    /// Adds a member. Whether it is the only one of its core.
    pub(super) fn join(&mut self, member: Member, core: Core) -> bool {
        let Some(living) = self.living(member.room) else {
            return false;
        };
        let number = member.number;
        living.members.push(Resident { number, core });
        let mut branches = living.branches.iter_mut();
        match branches.find(|branch| branch.core == core) {
            Some(branch) => branch.members += 1,
            None => {
                living.branches.push(Branch {
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
        let living = self.living(member.room)?;
        let mut members = living.members.iter();
        let at = members.position(|resident| resident.number == member.number)?;
        let core = living.members.swap_remove(at).core;
        for branch in &mut living.branches {
            if branch.core == core {
                branch.members -= 1;
            }
        }
        living.branches.retain(|branch| branch.members > 0);
        Some(self.members(member.room))
    }

    /// Takes the next number for an event; 0 for no room.
    #[inline]
    pub(super) fn count(&mut self, room: Room) -> u64 {
        self.living(room).map_or(0, |living| {
            living.seq += 1;
            living.seq
        })
    }

    /// The cores with members, one by one.
    #[inline]
    pub(super) fn branch(&self, room: Room, at: usize) -> Option<Core> {
        let living = self.rooms.get(room.index as usize)?;
        living.branches.get(at).map(|branch| branch.core)
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
        let living = self.rooms.get(room.index as usize);
        living.map_or(0, |living| {
            u16::try_from(living.members.len()).unwrap_or(u16::MAX)
        })
    }

    pub(super) fn has(&self, member: Member) -> bool {
        let living = self.rooms.get(member.room.index as usize);
        living.is_some_and(|living| {
            let mut members = living.members.iter();
            members.any(|resident| resident.number == member.number)
        })
    }

    fn branches(&mut self, room: Room) -> impl Iterator<Item = &mut Branch> {
        let living = self.living(room).into_iter();
        living.flat_map(|living| living.branches.iter_mut())
    }

    fn living(&mut self, room: Room) -> Option<&mut Living> {
        self.rooms.get_mut(room.index as usize)
    }
}

#[cfg(test)]
impl HomeRooms {
    pub(super) fn total(&self) -> usize {
        self.rooms.iter().map(|living| living.members.len()).sum()
    }
}
