//! Carries out what the hub asks for: writes each event once for all who are spoken to alike.

mod cable;
mod centrifugo;
mod cluster;
pub(super) mod io;
mod sessions;
mod streams;
mod withheld;

use super::channels::TopicStreams;
use super::holders::TokenHolders;
use super::identifiers::IdentifierBook;
use super::recovery::IoRecovery;
use super::{
    CABLE, CALLER, CENTRIFUGO, CONNECTING, CONNECTING_CLIENT, EXTENDED_CABLE, SOCKETCLUSTER,
    SOCKETIO, SOCKETIO_RETURNING, STREAM, STREAMS, UNIDIRECTIONAL, channels, views,
};
use crate::app::complaints::{Complaints, LOST_POSITION};
use crate::app::hub::answer::{Asker, Audience, ChannelEvent, EncodingId, HubAnswer};
use crate::app::hub::letter::{HubLetter, Stay};
use crate::app::hub::options::SlowPolicy;
use crate::app::hub::outlet::Outlet;
use crate::app::hub::position::Position;
use crate::app::hub::session::{SessionId, is_session};
use crate::app::rules::Gatekeeper;
use crate::app::tokens::TokenBook;
use crate::app::{Effects, Goodbye, Kind, Message, Notice, Seat, User};
use crate::protocol::centrifugo::code::UNSUBSCRIBED_EXPIRED;
use crate::protocol::centrifugo::{self as codec, CloseAdvice, ErrorCode, Wrap};
use crate::shard::Core;
use crate::time::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// What the hub said that takes more than to write it.
#[derive(Debug)]
pub enum Parked {
    /// An answer to who calls over HTTP, or to a client that is connecting.
    Answer(Asker, HubAnswer),
    /// A push to a client that is connecting.
    Push(User, String),
    /// A client may be here for so long.
    Refresh((User, Seat), EncodingId, Stay),
    /// A socket has joined its session, or has none.
    Joined(User),
    /// A client of Socket.IO that has come back is answered by all its rooms.
    Returned(User),
    /// A client has said that, while it could not be heard.
    Said((User, Seat), Vec<u8>),
}

/// What a desk works with.
#[derive(Debug)]
pub struct DeskTools {
    /// Where a text is written: scratch space.
    pub text: Vec<u8>,
    /// What takes more than to write it.
    pub parked: Vec<Parked>,
    /// The cursors of event streams.
    pub streams: TopicStreams,
    /// Seconds that a subscription lives, by who asked and the command's number, until it is
    /// answered.
    lives: BTreeMap<(User, u32), u64>,
    /// What clients asked for and did not get.
    pub complaints: Complaints,
    /// Who waits for its session.
    pub joining: BTreeSet<User>,
    /// Who is asked what clients may.
    pub gatekeeper: Gatekeeper,
    /// Who has shown a token.
    pub holders: TokenHolders,
    /// What clients of `ActionCable` call their subscriptions.
    identifiers: IdentifierBook,
    /// What is remembered of clients of Socket.IO that may come back, if they may.
    pub recovery: Option<Box<IoRecovery>>,
}

impl DeskTools {
    /// That is who is asked what clients may, where it is counted what they may not, and what
    /// their tokens are verified with.
    #[must_use]
    pub fn new(gatekeeper: Gatekeeper, complaints: Complaints, book: TokenBook) -> Self {
        Self {
            gatekeeper,
            complaints,
            holders: TokenHolders::new(book),
            text: Vec::new(),
            parked: Vec::new(),
            streams: TopicStreams::default(),
            identifiers: IdentifierBook::default(),
            lives: BTreeMap::new(),
            joining: BTreeSet::new(),
            recovery: None,
        }
    }

    /// A user is gone.
    pub fn end(&mut self, (user, seat): (User, Seat)) {
        self.holders.left(seat);
        self.streams.end(user);
        self.identifiers.left(user);
        self.gatekeeper.left(user);
        self.joining.remove(&user);
        while let Some((&key, _)) = self.lives.range((user, 0)..=(user, u32::MAX)).next() {
            self.lives.remove(&key);
        }
    }
}

/// Where the hub's wishes are carried out.
pub struct Desk<'a, E> {
    effects: &'a mut E,
    /// Where a text is written.
    text: &'a mut Vec<u8>,
    parked: &'a mut Vec<Parked>,
    streams: &'a mut TopicStreams,
    lives: &'a mut BTreeMap<(User, u32), u64>,
    complaints: &'a Complaints,
    joining: &'a mut BTreeSet<User>,
    gatekeeper: &'a mut Gatekeeper,
    holders: &'a mut TokenHolders,
    identifiers: &'a mut IdentifierBook,
    recovery: Option<&'a mut IoRecovery>,
}

impl<'a, E: Effects<Vec<HubLetter>>> Desk<'a, E> {
    /// A desk over these effects.
    pub fn new(effects: &'a mut E, tools: &'a mut DeskTools) -> Self {
        let DeskTools {
            text,
            parked,
            streams,
            lives,
            complaints,
            joining,
            gatekeeper,
            holders,
            identifiers,
            recovery,
        } = tools;
        let recovery = recovery.as_deref_mut();
        gatekeeper.tick(effects.now());
        Self {
            effects,
            text,
            parked,
            streams,
            lives,
            complaints,
            joining,
            gatekeeper,
            holders,
            identifiers,
            recovery,
        }
    }

