//! Configuration as used: a file, variables and flags; what is wrong with one; SIGHUP.

use super::capacity::ask;
use super::program::{Serving, ringstorm, ringstorm_within};
use rustix::process::Signal;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A file with that text in a folder of its own.
fn file(name: &str, text: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("ringstorm-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("ringstorm.toml");
    std::fs::write(&path, text).expect("written");
    path
}

fn remove(path: &std::path::Path) {
    let folder = path.parent().expect("a folder");
    std::fs::remove_dir_all(folder).expect("removed");
}

#[test]
fn a_flag_wins_over_a_variable_a_variable_over_the_file_the_file_over_the_default() {
    let path = file(
        "precedence",
        "room-size = 7\nmax-message = \"2k\"\ndrain = \"1s\"\n",
    );
    let shown = path.display().to_string();
    let variables = [("RINGSTORM_CONFIG", &*shown), ("RINGSTORM_ROOM_SIZE", "9")];
    let ran = ringstorm_within(&variables, &["config", "print"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    for line in [
        "room-size = 9  # RINGSTORM_ROOM_SIZE",
        "max-message = \"2k\"  # file",
        "drain = \"1s\"  # file",
        "chunk-ms = 1000  # default",
    ] {
        assert!(ran.out.lines().any(|it| it == line), "{line}\n{}", ran.out);
    }
    // What is typed wins over both: it has room for that, and says so where it does not.
    let typed = ["serve", "--max-backlog", "1k", "--listen", "127.0.0.1:0"];
    let ran = ringstorm_within(&variables, &typed);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(
        ran.err.contains("1024 bytes") && ran.err.contains("2048"),
        "{}",
        ran.err
    );
    remove(&path);
}

#[test]
fn a_file_is_fine_or_its_mistake_has_a_place() {
    let path = file(
        "check",
        "cores = 0\n[[rule]]\non = \"handshake\"\naction = \"allow\"\n",
    );
    let shown = path.display().to_string();
    let ran = ringstorm(&["config", "check", &shown]);
    assert_eq!((ran.code, &*ran.err), (0, ""), "{}", ran.out);
    assert!(
        ran.out.ends_with(": fine, 1 key and 1 rule\n"),
        "{}",
        ran.out
    );
    std::fs::write(&path, "cores = 0\nmax-mesage = 1\n").expect("written");
    for command in [
        &["config", "check", &shown][..],
        &["serve", "--config", &shown],
    ] {
        let ran = ringstorm(command);
        assert_eq!(ran.code, 2, "{}", ran.err);
        let place = format!("{shown}:2:1: `max-mesage` is no key");
        assert!(ran.err.contains(&place), "{}", ran.err);
        assert!(ran.err.contains("`max-message` meant"), "{}", ran.err);
    }
    let schema = ringstorm(&["config", "schema"]);
    let schema: serde_json::Value = serde_json::from_str(&schema.out).expect("JSON");
    assert_eq!(schema["properties"]["room-size"]["default"], "6");
    remove(&path);
}

#[test]
fn sighup_takes_rules_and_origins_anew_and_names_what_it_cannot() {
    let rule = |action: &str| {
        format!("[[rule]]\non = \"request\"\npath = \"/closed\"\naction = \"{action}\"\n")
    };
    let before = format!("cores = 0\nengine = \"tokio\"\n{}", rule("deny"));
    let path = file("reload", &before);
    let flags = ["--config", &path.display().to_string()];
    let server = Serving::start(&flags);
    let status = |asked: &str| {
        let (mut peer, head) = ask(&server.address, asked);
        let _ = peer.read(&mut [0; 512]);
        head.split(' ').nth(1).expect("a status").to_owned()
    };
    assert_eq!(status("/closed"), "403");
    let text = format!("cores = 0\nroom-size = 3\n{}", rule("allow"));
    std::fs::write(&path, text).expect("written");
    server.signal(Signal::HUP);
    let by = Instant::now() + Duration::from_secs(20);
    while status("/closed") != "404" {
        assert!(Instant::now() < by, "the rule is another");
        std::thread::sleep(Duration::from_millis(5));
    }
    // A bad file keeps what was there.
    std::fs::write(&path, "cores = 0\nnonsense = 1\n").expect("written");
    server.signal(Signal::HUP);
    assert_eq!(status("/closed"), "404");
    let (code, said) = server.stop_and_read();
    assert_eq!(code, 0, "{said}");
    for part in [
        "nothing is changed, the server goes on as before: --config:",
        ":2:1: `nonsense` is no key",
        "read anew, the server goes on; a restart is needed for: engine, room-size",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    remove(&path);
}

#[test]
fn an_address_has_so_many_connections_on_every_engine_and_health_is_told_all_the_same() {
    for engine in ["ring", "tokio"] {
        for listen in ["127.0.0.1:0", "[::]:0"] {
            let flags = ["--max-connections-per-address", "2", "--count-loopback"];
            let more = ["--engine", engine, "--cores", "0"];
            let server = Serving::start_at(listen, &[&flags[..], &more].concat());
            // All of IPv6 takes IPv4 too, whose addresses are counted as such.
            let address = server.address.replace("[::]", "127.0.0.1");
            let (_first, head) = ask(&address, "/events");
            assert!(head.starts_with("HTTP/1.1 200 "), "{engine}: {head}");
            let (second, _) = ask(&address, "/events");
            for (path, status) in [("/events", 429), ("/healthz", 200), ("/echo", 429)] {
                let (_, head) = ask(&address, path);
                let begins = format!("HTTP/1.1 {status} ");
                assert!(head.starts_with(&begins), "{engine}, {path}: {head}");
            }
            drop(second);
            let by = Instant::now() + Duration::from_secs(20);
            while !ask(&address, "/events").1.starts_with("HTTP/1.1 200 ") {
                assert!(Instant::now() < by, "{engine}: the place is the next one's");
                std::thread::sleep(Duration::from_millis(5));
            }
            let (code, said) = server.stop_and_read();
            assert_eq!(code, 0, "{said}");
        }
    }
}

#[test]
fn a_proxy_introduces_its_clients_and_who_is_none_does_not() {
    for engine in ["ring", "tokio"] {
        let serve = |proxy: &str| {
            let flags = [
                "--engine",
                engine,
                "--cores",
                "0",
                "--proxy-protocol",
                proxy,
            ];
            Serving::start(&[&flags[..], &["--max-connections-per-address", "1"]].concat())
        };
        let said = |address: &str, begin: &[u8]| {
            let mut peer = TcpStream::connect(address).expect("the server accepts");
            let request = b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n";
            // In two pieces, the header in one of them or in both.
            let bytes = [begin, request].concat();
            let (one, two) = bytes.split_at(begin.len() / 2);
            for piece in [one, two] {
                peer.write_all(piece).expect("the server reads");
            }
            let mut head = [0; 12];
            let _ = peer.read_exact(&mut head);
            (peer, String::from_utf8_lossy(&head).into_owned())
        };
        let server = serve("127.0.0.0/8");
        let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\x01\x01\x01\x01\0\x50\0\x51";
        let (_ann, head) = said(&server.address, b"PROXY TCP4 192.0.2.1 1.1.1.1 1 2\r\n");
        assert_eq!(head, "HTTP/1.1 200", "{engine}");
        assert_eq!(said(&server.address, v2).1, "HTTP/1.1 429", "{engine}");
        let (_bob, head) = said(&server.address, b"PROXY TCP4 192.0.2.2 1.1.1.1 1 2\r\n");
        assert_eq!(head, "HTTP/1.1 200", "{engine}");
        // Reset, without a word.
        assert_eq!(said(&server.address, b"").1, "\0".repeat(12), "{engine}");
        drop(server);
        let server = serve("192.0.2.0/24");
        let (_, head) = said(&server.address, b"PROXY TCP4 192.0.2.1 1.1.1.1 1 2\r\n");
        assert_eq!(head, "HTTP/1.1 400", "{engine}");
    }
}
