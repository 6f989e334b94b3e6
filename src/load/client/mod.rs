//! The clients of one core: told what happens to their connections, they tell what has become of
//! them.
//!
//! `table` has them all and `state` is one of them; `role` says what it is there for: `in_flight`
//! (an echo), `listener` or `dialogue`. `handshake` makes it a stream, `receiver` reads that,
//! `sender` sends, `keepalive` pings, `http_post` posts. Beside the methods here, `dialogues`
//! leads the dialogues and `ending` ends connections.

mod dialogue;
mod dialogues;
mod ending;
mod event;
mod handshake;
mod http_answer;
mod http_post;
mod in_flight;
mod keepalive;
mod listener;
mod payload;
mod receiver;
mod role;
mod sender;
mod state;
mod stream;
mod table;
mod timer;
mod tools;

pub(super) use event::{ClientEvent, ConnectionLoss, FailedConnect, LossCause};
pub(super) use http_post::Requests;
pub(super) use receiver::Came;

use super::attempt::Attempt;
use super::barrier::{CoreMessage, ListeningCores};
use super::config::Config;
use super::measure::failure::Kind;
use super::measure::recorder::{Cause, Recorder};
use super::measure::send_times::SendTimes;
use super::phase::{AT_ONCE, NEVER};
use super::policy::Think;
use super::scenario::Part;
use super::timers::TimerQueue;
use crate::shard::{CloseCause, ConnectionId, Core, Origin, ReceiveInto, Wire};
use crate::time::Instant;
use dialogues::{Notes, Wakes};
use handshake::HeadEnd;
use http_post::{HttpPosts, PostStep};
use keepalive::Keepalive;
use role::ClientRole;
use sender::Sender;
use state::{CameUp, Client, ClientState};
use std::sync::Arc;
use std::time::Duration;
use table::ClientTable;
use timer::Timer;
use tools::Tools;

/// Timers run in one turn at most.
const TIMERS_PER_TURN: u32 = 4096;
/// Clients whose first messages of a closed loop are sent in one turn at most.
const CLIENTS_PER_TURN: u32 = 1024;

/// The clients of a core.
///
/// Each method is told one thing, does what concerns the clients themselves (they answer, send,
/// close) and notes as [`ClientEvent`]s what concerns the run: whether to connect again, whether it
/// is over. It knows no phase of the run.
pub(super) struct LoadClients {
    config: Arc<Config>,
    table: ClientTable,
    sender: Sender,
    tools: Tools,
    notes: Notes,
    wakes: Wakes,
    posts: HttpPosts,
    keepalive: Keepalive,
    timers: TimerQueue<Timer>,
    events: Vec<ClientEvent>,
    /// Replies make room for further messages until then; a closed loop only.
    refill_until: Instant,
    /// Clients that lose their connection come back.
    come_back: bool,
    /// The slot whose client is next to be started (closed loop) or closed.
    next_slot: usize,
}

impl LoadClients {
    pub(super) fn new(config: Arc<Config>, core: Core) -> Self {
        Self {
            table: ClientTable::default(),
            sender: Sender::new(&config),
            tools: Tools::new(&config, core),
            notes: Notes::new(),
            wakes: Wakes::default(),
            posts: HttpPosts::new(config.connect_time()),
            keepalive: Keepalive::new(config.ping()),
            timers: TimerQueue::default(),
            events: Vec::new(),
            refill_until: AT_ONCE,
            come_back: config.retry().comes_back(),
            next_slot: 0,
            config,
        }
    }

    /// There will be so many.
    pub(super) fn reserve(&mut self, clients: usize) {
        self.table.reserve(clients);
        if self.config.is_per_connection() {
            self.table.keep_places(clients);
        }
    }

    /// A connect was started: the connection has a client.
    pub(super) fn insert(&mut self, id: ConnectionId, attempt: Attempt, now: Instant) {
        let sequence = self.config.random(u64::from(attempt.number())).u32(..);
        let client = Client::new(attempt, self.config.scenario(), sequence, now);
        self.table.insert(id, client);
    }

