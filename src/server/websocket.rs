//! A WebSocket of the server: frames in, app effects out, and both sides of the close handshake.

use super::apps::{AppIndex, Apps};
use super::outbox::{Framing, Outgoing};
use super::shared::Shared;
use super::stats::Message;
use super::step::{DeferWait, Step};
use super::tally::CloseReason;
use crate::app::{self, Goodbye, Reach};
use crate::limits;
use crate::protocol::Fault;
use crate::protocol::websocket::closing::{self, Action, Input, State};
use crate::protocol::websocket::{Decoder, Event, Extension, Kind, Opcode, Pool, Role, frame};
use crate::shard::{Close, ConnectionId, Payload, Unsent, Wire};
use crate::time::Instant;
use std::time::Duration;

/// The WebSocket side of a connection.
#[derive(Debug)]
pub(super) struct WebSocket {
    decoder: Decoder,
    closing: State,
    app: AppIndex,
    extension: Extension,
    /// Why the close handshake was begun here, if it was.
    why: CloseReason,
    /// A ping was sent because nothing came for half the idle time.
    pub(super) pinged: bool,
}

/// The content of a close frame.
#[derive(Clone, Copy, Debug)]
struct CloseFrame {
    code: Option<u16>,
    reason: &'static str,
}

impl WebSocket {
    pub(super) fn new(app: AppIndex, extension: Extension, hears: bool) -> Self {
        let decoder = Decoder::new(Role::Server).with(extension);
        let decoder = if hears { decoder } else { decoder.discarding() };
        Self {
            decoder,
            extension,
            closing: State::Open,
            app,
            why: CloseReason::Done,
            pinged: false,
        }
    }

