//! `serve --http-backend`: requests that no route takes, passed on to an application that does as
//! it is told.

use super::program::{Serving, ringstorm};
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

const ENGINES: [&str; 2] = ["ring", "tokio"];
const PATIENCE: Duration = Duration::from_secs(20);

/// An application: each of its connections is handed over.
struct Application {
    origin: String,
    connections: Receiver<TcpStream>,
}

/// One of them.
struct Served {
    stream: BufReader<TcpStream>,
}

impl Application {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let origin = format!("http://{}", listener.local_addr().expect("an address"));
        let (hand, connections): (Sender<TcpStream>, _) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if hand.send(stream).is_err() {
                    return;
                }
            }
        });
        Self {
            origin,
            connections,
        }
    }

    fn serve(&self, engine: &str, flags: &[&str]) -> Serving {
        let own = [
            "--http-backend",
            &self.origin,
            "--engine",
            engine,
            "--cores",
            "0",
        ];
        Serving::start(&[&own[..], flags].concat())
    }

    fn next(&self) -> Served {
        let stream = self
            .connections
            .recv_timeout(PATIENCE)
            .expect("it is asked");
        stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        Served {
            stream: BufReader::new(stream),
        }
    }
}

impl Served {
    /// The head of the request that comes next, its lines in lower case but for the first.
    fn head(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            let read = self.stream.read_line(&mut line).expect("a line");
            let line = line.trim_end().to_owned();
            if line.is_empty() || read == 0 {
                return lines;
            }
            let is_first = lines.is_empty();
            lines.push(if is_first {
                line
            } else {
                line.to_ascii_lowercase()
            });
        }
    }

    fn body(&mut self, bytes: usize) -> Vec<u8> {
        let mut body = vec![0; bytes];
        self.stream.read_exact(&mut body).expect("a body");
        body
    }

    fn say(&mut self, text: &str) {
        self.stream
            .get_mut()
            .write_all(text.as_bytes())
            .expect("it reads");
    }
}

fn ask(server: &Serving, text: &str) -> TcpStream {
    let mut peer = TcpStream::connect(&server.address).expect("it listens");
    peer.set_read_timeout(Some(PATIENCE)).expect("an option");
    peer.write_all(text.as_bytes()).expect("it reads");
    peer
}

/// Reads until what came ends so; all of it.
fn until(peer: &mut TcpStream, end: &str) -> String {
    let mut all = Vec::new();
    let mut byte = [0];
    while !all.ends_with(end.as_bytes()) {
        match peer.read(&mut byte).expect("it answers") {
            0 => panic!("ended after {:?}", String::from_utf8_lossy(&all)),
            _ => all.push(byte[0]),
        }
    }
    String::from_utf8(all).expect("UTF-8")
}

fn rest(peer: &mut TcpStream) -> String {
    let mut text = String::new();
    let _ = peer.read_to_string(&mut text);
    text
}

#[test]
fn a_response_comes_as_it_is_made_and_the_connection_goes_on() {
    for engine in ENGINES {
        let application = Application::start();
        let server = application.serve(engine, &[]);
        let head = "GET /page?a=b HTTP/1.1\r\nHost: a.test\r\nX-Mine: 1\r\nConnection: x-mine\r\n\
                    X-Forwarded-For: 9.9.9.9\r\nX-Ringstorm-Session: forged\r\n\r\n";
        let mut peer = ask(&server, head);
        let mut served = application.next();
        let head = served.head();
        assert_eq!(head[0], "GET /page?a=b HTTP/1.1");
        for wanted in [
            "host: a.test",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-proto: http",
            "forwarded: for=127.0.0.1;proto=http",
        ] {
            assert!(head.iter().any(|line| line == wanted), "{wanted}: {head:?}");
        }
        let forged = |line: &String| line.contains("forged") || line.starts_with("x-mine");
        assert!(!head.iter().any(forged), "{head:?}");

        served.say(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Theirs: 2\r\n\r\n5\r\nfirst\r\n",
        );
        // Before the response has ended.
        let came = until(&mut peer, "first\r\n");
        assert!(came.starts_with("HTTP/1.1 200 OK\r\n"), "{came}");
        for wanted in [
            "x-theirs: 2",
            "Transfer-Encoding: chunked",
            "Connection: keep-alive",
        ] {
            assert!(came.contains(wanted), "{wanted}: {came}");
        }
        served.say("6\r\nsecond\r\n0\r\n\r\n");
        assert_eq!(until(&mut peer, "0\r\n\r\n"), "6\r\nsecond\r\n0\r\n\r\n");

        // The same connections, on either side, and a route of the server between.
        peer.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            .expect("it reads");
        assert!(until(&mut peer, "ok\n").contains("200"));
        peer.write_all(b"HEAD /b HTTP/1.1\r\nHost: a\r\n\r\n")
            .expect("it reads");
        assert_eq!(served.head()[0], "HEAD /b HTTP/1.1");
        served.say("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n");
        assert!(until(&mut peer, "\r\n\r\n").contains("Content-Length: 7\r\n"));
        peer.write_all(b"DELETE /c HTTP/1.1\r\nHost: a\r\n\r\n")
            .expect("it reads");
        assert_eq!(served.head()[0], "DELETE /c HTTP/1.1");
        served.say("HTTP/1.1 204 No Content\r\n\r\n");
        let came = until(&mut peer, "\r\n\r\n");
        assert!(
            came.starts_with("HTTP/1.1 204 ") && !came.contains("Length"),
            "{came}"
        );
        peer.write_all(b"GET /d HTTP/1.0\r\n\r\n")
            .expect("it reads");
        served.head();
        served.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nend\r\n0\r\n\r\n");
        let came = rest(&mut peer);
        assert!(
            came.ends_with("\r\n\r\nend") && came.contains("close"),
            "{came}"
        );
    }
}

