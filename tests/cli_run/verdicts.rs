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
        let url = format!("ws://{at}/");
        let waits = ["--connect-timeout", "500ms", "-d", "300ms"];
        let ran = ringstorm(&[&flags(engine, &url)[..], &waits].concat());
        assert_failed(&ran, "none of 4 connections came up", engine);
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
    let server = Serving::start(&["--cores", "0", "--chunk-ms", "20"]);
    let url = format!("{scheme}://{}/{path}", server.address);
    let paced: &[&str] = match path {
        "echo" => &["-r", "100"],
        "push" => &["--scenario", "listen"],
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
