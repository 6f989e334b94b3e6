//! `SocketCluster`, protocol versions 1 and 2: events, remote calls, channels and pings as
//! `socketcluster-server` speaks them (its `serversocket.js`; `sc-formatter` for the encoding).

mod elements;
mod request;
mod write;

pub use request::{
    CallNumber, ClientPacket, ClusterHandshake, Subscription, read_packets, read_text,
};
pub use write::{
    ClusterError, HandshakeReply, authenticated, event, failure, handshake_reply, kick_out,
    publication, response,
};

use super::{Malformed, json};
use elements::elements;
use serde::Deserialize;
use serde_json::value::RawValue;

/// A ping, and its answer: an empty text message (protocol 2).
pub const PING: &str = "";

/// Why a server closes a connection (`sc-errors`, `socketProtocolErrorStatuses`). A client comes
/// back after 10 s or more; at once after [`close::PONG_TIMEOUT`], and after 4500 and beyond never.
pub mod close {
    /// The client has not answered the pings.
    pub const PONG_TIMEOUT: u16 = 4001;
    /// The client has not said who it is in time.
    pub const NO_HANDSHAKE: u16 = 4005;
    /// Its subscriptions do not stand any more.
    pub const BROKER: u16 = 4006;
    /// The server has refused the handshake.
    pub const REJECTED: u16 = 4008;
    /// Something came before the handshake.
    pub const TOO_EARLY: u16 = 4009;
    /// From here on a client does not come back.
    pub const FINAL: u16 = 4500;
}

/// What a server says.
#[derive(Clone, Copy, Debug)]
pub enum Said<'a> {
    /// A ping; what to answer it with, at once, as a text message.
    Ping {
        /// Version 2 answers an empty message with an empty one, version 1 `#1` with `#2`.
        pong: &'static str,
    },
    /// The answer to a call of ours.
    Response {
        /// The call.
        id: u64,
        /// What it returned.
        data: Option<&'a RawValue>,
        /// Whether it failed.
        is_error: bool,
    },
    /// A message that was published on a channel.
    Published {
        /// The channel: a JSON string.
        channel: &'a RawValue,
        /// What was published: any JSON.
        data: &'a RawValue,
    },
    /// The server has taken this client off a channel.
    KickedOut,
    /// Any other event, `#setAuthToken` among them; one with a call id wants a response.
    Event {
        /// The call, if it is one.
        call: Option<u64>,
    },
}

#[derive(Deserialize)]
enum Name {
    #[serde(rename = "#publish")]
    Publish,
    #[serde(rename = "#kickOut")]
    KickOut,
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Fields<'a> {
    event: Option<Name>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    cid: Option<u64>,
    rid: Option<u64>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Publication<'a> {
    #[serde(borrow)]
    channel: &'a RawValue,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// Reads a text message of a server, which may be a batch of several; each is shown to `hear`.
///
/// # Errors
/// [`Malformed`] for what no server says; what came before it in a batch has been heard.
pub fn read(text: &[u8], mut hear: impl FnMut(Said<'_>)) -> Result<(), Malformed> {
    match text {
        b"" => hear(Said::Ping { pong: "" }),
        b"#1" => hear(Said::Ping { pong: "#2" }),
        [b'[', ..] => return batch(text, &mut hear),
        _ => hear(said(text)?),
    }
    Ok(())
}

fn said(text: &[u8]) -> Result<Said<'_>, Malformed> {
    let fields: Fields<'_> = json::object(text)?;
    match (fields.rid, fields.event) {
        (Some(id), None) => Ok(Said::Response {
            id,
            data: fields.data,
            is_error: fields.error.is_some_and(|error| error.get() != "null"),
        }),
        (None, Some(Name::Publish)) => {
            let data = fields.data.ok_or(Malformed("a publication without data"))?;
            let Publication { channel, data } = json::object(data.get().as_bytes())?;
            Ok(Said::Published { channel, data })
        }
        (None, Some(Name::KickOut)) => Ok(Said::KickedOut),
        (None, Some(Name::Other)) => Ok(Said::Event { call: fields.cid }),
        (None, None) | (Some(_), Some(_)) => Err(Malformed("neither an event nor a response")),
    }
}

/// A batch: an array of messages, read one after the other without keeping them.
fn batch<'a>(text: &'a [u8], hear: &mut impl FnMut(Said<'a>)) -> Result<(), Malformed> {
    let mut result = Ok(());
    elements(text, |raw| {
        match said(raw.get().as_bytes()) {
            Ok(said) => hear(said),
            Err(malformed) => result = Err(malformed),
        }
        result.is_ok()
    })?;
    result
}

/// What a server answered to the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// Whether the token that was sent, if one was, was taken.
    pub is_authenticated: bool,
    /// Milliseconds without a ping after which the connection is dead.
    pub ping_timeout_ms: u64,
}

