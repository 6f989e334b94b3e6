//! What keys of opening handshakes are made of: chance from outside, which no seed fixes.

use super::seed::seeded;
use crate::shard::{ConnectionId, Core};

/// What all keys of a run follow from. RFC 6455, 4.1: each is randomly selected for each
/// connection, so two runs of one seed have other keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce(u128);

impl Nonce {
    /// Of that chance; the same gives the same keys, which a simulation needs.
    #[must_use]
    pub const fn new(random: u128) -> Self {
        Self(random)
    }

    /// The key of one attempt: ids are never used again, so no attempt of a run has another's.
    pub(super) fn key(self, core: Core, id: ConnectionId) -> [u8; 16] {
        let slot = u64::try_from(id.slot()).unwrap_or(u64::MAX);
        let attempt = slot << 32 | u64::from(id.generation());
        let half = |shift: u32| {
            let random = u64::try_from(self.0 >> shift & u128::from(u64::MAX)).unwrap_or_default();
            let random = random ^ u64::from(core.0).rotate_right(16);
            u128::from(seeded(random, attempt).u64(..))
        };
        // Halves that are alike would make keys of halves that are alike.
        (half(0) | half(64).rotate_left(64) ^ 1 << 64).to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_attempt_has_a_key_of_its_own() {
        let mut keys = BTreeSet::new();
        for random in [0, 1, 1 << 64, u128::MAX] {
            for (core, slot, generation) in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)]
            {
                let id = ConnectionId::new(slot, generation);
                let key = Nonce::new(random).key(Core(core), id);
                assert_eq!(key, Nonce::new(random).key(Core(core), id));
                assert!(keys.insert(key), "{random} {core} {slot} {generation}");
            }
        }
    }
}
