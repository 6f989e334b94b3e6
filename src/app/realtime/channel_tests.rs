//! Channels that a file of rules says are like something else, and what is not kept of any.

use super::rig::{Guest, Rig};
use super::*;
use crate::app::rules::MiddlewareSource;
use crate::app::rules::RuleFile;
use serde_json::{Value, json};
use std::sync::Arc;

fn rig(tables: &str) -> Rig {
    let file = RuleFile::parse(tables).unwrap_or_else(|fault| panic!("{fault}"));
    let dev = RealtimePlan::dev([7; 32]);
    let namespaces = Arc::new(dev.namespaces.changed(&file.channels));
    Rig::with(RealtimePlan { namespaces, ..dev }, 2)
}

fn publish(rig: &mut Rig, channel: &str, data: u32) -> Value {
    let order = json!({"channel": channel, "data": data}).to_string();
    rig.call(0, "/api/publish", &order)["result"].take()
}

fn subscribe(rig: &mut Rig, guest: Guest, channel: &str) -> Value {
    let command = json!({"id": 2, "subscribe": {"channel": channel}}).to_string();
    rig.reply(guest, &command)["subscribe"].take()
}

/// The publications that a client was told, as their numbers and contents.
fn heard(rig: &Rig, guest: Guest) -> Vec<(Value, Value)> {
    let all = rig
        .all(guest)
        .into_iter()
        .map(|mut it| it["push"]["pub"].take());
    let said = all.filter(Value::is_object);
    said.map(|mut it| (it["offset"].take(), it["data"].take()))
        .collect()
}

