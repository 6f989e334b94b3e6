//! What tokens open, and until when: clients of several cores without a server.

use super::rig::{Guest, Rig};
use super::*;
use crate::app::tokens::TokenKeys;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) const SECRET: &[u8] = b"a secret of more than sixteen bytes";

fn rig(fill: impl FnOnce(&mut RealtimePlan)) -> Rig {
    let mut keys = TokenKeys::default();
    keys.add_secret(SECRET).unwrap();
    let mut plan = RealtimePlan::with_tokens([7; 32]);
    plan.tokens = Arc::new(keys);
    plan.wall.unix = Duration::from_secs(1000);
    plan.api_key = Some("dev".into());
    fill(&mut plan);
    Rig::with(plan, 3)
}

pub(super) fn token(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET).unwrap();
    encode(&Header::default(), claims, &key).unwrap()
}

fn connect(token: &str) -> String {
    json!({"id": 1, "connect": {"token": token}}).to_string()
}

fn subscribe(channel: &str, claims: Option<&Value>) -> String {
    let token = claims.map(token).unwrap_or_default();
    json!({"id": 2, "subscribe": {"channel": channel, "token": token}}).to_string()
}

fn came(rig: &mut Rig, claims: &Value) -> (Guest, Value) {
    let guest = rig.comes(0, CENTRIFUGO_SOCKET, "", "");
    let reply = rig.ask(guest, &connect(&token(claims)));
    (guest, reply)
}

#[test]
fn without_a_good_token_nobody_comes_in() {
    let mut rig = rig(|_| {});
    for (said, code) in [
        (connect(""), 3507),
        (connect("x.y.z"), 3500),
        (
            connect(&token(&json!({"sub": "a", "channel": "news"}))),
            3500,
        ),
    ] {
        let guest = rig.comes(0, CENTRIFUGO_SOCKET, "", "");
        rig.say(guest, &said);
        assert_eq!(rig.closed(guest), Some(code), "{said}");
    }
    // Who had a good one comes with another.
    let (guest, reply) = came(&mut rig, &json!({"sub": "a", "exp": 999}));
    assert_eq!(reply["error"]["code"], 109);
    assert_eq!(rig.closed(guest), None);
    let reply = rig.ask(guest, &connect(&token(&json!({"sub": "a", "exp": 1060}))));
    assert_eq!(
        (&reply["connect"]["expires"], &reply["connect"]["ttl"]),
        (&json!(true), &json!(60))
    );
}

