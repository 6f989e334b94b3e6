//! What clients say (Rails, `connection/subscriptions.rb`), read from their bytes.

use crate::protocol::{Malformed, json};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// One command.
#[derive(Debug)]
pub struct CableCommand<'a> {
    /// What is wanted.
    pub verb: CableVerb,
    /// Of which subscription: what the client calls it, as a JSON string; empty for none.
    identifier: &'a str,
    /// What goes with it: of `message` a text that is JSON again.
    pub data: Option<&'a RawValue>,
    /// What it has missed, if it asks for that.
    pub history: Option<CableHistory<'a>>,
    /// As whom it is there, if it says so.
    presence: Option<&'a RawValue>,
}

/// What a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CableVerb {
    /// To be told what a channel says.
    Subscribe,
    /// Not to be told any more.
    Unsubscribe,
    /// To perform an action.
    Message,
    /// To be given what it has missed.
    History,
    /// To tell the others of a channel something that is not kept.
    Whisper,
    /// To be there for the others of a channel, under a name.
    Join,
    /// Not to be there any more.
    Leave,
    /// To be told who is there.
    Presence,
    /// It has heard a ping.
    Pong,
    /// Nothing that is known here.
    #[serde(other)]
    Other,
}

/// Where a client was.
#[derive(Debug, Default, Deserialize)]
pub struct CableHistory<'a> {
    /// In those streams it has everything up to there.
    #[serde(borrow, default)]
    pub streams: BTreeMap<Cow<'a, str>, CablePlace<'a>>,
    /// Of others it has everything up to that second of Unix time.
    pub since: Option<u64>,
}

/// A place in the history of a stream.
#[derive(Debug, Deserialize)]
pub struct CablePlace<'a> {
    /// The newest message that it has.
    #[serde(default)]
    pub offset: u64,
    /// Of which history.
    #[serde(borrow, default)]
    pub epoch: Cow<'a, str>,
}

/// As whom a client is there.
#[derive(Debug, PartialEq, Eq)]
pub struct CablePresence<'a> {
    /// Its name, which it has chosen.
    pub id: Cow<'a, str>,
    /// What it says of itself: any JSON; empty for nothing.
    pub info: &'a str,
}

/// What an identifier says: JSON in the text that a subscription is called by.
#[derive(Debug, Deserialize)]
pub struct ChannelParams<'a> {
    /// The channel's class.
    #[serde(borrow, default)]
    pub channel: Cow<'a, str>,
    /// A room of a chat.
    #[serde(borrow)]
    room: Option<&'a RawValue>,
    /// A stream's name, with who has signed it.
    #[serde(borrow)]
    pub signed_stream_name: Option<Cow<'a, str>>,
    /// A stream's name.
    #[serde(borrow)]
    pub stream_name: Option<Cow<'a, str>>,
}

/// What a client performs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CableAction {
    /// What that is called; empty for nothing.
    pub name: String,
    /// What goes with it: a JSON object, its name among it.
    pub data: String,
}

#[derive(Deserialize)]
struct Fields<'a> {
    command: CableVerb,
    #[serde(borrow)]
    identifier: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    history: Option<CableHistory<'a>>,
    #[serde(borrow)]
    presence: Option<&'a RawValue>,
}

