//! A WebSocket of the server: frames in, app effects out, and both sides of the close handshake.

use super::allowance::Allowance;
use super::connection::Step;
use super::shared::{Outbox, Shared};
use super::stats::Message;
use super::tally::Why;
use crate::app::rooms::{Rooms, Seat, Unsaid};
use crate::app::{self, echo};
use crate::limits;
use crate::protocol::Fault;
use crate::protocol::websocket::closing::{self, Action, Input, State};
use crate::protocol::websocket::{Decoder, Event, Extension, Kind, Opcode, Pool, Role, frame};
use crate::shard::{Close, ConnectionId, Unsent, Wire};
use crate::time::Instant;
use std::time::Duration;

/// Which app a WebSocket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Echo,
    Push,
    Rooms,
}

/// The WebSocket side of a connection.
#[derive(Debug)]
pub(super) struct WebSocket {
    decoder: Decoder,
    closing: State,
    route: Route,
    extension: Extension,
    /// Why the close handshake was begun here, if it was.
    why: Why,
    allowance: Allowance,
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
    pub(super) fn new(route: Route, extension: Extension) -> Self {
        let decoder = Decoder::new(Role::Server).with(extension);
        // Nobody hears what is said to a push.
        let decoder = match route {
            Route::Push => decoder.discarding(),
            Route::Echo | Route::Rooms => decoder,
        };
        Self {
            decoder,
            extension,
            closing: State::Open,
            route,
            why: Why::Done,
            allowance: Allowance::default(),
            pinged: false,
        }
    }

    /// The hot path: for an echo one lookup of the connection per receive, one header and one
    /// queuing per message.
    pub(super) fn received(
        &mut self,
        (id, seat): (ConnectionId, u32),
        bytes: &mut [u8],
        shared: &mut Shared,
        wire: &mut impl Wire<Message>,
    ) -> Step {
        self.pinged = false;
        let Shared {
            pool,
            tally,
            topic,
            rooms,
            errands,
            number,
            scratch,
            deferred,
            ..
        } = shared;
        let share = (id, wire.now());
        deferred.begin(share, &mut pool.worked);
        let mut outbox = Outbox {
            wire,
            topic,
            errands,
            number,
            tally,
            user: Some((id, self.extension)),
            unsent: None,
            queued: false,
        };
        let (mut at, mut refused, mut until) = (0, None, None);
        let is_spent = loop {
            let event = match self.decoder.next(bytes, &mut at, pool) {
                Ok(Some(event)) => event,
                Ok(None) => break false,
                Err(fault) => return self.fail(id, fault, scratch, outbox.wire),
            };
            match event {
                Event::Message { kind, bytes } => {
                    outbox.tally.messages_in += 1;
                    match (self.closing, self.route) {
                        (State::Open, Route::Echo) => repeat(kind, bytes, &mut outbox),
                        (State::Open, Route::Rooms) => {
                            until = self.allowance.spend(bytes.len(), outbox.wire.now());
                            let message = (Seat(seat), kind, &*bytes);
                            refused = refused.or_else(|| say(message, rooms, &mut outbox));
                        }
                        // Nobody hears what is said to a push, or after our close frame.
                        (State::Open, Route::Push)
                        | (State::CloseSent | State::CloseReceived | State::Closed, _) => {}
                    }
                }
                Event::Ping(payload) => {
                    if self.closing == State::Open {
                        outbox.frame(id, Opcode::Pong, payload);
                    }
                }
                Event::Pong(_) => {}
                Event::Close { code, .. } => return self.answer(id, code, scratch, outbox.wire),
            }
            if until.is_some() || deferred.is_spent(share, pool.worked) {
                break true;
            }
        };
        match (outbox.unsent, outbox.queued) {
            _ if refused.is_some() => refused.unwrap_or(Step::Stay),
            (Some(Unsent::Full), _) => TOO_SLOW,
            _ if is_spent => {
                deferred.keep(id, bytes.get(at..).unwrap_or_default());
                Step::Defer { until }
            }
            (Some(Unsent::Gone), _) | (None, false) => Step::Stay,
            // The peer sends faster than it reads.
            (None, true) if wire.backlog(id) > limits::BACKLOG_HIGH => Step::Pause,
            (None, true) => Step::Stay,
        }
    }

