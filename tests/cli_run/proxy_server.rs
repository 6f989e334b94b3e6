//! A proxy of HTTP CONNECT (RFC 9110, 9.3.6) and of SOCKS5 (RFC 1928, RFC 1929) that is there for
//! a test: it makes tunnels, or fails to as it is told.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// What the proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    Connect,
    Socks5,
}

/// What it makes of those who ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// A tunnel for everybody.
    Open,
    /// A tunnel for `ann` with the password `s@e`.
    Login,
    /// These bytes as soon as it was asked, and the end.
    Says(&'static [u8]),
    /// Nothing, ever.
    Silent,
}

/// A proxy that listens. All its tunnels lead to one server, whatever they are asked for: it alone
/// knows that server by those names.
pub(super) struct Proxying {
    pub(super) address: SocketAddr,
    /// What it was asked for: `HOST:PORT`.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxying {
    pub(super) fn start(speaks: Speaks, manner: Manner, server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (noted, server) = (Arc::clone(&asked), server.to_owned());
        thread::spawn(move || {
            for peer in listener.incoming().map_while(Result::ok) {
                let (noted, server) = (Arc::clone(&noted), server.clone());
                // A client that goes in the middle is none of the proxy's business.
                thread::spawn(move || {
                    let _ = serve(peer, speaks, manner, &server, &noted);
                });
            }
        });
        Self { address, asked }
    }

    /// What it was asked for so far, and from now on anew.
    pub(super) fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *asked)
    }
}

fn serve(
    mut peer: TcpStream,
    speaks: Speaks,
    manner: Manner,
    server: &str,
    noted: &Mutex<Vec<String>>,
) -> io::Result<()> {
    match manner {
        Manner::Says(answer) => {
            let _ = peer.read(&mut [0; 4096])?;
            peer.write_all(answer)?;
            // Not a reset: what was said is to be read.
            peer.shutdown(Shutdown::Write)?;
            let _ = peer.read(&mut [0; 4096])?;
            return Ok(());
        }
        Manner::Silent => {
            thread::sleep(Duration::from_secs(20));
            return Ok(());
        }
        Manner::Open | Manner::Login => {}
    }
    let (target, granted) = match speaks {
        Speaks::Connect => connect(&mut peer, manner)?,
        Speaks::Socks5 => socks(&mut peer, manner)?,
    };
    noted
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(target);
    let tunnel = TcpStream::connect(server)?;
    peer.write_all(granted)?;
    let (mut from, mut to) = (peer.try_clone()?, tunnel.try_clone()?);
    let up = thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let (mut from, mut to) = (tunnel, peer);
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
    let _ = up.join();
    Ok(())
}

fn refused<T>(peer: &mut TcpStream, answer: &[u8]) -> io::Result<T> {
    peer.write_all(answer)?;
    peer.shutdown(Shutdown::Write)?;
    let _ = peer.read(&mut [0; 4096])?;
    Err(io::ErrorKind::PermissionDenied.into())
}

fn connect(peer: &mut TcpStream, manner: Manner) -> io::Result<(String, &'static [u8])> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        peer.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut words = head.split(' ');
    let (method, target) = (words.next(), words.next().unwrap_or_default().to_owned());
    // RFC 9112, 3.2.3 and 3.2: the target is host and port, and the Host field is there.
    let is_right = method == Some("CONNECT") && head.contains(&format!("\r\nHost: {target}\r\n"));
    // base64 of ann:s@e
    let knows = head.contains("\r\nProxy-Authorization: Basic YW5uOnNAZQ==\r\n");
    if !is_right {
        return refused(peer, b"HTTP/1.1 400 Bad Request\r\n\r\n");
    }
    if manner == Manner::Login && !knows {
        let answer = b"HTTP/1.1 407 Proxy Authentication Required\r\n\
                       Proxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n";
        return refused(peer, answer);
    }
    Ok((
        target,
        b"HTTP/1.0 200 Connection established\r\nVia: x\r\n\r\n",
    ))
}

fn socks(peer: &mut TcpStream, manner: Manner) -> io::Result<(String, &'static [u8])> {
    let mut two = [0; 2];
    peer.read_exact(&mut two)?;
    let mut methods = vec![0; usize::from(two[1])];
    peer.read_exact(&mut methods)?;
    match manner {
        Manner::Login if methods.contains(&2) => {
            peer.write_all(&[5, 2])?;
            let mut login = [0; 9];
            peer.read_exact(&mut login)?;
            if login != *b"\x01\x03ann\x03s@e" {
                return refused(peer, &[1, 1]);
            }
            peer.write_all(&[1, 0])?;
        }
        Manner::Login => return refused(peer, &[5, 0xff]),
        Manner::Open | Manner::Says(_) | Manner::Silent => peer.write_all(&[5, 0])?,
    }
    let mut head = [0; 5];
    peer.read_exact(&mut head)?;
    let (host, first) = match head {
        [5, 1, 0, 3, len] => (vec![0; usize::from(len)], None),
        [5, 1, 0, 1, first] => (vec![0; 3], Some(first)),
        _ => return refused(peer, &[5, 7, 0, 1]),
    };
    let mut host = host;
    peer.read_exact(&mut host)?;
    peer.read_exact(&mut two)?;
    let host = match first {
        None => String::from_utf8_lossy(&host).into_owned(),
        Some(first) => format!("{first}.{}.{}.{}", host[0], host[1], host[2]),
    };
    let target = format!("{host}:{}", u16::from_be_bytes(two));
    Ok((target, &[5, 0, 0, 1, 127, 0, 0, 1, 0, 9]))
}
