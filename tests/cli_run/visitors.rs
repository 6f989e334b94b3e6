//! `init`: what it writes runs at once, and its visitors count each other.

use super::ENGINES;
use super::program::{Serving, ringstorm};
use std::net::TcpStream;
use std::time::Duration;
use tungstenite::{Message, WebSocket};

/// Says what the page says.
fn visit(address: &str) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(address).expect("what must not fail");
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("what must not fail");
    let url = format!("ws://{address}/connection/websocket");
    let (mut socket, _) = tungstenite::client(url, stream).expect("what must not fail");
    let commands = [
        r#"{"id":1,"connect":{}}"#,
        r#"{"id":2,"subscribe":{"channel":"visitors"}}"#,
        r#"{"id":3,"presence_stats":{"channel":"visitors"}}"#,
    ];
    socket
        .send(Message::text(commands.join("\n")))
        .expect("what must not fail");
    socket
}

/// Reads until that is told.
fn hears(socket: &mut WebSocket<TcpStream>, text: &str) {
    loop {
        let message = socket.read().expect("what must not fail");
        if message
            .to_text()
            .expect("what must not fail")
            .contains(text)
        {
            return;
        }
    }
}

#[test]
fn what_init_writes_runs_at_once_and_its_visitors_count_each_other() {
    let folder = std::env::temp_dir().join(format!("ringstorm-visitors-{}", std::process::id()));
    let ran = ringstorm(&["init", folder.to_str().expect("what must not fail")]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let line = ran
        .out
        .lines()
        .find_map(|line| line.strip_prefix("now:  ringstorm "));
    let flags: Vec<&str> = line
        .expect("what must not fail")
        .split_whitespace()
        .collect();
    assert_eq!(flags[..2], ["serve", "--config"]);
    let page = std::fs::read_to_string(folder.join("index.html")).expect("what must not fail");
    assert!(
        page.contains("\"ws://127.0.0.1:9000/connection/websocket\""),
        "the default port"
    );
    for engine in ENGINES.iter().filter(|engine| **engine != "baseline") {
        // The command line wins over the file, which has the port of the page.
        let more = ["--engine", engine, "--cores", "0"];
        let server = Serving::start(&[&flags[1..], &more[..]].concat());
        let mut first = visit(&server.address);
        hears(&mut first, "\"num_clients\":1");
        let mut second = visit(&server.address);
        hears(&mut second, "\"num_clients\":2");
        hears(&mut first, "\"join\"");
        let publish = r#"{"id":9,"publish":{"channel":"visitors","data":1}}"#;
        second
            .send(Message::text(publish))
            .expect("what must not fail");
        hears(&mut second, "\"code\":103");
        drop(second);
        hears(&mut first, "\"leave\"");
    }
    std::fs::remove_dir_all(folder).expect("what must not fail");
}
