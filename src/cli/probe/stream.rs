//! A blocking connection that looks up now and then, and the exchange of heads that opens it.

use super::{Config, End, Trace};
use crate::cli::proxy::ProxyFlag;
use crate::cli::socket::Socket;
use crate::cli::url::Url;
use crate::cli::{Failure, print};
use crate::protocol::Fault;
use crate::protocol::http::{BodyLength, BodyReader, HeadReader, Response};
use crate::report::remedy::{self, Asked};
use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

/// How long a read waits before the probe looks whether it shall end.
const LOOK_TIME: Duration = Duration::from_millis(100);
/// Bytes of one read.
const READ_BYTES: usize = 64 * 1024;
/// How long a probe waits for what a refusal says, and how many bytes of it it shows.
const BODY_TIME: Duration = Duration::from_secs(1);
const LINE_BYTES: usize = 200;
/// Informational responses (1xx) before the final one.
const INFORMATIONAL_MAX: u32 = 16;

/// A connection and what was read of it and not used yet.
pub(super) struct ProbeStream {
    socket: Socket,
    /// What was read; `at` is how much of it is used.
    bytes: Vec<u8>,
    at: usize,
}

/// What a read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Got {
    /// Something to use.
    Bytes,
    /// Nothing yet.
    Nothing,
    /// The peer has ended its stream.
    End,
}

impl ProbeStream {
    /// Connects within the time for it.
    pub(super) fn connect(config: &Config, url: &Url) -> Result<Self, Failure> {
        let way = ProxyFlag::way(config.proxy.as_ref(), url, &config.resolve);
        let way = way.map_err(Failure::Run)?;
        let patience = config.connect_time.max(Duration::from_millis(1));
        let by = Instant::now() + patience;
        let socket =
            Socket::connect(url, &way, config.securing.as_ref(), by).map_err(Failure::Run)?;
        socket.tcp().set_read_timeout(Some(LOOK_TIME))?;
        socket.tcp().set_write_timeout(Some(patience))?;
        if let (Trace::On, Some(proxy), Some(route)) = (config.trace, &config.proxy, &way.route) {
            print::note(format_args!("* tunnel to {route}, --proxy {proxy}"));
        }
        if let (Trace::On, Some(terms)) = (config.trace, socket.terms()) {
            print::note(format_args!("* {terms}"));
        }
        Ok(Self {
            socket,
            bytes: Vec::new(),
            at: 0,
        })
    }

    /// Sends all of it.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// Waits a moment for more bytes. Those read before must be used up.
    pub(super) fn read(&mut self) -> io::Result<Got> {
        if self.at < self.bytes.len() {
            return Ok(Got::Bytes);
        }
        self.bytes.resize(READ_BYTES, 0);
        self.at = 0;
        let read = self.socket.read(&mut self.bytes);
        self.bytes.truncate(*read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => Ok(Got::End),
            Ok(_) => Ok(Got::Bytes),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {
                    Ok(Got::Nothing)
                }
                _ => Err(error),
            },
        }
    }

    /// What was read, and how much of it is used.
    pub(super) fn unused(&mut self) -> (&mut [u8], &mut usize) {
        (&mut self.bytes, &mut self.at)
    }

    /// Sends a request and waits for the head of the final response; `None` if the probe shall end
    /// before it comes.
    pub(super) fn exchange(
        &mut self,
        request: &[u8],
        config: &Config,
        end: &End,
    ) -> Result<Option<Vec<u8>>, Failure> {
        trace_head(config.trace, '>', request);
        self.send(request)?;
        let deadline = Instant::now() + config.connect_time;
        for _ in 0..INFORMATIONAL_MAX {
            let Some(head) = self.head(deadline, end)? else {
                return Ok(None);
            };
            trace_head(config.trace, '<', &head);
            let status = Response::parse(&head).map_err(refused)?.status;
            if status == 101 || status >= 200 {
                return Ok(Some(head));
            }
        }
        Err(Failure::Run(
            "the server sends one 1xx response after the other".to_owned(),
        ))
    }

    /// The first line of a refusal's body, as far as it comes soon and is text.
    fn first_line(&mut self, length: BodyLength) -> Option<String> {
        let by = Instant::now() + BODY_TIME;
        let mut body = BodyReader::new(length);
        let mut text = Vec::new();
        while !body.is_done() && text.len() < LINE_BYTES && !text.contains(&b'\n') {
            match self.read() {
                Ok(Got::Bytes) => {
                    while let Ok(Some(piece)) = body.next(&self.bytes, &mut self.at) {
                        text.extend_from_slice(piece);
                    }
                    // What is no body is of no use any more.
                    self.at = self.bytes.len();
                }
                Ok(Got::Nothing) if Instant::now() < by => {}
                Ok(Got::Nothing | Got::End) | Err(_) => break,
            }
        }
        text.truncate(LINE_BYTES);
        let text = String::from_utf8_lossy(&text);
        let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
        Some(line.to_owned())
    }

    fn head(&mut self, deadline: Instant, end: &End) -> Result<Option<Vec<u8>>, Failure> {
        let mut reader = HeadReader::of_responses();
        loop {
            match self.read()? {
                Got::Bytes => {
                    let found = reader.next(&self.bytes, &mut self.at).map_err(refused)?;
                    if let Some(head) = found {
                        return Ok(Some(head.to_vec()));
                    }
                }
                Got::End => {
                    let text = "the server ended the connection without a response";
                    return Err(Failure::Run(format!("{text}; try: {}", remedy::ENDED)));
                }
                Got::Nothing if end.is_due() => return Ok(None),
                Got::Nothing if Instant::now() >= deadline => {
                    let text = "no response in time; try: a longer --connect-timeout";
                    return Err(Failure::Run(text.to_owned()));
                }
                Got::Nothing => {}
            }
        }
    }
}

/// The server's mistake as a failure of the probe.
pub(super) fn refused(fault: Fault) -> Failure {
    let reason = match fault {
        Fault::Http { reason, .. }
        | Fault::WebSocket { reason, .. }
        | Fault::Response { reason } => reason,
    };
    Failure::Run(format!("the server broke the protocol: {reason}"))
}

/// Says that the server answered something else than was asked for, and what else it said.
pub(super) fn unwanted(stream: &mut ProbeStream, response: &Response<'_>, asked: Asked) -> Failure {
    let wanted = match asked {
        Asked::WebSocket => "101 Switching Protocols",
        Asked::EventStream => "200 with text/event-stream",
    };
    let (status, reason) = (response.status, response.reason);
    let mut said = String::new();
    if let Some(challenge) = response.headers.get("www-authenticate") {
        said.push_str(&format!(" (WWW-Authenticate: {})", challenge));
    }
    if let Some(line) = stream.first_line(response.body) {
        said.push_str(&format!(", saying {line:?}"));
    }
    let place = response.headers.get("location").map_or_else(
        || remedy::of_status(&status.to_string(), asked).to_owned(),
        |place| format!("its Location, {place}"),
    );
    Failure::Run(format!(
        "the server answered {status} {reason}{said}, not {wanted}; try: {place}"
    ))
}

fn trace_head(trace: Trace, direction: char, head: &[u8]) {
    if trace == Trace::On {
        for line in String::from_utf8_lossy(head).trim_end().lines() {
            print::note(format_args!("{direction} {}", line.escape_debug()));
        }
        print::note(direction);
    }
}