#[test]
fn a_token_names_its_user_and_the_channels_that_it_is_told_of_at_once() {
    let mut rig = rig(|_| {});
    let claims = json!({"sub": "ann", "info": {"n": 1}, "channels": ["news"], "subs": {"own": {}}});
    let guest = rig.comes(0, CENTRIFUGO_SOCKET, "", "");
    // Both commands in one message: the second is heard once the first is answered.
    let early = json!({"id": 2, "presence": {"channel": "news"}});
    let both = format!("{}\n{early}", connect(&token(&claims)));
    rig.say(guest, &both);
    let all = rig.all(guest);
    assert_eq!(all[0]["id"], 1, "{all:?}");
    let subs = all[0]["connect"]["subs"].as_object().unwrap();
    assert!(
        subs.len() == 2 && subs["own"]["recoverable"] == true,
        "{subs:?}"
    );
    let presence = all.iter().find(|it| it["id"] == 2).expect("an answer");
    let present: Vec<_> = presence["presence"]["presence"]
        .as_object()
        .unwrap()
        .values()
        .collect();
    assert_eq!(present.len(), 1);
    assert_eq!(
        (&present[0]["user"], &present[0]["conn_info"]["n"]),
        (&json!("ann"), &json!(1))
    );
    rig.call(1, "/api/publish", r#"{"channel":"own","data":7}"#);
    assert_eq!(rig.last(guest)["push"]["pub"]["data"], 7);
    assert_eq!(
        rig.ask(guest, &subscribe("other", None))["error"]["code"],
        103
    );
    let look = r#"{"id":3,"history":{"channel":"other","limit":1}}"#;
    assert_eq!(rig.ask(guest, look)["error"]["code"], 103);
    let say = r#"{"id":3,"publish":{"channel":"own","data":1}}"#;
    assert_eq!(rig.ask(guest, say)["error"]["code"], 103);
    // After a cut it is given what it missed of what it did not ask for.
    let epoch = subs["own"]["epoch"].clone();
    rig.leaves(guest);
    let again = rig.comes(2, CENTRIFUGO_SOCKET, "", "");
    let back = json!({"id": 1, "connect": {"token": token(&claims), "subs":
        {"own": {"recover": true, "epoch": epoch, "offset": 0}}}});
    rig.say(again, &back.to_string());
    let own = &rig.all(again)[0]["connect"]["subs"]["own"];
    assert_eq!(
        (&own["recovered"], &own["publications"][0]["data"]),
        (&json!(true), &json!(7))
    );
}

#[test]
fn a_subscription_token_is_for_one_user_and_one_channel() {
    let mut rig = rig(|_| {});
    let (guest, _) = came(&mut rig, &json!({"sub": "ann"}));
    for (claims, code) in [
        (json!({"sub": "bob", "channel": "news"}), 103),
        (json!({"sub": "ann", "channel": "other"}), 103),
        (json!({"sub": "ann"}), 103),
        (json!({"sub": "ann", "channel": "news", "exp": 1000}), 109),
    ] {
        let reply = rig.ask(guest, &subscribe("news", Some(&claims)));
        assert_eq!(reply["error"]["code"], code, "{claims}");
    }
    let good = json!({"sub": "ann", "channel": "news", "exp": 1030});
    rig.say(guest, &subscribe("news", Some(&good)));
    let all = rig.all(guest);
    let reply = all
        .iter()
        .find(|it| it["id"] == 2 && it["subscribe"].is_object());
    let reply = &reply.expect("a reply")["subscribe"];
    assert_eq!(
        (&reply["expires"], &reply["ttl"]),
        (&json!(true), &json!(30))
    );
    assert_eq!(rig.closed(guest), None);
}

#[test]
fn what_is_over_ends_and_what_is_refreshed_goes_on() {
    let mut rig = rig(|_| {});
    let (guest, _) = came(&mut rig, &json!({"sub": "ann", "exp": 1060}));
    let claims = |until| json!({"sub": "ann", "channel": "news", "exp": until});
    rig.say(guest, &subscribe("news", Some(&claims(1010))));
    let again = json!({"id": 3, "sub_refresh":
        {"channel": "news", "token": token(&claims(1020))}});
    let reply = rig.ask(guest, &again.to_string());
    assert_eq!(
        reply,
        json!({"id": 3, "sub_refresh": {"expires": true, "ttl": 20}})
    );
    let step = |rig: &mut Rig, said: &str| {
        rig.say(guest, said);
        rig.wait(limits::CLIENT_PING_TIME);
    };
    step(&mut rig, "{}");
    step(&mut rig, "{}");
    let all = rig.all(guest);
    let ended = all.iter().find(|it| it["push"]["unsubscribe"].is_object());
    assert_eq!(ended.expect("told")["push"]["unsubscribe"]["code"], 2501);
    let fresh = json!({"id": 4, "refresh": {"token": token(&json!({"sub": "ann", "exp": 1090}))}});
    let reply = rig.ask(guest, &fresh.to_string());
    assert_eq!(
        reply,
        json!({"id": 4, "refresh": {"expires": true, "ttl": 40}})
    );
    step(&mut rig, "{}");
    assert_eq!(rig.closed(guest), None, "it was refreshed");
    step(&mut rig, "{}");
    step(&mut rig, "{}");
    assert_eq!(rig.closed(guest), Some(3005));
}

#[test]
fn a_refresh_by_another_user_ends_the_client() {
    let mut rig = rig(|_| {});
    for (claims, code) in [
        (json!({"sub": "bob"}), 3500),
        (json!({"sub": "ann", "channel": "x"}), 3500),
        (json!({"sub": "ann", "exp": 1}), 3005),
    ] {
        let (guest, _) = came(&mut rig, &json!({"sub": "ann", "exp": 1060}));
        let fresh = json!({"id": 4, "refresh": {"token": token(&claims)}});
        rig.say(guest, &fresh.to_string());
        assert_eq!(rig.closed(guest), Some(code), "{claims}");
    }
}

#[test]
fn event_streams_show_tokens_too() {
    let mut rig = rig(|_| {});
    let arrive = |rig: &mut Rig, query: &str, field: Option<&'static str>| {
        rig.on(0, |app, _| {
            let header = &|name: &str| field.filter(|_| name == "Authorization");
            let path = CHANNELS;
            app.arriving(&Arrival {
                share: None,
                purpose: crate::app::ArrivalPurpose::Stay,
                path,
                query,
                header,
            })
            .map_err(|it| it.status)
        })
    };
    let good = token(&json!({"sub": "ann", "channels": ["news"], "exp": 1010}));
    assert_eq!(arrive(&mut rig, "topic=news", None), Err(401));
    assert_eq!(arrive(&mut rig, "topic=news&token=x", None), Err(401));
    let field: &'static str = Box::leak(format!("Bearer {good}").into_boxed_str());
    assert_eq!(
        arrive(&mut rig, "topic=news", Some(field)),
        Ok(Admittance::default())
    );
    let query = format!("topic=news&topic=other&token={good}");
    let guest = rig.comes(1, CHANNELS, &query, "");
    rig.settle();
    let names: Vec<_> = rig.told(guest).iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["refused", "ready"]);
    assert!(rig.told(guest)[0].text.contains("103"));
    rig.wait(2 * limits::CLIENT_PING_TIME);
    assert_eq!(rig.closed(guest), Some(3005));
}

