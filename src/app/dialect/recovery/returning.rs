//! A client of Socket.IO that has come back, until it is in all its rooms again.

use super::{IoOffset, IoRecovery, Member, MemberRoom};
use crate::app::hub::answer::Subscribed;
use crate::app::hub::letter::RecoveryName;
use crate::app::{Seat, User};
use crate::shard::Core;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A client that has come back.
#[derive(Debug)]
pub(super) struct Returning {
    seat: Seat,
    name: RecoveryName,
    namespace: Option<Arc<str>>,
    /// Cores that may know it and have not said so.
    asked: BTreeSet<Core>,
    /// Rooms that have not answered.
    missing: usize,
    /// Nothing of what it missed is lost.
    is_whole: bool,
    rooms: Vec<MemberRoom>,
    missed: Vec<Arc<str>>,
    /// What it was told meanwhile: packets.
    held: Vec<Box<str>>,
}

/// What a client is told that is in its rooms again.
#[derive(Debug)]
pub struct Returned {
    /// The content of the events that it missed, and the place of each.
    pub missed: Vec<(Arc<str>, IoOffset)>,
    /// What it was told meanwhile: packets.
    pub held: Vec<Box<str>>,
}

impl IoRecovery {
    /// A client has come back, which these cores may know.
    pub fn returns(
        &mut self,
        (user, seat): (User, Seat),
        (name, namespace): (RecoveryName, Option<Arc<str>>),
        asked: impl Iterator<Item = Core>,
    ) {
        let returning = Returning {
            seat,
            name,
            namespace,
            asked: asked.collect(),
            missing: 0,
            is_whole: true,
            rooms: Vec::new(),
            missed: Vec::new(),
            held: Vec::new(),
        };
        self.returning.insert(user, returning);
    }

    /// Whether a client has come back and is not in its rooms yet.
    #[must_use]
    pub fn is_returning(&self, user: User) -> bool {
        self.returning.contains_key(&user)
    }

    /// A core does not know a client, or is gone: its seat if no other is left that might.
    pub fn unknown_to(&mut self, core: Core, user: User) -> Option<Seat> {
        let returning = self.returning.get_mut(&user)?;
        let was_asked = returning.asked.remove(&core);
        (was_asked && returning.asked.is_empty()).then_some(returning.seat)
    }

    /// Those that wait for a core.
    #[must_use]
    pub fn waiting_for(&self, core: Core) -> Vec<User> {
        let waiting = self.returning.iter();
        let waiting = waiting.filter(|(_, it)| it.asked.contains(&core));
        waiting.map(|(user, _)| *user).collect()
    }

    /// A client is known, and asks for so many rooms: its seat, the first time.
    pub fn known(&mut self, user: User, rooms: usize) -> Option<Seat> {
        let returning = self.returning.get_mut(&user)?;
        returning.asked.clear();
        returning.missing = rooms;
        Some(returning.seat)
    }

    /// A room has answered a client that has come back. Whether it was the last.
    pub fn answered(&mut self, user: User, it: Option<&Subscribed>) -> bool {
        let Some(returning) = self.returning.get_mut(&user) else {
            return false;
        };
        returning.missing = returning.missing.saturating_sub(1);
        let caught = it.and_then(|it| Some((it, it.missed.as_ref().filter(|it| it.whole)?)));
        match caught {
            Some((it, caught)) => {
                let mut room = MemberRoom::new(it);
                room.missed_from = u32::try_from(returning.missed.len()).unwrap_or(u32::MAX);
                returning.rooms.push(room);
                let missed = caught.publications.iter().map(|it| it.data.clone());
                returning.missed.extend(missed);
            }
            None => returning.is_whole = false,
        }
        returning.missing == 0
    }

    /// A client that has come back is told that, once it is in its rooms.
    pub fn hold(&mut self, users: &[User], packet: &str) {
        for user in users {
            if let Some(returning) = self.returning.get_mut(user) {
                returning.held.push(packet.into());
            }
        }
    }

    /// All rooms of a client have answered: its seat, and what it is told if that is whole.
    pub fn finish(&mut self, user: User) -> Option<(Seat, Option<Returned>)> {
        let returning = self.returning.remove(&user)?;
        if !returning.is_whole {
            return Some((returning.seat, None));
        }
        let (seat, number) = (returning.seat, self.told.mark());
        let member = Member {
            name: returning.name,
            seat,
            namespace: returning.namespace,
            since: number,
            rooms: returning.rooms,
        };
        self.enter(user, member);
        let core = self.plan.here;
        let missed = returning.missed.into_iter().zip(1..);
        let missed = missed.map(|(data, at)| {
            let missed = Some(at);
            let offset = IoOffset {
                core,
                number,
                missed,
            };
            (data, offset)
        });
        let returned = Returned {
            missed: missed.collect(),
            held: returning.held,
        };
        Some((seat, Some(returned)))
    }
}
