//! The users of one core: who waits for a room, who is in which.

use super::flow::{ReceiveWindow, SendWindow};
use super::message::{Member, Room};
use crate::app::{Seat, User};

/// The users of one core. Their seats are dense from 0, and free again once the user has left.
#[derive(Debug)]
pub(super) struct LocalMembers {
    seats: Vec<LocalUser>,
    free: Vec<Seat>,
    /// Who is here of each room, by home and index.
    rooms: Vec<Vec<LocalRoom>>,
}

/// Who is here of one room.
#[derive(Debug, Default)]
pub(super) struct LocalRoom {
    users: Vec<User>,
    /// What they say.
    pub(super) sends: SendWindow,
    /// What they are told.
    pub(super) receives: ReceiveWindow,
}

#[derive(Clone, Copy, Debug)]
struct LocalUser {
    user: User,
    membership: Membership,
}

#[derive(Clone, Copy, Debug)]
enum Membership {
    /// Nobody.
    Free,
    /// It waits for its room.
    Joining,
    /// It went before it had one: its seat is free when the answer has come.
    LeftJoining,
    /// There was no room for it, and it has not left yet.
    Refused,
    /// It is a member.
    Member(Member),
}

const _: () = assert!(size_of::<LocalUser>() <= 24, "a member is small");

impl LocalMembers {
    pub(super) fn new(cores: u16) -> Self {
        Self {
            seats: Vec::new(),
            free: Vec::new(),
            rooms: (0..cores).map(|_| Vec::new()).collect(),
        }
    }

    pub(super) fn came(&mut self, user: User) -> Seat {
        let membership = Membership::Joining;
        let local = LocalUser { user, membership };
        if let Some(seat) = self.free.pop() {
            self.set(seat, local);
            return seat;
        }
        self.seats.push(local);
        Seat(u32::try_from(self.seats.len() - 1).unwrap_or(u32::MAX))
    }

    /// A place has come for somebody, perhaps the only one of this core in that room.
    pub(super) fn expect(&mut self, room: Room, is_only: bool) {
        let Some(rooms) = self.rooms.get_mut(room.home.index()) else {
            return;
        };
        let index = room.index as usize;
        if rooms.len() <= index {
            rooms.resize_with(index + 1, LocalRoom::default);
        }
        if let (true, Some(room)) = (is_only, rooms.get_mut(index)) {
            // The home counts anew.
            *room = LocalRoom::default();
        }
    }

    /// It has its room now. `None` if it has gone.
    pub(super) fn seated(&mut self, seat: Seat, member: Member) -> Option<User> {
        let user = self.answered(seat, Membership::Member(member))?;
        self.room(member.room)?.users.push(user);
        Some(user)
    }

    /// There is no room for it. `None` if it has gone.
    pub(super) fn refused(&mut self, seat: Seat) -> Option<User> {
        self.answered(seat, Membership::Refused)
    }

    /// A user is gone. Who it was, if it had a room.
    pub(super) fn left(&mut self, seat: Seat) -> Option<Member> {
        let local = self.seats.get_mut(seat.0 as usize)?;
        match local.membership {
            Membership::Joining => {
                local.membership = Membership::LeftJoining;
                None
            }
            Membership::Free | Membership::LeftJoining => None,
            Membership::Refused => {
                local.membership = Membership::Free;
                self.free.push(seat);
                None
            }
            Membership::Member(member) => {
                let user = local.user;
                local.membership = Membership::Free;
                self.free.push(seat);
                let room = self.room(member.room)?;
                if let Some(at) = room.users.iter().position(|found| *found == user) {
                    room.users.swap_remove(at);
                }
                Some(member)
            }
        }
    }

    #[inline]
    pub(super) fn member(&self, seat: Seat) -> Option<Member> {
        match self.seats.get(seat.0 as usize)?.membership {
            Membership::Member(member) => Some(member),
            Membership::Free
            | Membership::Joining
            | Membership::LeftJoining
            | Membership::Refused => None,
        }
    }

    /// Who is here of a room.
    #[inline]
    pub(super) fn of(&self, room: Room) -> &[User] {
        let rooms = self.rooms.get(room.home.index());
        let room = rooms.and_then(|rooms| rooms.get(room.index as usize));
        room.map_or(&[], |room| &room.users)
    }

    /// What it waited for has come: who it is; its seat is freed if it has gone.
    fn answered(&mut self, seat: Seat, membership: Membership) -> Option<User> {
        let local = self.seats.get_mut(seat.0 as usize)?;
        match local.membership {
            Membership::Joining => {
                local.membership = membership;
                Some(local.user)
            }
            Membership::LeftJoining => {
                local.membership = Membership::Free;
                self.free.push(seat);
                None
            }
            Membership::Free | Membership::Refused | Membership::Member(_) => {
                debug_assert!(false, "{seat:?} waits for nothing");
                None
            }
        }
    }

    fn set(&mut self, seat: Seat, local: LocalUser) {
        if let Some(place) = self.seats.get_mut(seat.0 as usize) {
            *place = local;
        }
    }

    #[inline]
    pub(super) fn room(&mut self, room: Room) -> Option<&mut LocalRoom> {
        let rooms = self.rooms.get_mut(room.home.index())?;
        rooms.get_mut(room.index as usize)
    }
}

#[cfg(test)]
impl LocalMembers {
    /// How many are here and have a room or wait for one.
    pub(super) fn users(&self) -> usize {
        let is_here = |local: &&LocalUser| {
            matches!(
                local.membership,
                Membership::Joining | Membership::Member(_)
            )
        };
        self.seats.iter().filter(is_here).count()
    }
}
