//! What users of a chat are told, as JSON, beside what their partners say.

use super::letter::ChatEnd;
use super::request::Complaint;
use crate::limits;
use serde_json::json;

/// It waits for a partner.
pub(super) const WAITING: &str = r#"{"type":"waiting"}"#;
/// It has left, as it wanted.
pub(super) const LEFT: &str = r#"{"type":"left"}"#;

/// It has a partner; one of the two may offer a call, so that they do not both.
pub(super) fn matched(partner: &str, side: ChatSide) -> String {
    json!({"type": "matched", "partner": partner, "offers": side == ChatSide::First}).to_string()
}

/// Which of two somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChatSide {
    First,
    Second,
}

/// Its partner is gone.
pub(super) fn gone(end: ChatEnd) -> &'static str {
    match end {
        // Who reports somebody need not fear to be known.
        ChatEnd::Left | ChatEnd::Reported => r#"{"type":"gone","reason":"left"}"#,
        ChatEnd::Disconnected => r#"{"type":"gone","reason":"disconnected"}"#,
        ChatEnd::Lost => r#"{"type":"gone","reason":"lost"}"#,
    }
}

/// Nothing has been said in its chat for a while.
pub(super) fn idle() -> String {
    json!({"type": "idle", "seconds": limits::CHAT_IDLE_TIME.as_secs()}).to_string()
}

/// Nothing is done about what it said.
pub(super) fn error(complaint: Complaint) -> String {
    json!({"type": "error", "code": complaint.code, "message": complaint.message}).to_string()
}
