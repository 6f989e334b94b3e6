//! Keys of a configuration change what the server does, each as its line of
//! docs/configuration.md says.

use super::program::Serving;
use jsonwebtoken::{EncodingKey, Header, encode};
use ring::hmac;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message, WebSocket};

const PATIENCE: Duration = Duration::from_secs(20);
const SECRET: &str = "a secret of more than sixteen bytes";

/// A server of these lines; gone with it.
struct Configured {
    server: Serving,
    folder: PathBuf,
}

impl Configured {
    fn with(name: &str, lines: &str) -> Self {
        let folder = format!("ringstorm-key-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        fs::create_dir_all(folder.join("public")).expect("a folder");
        fs::write(folder.join("public/page.txt"), "a page").expect("written");
        fs::write(folder.join("secret"), SECRET).expect("written");
        let file = folder.join("ringstorm.toml");
        let common = "cores = 0\nengine = \"tokio\"\n";
        fs::write(&file, format!("{common}{lines}\n")).expect("written");
        let file = file.to_str().expect("UTF-8").to_owned();
        let server = Serving::start(&["--config", &file]);
        Self { server, folder }
    }

    fn peer(&self) -> TcpStream {
        let peer = TcpStream::connect(&self.server.address).expect("it listens");
        peer.set_read_timeout(Some(PATIENCE)).expect("an option");
        peer
    }

    fn socket(&self, path: &str) -> WebSocket<TcpStream> {
        let url = format!("ws://{}{path}", self.server.address);
        let (socket, _) = tungstenite::client(url, self.peer()).expect("an upgrade");
        socket
    }

    /// The whole answer to a request with these fields, which ends the connection.
    fn got(&self, path: &str, fields: &str) -> String {
        let mut peer = self.peer();
        let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n");
        peer.write_all(head.as_bytes()).expect("it reads");
        let mut answer = String::new();
        peer.read_to_string(&mut answer).expect("it answers");
        answer
    }

    /// The first line of the answer, while the rest goes on.
    fn status(&self, path: &str) -> String {
        let mut peer = self.peer();
        let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        peer.write_all(head.as_bytes()).expect("it reads");
        let mut line = [0; 12];
        peer.read_exact(&mut line).expect("it answers");
        String::from_utf8_lossy(&line).into_owned()
    }
}

impl Drop for Configured {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The code with which a WebSocket is closed.
fn closed(socket: &mut WebSocket<TcpStream>) -> CloseCode {
    loop {
        match socket.read() {
            Ok(Message::Close(Some(frame))) => return frame.code,
            Ok(Message::Close(None)) => panic!("closed without a code"),
            Ok(_) => {}
            Err(error) => panic!("not closed: {error}"),
        }
    }
}

/// One frame of a client, unmasked by a mask of zeros (RFC 6455, 5.2).
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short one");
    [&[first, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

#[test]
fn who_sends_more_than_it_may_is_closed() {
    for (name, line) in [
        ("messages", "message-rate = 5"),
        ("bytes", "byte-rate = \"1k\""),
    ] {
        let server = Configured::with(name, line);
        let mut socket = server.socket("/echo");
        let text = "x".repeat(200);
        for _ in 0..8 {
            // It may be closed already.
            let _ = socket.send(Message::text(text.clone()));
        }
        assert_eq!(closed(&mut socket), CloseCode::Policy, "{name}");
    }
}

#[test]
fn who_says_nothing_or_not_all_of_it_is_closed_in_time() {
    let server = Configured::with("first", "first-message-timeout = \"300ms\"");
    assert_eq!(closed(&mut server.socket("/echo")), CloseCode::Policy);

    let server = Configured::with("head", "header-timeout = \"300ms\"");
    let mut peer = server.peer();
    peer.write_all(b"GET / HTTP/1.1\r\nHost").expect("it reads");
    let mut answer = String::new();
    peer.read_to_string(&mut answer).expect("it answers");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");

    let server = Configured::with("message", "message-timeout = \"300ms\"");
    let mut socket = server.socket("/echo");
    let begun = frame(0x01, b"begun");
    socket.get_mut().write_all(&begun).expect("it reads");
    assert_eq!(closed(&mut socket), CloseCode::Policy);

    let server = Configured::with("lifetime", "max-lifetime = \"300ms\"");
    assert_eq!(closed(&mut server.socket("/echo")), CloseCode::Away);
}

#[test]
fn a_message_has_no_more_fragments_than_it_may() {
    let server = Configured::with("fragments", "max-fragments = 2");
    let mut socket = server.socket("/echo");
    let two = [frame(0x01, b"a"), frame(0x80, b"b")].concat();
    socket.get_mut().write_all(&two).expect("it reads");
    assert_eq!(socket.read().expect("an echo"), Message::text("ab"));
    let three = [frame(0x01, b"a"), frame(0x00, b"b"), frame(0x80, b"c")].concat();
    socket.get_mut().write_all(&three).expect("it reads");
    assert_eq!(closed(&mut socket), CloseCode::Size);
}

#[test]
fn a_trusted_proxy_says_for_whom_it_asks_and_nobody_else_does() {
    let limits = "max-connections-per-address = 1\ncount-loopback = true\n";
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (name, line, second) in [
        ("trusted", "trusted-proxy = \"127.0.0.1\"", "HTTP/1.1 101"),
        ("stranger", "trusted-proxy = \"10.0.0.1\"", "HTTP/1.1 429"),
    ] {
        let server = Configured::with(name, &format!("{limits}{line}"));
        let come = |client: &str| {
            let mut peer = server.peer();
            let head = format!(
                "GET /echo HTTP/1.1\r\nHost: a\r\n{upgrade}X-Forwarded-For: {client}\r\n\r\n"
            );
            peer.write_all(head.as_bytes()).expect("it reads");
            let mut line = [0; 12];
            peer.read_exact(&mut line).expect("it answers");
            (String::from_utf8_lossy(&line).into_owned(), peer)
        };
        let (first, _stays) = come("192.0.2.1");
        assert_eq!(first, "HTTP/1.1 101", "{name}");
        let (other, _stays_too) = come("192.0.2.2");
        assert_eq!(other, second, "{name}");
        assert_eq!(come("192.0.2.1").0, "HTTP/1.1 429", "{name}");
    }
}

#[test]
fn files_are_kept_by_browsers_for_as_long_as_it_says() {
    let server = Configured::with("age", "public = \"public\"\npublic-max-age = \"1h\"");
    let answer = server.got("/page.txt", "");
    assert!(answer.contains("max-age=3600"), "{answer}");
    let server = Configured::with("ageless", "public = \"public\"");
    let answer = server.got("/page.txt", "");
    assert!(answer.contains("no-cache"), "{answer}");
}

#[test]
fn tokens_are_for_that_audience_and_by_that_issuer() {
    let token = |claims: &Value| {
        let key = EncodingKey::from_secret(SECRET.as_bytes()).expect("a key");
        encode(&Header::default(), claims, &key).expect("a token")
    };
    let secret = "token-hmac-secret = \"file:secret\"\n";
    for (name, line, good, bad) in [
        (
            "audience",
            "token-audience = \"us\"",
            json!({"aud": "us"}),
            json!({"aud": "them"}),
        ),
        (
            "issuer",
            "token-issuer = \"us\"",
            json!({"iss": "us"}),
            json!({"iss": "them"}),
        ),
    ] {
        let server = Configured::with(name, &format!("{secret}{line}"));
        for (claims, status) in [(good, "200"), (bad, "401"), (json!({}), "401")] {
            let path = format!("/channels?topic=a&token={}", token(&claims));
            assert_eq!(
                server.status(&path),
                format!("HTTP/1.1 {status}"),
                "{name}: {claims}"
            );
        }
    }
}

#[test]
fn streams_are_signed_with_the_secret_that_it_names() {
    let lines = "token-hmac-secret = \"file:secret\"\nstream-secret = \"file:secret\"";
    let server = Configured::with("streams", lines);
    for (secret, answer) in [
        (SECRET, "confirm_subscription"),
        ("other", "reject_subscription"),
    ] {
        // "news", as base64 of its JSON.
        let data = "Im5ld3Mi";
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let tag = hmac::sign(&key, data.as_bytes());
        let digest: String = tag.as_ref().iter().map(|it| format!("{it:02x}")).collect();
        let identifier = json!({
            "channel": "$pubsub", "signed_stream_name": format!("{data}--{digest}")
        });
        let command = json!({"command": "subscribe", "identifier": identifier.to_string()});
        let mut socket = server.socket("/cable");
        socket
            .send(Message::text(command.to_string()))
            .expect("it reads");
        let by = Instant::now() + PATIENCE;
        loop {
            let said = socket.read().expect("it answers").to_string();
            if said.contains(answer) {
                break;
            }
            assert!(
                !said.contains("_subscription") && Instant::now() < by,
                "{said}"
            );
        }
    }
}

#[test]
fn logs_are_put_aside_by_their_size_and_their_age() {
    for (name, line) in [("size", "logs-size = 100"), ("old", "logs-age = \"200ms\"")] {
        let server = Configured::with(name, &format!("logs = \"logs\"\n{line}"));
        let by = Instant::now() + PATIENCE;
        let count = || {
            let all = fs::read_dir(server.folder.join("logs")).expect("a folder");
            let named = all
                .filter_map(Result::ok)
                .filter(|file| file.file_name().to_string_lossy().starts_with("chat-logs"));
            named.count()
        };
        while count() < 2 {
            assert!(Instant::now() < by, "{name}: nothing was put aside");
            drop((server.socket("/chat"), server.socket("/chat")));
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// What a client of channels is answered that connects; `None` if nothing comes for a while.
fn connect(socket: &mut WebSocket<TcpStream>, patience: Duration) -> Option<String> {
    let command = r#"{"id":1,"connect":{}}"#;
    socket.send(Message::text(command)).expect("it reads");
    let patience = Some(patience);
    socket
        .get_mut()
        .set_read_timeout(patience)
        .expect("an option");
    match socket.read() {
        Ok(said) => Some(said.to_string()),
        Err(Error::Io(_)) => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn the_application_is_asked_what_it_says_and_so_much_at_once() {
    let gone = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = gone.local_addr().expect("an address");
    drop(gone);
    let lines = format!("backend = \"http://{address}/\"\ndev = true\n");
    let asked = Configured::with("all-hooks", &lines);
    let said = connect(&mut asked.socket("/connection/websocket"), PATIENCE);
    assert!(
        said.is_some_and(|it| it.contains("error")),
        "nobody answers"
    );
    let lines = format!("{lines}backend-hook = \"call\"");
    let server = Configured::with("one-hook", &lines);
    let said = connect(&mut server.socket("/connection/websocket"), PATIENCE);
    assert!(
        said.is_some_and(|it| it.contains("client")),
        "it is not asked"
    );

    let application = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = application.local_addr().expect("an address");
    let lines = format!("backend = \"http://{address}/\"\ndev = true\nbackend-timeout = \"20s\"\n");
    let server = Configured::with("at-once", &format!("{lines}backend-concurrency = 1"));
    let mut first = server.socket("/connection/websocket");
    assert_eq!(connect(&mut first, Duration::from_millis(200)), None);
    let mut second = server.socket("/connection/websocket");
    assert_eq!(connect(&mut second, Duration::from_millis(200)), None);
    let (mut asked, _) = application.accept().expect("it is asked");
    application.set_nonblocking(true).expect("an option");
    assert!(application.accept().is_err(), "it is asked twice at once");
    // Once the first is answered the second is asked, on the same connection or another.
    let mut head = [0; 4096];
    assert!(asked.read(&mut head).expect("a question") > 0);
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{\"allow\":true}";
    asked.write_all(answer.as_bytes()).expect("it reads");
    first
        .get_mut()
        .set_read_timeout(Some(PATIENCE))
        .expect("an option");
    assert!(
        first
            .read()
            .expect("an answer")
            .to_string()
            .contains("client")
    );
    asked.set_nonblocking(true).expect("an option");
    let by = Instant::now() + PATIENCE;
    while application.accept().is_err() && !asked.read(&mut head).is_ok_and(|read| read > 0) {
        assert!(Instant::now() < by, "the second is never asked");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until the process stands still.
fn stands(server: &Serving) {
    let file = format!("/proc/{}/stat", server.pid());
    let by = Instant::now() + PATIENCE;
    while !fs::read_to_string(&file).is_ok_and(|stat| stat.contains(") T ")) {
        assert!(Instant::now() < by, "it goes on");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn receive_buffers_are_as_many_and_as_long_as_it_says() {
    // What 32 connections send while nobody receives, 1 KiB each, lies in 32 buffers of 4 KiB, and
    // in 128 of 256 bytes and more.
    for (flags, is_starved) in [
        (&["--receive-buffers", "64"][..], false),
        (&["--receive-buffers", "16"], true),
        (&["--receive-buffers", "64", "--receive-bytes", "256"], true),
    ] {
        let common = ["--cores", "0", "--engine", "ring"];
        let server = Serving::start(&[&common[..], flags].concat());
        let open = |_| {
            let peer = TcpStream::connect(&server.address).expect("it listens");
            peer.set_read_timeout(Some(PATIENCE)).expect("an option");
            let url = format!("ws://{}/echo", server.address);
            tungstenite::client(url, peer).expect("an upgrade").0
        };
        let mut sockets: Vec<_> = (0..32).map(open).collect();
        server.wait_for_open(32);
        server.signal(Signal::STOP);
        stands(&server);
        let text = "x".repeat(1024);
        for socket in &mut sockets {
            socket.send(Message::text(&*text)).expect("there is room");
        }
        server.signal(Signal::CONT);
        for socket in &mut sockets {
            assert_eq!(socket.read().expect("an echo").into_data().len(), 1024);
        }
        let starved = server.stats()["total"]["starved"].as_u64();
        let starved = starved.expect("a figure");
        assert_eq!(starved > 0, is_starved, "{flags:?}: {starved}");
    }
}

#[test]
fn what_peers_make_a_core_hold_is_bounded_by_what_it_says() {
    for (name, line, is_ended) in [
        ("memory", "max-memory = \"1M\"", true),
        ("much-memory", "max-memory = \"8M\"", false),
    ] {
        let server = Configured::with(name, line);
        let mut sockets = [(); 2].map(|()| server.socket("/echo"));
        // A text of 900,000 bytes (RFC 6455, 5.2), of which 700,000 come: two are more than 1 MiB.
        let begin = [&[0x81, 0xff][..], &900_000u64.to_be_bytes(), &[0; 4]].concat();
        for socket in &mut sockets {
            socket.get_mut().write_all(&begin).expect("it reads");
            let part = vec![b'x'; 700_000];
            socket.get_mut().write_all(&part).expect("it reads");
        }
        let ended = || server.server.stats()["total"]["decided"]["memory"].as_u64();
        let by = Instant::now() + PATIENCE;
        while is_ended && ended() == Some(0) {
            assert!(Instant::now() < by, "nobody is ended");
            std::thread::sleep(Duration::from_millis(20));
        }
        if !is_ended {
            // They are looked at every second.
            std::thread::sleep(Duration::from_millis(1500));
            for socket in &mut sockets {
                let part = vec![b'x'; 200_000];
                socket.get_mut().write_all(&part).expect("it reads");
                assert_eq!(socket.read().expect("an echo").into_data().len(), 900_000);
            }
            assert_eq!(ended(), Some(0));
        }
    }
}

#[test]
fn connections_are_closed_over_so_long_as_it_says() {
    let server = Configured::with("spread", "drain-spread = \"2s\"");
    let mut sockets: Vec<_> = (0..10).map(|_| server.socket("/echo")).collect();
    server.server.wait_for_open(10);
    let asked = Instant::now();
    server.server.signal(Signal::TERM);
    for socket in &mut sockets {
        assert_eq!(closed(socket), CloseCode::Away);
    }
    // At once without it; however slow the host, not sooner with it.
    assert!(
        asked.elapsed() > Duration::from_secs(1),
        "{:?}",
        asked.elapsed()
    );
}
