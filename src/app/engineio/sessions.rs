//! The sessions of one core.

mod moving;
mod polls;
mod telling;

use super::letter::{Carrier, EngineBatch};
use super::outward::Outward;
use super::session::{EngineSession, SessionWay};
use super::unheard::Unheard;
use crate::app::{ApiResponse, Effects, Goodbye, Media, Seat, User};
use crate::limits;
use crate::protocol::socketio::polling::{CLOSE, NOOP, push_text};
use crate::protocol::socketio::{CLOSE_AWAY, CLOSE_NORMAL};
use crate::shard::Core;
use crate::time::Instant;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};

/// The sessions of one core.
#[derive(Debug, Default)]
pub(super) struct EngineSessions {
    /// Which was the last of all.
    last: u64,
    all: BTreeMap<u64, EngineSession>,
    /// Those that a WebSocket carries.
    moved: usize,
    /// Those that poll, by the addresses that they count for.
    by_address: BTreeMap<u64, u32>,
    /// Bytes that wait in all of them.
    waiting: usize,
    /// Whose message is heard.
    pub(super) speaking: Option<u64>,
    /// Whose poll may have something to be told.
    stirred: Vec<u64>,
    /// Who is over, and its seat; the application is to be told.
    ended: Vec<(u64, Option<Seat>)>,
    /// Who has taken much that it was told; the application is to be told.
    caught_up: Vec<(u64, Seat)>,
    /// Who has more to say.
    ready: Vec<u64>,
    /// WebSockets that sessions are to have moved to, and by when.
    upgrades: VecDeque<(Instant, u64, User)>,
    /// What was told last is kept until then.
    farewells: VecDeque<(Instant, u64)>,
    /// Scratch space.
    users: Vec<User>,
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionEnd {
    /// Its client ends it, or its WebSocket is gone.
    Left,
    /// Its client says what none says, or nothing any more.
    Fault,
    /// The application ends it.
    Dismissed(Goodbye),
}

/// What a WebSocket is closed with that no session wants.
pub(super) const UNWANTED: Goodbye = Goodbye {
    code: CLOSE_NORMAL,
    reason: "",
};

impl EngineSessions {
    /// A session begins with a poll; `None` if there are as many as there may be.
    pub(super) fn begin(
        &mut self,
        poll: Carrier,
        (cookie, address): (Option<Box<str>>, Option<u64>),
    ) -> Option<u64> {
        if self.all.len() - self.moved >= limits::IO_POLLERS {
            return None;
        }
        self.last += 1;
        let session = EngineSession::new(poll, cookie, address);
        self.all.insert(self.last, session);
        if let Some(address) = address {
            *self.by_address.entry(address).or_default() += 1;
        }
        Some(self.last)
    }

    /// Sessions that poll and count for that address.
    pub(super) fn pollers(&self, address: u64) -> u32 {
        self.by_address.get(&address).copied().unwrap_or(0)
    }

    /// A session that counted for that address polls no more.
    fn uncount(&mut self, address: Option<u64>) {
        if let Some(address) = address
            && let Entry::Occupied(mut count) = self.by_address.entry(address)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    /// The client of a session has that seat. Whether the session is still there.
    pub(super) fn seat(&mut self, number: u64, seat: Seat) {
        match self.all.get_mut(&number) {
            Some(session) => session.seat = Some(seat),
            // It was ended while it came.
            None => {
                let ended = self.ended.iter_mut().find(|(ended, _)| *ended == number);
                if let Some((_, place)) = ended {
                    *place = Some(seat);
                }
            }
        }
    }

    /// Whether there is such a session.
    pub(super) fn has(&self, number: u64) -> bool {
        let found = self.all.get(&number);
        found.is_some_and(|it| it.way != SessionWay::Over)
    }

    /// Whether there is such a session, though it be over.
    pub(super) fn contains(&self, number: u64) -> bool {
        self.all.contains_key(&number)
    }

    /// Whether there is none.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The seat of a session's client whose messages may be heard now.
    pub(super) fn hearer(&self, number: u64) -> Option<Seat> {
        let session = self.all.get(&number)?;
        session.may_be_heard().then_some(session.seat?)
    }

    /// The same for a message that has not been kept.
    pub(super) fn hearer_at_once(&self, number: u64) -> Option<Seat> {
        let session = self.all.get(&number)?;
        session.may_be_heard_at_once().then_some(session.seat?)
    }

    /// Nothing more of a session is heard until it is released.
    pub(super) fn hold(&mut self, number: u64) {
        if let Some(session) = self.all.get_mut(&number) {
            session.is_held = true;
        }
    }

    /// It is heard again.
    pub(super) fn release(&mut self, number: u64) {
        if let Some(session) = self.all.get_mut(&number) {
            session.is_held = false;
            self.ready.push(number);
        }
    }

    /// A session has more to say.
    pub(super) fn go_on(&mut self, number: u64) {
        self.ready.push(number);
    }

    /// Those that have more to say.
    pub(super) fn take_ready(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.ready)
    }

    /// Keeps what a session has said and is not heard yet.
    pub(super) fn keep<E: Effects<EngineBatch>>(
        &mut self,
        number: u64,
        inbound: Unheard,
        out: &mut Outward<'_, E>,
    ) {
        let Some(session) = self.all.get_mut(&number) else {
            return;
        };
        self.waiting += inbound.bytes();
        session.keep(inbound);
        self.bound(number, out);
    }

    /// What a session has said and is to be heard next.
    pub(super) fn take_inbound(&mut self, number: u64) -> Option<Unheard> {
        let inbound = self.all.get_mut(&number)?.take_inbound()?;
        self.waiting -= inbound.bytes();
        Some(inbound)
    }

