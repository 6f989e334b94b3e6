//! A publication as bytes, with a checksum: what is kept of it where it outlives the process.

use crate::app::hub::publication::{ClientAbout, ClientId, ClientInfo, Publication};
use std::sync::Arc;
use std::time::Duration;

/// A publication, and when it was made (Unix time).
///
/// ```text
/// crc32 (of all that follows)  milliseconds u64  flags u8  [client u128  user  info]  [tags]  data
/// ```
/// A text is its length (u32) and its bytes, but the last goes to the end. Numbers are
/// little-endian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreRecord {
    /// What was published.
    pub publication: Publication,
    /// Since 1970, in whole milliseconds.
    pub made: Duration,
}

/// Somebody is known to have said it.
const BY: u8 = 1;
/// Something is known of who that was.
const ABOUT: u8 = 2;
/// It has labels.
const TAGS: u8 = 4;

impl StoreRecord {
    /// Writes a publication behind `into`.
    pub fn write(publication: &Publication, made: Duration, into: &mut Vec<u8>) {
        let start = into.len();
        into.extend_from_slice(&[0; 4]);
        let made = u64::try_from(made.as_millis()).unwrap_or(u64::MAX);
        into.extend_from_slice(&made.to_le_bytes());
        let by = publication.by.as_ref();
        let about = by.and_then(|by| by.about.as_ref());
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        into.push(
            flag(by.is_some(), BY)
                | flag(about.is_some(), ABOUT)
                | flag(publication.tags.is_some(), TAGS),
        );
        if let Some(by) = by {
            let ClientId(bits) = by.client;
            into.extend_from_slice(&bits.to_le_bytes());
        }
        if let Some(about) = about {
            text(into, &about.user);
            text(into, &about.info);
        }
        if let Some(tags) = &publication.tags {
            text(into, tags);
        }
        into.extend_from_slice(publication.data.as_bytes());
        let (head, rest) = into.split_at_mut(start + 4);
        let sum = crc32fast::hash(rest);
        if let Some(place) = head.last_chunk_mut() {
            *place = sum.to_le_bytes();
        }
    }

    /// Reads what [`Self::write`] wrote, of the publication of that number; `None` for other bytes.
    #[must_use]
    pub fn read(bytes: &[u8], offset: u64) -> Option<Self> {
        let (sum, mut rest) = bytes.split_first_chunk()?;
        if crc32fast::hash(rest) != u32::from_le_bytes(*sum) {
            return None;
        }
        let made = u64::from_le_bytes(*take(&mut rest)?);
        let [flags] = *take(&mut rest)?;
        let by = match flags & BY {
            0 => None,
            _ => Some(ClientId(u128::from_le_bytes(*take(&mut rest)?))),
        };
        let about = match flags & ABOUT {
            0 => None,
            _ => ClientAbout::new(take_text(&mut rest)?, take_text(&mut rest)?),
        };
        let tags = match flags & TAGS {
            0 => None,
            _ => Some(Arc::from(take_text(&mut rest)?)),
        };
        let data = Arc::from(std::str::from_utf8(rest).ok()?);
        Some(Self {
            publication: Publication {
                offset,
                data,
                by: by.map(|client| ClientInfo { client, about }),
                tags,
                spares_author: false,
            },
            made: Duration::from_millis(made),
        })
    }
}

fn text(into: &mut Vec<u8>, text: &str) {
    // Those that are longer are no publication's.
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    into.extend_from_slice(&length.to_le_bytes());
    into.extend_from_slice(text.as_bytes());
}

fn take<'b, const N: usize>(from: &mut &'b [u8]) -> Option<&'b [u8; N]> {
    let (taken, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(taken)
}

fn take_text<'b>(from: &mut &'b [u8]) -> Option<&'b str> {
    let length = usize::try_from(u32::from_le_bytes(*take(from)?)).ok()?;
    let (taken, rest) = from.split_at_checked(length)?;
    *from = rest;
    std::str::from_utf8(taken).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_written_is_read_and_nothing_else_is(
            data: String, tags: Option<String>, by: Option<(u128, String, String)>,
            made in 0..1u64 << 50, (at, bit) in (0usize..200, 0u8..8),
        ) {
            let by = by.map(|(bits, user, info)| ClientInfo {
                client: ClientId(bits), about: ClientAbout::new(&user, &info),
            });
            let tags = tags.map(Arc::from);
            let spares_author = false;
            let publication = Publication { offset: 7, data: data.into(), by, tags, spares_author };
            let made = Duration::from_millis(made);
            let mut bytes = Vec::new();
            StoreRecord::write(&publication, made, &mut bytes);
            let read = StoreRecord::read(&bytes, 7);
            prop_assert_eq!(read, Some(StoreRecord { publication, made }));
            let at = at % bytes.len();
            prop_assert_eq!(StoreRecord::read(&bytes[..at], 7), None, "torn");
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(StoreRecord::read(&bytes, 7), None, "changed");
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = StoreRecord::read(&bytes, 1);
            // With a checksum that is right.
            let sum = crc32fast::hash(&bytes).to_le_bytes();
            let _ = StoreRecord::read(&[&sum[..], &bytes].concat(), 1);
        }
    }
}
