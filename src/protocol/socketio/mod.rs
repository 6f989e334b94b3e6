//! Socket.IO 5 over Engine.IO 4, over WebSocket or long polling: packets, namespaces,
//! acknowledgements, pings (`engine.io-protocol` revision 4, `socket.io-protocol` revision 5).

mod client;
pub mod namespace;
pub mod polling;

pub use client::{
    CLOSE_AWAY, CLOSE_NORMAL, ClientSays, DISCONNECTED, IoAuth, IoEvent, OpenSession, PING, PONG,
    acknowledgement, auth, connect_error, connected, event, open, read_client,
};

use super::{Malformed, json};
use serde::Deserialize;

/// What the URL's query must say: this revision, and no polling before.
pub const QUERY: &str = "EIO=4&transport=websocket";
/// The path under which servers answer unless they are told otherwise.
pub const PATH: &str = "/socket.io/";
/// Binary messages that may follow one packet: `socket.io-parser` allows as many.
const ATTACHMENTS_MAX: u32 = 10;

/// A server's Engine.IO packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// The first one: the session and its times.
    Open(Session),
    /// The session is over.
    Close,
    /// To be answered with a pong with the same content.
    Ping(&'a str),
    /// The other layer's packet.
    Message(Said<'a>),
    /// Nothing.
    Noop,
}

/// What a server says of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Session {
    /// Milliseconds between its pings.
    #[serde(rename = "pingInterval")]
    pub ping_interval_ms: u64,
    /// Milliseconds that a pong may take.
    #[serde(rename = "pingTimeout")]
    pub ping_timeout_ms: u64,
}

/// What a server says of a session that it has opened by polling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolledOpening {
    /// Its name, which is asked for with what follows.
    pub sid: String,
    /// Whether it may move to a WebSocket.
    pub may_upgrade: bool,
    /// Its times.
    pub times: Session,
}

impl PolledOpening {
    /// Reads the answer to the first poll.
    ///
    /// # Errors
    /// [`Malformed`] for what opens no session.
    pub fn read(payload: &[u8]) -> Result<Self, Malformed> {
        #[derive(Deserialize)]
        struct Named {
            sid: String,
            #[serde(default)]
            upgrades: Vec<String>,
        }
        let text = str::from_utf8(payload).map_err(|_| Malformed("no UTF-8"))?;
        let (first, _) = polling::next_packet(text)?;
        let packet = match first {
            polling::PolledPacket::Text(packet) => packet,
            polling::PolledPacket::Close | polling::PolledPacket::Binary(_) => "",
        };
        let Packet::Open(times) = read(packet.as_bytes())? else {
            return Err(Malformed("no session opened"));
        };
        let Named { sid, upgrades } = json::object(packet.get(1..).unwrap_or("").as_bytes())?;
        // It goes into a query as it is.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if sid.is_empty() || !sid.bytes().all(is_plain) {
            return Err(Malformed("a session without a plain name"));
        }
        let may_upgrade = upgrades.iter().any(|name| name == "websocket");
        Ok(Self {
            sid,
            may_upgrade,
            times,
        })
    }
}

/// A server's Socket.IO packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said<'a> {
    /// What it is.
    pub kind: Kind,
    /// Of which namespace; `/` where none is named.
    pub namespace: &'a str,
    /// The number that ties an acknowledgement to its event.
    pub id: Option<u64>,
    /// Binary messages that follow and belong to it.
    pub attachments: u32,
    /// JSON that has not been looked at, or nothing.
    pub data: &'a str,
}

/// What a Socket.IO packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The namespace is joined.
    Connect,
    /// The server takes this client out of the namespace.
    Disconnect,
    /// An event; one with an id wants an acknowledgement.
    Event,
    /// The acknowledgement of an event of ours.
    Ack,
    /// The namespace cannot be joined.
    ConnectError,
}

