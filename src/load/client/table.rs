//! The clients of one core: by slot, and as a dense list of those that are up.

use super::state::{Client, ClientState};
use crate::load::scenario::Part;
use crate::shard::ConnectionId;
use crate::time::Instant;
use std::time::Duration;

/// A place for a client.
#[derive(Debug)]
struct ClientSlot {
    /// So that nothing late reaches a client that took the slot over.
    generation: u32,
    /// Where it stands in the list of those that are up; meaningless in other states than open.
    listed: u32,
    client: Client,
}

const _: () = assert!(
    size_of::<ClientSlot>() <= 128,
    "400 bytes of user memory for all of a client"
);

/// All clients of a core.
#[derive(Debug, Default)]
pub(super) struct ClientTable {
    slots: Vec<ClientSlot>,
    /// Slots of the open ones: first those that take turns, then those that do not.
    up: Vec<u32>,
    /// The slot of the open client of each place among the core's, if that is asked for.
    places: Vec<Option<u32>>,
    /// How many take turns.
    speakers: usize,
    len: usize,
}

impl ClientTable {
    /// Makes room for that many clients, without the slack of doubling.
    pub(super) fn reserve(&mut self, clients: usize) {
        self.slots.reserve_exact(clients);
        self.up.reserve_exact(clients);
    }

    /// Keeps which client has which place: from now on [`ClientTable::nth_by_number`] knows it.
    pub(super) fn keep_places(&mut self, places: usize) {
        self.places = vec![None; places];
    }

    /// Puts a client into its slot, which is free.
    pub(super) fn insert(&mut self, id: ConnectionId, client: Client) {
        while self.slots.len() <= id.slot() {
            self.slots.push(ClientSlot::free());
        }
        if let Some(slot) = self.slots.get_mut(id.slot()) {
            debug_assert_eq!(
                slot.client.state(),
                ClientState::Free,
                "a slot is reused only after `closed`"
            );
            *slot = ClientSlot {
                generation: id.generation(),
                listed: 0,
                client,
            };
            self.len += 1;
        }
    }

    /// The client of that connection.
    #[inline]
    pub(super) fn get(&mut self, id: ConnectionId) -> Option<&mut Client> {
        self.slot(id).map(|slot| &mut slot.client)
    }

    /// The client of that connection, if it is up.
    #[inline]
    pub(super) fn get_open(&mut self, id: ConnectionId) -> Option<&mut Client> {
        self.get(id).filter(|client| client.is_open())
    }

    /// The state of that connection's client; `Free` if there is none.
    #[inline]
    pub(super) fn state(&self, id: ConnectionId) -> ClientState {
        let slot = self.slots.get(id.slot());
        let slot = slot.filter(|slot| slot.generation == id.generation());
        slot.map_or(ClientState::Free, |slot| slot.client.state())
    }

    /// A client is up, and takes turns or not; how long its state before lasted.
    pub(super) fn mark_up(&mut self, id: ConnectionId, part: Part, now: Instant) -> Duration {
        let listed = u32::try_from(self.up.len()).unwrap_or(u32::MAX);
        let Some(slot) = self.slot(id) else {
            return Duration::ZERO;
        };
        let time = slot.client.enter(ClientState::Open, now);
        slot.listed = listed;
        let place = slot.client.place() as usize;
        let number = u32::try_from(id.slot()).unwrap_or(u32::MAX);
        self.up.push(number);
        if let Some(taken) = self.places.get_mut(place) {
            *taken = Some(number);
        }
        self.set_part(id, part);
        time
    }

    /// Lets an open client take turns, or not.
    pub(super) fn set_part(&mut self, id: ConnectionId, part: Part) {
        let Some(slot) = self.slot(id).filter(|slot| slot.client.is_open()) else {
            return;
        };
        let listed = slot.listed as usize;
        match (part, listed < self.speakers) {
            (Part::Speaks, true) | (Part::Listens, false) => {}
            (Part::Speaks, false) => {
                self.exchange(listed, self.speakers);
                self.speakers += 1;
            }
            (Part::Listens, true) => {
                self.speakers -= 1;
                self.exchange(listed, self.speakers);
            }
        }
    }

