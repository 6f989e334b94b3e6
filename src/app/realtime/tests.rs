//! Realtime channels of several cores without a server: what clients say, and what they are told.

use super::rig::Rig;
use super::*;
use crate::app::CallMethod;
use crate::app::Kind;
use crate::protocol::centrifugo::PING;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[test]
fn a_client_connects_subscribes_and_is_told_what_is_said_on_another_core() {
    let mut rig = Rig::new(3);
    let clients: Vec<_> = (0..3).map(|core| rig.client(core)).collect();
    for client in &clients {
        let reply = rig.ask(*client, r#"{"id":2,"subscribe":{"channel":"news:a"}}"#);
        let pushes = rig.all(*client);
        let found = pushes.iter().find(|it| it["id"] == 2).expect("a reply");
        assert_eq!(found["subscribe"]["recoverable"], true, "{reply}");
    }
    for client in &clients {
        rig.say(
            *client,
            "{\"id\":3,\"publish\":{\"channel\":\"news:a\",\"data\":{\"n\":1}}}",
        );
    }
    for client in clients {
        let all = rig.all(client);
        let heard = all.iter().filter(|it| it["push"]["pub"]["data"]["n"] == 1);
        let offsets: Vec<_> = heard
            .map(|it| it["push"]["pub"]["offset"].clone())
            .collect();
        assert_eq!(offsets, [1, 2, 3]);
        assert!(all.iter().any(|it| *it == json!({"id": 3, "publish": {}})));
    }
}

#[test]
fn what_a_client_may_not_do_has_its_code() {
    let mut rig = Rig::new(2);
    let client = rig.client(0);
    let long = "x".repeat(limits::CHANNEL_NAME_BYTES + 1);
    let subscribe = |channel: &str| json!({"id": 5, "subscribe": {"channel": channel}}).to_string();
    let code = |rig: &mut Rig, text: &str| rig.ask(client, text)["error"]["code"].clone();
    assert_eq!(code(&mut rig, &subscribe("")), 107);
    assert_eq!(code(&mut rig, &subscribe(&long)), 107);
    rig.say(client, &subscribe("a"));
    assert_eq!(code(&mut rig, &subscribe("a")), 105);
    assert_eq!(code(&mut rig, r#"{"id":6,"publish":{"channel":"a"}}"#), 107);
    let much = json!({"id": 6, "publish": {"channel": "a", "data": "x".repeat(70_000)}});
    assert_eq!(code(&mut rig, &much.to_string()), 107);
    assert_eq!(code(&mut rig, r#"{"id":6,"rpc":{"method":"x"}}"#), 104);
    assert_eq!(code(&mut rig, r#"{"id":6,"dance":{}}"#), 104);
    let foreign =
        r#"{"id":6,"history":{"channel":"a","limit":1,"since":{"offset":1,"epoch":"x"}}}"#;
    assert_eq!(code(&mut rig, foreign), 112);
    let strict = json!({"id": 7, "subscribe":
        {"channel": "b", "recover": true, "offset": 9, "epoch": "x", "flag": 3}});
    assert_eq!(
        code(&mut rig, &strict.to_string()),
        112,
        "rather nothing than a gap"
    );
    for number in 0..limits::CHANNELS_PER_CLIENT {
        rig.say(client, &subscribe(&number.to_string()));
    }
    assert_eq!(code(&mut rig, &subscribe("more")), 106);
    assert_eq!(rig.closed(client), None, "none of it closes it");
    let echoed = rig.ask(client, r#"{"id":8,"rpc":{"method":"echo","data":[1]}}"#);
    assert_eq!(echoed, json!({"id": 8, "rpc": {"data": [1]}}));
}

#[test]
fn what_no_client_says_closes_it_and_nobody_else() {
    for (text, code) in [
        (r#"{"id":1,"subscribe":{"channel":"a"}}"#, 3501),
        ("{}", 3501),
        ("x", 3501),
        ("", 3501),
        ("[]", 3501),
        (r#"{"connect":{}}"#, 3501),
        (r#"{"id":1,"connect":{"token":"abc"}}"#, 3500),
    ] {
        let mut rig = Rig::new(2);
        let other = rig.client(0);
        let client = rig.comes(0, CENTRIFUGO_SOCKET, "", "");
        rig.say(client, text);
        assert_eq!(rig.closed(client), Some(code), "{text}");
        assert_eq!(rig.closed(other), None);
    }
    let mut rig = Rig::new(2);
    let (client, other) = (rig.client(0), rig.client(0));
    rig.say(client, r#"{"id":2,"connect":{}}"#);
    assert_eq!(rig.closed(client), Some(3501), "twice");
    rig.say_as(other, Kind::Binary, b"{}");
    assert_eq!(rig.closed(other), Some(3501));
    let reason = rig.hall.dismissed[&other.user].reason;
    assert!(!reason.is_empty(), "without one the client would come back");
}

#[test]
fn a_publication_is_written_once_for_all_who_are_spoken_to_alike() {
    let mut rig = Rig::new(1);
    for _ in 0..50 {
        let client = rig.client(0);
        rig.say(client, r#"{"id":2,"subscribe":{"channel":"a"}}"#);
        rig.comes(
            0,
            CENTRIFUGO_STREAM,
            "cf_connect=%7B%22subs%22:%7B%22a%22:%7B%7D%7D%7D",
            "",
        );
        rig.comes(0, CHANNELS, "topic=a", "");
    }
    rig.settle();
    let before = rig.hall.tells;
    let answer = rig.call(0, "/api/publish", r#"{"channel":"a","data":1}"#);
    assert_eq!(answer["result"]["connections"], 150);
    assert_eq!(rig.hall.tells - before, 3, "one for each kind");
}

#[test]
fn who_does_not_answer_a_ping_is_ended_and_who_never_connects_too() {
    let mut rig = Rig::new(1);
    let (silent, good) = (rig.client(0), rig.client(0));
    let stranger = rig.comes(0, CENTRIFUGO_SOCKET, "", "");
    for _ in 0..3 {
        rig.wait(limits::CLIENT_PING_TIME);
        let pinged = rig.told(good).last().is_some_and(|told| told.text == PING);
        assert!(pinged, "each in its time");
        rig.say(good, "{}");
    }
    assert_eq!(rig.closed(silent), Some(3012));
    assert_eq!(rig.closed(stranger), Some(3502));
    assert_eq!(rig.closed(good), None);
}

#[test]
fn who_only_listens_is_told_its_subscriptions_first_and_then_what_came_meanwhile() {
    let mut rig = Rig::new(2);
    let wish = |channels: &[&str]| {
        let subs: BTreeMap<&str, Value> = channels.iter().map(|it| (*it, json!({}))).collect();
        format!("cf_connect={}", json!({ "subs": subs }))
    };
    // A channel whose home is this core is there at once; another has to be waited for.
    let (mut here, mut there) = (Vec::new(), Vec::new());
    for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        rig.comes(1, CENTRIFUGO_STREAM, &wish(&[name]), "");
        let homes = if rig.hall.mail.is_empty() {
            &mut here
        } else {
            &mut there
        };
        homes.push(name);
        rig.settle();
    }
    let (here, there) = (here[0], there[0]);
    let listener = rig.comes(1, CENTRIFUGO_STREAM, &wish(&[here, there, ""]), "");
    let text = json!({"channel": here, "data": "x"}).to_string();
    let call = ApiCall {
        method: CallMethod::Post,
        path: "/api/publish",
        query: "",
        permit: 0,
        text: &text,
    };
    rig.on(1, |app, hall| app.called(User(77), call, hall));
    assert!(
        rig.all(listener).is_empty(),
        "one of its subscriptions is not answered"
    );
    rig.settle();
    let all = rig.all(listener);
    let subs = all[0]["connect"]["subs"]
        .as_object()
        .expect("its subscriptions");
    let named = subs.keys().all(|name| name == here || name == there);
    assert!(named && subs.len() == 2, "the third has no name: {subs:?}");
    assert_eq!(subs[here]["offset"], 0);
    let heard = all[1..].iter().filter(|it| it["pub"]["data"] == "x");
    assert_eq!(heard.count(), 1, "{all:?}");
    rig.call(0, "/api/publish", &text);
    assert_eq!(rig.last(listener)["pub"]["offset"], 2);
    let header = &|_: &str| None;
    let query = "cf_connect=%5B%5D";
    let path = CENTRIFUGO_STREAM;
    let arrival = Arrival {
        share: None,
        purpose: crate::app::ArrivalPurpose::Stay,
        path,
        query,
        header,
    };
    let refused = rig.on(0, |app, _| app.arriving(&arrival));
    assert_eq!(refused.expect_err("no object").status, 400);
}

#[test]
fn an_event_stream_of_several_topics_goes_on_where_it_was_on_any_core() {
    let mut rig = Rig::new(3);
    let stream = rig.comes(0, CHANNELS, "topic=a&topic=b", "");
    rig.settle();
    let ready = rig.told(stream).last().expect("ready").clone();
    assert_eq!(
        (&*ready.name, &*ready.text),
        ("ready", r#"{"topics":["a","b"]}"#)
    );
    let publish = |rig: &mut Rig, topic: &str, data: u32| {
        let text = json!([{"topic": topic, "data": data}]).to_string();
        rig.call(1, "/publish", &text)
    };
    let answer = publish(&mut rig, "a", 1);
    assert_eq!(
        (&answer["connections"], &answer["cores"]),
        (&json!(1), &json!(1))
    );
    let cursor = rig.told(stream).last().and_then(|told| told.cursor.clone());
    let cursor: &'static str = Box::leak(cursor.expect("a cursor").into_boxed_str());
    rig.leaves(stream);
    for (topic, data) in [("a", 2), ("b", 3), ("a", 4)] {
        publish(&mut rig, topic, data);
    }
    let again = rig.comes(2, CHANNELS, "topic=a&topic=b", cursor);
    rig.settle();
    let mut data: Vec<_> = rig.all(again).iter().map(|it| it["data"].clone()).collect();
    assert_eq!(data.pop(), Some(Value::Null), "that is ready");
    data.sort_by_key(Value::to_string);
    assert_eq!(data, [2, 3, 4]);
    let lost = rig.comes(2, CHANNELS, "topic=a&topic=b", "0000beef:1,0000beef:1");
    rig.settle();
    let names: Vec<_> = rig.told(lost).iter().map(|told| &*told.name).collect();
    assert_eq!(names, ["stale", "stale", "ready"]);
}

#[test]
fn the_api_does_what_its_documentation_says() {
    let mut rig = Rig::new(2);
    let client = rig.client(1);
    rig.say(client, r#"{"id":2,"subscribe":{"channel":"a"}}"#);
    let many = r#"{"channels":["a","b"],"data":{"x":1},"tags":{"t":"1"}}"#;
    let responses = rig.call(0, "/api/broadcast", many)["result"]["responses"].take();
    assert_eq!(
        (&responses[0]["result"]["offset"], responses[1].is_object()),
        (&json!(1), true)
    );
    assert_eq!(rig.last(client)["push"]["pub"]["tags"]["t"], "1");
    let history = rig.call(0, "/api/history", r#"{"channel":"a","limit":10}"#);
    assert_eq!(history["result"]["publications"][0]["data"]["x"], 1);
    let stats = rig.call(0, "/api/presence_stats", r#"{"channel":"a"}"#);
    assert_eq!(stats["result"], json!({"num_clients": 1, "num_users": 1}));
    let here = rig.call(0, "/api/presence", r#"{"channel":"a"}"#);
    let here = here["result"]["presence"]
        .as_object()
        .expect("clients")
        .clone();
    let (id, info) = here.iter().next().expect("one");
    assert_eq!(info["client"], **id);
    let one = json!({"client": id, "channel": "news"}).to_string();
    assert_eq!(rig.call(0, "/api/subscribe", &one)["result"]["clients"], 1);
    assert!(
        rig.all(client)
            .iter()
            .any(|it| it["push"]["subscribe"].is_object())
    );
    assert_eq!(
        rig.call(1, "/api/channels", "{}")["result"]["channels"]["news"]["num_clients"],
        1
    );
    assert_eq!(
        rig.call(0, "/api/unsubscribe", &one)["result"]["clients"],
        1
    );
    let unsubscribe = |it: &Value| it["push"]["unsubscribe"]["code"] == 2000;
    assert!(rig.all(client).iter().any(unsubscribe));
    assert_eq!(
        rig.call(0, "/api/history_remove", r#"{"channel":"a"}"#)["result"],
        json!({})
    );
    assert_eq!(
        rig.call(0, "/api/info", "")["result"]["nodes"][0]["num_clients"],
        1
    );
    assert_eq!(rig.call(0, "/api/publish", "{}")["error"]["code"], 107);
    assert_eq!(rig.call(0, "/api/publish", "x")["error"]["code"], 107);
    let skip = r#"{"channel":"a","data":1,"skip_history":true}"#;
    assert_eq!(rig.call(0, "/api/publish", skip)["result"]["offset"], 0);
    let nobody = r#"{"user":"a"}"#;
    assert_eq!(rig.call(0, "/api/refresh", nobody)["result"]["clients"], 0);
    assert_eq!(rig.call(0, "/api/disconnect", "{}")["result"]["clients"], 1);
    assert_eq!(rig.closed(client), Some(3503));
}

#[test]
fn who_shows_no_key_may_not_call() {
    let mut rig = Rig::new(1);
    for path in API {
        let (query, header) = ("", &|_: &str| None);
        let arrival = Arrival {
            share: None,
            purpose: crate::app::ArrivalPurpose::Stay,
            path,
            query,
            header,
        };
        let refused = rig.on(0, |app, _| app.arriving(&arrival));
        assert_eq!(refused.expect_err("no key").status, 401, "{path}");
    }
}

#[test]
fn without_a_plan_there_is_no_channel_and_nobody_may_connect() {
    let mut rig = Rig::new(1);
    rig.cores = vec![RealtimeApp::new(RealtimePlan::default())];
    let client = rig.comes(0, CENTRIFUGO_SOCKET, "", "");
    rig.say(client, r#"{"id":1,"connect":{}}"#);
    assert_eq!(rig.closed(client), Some(3507));
}

#[test]
fn joins_and_leaves_are_told() {
    let mut rig = Rig::new(2);
    let (one, two) = (rig.client(0), rig.client(1));
    for client in [one, two] {
        rig.say(client, r#"{"id":2,"subscribe":{"channel":"a"}}"#);
    }
    rig.leaves(two);
    let all = rig.all(one);
    let of = |what: &str| {
        let told = all.iter().filter(|it| it["push"][what].is_object());
        told.map(|it| it["push"][what]["info"]["client"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!((of("join").len(), of("leave").len()), (2, 1));
    assert_eq!(of("join")[1], of("leave")[0]);
}

#[test]
fn who_comes_and_goes_in_a_large_channel_is_told_in_one_message_and_to_streams_one_by_one() {
    let mut rig = Rig::new(2);
    let uni = rig.comes(0, CENTRIFUGO_STREAM, r#"cf_connect={"subs":{"a":{}}}"#, "");
    let one = rig.client(0);
    let subscribe = r#"{"id":2,"subscribe":{"channel":"a"}}"#;
    rig.say(one, subscribe);
    for number in 0..limits::PRESENCE_TOLD_AT_ONCE {
        let client = rig.client(u16::from(number % 2 == 0));
        rig.say(client, subscribe);
    }
    rig.wait(limits::PRESENCE_TIME);
    rig.hall.told.clear();
    for _ in 0..3 {
        let client = rig.client(1);
        rig.say(client, subscribe);
    }
    rig.wait(limits::PRESENCE_TIME);
    let [diff] = rig.told(one) else {
        panic!("{:?}", rig.told(one));
    };
    let lines = diff
        .text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    let joined: Vec<Value> = lines
        .map(|mut it: Value| it["push"]["join"].take())
        .collect();
    assert!(
        joined.len() == 3 && joined.iter().all(Value::is_object),
        "{joined:?}"
    );
    assert_eq!(rig.all(uni).len(), 3, "each event is one push");
}

proptest! {
    /// Whatever clients say after they connected: an answer, a close code, or nothing.
    #[test]
    fn no_commands_panic(
        said in prop::collection::vec((0u16..2, "[a-z_]{0,8}", any::<u32>(), ".{0,8}"), 0..12),
    ) {
        let mut rig = Rig::new(2);
        let clients = [rig.client(0), rig.client(1)];
        let known = ["subscribe", "unsubscribe", "publish", "presence", "history", "rpc", "send"];
        for (which, name, id, channel) in said {
            let name = known.get(id as usize % 9).map_or(&*name, |known| known);
            let text = json!({"id": id, name: {"channel": channel, "data": 1, "limit": id}});
            let client = clients[usize::from(which)];
            if rig.closed(client).is_none() {
                rig.say(client, &text.to_string());
            }
        }
        for client in clients {
            rig.leaves(client);
        }
        let homed: usize = rig.cores.iter().map(|app| app.hub.homed()).sum();
        prop_assert_eq!(homed, 0, "nobody is left");
    }
}
