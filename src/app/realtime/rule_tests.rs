//! What rules let clients do, and what they are told of what they may not.

use super::rig::Rig;
use super::*;
use crate::app::rules::MiddlewareSource;
use crate::app::rules::RuleSet;
use crate::app::tokens::TokenKeys;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use std::sync::Arc;

const SECRET: &[u8] = b"a secret of more than sixteen bytes";

fn rig(base: RealtimePlan, rules: &str) -> Rig {
    let mut keys = TokenKeys::default();
    keys.keep_facts();
    keys.add_secret(SECRET).unwrap();
    let rules = RuleSet::parse(rules).unwrap_or_else(|fault| panic!("{fault}"));
    let plan = RealtimePlan {
        tokens: Arc::new(keys),
        middleware: MiddlewareSource::rules(rules),
        api_key: Some("dev".into()),
        ..base
    };
    Rig::with(plan, 2)
}

fn closed(rules: &str) -> Rig {
    rig(RealtimePlan::with_tokens([7; 32]), rules)
}

fn open(rules: &str) -> Rig {
    rig(RealtimePlan::dev([7; 32]), rules)
}

fn token(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET).unwrap();
    encode(&Header::default(), claims, &key).unwrap()
}

fn connect(token: &str) -> String {
    json!({"id": 1, "connect": {"token": token}}).to_string()
}

fn error(reply: &Value) -> (u64, &str) {
    let error = &reply["error"];
    let code = error["code"].as_u64().unwrap_or_default();
    (code, error["message"].as_str().unwrap_or_default())
}

