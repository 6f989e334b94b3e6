//! Clients of Socket.IO that are cut off and come back: in their rooms, and with what they missed.

use super::rig::{Guest, Rig};
use super::*;

const QUERY: &str = "EIO=4&transport=websocket";
const MINUTE: Duration = Duration::from_secs(60);

fn rig(cores: u16) -> Rig {
    let plan = RealtimePlan {
        recovery_time: Some(2 * MINUTE),
        ..RealtimePlan::dev([7; 32])
    };
    Rig::with(plan, cores)
}

/// Comes, and joins with that.
fn joins(rig: &mut Rig, core: u16, auth: &str) -> Guest {
    let guest = rig.comes(core, SOCKETIO_SOCKET, QUERY, "");
    rig.say(guest, &format!("40{auth}"));
    guest
}

fn texts(rig: &Rig, guest: Guest) -> Vec<String> {
    let told = rig.told(guest).iter();
    told.map(|told| told.text.to_string()).collect()
}

/// What a client was called when it joined.
fn pid(rig: &Rig, guest: Guest) -> String {
    let all = texts(rig, guest);
    let joined = all
        .iter()
        .find(|text| text.starts_with("40"))
        .expect("it has joined");
    let joined: serde_json::Value = serde_json::from_str(&joined[2..]).expect("JSON");
    joined["pid"].as_str().expect("it may come back").to_owned()
}

/// The events that a client was told, and the place of each.
fn heard(rig: &Rig, guest: Guest) -> Vec<(String, String)> {
    let all = texts(rig, guest);
    let events = all.iter().filter_map(|text| text.strip_prefix("42"));
    events
        .map(|text| {
            let event: serde_json::Value = serde_json::from_str(text).expect("JSON");
            let offset = event[2].as_str().unwrap_or_default();
            (event[1].to_string(), offset.to_owned())
        })
        .collect()
}

fn contents(rig: &Rig, guest: Guest) -> Vec<String> {
    heard(rig, guest)
        .into_iter()
        .map(|(data, _)| data)
        .collect()
}

