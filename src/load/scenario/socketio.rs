//! The scenario `socketio`: joins a namespace of a Socket.IO server, then emits events and waits
//! for their acknowledgements.

use super::calls::{Calls, Stamp, delivered, filler};
use super::{AskedThen, Context, Dialogue, Incoming, Piece, Program, Senders, Turns};
use crate::protocol::socketio::polling::PolledPacket;
use crate::protocol::socketio::{
    self as protocol, Emit, Kind, Packet, PolledOpening, Said, Session, polling,
};
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
    /// How a session begins.
    pub begins_by: IoTransport,
    /// Of the content.
    pub seed: u64,
}

/// How a session begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IoTransport {
    /// On a WebSocket.
    #[default]
    WebSocket,
    /// With a poll, from which it moves to a WebSocket on the same connection.
    Upgrade,
    /// With a poll, and so it goes on: what is said is posted on a second connection.
    Polling,
}

#[derive(Debug)]
struct SocketIoPlan {
    namespace: String,
    auth_token: Option<String>,
    emit: Emit,
    filler: Vec<u8>,
    senders: Senders,
    begins_by: IoTransport,
}

/// How far a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SocketIoStage {
    /// The server speaks first.
    Opening,
    /// It is asked whether the WebSocket works, to which a session of polls is to move.
    Probing,
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
    /// Where it posts what it says, if its session polls.
    posts_to: Option<Box<str>>,
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
            begins_by: options.begins_by,
        }))
    }

    fn client(&self, stage: SocketIoStage) -> Client {
        Client {
            plan: Arc::clone(&self.0),
            stage,
            heard: Instant::default(),
            patience: ANSWER_TIME,
            attachments: 0,
            posts_to: None,
            calls: Calls::default(),
        }
    }
}

impl Program for SocketIo {
    fn name(&self) -> &'static str {
        "socketio"
    }

    fn turns(&self) -> Turns {
        self.0.senders.turns()
    }

    fn polls(&self) -> bool {
        self.0.begins_by == IoTransport::Polling
    }

    fn asks_first(&self, target: &str) -> Option<String> {
        match self.0.begins_by {
            IoTransport::WebSocket => None,
            IoTransport::Upgrade | IoTransport::Polling => {
                Some(target.replace(BY_WEBSOCKET, BY_POLLING))
            }
        }
    }

    fn asks_then(&self, target: &str, answer: &[u8]) -> Result<AskedThen, &'static str> {
        let opening = PolledOpening::read(answer).map_err(|_| "no_session")?;
        let upgrade = session_target(target, &opening);
        match self.0.begins_by {
            IoTransport::Polling => Ok(AskedThen::Poll(upgrade.replace(BY_WEBSOCKET, BY_POLLING))),
            IoTransport::WebSocket | IoTransport::Upgrade => {
                let upgrade = opening.may_upgrade.then_some(upgrade);
                upgrade.map(AskedThen::Upgrade).ok_or("no_upgrade")
            }
        }
    }

    fn begin(&self, _number: u32) -> Box<dyn Dialogue> {
        Box::new(self.client(SocketIoStage::Opening))
    }

    fn begin_after(&self, number: u32, (target, answer): (&str, &[u8])) -> Box<dyn Dialogue> {
        let Ok(opening) = PolledOpening::read(answer) else {
            return self.begin(number);
        };
        let posts_to = session_target(target, &opening).replace(BY_WEBSOCKET, BY_POLLING);
        let polls = self.polls();
        let mut client = self.client(match polls {
            true => SocketIoStage::Joining,
            false => SocketIoStage::Probing,
        });
        client.patience = patience(opening.times);
        client.posts_to = polls.then(|| posts_to.into());
        Box::new(client)
    }
}

/// What a session is asked for with.
fn session_target(target: &str, opening: &PolledOpening) -> String {
    format!("{target}&sid={}", opening.sid)
}

/// What of a target names the transport.
const BY_WEBSOCKET: &str = "transport=websocket";
const BY_POLLING: &str = "transport=polling";

/// Silence after which a connection of that session is dead.
fn patience(session: Session) -> Duration {
    let ms = session
        .ping_interval_ms
        .saturating_add(session.ping_timeout_ms);
    // More than an hour is as good as never.
    Duration::from_millis(ms.clamp(1, 3_600_000))
}