impl Welcome {
    /// Reads the data of the response to the handshake.
    ///
    /// # Errors
    /// [`Malformed`] for what is no such response.
    pub fn read(data: &RawValue) -> Result<Self, Malformed> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Fields {
            #[serde(default)]
            is_authenticated: bool,
            ping_timeout: u64,
        }
        let fields: Fields = json::object(data.get().as_bytes())?;
        Ok(Self {
            is_authenticated: fields.is_authenticated,
            ping_timeout_ms: fields.ping_timeout,
        })
    }
}

/// Whether a channel that a server names is the one that [`json::string`] wrote as `encoded`.
#[must_use]
pub fn is_channel(raw: &RawValue, encoded: &[u8]) -> bool {
    json::is_string(raw, encoded)
}

/// Appends the handshake, call 1: the first message of a connection.
pub fn handshake(into: &mut Vec<u8>, auth_token: Option<&str>) {
    into.extend_from_slice(b"{\"event\":\"#handshake\",\"data\":{\"authToken\":");
    match auth_token {
        Some(token) => json::string(into, token),
        None => into.extend_from_slice(b"null"),
    }
    into.extend_from_slice(b"},\"cid\":1}");
}

/// Appends the call that subscribes to a channel.
pub fn subscribe(into: &mut Vec<u8>, channel: &str, call: u64) {
    into.extend_from_slice(b"{\"event\":\"#subscribe\",\"data\":{\"channel\":");
    json::string(into, channel);
    into.extend_from_slice(b"},\"cid\":");
    into.extend_from_slice(call.to_string().as_bytes());
    into.push(b'}');
}

/// Appends what comes before the content of a call and what comes between it and the call's
/// number. The content is a JSON string that needs no escape; a `}` ends the message.
pub fn call(what: Call<'_>, before: &mut Vec<u8>, after: &mut Vec<u8>) {
    match what {
        Call::Procedure(name) => {
            before.extend_from_slice(b"{\"event\":");
            json::string(before, name);
            before.extend_from_slice(b",\"data\":\"");
            after.extend_from_slice(b"\",\"cid\":");
        }
        Call::Publish(channel) => {
            before.extend_from_slice(b"{\"event\":\"#publish\",\"data\":{\"channel\":");
            json::string(before, channel);
            before.extend_from_slice(b",\"data\":\"");
            after.extend_from_slice(b"\"},\"cid\":");
        }
    }
}

