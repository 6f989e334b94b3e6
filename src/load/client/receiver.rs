//! What peers say: bytes to messages by transport, messages to measurements by scenario.

use super::dialogue::Booth;
use super::keepalive::sent_at;
use super::payload::Template;
use super::table::{Client, EventStream, State, Stream, Talk};
use crate::limits;
use crate::load::barrier::Message;
use crate::load::client::tools::Tools;
use crate::load::config::{Config, Scenario};
use crate::load::measure::failure::Kind;
use crate::load::measure::recorder::{Age, Recorder};
use crate::load::measure::stamp::Pushed;
use crate::load::returning;
use crate::load::returning::retry_of;
use crate::load::scenario::{Actions, Incoming};
use crate::load::shard::Load;
use crate::load::transport::PayloadKind;
use crate::protocol::Fault;
use crate::protocol::http::Inflater;
use crate::protocol::sse::{self, Dispatched, Item};
use crate::protocol::websocket::closing;
use crate::protocol::websocket::decoder::{self, Event};
use crate::protocol::websocket::frame::{self, Opcode};
use crate::shard::{ConnectionId, Core, Wire};
use crate::time::Instant;

/// How a connection came to its end while its bytes were read.
enum End {
    /// A close frame.
    Closed(Option<u16>),
    /// What this kind says.
    Broken(Kind),
}

impl Load {
    /// Bytes came.
    pub(in crate::load) fn read(
        &mut self,
        id: ConnectionId,
        bytes: &mut [u8],
        wire: &mut impl Wire<Message>,
    ) {
        if self.posts.has(id) {
            return self.post_answered(id, bytes, wire);
        }
        let Some(client) = self.fleet.get(id) else {
            return;
        };
        let mut at = 0;
        match client.state {
            State::Open | State::Greeting | State::CloseSent => {}
            State::Upgrading => {
                if !self.upgrade(id, bytes, &mut at, wire) {
                    return;
                }
            }
            State::Free | State::Connecting | State::Over => return,
        }
        let Some(client) = self.fleet.get(id) else {
            return;
        };
        let mut ears = Ears {
            id,
            number: client.number,
            core: wire.core(),
            config: &self.config,
            recorder: &mut self.recorder,
            now: wire.now(),
        };
        let end = match &client.stream {
            Stream::Head(_) => None,
            Stream::WebSocket(_) => {
                read_frames(id, client, bytes, &mut at, &mut self.tools, &mut ears, wire)
            }
            Stream::Sse(_) => read_events(client, bytes, &mut at, &mut self.tools, &mut ears),
        };
        if self.config.has_dialogues() {
            self.carry_out(id, wire);
        }
        // A dialogue may have ended its connection before the peer did, in the same bytes.
        let state = self.fleet.get(id).map(|client| client.state);
        let end = end.filter(|_| state != Some(State::Over));
        match end {
            None => self.top_up(id, wire),
            Some(End::Closed(code)) => self.peer_closed(id, code, wire),
            Some(End::Broken(kind)) => self.peer_broke(id, kind, wire),
        }
        self.end_drain_if_done(wire);
    }
}

/// What a scenario needs to hear a message.
struct Ears<'a> {
    id: ConnectionId,
    number: u32,
    core: Core,
    config: &'a Config,
    recorder: &'a mut Recorder,
    now: Instant,
}

impl Ears<'_> {
    /// A message came: what it means is the scenario's.
    #[inline]
    fn hear(&mut self, talk: &mut Talk, kind: PayloadKind, bytes: &[u8], tools: &mut Tongue<'_>) {
        match self.config.scenario {
            Scenario::Echo => self.hear_echo(talk, kind, bytes, tools),
            Scenario::Listen => self.hear_push(talk, bytes),
            Scenario::Idle => self.recorder.event(bytes.len(), self.now),
            Scenario::Dialogue(_) => {
                let heard = match kind {
                    PayloadKind::Text => Incoming::Text(bytes),
                    PayloadKind::Binary => Incoming::Binary(bytes),
                };
                self.hear_dialogue(talk, heard, tools);
            }
        }
    }

    /// An event came.
    #[inline]
    fn hear_event(&mut self, talk: &mut Talk, event: &Dispatched<'_>, tools: &mut Tongue<'_>) {
        if self.config.has_dialogues() {
            let (kind, text) = (event.event, event.data);
            self.hear_dialogue(talk, Incoming::Event { kind, text }, tools);
        } else if event.event == returning::STALE && talk.past.is_some() {
            self.recorder.event(event.data.len(), self.now);
            self.recorder.stale(talk, event.last_event_id);
        } else {
            self.hear(talk, PayloadKind::Text, event.data.as_bytes(), tools);
        }
    }

    #[inline(never)]
    fn hear_dialogue(&mut self, talk: &mut Talk, heard: Incoming<'_>, tools: &mut Tongue<'_>) {
        let mut booth = Booth {
            core: self.core,
            now: self.now,
            config: self.config,
            recorder: self.recorder,
            said: tools.said,
            rng: tools.rng,
        };
        booth.call_talk(self.id, self.number, talk, |dialogue, context| {
            dialogue.on_message(heard, context);
        });
    }

    #[inline]
    fn hear_echo(
        &mut self,
        talk: &mut Talk,
        kind: PayloadKind,
        bytes: &[u8],
        tools: &mut Tongue<'_>,
    ) {
        let expected = talk.expected;
        if talk.in_flight() > 0 && tools.template.is(expected, kind, bytes) {
            self.reply(talk, tools);
            return;
        }
        // A later one in flight means that those before it will not come: frames are ordered.
        let found = tools.template.sequence(kind, bytes);
        let skipped = found.map(|sequence| sequence.wrapping_sub(expected));
        match skipped.filter(|&skipped| skipped < talk.in_flight()) {
            Some(skipped) => {
                for _ in 0..skipped {
                    talk.flight.pop(tools.rings);
                    talk.expected = talk.expected.wrapping_add(1);
                }
                self.recorder.gone(skipped);
                self.reply(talk, tools);
            }
            None => self.recorder.outcome.messages.wrong += 1,
        }
    }

    /// The reply to the earliest message under way.
    #[inline]
    fn reply(&mut self, talk: &mut Talk, tools: &mut Tongue<'_>) {
        if let Some(departure) = talk.flight.pop(tools.rings) {
            talk.expected = talk.expected.wrapping_add(1);
            self.recorder.replied(departure, self.now);
        }
    }

    #[inline]
    fn hear_push(&mut self, talk: &mut Talk, bytes: &[u8]) {
        self.recorder.event(bytes.len(), self.now);
        let heard_at = std::mem::replace(&mut talk.heard_at, self.now);
        if self
            .config
            .silence
            .is_some_and(|most| self.now.since(heard_at) > most)
        {
            self.recorder.was_silent(heard_at, self.now);
        }
        let intended = std::mem::take(&mut talk.unheard_since);
        if intended != Instant::default() {
            let ns = self.now.as_nanos().saturating_sub(intended.as_nanos());
            self.recorder.outcome.latencies.first_event.record_ns(ns);
        }
        let stamp = Pushed::parse(bytes);
        let age = if talk.past.is_some() {
            self.recorder.resumed(talk, stamp, self.now)
        } else {
            Age::New
        };
        self.recorder.stamped(stamp, talk.pushed, age, self.now);
        if let Some(stamp) = stamp {
            self.recorder
                .numbered(self.config.place(self.number), stamp, self.now);
            talk.pushed = stamp.sequence;
        }
    }
}

