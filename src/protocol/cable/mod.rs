//! `ActionCable`, subprotocol `actioncable-v1-json`: what a client and a Rails server tell each
//! other (Rails, `action_cable.rb`, `INTERNAL`; `connection/subscriptions.rb`); and
//! `actioncable-v1-ext-json`, which tells places in histories too (`@anycable/core`, its
//! `action_cable_ext`).

mod command;
mod write;

pub use command::{
    CableAction, CableCommand, CableHistory, CablePresence, CableVerb, ChannelParams, read_command,
};
pub use write::{
    CableParting, StreamPlace, confirm, confirm_history, disconnect, joined, left, message, ping,
    presence, presence_error, reject, reject_history, welcome,
};

use super::{Malformed, json};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The subprotocol to offer and to insist on.
pub const SUBPROTOCOL: &str = "actioncable-v1-json";
/// The one that tells places in histories too.
pub const EXTENDED: &str = "actioncable-v1-ext-json";
/// What a server that speaks only later versions agrees to, before it closes.
pub const UNSUPPORTED: &str = "actioncable-unsupported";

/// What a server says.
#[derive(Clone, Copy, Debug)]
pub enum Said<'a> {
    /// The connection is authorised: commands may follow.
    Welcome,
    /// Every 3 s, so that a client notices a dead connection.
    Ping,
    /// A subscription stands.
    Confirmed(&'a RawValue),
    /// A subscription was refused.
    Rejected(&'a RawValue),
    /// The server is about to close, and whether a client may come back.
    Disconnect {
        /// Whether to connect again.
        may_return: bool,
    },
    /// A channel's message.
    Message {
        /// Of which subscription: a JSON string.
        identifier: &'a RawValue,
        /// What was broadcast or transmitted: any JSON.
        message: &'a RawValue,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Type {
    Welcome,
    Ping,
    ConfirmSubscription,
    RejectSubscription,
    Disconnect,
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(rename = "type")]
    kind: Option<Type>,
    #[serde(borrow)]
    identifier: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "json::present")]
    message: Option<&'a RawValue>,
    reconnect: Option<bool>,
}

/// Reads a text message of a server.
///
/// # Errors
/// [`Malformed`] for what is none of [`Said`].
pub fn read(text: &[u8]) -> Result<Said<'_>, Malformed> {
    let fields: Fields<'_> = json::object(text)?;
    let about = || {
        fields
            .identifier
            .ok_or(Malformed("a subscription without its identifier"))
    };
    match fields.kind {
        Some(Type::Welcome) => Ok(Said::Welcome),
        Some(Type::Ping) => Ok(Said::Ping),
        Some(Type::ConfirmSubscription) => about().map(Said::Confirmed),
        Some(Type::RejectSubscription) => about().map(Said::Rejected),
        Some(Type::Disconnect) => Ok(Said::Disconnect {
            may_return: fields.reconnect.unwrap_or(true),
        }),
        Some(Type::Other) => Err(Malformed("an unknown type of message")),
        None => match (fields.identifier, fields.message) {
            (Some(identifier), Some(message)) => Ok(Said::Message {
                identifier,
                message,
            }),
            (None, _) | (_, None) => Err(Malformed("neither a type nor a channel's message")),
        },
    }
}

/// A subscription, by what a client calls it: JSON in a JSON string, repeated in every command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identifier(Vec<u8>);

impl Identifier {
    /// Of a channel by its class, such as `ChatChannel`, or, for one with parameters, by the
    /// whole object: `{"channel":"ChatChannel","room":1}`.
    #[must_use]
    pub fn new(channel: &str) -> Self {
        let mut object = Vec::new();
        if channel.starts_with('{') {
            object.extend_from_slice(channel.as_bytes());
        } else {
            object.extend_from_slice(b"{\"channel\":");
            json::string(&mut object, channel);
            object.push(b'}');
        }
        let mut encoded = Vec::new();
        json::string(&mut encoded, &String::from_utf8_lossy(&object));
        Self(encoded)
    }

    /// Whether a server means this subscription.
    #[must_use]
    pub fn is(&self, raw: &RawValue) -> bool {
        json::is_string(raw, &self.0)
    }

    /// Appends the command that subscribes.
    pub fn subscribe(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(b"{\"command\":\"subscribe\",\"identifier\":");
        into.extend_from_slice(&self.0);
        into.push(b'}');
    }

