//! `/stats`: one core, many cores, cores that do not tell.

use super::*;
use crate::stats::process::Thread;
use crate::stats::{Cgroup, HostSample, Listener, Process, Snapshot, Texts};
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
    let config = config();
    config.board.post(snapshot());
    let mut rig = Rig::new(config);
    let _socket = rig.socket("/echo");
    rig.pass(Duration::from_millis(300));
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
        "pushes_late",
        "channels",
        "channel_clients",
        "sessions",
        "inbound_bytes",
        "held_bytes",
        "backlog_bytes",
        "turns",
        "events",
        "sends",
        "starved",
        "accept_pauses",
        "accept_failures",
        "rescues",
        "cpu_s",
        "turn_events",
        "enters",
        "entries",
        "slots_used",
        "slots",
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
    assert_eq!(json["schema"], "ringstorm.stats/1");
    assert!(json["uptime_s"].is_number());
    assert_eq!(json["sample_age_s"], 0.3);
    assert_eq!(json["cores"][0]["tables"][0]["size"], 8);
    assert_eq!(json["total"]["slots_used"], 2);
    // This core's listener, not the other's.
    assert_eq!(json["total"]["accept_queue"], 3);
    assert_eq!(json["listeners"][1]["accept_queue"], 9);
    assert_eq!(json["host"]["tcp_established"], 100_000);
    assert_eq!(json["cgroup"]["oom_kills"], 0);
    assert_eq!(json["process"]["threads"][0]["name"], "ring-0");
}

#[test]
fn without_a_reading_process_and_host_are_not_known_and_the_rest_is() {
    let mut rig = Rig::new(config());
    let id = rig.asked(&get("/stats"));
    let json = answer(&mut rig, id);
    assert!(json["process"]["cpu_s"].is_number());
    for unknown in [
        &json["host"],
        &json["sample_age_s"],
        &json["process"]["rss_bytes"],
        &json["total"]["accept_queue"],
    ] {
        assert_eq!(*unknown, Value::Null);
    }
}

/// What a reading might find.
fn snapshot() -> Snapshot {
    let listener = |core, waiting| Listener {
        address: "127.0.0.1:9000".to_owned(),
        core,
        accept_queue: Some(waiting),
        accept_queue_limit: Some(4096),
    };
    let texts = Texts {
        stat: "cpu0 1 2 3 4 5 6 7 8\n".to_owned(),
        snmp: "Tcp: CurrEstab\nTcp: 100000\n".to_owned(),
        pressure_cpu: "some avg10=1.00 total=5000000\n".to_owned(),
        ..Texts::default()
    };
    Snapshot {
        at: START,
        unix: None,
        process: Process {
            rss_bytes: Some(4096),
            descriptors: Some(31),
            descriptor_limit: Some(20_000),
            threads: vec![Thread {
                name: "ring-0".to_owned(),
                count: 1,
                cpu_s: 1.5,
                wait_s: 0.25,
            }],
            ..Process::default()
        },
        listeners: vec![listener(0, 3), listener(1, 9)],
        host: HostSample::parse(&texts, START),
        cgroup: Cgroup {
            oom_kills: Some(0),
            ..Cgroup::default()
        },
    }
}

#[test]
fn metrics_are_the_same_figures_with_their_meaning() {
    let config = config();
    config.board.post(snapshot());
    let mut rig = Rig::new(config);
    let _socket = rig.socket("/echo");
    let accepts = "Accept: text/html, application/openmetrics-text;version=1.0.0;q=0.5\r\n";
    let id = rig.asked(&get("/metrics").replace("\r\n\r\n", &format!("\r\n{accepts}\r\n")));
    let text = rig.text(id);
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains("Content-Type: application/openmetrics-text; version=1.0.0"));
    for line in [
        "# TYPE ringstorm_received_bytes counter",
        "# UNIT ringstorm_received_bytes bytes",
        "ringstorm_received_bytes_total{core=\"0\"} 7",
        "ringstorm_build_info{version=\"0.1.0\",engine=\"tape\"} 1",
        "ringstorm_connections{core=\"0\",kind=\"websocket\"} 1",
        "ringstorm_slots{core=\"0\",table=\"0\"} 8",
        "ringstorm_accept_queue{core=\"1\",address=\"127.0.0.1:9000\"} 9",
        "ringstorm_turn_events_bucket{core=\"0\",le=\"+Inf\"} 0",
        "ringstorm_thread_cpu_seconds_total{thread=\"ring-0\"} 1.5",
        "ringstorm_host_cpu_seconds_total{cpu=\"0\",mode=\"steal\"} 0.08",
        "ringstorm_host_pressure_wait_seconds_total{resource=\"cpu\"} 5",
        "ringstorm_cgroup_oom_kills_total 0",
    ] {
        assert!(body.lines().any(|it| it == line), "{line} in {body}");
    }
    assert!(body.ends_with("\n# EOF\n"));
    // A reader that does not ask for it gets the same text under the older name.
    let id = rig.asked(&get("/metrics"));
    let again = rig.text(id);
    assert!(again.contains("Content-Type: text/plain; version=0.0.4"));
    let family = |line: &&str| line.starts_with("# TYPE");
    assert!(body.lines().filter(family).eq(again.lines().filter(family)));
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
        let core = other.server.core.core;
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

/// RFC 9112, 9.6: who ends its stream after a whole request gets the answer, and the end.
#[test]
fn a_peer_that_ended_gets_the_figures_it_waits_for() {
    let mut rig = Rig::on(Core(0), 2, config());
    let id = rig.asked(&get("/stats"));
    assert_eq!(rig.server.ended(id, &mut rig.wire), Half::Keep);
    assert_eq!(rig.closed(id), None, "the answer is still to come");
    rig.pass(Duration::from_secs(1));
    assert!(rig.text(id).contains("Connection: close\r\n"));
    assert_eq!(rig.closed(id), Some(Close::Flush));
    let quiet = rig.open();
    assert_eq!(rig.server.ended(quiet, &mut rig.wire), Half::Close);
}
