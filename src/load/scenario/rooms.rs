//! Rooms: one member of each room says something, and each iteration lasts until every member of
//! the room has it.
//!
//! The server gives each connection a room (`/rooms`, docs/serve.md) and tells it who is there. The
//! client that finds its room empty is the one that speaks there; when it leaves, the one that has
//! been there for longest takes over, and learns from its first broadcast who is there. What it
//! says carries its [`Address`] in the run, so that the members, on whichever core, tell it when
//! they heard it: all of them read one host's clock. Over an event stream it posts what it says.
//!
//! A broadcast is for those who were there when it was said. One of them that leaves before it has
//! the broadcast is not waited for: the iteration is over when all others have it, and lost;
//! but not where members come and go by the plan.

use super::{
    Address, Context, Dialogue, Exchange, Incoming, Note, Part, Piece, Program, Stray, Turns,
};
use crate::load::transport::Transport;
use crate::time::Instant;
use serde::Deserialize;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

/// How long the speaker waits for the last member: then the iteration counts as lost.
const PATIENCE_TIME: Duration = Duration::from_secs(10);

/// The failure of a client whose room is not of the size that was asked for.
pub const OTHER_ROOM_SIZE: &str = "other_room_size";

/// The scenario `rooms`.
#[derive(Clone, Debug)]
pub struct Rooms {
    /// Iterations of each room; `None`: as many as there is time for.
    pub iterations: Option<u32>,
    /// Bytes of one message: it is filled up to that, if what it has to carry is shorter.
    pub payload_bytes: usize,
    /// Members of a room that the server has to allow for; `None`: as many as it likes.
    pub size: Option<u32>,
    /// Members come and go by the plan: what is not heard by one that left is not lost.
    pub comes_and_goes: bool,
}

impl Program for Rooms {
    fn name(&self) -> &'static str {
        "rooms"
    }

    fn turns(&self) -> Turns {
        match self.iterations {
            Some(_) => Turns::Limited,
            None => Turns::Endless,
        }
    }

    fn begin(&self, _number: u32) -> Box<dyn Dialogue> {
        Box::new(Member {
            iterations: self.iterations.map_or(u64::MAX, u64::from),
            payload_bytes: self.payload_bytes,
            size: self.size,
            comes_and_goes: self.comes_and_goes,
            number: None,
            older: 0,
            members: 0,
            newest: 0,
            present: Vec::new(),
            heard: 0,
            iteration: 0,
            say: String::new(),
            broadcast: None,
        })
    }
}

/// One client in its room.
#[derive(Debug)]
struct Member {
    /// Iterations of its room.
    iterations: u64,
    payload_bytes: usize,
    size: Option<u32>,
    comes_and_goes: bool,
    /// Who it is, once it has been told.
    number: Option<u32>,
    /// Members that came before it and are still there: without any, it speaks.
    older: u32,
    /// Members of the room, itself included, and the number of the one that came last.
    members: u32,
    newest: u32,
    /// Who they are: known to the one that speaks, from its first broadcast on.
    present: Vec<u32>,
    /// The newest number of the room's events.
    heard: u64,
    /// The iteration that was begun last, by whomever.
    iteration: u64,
    /// Where to post what it says, over an event stream.
    say: String,
    broadcast: Option<Box<Broadcast>>,
}

/// What was said and has not reached everyone.
#[derive(Debug)]
struct Broadcast {
    exchange: Exchange,
    sent: Instant,
    last: Instant,
    awaited: Awaited,
    delays_ns: Vec<u64>,
    /// Somebody left without it.
    is_short: bool,
}

/// Who has not got a broadcast yet.
#[derive(Debug)]
enum Awaited {
    Known(Vec<u32>),
    /// So many, none of them with a number above `newest`; `heard` have got it.
    Counted {
        count: u32,
        newest: u32,
        heard: Vec<u32>,
    },
}

/// What the server tells. Keys that are not there are not needed.
#[derive(Deserialize)]
struct RoomNotice<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    seq: u64,
    member: Option<u32>,
    members: Option<u32>,
    size: Option<u32>,
    #[serde(borrow)]
    say: Option<Cow<'a, str>>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
}

