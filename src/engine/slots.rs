//! A core's table of connections: dense slots, reused last in first out, each with a generation.

use crate::shard::{ConnectionId, Table};

/// Generations count modulo this, see [`ConnectionId::generation`].
const GENERATIONS: u32 = 1 << 24;

/// Values by [`ConnectionId`]; grows as needed up to its limit and never shrinks.
#[derive(Debug)]
pub(crate) struct SlotTable<T> {
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
    limit: u32,
}

#[derive(Debug)]
struct Entry<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> SlotTable<T> {
    /// An empty table that holds at most `limit` values.
    pub(crate) const fn new(limit: u32) -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            limit,
        }
    }

    /// Takes a slot, `make` is told which; `None` if all are taken.
    pub(crate) fn insert_with(&mut self, make: impl FnOnce(u32) -> T) -> Option<ConnectionId> {
        let slot = if let Some(slot) = self.free.pop() {
            slot
        } else {
            let slot = u32::try_from(self.entries.len())
                .ok()
                .filter(|&slot| slot < self.limit)?;
            self.entries.push(Entry {
                generation: 0,
                value: None,
            });
            slot
        };
        let entry = &mut self.entries[slot as usize];
        assert!(entry.value.is_none(), "a free slot is empty");
        entry.value = Some(make(slot));
        Some(ConnectionId::new(slot, entry.generation))
    }

    /// Whether [`SlotTable::insert_with`] would find a slot.
    pub(crate) fn has_free(&self) -> bool {
        !self.free.is_empty() || self.entries.len() < self.limit as usize
    }

    /// How full it is.
    pub(crate) fn table(&self) -> Table {
        let used = self.entries.len() - self.free.len();
        Table {
            used: u32::try_from(used).unwrap_or(u32::MAX),
            size: self.limit,
        }
    }

    /// Frees the slot: the id is dead from now on.
    pub(crate) fn remove(&mut self, id: ConnectionId) -> Option<T> {
        let entry = self.entries.get_mut(id.slot())?;
        if entry.generation != id.generation() {
            return None;
        }
        let value = entry.value.take()?;
        entry.generation = (entry.generation + 1) % GENERATIONS;
        self.free.extend(u32::try_from(id.slot()));
        Some(value)
    }

    /// The value of that connection, if it is alive.
    pub(crate) fn get(&self, id: ConnectionId) -> Option<&T> {
        let entry = self.entries.get(id.slot())?;
        if entry.generation == id.generation() {
            entry.value.as_ref()
        } else {
            None
        }
    }

    /// The value of that connection, if it is alive.
    pub(crate) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut T> {
        let entry = self.entries.get_mut(id.slot())?;
        if entry.generation == id.generation() {
            entry.value.as_mut()
        } else {
            None
        }
    }

    /// The connection that holds that slot now.
    pub(crate) fn holder(&self, slot: u32) -> Option<ConnectionId> {
        let entry = self.entries.get(slot as usize)?;
        entry
            .value
            .is_some()
            .then_some(ConnectionId::new(slot, entry.generation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_slot_has_another_generation_and_the_old_id_is_dead() {
        let mut slots = SlotTable::new(2);
        let first = slots.insert_with(|_| 'a').unwrap();
        let second = slots.insert_with(|_| 'b').unwrap();
        assert_eq!((first.slot(), second.slot()), (0, 1));
        assert!(slots.insert_with(|_| 'c').is_none() && !slots.has_free());
        assert_eq!(slots.table(), Table { used: 2, size: 2 });
        assert_eq!(slots.remove(first), Some('a'));
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.holder(0), None);
        assert_eq!(slots.table(), Table { used: 1, size: 2 });
        let third = slots.insert_with(|_| 'd').unwrap();
        assert_eq!((third.slot(), third.generation()), (0, 1));
        assert!(slots.get(first).is_none() && slots.get_mut(first).is_none());
        assert_eq!(
            (slots.get(third), slots.holder(0)),
            (Some(&'d'), Some(third))
        );
    }
}