    /// TCP is up, and secured if it is to be: sends the request.
    pub(super) fn opened(
        &mut self,
        id: ConnectionId,
        origin: Origin,
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        if self.posts.has(id) {
            self.posts.opened(id);
            return self.post_step(PostStep::Wait, id, recorder, wire);
        }
        if self.table.state(id) != ClientState::Connecting {
            return;
        }
        let Some(client) = self.table.get(id) else {
            return;
        };
        recorder.tcp_up(client.since(), origin, wire.now());
        client.enter(ClientState::Upgrading, wire.now());
        let scratch = self.tools.scratch();
        let key = self.config.handshake_key(wire.core(), id);
        handshake::encode_request(scratch, &self.config, client, key);
        // A request that cannot be queued is beyond the backlog's cap: no server would take it.
        if wire.send(id, scratch).is_err() {
            let kind = Kind::BadResponse("a request too long");
            self.fail_connect(id, kind, wire);
        }
    }

    /// Bytes came. If the connection has come up with a part of them, that is how many: the rest is
    /// to be told as well, once what that means for the run has been concluded.
    pub(super) fn received(
        &mut self,
        id: ConnectionId,
        came: Came<'_>,
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) -> Option<usize> {
        if self.posts.has(id) {
            let step = self.posts.answered(id, came.bytes());
            self.post_step(step, id, recorder, wire);
            return None;
        }
        match self.table.state(id) {
            ClientState::Upgrading => self.upgrade(id, came.bytes(), recorder, wire),
            ClientState::Open | ClientState::Greeting | ClientState::CloseSent => {
                self.read(id, came, recorder, wire);
                None
            }
            ClientState::Free | ClientState::Connecting | ClientState::Over => None,
        }
    }

    /// Where the bytes that come next belong, if the rest of a large message comes next.
    pub(super) fn receive_into(&mut self, id: ConnectionId) -> Option<ReceiveInto> {
        let stream = self.table.get(id)?.parts().stream;
        stream.receive_into(self.tools.pool())
    }

    /// The engine says that a connection is over, or never came.
    pub(super) fn closed(
        &mut self,
        id: ConnectionId,
        cause: CloseCause,
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        if self.posts.has(id) {
            let step = self.posts.closed(id);
            self.post_step(step, id, recorder, wire);
        } else {
            self.client_closed(id, cause, recorder, wire);
        }
        self.events.push(ClientEvent::SlotFree);
    }

    /// Does what clients have set themselves for now or before, some of it a turn.
    pub(super) fn run_timers(
        &mut self,
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        for _ in 0..TIMERS_PER_TURN {
            match self.timers.due(wire.now()) {
                None => return,
                Some(Timer::Speak(id)) => {
                    if let Some(client) = self.table.get(id) {
                        client.has_thought();
                        self.fill(id, recorder, wire);
                    }
                }
                Some(Timer::Leave(id, since)) => {
                    self.end_session((id, since), recorder, wire);
                }
                Some(Timer::Vanish(id)) => self.vanish(id, recorder, wire),
                Some(Timer::AwaitPost(id)) => self.watch_post(id, recorder, wire),
            }
        }
    }

    /// Messages begin, in a closed loop: each client sends, and each reply makes room for the next
    /// message, until then.
    pub(super) fn begin(&mut self, until: Instant) {
        if self.config.is_closed_loop() {
            self.refill_until = until;
        }
    }

    /// Sends the first messages of a closed loop, some clients a turn.
    pub(super) fn start_some(
        &mut self,
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        if !self.config.sends() {
            return;
        }
        for _ in 0..CLIENTS_PER_TURN {
            let Some((id, state)) = self.table.at(self.next_slot) else {
                return;
            };
            self.next_slot += 1;
            match self.config.think() {
                _ if state != ClientState::Open => {}
                // Not all at once, though all begin at one time.
                Some(think) => self.think(id, think.first(), wire.now()),
                None => self.refill(id, recorder, wire),
            }
        }
    }

