//! One connection as the ring sees it: which phase it is in and which operations the kernel holds.

use super::intake::Intake;
use super::operation::GENERATION_MASK;
use crate::engine::outbound::Outbound;
use crate::shard::{self, CloseCause, ConnectionId};

/// Where a connection stands. Only forward, then back to `Free`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nobody's.
    Free,
    /// Waits for the connect.
    Connecting,
    /// Both sides talk.
    Open,
    /// The shard has closed, or the peer has ended: what is queued leaves, nothing is added.
    Flushing,
    /// Our FIN is out; the peer's is awaited.
    Lingering,
    /// Waits until the kernel holds no operation of it.
    Ending,
    /// The close of its descriptor is under way.
    Closing,
}

/// How the receive of a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receive {
    /// Not armed.
    Off,
    /// Armed: the kernel posts what arrives.
    Armed,
    /// Armed, and its cancellation is under way.
    Cancelling,
    /// Queued for its turn to be armed: it ended for want of buffers, or is one of those of which
    /// a few are submitted in one turn.
    Queued,
    /// The peer's stream is over: never armed again.
    Ended,
}

/// How the one send in flight stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Send {
    /// Nothing in flight.
    Off,
    /// Submitted without waiting for room: proven by the return of the next enter.
    Unproven,
    /// It found no room or was cut short: the rest is to be submitted as a waiting one.
    Blocked,
    /// Waits for room in the socket: a completion will come.
    Waiting,
}

/// One connection's state, for as long as its direct descriptor is in use.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) out: Outbound,
    generation: u32,
    pub(super) cause: CloseCause,
    pub(super) phase: Phase,
    pub(super) receive: Receive,
    pub(super) intake: Intake,
    pub(super) send: Send,
    /// The shard has been told `opened`, so it is owed `closed`.
    pub(super) owed: bool,
    /// The shard does not want to receive.
    pub(super) paused: bool,
    /// On the list of those to be settled at the end of the turn.
    pub(super) dirty: bool,
    /// A connect or a shutdown is with the kernel.
    pub(super) busy: bool,
}

// The engine's part of an idle connection's memory.
const _: () = assert!(size_of::<Slot>() <= 40);

impl Slot {
    fn new() -> Self {
        Self {
            out: Outbound::default(),
            generation: 0,
            cause: CloseCause::Local,
            phase: Phase::Free,
            receive: Receive::Off,
            intake: Intake::default(),
            send: Send::Off,
            owed: false,
            paused: false,
            dirty: false,
            busy: false,
        }
    }

    /// Whether the kernel holds an operation of this connection.
    pub(super) fn is_held(&self) -> bool {
        let receiving = matches!(self.receive, Receive::Armed | Receive::Cancelling);
        let sending = matches!(self.send, Send::Unproven | Send::Waiting);
        receiving || sending || self.busy
    }

    fn take(&mut self, phase: Phase) {
        assert_eq!(
            self.phase,
            Phase::Free,
            "a slot is taken only when it is free"
        );
        assert!(
            self.out.is_empty() && !self.is_held(),
            "a free slot has nothing going on"
        );
        let generation = self.generation.wrapping_add(1) & GENERATION_MASK;
        // Still on the dirty list, perhaps: then it is settled once too often, which is harmless.
        let dirty = self.dirty;
        *self = Self {
            generation,
            phase,
            dirty,
            ..Self::new()
        };
    }
}

/// The connections of one core, indexed by slot: table after table.
///
/// In each table the lowest slots are for connects, the rest for accepts, where the kernel chooses:
/// so neither ever takes a slot that the other has taken and not yet said so.
pub(super) struct Slots {
    slots: Vec<Slot>,
    tables: Vec<Table>,
    size: Size,
    /// Accepted connections that are opened at once.
    most: u32,
}

