//! Clients of `SocketCluster` on several cores without a server: what they say, and what they are
//! told.

use super::rig::{Guest, Rig};
use super::*;
use crate::app::Kind;
use crate::app::tokens::TokenKeys;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use std::sync::Arc;

const SECRET: &[u8] = b"a secret of more than sixteen bytes";

fn token(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET).unwrap();
    encode(&Header::default(), claims, &key).unwrap()
}

fn token_rig() -> Rig {
    let mut keys = TokenKeys::default();
    keys.add_secret(SECRET).unwrap();
    let mut plan = RealtimePlan::with_tokens([7; 32]);
    plan.tokens = Arc::new(keys);
    plan.wall.unix = Duration::from_secs(1000);
    plan.api_key = Some("dev".into());
    Rig::with(plan, 2)
}

fn comes(rig: &mut Rig, core: u16) -> Guest {
    rig.comes(core, SOCKETCLUSTER_SOCKET, "", "")
}

/// A client comes and makes its handshake, perhaps with a token.
fn client(rig: &mut Rig, core: u16, token: Option<&str>) -> Guest {
    let guest = comes(rig, core);
    let shake = json!({"event": "#handshake", "data": {"authToken": token}, "cid": 1});
    rig.say(guest, &shake.to_string());
    let reply = packets(rig, guest).pop().expect("a reply");
    assert_eq!(
        (&reply["rid"], &reply["data"]["pingTimeout"]),
        (&json!(1), &json!(30_000))
    );
    guest
}

/// The response to a call.
fn call(rig: &mut Rig, guest: Guest, event: &str, data: Value) -> Value {
    rig.say(
        guest,
        &json!({"event": event, "data": data, "cid": 9}).to_string(),
    );
    let mut all = packets(rig, guest).into_iter().rev();
    all.find(|it| it["rid"] == 9).unwrap_or_default()
}

/// All that a client was told, batches taken apart.
fn packets(rig: &Rig, guest: Guest) -> Vec<Value> {
    let told = rig.told(guest).iter().filter(|told| !told.text.is_empty());
    let read = told.map(|told| serde_json::from_str(&told.text).expect("JSON"));
    let apart = read.flat_map(|it| match it {
        Value::Array(all) => all,
        one => vec![one],
    });
    apart.collect()
}