impl<'a> CableCommand<'a> {
    /// What the client calls its subscription, as it has written that: a JSON string, or nothing.
    #[must_use]
    pub const fn written_identifier(&self) -> &'a str {
        self.identifier
    }

    /// The same as a text; empty for none.
    ///
    /// # Errors
    /// [`Malformed`]: it stands for no text.
    pub fn identifier(&self) -> Result<Cow<'a, str>, Malformed> {
        if self.identifier.is_empty() {
            return Ok(Cow::Borrowed(""));
        }
        if let Ok(plain) = serde_json::from_str::<&str>(self.identifier) {
            return Ok(Cow::Borrowed(plain));
        }
        let text = serde_json::from_str::<String>(self.identifier);
        text.map(Cow::Owned).map_err(|_| Malformed("no text"))
    }

    /// As whom the client is there; `None` if it does not say.
    ///
    /// # Errors
    /// [`Malformed`]: that is no object with a name.
    pub fn presence(&self) -> Result<Option<CablePresence<'a>>, Malformed> {
        #[derive(Deserialize)]
        struct Named<'a> {
            #[serde(borrow)]
            id: Cow<'a, str>,
            #[serde(borrow)]
            info: Option<&'a RawValue>,
        }
        let Some(text) = self.presence else {
            return Ok(None);
        };
        let Named { id, info } = json::object(text.get().as_bytes())?;
        let info = info.map_or("", RawValue::get);
        Ok(Some(CablePresence { id, info }))
    }

    /// Whether who is there is to be named, and not only counted.
    #[must_use]
    pub fn wants_records(&self) -> bool {
        #[derive(Deserialize)]
        struct Wanted {
            return_records: bool,
        }
        let data = self.data.map_or("", RawValue::get);
        let wanted = json::object::<Wanted>(data.as_bytes());
        wanted.map_or(true, |wanted| wanted.return_records)
    }

    /// What is performed by a `message`.
    ///
    /// # Errors
    /// [`Malformed`] for data that is no text of a JSON object.
    pub fn action(&self) -> Result<CableAction, Malformed> {
        let data = self.data.ok_or(Malformed("no data"))?;
        let mut text: String =
            serde_json::from_str(data.get()).map_err(|_| Malformed("no text"))?;
        let trimmed = text.trim();
        if trimmed.len() < text.len() {
            text = trimmed.to_owned();
        }
        let name = action(&text)?;
        if let Cow::Owned(line) = json::one_line(&text) {
            text = line;
        }
        let data = text;
        Ok(CableAction { name, data })
    }
}

impl<'a> ChannelParams<'a> {
    /// Reads an identifier.
    ///
    /// # Errors
    /// [`Malformed`] for what is no JSON object.
    pub fn read(identifier: &'a str) -> Result<Self, Malformed> {
        json::object(identifier.as_bytes())
    }

    /// The room of a chat: a text or a number; `None` for anything else.
    #[must_use]
    pub fn room(&self) -> Option<Cow<'a, str>> {
        let room = self.room?.get();
        match room.as_bytes().first()? {
            b'"' => serde_json::from_str::<String>(room).ok().map(Cow::Owned),
            b'0'..=b'9' | b'-' => Some(Cow::Borrowed(room)),
            _ => None,
        }
    }

    /// Whether it names a room, of whatever kind.
    #[must_use]
    pub const fn has_room(&self) -> bool {
        self.room.is_some()
    }
}

/// Reads a message of a client.
///
/// # Errors
/// [`Malformed`] for what is no command.
pub fn read_command(text: &[u8]) -> Result<CableCommand<'_>, Malformed> {
    let Fields {
        command,
        identifier,
        data,
        history,
        presence,
    } = json::object(text)?;
    let identifier = identifier.map_or("", RawValue::get);
    if !identifier.is_empty() && !identifier.starts_with('"') {
        return Err(Malformed("an identifier is a text"));
    }
    Ok(CableCommand {
        verb: command,
        identifier,
        data,
        history,
        presence,
    })
}

