//! Sessions that poll and move, on several cores; what npm's `engine.io` 6.6 answers is compared in
//! `tests/clients/socketio.cjs`.

mod namespaces;
mod rig;

use crate::app::realtime::RealtimePlan;
use crate::app::sessions::SessionPlan;
use crate::app::tokens::TokenKeys;
use crate::app::{AddressShare, CallMethod, Kind};
use crate::limits;
use jsonwebtoken::{EncodingKey, Header, encode};
use rig::{EngineRig, POLLING};
use std::sync::Arc;
use std::time::Duration;

const UNKNOWN: &str = "{\"code\":1,\"message\":\"Session ID unknown\"}";

#[test]
fn a_session_is_polled_and_posted_to_on_any_core() {
    let mut rig = EngineRig::new(3);
    for (home, asked) in [(0, 0), (0, 1), (2, 1)] {
        let query = rig.joined(home);
        rig.post(asked, &query, "420[\"echo\",1]\u{1e}421[\"echo\",\"b\"]");
        assert_eq!(rig.poll(asked, &query), "430[1]\u{1e}431[\"b\"]");
        let waits = rig.wait_for(asked, &query);
        rig.post(home, &query, "422[\"echo\"]");
        assert_eq!(rig.answer(waits), Some((200, "432[]".into())));
        let binary = "451-3[\"echo\",{\"_placeholder\":true,\"num\":0}]\u{1e}bAQID";
        rig.post(asked, &query, binary);
        let back = "461-3[{\"_placeholder\":true,\"num\":0}]\u{1e}bAQID";
        assert_eq!(rig.poll(home, &query), back);
    }
}

#[test]
fn a_session_has_one_poll_at_a_time() {
    let mut rig = EngineRig::new(2);
    for core in [0, 1] {
        let query = rig.joined(0);
        let first = rig.wait_for(core, &query);
        let second = rig.request(core, CallMethod::Get, &query, "");
        assert_eq!(rig.answer(second), Some((400, String::new())));
        assert_eq!(rig.answer(first), Some((200, "1".into())));
        assert_eq!(rig.poll(core, &query), UNKNOWN);
    }
}

#[test]
fn what_is_asked_of_no_session_is_refused_as_by_its_own_servers() {
    let mut rig = EngineRig::new(2);
    let mut answer = |query: &str, method| {
        let asker = rig.request(0, method, query, "");
        let (status, text) = rig.answer(asker).expect("an answer");
        let told: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(status, 400, "{query}");
        told["code"].as_u64().expect("a code")
    };
    let (get, post) = (CallMethod::Get, CallMethod::Post);
    for (query, method, code) in [
        ("", get, 0),
        ("EIO=4&transport=x", get, 0),
        ("EIO=3&transport=polling", get, 5),
        ("EIO=4&transport=websocket", get, 3),
        (POLLING, post, 2),
        ("EIO=4&transport=polling&sid=x", get, 1),
        ("EIO=4&transport=polling&sid=x", post, 1),
        ("EIO=4&transport=x&sid=x", get, 0),
    ] {
        assert_eq!(answer(query, method), code, "{query}");
    }
    let query = rig.joined(0);
    for (query, code) in [
        ("EIO=3&transport=websocket", 5),
        ("EIO=4&transport=polling", 0),
        ("transport=websocket", 5),
        ("EIO=4&transport=websocket&sid=x", 1),
    ] {
        let told = rig.arrives(0, query).expect_err("it may not come");
        assert!(
            told.reason.contains(&format!("{{\"code\":{code},")),
            "{query}"
        );
    }
    let other = rig.joined(1).replace("EIO=4", "EIO=3");
    let bad = "{\"code\":3,\"message\":\"Bad request\"}";
    assert_eq!(rig.poll(0, &other), bad);
    assert_eq!(rig.poll(0, &query.replace("polling", "websocket")), bad);
}

/// As `Polling.onData`, `Socket.onPacket` and `Client.ondecoded` of npm's packages.
#[test]
fn what_no_client_posts_ends_its_session() {
    let mut rig = EngineRig::new(2);
    for said in [
        "x", "", "2", "2probe", "42{}", "3\u{1e}", "bAQID", "b*", "40",
    ] {
        for core in [0, 1] {
            let query = rig.joined(0);
            rig.wait(Duration::from_millis(1));
            let waits = rig.wait_for(core, &query);
            rig.post(core, &query, said);
            assert_eq!(rig.answer(waits), Some((200, "1".into())), "{said}");
            assert_eq!(rig.poll(core, &query), UNKNOWN, "{said}");
        }
    }
    let query = rig.joined(0);
    let waits = rig.wait_for(0, &query);
    rig.post(0, &query, "1\u{1e}420[\"echo\"]");
    assert_eq!(rig.answer(waits), Some((200, "6".into())), "it leaves");
    assert_eq!(rig.poll(0, &query), UNKNOWN);
}

