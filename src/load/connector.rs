//! The connect phase: connects at their pace or a bounded number at once, upgrades, time-outs.

use super::addresses::Addresses;
use super::attempt::Attempt;
use super::barrier::Message;
use super::client::handshake::{self, HeadEnd};
use super::client::table::{Client, State};
use super::config::{Loop, Target};
use super::measure::failure::{Kind, Stage};
use super::phase::{AT_ONCE, NEVER, Phase};
use super::scenario::Part;
use super::seed::seeded;
use super::shard::Load;
use crate::shard::{Close, ConnectionId, Origin, Wire};
use crate::time::Instant;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// Connects started in one turn at most: the turn's other events wait meanwhile.
const CONNECTS_PER_TURN: u32 = 256;
/// Connects under way at once to servers that are near: what the kernel keeps of so many stays in
/// a core's cache, and more would be no faster.
const NEAR_CONNECTING: u32 = 128;
/// A server is far if a connect takes longer: then the way is the limit, and not this core.
const NEAR_TIME: Duration = Duration::from_millis(10);

/// How far the connect phase is.
#[derive(Debug, Default)]
pub(super) struct Connecting {
    /// This core's next connection, and how many it has.
    next: u64,
    share: u64,
    /// What the pace of connects counts from.
    begun: Instant,
    /// The connect phase has been given up: nobody tries again.
    given_up: bool,
    /// A connect took its time.
    is_far: bool,
    /// First connects that are neither up nor failed.
    pub(super) under_way: u32,
    /// When each that was started times out, in order, because all have the same time.
    timeouts: VecDeque<(Instant, ConnectionId)>,
    /// Attempts that wait until another connection has left its slot.
    pub(super) without_slot: VecDeque<Attempt>,
    /// Of names that have several.
    pub(super) addresses: Addresses,
}

impl Connecting {
    /// So many connects, from then on.
    pub(super) fn plan(&mut self, share: u64, begun: Instant) {
        (self.share, self.begun) = (share, begun);
    }

    /// Which address of a target to try.
    pub(super) fn choose(&self, target: &Target, turn: u64, now: Instant) -> Option<SocketAddr> {
        self.addresses.choose(target, turn, now)
    }

    /// Whether no first connect is tried again.
    pub(super) fn is_over(&self) -> bool {
        self.given_up
    }
}

impl Load {
    /// Starts the first connects.
    pub(super) fn begin_connecting(&mut self, wire: &mut impl Wire<Message>) {
        let share = self.stripe.share(u64::from(self.config.connections));
        // Sessions arrive when the run runs.
        let first = match self.config.session {
            None => share,
            Some(_) => 0,
        };
        self.connecting.plan(first, self.timeline.begun());
        self.recorder.outcome.connects.planned = first;
        let share = usize::try_from(share).unwrap_or(0);
        self.fleet.reserve(share);
        if matches!(self.config.messages, Loop::PerConnection { .. }) {
            self.fleet.keep_seats(share);
        }
        self.connect_more(wire);
    }

    /// The time has come for connects or for time-outs.
    pub(super) fn go_on_connecting(&mut self, wire: &mut impl Wire<Message>) {
        let now = wire.now();
        if now >= self.timeline.connect_by() {
            self.give_up_connecting(wire);
            return;
        }
        self.time_out(now, wire);
        self.connect_more(wire);
    }

    /// The connect phase has lasted long enough: what is not up has failed.
    pub(super) fn give_up_connecting(&mut self, wire: &mut impl Wire<Message>) {
        let untried = self.connecting.share - self.connecting.next;
        self.recorder.outcome.connects.dropped += untried;
        self.connecting.next = self.connecting.share;
        self.connecting.given_up = true;
        self.recorder.outcome.connects.failed += self.retries.give_up_first();
        self.fail_without_slot(wire);
        self.time_out(NEVER, wire);
        if self.timeline.phase() == Phase::Connecting {
            self.connects_are_done(wire);
        }
    }

    /// The run was stopped: what is not up is left unfinished.
    pub(super) fn stop_connecting(&mut self, wire: &mut impl Wire<Message>) {
        let connects = &mut self.recorder.outcome.connects;
        connects.dropped += self.connecting.share - self.connecting.next;
        connects.unfinished += u64::from(self.connecting.under_way);
        self.connecting.next = self.connecting.share;
        self.connecting.under_way = 0;
        self.stop_returning();
        for (_, id) in std::mem::take(&mut self.connecting.timeouts) {
            if let Some(client) = self.fleet.get(id)
                && is_under_way(client.state)
            {
                client.state = State::Over;
                self.posts.owner_gone(id);
                wire.close(id, Close::Abort);
            }
        }
        self.close_orphans(wire);
    }

