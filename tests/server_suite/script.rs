//! What the clients of a test do, as a list: a harness with sockets and one with a simulated
//! network can both carry it out.

use ringstorm::protocol::websocket::{Opcode, frame};
use std::time::Duration;

/// Looks at the bytes a peer received and has not used: how many of them it takes once it is
/// satisfied, `None` while it wants more. It panics at what must not come.
pub(crate) type Look = Box<dyn FnMut(&[u8]) -> Option<usize> + Send>;

/// One thing that one client does.
pub(crate) enum Act {
    /// Sends bytes; connects first if this client has not.
    Send(Vec<u8>),
    /// Sends bytes that follow from what has been received.
    Make(Box<dyn FnMut() -> Vec<u8> + Send>),
    /// Receives until satisfied.
    Read { what: String, look: Look },
    /// Receives until the server ends the stream, and expects nothing more before that.
    Ended,
    /// Sends bytes over and over without reading, until the server takes no more; then reads and
    /// sends the rest, and expects as many replies.
    Pump { bytes: Vec<u8>, reply: Vec<u8> },
    /// Asks on a connection of its own until the body satisfies.
    Poll {
        path: &'static str,
        wanted: Box<dyn FnMut(&str) -> bool + Send>,
    },
    /// Ends the client's half of the connection; it still reads. On sockets only.
    HalfClose,
    /// All clients up to `peers` read, slowly but steadily, while the first `talkers` of them send
    /// the bytes so many times without waiting; until each has got as many frames as were sent.
    /// On sockets only.
    Flood {
        peers: usize,
        talkers: usize,
        bytes: Vec<u8>,
        times: usize,
    },
    /// Sends all but the last byte of these, then ends the client's half, with TLS as if somebody
    /// had cut the line. On sockets only.
    Cut(Vec<u8>),
    /// Some clients send these bytes over and over and read nothing, until the server takes no more
    /// of anybody's. On plain sockets only.
    Overwhelm { talkers: Vec<usize>, bytes: Vec<u8> },
    /// Is gone, whatever is left to read. On sockets only.
    Leave,
    /// Takes a new key for TLS and asks for one. On sockets only.
    RenewKeys,
    /// Sends a record of TLS that does not decrypt. On sockets only.
    Forge,
    /// Reads so many bytes a second from now on. On sockets only.
    Pace(u32),
    /// Does nothing for a while.
    Wait(Duration),
    /// Tells the server to stop.
    Stop,
}

/// What clients do, in order, each act by the client with that number.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) acts: Vec<(usize, Act)>,
}

impl Script {
    pub(crate) fn send(&mut self, peer: usize, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.act(peer, Act::Send(bytes.as_ref().to_vec()))
    }

    /// Expects exactly these bytes next.
    pub(crate) fn expect(&mut self, peer: usize, wanted: impl AsRef<[u8]>) -> &mut Self {
        let wanted = wanted.as_ref().to_vec();
        let what = String::from_utf8_lossy(&wanted[..wanted.len().min(80)]).into_owned();
        self.read(peer, &what, move |bytes| {
            let len = bytes.len().min(wanted.len());
            if bytes[..len] != wanted[..len] {
                let came = String::from_utf8_lossy(&bytes[..len.min(200)]);
                panic!(
                    "{came:?} came instead of {:?}",
                    String::from_utf8_lossy(&wanted)
                );
            }
            (len == wanted.len()).then_some(len)
        })
    }

    pub(crate) fn read(
        &mut self,
        peer: usize,
        what: &str,
        look: impl FnMut(&[u8]) -> Option<usize> + Send + 'static,
    ) -> &mut Self {
        let what = what.to_owned();
        self.act(
            peer,
            Act::Read {
                what,
                look: Box::new(look),
            },
        )
    }

