//! A session: what the sockets of one browser share. To the hub it is a channel of a reserved name,
//! with a home core, an order and a broker as any: its sockets are who is present, its data is the
//! newest publication.

use crate::limits;
use serde_json::{Map, Value};
use std::fmt;

/// Names a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
// Where very many are kept no space is left between them and what is beside them.
#[repr(Rust, packed(4))]
pub struct SessionId(pub u128);

/// What the names of sessions' channels begin with: no client can name such a channel.
const MARK: &str = "\u{1}s:";

/// Where it is published that sessions have ended.
pub const SESSIONS_ENDED: &str = "$sessions";

/// What a socket knows the answer by that says that it has joined its session.
pub const SESSION_TICKET: u32 = u32::MAX;

impl SessionId {
    /// Reads what [`SessionId`] is written as; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 32 {
            return None;
        }
        let bits = text.bytes().try_fold(0, |bits, byte| {
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                _ => return None,
            };
            Some(bits << 4 | u128::from(digit))
        });
        bits.map(Self)
    }

    /// Its bits.
    #[must_use]
    pub const fn bits(self) -> u128 {
        self.0
    }

    /// The name of its channel.
    #[must_use]
    pub fn channel(self) -> String {
        let digits = self.bits().to_be_bytes().into_iter();
        let digits = digits.flat_map(|byte| [byte >> 4, byte & 0xf]);
        let digits = digits.filter_map(|digit| char::from_digit(digit.into(), 16));
        let mut name = String::with_capacity(MARK.len() + 32);
        name.push_str(MARK);
        name.extend(digits);
        name
    }

    /// The session whose channel that is.
    #[must_use]
    pub fn of_channel(name: &str) -> Option<Self> {
        name.strip_prefix(MARK).and_then(Self::parse)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.bits())
    }
}

/// Whether that is the channel of a session.
#[must_use]
pub fn is_session(channel: &str) -> bool {
    channel.starts_with(MARK)
}

/// Whether a channel is for the application, and for who shows a token for it.
#[must_use]
pub fn is_reserved(channel: &str) -> bool {
    channel.starts_with('$')
}

/// Session data with these members set, and without those that are null: a JSON object, or `None`
/// if it would be none, or too long.
#[must_use]
pub fn merge(data: Option<&str>, members: &str) -> Option<String> {
    let read = |text| serde_json::from_str::<Map<String, Value>>(text).ok();
    let mut all = read(data.unwrap_or("{}"))?;
    for (name, value) in read(members)? {
        match value {
            Value::Null => drop(all.remove(&name)),
            value => drop(all.insert(name, value)),
        }
    }
    let text = serde_json::to_string(&all).ok()?;
    (text.len() <= limits::SESSION_DATA_BYTES).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_session_is_read_as_it_is_written_and_its_channel_is_no_client_s() {
        for id in [SessionId(0), SessionId(7), SessionId(u128::MAX)] {
            assert_eq!(SessionId::parse(&id.to_string()), Some(id));
            let channel = id.channel();
            assert_eq!(SessionId::of_channel(&channel), Some(id));
            assert!(is_session(&channel) && !super::super::is_name(&channel));
        }
        for text in ["", "7", "+0000000000000000000000000000007", "x", "\u{1}s:7"] {
            assert_eq!(SessionId::parse(text), None, "{text:?}");
        }
        assert!(is_reserved(SESSIONS_ENDED) && !is_session(SESSIONS_ENDED));
    }

    #[test]
    fn members_are_set_and_nulls_taken_away() {
        let merged = merge(Some(r#"{"a":1,"b":2}"#), r#"{"b":null,"c":[3]}"#);
        assert_eq!(merged.as_deref(), Some(r#"{"a":1,"c":[3]}"#));
        assert_eq!(merge(None, "{}").as_deref(), Some("{}"));
        assert_eq!(merge(None, "[1]"), None);
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(limits::SESSION_DATA_BYTES));
        assert_eq!(merge(None, &long), None);
    }

    proptest! {
        #[test]
        fn no_data_panics(data: String, members: String) {
            let _ = merge(Some(&data), &members);
            let _ = SessionId::parse(&data);
        }
    }
}