    /// TCP is up, and secured if it is to be: sends the request.
    pub(super) fn connected(
        &mut self,
        id: ConnectionId,
        origin: Origin,
        wire: &mut impl Wire<Message>,
    ) {
        if self.posts.has(id) {
            return self.post_opened(id, wire);
        }
        let now = wire.now();
        let Some(client) = self.fleet.get(id) else {
            return;
        };
        if client.state != State::Connecting {
            return;
        }
        self.connecting.addresses.answered(id);
        let latencies = &mut self.recorder.outcome.latencies;
        let ns = |from: Instant, to: Instant| to.as_nanos().saturating_sub(from.as_nanos());
        match origin {
            Origin::Accepted { .. } | Origin::Connected => {
                latencies.tcp.record_ns(ns(client.since, now));
            }
            Origin::Secured { connected } => {
                latencies.tcp.record_ns(ns(client.since, connected));
                latencies.tls.record_ns(ns(connected, now));
            }
        }
        client.state = State::Upgrading;
        client.since = now;
        let scratch = &mut self.tools.scratch;
        scratch.clear();
        let key = self.config.nonce.key(wire.core(), id);
        handshake::encode_request(scratch, &self.config, client, key);
        let sent = wire.send(id, scratch);
        // A request that cannot be queued is beyond the backlog's cap: no server would take it.
        if sent.is_err() {
            self.connect_failed(
                id,
                Stage::Upgrade,
                Kind::BadResponse("a request too long"),
                wire,
            );
        }
    }

    /// Reads the response head; true when the connection is up.
    pub(super) fn upgrade(
        &mut self,
        id: ConnectionId,
        bytes: &[u8],
        at: &mut usize,
        wire: &mut impl Wire<Message>,
    ) -> bool {
        let Some(client) = self.fleet.get(id) else {
            return false;
        };
        let key = self.config.nonce.key(wire.core(), id);
        let seen = &mut self.recorder.outcome.failures;
        match handshake::read_head(&self.config, client, key, (bytes, at), seen) {
            Ok(None) => false,
            Ok(Some(HeadEnd::Elsewhere(redirect))) => {
                self.follow(id, redirect, wire);
                false
            }
            Ok(Some(HeadEnd::Stream(stream))) => {
                client.stream = stream;
                if self.config.has_dialogues() {
                    self.greet(id, wire);
                } else {
                    self.is_upgraded(id, wire);
                }
                true
            }
            Err(kind) => {
                self.connect_failed(id, Stage::Upgrade, kind, wire);
                false
            }
        }
    }

    /// A connect ended badly; the connection, if there is one, is closed from here.
    pub(super) fn connect_failed(
        &mut self,
        id: ConnectionId,
        stage: Stage,
        kind: Kind,
        wire: &mut impl Wire<Message>,
    ) {
        let Some(client) = self.fleet.get(id) else {
            return;
        };
        assert!(is_under_way(client.state), "it failed before");
        client.state = State::Over;
        let attempt = client.attempt();
        self.posts.owner_gone(id);
        wire.close(id, Close::Abort);
        self.count_failed(id, attempt, (stage, kind), wire);
    }

    /// Counts a connect that failed, and goes on with others.
    pub(super) fn count_failed(
        &mut self,
        id: ConnectionId,
        mut attempt: Attempt,
        (stage, kind): (Stage, Kind),
        wire: &mut impl Wire<Message>,
    ) {
        if self.connecting.addresses.failed(id, wire.now()) && self.has_next(&mut attempt) {
            // RFC 8305: the next address, at once. That is one attempt, whatever it takes.
            self.attempt(attempt, wire);
            return;
        }
        self.attempt_failed(attempt, stage, kind, wire);
        self.connect_more(wire);
        self.after_loss(wire);
    }

    /// Whether a connect has an address left that has not been tried.
    fn has_next(&self, attempt: &mut Attempt) -> bool {
        let target = attempt.target(&self.config);
        let all = target.map_or(0, |(target, _)| target.addresses().len());
        let past = attempt.past.get_or_insert_default();
        past.addresses = past.addresses.wrapping_add(1);
        let is_time = match self.timeline.phase() {
            Phase::Connecting | Phase::Waiting | Phase::Running => !self.connecting.given_up,
            Phase::Draining | Phase::Closing | Phase::Finished => false,
        };
        is_time && all > 1 && !(past.addresses as usize).is_multiple_of(all)
    }

    /// A slot is free: an attempt that waits for one is made.
    pub(super) fn use_free_slot(&mut self, wire: &mut impl Wire<Message>) {
        if let Some(attempt) = self.connecting.without_slot.pop_front() {
            self.attempt(attempt, wire);
        }
    }

