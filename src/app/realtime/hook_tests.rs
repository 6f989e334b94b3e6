//! Clients whose application is asked first: what its answers do, who waits for them and who does
//! not.

use super::rig::{Guest, Rig};
use super::*;
use crate::app::backend::HookPlan;
use crate::app::backend::{
    HookCall, HookCounts, HookFailure, HookKind, HookLine, HookOutcome, HookReply, HookSet,
    HookWords,
};
use crate::app::rules::MiddlewareSource;
use crate::app::sessions::SessionPlan;
use serde_json::{Value, json};
use std::sync::Arc;

/// A server of one core, and its application.
struct Asked {
    rig: Rig,
    line: HookLine,
}

const LOOK: Duration = Duration::from_millis(2);

impl Asked {
    fn with(base: RealtimePlan, failure: HookFailure) -> Self {
        let line = HookLine::new(Arc::new(|| {}));
        let backend = Some(HookPlan {
            asks: HookSet::of(&HookKind::ALL),
            failure,
            time: Duration::from_secs(1),
            counts: HookCounts::default(),
            lines: vec![line.clone()],
        });
        let rig = Rig::with(RealtimePlan { backend, ..base }, 1);
        Self { rig, line }
    }

    fn new() -> Self {
        let sessions = Some(SessionPlan::new("shop"));
        let base = RealtimePlan {
            sessions,
            api_key: Some("dev".into()),
            ..RealtimePlan::with_tokens([7; 32])
        };
        Self::with(base, HookFailure::Deny)
    }

    /// What the application is asked and told, as JSON.
    fn calls(&self) -> Vec<(Option<u64>, Value)> {
        let shown = |call: &HookCall| {
            let mut text = Vec::new();
            call.write(&mut text);
            (call.number, serde_json::from_slice(&text).expect("JSON"))
        };
        self.line.take_calls().iter().map(shown).collect()
    }

    /// Answers all that is asked, in that order.
    fn answers(&mut self, answers: &[Value]) -> Vec<Value> {
        let calls = self.calls();
        let asked = calls.iter().filter_map(|(number, _)| *number);
        for (number, answer) in asked.zip(answers) {
            let words = HookWords::read(answer.to_string().as_bytes()).expect("an answer");
            let outcome = HookOutcome::Said(Box::new(words));
            self.line.reply(HookReply { number, outcome });
        }
        self.rig.wait(LOOK);
        calls.into_iter().map(|(_, call)| call).collect()
    }