    /// Begins the close handshake, unless it has begun. After the close frame nothing is sent
    /// (RFC 6455, 5.5.1), but what the peer sends is read up to its own.
    pub(super) fn close(
        &mut self,
        id: ConnectionId,
        code: u16,
        why: Why,
        scratch: &mut Vec<u8>,
        wire: &mut impl Wire<Message>,
    ) -> Step {
        if self.is_open() {
            self.why = why;
        }
        self.decoder =
            std::mem::replace(&mut self.decoder, Decoder::new(Role::Server)).discarding();
        let frame = CloseFrame {
            code: Some(code),
            reason: "",
        };
        self.advance(Input::Close, frame, id, scratch, wire)
    }

    /// Tells the peer that it is ended for that reason, and ends it.
    pub(super) fn give_up(
        &mut self,
        id: ConnectionId,
        why: Why,
        scratch: &mut Vec<u8>,
        wire: &mut impl Wire<Message>,
    ) -> Step {
        self.why = why;
        let frame = match why {
            Why::Memory => CloseFrame {
                code: Some(closing::TRY_AGAIN_LATER),
                reason: "too much is held for all",
            },
            Why::Stalled
            | Why::Done
            | Why::Fault
            | Why::SlowConsumer
            | Why::Idle
            | Why::RequestTime
            | Why::Drain
            | Why::Full => CloseFrame {
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

    /// Which app it is for.
    pub(super) fn route(&self) -> Route {
        self.route
    }

    /// What is agreed on beyond plain frames.
    pub(super) fn extension(&self) -> Extension {
        self.extension
    }

    /// Why the close handshake was begun.
    pub(super) fn why(&self) -> Why {
        self.why
    }

    /// Answers the peer's close frame, or takes it for the answer to ours.
    fn answer(
        &mut self,
        id: ConnectionId,
        code: Option<u16>,
        scratch: &mut Vec<u8>,
        wire: &mut impl Wire<Message>,
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
    fn fail(
        &mut self,
        id: ConnectionId,
        fault: Fault,
        scratch: &mut Vec<u8>,
        wire: &mut impl Wire<Message>,
    ) -> Step {
        let (code, reason) = match fault {
            Fault::WebSocket { code, reason } => (code, reason),
            // Not from a frame decoder.
            Fault::Http { reason, .. } | Fault::Response { reason } => {
                (closing::PROTOCOL_ERROR, reason)
            }
        };
        self.why = Why::Fault;
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
    fn advance(
        &mut self,
        input: Input,
        frame: CloseFrame,
        id: ConnectionId,
        scratch: &mut Vec<u8>,
        wire: &mut impl Wire<Message>,
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
const TOO_SLOW: Step = Step::CloseSocket {
    code: closing::TRY_AGAIN_LATER,
    why: Why::SlowConsumer,
};

#[inline]
fn repeat<W: Wire<Message>>(kind: Kind, bytes: &[u8], outbox: &mut Outbox<'_, W>) {
    let kind = app_kind(kind);
    echo::said(app::Message { kind, bytes }, outbox);
}

/// Says a message to a room. What becomes of the WebSocket if its room does not hear it.
fn say<W: Wire<Message>>(
    (seat, kind, bytes): (Seat, Kind, &[u8]),
    rooms: &mut Rooms,
    outbox: &mut Outbox<'_, W>,
) -> Option<Step> {
    // What comes back may fill its own backlog.
    outbox.queued = true;
    let text = match kind {
        // The decoder has checked it, and no app is given bytes that it would have to trust.
        Kind::Text => std::str::from_utf8(bytes).ok(),
        Kind::Binary => None,
    };
    let Some(text) = text else {
        return Some(Step::CloseSocket {
            code: closing::UNSUPPORTED,
            why: Why::Fault,
        });
    };
    rooms.said(seat, text, outbox).err().map(unheard)
}

/// What becomes of a WebSocket that said what its room does not hear.
const fn unheard(unsaid: Unsaid) -> Step {
    let code = match unsaid {
        Unsaid::TooLong => closing::TOO_BIG,
        Unsaid::Early | Unsaid::Gone => closing::POLICY,
    };
    Step::CloseSocket {
        code,
        why: Why::Fault,
    }
}

/// Queues a close frame.
fn send_close(
    id: ConnectionId,
    frame: CloseFrame,
    scratch: &mut Vec<u8>,
    wire: &mut impl Wire<Message>,
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
