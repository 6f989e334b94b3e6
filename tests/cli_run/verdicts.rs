//! What servers that fail do to the verdict and the exit code of a real run, on both engines.

use super::program::{Ran, Running, Serving, ringstorm};
use rustix::process::Signal;
use std::net::TcpListener;
use std::time::Duration;

const ENGINES: [&str; 2] = ["ring", "tokio"];

/// A load of a few connections on that engine.
fn flags<'a>(engine: &'a str, url: &'a str) -> Vec<&'a str> {
    let common = ["-c", "4", "--cores", "0", "--grace", "1s", "--quiet"];
    [&["load", url, "--engine", engine], &common[..]].concat()
}

fn assert_failed(ran: &Ran, reason: &str, what: &str) {
    assert_eq!(ran.code, 99, "{what}: {}{}", ran.out, ran.err);
    assert!(ran.out.contains("verdict      FAIL"), "{what}: {}", ran.out);
    assert!(ran.out.contains(reason), "{what}: {}", ran.out);
}

#[test]
fn nobody_who_listens_is_a_failure_of_every_scenario() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = closed.local_addr().expect("it is bound");
    drop(closed);
    for engine in ENGINES {
        for (url, scenario) in [
            ("ws", "echo"),
            ("ws", "idle"),
            ("http", "listen"),
            ("ws", "rooms"),
            ("http", "rooms"),
        ] {
            let url = format!("{url}://{at}/");
            let run = [
                &flags(engine, &url)[..],
                &["--scenario", scenario, "-d", "300ms"],
            ];
            let ran = ringstorm(&run.concat());
            assert_failed(&ran, "none of 4 connections came up", scenario);
        }
    }
}

#[test]
fn a_server_that_accepts_and_says_nothing_is_a_failure() {
    let mute = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = mute.local_addr().expect("it is bound");
    for engine in ENGINES {
        for (scheme, scenario) in [
            ("ws", "echo"),
            ("http", "listen"),
            ("ws", "rooms"),
            ("http", "rooms"),
        ] {
            let url = format!("{scheme}://{at}/");
            let waits = ["--connect-timeout", "500ms", "-d", "300ms"];
            let talks = ["--scenario", scenario];
            let ran = ringstorm(&[&flags(engine, &url)[..], &waits, &talks].concat());
            assert_failed(&ran, "none of 4 connections came up", engine);
        }
    }
}

#[test]
fn a_server_that_stops_in_the_middle_is_a_failure_of_those_who_send_and_who_listen() {
    let cases = [
        ("ws", "echo", "messages got no reply"),
        (
            "ws",
            "push",
            "4 of 4 connections heard nothing up to the end",
        ),
        (
            "http",
            "events",
            "4 of 4 connections heard nothing up to the end",
        ),
        ("ws", "rooms", "messages got no reply"),
        ("http", "rooms", "messages got no reply"),
    ];
    for engine in ENGINES {
        std::thread::scope(|scope| {
            for (scheme, path, reason) in cases {
                scope.spawn(move || stopped(engine, (scheme, path), reason));
            }
        });
    }
}

/// Stops the server's process in the middle of a run: the run fails for that reason.
fn stopped(engine: &str, (scheme, path): (&str, &str), reason: &str) {
    let flags_of = ["--cores", "0", "--chunk-ms", "20", "--room-size", "4"];
    let server = Serving::start(&flags_of);
    let url = format!("{scheme}://{}/{path}", server.address);
    let paced: &[&str] = match path {
        "echo" => &["-r", "100"],
        "push" => &["--scenario", "listen"],
        "rooms" => &["--scenario", "rooms", "-r", "20"],
        _ => &[],
    };
    let run = [&flags(engine, &url)[..], &["-d", "6s"], paced].concat();
    let load = Running::start(&run);
    server.wait_for_open(4);
    std::thread::sleep(Duration::from_secs(2));
    server.signal(Signal::STOP);
    let ran = load.end();
    server.signal(Signal::CONT);
    assert_failed(&ran, reason, &format!("{engine}, {path}"));
    if path == "echo" {
        // Its host acknowledges what it does not answer.
        assert!(
            ran.out.contains("the server, not the network"),
            "{}",
            ran.out
        );
    }
}

/// RFC 6455, 5.5.2: a ping asks whether the peer still answers. One that does not is reset, and its
/// client comes back in another slot.
#[test]
fn who_answers_no_ping_is_dropped_and_its_slot_is_free_again() {
    for engine in ENGINES {
        let server = Serving::start(&["--cores", "0"]);
        let url = format!("ws://{}/echo", server.address);
        let pings = [
            "--scenario",
            "idle",
            "--ping",
            "200ms",
            "-d",
            "4s",
            "--json",
        ];
        let returns = [
            "--reconnect",
            "--backoff",
            "50ms-100ms",
            "--connect-timeout",
            "300ms",
        ];
        let load = Running::start(&[&flags(engine, &url)[..], &pings, &returns].concat());
        server.wait_for_open(4);
        server.signal(Signal::STOP);
        std::thread::sleep(Duration::from_millis(1_500));
        server.signal(Signal::CONT);
        let ran = load.end();
        let record: serde_json::Value = serde_json::from_str(&ran.out).expect(&ran.err);
        let failures = record["failures"].to_string();
        assert!(failures.contains("\"no_pong\""), "{engine}: {failures}");
        assert!(!failures.contains("no_slot"), "{engine}: {failures}");
        assert_eq!(
            record["connects"]["waited_for_slot"],
            serde_json::Value::Null
        );
        assert!(
            record["returns"]["resumed"].as_u64() >= Some(4),
            "{engine}: {}",
            ran.out
        );
    }
}

/// Numbers begin again with the server: whoever listens repeats nothing, and passed over what was
/// said before it was back.
#[test]
fn listeners_of_a_server_that_was_restarted_hear_nothing_twice() {
    for engine in ENGINES {
        let flags_of = ["--cores", "0", "--chunk-ms", "20"];
        let first = Serving::start(&flags_of);
        let address = first.address.clone();
        let url = format!("ws://{address}/push");
        let listens = ["--scenario", "listen", "-d", "5s", "--json", "--reconnect"];
        let returns = ["--backoff", "50ms-100ms"];
        let load = Running::start(&[&flags(engine, &url)[..], &listens, &returns].concat());
        first.wait_for_open(4);
        std::thread::sleep(Duration::from_secs(2));
        first.signal(Signal::KILL);
        drop(first);
        let _second = Serving::start_at(&address, &flags_of);
        let ran = load.end();
        let record: serde_json::Value = serde_json::from_str(&ran.out).expect(&ran.err);
        assert_eq!(record["returns"]["resumed"], 4, "{engine}: {}", ran.out);
        assert_eq!(record["returns"]["duplicated"], 0, "{engine}: {}", ran.out);
        assert_eq!(record["events"]["repeated"], 0, "{engine}: {}", ran.out);
        assert_eq!(
            record["events"]["missing_at_end"], 0,
            "{engine}: {}",
            ran.out
        );
    }
}