    /// Appends what comes before the content of a command that performs an action, and what
    /// comes after it. The content is a JSON string that needs no escape (of printable ASCII
    /// without `"` and `\`), and the channel finds it under `message`.
    pub fn perform(&self, action: &str, before: &mut Vec<u8>, after: &mut Vec<u8>) {
        let mut inner = b"{\"action\":".to_vec();
        json::string(&mut inner, action);
        inner.extend_from_slice(b",\"message\":\"");
        let mut encoded = Vec::new();
        json::string(&mut encoded, &String::from_utf8_lossy(&inner));
        encoded.pop();
        before.extend_from_slice(b"{\"command\":\"message\",\"identifier\":");
        before.extend_from_slice(&self.0);
        before.extend_from_slice(b",\"data\":");
        before.extend_from_slice(&encoded);
        after.extend_from_slice(br#"\"}"}"#);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn commands_are_what_rails_reads() {
        let id = Identifier::new("ChatChannel");
        let mut text = Vec::new();
        id.subscribe(&mut text);
        assert_eq!(
            String::from_utf8(text).unwrap(),
            r#"{"command":"subscribe","identifier":"{\"channel\":\"ChatChannel\"}"}"#
        );
        let (mut text, mut after) = (Vec::new(), Vec::new());
        id.perform("say \"it\"", &mut text, &mut after);
        text.extend_from_slice(b"abc");
        text.extend_from_slice(&after);
        let read: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let data: serde_json::Value = serde_json::from_str(read["data"].as_str().unwrap()).unwrap();
        assert_eq!(data["action"], "say \"it\"");
        assert_eq!(data["message"], "abc");
    }

    #[test]
    fn a_channel_with_parameters_is_given_as_an_object() {
        let id = Identifier::new(r#"{"channel":"ChatChannel","room":1}"#);
        let raw = r#""{\"channel\":\"ChatChannel\",\"room\":1}""#;
        assert!(id.is(serde_json::from_str(raw).unwrap()));
    }

    #[test]
    fn what_rails_says_is_understood() {
        assert!(matches!(read(br#"{"type":"welcome"}"#), Ok(Said::Welcome)));
        let ping = br#"{"type":"ping","message":1700000000}"#;
        assert!(matches!(read(ping), Ok(Said::Ping)));
        let bye = br#"{"type":"disconnect","reason":"unauthorized","reconnect":false}"#;
        let refused = Said::Disconnect { may_return: false };
        assert_eq!(format!("{:?}", read(bye).unwrap()), format!("{refused:?}"));
        let id = Identifier::new("X");
        let confirm = br#"{"identifier":"{\"channel\":\"X\"}","type":"confirm_subscription"}"#;
        assert!(matches!(read(confirm), Ok(Said::Confirmed(raw)) if id.is(raw)));
        let reject = br#"{"identifier":"{\"channel\":\"Y\"}","type":"reject_subscription"}"#;
        assert!(matches!(read(reject), Ok(Said::Rejected(raw)) if !id.is(raw)));
        let message = br#"{"identifier":"{\"channel\":\"X\"}","message":{"a":[1,2]}}"#;
        let Ok(Said::Message { message, .. }) = read(message) else {
            panic!("no message");
        };
        assert_eq!(message.get(), r#"{"a":[1,2]}"#);
        let nothing = br#"{"identifier":"{\"channel\":\"X\"}","message":null}"#;
        let message = read(nothing);
        assert!(matches!(message, Ok(Said::Message { message, .. }) if message.get() == "null"));
    }

    #[test]
    fn what_rails_never_says_is_malformed() {
        for text in [
            "",
            "hello",
            "[]",
            "[\"welcome\"]",
            "{}",
            "{\"type\":\"goodbye\"}",
            "{\"type\":1}",
            "{\"type\":\"confirm_subscription\"}",
            "{\"message\":1}",
            "{\"type\":\"welcome\"",
            "{\"type\":\"welcome\"}{}",
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }

        #[test]
        fn every_channel_is_recognised_in_what_repeats_it(channel in "\\PC{1,20}") {
            prop_assume!(!channel.starts_with('{'));
            let id = Identifier::new(&channel);
            let mut text = Vec::new();
            id.subscribe(&mut text);
            let said: serde_json::Value = serde_json::from_slice(&text).unwrap();
            let identifier = serde_json::to_string(&said["identifier"]).unwrap();
            let confirm = format!(
                "{{\"type\":\"confirm_subscription\",\"identifier\":{identifier}}}"
            );
            let confirmed = read(confirm.as_bytes());
            prop_assert!(matches!(confirmed, Ok(Said::Confirmed(raw)) if id.is(raw)));
        }
    }

    #[test]
    fn a_deep_nest_is_refused_and_not_followed() {
        let deep = format!("{{\"identifier\":\"x\",\"message\":{}", "[".repeat(500_000));
        assert!(read(deep.as_bytes()).is_err());
    }
}