    /// Whether clients of a closed loop have not sent their first messages.
    pub(super) fn is_starting(&self) -> bool {
        self.config.is_closed_loop() && self.table.at(self.next_slot).is_some()
    }

    /// The messages that the pace gives out next, for one connection.
    pub(super) const fn batch_mut(&mut self) -> &mut Vec<SendTimes> {
        self.sender.batch_mut()
    }

    /// Sends the batch on the connection whose turn it is, as far as it may; counts the rest.
    pub(super) fn send_planned(
        &mut self,
        turn: u64,
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        let id = if self.config.is_per_connection() {
            self.table.nth_by_number(turn)
        } else {
            self.table.nth_active(turn)
        };
        let Some((id, client)) = id.and_then(|id| Some((id, self.table.get(id)?))) else {
            return self.sender.drop_batch(Cause::NoConnection, recorder);
        };
        match (client.number(), client.role_mut()) {
            (n, ClientRole::Echo(in_flight)) => {
                let used = (&mut self.tools, recorder);
                self.sender.send_planned((id, n), in_flight, used, wire);
            }
            (_, ClientRole::Dialogue(_)) => self.give_planned(id, recorder, wire),
            (_, ClientRole::Listen(_) | ClientRole::Idle) => {
                self.sender.drop_batch(Cause::NoConnection, recorder);
            }
        }
    }

    /// Counts the listeners that had heard nothing for long when the measured time was over.
    pub(super) fn count_silence(&self, recorder: &mut Recorder) {
        for client in self.table.open() {
            if let ClientRole::Listen(seen) = client.role() {
                let place = self.config.place(client.turn());
                recorder.listened(place, seen.pushed(), seen.heard_at(), self.config.silence());
            }
        }
    }

    /// What has become of clients since the last time; `into` is empty.
    pub(super) const fn take_events(&mut self, into: &mut Vec<ClientEvent>) {
        std::mem::swap(&mut self.events, into);
    }

    /// What this core says when its connects are done.
    pub(super) fn ready(&self, core: Core) -> CoreMessage {
        let up = self.up();
        let only_listens = self.config.has_dialogues() && up > 0 && !self.has_speakers();
        let listening = only_listens.then(|| ListeningCores::of(core));
        let listening = listening.unwrap_or_default();
        CoreMessage::Ready { up, listening }
    }

    /// The number of the client whose connection that is, also if it only posts there.
    pub(super) fn number_of(&mut self, id: ConnectionId) -> Option<u32> {
        let owner = self.posts.owner(id).unwrap_or(id);
        self.table.get(owner).map(|client| client.number())
    }

    /// Whether a connect is neither up nor failed.
    pub(super) fn is_under_way(&self, id: ConnectionId) -> bool {
        self.table.state(id).stage().is_some()
    }

    /// Clients in any state.
    pub(super) fn len(&self) -> u64 {
        u64::try_from(self.table.len()).unwrap_or(u64::MAX)
    }

    /// Clients that are up.
    #[inline]
    pub(super) fn up(&self) -> u64 {
        u64::try_from(self.table.up()).unwrap_or(u64::MAX)
    }

    /// Whether some of those take turns.
    #[inline]
    pub(super) const fn has_speakers(&self) -> bool {
        self.table.speakers() > 0
    }

    /// When a timer or a ping is due next: not to be asked any more once a run drains.
    #[inline]
    pub(super) fn timer_deadline(&self) -> Instant {
        let timer = self.timers.next().unwrap_or(NEVER);
        timer.min(self.keepalive.deadline().unwrap_or(NEVER))
    }

    /// Reads a stream, to the end of the bytes or of the connection.
    fn read(
        &mut self,
        id: ConnectionId,
        came: Came<'_>,
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        let Some(client) = self.table.get(id) else {
            return;
        };
        let compared = (&*self.config, self.sender.template());
        let used = (&mut self.tools, &mut *recorder);
        let end = receiver::read((id, client), came, compared, used, wire);
        if self.config.has_dialogues() {
            self.apply_actions(id, recorder, wire);
        }
        match end {
            None => self.refill(id, recorder, wire),
            // A dialogue may have ended its connection before the peer did, in the same bytes.
            Some(_) if self.table.state(id) == ClientState::Over => {}
            Some(end) => self.peer_ended(id, end, recorder, wire),
        }
    }

