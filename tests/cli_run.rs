//! The program as used: serve, load and probe together, over real sockets, on every engine.

mod agent_terminal;
#[path = "cli_run/bottlenecks.rs"]
mod bottlenecks;
#[path = "cli_run/capacity.rs"]
mod capacity;
#[path = "cli_run/checking.rs"]
mod checking;
mod cli_usage;
#[path = "cli_run/closing.rs"]
mod closing;
#[path = "cli_run/configuring.rs"]
mod configuring;
#[path = "cli_run/denials.rs"]
mod denials;
#[path = "cli_run/dialect_server.rs"]
mod dialect_server;
#[path = "cli_run/dialects.rs"]
mod dialects;
#[path = "cli_run/keys.rs"]
mod keys;
#[path = "cli_run/listening.rs"]
mod listening;
mod load_report;
#[path = "cli_run/logging.rs"]
mod logging;
#[path = "cli_run/networks.rs"]
mod networks;
#[path = "cli_run/outputs.rs"]
mod outputs;
#[path = "cli_run/overloads.rs"]
mod overloads;
#[path = "cli_run/passing.rs"]
mod passing;
#[path = "cli_run/probes.rs"]
mod probes;
#[path = "cli_run/program.rs"]
mod program;
#[path = "cli_run/proxies.rs"]
mod proxies;
#[path = "cli_run/proxy_server.rs"]
mod proxy_server;
#[path = "cli_run/redirects.rs"]
mod redirects;
#[path = "cli_run/rooms.rs"]
mod rooms;
#[path = "cli_run/scripts.rs"]
mod scripts;
#[path = "cli_run/studies.rs"]
mod studies;
#[path = "cli_run/surviving.rs"]
mod surviving;
#[path = "cli_run/terminals.rs"]
mod terminals;
#[path = "cli_run/thresholds.rs"]
mod thresholds;
mod tune;
#[path = "cli_run/upgrading.rs"]
mod upgrading;
#[path = "cli_run/verdicts.rs"]
mod verdicts;
#[path = "cli_run/visitors.rs"]
mod visitors;

use program::{Serving, ringstorm};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Every engine of this build.
const ENGINES: &[&str] = if cfg!(feature = "baseline") {
    &["ring", "tokio", "baseline"]
} else {
    &["ring", "tokio"]
};

#[test]
fn every_engine_serves_echo_push_and_events_and_drains_on_sigterm() {
    for engine in ENGINES {
        let server = Serving::start(&["--engine", engine, "--chunk-ms", "20"]);
        let at = &server.address;
        let echoed = ringstorm(&[
            "probe",
            &format!("ws://{at}/echo"),
            "--send",
            "a",
            "--send",
            "b",
            "--count",
            "2",
            "--json",
        ]);
        let expected = "{\"type\":\"text\",\"data\":\"a\"}\n{\"type\":\"text\",\"data\":\"b\"}\n";
        assert_eq!(
            (echoed.code, echoed.out.as_str()),
            (0, expected),
            "{engine}: {}",
            echoed.err
        );
        let url = format!("http://{at}/events");
        let events = ringstorm(&["probe", &url, "--count", "3", "--json"]);
        let ids: Vec<u64> = events
            .out
            .lines()
            .map(|line| {
                let event: Value = serde_json::from_str(line).expect("a line of JSON");
                assert_eq!(event["type"], "push", "{engine}: {line}");
                let data: Value = serde_json::from_str(event["data"].as_str().unwrap()).unwrap();
                assert!(data["sent_ns"].is_u64(), "{engine}: {line}");
                data["seq"].as_u64().unwrap()
            })
            .collect();
        assert_eq!((events.code, ids.len()), (0, 3), "{engine}: {}", events.err);
        assert!(ids.is_sorted_by(|a, b| a + 1 == *b), "{engine}: {ids:?}");
        let pushed = ringstorm(&["probe", &format!("ws://{at}/push"), "--count", "2"]);
        assert_eq!(
            (pushed.code, pushed.out.lines().count()),
            (0, 2),
            "{engine}: {}",
            pushed.err
        );
        let (code, said) = server.stop();
        assert_eq!(code, 0, "{engine}");
        assert!(said.starts_with("served "), "{engine}: {said}");
    }
}

