//! Where a server listens beside addresses: paths, and sockets that were handed over.

use super::program::{Ran, Running, Serving, ringstorm};
use super::surviving::child;
use rustix::process::{Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tungstenite::Message;

const ENGINES: [&str; 2] = ["ring", "tokio"];
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder of its own, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = format!("ringstorm-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("UTF-8").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn unix(path: &str) -> UnixStream {
    let peer = UnixStream::connect(path).expect("it listens");
    peer.set_read_timeout(Some(PATIENCE)).expect("an option");
    peer
}

/// The body of what it answers to a GET.
fn got(mut peer: impl Read + Write, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    peer.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    peer.read_to_string(&mut answer).expect("it answers");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    body.to_owned()
}

/// Has a message come back over that connection, and a large one.
fn echo(peer: impl Read + Write) {
    let (mut socket, _) = tungstenite::client("ws://a/echo", peer).expect("an upgrade");
    for text in ["hello".to_owned(), "x".repeat(300_000)] {
        socket.send(Message::text(text.clone())).expect("it reads");
        let said = socket.read().expect("it answers");
        assert!(said == Message::text(text), "{} bytes", said.len());
    }
    socket.close(None).expect("it reads");
    while socket.read().is_ok() {}
}

#[test]
fn a_path_is_listened_at_with_its_permissions_and_is_gone_at_the_end() {
    let folder = Folder::new("paths");
    let (first, second) = (folder.path("first"), folder.path("second"));
    for engine in ENGINES {
        // What a server left that was killed.
        drop(UnixListener::bind(&first).expect("a socket"));
        let (one, other) = (format!("unix:{first}"), format!("unix:{second}"));
        let flags = ["--listen", &one, "--listen", &other, "--engine", engine];
        let more = ["--listen-mode", "600", "--admin-listen"];
        let admin = format!("unix:{}", folder.path("admin"));
        let server = Serving::start(&[&flags[..], &more, &[&admin]].concat());
        for shown in [&one, &other, &admin] {
            assert!(server.line.contains(shown), "{}", server.line);
        }
        for path in [&first, &second] {
            let mode = fs::metadata(path).expect("a file").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            echo(unix(path));
            assert_eq!(got(unix(path), "/healthz").trim(), "ok");
        }
        echo(TcpStream::connect(&server.address).expect("it listens"));
        let stats = got(unix(&folder.path("admin")), "/stats");
        let stats: Value = serde_json::from_str(&stats).expect("JSON");
        assert_eq!(stats["total"]["messages_in"], 6, "{stats}");
        // The admin's listener has nothing else.
        assert!(!got(unix(&folder.path("admin")), "/chat/").contains("<html"));

        let Ran { code, err, .. } = ringstorm(&["serve", "--listen", &one, "--engine", engine]);
        assert!(code != 0 && err.contains("ss -lxp"), "{code}, {err}");
        echo(unix(&first));

        assert_eq!(server.stop().0, 0);
        for path in [&first, &second, &folder.path("admin")] {
            assert!(!Path::new(path).exists(), "{path} is left by {engine}");
        }
    }
}

#[test]
fn whoever_comes_at_a_path_is_of_this_host() {
    let folder = Folder::new("local");
    let path = folder.path("s");
    let at = format!("unix:{path}");
    let limits = ["--max-connections-per-address", "1", "--count-loopback"];
    for engine in ENGINES {
        let flags = ["--listen", &at, "--engine", engine, "--cores", "0"];
        let server = Serving::start(&[&flags[..], &limits].concat());
        let kept = unix(&path);
        let (_kept, _) = tungstenite::client("ws://a/echo", kept).expect("an upgrade");
        let mut second = unix(&path);
        let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        second.write_all(request).expect("it reads");
        let mut answer = String::new();
        second.read_to_string(&mut answer).expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 429"), "{engine}: {answer}");
        drop(server);
    }
}

/// A server that was handed that socket over, and others in its `flags`.
pub(super) fn handed(socket: OwnedFd, flags: &[&str]) -> Running {
    let script = "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$@\"";
    let mut command = Command::new("bash");
    command.args(["-c", script, "bash", env!("CARGO_BIN_EXE_ringstorm")]);
    command.args(["serve", "--drain", "1s"]).args(flags);
    let child = command
        .stdin(Stdio::from(socket))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    Running::of(child.expect("bash is there"))
}

#[test]
fn sockets_that_were_handed_over_are_served_before_and_after_a_crash() {
    for engine in ENGINES {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = socket.local_addr().expect("an address");
        // Who comes early waits for the server.
        let early = TcpStream::connect(address).expect("it listens");
        let copy = socket.try_clone().expect("a descriptor");
        let flags = ["--listen", "systemd", "--engine", engine, "--supervise"];
        let server = handed(copy.into(), &flags);
        echo(early);
        let first = child(&server.pid()).expect("a server");
        kill_process(first, Signal::KILL).expect("it is there");
        // Nobody is refused meanwhile: the socket listens on.
        let by = Instant::now() + PATIENCE;
        while child(&server.pid()).is_none_or(|it| it == first) {
            TcpStream::connect(address).expect("it listens");
            std::thread::sleep(Duration::from_millis(5));
            assert!(Instant::now() < by, "not started again");
        }
        echo(TcpStream::connect(address).expect("it listens"));
        let ran = server.interrupt();
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(ran.out.contains(&address.to_string()), "{}", ran.out);
    }
}

#[test]
fn a_socket_at_a_path_is_handed_over_too() {
    let folder = Folder::new("handed");
    let path = folder.path("s");
    for engine in ENGINES {
        let _ = fs::remove_file(&path);
        let socket = UnixListener::bind(&path).expect("a socket");
        let flags = ["--listen", "systemd", "--engine", engine];
        let server = handed(socket.into(), &flags);
        echo(unix(&path));
        let ran = server.interrupt();
        assert_eq!(ran.code, 0, "{}", ran.err);
        // It is not the server's to take away.
        assert!(Path::new(&path).exists());
    }
}

#[test]
fn what_was_not_handed_over_or_cannot_be_served_is_told() {
    let ran = ringstorm(&["serve", "--listen", "systemd"]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.err.contains("systemd-socket-activate"), "{}", ran.err);

    let socket = || TcpListener::bind("127.0.0.1:0").expect("a free port");
    let ran = handed(socket().into(), &["--listen", "127.0.0.1:0"]).end();
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.err.contains("try: --listen systemd"), "{}", ran.err);

    let file = fs::File::open("/dev/null").expect("a file");
    let ran = handed(file.into(), &["--listen", "systemd"]).end();
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.err.contains("descriptor 3"), "{}", ran.err);

    let ran = ringstorm(&["serve", "--listen", "unix:/tmp/s", "--engine", "baseline"]);
    assert!(ran.code == 2 && ran.err.contains("baseline"), "{}", ran.err);
}
