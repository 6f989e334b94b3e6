//! A WebSocket of the server: frames in, app effects out, and both sides of the close handshake.

use super::apps::{AppIndex, Apps};
use super::framing::Framing;
use super::inbound::Inbound;
use super::outgoing::{Outgoing, Replied};
use super::shared::Shared;
use super::stats::Message;
use super::step::Step;
use super::tally::CloseReason;
use crate::app::{self, Goodbye};
use crate::limits;
use crate::protocol::Fault;
use crate::protocol::websocket::closing::{self, Action, ClosingState, Input};
use crate::protocol::websocket::deflate::Agreement;
use crate::protocol::websocket::{Decoder, Event, Extension, Kind, Opcode, Role, frame};
use crate::shard::{Close, ConnectionId, Payload, ReceiveInto, Unsent, Wire};
use crate::time::Instant;
use std::time::Duration;

/// The WebSocket side of a connection.
#[derive(Debug)]
pub(super) struct WebSocket {
    decoder: Decoder,
    closing: ClosingState,
    app: AppIndex,
    extension: Extension,
    /// Why the close handshake was begun here, if it was.
    why: CloseReason,
    /// A ping was sent because nothing came for half the idle time.
    pinged: bool,
}

/// The content of a close frame.
#[derive(Clone, Copy, Debug)]
struct CloseFrame {
    code: Option<u16>,
    reason: &'static str,
}

impl WebSocket {
    pub(super) fn new<A: Apps>(
        id: ConnectionId,
        app: AppIndex,
        agreement: Option<Agreement>,
        shared: &mut Shared<A>,
    ) -> Self {
        let (decoder, extension) = shared.begin_frames(id, app, agreement);
        Self {
            decoder,
            extension,
            closing: ClosingState::Open,
            app,
            why: CloseReason::Done,
            pinged: false,
        }
    }

    /// The hot path: for an echo one lookup of the connection per receive, one header and one
    /// queuing per message.
    pub(super) fn received<A: Apps>(
        &mut self,
        (id, seat): (ConnectionId, u32),
        bytes: &mut [u8],
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) -> Step {
        self.pinged = false;
        let from = (id, self.framing(), seat);
        if let Some(wait) = shared.waits(self.app, from, wire) {
            shared.inbound().keep(id, bytes);
            return Step::Defer { wait };
        }
        let (inbound, apps, mut out) = shared.hearing(wire);
        inbound.begin_share(id, out.now());
        out.hear(id, self.extension);
        let mut at = 0;
        let is_spent = loop {
            let event = match inbound.next(&mut self.decoder, bytes, &mut at) {
                Ok(Some(event)) => event,
                Ok(None) => break false,
                Err(fault) => {
                    self.close_first(id, out.replied(), wire);
                    return self.fail(id, fault, wire);
                }
            };
            match event {
                Event::Message {
                    kind,
                    bytes,
                    assembled,
                } => {
                    out.received();
                    // Nothing is heard after our close frame.
                    if self.closing == ClosingState::Open {
                        let kind = app_kind(kind);
                        let message = app::Message { kind, bytes };
                        match assembled {
                            None => apps.said(self.app, from, message, &mut out),
                            Some(whole) => {
                                said_whole(self.app, from, message, whole, apps, &mut out)
                            }
                        }
                    }
                }
                Event::Ping(payload) if self.closing == ClosingState::Open && !out.is_ending() => {
                    out.frame(id, Opcode::Pong, payload);
                }
                Event::Ping(_) | Event::Pong(_) => {}
                Event::Close { code, .. } => {
                    self.close_first(id, out.replied(), wire);
                    return self.answer(id, code, wire);
                }
            }
            if self.extension == Extension::DeflateTakeover {
                inbound.work(out.take_work());
            }
            if inbound.is_spent_by_frame() || out.is_held() {
                break true;
            }
        };
        let wait = out.wait();
        match out.replied() {
            Replied::Ends(goodbye) => Step::CloseSocket {
                goodbye,
                why: CloseReason::Fault,
            },
            Replied::Full => too_slow(A::too_slow(self.app)),
            _ if is_spent => {
                inbound.keep(id, bytes.get(at..).unwrap_or_default());
                Step::Defer { wait }
            }
            // The peer sends faster than it reads.
            Replied::Queued if wire.backlog(id) > limits::BACKLOG_HIGH => Step::Pause,
            Replied::Queued | Replied::Nothing | Replied::Gone => Step::Stay,
        }
    }