    /// The hot path: for an echo one lookup of the connection per receive, one header and one
    /// queuing per message.
    #[expect(
        clippy::too_many_lines,
        reason = "one pass over what was received, the hot path"
    )]
    pub(super) fn received<A: Apps>(
        &mut self,
        (id, seat): (ConnectionId, u32),
        bytes: &mut [u8],
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) -> Step {
        self.pinged = false;
        let Shared {
            pool,
            tally,
            apps,
            outbox,
            scratch,
            deferred,
            ..
        } = shared;
        let from = (id, self.framing(), seat);
        if let Some(wait) = waits(self.app, from, apps, wire) {
            deferred.keep(id, bytes);
            return Step::Defer { wait };
        }
        let share = (id, wire.now());
        deferred.begin(share, &mut pool.worked);
        let mut out = Outgoing::new(wire, outbox, tally);
        out.user = Some((id, self.extension));
        let mut at = 0;
        let is_spent = loop {
            let event = match self.decoder.next(bytes, &mut at, pool) {
                Ok(Some(event)) => event,
                Ok(None) => break false,
                Err(fault) => return self.fail(id, fault, scratch, out.wire),
            };
            match event {
                Event::Message {
                    kind,
                    bytes,
                    assembled,
                } => {
                    out.tally.received();
                    // Nothing is heard after our close frame.
                    if self.closing == State::Open {
                        let message = app::Message {
                            kind: app_kind(kind),
                            bytes,
                        };
                        match assembled {
                            None => apps.said(self.app, from, message, &mut out),
                            Some(_) => {
                                said_whole(self.app, from, (message, assembled), apps, &mut out)
                            }
                        }
                    }
                }
                Event::Ping(payload) => {
                    if self.closing == State::Open {
                        out.frame(id, Opcode::Pong, payload);
                    }
                }
                Event::Pong(_) => {}
                Event::Close { code, .. } => return self.answer(id, code, scratch, out.wire),
            }
            pool.worked += limits::SHARE_BYTES_OF_A_FRAME;
            if out.held || pool.worked >= limits::SHARE_BYTES {
                break true;
            }
        };
        if let Some(goodbye) = out.close {
            let why = CloseReason::Fault;
            return Step::CloseSocket { goodbye, why };
        }
        let wait = out.wait();
        match (out.unsent, out.queued) {
            (Some(Unsent::Full), _) => too_slow(A::too_slow(self.app)),
            _ if is_spent => {
                deferred.keep(id, bytes.get(at..).unwrap_or_default());
                Step::Defer { wait }
            }
            (Some(Unsent::Gone), _) | (None, false) => Step::Stay,
            // The peer sends faster than it reads.
            (None, true) if wire.backlog(id) > limits::BACKLOG_HIGH => Step::Pause,
            (None, true) => Step::Stay,
        }
    }

    /// Begins the close handshake, unless it has begun. After the close frame nothing is sent
    /// (RFC 6455, 5.5.1), but what the peer sends is read up to its own.
    pub(super) fn close<M>(
        &mut self,
        id: ConnectionId,
        goodbye: Goodbye,
        why: CloseReason,
        scratch: &mut Vec<u8>,
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
        self.advance(Input::Close, frame, id, scratch, wire)
    }

    /// Tells the peer that it is ended for that reason, and ends it.
    pub(super) fn give_up<M>(
        &mut self,
        id: ConnectionId,
        why: CloseReason,
        scratch: &mut Vec<u8>,
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
            | CloseReason::Full => CloseFrame {
                code: Some(closing::POLICY),
                reason: "a message that does not go on",
            },
        };
        self.advance(Input::Failed, frame, id, scratch, wire)
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
    pub(super) fn release(&mut self, pool: &mut Pool) {
        self.decoder.release(pool);
    }

    /// Whether the close handshake has not begun.
    pub(super) fn is_open(&self) -> bool {
        self.closing == State::Open
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

    /// Answers the peer's close frame, or takes it for the answer to ours.
    fn answer<M>(
        &mut self,
        id: ConnectionId,
        code: Option<u16>,
        scratch: &mut Vec<u8>,
        wire: &mut impl Wire<M>,
    ) -> Step {
        let frame = CloseFrame {
            code: closing::reply_code(code),
            reason: "",
        };
        match self.advance(Input::Received, frame, id, scratch, wire) {
            Step::Stay => self.advance(Input::Close, frame, id, scratch, wire),
            step => step,
        }
    }

    /// Tells the peer its mistake and ends the connection.
    fn fail<M>(
        &mut self,
        id: ConnectionId,
        fault: Fault,
        scratch: &mut Vec<u8>,
        wire: &mut impl Wire<M>,
    ) -> Step {
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
            scratch,
            wire,
        )
    }

    /// One step of the close handshake.
    fn advance<M>(
        &mut self,
        input: Input,
        frame: CloseFrame,
        id: ConnectionId,
        scratch: &mut Vec<u8>,
        wire: &mut impl Wire<M>,
    ) -> Step {
        let (state, action) = closing::step(self.closing, input);
        self.closing = state;
        let sent = match action {
            Action::Nothing => return Step::Stay,
            Action::End => Ok(()),
            Action::Send | Action::SendAndEnd => send_close(id, frame, scratch, wire),
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

/// What a WebSocket waits for before it is heard, if it may not say anything now.
#[inline]
fn waits<A: Apps>(
    app: AppIndex,
    from: (ConnectionId, Framing, u32),
    apps: &mut A,
    wire: &impl Wire<Message<A::Letters>>,
) -> Option<DeferWait> {
    let (reach, _) = A::manner(app);
    if reach != Reach::Replies && wire.mail_is_full() {
        return Some(DeferWait::Until(wire.now() + limits::MAIL_TIME));
    }
    (!apps.hears(app, from)).then_some(DeferWait::Release)
}

/// A message that has a buffer of its own: an answer may take it along.
#[cold]
#[inline(never)]
fn said_whole<A: Apps, W: Wire<Message<A::Letters>>>(
    app: AppIndex,
    from: (ConnectionId, Framing, u32),
    (message, assembled): (app::Message<'_>, Option<&Payload>),
    apps: &mut A,
    out: &mut Outgoing<'_, Message<A::Letters>, W>,
) {
    out.assembled = assembled.cloned();
    apps.said(app, from, message, out);
    out.assembled = None;
}

/// Queues a close frame.
fn send_close<M>(
    id: ConnectionId,
    frame: CloseFrame,
    scratch: &mut Vec<u8>,
    wire: &mut impl Wire<M>,
) -> Result<(), Unsent> {
    scratch.clear();
    if let Some(code) = frame.code {
        frame::close_payload(scratch, code, frame.reason);
    }
    let header = frame::header(Opcode::Close, scratch.len(), None);
    wire.send_parts(id, &[header.as_bytes(), scratch])
}

/// The same in the app's own words: an app knows no protocol.
const fn app_kind(kind: Kind) -> app::Kind {
    match kind {
        Kind::Text => app::Kind::Text,
        Kind::Binary => app::Kind::Binary,
    }
}
