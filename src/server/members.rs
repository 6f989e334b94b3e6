//! Connections that listen, and how far a broadcast has come among them.
//!
//! A broadcast to very many goes round in steps of [`STEP`] connections, one a turn: between two of
//! them the core serves everyone else, and what a step has queued has left before the next. It is
//! for those who listened when it began: a connection that joins meanwhile comes after them and is
//! passed over.

use crate::shard::{ConnectionId, Payload, Unsent};

/// Connections that are told something in one turn: some milliseconds of sending.
pub(super) const STEP: usize = 512;

/// `Connection::seat` of a connection that does not listen.
pub(super) const NO_SEAT: u32 = u32::MAX;

/// Connections of one kind, in no order but this: those who have been told what goes round, those
/// who have not, those who joined since it began. Each knows its seat.
#[derive(Default)]
pub(super) struct Members {
    ids: Vec<ConnectionId>,
    /// Seats before this one have been told.
    told: usize,
    /// Seats before this one are to be told.
    due: usize,
    /// What goes round, in order; empty if nothing does.
    payloads: Vec<Payload>,
}

/// Which connections have moved to which seats.
pub(super) type Moves = [Option<(ConnectionId, u32)>; 3];

impl Members {
    /// Adds a connection and gives its seat.
    pub(super) fn join(&mut self, id: ConnectionId) -> u32 {
        self.ids.push(id);
        seat(self.ids.len() - 1)
    }

    /// Empties a seat; the connections that are returned have moved.
    pub(super) fn leave(&mut self, seat: u32) -> Moves {
        let mut moves = Moves::default();
        let mut hole = seat as usize;
        if hole >= self.ids.len() {
            return moves;
        }
        // The last one of each of the three parts moves to the hole in it, so that the hole
        // wanders to the end.
        let [first, second, third] = &mut moves;
        if hole < self.told {
            self.told -= 1;
            *first = self.fill(&mut hole, self.told);
        }
        if hole < self.due {
            self.due -= 1;
            *second = self.fill(&mut hole, self.due);
        }
        *third = self.fill(&mut hole, self.ids.len() - 1);
        self.ids.pop();
        moves
    }

    /// Empties all seats.
    pub(super) fn forget(&mut self) {
        self.cancel();
        self.ids.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Ends what goes round: no other connection is told it.
    pub(super) fn cancel(&mut self) {
        self.payloads.clear();
        (self.told, self.due) = (0, 0);
    }

    /// Whether something goes round.
    pub(super) fn is_telling(&self) -> bool {
        !self.payloads.is_empty()
    }

    /// Whether more may leave together with what goes round: that has reached nobody yet, and is
    /// for all who are here.
    pub(super) fn is_open(&self) -> bool {
        !self.is_telling() || (self.told == 0 && self.due == self.ids.len())
    }

    /// Sends a payload round, behind those that have not left yet.
    pub(super) fn tell(&mut self, payload: Payload) {
        debug_assert!(self.is_open(), "it would reach others than what goes round");
        self.due = self.ids.len();
        self.payloads.push(payload);
    }

    /// Tells some more, at most `most`, and takes them from it; notes whose backlog is full.
    /// Returns how often a payload was queued.
    pub(super) fn step(
        &mut self,
        most: &mut usize,
        slow: &mut Vec<ConnectionId>,
        mut share: impl FnMut(ConnectionId, &Payload) -> Result<(), Unsent>,
    ) -> u64 {
        let until = self.told + (self.due - self.told).min(*most);
        let mut shared = 0;
        for &id in self.ids.get(self.told..until).unwrap_or_default() {
            for payload in &self.payloads {
                match share(id, payload) {
                    Ok(()) => shared += 1,
                    Err(Unsent::Full) => {
                        slow.push(id);
                        break;
                    }
                    // It ended in this turn; `closed` is under way.
                    Err(Unsent::Gone) => break,
                }
            }
        }
        *most -= until - self.told;
        self.told = until;
        if self.told == self.due {
            self.payloads.clear();
            (self.told, self.due) = (0, 0);
        }
        shared
    }

    /// Moves the connection that sits at `from` to the hole, which is there then.
    fn fill(&mut self, hole: &mut usize, from: usize) -> Option<(ConnectionId, u32)> {
        let to = std::mem::replace(hole, from);
        if to == from {
            return None;
        }
        let moved = *self.ids.get(from)?;
        *self.ids.get_mut(to)? = moved;
        Some((moved, seat(to)))
    }
}

fn seat(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(NO_SEAT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Members beside a plain account of them.
    #[derive(Default)]
    struct Account {
        members: Members,
        seats: BTreeMap<ConnectionId, u32>,
        heard: BTreeMap<ConnectionId, Vec<u8>>,
        meant: BTreeMap<ConnectionId, Vec<u8>>,
        next: u32,
    }

    impl Account {
        fn join(&mut self) {
            let id = ConnectionId::new(self.next, 0);
            self.next += 1;
            self.seats.insert(id, self.members.join(id));
        }

        fn leave(&mut self, which: usize) {
            let Some((&id, &seat)) = self.seats.iter().nth(which % self.seats.len().max(1)) else {
                return;
            };
            self.seats.remove(&id);
            self.meant.remove(&id);
            self.heard.remove(&id);
            for (moved, seat) in self.members.leave(seat).into_iter().flatten() {
                assert!(
                    self.seats.insert(moved, seat).is_some(),
                    "{moved:?} is gone"
                );
            }
        }

        fn tell(&mut self, byte: u8) {
            if !self.members.is_open() || self.seats.is_empty() {
                return;
            }
            self.members.tell(Payload::new(vec![byte]));
            for &id in self.seats.keys() {
                self.meant.entry(id).or_default().push(byte);
            }
        }

        fn step(&mut self, mut most: usize) {
            let heard = &mut self.heard;
            self.members
                .step(&mut most, &mut Vec::new(), |id, payload| {
                    heard.entry(id).or_default().extend(payload.bytes());
                    Ok(())
                });
        }
    }

    proptest! {
        #[test]
        fn who_stays_hears_all_that_was_told_since_it_came_once_and_in_order(
            acts in prop::collection::vec((0..8u8, 0..99usize), 1..200),
        ) {
            let mut account = Account::default();
            for (act, number) in acts {
                match act {
                    0..3 => account.join(),
                    3 | 4 => account.leave(number),
                    5 => account.tell(u8::try_from(number).unwrap()),
                    _ => account.step(number % 5),
                }
                for (id, seat) in &account.seats {
                    prop_assert_eq!(account.members.ids.get(*seat as usize), Some(id));
                }
                prop_assert_eq!(account.members.ids.len(), account.seats.len());
            }
            account.step(usize::MAX);
            prop_assert!(!account.members.is_telling());
            prop_assert_eq!(account.heard, account.meant);
        }
    }

    #[test]
    fn who_does_not_read_is_noted_once() {
        let mut members = Members::default();
        members.join(ConnectionId::new(1, 0));
        members.tell(Payload::new(vec![1]));
        members.tell(Payload::new(vec![2]));
        let mut slow = Vec::new();
        let queued = members.step(&mut 9, &mut slow, |_, _| Err(Unsent::Full));
        assert_eq!((queued, slow), (0, vec![ConnectionId::new(1, 0)]));
    }
}