    /// Tells one user what `write` appends.
    pub fn say(&mut self, user: User, write: impl FnOnce(&mut Vec<u8>)) {
        self.text.clear();
        write(self.text);
        self.effects.tell(&[user], plain(as_text(self.text)));
    }

    /// Tells who is heard now what `write` appends.
    pub fn answer_at_once(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.text.clear();
        write(self.text);
        let (kind, bytes) = (Kind::Text, &self.text[..]);
        self.effects.reply(Message { kind, bytes });
    }

    /// Tells these users that text.
    pub fn say_all(&mut self, users: &[User], text: &str) {
        if !users.is_empty() {
            self.effects.tell(users, plain(text));
        }
    }

    /// Ends a client that only listens, and tells it why.
    pub fn tell_and_dismiss(&mut self, user: User, advice: CloseAdvice) {
        self.say(user, |into| {
            codec::push_disconnect(into, Wrap::Bare, advice)
        });
        self.dismiss(user, advice);
    }

    /// Ends a user.
    pub fn dismiss(&mut self, user: User, CloseAdvice { code, reason }: CloseAdvice) {
        self.complaints.count(code);
        self.effects.dismiss(user, Goodbye { code, reason });
    }

    /// A client asks for something that it does not get.
    pub fn complain(&mut self, code: u16) {
        self.complaints.count(code);
    }

    /// Ends a user, as one that is spoken to in that way is told of it.
    pub fn end(&mut self, user: User, encoding: EncodingId, advice: CloseAdvice) {
        match encoding {
            UNIDIRECTIONAL | CONNECTING => self.tell_and_dismiss(user, advice),
            SOCKETCLUSTER => self.dismiss(user, cluster::advice(advice)),
            SOCKETIO | SOCKETIO_RETURNING => self.io_end(user, advice),
            CABLE | EXTENDED_CABLE => self.cable_end(user, advice),
            _ => self.dismiss(user, advice),
        }
    }

    /// The time of a client's subscription is over.
    pub fn subscription_expired(&mut self, user: User, channel: &str) {
        let code = UNSUBSCRIBED_EXPIRED;
        self.say(user, |into| {
            codec::push_unsubscribe(into, Wrap::Push, channel, code, "expired");
        });
    }

    /// What that command of a user asks for lives so many seconds, if it has an end.
    pub fn expires(&mut self, user: User, ticket: u32, ttl_s: Option<u64>) {
        match ttl_s {
            Some(ttl_s) => drop(self.lives.insert((user, ticket), ttl_s)),
            None => drop(self.lives.remove(&(user, ticket))),
        }
    }

    /// Who is asked what clients may.
    pub const fn gatekeeper(&mut self) -> &mut Gatekeeper {
        self.gatekeeper
    }

    /// Who has shown a token.
    pub const fn holders(&mut self) -> &mut TokenHolders {
        self.holders
    }

    /// Answers a command that is not carried out; who wants no answer gets none.
    pub fn fail(&mut self, user: User, id: u32, error: ErrorCode) {
        self.complaints.count(error.code);
        if id > 0 {
            self.say(user, |into| {
                codec::reply(into, id, |into| codec::error(into, error));
            });
        }
    }

    /// What is remembered of clients of Socket.IO that may come back, if they may.
    pub fn recovery(&mut self) -> Option<&mut IoRecovery> {
        self.recovery.as_deref_mut()
    }

    /// Leaves something for later, when nothing is looked at.
    pub fn park(&mut self, parked: Parked) {
        self.parked.push(parked);
    }

    /// Whatever else is to be asked for.
    pub fn effects(&mut self) -> &mut E {
        self.effects
    }

    fn send(&mut self, to: Audience<'_>, notice: Notice<'_>, late: &mut Vec<usize>) {
        if to.slow != SlowPolicy::Disconnect {
            let before = late.len();
            let all = to.users.iter().enumerate();
            let behind = all.filter(|(_, user)| self.effects.is_behind(**user));
            late.extend(behind.map(|(at, _)| at));
            if late.len() > before {
                let is_late = |at: &usize| {
                    late.get(before..)
                        .is_some_and(|it| it.binary_search(at).is_ok())
                };
                let all = to.users.iter().enumerate();
                let others = all.filter(|(at, _)| !is_late(at));
                let others: Vec<User> = others.map(|(_, user)| *user).collect();
                if !others.is_empty() {
                    self.effects.tell(&others, notice);
                }
                return;
            }
        }
        self.effects.tell(to.users, notice);
    }

