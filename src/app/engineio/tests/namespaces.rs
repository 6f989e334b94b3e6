//! Namespaces beside `/`, over WebSockets and polls.

use super::rig::{EngineRig, Visitor};
use crate::app::Kind;
use crate::limits;
use std::time::Duration;

/// A connection that has joined nothing yet.
fn comes(rig: &mut EngineRig) -> Visitor {
    rig.socket(0, "EIO=4&transport=websocket")
}

fn last(rig: &EngineRig, visitor: Visitor) -> &str {
    rig.told(visitor).last().copied().unwrap_or_default()
}

/// Joins a namespace: what its client is called there.
fn joins(rig: &mut EngineRig, visitor: Visitor, packet: &str) -> String {
    rig.say(visitor, packet);
    let told = last(rig, visitor);
    let sid = told
        .strip_suffix("\"}")
        .and_then(|it| it.split_once("{\"sid\":\""));
    sid.expect(told).1.to_owned()
}

#[test]
fn each_namespace_of_a_connection_is_a_client_of_its_own() {
    let mut rig = EngineRig::new(2);
    let (one, other) = (comes(&mut rig), comes(&mut rig));
    let sids = ["40", "40/admin,{}", "40/b"].map(|packet| joins(&mut rig, one, packet));
    assert!(sids[0] != sids[1] && sids[1] != sids[2]);
    assert!(last(&rig, one).starts_with("40/b,{"));
    for (said, told) in [
        ("42/admin,7[\"echo\",1]", "43/admin,7[1]"),
        ("427[\"echo\",2]", "437[2]"),
        (
            "42/b,0[\"nothing\"]",
            "43/b,0[{\"code\":104,\"message\":\"method not found\"}]",
        ),
        ("42/admin,1[\"join\",\"a\"]", "43/admin,1[]"),
        ("421[\"join\",\"a\"]", "431[]"),
    ] {
        rig.say(one, said);
        assert_eq!(last(&rig, one), told);
    }
    joins(&mut rig, other, "40/admin,");
    rig.say(other, "42/admin,[\"say\",\"a\",\"x\"]");
    assert_eq!(last(&rig, one), "42/admin,[\"said\",\"x\"]");
    joins(&mut rig, other, "40");
    rig.say(other, "42[\"say\",\"a\",\"y\"]");
    assert_eq!(last(&rig, one), "42[\"said\",\"y\"]", "a room of its own");
    rig.say(other, "420[\"join\",\"/admin:a\"]");
    assert!(
        last(&rig, other).starts_with("430[{\"code\":107"),
        "not from `/`"
    );
    let count = rig.told(one).len();
    rig.say(one, "41/admin,");
    rig.say(other, "42/admin,[\"say\",\"a\",\"z\"]");
    assert_eq!(rig.told(one).len(), count, "it is out");
    rig.say(one, "42/b,2[\"echo\"]");
    assert_eq!((last(&rig, one), rig.closed(one)), ("43/b,2[]", None));
    rig.leaves(one);
    rig.leaves(other);
}

/// As `Client.ondecoded` and `Decoder.add` of npm's packages.
#[test]
fn what_no_client_says_in_a_namespace_closes_its_connection() {
    for packets in [
        &["42/admin,[\"e\"]"][..],
        &["41/admin,"],
        &["40/admin,", "W", "40/admin,"],
        &["40/admin,", "42/admin,{}"],
        &["40/admin,", "41/admin,", "42/admin,[\"e\"]"],
        &[
            "40/admin,",
            "451-/admin,[\"e\",{\"_placeholder\":true,\"num\":0}]",
            "40",
        ],
    ] {
        let mut rig = EngineRig::new(1);
        let visitor = comes(&mut rig);
        for packet in packets {
            match *packet {
                "W" => rig.wait(Duration::from_millis(1)),
                packet => rig.say(visitor, packet),
            }
        }
        assert_eq!(rig.closed(visitor), Some(1000), "{packets:?}");
        rig.leaves(visitor);
    }
}