impl Dialogue for Client {
    /// For the session and the namespace there is the connect's own time.
    fn on_open(&mut self, context: &mut Context<'_>) {
        match self.stage {
            SocketIoStage::Probing => self.say(&[polling::PROBE.as_bytes()], context),
            SocketIoStage::Joining => self.join(context),
            SocketIoStage::Opening | SocketIoStage::Joined => {}
        }
    }

    fn on_message(&mut self, heard: Incoming<'_>, context: &mut Context<'_>) {
        match heard {
            Incoming::Text(payload) if self.posts_to.is_some() => self.hear_all(payload, context),
            other => self.hear(other, context),
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
        self.say(
            &[before, id.as_bytes(), between, &stamp, filler, after],
            context,
        );
    }

    fn on_timer(&mut self, context: &mut Context<'_>) {
        match self.stage {
            SocketIoStage::Opening => context.fail("no_session"),
            SocketIoStage::Probing => context.fail("no_probe"),
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
    /// A poll was answered with these packets.
    fn hear_all(&mut self, payload: &[u8], context: &mut Context<'_>) {
        let mut rest = str::from_utf8(payload).ok();
        if rest.is_none() {
            context.wrong();
        }
        while let Some(payload) = rest.take() {
            match polling::next_packet(payload) {
                Ok((packet, behind)) => {
                    match packet {
                        PolledPacket::Text(text) => {
                            self.hear(Incoming::Text(text.as_bytes()), context);
                        }
                        PolledPacket::Binary(bytes) => {
                            self.hear(Incoming::Binary(&bytes), context);
                        }
                        PolledPacket::Close => context.fail("disconnected"),
                    }
                    rest = behind;
                }
                Err(_) => context.wrong(),
            }
        }
    }

    /// A packet came.
    fn hear(&mut self, heard: Incoming<'_>, context: &mut Context<'_>) {
        self.heard = context.now();
        let packet = match heard {
            Incoming::Text(text) if self.stage == SocketIoStage::Probing => {
                return match text == polling::PROBED.as_bytes() {
                    true => {
                        self.say(&[polling::UPGRADE.as_bytes()], context);
                        self.join(context);
                    }
                    false => context.fail("not_socketio"),
                };
            }
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
            (None, SocketIoStage::Opening | SocketIoStage::Probing | SocketIoStage::Joining) => {
                context.fail("not_socketio")
            }
        }
    }

    /// Says a packet.
    fn say(&self, parts: &[&[u8]], context: &mut Context<'_>) {
        match &self.posts_to {
            None => context.text_parts(parts),
            Some(target) => context.post(target, &String::from_utf8_lossy(&parts.concat())),
        }
    }

    /// Joins the namespace.
    fn join(&mut self, context: &mut Context<'_>) {
        self.stage = SocketIoStage::Joining;
        let mut text = Vec::new();
        let token = self.plan.auth_token.as_deref();
        protocol::connect(&mut text, &self.plan.namespace, token);
        self.say(&[&text], context);
    }

    fn told_by_server(&mut self, packet: Packet<'_>, context: &mut Context<'_>) {
        match (packet, self.stage) {
            (Packet::Open(session), SocketIoStage::Opening) => {
                self.patience = patience(session);
                self.join(context);
            }
            (Packet::Ping(content), _) => {
                let mut text = Vec::new();
                protocol::pong(&mut text, content);
                self.say(&[&text], context);
            }
            (Packet::Noop, _) => {}
            (Packet::Close, _) => context.fail("disconnected"),
            (Packet::Message(said), SocketIoStage::Joining | SocketIoStage::Joined) => {
                self.said(said, context)
            }
            (
                Packet::Open(_),
                SocketIoStage::Probing | SocketIoStage::Joining | SocketIoStage::Joined,
            ) => context.wrong(),
            (Packet::Message(_), SocketIoStage::Opening | SocketIoStage::Probing) => {
                context.fail("not_socketio");
            }
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
                    self.say(&[&text], context);
                }
            }
            (Kind::Connect | Kind::Ack | Kind::ConnectError, _) => context.wrong(),
        }
    }
}
