//! The scenario `socketcluster`: handshake, token, subscription; then calls a procedure, or
//! publishes on the channel, and waits for the server's response.

use super::calls::{Calls, Stamp, delivered, filler};
use super::{Context, Dialogue, Incoming, Piece, Program, Senders, Turns};
use crate::protocol::json;
use crate::protocol::socketcluster::{self as protocol, Call, Said, Welcome};
use crate::time::Instant;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;

/// The patience with silence until the server says its own.
const ANSWER_TIME: Duration = Duration::from_secs(5);
/// Calls of the handshake.
const HANDSHAKE: u64 = 1;
const SUBSCRIBE: u64 = 2;

/// What all clients of the scenario share.
#[derive(Clone, Debug)]
pub struct SocketCluster(Arc<SocketClusterPlan>);

/// How the scenario is meant.
#[derive(Clone, Debug)]
pub struct SocketClusterOptions {
    /// The channel to subscribe to, if any.
    pub channel: Option<String>,
    /// The procedure to call; without one, publishes on the channel.
    pub procedure: Option<String>,
    /// The signed token (JWT) to show.
    pub auth_token: Option<String>,
    /// Bytes of the content.
    pub content_bytes: usize,
    /// Who calls.
    pub senders: Senders,
    /// Of the content.
    pub seed: u64,
}

#[derive(Debug)]
struct SocketClusterPlan {
    channel: Option<(String, Vec<u8>)>,
    auth_token: Option<String>,
    before: Vec<u8>,
    after: Vec<u8>,
    filler: Vec<u8>,
    senders: Senders,
}

/// How far a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SocketClusterStage {
    Greeting,
    Subscribing,
    Up,
}

#[derive(Debug)]
struct Client {
    plan: Arc<SocketClusterPlan>,
    stage: SocketClusterStage,
    /// When anything was heard last.
    heard: Instant,
    /// Silence after which the connection is dead, as the server says.
    patience: Duration,
    calls: Calls,
}

impl SocketCluster {
    /// The scenario as meant.
    #[must_use]
    pub fn new(options: SocketClusterOptions) -> Self {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let what = match (&options.procedure, &options.channel) {
            (Some(procedure), _) => Call::Procedure(procedure),
            (None, Some(channel)) => Call::Publish(channel),
            (None, None) => Call::Procedure("echo"),
        };
        protocol::call(what, &mut before, &mut after);
        let channel = options.channel.map(|channel| {
            let mut encoded = Vec::new();
            json::string(&mut encoded, &channel);
            (channel, encoded)
        });
        Self(Arc::new(SocketClusterPlan {
            channel,
            auth_token: options.auth_token,
            before,
            after,
            filler: filler(options.content_bytes, options.seed),
            senders: options.senders,
        }))
    }
}

impl Program for SocketCluster {
    fn name(&self) -> &'static str {
        "socketcluster"
    }

    fn turns(&self) -> Turns {
        self.0.senders.turns()
    }

    fn begin(&self, _number: u32) -> Box<dyn Dialogue> {
        Box::new(Client {
            plan: Arc::clone(&self.0),
            stage: SocketClusterStage::Greeting,
            heard: Instant::default(),
            patience: ANSWER_TIME,
            calls: Calls::default(),
        })
    }
}

impl Dialogue for Client {
    fn on_open(&mut self, context: &mut Context<'_>) {
        let mut text = Vec::new();
        protocol::handshake(&mut text, self.plan.auth_token.as_deref());
        // For the handshake and the subscription there is the connect's own time.
        context.text_parts(&[&text]);
    }

    fn on_message(&mut self, heard: Incoming<'_>, context: &mut Context<'_>) {
        self.heard = context.now();
        let text = match heard {
            Incoming::Text(text) => text,
            Incoming::Pong(_) => return,
            Incoming::Binary(_) | Incoming::Event { .. } => b"?",
        };
        let read = protocol::read(text, |said| self.told_by_server(said, context));
        match (read, self.stage) {
            (Ok(()), _) => {}
            (Err(_), SocketClusterStage::Up) => context.wrong(),
            (Err(_), SocketClusterStage::Greeting | SocketClusterStage::Subscribing) => {
                context.fail("not_socketcluster")
            }
        }
    }

