//! The scenario `sse-channels`, called as the load client calls it, against what a stream says.

use super::realtime_tests::Desk;
use super::{Part, Senders, StreamedChannels, StreamedChannelsOptions};
use crate::load::deliveries::Deliveries;
use serde_json::{Value, json};

fn program() -> StreamedChannels {
    StreamedChannels::new(StreamedChannelsOptions {
        topics: vec!["a".into(), "b".into()],
        content_bytes: 40,
        senders: Senders(1),
        seed: 1,
    })
}

const READY: &str = r#"{"topics":["a","b"]}"#;

/// A stream that stands, after 5 publications in `a` and none in `b`.
fn standing(program: &StreamedChannels, number: u32) -> Desk {
    let mut desk = Desk::new(program, number);
    desk.event("ready", "e:5,f:0", READY);
    desk
}

impl Desk {
    fn said_in(&mut self, topic: &str, offset: u64, id: &str) {
        let text = json!({"topic": topic, "offset": offset, "data": 1}).to_string();
        self.event("message", id, &text);
    }
}

fn deliveries(desk: &Desk) -> Deliveries {
    desk.recorder.outcome().deliveries.unwrap_or_default()
}

#[test]
fn it_publishes_in_each_topic_and_its_own_publication_is_the_reply() {
    let mut desk = standing(&program(), 0);
    assert_eq!(desk.said.ready, Some(Part::Speaks));
    assert_eq!(standing(&program(), 1).said.ready, Some(Part::Listens));
    let mut topics = Vec::new();
    for offset in [1, 2] {
        desk.turn();
        let post = desk.said.posts.pop().expect("a post");
        assert_eq!(post.target, "/publish");
        let mut said: Value = serde_json::from_str(&post.body).expect("JSON");
        assert_eq!(said["data"].as_str().map(str::len), Some(40));
        said["offset"] = offset.into();
        topics.push(said["topic"].clone());
        desk.event(
            "message",
            &format!("e:{offset},f:{offset}"),
            &said.to_string(),
        );
    }
    topics.sort_by_key(Value::to_string);
    assert_eq!(topics, ["a", "b"]);
    assert_eq!(desk.recorder.outcome().messages.replied, 2);
}

#[test]
fn every_place_that_is_passed_over_repeated_or_late_is_counted() {
    let mut desk = standing(&program(), 7);
    for (topic, offset, id) in [
        ("a", 6, "e:6,f:0"),
        ("b", 1, "e:6,f:1"),
        ("a", 9, "e:9,f:1"),
        ("a", 7, "e:7,f:1"),
        ("a", 9, "e:9,f:1"),
    ] {
        desk.said_in(topic, offset, id);
    }
    let expected = Deliveries {
        live: 5,
        lost: 1,
        repeated: 1,
        reordered: 1,
        ..Deliveries::default()
    };
    assert_eq!(deliveries(&desk), expected);
    // What is told to be passed over is not lost, and what is not kept has no number.
    desk.event("stale", "e:9,f:1", r#"{"topic":"a","missed":2}"#);
    desk.event("message", "e:9,f:1", r#"{"topic":"a","data":1}"#);
    desk.said_in("a", 12, "e:12,f:1");
    let told = deliveries(&desk);
    assert_eq!((told.lost, told.told), (1, 2));
    // An id that is none of that publication.
    desk.said_in("a", 13, "e:12,f:1");
    desk.said_in("c", 1, "e:12,f:1");
    assert_eq!(desk.recorder.outcome().messages.wrong, 2);
}

#[test]
fn who_comes_back_is_given_what_it_missed_or_told_that_it_is_lost() {
    let program = program();
    drop(standing(&program, 3));
    let mut back = Desk::new(&program, 3);
    back.said_in("a", 6, "e:6,f:0");
    back.said_in("a", 7, "e:7,f:0");
    back.event(
        "stale",
        "e:7,g:4",
        r#"{"topic":"b","epoch":"g","latest":4}"#,
    );
    back.event("ready", "e:7,g:4", READY);
    let expected = Deliveries {
        recovered: 2,
        told: 4,
        ..Deliveries::default()
    };
    assert_eq!(deliveries(&back), expected);
    back.said_in("b", 5, "e:7,g:5");
    assert_eq!(deliveries(&back).live, 1);
    // A stream that says it is whole, and is not.
    let mut silent = Desk::new(&program, 3);
    silent.event("ready", "e:9,h:1", READY);
    assert_eq!(
        deliveries(&silent).lost,
        3,
        "two of a, and the history of b"
    );
}

#[test]
fn a_stream_that_is_none_of_channels_is_a_failure_by_name() {
    for (kind, id, text, failure) in [
        ("message", "1", "5 1.0", "no_channels"),
        ("ready", "1", READY, "no_channels"),
        (
            "refused",
            "",
            r#"{"topic":"a","code":103}"#,
            "topic_refused",
        ),
    ] {
        let mut desk = Desk::new(&program(), 0);
        desk.event(kind, id, text);
        assert_eq!(desk.failure(), failure, "{kind}");
    }
    let mut desk = Desk::new(&program(), 0);
    desk.hear("{}");
    assert_eq!(desk.failure(), "needs_event_stream");
}
