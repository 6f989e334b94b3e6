//! Redirects of event streams that a load follows, or says why not, on both engines.

use super::program::{Ran, Serving, ringstorm};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

const ENGINES: [&str; 2] = ["ring", "tokio"];

/// A server that answers every request for a path with what `answers` has for it, and notes the
/// heads; each answer is the last one of its connection.
struct Answering {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Answering {
    fn start(answers: impl Fn(&str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&heads);
        thread::spawn(move || {
            for mut peer in listener.incoming().map_while(Result::ok) {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && matches!(peer.read(&mut byte), Ok(1)) {
                    head.push(byte[0]);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                let _ = peer.write_all(answers(&path).as_bytes());
                noted
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(head);
            }
        });
        Self { address, heads }
    }

    fn heads(&self) -> Vec<String> {
        let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *heads)
    }
}

fn moved(status: u16, location: &str) -> String {
    format!("HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
}

fn load(engine: &str, urls: &[&str], more: &[&str]) -> Ran {
    let common = [
        "-c", "4", "-d", "500ms", "--cores", "0", "--json", "--quiet",
    ];
    ringstorm(&[&["load"], urls, &["--engine", engine], &common[..], more].concat())
}

fn record(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}{}", ran.out, ran.err))
}

/// RFC 9110, 15.4: 301, 302, 303, 307 and 308 lead a GET on; what is meant for one server does not
/// go to another.
#[test]
fn each_client_follows_redirects_to_servers_that_are_known() {
    let server = Serving::start(&["--cores", "0", "--chunk-ms", "20"]);
    let end = format!("http://{}/events", server.address);
    for engine in ENGINES {
        for status in [301, 302, 303, 307, 308] {
            let to = end.clone();
            let front = Answering::start(move |path| match path {
                "/a/b?x" => moved(status, "../c"),
                _ => moved(status, &to),
            });
            let first = format!("http://{}/a/b?x", front.address);
            let resolve = format!("{}:127.0.0.1", server.address);
            let known = ["--follow", "--resolve", &resolve, "--bearer", "secret"];
            let ran = load(engine, &[&first], &known);
            assert!(
                matches!(ran.code, 0 | 98),
                "{engine} {status}: {}{}",
                ran.out,
                ran.err
            );
            let record = record(&ran);
            assert_eq!(record["connects"]["up"], 4, "{engine} {status}");
            let received = record["events"]["received"].as_u64();
            assert!(received > Some(20), "{engine} {status}: {received:?}");
            let heads = front.heads();
            assert_eq!(heads.len(), 8, "{engine} {status}: {heads:?}");
            for path in ["/a/b?x", "/c"] {
                let begin = format!("GET {path} HTTP/1.1\r\n");
                let asked = heads.iter().filter(|head| {
                    head.starts_with(&begin) && head.contains("Authorization: Bearer secret\r\n")
                });
                assert_eq!(asked.count(), 4, "{path}: {heads:?}");
            }
        }
    }
}

/// A client that was led to another server posts there, without what is meant for the first.
#[test]
fn members_of_rooms_post_to_the_server_they_were_led_to() {
    let server = Serving::start(&["--cores", "0", "--room-size", "2"]);
    let to = format!("http://{}/rooms", server.address);
    let front = Answering::start(move |_| moved(307, &to));
    let first = format!("http://{}/rooms", front.address);
    let resolve = format!("{}:127.0.0.1", server.address);
    let rooms = ["--scenario", "rooms", "--follow", "--resolve", &resolve];
    for engine in ENGINES {
        let ran = load(engine, &[&first], &rooms);
        assert!(
            matches!(ran.code, 0 | 98),
            "{engine}: {}{}",
            ran.out,
            ran.err
        );
        let record = record(&ran);
        assert_eq!(record["connects"]["up"], 4, "{engine}: {}", ran.out);
        let replied = record["messages"]["replied"].as_u64();
        assert!(replied > Some(4), "{engine}: {}", ran.out);
        assert_eq!(record["messages"]["lost"], 0, "{engine}: {}", ran.out);
        let heads = front.heads();
        assert_eq!(heads.len(), 4, "{engine}: {heads:?}");
        assert!(
            heads.iter().all(|head| head.starts_with("GET ")),
            "{heads:?}"
        );
    }
}

#[test]
fn what_is_secret_is_for_the_server_of_the_url_only() {
    let stream = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: x\n\n";
    let other = Answering::start(move |_| stream.to_owned());
    let to = format!("http://{}/x", other.address);
    let front = Answering::start(move |_| moved(307, &to));
    let first = format!("http://{}/", front.address);
    let resolve = format!("{}:127.0.0.1", other.address);
    let secrets = [
        "--bearer",
        "secret",
        "--cookie",
        "s=1",
        "-H",
        "Host: z",
        "-H",
        "X-Room: 7",
    ];
    let known = ["--follow", "--resolve", &resolve];
    load("ring", &[&first], &[&known[..], &secrets].concat());
    let heads = other.heads();
    assert!(!heads.is_empty());
    for head in heads {
        assert!(head.contains("X-Room: 7\r\n"), "{head}");
        assert!(
            head.contains(&format!("Host: {}\r\n", other.address)),
            "{head}"
        );
        assert!(
            !head.contains("Authorization") && !head.contains("Cookie"),
            "{head}"
        );
    }
}

#[test]
fn a_redirect_that_is_not_followed_is_a_failure_that_says_why() {
    for (location, follows, why) in [
        ("/x", false, "Location: /x"),
        ("/x", true, "one redirect too many"),
        ("https://127.0.0.1/x", true, "another scheme"),
        (
            "http://elsewhere.invalid/x",
            true,
            "--resolve HOST:PORT:ADDR",
        ),
    ] {
        let front = Answering::start(move |_| moved(302, location));
        let url = format!("http://{}/", front.address);
        let more: &[&str] = if follows { &["--follow"] } else { &[] };
        for engine in ENGINES {
            let ran = load(engine, &[&url], more);
            assert_eq!(ran.code, 99, "{engine} {location}: {}{}", ran.out, ran.err);
            let failure = &record(&ran)["failures"][0];
            assert_eq!(failure["kind"], "http_302", "{engine}: {}", ran.out);
            assert_eq!(failure["count"], 4, "{engine}: {}", ran.out);
            let said = failure["said"].as_str().unwrap_or_default();
            assert!(said.contains(why), "{engine} {location}: {said:?}");
            let asked = if location == "/x" && follows {
                4 * 21
            } else {
                4
            };
            assert_eq!(front.heads().len(), asked, "{engine} {location}");
        }
    }
    let refused = load("ring", &["ws://127.0.0.1:9/"], &["--follow"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(refused.err.contains("no redirects"), "{}", refused.err);
}