#[test]
fn a_poll_that_is_cut_off_ends_its_session() {
    let mut rig = EngineRig::new(2);
    for core in [0, 1] {
        let query = rig.joined(0);
        let waits = rig.wait_for(core, &query);
        rig.hangs_up(core, waits);
        assert_eq!(rig.poll(core, &query), UNKNOWN);
    }
}

#[test]
fn who_never_polls_again_is_forgotten_in_time() {
    let mut rig = EngineRig::new(1);
    let (outside, inside) = (rig.open(0), rig.joined(0));
    rig.wait(Duration::from_secs(26));
    rig.wait(Duration::from_secs(21));
    assert_eq!(rig.poll(0, &outside), UNKNOWN, "it joined nothing");
    assert_eq!(rig.poll(0, &inside), UNKNOWN, "it answered no ping");
    let query = rig.joined(0);
    rig.wait(Duration::from_secs(26));
    assert_eq!(rig.poll(0, &query), "2");
    rig.post(0, &query, "3");
    rig.wait(Duration::from_secs(26));
    assert_eq!(rig.poll(0, &query), "2");
}

#[test]
fn a_session_moves_to_a_websocket_on_any_core() {
    for core in [0, 1] {
        let mut rig = EngineRig::new(2);
        let query = rig.joined(0);
        let waits = rig.wait_for(core, &query);
        let socket = rig.upgrade(core, &query);
        rig.say(socket, "2probe");
        assert_eq!(rig.told(socket), ["3probe"]);
        assert_eq!(rig.answer(waits), Some((200, "6".into())));
        assert_eq!(rig.poll(core, &query), "6", "polls end at once now");
        rig.post(
            core,
            &query,
            "420[\"echo\",0]\u{1e}451-1[\"echo\",{\"_placeholder\":true,\"num\":0}]\u{1e}bAQID",
        );
        rig.say(socket, "5");
        let told = [
            "3probe",
            "430[0]",
            "461-1[{\"_placeholder\":true,\"num\":0}]",
            "\u{1}\u{2}\u{3}",
        ];
        assert_eq!(rig.told(socket), told, "what waited comes first");
        rig.say(socket, "427[\"echo\",7]");
        assert_eq!(rig.told(socket).last(), Some(&"437[7]"));
        let bad = "{\"code\":3,\"message\":\"Bad request\"}";
        assert_eq!(rig.poll(core, &query), bad, "it polls no more");
        let late = rig.upgrade(core, &query);
        assert_eq!(rig.closed(late), Some(1000), "it has moved");
        rig.wait(Duration::from_secs(26));
        assert_eq!(rig.told(socket).last(), Some(&"2"));
        assert_eq!(rig.closed(socket), None);
        rig.leaves(socket);
        assert_eq!(rig.poll(core, &query), UNKNOWN, "it is over");
    }
}

#[test]
fn a_move_that_is_not_completed_leaves_the_session_where_it_was() {
    let mut rig = EngineRig::new(2);
    for core in [0, 1] {
        for said in [&["2x"][..], &["42[\"e\"]"], &["2probe", "3"], &["x"]] {
            let query = rig.joined(0);
            let socket = rig.upgrade(core, &query);
            said.iter().for_each(|text| rig.say(socket, text));
            assert_eq!(rig.closed(socket), Some(1000), "{said:?}");
            rig.leaves(socket);
            rig.post(core, &query, "421[\"echo\"]");
            assert_eq!(rig.poll(core, &query), "431[]");
        }
        let query = rig.joined(0);
        let (socket, other) = (rig.upgrade(core, &query), rig.upgrade(core, &query));
        assert_eq!(rig.closed(other), Some(1000), "one at a time");
        rig.say(socket, "2probe");
        rig.wait(limits::IO_UPGRADE_TIME + Duration::from_millis(1));
        assert_eq!(rig.closed(socket), Some(1000), "it takes too long");
        rig.leaves(socket);
        let gone = rig.upgrade(core, &query);
        rig.leaves(gone);
        rig.wait_for(core, &query);
    }
}

