//! Answers scrapes of a run while it runs: one thread, one request at a time, a bounded head.

use crate::cli::Failure;
use crate::stats::exposition::PROMETHEUS;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bytes of a request's head at most.
const HEAD_BYTES: usize = 8 * 1024;
/// Time for one request: another one waits meanwhile.
const REQUEST_TIME: Duration = Duration::from_secs(2);

/// The text that scrapes get.
pub(super) struct Scrape(Arc<Mutex<Vec<u8>>>);

impl Scrape {
    /// Listens there, for as long as the program runs.
    pub(super) fn start(address: SocketAddr) -> Result<Self, Failure> {
        let listener = listen(address)?;
        let text = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&text);
        std::thread::Builder::new()
            .name("scrapes".to_owned())
            .spawn(move || {
                for peer in listener.incoming().flatten() {
                    let text = shared
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .clone();
                    // A peer that goes away or dawdles has only itself to answer to.
                    let _ = answer(peer, &text);
                }
            })?;
        Ok(Self(text))
    }

    /// What the next scrape gets.
    pub(super) fn set(&self, text: Vec<u8>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }
}

/// Listens, or says why not.
pub(super) fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).map_err(|error| {
        Failure::Run(format!(
            "--metrics-listen: cannot listen on {address}: {error}; try: another port"
        ))
    })
}

fn answer(mut peer: TcpStream, text: &[u8]) -> io::Result<()> {
    peer.set_read_timeout(Some(REQUEST_TIME))?;
    peer.set_write_timeout(Some(REQUEST_TIME))?;
    let by = Instant::now() + REQUEST_TIME;
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        let read = peer.read(&mut piece)?;
        if read == 0 || head.len() > HEAD_BYTES || Instant::now() > by {
            return Ok(());
        }
        head.extend_from_slice(&piece[..read]);
    }
    let is_known = head.starts_with(b"GET /metrics ") || head.starts_with(b"GET /metrics?");
    let (status, body) = if is_known {
        ("200 OK", text)
    } else {
        ("404 Not Found", b"try: GET /metrics\n".as_slice())
    };
    let length = body.len();
    write!(
        peer,
        "HTTP/1.1 {status}\r\nContent-Type: {PROMETHEUS}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    )?;
    peer.write_all(body)
}
