//! Asks a server for `/stats` over one kept-alive connection, within a bounded time and size.

use crate::cli::proxy::ProxyFlag;
use crate::cli::socket::{Securing, Socket, left};
use crate::cli::url::Url;
use crate::protocol::Fault;
use crate::protocol::http::{BodyReader, HeadReader, Request, Response};
use crate::stats::Sample;
use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

/// Time for one answer, the connect included. A server tells after half a second at the latest.
const ANSWER_TIME: Duration = Duration::from_secs(2);
/// Bytes of an answer; a server with a thousand cores needs a tenth of it.
const ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// Where `/stats` is, and the connection to it while there is one.
pub(super) struct Poller {
    url: Url,
    securing: Option<Securing>,
    kept: Option<Socket>,
    request: Vec<u8>,
}

/// Why there is no answer.
enum Miss {
    /// The connection ended before the first byte of the answer.
    Unheard(String),
    /// Anything else.
    Failed(String),
}

/// An answer, and whether the connection may be used again.
struct Answer {
    status: u16,
    body: Vec<u8>,
    keep_alive: bool,
}

impl Poller {
    pub(super) fn new(url: Url, securing: Option<Securing>) -> Self {
        let target = if url.target == "/" {
            "/stats"
        } else {
            url.target.as_str()
        };
        let host = url.authority();
        let mut request = Vec::new();
        let headers = [("Host", host.as_str()), ("Accept", "application/json")];
        Request::encode(&mut request, "GET", target, &headers);
        Self {
            url,
            securing,
            kept: None,
            request,
        }
    }

    /// One sample, or why there is none, with the remedy.
    pub(super) fn poll(&mut self) -> Result<Sample, String> {
        let deadline = Instant::now() + ANSWER_TIME;
        let answer = match self.kept.take() {
            Some(socket) => match self.ask(socket, deadline) {
                // The server closed it meanwhile, as it may: try a new one.
                Err(Miss::Unheard(_)) => self.ask_anew(deadline),
                told => told,
            },
            None => self.ask_anew(deadline),
        };
        let answer = answer.map_err(|miss| match miss {
            Miss::Unheard(why) | Miss::Failed(why) => why,
        })?;
        let status = answer.status;
        if status != 200 {
            return Err(format!(
                "the server answered {status}; try: the URL of a ringstorm server, \
                 such as http://127.0.0.1:9000"
            ));
        }
        Sample::parse(&answer.body).map_err(|error| {
            format!(
                "the answer is not the /stats of a ringstorm server ({error}); try: its URL, \
                 such as http://127.0.0.1:9000"
            )
        })
    }

    fn ask_anew(&mut self, deadline: Instant) -> Result<Answer, Miss> {
        let way = ProxyFlag::way(None, &self.url, &[]).map_err(Miss::Failed)?;
        let socket = Socket::connect(&self.url, &way, self.securing.as_ref(), deadline)
            .map_err(Miss::Failed)?;
        self.ask(socket, deadline)
    }

    fn ask(&mut self, mut socket: Socket, deadline: Instant) -> Result<Answer, Miss> {
        let unheard = |error: io::Error| Miss::Unheard(said(&error));
        let written = socket
            .tcp()
            .set_write_timeout(Some(left(deadline)))
            .and_then(|()| socket.write_all(&self.request));
        written.map_err(unheard)?;
        let answer = read(&mut socket, deadline)?;
        if answer.keep_alive {
            self.kept = Some(socket);
        }
        Ok(answer)
    }
}

/// Reads one response.
fn read(socket: &mut Socket, deadline: Instant) -> Result<Answer, Miss> {
    let broken = |fault: Fault| Miss::Failed(format!("not HTTP: {}", reason(fault)));
    let mut reader = HeadReader::of_responses();
    let mut bytes = vec![0; 64 * 1024];
    let mut total = 0;
    let mut found: Option<(Answer, BodyReader)> = None;
    loop {
        let length = receive(socket, &mut bytes, deadline).map_err(|error| match total {
            0 if error.kind() != ErrorKind::TimedOut => Miss::Unheard(said(&error)),
            _ => Miss::Failed(said(&error)),
        })?;
        total += length;
        let (piece, _) = bytes.split_at(length);
        if length == 0 {
            return match found {
                Some((mut answer, _)) => {
                    answer.keep_alive = false;
                    Ok(answer)
                }
                None => Err(Miss::Unheard("the server ended the connection".to_owned())),
            };
        }
        if total > ANSWER_BYTES {
            let text = format!("the answer is larger than {ANSWER_BYTES} bytes");
            return Err(Miss::Failed(text));
        }
        let mut at = 0;
        if found.is_none()
            && let Some(head) = reader.next(piece, &mut at).map_err(broken)?
        {
            let response = Response::parse(head).map_err(broken)?;
            let answer = Answer {
                status: response.status,
                body: Vec::new(),
                keep_alive: response.keep_alive,
            };
            found = Some((answer, BodyReader::new(response.body)));
        }
        if let Some((answer, body)) = &mut found {
            while let Some(content) = body.next(piece, &mut at).map_err(broken)? {
                answer.body.extend_from_slice(content);
            }
        }
        if let Some((answer, _)) = found.take_if(|(_, body)| body.is_done()) {
            return Ok(answer);
        }
    }
}

/// Waits for bytes until the deadline.
fn receive(socket: &mut Socket, bytes: &mut [u8], deadline: Instant) -> io::Result<usize> {
    loop {
        socket.tcp().set_read_timeout(Some(left(deadline)))?;
        match socket.read(bytes) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Err(ErrorKind::TimedOut.into());
            }
            read => return read,
        }
    }
}

fn said(error: &io::Error) -> String {
    if error.kind() == ErrorKind::TimedOut {
        let seconds = ANSWER_TIME.as_secs();
        return format!("no answer within {seconds} s; try: is the server overloaded or stopped?");
    }
    error.to_string()
}

const fn reason(fault: Fault) -> &'static str {
    match fault {
        Fault::Http { reason, .. }
        | Fault::WebSocket { reason, .. }
        | Fault::Response { reason } => reason,
    }
}
