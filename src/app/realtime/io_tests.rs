//! Clients of Socket.IO on several cores without a server: what they say, and what they are told.

use super::rig::{Guest, Rig};
use super::*;
use crate::app::Kind;
use serde_json::{Value, json};

const QUERY: &str = "EIO=4&transport=websocket";

fn comes(rig: &mut Rig, core: u16) -> Guest {
    rig.comes(core, SOCKETIO_SOCKET, QUERY, "")
}

/// A client comes and joins the namespace.
fn client(rig: &mut Rig, core: u16) -> Guest {
    let guest = comes(rig, core);
    rig.say(guest, "40");
    assert!(last(rig, guest).starts_with("40{\"sid\":\""));
    guest
}

fn texts(rig: &Rig, guest: Guest) -> Vec<&str> {
    rig.told(guest).iter().map(|told| &*told.text).collect()
}

fn last(rig: &Rig, guest: Guest) -> &str {
    texts(rig, guest).last().copied().unwrap_or_default()
}

#[test]
fn a_session_opens_with_its_times_and_is_pinged() {
    let mut rig = Rig::new(1);
    let guest = comes(&mut rig, 0);
    let open: Value = serde_json::from_str(&last(&rig, guest)[1..]).expect("JSON");
    assert_eq!(
        (
            &open["pingInterval"],
            &open["pingTimeout"],
            &open["maxPayload"],
            &open["upgrades"]
        ),
        (
            &json!(25_000),
            &json!(20_000),
            &json!(1_000_000),
            &json!([])
        )
    );
    rig.say(guest, "40");
    rig.wait(Duration::from_secs(26));
    assert_eq!(last(&rig, guest), "2");
    rig.say(guest, "3");
    rig.wait(Duration::from_secs(26));
    assert_eq!((last(&rig, guest), rig.closed(guest)), ("2", None));
    rig.wait(Duration::from_secs(21));
    assert!(rig.closed(guest).is_some(), "it answers no ping");
    let silent = comes(&mut rig, 0);
    rig.wait(Duration::from_secs(44));
    assert_eq!(rig.closed(silent), None);
    rig.wait(Duration::from_secs(3));
    assert!(rig.closed(silent).is_some(), "it joins nothing");
}

#[test]
fn what_is_said_in_a_room_reaches_everyone_in_it_whatever_they_speak() {
    let mut rig = Rig::new(3);
    let (one, two, three) = (
        client(&mut rig, 0),
        client(&mut rig, 1),
        client(&mut rig, 2),
    );
    for guest in [one, two] {
        rig.say(guest, r#"420["join","a"]"#);
        assert_eq!(last(&rig, guest), "430[]");
    }
    rig.say(two, r#"421["join","a"]"#);
    assert_eq!(last(&rig, two), "431[]", "it is in it");
    let cluster = rig.comes(0, SOCKETCLUSTER_SOCKET, "", "");
    rig.say(cluster, r##"{"event":"#handshake","cid":1}"##);
    rig.say(
        cluster,
        r##"{"event":"#subscribe","data":{"channel":"a"},"cid":2}"##,
    );
    rig.say(three, r#"427["say","a",{"n":1}]"#);
    assert_eq!(last(&rig, three), "437[]", "it need not be in it");
    for guest in [one, two] {
        assert_eq!(last(&rig, guest), r#"42["said",{"n":1}]"#);
    }
    assert!(last(&rig, cluster).contains(r#"{"n":1}"#));
    rig.call(2, "/api/publish", r#"{"channel":"a","data":"api"}"#);
    assert_eq!(last(&rig, one), r#"42["said","api"]"#);
    rig.say(two, r#"422["leave","a"]"#);
    assert_eq!(last(&rig, two), "432[]");
    rig.say(one, r#"42["say","a",2]"#);
    assert_eq!(
        (last(&rig, one), last(&rig, two)),
        (r#"42["said",2]"#, "432[]")
    );
    rig.say(one, "41");
    rig.call(2, "/api/publish", r#"{"channel":"a","data":"gone"}"#);
    assert_eq!(last(&rig, one), r#"42["said",2]"#, "it is in no namespace");
    assert_eq!(rig.closed(one), None);
}

#[test]
fn what_is_not_carried_out_is_acknowledged_with_why() {
    let mut rig = Rig::new(1);
    let guest = client(&mut rig, 0);
    for (said, why) in [
        (r#"425["join","x*y\u0000"]"#, 107),
        (r#"425["join",7]"#, 107),
        (r#"425["nothing"]"#, 104),
        (r#"425["say",{}]"#, 107),
    ] {
        rig.say(guest, said);
        let text = last(&rig, guest)
            .strip_prefix("435")
            .expect("an acknowledgement");
        let told: Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(told[0]["code"], why, "{said}: {text}");
    }
    rig.say(guest, r#"42["nothing"]"#);
    rig.say(guest, "439[1]");
    assert_eq!(rig.closed(guest), None, "both are passed over");
    rig.say(guest, "40/admin,{}");
    assert_eq!(
        last(&rig, guest),
        r#"44/admin,{"message":"Invalid namespace"}"#
    );
}

/// As `Client.ondecoded`, `Client.ondata` (npm's `socket.io`), `Socket.onPacket` (`engine.io`).
#[test]
fn what_no_client_says_closes_its_connection() {
    for said in [
        "",
        "x",
        "2",
        "2probe",
        "44{}",
        "42{}",
        "42[]",
        "40",
        "41/a",
        "42/a,[\"e\"]",
        "42[\"connect\"]",
        "42[\"e\"",
        "45-[\"e\"]",
        "4511-[\"e\"]",
    ] {
        let mut rig = Rig::new(1);
        let guest = client(&mut rig, 0);
        rig.wait(Duration::from_millis(1));
        rig.say(guest, said);
        assert!(rig.closed(guest).is_some(), "{said}");
    }
    let mut rig = Rig::new(1);
    for said in ["42[\"e\"]", "41", "430[]"] {
        let guest = comes(&mut rig, 0);
        rig.say(guest, said);
        assert!(rig.closed(guest).is_some(), "{said} before it has joined");
    }
    let guest = client(&mut rig, 0);
    rig.say_as(guest, Kind::Binary, b"x");
    assert!(rig.closed(guest).is_some(), "it belongs to nothing");
    let guest = client(&mut rig, 0);
    rig.say(guest, r#"451-["e",{"_placeholder":true,"num":0}]"#);
    assert_eq!(rig.closed(guest), None);
    rig.say(guest, r#"42["e"]"#);
    assert!(rig.closed(guest).is_some(), "a binary message is missing");
    let guest = client(&mut rig, 0);
    rig.say(guest, r#"452-["e"]"#);
    rig.say_as(guest, Kind::Binary, &vec![0; limits::IO_PAYLOAD_BYTES / 2]);
    assert_eq!(rig.closed(guest), None);
    rig.say_as(guest, Kind::Binary, &vec![0; limits::IO_PAYLOAD_BYTES / 2]);
    assert!(rig.closed(guest).is_some(), "it is too much");
}

#[test]
fn tokens_say_who_may_join_the_namespace() {
    let mut rig = Rig::with(RealtimePlan::with_tokens([7; 32]), 1);
    for (said, why) in [
        ("40", "permission denied"),
        (r#"40{"token":"x"}"#, "unauthorized"),
    ] {
        let guest = comes(&mut rig, 0);
        rig.say(guest, said);
        assert_eq!(last(&rig, guest), format!("44{{\"message\":\"{why}\"}}"));
        assert_eq!(rig.closed(guest), None, "it may try again");
    }
}
