//! What clients say, as their server reads it (npm's `engine.io-parser` 5, `socket.io-parser` 4),
//! and what it says to them.

use super::{Kind, Malformed, Said, json, said};
use serde::Deserialize;
use serde_json::Number;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt::Display;

/// A client's Engine.IO packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientSays<'a> {
    /// The session is over.
    Close,
    /// The answer to a ping.
    Pong,
    /// What means something at other times, or nothing: it is passed over.
    Nothing,
    /// The other layer's packet.
    Message(Said<'a>),
}

/// An event: what it is called, and its arguments.
#[derive(Clone, Debug)]
pub struct IoEvent<'a> {
    /// Its name; a number is one too.
    pub name: Cow<'a, str>,
    /// JSON of each argument; one that is a binary message is a placeholder.
    pub arguments: Vec<&'a RawValue>,
}

/// The times and bounds of a session, as its client is told.
#[derive(Clone, Copy)]
pub struct OpenSession<'a> {
    /// Its name, which needs no escape.
    pub sid: &'a dyn Display,
    /// What it may move to: JSON.
    pub upgrades: &'a str,
    /// Milliseconds between two pings.
    pub ping_interval_ms: u128,
    /// Milliseconds that a pong may take.
    pub ping_timeout_ms: u128,
    /// Bytes of a message at most.
    pub payload_bytes: usize,
}

/// What a client's library keeps for itself (`socket.io-parser`): no event is called that.
const RESERVED: [&str; 6] = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

/// The ping of a server.
pub const PING: &str = "2";
/// The answer of a client.
pub const PONG: &str = "3";
/// A close by whoever has understood the other (RFC 6455, 7.4.1).
pub const CLOSE_NORMAL: u16 = 1000;
/// A close by who is not here any more, or not for that client (RFC 6455, 7.4.1).
pub const CLOSE_AWAY: u16 = 1001;
/// A server takes a client out of the namespace `/`.
pub const DISCONNECTED: &str = "41";

/// Reads a text message of a client.
///
/// # Errors
/// [`Malformed`] for what closes a connection at npm's `socket.io` too.
pub fn read_client(text: &[u8]) -> Result<ClientSays<'_>, Malformed> {
    let text = str::from_utf8(text).map_err(|_| Malformed("no UTF-8"))?;
    let mut rest = text.chars();
    match rest.next() {
        Some('1') => Ok(ClientSays::Close),
        Some('3') => Ok(ClientSays::Pong),
        Some('0' | '5' | '6') => Ok(ClientSays::Nothing),
        Some('4') => {
            let packet = said(rest.as_str())?;
            is_whole(packet)
                .then_some(ClientSays::Message(packet))
                .ok_or(Malformed("not the content of such a packet"))
        }
        // Pings are the server's since revision 4.
        _ => Err(Malformed("no Engine.IO packet of a client")),
    }
}

/// Whether a packet has the content that its kind has (`isDataValid`).
fn is_whole(packet: Said<'_>) -> bool {
    match packet.kind {
        Kind::Connect => packet.data.is_empty() || packet.data.starts_with('{'),
        Kind::Disconnect => packet.data.is_empty(),
        Kind::Event | Kind::Ack => packet.data.starts_with('['),
        // It is a server's.
        Kind::ConnectError => false,
    }
}

/// What a client joins a namespace with: empty texts for what is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IoAuth<'a> {
    /// The token in `auth.token`.
    pub token: Cow<'a, str>,
    /// What it was called when it was here last: its library adds that.
    pub pid: Cow<'a, str>,
    /// Of the last event that it has.
    pub offset: Cow<'a, str>,
}

/// Reads what a client joins a namespace with.
///
/// # Errors
/// [`Malformed`]: it is no JSON.
pub fn auth(data: &str) -> Result<IoAuth<'_>, Malformed> {
    #[derive(Deserialize)]
    struct Auth<'a> {
        #[serde(borrow)]
        token: Option<&'a RawValue>,
        #[serde(borrow)]
        pid: Option<&'a RawValue>,
        #[serde(borrow)]
        offset: Option<&'a RawValue>,
    }
    if data.is_empty() {
        return Ok(IoAuth::default());
    }
    let Auth { token, pid, offset } = json::object(data.as_bytes())?;
    // What is no text is nothing.
    Ok(IoAuth {
        token: token.and_then(|it| text(it.get())).unwrap_or_default(),
        pid: pid.and_then(|it| text(it.get())).unwrap_or_default(),
        offset: offset.and_then(|it| text(it.get())).unwrap_or_default(),
    })
}