#[test]
fn a_body_goes_on_as_it_comes_and_no_faster_than_it_is_taken() {
    const PIECE: usize = 1 << 16;
    const PIECES: usize = 640;
    for engine in ENGINES {
        let application = Application::start();
        let server = application.serve(engine, &[]);
        let length = PIECE * PIECES;
        let head = format!(
            "PUT /file HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        let mut peer = ask(&server, &head);
        assert_eq!(
            until(&mut peer, "\r\n\r\n"),
            "HTTP/1.1 100 Continue\r\n\r\n"
        );
        let mut sender = peer.try_clone().expect("a descriptor");
        let sent = std::thread::spawn(move || {
            (0..PIECES).for_each(|at| {
                let piece = vec![u8::try_from(at % 251).expect("a byte"); PIECE];
                sender.write_all(&piece).expect("it is taken");
            });
        });
        let mut served = application.next();
        let head = served.head();
        assert!(
            head.contains(&format!("content-length: {length}")),
            "{head:?}"
        );
        assert!(
            !head.iter().any(|line| line.starts_with("expect")),
            "{head:?}"
        );
        // While nothing is taken the server holds little of it: the kernel's buffers are full.
        std::thread::sleep(Duration::from_millis(300));
        let held = server.stats()["total"]["held_bytes"]
            .as_u64()
            .expect("a number");
        assert!(held < 2 << 20, "{held}");
        assert!(!sent.is_finished(), "all of it was taken");
        for at in 0..PIECES {
            let piece = served.body(PIECE);
            let is_it = |byte: &u8| usize::from(*byte) == at % 251;
            assert!(piece.iter().all(is_it), "{at}");
        }
        sent.join().expect("all is sent");
        served.say("HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\ndone");
        assert!(until(&mut peer, "done").starts_with("HTTP/1.1 201 Created"));

        // A chunked one, whose length is not known before.
        let chunked = "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                       3\r\nabc\r\n";
        peer.write_all(chunked.as_bytes()).expect("it reads");
        let head = served.head();
        assert!(
            head.contains(&"transfer-encoding: chunked".to_owned()),
            "{head:?}"
        );
        assert_eq!(served.body(8), b"3\r\nabc\r\n");
        peer.write_all(b"0\r\n\r\n").expect("it reads");
        assert_eq!(served.body(5), b"0\r\n\r\n");
        served.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        assert!(until(&mut peer, "\r\n\r\n").contains("Content-Length: 0"));
    }
}

#[test]
fn a_client_that_reads_slowly_gets_all_and_one_that_leaves_ends_it() {
    const BYTES: usize = 24 << 20;
    for engine in ENGINES {
        let application = Application::start();
        let server = application.serve(engine, &[]);
        let mut peer = ask(&server, "GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut served = application.next();
        served.head();
        let sent = std::thread::spawn(move || {
            served.say(&format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n"
            ));
            served.say(&"x".repeat(BYTES));
            served
        });
        std::thread::sleep(Duration::from_millis(300));
        assert!(!sent.is_finished(), "it was taken before it was read");
        until(&mut peer, "\r\n\r\n");
        let mut body = vec![0; BYTES];
        peer.read_exact(&mut body).expect("all of it");
        assert!(body.iter().all(|byte| *byte == b'x'));
        drop(sent.join().expect("all is sent"));

        let peer = ask(&server, "GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut served = application.next();
        served.head();
        let peer = socket2::Socket::from(peer);
        peer.set_linger(Some(Duration::ZERO)).expect("an option");
        drop(peer);
        // It is let go, so that it need not go on.
        let mut end = [0];
        assert_eq!(served.stream.read(&mut end).expect("an end"), 0);
    }
}

#[test]
fn an_application_that_is_gone_or_silent_or_breaks_off_is_told_apart() {
    for engine in ENGINES {
        let application = Application::start();
        let server = application.serve(engine, &["--http-backend-timeout", "500ms"]);
        let mut peer = ask(&server, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut silent = application.next();
        silent.head();
        let came = until(&mut peer, "too long\n");
        assert!(came.starts_with("HTTP/1.1 504 "), "{came}");
        // The connection goes on.
        peer.write_all(b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n")
            .expect("it reads");
        let mut served = application.next();
        served.head();
        served.say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        until(&mut peer, "half");
        drop(served);
        // What has begun cannot be taken back: the client is not to take it for whole.
        assert!(peer.read(&mut [0]).is_err(), "{engine}");

        let mut peer = ask(&server, "GET /c HTTP/1.1\r\nHost: a\r\n\r\n");
        application.next().say("this is no HTTP\r\n\r\n");
        assert!(until(&mut peer, "reached\n").starts_with("HTTP/1.1 502 "));
        assert_eq!(server.stop().0, 0);
    }
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let gone = format!("http://{}", nobody.local_addr().expect("an address"));
    drop(nobody);
    let server = Serving::start(&["--http-backend", &gone, "--cores", "0"]);
    let mut peer = ask(&server, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(until(&mut peer, "reached\n").starts_with("HTTP/1.1 502 "));
    // A WebSocket is for the server's own routes.
    let upgrade = "GET /chat-of-mine HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\
                   Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut peer = ask(&server, upgrade);
    assert!(until(&mut peer, "\r\n\r\n").starts_with("HTTP/1.1 404 "));
}

#[test]
fn what_cannot_be_passed_on_to_is_refused_at_the_start() {
    for (flags, said) in [
        (&["--http-backend", "http://a/path"][..], "without a path"),
        (
            &["--http-backend", "http://a", "--http-backend-timeout", "0s"],
            "try: 30s",
        ),
        (&["--backend-secret", "env:HOME"], "--http-backend URL"),
        (
            &["--http-backend", "http://a", "--engine", "baseline"],
            "baseline",
        ),
    ] {
        let ran = ringstorm(&[&["serve", "--listen", "127.0.0.1:0"], flags].concat());
        assert!(
            ran.code == 2 && ran.err.contains(said),
            "{said}: {}",
            ran.err
        );
    }
}

#[test]
fn fields_behind_a_response_go_to_who_takes_them() {
    for engine in ENGINES {
        for (te, end) in [
            ("TE: trailers\r\n", "5\r\nwhole\r\n0\r\nx-sum: 7\r\n\r\n"),
            ("", "5\r\nwhole\r\n0\r\n\r\n"),
        ] {
            let application = Application::start();
            let server = application.serve(engine, &[]);
            let head = format!("GET /sum HTTP/1.1\r\nHost: a\r\n{te}\r\n");
            let mut peer = ask(&server, &head);
            let mut served = application.next();
            let head = served.head();
            assert_eq!(head.iter().any(|it| it == "te: trailers"), !te.is_empty());
            served.say(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\n\
                 whole\r\n0\r\nX-Sum: 7\r\nSet-Cookie: a=b\r\nContent-Length: 9\r\n\r\n",
            );
            let came = until(&mut peer, "\r\n\r\n") + &until(&mut peer, "\r\n\r\n");
            assert!(came.ends_with(end), "{came}");
            drop(served);
        }
    }
}

#[test]
fn files_and_their_folders_are_not_passed_on() {
    let folder = std::env::temp_dir().join(format!("ringstorm-passing-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("sub")).expect("a folder");
    std::fs::write(folder.join("sub/index.html"), "an index").expect("written");
    let path = folder.to_str().expect("UTF-8");
    for engine in ENGINES {
        let application = Application::start();
        let server = application.serve(engine, &["--public", path]);
        for (asked, begins, has) in [
            ("/sub", "HTTP/1.1 301 ", "Location: /sub/\r\n"),
            ("/sub?a=b", "HTTP/1.1 301 ", "Location: /sub/?a=b\r\n"),
            ("/sub/", "HTTP/1.1 200 ", "an index"),
        ] {
            let head = format!("GET {asked} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            let came = rest(&mut ask(&server, &head));
            assert!(
                came.starts_with(begins) && came.contains(has),
                "{asked}: {came}"
            );
        }
    }
    let _ = std::fs::remove_dir_all(&folder);
}
