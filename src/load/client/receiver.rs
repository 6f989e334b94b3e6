//! What peers say: bytes to messages by transport, messages to what each client's role makes of
//! them.

use super::dialogue::ScenarioCall;
use super::in_flight::Rings;
use super::keepalive::sent_at;
use super::listener::{Hearing, STALE};
use super::payload::Template;
use super::role::ClientRole;
use super::state::{Client, ClientParts};
use super::stream::{EventStream, PollStream, Stream};
use super::tools::{ReadTools, Tools};
use crate::limits;
use crate::load::attempt::Past;
use crate::load::config::Config;
use crate::load::measure::failure::Kind;
use crate::load::measure::recorder::Recorder;
use crate::load::scenario::Incoming;
use crate::load::transport::PayloadKind;
use crate::protocol::Fault;
use crate::protocol::http::Inflater;
use crate::protocol::sse::{self, Dispatched, Item};
use crate::protocol::websocket::closing;
use crate::protocol::websocket::decoder::{self, Decoder, Event};
use crate::protocol::websocket::frame::{self, Opcode};
use crate::shard::{ConnectionId, Wire};
use std::time::Duration;

/// How a connection came to its end while its bytes were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PeerEnd {
    /// A close frame.
    Closed(Option<u16>),
    /// What this kind says.
    Broken(Kind),
}

/// What came on a connection.
pub(in crate::load) enum Came<'b> {
    /// Bytes.
    Bytes(&'b mut [u8]),
    /// A message that had been lent to be received into, with more of it.
    Into(Vec<u8>),
}

impl<'b> Came<'b> {
    /// The bytes, if it is any.
    pub(super) fn bytes(self) -> &'b mut [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Into(_) => &mut [],
        }
    }
}

/// Reads what came on a client's connection, until the bytes or the connection end.
pub(super) fn read<M>(
    (id, client): (ConnectionId, &mut Client),
    came: Came<'_>,
    (config, template): (&Config, &Template),
    (tools, recorder): (&mut Tools, &mut Recorder),
    wire: &mut impl Wire<M>,
) -> Option<PeerEnd> {
    let ClientParts {
        number,
        turn,
        stream,
        role,
        past,
        awaits_pong,
    } = client.parts();
    let ReadTools {
        pool,
        sse_pool,
        rings,
        rng,
        scratch,
        actions,
    } = tools.reading();
    let mut messages = Messages {
        client: (id, number),
        role,
        past,
        call: ScenarioCall {
            core: wire.core(),
            now: wire.now(),
            transport: config.transport(),
            recorder,
            actions,
            rng,
        },
        place: config.place(turn),
        silence: config.silence(),
        template,
        rings,
    };
    match stream {
        Stream::Head(_) | Stream::First(_) => None,
        Stream::WebSocket(decoder) => {
            let frames = Frames {
                decoder,
                pool,
                scratch,
                awaits_pong,
            };
            frames.read(came, &mut messages, wire)
        }
        Stream::Polls(polls) => read_polls(polls, came.bytes(), &mut messages, wire),
        Stream::Sse(stream) => read_events(stream, came.bytes(), sse_pool, &mut messages),
    }
}

/// Where the messages of one client go.
struct Messages<'a> {
    client: (ConnectionId, u32),
    role: &'a mut ClientRole,
    past: &'a mut Past,
    call: ScenarioCall<'a>,
    place: usize,
    silence: Option<Duration>,
    template: &'a Template,
    rings: &'a mut Rings,
}

impl Messages<'_> {
    /// A message came: what it means is the role's.
    #[inline]
    fn on_message(&mut self, kind: PayloadKind, bytes: &[u8]) {
        let now = self.call.now;
        match self.role {
            ClientRole::Echo(in_flight) => {
                let compared = (self.template, &mut *self.rings);
                let message = (self.client.1, kind, bytes);
                in_flight.on_message(message, compared, now, self.call.recorder);
            }
            ClientRole::Listen(seen) => {
                let hearing = Hearing {
                    now,
                    place: self.place,
                    silence: self.silence,
                };
                seen.on_message(bytes, self.past, hearing, self.call.recorder);
            }
            ClientRole::Idle => self.call.recorder.event(bytes.len(), now),
            ClientRole::Dialogue(_) => self.tell(match kind {
                PayloadKind::Text => Incoming::Text(bytes),
                PayloadKind::Binary => Incoming::Binary(bytes),
            }),
        }
    }

    /// An event came.
    #[inline]
    fn on_event(&mut self, event: &Dispatched<'_>) {
        match self.role {
            ClientRole::Dialogue(_) => self.tell(Incoming::Event {
                kind: event.event,
                text: event.data,
                id: event.last_event_id,
            }),
            ClientRole::Listen(seen) if event.event == STALE && self.past.is_some() => {
                let recorder = &mut *self.call.recorder;
                recorder.event(event.data.len(), self.call.now);
                let lost = (&*self.past, self.place);
                seen.on_stale(event.last_event_id, lost, recorder);
            }
            ClientRole::Listen(_) | ClientRole::Echo(_) | ClientRole::Idle => {
                self.on_message(PayloadKind::Text, event.data.as_bytes());
            }
        }
    }

    /// Tells the dialogue, if there is one.
    #[inline(never)]
    fn tell(&mut self, message: Incoming<'_>) {
        if let Some(conversation) = self.role.conversation_mut() {
            conversation.call(self.client, &mut self.call, |dialogue, context| {
                dialogue.on_message(message, context);
            });
        }
    }
}