    /// Where the bytes that come next belong, if the rest of a large message comes next.
    pub(super) fn receive_into(&mut self, inbound: &mut Inbound) -> Option<ReceiveInto> {
        inbound.receive_into(&mut self.decoder)
    }

    /// A message that was lent comes back: how many bytes more of it.
    pub(super) fn take_back(&mut self, buffer: Vec<u8>, inbound: &mut Inbound) -> usize {
        inbound.take_back(&mut self.decoder, buffer)
    }

    /// Begins the close handshake, unless it has begun. After the close frame nothing is sent
    /// (RFC 6455, 5.5.1), but what the peer sends is read up to its own.
    pub(super) fn close<M>(
        &mut self,
        id: ConnectionId,
        goodbye: Goodbye,
        why: CloseReason,
        wire: &mut impl Wire<M>,
    ) -> Step {
        if self.is_open() {
            self.why = why;
        }
        self.decoder =
            std::mem::replace(&mut self.decoder, Decoder::new(Role::Server)).discarding();
        let frame = CloseFrame {
            code: Some(goodbye.code),
            reason: goodbye.reason,
        };
        self.advance(Input::Close, frame, id, wire)
    }

    /// Tells the peer that it is ended for that reason, and ends it.
    pub(super) fn give_up<M>(
        &mut self,
        id: ConnectionId,
        why: CloseReason,
        wire: &mut impl Wire<M>,
    ) -> Step {
        self.why = why;
        let frame = match why {
            CloseReason::Memory => CloseFrame {
                code: Some(closing::TRY_AGAIN_LATER),
                reason: "too much is held for all",
            },
            CloseReason::Stalled
            | CloseReason::Done
            | CloseReason::Fault
            | CloseReason::SlowConsumer
            | CloseReason::Idle
            | CloseReason::RequestTime
            | CloseReason::Drain
            | CloseReason::Barred
            | CloseReason::Overuse
            | CloseReason::Unheard
            | CloseReason::Lifetime
            | CloseReason::Full => CloseFrame {
                code: Some(closing::POLICY),
                reason: "a message that does not go on",
            },
        };
        self.advance(Input::Failed, frame, id, wire)
    }

    /// Bytes of an unfinished message.
    pub(super) fn held(&self) -> usize {
        self.decoder.held()
    }

    /// How long the peer has been at a message without making progress, if it is heard.
    pub(super) fn stalled(&mut self, is_heard: bool, now: Instant) -> Duration {
        if !is_heard {
            self.decoder.excuse();
        }
        self.decoder.stalled(now)
    }

    /// Gives back what it keeps: it ends.
    pub(super) fn release<A: Apps>(&mut self, shared: &mut Shared<A>) {
        shared.end_frames(&mut self.decoder);
    }

    /// Nothing came for half the idle time, and a ping asks for something.
    pub(super) const fn ping(&mut self) {
        self.pinged = true;
    }

    /// Whether a ping asked for something, and nothing came.
    pub(super) const fn is_pinged(&self) -> bool {
        self.pinged
    }

    /// Whether the close handshake has not begun.
    pub(super) fn is_open(&self) -> bool {
        self.closing == ClosingState::Open
    }

    /// Which application it is for.
    pub(super) fn app(&self) -> AppIndex {
        self.app
    }

    /// How messages are put for it.
    pub(super) fn framing(&self) -> Framing {
        Framing::of(self.extension)
    }

