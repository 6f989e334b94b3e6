//! Commands of a client, read from its bytes without being copied.

use super::super::{Malformed, json};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// One command.
#[derive(Debug)]
pub struct ClientCommand<'a> {
    /// What its reply is known by; 0 if it wants none.
    pub id: u32,
    /// What it is.
    pub kind: CommandKind<'a>,
}

/// What a client wants.
#[derive(Debug)]
pub enum CommandKind<'a> {
    /// The answer to a ping.
    Pong,
    /// To be connected: the first command of a connection.
    Connect(Box<ConnectRequest<'a>>),
    /// To be told what is said in a channel.
    Subscribe(Box<SubscribeRequest<'a>>),
    /// Not to be told any more.
    Unsubscribe(ChannelRequest<'a>),
    /// To say something.
    Publish(PublishRequest<'a>),
    /// Who is in a channel.
    Presence(ChannelRequest<'a>),
    /// How many are.
    PresenceStats(ChannelRequest<'a>),
    /// What was said.
    History(HistoryRequest<'a>),
    /// To call a procedure.
    Rpc(RpcRequest<'a>),
    /// To tell the application something.
    Send,
    /// To stay connected, with a new token.
    Refresh(TokenRequest<'a>),
    /// To stay subscribed, with a new token.
    SubRefresh(TokenRequest<'a>),
    /// A ping of the client's own.
    Ping,
    /// Nothing that is known here.
    Unknown,
}

/// A place in a history, as a client tells it.
#[derive(Debug, Default, Deserialize)]
pub struct SincePosition<'a> {
    /// The newest publication that the client has.
    #[serde(default)]
    pub offset: u64,
    /// Of which history.
    #[serde(borrow, default)]
    pub epoch: Cow<'a, str>,
}

/// To be connected.
#[derive(Debug, Default, Deserialize)]
pub struct ConnectRequest<'a> {
    /// Who it is.
    #[serde(borrow, default)]
    pub token: Cow<'a, str>,
    /// What it says to the application.
    #[serde(borrow)]
    pub data: Option<&'a RawValue>,
    /// Where it was in channels that the server had subscribed it to.
    #[serde(borrow, default)]
    pub subs: BTreeMap<Cow<'a, str>, SubscribeRequest<'a>>,
    /// What kind of client it is.
    #[serde(borrow, default)]
    pub name: Cow<'a, str>,
}

/// To be told what is said in a channel.
#[derive(Debug, Default, Deserialize)]
pub struct SubscribeRequest<'a> {
    /// The channel.
    #[serde(borrow, default)]
    pub channel: Cow<'a, str>,
    /// Who may.
    #[serde(borrow, default)]
    pub token: Cow<'a, str>,
    /// It comes back, and wants what it missed.
    #[serde(default)]
    pub recover: bool,
    /// Of which history it has something.
    #[serde(borrow, default)]
    pub epoch: Cow<'a, str>,
    /// The newest publication that it has.
    #[serde(default)]
    pub offset: u64,
    /// Bit 1: rather an error than a subscription with a gap.
    #[serde(default)]
    pub flag: u64,
}

/// A channel, and nothing else.
#[derive(Debug, Deserialize)]
pub struct ChannelRequest<'a> {
    /// The channel.
    #[serde(borrow, default)]
    pub channel: Cow<'a, str>,
}

/// To say something.
#[derive(Debug, Deserialize)]
pub struct PublishRequest<'a> {
    /// Where.
    #[serde(borrow, default)]
    pub channel: Cow<'a, str>,
    /// What.
    #[serde(borrow)]
    pub data: Option<&'a RawValue>,
}

/// What was said in a channel.
#[derive(Debug, Deserialize)]
pub struct HistoryRequest<'a> {
    /// The channel.
    #[serde(borrow, default)]
    pub channel: Cow<'a, str>,
    /// So many publications at most; none for 0, all for -1.
    #[serde(default)]
    pub limit: i64,
    /// After that place, or before it.
    #[serde(borrow)]
    pub since: Option<SincePosition<'a>>,
    /// The newest first.
    #[serde(default)]
    pub reverse: bool,
}

/// To call a procedure.
#[derive(Debug, Deserialize)]
pub struct RpcRequest<'a> {
    /// Which.
    #[serde(borrow, default)]
    pub method: Cow<'a, str>,
    /// With what.
    #[serde(borrow)]
    pub data: Option<&'a RawValue>,
}

/// A new token.
#[derive(Debug, Deserialize)]
pub struct TokenRequest<'a> {
    /// For which channel, if it is for one.
    #[serde(borrow, default)]
    pub channel: Cow<'a, str>,
    /// The token.
    #[serde(borrow, default)]
    pub token: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Nothing {}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(default)]
    id: u32,
    #[serde(borrow)]
    connect: Option<Box<ConnectRequest<'a>>>,
    #[serde(borrow)]
    subscribe: Option<Box<SubscribeRequest<'a>>>,
    #[serde(borrow)]
    unsubscribe: Option<ChannelRequest<'a>>,
    #[serde(borrow)]
    publish: Option<PublishRequest<'a>>,
    #[serde(borrow)]
    presence: Option<ChannelRequest<'a>>,
    #[serde(borrow)]
    presence_stats: Option<ChannelRequest<'a>>,
    #[serde(borrow)]
    history: Option<HistoryRequest<'a>>,
    #[serde(borrow)]
    rpc: Option<RpcRequest<'a>>,
    send: Option<Nothing>,
    #[serde(borrow)]
    refresh: Option<TokenRequest<'a>>,
    #[serde(borrow)]
    sub_refresh: Option<TokenRequest<'a>>,
    ping: Option<Nothing>,
}

