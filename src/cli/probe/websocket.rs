//! Probes a WebSocket: prints messages, answers pings, sends and echoes, closes properly.

use super::stream::{Got, ProbeStream, refused, unwanted};
use super::{Answer, Config, End, Trace, shown};
use crate::cli::frames::{FrameDetail, Frames};
use crate::cli::{Exit, Failure, print};
use crate::limits;
use crate::protocol::Fault;
use crate::protocol::http::Response;
use crate::protocol::websocket::closing::{self, may_be_received};
use crate::protocol::websocket::deflate::Deflation;
use crate::protocol::websocket::{
    ClientHandshake, Decoder, Event, Extension, Kind, Offer, Opcode, Pool, Role, frame, mask,
};
use crate::report::remedy::Asked;
use std::io;
use std::time::Instant;

/// The key of its windows: there is one connection.
const KEY: u32 = 0;

/// One open WebSocket.
struct Socket<'c> {
    config: &'c Config,
    stream: ProbeStream,
    decoder: Decoder,
    /// If messages are deflated.
    deflation: Option<Box<Deflation>>,
    pool: Pool,
    sent: Frames,
    received: Frames,
    /// When the peer's close frame must have come, once ours is out.
    close_by: Option<Instant>,
}

/// How the connection ended.
enum Over {
    /// The peer closed, with that code if it gave one.
    Closed { code: Option<u16> },
    /// The peer broke the protocol; it was told.
    Faulty(Fault),
    /// The stream ended without a close frame (1006).
    Cut,
    /// The peer did not answer our close frame in time.
    Unanswered,
}

/// Runs the probe to its end.
pub(super) fn run(config: &Config, end: &mut End) -> Result<Exit, Failure> {
    let Some(mut socket) = Socket::open(config, end)? else {
        return Ok(end.exit());
    };
    for text in &config.send {
        socket.send(Opcode::Text, text.as_bytes())?;
    }
    // An end that was asked for is not the server's mistake.
    match socket.talk(end)? {
        Over::Faulty(fault) => Err(refused(fault)),
        Over::Closed { .. } | Over::Cut if end.is_due() => Ok(end.exit()),
        Over::Unanswered => {
            print::note("the server did not answer the close frame");
            Ok(end.exit())
        }
        Over::Cut => {
            let text = "the connection ended without a close frame (1006)";
            Err(Failure::Run(text.to_owned()))
        }
        Over::Closed { code } if config.count != u64::MAX => {
            let missing = end.left;
            let code = code.map_or_else(|| "no code".to_owned(), |code| code.to_string());
            let text = format!("the server closed ({code}) with {missing} messages to come");
            Err(Failure::Run(text))
        }
        Over::Closed { .. } => Ok(Exit::Pass),
    }
}

impl<'c> Socket<'c> {
    /// Connects and upgrades; `None` if the probe shall end before that.
    fn open(config: &'c Config, end: &End) -> Result<Option<Self>, Failure> {
        let mut stream = ProbeStream::connect(config, &config.url)?;
        let mut nonce = [0; 16];
        fastrand::fill(&mut nonce);
        let handshake = ClientHandshake::new(nonce);
        let mut request = Vec::new();
        let (host, headers) = (config.url.authority(), config.headers());
        let offer = Offer {
            host: &host,
            target: &config.url.target,
            headers: &headers,
            subprotocols: &config.subprotocols,
            deflate: config.deflate,
        };
        handshake.encode(&mut request, &offer);
        let Some(head) = stream.exchange(&request, config, end)? else {
            return Ok(None);
        };
        let response = Response::parse(&head).map_err(refused)?;
        if response.status != 101 {
            return Err(unwanted(&mut stream, &response, Asked::WebSocket));
        }
        let agreement = handshake.verify(&response, &offer).map_err(refused)?;
        let mut pool = Pool::new(config.max_message, limits::MESSAGE_FRAGMENTS);
        let mut deflation: Option<Box<Deflation>> = agreement.map(|_| Box::default());
        let mut decoder = Decoder::new(Role::Client);
        if let Some((deflation, agreement)) = deflation.as_mut().zip(agreement) {
            deflation.open(KEY, &agreement, Role::Client);
            pool.windows.open(KEY, agreement.received_by(Role::Client));
            let extension = agreement.extension(Role::Client);
            decoder = decoder.with(extension).keyed(KEY);
        }
        Ok(Some(Self {
            config,
            stream,
            decoder,
            deflation,
            pool,
            sent: Frames::new(FrameDetail::Header),
            received: Frames::new(FrameDetail::Header),
            close_by: None,
        }))
    }

