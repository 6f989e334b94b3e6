//! What a user says, read from JSON: what is for its partner stays as it came.

use crate::limits;
use crate::protocol::json;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What a user wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ChatRequest<'a> {
    /// To be called that, and to be matched.
    Enter(Box<str>),
    /// Its partner to hear this very message, which says that string of JSON.
    Say(&'a str),
    /// The same of what is no word of the chat: that it types, or a part of a call.
    Signal,
    /// Another partner.
    Next,
    /// No partner.
    Leave,
    /// No partner, and least of all this one.
    Report,
}

/// Why nothing is done about what a user says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    /// For programs.
    pub(super) code: &'static str,
    /// For people: what to do instead.
    pub(super) message: &'static str,
}

const fn complaint(code: &'static str, message: &'static str) -> Complaint {
    Complaint { code, message }
}

const NOT_JSON: Complaint = complaint(
    "not_understood",
    "say a JSON object with a type: enter, say, typing, next, leave, report, offer, answer or \
     candidate, and only the fields that it has",
);
const TOO_LONG: Complaint = complaint(
    "too_long",
    "a message has at most 16384 bytes as JSON; offer, answer and candidate 65536",
);
const BAD_NAME: Complaint = complaint(
    "bad_name",
    "a name has 1 to 32 characters and none that controls the text",
);
const EMPTY: Complaint = complaint("empty", "a text has at least one character");
/// Nobody is there to hear it.
pub(super) const NO_PARTNER: Complaint = complaint(
    "no_partner",
    "you are in no chat now; say next to be matched",
);
/// It has no name yet.
pub(super) const NOT_ENTERED: Complaint = complaint("not_entered", "say enter with a name first");
/// It has a name already.
pub(super) const ENTERED: Complaint = complaint(
    "already_entered",
    "you have a name here; say next for another partner, or connect again for another name",
);

/// A message, each field as it may be in one of some type.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    /// As it is written: nobody here reads it.
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    on: Option<bool>,
    #[serde(borrow)]
    reason: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "json::present")]
    data: Option<&'a RawValue>,
}

impl<'a> ChatRequest<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(json: &'a str) -> Result<Self, Complaint> {
        if json.len() > limits::CHAT_SIGNAL_BYTES {
            return Err(TOO_LONG);
        }
        // serde would take an array for a struct.
        if !json.trim_ascii_start().starts_with('{') {
            return Err(NOT_JSON);
        }
        let fields: Fields<'_> = serde_json::from_str(json).map_err(|_| NOT_JSON)?;
        let Fields {
            kind,
            name,
            text,
            on,
            reason,
            data,
        } = fields;
        let request = match (&*kind, name, text, on, reason, data) {
            ("say", None, Some(text), None, None, None) => said(text)?,
            ("typing", None, None, Some(_), None, None) => Self::Signal,
            ("offer" | "answer" | "candidate", None, None, None, None, Some(_)) => {
                return Ok(Self::Signal);
            }
            ("enter", Some(name), None, None, None, None) => Self::Enter(called(&name)?),
            ("next", None, None, None, None, None) => Self::Next,
            ("leave", None, None, None, None, None) => Self::Leave,
            ("report", None, None, None, _, None) => Self::Report,
            _ => return Err(NOT_JSON),
        };
        if json.len() > limits::CHAT_MESSAGE_BYTES {
            return Err(TOO_LONG);
        }
        Ok(request)
    }
}

/// A text that is something.
fn said(text: &RawValue) -> Result<ChatRequest<'_>, Complaint> {
    match text.get() {
        "\"\"" => Err(EMPTY),
        text if text.starts_with('"') => Ok(ChatRequest::Say(text)),
        _ => Err(NOT_JSON),
    }
}

/// A name as its partners see it.
fn called(name: &str) -> Result<Box<str>, Complaint> {
    let name = name.trim();
    let characters = name.chars().count();
    let is_right = (1..=limits::CHAT_NAME_CHARACTERS).contains(&characters);
    if !is_right || name.chars().any(steers) {
        return Err(BAD_NAME);
    }
    Ok(name.into())
}