fn auth(pid: &str, offset: Option<&str>) -> String {
    match offset {
        Some(offset) => format!(r#"{{"pid":"{pid}","offset":"{offset}"}}"#),
        None => format!(r#"{{"pid":"{pid}"}}"#),
    }
}

fn publish(rig: &mut Rig, room: &str, number: u32) {
    let told = format!(r#"{{"channel":"{room}","data":{number}}}"#);
    rig.call(0, "/api/publish", &told);
}

/// The newest place that a client was told.
fn newest(rig: &Rig, guest: Guest) -> String {
    let heard = heard(rig, guest);
    heard.last().expect("it was told something").1.clone()
}

#[test]
fn who_comes_back_is_in_its_rooms_and_has_all_that_was_said_there() {
    for cores in [1, 3] {
        for to in 0..cores {
            let mut rig = rig(cores);
            let (one, beside) = (joins(&mut rig, 0, ""), joins(&mut rig, to, ""));
            for room in ["a", "b", "c"] {
                rig.say(one, &format!(r#"420["join","{room}"]"#));
                rig.say(beside, &format!(r#"420["join","{room}"]"#));
            }
            for (room, number) in [("a", 1), ("b", 2), ("a", 3)] {
                publish(&mut rig, room, number);
            }
            assert_eq!(contents(&rig, one), ["1", "2", "3"]);
            let (pid, offset) = (pid(&rig, one), newest(&rig, one));
            rig.leaves(one);
            for (room, number) in [("a", 4), ("b", 5), ("c", 6), ("b", 7)] {
                publish(&mut rig, room, number);
            }
            let back = joins(&mut rig, to, &auth(&pid, Some(&offset)));
            assert_eq!(self::pid(&rig, back), pid, "{cores} cores, {to}");
            let mut missed = contents(&rig, back);
            publish(&mut rig, "a", 8);
            assert_eq!(contents(&rig, back).last().map(String::as_str), Some("8"));
            missed.sort_unstable();
            assert_eq!(missed, ["4", "5", "6", "7"]);
            assert_eq!(contents(&rig, beside).len(), 8);
            // Once more, from the middle of what it was told.
            let place = heard(&rig, back)[1].1.clone();
            let mut rest = contents(&rig, back).split_off(2);
            rest.sort_unstable();
            rig.leaves(back);
            let again = joins(&mut rig, 0, &auth(&pid, Some(&place)));
            let mut told = contents(&rig, again);
            told.sort_unstable();
            assert_eq!((told, self::pid(&rig, again)), (rest, pid));
        }
    }
}

#[test]
fn who_has_heard_nothing_for_long_comes_back_too() {
    let mut rig = rig(2);
    let (silent, quiet) = (joins(&mut rig, 0, ""), joins(&mut rig, 0, ""));
    rig.say(silent, r#"420["join","a"]"#);
    rig.say(quiet, r#"420["join","b"]"#);
    publish(&mut rig, "b", 1);
    let other = joins(&mut rig, 1, "");
    rig.say(other, r#"420["join","c"]"#);
    for number in 0..20 {
        publish(&mut rig, "c", number);
        rig.wait(Duration::from_secs(20));
        for guest in [silent, quiet, other] {
            rig.say(guest, "3");
        }
    }
    for (guest, place, room) in [(silent, None, "a"), (quiet, Some(newest(&rig, quiet)), "b")] {
        let pid = pid(&rig, guest);
        rig.leaves(guest);
        publish(&mut rig, room, 7);
        let back = joins(&mut rig, 1, &auth(&pid, place.as_deref()));
        assert_eq!(
            (contents(&rig, back), self::pid(&rig, back)),
            (vec!["7".to_owned()], pid)
        );
    }
}

#[test]
fn a_room_that_was_joined_late_gives_what_was_said_since() {
    let mut rig = rig(1);
    let (one, other) = (joins(&mut rig, 0, ""), joins(&mut rig, 0, ""));
    rig.say(one, r#"420["join","a"]"#);
    rig.say(other, r#"420["join","b"]"#);
    publish(&mut rig, "a", 1);
    let place = newest(&rig, one);
    publish(&mut rig, "b", 2);
    rig.say(one, r#"421["join","b"]"#);
    publish(&mut rig, "b", 3);
    let pid = pid(&rig, one);
    rig.leaves(one);
    let back = joins(&mut rig, 0, &auth(&pid, Some(&place)));
    assert_eq!(contents(&rig, back), ["3"]);
}

#[test]
fn a_connection_that_has_not_ended_yet_is_taken_over() {
    let mut rig = rig(2);
    let one = joins(&mut rig, 0, "");
    rig.say(one, r#"420["join","a"]"#);
    publish(&mut rig, "a", 1);
    let (pid, place) = (pid(&rig, one), newest(&rig, one));
    publish(&mut rig, "a", 2);
    let back = joins(&mut rig, 1, &auth(&pid, Some(&place)));
    assert!(rig.closed(one).is_some());
    rig.leaves(one);
    publish(&mut rig, "a", 3);
    assert_eq!(contents(&rig, back), ["2", "3"]);
}

/// Who leaves like that, and comes back with that, begins anew.
fn begins_anew(
    what: &str,
    leave: impl FnOnce(&mut Rig, Guest),
    auth: impl Fn(&str, &str) -> String,
) {
    let mut rig = rig(2);
    let one = joins(&mut rig, 0, "");
    rig.say(one, r#"420["join","a"]"#);
    publish(&mut rig, "a", 1);
    let (pid, place) = (pid(&rig, one), newest(&rig, one));
    leave(&mut rig, one);
    let back = joins(&mut rig, 1, &auth(&pid, &place));
    assert_ne!(self::pid(&rig, back), pid, "{what}");
    publish(&mut rig, "a", 9);
    assert_eq!(contents(&rig, back), [""; 0], "{what}: it is in no room");
    assert_eq!(rig.closed(back), None, "{what}");
}

#[test]
fn who_cannot_have_all_or_left_by_itself_begins_anew() {
    let with = |pid: &str, place: &str| auth(pid, Some(place));
    let long = "its room goes on for longer than its history";
    let goes_on = |rig: &mut Rig, guest| {
        rig.leaves(guest);
        for number in 0..120 {
            publish(rig, "a", number);
        }
    };
    begins_anew(long, goes_on, with);
    let away = |rig: &mut Rig, guest| {
        rig.leaves(guest);
        rig.wait(3 * MINUTE);
    };
    begins_anew("it is away for too long", away, with);
    let says_so = |rig: &mut Rig, guest| {
        rig.say(guest, "41");
        rig.leaves(guest);
    };
    begins_anew("it has left the namespace", says_so, with);
    let taken_out = |rig: &mut Rig, guest| {
        rig.call(0, "/api/disconnect", "{}");
        rig.leaves(guest);
    };
    begins_anew("the application has taken it out", taken_out, with);
}

#[test]
fn who_shows_what_it_was_not_given_begins_anew() {
    for (what, shown) in [
        ("a place that nothing has yet", "0.99"),
        ("no place", "x"),
        ("a place with too many parts", "1.2.3.4"),
    ] {
        let leaves = |rig: &mut Rig, guest| rig.leaves(guest);
        begins_anew(what, leaves, |pid, _| auth(pid, Some(shown)));
    }
    let leaves = |rig: &mut Rig, guest| rig.leaves(guest);
    begins_anew("another name", leaves, |_, place| auth("x", Some(place)));
    let mut rig = rig(1);
    let guest = joins(&mut rig, 0, r#"{"pid":7,"offset":[]}"#);
    assert_eq!(pid(&rig, guest).len(), 32);
}