#[test]
fn a_draining_server_closes_websockets_with_1001() {
    for engine in ["ring", "tokio"] {
        let server = Serving::start(&["--engine", engine]);
        let url = format!("ws://{}/push", server.address);
        let probe = std::thread::spawn(move || ringstorm(&["probe", &url, "--debug"]));
        server.wait_for_open(1);
        let began = Instant::now();
        assert_eq!(server.stop().0, 0);
        assert!(
            began.elapsed() < Duration::from_secs(4),
            "{engine}: it waited for its deadline"
        );
        let probe = probe.join().unwrap();
        assert_eq!(probe.code, 0, "{engine}: {}", probe.err);
        assert!(
            probe.err.contains("close code 1001"),
            "{engine}: {}",
            probe.err
        );
    }
}

#[test]
fn a_load_gives_one_line_of_json_and_a_distribution() {
    let file = std::env::temp_dir().join(format!("ringstorm-{}.hgrm", std::process::id()));
    let server = Serving::start(&["--cores", "0"]);
    for engine in ["ring", "tokio"] {
        let url = format!("ws://{}/echo", server.address);
        let load = ringstorm(&[
            "load",
            &url,
            "-c",
            "20",
            "-r",
            "500",
            "-d",
            "1s",
            "--json",
            "--quiet",
            "--engine",
            engine,
            "--hgrm",
            file.to_str().unwrap(),
        ]);
        // 98: a busy machine makes an honest generator say that it was the limit.
        assert!(
            matches!(load.code, 0 | 98),
            "{engine}: {} {}",
            load.code,
            load.err
        );
        assert_eq!(load.out.lines().count(), 1);
        let record: Value = serde_json::from_str(&load.out).unwrap();
        let of = |key: &str| record["messages"][key].as_u64().unwrap();
        assert_eq!(of("planned"), of("sent") + of("dropped"), "{engine}");
        assert_eq!(of("planned"), 500, "{engine}");
        assert!(of("replied") >= 495, "{engine}: {}", load.out);
        let distribution = std::fs::read_to_string(&file).unwrap();
        assert!(
            distribution.trim_start().starts_with("Value"),
            "{engine}: {distribution}"
        );
    }
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn a_calibrated_load_knows_its_headroom_its_room_and_its_host() {
    let server = Serving::start(&["--cores", "0"]);
    let url = format!("ws://{}/echo", server.address);
    let run = [
        "load", &url, "-c", "5", "-r", "50", "-d", "300ms", "--cores", "0",
    ];
    let load = ringstorm(&[&run[..], &["--calibrate", "--json"]].concat());
    assert!(matches!(load.code, 0 | 98), "{}{}", load.out, load.err);
    let mut said = load.err.lines();
    let room = said.next().unwrap_or_default();
    assert!(
        room.starts_with("room for ") && room.ends_with(" ports x 1 destination"),
        "{room}"
    );
    assert_eq!(said.next(), Some("calibrating: 40 s at most"));
    let first = said.next().unwrap_or_default();
    assert!(first.starts_with("calibrating: 100/s"), "{first}");
    let record: serde_json::Value = serde_json::from_str(&load.out).expect("JSON");
    let headroom = &record["generator"]["headroom"];
    assert_eq!(headroom["planned_per_s"], 50.0);
    assert_eq!(headroom["connections"], 5);
    assert!(headroom["headroom"].as_f64() >= Some(1.0), "{headroom}");
    assert!(headroom["runs"].as_u64() >= Some(1), "{headroom}");
    let samples = &record["host_samples"];
    for time in ["before", "after"] {
        let sample = &samples[time];
        assert!(
            sample["memory_available_bytes"].as_u64() > Some(1 << 20),
            "{sample}"
        );
        assert!(sample["retransmits"].is_u64(), "{sample}");
    }
    assert_eq!(
        record["messages"]["planned"], 15,
        "the run itself is as planned"
    );
}

#[test]
fn an_interrupted_load_prints_what_ran_and_exits_105() {
    let server = Serving::start(&["--cores", "0"]);
    let url = format!("ws://{}/echo", server.address);
    let load = program::Running::start(&["load", &url, "-c", "5", "-r", "100", "-d", "60s"]);
    server.wait_for_open(5);
    std::thread::sleep(Duration::from_millis(300));
    let load = load.interrupt();
    assert_eq!(load.code, 105, "{}", load.err);
    assert!(
        load.out.contains("5 up") && load.out.contains("interrupted"),
        "{}",
        load.out
    );
}

#[test]
fn a_name_that_is_not_found_is_a_failure_by_its_kind_beside_those_that_are() {
    let server = Serving::start(&["--cores", "0"]);
    let good = format!("ws://{}/echo", server.address);
    let bad = "ws://nowhere.invalid:9/echo";
    for (urls, code, up) in [(vec![good.as_str(), bad], 99, 3), (vec![bad], 99, 0)] {
        let flags = ["-c", "6", "-d", "300ms", "--json", "--quiet"];
        let load = ringstorm(&[&["load"], &urls[..], &flags].concat());
        assert_eq!(load.code, code, "{urls:?}: {}", load.err);
        assert!(
            load.err.contains("dns: cannot find nowhere.invalid") && load.err.contains("--resolve"),
            "{}",
            load.err
        );
        let record: Value = serde_json::from_str(&load.out).unwrap();
        assert_eq!(record["connects"]["up"], up);
        let failure = &record["failures"][0];
        assert_eq!(
            (&failure["kind"], &failure["stage"]),
            (&"dns".into(), &"connect".into())
        );
        assert_eq!(failure["count"], 6 - up);
    }
}

/// A server that answers each connection with the next of these texts, and gives the requests.
fn scripted(answers: Vec<&'static str>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!(
        "http://{}/stream",
        listener.local_addr().expect("it is bound")
    );
    let serving = std::thread::spawn(move || {
        answers
            .into_iter()
            .map(|answer| {
                let (mut peer, _) = listener.accept().expect("the probe comes");
                let request = read_head(&mut peer);
                peer.write_all(answer.as_bytes()).expect("the probe reads");
                request
            })
            .collect()
    });
    (url, serving)
}