#[test]
fn each_table_says_what_its_channels_are_like_and_the_others_are_as_they_were() {
    let mut rig = rig(r#"
        [[channel]]
        name = "chat:*"
        history = 2
        history-time = "10s"
        presence = false
        join-leave = false
        publish = false
        [[channel]]
        name = "*"
        history = 0
        "#);
    let client = rig.client(1);
    assert_eq!(subscribe(&mut rig, client, "chat:a")["recoverable"], true);
    assert_eq!(subscribe(&mut rig, client, "b"), json!({}));
    for data in 1..=3 {
        publish(&mut rig, "chat:a", data);
    }
    let kept = |rig: &mut Rig| {
        let history = rig.call(0, "/api/history", r#"{"channel":"chat:a","limit":9}"#);
        let listed = history["result"]["publications"].as_array().map(Vec::len);
        listed.expect("publications")
    };
    assert_eq!(kept(&mut rig), 2);
    rig.wait(Duration::from_secs(10));
    assert_eq!(kept(&mut rig), 0);
    let refused = |rig: &mut Rig, command: &str| rig.reply(client, command)["error"]["code"].take();
    for (command, code) in [
        (r#"{"id":3,"presence":{"channel":"chat:a"}}"#, 108),
        (r#"{"id":4,"publish":{"channel":"chat:a","data":1}}"#, 103),
        (r#"{"id":5,"history":{"channel":"b","limit":1}}"#, 108),
    ] {
        assert_eq!(refused(&mut rig, command), code, "{command}");
    }
    let here = rig.reply(client, r#"{"id":6,"presence_stats":{"channel":"b"}}"#);
    assert_eq!(here["presence_stats"]["num_clients"], 1);
    let joined = rig.all(client).into_iter();
    let joined = joined.filter(|it| it["push"]["join"].is_object());
    let joined: Vec<_> = joined.map(|it| it["push"]["channel"].clone()).collect();
    assert_eq!(joined, ["b"], "and none of chat:a");
}

#[test]
fn who_does_not_read_is_told_what_it_missed_in_its_own_words() {
    let mut rig = rig(r#"
        [[channel]]
        name = "prices"
        slow = "conflate"
        [[channel]]
        name = "log"
        slow = "drop"
        "#);
    for (channel, missed, newest) in [("prices", 2, Some(4)), ("log", 3, None)] {
        let client = rig.client(1);
        subscribe(&mut rig, client, channel);
        let streams = [
            format!("topic={channel}"),
            format!("topic={channel}&topic=x"),
        ];
        let streams = streams.map(|query| rig.comes(0, CHANNELS, &query, ""));
        publish(&mut rig, channel, 1);
        let all = [client, streams[0], streams[1]];
        rig.hall.behind.extend(all.map(|it| it.user));
        for data in 2..=4 {
            publish(&mut rig, channel, data);
        }
        rig.hall.behind.clear();
        for Guest { core, user, seat } in all {
            rig.on(core, |app, hall| app.caught_up(user, seat, hall));
        }
        publish(&mut rig, channel, 5);
        let expected: Vec<_> = [Some(1), newest, Some(5)].into_iter().flatten().collect();
        let told: Vec<_> = heard(&rig, client)
            .into_iter()
            .map(|(offset, _)| offset)
            .collect();
        assert_eq!(told, expected, "{channel}");
        let text = json!({"missed": missed, "topic": channel});
        for stream in streams {
            let told = rig.told(stream).iter();
            let stale: Vec<Value> = told
                .filter(|it| it.name == "stale")
                .map(|it| serde_json::from_str(&it.text).expect("JSON"))
                .collect();
            assert_eq!(stale, std::slice::from_ref(&text));
            let last = rig.told(stream).last().and_then(|it| it.cursor.clone());
            assert!(last.is_some_and(|it| it.contains(":5")), "{channel}");
        }
    }
}

#[test]
fn what_is_not_kept_has_no_number_and_leaves_those_of_others_as_they_are() {
    let mut rig = rig("");
    let client = rig.client(1);
    subscribe(&mut rig, client, "a");
    let streams = ["topic=a", "topic=a&topic=b"].map(|query| rig.comes(0, CHANNELS, query, ""));
    publish(&mut rig, "a", 1);
    let skip = r#"{"channel":"a","data":2,"skip_history":true}"#;
    let answer = rig.call(0, "/api/publish", skip);
    assert_eq!(answer["result"]["connections"], 3);
    publish(&mut rig, "a", 3);
    let told = heard(&rig, client);
    let expected = [
        (json!(1), json!(1)),
        (Value::Null, json!(2)),
        (json!(2), json!(3)),
    ];
    assert_eq!(told, expected);
    for stream in streams {
        let said = rig.told(stream).iter().filter(|it| it.name.is_empty());
        let cursors: Vec<bool> = said.map(|it| it.cursor.is_some()).collect();
        assert_eq!(cursors, [true, false, true], "nothing to come back to");
    }
    let kept = rig.call(0, "/api/history", r#"{"channel":"a","limit":9}"#);
    let kept = kept["result"]["publications"].as_array().map(Vec::len);
    assert_eq!(kept, Some(2));
}

#[test]
fn who_comes_back_to_a_channel_of_which_nothing_is_kept_is_told_that_something_may_be_lost() {
    let mut rig = rig("[[channel]]\nname = \"*\"\nhistory = 0");
    let client = rig.client(1);
    subscribe(&mut rig, client, "a");
    let stream = rig.comes(0, CHANNELS, "topic=a", "");
    publish(&mut rig, "a", 1);
    let cursor = rig.told(stream).last().and_then(|it| it.cursor.clone());
    let cursor: &'static str = Box::leak(cursor.expect("a cursor").into_boxed_str());
    rig.leaves(stream);
    let names = |rig: &mut Rig| {
        let again = rig.comes(1, CHANNELS, "topic=a", cursor);
        rig.settle();
        let told = rig.told(again).iter().map(|it| it.name.clone());
        told.collect::<Vec<_>>()
    };
    assert_eq!(names(&mut rig), ["ready"], "nothing was said");
    publish(&mut rig, "a", 2);
    assert_eq!(names(&mut rig), ["stale", "ready"]);
}

#[test]
fn a_pattern_is_told_where_each_publication_was_said_in_every_protocol() {
    let mut rig = rig("[[channel]]\nname = \"closed:*\"\npatterns = false");
    let client = rig.client(1);
    assert_eq!(subscribe(&mut rig, client, "news.*"), json!({}));
    let streams = ["topic=news.*", "topic=b&topic=news.*"];
    let streams = streams.map(|query| rig.comes(0, CHANNELS, query, ""));
    let uni = json!({"subs": {"news.*": {}}}).to_string();
    let uni = rig.comes(0, CENTRIFUGO_STREAM, &format!("cf_connect={uni}"), "");
    rig.settle();
    let order = json!({"channel": "news.a", "data": 1, "tags": {"t": "1"}}).to_string();
    let answer = rig.call(0, "/api/publish", &order);
    assert_eq!(answer["result"]["connections"], 4);
    let publication = json!({
        "data": 1, "channel": "news.a", "tags": {"channel": "news.a", "t": "1"}
    });
    let push = json!({"channel": "news.*", "pub": publication});
    assert_eq!(rig.last(client), json!({ "push": push }));
    assert_eq!(rig.last(uni), push);
    publish(&mut rig, "news.b", 2);
    let tags = rig.last(client)["push"]["pub"]["tags"].take();
    assert_eq!(tags, json!({"channel": "news.b"}));
    let said = json!({"topic": "news.b", "offset": 1, "data": 2, "pattern": "news.*"});
    for stream in streams {
        assert_eq!(rig.last(stream), said);
        assert_eq!(
            rig.told(stream).last().map(|it| it.cursor.clone()),
            Some(None)
        );
    }
    let cursor = rig.told(streams[1]).iter().find_map(|it| it.cursor.clone());
    let cursor: &'static str = Box::leak(cursor.expect("that of ready").into_boxed_str());
    let again = rig.comes(1, CHANNELS, "topic=b&topic=news.*", cursor);
    rig.settle();
    let told = rig.told(again).iter().map(|it| it.name.clone());
    assert_eq!(
        told.collect::<Vec<_>>(),
        ["stale", "ready"],
        "of the pattern alone"
    );
    let refused = rig.reply(client, r#"{"id":9,"subscribe":{"channel":"closed:*"}}"#);
    assert_eq!(refused["error"]["code"], 108);
}

#[test]
fn of_a_pattern_nobody_is_told_what_a_rule_keeps_from_it() {
    let rules = r#"
        [[rule]]
        on = "publish-out"
        action = "deny"
        channel = "news.secret"
        "#;
    let file = RuleFile::parse(rules).unwrap_or_else(|fault| panic!("{fault}"));
    let middleware = MiddlewareSource::rules(file.rules);
    let dev = RealtimePlan::dev([7; 32]);
    let mut rig = Rig::with(RealtimePlan { middleware, ..dev }, 2);
    let client = rig.client(0);
    subscribe(&mut rig, client, "news.*");
    publish(&mut rig, "news.secret", 1);
    publish(&mut rig, "news.a", 2);
    let told: Vec<_> = heard(&rig, client)
        .into_iter()
        .map(|(_, data)| data)
        .collect();
    assert_eq!(told, [2]);
}
