//! Opens connections as `socket.io-client` does with default options: polls, then a WebSocket.

use crate::hello::{hear, masked};
use crate::peer::{UPGRADE, connect, head};
use std::io::{self, Read, Write};
use std::net::TcpStream;

/// Sessions that are opened beside each other, step by step.
const BESIDE: usize = 64;

/// A session on its way: the connection of its requests, its name, its WebSocket.
struct Session {
    requests: TcpStream,
    sid: String,
    socket: Option<TcpStream>,
}

/// Opens so many sessions, each in the namespace `/` and on its WebSocket.
pub(crate) fn open(port: u16, path: &str, count: usize) -> io::Result<Vec<TcpStream>> {
    let mut open = Vec::with_capacity(count);
    while open.len() < count {
        let beside = BESIDE.min(count - open.len());
        let mut sessions = (0..beside)
            .map(|_| begin(port, path))
            .collect::<io::Result<Vec<_>>>()?;
        // One step of all, then the next: no server waits for the driver with a session's poll.
        for step in [opened, joins, joined, waits, probes, probed, moves] {
            for session in &mut sessions {
                step(port, path, session)?;
            }
        }
        open.extend(sessions.into_iter().filter_map(|session| session.socket));
    }
    Ok(open)
}

fn begin(port: u16, path: &str) -> io::Result<Session> {
    let mut requests = connect(port)?;
    let target = format!("GET {path}?EIO=4&transport=polling");
    write!(requests, "{target} HTTP/1.1\r\nHost: a\r\n\r\n")?;
    let (sid, socket) = (String::new(), None);
    Ok(Session {
        requests,
        sid,
        socket,
    })
}

fn opened(_port: u16, _path: &str, session: &mut Session) -> io::Result<()> {
    let told = answer(&mut session.requests)?;
    let sid = told
        .split_once("\"sid\":\"")
        .and_then(|(_, rest)| rest.split_once('"'));
    let (sid, _) = sid.ok_or_else(|| io::Error::other(format!("no session in {told}")))?;
    session.sid = sid.to_owned();
    Ok(())
}

fn joins(_port: u16, path: &str, session: &mut Session) -> io::Result<()> {
    let Session { requests, sid, .. } = session;
    let target = format!("POST {path}?EIO=4&transport=polling&sid={sid}");
    let fields = "Host: a\r\nContent-Type: text/plain;charset=UTF-8\r\nContent-Length: 2";
    write!(requests, "{target} HTTP/1.1\r\n{fields}\r\n\r\n40")
}

fn joined(_port: u16, path: &str, session: &mut Session) -> io::Result<()> {
    expect(&answer(&mut session.requests)?, "ok")?;
    poll(path, session)?;
    // Some servers ping first.
    let told = answer(&mut session.requests)?;
    let at = told.find("40{").unwrap_or_default();
    expect(&told[at..], "40{")
}

/// A poll waits while the WebSocket is probed.
fn waits(_port: u16, path: &str, session: &mut Session) -> io::Result<()> {
    poll(path, session)
}

fn probes(port: u16, path: &str, session: &mut Session) -> io::Result<()> {
    let mut socket = connect(port)?;
    let target = format!("GET {path}?EIO=4&transport=websocket&sid={}", session.sid);
    write!(socket, "{target} HTTP/1.1\r\nHost: a\r\n{UPGRADE}\r\n")?;
    expect(&head(&mut socket)?, "HTTP/1.1 101 ")?;
    socket.write_all(&masked("2probe"))?;
    session.socket = Some(socket);
    Ok(())
}

fn probed(_port: u16, _path: &str, session: &mut Session) -> io::Result<()> {
    let socket = session.socket.as_mut().expect("it has probed one");
    expect(&hear(socket)?, "3probe")?;
    // The poll ends: with nothing, or with a ping.
    answer(&mut session.requests).map(drop)
}

fn moves(_port: u16, _path: &str, session: &mut Session) -> io::Result<()> {
    let socket = session.socket.as_mut().expect("it has probed one");
    socket.write_all(&masked("5"))
}

fn poll(path: &str, session: &mut Session) -> io::Result<()> {
    let Session { requests, sid, .. } = session;
    let target = format!("GET {path}?EIO=4&transport=polling&sid={sid}");
    write!(requests, "{target} HTTP/1.1\r\nHost: a\r\n\r\n")
}

fn expect(told: &str, begins: &str) -> io::Result<()> {
    match told.starts_with(begins) {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "expected {begins}, the server says {told}"
        ))),
    }
}

/// The content of an answer.
fn answer(stream: &mut TcpStream) -> io::Result<String> {
    let head = head(stream)?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length
            .then(|| value.trim().parse::<usize>().ok())
            .flatten()
    });
    let length = length.ok_or_else(|| io::Error::other(format!("no length in {head}")))?;
    let mut content = vec![0; length];
    stream.read_exact(&mut content)?;
    Ok(String::from_utf8_lossy(&content).into_owned())
}