    /// Tells all of these.
    fn tell_all(
        &mut self,
        to: Audience<'_>,
        channel: &str,
        event: ChannelEvent<'_>,
        late: &mut Vec<usize>,
    ) {
        match (to.encoding, event) {
            // An event of a stream is one push; a message has as many as there are.
            (UNIDIRECTIONAL | CONNECTING, ChannelEvent::Changed([one, more @ ..]))
                if !more.is_empty() =>
            {
                let one = ChannelEvent::Changed(std::slice::from_ref(one));
                self.tell_encoded(to, channel, one, late);
                // Who is late is late once.
                self.tell_all(to, channel, ChannelEvent::Changed(more), &mut Vec::new());
            }
            _ => self.tell_encoded(to, channel, event, late),
        }
    }

    fn tell_encoded(
        &mut self,
        to: Audience<'_>,
        channel: &str,
        event: ChannelEvent<'_>,
        late: &mut Vec<usize>,
    ) {
        match to.encoding {
            CENTRIFUGO | UNIDIRECTIONAL => {
                self.push(wrap(to.encoding), channel, event);
                let text = std::mem::take(self.text);
                self.send(to, plain(as_text(&text)), late);
                *self.text = text;
            }
            CONNECTING | CONNECTING_CLIENT => {
                self.push(wrap(to.encoding), channel, event);
                let text = as_text(self.text);
                for user in to.users {
                    self.parked.push(Parked::Push(*user, text.to_owned()));
                }
            }
            STREAM | STREAMS => self.stream(to, channel, event, late),
            SOCKETCLUSTER => self.cluster_event(to, channel, event, late),
            SOCKETIO | SOCKETIO_RETURNING => self.io_event(to, channel, event, late),
            CABLE | EXTENDED_CABLE => self.cable_event(to, channel, event, late),
            // A caller has subscribed to nothing.
            CALLER | EncodingId(_) => {}
        }
    }
}

impl<E: Effects<Vec<HubLetter>>> Outlet for Desk<'_, E> {
    fn now(&self) -> Instant {
        self.effects.now()
    }

    fn forward(&mut self, to: Core, letter: HubLetter) {
        self.effects.forward(to, letter);
    }

    fn answer(&mut self, to: Asker, mut answer: HubAnswer) {
        if self.joined(to, &answer) {
            return;
        }
        if let HubAnswer::Subscribed(it) = &answer
            && it.missed.as_ref().is_some_and(|missed| !missed.whole)
        {
            self.complaints.count(LOST_POSITION);
        }
        if self.gatekeeper.watches_out() && to.encoding != CALLER {
            self.withhold(to.user, &mut answer);
        }
        match to.encoding {
            CENTRIFUGO | UNIDIRECTIONAL => self.reply(to, &answer),
            SOCKETCLUSTER => self.cluster_answer(to, &answer),
            SOCKETIO | SOCKETIO_RETURNING => self.io_answer(to, &answer),
            CABLE | EXTENDED_CABLE => self.cable_answer(to, &answer),
            STREAM | STREAMS => {
                let topic = self.streams.topic(to.user, to.ticket);
                self.topic(to.user, &topic, &answer);
            }
            CONNECTING | CONNECTING_CLIENT | CALLER => {
                self.parked.push(Parked::Answer(to, answer));
            }
            // Nobody asked.
            EncodingId(_) => {}
        }
    }

    fn tell(
        &mut self,
        to: Audience<'_>,
        channel: &str,
        event: ChannelEvent<'_>,
        late: &mut Vec<usize>,
    ) {
        if is_session(channel) {
            return self.session_news(to, event);
        }
        match event {
            ChannelEvent::Publication(_, it) if self.gatekeeper.watches_out() => {
                self.tell_allowed(to, (channel, event), (channel, &it.data), late);
            }
            ChannelEvent::Matched(within, it) if self.gatekeeper.watches_out() => {
                self.tell_allowed(to, (channel, event), (within, &it.data), late);
            }
            ChannelEvent::Publication(..)
            | ChannelEvent::Matched(..)
            | ChannelEvent::Changed(_)
            | ChannelEvent::Missed(_)
            | ChannelEvent::Interrupted
            | ChannelEvent::Unsubscribed => self.tell_all(to, channel, event, late),
        }
    }

    fn emit(&mut self, encoding: EncodingId, users: &[User], data: &str) {
        self.message(encoding, users, data);
    }

    fn refresh(&mut self, client: (User, Seat), encoding: EncodingId, stay: Stay) {
        self.parked.push(Parked::Refresh(client, encoding, stay));
    }

    fn session_ended(&mut self, session: SessionId, data: &str) {
        self.gatekeeper.session_ended(session, data);
    }

    fn disconnect(&mut self, user: User, encoding: EncodingId, code: u16) {
        self.end(user, encoding, CloseAdvice::of(code));
    }
}

/// The event of a stream that is in no channel.
const EMITTED: &str = "emit";

/// A message without a name or a place.
const fn plain(text: &str) -> Notice<'_> {
    Notice::new(0, "", text)
}

const fn wrap(encoding: EncodingId) -> Wrap {
    match encoding {
        UNIDIRECTIONAL | CONNECTING => Wrap::Bare,
        _ => Wrap::Push,
    }
}

/// What was written is text: every part of it was.
fn as_text(bytes: &[u8]) -> &str {
    let text = std::str::from_utf8(bytes);
    debug_assert!(text.is_ok(), "a dialect wrote no text");
    text.unwrap_or_default()
}