/// What the slots of one table are for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// Slots of a table below this are for connects.
    pub(super) outgoing: u32,
    /// Accepted connections of a table.
    pub(super) incoming: u32,
    /// Slots of a table: both, and those for what waits unopened until there is room.
    pub(super) table: u32,
}

#[derive(Default)]
struct Table {
    accepted: u32,
    /// Slots for connects that were used and are free again.
    free: Vec<u32>,
    /// The first slot for connects that was never used.
    fresh: u32,
}

impl Slots {
    /// So many tables of that size, for so many accepted connections in all.
    pub(super) fn new(tables: usize, size: Size, most: u32) -> Self {
        assert!(
            size.outgoing + size.incoming <= size.table,
            "a table has no more connections than slots"
        );
        let tables = (0..tables).map(|_| Table::default()).collect();
        Self {
            slots: Vec::new(),
            tables,
            size,
            most,
        }
    }

    /// How many more connections that table may accept.
    pub(super) fn room(&self, table: usize) -> u32 {
        let taken = self.tables[table].accepted;
        let room = self.size.incoming.saturating_sub(taken);
        room.min(self.most.saturating_sub(self.accepted_in_all()))
    }

    /// How many connections were accepted beyond what all tables are for.
    pub(super) fn excess(&self) -> usize {
        self.accepted_in_all().saturating_sub(self.most) as usize
    }

    fn accepted_in_all(&self) -> u32 {
        self.tables.iter().map(|table| table.accepted).sum()
    }

    /// How full each table is.
    pub(super) fn tables(&self) -> Vec<shard::Table> {
        let full = |table: &Table| shard::Table {
            used: table.accepted + table.fresh - u32::try_from(table.free.len()).unwrap_or(0),
            size: self.size.outgoing + self.size.incoming,
        };
        self.tables.iter().map(full).collect()
    }