    /// A Centrifugo client that is let in.
    fn client(&mut self) -> Guest {
        let guest = self.rig.comes(0, CENTRIFUGO_SOCKET, "", "");
        self.rig.say(guest, r#"{"id":1,"connect":{}}"#);
        self.answers(&[json!({"allow": true})]);
        assert_eq!(self.rig.last(guest)["connect"]["pong"], true);
        guest
    }
}

#[test]
fn a_client_is_let_in_greeted_named_subscribed_and_its_session_is_set() {
    let mut asked = Asked::new();
    let guest = asked.rig.comes(0, CENTRIFUGO_SOCKET, "", "");
    asked
        .rig
        .say(guest, r#"{"id":1,"connect":{"data":{"key":7}}}"#);
    assert_eq!(asked.rig.told(guest).len(), 0, "it waits");
    let calls = asked.answers(&[json!({
        "allow": true, "user": "ann", "info": {"age": 7}, "subscribe": ["news"],
        "emit": [{"hello": "ann"}], "session": {"cart": 1}
    })]);
    let [call] = &calls[..] else {
        panic!("{calls:?}");
    };
    assert_eq!(
        (&call["hook"], &call["data"]),
        (&json!("connect"), &json!({"key": 7}))
    );
    assert_eq!(call["path"], CENTRIFUGO_SOCKET);
    let session = call["session"].as_str().expect("a session").to_owned();
    let all = asked.rig.all(guest);
    assert!(all[0]["connect"]["subs"]["news"].is_object(), "{all:?}");
    assert_eq!(all[0]["connect"]["client"], call["client"]);
    assert_eq!(
        all[1]["push"]["message"]["data"],
        json!({"hello": "ann"}),
        "{all:?}"
    );
    let held = asked.rig.call(
        0,
        "/api/sessions/get",
        &json!({"session": session}).to_string(),
    );
    assert!(held.to_string().contains(r#""cart":1"#), "{held}");
    // It is known from then on.
    asked.rig.say(guest, r#"{"id":2,"rpc":{"method":"who"}}"#);
    let calls = asked.answers(&[json!({"data": [1, 2]})]);
    assert_eq!(
        (&calls[0]["user"], &calls[0]["method"]),
        (&json!("ann"), &json!("who"))
    );
    assert_eq!(asked.rig.last(guest)["rpc"]["data"], json!([1, 2]));
    asked.rig.leaves(guest);
    let calls = asked.calls();
    assert_eq!(calls[0].1["hook"], "disconnect");
    assert_eq!((&calls[0].1["user"], calls[0].0), (&json!("ann"), None));
    asked.rig.wait(Duration::from_secs(40));
    let calls = asked.calls();
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert_eq!(calls[0].1["hook"], "session_end");
    assert_eq!(
        (&calls[0].1["session"], &calls[0].1["data"]),
        (&json!(session), &json!({"cart": 1}))
    );
}

#[test]
fn who_is_denied_is_told_the_code_and_the_reason_of_the_application() {
    let mut asked = Asked::new();
    let guest = asked.rig.comes(0, CENTRIFUGO_SOCKET, "", "");
    asked.rig.say(guest, r#"{"id":1,"connect":{}}"#);
    asked.answers(&[json!({"allow": false, "code": 4501, "reason": "banned"})]);
    let goodbye = asked.rig.hall.dismissed[&guest.user];
    assert_eq!((goodbye.code, goodbye.reason), (4501, "banned"));
    asked.rig.leaves(guest);
    assert!(asked.calls().is_empty(), "it was never here");
    let guest = asked.client();
    for (text, answer, code) in [
        (
            r#"{"id":2,"subscribe":{"channel":"a"}}"#,
            json!({"allow": false, "code": 42}),
            42,
        ),
        (
            r#"{"id":3,"publish":{"channel":"a","data":1}}"#,
            json!({"allow": false}),
            103,
        ),
        (
            r#"{"id":4,"rpc":{"method":"m"}}"#,
            json!({"allow": false, "code": 7}),
            7,
        ),
        // No opinion: tokens, rules and channels decide.
        (r#"{"id":5,"subscribe":{"channel":"a"}}"#, json!({}), 103),
        (r#"{"id":6,"rpc":{"method":"m"}}"#, json!({}), 104),
    ] {
        asked.rig.say(guest, text);
        asked.answers(&[answer]);
        let said = asked.rig.last(guest);
        assert_eq!(said["error"]["code"], code, "{text}: {said}");
    }
}

#[test]
fn a_client_waits_with_all_that_it_says_and_nobody_else_waits() {
    let mut asked = Asked::new();
    let (slow, quick) = (asked.client(), asked.client());
    let subscribe = |id, channel| json!({"id": id, "subscribe": {"channel": channel}}).to_string();
    let publish = json!({"id": 3, "publish": {"channel": "a", "data": 1}}).to_string();
    // Both of one message are asked at once.
    asked
        .rig
        .say(slow, &format!("{}\n{publish}", subscribe(2, "a")));
    let first = asked.calls();
    assert_eq!(first.len(), 2);
    let seat = slow.seat;
    assert!(!asked.rig.on(0, |app, _| app.hears(slow.user, seat)));
    asked.rig.say(quick, &subscribe(2, "b"));
    asked.answers(&[json!({"allow": true})]);
    let all = asked.rig.all(quick);
    let is_answered = all.iter().any(|it| it["subscribe"].is_object());
    assert!(is_answered, "it does not wait for the other: {all:?}");
    assert!(asked.rig.hall.released.contains(&quick.user));
    let said = |answer: Value| {
        let words = HookWords::read(answer.to_string().as_bytes()).unwrap();
        HookOutcome::Said(Box::new(words))
    };
    for (at, answer) in [
        (1, json!({"allow": true, "data": "changed"})),
        (0, json!({"allow": true})),
    ] {
        let number = first[at].0.expect("a number");
        let outcome = said(answer);
        asked.line.reply(HookReply { number, outcome });
    }
    asked.rig.wait(LOOK);
    let all = asked.rig.all(slow);
    let told = |key: &str| all.iter().position(|it| it.get(key).is_some());
    assert!(told("subscribe") < told("publish"), "in its order: {all:?}");
    let push = all.iter().find(|it| it["push"]["pub"].is_object());
    assert_eq!(
        push.expect("a publication")["push"]["pub"]["data"],
        "changed"
    );
    assert!(asked.rig.hall.released.contains(&slow.user));
}

#[test]
fn while_nobody_answers_the_policy_holds_and_a_late_answer_is_none() {
    for (failure, lets_in) in [(HookFailure::Deny, false), (HookFailure::Allow, true)] {
        let mut asked = Asked::with(RealtimePlan::with_tokens([7; 32]), failure);
        let guest = asked.rig.comes(0, CENTRIFUGO_SOCKET, "", "");
        asked.rig.say(guest, r#"{"id":1,"connect":{}}"#);
        let number = asked.calls()[0].0.expect("a number");
        asked.rig.wait(Duration::from_secs(3));
        let said = asked.rig.last(guest);
        assert_eq!(said["connect"].is_object(), lets_in, "{said}");
        if !lets_in {
            // Later it may be.
            assert_eq!(
                said["error"],
                json!({"code": 100, "temporary": true,
                "message": "the application cannot be asked now"})
            );
        }
        let outcome = HookOutcome::Failed;
        asked.line.reply(HookReply { number, outcome });
        asked.rig.wait(LOOK);
        assert_eq!(asked.rig.last(guest), said);
    }
}

#[test]
fn event_streams_and_clients_of_socketcluster_are_asked_about_too() {
    let mut asked = Asked::new();
    let stream = asked.rig.comes(0, CHANNELS, "topic=a&topic=b", "");
    assert!(asked.rig.told(stream).is_empty());
    // Its session is known at once, on one core.
    let calls = asked.answers(&[
        json!({"allow": true}),
        json!({"allow": true}),
        json!({"allow": false}),
    ]);
    let about: Vec<_> = calls.iter().map(|call| call["channel"].clone()).collect();
    assert_eq!(about, [Value::Null, json!("a"), json!("b")]);
    let names: Vec<_> = asked
        .rig
        .told(stream)
        .iter()
        .map(|it| it.name.clone())
        .collect();
    assert_eq!(names, ["refused", "ready"]);

    let cluster = asked.rig.comes(0, SOCKETCLUSTER_SOCKET, "", "");
    asked
        .rig
        .say(cluster, r##"{"event":"#handshake","cid":1,"data":{}}"##);
    asked.answers(&[json!({"allow": true, "subscribe": ["a"]})]);
    let all = asked.rig.all(cluster);
    assert_eq!(all[0]["rid"], 1, "{all:?}");
    asked
        .rig
        .say(cluster, r#"{"event":"sum","cid":2,"data":[1]}"#);
    asked.answers(&[json!({"data": {"sum": 1}})]);
    assert_eq!(
        asked.rig.last(cluster),
        json!({"rid": 2, "data": {"sum": 1}})
    );
    asked.rig.say(
        cluster,
        r##"{"event":"#subscribe","cid":3,"data":{"channel":"c"}}"##,
    );
    asked.answers(&[json!({"allow": false, "reason": "not c"})]);
    assert_eq!(asked.rig.last(cluster)["error"]["message"], "not c");
    asked.rig.say(
        cluster,
        r##"{"event":"#publish","cid":4,"data":{"channel":"a","data":5}}"##,
    );
    asked.answers(&[json!({"allow": true})]);
    let heard = asked.rig.told(stream).last().expect("an event");
    assert!(heard.text.contains(r#""data":5"#), "{heard:?}");
}

#[test]
fn the_application_gives_a_client_of_socketcluster_a_token_and_takes_it_away() {
    let mut keys = crate::app::tokens::TokenKeys::default();
    keys.add_secret(token_tests::SECRET).unwrap();
    let base = RealtimePlan {
        tokens: Arc::new(keys),
        ..RealtimePlan::with_tokens([7; 32])
    };
    let mut asked = Asked::with(base, HookFailure::Deny);
    let cluster = asked.rig.comes(0, SOCKETCLUSTER_SOCKET, "", "");
    let handshake = r##"{"event":"#handshake","cid":1,"data":{}}"##;
    asked.rig.say(cluster, handshake);
    asked.answers(&[json!({"allow": true})]);
    let token = token_tests::token(&json!({"sub": "ann"}));
    for (given, told, user) in [
        ("no token", json!({"rid": 2, "data": 1}), Value::Null),
        (
            &*token,
            json!({"event": "#setAuthToken", "data": {"token": token}}),
            Value::Null,
        ),
        ("", json!({"event": "#removeAuthToken"}), json!("ann")),
        ("", json!({"event": "#removeAuthToken"}), Value::Null),
    ] {
        let call = r#"{"event":"login","cid":2,"data":{"name":"ann"}}"#;
        asked.rig.say(cluster, call);
        let calls = asked.answers(&[json!({"data": 1, "token": given})]);
        assert_eq!(asked.rig.last(cluster), told, "{given}");
        assert_eq!(calls[0]["user"], user, "{given}");
    }
}

#[test]
fn what_a_rule_refuses_nobody_is_asked_about_and_a_rate_counts_what_is_asked_for() {
    let rules = "rule = [{on='subscribe',action='deny',channel='a',reason='a rule'},
        {on='publish-in',action='limit',rate='1/s',reason='slowly'}]";
    let rules = crate::app::rules::RuleSet::parse(rules).unwrap_or_else(|it| panic!("{it}"));
    let base = RealtimePlan {
        middleware: MiddlewareSource::rules(rules),
        ..RealtimePlan::with_tokens([7; 32])
    };
    let mut asked = Asked::with(base, HookFailure::Deny);
    let guest = asked.client();
    asked.calls();
    let rig = &mut asked.rig;
    rig.say(guest, r#"{"id":2,"subscribe":{"channel":"a"}}"#);
    assert_eq!(rig.last(guest)["error"]["message"], "a rule");
    assert!(asked.calls().is_empty());
    // However late the answer was, the second comes a second after the first.
    let publish = r#"{"id":3,"publish":{"channel":"b","data":1}}"#;
    for late_ms in [990, 10] {
        asked.rig.say(guest, publish);
        asked.rig.wait(Duration::from_millis(late_ms));
        asked.answers(&[json!({"allow": true})]);
        assert!(asked.rig.last(guest)["publish"].is_object());
        asked.rig.wait(Duration::from_millis(8));
    }
    asked.rig.say(guest, publish);
    assert!(asked.calls().is_empty());
    assert_eq!(asked.rig.last(guest)["error"]["message"], "slowly");
}

#[test]
fn clients_of_action_cable_are_asked_about_as_all_others_are() {
    let base = RealtimePlan {
        api_key: Some("dev".into()),
        ..RealtimePlan::dev([7; 32])
    };
    let mut asked = Asked::with(base, HookFailure::Deny);
    let identifier = r#"{\"channel\":\"ChatChannel\",\"room\":\"a\"}"#;
    let command = |verb: &str, data: &str| {
        format!(r#"{{"command":"{verb}","identifier":"{identifier}"{data}}}"#)
    };
    let guest = asked.rig.comes(0, CABLE_SOCKET, "", "");
    assert_eq!(asked.rig.told(guest).len(), 0, "it waits");
    let calls = asked.answers(&[json!({"allow": true, "user": "ann"})]);
    assert_eq!(
        (&calls[0]["hook"], &calls[0]["path"]),
        (&json!("connect"), &json!(CABLE_SOCKET))
    );
    assert_eq!(asked.rig.last(guest)["type"], "welcome");

    asked.rig.say(guest, &command("subscribe", ""));
    let calls = asked.answers(&[json!({"allow": false})]);
    let found = (&calls[0]["hook"], &calls[0]["channel"], &calls[0]["user"]);
    assert_eq!(
        found,
        (&json!("subscribe"), &json!("chat:a"), &json!("ann"))
    );
    assert_eq!(asked.rig.last(guest)["type"], "reject_subscription");
    asked.rig.say(guest, &command("subscribe", ""));
    asked.answers(&[json!({"allow": true})]);
    assert_eq!(asked.rig.last(guest)["type"], "confirm_subscription");

    let speak = r#","data":"{\"action\":\"speak\",\"text\":\"hi\"}""#;
    asked.rig.say(guest, &command("message", speak));
    let calls = asked.answers(&[json!({"data": {"text": "hello"}})]);
    assert_eq!(
        (&calls[0]["hook"], &calls[0]["data"]["text"]),
        (&json!("publish"), &json!("hi"))
    );
    assert_eq!(asked.rig.last(guest)["message"], json!({"text": "hello"}));
    let sum = r#","data":"{\"action\":\"sum\",\"of\":[1,2]}""#;
    asked.rig.say(guest, &command("message", sum));
    let calls = asked.answers(&[json!({"data": 3})]);
    assert_eq!(
        (&calls[0]["hook"], &calls[0]["method"]),
        (&json!("call"), &json!("sum"))
    );
    assert_eq!(asked.rig.last(guest)["message"], json!(3));
    // What is none of both is for nobody.
    asked.rig.say(guest, "{}");
    assert!(asked.calls().is_empty());

    let stranger = asked.rig.comes(0, CABLE_SOCKET, "", "");
    asked.answers(&[json!({"allow": false})]);
    let told = asked.rig.all(stranger);
    assert_eq!(told[0]["type"], "disconnect", "{told:?}");
    asked.rig.leaves(stranger);
    asked.rig.leaves(guest);
    let calls = asked.calls();
    assert_eq!(calls.len(), 1, "only who was let in is told of: {calls:?}");
    assert_eq!(
        (&calls[0].1["hook"], &calls[0].1["user"]),
        (&json!("disconnect"), &json!("ann"))
    );
}

#[test]
fn clients_of_socket_io_are_asked_about_as_all_others_are() {
    let base = RealtimePlan {
        api_key: Some("dev".into()),
        ..RealtimePlan::dev([7; 32])
    };
    let mut asked = Asked::with(base, HookFailure::Deny);
    let last = |asked: &Asked, guest: Guest| {
        let told = asked.rig.told(guest).last();
        told.map(|told| told.text.to_string()).unwrap_or_default()
    };
    let guest = asked
        .rig
        .comes(0, SOCKETIO_SOCKET, "EIO=4&transport=websocket", "");
    asked.rig.say(guest, "40");
    let calls = asked.answers(&[json!({"allow": true, "user": "ann"})]);
    let found = (&calls[0]["hook"], &calls[0]["path"]);
    assert_eq!(found, (&json!("connect"), &json!(SOCKETIO_SOCKET)));
    assert!(
        last(&asked, guest).starts_with("40{\"sid\""),
        "it is let in"
    );

    asked.rig.say(guest, r#"420["join","a"]"#);
    let denied = json!({"allow": false, "code": 403, "reason": "no member"});
    let calls = asked.answers(&[denied]);
    let found = (&calls[0]["hook"], &calls[0]["channel"], &calls[0]["user"]);
    assert_eq!(found, (&json!("subscribe"), &json!("a"), &json!("ann")));
    let told = last(&asked, guest);
    assert!(
        told.starts_with("430[") && told.contains("no member"),
        "{told}"
    );
    asked.rig.say(guest, r#"421["join","a"]"#);
    asked.answers(&[json!({"allow": true})]);
    assert_eq!(last(&asked, guest), "431[]");

    asked.rig.say(guest, r#"42["say","a",{"n":1}]"#);
    let calls = asked.answers(&[json!({"data": {"n": 2}})]);
    assert_eq!(
        (&calls[0]["hook"], &calls[0]["data"]),
        (&json!("publish"), &json!({"n": 1}))
    );
    assert_eq!(last(&asked, guest), r#"42["said",{"n":2}]"#);
    asked.rig.say(guest, r#"422["sum",[1,2]]"#);
    let calls = asked.answers(&[json!({"data": 3})]);
    assert_eq!(
        (&calls[0]["hook"], &calls[0]["method"]),
        (&json!("call"), &json!("sum"))
    );
    assert!(
        last(&asked, guest).starts_with("432["),
        "{}",
        last(&asked, guest)
    );
    assert!(last(&asked, guest).contains('3'));
    // An event that wants no acknowledgement is no call.
    asked.rig.say(guest, r#"42["sum",[1,2]]"#);
    assert!(asked.calls().is_empty());

    let stranger = asked
        .rig
        .comes(0, SOCKETIO_SOCKET, "EIO=4&transport=websocket", "");
    asked.rig.say(stranger, "40");
    asked.answers(&[json!({"allow": false, "reason": "who are you"})]);
    assert!(
        last(&asked, stranger).starts_with("44"),
        "{}",
        last(&asked, stranger)
    );
    asked.rig.leaves(guest);
    assert_eq!(asked.calls()[0].1["hook"], "disconnect");
}
