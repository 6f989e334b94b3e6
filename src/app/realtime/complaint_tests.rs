//! Bad input: each kind gets its code and is counted, and the others go on.

use super::rig::Rig;
use super::*;
use crate::app::sessions::SessionPlan;

fn counted(rig: &Rig, kind: &str) -> u64 {
    let plan = &rig.cores[0].plan;
    let mut all = plan.complaints.all();
    all.find(|(name, _)| *name == kind).expect("a kind").1
}

fn rig() -> Rig {
    let mut plan = RealtimePlan::dev([7; 32]);
    plan.sessions = Some(SessionPlan::new("shop"));
    Rig::with(plan, 2)
}

#[test]
fn each_kind_of_bad_command_has_its_code_and_is_counted() {
    let mut rig = rig();
    let neighbour = rig.client(1);
    rig.reply(neighbour, r#"{"id":2,"subscribe":{"channel":"a"}}"#);
    let client = rig.client(0);
    rig.reply(client, r#"{"id":2,"subscribe":{"channel":"a"}}"#);
    let long = "x".repeat(limits::PUBLICATION_BYTES);
    let name = "n".repeat(limits::CHANNEL_NAME_BYTES + 1);
    for (kind, said, code) in [
        (
            "subscribed_twice",
            r#"{"id":3,"subscribe":{"channel":"a"}}"#.to_owned(),
            105,
        ),
        (
            "bad_request",
            format!(r#"{{"id":4,"subscribe":{{"channel":"{name}"}}}}"#),
            107,
        ),
        (
            "bad_request",
            r#"{"id":5,"subscribe":{"channel":"a\nb"}}"#.to_owned(),
            107,
        ),
        (
            "bad_request",
            format!(r#"{{"id":6,"publish":{{"channel":"a","data":"{long}"}}}}"#),
            107,
        ),
        ("unknown_method", r#"{"id":7,"dance":{}}"#.to_owned(), 104),
        (
            "unknown_method",
            r#"{"id":8,"rpc":{"method":"x"}}"#.to_owned(),
            104,
        ),
        (
            "not_allowed",
            r#"{"id":9,"subscribe":{"channel":"$sessions"}}"#.to_owned(),
            103,
        ),
        (
            "unrecoverable_position",
            concat!(
                r#"{"id":10,"history":{"channel":"a","limit":1,"#,
                r#""since":{"epoch":"00000001","offset":1}}}"#
            )
            .to_owned(),
            112,
        ),
    ] {
        let before = counted(&rig, kind);
        let reply = rig.reply(client, &said);
        assert_eq!(reply["error"]["code"], code, "{said:.80}");
        assert_eq!(counted(&rig, kind), before + 1, "{kind} {said:.80}");
        assert_eq!(rig.closed(client), None);
    }
    rig.call(0, "/api/publish", r#"{"channel":"a","data":"still"}"#);
    for guest in [client, neighbour] {
        assert_eq!(rig.last(guest)["push"]["pub"]["data"], "still");
    }
}

#[test]
fn what_no_client_says_closes_it_and_is_counted() {
    let mut rig = rig();
    let deep = format!(
        r#"{{"id":1,"rpc":{{"data":{}1{}}}}}"#,
        "[".repeat(500),
        "]".repeat(500)
    );
    for (kind, said, code) in [
        ("bad_token", r#"{"id":1,"connect":{"token":"a.b.c"}}"#, 3500),
        ("no_command", "nonsense", 3501),
        ("no_command", &*deep, 3501),
        (
            "no_command",
            r#"{"id":1,"subscribe":{"channel":"a"}}"#,
            3501,
        ),
    ] {
        let before = counted(&rig, kind);
        let guest = rig.comes(0, CENTRIFUGO_SOCKET, "", "");
        rig.say(guest, said);
        assert_eq!(rig.closed(guest), Some(code), "{said:.80}");
        assert_eq!(counted(&rig, kind), before + 1, "{kind}");
    }
}

#[test]
fn many_subscriptions_lost_places_and_foreign_sessions_are_counted() {
    let mut rig = rig();
    let client = rig.client(0);
    for number in 0..1000 {
        let wish = format!(
            r#"{{"id":{},"subscribe":{{"channel":"c{number}"}}}}"#,
            number + 2
        );
        rig.say(client, &wish);
    }
    // Its session is none of them.
    let taken = limits::CHANNELS_PER_CLIENT as u64;
    assert_eq!(counted(&rig, "too_many"), 1000 - taken);
    let other = rig.client(1);
    let reply = rig.reply(other, r#"{"id":2,"subscribe":{"channel":"a"}}"#);
    let epoch = reply["subscribe"]["epoch"].as_str().expect("an epoch");
    rig.reply(other, r#"{"id":3,"unsubscribe":{"channel":"a"}}"#);
    for (epoch, offset, lost) in [("00000001", 0, 1), (epoch, 1_u64 << 40, 2), (epoch, 0, 2)] {
        let since = format!(r#""recover":true,"epoch":"{epoch}","offset":{offset}"#);
        let wish = format!(r#"{{"id":4,"subscribe":{{"channel":"a",{since}}}}}"#);
        let reply = rig.reply(other, &wish);
        let is_whole = reply["subscribe"]["recovered"] == true;
        assert_eq!(is_whole, epoch != "00000001" && offset == 0, "{reply}");
        assert_eq!(counted(&rig, "lost_position"), lost);
        rig.reply(other, r#"{"id":5,"unsubscribe":{"channel":"a"}}"#);
    }
    let before = counted(&rig, "foreign_session");
    let tag = "0".repeat(16);
    let cookie = format!("shop={}.{tag}", "1".repeat(32));
    rig.on(0, |app, _| {
        let header = &|name: &str| (name == "Cookie").then_some(&*cookie);
        let (path, query) = (CENTRIFUGO_SOCKET, "");
        let welcome = app.arriving(&Arrival {
            share: None,
            purpose: crate::app::ArrivalPurpose::Stay,
            path,
            query,
            header,
        });
        assert!(
            welcome.expect("it may come").cookie.is_some(),
            "it gets another"
        );
    });
    assert_eq!(counted(&rig, "foreign_session"), before + 1);
}
