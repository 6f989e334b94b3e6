//! Two clients of the scenario `chat`, between which the test passes what they say.

use super::realtime_tests::Desk;
use super::{ChatScenario, Part, Senders};

fn scenario() -> ChatScenario {
    ChatScenario {
        messages: Some(3),
        payload_bytes: 200,
        types: false,
        senders: Senders::ALL,
        next_after: None,
        comes_and_goes: false,
    }
}

const MATCHED: &str = r#"{"type":"matched","partner":"b","offers":true}"#;
const GONE: &str = r#"{"type":"gone","reason":"left"}"#;
const NEXT: &str = r#"{"type":"next"}"#;

fn matched(program: &ChatScenario, number: u32) -> Desk {
    let mut desk = Desk::new(program, number);
    let name = format!("client {number}");
    let enter = format!(r#"{{"type":"enter","name":"{name}"}}"#);
    assert_eq!(desk.says(), [enter]);
    desk.hear(r#"{"type":"waiting"}"#);
    assert_eq!(desk.said.ready, None);
    desk.hear(MATCHED);
    desk
}

/// What one said its partner hears, and tells it.
fn pass(said: &str, to: &mut Desk, from: &mut Desk) {
    to.hear(said);
    for (_, note) in std::mem::take(&mut to.said.notes) {
        from.note(note);
    }
}

#[test]
fn a_message_is_over_when_the_partner_has_it() {
    let program = scenario();
    let (mut ann, mut bob) = (matched(&program, 0), matched(&program, 1));
    assert_eq!(ann.said.ready, Some(Part::Speaks));
    for count in 1..=3 {
        let said = ann.turn();
        let text: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(
            (&text["type"], text["text"].as_str().unwrap().len()),
            (&"say".into(), 200)
        );
        assert_eq!(ann.counts().0, count - 1);
        pass(&said, &mut bob, &mut ann);
        assert_eq!(
            (ann.counts().0, bob.counts()),
            (count, (0, 0, count, count))
        );
    }
    assert!(ann.said.is_done);
    assert_eq!(ann.turn(), "", "it has said all");
}

#[test]
fn what_comes_twice_or_with_a_gap_is_wrong() {
    let program = scenario();
    let (mut ann, mut bob) = (matched(&program, 0), matched(&program, 1));
    let said = [ann.turn(), ann.turn(), ann.turn()];
    for (at, wrong) in [(0, 0), (0, 1), (2, 2)] {
        bob.hear(&said[at]);
        assert_eq!(bob.counts().1, wrong, "{at}");
    }
    bob.hear(r#"{"type":"say","text":"no stamp"}"#);
    assert_eq!(bob.counts().1, 3);
}

#[test]
fn whose_partner_is_gone_asks_for_the_next_one_and_what_it_said_is_lost_unless_that_was_planned() {
    for (is_planned, over) in [(false, 0), (true, 1)] {
        let program = ChatScenario {
            comes_and_goes: is_planned,
            ..scenario()
        };
        let mut desk = matched(&program, 0);
        assert_ne!(desk.turn(), "");
        desk.hear(GONE);
        assert_eq!(
            (desk.says(), desk.counts().0),
            (vec![NEXT.to_owned()], over)
        );
        desk.hear(r#"{"type":"error","code":"no_partner","message":""}"#);
        assert_eq!(desk.turn(), "", "it has nobody to say it to");
        desk.hear(GONE);
        assert!(desk.says().is_empty(), "it has asked already");
        desk.hear(MATCHED);
        assert_ne!(desk.turn(), "");
    }
}

#[test]
fn it_asks_for_the_next_partner_once_this_one_has_heard_enough() {
    let program = ChatScenario {
        next_after: Some(2),
        types: true,
        ..scenario()
    };
    let (mut ann, mut bob) = (matched(&program, 0), matched(&program, 1));
    for _ in 0..2 {
        let piece = ann.turn();
        let texts: Vec<&str> = piece.split_inclusive('}').collect();
        assert_eq!(texts[0], r#"{"type":"typing","on":true}"#);
        assert_eq!(texts[2], r#"{"type":"typing","on":false}"#);
        assert!(ann.says().is_empty());
        pass(texts[1], &mut bob, &mut ann);
    }
    assert_eq!(ann.says(), [NEXT]);
    assert_eq!(ann.turn(), "");
}

#[test]
fn another_server_is_told_from_a_chat() {
    for said in ["hello", r#"{"type":"room"}"#, "{}"] {
        let mut desk = Desk::new(&scenario(), 0);
        desk.hear(said);
        assert_eq!(desk.failure(), "no_chat_here", "{said}");
    }
}
