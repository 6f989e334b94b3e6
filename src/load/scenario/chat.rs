//! Chats of two strangers: each client is matched by the server with another one, and what it says
//! is under way until its partner has it.
//!
//! The server is told and tells what docs/chat.md says (`/chat`). A text carries the [`Address`] of
//! who says it, its number and the time, so that the partner, on whichever core, tells when it
//! heard it: both read one host's clock. Who loses its partner asks for the next one.

use super::Turns;
use super::{Address, Context, Dialogue, Exchange, Incoming, Note, Part, Piece, Program, Senders};
use crate::time::Instant;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt::Write as _;

/// The longest text: what is around it has room beside it in what a server takes.
pub const CHAT_TEXT_BYTES: usize = 16_000;

/// Texts of one client that may be under way: more would only wait in front of a server that is
/// late, and its plan lets them go.
const UNDER_WAY: usize = 1024;

const FILLER: [u8; CHAT_TEXT_BYTES] = [b'.'; CHAT_TEXT_BYTES];

/// The scenario `chat`.
#[derive(Clone, Debug)]
pub struct ChatScenario {
    /// Messages of each client; `None`: as many as there is time for.
    pub messages: Option<u32>,
    /// Bytes of one text: it is filled up to that, if what it has to carry is shorter.
    pub payload_bytes: usize,
    /// Says that it types before each message, and that it has stopped after it.
    pub types: bool,
    /// How many clients say something; the others are idle.
    pub senders: Senders,
    /// Asks for another partner after so many messages.
    pub next_after: Option<u32>,
    /// Clients come and go by the plan: what a partner that left has not heard is not lost.
    pub comes_and_goes: bool,
}

impl Program for ChatScenario {
    fn name(&self) -> &'static str {
        "chat"
    }

    fn turns(&self) -> Turns {
        match (self.senders.turns(), self.messages) {
            (Turns::Never, _) => Turns::Never,
            (Turns::Endless | Turns::Limited, Some(_)) => Turns::Limited,
            (Turns::Endless | Turns::Limited, None) => Turns::Endless,
        }
    }

    fn begin(&self, number: u32) -> Box<dyn Dialogue> {
        Box::new(Chatter {
            plan: self.clone(),
            part: self.senders.part(number),
            left: self.messages.unwrap_or(u32::MAX),
            is_up: false,
            has_partner: false,
            wants_next: false,
            said: 0,
            said_here: 0,
            heard: None,
            under_way: VecDeque::new(),
            head: String::new(),
        })
    }
}

/// One client.
#[derive(Debug)]
struct Chatter {
    plan: ChatScenario,
    part: Part,
    /// Messages that it has still to say.
    left: u32,
    is_up: bool,
    has_partner: bool,
    /// It asks for another partner once this one has heard everything.
    wants_next: bool,
    /// Messages so far: the number of the newest.
    said: u64,
    /// Those of this chat.
    said_here: u32,
    /// The number of the newest that its partner has said.
    heard: Option<u64>,
    under_way: VecDeque<(u64, Exchange)>,
    /// The beginning of a text.
    head: String,
}

/// What the server tells. Keys that are not there are not needed.
#[derive(Deserialize)]
struct ChatNotice<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    code: Option<&'a str>,
}