impl Dialogue for Member {
    fn on_open(&mut self, _context: &mut Context<'_>) {}

    fn on_message(&mut self, heard: Incoming<'_>, context: &mut Context<'_>) {
        let bytes = match heard {
            Incoming::Text(bytes) => bytes,
            Incoming::Event { text, .. } => text.as_bytes(),
            Incoming::Pong(_) => return,
            Incoming::Binary(_) => return context.fail("no_rooms_here"),
        };
        let Ok(news) = serde_json::from_slice::<RoomNotice<'_>>(bytes) else {
            return context.fail("no_rooms_here");
        };
        if self.number.is_none() {
            return self.welcomed(&news, context);
        }
        if !self.follows(news.seq, context) {
            return;
        }
        match (news.kind, news.member) {
            ("said", _) => {
                context.received(bytes.len());
                if let Some(said) = news.text.as_deref().and_then(SpokenText::parse) {
                    context.one_way(said.sent);
                    self.iteration = self.iteration.max(said.iteration);
                    let (sequence, at) = (said.iteration, context.now());
                    let from = self.number.unwrap_or(0);
                    context.tell(said.speaker, Note { sequence, from, at });
                }
            }
            ("joined", Some(member)) => self.joined(member),
            ("left", Some(member)) => self.left(member, context),
            _ => {}
        }
    }

    fn on_turn(&mut self, piece: Piece, context: &mut Context<'_>) {
        if self.broadcast.is_some() || self.is_done() || self.older > 0 {
            return;
        }
        self.iteration += 1;
        let exchange = context.begin(piece);
        context.broadcast(&exchange, self.members);
        let sent = context.now();
        let said = SpokenText {
            speaker: context.address(),
            iteration: self.iteration,
            sent,
        };
        let text = said.text(self.payload_bytes);
        match context.transport() {
            Transport::WebSocket => context.text(&text),
            Transport::Sse => context.post(&self.say, &text),
        }
        context.wake_after(PATIENCE_TIME);
        self.broadcast = Some(Box::new(Broadcast {
            exchange,
            sent,
            last: sent,
            awaited: self.awaited(),
            delays_ns: Vec::new(),
            is_short: false,
        }));
    }

    fn on_timer(&mut self, context: &mut Context<'_>) {
        if self.number.is_none() {
            return context.fail("no_room");
        }
        if let Some(broadcast) = self.broadcast.take() {
            context.lose(broadcast.exchange);
            self.rest_if_done(context);
        }
    }

    fn on_note(&mut self, note: Note, context: &mut Context<'_>) {
        let Some(broadcast) = &mut self.broadcast else {
            return;
        };
        // Of an iteration that was given up.
        if note.sequence != self.iteration {
            return;
        }
        // It came when this had been said, or has told before.
        if !broadcast.awaited.heard(note.from) {
            return;
        }
        context.delivered(&broadcast.exchange);
        let since = |then: Instant| note.at.as_nanos().saturating_sub(then.as_nanos());
        broadcast.delays_ns.push(since(broadcast.sent));
        broadcast.last = broadcast.last.max(note.at);
        self.end_if_heard(context);
    }
}

impl Member {
    /// The first message: who it is and who is there.
    fn welcomed(&mut self, news: &RoomNotice<'_>, context: &mut Context<'_>) {
        let ("room", Some(number), Some(members)) = (news.kind, news.member, news.members) else {
            return context.fail("no_rooms_here");
        };
        if self.size.is_some() && self.size != news.size {
            return context.fail(OTHER_ROOM_SIZE);
        }
        self.number = Some(number);
        self.heard = news.seq;
        (self.older, self.members, self.newest) = (members.saturating_sub(1), members, number);
        if context.transport() == Transport::Sse {
            self.say = news.say.as_deref().unwrap_or_default().to_owned();
        }
        if self.older > 0 {
            return context.ready(Part::Listens);
        }
        self.present.push(number);
        context.ready(Part::Speaks);
    }

    /// Whether no iteration is to begin any more.
    const fn is_done(&self) -> bool {
        self.iteration >= self.iterations
    }

    /// Whom what it says now is to reach.
    fn awaited(&self) -> Awaited {
        if self.present.len() == self.members as usize {
            return Awaited::Known(self.present.clone());
        }
        Awaited::Counted {
            count: self.members,
            newest: self.newest,
            heard: Vec::new(),
        }
    }

    /// Another member has come.
    fn joined(&mut self, member: u32) {
        self.members += 1;
        self.newest = self.newest.max(member);
        if self.older == 0 {
            self.present.push(member);
        }
    }

    /// Another member is gone, with or without what was said last.
    fn left(&mut self, member: u32, context: &mut Context<'_>) {
        self.members = self.members.saturating_sub(1);
        if self.older > 0 {
            if self.number.is_some_and(|number| member < number) {
                self.older -= 1;
            }
            if self.older == 0 && !self.is_done() {
                context.ready(Part::Speaks);
            }
            return;
        }
        take_off(&mut self.present, member);
        if let Some(broadcast) = &mut self.broadcast
            && broadcast.awaited.left(member)
        {
            if self.comes_and_goes {
                context.excused(&broadcast.exchange);
            } else {
                broadcast.is_short = true;
            }
            self.end_if_heard(context);
        }
    }

