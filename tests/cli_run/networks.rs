//! Networks: what a run tells of its own sockets, and networks that go away in the middle of it.

use super::program::{Ran, Running, Serving, ringstorm};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::net::TcpListener;
use std::os::fd::AsFd as _;
use std::process::Command;
use std::time::{Duration, Instant};

const ENGINES: [&str; 2] = ["ring", "tokio"];

fn record(ran: &Ran) -> serde_json::Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}{}", ran.out, ran.err))
}

#[test]
fn a_run_looks_at_its_own_sockets_and_at_no_other_clients() {
    let server = Serving::start(&["--cores", "0"]);
    let url = format!("ws://{}/echo", server.address);
    let other = Running::start(&["load", &url, "-c", "7", "-r", "70", "-d", "30s", "--quiet"]);
    server.wait_for_open(7);
    for engine in ENGINES {
        let flags = ["load", &url, "--engine", engine, "-c", "5", "-r", "100"];
        let ran = ringstorm(&[&flags[..], &["-d", "1s", "--json", "--quiet"]].concat());
        let network = &record(&ran)["network"];
        assert_eq!(network["sockets"], 5, "{engine}: {network}");
        assert!(network["data_segments"].as_u64() >= Some(50), "{network}");
        assert!(network["rtt_p50_us"].as_u64() > Some(0), "{network}");
        assert_eq!(network["retransmits"], 0, "{network}");
    }
    drop(other);
}

/// Two network namespaces with a link between them. Deleted when dropped.
pub(super) struct Link {
    pub(super) names: [String; 2],
}

impl Link {
    /// `None`, with a word on stderr, where the host does not permit namespaces.
    #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
    pub(super) fn new(name: &str) -> Option<Self> {
        let pid = std::process::id();
        let names = ["a", "b"].map(|end| format!("ringstorm-{pid}-{name}{end}"));
        for name in &names {
            if let Err(error) = ip(&["netns", "add", name]) {
                eprintln!("skipped: no network namespaces here: {error}");
                return None;
            }
        }
        let link = Self { names };
        let [a, b] = &link.names;
        let veth = [
            "link", "add", "v0", "type", "veth", "peer", "v0", "netns", b,
        ];
        for (name, command, rest) in [
            (a, &veth[..], None),
            (a, &["addr", "add", "10.77.0.1/24", "dev", "v0"], None),
            (b, &["addr", "add", "10.77.0.2/24", "dev", "v0"], None),
            (a, &["link", "set", "v0"], Some("up")),
            (b, &["link", "set", "v0"], Some("up")),
        ] {
            let all: Vec<&str> = ["-n", name].iter().chain(command).copied().collect();
            ip(&[&all[..], rest.as_slice()].concat()).expect("a link between two namespaces");
        }
        Some(link)
    }

    /// A listener within the first namespace, for servers of the test's own.
    pub(super) fn listener(&self, at: &str) -> TcpListener {
        let path = format!("/run/netns/{}", self.names[0]);
        let at = at.to_owned();
        // The thread is moved for good; what it has bound stays where it was bound: setns(2).
        let bound = std::thread::spawn(move || {
            let namespace = File::open(path).expect("ip(8) has put it there");
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(namespace.as_fd(), kind).expect("it may be entered");
            TcpListener::bind(at).expect("an address of the link")
        });
        bound.join().expect("no panic")
    }

    pub(super) fn take_down(&self) {
        ip(&["-n", &self.names[0], "link", "set", "v0", "down"]).expect("the link goes");
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = ip(&["netns", "del", name]);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let ran = Command::new("ip").args(arguments).output();
    let ran = ran.map_err(|error| format!("ip (iproute2): {error}"))?;
    if ran.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&ran.stderr).into_owned())
}

/// Connections of a server that are up, by what the kernel lists of its namespace.
fn established(pid: &str) -> usize {
    let listed = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap_or_default();
    let mut fields = listed.lines().map(|line| line.split_whitespace().nth(3));
    fields.by_ref().filter(|state| *state == Some("01")).count()
}