impl<'a> IoEvent<'a> {
    /// Reads the content of an event.
    ///
    /// # Errors
    /// [`Malformed`]: it is no JSON array that begins with a name of an application's.
    pub fn read(data: &'a str) -> Result<Self, Malformed> {
        let mut all: Vec<&RawValue> = serde_json::from_str(data).map_err(|_| NO_EVENT)?;
        if all.is_empty() {
            return Err(NO_EVENT);
        }
        let first = all.remove(0).get();
        let name = match text(first) {
            Some(name) => name,
            None => match serde_json::from_str::<Number>(first) {
                Ok(number) => Cow::Owned(number.to_string()),
                Err(_) => return Err(NO_EVENT),
            },
        };
        if RESERVED.contains(&&*name) {
            return Err(NO_EVENT);
        }
        let arguments = all;
        Ok(Self { name, arguments })
    }

    /// An argument that is a text.
    #[must_use]
    pub fn text(&self, at: usize) -> Option<Cow<'a, str>> {
        text(self.arguments.get(at)?.get())
    }

    /// The JSON of an argument.
    #[must_use]
    pub fn json(&self, at: usize) -> Option<&'a str> {
        self.arguments.get(at).map(|json| json.get())
    }
}

const NO_EVENT: Malformed = Malformed("an event is a JSON array that begins with its name");

fn text(json: &str) -> Option<Cow<'_, str>> {
    if let Ok(plain) = serde_json::from_str::<&str>(json) {
        return Some(Cow::Borrowed(plain));
    }
    serde_json::from_str::<String>(json).ok().map(Cow::Owned)
}

/// Appends the first packet of a session.
pub fn open(into: &mut Vec<u8>, session: OpenSession<'_>) {
    let OpenSession {
        sid,
        upgrades,
        ping_interval_ms,
        ping_timeout_ms,
        payload_bytes,
    } = session;
    let text = format!(
        "0{{\"sid\":\"{sid}\",\"upgrades\":{upgrades},\"pingInterval\":{ping_interval_ms},\
         \"pingTimeout\":{ping_timeout_ms},\"maxPayload\":{payload_bytes}}}"
    );
    into.extend_from_slice(text.as_bytes());
}

/// Appends that a client has joined the namespace `/`, what it is called there, and what it is
/// called when it comes back, if it may.
pub fn connected(into: &mut Vec<u8>, sid: &dyn Display, pid: Option<&dyn Display>) {
    into.extend_from_slice(format!("40{{\"sid\":\"{sid}\"").as_bytes());
    if let Some(pid) = pid {
        into.extend_from_slice(format!(",\"pid\":\"{pid}\"").as_bytes());
    }
    into.push(b'}');
}

/// Appends that a client cannot join a namespace, and why.
pub fn connect_error(into: &mut Vec<u8>, namespace: &str, why: &str) {
    super::begin(into, b"4", namespace);
    into.extend_from_slice(b"{\"message\":");
    json::string(into, why);
    into.push(b'}');
}

/// Appends an event with one argument, which is JSON, in the namespace `/`; behind it stands its
/// place, which needs no escape, for clients that may come back.
pub fn event(into: &mut Vec<u8>, name: &str, argument: &str, offset: Option<&dyn Display>) {
    into.extend_from_slice(b"42[");
    json::string(into, name);
    into.push(b',');
    into.extend_from_slice(argument.as_bytes());
    if let Some(offset) = offset {
        into.extend_from_slice(format!(",\"{offset}\"").as_bytes());
    }
    into.push(b']');
}

/// Appends the acknowledgement of an event of that number, with arguments that are JSON; so many
/// binary messages follow it.
pub fn acknowledgement<'a>(
    into: &mut Vec<u8>,
    (id, attachments): (u64, u32),
    arguments: impl Iterator<Item = &'a str>,
) {
    match attachments {
        0 => into.extend_from_slice(b"43"),
        count => into.extend_from_slice(format!("46{count}-").as_bytes()),
    }
    into.extend_from_slice(id.to_string().as_bytes());
    into.push(b'[');
    for (at, argument) in arguments.enumerate() {
        if at > 0 {
            into.push(b',');
        }
        into.extend_from_slice(argument.as_bytes());
    }
    into.push(b']');
}