/// The shared things that hearing a message touches.
struct Tongue<'a> {
    template: &'a Template,
    rings: &'a mut super::in_flight::Rings,
    said: &'a mut Actions,
    rng: &'a mut fastrand::Rng,
}

/// Reads WebSocket frames until the bytes or the connection end.
fn read_frames(
    id: ConnectionId,
    client: &mut Client,
    bytes: &mut [u8],
    at: &mut usize,
    tools: &mut Tools,
    ears: &mut Ears<'_>,
    wire: &mut impl Wire<Message>,
) -> Option<End> {
    let Client {
        stream: Stream::WebSocket(decoder),
        talk,
        awaits_pong,
        ..
    } = client
    else {
        return None;
    };
    let Tools {
        template,
        rings,
        pool,
        rng,
        scratch,
        said,
        ..
    } = tools;
    let mut tongue = Tongue {
        template,
        rings,
        said,
        rng,
    };
    loop {
        match decoder.next(bytes, at, pool) {
            Ok(Some(Event::Message { kind, bytes, .. })) => {
                ears.hear(talk, kind_of(kind), bytes, &mut tongue);
            }
            Ok(Some(Event::Ping(payload))) => {
                // RFC 6455, 5.5.3: a pong for the latest ping will do, so one that would queue up
                // behind a peer that does not read is left out.
                if wire.backlog(id) < limits::BACKLOG_HIGH {
                    scratch.clear();
                    let key = tongue.rng.u32(..).to_ne_bytes();
                    frame::encode(scratch, Opcode::Pong, payload, Some(key));
                    let _ = wire.send(id, scratch);
                }
            }
            Ok(Some(Event::Pong(payload))) => match sent_at(payload) {
                // RFC 6455, 5.5.3: one may also come unasked.
                Some(sent) if std::mem::take(awaits_pong) => ears.recorder.ponged(sent, ears.now),
                Some(_) => {}
                None => ears.hear_dialogue(talk, Incoming::Pong(payload), &mut tongue),
            },
            Ok(Some(Event::Close { code, .. })) => return Some(End::Closed(code)),
            Ok(None) => return None,
            Err(fault) => return Some(End::Broken(broken(fault))),
        }
    }
}

/// Reads server-sent events until the bytes or the stream end.
fn read_events(
    client: &mut Client,
    bytes: &[u8],
    at: &mut usize,
    tools: &mut Tools,
    ears: &mut Ears<'_>,
) -> Option<End> {
    let Client {
        stream: Stream::Sse(stream),
        talk,
        ..
    } = client
    else {
        return None;
    };
    let EventStream {
        body,
        inflater,
        parser,
        retry,
        ..
    } = &mut **stream;
    let Tools {
        template,
        rings,
        sse_pool,
        said,
        rng,
        ..
    } = tools;
    let mut tongue = Tongue {
        template,
        rings,
        said,
        rng,
    };
    loop {
        let piece = match body.next(bytes, at) {
            Ok(Some(piece)) => piece,
            Ok(None) if body.is_done() => return Some(End::Broken(Kind::StreamEnded)),
            Ok(None) => return None,
            Err(_) => return Some(End::Broken(Kind::BadStream)),
        };
        let mut parse = |content: &[u8]| {
            let mut within = 0;
            while let Some(item) = parser.next(content, &mut within, sse_pool)? {
                match item {
                    Item::Event(event) => ears.hear_event(talk, &event, &mut tongue),
                    Item::Retry(ms) => *retry = retry_of(ms),
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
            return Some(End::Broken(broken(fault)));
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