impl<'a> SubscribeRequest<'a> {
    /// Whether it wants an error rather than a gap.
    #[must_use]
    pub const fn rejects_unrecovered(&self) -> bool {
        self.flag & 2 != 0
    }
}

/// Reads a text message of a client; each command of it is shown to `hear`, until that says that it
/// has heard enough.
///
/// # Errors
/// [`Malformed`] for what no client says; what came before it has been heard.
pub fn read_commands<'a>(
    text: &'a [u8],
    mut hear: impl FnMut(ClientCommand<'a>) -> bool,
) -> Result<(), Malformed> {
    let mut any = false;
    for line in text.split(|byte| *byte == b'\n') {
        if line.trim_ascii().is_empty() {
            continue;
        }
        any = true;
        if !hear(command(json::object(line)?)) {
            return Ok(());
        }
    }
    any.then_some(()).ok_or(Malformed("an empty message"))
}

/// Reads what a client that only listens says: a connect command's content.
///
/// # Errors
/// [`Malformed`] for anything else.
pub fn read_connect(text: &[u8]) -> Result<ConnectRequest<'_>, Malformed> {
    json::object(text)
}

fn command(fields: Fields<'_>) -> ClientCommand<'_> {
    let Fields {
        id,
        connect,
        subscribe,
        unsubscribe,
        publish,
        presence,
        presence_stats,
        history,
        rpc,
        send,
        refresh,
        sub_refresh,
        ping,
    } = fields;
    let none = (id == 0).then_some(CommandKind::Pong);
    let kind = connect
        .map(CommandKind::Connect)
        .or_else(|| subscribe.map(CommandKind::Subscribe))
        .or_else(|| publish.map(CommandKind::Publish))
        .or_else(|| unsubscribe.map(CommandKind::Unsubscribe))
        .or_else(|| presence.map(CommandKind::Presence))
        .or_else(|| presence_stats.map(CommandKind::PresenceStats))
        .or_else(|| history.map(CommandKind::History))
        .or_else(|| rpc.map(CommandKind::Rpc))
        .or_else(|| send.map(|_| CommandKind::Send))
        .or_else(|| refresh.map(CommandKind::Refresh))
        .or_else(|| sub_refresh.map(CommandKind::SubRefresh))
        .or_else(|| ping.map(|_| CommandKind::Ping))
        .or(none)
        .unwrap_or(CommandKind::Unknown);
    ClientCommand { id, kind }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn heard(text: &str) -> Result<Vec<String>, Malformed> {
        let mut all = Vec::new();
        read_commands(text.as_bytes(), |command| {
            all.push(format!("{command:?}"));
            true
        })?;
        Ok(all)
    }

    #[test]
    fn what_the_javascript_client_sends_is_understood() {
        let text = concat!(
            r#"{"connect":{"name":"js"},"id":1}"#,
            "\n",
            r#"{"subscribe":{"channel":"a\"b","flag":1,"recover":true,"offset":7,"#,
            r#""epoch":"x"},"id":2}"#,
            "\n",
            r#"{"publish":{"channel":"c","data":{"a":[1]}},"id":3}"#,
        );
        let mut seen = 0;
        let read = read_commands(text.as_bytes(), |command| {
            seen += 1;
            match (command.id, command.kind) {
                (1, CommandKind::Connect(it)) => assert_eq!(it.name, "js"),
                (2, CommandKind::Subscribe(it)) => {
                    assert_eq!((&*it.channel, it.recover, it.offset), ("a\"b", true, 7));
                    assert!(!it.rejects_unrecovered() && it.epoch == "x");
                }
                (3, CommandKind::Publish(it)) => {
                    assert_eq!(it.data.map(RawValue::get), Some(r#"{"a":[1]}"#));
                }
                other => panic!("{other:?}"),
            }
            true
        });
        assert_eq!((read, seen), (Ok(()), 3));
    }

    #[test]
    fn pings_and_pongs_are_told_from_what_is_unknown() {
        assert_eq!(
            heard("{}").unwrap(),
            ["ClientCommand { id: 0, kind: Pong }"]
        );
        assert_eq!(heard("{}\n{\"id\":4,\"ping\":{}}\n").unwrap().len(), 2);
        let unknown = heard(r#"{"id":4,"dance":{}}"#).unwrap();
        assert_eq!(unknown, ["ClientCommand { id: 4, kind: Unknown }"]);
    }

    #[test]
    fn it_is_heard_in_order_up_to_what_is_malformed_or_enough() {
        let mut count = 0;
        let read = read_commands(b"{}\n{}\n[]\n{}", |_| {
            count += 1;
            true
        });
        assert!(read.is_err() && count == 2);
        let read = read_commands(b"{}\n[]", |_| false);
        assert!(read.is_ok(), "nothing is read after enough");
    }

    #[test]
    fn what_no_client_says_is_malformed() {
        for text in [
            "",
            "\n",
            "x",
            "[]",
            "1",
            "{\"id\":-1}",
            "{\"id\":4294967296}",
            "{\"subscribe\":{\"channel\":1}}",
            "{\"publish\":{\"channel\":\"c\",\"data\":}}",
            "{\"connect\":{},\"connect\":{}}",
            "{\"id\":1",
        ] {
            assert!(heard(text).is_err(), "{text}");
        }
        let deep = format!(
            "{{\"id\":1,\"rpc\":{{\"x\":{}1{}}}}}",
            "[".repeat(500),
            "]".repeat(500)
        );
        // Whatever it is taken for, it is taken without harm.
        let _ = heard(&deep);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = read_commands(&bytes, |_| true);
            let _ = read_connect(&bytes);
        }
    }
}
