//! What servers say (Rails, `action_cable.rb`, `INTERNAL`). An identifier is the JSON string that a
//! subscription is called by.

use crate::protocol::json;
use std::io::Write as _;

/// Where a message is in the history of a stream.
#[derive(Clone, Copy, Debug)]
pub struct StreamPlace<'a> {
    /// Of which stream.
    pub stream: &'a str,
    /// In which history.
    pub epoch: &'a str,
    /// Its number there.
    pub offset: u64,
}

/// Why a server closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CableParting<'a> {
    /// In a word that clients know: `unauthorized`.
    pub reason: &'a str,
    /// Whether the client shall come back.
    pub may_return: bool,
}

/// Appends that commands may follow.
pub fn welcome(into: &mut Vec<u8>) {
    into.extend_from_slice(b"{\"type\":\"welcome\"}");
}

/// Appends a ping at that second of Unix time.
pub fn ping(into: &mut Vec<u8>, seconds: u64) {
    put(
        into,
        format_args!("{{\"type\":\"ping\",\"message\":{seconds}}}"),
    );
}

/// Appends that a subscription stands.
pub fn confirm(into: &mut Vec<u8>, identifier: &str) {
    about(into, identifier, "confirm_subscription");
}

/// Appends that a subscription is refused, or over.
pub fn reject(into: &mut Vec<u8>, identifier: &str) {
    about(into, identifier, "reject_subscription");
}

/// Appends that everything that was missed has been told.
pub fn confirm_history(into: &mut Vec<u8>, identifier: &str) {
    about(into, identifier, "confirm_history");
}

/// Appends that what was missed is not here any more, or not all of it.
pub fn reject_history(into: &mut Vec<u8>, identifier: &str) {
    about(into, identifier, "reject_history");
}

/// Appends a channel's message: any JSON, and its place if it has one.
pub fn message(into: &mut Vec<u8>, identifier: &str, data: &str, place: Option<StreamPlace<'_>>) {
    put(
        into,
        format_args!("{{\"identifier\":{identifier},\"message\":{data}"),
    );
    if let Some(StreamPlace {
        stream,
        epoch,
        offset,
    }) = place
    {
        into.extend_from_slice(b",\"stream_id\":");
        json::string(into, stream);
        put(
            into,
            format_args!(",\"epoch\":\"{epoch}\",\"offset\":{offset}"),
        );
    }
    into.push(b'}');
}

/// Appends that somebody of that name has come, and what it says of itself: JSON, or nothing.
pub fn joined(into: &mut Vec<u8>, identifier: &str, who: (&str, &str)) {
    present(into, identifier, "join");
    into.push(b',');
    record(into, who);
    into.extend_from_slice(b"}}");
}

/// Appends that nobody of that name is there any more.
pub fn left(into: &mut Vec<u8>, identifier: &str, name: &str) {
    present(into, identifier, "leave");
    into.push(b',');
    record(into, (name, ""));
    into.extend_from_slice(b"}}");
}

/// Appends how many are there, and who, if that is wanted.
pub fn presence<'r>(
    into: &mut Vec<u8>,
    identifier: &str,
    total: usize,
    records: Option<impl Iterator<Item = (&'r str, &'r str)>>,
) {
    present(into, identifier, "info");
    put(into, format_args!(",\"total\":{total}"));
    if let Some(records) = records {
        into.extend_from_slice(b",\"records\":[");
        for (number, who) in records.enumerate() {
            into.extend_from_slice(if number > 0 { b",{" } else { b"{" });
            record(into, who);
            into.push(b'}');
        }
        into.push(b']');
    }
    into.extend_from_slice(b"}}");
}

/// Appends that it is not told who is there.
pub fn presence_error(into: &mut Vec<u8>, identifier: &str) {
    present(into, identifier, "error");
    into.extend_from_slice(b"}}");
}

/// Appends that the server is about to close.
pub fn disconnect(into: &mut Vec<u8>, CableParting { reason, may_return }: CableParting<'_>) {
    into.extend_from_slice(b"{\"type\":\"disconnect\",\"reason\":");
    json::string(into, reason);
    put(into, format_args!(",\"reconnect\":{may_return}}}"));
}

