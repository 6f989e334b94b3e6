//! The scenario `socketio`: joins a namespace of a Socket.IO server, then emits events and waits
//! for their acknowledgements.

use super::calls::{Calls, Stamp, delivered, filler};
use super::{Context, Dialogue, Incoming, Piece, Program, Senders, Turns};
use crate::protocol::socketio::{self as protocol, Emit, Kind, Packet, Said};
use crate::time::Instant;
use std::sync::Arc;
use std::time::Duration;

/// The patience with silence until the server says its own.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// What all clients of the scenario share.
#[derive(Clone, Debug)]
pub struct SocketIo(Arc<SocketIoPlan>);

/// How the scenario is meant.
#[derive(Clone, Debug)]
pub struct SocketIoOptions {
    /// The namespace, which begins with `/`.
    pub namespace: String,
    /// The event to emit.
    pub event: String,
    /// What the server finds as `handshake.auth.token`.
    pub auth_token: Option<String>,
    /// Bytes of the content.
    pub content_bytes: usize,
    /// Who emits.
    pub senders: Senders,
    /// Of the content.
    pub seed: u64,
}

#[derive(Debug)]
struct SocketIoPlan {
    namespace: String,
    auth_token: Option<String>,
    emit: Emit,
    filler: Vec<u8>,
    senders: Senders,
}

/// How far a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SocketIoStage {
    /// The server speaks first.
    Opening,
    Joining,
    Joined,
}

#[derive(Debug)]
struct Client {
    plan: Arc<SocketIoPlan>,
    stage: SocketIoStage,
    /// When anything was heard last.
    heard: Instant,
    /// Silence after which the connection is dead, as the server says.
    patience: Duration,
    /// Binary messages that belong to the last packet and have yet to come.
    attachments: u32,
    calls: Calls,
}

impl SocketIo {
    /// The scenario as meant.
    #[must_use]
    pub fn new(options: SocketIoOptions) -> Self {
        Self(Arc::new(SocketIoPlan {
            emit: Emit::new(&options.namespace, &options.event),
            namespace: options.namespace,
            auth_token: options.auth_token,
            filler: filler(options.content_bytes, options.seed),
            senders: options.senders,
        }))
    }
}

impl Program for SocketIo {
    fn name(&self) -> &'static str {
        "socketio"
    }

    fn turns(&self) -> Turns {
        self.0.senders.turns()
    }

    fn begin(&self, _number: u32) -> Box<dyn Dialogue> {
        Box::new(Client {
            plan: Arc::clone(&self.0),
            stage: SocketIoStage::Opening,
            heard: Instant::default(),
            patience: ANSWER_TIME,
            attachments: 0,
            calls: Calls::default(),
        })
    }
}

impl Dialogue for Client {
    /// Nothing is said yet: for the session and the namespace there is the connect's own time.
    fn on_open(&mut self, _context: &mut Context<'_>) {}

    fn on_message(&mut self, heard: Incoming<'_>, context: &mut Context<'_>) {
        self.heard = context.now();
        let packet = match heard {
            Incoming::Text(text) => protocol::read(text).ok(),
            Incoming::Pong(_) => return,
            Incoming::Binary(_) if self.attachments > 0 => {
                self.attachments -= 1;
                return;
            }
            Incoming::Binary(_) | Incoming::Event { .. } => None,
        };
        match (packet, self.stage) {
            (Some(packet), _) => self.told_by_server(packet, context),
            (None, SocketIoStage::Joined) => context.wrong(),
            (None, SocketIoStage::Opening | SocketIoStage::Joining) => context.fail("not_socketio"),
        }
    }

    fn on_turn(&mut self, piece: Piece, context: &mut Context<'_>) {
        let stamp = self.calls.begin(piece, context);
        let id = stamp.decimal();
        let Emit {
            before,
            between,
            after,
        } = &self.plan.emit;
        let stamp = stamp.encode();
        let filler = &self.plan.filler;
        context.text_parts(&[before, id.as_bytes(), between, &stamp, filler, after]);
    }

    fn on_timer(&mut self, context: &mut Context<'_>) {
        match self.stage {
            SocketIoStage::Opening => context.fail("no_session"),
            SocketIoStage::Joining => context.fail("no_namespace"),
            SocketIoStage::Joined => {
                let silence = context.now().since(self.heard);
                let rest = self.patience.checked_sub(silence);
                match rest.filter(|rest| !rest.is_zero()) {
                    Some(rest) => context.wake_after(rest),
                    None => context.fail("no_ping"),
                }
            }
        }
    }
}

impl Client {
    fn told_by_server(&mut self, packet: Packet<'_>, context: &mut Context<'_>) {
        match (packet, self.stage) {
            (Packet::Open(session), SocketIoStage::Opening) => {
                let ms = session
                    .ping_interval_ms
                    .saturating_add(session.ping_timeout_ms);
                // More than an hour is as good as never.
                self.patience = Duration::from_millis(ms.clamp(1, 3_600_000));
                self.stage = SocketIoStage::Joining;
                let mut text = Vec::new();
                let token = self.plan.auth_token.as_deref();
                protocol::connect(&mut text, &self.plan.namespace, token);
                context.text_parts(&[&text]);
            }
            (Packet::Ping(content), _) => {
                let mut text = Vec::new();
                protocol::pong(&mut text, content);
                context.text_parts(&[&text]);
            }
            (Packet::Noop, _) => {}
            (Packet::Close, _) => context.fail("disconnected"),
            (Packet::Message(said), SocketIoStage::Joining | SocketIoStage::Joined) => {
                self.said(said, context)
            }
            (Packet::Open(_), SocketIoStage::Joining | SocketIoStage::Joined) => context.wrong(),
            (Packet::Message(_), SocketIoStage::Opening) => context.fail("not_socketio"),
        }
    }

    fn said(&mut self, said: Said<'_>, context: &mut Context<'_>) {
        self.attachments = said.attachments;
        if said.namespace != self.plan.namespace {
            return context.wrong();
        }
        match (said.kind, self.stage) {
            // Socket.IO protocol, revision 5: the answer has the sid. A server of Engine.IO 3 says
            // this unasked, without one, and then waits for pings that revision 4 does not send.
            (Kind::Connect, SocketIoStage::Joining) if said.data.is_empty() => {
                context.fail("engine_io_3");
            }
            (Kind::Connect, SocketIoStage::Joining) => {
                self.stage = SocketIoStage::Joined;
                context.wake_after(self.patience);
                context.ready(self.plan.senders.part(context.number()));
            }
            (Kind::ConnectError, SocketIoStage::Joining) => context.fail("namespace_refused"),
            (Kind::Disconnect, _) => context.fail("disconnected"),
            (Kind::Ack, SocketIoStage::Joined) => {
                match said.id.and_then(|id| self.calls.take(id)) {
                    Some(exchange) => context.finish(exchange),
                    None => context.wrong(),
                }
            }
            (Kind::Event, _) => {
                let text = said.data.as_bytes();
                delivered(Stamp::find(text), text.len(), context);
                if let Some(id) = said.id {
                    let mut text = Vec::new();
                    protocol::acknowledge(&mut text, said.namespace, id);
                    context.text_parts(&[&text]);
                }
            }
            (Kind::Connect | Kind::Ack | Kind::ConnectError, _) => context.wrong(),
        }
    }
}