    /// The time for connects is over: first ones that still wait for a slot have failed.
    fn fail_without_slot(&mut self, wire: &mut impl Wire<Message>) {
        let waiting = std::mem::take(&mut self.connecting.without_slot);
        let (first, others): (VecDeque<_>, VecDeque<_>) =
            waiting.into_iter().partition(Attempt::is_first);
        self.connecting.without_slot = others;
        for attempt in first {
            self.attempt_failed(attempt, Stage::Connect, Kind::NoSlot, wire);
        }
    }

    /// Connects and their time-outs after the connect phase: of sessions, and of those who come
    /// back.
    pub(super) fn keep_connecting(&mut self, wire: &mut impl Wire<Message>) {
        self.time_out(wire.now(), wire);
        if self.config.session.is_some() {
            self.connect_more(wire);
        }
    }

    /// When connects need attention next.
    pub(super) fn connect_deadline(&self) -> Instant {
        let next = match &self.config.connect_pace {
            _ if self.connecting.next == self.connecting.share => NEVER,
            Some(_) => self.intended_connect(),
            None if self.connecting.under_way < self.connecting_max() => AT_ONCE,
            None => NEVER,
        };
        let timeout = self
            .connecting
            .timeouts
            .front()
            .map_or(NEVER, |&(at, _)| at);
        let delay = self.connecting.addresses.deadline().unwrap_or(NEVER);
        next.min(timeout).min(delay)
    }

    /// Connects under way at once, where there is no pace.
    fn connecting_max(&self) -> u32 {
        if self.connecting.is_far {
            self.config.connecting
        } else {
            self.config.connecting.min(NEAR_CONNECTING)
        }
    }

    fn is_upgraded(&mut self, id: ConnectionId, wire: &mut impl Wire<Message>) {
        if let Some(client) = self.fleet.get(id) {
            let now = wire.now().as_nanos();
            let ns = now.saturating_sub(client.since.as_nanos());
            self.recorder.outcome.latencies.upgrade.record_ns(ns);
        }
        self.is_up(id, Part::Speaks, wire);
    }

    /// A connection is ready for messages.
    pub(super) fn is_up(&mut self, id: ConnectionId, part: Part, wire: &mut impl Wire<Message>) {
        let now = wire.now();
        self.fleet.raise(id);
        // It may be the last one, with which the run begins.
        self.fleet.set_part(id, part);
        let Some(client) = self.fleet.get(id) else {
            return;
        };
        let since = |then: Instant| now.as_nanos().saturating_sub(then.as_nanos());
        let outcome = &mut self.recorder.outcome;
        client.since = now;
        client.talk.heard_at = now;
        match client.talk.past.take().and_then(|past| past.lost) {
            Some(lost) => self.is_back(id, lost, now),
            None => {
                let intended = client.talk.unheard_since;
                outcome.latencies.connect.record_ns(since(intended));
                outcome.connects.up += 1;
                self.connecting.under_way -= 1;
                self.connecting.is_far |= now.since(intended) > NEAR_TIME;
            }
        }
        self.stay(id, now);
        self.begin_pinging(id, now);
        self.connect_more(wire);
    }

    /// Starts what may be started now; says when all is done.
    fn connect_more(&mut self, wire: &mut impl Wire<Message>) {
        let now = wire.now();
        let mut started = 0;
        while self.connecting.next < self.connecting.share && started < CONNECTS_PER_TURN {
            let intended = self.intended_connect();
            let is_due = match &self.config.connect_pace {
                Some(_) => intended <= now,
                None => self.connecting.under_way < self.connecting_max(),
            };
            if !is_due {
                break;
            }
            self.connect(intended.min(now), wire);
            started += 1;
        }
        let is_tried = self.connecting.next == self.connecting.share;
        let is_done = is_tried && self.connecting.under_way == 0 && self.retries.retrying() == 0;
        if is_done && self.timeline.phase() == Phase::Connecting {
            self.connects_are_done(wire);
        }
    }

    fn connect(&mut self, intended: Instant, wire: &mut impl Wire<Message>) {
        let number = self.stripe.global(self.connecting.next);
        self.connecting.next += 1;
        if self.is_full() {
            self.recorder.outcome.connects.dropped += 1;
            return;
        }
        self.recorder.outcome.connects.attempted += 1;
        self.connecting.under_way += 1;
        let attempt = Attempt {
            number: u32::try_from(number).unwrap_or(u32::MAX),
            seat: u32::try_from(self.stripe.seat(number)).unwrap_or(u32::MAX),
            intended,
            past: None,
        };
        self.attempt(attempt, wire);
    }

