//! Sessions of browsers: one cookie for all tabs, over cores and protocols.

use super::rig::{Guest, Rig};
use super::*;
use crate::app::rules::MiddlewareSource;
use crate::app::rules::RuleSet;
use crate::app::sessions::SessionPlan;
use serde_json::{Value, json};

fn rig(rules: Option<&str>) -> Rig {
    let mut plan = RealtimePlan::dev([7; 32]);
    plan.sessions = Some(SessionPlan::new("shop"));
    if let Some(rules) = rules {
        let rules = RuleSet::parse(rules).unwrap_or_else(|fault| panic!("{fault}"));
        plan.middleware = MiddlewareSource::rules(rules);
    }
    Rig::with(plan, 3)
}

/// Comes with that cookie, and is given one without.
fn comes(rig: &mut Rig, core: u16, path: &str, query: &str, cookie: &str) -> (Guest, String) {
    rig.users += 1;
    let user = User(rig.users);
    let (seat, set) = rig.on(core, |app, hall| {
        let header = &|name: &str| (name == "Cookie" && !cookie.is_empty()).then_some(cookie);
        let arrival = Arrival {
            share: None,
            purpose: crate::app::ArrivalPurpose::Stay,
            path,
            query,
            header,
        };
        let welcome = app.arriving(&arrival).expect("it may come");
        (app.came(user, hall), welcome.cookie)
    });
    let pair = set.as_deref().and_then(|set| set.split(';').next());
    let pair = pair.unwrap_or_default().to_owned();
    (Guest { core, user, seat }, pair)
}

fn session(cookie: &str) -> String {
    cookie.strip_prefix("shop=").expect("a cookie").to_owned()
}

