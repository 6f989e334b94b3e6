//! Tokens that the application has taken back: known on every core at once, until they would have
//! been over anyhow.

use super::TokenHash;
use crate::limits;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The tokens that were taken back. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct RevokedTokens(Arc<RevokedHashes>);

#[derive(Debug, Default)]
struct RevokedHashes {
    is_any: AtomicBool,
    /// Until which second of Unix time each would be good.
    all: Mutex<BTreeMap<TokenHash, u64>>,
}

/// No more tokens can be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyRevoked;

/// What the names of the channels begin with that stand for such tokens in the store: no channel is
/// called so.
const MARK: &str = "\u{1}t:";

impl RevokedTokens {
    /// Whether that one was taken back.
    #[inline]
    #[must_use]
    pub(super) fn has(&self, hash: &TokenHash) -> bool {
        // Where none is, nobody waits for a lock.
        self.0.is_any.load(Acquire) && self.all().contains_key(hash)
    }

    /// Takes one back that would be good until then; those that are over are forgotten, and given
    /// back.
    ///
    /// # Errors
    /// [`TooManyRevoked`].
    pub(super) fn revoke(
        &self,
        hash: TokenHash,
        until_s: u64,
        now_s: u64,
    ) -> Result<Vec<TokenHash>, TooManyRevoked> {
        let mut all = self.all();
        let mut over = Vec::new();
        if all.len() >= limits::TOKENS_REVOKED {
            all.retain(|hash, until| {
                let stays = *until > now_s;
                if !stays {
                    over.push(*hash);
                }
                stays
            });
        }
        if all.len() >= limits::TOKENS_REVOKED {
            return Err(TooManyRevoked);
        }
        all.insert(hash, until_s);
        self.0.is_any.store(true, Release);
        Ok(over)
    }

    /// Takes one back as a store has it: by the name of its channel, until that second. Whether it
    /// is one.
    pub fn restore(&self, channel: &str, until_s: u64) -> bool {
        let Some(hash) = of_channel(channel) else {
            return false;
        };
        self.all().insert(hash, until_s);
        self.0.is_any.store(true, Release);
        true
    }

    /// Whether that stands for a token.
    #[must_use]
    pub fn is_channel(name: &str) -> bool {
        name.starts_with(MARK)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<TokenHash, u64>> {
        self.0.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The channel that stands for a token in the store.
pub(super) fn channel(hash: &TokenHash) -> String {
    let mut name = MARK.to_owned();
    for byte in hash {
        // A string takes what it is given.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

fn of_channel(name: &str) -> Option<TokenHash> {
    let digits = name.strip_prefix(MARK)?;
    let mut hash = TokenHash::default();
    if digits.len() != hash.len() * 2 || !digits.is_ascii() {
        return None;
    }
    for (at, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(at * 2..at * 2 + 2)?, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_was_taken_back_is_known_everywhere_and_again_from_a_store() {
        let revoked = RevokedTokens::default();
        let other = revoked.clone();
        assert!(!other.has(&[7; 32]));
        assert_eq!(revoked.revoke([7; 32], 100, 0), Ok(Vec::new()));
        assert!(other.has(&[7; 32]) && !other.has(&[8; 32]));

        let name = channel(&[7; 32]);
        assert!(!crate::app::hub::is_name(&name), "no channel is called so");
        let again = RevokedTokens::default();
        assert!(again.restore(&name, 100) && again.has(&[7; 32]));
        for other in [
            "news",
            "\u{1}t:",
            "\u{1}t:7",
            &name[1..],
            &format!("{name}0"),
        ] {
            assert!(!again.restore(other, 100), "{other:?}");
        }
        assert_eq!(again.len(), 1);
    }

    #[test]
    fn those_that_are_over_make_room_and_no_others_do() {
        let revoked = RevokedTokens::default();
        let hash = |number: usize| {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&number.to_le_bytes());
            hash
        };
        for number in 0..limits::TOKENS_REVOKED {
            let until_s = if number == 3 { 50 } else { 100 };
            revoked.revoke(hash(number), until_s, 0).unwrap();
        }
        assert_eq!(revoked.revoke([9; 32], 100, 49), Err(TooManyRevoked));
        assert_eq!(revoked.revoke([9; 32], 100, 50), Ok(vec![hash(3)]));
        assert!(revoked.has(&[9; 32]) && !revoked.has(&hash(3)) && revoked.has(&hash(4)));
    }
}
