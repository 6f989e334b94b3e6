//! Writes event streams so that nothing in an event can end it or begin another.

use crate::protocol::http::response::decimal;

/// One event to write. What is `None` is not written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event<'a> {
    /// What a client sends back as `Last-Event-ID` when it reconnects; empty to reset that.
    pub id: Option<&'a str>,
    /// The event's type; `message` to the client if there is none.
    pub event: Option<&'a str>,
    /// How long a client waits before it reconnects, in milliseconds.
    pub retry_ms: Option<u64>,
    /// The payload. Each CR, LF or CRLF in it is read back as one LF.
    pub data: &'a str,
}

/// A field that would break the stream. The event was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event's {field} must not contain CR, LF or NUL")]
pub struct Forbidden {
    /// `id` or `event`.
    pub field: &'static str,
}

/// Appends how long a client is to wait before it comes back, and no event.
pub fn encode_retry(into: &mut Vec<u8>, retry_ms: u64) {
    let mut digits = [0; 20];
    into.extend_from_slice(b"retry: ");
    into.extend_from_slice(decimal(retry_ms, &mut digits));
    into.extend_from_slice(b"\n\n");
}

/// Appends an event, its empty line included.
///
/// # Errors
/// [`Forbidden`] if `id` or `event` contain CR, LF or NUL (CVE-2026-43968, CVE-2026-44214,
/// CVE-2026-44217: they would write other fields); then nothing was appended.
pub fn encode(into: &mut Vec<u8>, event: &Event<'_>) -> Result<(), Forbidden> {
    let Event {
        id,
        event,
        retry_ms,
        data,
    } = *event;
    for (field, value) in [("id", id), ("event", event)] {
        if value.is_some_and(|value| value.contains(['\r', '\n', '\0'])) {
            return Err(Forbidden { field });
        }
    }
    if let Some(id) = id {
        line(into, b"id: ", id.as_bytes());
    }
    if let Some(event) = event {
        line(into, b"event: ", event.as_bytes());
    }
    if let Some(retry) = retry_ms {
        line(into, b"retry: ", decimal(retry, &mut [0; 20]));
    }
    lines(into, b"data: ", data);
    into.push(b'\n');
    Ok(())
}

/// Appends a comment: a heartbeat that no application sees. Each line of `text` becomes one.
pub fn comment(into: &mut Vec<u8>, text: &str) {
    lines(into, b": ", text);
}

/// Appends each line of `text`, empty ones too, after `prefix`. A line ends where a parser says
/// that it ends: at CR, LF or CRLF (WHATWG HTML, 9.2.5).
fn lines(into: &mut Vec<u8>, prefix: &[u8], text: &str) {
    let mut rest = text.as_bytes();
    while let Some(end) = memchr::memchr2(b'\r', b'\n', rest) {
        let (before, after) = rest.split_at_checked(end).unwrap_or_default();
        line(into, prefix, before);
        rest = match after {
            [b'\r', b'\n', after @ ..] | [_, after @ ..] => after,
            [] => after,
        };
    }
    line(into, prefix, rest);
}

fn line(into: &mut Vec<u8>, prefix: &[u8], value: &[u8]) {
    into.extend_from_slice(prefix);
    into.extend_from_slice(value);
    into.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(event: Event<'_>) -> String {
        let mut into = Vec::new();
        encode(&mut into, &event).unwrap();
        String::from_utf8(into).unwrap()
    }

    #[test]
    fn an_event_has_the_fields_it_was_given() {
        let full = Event {
            id: Some("7"),
            event: Some("push"),
            retry_ms: Some(1500),
            data: "{}",
        };
        assert_eq!(
            written(full),
            "id: 7\nevent: push\nretry: 1500\ndata: {}\n\n"
        );
        assert_eq!(
            written(Event {
                data: "x",
                ..Event::default()
            }),
            "data: x\n\n"
        );
        assert_eq!(
            written(Event {
                id: Some(""),
                ..Event::default()
            }),
            "id: \ndata: \n\n"
        );
    }

    #[test]
    fn data_is_split_at_every_line_end() {
        for (data, expected) in [
            ("a\nb", "data: a\ndata: b\n\n"),
            ("a\rb", "data: a\ndata: b\n\n"),
            ("a\r\nb", "data: a\ndata: b\n\n"),
            ("a\n\rb", "data: a\ndata: \ndata: b\n\n"),
            ("a\n", "data: a\ndata: \n\n"),
            ("\r\n\r\n", "data: \ndata: \ndata: \n\n"),
            (" a", "data:  a\n\n"),
            ("", "data: \n\n"),
        ] {
            assert_eq!(
                written(Event {
                    data,
                    ..Event::default()
                }),
                expected,
                "{data:?}"
            );
        }
    }

    #[test]
    fn nothing_is_injected_through_id_or_event() {
        for bad in ["a\nb", "a\rb", "a\0b", "\n"] {
            let mut into = Vec::new();
            let event = Event {
                id: Some(bad),
                ..Event::default()
            };
            assert_eq!(encode(&mut into, &event), Err(Forbidden { field: "id" }));
            let event = Event {
                event: Some(bad),
                ..Event::default()
            };
            assert_eq!(encode(&mut into, &event), Err(Forbidden { field: "event" }));
            assert!(into.is_empty());
        }
    }

    #[test]
    fn a_comment_stays_a_comment() {
        let mut into = Vec::new();
        comment(&mut into, "");
        comment(&mut into, "a\r\ndata: b\n\nc");
        assert_eq!(into, b": \n: a\n: data: b\n: \n: c\n");
    }
}
