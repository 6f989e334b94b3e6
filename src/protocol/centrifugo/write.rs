//! What a server says: replies and pushes, appended to its caller's buffer, each one line.

use super::super::json;
use super::code::{CloseAdvice, ErrorCode};
use std::fmt::Display;
use std::io::Write as _;

/// Who a client is.
#[derive(Clone, Copy)]
pub struct InfoView<'a> {
    /// What it is called.
    pub client: &'a dyn Display,
    /// Its user.
    pub user: &'a str,
    /// What the application says of it: JSON, or empty.
    pub conn_info: &'a str,
}

/// Something that was said.
#[derive(Clone, Copy)]
pub struct PublicationView<'a> {
    /// Its number; 0 if publications are not numbered for clients.
    pub offset: u64,
    /// The content: JSON.
    pub data: &'a str,
    /// Who said it, if a client did.
    pub by: Option<InfoView<'a>>,
    /// Labels: a JSON object.
    pub tags: Option<&'a str>,
}

/// A place in a history.
#[derive(Clone, Copy)]
pub struct StreamView<'a> {
    /// Which history.
    pub epoch: &'a dyn Display,
    /// How far.
    pub offset: u64,
}

/// How a connection stands.
#[derive(Clone, Copy)]
pub struct ConnectReply<'a> {
    /// What the client is called.
    pub client: &'a dyn Display,
    /// The server's version.
    pub version: &'a str,
    /// Seconds between pings; 0 for none.
    pub ping_s: u64,
    /// Whether the client answers them.
    pub pong: bool,
    /// Seconds until its token is over, if it ever is.
    pub ttl_s: Option<u64>,
}

/// How a subscription stands.
#[derive(Clone, Copy)]
pub struct SubscribeReply<'a, P> {
    /// Where it begins, if the client is to know.
    pub position: Option<StreamView<'a>>,
    /// Whether the client asked for what it missed, and if it did, whether it is whole.
    pub recovered: Option<bool>,
    /// What it missed.
    pub publications: P,
    /// Seconds until its token is over, if it ever is.
    pub ttl_s: Option<u64>,
}

/// Around a push: for clients that also get replies, or for those that only listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrap {
    /// `{"push":{..}}`.
    Push,
    /// `{..}`.
    Bare,
}

/// Appends a reply: what `write` appends is its content, a name and a value.
pub fn reply(into: &mut Vec<u8>, id: u32, write: impl FnOnce(&mut Vec<u8>)) {
    put(into, format_args!("{{\"id\":{id},"));
    write(into);
    into.push(b'}');
}

/// Appends the content of a reply: an error.
pub fn error(into: &mut Vec<u8>, error: ErrorCode) {
    put(
        into,
        format_args!("\"error\":{{\"code\":{},\"message\":", error.code),
    );
    json::string(into, error.message);
    if error.temporary {
        into.extend_from_slice(b",\"temporary\":true");
    }
    into.push(b'}');
}

/// Appends the content of a reply or a push: how a connection stands. `subs` is to what the server
/// has subscribed the client: members of an object, as [`subscription`] writes their values.
pub fn connect(into: &mut Vec<u8>, it: ConnectReply<'_>, subs: &[u8]) {
    put(
        into,
        format_args!("\"connect\":{{\"client\":\"{}\",\"version\":", it.client),
    );
    json::string(into, it.version);
    if !subs.is_empty() {
        into.extend_from_slice(b",\"subs\":{");
        into.extend_from_slice(subs);
        into.push(b'}');
    }
    if it.ping_s > 0 {
        put(into, format_args!(",\"ping\":{}", it.ping_s));
    }
    if it.pong {
        into.extend_from_slice(b",\"pong\":true");
    }
    if let Some(ttl) = it.ttl_s {
        put(into, format_args!(",\"expires\":true,\"ttl\":{ttl}"));
    }
    into.push(b'}');
}

/// Appends the content of a reply: how a subscription stands.
pub fn subscribe<'a>(
    into: &mut Vec<u8>,
    it: SubscribeReply<'_, impl Iterator<Item = PublicationView<'a>>>,
) {
    into.extend_from_slice(b"\"subscribe\":");
    subscription(into, it);
}