/// Reads a text message of a server.
///
/// # Errors
/// [`Malformed`] for what no server says.
pub fn read(text: &[u8]) -> Result<Packet<'_>, Malformed> {
    let text = str::from_utf8(text).map_err(|_| Malformed("no UTF-8"))?;
    let mut rest = text.chars();
    match rest.next() {
        Some('0') => json::object(rest.as_str().as_bytes()).map(Packet::Open),
        Some('1') => Ok(Packet::Close),
        Some('2') => Ok(Packet::Ping(rest.as_str())),
        Some('4') => said(rest.as_str()).map(Packet::Message),
        Some('6') => Ok(Packet::Noop),
        _ => Err(Malformed("no Engine.IO packet")),
    }
}

fn said(text: &str) -> Result<Said<'_>, Malformed> {
    let mut rest = text.chars();
    let (kind, is_binary) = match rest.next() {
        Some('0') => (Kind::Connect, false),
        Some('1') => (Kind::Disconnect, false),
        Some('2') => (Kind::Event, false),
        Some('3') => (Kind::Ack, false),
        Some('4') => (Kind::ConnectError, false),
        Some('5') => (Kind::Event, true),
        Some('6') => (Kind::Ack, true),
        _ => return Err(Malformed("no Socket.IO packet")),
    };
    let mut rest = rest.as_str();
    let mut attachments = 0;
    if is_binary {
        let (count, after) = rest
            .split_once('-')
            .ok_or(Malformed("a binary packet without its count"))?;
        let is_count = |count: &u32| (1..=ATTACHMENTS_MAX).contains(count);
        let count = count.parse().ok().filter(is_count);
        attachments = count.ok_or(Malformed("too many attachments"))?;
        rest = after;
    }
    let mut namespace = "/";
    if rest.starts_with('/') {
        // Without data there is no comma.
        (namespace, rest) = rest.split_once(',').unwrap_or((rest, ""));
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (number, data) = rest.split_at_checked(digits).unwrap_or(("", rest));
    let id = match number {
        "" => None,
        number => Some(
            number
                .parse()
                .map_err(|_| Malformed("an id beyond 64 bits"))?,
        ),
    };
    Ok(Said {
        kind,
        namespace,
        id,
        attachments,
        data,
    })
}

/// Appends what a packet of ours begins with, up to its id: Engine.IO and Socket.IO type and the
/// namespace, which begins with `/`.
fn begin(into: &mut Vec<u8>, kind: &[u8], namespace: &str) {
    into.push(b'4');
    into.extend_from_slice(kind);
    if namespace != "/" {
        into.extend_from_slice(namespace.as_bytes());
        into.push(b',');
    }
}

/// Appends the packet that joins a namespace, with a token for the server's `auth` if there is
/// one.
pub fn connect(into: &mut Vec<u8>, namespace: &str, auth_token: Option<&str>) {
    begin(into, b"0", namespace);
    if let Some(token) = auth_token {
        into.extend_from_slice(b"{\"token\":");
        json::string(into, token);
        into.push(b'}');
    }
}

/// The parts of an event that wants an acknowledgement: what comes before its id, what between
/// the id and the content, what after it. The content is a JSON string that needs no escape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Emit {
    /// Before the id.
    pub before: Vec<u8>,
    /// Between the id and the content.
    pub between: Vec<u8>,
    /// After the content.
    pub after: Vec<u8>,
}

impl Emit {
    /// An event of that name in that namespace.
    #[must_use]
    pub fn new(namespace: &str, event: &str) -> Self {
        let mut parts = Self::default();
        begin(&mut parts.before, b"2", namespace);
        parts.between.push(b'[');
        json::string(&mut parts.between, event);
        parts.between.extend_from_slice(b",\"");
        parts.after.extend_from_slice(b"\"]");
        parts
    }
}

/// Appends the acknowledgement of a server's event, without content.
pub fn acknowledge(into: &mut Vec<u8>, namespace: &str, id: u64) {
    begin(into, b"3", namespace);
    into.extend_from_slice(id.to_string().as_bytes());
    into.extend_from_slice(b"[]");
}