#[test]
fn tabs_of_one_browser_share_a_session_over_cores_and_protocols() {
    let mut rig = rig(None);
    let (first, cookie) = comes(&mut rig, 0, CENTRIFUGO_SOCKET, "", "");
    rig.settle();
    rig.reply(first, r#"{"id":1,"connect":{}}"#);
    let (second, again) = comes(&mut rig, 1, CENTRIFUGO_SOCKET, "", &cookie);
    assert_eq!(again, "", "it has one");
    rig.settle();
    rig.reply(second, r#"{"id":1,"connect":{}}"#);
    let (stream, _) = comes(&mut rig, 2, CHANNELS, "topic=a", &cookie);
    let (other, _) = comes(&mut rig, 2, CENTRIFUGO_SOCKET, "", "");
    rig.settle();
    let names: Vec<&str> = rig.told(stream).iter().map(|it| &*it.name).collect();
    assert_eq!(names, ["ready"], "it begins once its session is known");
    let id = session(&cookie);
    let emit = json!({"session": id, "data": {"n": 1}}).to_string();
    let answer = rig.call(1, "/api/sessions/emit", &emit);
    assert_eq!(answer["result"]["clients"], 3);
    for guest in [first, second] {
        assert_eq!(rig.last(guest)["push"]["message"]["data"]["n"], 1);
    }
    let event = rig.told(stream).last().unwrap();
    assert_eq!((&*event.name, &*event.text), ("emit", r#"{"n":1}"#));
    assert!(rig.told(other).is_empty());
    let all = json!({"all": true, "data": 2}).to_string();
    assert_eq!(
        rig.call(0, "/api/sessions/emit", &all)["result"]["clients"],
        3,
        "who has not connected is told nothing"
    );
    let clients = rig.call(
        2,
        "/api/sessions/clients",
        &json!({"session": id}).to_string(),
    );
    assert_eq!(clients["result"]["presence"].as_object().unwrap().len(), 3);
}

#[test]
fn the_application_sets_and_reads_what_a_session_holds() {
    let mut rig = rig(None);
    let (_, cookie) = comes(&mut rig, 0, CENTRIFUGO_SOCKET, "", "");
    rig.settle();
    let id = session(&cookie);
    let call = |rig: &mut Rig, method: &str, data: Option<Value>| {
        let body = json!({"session": id, "data": data}).to_string();
        rig.call(1, &format!("/api/sessions/{method}"), &body)
    };
    assert_eq!(call(&mut rig, "get", None)["result"]["data"], json!({}));
    let set = call(&mut rig, "set", Some(json!({"a": 1, "b": [2]})));
    assert_eq!(set["result"]["connections"], 1);
    call(&mut rig, "set", Some(json!({"a": null})));
    assert_eq!(
        call(&mut rig, "get", None)["result"]["data"],
        json!({"b": [2]})
    );
    let long = json!({"c": "x".repeat(limits::SESSION_DATA_BYTES)});
    assert_eq!(call(&mut rig, "set", Some(long))["error"]["code"], 106);
    assert_eq!(
        call(&mut rig, "get", None)["result"]["data"],
        json!({"b": [2]})
    );
}

#[test]
fn a_rule_asks_what_a_session_holds() {
    let mut rig = rig(Some(
        r#"
        [[rule]]
        on = "subscribe"
        action = "allow"
        channel = "orders"
        session = { authorized = true }
        [[rule]]
        on = "subscribe"
        action = "deny"
        channel = "orders"
        reason = "sign in first"
        "#,
    ));
    let subscribe = |id| json!({"id": id, "subscribe": {"channel": "orders"}}).to_string();
    // Sessions are at home on any core: the second socket's is known before it is heard.
    for _ in 0..6 {
        let (first, cookie) = comes(&mut rig, 0, CENTRIFUGO_SOCKET, "", "");
        rig.settle();
        rig.reply(first, r#"{"id":1,"connect":{}}"#);
        assert_eq!(
            rig.reply(first, &subscribe(2))["error"]["message"],
            "sign in first"
        );
        let set = json!({"session": session(&cookie), "data": {"authorized": true}});
        rig.call(1, "/api/sessions/set", &set.to_string());
        assert!(rig.reply(first, &subscribe(3))["subscribe"].is_object());
        let (second, _) = comes(&mut rig, 2, CENTRIFUGO_SOCKET, "", &cookie);
        let is_heard = rig.on(2, |app, _| app.hears(second.user, second.seat));
        rig.settle();
        if !is_heard {
            assert!(rig.hall.released.contains(&second.user));
        }
        assert!(rig.on(2, |app, _| app.hears(second.user, second.seat)));
        rig.reply(second, r#"{"id":1,"connect":{}}"#);
        assert!(rig.reply(second, &subscribe(2))["subscribe"].is_object());
        let (stream, _) = comes(&mut rig, 1, CHANNELS, "topic=orders", &cookie);
        rig.settle();
        let names: Vec<&str> = rig.told(stream).iter().map(|it| &*it.name).collect();
        assert_eq!(names, ["ready"]);
    }
    assert!(!rig.hall.released.is_empty(), "some were on other cores");
}

#[test]
fn what_is_reserved_is_for_the_application() {
    let mut rig = rig(None);
    let guest = rig.client(0);
    let wish = r#"{"id":2,"subscribe":{"channel":"$sessions"}}"#;
    assert_eq!(rig.reply(guest, wish)["error"]["code"], 103);
    let say = r#"{"id":3,"publish":{"channel":"$sessions","data":1}}"#;
    assert_eq!(rig.reply(guest, say)["error"]["code"], 103);
    let look = r#"{"id":4,"history":{"channel":"$sessions","limit":1}}"#;
    assert_eq!(rig.reply(guest, look)["error"]["code"], 103);
    rig.leaves(guest);
    rig.wait(limits::SESSION_GRACE_TIME);
    rig.wait(Duration::from_secs(1));
    let read = r#"{"channel":"$sessions","limit":1}"#;
    let read = rig.call(0, "/api/history", read);
    let ended = &read["result"]["publications"][0]["data"];
    assert_eq!(ended["event"], "session ended", "{read}");
}
