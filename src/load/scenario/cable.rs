//! The scenario `cable`: subscribes to a channel of an `ActionCable` server, performs an action
//! on it and waits for the message to come back on that subscription; or fires a request, and
//! waits until every client has heard what the server broadcast because of it.

use super::calls::{Calls, STAMP_BYTES, Stamp, delivered, filler};
use super::trigger::{Round, Trigger};
use super::{Dialogue, Heard, Line, Note, Part, Piece, Program, Senders, Turns};
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
pub struct Cable(Arc<Plan>);

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
struct Plan {
    identifier: Identifier,
    before: Vec<u8>,
    after: Vec<u8>,
    filler: Vec<u8>,
    senders: Senders,
    trigger: Option<Trigger>,
}

/// How far a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The server speaks first.
    Unwelcome,
    Subscribing,
    Subscribed,
}

#[derive(Debug)]
struct Client {
    plan: Arc<Plan>,
    stage: Stage,
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
        Self(Arc::new(Plan {
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
            stage: Stage::Unwelcome,
            heard: Instant::default(),
            calls: Calls::default(),
            round: None,
        })
    }
}

impl Dialogue for Client {
    /// Nothing is said yet: for the welcome and the subscription there is the connect's own time.
    fn up(&mut self, _line: &mut Line<'_>) {}

    fn heard(&mut self, heard: Heard<'_>, line: &mut Line<'_>) {
        self.heard = line.now();
        let text = match heard {
            Heard::Text(text) => text,
            Heard::Pong(_) => return,
            Heard::Binary(_) | Heard::Event { .. } => b"",
        };
        match cable::read(text) {
            Ok(said) => self.told_by_server(said, line),
            Err(_) if self.stage == Stage::Subscribed => line.wrong(),
            Err(_) => line.fail("not_actioncable"),
        }
    }

    fn turn(&mut self, piece: Piece, line: &mut Line<'_>) {
        if let (Some(trigger), Some(round)) = (&self.plan.trigger, &mut self.round) {
            return round.begin(trigger, piece, line);
        }
        let stamp = self.calls.begin(piece, line).encode();
        let Plan {
            before,
            filler,
            after,
            ..
        } = &*self.plan;
        line.text_parts(&[before, &stamp, filler, after]);
    }

    fn due(&mut self, line: &mut Line<'_>) {
        match self.stage {
            Stage::Unwelcome => line.fail("no_welcome"),
            // Rails says nothing where there is no such channel.
            Stage::Subscribing => line.fail("no_confirmation"),
            Stage::Subscribed => self.watch(line),
        }
    }

    fn told(&mut self, note: Note, line: &mut Line<'_>) {
        if let Some(round) = &mut self.round {
            round.told(note, line);
        }
    }

    fn closed(&mut self, _line: &mut Line<'_>) {
        if let (Some(trigger), Stage::Subscribed) = (&self.plan.trigger, self.stage) {
            trigger.leave();
        }
    }
}

impl Client {
    fn told_by_server(&mut self, said: Said<'_>, line: &mut Line<'_>) {
        match (self.stage, said) {
            (Stage::Unwelcome, Said::Welcome) => {
                self.stage = Stage::Subscribing;
                let mut command = Vec::new();
                self.plan.identifier.subscribe(&mut command);
                line.text_parts(&[&command]);
            }
            (Stage::Subscribing, Said::Confirmed(raw)) if self.plan.identifier.is(raw) => {
                self.be_subscribed(line);
            }
            (Stage::Subscribing, Said::Rejected(raw)) if self.plan.identifier.is(raw) => {
                line.fail("subscription_rejected");
            }
            (Stage::Unwelcome, Said::Disconnect { may_return: false }) => {
                line.fail("unauthorized");
            }
            (_, Said::Disconnect { .. }) => line.fail("disconnected"),
            (_, Said::Ping) => {}
            (
                _,
                Said::Message {
                    identifier,
                    message,
                },
            ) => {
                self.message(identifier, message, line);
            }
            (_, Said::Welcome | Said::Confirmed(_) | Said::Rejected(_)) => line.wrong(),
        }
    }

    fn be_subscribed(&mut self, line: &mut Line<'_>) {
        self.stage = Stage::Subscribed;
        let part = match &self.plan.trigger {
            Some(trigger) => trigger.join(line),
            None => self.plan.senders.part(line.number()),
        };
        if self.plan.trigger.is_some() && part == Part::Speaks {
            self.round = Some(Box::default());
        }
        line.ready(part);
        self.watch(line);
    }

    /// Looks after what has been waited for, and asks to be woken again.
    fn watch(&mut self, line: &mut Line<'_>) {
        let silence = line.now().since(self.heard);
        let rest = STALE_TIME.checked_sub(silence);
        let Some(rest) = rest.filter(|rest| !rest.is_zero()) else {
            return line.fail("no_ping");
        };
        let leads = self.round.is_some();
        line.wake_after(if leads { rest.min(LOOK_TIME) } else { rest });
        if let (Some(trigger), Some(round)) = (&self.plan.trigger, &mut self.round) {
            round.look(trigger, line);
        }
    }

    fn message(&mut self, identifier: &RawValue, message: &RawValue, line: &mut Line<'_>) {
        let bytes = message.get().len();
        if !self.plan.identifier.is(identifier) {
            return line.wrong();
        }
        let stamp = Stamp::find(message.get().as_bytes());
        if let Some(trigger) = &self.plan.trigger {
            trigger.heard(stamp, line);
            return delivered(stamp, bytes, line);
        }
        match stamp {
            Some(stamp) => self.calls.came_back(stamp, bytes, line),
            None => delivered(None, bytes, line),
        }
    }
}

const _: () = assert!(STAMP_BYTES <= 32, "the default payload has room for it");