    /// Takes an open client off the list and gives it another state.
    pub(super) fn mark_down(&mut self, id: ConnectionId, to: ClientState) {
        self.set_part(id, Part::Listens);
        let Some(slot) = self.slot(id).filter(|slot| slot.client.is_open()) else {
            debug_assert!(false, "only open clients are listed");
            return;
        };
        slot.client.end(to);
        let (listed, place) = (slot.listed as usize, slot.client.place() as usize);
        self.exchange(listed, self.up.len() - 1);
        self.up.pop();
        if let Some(taken) = self.places.get_mut(place) {
            *taken = None;
        }
    }

    /// Forgets a client; it is not listed as up.
    pub(super) fn remove(&mut self, id: ConnectionId) {
        if let Some(slot) = self.slot(id) {
            debug_assert!(!slot.client.is_open(), "mark it down first");
            *slot = ClientSlot::free();
            self.len -= 1;
        }
    }

    /// An open client's time is over: it takes no more turns. What it has under way.
    pub(super) fn leave_soon(&mut self, id: ConnectionId) -> Option<u32> {
        let client = self.get_open(id)?;
        client.leave_soon();
        let in_flight = client.role().in_flight();
        self.set_part(id, Part::Listens);
        Some(in_flight)
    }

    /// Whether an open client takes turns.
    pub(super) fn speaks(&self, id: ConnectionId) -> bool {
        let slot = self.slots.get(id.slot());
        slot.is_some_and(|slot| {
            let is_it = slot.generation == id.generation() && slot.client.is_open();
            is_it && (slot.listed as usize) < self.speakers
        })
    }

    /// Clients in any state.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Clients that are up.
    #[inline]
    pub(super) const fn up(&self) -> usize {
        self.up.len()
    }

    /// Clients that take turns.
    #[inline]
    pub(super) const fn speakers(&self) -> usize {
        self.speakers
    }

    /// The open client whose turn it is, when turns go round those that take them.
    #[inline]
    pub(super) fn nth_active(&self, turn: u64) -> Option<ConnectionId> {
        let len = u64::try_from(self.speakers).ok()?;
        let place = usize::try_from(turn.checked_rem(len)?).ok()?;
        self.id_of(*self.up.get(place)?)
    }

    /// The open client of the place whose turn it is, when turns go round all places.
    #[inline]
    pub(super) fn nth_by_number(&self, turn: u64) -> Option<ConnectionId> {
        let places = u64::try_from(self.places.len()).ok()?;
        let place = usize::try_from(turn.checked_rem(places)?).ok()?;
        self.id_of((*self.places.get(place)?)?)
    }

    /// The client in a slot with its state; `None` past the last slot.
    pub(super) fn at(&self, slot: usize) -> Option<(ConnectionId, ClientState)> {
        let state = self.slots.get(slot)?.client.state();
        Some((self.id_of(u32::try_from(slot).ok()?)?, state))
    }

    /// Those that are up.
    pub(super) fn open(&self) -> impl Iterator<Item = &Client> {
        let clients = self.slots.iter().map(|slot| &slot.client);
        clients.filter(|client| client.is_open())
    }

    /// How many clients are in that state.
    pub(super) fn count(&self, state: ClientState) -> u64 {
        let alike = self
            .slots
            .iter()
            .filter(|slot| slot.client.state() == state);
        u64::try_from(alike.count()).unwrap_or(u64::MAX)
    }

    #[inline]
    fn slot(&mut self, id: ConnectionId) -> Option<&mut ClientSlot> {
        let slot = self.slots.get_mut(id.slot())?;
        let is_taken = slot.client.state() != ClientState::Free;
        (slot.generation == id.generation() && is_taken).then_some(slot)
    }

    #[inline]
    fn id_of(&self, slot: u32) -> Option<ConnectionId> {
        let generation = self.slots.get(slot as usize)?.generation;
        Some(ConnectionId::new(slot, generation))
    }

    /// Lets two of the list change places.
    fn exchange(&mut self, a: usize, b: usize) {
        self.up.swap(a, b);
        for place in [a, b] {
            let slot = self.up.get(place).copied();
            if let Some(slot) = slot.and_then(|slot| self.slots.get_mut(slot as usize)) {
                slot.listed = u32::try_from(place).unwrap_or(u32::MAX);
            }
        }
    }
}