/// A WebSocket connection's frames.
struct Frames<'a> {
    decoder: &'a mut Decoder,
    pool: &'a mut decoder::Pool,
    scratch: &'a mut Vec<u8>,
    awaits_pong: &'a mut bool,
}

impl Frames<'_> {
    fn read<M>(
        self,
        came: Came<'_>,
        messages: &mut Messages<'_>,
        wire: &mut impl Wire<M>,
    ) -> Option<PeerEnd> {
        let (id, mut at) = (messages.client.0, 0);
        let bytes = match came {
            Came::Bytes(bytes) => bytes,
            Came::Into(buffer) => {
                self.decoder.received_into(buffer, self.pool);
                // Whether that is the end of a message is seen where nothing more has come.
                &mut []
            }
        };
        loop {
            match self.decoder.next(bytes, &mut at, self.pool) {
                Ok(Some(Event::Message { kind, bytes, .. })) => {
                    messages.on_message(kind_of(kind), bytes);
                }
                Ok(Some(Event::Ping(payload))) => {
                    // RFC 6455, 5.5.3: a pong for the latest ping will do, so one that would queue
                    // up behind a peer that does not read is left out.
                    if wire.backlog(id) < limits::BACKLOG_HIGH {
                        self.scratch.clear();
                        let key = messages.call.rng.u32(..).to_ne_bytes();
                        frame::encode(self.scratch, Opcode::Pong, payload, Some(key));
                        let _ = wire.send(id, self.scratch);
                    }
                }
                Ok(Some(Event::Pong(payload))) => match sent_at(payload) {
                    // RFC 6455, 5.5.3: one may also come unasked.
                    Some(sent) if std::mem::take(self.awaits_pong) => {
                        messages.call.recorder.ponged(sent, messages.call.now);
                    }
                    Some(_) => {}
                    None => messages.tell(Incoming::Pong(payload)),
                },
                Ok(Some(Event::Close { code, .. })) => return Some(PeerEnd::Closed(code)),
                Ok(None) => return None,
                Err(fault) => return Some(PeerEnd::Broken(broken(fault))),
            }
        }
    }
}

/// Reads the answer to a poll; with the last of it the next is asked for.
fn read_polls<M>(
    polls: &mut PollStream,
    bytes: &[u8],
    messages: &mut Messages<'_>,
    wire: &mut impl Wire<M>,
) -> Option<PeerEnd> {
    match polls.answer.read(bytes) {
        Ok(false) => None,
        Ok(true) => {
            messages.on_message(PayloadKind::Text, polls.answer.said());
            polls.answer.forget();
            // What is one request long always finds room.
            let _ = wire.send(messages.client.0, &polls.request);
            None
        }
        Err(kind) => Some(PeerEnd::Broken(kind)),
    }
}

/// Reads server-sent events until the bytes or the stream end.
fn read_events(
    stream: &mut EventStream,
    bytes: &[u8],
    pool: &mut sse::Pool,
    messages: &mut Messages<'_>,
) -> Option<PeerEnd> {
    let EventStream {
        body,
        inflater,
        parser,
        retry,
        ..
    } = stream;
    let mut at = 0;
    loop {
        let piece = match body.next(bytes, &mut at) {
            Ok(Some(piece)) => piece,
            Ok(None) if body.is_done() => return Some(PeerEnd::Broken(Kind::StreamEnded)),
            Ok(None) => return None,
            Err(_) => return Some(PeerEnd::Broken(Kind::BadStream)),
        };
        let mut parse = |content: &[u8]| {
            let mut within = 0;
            while let Some(item) = parser.next(content, &mut within, pool)? {
                match item {
                    Item::Event(event) => messages.on_event(&event),
                    Item::Retry(ms) => *retry = Some(retry_of(ms)),
                    Item::Comment => {}
                }
            }
            Ok(())
        };
        let parsed = match inflater {
            None => parse(piece),
            Some(inflater) => inflated(inflater, piece, parse),
        };
        if let Err(fault) = parsed {
            return Some(PeerEnd::Broken(broken(fault)));
        }
    }
}

/// Calls `parse` with what a piece of content becomes.
#[cold]
fn inflated(
    inflater: &mut Inflater,
    piece: &[u8],
    mut parse: impl FnMut(&[u8]) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut at = 0;
    while let Some(content) = inflater.next(piece, &mut at)? {
        parse(content)?;
    }
    Ok(())
}

/// What the server asks its listeners to wait, if it is a time that one can wait.
fn retry_of(ms: u64) -> Duration {
    // A day: a server that asks for more wants nobody back.
    Duration::from_millis(ms.min(86_400_000))
}

fn kind_of(kind: decoder::Kind) -> PayloadKind {
    match kind {
        decoder::Kind::Text => PayloadKind::Text,
        decoder::Kind::Binary => PayloadKind::Binary,
    }
}

fn broken(fault: Fault) -> Kind {
    match fault {
        // RFC 6455, 7.4.1: what is too big for the one may be right for others.
        Fault::WebSocket { code, .. } if code == closing::TOO_BIG => Kind::TooLarge,
        fault if fault == sse::TOO_BIG => Kind::TooLarge,
        Fault::WebSocket { code, .. } => Kind::Protocol(code),
        Fault::Http { .. } | Fault::Response { .. } => Kind::BadStream,
    }
}