#[cfg(test)]
mod tests {
    use super::super::{Packet, read};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_client_says_is_read_and_what_it_may_not_say_is_not() {
        assert_eq!(read_client(b"3"), Ok(ClientSays::Pong));
        assert_eq!(read_client(b"1"), Ok(ClientSays::Close));
        for good in ["40", "40{}", "40/a,{}", "41", "41/a,", "42[\"a\"]", "430[]"] {
            assert!(
                matches!(read_client(good.as_bytes()), Ok(ClientSays::Message(_))),
                "{good}"
            );
        }
        // As `isDataValid`, and the directions of Engine.IO 4.
        // `Socket.onPacket` of npm's `engine.io`.
        for nothing in ["0", "5", "6"] {
            assert_eq!(read_client(nothing.as_bytes()), Ok(ClientSays::Nothing));
        }
        for bad in [
            "", "2", "2probe", "40[]", "41{}", "42", "42{}", "43{}", "44{}", "7",
        ] {
            assert!(read_client(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(read_client(b"4\xff").is_err());
    }

    #[test]
    fn an_event_has_a_name_of_its_own_and_arguments() {
        let event = IoEvent::read(r#"["say","a\u0062",{"x":[1, 2]}]"#).expect("an event");
        assert_eq!(
            (&*event.name, event.text(0).as_deref()),
            ("say", Some("ab"))
        );
        assert_eq!(
            (event.json(1), event.text(1)),
            (Some(r#"{"x":[1, 2]}"#), None)
        );
        assert_eq!(IoEvent::read("[7]").expect("an event").name, "7");
        for bad in [
            "[]",
            "[null]",
            "[[]]",
            "[\"connect\"]",
            "[\"a\"",
            "{}",
            "[\"disconnecting\"]",
        ] {
            assert!(IoEvent::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_a_client_joins_with_is_texts() {
        for (data, token, pid, offset) in [
            ("", "", "", ""),
            ("{}", "", "", ""),
            (r#"{"token":"a.b"}"#, "a.b", "", ""),
            (r#"{"token":7}"#, "", "", ""),
            (r#"{"pid":"x","offset":"0.1","token":null}"#, "", "x", "0.1"),
            (r#"{"pid":[],"offset":{}}"#, "", "", ""),
        ] {
            let read = auth(data).expect("JSON");
            assert_eq!(
                (&*read.token, &*read.pid, &*read.offset),
                (token, pid, offset)
            );
        }
        assert!(auth("{").is_err());
    }

    #[test]
    fn what_a_server_says_is_read_as_its_client_reads_it() {
        let mut text = Vec::new();
        let session = OpenSession {
            sid: &"x",
            upgrades: "[]",
            ping_interval_ms: 25_000,
            ping_timeout_ms: 20_000,
            payload_bytes: 1_000_000,
        };
        open(&mut text, session);
        assert!(matches!(read(&text), Ok(Packet::Open(it)) if it.ping_interval_ms == 25_000));
        text.clear();
        connect_error(&mut text, "/a", "no \"a\"");
        assert_eq!(text, br#"44/a,{"message":"no \"a\""}"#);
        text.clear();
        event(&mut text, "said", "{}", None);
        assert_eq!(text, br#"42["said",{}]"#);
        text.clear();
        event(&mut text, "said", "{}", Some(&"0.7"));
        assert_eq!(text, br#"42["said",{},"0.7"]"#);
        text.clear();
        acknowledgement(&mut text, (3, 1), ["1", "\"b\""].into_iter());
        let Ok(Packet::Message(said)) = read(&text) else {
            panic!("{text:?}");
        };
        assert_eq!(
            (said.kind, said.id, said.attachments),
            (Kind::Ack, Some(3), 1)
        );
        assert_eq!(said.data, r#"[1,"b"]"#);
    }

    proptest! {
        #[test]
        fn no_client_panics(text in "[0-6]{0,2}[0-9/,\\-a\\[\\]{}\"\u{e9}]{0,20}", bytes: Vec<u8>) {
            let _ = read_client(&bytes);
            if let Ok(ClientSays::Message(said)) = read_client(text.as_bytes()) {
                let _ = (IoEvent::read(said.data), auth(said.data));
            }
        }
    }
}
