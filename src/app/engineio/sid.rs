//! What sessions are called: by the core that has one and its number there, with a tag that only
//! this server can make. So any core knows where a session is, and nobody guesses one.

use crate::shard::Core;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

/// A session: where it is, and which of all that there have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SessionKey {
    pub(super) core: Core,
    pub(super) number: u64,
}

/// Makes and reads names.
#[derive(Debug)]
pub(super) struct SidBook {
    mac: hmac::Key,
}

/// Of core and number.
const KEY_BYTES: usize = 2 + 8;
/// Nothing else that is signed with the same key begins so.
const DOMAIN: &[u8] = b"engine.io session ";

impl SidBook {
    /// Names that are made with that key.
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        let mac = hmac::Key::new(hmac::HMAC_SHA256, secret);
        Self { mac }
    }

    /// What a session is called.
    pub(super) fn name(&self, key: SessionKey) -> String {
        let bytes = bytes(key);
        let tag = hmac::sign(&self.mac, &signed(bytes));
        let whole = [&bytes[..], tag.as_ref()].concat();
        URL_SAFE_NO_PAD.encode(whole)
    }

    /// The session of that name; `None` if no server of this run made it.
    pub(super) fn read(&self, name: &str) -> Option<SessionKey> {
        let whole = URL_SAFE_NO_PAD.decode(name).ok()?;
        let (bytes, tag) = whole.split_first_chunk::<KEY_BYTES>()?;
        hmac::verify(&self.mac, &signed(*bytes), tag).ok()?;
        let (core, number) = bytes.split_first_chunk()?;
        Some(SessionKey {
            core: Core(u16::from_be_bytes(*core)),
            number: u64::from_be_bytes(number.try_into().ok()?),
        })
    }
}

fn bytes(SessionKey { core, number }: SessionKey) -> [u8; KEY_BYTES] {
    let [a, b] = core.0.to_be_bytes();
    let [c, d, e, f, g, h, i, j] = number.to_be_bytes();
    [a, b, c, d, e, f, g, h, i, j]
}

fn signed(bytes: [u8; KEY_BYTES]) -> Vec<u8> {
    [DOMAIN, &bytes].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_by_who_made_it_and_by_nobody_else() {
        let (book, other) = (SidBook::new(&[7; 32]), SidBook::new(&[8; 32]));
        let key = SessionKey {
            core: Core(3),
            number: 1 << 40 | 9,
        };
        let name = book.name(key);
        assert_eq!(book.read(&name), Some(key));
        assert_eq!(other.read(&name), None);
        assert!(
            name.bytes()
                .all(|it| it.is_ascii_alphanumeric() || b"-_".contains(&it))
        );
        for (at, _) in name.char_indices() {
            let mut forged = name.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).expect("text");
            assert_eq!(book.read(&forged), None, "{forged}");
        }
        assert_eq!((book.read(""), book.read(&name[1..])), (None, None));
    }
}
