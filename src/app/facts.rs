//! What is known of a client by name: the claims of its token, the fields of its session.

use std::collections::BTreeMap;

/// Names and their values, as texts: a list has several, a number or a truth value is as JSON
/// writes it. Objects and nulls are no facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientFacts {
    all: BTreeMap<Box<str>, Vec<Box<str>>>,
}

impl ClientFacts {
    /// Nothing is known.
    pub const NONE: &'static Self = &Self {
        all: BTreeMap::new(),
    };

    /// Reads the members of a JSON object; nothing of what is none.
    #[must_use]
    pub fn read(json: &str) -> Self {
        let members: BTreeMap<Box<str>, serde_json::Value> =
            serde_json::from_str(json).unwrap_or_default();
        let all = members.into_iter().map(|(name, value)| {
            let values = match value {
                serde_json::Value::Array(several) => several.iter().filter_map(text).collect(),
                one => text(&one).into_iter().collect(),
            };
            (name, values)
        });
        Self { all: all.collect() }
    }

    /// The values of that name.
    #[must_use]
    pub fn of(&self, name: &str) -> &[Box<str>] {
        self.all.get(name).map_or(&[], Vec::as_slice)
    }

    /// Bytes of memory, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        const AROUND: usize = 48;
        let each = self.all.iter().map(|(name, values)| {
            let texts: usize = values.iter().map(|value| value.len() + AROUND).sum();
            name.len() + AROUND + texts
        });
        each.sum()
    }
}

/// A value as a text, if it is one thing.
fn text(value: &serde_json::Value) -> Option<Box<str>> {
    match value {
        serde_json::Value::String(text) => Some(text.as_str().into()),
        serde_json::Value::Number(number) => Some(number.to_string().into()),
        serde_json::Value::Bool(value) => Some(value.to_string().into()),
        serde_json::Value::Null | serde_json::Value::Array(_) | serde_json::Value::Object(_) => {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_numbers_truths_and_lists_of_them_are_facts() {
        let facts =
            ClientFacts::read(r#"{"a":"x","b":7,"c":true,"d":["y",1,[2]],"e":{"f":1},"g":null}"#);
        let of = |name| facts.of(name).iter().map(|it| &**it).collect::<Vec<_>>();
        assert_eq!(
            (of("a"), of("b"), of("c")),
            (vec!["x"], vec!["7"], vec!["true"])
        );
        assert_eq!(of("d"), ["y", "1"]);
        assert!(of("e").is_empty() && of("g").is_empty() && of("h").is_empty());
        assert!(facts.bytes() > ClientFacts::read("{}").bytes());
    }

    #[test]
    fn what_is_no_object_has_no_facts() {
        let deep = format!("{}1{}", "[".repeat(500), "]".repeat(500));
        for text in ["", "x", "[1]", "1", &deep] {
            assert_eq!(&ClientFacts::read(text), ClientFacts::NONE, "{text}");
        }
    }
}