fn read_head(peer: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        assert_eq!(
            peer.read(&mut byte).expect("the probe writes"),
            1,
            "the head ended early"
        );
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("a head is ASCII")
}

/// WHATWG HTML, 9.2.3: a lost stream is asked for again, from where it was, after `retry`; 204
/// ends it. RFC 9112, 7.1: chunks may be cut anywhere.
#[test]
fn an_event_stream_is_resumed_with_last_event_id_after_the_servers_retry() {
    let (url, serving) = scripted(vec![
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\
         Transfer-Encoding: chunked\r\n\r\n\
         b\r\nretry: 50\ni\r\n10\r\nd: 7\ndata: one\n\n\r\n4\r\n: hi\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n\
         event: e\ndata: two\ndata: lines\n\ndata: unfinished\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
    ]);
    let probe = ringstorm(&["probe", &url, "--json"]);
    let requests = serving.join().unwrap();
    assert_eq!(probe.code, 0, "{}", probe.err);
    assert_eq!(
        probe.out,
        "{\"type\":\"message\",\"data\":\"one\",\"lastEventId\":\"7\"}\n\
         {\"type\":\"e\",\"data\":\"two\\nlines\",\"lastEventId\":\"7\"}\n"
    );
    assert!(probe.err.contains("again in 50ms"), "{}", probe.err);
    assert!(!requests[0].contains("Last-Event-ID"), "{}", requests[0]);
    assert!(
        requests[1].contains("Last-Event-ID: 7\r\n"),
        "{}",
        requests[1]
    );
}

#[test]
fn a_response_that_is_no_event_stream_ends_the_probe_with_its_status() {
    let (url, serving) = scripted(vec!["HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"]);
    let probe = ringstorm(&["probe", &url]);
    serving.join().unwrap();
    assert_eq!(probe.code, 1);
    assert!(probe.err.contains("404 Not Found"), "{}", probe.err);
}

#[cfg(feature = "baseline")]
#[test]
fn a_demo_ends_with_a_table_of_both_and_names_its_files() {
    let folder = std::env::temp_dir().join(format!("ringstorm-demo-{}", std::process::id()));
    let demo = ringstorm(&["demo", "--short", "--out", folder.to_str().unwrap()]);
    assert!(
        matches!(demo.code, 0 | 98),
        "{} {} {}",
        demo.code,
        demo.out,
        demo.err
    );
    for part in [
        "ring",
        "baseline",
        "p99.9",
        "per CPU-s",
        "bytes/conn",
        "fds",
        "queue",
    ] {
        assert!(demo.out.contains(part), "{part}: {}", demo.out);
    }
    assert!(demo.out.contains(folder.to_str().unwrap()), "{}", demo.out);
    std::fs::remove_dir_all(&folder).unwrap();
}
