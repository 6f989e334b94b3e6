//! The scenario `cable`: subscribes to a channel of an `ActionCable` server, performs an action
//! on it and waits for the message to come back on that subscription; or fires a request, and
//! waits until every client has heard what the server broadcast because of it.

use super::calls::{Calls, STAMP_BYTES, Stamp, delivered, filler};
use super::trigger::{Round, Trigger};
use super::{Context, Dialogue, Incoming, Note, Part, Piece, Program, Senders, Turns};
use crate::protocol::cable::{self, Identifier, Said};
use crate::time::Instant;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;

/// Time between looks at a broadcast under way.
const LOOK_TIME: Duration = Duration::from_secs(1);
/// Silence after which a connection is dead: two of the server's pings, as in Rails' own client.
const STALE_TIME: Duration = Duration::from_secs(6);

/// What all clients of the scenario share.
#[derive(Clone, Debug)]
pub struct Cable(Arc<CablePlan>);

/// How the scenario is meant.
#[derive(Debug)]
pub struct CableOptions {
    /// The channel's class, or the whole identifier as a JSON object.
    pub channel: String,
    /// The action to perform: a public method of the channel, which finds the content under
    /// `message` and is to transmit or broadcast it.
    pub action: String,
    /// Bytes of the content.
    pub content_bytes: usize,
    /// Who performs.
    pub senders: Senders,
    /// Makes broadcasts, instead of anybody's performing.
    pub trigger: Option<Trigger>,
    /// Of the content.
    pub seed: u64,
}

#[derive(Debug)]
struct CablePlan {
    identifier: Identifier,
    before: Vec<u8>,
    after: Vec<u8>,
    filler: Vec<u8>,
    senders: Senders,
    trigger: Option<Trigger>,
}

/// How far a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CableStage {
    /// The server speaks first.
    Unwelcome,
    Subscribing,
    Subscribed,
}

#[derive(Debug)]
struct Client {
    plan: Arc<CablePlan>,
    stage: CableStage,
    /// When anything was heard last.
    heard: Instant,
    calls: Calls,
    /// Of the one that leads a run with a trigger.
    round: Option<Box<Round>>,
}

impl Cable {
    /// The scenario as meant.
    #[must_use]
    pub fn new(options: CableOptions) -> Self {
        let identifier = Identifier::new(&options.channel);
        let (mut before, mut after) = (Vec::new(), Vec::new());
        identifier.perform(&options.action, &mut before, &mut after);
        Self(Arc::new(CablePlan {
            identifier,
            before,
            after,
            filler: filler(options.content_bytes, options.seed),
            senders: options.senders,
            trigger: options.trigger,
        }))
    }
}

impl Program for Cable {
    fn name(&self) -> &'static str {
        "cable"
    }

    fn turns(&self) -> Turns {
        match self.0.trigger {
            Some(_) => Turns::Endless,
            None => self.0.senders.turns(),
        }
    }

    fn subprotocol(&self) -> Option<&'static str> {
        Some(cable::SUBPROTOCOL)
    }

    fn begin(&self, _number: u32) -> Box<dyn Dialogue> {
        Box::new(Client {
            plan: Arc::clone(&self.0),
            stage: CableStage::Unwelcome,
            heard: Instant::default(),
            calls: Calls::default(),
            round: None,
        })
    }
}

