//! What servers say (`socketcluster-server`, its `serversocket.js`).

use super::super::json;
use std::fmt::Display;
use std::io::Write as _;

/// Why something was not done, as a client's library makes an error of it (`sc-errors`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterError<'a> {
    /// What kind of error: `AuthError`.
    pub name: &'a str,
    /// In a few words.
    pub message: &'a str,
    /// A number for it, if there is one.
    pub code: Option<u16>,
}

/// How a connection stands.
#[derive(Clone, Copy)]
pub struct HandshakeReply<'a> {
    /// What the client is called.
    pub id: &'a dyn Display,
    /// Milliseconds without a ping after which the client takes its connection for dead.
    pub ping_timeout_ms: u128,
    /// Whether the client has shown a good token.
    pub is_authenticated: bool,
    /// Why the token that it has shown is none.
    pub fault: Option<ClusterError<'a>>,
}

/// Appends the response to a handshake.
pub fn handshake_reply(into: &mut Vec<u8>, call: &dyn Display, reply: HandshakeReply<'_>) {
    let HandshakeReply {
        id,
        ping_timeout_ms,
        is_authenticated,
        fault,
    } = reply;
    put(
        into,
        format_args!("{{\"rid\":{call},\"data\":{{\"id\":\"{id}\""),
    );
    put(into, format_args!(",\"pingTimeout\":{ping_timeout_ms}"));
    if let Some(fault) = fault {
        into.extend_from_slice(b",\"authError\":");
        error(into, fault);
    }
    put(
        into,
        format_args!(",\"isAuthenticated\":{is_authenticated}}}}}"),
    );
}

/// Appends the response to a client that has shown a good token.
pub fn authenticated(into: &mut Vec<u8>, call: &dyn Display) {
    response(
        into,
        call,
        Some("{\"isAuthenticated\":true,\"authError\":null}"),
    );
}

/// Appends the response to a call: any JSON, or nothing.
pub fn response(into: &mut Vec<u8>, call: &dyn Display, data: Option<&str>) {
    put(into, format_args!("{{\"rid\":{call}"));
    finish(into, data);
}

/// Appends the response to a call that failed.
pub fn failure(into: &mut Vec<u8>, call: &dyn Display, why: ClusterError<'_>) {
    put(into, format_args!("{{\"rid\":{call},\"error\":"));
    error(into, why);
    into.push(b'}');
}

/// Appends an event of that name, which goes with any JSON, or nothing.
pub fn event(into: &mut Vec<u8>, name: &str, data: Option<&str>) {
    into.extend_from_slice(b"{\"event\":");
    json::string(into, name);
    finish(into, data);
}

/// Appends what was published on a channel; in which, if that is a pattern.
pub fn publication(into: &mut Vec<u8>, channel: &str, within: Option<&str>, data: &str) {
    into.extend_from_slice(b"{\"event\":\"#publish\",\"data\":{\"channel\":");
    json::string(into, channel);
    if let Some(within) = within {
        into.extend_from_slice(b",\"within\":");
        json::string(into, within);
    }
    into.extend_from_slice(b",\"data\":");
    into.extend_from_slice(data.as_bytes());
    into.extend_from_slice(b"}}");
}

/// Appends that a client is taken off a channel.
pub fn kick_out(into: &mut Vec<u8>, channel: &str, message: &str) {
    into.extend_from_slice(b"{\"event\":\"#kickOut\",\"data\":{\"channel\":");
    json::string(into, channel);
    into.extend_from_slice(b",\"message\":");
    json::string(into, message);
    into.extend_from_slice(b"}}");
}

fn finish(into: &mut Vec<u8>, data: Option<&str>) {
    if let Some(data) = data {
        into.extend_from_slice(b",\"data\":");
        into.extend_from_slice(data.as_bytes());
    }
    into.push(b'}');
}

fn error(
    into: &mut Vec<u8>,
    ClusterError {
        name,
        message,
        code,
    }: ClusterError<'_>,
) {
    into.extend_from_slice(b"{\"name\":");
    json::string(into, name);
    into.extend_from_slice(b",\"message\":");
    json::string(into, message);
    if let Some(code) = code {
        put(into, format_args!(",\"code\":{code}"));
    }
    into.push(b'}');
}

fn put(into: &mut Vec<u8>, what: std::fmt::Arguments<'_>) {
    // A vector takes whatever is written.
    let _ = into.write_fmt(what);
}

#[cfg(test)]
mod tests {
    use super::super::{Said, Welcome, read};
    use super::*;
    use serde_json::{Value, json};

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Value {
        let mut text = Vec::new();
        write(&mut text);
        serde_json::from_slice(&text).expect("JSON")
    }

    const WHY: ClusterError<'_> = ClusterError {
        name: "AuthError",
        message: "no \"token\"",
        code: Some(103),
    };

    #[test]
    fn what_is_written_is_what_clients_read() {
        let reply = |fault: Option<ClusterError<'static>>| HandshakeReply {
            id: &7,
            ping_timeout_ms: 30_000,
            is_authenticated: fault.is_none(),
            fault,
        };
        let error = json!({"name": "AuthError", "message": "no \"token\"", "code": 103});
        assert_eq!(
            written(|into| handshake_reply(into, &1, reply(Some(WHY)))),
            json!({"rid": 1, "data": {"id": "7", "pingTimeout": 30_000, "authError": error,
                "isAuthenticated": false}})
        );
        let mut text = Vec::new();
        handshake_reply(&mut text, &1, reply(None));
        let heard = read(&text, |said| match said {
            Said::Response { id: 1, data, .. } => {
                let welcome = Welcome::read(data.expect("data")).expect("a welcome");
                assert!(welcome.is_authenticated && welcome.ping_timeout_ms == 30_000);
            }
            other => panic!("{other:?}"),
        });
        assert_eq!(heard, Ok(()));
        assert_eq!(
            written(|into| failure(into, &2, WHY)),
            json!({"rid": 2, "error": error})
        );
        assert_eq!(written(|into| response(into, &3, None)), json!({"rid": 3}));
        assert_eq!(
            written(|into| response(into, &3, Some("[1]"))),
            json!({"rid": 3, "data": [1]})
        );
        assert_eq!(
            written(|into| event(into, "a\"", Some("{}"))),
            json!({"event": "a\"", "data": {}})
        );
        assert_eq!(
            written(|into| publication(into, "a\"", None, "1")),
            json!({"event": "#publish", "data": {"channel": "a\"", "data": 1}})
        );
        assert_eq!(
            written(|into| publication(into, "a*", Some("ab"), "1"))["data"]["within"],
            "ab"
        );
        assert_eq!(
            written(|into| kick_out(into, "a", "why")),
            json!({"event": "#kickOut", "data": {"channel": "a", "message": "why"}})
        );
    }
}