    /// Reads what comes before the stream; when the connection is one, how many bytes that took.
    fn upgrade(
        &mut self,
        id: ConnectionId,
        bytes: &[u8],
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) -> Option<usize> {
        let client = self.table.get(id)?;
        let (key, mut at) = (self.config.handshake_key(wire.core(), id), 0);
        if client.parts().stream.awaits_answer() {
            return self.hear_answer(id, bytes, recorder, wire);
        }
        match handshake::read_head(&self.config, client, key, (bytes, &mut at), recorder) {
            Ok(None) => None,
            Ok(Some(HeadEnd::Elsewhere(redirect))) => {
                self.follow(id, redirect, wire);
                None
            }
            Ok(Some(HeadEnd::Begun(begun))) => {
                let before = client.upgraded(self.sender.stream(id, begun, self.tools.pool()));
                if self.config.has_dialogues() {
                    self.start_dialogue(id, before.answer(), recorder, wire);
                } else {
                    let time = self.mark_up(id, Part::Speaks, recorder, wire.now());
                    recorder.upgraded(time);
                }
                Some(at)
            }
            Err(kind) => {
                self.fail_connect(id, kind, wire);
                None
            }
        }
    }

    /// A connection is ready for messages; how long its state before lasted.
    fn mark_up(
        &mut self,
        id: ConnectionId,
        part: Part,
        recorder: &mut Recorder,
        now: Instant,
    ) -> Duration {
        let time = self.table.mark_up(id, part, now);
        let Some(client) = self.table.get(id) else {
            return time;
        };
        let number = client.number();
        self.events.push(match client.up(now) {
            CameUp::First => ClientEvent::Up {
                intended: client.intended(),
            },
            CameUp::AfterLoss { lost_at } => {
                if let Some(lost_at) = lost_at {
                    recorder.resumed_after(lost_at, now);
                }
                ClientEvent::Back
            }
        });
        if let Some(time) = self.config.session_time(self.tools.rng()) {
            self.timers.set(now + time, Timer::Leave(id, now + time));
        }
        self.keepalive.begin(id, number, now);
        time
    }

    /// A reply or a lower backlog made room: fills it, in a closed loop.
    #[inline]
    pub(super) fn refill(
        &mut self,
        id: ConnectionId,
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        if wire.now() >= self.refill_until {
            return;
        }
        let in_flight = self.table.get_open(id).map(|it| it.role().in_flight());
        if in_flight.is_none_or(|it| self.sender.room(it) == 0) {
            return;
        }
        match self.config.think() {
            Some(think) => self.think(id, think, wire.now()),
            None => self.fill(id, recorder, wire),
        }
    }

    /// Sends as many messages as an open connection has room for.
    fn fill(
        &mut self,
        id: ConnectionId,
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        let client = self.table.get_open(id);
        let Some(client) = client.filter(|client| !client.is_leaving()) else {
            return;
        };
        match (client.number(), client.role_mut()) {
            (n, ClientRole::Echo(in_flight)) => {
                let used = (&mut self.tools, recorder);
                self.sender.fill((id, n), in_flight, used, wire);
            }
            (_, ClientRole::Dialogue(_)) => self.take_turns(id, recorder, wire),
            (_, ClientRole::Listen(_) | ClientRole::Idle) => {}
        }
    }

    /// Sets a client the time of its next messages, if it waits for no reply.
    fn think(&mut self, id: ConnectionId, think: Think, now: Instant) {
        if let Some(client) = self.table.get(id)
            && client.role().in_flight() == 0
            && client.think()
        {
            let at = now + think.draw(self.tools.rng());
            self.timers.set(at, Timer::Speak(id));
        }
    }
}
