//! How a message or an event looks: for people, or as one line of JSON.

use super::Form;
use crate::cli::{Failure, print};
use crate::protocol::sse::Dispatched;
use crate::protocol::websocket::Kind;
use serde::Serialize;
use std::fmt::Write;

/// Bytes of a binary message that people are shown.
const BINARY_BYTES: usize = 64;

/// A WebSocket message as JSON. The order of the fields is the order of the keys.
#[derive(Serialize)]
struct Message<'m> {
    #[serde(rename = "type")]
    kind: &'m str,
    data: &'m str,
}

/// An event as JSON, named as `MessageEvent` has it.
#[derive(Serialize)]
struct Event<'e> {
    #[serde(rename = "type")]
    kind: &'e str,
    data: &'e str,
    #[serde(rename = "lastEventId")]
    last_event_id: &'e str,
}

/// Prints a WebSocket message.
pub(super) fn message(form: Form, kind: Kind, bytes: &[u8]) -> Result<(), Failure> {
    print::line(message_line(form, kind, bytes))
}

/// Prints an event.
pub(super) fn event(form: Form, event: &Dispatched<'_>) -> Result<(), Failure> {
    print::line(event_line(form, event))
}

fn message_line(form: Form, kind: Kind, bytes: &[u8]) -> String {
    match (form, kind) {
        (Form::Text, Kind::Text) => String::from_utf8_lossy(bytes).into_owned(),
        (Form::Text, Kind::Binary) => {
            let shown = &bytes[..bytes.len().min(BINARY_BYTES)];
            let more = if shown.len() < bytes.len() { "..." } else { "" };
            format!(
                "binary, {} bytes: {}{more}",
                bytes.len(),
                hexadecimal(shown)
            )
        }
        (Form::Json, Kind::Text) => json(&Message {
            kind: "text",
            data: &String::from_utf8_lossy(bytes),
        }),
        (Form::Json, Kind::Binary) => json(&Message {
            kind: "binary",
            data: &hexadecimal(bytes),
        }),
    }
}

fn event_line(form: Form, event: &Dispatched<'_>) -> String {
    let Dispatched {
        event: kind,
        data,
        last_event_id,
    } = *event;
    match form {
        Form::Json => json(&Event {
            kind,
            data,
            last_event_id,
        }),
        Form::Text if last_event_id.is_empty() => format!("{kind}: {data}"),
        Form::Text => format!("{kind} {last_event_id}: {data}"),
    }
}

fn json(value: &impl Serialize) -> String {
    // Strings only: nothing that JSON cannot hold.
    serde_json::to_string(value).unwrap_or_default()
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_exactly_the_promised_keys_on_one_line() {
        let line = message_line(Form::Json, Kind::Text, b"a\n\"b\"");
        assert_eq!(line, r#"{"type":"text","data":"a\n\"b\""}"#);
        let line = message_line(Form::Json, Kind::Binary, &[0, 255]);
        assert_eq!(line, r#"{"type":"binary","data":"00ff"}"#);
        let event = Dispatched {
            event: "push",
            data: "x\ny",
            last_event_id: "7",
        };
        let line = event_line(Form::Json, &event);
        assert_eq!(line, r#"{"type":"push","data":"x\ny","lastEventId":"7"}"#);
    }

    #[test]
    fn people_see_the_type_and_id_of_an_event() {
        let event = Dispatched {
            event: "message",
            data: "x",
            last_event_id: "",
        };
        assert_eq!(event_line(Form::Text, &event), "message: x");
        let event = Dispatched {
            last_event_id: "7",
            ..event
        };
        assert_eq!(event_line(Form::Text, &event), "message 7: x");
    }
}