impl Dialogue for Chatter {
    fn on_open(&mut self, context: &mut Context<'_>) {
        let number = context.number();
        context.text(&format!(r#"{{"type":"enter","name":"client {number}"}}"#));
    }

    fn on_message(&mut self, heard: Incoming<'_>, context: &mut Context<'_>) {
        let bytes = match heard {
            Incoming::Text(bytes) => bytes,
            Incoming::Pong(_) => return,
            Incoming::Binary(_) | Incoming::Event { .. } => return context.fail("no_chat_here"),
        };
        let Ok(notice) = serde_json::from_slice::<ChatNotice<'_>>(bytes) else {
            return context.fail("no_chat_here");
        };
        match (notice.kind, notice.text) {
            ("say", Some(text)) => self.heard(&text, context),
            ("matched", None) => self.matched(context),
            ("gone", None) => self.deserted(context),
            ("waiting" | "typing" | "idle" | "left", None) => {}
            // It crossed the word that the partner is gone.
            ("error", None) if notice.code == Some("no_partner") => {}
            ("error", None) => context.fail("chat_error"),
            _ => context.fail("no_chat_here"),
        }
    }

    fn on_turn(&mut self, piece: Piece, context: &mut Context<'_>) {
        let may = self.has_partner && !self.wants_next && self.left > 0;
        if !may || self.under_way.len() >= UNDER_WAY {
            return;
        }
        self.left -= 1;
        self.said += 1;
        self.said_here += 1;
        self.wants_next = self
            .plan
            .next_after
            .is_some_and(|most| self.said_here >= most);
        self.under_way.push_back((self.said, context.begin(piece)));
        if self.plan.types {
            context.text(r#"{"type":"typing","on":true}"#);
        }
        self.head.clear();
        let (speaker, sent) = (context.address(), context.now().as_nanos());
        // Writing to a String does not fail.
        let _ = write!(self.head, "{speaker} {} {sent} ", self.said);
        let missing = self.plan.payload_bytes.saturating_sub(self.head.len());
        let filler = FILLER.get(..missing).unwrap_or(&FILLER);
        let (before, after) = (br#"{"type":"say","text":""#, br#""}"#);
        context.text_parts(&[before, self.head.as_bytes(), filler, after]);
        if self.plan.types {
            context.text(r#"{"type":"typing","on":false}"#);
        }
    }

    fn on_note(&mut self, note: Note, context: &mut Context<'_>) {
        // One that is not under way was of a chat that is over.
        let mut numbers = self.under_way.iter();
        let Some(at) = numbers.position(|(number, _)| *number == note.sequence) else {
            return;
        };
        if let Some((_, exchange)) = self.under_way.remove(at) {
            context.finish_at(exchange, note.at);
        }
        self.go_on(context);
    }
}

impl Chatter {
    fn matched(&mut self, context: &mut Context<'_>) {
        self.has_partner = true;
        (self.said_here, self.heard) = (0, None);
        if !self.is_up {
            self.is_up = true;
            context.ready(self.part);
        }
    }

    /// Its partner has said something.
    fn heard(&mut self, text: &str, context: &mut Context<'_>) {
        context.received(text.len());
        let Some(said) = Stamped::parse(text) else {
            return context.wrong();
        };
        if self.heard.is_some_and(|before| said.number != before + 1) {
            context.wrong();
        }
        self.heard = Some(said.number);
        context.one_way(said.sent);
        let (sequence, from, at) = (said.number, context.number(), context.now());
        context.tell(said.speaker, Note { sequence, from, at });
    }

    /// Its partner is gone, and what that has not heard with it.
    fn deserted(&mut self, context: &mut Context<'_>) {
        // It has asked for the next one already, and is not to leave that one.
        if !self.has_partner {
            return;
        }
        let is_planned = self.plan.comes_and_goes || self.plan.next_after.is_some();
        for (_, exchange) in self.under_way.drain(..) {
            if is_planned {
                context.finish_unmeasured(exchange);
            } else {
                context.lose(exchange);
            }
        }
        self.wants_next = true;
        self.go_on(context);
    }

    /// Something is not under way any more.
    fn go_on(&mut self, context: &mut Context<'_>) {
        if !self.under_way.is_empty() {
            return;
        }
        if self.left == 0 {
            context.done();
        }
        if self.wants_next {
            (self.wants_next, self.has_partner) = (false, false);
            context.text(r#"{"type":"next"}"#);
        }
    }
}

/// What a text carries before its filler.
struct Stamped {
    speaker: Address,
    number: u64,
    sent: Instant,
}

impl Stamped {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        Some(Self {
            speaker: words.next()?.parse().ok()?,
            number: words.next()?.parse().ok()?,
            sent: Instant::from_nanos(words.next()?.parse().ok()?),
        })
    }
}
