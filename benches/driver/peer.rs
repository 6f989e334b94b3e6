//! Opens connections: TCP, the WebSocket upgrade, the request of an event stream.

use crate::hello::Hello;
use crate::polled;
use clap::ValueEnum;
use socket2::SockRef;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// Connections that have asked and wait for their answer.
const IN_FLIGHT: usize = 64;
/// RFC 6455, 1.3: the fields of an upgrade with the key of its example, and the answer to that.
pub(crate) const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// What a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// Bytes back as they are.
    Tcp,
    /// WebSocket.
    Ws,
    /// Server-Sent Events.
    Sse,
    /// Socket.IO: polls, then a WebSocket.
    Polled,
}

/// Whom to connect to.
pub(crate) struct Target {
    pub(crate) port: u16,
    pub(crate) protocol: Protocol,
    pub(crate) path: String,
    pub(crate) hello: Hello,
}

impl Target {
    /// Opens so many connections and waits until each has its 101 or 200, and the answer to what it
    /// says first.
    pub(crate) fn open(&self, count: usize) -> io::Result<Vec<TcpStream>> {
        if self.protocol == Protocol::Polled {
            return polled::open(self.port, &self.path, count);
        }
        let request = self.request();
        let mut open = Vec::with_capacity(count);
        let mut asked = VecDeque::with_capacity(IN_FLIGHT);
        for _ in 0..count {
            let mut stream = connect(self.port)?;
            stream.write_all(&request)?;
            asked.push_back(stream);
            if asked.len() == IN_FLIGHT {
                let first = asked.pop_front();
                open.extend(
                    first
                        .map(|stream| self.answered(stream, &request))
                        .transpose()?,
                );
            }
        }
        for stream in asked {
            open.push(self.answered(stream, &request)?);
        }
        Ok(open)
    }

    fn request(&self) -> Vec<u8> {
        let Self {
            port,
            protocol,
            path,
            hello,
        } = self;
        let fields = match protocol {
            // Nothing understands it: it comes back as it is.
            Protocol::Tcp | Protocol::Ws | Protocol::Polled => {
                format!("{UPGRADE}{}", hello.field())
            }
            Protocol::Sse => "Accept: text/event-stream\r\n".to_owned(),
        };
        format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{fields}\r\n").into_bytes()
    }

    fn answered(&self, mut stream: TcpStream, request: &[u8]) -> io::Result<TcpStream> {
        let expected = match self.protocol {
            Protocol::Tcp => return echoed(stream, request),
            Protocol::Ws | Protocol::Polled => "HTTP/1.1 101 ",
            Protocol::Sse => "HTTP/1.1 200 ",
        };
        let head = head(&mut stream)?;
        let accepted = self.protocol != Protocol::Ws || head.contains(ACCEPT);
        if !head.starts_with(expected) || !accepted {
            return Err(io::Error::other(format!(
                "expected {expected:?}, the server says {head:?}"
            )));
        }
        self.hello.say(&mut stream)?;
        Ok(stream)
    }
}

/// A connection to that port of this host.
pub(crate) fn connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    // Reset on close: no TIME_WAIT keeps the port from the next run.
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    Ok(stream)
}

/// Takes the request back from a server that echoes.
fn echoed(mut stream: TcpStream, request: &[u8]) -> io::Result<TcpStream> {
    let mut bytes = vec![0; request.len()];
    stream.read_exact(&mut bytes)?;
    if bytes == request {
        Ok(stream)
    } else {
        Err(io::Error::other("the request came back changed"))
    }
}

/// Takes the response's head and leaves what follows it in the socket.
pub(crate) fn head(stream: &mut TcpStream) -> io::Result<String> {
    let mut bytes = [0; 2048];
    loop {
        let seen = stream.peek(&mut bytes)?;
        let end = bytes[..seen].windows(4).position(|end| end == b"\r\n\r\n");
        if let Some(end) = end {
            stream.read_exact(&mut bytes[..end + 4])?;
            return Ok(String::from_utf8_lossy(&bytes[..end]).into_owned());
        }
        if seen == 0 || seen == bytes.len() {
            let text = String::from_utf8_lossy(&bytes[..seen]).into_owned();
            return Err(io::Error::other(format!("no head in {text:?}")));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