#[test]
fn what_is_no_namespace_is_refused_and_so_is_one_too_many() {
    let mut rig = EngineRig::new(1);
    let visitor = comes(&mut rig);
    for name in ["/a?x=1", "/a:b", "/\u{e9}", &format!("/{}", "a".repeat(64))] {
        rig.say(visitor, &format!("40{name},"));
        let refused = format!("44{name},{{\"message\":\"Invalid namespace\"}}");
        assert_eq!(last(&rig, visitor), refused);
    }
    for at in 0..limits::IO_NAMESPACES {
        joins(&mut rig, visitor, &format!("40/{at},"));
    }
    rig.say(visitor, "40/more,");
    assert!(last(&rig, visitor).starts_with("44/more,"));
    rig.say(visitor, "41/0,");
    joins(&mut rig, visitor, "40/more,");
    assert_eq!(rig.closed(visitor), None);
}

#[test]
fn who_does_not_wait_for_the_answer_gets_another() {
    let mut rig = EngineRig::new(1);
    let visitor = comes(&mut rig);
    for packet in ["40", "40/a,"] {
        let sid = joins(&mut rig, visitor, packet);
        assert_eq!(joins(&mut rig, visitor, packet), sid);
    }
    rig.wait(Duration::from_millis(1));
    rig.say(visitor, "40");
    assert_eq!(rig.closed(visitor), Some(1000));
}

#[test]
fn a_connection_is_pinged_once_whatever_it_has_joined() {
    for packets in [&["40/admin,"][..], &["40", "40/admin,", "40/b,"]] {
        let mut rig = EngineRig::new(1);
        let visitor = comes(&mut rig);
        for packet in packets {
            joins(&mut rig, visitor, packet);
        }
        let count = rig.told(visitor).len();
        for pings in 1..4 {
            rig.wait(Duration::from_secs(26));
            assert_eq!(last(&rig, visitor), "2");
            assert_eq!(rig.told(visitor).len(), count + pings);
            rig.say(visitor, "3");
        }
        assert_eq!(rig.closed(visitor), None);
        rig.wait(Duration::from_secs(26));
        rig.wait(Duration::from_secs(21));
        assert_eq!(rig.closed(visitor), Some(1000), "it answers no ping");
    }
}

#[test]
fn the_application_takes_a_client_out_of_its_namespace_alone() {
    let mut rig = EngineRig::new(1);
    let visitor = comes(&mut rig);
    joins(&mut rig, visitor, "40");
    let sid = joins(&mut rig, visitor, "40/admin,");
    rig.call(0, "/api/disconnect", &format!("{{\"client\":\"{sid}\"}}"));
    assert_eq!(last(&rig, visitor), "41/admin,");
    rig.say(visitor, "420[\"echo\"]");
    assert_eq!((last(&rig, visitor), rig.closed(visitor)), ("430[]", None));
    joins(&mut rig, visitor, "40/admin,");
}

#[test]
fn binary_messages_belong_to_the_namespace_of_their_packet() {
    let mut rig = EngineRig::new(2);
    let visitor = comes(&mut rig);
    joins(&mut rig, visitor, "40/admin,");
    let places = "{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}";
    let packet = &format!("452-/admin,3[\"echo\",{places}]");
    rig.say(visitor, packet);
    rig.say_as(visitor, Kind::Binary, b"a");
    rig.say_as(visitor, Kind::Binary, b"b");
    let back = &*format!("462-/admin,3[{places}]");
    let told = rig.told(visitor);
    assert_eq!(told[told.len() - 3..], [back, "a", "b"]);
    for core in [0, 1] {
        let query = rig.open(0);
        rig.post(core, &query, "40/admin,");
        assert!(rig.poll(core, &query).starts_with("40/admin,{\"sid\":"));
        rig.post(core, &query, &format!("{packet}\u{1e}bYQ==\u{1e}bYg=="));
        assert_eq!(
            rig.poll(core, &query),
            format!("{back}\u{1e}bYQ==\u{1e}bYg==")
        );
        let socket = rig.moved(core, &query);
        rig.say(socket, "42/admin,1[\"echo\"]");
        assert_eq!(last(&rig, socket), "43/admin,1[]");
    }
}