#[test]
fn what_is_said_in_a_room_reaches_those_who_poll_and_those_who_have_moved() {
    let mut rig = EngineRig::new(3);
    let polls = [(0, rig.joined(0)), (1, rig.joined(2))];
    let moved = [(0, rig.joined(0)), (1, rig.joined(0)), (1, rig.joined(2))];
    let moved = moved.map(|(core, query)| rig.moved(core, &query));
    for (core, query) in &polls {
        rig.post(*core, query, "420[\"join\",\"a\"]");
        assert_eq!(rig.poll(*core, query), "430[]");
    }
    for socket in moved {
        rig.say(socket, "420[\"join\",\"a\"]");
        assert_eq!(rig.told(socket).last(), Some(&"430[]"));
    }
    let direct = rig.socket(1, "EIO=4&transport=websocket");
    rig.say(direct, "40");
    rig.say(direct, "421[\"join\",\"a\"]");
    rig.say(direct, "42[\"say\",\"a\",{\"n\":1}]");
    let said = "42[\"said\",{\"n\":1}]";
    for (core, query) in &polls {
        assert_eq!(rig.poll(*core, query), said);
    }
    for socket in moved.iter().chain([&direct]) {
        assert_eq!(rig.told(*socket).last(), Some(&said));
    }
}

#[test]
fn a_client_that_is_dismissed_is_told_so_by_its_next_poll() {
    let mut rig = EngineRig::new(2);
    for core in [0, 1] {
        let (waits, away) = (rig.joined(0), rig.joined(0));
        let poll = rig.wait_for(core, &waits);
        rig.disconnect_all(0);
        assert_eq!(rig.answer(poll), Some((200, "41\u{1e}1".into())));
        assert_eq!(rig.poll(core, &waits), UNKNOWN);
        assert_eq!(rig.poll(core, &away), "41\u{1e}1");
        assert_eq!(rig.poll(core, &away), UNKNOWN);
        let late = rig.joined(0);
        rig.disconnect_all(0);
        rig.wait(limits::IO_FAREWELL_TIME + Duration::from_millis(1));
        assert_eq!(rig.poll(core, &late), UNKNOWN);
    }
}

#[test]
fn a_websocket_is_the_users_who_has_shown_a_token_by_polls() {
    let mut keys = TokenKeys::default();
    keys.add_secret(b"a secret of more than sixteen bytes")
        .expect("a secret");
    let mut plan = RealtimePlan::dev([7; 32]);
    plan.tokens = Arc::new(keys);
    let claims = serde_json::json!({"sub": "ann"});
    let key = EncodingKey::from_secret(b"a secret of more than sixteen bytes").expect("a key");
    let token = encode(&Header::default(), &claims, &key).expect("a token");
    let mut rig = EngineRig::with(&plan, 2);
    for core in [0, 1] {
        let query = rig.open(0);
        rig.post(core, &query, &format!("40{{\"token\":\"{token}\"}}"));
        assert!(rig.poll(core, &query).starts_with("40{\"sid\":"));
        let socket = rig.moved(core, &query);
        let known = rig.yard.known.get(&socket.user);
        assert_eq!(known.map(String::as_str), Some("ann"));
    }
}

#[test]
fn a_browser_is_told_its_session_with_the_first_answer_alone() {
    let mut plan = RealtimePlan::dev([7; 32]);
    plan.sessions = Some(SessionPlan::new("shop"));
    let mut rig = EngineRig::with(&plan, 1);
    let asker = rig.request(0, CallMethod::Get, POLLING, "");
    let first = rig.yard.answers.remove(&asker).expect("an answer");
    let cookie = first.cookie.expect("a cookie");
    assert!(cookie.starts_with("shop="), "{cookie}");
    let query = rig.open(0);
    let waits = rig.wait_for(0, &query);
    rig.post(0, &query, "40");
    let next = rig.yard.answers.remove(&waits).expect("an answer");
    assert_eq!(next.cookie, None);
}

