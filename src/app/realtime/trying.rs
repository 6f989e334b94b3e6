//! What is there for first tries alone, beside channels that are open to all: a publication from
//! outside any connection, by a plain GET, as from a browser's address line.

use super::{Arrival, RealtimeApp, Refusal, query};
use crate::app::ArrivalPurpose;
use crate::protocol::json;

/// Where somebody asks for a publication: `?channel=NAME&text=TEXT`, either of which may be left
/// out.
pub const TRIGGER: &str = "/dashboard/trigger-test-pubsub";
/// The channel that it is in by default.
const CHANNEL: &str = "test-pubsub";

impl RealtimeApp {
    /// Whether somebody may ask for a publication: anybody, where everything is open; nobody stays
    /// there.
    pub(super) fn may_trigger(&self, arrival: &Arrival<'_>) -> Result<(), Refusal> {
        let (status, reason) = (404, "no such route; / lists them");
        let is_open = self.plan.rules.echo && arrival.purpose == ArrivalPurpose::Call;
        is_open.then_some(()).ok_or(Refusal { status, reason })
    }
}

/// The publication that is asked for, as it is posted to `/publish`.
pub(super) fn publication(asked: &str) -> String {
    let value = |name| query::values(asked, name).next();
    let mut text = b"{\"channel\":".to_vec();
    json::string(&mut text, value("channel").as_deref().unwrap_or(CHANNEL));
    text.extend_from_slice(b",\"data\":{\"event\":\"test\",\"text\":");
    json::string(&mut text, value("text").as_deref().unwrap_or("test"));
    text.extend_from_slice(b"}}");
    // It was written as text.
    String::from_utf8(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn what_is_asked_for_is_published_with_its_text_or_another() {
        for (asked, channel, text) in [
            ("", "test-pubsub", "test"),
            ("text=a%22b", "test-pubsub", "a\"b"),
            ("channel=news&text=", "news", ""),
        ] {
            let written: Value = serde_json::from_str(&publication(asked)).unwrap();
            let data = json!({"event": "test", "text": text});
            assert_eq!(written, json!({"channel": channel, "data": data}));
        }
    }
}