#[test]
fn a_rule_opens_what_else_needs_a_token() {
    let mut rig = closed(
        r#"
        [[rule]]
        on = "handshake"
        action = "allow"
        [[rule]]
        on = "subscribe"
        action = "allow"
        channel = "lobby"
        [[rule]]
        on = "publish-in"
        action = "allow"
        channel = "lobby"
        [[rule]]
        on = "event"
        action = "allow"
        event = "history"
        channel = "lobby:*"
        "#,
    );
    let guest = rig.client(0);
    let subscribe = |channel| format!(r#"{{"id":2,"subscribe":{{"channel":"{channel}"}}}}"#);
    assert_eq!(error(&rig.reply(guest, &subscribe("other"))).0, 103);
    assert!(rig.reply(guest, &subscribe("lobby"))["subscribe"].is_object());
    rig.say(guest, r#"{"id":3,"publish":{"channel":"lobby","data":1}}"#);
    let all = rig.all(guest);
    assert!(
        all.iter().any(|it| it["push"]["pub"]["data"] == 1),
        "{all:?}"
    );
    let look = |channel| format!(r#"{{"id":4,"history":{{"channel":"{channel}","limit":1}}}}"#);
    assert!(rig.reply(guest, &look("lobby:1"))["history"].is_object());
    assert_eq!(error(&rig.reply(guest, &look("other"))).0, 103);
    // An event stream finds the same doors open.
    let stream = rig.comes(1, CHANNELS, "topic=lobby&topic=other", "");
    rig.settle();
    let names: Vec<&str> = rig.told(stream).iter().map(|it| &*it.name).collect();
    assert_eq!(names, ["refused", "ready"]);
}

#[test]
fn a_rule_closes_what_a_token_opens_and_says_why() {
    let mut rig = closed(
        r#"
        [[rule]]
        on = "handshake"
        action = "deny"
        claim = { role = "banned" }
        reason = "you are banned"
        [[rule]]
        on = "subscribe"
        action = "deny"
        channel = "own"
        reason = "closed for now"
        "#,
    );
    let banned = rig.comes(0, CENTRIFUGO_SOCKET, "", "");
    rig.say(
        banned,
        &connect(&token(&json!({"sub": "a", "role": ["x", "banned"]}))),
    );
    let goodbye = rig.hall.dismissed[&banned.user];
    assert_eq!((goodbye.code, goodbye.reason), (3507, "you are banned"));
    let guest = rig.comes(0, CENTRIFUGO_SOCKET, "", "");
    let claims = json!({"sub": "a", "role": "x", "channels": ["own", "news"]});
    let reply = rig.reply(guest, &connect(&token(&claims)));
    let subs: Vec<&String> = reply["connect"]["subs"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert_eq!(subs, ["news"]);
    let own = token(&json!({"sub": "a", "channel": "own"}));
    let wish = json!({"id": 2, "subscribe": {"channel": "own", "token": own}});
    let reply = rig.reply(guest, &wish.to_string());
    assert_eq!(error(&reply), (103, "closed for now"));
    let held = token(&json!({"sub": "a", "role": "banned", "channels": ["news"]}));
    let refusal = rig.on(0, |app, _| {
        let header = &|_: &str| None;
        let query = format!("topic=news&token={held}");
        let (path, query) = (CHANNELS, &*query);
        app.arriving(&Arrival {
            share: None,
            purpose: crate::app::ArrivalPurpose::Stay,
            path,
            query,
            header,
        })
    });
    let refusal = refusal.expect_err("banned there too");
    assert_eq!((refusal.status, refusal.reason), (403, "you are banned"));
}

#[test]
fn what_comes_too_often_is_told_so_and_later_it_may() {
    let mut rig = open(
        r#"
        [[rule]]
        on = "publish-in"
        action = "limit"
        rate = "1/s"
        reason = "slowly"
        [[rule]]
        on = "event"
        action = "limit"
        event = "rpc:*"
        rate = "1/m"
        [[rule]]
        on = "request"
        action = "limit"
        path = "/echo"
        rate = "1/s"
        [[rule]]
        on = "request"
        action = "deny"
        path = "/push"
        "#,
    );
    let guest = rig.client(0);
    let publish = r#"{"id":2,"publish":{"channel":"a","data":1}}"#;
    let call = r#"{"id":3,"rpc":{"method":"echo","data":7}}"#;
    assert!(rig.reply(guest, publish)["publish"].is_object());
    assert_eq!(error(&rig.reply(guest, publish)), (111, "slowly"));
    assert_eq!(rig.last(guest)["error"]["temporary"], true);
    assert_eq!(rig.reply(guest, call)["rpc"]["data"], 7);
    assert_eq!(error(&rig.reply(guest, call)).0, 111);
    rig.wait(Duration::from_secs(1));
    assert!(rig.reply(guest, publish)["publish"].is_object());
    assert_eq!(error(&rig.reply(guest, call)).0, 111);
    let mut request = |path: &str, s: u64| {
        let now = Instant::from_nanos(s * 1_000_000_000);
        rig.on(1, |app, _| app.requested(path, now))
    };
    let status = |refused: Result<(), Refusal>| refused.map_err(|it| it.status);
    assert_eq!(status(request("/echo", 5)), Ok(()));
    assert_eq!(status(request("/echo", 5)), Err(429));
    assert_eq!(status(request("/echo", 6)), Ok(()));
    assert_eq!(status(request("/push", 6)), Err(403));
    assert_eq!(status(request("/healthz", 6)), Ok(()));
}

#[test]
fn a_client_that_may_not_hear_is_not_told_now_nor_when_it_comes_back() {
    let mut rig = open(
        r#"
        [[rule]]
        on = "publish-out"
        action = "deny"
        channel = "secret"
        claim = { clearance = "none" }
        "#,
    );
    let comes = |rig: &mut Rig, clearance: &str| {
        let guest = rig.comes(0, CENTRIFUGO_SOCKET, "", "");
        let claims = json!({"sub": "a", "clearance": clearance});
        rig.reply(guest, &connect(&token(&claims)));
        let reply = rig.reply(guest, r#"{"id":2,"subscribe":{"channel":"secret"}}"#);
        (guest, reply["subscribe"]["epoch"].clone())
    };
    let ((high, _), (none, epoch)) = (comes(&mut rig, "high"), comes(&mut rig, "none"));
    rig.call(1, "/api/publish", r#"{"channel":"secret","data":"x"}"#);
    assert_eq!(rig.last(high)["push"]["pub"]["data"], "x");
    assert!(rig.all(none).iter().all(|it| it["push"]["pub"].is_null()));
    let look = r#"{"id":3,"history":{"channel":"secret","limit":10}}"#;
    let told = |reply: &Value| reply["publications"].as_array().unwrap().len();
    assert_eq!(told(&rig.reply(high, look)["history"]), 1);
    assert_eq!(told(&rig.reply(none, look)["history"]), 0);
    rig.say(none, r#"{"id":4,"unsubscribe":{"channel":"secret"}}"#);
    let back = json!({"id": 5, "subscribe":
        {"channel": "secret", "recover": true, "epoch": epoch, "offset": 0}});
    let reply = rig.reply(none, &back.to_string());
    assert_eq!(reply["subscribe"]["recovered"], true, "{reply}");
    assert!(!reply.to_string().contains("\"data\""), "{reply}");
    // The application reads everything.
    let read = rig.call(1, "/api/history", r#"{"channel":"secret","limit":10}"#);
    assert_eq!(told(&read["result"]), 1);
}

#[test]
fn a_token_that_has_expired_opens_nothing() {
    let mut rig = closed(
        r#"
        [[rule]]
        on = "subscribe"
        action = "allow"
        claim = { role = "editor" }
        "#,
    );
    let stream = |rig: &mut Rig, until: u64| {
        let held = token(&json!({"sub": "a", "role": "editor", "exp": until}));
        let stream = rig.comes(0, CHANNELS, &format!("topic=news&token={held}"), "");
        rig.settle();
        let names: Vec<String> = rig.told(stream).iter().map(|it| it.name.clone()).collect();
        names
    };
    assert_eq!(stream(&mut rig, u64::MAX >> 1), ["ready"]);
    rig.wait(Duration::from_secs(10));
    assert_eq!(stream(&mut rig, 5), ["refused", "ready"]);
}