/// Appends a value: how a subscription stands.
pub fn subscription<'a>(
    into: &mut Vec<u8>,
    it: SubscribeReply<'_, impl Iterator<Item = PublicationView<'a>>>,
) {
    into.push(b'{');
    if let Some(StreamView { epoch, offset }) = it.position {
        put(
            into,
            format_args!(
                "\"recoverable\":true,\"positioned\":true,\"epoch\":\"{epoch}\",\"offset\":{offset}"
            ),
        );
    }
    if let Some(recovered) = it.recovered {
        next(into);
        into.extend_from_slice(b"\"was_recovering\":true");
        if recovered {
            into.extend_from_slice(b",\"recovered\":true");
        }
    }
    if let Some(ttl) = it.ttl_s {
        next(into);
        put(into, format_args!("\"expires\":true,\"ttl\":{ttl}"));
    }
    let mut publications = it.publications.peekable();
    if publications.peek().is_some() {
        next(into);
        into.extend_from_slice(b"\"publications\":[");
        list(into, publications, |into, it| publication(into, it));
        into.push(b']');
    }
    into.push(b'}');
}

/// Appends the content of a reply: a part of a history.
pub fn history<'a>(
    into: &mut Vec<u8>,
    at: StreamView<'_>,
    publications: impl Iterator<Item = PublicationView<'a>>,
) {
    into.extend_from_slice(b"\"history\":{\"publications\":[");
    list(into, publications, |into, it| publication(into, it));
    let StreamView { epoch, offset } = at;
    put(
        into,
        format_args!("],\"epoch\":\"{epoch}\",\"offset\":{offset}}}"),
    );
}

/// Appends the content of a reply: who is in a channel.
pub fn presence<'a>(into: &mut Vec<u8>, clients: impl Iterator<Item = InfoView<'a>>) {
    into.extend_from_slice(b"\"presence\":{\"presence\":{");
    list(into, clients, |into, it| {
        put(into, format_args!("\"{}\":", it.client));
        info(into, it);
    });
    into.extend_from_slice(b"}}");
}

/// Appends the content of a reply: how many are in a channel.
pub fn presence_stats(into: &mut Vec<u8>, clients: usize, users: usize) {
    put(
        into,
        format_args!("\"presence_stats\":{{\"num_clients\":{clients},\"num_users\":{users}}}"),
    );
}

/// Appends the content of a reply: what a procedure returned.
pub fn rpc(into: &mut Vec<u8>, data: &str) {
    put(into, format_args!("\"rpc\":{{\"data\":{data}}}"));
}

/// Appends the content of a reply: a new token was taken, for so many seconds if that is known.
pub fn refresh(into: &mut Vec<u8>, name: &str, ttl_s: Option<u64>) {
    match ttl_s {
        Some(ttl) => put(
            into,
            format_args!("\"{name}\":{{\"expires\":true,\"ttl\":{ttl}}}"),
        ),
        None => put(into, format_args!("\"{name}\":{{}}")),
    }
}

/// Appends a push: something was said in a channel.
pub fn push_publication(into: &mut Vec<u8>, wrap: Wrap, channel: &str, it: PublicationView<'_>) {
    push(into, wrap, Some(channel), |into| {
        into.extend_from_slice(b"\"pub\":");
        publication(into, it);
    });
}

/// Appends a push: a client came.
pub fn push_join(into: &mut Vec<u8>, wrap: Wrap, channel: &str, who: InfoView<'_>) {
    push(into, wrap, Some(channel), |into| {
        into.extend_from_slice(b"\"join\":{\"info\":");
        info(into, who);
        into.push(b'}');
    });
}

/// Appends a push: a client went.
pub fn push_leave(into: &mut Vec<u8>, wrap: Wrap, channel: &str, who: InfoView<'_>) {
    push(into, wrap, Some(channel), |into| {
        into.extend_from_slice(b"\"leave\":{\"info\":");
        info(into, who);
        into.push(b'}');
    });
}

/// Appends a push: the server has subscribed the client.
pub fn push_subscribe(
    into: &mut Vec<u8>,
    wrap: Wrap,
    channel: &str,
    position: Option<StreamView<'_>>,
) {
    push(into, wrap, Some(channel), |into| {
        into.extend_from_slice(b"\"subscribe\":");
        let it = SubscribeReply {
            position,
            recovered: None,
            publications: std::iter::empty(),
            ttl_s: None,
        };
        subscription(into, it);
    });
}

