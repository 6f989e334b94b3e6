//! Clients of the extended protocol of `ActionCable` that join channels, ask who is there and
//! whisper, without a server.

use super::cable_rig::{EXTENDED, about, client, comes, command, identifier};
use super::rig::{Guest, Rig};
use crate::limits;
use serde_json::{Value, json};

fn news() -> Value {
    json!({"channel": "$pubsub", "stream_name": "news"})
}

/// A client that has subscribed to the news, with what it says beside that.
fn subscriber(rig: &mut Rig, core: u16, more: &Value) -> Guest {
    let guest = comes(rig, core, (EXTENDED, ""));
    let text = with(&command("subscribe", &news()), more);
    rig.say(guest, &text);
    assert!(
        rig.all(guest)
            .contains(&about(&news(), "confirm_subscription"))
    );
    guest
}

/// A command, and more members of it.
fn with(command: &str, more: &Value) -> String {
    let mut command: Value = serde_json::from_str(command).unwrap();
    for (name, value) in more.as_object().into_iter().flatten() {
        command[name] = value.clone();
    }
    command.to_string()
}

fn join(id: &str, info: &Value) -> String {
    let presence = json!({"presence": {"id": id, "info": info}});
    with(&command("join", &news()), &presence)
}

/// What a client is told of who is there, from a place on.
fn changes(rig: &Rig, guest: Guest, from: usize) -> Vec<Value> {
    let all = rig.all(guest).split_off(from).into_iter();
    let told = all.filter(|it| it["type"] == "presence");
    told.map(|it| it["message"].clone()).collect()
}

fn present(rig: &mut Rig, guest: Guest) -> Value {
    let told = rig.ask(guest, &command("presence", &news()));
    assert_eq!(
        (&told["identifier"], &told["type"]),
        (&json!(identifier(&news())), &json!("presence"))
    );
    told["message"].clone()
}

#[test]
fn whoever_joins_is_told_to_all_and_named_to_who_asks() {
    let mut rig = Rig::new(3);
    let ann = subscriber(&mut rig, 0, &json!({}));
    let bob = subscriber(
        &mut rig,
        1,
        &json!({"presence": {"id": "bob", "info": "b"}}),
    );
    let bob_joined = json!({"type": "join", "id": "bob", "info": "b"});
    assert_eq!(changes(&rig, ann, 0), [bob_joined], "with its subscription");
    rig.say(ann, &join("ann", &json!({"name": "Ann"})));
    let ann_joined = json!({"type": "join", "id": "ann", "info": {"name": "Ann"}});
    assert_eq!(rig.last(bob)["message"], ann_joined);
    assert_eq!(rig.last(ann)["message"], ann_joined, "it is told too");
    assert_eq!(
        present(&mut rig, bob),
        json!({"type": "info", "total": 2, "records": [
            {"id": "ann", "info": {"name": "Ann"}}, {"id": "bob", "info": "b"}]})
    );
    let count = with(
        &command("presence", &news()),
        &json!({"data": {"return_records": false}}),
    );
    assert_eq!(
        rig.ask(ann, &count)["message"],
        json!({"type": "info", "total": 2})
    );
    rig.say(ann, &command("leave", &news()));
    let ann_left = json!({"type": "leave", "id": "ann"});
    assert_eq!(rig.last(bob)["message"], ann_left);
    rig.say(ann, &command("leave", &news()));
    assert_eq!(
        changes(&rig, bob, 0).len(),
        4,
        "it has gone: {:?}",
        changes(&rig, bob, 0)
    );
    rig.leaves(bob);
    assert_eq!(
        rig.last(ann)["message"],
        json!({"type": "leave", "id": "bob"})
    );
    assert_eq!(
        present(&mut rig, ann),
        json!({"type": "info", "total": 0, "records": []})
    );
}

#[test]
fn a_name_comes_with_the_first_and_goes_with_the_last_who_has_it() {
    let mut rig = Rig::new(2);
    let watcher = subscriber(&mut rig, 0, &json!({}));
    let tabs: Vec<_> = (0..3)
        .map(|core| subscriber(&mut rig, core % 2, &json!({})))
        .collect();
    let from = rig.told(watcher).len();
    for tab in &tabs {
        rig.say(*tab, &join("ann", &json!({})));
        rig.say(*tab, &join("ann", &json!({})));
    }
    assert_eq!(changes(&rig, watcher, from).len(), 1);
    assert_eq!(present(&mut rig, watcher)["total"], 1);
    rig.leaves(tabs[0]);
    rig.say(tabs[1], &command("unsubscribe", &news()));
    let from = rig.told(watcher).len();
    assert_eq!(changes(&rig, watcher, from), [] as [Value; 0]);
    // The last takes another name.
    rig.say(tabs[2], &join("eve", &json!(1)));
    assert_eq!(
        changes(&rig, watcher, from),
        [
            json!({"type": "leave", "id": "ann"}),
            json!({"type": "join", "id": "eve", "info": 1})
        ]
    );
}

