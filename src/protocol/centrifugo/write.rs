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
    /// Where it was said, for who has subscribed to a pattern.
    pub channel: Option<&'a str>,
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
    match (it.channel, it.tags) {
        (None, None) => {}
        (None, Some(tags)) => put(into, format_args!(",\"tags\":{tags}")),
        (Some(channel), tags) => {
            into.extend_from_slice(b",\"channel\":");
            json::string(into, channel);
            // Libraries hand on tags, and not every one that field.
            into.extend_from_slice(b",\"tags\":{\"channel\":");
            json::string(into, channel);
            let own = tags.and_then(|tags| tags.trim_ascii_start().strip_prefix('{'));
            match own.map(str::trim_ascii) {
                None | Some("}") => into.push(b'}'),
                Some(own) => put(into, format_args!(",{own}")),
            }
        }
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
