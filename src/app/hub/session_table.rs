//! What is known of sessions, by their names: very many, of each very little.
//!
//! The chains of a hash table that grows by one chain with each session (linear hashing, Litwin
//! 1980): no session waits while a table of all others is made anew.

use super::session::SessionId;
use super::tight::push_tight;
use crate::app::slab::Slab;

/// Something of each session.
#[derive(Debug)]
pub(super) struct SessionTable<T> {
    entries: Slab<SessionEntry<T>>,
    /// The first of each chain: as many as there are sessions.
    chains: Vec<u32>,
}

#[derive(Debug)]
struct SessionEntry<T> {
    id: SessionId,
    /// The next of its chain.
    next: u32,
    of: T,
}

/// The end of a chain.
const END: u32 = u32::MAX;

impl<T> Default for SessionTable<T> {
    fn default() -> Self {
        Self {
            entries: Slab::default(),
            chains: Vec::new(),
        }
    }
}

impl<T> SessionTable<T> {
    /// The place of that session, if it is known. It keeps it for as long as it is here.
    pub(super) fn find(&self, id: SessionId) -> Option<u32> {
        let mut at = *self.chains.get(chain_of(id, self.chains.len())?)?;
        loop {
            let entry = self.entries.get(at)?;
            if entry.id == id {
                return Some(at);
            }
            at = entry.next;
        }
    }

    /// The place of that session, which is made anew if it is not known.
    pub(super) fn enter(&mut self, id: SessionId, of: impl FnOnce() -> T) -> u32 {
        if let Some(known) = self.find(id) {
            return known;
        }
        self.grow();
        let next = END;
        let at = self.entries.insert(SessionEntry { id, next, of: of() });
        self.chain(at);
        at
    }

    /// Forgets that session: what was known of it.
    pub(super) fn remove(&mut self, id: SessionId) -> Option<T> {
        let at = self.find(id)?;
        let after = self.entries.get(at)?.next;
        let chain = chain_of(id, self.chains.len())?;
        let mut before = *self.chains.get(chain)?;
        if before == at {
            *self.chains.get_mut(chain)? = after;
        } else {
            while let Some(entry) = self.entries.get_mut(before) {
                if entry.next == at {
                    entry.next = after;
                    break;
                }
                before = entry.next;
            }
        }
        let removed = self.entries.remove(at)?;
        self.shrink();
        Some(removed.of)
    }

    /// What is known of that session.
    pub(super) fn get(&self, id: SessionId) -> Option<&T> {
        self.at(self.find(id)?).map(|(_, of)| of)
    }

    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut T> {
        let at = self.find(id)?;
        self.at_mut(at)
    }

    /// The session at that place.
    pub(super) fn at(&self, at: u32) -> Option<(SessionId, &T)> {
        let entry = self.entries.get(at)?;
        Some((entry.id, &entry.of))
    }

    pub(super) fn at_mut(&mut self, at: u32) -> Option<&mut T> {
        self.entries.get_mut(at).map(|entry| &mut entry.of)
    }

    /// Every session.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, SessionId, &T)> {
        let all = self.entries.iter();
        all.map(|(at, entry)| (at, entry.id, &entry.of))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// One chain more, which takes its part of the chain that it was one with.
    fn grow(&mut self) {
        let new = self.chains.len();
        push_tight(&mut self.chains, END);
        if new > 0 {
            self.chain_anew(buddy(new));
        }
    }

    /// One chain less: it is one again with the chain that it was taken from.
    fn shrink(&mut self) {
        if let Some(mut at) = self.chains.pop() {
            while let Some(entry) = self.entries.get_mut(at) {
                let next = std::mem::replace(&mut entry.next, END);
                self.chain(at);
                at = next;
            }
        }
    }

    fn chain_anew(&mut self, chain: usize) {
        let first = self.chains.get_mut(chain);
        let mut at = first.map_or(END, |first| std::mem::replace(first, END));
        while let Some(entry) = self.entries.get_mut(at) {
            let next = std::mem::replace(&mut entry.next, END);
            self.chain(at);
            at = next;
        }
    }

    /// Puts an entry at the front of its chain.
    fn chain(&mut self, at: u32) {
        let Some(entry) = self.entries.get_mut(at) else {
            return;
        };
        let chain = chain_of(entry.id, self.chains.len());
        if let Some(first) = chain.and_then(|chain| self.chains.get_mut(chain)) {
            entry.next = std::mem::replace(first, at);
        }
    }
}

/// The chain that a session is in, of so many.
fn chain_of(id: SessionId, chains: usize) -> Option<usize> {
    let mask = chains.checked_next_power_of_two()?.checked_sub(1)?;
    // The name is random but for those that the application chooses.
    let mixed =
        (id.bits() ^ id.bits() >> 64).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    let at = usize::try_from(mixed >> 64 & u128::from(u32::MAX)).ok()? & mask;
    let at = if at < chains { at } else { at & (mask >> 1) };
    (chains > 0).then_some(at)
}

/// The chain that one was taken from.
fn buddy(chain: usize) -> usize {
    chain & !(1 << chain.ilog2())
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrand::Rng;
    use std::collections::BTreeMap;

    #[test]
    fn a_table_holds_what_a_map_does_whatever_comes_and_goes() {
        for seed in 0..20 {
            let (mut rng, mut table) = (Rng::with_seed(seed), SessionTable::default());
            let mut map = BTreeMap::new();
            for step in 0..4_000 {
                // It grows, is emptied, and grows again.
                let comes = step % 2_000 < 1_000;
                let id = SessionId(rng.u128(0..2_000));
                if comes == rng.bool() || rng.bool() == comes {
                    let at = table.enter(id, || step);
                    map.entry(id).or_insert(step);
                    assert_eq!(table.find(id), Some(at), "RINGSTORM_SEED={seed}");
                } else {
                    assert_eq!(table.remove(id), map.remove(&id), "RINGSTORM_SEED={seed}");
                }
                assert_eq!(table.get(id), map.get(&id), "RINGSTORM_SEED={seed}");
                assert_eq!((table.len(), table.chains.len()), (map.len(), map.len()));
            }
            let all: BTreeMap<_, _> = table.iter().map(|(_, id, of)| (id, *of)).collect();
            assert_eq!(all, map, "RINGSTORM_SEED={seed}");
            for id in map.keys() {
                assert_eq!(table.remove(*id), Some(map[id]), "RINGSTORM_SEED={seed}");
            }
            assert_eq!((table.len(), table.find(SessionId(1))), (0, None));
        }
    }

    #[test]
    fn no_chain_is_long() {
        let mut table = SessionTable::default();
        for number in 0..10_000 {
            table.enter(SessionId(number), || ());
        }
        let lengths = table.chains.iter().map(|first| {
            std::iter::successors(table.entries.get(*first), |it| table.entries.get(it.next))
                .count()
        });
        assert!(lengths.max() < Some(16));
    }
}
