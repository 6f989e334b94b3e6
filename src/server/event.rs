//! A notice as an event of a stream; its id is written on the stack.

use crate::app::Notice;
use crate::protocol::sse;
use std::fmt::{self, Write as _};

/// Bytes of the longest id: eight hexadecimal digits, a colon, twenty decimal digits.
const ID_BYTES: usize = 8 + 1 + 20;

/// The id of an event.
#[derive(Default)]
pub(super) struct EventId {
    bytes: [u8; ID_BYTES],
    len: usize,
}

impl EventId {
    /// The id of that message of an application, of a run if it tells its runs apart.
    pub(super) fn new(run: Option<u32>, number: u64) -> Self {
        let mut id = Self::default();
        match run {
            Some(run) => Notice::write_id(run, number, &mut id),
            // A number always fits.
            None => drop(write!(id, "{number}")),
        }
        id
    }

    pub(super) fn as_str(&self) -> &str {
        let written = self.bytes.get(..self.len).unwrap_or_default();
        str::from_utf8(written).unwrap_or_default()
    }
}

impl fmt::Write for EventId {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        let place = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// Appends a notice as an event.
pub(super) fn encode(into: &mut Vec<u8>, notice: Notice<'_>) {
    let own = EventId::new(notice.run, notice.id);
    let number = (notice.id > 0).then_some(own.as_str());
    let event = sse::Event {
        id: notice.cursor.or(number),
        event: Some(notice.name).filter(|name| !name.is_empty()),
        retry_ms: None,
        data: notice.text,
    };
    let encoded = sse::encode(into, &event);
    debug_assert!(encoded.is_ok(), "an app named an event with a line break");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_id_is_written_whole() {
        let id = EventId::new(Some(u32::MAX), u64::MAX);
        assert_eq!(id.as_str(), "ffffffff:18446744073709551615");
        assert_eq!(EventId::new(None, 7).as_str(), "7");
        assert_eq!(EventId::new(Some(1), 0).as_str(), "00000001:0");
    }
}