/// A call of which the server tells the outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call<'a> {
    /// The procedure of that name.
    Procedure(&'a str),
    /// A publication on that channel.
    Publish(&'a str),
}

/// Appends the response to a call of the server's.
pub fn respond(into: &mut Vec<u8>, call: u64) {
    into.extend_from_slice(b"{\"rid\":");
    into.extend_from_slice(call.to_string().as_bytes());
    into.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn heard(text: &str) -> Result<Vec<String>, Malformed> {
        let mut all = Vec::new();
        read(text.as_bytes(), |said| all.push(format!("{said:?}")))?;
        Ok(all)
    }

    #[test]
    fn both_versions_of_a_ping_get_their_pong() {
        assert_eq!(heard("").unwrap(), ["Ping { pong: \"\" }"]);
        assert_eq!(heard("#1").unwrap(), ["Ping { pong: \"#2\" }"]);
    }

    #[test]
    fn responses_errors_and_publications_are_understood() {
        let mut seen = 0;
        read(br#"{"rid":7,"data":"x"}"#, |said| {
            seen += 1;
            let Said::Response {
                id: 7,
                data: Some(data),
                is_error: false,
            } = said
            else {
                panic!("{said:?}");
            };
            assert_eq!(data.get(), "\"x\"");
        })
        .unwrap();
        read(br#"{"rid":7,"error":{"name":"X"}}"#, |said| {
            seen += 1;
            assert!(matches!(
                said,
                Said::Response {
                    id: 7,
                    is_error: true,
                    ..
                }
            ));
        })
        .unwrap();
        let published = br##"{"event":"#publish","data":{"channel":"c","data":{"a":1}}}"##;
        read(published, |said| {
            seen += 1;
            let Said::Published { channel, data } = said else {
                panic!("{said:?}");
            };
            assert!(is_channel(channel, b"\"c\""));
            assert_eq!(data.get(), r#"{"a":1}"#);
        })
        .unwrap();
        assert_eq!(seen, 3);
    }

    #[test]
    fn a_batch_is_heard_in_order_up_to_what_is_malformed() {
        let batch = r##"[{"rid":1},{"event":"#setAuthToken","data":{},"cid":3}]"##;
        let all = heard(batch).unwrap();
        assert!(all[0].starts_with("Response") && all[1] == "Event { call: Some(3) }");
        let mut count = 0;
        let broken = read(br#"[{"rid":1},{},{"rid":2}]"#, |_| count += 1);
        assert!(broken.is_err() && count == 1);
        assert!(heard("[{\"rid\":1}").is_err());
        assert!(heard("[] []").is_err());
    }

    #[test]
    fn what_no_server_says_is_malformed() {
        for text in [
            "#2",
            "hello",
            "1",
            "{}",
            "{\"rid\":-1}",
            "{\"rid\":1,\"event\":\"x\"}",
            "{\"event\":\"#publish\"}",
            "{\"event\":\"#publish\",\"data\":{\"channel\":\"c\"}}",
            "[[]]",
        ] {
            assert!(heard(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_sent_is_the_json_that_the_server_reads() {
        let mut text = Vec::new();
        handshake(&mut text, Some("a.b\"c"));
        let read: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(read["data"]["authToken"], "a.b\"c");
        for (what, event) in [
            (Call::Procedure("e\"cho"), "e\"cho"),
            (Call::Publish("c\"h"), "#publish"),
        ] {
            let (mut text, mut after) = (Vec::new(), Vec::new());
            call(what, &mut text, &mut after);
            text.extend_from_slice(b"abc");
            text.extend_from_slice(&after);
            text.extend_from_slice(b"12}");
            let read: serde_json::Value = serde_json::from_slice(&text).unwrap();
            assert_eq!((&read["event"], &read["cid"]), (&event.into(), &12.into()));
            let data = match what {
                Call::Procedure(_) => &read["data"],
                Call::Publish(channel) => {
                    assert_eq!(read["data"]["channel"], channel);
                    &read["data"]["data"]
                }
            };
            assert_eq!(data, "abc");
        }
    }

    #[test]
    fn the_handshake_s_answer_is_read() {
        let raw = r#"{"id":"x","pingTimeout":30000,"isAuthenticated":true}"#;
        let welcome = Welcome::read(serde_json::from_str(raw).unwrap()).unwrap();
        let wanted = Welcome {
            is_authenticated: true,
            ping_timeout_ms: 30_000,
        };
        assert_eq!(welcome, wanted);
        assert!(Welcome::read(serde_json::from_str("[1]").unwrap()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = read(&bytes, |_| {});
        }
    }
}
