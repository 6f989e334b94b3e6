//! What the application answers, as JSON, and what that comes to.

use crate::limits;
use crate::protocol::{Malformed, json};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookWords {
    /// Whether it may be; `None` leaves it to rules, tokens and what channels are like.
    pub allow: Option<bool>,
    /// The code that the client is told with a refusal.
    pub code: Option<u16>,
    /// The reason that it is told.
    pub reason: &'static str,
    /// Who the client is.
    pub user: Option<Box<str>>,
    /// What others are told of it: JSON in one line.
    pub info: Option<Box<str>>,
    /// Channels that the client is subscribed to.
    pub subscribe: Vec<Box<str>>,
    /// What it is told in no channel, in order: JSON in one line each.
    pub emit: Vec<Box<str>>,
    /// Fields of its session: a JSON object.
    pub session: Option<Box<str>>,
    /// What is published instead, or what a call returns: JSON in one line.
    pub data: Option<Box<str>>,
    /// The token that a client of `SocketCluster` has from now on; empty for none.
    pub token: Option<Box<str>>,
}

/// What became of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookOutcome {
    /// It was answered.
    Said(Box<HookWords>),
    /// It was not: no answer in time, or none that can be read, or nobody was asked.
    Failed,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fields<'a> {
    allow: Option<bool>,
    code: Option<u16>,
    #[serde(borrow)]
    reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    user: Option<Cow<'a, str>>,
    #[serde(borrow)]
    info: Option<&'a RawValue>,
    #[serde(borrow)]
    subscribe: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    emit: Vec<&'a RawValue>,
    #[serde(borrow)]
    session: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    token: Option<Cow<'a, str>>,
}

impl Default for HookWords {
    fn default() -> Self {
        Self {
            allow: None,
            code: None,
            reason: DENIED,
            user: None,
            info: None,
            subscribe: Vec::new(),
            emit: Vec::new(),
            session: None,
            data: None,
            token: None,
        }
    }
}

impl HookWords {
    /// Reads an answer: an object, of which keys that are not known are passed over, or nothing.
    ///
    /// # Errors
    /// [`Malformed`]: it is no such object.
    pub fn read(text: &[u8]) -> Result<Self, Malformed> {
        if text.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        if text.trim_ascii_start().first() != Some(&b'{') {
            // serde takes an array for a struct.
            return Err(Malformed("no JSON object"));
        }
        let fields: Result<Fields<'_>, _> = serde_json::from_slice(text);
        let fields = fields.map_err(|_| Malformed("an object of another shape"))?;
        let line = |raw: &RawValue| -> Box<str> { json::one_line(raw.get()).as_ref().into() };
        let is_object = |raw: &&RawValue| raw.get().trim_start().starts_with('{');
        if !fields.session.as_ref().is_none_or(is_object) {
            return Err(Malformed("session is no object"));
        }
        Ok(Self {
            allow: fields.allow,
            code: fields.code,
            reason: fields.reason.as_deref().map_or(DENIED, kept),
            user: fields.user.as_deref().map(Box::from),
            info: fields.info.map(line),
            subscribe: fields.subscribe.iter().map(|it| Box::from(&**it)).collect(),
            emit: fields.emit.into_iter().map(line).collect(),
            session: fields.session.map(line),
            data: fields.data.map(line),
            token: fields.token.as_deref().map(Box::from),
        })
    }
}

impl HookOutcome {
    /// What is to be published instead, if that is said.
    pub fn take_data(&mut self) -> Option<Box<str>> {
        match self {
            Self::Said(words) => words.data.take(),
            Self::Failed => None,
        }
    }
}

/// What is said where the application gives no reason, or too many different ones.
const DENIED: &str = "the application does not allow it";

/// Reasons that have been given, which are kept: they are few.
static REASONS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// A reason for as long as the program runs: those that are new beyond
/// [`limits::REASONS`] are told as none. Cut after [`limits::REASON_BYTES`].
fn kept(reason: &str) -> &'static str {
    let end = reason.floor_char_boundary(limits::REASON_BYTES);
    let reason = reason.get(..end).unwrap_or_default();
    if reason.is_empty() || reason.contains(char::is_control) {
        return DENIED;
    }
    let mut reasons = REASONS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = reasons.get(reason) {
        return known;
    }
    if reasons.len() >= limits::REASONS {
        return DENIED;
    }
    let kept: &'static str = String::from(reason).leak();
    reasons.insert(kept);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_object_or_says_something_twice_is_no_answer() {
        for text in [
            "[]",
            "nonsense",
            r#"{"allow":1}"#,
            r#"{"allow":true,"allow":false}"#,
            r#"{"session":[1]}"#,
            r#"{"code":70000}"#,
            r#"{"emit":{}}"#,
            "{} {}",
        ] {
            assert!(HookWords::read(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_reason_is_one_line_and_not_longer_than_a_close_frame_has_room_for() {
        assert_eq!(kept("a\nb"), DENIED);
        assert_eq!(kept(""), DENIED);
        assert_eq!(kept(&"ü".repeat(100)).len(), limits::REASON_BYTES);
        assert!(std::ptr::eq(kept("again"), kept("again")));
    }

    proptest! {
        #[test]
        fn no_answer_panics(text: Vec<u8>) {
            let _ = HookWords::read(&text);
        }
    }
}
