//! What very many subscribers of a channel are told leaves in steps; what one of them is told later
//! comes after it.

use super::*;
use crate::app::realtime::RealtimePlan;
use crate::server::members;

fn rig() -> Rig {
    Rig::new(Config {
        realtime: Some(RealtimePlan::dev([7; 32])),
        ..config()
    })
}

fn post(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nX-API-Key: dev\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn publish(rig: &mut Rig, topic: &str, data: &str) {
    let body = format!(r#"{{"topic":"{topic}","data":"{data}"}}"#);
    let id = rig.asked(&post("/publish", &body));
    let answer = rig.text(id);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// Clients that have subscribed to `news`.
fn subscribers(rig: &mut Rig, count: usize) -> Vec<ConnectionId> {
    let path = "/connection/websocket";
    let subscribe = "{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{\"channel\":\"news\"}}";
    let all = (0..count).map(|_| {
        let id = rig.socket(path);
        rig.receive(id, &masked(Opcode::Text, subscribe.as_bytes()));
        id
    });
    let all: Vec<_> = all.collect();
    // Joins are told in time.
    rig.pass(Duration::from_secs(2));
    for &id in &all {
        let answer = rig.sent(id);
        assert!(!answer.is_empty());
    }
    all
}

/// The texts of publications in what was sent.
fn heard(rig: &mut Rig, id: ConnectionId) -> Vec<String> {
    let sent = String::from_utf8_lossy(&rig.sent(id)).into_owned();
    let parts = sent.split("\"data\":\"").skip(1);
    let texts = parts.filter_map(|part| part.split('"').next());
    texts.map(str::to_owned).collect()
}

fn told(rig: &mut Rig, all: &[ConnectionId]) -> usize {
    let told = |id: &&ConnectionId| !rig.line(**id).sent.is_empty();
    all.iter().filter(told).count()
}

const MANY: usize = 2 * members::STEP + 100;

#[test]
fn what_very_many_subscribers_are_told_leaves_in_steps() {
    let mut rig = rig();
    let all = subscribers(&mut rig, MANY);
    publish(&mut rig, "news", "one");
    assert_eq!(told(&mut rig, &all), 0);
    assert!(rig.server.deadline().is_some_and(|at| at <= rig.wire.now));
    for steps in 1..3 {
        rig.server.expired(&mut rig.wire);
        assert_eq!(told(&mut rig, &all), steps * members::STEP);
    }
    // One who leaves is told nothing more, and nobody is in its place.
    rig.gone(all[MANY - 1], CloseCause::Reset);
    rig.server.expired(&mut rig.wire);
    for &id in &all[..MANY - 1] {
        assert_eq!(heard(&mut rig, id), ["one"]);
    }
    assert_eq!(rig.tally().open.websocket, MANY as u64 - 1);
}

#[test]
fn what_is_published_before_the_first_step_leaves_with_it_and_later_in_order() {
    let mut rig = rig();
    let all = subscribers(&mut rig, MANY);
    publish(&mut rig, "news", "one");
    publish(&mut rig, "news", "two");
    assert_eq!(told(&mut rig, &all), 0, "both are for the same");
    rig.server.expired(&mut rig.wire);
    assert_eq!(told(&mut rig, &all), members::STEP);
    publish(&mut rig, "news", "three");
    assert_eq!(told(&mut rig, &all), MANY, "one round at a time");
    rig.pass(Duration::from_millis(1));
    for id in all {
        assert_eq!(heard(&mut rig, id), ["one", "two", "three"]);
    }
}

#[test]
fn one_of_them_is_told_something_else_after_it_and_others_at_once() {
    let mut rig = rig();
    let all = subscribers(&mut rig, MANY);
    let other = rig.socket("/connection/websocket");
    publish(&mut rig, "news", "one");
    rig.receive(other, &masked(Opcode::Text, b"{\"id\":1,\"connect\":{}}"));
    assert!(!rig.sent(other).is_empty());
    assert_eq!(told(&mut rig, &all), 0, "it is none of them");
    let last = all[MANY - 1];
    rig.receive(
        last,
        &masked(
            Opcode::Text,
            br#"{"id":3,"unsubscribe":{"channel":"news"}}"#,
        ),
    );
    let sent = String::from_utf8_lossy(&rig.sent(last)).into_owned();
    let (publication, answer) = (sent.find("\"one\""), sent.find("\"unsubscribe\""));
    assert!(publication.is_some() && publication < answer, "{sent}");
    assert_eq!(told(&mut rig, &all), MANY - 1);
}

#[test]
fn whoever_is_to_be_told_when_the_server_ends_is_told() {
    let mut rig = rig();
    let all = subscribers(&mut rig, MANY);
    publish(&mut rig, "news", "one");
    rig.stop();
    for id in all {
        assert_eq!(heard(&mut rig, id), ["one"]);
    }
}

#[test]
fn what_a_client_of_socketio_is_answered_comes_after_it_in_text_and_in_binary() {
    // `leave` is answered by the hub, `echo` at once with what follows it, a namespace is refused.
    let asked: [(&[&str], &str); 3] = [
        (&[r#"421["leave","news"]"#], "431"),
        (&[r#"451-2["echo",{"_placeholder":true,"num":0}]"#], "461-2"),
        (&[&*format!("40/{},", "a".repeat(70))], "44/aaa"),
    ];
    for (texts, answered) in asked {
        let mut rig = rig();
        let path = "/socket.io/?EIO=4&transport=websocket";
        let all: Vec<_> = (0..MANY)
            .map(|_| {
                let id = rig.asked(&upgrade(path));
                for text in ["40", r#"420["join","news"]"#] {
                    rig.receive(id, &masked(Opcode::Text, text.as_bytes()));
                }
                rig.sent(id);
                id
            })
            .collect();
        rig.pass(Duration::from_secs(2));
        for &id in &all {
            rig.sent(id);
        }
        publish(&mut rig, "news", "one");
        assert_eq!(told(&mut rig, &all), 0);
        let last = all[MANY - 1];
        for text in texts {
            rig.receive(last, &masked(Opcode::Text, text.as_bytes()));
        }
        if answered.contains('-') {
            rig.receive(last, &masked(Opcode::Binary, &[7]));
        }
        let sent = String::from_utf8_lossy(&rig.sent(last)).into_owned();
        let (publication, answer) = (sent.find("one"), sent.find(answered));
        assert!(publication.is_some() && publication < answer, "{sent}");
    }
}
