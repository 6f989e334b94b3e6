//! What the message protocols over JSON share: strings that are written, objects that are read.

use super::Malformed;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Appends `text` as a JSON string, quotes included (RFC 8259, 7).
pub fn string(into: &mut Vec<u8>, text: &str) {
    // Neither a vector nor a string can refuse.
    let written = serde_json::to_writer(into, text);
    debug_assert!(written.is_ok(), "a string is always JSON");
}

/// The same JSON in one line: line breaks stand between its parts only, never in a string
/// (RFC 8259, 7).
#[must_use]
pub fn one_line(json: &str) -> Cow<'_, str> {
    if !json.contains(['\n', '\r']) {
        return Cow::Borrowed(json);
    }
    Cow::Owned(json.replace(['\n', '\r'], " "))
}

/// Reads an object; an array is none, though serde would take one for a struct.
pub(super) fn object<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Malformed> {
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(Malformed("no JSON object"));
    }
    serde_json::from_slice(bytes).map_err(|_| Malformed("an object of another shape"))
}

/// Reads a member whose `null` is a value like any other; with `default`, one that is not there is
/// `None`.
///
/// # Errors
/// What the deserializer says of what is no JSON.
pub fn present<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Whether a JSON string is that text, however it is escaped. `encoded` is how [`string`] writes
/// it: what most peers write is found to be it without decoding.
pub(super) fn is_string(raw: &RawValue, encoded: &[u8]) -> bool {
    let decoded = |json: &[u8]| serde_json::from_slice::<String>(json).ok();
    let raw = raw.get().as_bytes();
    raw == encoded || (decoded(raw).is_some() && decoded(raw) == decoded(encoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_in_one_line_means_the_same() {
        let pretty = "{\n  \"a\":\r\n \"x\\ny\"\n}";
        let line = one_line(pretty);
        assert!(!line.contains('\n'));
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&line), read(pretty));
        assert!(matches!(one_line("[1]"), Cow::Borrowed("[1]")));
    }

    #[test]
    fn a_string_is_the_same_however_it_is_escaped() {
        let mut encoded = Vec::new();
        string(&mut encoded, "{\"a\":\"<&\u{e9}\n\"}");
        let same = r#""{\"a\":\"\u003c\u0026\u00e9\n\"}""#;
        let raw: &RawValue = serde_json::from_str(same).unwrap();
        assert!(is_string(raw, &encoded));
        for other in [r#""{\"a\":1}""#, "{\"a\":1}", "1", "null"] {
            let raw: &RawValue = serde_json::from_str(other).unwrap();
            assert!(!is_string(raw, &encoded), "{other}");
        }
    }
}