/// Whether a character moves what stands beside it: controls, and those that turn the direction of
/// writing (UAX #9, 2).
fn steers(character: char) -> bool {
    character.is_control() || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code(json: &str) -> &'static str {
        ChatRequest::parse(json).map_or_else(|it| it.code, |_| "none")
    }

    #[test]
    fn each_type_is_read_with_its_own_fields() {
        let enter = ChatRequest::Enter("Zoë <b>".into());
        for (json, request) in [
            (r#"{"type":"enter","name":" Zo\u00eb <b> "}"#, enter),
            (
                r#" {"text":"a\"b","type":"say"}"#,
                ChatRequest::Say(r#""a\"b""#),
            ),
            (
                r#"{"type":"s\u0061y","text":"a"}"#,
                ChatRequest::Say("\"a\""),
            ),
            (r#"{"type":"typing","on":true}"#, ChatRequest::Signal),
            (
                r#"{"type":"offer","data":{"sdp":"v=0"}}"#,
                ChatRequest::Signal,
            ),
            (r#"{"type":"candidate","data":[1]}"#, ChatRequest::Signal),
            // WebRTC, 4.8.2.1: the end of candidates is `null`.
            (r#"{"type":"candidate","data":null}"#, ChatRequest::Signal),
            (r#"{"type":"next"}"#, ChatRequest::Next),
            (r#"{"type":"leave"}"#, ChatRequest::Leave),
            (r#"{"type":"report"}"#, ChatRequest::Report),
            (r#"{"type":"report","reason":"spam"}"#, ChatRequest::Report),
        ] {
            assert_eq!(ChatRequest::parse(json), Ok(request), "{json}");
        }
    }

    #[test]
    fn what_a_partner_could_not_read_is_not_for_it() {
        for json in [
            "",
            "hello",
            "[\"say\"]",
            "{}",
            r#"{"type":"say"}"#,
            r#"{"type":"say","text":7}"#,
            r#"{"type":"say","text":null}"#,
            r#"{"type":"say","text":"a","text":"b"}"#,
            r#"{"type":"say","text":"a","type":"matched"}"#,
            r#"{"type":"say","text":"a","partner":"b"}"#,
            r#"{"type":"say","text":"a","on":true}"#,
            r#"{"type":"say","text":"a"} {}"#,
            r#"{"type":"say","text":"a\x"}"#,
            r#"{"type":"typing","on":1}"#,
            r#"{"type":"offer"}"#,
            r#"{"type":"matched"}"#,
            r#"{"type":"next","text":"a"}"#,
        ] {
            assert_eq!(code(json), "not_understood", "{json}");
        }
        assert_eq!(code(r#"{"type":"say","text":""}"#), "empty");
    }

    #[test]
    fn a_message_is_as_long_as_it_may_be_and_no_byte_longer() {
        let say = |bytes: usize| {
            let frame = r#"{"type":"say","text":""}"#.len();
            format!(r#"{{"type":"say","text":"{}"}}"#, "x".repeat(bytes - frame))
        };
        assert_eq!(code(&say(limits::CHAT_MESSAGE_BYTES)), "none");
        assert_eq!(code(&say(limits::CHAT_MESSAGE_BYTES + 1)), "too_long");
        let offer = |bytes: usize| {
            let frame = r#"{"type":"offer","data":""}"#.len();
            format!(
                r#"{{"type":"offer","data":"{}"}}"#,
                "x".repeat(bytes - frame)
            )
        };
        assert_eq!(code(&offer(limits::CHAT_SIGNAL_BYTES)), "none");
        assert_eq!(code(&offer(limits::CHAT_SIGNAL_BYTES + 1)), "too_long");
        for bound in [limits::CHAT_MESSAGE_BYTES, limits::CHAT_SIGNAL_BYTES] {
            assert!(TOO_LONG.message.contains(&bound.to_string()), "{bound}");
        }
    }

    #[test]
    fn a_name_is_short_and_steers_no_text() {
        let enter =
            |name: &str| code(&serde_json::json!({"type": "enter", "name": name}).to_string());
        assert_eq!(enter(&"é".repeat(32)), "none");
        for name in ["", "  ", "a\nb", "a\u{202e}b", "\u{2066}", &"é".repeat(33)] {
            assert_eq!(enter(name), "bad_name", "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_said_is_read_or_not_but_never_panics(json in any::<String>()) {
            let _ = ChatRequest::parse(&json);
        }
    }
}
