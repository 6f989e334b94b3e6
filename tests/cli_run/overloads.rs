//! Servers that say to be overloaded, beside one that is not, on both engines: their clients go
//! there (IANA's close code 1013; RFC 9110, 15.6.4).

use super::program::{Ran, Serving, ringstorm};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;

const ENGINES: [&str; 2] = ["ring", "tokio"];

/// Does that to each of its peers, until the test is over.
fn serve(listener: TcpListener, talk: fn(TcpStream)) {
    thread::spawn(move || {
        for peer in listener.incoming().map_while(Result::ok) {
            talk(peer);
        }
    });
}

/// 503, and not to come back for a minute.
fn refuse(mut peer: TcpStream) {
    let _ = peer.read(&mut [0; 2048]);
    let full = "HTTP/1.1 503 Busy\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n";
    let _ = peer.write_all(full.as_bytes());
}

/// 101, then 1013.
fn send_away(peer: TcpStream) {
    let Ok(mut socket) = tungstenite::accept(peer) else {
        return;
    };
    let _ = socket.close(Some(CloseFrame {
        code: CloseCode::Again,
        reason: "".into(),
    }));
    while socket.read().is_ok() {}
}

fn run(engine: &str, to: &[&str]) -> (Ran, Value) {
    let flags = ["-c", "4", "-d", "1s", "--cores", "0", "--json", "--quiet"];
    let again = ["--retry-failed", "1", "--reconnect=3"];
    let waits = ["--backoff", "20ms-20s", "--scenario", "idle"];
    let engine = ["load", "--engine", engine];
    let ran = ringstorm(&[&engine[..], to, &flags, &again, &waits].concat());
    let record = serde_json::from_str(&ran.out);
    let record = record.unwrap_or_else(|_| panic!("{}{}", ran.out, ran.err));
    (ran, record)
}

/// A server at a port of 127.0.0.2 that listens, and one of the test's own at that of 127.0.0.1.
fn two_addresses() -> (Serving, TcpListener) {
    for _ in 0..20 {
        let server = Serving::start_at("127.0.0.2:0", &["--cores", "0"]);
        let (_, port) = server.address.split_once(':').expect("a port");
        if let Ok(listener) = TcpListener::bind(format!("127.0.0.1:{port}")) {
            return (server, listener);
        }
    }
    panic!("no port is free at two addresses");
}

#[test]
fn clients_of_a_server_that_is_overloaded_go_to_the_next_url_or_address() {
    for talk in [refuse as fn(TcpStream), send_away] {
        let (server, listener) = two_addresses();
        let (_, port) = server.address.split_once(':').expect("a port");
        serve(listener, talk);
        let urls = ["127.0.0.1", "127.0.0.2"].map(|host| format!("ws://{host}:{port}/echo"));
        let url = format!("ws://both.test:{port}/echo");
        let resolve = format!("both.test:{port}:127.0.0.1,127.0.0.2");
        for engine in ENGINES {
            let two_urls = urls.each_ref().map(String::as_str);
            let one_name = [url.as_str(), "--resolve", &resolve];
            for to in [&two_urls[..], &one_name] {
                let (ran, record) = run(engine, to);
                assert!(matches!(ran.code, 0 | 98), "{engine}, {to:?}: {}", ran.out);
                assert_eq!(record["connects"]["up"], 4, "{engine}, {to:?}: {}", ran.out);
                let failures = record["failures"].as_array().expect("a list");
                let [failure] = &failures[..] else {
                    panic!("{engine}, {to:?}: {failures:?}");
                };
                // Two of four had their turn there, and went on at once.
                assert_eq!(failure["count"], 2, "{engine}, {to:?}: {failure}");
                let kind = failure["kind"].as_str();
                assert!(matches!(kind, Some("http_503" | "close_1013")), "{failure}");
                if kind == Some("close_1013") {
                    assert_eq!(record["returns"]["resumed"], 2, "{engine}: {}", ran.out);
                } else {
                    assert_eq!(record["connects"]["retries"], 2, "{engine}: {}", ran.out);
                }
            }
        }
    }
}