#[test]
fn what_is_published_in_any_protocol_is_told_in_all() {
    let mut rig = Rig::new(3);
    let cluster = client(&mut rig, 0, None);
    assert_eq!(
        call(&mut rig, cluster, "#subscribe", json!({"channel": "a"})),
        json!({"rid": 9})
    );
    let centrifugo = rig.client(1);
    rig.say(centrifugo, r#"{"id":2,"subscribe":{"channel":"a"}}"#);
    let stream = rig.comes(2, CHANNELS, "topic=a", "");
    rig.settle();
    rig.say(
        cluster,
        r##"{"event":"#publish","data":{"channel":"a","data":{"by":1}},"cid":3}"##,
    );
    rig.say(
        centrifugo,
        r#"{"id":3,"publish":{"channel":"a","data":{"by":2}}}"#,
    );
    rig.call(2, "/api/publish", r#"{"channel":"a","data":{"by":3}}"#);
    // Without a call it is published too, and not answered.
    rig.say(
        cluster,
        r##"{"event":"#publish","data":{"channel":"a","data":{"by":4}}}"##,
    );
    let said: Vec<_> = (1..5).map(|by| json!({ "by": by })).collect();
    let all = packets(&rig, cluster);
    let published = all.iter().filter(|it| it["event"] == "#publish");
    let told: Vec<_> = published.map(|it| it["data"].clone()).collect();
    let wanted: Vec<_> = said
        .iter()
        .map(|it| json!({"channel": "a", "data": it}))
        .collect();
    assert_eq!(told, wanted);
    assert!(all.contains(&json!({"rid": 3})), "{all:?}");
    let others = rig.all(centrifugo);
    let told = others.iter().map(|it| &it["push"]["pub"]["data"]);
    let told: Vec<_> = told.filter(|it| !it.is_null()).cloned().collect();
    assert_eq!(told, said);
    let told: Vec<_> = rig
        .all(stream)
        .iter()
        .map(|it| it["data"].clone())
        .collect();
    assert_eq!(told[told.len() - 4..], said);
    assert_eq!(
        call(&mut rig, cluster, "#unsubscribe", json!("a")),
        json!({"rid": 9})
    );
    let again = call(&mut rig, cluster, "#unsubscribe", json!("a"));
    assert_eq!(again["error"]["message"], "not subscribed to that channel");
}

#[test]
fn what_comes_before_the_handshake_closes_with_the_code_of_it() {
    for (text, code) in [
        ("", 4009),
        ("x", 4009),
        ("{}", 4009),
        ("[]", 0),
        ("[7]", 4009),
        (
            r##"{"event":"#subscribe","data":{"channel":"a"},"cid":1}"##,
            4009,
        ),
        (r##"{"event":"#handshake","data":{}}"##, 4008),
        (
            r##"[{"event":"#handshake","cid":1},{"event":"#authenticate"}]"##,
            4008,
        ),
    ] {
        let mut rig = Rig::new(1);
        let (guest, other) = (comes(&mut rig, 0), client(&mut rig, 0, None));
        rig.say(guest, text);
        assert_eq!(
            rig.closed(guest),
            Some(code).filter(|code| *code > 0),
            "{text}"
        );
        assert_eq!(rig.closed(other), None);
    }
}

#[test]
fn what_is_no_packet_is_passed_over_after_the_handshake() {
    let mut rig = Rig::new(1);
    let guest = client(&mut rig, 0, None);
    let before = rig.told(guest).len();
    let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    for text in [
        "x",
        "#2",
        "[1,2",
        "{}",
        "[]",
        "{\"rid\":7}",
        "{\"event\":1,\"cid\":1}",
        &deep,
    ] {
        rig.say(guest, text);
    }
    rig.say_as(guest, Kind::Binary, b"\xff");
    assert_eq!((rig.told(guest).len(), rig.closed(guest)), (before, None));
    for (event, data, name) in [
        ("#subscribe", json!({}), "InvalidArgumentsError"),
        (
            "#subscribe",
            json!({"channel": ""}),
            "InvalidArgumentsError",
        ),
        ("#publish", json!("a"), "InvalidArgumentsError"),
        (
            "#unsubscribe",
            json!({"channel": "a"}),
            "InvalidArgumentsError",
        ),
        ("dance", json!(1), "InvalidActionError"),
        ("sum", json!({"a": 1}), "InvalidArgumentsError"),
        ("fail", json!(null), "CustomError"),
    ] {
        let answer = call(&mut rig, guest, event, data);
        assert_eq!(answer["error"]["name"], name, "{event}: {answer}");
    }
    let strange = r##"{"event":"#subscribe","data":{"channel":"a"},"cid":1.5}"##;
    let answer = rig.ask(guest, strange);
    assert_eq!(
        (&answer["rid"], &answer["error"]["code"]),
        (&json!(1.5), &json!(107))
    );
    for number in 0..limits::CHANNELS_PER_CLIENT {
        call(
            &mut rig,
            guest,
            "#subscribe",
            json!({"channel": number.to_string()}),
        );
    }
    let twice = call(&mut rig, guest, "#subscribe", json!({"channel": "0"}));
    assert_eq!(twice, json!({"rid": 9}), "as if it were the first time");
    let more = call(&mut rig, guest, "#subscribe", json!({"channel": "more"}));
    assert_eq!(more["error"]["name"], "ResourceLimitError");
    let counted: std::collections::BTreeMap<_, _> = rig.cores[0].plan.complaints.all().collect();
    assert_eq!(
        (counted["no_command"], counted["unknown_method"]),
        (4, 1),
        "{counted:?}"
    );
}

#[test]
fn a_batch_is_answered_in_one_message_and_its_events_keep_their_order() {
    let mut rig = Rig::new(1);
    let guest = client(&mut rig, 0, None);
    let before = rig.told(guest).len();
    rig.say(
        guest,
        r#"[{"event":"sum","data":{"a":1,"b":2},"cid":2},{"event":"echo","data":{"x":1}},
            {"event":"ping"},{"event":"ping"},{"event":"echo","data":7,"cid":3}]"#,
    );
    assert_eq!(rig.told(guest).len(), before + 1);
    let wanted = json!([{"rid": 2, "data": 3}, {"event": "echoed", "data": {"x": 1}},
        {"event": "pong", "data": {"count": 1}}, {"event": "pong", "data": {"count": 2}},
        {"rid": 3, "data": 7}]);
    assert_eq!(rig.last(guest), wanted);
    rig.say(
        guest,
        r##"[{"event":"ping"},{"event":"#subscribe","data":{"channel":"a"},"cid":4},
            {"event":"#publish","data":{"channel":"a","data":1},"cid":5},{"event":"ping"}]"##,
    );
    let told: Vec<_> = packets(&rig, guest).split_off(6);
    let names: Vec<_> = told
        .iter()
        .map(|it| {
            it["event"]
                .as_str()
                .map_or_else(|| it["rid"].to_string(), str::to_owned)
        })
        .collect();
    assert_eq!(names, ["pong", "4", "#publish", "5", "pong"]);
}

#[test]
fn pings_are_empty_and_silence_closes() {
    let mut rig = Rig::new(1);
    let (good, silent) = (client(&mut rig, 0, None), client(&mut rig, 0, None));
    let stranger = comes(&mut rig, 0);
    for _ in 0..4 {
        rig.wait(limits::CLUSTER_PING_TIME + Duration::from_secs(1));
        assert!(
            rig.told(good)
                .last()
                .is_some_and(|told| told.text.is_empty())
        );
        rig.say(good, "");
    }
    assert_eq!(rig.closed(silent), Some(4001));
    assert_eq!(rig.closed(stranger), Some(4005));
    assert_eq!(rig.closed(good), None);
    for guest in [good, silent, stranger] {
        rig.leaves(guest);
    }
    rig.wait(Duration::from_secs(60));
    assert_eq!(rig.cores[0].deadline(), None, "nobody is looked at");
}

#[test]
fn a_bad_token_is_told_and_another_may_be_shown() {
    let mut rig = token_rig();
    for (shown, name) in [
        ("x.y.z".to_owned(), "AuthTokenInvalidError"),
        (
            token(&json!({"sub": "a", "exp": 999})),
            "AuthTokenExpiredError",
        ),
    ] {
        let guest = client(&mut rig, 0, Some(&shown));
        let all = packets(&rig, guest);
        assert_eq!(
            all[0],
            json!({"event": "#removeAuthToken"}),
            "before the reply"
        );
        let data = &all[1]["data"];
        assert_eq!(
            (&data["authError"]["name"], &data["isAuthenticated"]),
            (&json!(name), &json!(false))
        );
        let denied = call(&mut rig, guest, "#subscribe", json!({"channel": "news"}));
        assert_eq!(denied["error"]["name"], "AuthError");
        let bad = call(&mut rig, guest, "#authenticate", json!("x"));
        assert_eq!(bad["error"]["name"], "AuthTokenInvalidError");
        let good = token(&json!({"sub": "a", "channels": ["news"]}));
        let answer = call(&mut rig, guest, "#authenticate", json!(good));
        assert_eq!(
            answer["data"],
            json!({"isAuthenticated": true, "authError": null})
        );
        let allowed = call(&mut rig, guest, "#subscribe", json!({"channel": "news"}));
        assert_eq!(allowed, json!({"rid": 9}));
        let denied = call(
            &mut rig,
            guest,
            "#publish",
            json!({"channel": "news", "data": 1}),
        );
        assert_eq!(denied["error"]["code"], 103, "the application publishes");
        let of_one = json!({"token": token(&json!({"sub": "a", "channel": "own"}))});
        let wish = json!({"channel": "own", "data": of_one});
        assert_eq!(
            call(&mut rig, guest, "#subscribe", wish.clone()),
            json!({"rid": 9})
        );
        rig.say(guest, r##"{"event":"#removeAuthToken"}"##);
        let kicked = packets(&rig, guest);
        let kicked = kicked.iter().filter(|it| it["event"] == "#kickOut");
        assert_eq!(kicked.count(), 2, "what the token opened is closed");
        assert_eq!(
            call(&mut rig, guest, "#subscribe", wish)["error"]["code"],
            103
        );
        assert_eq!(rig.closed(guest), None);
    }
}

#[test]
fn a_token_that_is_over_is_taken_away_with_what_it_opened() {
    let mut rig = token_rig();
    let claims = json!({"sub": "a", "channels": ["news"], "exp": 1020});
    let guest = client(&mut rig, 0, Some(&token(&claims)));
    call(&mut rig, guest, "#subscribe", json!({"channel": "news"}));
    rig.wait(Duration::from_secs(10));
    rig.say(guest, "");
    assert_eq!(packets(&rig, guest).len(), 2, "not yet");
    rig.wait(Duration::from_secs(11));
    rig.say(guest, "");
    let all = packets(&rig, guest).split_off(2);
    let message = "token expired";
    let kicked = json!({"event": "#kickOut", "data": {"channel": "news", "message": message}});
    assert_eq!(all, [kicked, json!({"event": "#removeAuthToken"})]);
    rig.call(1, "/api/publish", r#"{"channel":"news","data":1}"#);
    assert_eq!(packets(&rig, guest).len(), 4, "it is told nothing more");
}

#[test]
fn time_that_the_application_gives_to_nobody_is_over_once() {
    let mut rig = token_rig();
    let guest = client(&mut rig, 0, None);
    let of_one = json!({"token": token(&json!({"channel": "own", "exp": 1090}))});
    let wish = json!({"channel": "own", "data": of_one});
    assert_eq!(call(&mut rig, guest, "#subscribe", wish), json!({"rid": 9}));
    let id = &packets(&rig, guest)[0]["data"]["id"];
    rig.call(
        1,
        "/api/refresh",
        &json!({"client": id, "expire_at": 1005}).to_string(),
    );
    rig.wait(Duration::from_secs(6));
    for _ in 0..3 {
        rig.say(guest, "");
    }
    let all = packets(&rig, guest).split_off(2);
    let told: Vec<_> = all.iter().map(|it| &it["event"]).collect();
    assert_eq!(told, ["#kickOut", "#removeAuthToken"]);
    assert_eq!(rig.closed(guest), None);
}

#[test]
fn the_application_takes_clients_off_channels_and_ends_them_for_good() {
    let mut rig = Rig::new(2);
    let guest = client(&mut rig, 1, None);
    call(&mut rig, guest, "#subscribe", json!({"channel": "a"}));
    let (all, id) = (packets(&rig, guest), &packets(&rig, guest)[0]["data"]["id"]);
    let id = id.as_str().expect("a name").to_owned();
    assert!(all.len() == 2 && id.len() > 8, "{all:?}");
    let who = json!({"client": id, "channel": "a"}).to_string();
    rig.call(0, "/api/unsubscribe", &who);
    let told = packets(&rig, guest).pop().expect("something");
    assert_eq!(
        (&told["event"], &told["data"]["channel"]),
        (&json!("#kickOut"), &json!("a"))
    );
    rig.call(0, "/api/publish", r#"{"channel":"a","data":1}"#);
    rig.call(0, "/api/sessions/emit", r#"{"all":true,"data":{"x":1}}"#);
    let told = packets(&rig, guest).pop().expect("something");
    assert_eq!(told, json!({"event": "message", "data": {"x": 1}}));
    rig.call(0, "/api/disconnect", &json!({"client": id}).to_string());
    assert_eq!(rig.closed(guest), Some(4503), "it does not come back");
}
