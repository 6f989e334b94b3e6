//! `/stats`: one core, many cores, cores that do not tell.

use super::*;
use serde_json::Value;

fn answer(rig: &mut Rig, id: ConnectionId) -> Value {
    let text = rig.text(id);
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains("Content-Type: application/json"), "{head}");
    serde_json::from_str(body).expect("json")
}

fn tell(from: &mut Rig, round: u64) -> Box<Figures> {
    from.server
        .forwarded(Core(0), Message::Ask { round }, &mut from.wire);
    match from.wire.forwarded.pop() {
        Some((
            Core(0),
            Message::Tell {
                round: told,
                figures,
            },
        )) if told == round => figures,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_core_answers_at_once_with_every_key() {
    let mut rig = Rig::new(config());
    let _socket = rig.socket("/echo");
    let id = rig.asked(&get("/stats"));
    let json = answer(&mut rig, id);
    assert_eq!(json["engine"], "tape");
    assert_eq!(json["missing"], serde_json::json!([]));
    let keys = [
        "open",
        "accepted",
        "closed",
        "bytes_in",
        "bytes_out",
        "messages_in",
        "messages_out",
        "backlog_bytes",
        "turns",
        "events",
        "sends",
        "starved",
        "accept_pauses",
        "rescues",
        "cpu_s",
        "accept_queue",
        "accept_queue_limit",
    ];
    for key in keys {
        assert!(!json["cores"][0][key].is_null(), "{key} in {json}");
        assert_eq!(json["cores"][0][key], json["total"][key], "{key}");
    }
    assert_eq!(json["cores"][0]["core"], 0);
    assert_eq!(
        json["total"]["open"],
        serde_json::json!({"websocket": 1, "sse": 0, "http": 1})
    );
    assert_eq!(json["total"]["closed"]["peer_ended"], 0);
    for key in ["cpu_s", "rss_bytes", "descriptors", "descriptor_limit"] {
        assert!(json["process"][key].is_number(), "{key} in {json}");
    }
    assert!(json["uptime_s"].is_number());
}

#[test]
fn many_requests_in_one_turn_cost_one_reading() {
    let mut rig = Rig::new(config());
    let id = rig.open();
    rig.receive(id, get("/stats").repeat(20).as_bytes());
    assert_eq!(rig.text(id).matches("HTTP/1.1 200").count(), 20);
    assert_eq!(rig.wire.readings, 1);
}

#[test]
fn the_core_that_is_asked_sums_what_all_tell() {
    let mut rig = Rig::on(Core(0), 3, config());
    let mut others = [Rig::on(Core(1), 3, config()), Rig::on(Core(2), 3, config())];
    let _socket = others[1].socket("/echo");
    let id = rig.asked(&get("/stats"));
    let late = rig.asked(&get("/stats"));
    assert_eq!(rig.text(id), "");
    // One round, whoever asks.
    assert_eq!(rig.wire.forwarded.len(), 2);
    for other in &mut others {
        let figures = tell(other, 1);
        let core = other.server.core;
        rig.server
            .forwarded(core, Message::Tell { round: 1, figures }, &mut rig.wire);
    }
    for id in [id, late] {
        let json = answer(&mut rig, id);
        assert_eq!(json["total"]["open"]["websocket"], 1);
        assert_eq!(json["total"]["bytes_in"], 21);
        assert_eq!(json["cores"].as_array().map(Vec::len), Some(3));
        assert_eq!(rig.closed(id), None);
    }
    // The connection goes on.
    rig.receive(id, get("/healthz").as_bytes());
    assert!(rig.text(id).starts_with("HTTP/1.1 200"));
}

#[test]
fn a_core_that_does_not_tell_is_missing_after_half_a_second() {
    let mut rig = Rig::on(Core(0), 2, config());
    let id = rig.asked(&get("/stats"));
    rig.pass(Duration::from_millis(490));
    assert_eq!(rig.text(id), "");
    rig.pass(Duration::from_millis(10));
    let json = answer(&mut rig, id);
    assert_eq!(json["missing"], serde_json::json!([1]));
    assert_eq!(json["total"]["accepted"], 1);
    // Told too late, and told twice: nothing happens.
    let figures = Box::new(Figures::default());
    let tell = Message::Tell { round: 1, figures };
    rig.server.forwarded(Core(1), tell.clone(), &mut rig.wire);
    rig.server.forwarded(Core(1), tell, &mut rig.wire);
    assert_eq!(rig.text(id), "");
}

#[test]
fn a_request_behind_one_that_waits_ends_the_connection_after_the_answer() {
    let mut rig = Rig::on(Core(0), 2, config());
    let id = rig.asked(&(get("/stats") + &get("/healthz")));
    let gone = rig.asked(&get("/stats"));
    rig.gone(gone, CloseCause::PeerEnded);
    rig.pass(Duration::from_millis(500));
    let text = rig.text(id);
    assert_eq!(text.matches("HTTP/1.1").count(), 1);
    assert!(text.contains("Connection: close"), "{text}");
    assert_eq!(rig.closed(id), Some(Close::Flush));
}
