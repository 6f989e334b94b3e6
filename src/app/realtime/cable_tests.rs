//! Clients of `ActionCable` on several cores without a server: what they say, and what they are
//! told.

use super::cable_rig::{EXTENDED, about, client, comes, command, identifier};
use super::rig::Rig;
use super::*;
use crate::app::Kind;
use crate::app::dialect::cable::StreamKey;
use crate::app::tokens::TokenKeys;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use std::sync::Arc;

const SECRET: &[u8] = b"a secret of more than sixteen bytes";

fn token(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET).unwrap();
    encode(&Header::default(), claims, &key).unwrap()
}

/// A server that only tokens and signatures open.
fn closed_rig() -> Rig {
    let mut keys = TokenKeys::default();
    keys.add_secret(SECRET).unwrap();
    let mut plan = RealtimePlan::with_tokens([7; 32]);
    plan.tokens = Arc::new(keys);
    plan.wall.unix = Duration::from_secs(1000);
    plan.api_key = Some("dev".into());
    plan.stream_key = StreamKey::new(b"key");
    Rig::with(plan, 2)
}

fn perform(params: &Value, data: &Value) -> String {
    json!({"command": "message", "identifier": identifier(params), "data": data.to_string()})
        .to_string()
}

fn signed(name: &str) -> Value {
    let name = StreamKey::new(b"key").sign(name).expect("a key");
    json!({"channel": "$pubsub", "signed_stream_name": name})
}

