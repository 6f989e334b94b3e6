//! How many connections `serve` takes, where it listens, and how it stops.

use super::program::{Serving, ringstorm};
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

fn connect(address: &str) -> TcpStream {
    let peer = TcpStream::connect(address).expect("the server accepts");
    let patience = Some(Duration::from_secs(20));
    peer.set_read_timeout(patience).expect("a time-out");
    peer
}

/// Asks; the connection, and what came with the head.
pub(super) fn ask(address: &str, request: &str) -> (TcpStream, String) {
    let mut peer = connect(address);
    let request = format!("GET {request} HTTP/1.1\r\nHost: a\r\n");
    peer.write_all(request.as_bytes())
        .expect("the server reads");
    peer.write_all(b"\r\n").expect("the server reads");
    let mut bytes = Vec::new();
    let mut byte = [0; 1];
    while !bytes.ends_with(b"\r\n\r\n") {
        assert_eq!(
            peer.read(&mut byte).expect("the server answers"),
            1,
            "a head"
        );
        bytes.push(byte[0]);
    }
    (peer, String::from_utf8(bytes).expect("ASCII"))
}

fn websocket(address: &str) -> (TcpStream, String) {
    let fields = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let mut peer = connect(address);
    let request = format!("GET /echo HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
    let _ = peer.write_all(request.as_bytes());
    let mut bytes = [0; 12];
    // One that finds not even a place to be answered is reset.
    let status = match peer.read_exact(&mut bytes) {
        Ok(()) => String::from_utf8(bytes.to_vec()).expect("ASCII"),
        Err(error) => error.to_string(),
    };
    (peer, status)
}

/// The addresses of the ready line, that for health and figures last.
fn addresses(line: &str) -> Vec<String> {
    let words = line.split_whitespace();
    let urls = words.filter_map(|word| word.split_once("://"));
    urls.map(|(_, address)| address.trim_end_matches(')').to_owned())
        .collect()
}

#[test]
fn a_full_server_serves_as_many_as_it_says_refuses_the_rest_and_tells_its_health() {
    for engine in ["ring", "tokio"] {
        let server = Serving::start(&[
            "--engine",
            engine,
            "--cores",
            "0",
            "--listen",
            "127.0.0.1:0",
            "--max-connections",
            "100",
            "--admin-listen",
            "127.0.0.1:0",
        ]);
        let all = addresses(&server.line);
        let [first, busy, admin] = &all[..] else {
            panic!("{}", server.line)
        };
        // The first listener has nothing to do.
        let up: Vec<_> = (0..100).map(|_| websocket(busy)).collect();
        assert!(up.iter().all(|(_, status)| status == "HTTP/1.1 101"));
        for address in [busy, first] {
            let began = Instant::now();
            let (_, status) = websocket(address);
            assert_eq!(status, "HTTP/1.1 503", "{engine}");
            assert!(began.elapsed() < Duration::from_secs(5));
        }
        for address in [busy, first, admin] {
            let (_, head) = ask(address, "/healthz");
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        }
        let (_, head) = ask(admin, "/events");
        assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
        let stats = server.stats();
        assert_eq!(stats["total"]["refused"], 2);
        assert_eq!(stats["total"]["open"]["websocket"], 100);
        // More than there is even a place to answer: none of them hangs.
        let silent: Vec<_> = (0..400).map(|_| TcpStream::connect(busy)).collect();
        let (_, head) = ask(admin, "/healthz");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        drop(silent);
        drop(up);
        let by = Instant::now() + Duration::from_secs(20);
        while websocket(busy).1 != "HTTP/1.1 101" {
            assert!(Instant::now() < by, "a place that was left is taken again");
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(Duration::from_millis(1200));
        let (code, err) = server.stop_and_read();
        assert_eq!(code, 0);
        assert!(
            err.contains("room for 100 connections, 100 on each core"),
            "{err}"
        );
        assert!(err.contains("full: ") && err.contains("got 503"), "{err}");
    }
}

/// The ring's accepts take no descriptor of the process: src/engine/ring/scripted/accepts.rs has
/// them fail.
#[test]
fn accepts_that_fail_for_want_of_descriptors_are_counted_and_told_with_the_remedy() {
    let server = Serving::start(&["--engine", "tokio", "--cores", "0"]);
    let pid = server.pid();
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors");
    let open = u64::try_from(open.count()).expect("small");
    let limit = |current| {
        let pid = Pid::from_raw(pid.parse().expect("a number"));
        let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
        let current = Some(current);
        let limit = Rlimit { current, maximum };
        prlimit(pid, Resource::Nofile, limit).expect("its limit is ours to change")
    };
    let before = limit(open.min(3));
    let mut waiting = connect(&server.address);
    let request = "GET /stats HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    waiting.write_all(request.as_bytes()).expect("it is queued");
    std::thread::sleep(Duration::from_millis(2200));
    limit(before.current.expect("it had a limit"));
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).expect("it is served");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
    let stats: serde_json::Value = serde_json::from_str(body).expect("JSON");
    let total = &stats["total"];
    assert!(total["accept_failures"].as_u64() > Some(0), "{total}");
    assert_eq!(total["accept_pauses"], 0);
    let (code, err) = server.stop_and_read();
    assert_eq!(code, 0);
    let lines: Vec<_> = err
        .lines()
        .filter(|line| line.contains("accepting failed"))
        .collect();
    // In more than two seconds: once a minute.
    assert_eq!(lines.len(), 1, "{err}");
    assert!(
        lines[0].contains("EMFILE") && lines[0].contains("try: ulimit -n"),
        "{err}"
    );
}

#[test]
fn a_server_goes_on_after_sighup_and_announces_that_it_stops() {
    for engine in ["ring", "tokio"] {
        let flags = ["--engine", engine, "--cores", "0", "--drain-delay", "2s"];
        let server = Serving::start(&[&flags[..], &["--drain-code", "1012"]].concat());
        server.signal(Signal::HUP);
        std::thread::sleep(Duration::from_millis(200));
        let (mut peer, status) = websocket(&server.address);
        assert_eq!(status, "HTTP/1.1 101");
        server.signal(Signal::TERM);
        let by = Instant::now() + Duration::from_secs(20);
        // Still accepting, or this would be refused.
        while !ask(&server.address, "/healthz")
            .1
            .starts_with("HTTP/1.1 503 ")
        {
            assert!(Instant::now() < by, "health says 503 before accepting ends");
            std::thread::sleep(Duration::from_millis(10));
        }
        let (_, status) = websocket(&server.address);
        assert_eq!(status, "HTTP/1.1 101");
        // The rest of the answer to the upgrade, then the close frame.
        let mut rest = Vec::new();
        let close = [&[0x88, 0x02][..], &1012_u16.to_be_bytes()].concat();
        while !rest.ends_with(&close) {
            let mut byte = [0; 1];
            assert_eq!(
                peer.read(&mut byte).expect("the server closes"),
                1,
                "{rest:?}"
            );
            rest.push(byte[0]);
        }
        drop(peer);
        let (_, err) = server.read_to_end();
        assert!(
            err.contains("SIGHUP: read anew, the server goes on\n"),
            "{err}"
        );
    }
}

#[test]
fn listen_takes_ports_names_and_both_families() {
    for engine in crate::ENGINES {
        let server = Serving::start_at("0", &["--engine", engine, "--cores", "0"]);
        let port = server
            .address
            .rsplit(':')
            .next()
            .expect("a port")
            .to_owned();
        for host in ["127.0.0.1", "[::1]"] {
            let (_, head) = ask(&format!("{host}:{port}"), "/healthz");
            assert!(head.starts_with("HTTP/1.1 200 "), "{engine} {host}: {head}");
        }
        server.stop();
        let server = Serving::start_at("localhost:0", &["--engine", engine, "--cores", "0"]);
        for address in addresses(&server.line) {
            let (_, head) = ask(&address, "/healthz");
            assert!(
                head.starts_with("HTTP/1.1 200 "),
                "{engine} {address}: {head}"
            );
        }
        server.stop();
    }
}

#[test]
fn what_cannot_be_listened_on_is_named() {
    for (flags, named) in [
        (
            &["127.0.0.1:9", "--listen", "127.0.0.1:9"][..],
            "127.0.0.1:9 is given twice",
        ),
        (
            &["[::1]:9", "--admin-listen", "[::1]:9"],
            "[::1]:9 is given twice",
        ),
        (&["0.0.0.0:9,127.0.0.1:9"], "0.0.0.0:9 takes in 127.0.0.1:9"),
        (&["no.such.host.invalid:9"], "no.such.host.invalid"),
        (&["::1:9"], "in brackets"),
        (&["127.0.0.1:0", "--drain-code", "1000"], "1012"),
    ] {
        let ran = ringstorm(&[&["serve", "--listen"], flags].concat());
        assert_eq!(ran.code, 2, "{}", ran.err);
        assert!(ran.err.contains(named), "{named}: {}", ran.err);
    }
}
