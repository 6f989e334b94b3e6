//! The scenarios of message protocols against servers that speak them and then fail, and over a
//! network that goes away: verdict and exit code, on both engines.

use super::dialect_server::{Conduct, Dialect, serve};
use super::networks::Link;
use super::program::{Ran, Running, ringstorm};
use serde_json::Value;
use std::io::Write as _;
use std::net::TcpListener;
use std::time::Duration;

const ENGINES: [&str; 2] = ["ring", "tokio"];

const DIALECTS: [Dialect; 5] = [
    Dialect::Cable,
    Dialect::SocketCluster,
    Dialect::SocketIo,
    Dialect::Rooms,
    Dialect::Channels,
];

/// What makes a load speak a protocol.
fn speaks(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        Dialect::Cable => &[
            "--scenario",
            "cable",
            "--channel",
            "Chat",
            "--event",
            "speak",
        ],
        Dialect::SocketCluster => &["--scenario", "socketcluster"],
        Dialect::SocketIo => &["--scenario", "socketio", "--event", "say"],
        Dialect::Rooms => &["--scenario", "rooms"],
        Dialect::Channels => &["--scenario", "channels", "--channel", "news"],
    }
}

fn flags<'a>(engine: &'a str, url: &'a str, dialect: Dialect) -> Vec<&'a str> {
    let common = ["-c", "3", "-r", "30", "--cores", "0", "--quiet", "--json"];
    let waits = ["--connect-timeout", "700ms", "--grace", "500ms"];
    let flags = ["load", url, "--engine", engine];
    [&flags[..], &common, &waits, speaks(dialect)].concat()
}

/// All engines against a server of that conduct at once; what each left.
fn runs(dialect: Dialect, conduct: Conduct) -> Vec<(String, Ran)> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("ws://{}/", serve(listener, dialect, conduct));
    let started = ENGINES.map(|engine| {
        let run = [&flags(engine, &url, dialect)[..], &["-d", "1s"]].concat();
        (
            format!("{engine}, {dialect:?}, {conduct:?}"),
            Running::start(&run),
        )
    });
    let ended = started.into_iter().map(|(what, run)| (what, run.end()));
    ended.collect()
}

fn record(what: &str, ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{what}: {}{}", ran.out, ran.err))
}

/// FAIL with exit code 99, for reasons that have these words; the record.
fn assert_failed(what: &str, ran: &Ran, words: &[&str]) -> Value {
    let record = record(what, ran);
    assert_eq!(ran.code, 99, "{what}: {}", ran.out);
    assert_eq!(record["verdict"]["verdict"], "FAIL", "{what}: {}", ran.out);
    let reasons = record["verdict"]["reasons"].to_string();
    for word in words {
        assert!(reasons.contains(word), "{what}: {word}: {reasons}");
    }
    record
}

fn assert_failures(what: &str, record: &Value, stage: &str, kinds: &[&str]) {
    let failures = record["failures"].as_array().expect("a list");
    assert!(!failures.is_empty(), "{what}: {record}");
    for failure in failures {
        assert_eq!(failure["stage"], stage, "{what}: {record}");
        let kind = failure["kind"].as_str().unwrap_or_default();
        assert!(kinds.contains(&kind), "{what}: {kind}");
    }
}

/// Without this the tests below would hold for servers that nobody understands.
#[test]
fn servers_that_serve_pass() {
    for dialect in DIALECTS {
        for (what, ran) in runs(dialect, Conduct::Serves) {
            let record = record(&what, &ran);
            // 98: on a busy machine the generator may be the limit.
            assert!(matches!(ran.code, 0 | 98), "{what}: {}", ran.out);
            assert_eq!(record["connects"]["up"], 3, "{what}: {}", ran.out);
            assert_eq!(record["messages"]["lost"], 0, "{what}: {}", ran.out);
            assert_eq!(record["messages"]["wrong"], 0, "{what}: {}", ran.out);
            assert!(record["messages"]["replied"].as_u64() > Some(10), "{what}");
        }
    }
}

#[test]
fn servers_that_refuse_are_failures_by_what_they_say() {
    for (dialect, kind) in DIALECTS.into_iter().zip([
        "unauthorized",
        "handshake_rejected",
        "namespace_refused",
        "no_rooms_here",
        "connect_rejected",
    ]) {
        for (what, ran) in runs(dialect, Conduct::Refuses) {
            let record = assert_failed(&what, &ran, &["none of 3 connections came up"]);
            assert_failures(&what, &record, "ready", &[kind]);
        }
    }
}