/// The begin of what is said of who is there.
fn present(into: &mut Vec<u8>, identifier: &str, kind: &str) {
    put(
        into,
        format_args!("{{\"identifier\":{identifier},\"type\":\"presence\","),
    );
    put(into, format_args!("\"message\":{{\"type\":\"{kind}\""));
}

/// A name, and what is said of it, if anything is.
fn record(into: &mut Vec<u8>, (name, info): (&str, &str)) {
    into.extend_from_slice(b"\"id\":");
    json::string(into, name);
    if !info.is_empty() {
        put(into, format_args!(",\"info\":{info}"));
    }
}

fn about(into: &mut Vec<u8>, identifier: &str, kind: &str) {
    put(
        into,
        format_args!("{{\"identifier\":{identifier},\"type\":\"{kind}\"}}"),
    );
}

fn put(into: &mut Vec<u8>, what: std::fmt::Arguments<'_>) {
    // A vector takes whatever is written.
    let _ = into.write_fmt(what);
}

#[cfg(test)]
mod tests {
    use super::super::{Identifier, Said, read};
    use super::*;
    use serde_json::json;

    #[test]
    fn who_is_there_is_told_as_the_client_of_anycable_reads_it() {
        let written = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut text = Vec::new();
            write(&mut text);
            serde_json::from_slice::<serde_json::Value>(&text).unwrap()
        };
        let told = |message: serde_json::Value| {
            let (identifier, kind) = ("x", "presence");
            json!({"identifier": identifier, "type": kind, "message": message})
        };
        let all = [("a\"", "{\"n\":1}"), ("b", "")];
        assert_eq!(
            written(&|into| joined(into, "\"x\"", all[0])),
            told(json!({"type": "join", "id": "a\"", "info": {"n": 1}}))
        );
        assert_eq!(
            written(&|into| left(into, "\"x\"", "b")),
            told(json!({"type": "leave", "id": "b"}))
        );
        assert_eq!(
            written(&|into| presence(into, "\"x\"", 2, Some(all.into_iter()))),
            told(json!({"type": "info", "total": 2,
                "records": [{"id": "a\"", "info": {"n": 1}}, {"id": "b"}]}))
        );
        let none = None::<std::array::IntoIter<(&str, &str), 0>>;
        assert_eq!(
            written(&|into| presence(into, "\"x\"", 7, none.clone())),
            told(json!({"type": "info", "total": 7}))
        );
        assert_eq!(
            written(&|into| presence_error(into, "\"x\"")),
            told(json!({"type": "error"}))
        );
    }

    #[test]
    fn what_is_written_is_what_clients_read() {
        let id = Identifier::new("Chat\"Channel");
        let identifier = r#""{\"channel\":\"Chat\\\"Channel\"}""#;
        let written = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut text = Vec::new();
            write(&mut text);
            text
        };
        let text = written(&|into| confirm(into, identifier));
        assert!(matches!(read(&text), Ok(Said::Confirmed(raw)) if id.is(raw)));
        let text = written(&|into| reject(into, identifier));
        assert!(matches!(read(&text), Ok(Said::Rejected(raw)) if id.is(raw)));
        assert!(matches!(read(&written(&welcome)), Ok(Said::Welcome)));
        assert!(matches!(
            read(&written(&|into| ping(into, 7))),
            Ok(Said::Ping)
        ));
        let parting = CableParting {
            reason: "a\"",
            may_return: false,
        };
        let text = written(&|into| disconnect(into, parting));
        assert!(matches!(
            read(&text),
            Ok(Said::Disconnect { may_return: false })
        ));
        let place = StreamPlace {
            stream: "a\"",
            epoch: "e",
            offset: 7,
        };
        for place in [None, Some(place)] {
            let text = written(&|into| message(into, identifier, "{\"a\":1}", place));
            let Ok(Said::Message { message, .. }) = read(&text) else {
                panic!("no message");
            };
            assert_eq!(message.get(), "{\"a\":1}");
            let json: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
            let offset = place.map(|place| place.offset);
            assert_eq!(json.get("offset").and_then(|it| it.as_u64()), offset);
        }
        for (text, kind) in [
            (
                written(&|into| confirm_history(into, identifier)),
                "confirm_history",
            ),
            (
                written(&|into| reject_history(into, identifier)),
                "reject_history",
            ),
        ] {
            let json: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
            assert_eq!(json["type"], kind);
        }
    }
}