    /// The connection with that id, unless it is over.
    #[inline]
    pub(super) fn get(&mut self, id: ConnectionId) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(id.slot())?;
        (slot.generation == id.generation() && slot.phase != Phase::Free).then_some(slot)
    }

    /// The backlog of the connection with that id.
    pub(super) fn backlog(&self, id: ConnectionId) -> usize {
        self.out(id).map_or(0, Outbound::backlog)
    }

    /// What is queued for the connection with that id.
    pub(super) fn out(&self, id: ConnectionId) -> Option<&Outbound> {
        let slot = self.slots.get(id.slot())?;
        (slot.generation == id.generation()).then_some(&slot.out)
    }

    /// Takes the slot of a table that the kernel chose for an accepted connection.
    ///
    /// That it did is the proof that the descriptor before is closed: the kernel promises no order
    /// between the completions of two requests (io_uring(7)), and before 6.15 an accept's may come
    /// before that of the close which made room for it.
    pub(super) fn accepted(&mut self, table: usize, index: u32) -> ConnectionId {
        let incoming = self.size.outgoing..self.size.table;
        assert!(incoming.contains(&index), "the kernel keeps to the range");
        let place = table * self.size.table as usize + index as usize;
        if let Some(slot) = self.slots.get_mut(place)
            && slot.phase == Phase::Closing
        {
            slot.phase = Phase::Free;
            self.tables[table].accepted -= 1;
        }
        self.tables[table].accepted += 1;
        self.enter(table, index, Phase::Open)
    }

    /// Takes a slot for a connect, in the first table that has one; `None` if all are in use.
    pub(super) fn connecting(&mut self) -> Option<ConnectionId> {
        for (number, table) in self.tables.iter_mut().enumerate() {
            if let Some(index) = table.free.pop() {
                return Some(self.enter(number, index, Phase::Connecting));
            }
            if table.fresh < self.size.outgoing {
                let index = table.fresh;
                table.fresh += 1;
                return Some(self.enter(number, index, Phase::Connecting));
            }
        }
        None
    }

    /// Gives a slot back after its descriptor was closed.
    pub(super) fn release(&mut self, id: ConnectionId) {
        let Some(slot) = self.get(id) else { return };
        slot.phase = Phase::Free;
        let size = self.size.table as usize;
        let table = &mut self.tables[id.slot() / size];
        match u32::try_from(id.slot() % size) {
            Ok(index) if index < self.size.outgoing => table.free.push(index),
            _ => table.accepted -= 1,
        }
    }

    /// The ids of all connections in use.
    pub(super) fn ids(&self) -> impl Iterator<Item = ConnectionId> {
        let used = |(index, slot): (usize, &Slot)| {
            let index = u32::try_from(index).ok()?;
            (slot.phase != Phase::Free).then(|| ConnectionId::new(index, slot.generation))
        };
        self.slots.iter().enumerate().filter_map(used)
    }

    fn enter(&mut self, table: usize, index: u32, phase: Phase) -> ConnectionId {
        let place = table * self.size.table as usize + index as usize;
        while self.slots.len() <= place {
            self.slots.push(Slot::new());
        }
        let slot = &mut self.slots[place];
        slot.take(phase);
        ConnectionId::new(u32::try_from(place).unwrap_or(u32::MAX), slot.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(tables: usize, outgoing: u32, table: u32) -> Slots {
        let incoming = table - outgoing;
        let size = Size {
            outgoing,
            incoming,
            table,
        };
        Slots::new(tables, size, u32::MAX)
    }

    #[test]
    fn a_late_id_does_not_reach_a_reused_slot() {
        let mut slots = slots(1, 4, 4);
        let first = slots.connecting().unwrap();
        slots.release(first);
        assert!(slots.get(first).is_none());
        let second = slots.connecting().unwrap();
        assert_eq!(first.slot(), second.slot());
        assert!(slots.get(first).is_none() && slots.get(second).is_some());
    }

    #[test]
    fn a_full_table_gives_no_slot_until_one_is_released() {
        let mut slots = slots(1, 1, 3);
        let connect = slots.connecting().unwrap();
        assert!(slots.connecting().is_none());
        let accepted = slots.accepted(0, 2);
        assert_eq!(slots.room(0), 1);
        slots.release(accepted);
        slots.release(accepted);
        assert_eq!(slots.room(0), 2, "released twice counts once");
        slots.release(connect);
        assert_eq!(slots.connecting().map(ConnectionId::slot), Some(0));
    }

    #[test]
    fn an_accept_is_the_proof_that_the_descriptor_before_is_closed() {
        let mut slots = slots(1, 1, 3);
        let before = slots.accepted(0, 2);
        slots.get(before).unwrap().phase = Phase::Closing;
        let after = slots.accepted(0, 2);
        assert_eq!((slots.room(0), after.slot()), (1, before.slot()));
        // The completion of that close comes now.
        slots.release(before);
        assert!(slots.get(before).is_none() && slots.get(after).is_some());
        assert_eq!(slots.room(0), 1);
    }

    #[test]
    #[should_panic(expected = "a slot is taken only when it is free")]
    fn a_slot_that_is_in_use_is_not_taken() {
        let mut slots = slots(1, 1, 3);
        slots.accepted(0, 2);
        slots.accepted(0, 2);
    }

    #[test]
    fn slots_are_numbered_through_all_tables() {
        let mut slots = slots(2, 2, 4);
        let taken: Vec<usize> = std::iter::from_fn(|| slots.connecting())
            .map(ConnectionId::slot)
            .collect();
        assert_eq!(taken, [0, 1, 4, 5]);
        assert_eq!(slots.accepted(1, 3).slot(), 7);
        assert_eq!((slots.room(0), slots.room(1)), (2, 1));
        let first = slots.ids().next().unwrap();
        slots.release(first);
        let used: Vec<_> = slots.tables().iter().map(|it| (it.used, it.size)).collect();
        assert_eq!(used, [(1, 4), (3, 4)]);
    }
}