    /// Until the connection is over.
    fn talk(&mut self, end: &mut End) -> Result<Over, Failure> {
        loop {
            if self.close_by.is_none() && end.is_due() {
                self.close(closing::NORMAL, "")?;
            }
            if self.close_by.is_some_and(|by| Instant::now() >= by) {
                return Ok(Over::Unanswered);
            }
            match self.stream.read() {
                Ok(Got::Bytes) => {}
                Ok(Got::Nothing) => continue,
                Ok(Got::End) => return Ok(Over::Cut),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Ok(Over::Cut);
                }
                Err(error) => return Err(error.into()),
            }
            let (bytes, at) = self.stream.unused();
            if self.config.trace == Trace::On {
                for line in self.received.lines(bytes.get(*at..).unwrap_or_default()) {
                    print::note(format_args!("< {line}"));
                }
            }
            if let Some(over) = self.hear(end)? {
                return Ok(over);
            }
        }
    }

    /// Deals with what was read; says how it ended, if it did.
    fn hear(&mut self, end: &mut End) -> Result<Option<Over>, Failure> {
        loop {
            let (bytes, at) = self.stream.unused();
            // What to send is noted here, since the event borrows what it came in.
            let reply = match self.decoder.next(bytes, at, &mut self.pool) {
                Ok(None) => return Ok(None),
                Ok(Some(Event::Message { kind, bytes, .. })) => {
                    if end.left == 0 {
                        continue;
                    }
                    shown::message(self.config.form, kind, bytes)?;
                    end.counted();
                    match self.config.answer {
                        Answer::Nothing => continue,
                        Answer::Echo => (opcode(kind), bytes.to_vec()),
                    }
                }
                Ok(Some(Event::Ping(bytes))) => (Opcode::Pong, bytes.to_vec()),
                Ok(Some(Event::Pong(_))) => continue,
                Ok(Some(Event::Close { code, reason })) => {
                    if self.config.trace == Trace::On {
                        let code = code.map_or_else(|| "none".to_owned(), |code| code.to_string());
                        print::note(format_args!("< close code {code}, reason {reason:?}"));
                    }
                    return self.answer_close(code).map(Some);
                }
                Err(fault) => {
                    if let Fault::WebSocket { code, reason } = fault {
                        // The peer may be gone already: its fault is what counts.
                        let _ = self.close(code, reason);
                    }
                    return Ok(Some(Over::Faulty(fault)));
                }
            };
            let (opcode, payload) = reply;
            self.send(opcode, &payload)?;
        }
    }

    /// Answers the peer's close frame, unless it is the answer to ours; then waits for the end of
    /// the stream, which is the server's to make (RFC 6455, 7.1.1).
    fn answer_close(&mut self, code: Option<u16>) -> Result<Over, Failure> {
        if self.close_by.is_none() {
            let mut payload = Vec::new();
            if let Some(code) = closing::reply_code(code).filter(|&code| may_be_received(code)) {
                frame::close_payload(&mut payload, code, "");
            }
            self.send(Opcode::Close, &payload)?;
        }
        let by = Instant::now() + limits::LINGER_TIME;
        while Instant::now() < by {
            let (bytes, at) = self.stream.unused();
            *at = bytes.len();
            match self.stream.read() {
                Ok(Got::Bytes | Got::Nothing) => {}
                Ok(Got::End) | Err(_) => break,
            }
        }
        Ok(Over::Closed { code })
    }

    fn close(&mut self, code: u16, reason: &str) -> Result<(), Failure> {
        let mut payload = Vec::new();
        frame::close_payload(&mut payload, code, reason);
        self.close_by = Some(Instant::now() + limits::CLOSE_TIME);
        if self.config.trace == Trace::On {
            print::note(format_args!("> close code {code}, reason {reason:?}"));
        }
        self.send(Opcode::Close, &payload)
    }

    /// Sends one frame, masked with a random key (RFC 6455, 5.3).
    fn send(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), Failure> {
        let mut key = [0; 4];
        fastrand::fill(&mut key);
        let mut bytes = Vec::with_capacity(payload.len() + frame::HEADER_BYTES);
        // RFC 7692, 6: control frames are never deflated.
        let is_message = matches!(opcode, Opcode::Text | Opcode::Binary);
        let way = (KEY, Extension::DeflateTakeover);
        let deflation = self.deflation.as_mut().filter(|_| is_message);
        match deflation.and_then(|deflation| deflation.deflate(way, payload)) {
            Some(packed) => {
                let header = frame::header(opcode, packed.len(), Some(key)).deflated();
                bytes.extend_from_slice(header.as_bytes());
                mask::append(&mut bytes, packed, key, 0);
            }
            None => frame::encode(&mut bytes, opcode, payload, Some(key)),
        }
        if self.config.trace == Trace::On {
            for line in self.sent.lines(&bytes) {
                print::note(format_args!("> {line}"));
            }
        }
        self.stream.send(&bytes).map_err(|error| {
            let text = format!("cannot send: {error}; try: is the server still there?");
            Failure::Run(text)
        })
    }
}

const fn opcode(kind: Kind) -> Opcode {
    match kind {
        Kind::Text => Opcode::Text,
        Kind::Binary => Opcode::Binary,
    }
}