#[test]
fn clients_of_one_address_that_poll_are_as_many_as_it_may_have_connections() {
    let mut rig = EngineRig::new(1);
    let from = |address| Some(AddressShare { address, most: 2 });
    let status = |rig: &mut EngineRig, address| {
        rig.share = from(address);
        let asked = rig.may_request(0, CallMethod::Get, POLLING, "");
        asked.map_or_else(|refusal| refusal.status, |_| 200)
    };
    rig.share = from(1);
    let (stays, moves) = (rig.joined(0), rig.joined(0));
    assert_eq!(status(&mut rig, 1), 429);
    assert_eq!(status(&mut rig, 2), 200, "another has its own");
    // Requests of a session are no new client.
    rig.share = from(1);
    rig.post(0, &stays, "3");
    let socket = rig.moved(0, &moves);
    assert_eq!(status(&mut rig, 1), 200, "a connection counts for itself");
    assert_eq!(status(&mut rig, 1), 429);
    rig.leaves(socket);
    assert_eq!(status(&mut rig, 1), 429, "it has given its place back once");
    rig.share = None;
    rig.post(0, &stays, "1");
    assert_eq!(status(&mut rig, 1), 200);
    rig.share = None;
    (0..9).for_each(|_| drop(rig.open(0)));
}

#[test]
fn what_waits_for_a_client_is_bounded() {
    let mut rig = EngineRig::new(1);
    let query = rig.joined(0);
    rig.post(0, &query, "420[\"join\",\"a\"]");
    assert_eq!(rig.poll(0, &query), "430[]");
    let direct = rig.socket(0, "EIO=4&transport=websocket");
    rig.say(direct, "40");
    let big = format!("42[\"say\",\"a\",\"{}\"]", "x".repeat(60_000));
    let some = limits::IO_QUEUE_BYTES / 60_000 - 1;
    (0..some).for_each(|_| rig.say(direct, &big));
    let length = rig.poll(0, &query).len();
    assert!(length > some * 60_000, "all of it: {length}");
    (0..some + 2).for_each(|_| rig.say(direct, &big));
    assert_eq!(rig.poll(0, &query), UNKNOWN);
}

#[test]
fn very_many_packets_are_heard_a_part_at_a_time_and_then_accepted() {
    let mut rig = EngineRig::new(1);
    let (query, other) = (rig.joined(0), rig.joined(0));
    let many = vec!["3"; limits::IO_TURN_PACKETS * 3].join("\u{1e}");
    let payload = format!("{many}\u{1e}421[\"echo\"]");
    let asker = rig.request(0, CallMethod::Post, &query, &payload);
    assert_eq!(rig.answer(asker), None);
    rig.post(0, &other, "421[\"echo\"]");
    assert_eq!(rig.poll(0, &other), "431[]", "others do not wait");
    rig.wait(Duration::ZERO);
    assert_eq!(rig.answer(asker), Some((200, "ok".into())));
    assert_eq!(rig.poll(0, &query), "431[]");
}

#[test]
fn who_does_not_take_what_it_is_told_is_not_heard_until_it_does() {
    let mut rig = EngineRig::new(1);
    let query = rig.joined(0);
    let big = format!("421[\"echo\",\"{}\"]", "x".repeat(limits::BACKLOG_HIGH));
    rig.post(0, &query, &big);
    let asker = rig.request(0, CallMethod::Post, &query, &big);
    assert_eq!(rig.answer(asker), None, "its answers wait");
    assert!(rig.poll(0, &query).len() > limits::BACKLOG_HIGH);
    rig.wait(Duration::ZERO);
    assert_eq!(rig.answer(asker), Some((200, "ok".into())));
    assert!(rig.poll(0, &query).len() > limits::BACKLOG_HIGH);
}

#[test]
fn a_websocket_on_another_core_that_falls_behind_is_known_to_be() {
    let mut rig = EngineRig::new(2);
    let query = rig.joined(0);
    let socket = rig.moved(1, &query);
    rig.yard.behind.insert(socket.user);
    rig.say(socket, "421[\"echo\"]");
    rig.say(socket, "422[\"echo\"]");
    rig.caught_up(socket);
    rig.say_as(socket, Kind::Text, b"423[\"echo\"]");
    assert_eq!(rig.told(socket).last(), Some(&"433[]"));
    assert!(rig.may_say(socket), "all of it was heard");
}

#[test]
fn a_core_that_is_gone_takes_its_sessions_and_what_carried_others() {
    let mut rig = EngineRig::new(2);
    let (there, here) = (rig.joined(1), rig.joined(0));
    let poll = rig.wait_for(0, &there);
    let moving = rig.joined(1);
    let socket = rig.moved(0, &moving);
    rig.loses(0, 1);
    assert_eq!(rig.answer(poll), Some((400, UNKNOWN.into())));
    assert_eq!(rig.closed(socket), Some(1000));
    rig.post(0, &here, "421[\"echo\"]");
    assert_eq!(rig.poll(0, &here), "431[]");
}