#[test]
fn a_network_that_goes_away_fails_those_who_ask_who_listen_and_who_talk_in_rooms() {
    let Some(link) = Link::new("n") else {
        return;
    };
    let [at, from] = &link.names;
    let flags = ["--cores", "0", "--chunk-ms", "20", "--room-size", "4"];
    let server = Serving::start_within(at, "10.77.0.1:0", &flags);
    let silent = "4 of 4 connections heard nothing up to the end";
    let cases: [(&str, &[&str], &str); 5] = [
        ("ws|echo", &["-r", "100"], "messages got no reply"),
        ("ws|push", &["--scenario", "listen"], silent),
        ("http|events", &["--scenario", "listen"], silent),
        (
            "ws|rooms",
            &["--scenario", "rooms", "-r", "20"],
            "messages got no reply",
        ),
        (
            "http|rooms",
            &["--scenario", "rooms", "-r", "20"],
            "messages got no reply",
        ),
    ];
    let mut runs = Vec::new();
    for engine in ENGINES {
        for (what, extra, reason) in cases {
            let (scheme, path) = what.split_once('|').expect("both");
            let url = format!("{scheme}://{}/{path}", server.address);
            let common = ["--cores", "0", "-d", "8s", "--grace", "1s", "--quiet"];
            let flags = ["load", &url, "--engine", engine, "-c", "4"];
            let load = Running::start_within(from, &[&flags, &common[..], extra].concat());
            runs.push((format!("{engine}, {what}"), load, reason));
        }
    }
    let by = Instant::now() + Duration::from_secs(30);
    while established(&server.pid()) < 4 * runs.len() {
        assert!(Instant::now() < by, "not all are connected after 30 s");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_secs(2));
    link.take_down();
    for (what, load, reason) in runs {
        let ran = load.end();
        assert_eq!(ran.code, 99, "{what}: {}{}", ran.out, ran.err);
        assert!(ran.out.contains("verdict      FAIL"), "{what}: {}", ran.out);
        assert!(ran.out.contains(reason), "{what}: {}", ran.out);
        if what.ends_with("echo") {
            // Sent again, without an acknowledgement: no server answers that, or does not.
            let blamed = ran.out.contains("the network, not the server");
            assert!(blamed, "{what}: {}", ran.out);
        }
    }
}

#[test]
fn a_capacity_that_the_clients_ports_end_is_a_lower_bound() {
    let name = format!("ringstorm-{}-ports", std::process::id());
    if let Err(error) = ip(&["netns", "add", &name]) {
        eprintln!("skipped: no network namespaces here: {error}");
        return;
    }
    let ports = "echo 40000 40099 > /proc/sys/net/ipv4/ip_local_port_range";
    ip(&["-n", &name, "link", "set", "lo", "up"]).expect("loopback");
    ip(&["netns", "exec", &name, "sh", "-c", ports]).expect("a hundred ports");
    let server = Serving::start_within(&name, "127.0.0.1:9000", &["--cores", "0"]);
    let short = "--axis connections --start 20 --max 2000 --step 500ms --soak 500ms --json --quiet";
    let flags: Vec<&str> = short.split(' ').collect();
    let url = [
        "capacity",
        "ws://127.0.0.1:9000/echo",
        "--slo",
        "connects.failed==0",
    ];
    // Of 127.0.0.0/8 every address has ports of its own.
    let one = ["--", "--source-ip", "127.0.0.1"];
    let ran = Running::start_within(&name, &[&url, &flags[..], &one].concat()).end();
    let found = record(&ran);
    drop(server);
    ip(&["netns", "del", &name]).expect("its own namespace");
    assert_eq!(ran.code, 98, "{}{}", ran.out, ran.err);
    assert_eq!(found["broke_by"], "not_applied", "{found}");
    assert_eq!(found["bottleneck"], "the client's ports", "{found}");
    let held = found["held"].as_f64().expect("something held");
    // Ports of the steps before may still be in TIME_WAIT.
    assert!((1.0..=100.0).contains(&held), "{found}");
}
