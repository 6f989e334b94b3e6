//! How many connections each address has, over all cores.

use super::DoorRefusal;
use crate::limits;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::hash::{DefaultHasher, Hasher as _};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Parts of the table, each with a lock of its own.
const PARTS: usize = 64;

/// Whom a connection counts for: an IPv4 address, or the first 64 bits of an IPv6 one, which is
/// what a subscriber has (RFC 6177).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressKey(u64);

/// The addresses that have connections. Clones are the same table.
#[derive(Clone, Debug)]
pub struct AddressTable(Arc<AddressParts>);

#[derive(Debug)]
struct AddressParts {
    parts: [Mutex<BTreeMap<AddressKey, u32>>; PARTS],
    /// Addresses in all parts.
    known: AtomicUsize,
    most: usize,
}

impl AddressKey {
    /// That of an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(four) => Self(four.to_bits() as u64),
            // Below 2^32 are ::/32, which nobody has.
            IpAddr::V6(six) => Self((six.to_bits() >> 64) as u64),
        }
    }

    /// That of the holder of a token, in a table of their own.
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(name.as_bytes());
        Self(hasher.finish())
    }

    /// A number that no other has.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// Its part of the table.
    fn part(self) -> usize {
        // Neighbours go to different parts (Knuth, 6.4: multiplicative hashing).
        let mixed = self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58;
        usize::try_from(mixed).unwrap_or(0) % PARTS
    }
}

impl Default for AddressTable {
    fn default() -> Self {
        Self::of_at_most(limits::ADDRESSES)
    }
}

impl AddressTable {
    /// An empty table for so many addresses.
    #[must_use]
    pub fn of_at_most(most: usize) -> Self {
        Self(Arc::new(AddressParts {
            parts: std::array::from_fn(|_| Mutex::default()),
            known: AtomicUsize::new(0),
            most,
        }))
    }

    /// One more connection of that address, which has `most` at most.
    ///
    /// # Errors
    /// It has them, or there is no room for another address.
    pub fn enter(&self, key: AddressKey, most: u32) -> Result<(), DoorRefusal> {
        let mut part = self.part(key);
        match part.entry(key) {
            Entry::Occupied(count) if *count.get() >= most => return Err(DoorRefusal::Address),
            Entry::Occupied(mut count) => *count.get_mut() += 1,
            Entry::Vacant(place) => {
                // Two cores at once may have one address too many: it is a bound on memory.
                if self.len() >= self.0.most {
                    return Err(DoorRefusal::Addresses);
                }
                self.0.known.fetch_add(1, Ordering::Relaxed);
                place.insert(1);
            }
        }
        Ok(())
    }

    /// One less.
    pub fn leave(&self, key: AddressKey) {
        let mut part = self.part(key);
        if let Entry::Occupied(mut count) = part.entry(key) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
                self.0.known.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// How many addresses have connections.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.known.load(Ordering::Relaxed)
    }

    /// Whether none has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn part(&self, key: AddressKey) -> MutexGuard<'_, BTreeMap<AddressKey, u32>> {
        #[expect(clippy::indexing_slicing, reason = "a part is below PARTS")]
        let part = &self.0.parts[key.part()];
        part.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
