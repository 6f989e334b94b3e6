//! Replies and pushes of Centrifugo's protocol.

use super::draws::{Draws, line, object, parsed, read};
use crate::fuzzing::property;
use ringstorm::protocol::centrifugo::{
    CloseAdvice, ConnectReply, ErrorCode, InfoView, PublicationView, ServerLine, StreamView,
    SubscribeReply, Wrap,
};
use ringstorm::protocol::{centrifugo, json};
use serde_json::{Map, Value, json};

/// Someone, and what they said.
struct Saying {
    client: u64,
    user: String,
    about: String,
    data: String,
    offset: u64,
    is_known: bool,
    tags: Option<String>,
    within: Option<String>,
}

impl Saying {
    fn draw(draws: &mut Draws<'_>) -> Self {
        Self {
            client: draws.number(),
            user: draws.text(),
            about: draws
                .optional(|it| it.object().to_string())
                .unwrap_or_default(),
            data: draws.json(),
            offset: draws.number(),
            is_known: draws.flag(),
            tags: draws.optional(|it| it.object().to_string()),
            within: draws.optional(Draws::text),
        }
    }

    fn by(&self) -> InfoView<'_> {
        InfoView {
            client: &self.client,
            user: &self.user,
            conn_info: &self.about,
        }
    }

    fn publication(&self) -> PublicationView<'_> {
        PublicationView {
            offset: self.offset,
            data: &self.data,
            by: self.is_known.then(|| self.by()),
            tags: self.tags.as_deref(),
            channel: self.within.as_deref(),
        }
    }

    /// What a client shall read of who it is.
    fn info(&self) -> Value {
        object([
            ("user", Some(json!(self.user))),
            ("client", Some(json!(self.client.to_string()))),
            (
                "conn_info",
                (!self.about.is_empty()).then(|| parsed(&self.about)),
            ),
        ])
    }

    /// What a client shall read of it.
    fn read(&self) -> Value {
        let mut tags = self.tags.as_deref().map(parsed);
        if let Some(within) = &self.within {
            tags.get_or_insert_with(|| json!({}))["channel"] = json!(within);
        }
        object([
            ("data", Some(parsed(&self.data))),
            ("offset", (self.offset > 0).then(|| json!(self.offset))),
            ("info", self.is_known.then(|| self.info())),
            ("channel", self.within.as_ref().map(|within| json!(within))),
            ("tags", tags),
        ])
    }
}

/// What is said to those who have subscribed.
fn pushes(draws: &mut Draws<'_>) {
    let wrap = [Wrap::Push, Wrap::Bare][usize::from(draws.flag())];
    let (channel, why, saying) = (draws.text(), draws.text(), Saying::draw(draws));
    let (code, count) = (draws.small(), draws.number());
    let ttl = draws.optional(Draws::number);
    let inside = |text: &[u8]| {
        let value: Value = serde_json::from_slice(text).expect("JSON");
        match wrap {
            Wrap::Push => value["push"].clone(),
            Wrap::Bare => value,
        }
    };
    let about =
        |name: &str, value: Value| object([("channel", Some(json!(channel))), (name, Some(value))]);
    let text =
        line(|into| centrifugo::push_publication(into, wrap, &channel, saying.publication()));
    assert_eq!(inside(&text), about("pub", saying.read()));
    if wrap == Wrap::Push {
        let heard = |line: ServerLine<'_>| {
            let publication = line
                .push
                .and_then(|push| push.publication)
                .expect("a publication");
            assert_eq!(
                (publication.offset, publication.data.get()),
                (saying.offset, &*saying.data)
            );
        };
        centrifugo::read_server(&text, heard).expect("what a server says");
    }
    let info = json!({"info": saying.info()});
    let text = line(|into| centrifugo::push_join(into, wrap, &channel, saying.by()));
    assert_eq!(inside(&text), about("join", info.clone()));
    let text = line(|into| centrifugo::push_leave(into, wrap, &channel, saying.by()));
    assert_eq!(inside(&text), about("leave", info));
    let text = line(|into| centrifugo::push_unsubscribe(into, wrap, &channel, code, &why));
    assert_eq!(
        inside(&text),
        about("unsubscribe", json!({"code": code, "reason": why}))
    );
    let position = draws.flag().then_some(StreamView {
        epoch: &count,
        offset: saying.offset,
    });
    let text = line(|into| centrifugo::push_subscribe(into, wrap, &channel, position));
    assert_eq!(inside(&text), about("subscribe", place(position)));
    let text = line(|into| centrifugo::push_missed(into, wrap, &channel, count));
    let missed = json!({"data": {"channel": channel, "missed": count}});
    assert_eq!(inside(&text), about("message", missed));
    let heard = |line: ServerLine<'_>| {
        let notice = line.push.and_then(|push| push.notice);
        assert_eq!(
            notice.and_then(|notice| notice.missed()),
            (wrap == Wrap::Push).then_some(count)
        );
    };
    centrifugo::read_server(&text, heard).expect("what a server says");
    let text = line(|into| centrifugo::push_message(into, wrap, &saying.data));
    assert_eq!(
        inside(&text),
        json!({"message": {"data": parsed(&saying.data)}})
    );
    let text = line(|into| centrifugo::push_refresh(into, wrap, ttl));
    assert_eq!(inside(&text), json!({"refresh": until(ttl)}));
    let advice = CloseAdvice::of(code);
    let text = line(|into| centrifugo::push_disconnect(into, wrap, advice));
    assert_eq!(
        inside(&text),
        json!({"disconnect": {"code": code, "reason": advice.reason}})
    );
}