#[test]
fn clients_of_other_protocols_are_there_as_those_that_they_are() {
    let mut rig = Rig::new(2);
    let watcher = subscriber(&mut rig, 0, &json!({}));
    let centrifugo = rig.client(1);
    let reply = rig.reply(centrifugo, r#"{"id":2,"subscribe":{"channel":"news"}}"#);
    assert!(reply["error"].is_null(), "{reply}");
    let told = rig.last(watcher)["message"].clone();
    assert_eq!(told["type"], "join");
    let rails = comes(&mut rig, 1, ("actioncable-v1-json", ""));
    rig.say(rails, &command("subscribe", &news()));
    assert_eq!(
        present(&mut rig, watcher)["total"],
        2,
        "who has not joined is not there"
    );
    // To them the client of the extended protocol is, once it has joined, as the client it is.
    let presence = r#"{"id":3,"presence":{"channel":"news"}}"#;
    let clients = |reply: &Value| reply["presence"]["presence"].as_object().map(|it| it.len());
    assert_eq!(clients(&rig.reply(centrifugo, presence)), Some(2));
    rig.say(watcher, &join("ann", &json!({})));
    let all = rig.reply(centrifugo, presence);
    assert_eq!(clients(&all), Some(3));
    assert!(
        !all.to_string().contains("ann"),
        "a name that nobody has looked at: {all}"
    );
    let joined = rig.all(centrifugo).into_iter();
    let joined = joined.filter(|it| it["push"]["join"]["info"]["client"].is_string());
    assert_eq!(joined.count(), 3, "its own, that of Rails' client, this");
    rig.leaves(centrifugo);
    assert_eq!(
        rig.last(watcher)["message"],
        json!({"type": "leave", "id": told["id"]})
    );
    // The plain protocol has no words for any of it.
    let before = rig.told(rails).len();
    for verb in ["join", "leave", "presence"] {
        rig.say(
            rails,
            &with(&command(verb, &news()), &json!({"presence": {"id": "x"}})),
        );
    }
    assert_eq!(rig.told(rails).len(), before);
}

#[test]
fn who_has_not_subscribed_or_says_it_wrong_is_not_there() {
    let mut rig = Rig::new(1);
    let guest = comes(&mut rig, 0, (EXTENDED, ""));
    let error = json!({"type": "error"});
    assert_eq!(present(&mut rig, guest), error);
    let before = rig.told(guest).len();
    rig.say(guest, &join("ann", &json!({})));
    let echo = json!({"channel": "EchoChannel"});
    rig.say(guest, &command("subscribe", &echo));
    assert_eq!(
        rig.ask(guest, &command("presence", &echo))["message"],
        error
    );
    assert_eq!(rig.told(guest).len(), before + 2);
    rig.say(
        guest,
        &with(
            &command("subscribe", &news()),
            &json!({"presence": {"id": 7}}),
        ),
    );
    assert_eq!(rig.last(guest), about(&news(), "confirm_subscription"));
    let long = "x".repeat(limits::CABLE_NAME_BYTES + 1);
    let told = "x".repeat(limits::CABLE_INFO_BYTES);
    for (id, info) in [("", "a"), (&long, "a"), ("a", &told)] {
        rig.say(guest, &join(id, &json!(info)));
    }
    rig.say(guest, &command("join", &news()));
    assert_eq!(present(&mut rig, guest)["total"], 0);
}

#[test]
fn a_whisper_reaches_the_others_and_is_not_kept() {
    let mut rig = Rig::new(2);
    let ann = subscriber(&mut rig, 0, &json!({}));
    let others = [
        subscriber(&mut rig, 0, &json!({})),
        subscriber(&mut rig, 1, &json!({})),
        client(&mut rig, 0),
    ];
    rig.say(others[2], &command("subscribe", &news()));
    let centrifugo = rig.client(1);
    rig.say(centrifugo, r#"{"id":2,"subscribe":{"channel":"news"}}"#);
    let before = rig.told(ann).len();
    let whisper = with(
        &command("whisper", &news()),
        &json!({"data": {"event": "typing"}}),
    );
    rig.say(ann, &whisper);
    for other in others {
        assert_eq!(
            rig.last(other),
            json!({"identifier": identifier(&news()), "message": {"event": "typing"}})
        );
    }
    assert_eq!(
        rig.last(centrifugo)["push"]["pub"]["data"],
        json!({"event": "typing"})
    );
    assert_eq!(rig.told(ann).len(), before, "it is not told what it said");
    let history = rig.reply(
        centrifugo,
        r#"{"id":3,"history":{"channel":"news","limit":9}}"#,
    );
    assert_eq!(
        history["history"]["offset"].as_u64().unwrap_or(0),
        0,
        "{history}"
    );
    // Those of the plain protocol whisper too.
    rig.say(others[2], &whisper);
    assert_eq!(rig.told(ann).len(), before + 1);
    let before = rig.told(ann).len();
    rig.say(others[0], &command("whisper", &news()));
    assert_eq!(rig.told(ann).len(), before, "nothing is no whisper");
}

#[test]
fn of_those_who_come_and_go_within_a_second_a_name_that_stays_is_told() {
    let mut rig = Rig::new(2);
    let watcher = subscriber(&mut rig, 0, &json!({}));
    let many = limits::PRESENCE_TOLD_AT_ONCE;
    for number in 0..many {
        let more = json!({"presence": {"id": format!("n{number}")}});
        subscriber(&mut rig, 1, &more);
    }
    rig.wait(limits::PRESENCE_TIME);
    let from = rig.told(watcher).len();
    let ann = json!({"presence": {"id": "ann"}});
    let first = subscriber(&mut rig, 0, &ann);
    subscriber(&mut rig, 1, &ann);
    rig.leaves(first);
    let gone = subscriber(&mut rig, 1, &json!({"presence": {"id": "eve"}}));
    rig.leaves(gone);
    rig.wait(limits::PRESENCE_TIME);
    assert_eq!(
        changes(&rig, watcher, from),
        [json!({"type": "join", "id": "ann"})]
    );
}
