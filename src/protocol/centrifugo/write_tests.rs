//! What a server says, read back as JSON.

use super::*;
use serde_json::{Value, json};
use std::fmt::Display;

fn read(write: impl FnOnce(&mut Vec<u8>)) -> Value {
    let mut text = Vec::new();
    write(&mut text);
    assert!(!text.contains(&b'\n'), "clients split at line breaks");
    serde_json::from_slice(&text).expect("json")
}

const BY: InfoView<'static> = InfoView {
    client: &"id",
    user: "a\"nn",
    conn_info: "{\"n\":1}",
};

fn said(offset: u64) -> PublicationView<'static> {
    PublicationView {
        offset,
        data: "[1]",
        by: Some(BY),
        tags: Some("{\"t\":\"1\"}"),
        channel: None,
    }
}

/// What `centrifuge` 5.8 reads: `_handlePush`, `_getPublicationContext`,
/// `_getJoinLeaveContext`.
#[test]
fn pushes_are_what_the_javascript_client_reads() {
    let push = read(|into| push_publication(into, Wrap::Push, "c\"h", said(7)));
    let info = json!({"user": "a\"nn", "client": "id", "conn_info": {"n": 1}});
    let publication = json!({"data": [1], "offset": 7, "info": info, "tags": {"t": "1"}});
    assert_eq!(
        push,
        json!({"push": {"channel": "c\"h", "pub": publication}})
    );
    let push = read(|into| push_join(into, Wrap::Bare, "c", BY));
    assert_eq!(push, json!({"channel": "c", "join": {"info": info}}));
    let push = read(|into| push_leave(into, Wrap::Push, "c", BY));
    assert_eq!(push["push"]["leave"]["info"], info);
    let push = read(|into| push_unsubscribe(into, Wrap::Push, "c", 2500, "x"));
    assert_eq!(
        push["push"]["unsubscribe"],
        json!({"code": 2500, "reason": "x"})
    );
    let push = read(|into| push_subscribe(into, Wrap::Push, "c", None));
    assert_eq!(push["push"], json!({"channel": "c", "subscribe": {}}));
    let push = read(|into| push_disconnect(into, Wrap::Bare, CloseAdvice::SLOW));
    assert_eq!(
        push,
        json!({"disconnect": {"code": 3008, "reason": "slow"}})
    );
}

#[test]
fn replies_are_what_the_javascript_client_reads() {
    let (epoch, offset) = (&"e" as &dyn Display, 9);
    let at = StreamView { epoch, offset };
    let subscribed = read(|into| {
        reply(into, 2, |into| {
            let it = SubscribeReply {
                position: Some(at),
                recovered: Some(true),
                publications: [said(9)].into_iter(),
                ttl_s: None,
            };
            subscribe(into, it);
        });
    });
    assert_eq!(subscribed["id"], 2);
    let it = &subscribed["subscribe"];
    assert_eq!((&it["epoch"], &it["offset"]), (&json!("e"), &json!(9)));
    assert_eq!(
        (&it["recovered"], &it["was_recovering"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(it["publications"][0]["offset"], 9);
    let read_history = read(|into| reply(into, 3, |into| history(into, at, [said(9)].into_iter())));
    assert_eq!(
        read_history["history"]["publications"][0]["data"],
        json!([1])
    );
    let here = read(|into| reply(into, 4, |into| presence(into, [BY].into_iter())));
    assert_eq!(here["presence"]["presence"]["id"]["user"], "a\"nn");
    let count = read(|into| reply(into, 4, |into| presence_stats(into, 3, 2)));
    assert_eq!(
        count["presence_stats"],
        json!({"num_clients": 3, "num_users": 2})
    );
    let failed = read(|into| reply(into, 5, |into| error(into, ErrorCode::INTERNAL)));
    let wanted = json!({"code": 100, "message": "internal server error", "temporary": true});
    assert_eq!(failed, json!({"id": 5, "error": wanted}));
    let called = read(|into| reply(into, 5, |into| rpc(into, "[2]")));
    assert_eq!(called["rpc"]["data"], json!([2]));
}

#[test]
fn a_connect_reply_tells_pings_and_subscriptions() {
    let it = ConnectReply {
        client: &"id",
        version: "1",
        ping_s: 25,
        pong: true,
        ttl_s: None,
    };
    let connected = read(|into| {
        reply(into, 1, |into| connect(into, it, b"\"c\":{}"));
    });
    let wanted = json!({"client": "id", "version": "1", "subs": {"c": {}}, "ping": 25,
        "pong": true});
    assert_eq!(connected["connect"], wanted);
    let ping_s = 0;
    let pong = false;
    let quiet = ConnectReply { ping_s, pong, ..it };
    let connected = read(|into| reply(into, 1, |into| connect(into, quiet, b"")));
    assert_eq!(
        connected["connect"],
        json!({"client": "id", "version": "1"})
    );
}
