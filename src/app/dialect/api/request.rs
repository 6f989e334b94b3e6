//! What is called over HTTP, read from its JSON.

use crate::app::dialect::centrifugo::excerpt;
use crate::app::hub::history::Excerpt;
use crate::app::hub::letter::{ClientAction, Stay};
use crate::app::hub::session::SessionId;
use crate::limits;
use crate::protocol::Malformed;
use crate::protocol::centrifugo::HistoryRequest;
use crate::protocol::json;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// One request.
#[derive(Debug)]
pub(super) enum ApiRequest {
    Publish(PublishOrder),
    Presence(Channel),
    PresenceStats(Channel),
    History(String, Excerpt),
    HistoryRemove(Channel),
    /// What a session holds, who is in it, or what it shall hold.
    Session(SessionId, SessionQuestion),
    /// A token is good no more.
    Revoke(String),
    /// Something that concerns clients, on every core.
    Clients(Clients, ClientAction),
    /// There is no such method.
    Unknown,
}

/// What is asked of a session.
#[derive(Debug)]
pub(super) enum SessionQuestion {
    Get,
    Set(Box<str>),
    Clients,
}

#[derive(Debug, Deserialize)]
struct SessionCall {
    session: String,
    data: Option<Box<RawValue>>,
}

/// To say something.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct PublishOrder {
    #[serde(default, alias = "topic")]
    pub(super) channel: String,
    pub(super) data: Option<Box<RawValue>>,
    #[serde(default)]
    pub(super) skip_history: bool,
    pub(super) tags: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Channel {
    #[serde(default)]
    pub(super) channel: String,
}

/// Which clients are meant.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Clients {
    #[serde(default)]
    pub(super) user: String,
    #[serde(default)]
    pub(super) client: String,
    /// A session, or its cookie.
    #[serde(default)]
    pub(super) session: String,
    /// All but that client.
    #[serde(default)]
    pub(super) except: String,
    /// Everyone.
    #[serde(default)]
    pub(super) all: bool,
    #[serde(default)]
    expired: bool,
    #[serde(default)]
    expire_at: u64,
    data: Option<Box<RawValue>>,
    #[serde(default)]
    channel: String,
    #[serde(default)]
    pattern: String,
    disconnect: Option<Code>,
}

#[derive(Debug, Deserialize)]
struct Code {
    code: u16,
}

/// Reads the request of a method.
pub(super) fn one(method: &str, text: &str) -> Result<ApiRequest, Malformed> {
    Ok(match method {
        "publish" => ApiRequest::Publish(object(text)?),
        "presence" => ApiRequest::Presence(object(text)?),
        "presence_stats" => ApiRequest::PresenceStats(object(text)?),
        "history" => {
            let request: HistoryRequest<'_> = object(text)?;
            let excerpt = excerpt(&request);
            ApiRequest::History(request.channel.into_owned(), excerpt)
        }
        "history_remove" => ApiRequest::HistoryRemove(object(text)?),
        "tokens/revoke" => {
            #[derive(Deserialize)]
            struct Revoked {
                token: String,
            }
            let Revoked { token } = object(text)?;
            if token.is_empty() || token.len() > limits::TOKEN_BYTES {
                return Err(Malformed("no token"));
            }
            ApiRequest::Revoke(token)
        }
        "sessions/get" | "sessions/set" | "sessions/clients" => session(method, text)?,
        "subscribe" | "unsubscribe" | "disconnect" | "refresh" | "channels" | "info"
        | "sessions/emit" => {
            let mut clients: Clients = object(text)?;
            let channel = std::mem::take(&mut clients.channel);
            let want = match method {
                "subscribe" if channel.is_empty() => return Err(Malformed("no channel")),
                "subscribe" => ClientAction::Subscribe(channel.into()),
                "unsubscribe" => {
                    let channel = (!channel.is_empty()).then(|| channel.into());
                    ClientAction::Unsubscribe(channel)
                }
                "disconnect" => {
                    let code = clients.disconnect.as_ref().map(|it| it.code);
                    if code.is_some_and(|code| !(3000..5000).contains(&code)) {
                        return Err(Malformed("a close code is 3000 to 4999"));
                    }
                    ClientAction::Disconnect(super::advice(code))
                }
                "sessions/emit" => {
                    let data = clients.data.take().ok_or(Malformed("no data"))?;
                    ClientAction::Emit(json::one_line(data.get()).as_ref().into())
                }
                "refresh" => ClientAction::Refresh(match (clients.expired, clients.expire_at) {
                    (true, _) => Stay::Over,
                    (false, 0) => Stay::Endless,
                    (false, until_s) => Stay::Until(until_s),
                }),
                "channels" => {
                    let pattern = std::mem::take(&mut clients.pattern);
                    ClientAction::Channels(pattern.replace('*', "").into())
                }
                _ => ClientAction::Count,
            };
            ApiRequest::Clients(clients, want)
        }
        _ => ApiRequest::Unknown,
    })
}

/// Reads a call about a session.
fn session(method: &str, text: &str) -> Result<ApiRequest, Malformed> {
    let SessionCall { session, data } = object(text)?;
    let id = session_id(&session).ok_or(Malformed("no session"))?;
    let question = match (method, data) {
        ("sessions/set", Some(data)) => SessionQuestion::Set(data.get().into()),
        ("sessions/set", None) => return Err(Malformed("no data")),
        ("sessions/clients", _) => SessionQuestion::Clients,
        _ => SessionQuestion::Get,
    };
    Ok(ApiRequest::Session(id, question))
}

/// The session of that id, or of that cookie.
pub(super) fn session_id(text: &str) -> Option<SessionId> {
    let id = text.split_once('.').map_or(text, |(id, _)| id);
    SessionId::parse(id)
}