#[test]
fn who_only_listens_is_subscribed_by_its_token() {
    let mut rig = rig(|_| {});
    let listens = |rig: &mut Rig, claims: &Value| {
        let wish = json!({"token": token(claims), "subs": {"other": {}}});
        let guest = rig.comes(1, CENTRIFUGO_STREAM, &format!("cf_connect={wish}"), "");
        rig.settle();
        guest
    };
    let guest = listens(
        &mut rig,
        &json!({"sub": "ann", "channels": ["news"], "exp": 1010}),
    );
    let first = &rig.all(guest)[0]["connect"];
    let subs = first["subs"].as_object().unwrap();
    assert!(subs.len() == 1 && subs.contains_key("news") && first["ttl"] == 10);
    rig.wait(2 * limits::CLIENT_PING_TIME);
    assert_eq!(rig.last(guest)["disconnect"]["code"], 3005);
    let late = listens(&mut rig, &json!({"sub": "ann", "exp": 1010}));
    assert_eq!(rig.last(late)["disconnect"]["code"], 3005);
}

#[test]
fn what_a_client_says_before_it_is_connected_is_bounded() {
    let mut rig = rig(|_| {});
    // Its channel is at home elsewhere, so that it waits.
    let claims =
        json!({"sub": "ann", "channels": (0..20).map(|it| it.to_string()).collect::<Vec<_>>()});
    let guest = rig.comes(0, CENTRIFUGO_SOCKET, "", "");
    let much = format!(
        "{}\n{}",
        connect(&token(&claims)),
        "{}\n".repeat(limits::EARLY_COMMAND_BYTES)
    );
    rig.say(guest, &much);
    assert_eq!(rig.closed(guest), Some(3501));
}

#[test]
fn the_application_says_how_long_a_client_may_stay() {
    let mut rig = rig(|_| {});
    let (guest, _) = came(&mut rig, &json!({"sub": "a", "exp": 1060}));
    let (other, _) = came(&mut rig, &json!({"sub": "b", "exp": 1060}));
    let answer = rig.call(1, "/api/refresh", r#"{"user":"a","expire_at":1200}"#);
    assert_eq!(answer["result"]["clients"], 1);
    let told = &rig.last(guest)["push"]["refresh"];
    assert_eq!(
        (&told["expires"], &told["ttl"]),
        (&json!(true), &json!(200))
    );
    for _ in 0..4 {
        rig.wait(Duration::from_secs(20));
        rig.say(guest, "{}");
        rig.say(other, "{}");
    }
    rig.wait(Duration::from_secs(20));
    assert_eq!((rig.closed(guest), rig.closed(other)), (None, Some(3005)));
    rig.call(1, "/api/refresh", r#"{"user":"a","expired":true}"#);
    assert_eq!(rig.closed(guest), Some(3005));
}

#[test]
fn a_token_that_is_taken_back_is_good_on_no_core_and_ends_who_has_shown_it() {
    let mut rig = rig(|_| {});
    let good = token(&json!({"sub": "ann", "exp": 5000}));
    let other = token(&json!({"sub": "ann", "exp": 5001}));
    let guests: Vec<Guest> = [&good, &other]
        .into_iter()
        .map(|token| {
            let guest = rig.comes(0, CENTRIFUGO_SOCKET, "", "");
            assert!(rig.ask(guest, &connect(token))["connect"].is_object());
            guest
        })
        .collect();
    let wanted = json!({"token": good}).to_string();
    let answer = rig.call(1, "/api/tokens/revoke", &wanted);
    assert_eq!(answer, json!({"result": {}}));
    for core in 0..2 {
        let again = rig.comes(core, CENTRIFUGO_SOCKET, "", "");
        rig.say(again, &connect(&good));
        assert_eq!(rig.closed(again), Some(3500), "on core {core}");
    }
    for _ in 0..2 {
        guests.iter().for_each(|guest| rig.say(*guest, "{}"));
        rig.wait(limits::CLIENT_PING_TIME);
    }
    assert_eq!(rig.closed(guests[0]), Some(3005), "who has shown it");
    assert_eq!(rig.closed(guests[1]), None, "who has shown another");
    let answer = rig.call(0, "/api/tokens/revoke", "{}");
    assert_eq!(answer["error"]["code"], 107);
}