    /// Ends the iteration if nobody is awaited any more.
    fn end_if_heard(&mut self, context: &mut Context<'_>) {
        let is_over = |broadcast: &mut Box<Broadcast>| broadcast.awaited.is_nobody();
        let Some(mut broadcast) = self.broadcast.take_if(is_over) else {
            return;
        };
        if let Awaited::Counted { newest, heard, .. } = &mut broadcast.awaited {
            // Who has come since is known already.
            self.present.retain(|member| *member > *newest);
            self.present.append(heard);
        }
        if broadcast.is_short {
            context.lose(broadcast.exchange);
        } else {
            context.spread(&broadcast.exchange, &mut broadcast.delays_ns);
            context.finish_at(broadcast.exchange, broadcast.last);
        }
        self.rest_if_done(context);
    }

    /// Whether an event of that number is new; counts what is wrong with it.
    fn follows(&mut self, seq: u64, context: &mut Context<'_>) -> bool {
        match seq.checked_sub(self.heard) {
            Some(1) => {}
            Some(0) => context.stray(Stray::Duplicate),
            None => context.stray(Stray::Reordered),
            Some(step) => context.stray(Stray::Gap(step - 1)),
        }
        let is_new = seq > self.heard;
        self.heard = self.heard.max(seq);
        is_new
    }

    fn rest_if_done(&mut self, context: &mut Context<'_>) {
        context.sleep();
        if self.is_done() {
            context.done();
        }
    }
}

impl Awaited {
    /// A member has got it. Whether it was awaited.
    fn heard(&mut self, member: u32) -> bool {
        match self {
            Self::Known(all) => take_off(all, member),
            Self::Counted { newest, heard, .. } => {
                let is_awaited = member <= *newest && !heard.contains(&member);
                if is_awaited {
                    heard.push(member);
                }
                is_awaited
            }
        }
    }

    /// A member is gone. Whether it was awaited.
    fn left(&mut self, member: u32) -> bool {
        match self {
            Self::Known(all) => take_off(all, member),
            Self::Counted {
                count,
                newest,
                heard,
            } => {
                let was_there = member <= *newest;
                *count -= u32::from(was_there);
                was_there && !take_off(heard, member)
            }
        }
    }

    /// Whether everybody has got it.
    fn is_nobody(&self) -> bool {
        match self {
            Self::Known(all) => all.is_empty(),
            Self::Counted { count, heard, .. } => heard.len() >= *count as usize,
        }
    }
}

/// Takes a member off a list; whether it was on it.
fn take_off(list: &mut Vec<u32>, member: u32) -> bool {
    let place = list.iter().position(|listed| *listed == member);
    place.map(|place| list.swap_remove(place)).is_some()
}

/// What a speaker says: who it is in the run, the iteration, the time, and filler.
struct SpokenText {
    speaker: Address,
    iteration: u64,
    sent: Instant,
}

impl SpokenText {
    fn text(&self, bytes: usize) -> String {
        let (iteration, sent) = (self.iteration, self.sent.as_nanos());
        let mut text = format!("{} {iteration} {sent} ", self.speaker);
        let missing = bytes.saturating_sub(text.len());
        // Writing to a String does not fail.
        let _ = write!(text, "{:.<missing$}", "");
        text
    }

    /// Reads it; `None` for what somebody else says.
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        Some(Self {
            speaker: words.next()?.parse().ok()?,
            iteration: words.next()?.parse().ok()?,
            sent: Instant::from_nanos(words.next()?.parse().ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::{ConnectionId, Core};

    #[test]
    fn what_is_said_is_read_as_written_and_is_as_long_as_wanted() {
        let said = SpokenText {
            speaker: Address {
                core: Core(1),
                id: ConnectionId::new(77, 3),
            },
            iteration: 12,
            sent: Instant::from_nanos(5_000_000_000),
        };
        let text = said.text(100);
        assert_eq!(text.len(), 100);
        let read = SpokenText::parse(&text).unwrap();
        assert_eq!((read.speaker, read.iteration), (said.speaker, 12));
        assert_eq!(read.sent, said.sent);
        assert!(SpokenText::parse(&said.text(0)).is_some());
        assert!(SpokenText::parse("hello everybody").is_none());
    }
}
