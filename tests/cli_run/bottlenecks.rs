//! The capacity of servers with one thing planted that stops them: found, and its cause named.

use super::program::{Serving, ringstorm};
use ringstorm::report::CapacityRecord;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server of `model_server.py`, killed when dropped.
struct Model(Child, u16);

impl Model {
    fn start(kind: &str) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
        let port = free.expect("a free port").port();
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli_run/model_server.py");
        let child = Command::new("python3")
            .args([file, &port.to_string(), kind])
            .stdin(Stdio::null())
            .spawn();
        let model = Self(child.expect("python3 is there"), port);
        let by = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < by, "{kind}: it does not listen after 20 s");
            std::thread::sleep(Duration::from_millis(20));
        }
        model
    }

    /// The capacity in connections, within an objective.
    fn capacity(&self, slo: &str) -> CapacityRecord {
        let url = format!("http://127.0.0.1:{}/events", self.1);
        let pid = self.0.id().to_string();
        let ran = ringstorm(&[
            "capacity",
            &url,
            "--slo",
            slo,
            "--server-pid",
            &pid,
            "--start",
            "10",
            "--max",
            "3000",
            "--step",
            "1s",
            "--soak",
            "2s",
            "--load-engine",
            "tokio",
            "--json",
            "--quiet",
            "--",
            "--connect-timeout",
            "2s",
        ]);
        let found = serde_json::from_str(&ran.out);
        found.unwrap_or_else(|error| panic!("{error}: {}{}", ran.out, ran.err))
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_server_without_descriptors_is_found_and_named() {
    let model = Model::start("descriptors");
    let found = model.capacity("connects.failed==0");
    // Of its 100 descriptors it needs five or six itself.
    let held = found.held.expect("something held");
    assert!((80.0..=96.0).contains(&held), "{}", found.text());
    assert_eq!(
        found.bottleneck.as_deref(),
        Some("descriptors"),
        "{}",
        found.text()
    );
    let memory = found.memory.expect("its memory is read");
    assert!(memory.base_bytes > 1e6, "{memory:?}");
}

#[test]
fn a_server_without_cpu_is_found_and_named() {
    let model = Model::start("cpu");
    let found = model.capacity("one_way.p99<100ms");
    let broke = found.broke.expect("something broke");
    // An event of 1 ms every 50 ms: no core of any speed carries more than 50 of them.
    assert!(broke <= 58.0 && found.held < Some(54.0), "{}", found.text());
    // On a machine that others use, a queue may have filled while they had the CPU: it says so.
    let named = found.bottleneck.as_deref();
    let seen = found
        .causes
        .iter()
        .any(|it| it.starts_with("other programs of the host"));
    assert!(
        named == Some("the server's CPU") || seen,
        "{}",
        found.text()
    );
}

#[test]
fn a_short_backlog_is_found_and_named() {
    let model = Model::start("accept");
    let found = model.capacity("connect.p99<800ms");
    assert_eq!(
        found.bottleneck.as_deref(),
        Some("the accept queue"),
        "{}",
        found.text()
    );
    // 40 accepts a second: 800 ms are enough for 32, and nine wait in the backlog.
    assert!(found.held < Some(50.0), "{}", found.text());
}

#[test]
fn the_end_of_the_search_is_no_ceiling_and_a_dead_server_no_capacity() {
    let server = Serving::start(&["--cores", "0"]);
    let url = format!("ws://{}/echo", server.address);
    let flags = [
        "capacity",
        &url,
        "--slo",
        "response.p99<5s",
        "--start",
        "100",
        "--max",
        "200",
    ];
    let short = ["--step", "500ms", "--soak", "500ms", "--quiet", "-c", "4"];
    let ran = ringstorm(&[&flags[..], &short].concat());
    assert!(matches!(ran.code, 0 | 98), "{}{}", ran.out, ran.err);
    if ran.code == 0 {
        assert!(
            ran.out
                .contains("capacity     >= 200 messages a second: the search ends there")
        );
        assert!(
            ran.out.contains("140 messages a second, a server"),
            "{}",
            ran.out
        );
    }
    assert_eq!(server.stop().0, 0);
    let ran = ringstorm(&[&flags[..], &short].concat());
    assert_eq!(ran.code, 99, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("capacity     none"), "{}", ran.out);
}

#[test]
fn what_cannot_be_searched_says_why() {
    let url = "ws://127.0.0.1:9/echo";
    let cases: [(&[&str], &str); 5] = [
        (&[url], "--slo"),
        (&[url, "--slo", "fast"], "write metric"),
        (
            &[url, "--slo", "response.p99<1s", "--step", "1m"],
            "5s at most",
        ),
        (
            &[
                "http://127.0.0.1:9/events",
                "--slo",
                "one_way.p99<1s",
                "--axis",
                "rate",
            ],
            "connections",
        ),
        (
            &[
                url,
                "--slo",
                "response.p99<1s",
                "--server-pid",
                "2147483647",
            ],
            "--server-pid",
        ),
    ];
    for (flags, why) in cases {
        let ran = ringstorm(&[&["capacity"], flags].concat());
        assert_eq!(ran.code, 2, "{flags:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(why), "{flags:?}: {}", ran.err);
    }
}