/// Appends the answer to a ping.
pub fn pong(into: &mut Vec<u8>, content: &str) {
    into.push(b'3');
    into.extend_from_slice(content.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(text: &str) -> Said<'_> {
        match read(text.as_bytes()) {
            Ok(Packet::Message(said)) => said,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_session_that_polls_has_a_name_and_may_move() {
        let text = r#"0{"sid":"a-B_9","upgrades":["websocket"],"pingInterval":7,"pingTimeout":8}"#;
        let opening = PolledOpening::read(text.as_bytes()).unwrap();
        assert_eq!((&*opening.sid, opening.may_upgrade), ("a-B_9", true));
        assert_eq!(opening.times.ping_timeout_ms, 8);
        let more = format!("{text}\u{1e}40");
        assert_eq!(PolledOpening::read(more.as_bytes()), Ok(opening));
        let stays = text.replace("websocket", "webtransport");
        assert!(!PolledOpening::read(stays.as_bytes()).unwrap().may_upgrade);
        for wrong in [
            text.replace("a-B_9", ""),
            text.replace("a-B_9", "a&b"),
            text.replace("sid", "id"),
            text.replace('0', "4"),
            "1".to_owned(),
            "bAAAA".to_owned(),
            String::new(),
        ] {
            assert!(PolledOpening::read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_session_opens_with_its_times() {
        let open = br#"0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#;
        let session = Session {
            ping_interval_ms: 25_000,
            ping_timeout_ms: 20_000,
        };
        assert_eq!(read(open), Ok(Packet::Open(session)));
        assert_eq!(read(b"2"), Ok(Packet::Ping("")));
        assert_eq!(read(b"2probe"), Ok(Packet::Ping("probe")));
        assert_eq!(read(b"6"), Ok(Packet::Noop));
        assert_eq!(read(b"1"), Ok(Packet::Close));
    }

    #[test]
    fn the_parts_of_a_packet_are_found() {
        let said = message(r#"43/admin,17["ok"]"#);
        assert_eq!(
            (said.kind, said.namespace, said.id),
            (Kind::Ack, "/admin", Some(17))
        );
        assert_eq!(said.data, r#"["ok"]"#);
        let said = message(r#"42["chat",1]"#);
        assert_eq!(
            (said.kind, said.namespace, said.id),
            (Kind::Event, "/", None)
        );
        let said = message(r#"452-/a,3["x",{"_placeholder":true,"num":0}]"#);
        assert_eq!(
            (said.attachments, said.namespace, said.id),
            (2, "/a", Some(3))
        );
        assert_eq!(message("41/a").namespace, "/a");
        let refused = message(r#"44{"message":"not authorized"}"#);
        assert_eq!(refused.kind, Kind::ConnectError);
    }

    #[test]
    fn what_no_server_says_is_malformed() {
        for text in [
            "",
            "hello",
            "0",
            "0[]",
            "0{}",
            "3",
            "5",
            "4",
            "47",
            "451",
            "450-[]",
            "4511-[]",
            "42999999999999999999999[\"x\"]",
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
        assert!(read(&[b'2', 0xff]).is_err());
    }

    #[test]
    fn what_is_sent_is_read_as_meant() {
        let mut text = Vec::new();
        connect(&mut text, "/", None);
        connect(&mut text, "/a", Some("t\"k"));
        acknowledge(&mut text, "/a", 5);
        pong(&mut text, "probe");
        let wanted = r#"4040/a,{"token":"t\"k"}43/a,5[]3probe"#;
        assert_eq!(String::from_utf8(text).unwrap(), wanted);
        let emit = Emit::new("/a", "e\"v");
        let parts = [&emit.before[..], b"12", &emit.between, b"abc", &emit.after];
        let text = String::from_utf8(parts.concat()).unwrap();
        let said = message(&text);
        assert_eq!(
            (said.kind, said.namespace, said.id),
            (Kind::Event, "/a", Some(12))
        );
        assert_eq!(said.data, r#"["e\"v","abc"]"#);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }

        #[test]
        fn no_text_panics(text in "4[0-6][0-9/,\\-a\\[\\]{}\"\u{e9}]{0,20}") {
            let _ = read(text.as_bytes());
        }
    }
}