/// Appends a push: a subscription is over.
pub fn push_unsubscribe(into: &mut Vec<u8>, wrap: Wrap, channel: &str, code: u16, why: &str) {
    push(into, wrap, Some(channel), |into| {
        put(
            into,
            format_args!("\"unsubscribe\":{{\"code\":{code},\"reason\":"),
        );
        json::string(into, why);
        into.push(b'}');
    });
}

/// Appends a push: so many publications were passed over, because the client does not read. The
/// protocol has no word for it, so it is a message.
pub fn push_missed(into: &mut Vec<u8>, wrap: Wrap, channel: &str, count: u64) {
    push(into, wrap, Some(channel), |into| {
        into.extend_from_slice(b"\"message\":{\"data\":{\"channel\":");
        json::string(into, channel);
        put(into, format_args!(",\"missed\":{count}}}}}"));
    });
}

/// Appends a push: JSON that is in no channel.
pub fn push_message(into: &mut Vec<u8>, wrap: Wrap, data: &str) {
    push(into, wrap, None, |into| {
        put(into, format_args!("\"message\":{{\"data\":{data}}}"));
    });
}

/// Appends a push: the connection's time is another one.
pub fn push_refresh(into: &mut Vec<u8>, wrap: Wrap, ttl_s: Option<u64>) {
    push(into, wrap, None, |into| refresh(into, "refresh", ttl_s));
}

/// Appends a push: the connection is about to be closed, for clients that are not told otherwise.
pub fn push_disconnect(into: &mut Vec<u8>, wrap: Wrap, advice: CloseAdvice) {
    push(into, wrap, None, |into| {
        put(
            into,
            format_args!("\"disconnect\":{{\"code\":{},\"reason\":", advice.code),
        );
        json::string(into, advice.reason);
        into.push(b'}');
    });
}

/// Appends a publication as an object.
pub fn publication(into: &mut Vec<u8>, it: PublicationView<'_>) {
    put(into, format_args!("{{\"data\":{}", it.data));
    if it.offset > 0 {
        put(into, format_args!(",\"offset\":{}", it.offset));
    }
    if let Some(by) = it.by {
        into.extend_from_slice(b",\"info\":");
        info(into, by);
    }
    if let Some(tags) = it.tags {
        put(into, format_args!(",\"tags\":{tags}"));
    }
    into.push(b'}');
}

/// Appends who a client is as an object.
pub fn info(into: &mut Vec<u8>, it: InfoView<'_>) {
    into.extend_from_slice(b"{\"user\":");
    json::string(into, it.user);
    put(into, format_args!(",\"client\":\"{}\"", it.client));
    if !it.conn_info.is_empty() {
        put(into, format_args!(",\"conn_info\":{}", it.conn_info));
    }
    into.push(b'}');
}

fn push(into: &mut Vec<u8>, wrap: Wrap, channel: Option<&str>, write: impl FnOnce(&mut Vec<u8>)) {
    into.extend_from_slice(match wrap {
        Wrap::Push => b"{\"push\":{",
        Wrap::Bare => b"{",
    });
    if let Some(channel) = channel {
        into.extend_from_slice(b"\"channel\":");
        json::string(into, channel);
        into.push(b',');
    }
    write(into);
    into.extend_from_slice(match wrap {
        Wrap::Push => b"}}",
        Wrap::Bare => b"}",
    });
}

fn list<T>(
    into: &mut Vec<u8>,
    all: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    for (at, it) in all.enumerate() {
        if at > 0 {
            into.push(b',');
        }
        write(into, it);
    }
}

/// Another member of an object.
fn next(into: &mut Vec<u8>) {
    if into.last() != Some(&b'{') {
        into.push(b',');
    }
}

