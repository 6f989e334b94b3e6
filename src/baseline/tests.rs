//! Tests the baseline from outside: over TCP on loopback, with a client that it does not contain.

use super::*;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::thread::JoinHandle;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

struct Server {
    address: SocketAddr,
    stop: Stop,
    thread: JoinHandle<io::Result<()>>,
}

impl Server {
    fn start(cpus: Vec<usize>) -> Self {
        let stop = Stop::default();
        let listen = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
        let mut config = Config::new(listen, cpus, stop.clone());
        config.chunk = Duration::from_millis(5);
        let server = Baseline::bind(config).unwrap();
        let address = server.addresses()[0];
        Self {
            address,
            stop,
            thread: std::thread::spawn(|| server.run()),
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        stream
    }

    fn websocket(&self, path: &str) -> WebSocket<TcpStream> {
        let url = format!("ws://{}{path}", self.address);
        tungstenite::client(url, self.connect()).unwrap().0
    }

    fn get(&self, path: &str) -> String {
        let mut stream = self.connect();
        let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn stop(self) {
        self.stop.throw();
        self.thread.join().unwrap().unwrap();
    }
}

#[test]
fn a_message_comes_back_with_its_type_on_one_thread_and_on_two() {
    let first = core_affinity::get_core_ids().unwrap()[0].id;
    for cpus in [vec![first], vec![first, first]] {
        let server = Server::start(cpus);
        let mut socket = server.websocket("/echo");
        let sent = [
            Message::text("a"),
            Message::binary(vec![7; 10_000]),
            Message::text("b"),
        ];
        for message in &sent {
            socket.write(message.clone()).unwrap();
        }
        socket.flush().unwrap();
        for message in &sent {
            assert_eq!(socket.read().unwrap(), *message);
        }
        drop(socket);
        server.stop();
    }
}

#[test]
fn a_stopping_server_closes_with_1001_and_ends_event_streams() {
    let server = Server::start(vec![core_affinity::get_core_ids().unwrap()[0].id]);
    let mut sockets = [server.websocket("/echo"), server.websocket("/push")];
    assert!(
        sockets[1]
            .read()
            .unwrap()
            .to_text()
            .unwrap()
            .starts_with(r#"{"seq":"#)
    );
    let mut events = server.connect();
    events
        .write_all(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let mut lines = BufReader::new(events).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), "HTTP/1.1 200 OK");
    assert!(lines.any(|line| line.starts_with(r#"data: {"seq":"#)));
    server.stop.throw();
    for socket in &mut sockets {
        let close = loop {
            if let Message::Close(frame) = socket.read().unwrap() {
                break frame.unwrap();
            }
        };
        assert_eq!(u16::from(close.code), 1001);
        // The answer to the close leaves here; the error says that the handshake is done.
        socket.read().unwrap_err();
    }
    assert_eq!(
        lines.last().unwrap(),
        "",
        "the last chunk of the stream must be there"
    );
    server.stop();
}

#[test]
fn what_is_no_upgrade_gets_its_status() {
    let server = Server::start(vec![core_affinity::get_core_ids().unwrap()[0].id]);
    assert!(server.get("/healthz").starts_with("HTTP/1.1 200 OK"));
    assert!(server.get("/nothing").starts_with("HTTP/1.1 404 "));
    assert!(server.get("/echo").starts_with("HTTP/1.1 426 "));
    let stats = server.get("/stats");
    let body = stats.split("\r\n\r\n").nth(1).unwrap();
    let stats: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(stats["total"]["accepted"], 4);
    assert!(stats["process"]["rss_bytes"].as_u64().unwrap() > 0);
    server.stop();
}

#[test]
fn a_head_in_pieces_is_waited_for() {
    let server = Server::start(vec![core_affinity::get_core_ids().unwrap()[0].id]);
    let mut stream = server.connect();
    for piece in [
        "GET /hea",
        "lthz HTTP/1.1\r\nHost: a\r\nConnection: close\r",
        "\n\r\n",
    ] {
        stream.write_all(piece.as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    server.stop();
}

#[test]
fn a_cpu_that_is_not_there_is_refused_by_its_number() {
    let stop = Stop::default();
    let refused = Baseline::bind(Config::new(Vec::new(), vec![100_000], stop)).unwrap_err();
    assert!(refused.to_string().contains("100000"), "{refused}");
}