impl Dialogue for Client {
    /// Nothing is said yet: for the welcome and the subscription there is the connect's own time.
    fn on_open(&mut self, _context: &mut Context<'_>) {}

    fn on_message(&mut self, heard: Incoming<'_>, context: &mut Context<'_>) {
        self.heard = context.now();
        let text = match heard {
            Incoming::Text(text) => text,
            Incoming::Pong(_) => return,
            Incoming::Binary(_) | Incoming::Event { .. } => b"",
        };
        match cable::read(text) {
            Ok(said) => self.told_by_server(said, context),
            Err(_) if self.stage == CableStage::Subscribed => context.wrong(),
            Err(_) => context.fail("not_actioncable"),
        }
    }

    fn on_turn(&mut self, piece: Piece, context: &mut Context<'_>) {
        if let (Some(trigger), Some(round)) = (&self.plan.trigger, &mut self.round) {
            return round.begin(trigger, piece, context);
        }
        let stamp = self.calls.begin(piece, context).encode();
        let CablePlan {
            before,
            filler,
            after,
            ..
        } = &*self.plan;
        context.text_parts(&[before, &stamp, filler, after]);
    }

    fn on_timer(&mut self, context: &mut Context<'_>) {
        match self.stage {
            CableStage::Unwelcome => context.fail("no_welcome"),
            // Rails says nothing where there is no such channel.
            CableStage::Subscribing => context.fail("no_confirmation"),
            CableStage::Subscribed => self.watch(context),
        }
    }

    fn on_note(&mut self, note: Note, context: &mut Context<'_>) {
        if let Some(round) = &mut self.round {
            round.told(note, context);
        }
    }

    fn on_close(&mut self, _context: &mut Context<'_>) {
        if let (Some(trigger), CableStage::Subscribed) = (&self.plan.trigger, self.stage) {
            trigger.leave();
        }
    }
}

impl Client {
    fn told_by_server(&mut self, said: Said<'_>, context: &mut Context<'_>) {
        match (self.stage, said) {
            (CableStage::Unwelcome, Said::Welcome) => {
                self.stage = CableStage::Subscribing;
                let mut command = Vec::new();
                self.plan.identifier.subscribe(&mut command);
                context.text_parts(&[&command]);
            }
            (CableStage::Subscribing, Said::Confirmed(raw)) if self.plan.identifier.is(raw) => {
                self.be_subscribed(context);
            }
            (CableStage::Subscribing, Said::Rejected(raw)) if self.plan.identifier.is(raw) => {
                context.fail("subscription_rejected");
            }
            (CableStage::Unwelcome, Said::Disconnect { may_return: false }) => {
                context.fail("unauthorized");
            }
            (_, Said::Disconnect { .. }) => context.fail("disconnected"),
            (_, Said::Ping) => {}
            (
                _,
                Said::Message {
                    identifier,
                    message,
                },
            ) => {
                self.message(identifier, message, context);
            }
            (_, Said::Welcome | Said::Confirmed(_) | Said::Rejected(_)) => context.wrong(),
        }
    }

    fn be_subscribed(&mut self, context: &mut Context<'_>) {
        self.stage = CableStage::Subscribed;
        let part = match &self.plan.trigger {
            Some(trigger) => trigger.join(context),
            None => self.plan.senders.part(context.number()),
        };
        if self.plan.trigger.is_some() && part == Part::Speaks {
            self.round = Some(Box::default());
        }
        context.ready(part);
        self.watch(context);
    }

    /// Looks after what has been waited for, and asks to be woken again.
    fn watch(&mut self, context: &mut Context<'_>) {
        let silence = context.now().since(self.heard);
        let rest = STALE_TIME.checked_sub(silence);
        let Some(rest) = rest.filter(|rest| !rest.is_zero()) else {
            return context.fail("no_ping");
        };
        let leads = self.round.is_some();
        context.wake_after(if leads { rest.min(LOOK_TIME) } else { rest });
        if let (Some(trigger), Some(round)) = (&self.plan.trigger, &mut self.round) {
            round.look(trigger, context);
        }
    }

    fn message(&mut self, identifier: &RawValue, message: &RawValue, context: &mut Context<'_>) {
        let bytes = message.get().len();
        if !self.plan.identifier.is(identifier) {
            return context.wrong();
        }
        let stamp = Stamp::find(message.get().as_bytes());
        if let Some(trigger) = &self.plan.trigger {
            trigger.heard(stamp, context);
            return delivered(stamp, bytes, context);
        }
        match stamp {
            Some(stamp) => self.calls.came_back(stamp, bytes, context),
            None => delivered(None, bytes, context),
        }
    }
}

const _: () = assert!(STAMP_BYTES <= 32, "the default payload has room for it");