impl ClientSlot {
    fn free() -> Self {
        Self {
            generation: 0,
            listed: 0,
            client: Client::free(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::attempt::Attempt;
    use crate::load::work::Scenario;

    const NOW: Instant = Instant::from_nanos(1);

    fn client(place: u32) -> Client {
        let mut client = Client::new(Attempt::first(0, place, NOW), &Scenario::Echo, 0, NOW);
        client.enter(ClientState::Upgrading, NOW);
        client
    }

    #[test]
    fn a_late_event_does_not_reach_a_reused_slot() {
        let mut table = ClientTable::default();
        let (old, new) = (ConnectionId::new(3, 0), ConnectionId::new(3, 1));
        table.insert(old, client(0));
        table.remove(old);
        table.insert(new, client(0));
        assert!(table.get(old).is_none());
        assert!(table.get(new).is_some());
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn turns_go_round_among_those_that_are_up() {
        let mut table = ClientTable::default();
        let ids: Vec<_> = (0..5).map(|slot| ConnectionId::new(slot, slot)).collect();
        for &id in &ids {
            table.insert(id, client(0));
            table.mark_up(id, Part::Speaks, NOW);
        }
        table.mark_down(ids[1], ClientState::Over);
        table.mark_down(ids[4], ClientState::Over);
        let turns: Vec<usize> = (0..6)
            .map(|turn| table.nth_active(turn).unwrap().slot())
            .collect();
        assert_eq!(turns, [0, 3, 2, 0, 3, 2]);
        table.mark_down(ids[3], ClientState::Over);
        table.mark_down(ids[0], ClientState::Over);
        table.mark_down(ids[2], ClientState::Over);
        assert_eq!(table.nth_active(0), None);
        assert_eq!(table.count(ClientState::Over), 5);
    }

    #[test]
    fn a_seat_is_its_client_s_while_that_is_up_and_no_other_s_then() {
        let mut table = ClientTable::default();
        table.keep_places(3);
        let ids = [(5, 0), (0, 2)].map(|(slot, place)| {
            let id = ConnectionId::new(slot, 1);
            table.insert(id, client(place));
            table.mark_up(id, Part::Speaks, NOW);
            id
        });
        let by_seat = |table: &ClientTable| [3, 4, 5].map(|turn| table.nth_by_number(turn));
        assert_eq!(by_seat(&table), [Some(ids[0]), None, Some(ids[1])]);
        table.mark_down(ids[0], ClientState::Over);
        assert_eq!(by_seat(&table), [None, None, Some(ids[1])]);
    }

    #[test]
    fn who_only_listens_has_no_turn_whatever_others_do() {
        let mut table = ClientTable::default();
        let ids: Vec<_> = (0..20).map(|slot| ConnectionId::new(slot, 1)).collect();
        let mut rng = fastrand::Rng::with_seed(11);
        let mut speakers = std::collections::BTreeSet::new();
        for _ in 0..5_000 {
            let id = ids[rng.usize(..ids.len())];
            let is_up = table.get(id).is_some();
            match (is_up, rng.u8(..4)) {
                (false, _) => {
                    table.insert(id, client(0));
                    table.mark_up(id, Part::Speaks, NOW);
                    speakers.insert(id);
                }
                (true, 0) => {
                    table.mark_down(id, ClientState::Over);
                    table.remove(id);
                    speakers.remove(&id);
                }
                (true, 1) => {
                    table.set_part(id, Part::Speaks);
                    speakers.insert(id);
                }
                (true, _) => {
                    table.set_part(id, Part::Listens);
                    speakers.remove(&id);
                }
            }
            let turns = (0..speakers.len() as u64).map(|turn| table.nth_active(turn).unwrap());
            assert_eq!(turns.collect::<std::collections::BTreeSet<_>>(), speakers);
            assert_eq!(
                (table.speakers(), table.up()),
                (speakers.len(), table.len())
            );
            assert!(
                ids.iter()
                    .all(|id| table.speaks(*id) == speakers.contains(id))
            );
        }
    }
}