/// The action that a JSON object names; empty for none.
fn action(data: &str) -> Result<String, Malformed> {
    #[derive(Deserialize)]
    struct Named {
        #[serde(default)]
        action: String,
    }
    if let Ok(named) = json::object::<Named>(data.as_bytes()) {
        return Ok(named.action);
    }
    // It may be an object whose action is none.
    let is_object = data.starts_with('{') && serde_json::from_str::<&RawValue>(data).is_ok();
    is_object
        .then(String::new)
        .ok_or(Malformed("data that is no JSON object"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_clients_say_is_understood() {
        let text = br#"{"command":"message","identifier":"{\"channel\":\"C\",\"room\":7}",
            "data":"{\"text\":\"\\u00e9\",\"action\":\"speak\"}"}"#;
        let command = read_command(text).unwrap();
        assert_eq!(command.verb, CableVerb::Message);
        let identifier = command.identifier().unwrap();
        let params = ChannelParams::read(&identifier).unwrap();
        assert_eq!(
            (&*params.channel, params.room().as_deref()),
            ("C", Some("7"))
        );
        let action = command.action().unwrap();
        assert_eq!(
            (&*action.data, &*action.name),
            (r#"{"text":"\u00e9","action":"speak"}"#, "speak")
        );
        let text = br#"{"command":"subscribe","identifier":"x","history":
            {"since":7,"streams":{"a":{"offset":3,"epoch":"e"}}}}"#;
        let history = read_command(text).unwrap().history.unwrap();
        let place = &history.streams["a"];
        assert_eq!(
            (history.since, place.offset, &*place.epoch),
            (Some(7), 3, "e")
        );
        let pong = read_command(br#"{"command":"pong"}"#).unwrap();
        assert_eq!(pong.verb, CableVerb::Pong);
        assert_eq!(pong.identifier().as_deref(), Ok(""));
        let join = br#"{"command":"join","identifier":"x","presence":{"id":"a\\n","info":[ 1]}}"#;
        let join = read_command(join).unwrap();
        let presence = join.presence().unwrap().unwrap();
        assert_eq!((join.verb, &*presence.id), (CableVerb::Join, "a\\n"));
        assert_eq!(presence.info, "[ 1]");
        for (data, wants) in [
            ("", true),
            (",\"data\":{}", true),
            (",\"data\":{\"return_records\":false}", false),
        ] {
            let text = format!("{{\"command\":\"presence\",\"identifier\":\"x\"{data}}}");
            let asks = read_command(text.as_bytes()).unwrap();
            assert_eq!(
                (asks.verb, asks.wants_records()),
                (CableVerb::Presence, wants)
            );
            assert_eq!(asks.presence(), Ok(None));
        }
        for presence in ["7", "[\"a\"]", "{}", "{\"id\":7}"] {
            let text = format!("{{\"command\":\"join\",\"presence\":{presence}}}");
            let join = read_command(text.as_bytes()).unwrap();
            assert!(join.presence().is_err(), "{presence}");
        }
        let other = read_command(br#"{"command":"dance","identifier":"x"}"#).unwrap();
        assert_eq!(other.verb, CableVerb::Other);
    }

    #[test]
    fn rooms_are_texts_or_numbers() {
        for (room, name) in [
            ("0", Some("0")),
            ("9.5", Some("9.5")),
            ("-1", Some("-1")),
            ("\"a\\\"b\"", Some("a\"b")),
            ("1", Some("1")),
            ("-1.5", Some("-1.5")),
            ("[1]", None),
            ("true", None),
        ] {
            let text = format!("{{\"channel\":\"C\",\"room\":{room}}}");
            let params = ChannelParams::read(&text).unwrap();
            assert_eq!(params.room().as_deref(), name, "{room}");
            assert!(params.has_room());
        }
    }

    #[test]
    fn what_no_client_says_is_malformed() {
        for text in [
            "",
            "x",
            "[]",
            "{}",
            "{\"command\":7}",
            "{\"command\":\"pong\"",
            "{\"command\":\"subscribe\",\"identifier\":{}}",
        ] {
            assert!(read_command(text.as_bytes()).is_err(), "{text}");
        }
        for data in [
            "",
            ",\"data\":{}",
            ",\"data\":\"x\"",
            ",\"data\":\"[1]\"",
            ",\"data\":\"{}}\"",
            ",\"data\":\"{\\\"a\\\":}\"",
        ] {
            let text = format!("{{\"command\":\"message\"{data}}}");
            let command = read_command(text.as_bytes()).unwrap();
            assert!(command.action().is_err(), "{data}");
        }
    }

    #[test]
    fn an_action_without_a_name_is_none_that_is_known() {
        for (data, name) in [
            (r#"" {\"action\":7} ""#, ""),
            (r#""{\"a\":\n1}""#, ""),
            (r#""{\"action\":\"x\"}""#, "x"),
        ] {
            let text = format!("{{\"command\":\"message\",\"data\":{data}}}");
            let action = read_command(text.as_bytes()).unwrap().action().unwrap();
            assert_eq!(action.name, name, "{data}");
            assert!(!action.data.contains(['\n', ' ']) || action.data.starts_with("{\"a\": "));
        }
        let strange = read_command(br#"{"command":"pong","identifier":"\ud800"}"#).unwrap();
        assert!(strange.identifier().is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, text: String) {
            let _ = read_command(&bytes).map(|it| {
                (it.identifier().is_ok(), it.action().is_ok(), it.presence().is_ok())
            });
            let _ = ChannelParams::read(&text).map(|it| it.room().is_some());
            let _ = action(&text);
        }
    }
}