    fn on_turn(&mut self, piece: Piece, context: &mut Context<'_>) {
        let stamp = self.calls.begin(piece, context);
        let call = stamp.decimal();
        let SocketClusterPlan {
            before,
            filler,
            after,
            ..
        } = &*self.plan;
        let stamp = stamp.encode();
        context.text_parts(&[before, &stamp, filler, after, call.as_bytes(), b"}"]);
    }

    fn on_timer(&mut self, context: &mut Context<'_>) {
        match self.stage {
            SocketClusterStage::Greeting => context.fail("no_handshake"),
            SocketClusterStage::Subscribing => context.fail("no_subscription"),
            SocketClusterStage::Up => {
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
    fn told_by_server(&mut self, said: Said<'_>, context: &mut Context<'_>) {
        match said {
            Said::Ping { pong } => context.text_parts(&[pong.as_bytes()]),
            Said::Response { id, data, is_error } => match self.stage {
                SocketClusterStage::Greeting if id == HANDSHAKE => {
                    self.greeted(data, is_error, context)
                }
                SocketClusterStage::Subscribing if id == SUBSCRIBE && is_error => {
                    context.fail("subscription_rejected");
                }
                SocketClusterStage::Subscribing if id == SUBSCRIBE => self.be_up(context),
                // An echo of the handshake is no response to it, and neither is anything else.
                SocketClusterStage::Greeting | SocketClusterStage::Subscribing => {
                    context.fail("not_socketcluster")
                }
                SocketClusterStage::Up => self.answered(id, is_error, context),
            },
            Said::Published { channel, data } => {
                let known = self.plan.channel.as_ref();
                if known.is_some_and(|(_, encoded)| protocol::is_channel(channel, encoded)) {
                    let text = data.get().as_bytes();
                    delivered(Stamp::find(text), text.len(), context);
                } else {
                    context.wrong();
                }
            }
            Said::KickedOut => context.fail("kicked_out"),
            Said::Event { call: Some(call) } if self.stage != SocketClusterStage::Greeting => {
                let mut text = Vec::new();
                protocol::respond(&mut text, call);
                context.text_parts(&[&text]);
            }
            // Nothing is called before the handshake is answered: this is our own, come back.
            Said::Event { call: Some(_) } => context.fail("not_socketcluster"),
            Said::Event { call: None } => {}
        }
    }

    /// The handshake has its response.
    fn greeted(&mut self, data: Option<&RawValue>, is_error: bool, context: &mut Context<'_>) {
        if is_error {
            return context.fail("handshake_rejected");
        }
        let Some(Ok(welcome)) = data.map(Welcome::read) else {
            return context.fail("not_socketcluster");
        };
        if self.plan.auth_token.is_some() && !welcome.is_authenticated {
            return context.fail("not_authenticated");
        }
        // A server that says 0 pings nobody: then an hour is as good as never.
        self.patience = match welcome.ping_timeout_ms {
            0 => Duration::from_secs(3600),
            ms => Duration::from_millis(ms),
        };
        let Some((channel, _)) = &self.plan.channel else {
            return self.be_up(context);
        };
        let mut text = Vec::new();
        protocol::subscribe(&mut text, channel, SUBSCRIBE);
        context.text_parts(&[&text]);
        self.stage = SocketClusterStage::Subscribing;
    }

    fn be_up(&mut self, context: &mut Context<'_>) {
        self.stage = SocketClusterStage::Up;
        context.wake_after(self.patience);
        context.ready(self.plan.senders.part(context.number()));
    }

    fn answered(&mut self, id: u64, is_error: bool, context: &mut Context<'_>) {
        match self.calls.take(id) {
            // Whoever asked has an answer, but not the one to a message that went well.
            Some(exchange) if is_error => context.lose(exchange),
            Some(exchange) => context.finish(exchange),
            None => context.wrong(),
        }
    }
}