    /// Starts a connect, the first one or another.
    pub(super) fn attempt(&mut self, attempt: Attempt, wire: &mut impl Wire<Message>) {
        let now = wire.now();
        let number = u64::from(attempt.number);
        let tried = attempt.past.as_ref().map_or(0, |past| past.addresses);
        let endpoints = attempt.target(&self.config).and_then(|(target, turn)| {
            let turn = turn.saturating_add(u64::from(tried));
            let to = self.connecting.addresses.choose(target, turn, now)?;
            let from = self.config.source_of(to, number, turn);
            Some((to, from, target.addresses().len() > 1))
        });
        let Some((to, from, is_of_several)) = endpoints else {
            return self.attempt_failed(attempt, Stage::Connect, Kind::Dns, wire);
        };
        let Ok(id) = wire.connect(to, from) else {
            // It is this client that is short of something: no failure of the server, nothing to
            // back off from.
            self.recorder.outcome.connects.waited_for_slot += 1;
            self.connecting.without_slot.push_back(attempt);
            return;
        };
        if is_of_several {
            self.connecting.addresses.began(id, to, now);
        }
        let by = now + self.config.connect_time;
        self.connecting.timeouts.push_back((by, id));
        let sequence = seeded(self.config.seed, number).u32(..);
        let mut client = Client::new(attempt.number, sequence, attempt.intended, now);
        client.seat = attempt.seat;
        client.talk.past = attempt.past;
        self.fleet.insert(id, client);
    }

    /// When this core's next connect is meant to start; without a pace, at once.
    fn intended_connect(&self) -> Instant {
        let Some(pace) = &self.config.connect_pace else {
            return NEVER;
        };
        let offset = pace.offset_ns(self.stripe.global(self.connecting.next));
        Instant::from_nanos(self.connecting.begun.as_nanos().saturating_add(offset))
    }

    fn time_out(&mut self, now: Instant, wire: &mut impl Wire<Message>) {
        while let Some(id) = self.connecting.addresses.overdue(now) {
            self.make_way(id, wire);
        }
        while let Some(&(at, id)) = self.connecting.timeouts.front() {
            let stage = match self.fleet.get(id).map(|client| client.state) {
                Some(State::Connecting) => Some(Stage::Connect),
                Some(State::Upgrading) => Some(Stage::Upgrade),
                Some(State::Greeting) => Some(Stage::Ready),
                Some(State::Free | State::Open | State::CloseSent | State::Over) | None => None,
            };
            if at > now && stage.is_some() {
                break;
            }
            self.connecting.timeouts.pop_front();
            if stage == Some(Stage::Ready) {
                // It knows what it has been waiting for, and fails by that name.
                self.converse(id, wire, |dialogue, context| dialogue.on_timer(context));
            }
            let state = self.fleet.get(id).map(|client| client.state);
            if let Some(stage) = stage.filter(|_| state.is_some_and(is_under_way)) {
                self.connect_failed(id, stage, Kind::TimedOut, wire);
            }
        }
    }

    /// A connect has kept the other addresses of its name waiting: the next one is tried.
    fn make_way(&mut self, id: ConnectionId, wire: &mut impl Wire<Message>) {
        let Some(client) = self.fleet.get(id) else {
            return;
        };
        let number = u64::from(client.number);
        let tried = client.talk.past.as_ref().map_or(0, |past| past.addresses);
        let redirect = client.talk.redirect().map(|redirect| &redirect.to);
        let target = redirect.or_else(|| Some(self.config.target_of(number)?.0));
        let all = target.map_or(0, |target| target.addresses().len());
        let is_last = (tried as usize + 1).is_multiple_of(all.max(1));
        // The last one has all the time that there is.
        if client.state == State::Connecting && !is_last {
            self.connect_failed(id, Stage::Connect, Kind::TimedOut, wire);
        }
    }

    fn connects_are_done(&mut self, wire: &mut impl Wire<Message>) {
        // A queue of all connections would otherwise stay for the whole run; those who come back
        // may be under way.
        let fleet = &mut self.fleet;
        let is_under_way = |client: &mut Client| is_under_way(client.state);
        let timeouts = &mut self.connecting.timeouts;
        timeouts.retain(|&(_, id)| fleet.get(id).is_some_and(is_under_way));
        timeouts.shrink_to_fit();
        self.be_ready(wire);
    }
}

/// Whether a connect in that state is neither up nor failed.
fn is_under_way(state: State) -> bool {
    match state {
        State::Connecting | State::Upgrading | State::Greeting => true,
        State::Free | State::Open | State::CloseSent | State::Over => false,
    }
}