    /// Why the close handshake was begun.
    pub(super) fn why(&self) -> CloseReason {
        self.why
    }

    /// What the application has just ended is ended by it, whatever came behind.
    fn close_first<M>(&mut self, id: ConnectionId, replied: Replied, wire: &mut impl Wire<M>) {
        match replied {
            Replied::Ends(goodbye) => {
                self.close(id, goodbye, CloseReason::Fault, wire);
            }
            Replied::Nothing | Replied::Queued | Replied::Full | Replied::Gone => {}
        }
    }

    /// Answers the peer's close frame, or takes it for the answer to ours.
    fn answer<M>(&mut self, id: ConnectionId, code: Option<u16>, wire: &mut impl Wire<M>) -> Step {
        let frame = CloseFrame {
            code: closing::reply_code(code),
            reason: "",
        };
        match self.advance(Input::Received, frame, id, wire) {
            Step::Stay => self.advance(Input::Close, frame, id, wire),
            step => step,
        }
    }

    /// Tells the peer its mistake and ends the connection.
    fn fail<M>(&mut self, id: ConnectionId, fault: Fault, wire: &mut impl Wire<M>) -> Step {
        let (code, reason) = match fault {
            Fault::WebSocket { code, reason } => (code, reason),
            // Not from a frame decoder.
            Fault::Http { reason, .. } | Fault::Response { reason } => {
                (closing::PROTOCOL_ERROR, reason)
            }
        };
        self.why = CloseReason::Fault;
        self.advance(
            Input::Failed,
            CloseFrame {
                code: Some(code),
                reason,
            },
            id,
            wire,
        )
    }

    /// One step of the close handshake.
    fn advance<M>(
        &mut self,
        input: Input,
        frame: CloseFrame,
        id: ConnectionId,
        wire: &mut impl Wire<M>,
    ) -> Step {
        let (state, action) = closing::step(self.closing, input);
        self.closing = state;
        let sent = match action {
            Action::Nothing => return Step::Stay,
            Action::End => Ok(()),
            Action::Send | Action::SendAndEnd => send_close(id, frame, wire),
        };
        match (action, sent) {
            (_, Err(Unsent::Full)) => Step::End {
                how: Close::Abort,
                why: self.why,
            },
            (Action::Send, Ok(())) => Step::AwaitClose,
            (_, Ok(()) | Err(Unsent::Gone)) => Step::End {
                how: Close::Flush,
                why: self.why,
            },
        }
    }
}

/// What becomes of a WebSocket that does not read what it is sent.
const fn too_slow(goodbye: Goodbye) -> Step {
    let why = CloseReason::SlowConsumer;
    Step::CloseSocket { goodbye, why }
}

/// A message that has a buffer of its own: an answer may take it along.
#[cold]
#[inline(never)]
fn said_whole<A: Apps, W: Wire<Message<A::Letters>>>(
    app: AppIndex,
    from: (ConnectionId, Framing, u32),
    message: app::Message<'_>,
    whole: &Payload,
    apps: &mut A,
    out: &mut Outgoing<'_, Message<A::Letters>, W>,
) {
    out.assembled(Some(whole));
    apps.said(app, from, message, out);
    out.assembled(None);
}

/// Queues a close frame.
fn send_close<M>(
    id: ConnectionId,
    frame: CloseFrame,
    wire: &mut impl Wire<M>,
) -> Result<(), Unsent> {
    let parts = frame
        .code
        .map(|code| frame::close_parts(code, frame.reason));
    let (code, reason) = match &parts {
        Some((code, reason)) => (&code[..], *reason),
        None => (&[][..], &[][..]),
    };
    let header = frame::header(Opcode::Close, code.len() + reason.len(), None);
    wire.send_parts(id, &[header.as_bytes(), code, reason])
}

/// The same in the app's own words: an app knows no protocol.
const fn app_kind(kind: Kind) -> app::Kind {
    match kind {
        Kind::Text => app::Kind::Text,
        Kind::Binary => app::Kind::Binary,
    }
}
