//! Names and contents that are drawn from an input, and what was written of them as JSON.

use serde_json::{Map, Value, json};

/// Characters that mean something somewhere, and some that do not.
const CHARACTERS: [char; 16] = [
    'a', '"', '\\', '\n', '\r', '\0', '\u{1f}', '\u{7f}', 'é', '€', '😀', '/', '\u{2028}', '{',
    ',', '1',
];

/// Reads what to say out of an input; behind its end there are zeros.
pub(super) struct Draws<'a>(std::slice::Iter<'a, u8>);

impl<'a> Draws<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self(input.iter())
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }

    pub(super) fn flag(&mut self) -> bool {
        self.byte() % 2 == 1
    }

    pub(super) fn number(&mut self) -> u64 {
        let bytes = usize::from(self.byte() % 9);
        (0..bytes).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }

    pub(super) fn small(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    pub(super) fn text(&mut self) -> String {
        let length = self.byte() % 12;
        (0..length)
            .map(|_| CHARACTERS[usize::from(self.byte() % 16)])
            .collect()
    }

    /// Any value, written as JSON.
    pub(super) fn json(&mut self) -> String {
        let value = match self.byte() % 5 {
            0 => json!(self.number()),
            1 => Value::Null,
            2 => json!([self.text(), self.number()]),
            3 => self.object(),
            _ => json!(self.text()),
        };
        value.to_string()
    }

    pub(super) fn object(&mut self) -> Value {
        let members = self.byte() % 3;
        let members = (0..members).map(|_| (self.text(), json!(self.text())));
        Value::Object(members.collect::<Map<_, _>>())
    }

    pub(super) fn optional<T>(&mut self, draw: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flag().then(|| draw(self))
    }
}

/// What was written, of which clients split messages at line ends.
pub(super) fn line(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut text = Vec::new();
    write(&mut text);
    assert!(!text.contains(&b'\n'), "{}", String::from_utf8_lossy(&text));
    text
}

pub(super) fn read(write: impl FnOnce(&mut Vec<u8>)) -> Value {
    let text = line(write);
    serde_json::from_slice(&text)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&text)))
}

pub(super) fn parsed(json: &str) -> Value {
    serde_json::from_str(json).expect("JSON")
}

/// An object of these members that are there.
pub(super) fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let there = members
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(there.collect())
}
