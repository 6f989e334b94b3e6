//! Members of the scenario `rooms`, to whom the test says what their room does.

use super::realtime_tests::Desk;
use super::rooms::Rooms;
use super::{Note, Part};

fn scenario() -> Rooms {
    Rooms {
        iterations: Some(3),
        payload_bytes: 60,
        size: None,
        comes_and_goes: true,
    }
}

/// The member of that number of a room with so many.
fn member(number: u32, members: u32, seq: u64) -> Desk {
    let mut desk = Desk::new(&scenario(), number);
    desk.hear(&format!(
        r#"{{"type":"room","seq":{seq},"member":{number},"members":{members},"size":9}}"#
    ));
    desk
}

fn tells(desk: &mut Desk, kind: &str, seq: u64, member: u32) {
    desk.hear(&format!(
        r#"{{"type":"{kind}","seq":{seq},"member":{member}}}"#
    ));
}

fn says(desk: &mut Desk, seq: u64, text: &str) {
    desk.hear(&format!(r#"{{"type":"said","seq":{seq},"text":"{text}"}}"#));
}

/// Those members tell the speaker that they have heard it.
fn heard(desk: &mut Desk, sequence: u64, members: &[u32]) {
    for &from in members {
        let at = crate::time::Instant::from_nanos(2_000_000_000);
        desk.note(Note { sequence, from, at });
    }
}

#[test]
fn whoever_has_been_there_for_longest_takes_over_when_the_speaker_leaves() {
    let mut first = member(1, 1, 1);
    assert_eq!(first.said.ready.take(), Some(Part::Speaks));
    let mut second = member(2, 2, 2);
    let mut third = member(3, 3, 3);
    for desk in [&mut second, &mut third] {
        assert_eq!(desk.said.ready.take(), Some(Part::Listens));
    }
    tells(&mut first, "joined", 2, 2);
    tells(&mut first, "joined", 3, 3);
    tells(&mut second, "joined", 3, 3);
    let text = first.turn();
    assert_ne!(text, "");
    assert_eq!(second.turn(), "", "it listens");
    for desk in [&mut second, &mut third] {
        says(desk, 4, &text);
        tells(desk, "left", 5, 1);
    }
    assert_eq!(second.said.ready.take(), Some(Part::Speaks));
    assert_eq!(third.said.ready.take(), None);
    // Its iteration is the next one of the room.
    let text = second.turn();
    assert!(text.contains(" 2 "), "{text}");
    tells(&mut third, "left", 6, 2);
    assert_eq!(third.said.ready.take(), Some(Part::Speaks));
}

#[test]
fn who_takes_over_waits_for_all_who_are_there_though_it_does_not_know_them() {
    let mut desk = member(7, 3, 1);
    tells(&mut desk, "joined", 2, 8);
    tells(&mut desk, "left", 3, 2);
    tells(&mut desk, "left", 4, 5);
    assert_eq!(desk.said.ready.take(), Some(Part::Speaks));
    tells(&mut desk, "joined", 5, 9);
    assert_ne!(desk.turn(), "");
    // One that comes now has it only by chance, one that has told and leaves has it.
    tells(&mut desk, "joined", 6, 10);
    heard(&mut desk, 1, &[8, 8, 10, 7]);
    tells(&mut desk, "left", 7, 8);
    assert_eq!(desk.counts().0, 0);
    heard(&mut desk, 1, &[9]);
    assert_eq!(desk.counts().0, 1);
    let fan_out = desk.recorder.outcome().fan_out.clone().unwrap();
    assert_eq!((fan_out.expected, fan_out.received), (3, 3));
    // From now on it knows.
    assert_ne!(desk.turn(), "");
    heard(&mut desk, 2, &[10, 7]);
    tells(&mut desk, "left", 8, 9);
    assert_eq!(desk.counts().0, 2);
    // The last iteration of the room.
    assert_ne!(desk.turn(), "");
    heard(&mut desk, 3, &[10, 7]);
    assert!(desk.said.is_done);
    assert_eq!((desk.counts().0, desk.turn()), (3, String::new()));
}
