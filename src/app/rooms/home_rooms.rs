//! The rooms that live on one core: who is in them, and the number of their newest event.

use super::letter::{Member, Room};
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

    pub(super) fn join(&mut self, member: Member, core: Core) {
        let Some(living) = self.living(member.room) else {
            return;
        };
        let number = member.number;
        living.members.push(Resident { number, core });
        let mut branches = living.branches.iter_mut();
        match branches.find(|branch| branch.core == core) {
            Some(branch) => branch.members += 1,
            None => living.branches.push(Branch { core, members: 1 }),
        }
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