#[test]
fn what_is_spoken_reaches_all_who_call_the_room_whatever_they_call_it() {
    let mut rig = Rig::new(3);
    let chat = json!({"channel": "ChatChannel", "room": "a"});
    // The same room, called otherwise.
    let other = json!({"channel": "ChatChannel", "room": "a", "x": 1});
    let guests: Vec<_> = (0..3).map(|core| client(&mut rig, core)).collect();
    for guest in &guests {
        assert_eq!(
            rig.ask(*guest, &command("subscribe", &chat)),
            about(&chat, "confirm_subscription")
        );
    }
    rig.say(guests[0], &command("subscribe", &other));
    assert_eq!(rig.last(guests[0]), about(&other, "confirm_subscription"));
    let centrifugo = rig.client(1);
    rig.say(centrifugo, r#"{"id":2,"subscribe":{"channel":"chat:a"}}"#);
    let said = json!({"action": "speak", "text": "\u{e9}\n"});
    let before = rig.told(guests[0]).len();
    rig.say(guests[1], &perform(&chat, &said));
    for guest in &guests[1..] {
        assert_eq!(
            rig.last(*guest),
            json!({"identifier": identifier(&chat), "message": said})
        );
    }
    assert_eq!(rig.told(guests[0]).len(), before + 2, "by both names");
    assert_eq!(rig.last(centrifugo)["push"]["pub"]["data"], said);
    rig.say(
        centrifugo,
        r#"{"id":3,"publish":{"channel":"chat:a","data":7}}"#,
    );
    assert_eq!(rig.last(guests[2])["message"], 7);
    rig.say(guests[0], &command("unsubscribe", &chat));
    let before = rig.told(guests[0]).len();
    rig.call(0, "/api/publish", r#"{"channel":"chat:a","data":8}"#);
    assert_eq!(
        rig.last(guests[0]),
        json!({"identifier": identifier(&other), "message": 8})
    );
    assert_eq!(
        rig.told(guests[0]).len(),
        before + 1,
        "by the name that is left"
    );
}

#[test]
fn whoever_subscribes_twice_is_told_twice_and_told_things_once() {
    let mut rig = Rig::new(1);
    let guest = client(&mut rig, 0);
    let echo = json!({"channel": "EchoChannel"});
    let chat = json!({"channel": "ChatChannel"});
    for params in [&echo, &chat, &echo, &chat] {
        let told = rig.ask(guest, &command("subscribe", params));
        assert_eq!(told, about(params, "confirm_subscription"));
    }
    let x = json!({"action": "echo", "n": [1, {"a": null}]});
    let told = rig.ask(guest, &perform(&echo, &x));
    assert_eq!(told, json!({"identifier": identifier(&echo), "message": x}));
    let before = rig.told(guest).len();
    rig.say(guest, &perform(&chat, &json!({"action": "speak"})));
    assert_eq!(rig.told(guest).len(), before + 1);
}

#[test]
fn what_is_not_there_is_rejected_and_what_is_no_command_is_passed_over() {
    let mut rig = Rig::new(1);
    let guest = client(&mut rig, 0);
    let long = json!({"channel": "ChatChannel", "room": "x".repeat(2000)});
    for params in [
        json!({"channel": "OtherChannel"}),
        json!({"channel": "$pubsub"}),
        json!({"channel": "ChatChannel", "room": {}}),
        json!({"channel": "$pubsub", "stream_name": ""}),
        json!({"channel": "$pubsub", "stream_name": "$sessions"}),
        json!({"channel": "$pubsub", "signed_stream_name": "a--b"}),
        json!([1]),
        long,
    ] {
        let told = rig.ask(guest, &command("subscribe", &params));
        assert_eq!(told, about(&params, "reject_subscription"));
    }
    let before = rig.told(guest).len();
    let chat = json!({"channel": "ChatChannel"});
    for text in [
        String::new(),
        "x".to_owned(),
        "{}".to_owned(),
        "[]".to_owned(),
        r#"{"command":"dance"}"#.to_owned(),
        r#"{"command":"pong"}"#.to_owned(),
        command("unsubscribe", &chat),
        perform(&chat, &json!({"action": "speak"})),
        command("message", &chat),
    ] {
        rig.say(guest, &text);
    }
    rig.say_as(guest, Kind::Binary, b"\xff");
    rig.say(guest, &command("subscribe", &chat));
    for data in ["", "x", "[1]", "{", "{}}"] {
        let text = json!({"command": "message", "identifier": identifier(&chat), "data": data});
        rig.say(guest, &text.to_string());
    }
    rig.say(guest, &perform(&chat, &json!({"action": "shout"})));
    assert_eq!(
        (rig.told(guest).len(), rig.closed(guest)),
        (before + 1, None)
    );
    for number in 0..limits::CHANNELS_PER_CLIENT {
        rig.say(
            guest,
            &command(
                "subscribe",
                &json!({"channel": "ChatChannel", "room": number}),
            ),
        );
    }
    let last = rig.last(guest);
    assert_eq!(
        last["type"], "reject_subscription",
        "one is there already: {last}"
    );
    rig.leaves(guest);
}

#[test]
fn pings_come_every_three_seconds_to_all() {
    let mut rig = Rig::new(1);
    let guests: Vec<_> = (0..40).map(|_| client(&mut rig, 0)).collect();
    rig.wait(limits::CABLE_PING_TIME + Duration::from_secs(1));
    for guest in &guests {
        let pings = rig
            .all(*guest)
            .into_iter()
            .filter(|it| it["type"] == "ping");
        assert!((1..=2).contains(&pings.count()));
        rig.leaves(*guest);
    }
    rig.wait(Duration::from_secs(30));
    assert_eq!(rig.cores[0].deadline(), None, "nobody is pinged");
}

#[test]
fn only_signed_streams_and_tokens_open_a_server_that_is_not_open() {
    let mut rig = closed_rig();
    let guest = client(&mut rig, 0);
    let news = signed("news");
    assert_eq!(
        rig.ask(guest, &command("subscribe", &news)),
        about(&news, "confirm_subscription")
    );
    let turbo = json!({"channel": "Turbo::StreamsChannel",
        "signed_stream_name": news["signed_stream_name"]});
    assert_eq!(
        rig.ask(guest, &command("subscribe", &turbo)),
        about(&turbo, "confirm_subscription")
    );
    let public = json!({"channel": "$pubsub", "stream_name": "news"});
    for params in [&public, &json!({"channel": "EchoChannel"})] {
        assert_eq!(
            rig.ask(guest, &command("subscribe", params)),
            about(params, "reject_subscription")
        );
    }
    let shown = format!(
        "jid={}",
        token(&json!({"sub": "ann", "channels": ["news"], "exp": 1030}))
    );
    let ann = comes(&mut rig, 1, ("", &shown));
    assert_eq!(
        rig.ask(ann, &command("subscribe", &public)),
        about(&public, "confirm_subscription")
    );
    let text = json!({"stream": "news", "data": "{\"a\":1}"}).to_string();
    assert_eq!(rig.call(0, "/_broadcast", &text)["connections"], 2);
    assert_eq!(
        rig.last(ann),
        json!({"identifier": identifier(&public), "message": {"a": 1}})
    );
    assert_eq!(rig.last(guest)["message"], json!({"a": 1}));
    rig.wait(Duration::from_secs(31));
    let all = rig.all(ann);
    let parting = json!({"type": "disconnect", "reason": "token_expired", "reconnect": false});
    assert!(
        all.contains(&parting) && rig.closed(ann) == Some(3005),
        "{all:?}"
    );
    for (shown, reason) in [
        ("jid=x.y.z".to_owned(), "unauthorized"),
        (
            format!("token={}", token(&json!({"sub": "a", "exp": 999}))),
            "token_expired",
        ),
    ] {
        let guest = comes(&mut rig, 0, ("actioncable-v1-json", &shown));
        let told = rig.all(guest);
        let parting = json!({"type": "disconnect", "reason": reason, "reconnect": false});
        assert_eq!(told, [parting]);
        assert!(rig.closed(guest).is_some());
    }
}

#[test]
fn a_client_that_comes_back_is_given_what_it_missed_or_told_that_it_is_not() {
    let mut rig = closed_rig();
    let news = signed("news");
    let guest = comes(&mut rig, 0, (EXTENDED, ""));
    rig.say(guest, &command("subscribe", &news));
    let publish = |rig: &mut Rig, data: u32| {
        let text = json!({"channel": "news", "data": data}).to_string();
        rig.call(1, "/api/publish", &text);
    };
    publish(&mut rig, 1);
    let first = rig.last(guest);
    assert_eq!(
        (&first["message"], &first["stream_id"], &first["offset"]),
        (&json!(1), &json!("news"), &json!(1))
    );
    let epoch = first["epoch"].clone();
    rig.leaves(guest);
    publish(&mut rig, 2);
    publish(&mut rig, 3);
    let back = |verb: &str, epoch: &Value, offset: u64| {
        let streams = json!({"news": {"epoch": epoch, "offset": offset}});
        json!({"command": verb, "identifier": identifier(&news),
            "history": {"streams": streams}})
        .to_string()
    };
    let guest = comes(&mut rig, 1, (EXTENDED, ""));
    rig.say(guest, &back("subscribe", &epoch, 1));
    let all = rig.all(guest);
    let told: Vec<_> = all.iter().filter(|it| !it["message"].is_null()).collect();
    assert_eq!(all[1], about(&news, "confirm_subscription"));
    assert_eq!(
        told.iter().map(|it| &it["message"]).collect::<Vec<_>>(),
        [&json!(2), &json!(3)]
    );
    assert_eq!(
        (&told[1]["offset"], all.last()),
        (&json!(3), Some(&about(&news, "confirm_history")))
    );
    // It asks once more, of a subscription that stands.
    let before = all.len();
    rig.say(guest, &back("history", &epoch, 2));
    let all = rig.all(guest).split_off(before);
    assert_eq!(
        (&all[0]["message"], &all[1], all.len()),
        (&json!(3), &about(&news, "confirm_history"), 2)
    );
    rig.say(guest, &back("history", &json!("00000000"), 2));
    assert_eq!(rig.last(guest), about(&news, "reject_history"));
    publish(&mut rig, 4);
    assert_eq!(rig.last(guest)["message"], 4, "it goes on");
    // Of the plain protocol it is not asked, and nobody is told of places.
    let plain = client(&mut rig, 0);
    rig.say(plain, &back("subscribe", &epoch, 1));
    assert_eq!(rig.last(plain), about(&news, "confirm_subscription"));
    publish(&mut rig, 5);
    assert_eq!(rig.last(plain).as_object().map(|it| it.len()), Some(2));
}

#[test]
fn who_knows_no_place_says_since_when_it_was_away() {
    let mut rig = closed_rig();
    let after = |since: u64, name: &str| {
        json!({"command": "subscribe", "identifier": identifier(&signed(name)),
            "history": {"since": since, "streams": {}}})
        .to_string()
    };
    for (data, seconds) in [(4, 20), (5, 0)] {
        let text = json!({"channel": "news", "data": data}).to_string();
        rig.call(1, "/api/publish", &text);
        rig.wait(Duration::from_secs(seconds));
    }
    for (since, name, kind, missed) in [
        (1020, "news", "confirm_history", vec![json!(5)]),
        (1021, "news", "confirm_history", vec![]),
        (1000, "news", "confirm_history", vec![json!(4), json!(5)]),
        (999, "news", "reject_history", vec![]),
        (1020, "empty", "confirm_history", vec![]),
    ] {
        let guest = comes(&mut rig, 1, (EXTENDED, ""));
        rig.say(guest, &after(since, name));
        let all = rig.all(guest);
        let told = all.iter().map(|it| it["message"].clone());
        let told: Vec<_> = told.filter(|it| !it.is_null()).collect();
        let last = all.last().expect("something");
        assert_eq!(
            (told, last),
            (missed, &about(&signed(name), kind)),
            "{since}"
        );
    }
}

#[test]
fn the_application_ends_subscriptions_and_clients() {
    let mut rig = Rig::new(2);
    let guest = client(&mut rig, 1);
    let chat = json!({"channel": "ChatChannel"});
    rig.say(guest, &command("subscribe", &chat));
    rig.call(0, "/api/unsubscribe", r#"{"user":"","channel":"chat"}"#);
    assert_eq!(rig.last(guest), about(&chat, "reject_subscription"));
    let told = rig.ask(guest, &command("subscribe", &chat));
    assert_eq!(told, about(&chat, "confirm_subscription"), "it may again");
    rig.call(0, "/api/disconnect", r#"{"user":""}"#);
    let parting = json!({"type": "disconnect", "reason": "remote", "reconnect": false});
    assert_eq!((rig.last(guest), rig.closed(guest)), (parting, Some(3503)));
}