/// Reads a publication for several channels.
pub(super) fn broadcast(text: &str) -> Result<Vec<ApiRequest>, Malformed> {
    #[derive(Deserialize)]
    struct Broadcast {
        channels: Vec<String>,
    }
    let Broadcast { channels } = object(text)?;
    let order: PublishOrder = object(text)?;
    let each = channels.into_iter().map(|channel| {
        ApiRequest::Publish(PublishOrder {
            channel,
            ..order.clone()
        })
    });
    bounded(each.collect())
}

/// Reads several requests: objects with one member each, a method and its parameters.
pub(super) fn batch(text: &str) -> Result<Vec<ApiRequest>, Malformed> {
    #[derive(Deserialize)]
    struct Commands<'a> {
        #[serde(borrow)]
        commands: Vec<BTreeMap<&'a str, &'a RawValue>>,
    }
    let Commands { commands } = object(text)?;
    let each = commands.iter().map(|command| match command.iter().next() {
        Some((method, request)) if command.len() == 1 => one(method, request.get()),
        _ => Err(Malformed("one method a command")),
    });
    bounded(each.collect::<Result<_, _>>()?)
}

/// Reads one publication, or an array of them.
pub(super) fn publications(text: &str) -> Result<Vec<ApiRequest>, Malformed> {
    if !text.trim_ascii_start().starts_with('[') {
        return Ok(vec![ApiRequest::Publish(object(text)?)]);
    }
    let all: Result<Vec<PublishOrder>, _> = serde_json::from_str(text);
    let all = all.map_err(|_| SHAPE)?;
    bounded(all.into_iter().map(ApiRequest::Publish).collect())
}

/// Reads a broadcast of Rails by way of `AnyCable`, or an array of them: the data is a text that is
/// JSON again.
pub(super) fn cable_broadcasts(text: &str) -> Result<Vec<ApiRequest>, Malformed> {
    #[derive(Deserialize)]
    struct Broadcast {
        stream: String,
        data: Box<RawValue>,
    }
    let all: Result<Vec<Broadcast>, _> = match text.trim_ascii_start().starts_with('[') {
        true => serde_json::from_str(text),
        false => serde_json::from_str(text).map(|one| vec![one]),
    };
    let each = all.map_err(|_| SHAPE)?.into_iter().map(|it| {
        let inner = serde_json::from_str::<String>(it.data.get());
        let inner = inner.ok().and_then(|it| RawValue::from_string(it).ok());
        ApiRequest::Publish(PublishOrder {
            channel: it.stream,
            data: Some(inner.unwrap_or(it.data)),
            skip_history: false,
            tags: None,
        })
    });
    bounded(each.collect())
}

/// Requests of one call.
const REQUESTS: usize = 1000;

const SHAPE: Malformed = Malformed("an object of another shape");

fn bounded(all: Vec<ApiRequest>) -> Result<Vec<ApiRequest>, Malformed> {
    match all.len() {
        1..=REQUESTS => Ok(all),
        _ => Err(Malformed("1 to 1000 at once")),
    }
}

/// An empty body stands for no parameters.
fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Malformed> {
    let text = text.trim_ascii();
    let text = if text.is_empty() { "{}" } else { text };
    match text.starts_with('{') {
        true => serde_json::from_str(text).map_err(|_| SHAPE),
        false => Err(SHAPE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_batch_is_read_in_order() {
        let text = r#"{"commands":[{"publish":{"channel":"a","data":1}},{"info":{}},{"x":{}}]}"#;
        let all = batch(text).expect("a batch");
        assert!(matches!(&all[0], ApiRequest::Publish(it) if it.channel == "a"));
        assert!(matches!(
            &all[1],
            ApiRequest::Clients(_, ClientAction::Count)
        ));
        assert!(matches!(&all[2], ApiRequest::Unknown));
    }

    #[test]
    fn a_broadcast_is_a_publication_for_each_channel() {
        let text = r#"{"channels":["a","b"],"data":{"x":1},"tags":{"t":"1"}}"#;
        let all = broadcast(text).expect("a broadcast");
        let [ApiRequest::Publish(one), ApiRequest::Publish(two)] = &all[..] else {
            panic!("{all:?}");
        };
        assert_eq!((&*one.channel, &*two.channel), ("a", "b"));
        assert_eq!(two.data.as_deref().map(RawValue::get), Some("{\"x\":1}"));
        assert!(two.tags.is_some());
    }

    #[test]
    fn topics_and_channels_are_the_same() {
        for text in [
            r#"{"topic":"a","data":1}"#,
            r#"[{"channel":"a","data":1},{"topic":"b","data":2}]"#,
        ] {
            let all = publications(text).expect("publications");
            assert!(matches!(&all[0], ApiRequest::Publish(it) if it.channel == "a"));
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for (method, text) in [
            ("publish", "x"),
            ("publish", "[]"),
            ("publish", "{\"channel\":1}"),
            ("subscribe", "{\"user\":\"a\"}"),
            ("disconnect", "{\"disconnect\":{\"code\":1000}}"),
            ("tokens/revoke", "{\"token\":\"\"}"),
        ] {
            assert!(one(method, text).is_err(), "{method} {text}");
        }
        assert!(one("info", "").is_ok(), "without parameters");
        assert!(batch("{\"commands\":[]}").is_err() && batch("{\"commands\":[{}]}").is_err());
        assert!(broadcast("{\"channels\":[]}").is_err());
        let many = format!("[{}{{}}]", "{},".repeat(REQUESTS));
        assert!(publications(&many).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String, method: String) {
            let _ = (one(&method, &text), batch(&text), broadcast(&text), publications(&text));
        }
    }
}
