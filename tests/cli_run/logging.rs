//! The log of a server as used: lines and objects, who opens, closes and is refused, floods.

use super::capacity::ask;
use super::program::Serving;
use rustix::process::Signal;
use serde_json::Value;
use std::io::Read as _;
use std::time::{Duration, Instant};

/// What is said of the server's figures.
fn lost(server: &Serving) -> u64 {
    server.stats()["total"]["log_lost"].as_u64().expect("a key")
}

#[test]
fn each_line_is_an_object_with_what_is_known_of_the_connection() {
    for engine in ["ring", "tokio"] {
        let flags = ["--engine", engine, "--cores", "0"];
        let log = ["--log-format", "json", "--log-level", "info"];
        let server = Serving::start(&[&flags[..], &log].concat());
        let (mut stream, head) = ask(&server.address, "/events?secret=1");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let _ = stream.read(&mut [0; 64]);
        drop(stream);
        for _ in 0..150 {
            let (_, head) = ask(&server.address, "/nowhere");
            assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
        }
        assert_eq!(lost(&server), 0);
        let (code, said) = server.stop_and_read();
        assert_eq!(code, 0, "{said}");
        let lines = said.lines().map(|line| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
        });
        let lines: Vec<Value> = lines.collect();
        let of = |what: &str| {
            let all = lines.iter().filter(|line| line["message"] == what);
            all.collect::<Vec<_>>()
        };
        let [opened] = of("opened")[..] else {
            panic!("{engine}: {said}");
        };
        let closed = of("closed");
        let closed = closed.first().expect("one at least");
        for line in [opened, closed] {
            assert_eq!(line["level"], "INFO");
            assert_eq!(line["peer"], "127.0.0.1", "{engine}");
            assert_eq!(line["route"], "/events");
            assert_eq!(line["transport"], "sse");
            assert_eq!((&line["core"], &line["connection"]), (&0.into(), &1.into()));
        }
        let cause = closed["cause"].as_str().expect("a word");
        assert!(["peer_ended", "reset"].contains(&cause), "{cause}");
        assert!(closed["duration_ms"].as_f64().expect("a time") > 0.0);
        assert!(closed["received_bytes"].as_u64() > Some(40));
        assert!(closed["sent_bytes"].as_u64() > Some(100));
        // Of one kind a hundred lines a second, and how many more there were.
        let (refused, floods) = (of("refused"), of("flood"));
        assert_eq!(refused[0]["status"], 404);
        assert_eq!(refused[0]["reason"], "no such route; / lists them");
        let more = floods.iter().filter_map(|line| line["more"].as_u64());
        assert_eq!(refused.len() as u64 + more.sum::<u64>(), 150, "{said}");
        let notes = of("note");
        assert!(
            notes.iter().any(|line| {
                let text = line["text"].as_str().unwrap_or_default();
                text.starts_with("room for ")
            }),
            "{said}"
        );
    }
}

#[test]
fn sighup_takes_the_level_anew_and_nothing_is_told_while_it_is_off() {
    let folder = std::env::temp_dir().join(format!("ringstorm-log-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("ringstorm.toml");
    std::fs::write(&path, "cores = 0\nlog-level = \"off\"\n").expect("written");
    let server = Serving::start(&["--config", &path.display().to_string()]);
    ask(&server.address, "/before");
    std::fs::write(&path, "cores = 0\nlog-level = \"warn\"\n").expect("written");
    server.signal(Signal::HUP);
    let by = Instant::now() + Duration::from_secs(1);
    while Instant::now() < by {
        ask(&server.address, "/after");
        std::thread::sleep(Duration::from_millis(50));
    }
    let (code, said) = server.stop_and_read();
    std::fs::remove_dir_all(&folder).expect("removed");
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("changed: log-level"), "{said}");
    assert!(!said.contains("/before"), "{said}");
    let line = said.lines().find(|line| line.contains("/after"));
    let line = line.expect("it is told from then on");
    assert!(line.contains("WARN refused"), "{line}");
    assert!(line.contains("status=404"), "{line}");
}