    /// Expects a response with that status and a length; `check` sees head and body.
    pub(crate) fn response(
        &mut self,
        peer: usize,
        status: u16,
        mut check: impl FnMut(&str, &str) + Send + 'static,
    ) -> &mut Self {
        self.read(peer, &format!("a response with {status}"), move |bytes| {
            let (head, body) = split_head(bytes)?;
            let mut lines = head.lines();
            let line = lines.next().expect("a status line");
            assert!(line.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            let length = lines.find_map(|line| line.strip_prefix("Content-Length: "));
            let length = length.map_or(0, |length| length.parse().expect("a number"));
            let body = body.get(..length)?;
            check(head, std::str::from_utf8(body).expect("UTF-8"));
            Some(head.len() + length)
        })
    }

    /// Asks and expects that status.
    pub(crate) fn ask(&mut self, peer: usize, request: &str, status: u16) -> &mut Self {
        self.send(peer, request).response(peer, status, |_, _| {})
    }

    /// Opens a WebSocket.
    pub(crate) fn upgrade(&mut self, peer: usize, path: &str) -> &mut Self {
        self.send(peer, upgrade(path))
            .response(peer, 101, |head, _| {
                // RFC 6455, 1.3: the answer to this key.
                assert!(
                    head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
                    "{head}"
                );
            })
    }

    /// Expects a close frame with that code, whatever its reason.
    pub(crate) fn closes(&mut self, peer: usize, code: u16) -> &mut Self {
        self.read(peer, &format!("a close frame with {code}"), move |bytes| {
            let len = 2 + usize::from(*bytes.get(1)?);
            let frame = bytes.get(..len)?;
            assert_eq!(frame[0], 0x88, "a close frame: {frame:?}");
            assert_eq!(u16::from_be_bytes([frame[2], frame[3]]), code, "{frame:?}");
            Some(len)
        })
    }

    /// Expects what was queued for an event stream, and behind it when to come back.
    pub(crate) fn told_to_return(&mut self, peer: usize) -> &mut Self {
        self.read(peer, "when to come back", |bytes| {
            let text = std::str::from_utf8(bytes).expect("UTF-8");
            let digits = text.strip_suffix("\n\n")?.rsplit("retry: ").next()?;
            let ms: u64 = digits.parse().ok()?;
            assert!((3000..6000).contains(&ms), "{ms}");
            Some(bytes.len())
        })
    }

    pub(crate) fn ended(&mut self, peer: usize) -> &mut Self {
        self.act(peer, Act::Ended)
    }

    pub(crate) fn half_close(&mut self, peer: usize) -> &mut Self {
        self.act(peer, Act::HalfClose)
    }

    pub(crate) fn wait(&mut self, ms: u64) -> &mut Self {
        self.act(0, Act::Wait(Duration::from_millis(ms)))
    }

    pub(crate) fn stop(&mut self) -> &mut Self {
        self.act(0, Act::Stop)
    }

    /// Asks `/stats` until it satisfies.
    pub(crate) fn stats(
        &mut self,
        mut wanted: impl FnMut(&serde_json::Value) -> bool + Send + 'static,
    ) -> &mut Self {
        let wanted = Box::new(move |body: &str| {
            let json = serde_json::from_str(body).expect("JSON");
            wanted(&json)
        });
        self.act(
            0,
            Act::Poll {
                path: "/stats",
                wanted,
            },
        )
    }

    pub(crate) fn act(&mut self, peer: usize, act: Act) -> &mut Self {
        self.acts.push((peer, act));
        self
    }
}

/// A head with its empty line, and what follows, once the head is there.
fn split_head(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let (head, rest) = bytes.split_at(end);
    Some((std::str::from_utf8(head).expect("ASCII"), rest))
}

pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

pub(crate) fn upgrade(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// A frame as a client sends it.
pub(crate) fn masked(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode(&mut bytes, opcode, payload, Some([0x37, 0xfa, 0x21, 0x3d]));
    bytes
}

/// A frame as a server sends it.
pub(crate) fn plain(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode(&mut bytes, opcode, payload, None);
    bytes
}

/// The same frame with another first byte: flags and opcode.
pub(crate) fn first(byte: u8, mut frame: Vec<u8>) -> Vec<u8> {
    frame[0] = byte;
    frame
}