#[test]
fn servers_that_say_nothing_are_failures_by_what_was_awaited() {
    for (dialect, kind) in DIALECTS.into_iter().zip([
        "no_welcome",
        "no_handshake",
        "no_session",
        "no_room",
        "no_connect_reply",
    ]) {
        for (what, ran) in runs(dialect, Conduct::Silent) {
            let record = assert_failed(&what, &ran, &["none of 3 connections came up"]);
            assert_failures(&what, &record, "ready", &[kind]);
        }
    }
}

/// The event streams of channels have a handshake too: `ready`, once each topic stands.
#[test]
fn a_stream_that_never_says_that_it_is_ready_is_a_failure_by_that_name() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        let mut peers = Vec::new();
        for mut peer in listener.incoming().map_while(Result::ok) {
            let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hello\n\n";
            // A client that goes is none of the server's business.
            let _ = peer.write_all(head);
            peers.push(peer);
        }
    });
    let url = format!("http://{address}/channels");
    for engine in ENGINES {
        let load = [
            "load",
            &url,
            "--engine",
            engine,
            "--scenario",
            "sse-channels",
        ];
        let plan = ["--channel", "news", "-c", "3", "-r", "30", "-d", "1s"];
        let rest = [
            "--connect-timeout",
            "700ms",
            "--cores",
            "0",
            "--quiet",
            "--json",
        ];
        let ran = ringstorm(&[&load[..], &plan, &rest].concat());
        let record = assert_failed(engine, &ran, &["none of 3 connections came up"]);
        assert_failures(engine, &record, "ready", &["no_ready"]);
    }
}

#[test]
fn servers_that_die_in_the_middle_lose_all_their_clients() {
    for dialect in DIALECTS {
        for (what, ran) in runs(dialect, Conduct::Dies(3)) {
            let words = ["3 of 3 connections ended before the run"];
            let record = assert_failed(&what, &ran, &words);
            assert_failures(&what, &record, "open", &["ended", "reset"]);
            assert_eq!(record["messages"]["replied"], 9, "{what}: {}", ran.out);
        }
    }
}

#[test]
fn servers_that_stall_or_answer_half_leave_messages_without_a_reply() {
    for dialect in DIALECTS {
        for conduct in [Conduct::Stalls(3), Conduct::Halves(3), Conduct::EveryOther] {
            for (what, ran) in runs(dialect, conduct) {
                let record = assert_failed(&what, &ran, &["messages got no reply"]);
                assert_eq!(record["connects"]["up"], 3, "{what}: {}", ran.out);
                let replied = record["messages"]["replied"].as_u64();
                if conduct == Conduct::EveryOther {
                    assert!(replied >= Some(3), "{what}: {}", ran.out);
                } else {
                    assert_eq!(replied, Some(9), "{what}: {}", ran.out);
                }
            }
        }
    }
}

#[test]
fn a_network_that_goes_away_fails_every_protocol() {
    let Some(link) = Link::new("d") else {
        return;
    };
    let [_, from] = &link.names;
    let mut all = Vec::new();
    for dialect in DIALECTS {
        let address = serve(link.listener("10.77.0.1:0"), dialect, Conduct::Serves);
        let url = format!("ws://{address}/");
        for engine in ENGINES {
            let run = [&flags(engine, &url, dialect)[..], &["-d", "6s"]].concat();
            let what = format!("{engine}, {dialect:?}");
            all.push((what, Running::start_within(from, &run)));
        }
    }
    // Each is up within its connect's time, and sends.
    std::thread::sleep(Duration::from_secs(3));
    link.take_down();
    for (what, run) in all {
        let ran = run.end();
        let record = assert_failed(&what, &ran, &["messages got no reply"]);
        assert!(
            record["messages"]["replied"].as_u64() > Some(0),
            "{what}: {}",
            ran.out
        );
    }
}

#[test]
fn a_protocol_that_meets_no_server_at_all_fails() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("ws://{}/", closed.local_addr().expect("it is bound"));
    drop(closed);
    for dialect in DIALECTS {
        for engine in ENGINES {
            let what = format!("{engine}, {dialect:?}");
            let run = [&flags(engine, &url, dialect)[..], &["-d", "300ms"]].concat();
            let ran = ringstorm(&run);
            let record = assert_failed(&what, &ran, &["none of 3 connections came up"]);
            assert_failures(&what, &record, "connect", &["refused"]);
        }
    }
}