    /// That is still to be heard, before all else; given back if the session is over.
    pub(super) fn put_back(&mut self, number: u64, inbound: Unheard) -> Result<(), Unheard> {
        match self.all.get_mut(&number) {
            Some(session) if session.way != SessionWay::Over => {
                self.waiting += inbound.bytes();
                session.put_back(inbound);
                Ok(())
            }
            Some(_) | None => Err(inbound),
        }
    }

    /// Who is over, and who has caught up, since the last time.
    pub(super) fn take_ended(&mut self) -> Option<(u64, Option<Seat>)> {
        self.ended.pop()
    }

    /// Who has taken much of what it was told.
    pub(super) fn take_caught_up(&mut self) -> Option<(u64, Seat)> {
        self.caught_up.pop()
    }

    /// A session is over.
    pub(super) fn end<E: Effects<EngineBatch>>(
        &mut self,
        number: u64,
        end: SessionEnd,
        out: &mut Outward<'_, E>,
    ) {
        let Some(mut session) = self.remove(number) else {
            return;
        };
        if session.way == SessionWay::Over {
            // The application knows.
            return;
        }
        self.ended.push((number, session.seat));
        while let Some(inbound) = session.take_inbound() {
            accept(&inbound, out);
        }
        let goodbye = match end {
            SessionEnd::Dismissed(goodbye) => goodbye,
            SessionEnd::Left | SessionEnd::Fault => UNWANTED,
        };
        let upgrade = session.upgrade.take().map(|it| it.socket);
        let carried = match session.way {
            SessionWay::Socket(socket) => Some(socket),
            SessionWay::Polling | SessionWay::Over => None,
        };
        for socket in upgrade.into_iter().chain(carried) {
            out.dismiss(socket, goodbye);
        }
        if let Some(poll) = session.poll.take() {
            let mut queue = session.take_queue();
            let last = match end {
                SessionEnd::Left => NOOP,
                SessionEnd::Fault | SessionEnd::Dismissed(_) => CLOSE,
            };
            push_text(&mut queue, last);
            out.respond(poll, payload(queue, session.cookie.take()));
        } else if session.way == SessionWay::Polling && goodbye.code == CLOSE_AWAY {
            // What it was told last waits for its next poll.
            session.way = SessionWay::Over;
            self.waiting += session.waiting();
            self.all.insert(number, session);
            let until = out.now() + limits::IO_FAREWELL_TIME;
            self.farewells.push_back((until, number));
        }
    }

    /// When the time brings something.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let upgrade = self.upgrades.front().map(|(at, ..)| *at);
        let farewell = self.farewells.front().map(|(at, _)| *at);
        let ready = (!self.ready.is_empty()).then_some(Instant::default());
        [upgrade, farewell, ready].into_iter().flatten().min()
    }

    /// The time has come, perhaps.
    pub(super) fn expired<E: Effects<EngineBatch>>(
        &mut self,
        now: Instant,
        out: &mut Outward<'_, E>,
    ) {
        while let Some((_, number, user)) = self.upgrades.pop_front_if(|(at, ..)| *at <= now) {
            self.give_up(number, user, out);
        }
        while let Some((_, number)) = self.farewells.pop_front_if(|(at, _)| *at <= now) {
            if self
                .all
                .get(&number)
                .is_some_and(|it| it.way == SessionWay::Over)
            {
                self.remove(number);
            }
        }
    }

    /// Another core is gone, and what carried sessions there.
    pub(super) fn lost<E: Effects<EngineBatch>>(&mut self, core: Core, out: &mut Outward<'_, E>) {
        let is_there = |carrier: Option<Carrier>| carrier.is_some_and(|it| it.core == core);
        let all = self.all.iter_mut().filter_map(|(number, session)| {
            session.upgrade.take_if(|it| it.socket.core == core);
            let socket = match session.way {
                SessionWay::Socket(socket) => Some(socket),
                SessionWay::Polling | SessionWay::Over => None,
            };
            let polled = session.poll.take_if(|it| it.core == core);
            (is_there(socket) || polled.is_some()).then_some(*number)
        });
        for number in all.collect::<Vec<_>>() {
            self.end(number, SessionEnd::Left, out);
        }
    }

    fn remove(&mut self, number: u64) -> Option<EngineSession> {
        let mut session = self.all.remove(&number)?;
        self.waiting -= session.waiting();
        self.uncount(session.address.take());
        self.moved -= usize::from(matches!(session.way, SessionWay::Socket(_)));
        Some(session)
    }

    /// Ends a session for which too much waits.
    fn bound<E: Effects<EngineBatch>>(&mut self, number: u64, out: &mut Outward<'_, E>) {
        let session = self.all.get(&number);
        let is_too_much = session.is_some_and(EngineSession::is_too_much);
        if is_too_much || self.waiting > limits::IO_QUEUES_BYTES {
            self.end(number, SessionEnd::Fault, out);
        }
    }
}

/// Answers whoever brought what is heard now.
pub(super) fn accept<E: Effects<EngineBatch>>(inbound: &Unheard, out: &mut Outward<'_, E>) {
    if inbound.is_request() {
        let response = ApiResponse {
            media: Media::Html,
            ..payload("ok".to_owned(), None)
        };
        out.respond(inbound.from, response);
    } else {
        out.heard(inbound.from, inbound.bytes());
    }
}

/// The answer that is a payload.
fn payload(text: String, cookie: Option<Box<str>>) -> ApiResponse {
    ApiResponse {
        status: 200,
        media: Media::Text,
        text,
        cookie,
    }
}
