//! The scenario `channels`, called as the load client calls it, against what a server says.

use super::realtime_tests::Desk;
use super::{NumberedChannels, NumberedChannelsOptions, Part, Senders};
use crate::load::deliveries::Deliveries;

const REPLY: &str = r#"{"id":1,"connect":{"client":"x","version":"1"}}"#;

fn program(channels: u32) -> NumberedChannels {
    NumberedChannels::new(NumberedChannelsOptions {
        channel: "news".into(),
        channels,
        auth_token: Some("a.b.c".into()),
        content_bytes: 40,
        senders: Senders(1),
        seed: 1,
    })
}

/// One client that has subscribed to a history of so many publications.
fn subscribed(program: &NumberedChannels, subscription: &str) -> Desk {
    let mut desk = Desk::new(program, 0);
    desk.says();
    desk.hear(REPLY);
    desk.says();
    desk.hear(subscription);
    desk
}

fn publication(offset: u64) -> String {
    format!("{{\"push\":{{\"channel\":\"news\",\"pub\":{{\"data\":1,\"offset\":{offset}}}}}}}")
}

fn deliveries(desk: &Desk) -> Deliveries {
    desk.recorder.outcome().deliveries.unwrap_or_default()
}

#[test]
fn it_connects_subscribes_publishes_and_answers_pings() {
    let mut desk = Desk::new(&program(3), 7);
    let connect = r#"{"id":1,"connect":{"name":"ringstorm","token":"a.b.c"}}"#;
    assert_eq!(desk.says(), [connect]);
    desk.hear(REPLY);
    assert_eq!(desk.says(), [r#"{"id":2,"subscribe":{"channel":"news1"}}"#]);
    desk.hear(r#"{"id":2,"subscribe":{"epoch":"e","offset":0}}"#);
    assert_eq!(desk.said.ready, Some(Part::Listens));
    desk.hear("{}");
    assert_eq!(desk.says(), ["{}"]);
    let said: serde_json::Value = serde_json::from_str(&desk.turn()).unwrap();
    assert_eq!(said["publish"]["channel"], "news1");
    assert_eq!(said["publish"]["data"].as_str().map(str::len), Some(40));
    let reply = format!("{{\"id\":{},\"publish\":{{}}}}", said["id"]);
    desk.hear(&reply);
    assert_eq!(desk.recorder.outcome().messages.replied, 1);
    desk.hear(&reply);
    assert_eq!(
        desk.recorder.outcome().messages.wrong,
        1,
        "it had its answer"
    );
}

#[test]
fn a_server_that_says_nothing_is_told_by_what_was_awaited() {
    let mut desk = Desk::new(&program(1), 0);
    desk.due_after(5);
    assert_eq!(desk.failure(), "no_connect_reply");
    let mut desk = Desk::new(&program(1), 0);
    desk.hear(REPLY);
    desk.due_after(5);
    assert_eq!(desk.failure(), "no_subscription");
    let mut desk = subscribed(
        &program(1),
        r#"{"id":2,"subscribe":{"epoch":"e","offset":0}}"#,
    );
    desk.due_after(5);
    assert!(desk.said.leave.is_none(), "it has all it waited for");
}

#[test]
fn every_number_that_is_passed_over_repeated_or_late_is_counted() {
    let mut desk = subscribed(
        &program(1),
        r#"{"id":2,"subscribe":{"epoch":"e","offset":5}}"#,
    );
    for offset in [6, 7, 10, 8, 8, 10] {
        desk.hear(&publication(offset));
    }
    let expected = Deliveries {
        live: 6,
        lost: 1,
        repeated: 2,
        reordered: 1,
        ..Deliveries::default()
    };
    assert_eq!(deliveries(&desk), expected);
    // What is told to be passed over is not lost.
    desk.hear(r#"{"push":{"channel":"news","message":{"data":{"channel":"news","missed":3}}}}"#);
    desk.hear(&publication(14));
    let expected = Deliveries {
        live: 7,
        told: 3,
        ..expected
    };
    assert_eq!(deliveries(&desk), expected);
}

#[test]
fn who_comes_back_asks_for_what_it_missed() {
    let program = program(1);
    let mut desk = subscribed(&program, r#"{"id":2,"subscribe":{"epoch":"e","offset":5}}"#);
    desk.hear(&publication(6));
    let mut back = Desk::new(&program, 0);
    back.says();
    back.hear(REPLY);
    let wish = r#"{"id":2,"subscribe":{"channel":"news","recover":true,"offset":6,"epoch":"e"}}"#;
    assert_eq!(back.says(), [wish]);
    back.hear(concat!(
        r#"{"id":2,"subscribe":{"epoch":"e","offset":8,"was_recovering":true,"recovered":true,"#,
        r#""publications":[{"data":1,"offset":7},{"data":1,"offset":8}]}}"#
    ));
    back.hear(&publication(9));
    let expected = Deliveries {
        live: 1,
        recovered: 2,
        ..Deliveries::default()
    };
    assert_eq!(deliveries(&back), expected);
    // Subscribed anew on the same connection, and the server cannot give everything.
    back.hear(r#"{"push":{"channel":"news","unsubscribe":{"code":2500,"reason":"x"}}}"#);
    assert_eq!(back.says().len(), 1);
    back.hear(r#"{"id":2,"subscribe":{"epoch":"e","offset":12,"was_recovering":true}}"#);
    assert_eq!(deliveries(&back).told, 3);
    back.hear(&publication(13));
    assert_eq!((deliveries(&back).lost, deliveries(&back).repeated), (0, 0));
}

#[test]
fn a_recovery_that_is_called_whole_and_is_not_is_a_loss() {
    let program = program(1);
    subscribed(&program, r#"{"id":2,"subscribe":{"epoch":"e","offset":5}}"#);
    let whole = concat!(
        r#"{"id":2,"subscribe":{"epoch":"e","offset":8,"was_recovering":true,"recovered":true,"#,
        r#""publications":[{"data":1,"offset":6}]}}"#
    );
    let back = subscribed(&program, whole);
    assert_eq!(
        (deliveries(&back).recovered, deliveries(&back).lost),
        (1, 2)
    );
}

#[test]
fn what_a_server_refuses_has_its_name() {
    for (says, name) in [
        (
            &[r#"{"id":1,"error":{"code":101}}"#][..],
            "connect_rejected",
        ),
        (
            &[REPLY, r#"{"id":2,"error":{"code":103}}"#],
            "subscription_rejected",
        ),
        (&["hello"], "not_centrifugo"),
        (&[REPLY, r#"{"id":2}"#], "not_centrifugo"),
        (
            &[
                REPLY,
                r#"{"id":2,"subscribe":{}}"#,
                r#"{"push":{"channel":"news","unsubscribe":{"code":2000}}}"#,
            ],
            "unsubscribed",
        ),
    ] {
        let mut desk = Desk::new(&program(1), 0);
        for said in says {
            desk.hear(said);
        }
        assert_eq!(desk.failure(), name);
    }
}