fn put(into: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a Vec does not fail.
    let _ = into.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(write: impl FnOnce(&mut Vec<u8>)) -> Value {
        let mut text = Vec::new();
        write(&mut text);
        assert!(!text.contains(&b'\n'), "clients split at line breaks");
        serde_json::from_slice(&text).expect("json")
    }

    const BY: InfoView<'static> = InfoView {
        client: &"id",
        user: "a\"nn",
        conn_info: "{\"n\":1}",
    };

    fn said(offset: u64) -> PublicationView<'static> {
        PublicationView {
            offset,
            data: "[1]",
            by: Some(BY),
            tags: Some("{\"t\":\"1\"}"),
        }
    }

    /// What `centrifuge` 5.8 reads: `_handlePush`, `_getPublicationContext`,
    /// `_getJoinLeaveContext`.
    #[test]
    fn pushes_are_what_the_javascript_client_reads() {
        let push = read(|into| push_publication(into, Wrap::Push, "c\"h", said(7)));
        let info = json!({"user": "a\"nn", "client": "id", "conn_info": {"n": 1}});
        let publication = json!({"data": [1], "offset": 7, "info": info, "tags": {"t": "1"}});
        assert_eq!(
            push,
            json!({"push": {"channel": "c\"h", "pub": publication}})
        );
        let push = read(|into| push_join(into, Wrap::Bare, "c", BY));
        assert_eq!(push, json!({"channel": "c", "join": {"info": info}}));
        let push = read(|into| push_leave(into, Wrap::Push, "c", BY));
        assert_eq!(push["push"]["leave"]["info"], info);
        let push = read(|into| push_unsubscribe(into, Wrap::Push, "c", 2500, "x"));
        assert_eq!(
            push["push"]["unsubscribe"],
            json!({"code": 2500, "reason": "x"})
        );
        let push = read(|into| push_subscribe(into, Wrap::Push, "c", None));
        assert_eq!(push["push"], json!({"channel": "c", "subscribe": {}}));
        let push = read(|into| push_disconnect(into, Wrap::Bare, CloseAdvice::SLOW));
        assert_eq!(
            push,
            json!({"disconnect": {"code": 3008, "reason": "slow"}})
        );
    }

    #[test]
    fn replies_are_what_the_javascript_client_reads() {
        let (epoch, offset) = (&"e" as &dyn Display, 9);
        let at = StreamView { epoch, offset };
        let subscribed = read(|into| {
            reply(into, 2, |into| {
                let it = SubscribeReply {
                    position: Some(at),
                    recovered: Some(true),
                    publications: [said(9)].into_iter(),
                    ttl_s: None,
                };
                subscribe(into, it);
            });
        });
        assert_eq!(subscribed["id"], 2);
        let it = &subscribed["subscribe"];
        assert_eq!((&it["epoch"], &it["offset"]), (&json!("e"), &json!(9)));
        assert_eq!(
            (&it["recovered"], &it["was_recovering"]),
            (&json!(true), &json!(true))
        );
        assert_eq!(it["publications"][0]["offset"], 9);
        let read_history =
            read(|into| reply(into, 3, |into| history(into, at, [said(9)].into_iter())));
        assert_eq!(
            read_history["history"]["publications"][0]["data"],
            json!([1])
        );
        let here = read(|into| reply(into, 4, |into| presence(into, [BY].into_iter())));
        assert_eq!(here["presence"]["presence"]["id"]["user"], "a\"nn");
        let count = read(|into| reply(into, 4, |into| presence_stats(into, 3, 2)));
        assert_eq!(
            count["presence_stats"],
            json!({"num_clients": 3, "num_users": 2})
        );
        let failed = read(|into| reply(into, 5, |into| error(into, ErrorCode::INTERNAL)));
        let wanted = json!({"code": 100, "message": "internal server error", "temporary": true});
        assert_eq!(failed, json!({"id": 5, "error": wanted}));
        let called = read(|into| reply(into, 5, |into| rpc(into, "[2]")));
        assert_eq!(called["rpc"]["data"], json!([2]));
    }

    #[test]
    fn a_connect_reply_tells_pings_and_subscriptions() {
        let it = ConnectReply {
            client: &"id",
            version: "1",
            ping_s: 25,
            pong: true,
            ttl_s: None,
        };
        let connected = read(|into| {
            reply(into, 1, |into| connect(into, it, b"\"c\":{}"));
        });
        let wanted = json!({"client": "id", "version": "1", "subs": {"c": {}}, "ping": 25,
            "pong": true});
        assert_eq!(connected["connect"], wanted);
        let ping_s = 0;
        let pong = false;
        let quiet = ConnectReply { ping_s, pong, ..it };
        let connected = read(|into| reply(into, 1, |into| connect(into, quiet, b"")));
        assert_eq!(
            connected["connect"],
            json!({"client": "id", "version": "1"})
        );
    }
}
