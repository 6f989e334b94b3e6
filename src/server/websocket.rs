//! A WebSocket of the server: frames in, app effects out, and both sides of the close handshake.

use super::connection::{Step, Why};
use super::shared::{Outbox, Shared};
use super::stats::Message;
use crate::app::{self, echo};
use crate::limits;
use crate::protocol::Fault;
use crate::protocol::websocket::{self, Decoder, Event, Opcode, Role};
use crate::shard::{Close, ConnectionId, Unsent, Wire};

/// Which app a WebSocket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Echo,
    Push,
}

/// RFC 6455, 7.4.1: the server is going away.
pub(super) const GOING_AWAY: u16 = 1001;
/// IANA, WebSocket Close Code Number Registry: try again later. For who does not read.
pub(super) const TRY_AGAIN_LATER: u16 = 1013;

/// The WebSocket side of a connection.
#[derive(Debug)]
pub(super) struct WebSocket {
    decoder: Decoder,
    pub(super) route: Route,
    pub(super) phase: Phase,
    /// A ping was sent because nothing came for half the idle time.
    pub(super) pinged: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// Our close frame was sent, for this reason: nothing more is, and the peer's is awaited.
    CloseSent(Why),
}

impl WebSocket {
    pub(super) fn new(route: Route) -> Self {
        Self { decoder: Decoder::new(Role::Server), route, phase: Phase::Open, pinged: false }
    }

    /// The hot path: for an echo one lookup of the connection per receive, one header and one
    /// queuing per message.
    pub(super) fn received(
        &mut self,
        id: ConnectionId,
        bytes: &mut [u8],
        shared: &mut Shared,
        wire: &mut impl Wire<Message>,
    ) -> Step {
        self.pinged = false;
        let Shared { pool, tally, push: _, topic, scratch, .. } = shared;
        let mut outbox = Outbox { wire, topic, tally, user: Some(id), unsent: None, queued: false };
        let mut at = 0;
        loop {
            let event = match self.decoder.next(bytes, &mut at, pool) {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(fault) => return fail(self.phase, id, fault, scratch, outbox.wire),
            };
            match event {
                Event::Message { kind, bytes } => {
                    outbox.tally.messages_in += 1;
                    match (self.phase, self.route) {
                        (Phase::Open, Route::Echo) => {
                            echo::said(app::Message { kind, bytes }, &mut outbox);
                        }
                        // Nobody listens to what is said to a push, or after our close.
                        (Phase::Open, Route::Push) | (Phase::CloseSent(_), _) => {}
                    }
                }
                Event::Ping(payload) => {
                    if self.phase == Phase::Open {
                        outbox.frame(id, Opcode::Pong, payload);
                    }
                }
                Event::Pong(_) => {}
                Event::Close { code, .. } => {
                    return closed(self.phase, id, code, scratch, outbox.wire);
                }
            }
        }
        match (outbox.unsent, outbox.queued) {
            (Some(Unsent::Full), _) => Step::CloseSocket { code: TRY_AGAIN_LATER, why: Why::SlowConsumer },
            (Some(Unsent::Gone), _) | (None, false) => Step::Stay,
            // The peer sends faster than it reads.
            (None, true) if wire.backlog(id) > limits::BACKLOG_HIGH => Step::Pause,
            (None, true) => Step::Stay,
        }
    }
}

/// Queues a close frame. After it nothing else is sent (RFC 6455, 5.5.1).
pub(super) fn send_close(
    id: ConnectionId,
    code: Option<u16>,
    reason: &str,
    scratch: &mut Vec<u8>,
    wire: &mut impl Wire<Message>,
) -> Result<(), Unsent> {
    scratch.clear();
    if let Some(code) = code {
        websocket::close_payload(scratch, code, reason);
    }
    let header = websocket::header(Opcode::Close, scratch.len(), None);
    wire.send_parts(id, &[header.as_bytes(), scratch])
}

/// Answers the peer's close frame, or takes it for the answer to ours. Either way the handshake is
/// complete and the server ends the connection first (RFC 6455, 7.1.1).
fn closed(
    phase: Phase,
    id: ConnectionId,
    code: Option<u16>,
    scratch: &mut Vec<u8>,
    wire: &mut impl Wire<Message>,
) -> Step {
    match phase {
        Phase::CloseSent(why) => Step::End { how: Close::Flush, why },
        Phase::Open => {
            let reply = websocket::reply_code(code);
            let how = match send_close(id, reply, "", scratch, wire) {
                Ok(()) | Err(Unsent::Gone) => Close::Flush,
                Err(Unsent::Full) => Close::Abort,
            };
            Step::End { how, why: Why::Done }
        }
    }
}

/// Fails the connection: the close frame names the peer's mistake and the connection ends without
/// waiting for an answer (RFC 6455, 7.1.7).
fn fail(
    phase: Phase,
    id: ConnectionId,
    fault: Fault,
    scratch: &mut Vec<u8>,
    wire: &mut impl Wire<Message>,
) -> Step {
    let (code, reason) = match fault {
        Fault::WebSocket { code, reason } => (code, reason),
        // Not from a frame decoder.
        Fault::Http { reason, .. } | Fault::Response { reason } => (1002, reason),
    };
    let sent = match phase {
        Phase::Open => send_close(id, Some(code), reason, scratch, wire),
        Phase::CloseSent(_) => Ok(()),
    };
    let how = match sent {
        Ok(()) | Err(Unsent::Gone) => Close::Flush,
        Err(Unsent::Full) => Close::Abort,
    };
    Step::End { how, why: Why::Fault }
}
