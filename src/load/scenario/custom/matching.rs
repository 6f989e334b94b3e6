//! What a message has to be so that a client goes on.

use super::template::{Template, TemplateValues};
use regex_lite::Regex;
use serde_json::Value;

/// What a message has to be.
#[derive(Debug)]
pub(super) enum Match {
    /// Any.
    Any,
    Regex(Regex),
    /// That text.
    Text(Template),
    /// JSON that has something at that pointer (RFC 6901), and what that has to be.
    Json(String, Option<Template>),
}

impl Match {
    /// Whether a message is that, for who would say it now.
    pub(super) fn fits(&self, bytes: &[u8], values: &mut TemplateValues<'_, '_>) -> bool {
        match self {
            Self::Any => true,
            Self::Regex(regex) => str::from_utf8(bytes).is_ok_and(|text| regex.is_match(text)),
            Self::Text(wanted) => values.text_of(wanted).as_bytes() == bytes,
            Self::Json(pointer, wanted) => {
                let json = serde_json::from_slice::<Value>(bytes).ok();
                let found = json.as_ref().and_then(|json| json.pointer(pointer));
                match (found, wanted) {
                    (None, _) => false,
                    (Some(_), None) => true,
                    (Some(found), Some(wanted)) => is(found, &values.text_of(wanted)),
                }
            }
        }
    }
}

impl Match {
    /// What a message that fits is kept as.
    pub(super) fn kept(&self, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes);
        match self {
            Self::Any | Self::Text(_) => text.into_owned(),
            Self::Regex(regex) => {
                let groups = regex.captures(&text);
                let group = groups.and_then(|groups| groups.get(1).or_else(|| groups.get(0)));
                group.map_or_else(String::new, |group| group.as_str().to_owned())
            }
            Self::Json(pointer, _) => {
                let json = serde_json::from_slice::<Value>(bytes).ok();
                match json.as_ref().and_then(|json| json.pointer(pointer)) {
                    Some(Value::String(text)) => text.clone(),
                    Some(value) => value.to_string(),
                    None => String::new(),
                }
            }
        }
    }
}

/// Whether a JSON value is what was written: a text as it is, anything else as JSON.
fn is(found: &Value, wanted: &str) -> bool {
    match found {
        Value::String(text) => text == wanted,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            serde_json::from_str::<Value>(wanted).is_ok_and(|wanted| wanted == *found)
        }
    }
}

/// The pointer of a path: one already, or `$` with names and indices; `None` if it is neither.
pub(super) fn pointer(path: &str) -> Option<String> {
    let Some(mut rest) = path.strip_prefix('$') else {
        return (path.is_empty() || path.starts_with('/')).then(|| path.to_owned());
    };
    let mut pointer = String::new();
    while !rest.is_empty() {
        let name;
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            (name, rest) = after.split_at(end);
        } else {
            let (inside, after) = rest.strip_prefix('[')?.split_once(']')?;
            let quoted = |quote: char| inside.strip_prefix(quote)?.strip_suffix(quote);
            let index = inside.parse::<u32>().is_ok().then_some(inside);
            name = index.or_else(|| quoted('\'')).or_else(|| quoted('"'))?;
            rest = after;
        }
        // `*`, `..` and filters select several values, of which none is meant more.
        if name.is_empty() || name == "*" {
            return None;
        }
        pointer.push('/');
        pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
    }
    Some(pointer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_names_and_indices_is_a_pointer() {
        let cases = [
            ("", ""),
            ("$", ""),
            ("/a/0", "/a/0"),
            ("$.a.b", "/a/b"),
            ("$.users[0].name", "/users/0/name"),
            ("$['a.b']", "/a.b"),
            ("$[\"x/y\"].m~n", "/x~1y/m~0n"),
        ];
        for (path, expected) in cases {
            assert_eq!(pointer(path).as_deref(), Some(expected), "{path}");
        }
        for other in [
            "a",
            "$a",
            "$.",
            "$..a",
            "$.a[*]",
            "$.*",
            "$.a[?(@.b)]",
            "$[1",
            "$[-1]",
        ] {
            assert_eq!(pointer(other), None, "{other}");
        }
    }

    #[test]
    fn a_value_is_a_text_as_it_is_and_anything_else_as_json() {
        let value: Value = serde_json::from_str(r#"["5", 5, true, null, {"a": [1]}]"#).unwrap();
        let wanted = ["5", "5", "true", "null", r#"{ "a" : [1] }"#];
        for (found, wanted) in value.as_array().unwrap().iter().zip(wanted) {
            assert!(is(found, wanted), "{found} {wanted}");
            assert!(!is(found, "other"), "{found}");
        }
    }
}