/// A place, as members of an object.
fn place(position: Option<StreamView<'_>>) -> Value {
    position.map_or_else(
        || json!({}),
        |at| {
            let epoch = at.epoch.to_string();
            json!({"recoverable": true, "positioned": true, "epoch": epoch, "offset": at.offset})
        },
    )
}

/// How long something is good, as members of an object.
fn until(ttl: Option<u64>) -> Value {
    ttl.map_or_else(|| json!({}), |ttl| json!({"expires": true, "ttl": ttl}))
}

fn joined(all: &[&Value]) -> Value {
    let members = all.iter().filter_map(|it| it.as_object()).flatten();
    Value::Object(
        members
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    )
}

/// A reply, without its number.
fn reply(id: u32, write: impl FnOnce(&mut Vec<u8>)) -> Value {
    let mut value = read(|into| centrifugo::reply(into, id, write));
    let about = value.as_object_mut().and_then(|all| all.remove("id"));
    assert_eq!(about, Some(json!(id)));
    value
}

/// How subscriptions and connections stand.
fn standings(draws: &mut Draws<'_>) {
    let (id, version) = (u32::from(draws.small()), draws.text());
    let sayings: Vec<_> = (0..draws.byte() % 3).map(|_| Saying::draw(draws)).collect();
    let (client, ping_s, pong) = (draws.number(), draws.number(), draws.flag());
    let (ttl_s, recovered) = (draws.optional(Draws::number), draws.optional(Draws::flag));
    let position = draws.flag().then_some(StreamView {
        epoch: &client,
        offset: ping_s,
    });
    let standing = || SubscribeReply {
        position,
        recovered,
        publications: sayings.iter().map(Saying::publication),
        ttl_s,
    };
    let said: Vec<_> = sayings.iter().map(Saying::read).collect();
    let recovery = object([
        ("was_recovering", recovered.map(|_| json!(true))),
        ("recovered", recovered.filter(|it| *it).map(|it| json!(it))),
        ("publications", (!said.is_empty()).then_some(json!(said))),
    ]);
    let stands = joined(&[&place(position), &recovery, &until(ttl_s)]);
    let text =
        line(|into| centrifugo::reply(into, id, |into| centrifugo::subscribe(into, standing())));
    assert_eq!(
        serde_json::from_slice::<Value>(&text).expect("JSON"),
        json!({"id": id, "subscribe": stands})
    );
    let heard = |line: ServerLine<'_>| {
        let it = line.subscribe.expect("a subscription");
        let offsets = it.publications.iter().map(|it| it.offset);
        assert!(offsets.eq(sayings.iter().map(|it| it.offset)));
        assert_eq!((line.id, it.recovered), (id, recovered == Some(true)));
    };
    centrifugo::read_server(&text, heard).expect("what a server says");
    let mut subs = Vec::new();
    json::string(&mut subs, &version);
    subs.push(b':');
    centrifugo::subscription(&mut subs, standing());
    let connected = ConnectReply {
        client: &client,
        version: &version,
        ping_s,
        pong,
        ttl_s,
    };
    let shown = object([
        ("client", Some(json!(client.to_string()))),
        ("version", Some(json!(version))),
        ("subs", Some(object([(&*version, Some(stands))]))),
        ("ping", (ping_s > 0).then_some(json!(ping_s))),
        ("pong", pong.then_some(json!(true))),
    ]);
    assert_eq!(
        reply(id, |into| centrifugo::connect(into, connected, &subs)),
        json!({"connect": joined(&[&shown, &until(ttl_s)])})
    );
}

/// What is answered to other commands.
fn answers(draws: &mut Draws<'_>) {
    let sayings: Vec<_> = (0..draws.byte() % 3).map(|_| Saying::draw(draws)).collect();
    let (epoch, offset, data) = (draws.number(), draws.number(), draws.json());
    let (clients, ttl_s) = (usize::from(draws.byte()), draws.optional(Draws::number));
    let said: Vec<_> = sayings.iter().map(Saying::read).collect();
    let at = StreamView {
        epoch: &epoch,
        offset,
    };
    let publications = sayings.iter().map(Saying::publication);
    assert_eq!(
        reply(1, |into| centrifugo::history(into, at, publications)),
        json!({"history": {"publications": said, "epoch": epoch.to_string(), "offset": offset}})
    );
    let there = sayings.iter().map(|it| (it.client.to_string(), it.info()));
    let all = sayings.iter().map(Saying::by);
    assert_eq!(
        reply(1, |into| centrifugo::presence(into, all)),
        json!({"presence": {"presence": there.collect::<Map<_, _>>()}})
    );
    assert_eq!(
        reply(1, |into| centrifugo::presence_stats(into, clients, 3)),
        json!({"presence_stats": {"num_clients": clients, "num_users": 3}})
    );
    assert_eq!(
        reply(1, |into| centrifugo::rpc(into, &data)),
        json!({"rpc": {"data": parsed(&data)}})
    );
    assert_eq!(
        reply(1, |into| centrifugo::refresh(into, "sub_refresh", ttl_s)),
        json!({"sub_refresh": until(ttl_s)})
    );
    for error in [ErrorCode::INTERNAL, ErrorCode::UNAUTHORIZED] {
        let why = object([
            ("code", Some(json!(error.code))),
            ("message", Some(json!(error.message))),
            ("temporary", error.temporary.then_some(json!(true))),
        ]);
        let answer = reply(1, |into| centrifugo::error(into, error));
        assert_eq!(answer, json!({"error": why}));
    }
}

#[test]
fn clients_of_centrifugo_read_what_is_meant_whatever_it_is_about() {
    property!(|input: &[u8]| {
        pushes(&mut Draws::new(input));
        standings(&mut Draws::new(input));
        answers(&mut Draws::new(input));
    });
}
