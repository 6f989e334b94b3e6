//! Leads the dialogues of a core's clients: calls them, then carries out what they said.

use super::in_flight::InFlight;
use super::table::{Client, State, Stream};
use crate::limits;
use crate::load::barrier::Message;
use crate::load::config::{Config, Scenario};
use crate::load::measure::failure::{Kind, Stage};
use crate::load::measure::recorder::{Cause, Recorder};
use crate::load::measure::send_times::SendTimes;
use crate::load::phase::NEVER;
use crate::load::scenario::{
    Actions, Address, Context, Dialogue, Flow, Leave, Note, Part, Piece, Speaker, Turns, Wake,
};
use crate::load::shard::Load;
use crate::shard::{Close, ConnectionId, Core, Unsent, Wire};
use crate::time::Instant;
use crate::wheel::Wheel;
use std::collections::VecDeque;
use std::time::Duration;

/// What dialogues' times are rounded up to.
const TICK_TIME: Duration = Duration::from_millis(1);
/// Turns of one client at once at most: others wait meanwhile.
const TURNS_AT_ONCE: u32 = 64;

/// What a client with a dialogue has beyond other clients.
#[derive(Debug)]
pub(in crate::load) struct Conversation {
    dialogue: Box<dyn Dialogue>,
    /// When it wants to be told that it is due.
    wake: Option<Instant>,
    /// Whether it has stopped reading.
    pub(in crate::load) is_paused: bool,
}

/// Notes of one dialogue to another, not yet passed on.
pub(in crate::load) type Notes = VecDeque<(Address, Note)>;

/// When the dialogues of a core want to be woken.
#[derive(Debug, Default)]
pub(in crate::load) struct Wakes {
    wheel: Option<Wheel>,
    due: Vec<ConnectionId>,
}

impl Load {
    /// A connection has been upgraded and its scenario is a dialogue: begins it.
    pub(in crate::load) fn greet(&mut self, id: ConnectionId, wire: &mut impl Wire<Message>) {
        let now = wire.now();
        let (Some(client), Scenario::Dialogue(program)) =
            (self.fleet.get(id), &self.config.scenario)
        else {
            return;
        };
        let upgrade = now.as_nanos().saturating_sub(client.since.as_nanos());
        self.recorder.outcome.latencies.upgrade.record_ns(upgrade);
        client.state = State::Greeting;
        client.since = now;
        client.talk.flight = InFlight::Dialogue(Box::new(Conversation {
            dialogue: program.begin(client.number),
            wake: None,
            is_paused: false,
        }));
        self.converse(id, wire, |dialogue, context| dialogue.on_open(context));
    }

    /// Calls a client's dialogue, then carries out what it said.
    pub(in crate::load) fn converse(
        &mut self,
        id: ConnectionId,
        wire: &mut impl Wire<Message>,
        call: impl FnOnce(&mut dyn Dialogue, &mut Context<'_>),
    ) {
        let Self {
            fleet,
            tools,
            recorder,
            config,
            ..
        } = self;
        let Some(client) = fleet.get(id) else { return };
        let mut booth = Booth {
            core: wire.core(),
            now: wire.now(),
            config,
            recorder,
            said: &mut tools.said,
            rng: &mut tools.rng,
        };
        booth.call(id, client, call);
        self.carry_out(id, wire);
    }

    /// Carries out what a client's dialogue has said since the last time.
    pub(in crate::load) fn carry_out(&mut self, id: ConnectionId, wire: &mut impl Wire<Message>) {
        if self.tools.said.is_nothing() {
            return;
        }
        let said = &mut self.tools.said;
        self.notes.extend(said.notes.drain(..));
        let (ready, is_done) = (said.ready.take(), std::mem::take(&mut said.is_done));
        let mut leave = said.leave.take();
        let (wake, flow) = (said.wake.take(), said.flow.take());
        if !said.bytes.is_empty() {
            if wire.send(id, &said.bytes) == Err(Unsent::Full) {
                // What has been said in part cannot be taken back.
                leave.get_or_insert(Leave::Failed(Kind::Application("unread")));
            }
            said.bytes.clear();
        }
        if !self.tools.said.posts.is_empty() {
            let mut posts = std::mem::take(&mut self.tools.said.posts);
            self.post(id, &mut posts, wire);
            self.tools.said.posts = posts;
        }
        match flow {
            None => {}
            // Who leaves has to read the answer to its goodbye.
            Some(Flow::Pause) if !self.is_there(id) => {}
            Some(flow) => self.set_flow(id, flow, wire),
        }
        if let Some(wake) = wake {
            self.set_wake(id, wake, wire.now());
        }
        if let Some(part) = ready {
            self.is_ready(id, part, wire);
        }
        if is_done
            && self
                .fleet
                .get(id)
                .is_some_and(|client| client.state == State::Open)
        {
            self.fleet.set_part(id, Part::Listens);
        }
        if let Some(leave) = leave {
            self.leave(id, leave, wire);
        }
        self.end_turns_if_done(wire);
    }

    /// Passes on what dialogues have told each other.
    pub(in crate::load) fn pass_notes(&mut self, wire: &mut impl Wire<Message>) {
        while let Some((address, note)) = self.notes.pop_front() {
            if address.core == wire.core() {
                self.converse(address.id, wire, |dialogue, context| {
                    dialogue.on_note(note, context)
                });
                self.top_up(address.id, wire);
                self.end_drain_if_done(wire);
            } else if address.core.0 < wire.cores() {
                wire.forward(address.core, Message::Note(address, note));
            }
        }
    }

    /// Wakes the dialogues that are due.
    pub(in crate::load) fn wake_dialogues(&mut self, wire: &mut impl Wire<Message>) {
        let now = wire.now();
        let Some(wheel) = &mut self.wakes.wheel else {
            return;
        };
        let mut due = std::mem::take(&mut self.wakes.due);
        wheel.expire(now, &mut due);
        for id in due.drain(..) {
            match self.wake_of(id) {
                None => {}
                // It has been moved, or lies beyond the wheel's horizon.
                Some(at) if at > now => self.set_wake(id, Wake::At(at), now),
                Some(_) => {
                    self.set_wake(id, Wake::Never, now);
                    self.converse(id, wire, |dialogue, context| dialogue.on_timer(context));
                    self.top_up(id, wire);
                }
            }
        }
        self.wakes.due = due;
        self.end_drain_if_done(wire);
    }

    /// When a dialogue wants to be woken next.
    #[inline]
    pub(in crate::load) fn wake_deadline(&self) -> Instant {
        let wheel = self.wakes.wheel.as_ref();
        wheel.and_then(Wheel::deadline).unwrap_or(NEVER)
    }

    /// Gives a client turns while it has room for more and takes them; closed loops only.
    pub(in crate::load) fn take_turns(&mut self, id: ConnectionId, wire: &mut impl Wire<Message>) {
        for _ in 0..TURNS_AT_ONCE {
            let now = wire.now();
            let Some(client) = self.fleet.get(id) else {
                return;
            };
            let before = client.talk.next;
            let has_room = client.talk.in_flight() < self.config.in_flight;
            if !has_room || !self.fleet.speaks(id) || wire.backlog(id) >= limits::BACKLOG_HIGH {
                return;
            }
            let departure = SendTimes {
                intended: now,
                submitted: now,
            };
            self.give_turn(id, departure, wire);
            if self
                .fleet
                .get(id)
                .is_none_or(|client| client.talk.next == before)
            {
                return;
            }
        }
    }

    /// Gives the pieces of the batch to a client as its turns; counts those it does not take.
    pub(in crate::load) fn give_planned(
        &mut self,
        id: ConnectionId,
        wire: &mut impl Wire<Message>,
    ) {
        let batch = std::mem::take(&mut self.tools.batch);
        for departure in &batch {
            let piece = std::slice::from_ref(departure);
            let Some(client) = self
                .fleet
                .get(id)
                .filter(|client| client.state == State::Open)
            else {
                self.recorder.dropped(piece, Cause::NoConnection);
                continue;
            };
            let before = client.talk.next;
            let in_flight = client.talk.in_flight();
            let has_room = in_flight < self.config.in_flight && self.fleet.speaks(id);
            if wire.backlog(id) >= limits::BACKLOG_HIGH {
                self.recorder.dropped(piece, Cause::Backlog);
                continue;
            }
            if has_room {
                self.give_turn(id, *departure, wire);
            }
            let is_taken = self
                .fleet
                .get(id)
                .is_none_or(|client| client.talk.next != before);
            if !has_room || !is_taken {
                self.recorder.dropped(piece, Cause::InFlight);
            }
        }
        self.tools.batch = batch;
    }

    fn give_turn(&mut self, id: ConnectionId, departure: SendTimes, wire: &mut impl Wire<Message>) {
        let piece = Piece(departure);
        self.converse(id, wire, |dialogue, context| {
            dialogue.on_turn(piece, context)
        });
    }

    /// The scenario's own handshake is done.
    fn is_ready(&mut self, id: ConnectionId, part: Part, wire: &mut impl Wire<Message>) {
        let now = wire.now();
        let Some(client) = self.fleet.get(id) else {
            return;
        };
        if client.state != State::Greeting {
            return;
        }
        let ns = now.as_nanos().saturating_sub(client.since.as_nanos());
        self.recorder.outcome.latencies.ready.record_ns(ns);
        self.recorder.outcome.connects.speakers += u64::from(part == Part::Speaks);
        self.is_up(id, part, wire);
        self.top_up(id, wire);
    }

    /// A dialogue ends its connection.
    pub(in crate::load) fn leave(
        &mut self,
        id: ConnectionId,
        leave: Leave,
        wire: &mut impl Wire<Message>,
    ) {
        let Some(client) = self.fleet.get(id) else {
            return;
        };
        let is_websocket = matches!(client.stream, Stream::WebSocket(_));
        match (client.state, leave) {
            (State::Greeting, Leave::Failed(kind)) => {
                self.connect_failed(id, Stage::Ready, kind, wire);
            }
            (State::Greeting, Leave::Close(_) | Leave::Vanish) => {
                let kind = Kind::Application("left_unready");
                self.connect_failed(id, Stage::Ready, kind, wire);
            }
            (State::Open, Leave::Failed(kind)) => {
                self.ended_early(id, kind, wire.now());
                wire.close(id, Close::Flush);
                self.after_loss(wire);
            }
            (State::Open, Leave::Close(code)) if is_websocket => {
                self.left(id, State::CloseSent, wire.now());
                self.send_close(id, Some(code), wire);
                self.after_loss(wire);
            }
            (State::Open, Leave::Close(_) | Leave::Vanish) => {
                self.left(id, State::Over, wire.now());
                let how = if leave == Leave::Vanish {
                    Close::Abort
                } else {
                    Close::Flush
                };
                wire.close(id, how);
                self.after_loss(wire);
            }
            (
                State::Free | State::Connecting | State::Upgrading | State::CloseSent | State::Over,
                _,
            ) => {}
        }
    }

    /// An open connection leaves the run, as its scenario wants: what is under way is lost.
    fn left(&mut self, id: ConnectionId, to: State, now: Instant) {
        // With `--reconnect` it comes back, as after a loss; but not where each has turns to take.
        if self.config.session.is_none() && !self.config.ends_with_turns() {
            self.note_loss(id, Kind::Reset, now);
        }
        self.posts.owner_gone(id);
        if let Some(client) = self.fleet.get(id) {
            self.recorder.gone(client.talk.in_flight());
            client.talk.flight.clear(&mut self.tools.rings);
            client.talk.expected = client.talk.next;
            self.recorder.outcome.connects.left += 1;
            self.fleet.lower(id, to);
        }
    }

    fn set_flow(&mut self, id: ConnectionId, flow: Flow, wire: &mut impl Wire<Message>) {
        match flow {
            Flow::Pause => wire.pause(id),
            Flow::Resume => wire.resume(id),
        }
        if let Some(client) = self.fleet.get(id)
            && let InFlight::Dialogue(conversation) = &mut client.talk.flight
        {
            conversation.is_paused = flow == Flow::Pause;
        }
    }

    /// Whether a client is up, or about to be.
    fn is_there(&mut self, id: ConnectionId) -> bool {
        let state = self.fleet.get(id).map(|client| client.state);
        matches!(state, Some(State::Greeting | State::Open))
    }

    fn set_wake(&mut self, id: ConnectionId, wake: Wake, now: Instant) {
        let Some(client) = self.fleet.get(id) else {
            return;
        };
        let InFlight::Dialogue(conversation) = &mut client.talk.flight else {
            return;
        };
        match wake {
            Wake::Never => conversation.wake = None,
            Wake::At(at) => {
                conversation.wake = Some(at);
                let wheel = &mut self.wakes.wheel;
                wheel
                    .get_or_insert_with(|| Wheel::new(now, TICK_TIME))
                    .schedule(id, at);
            }
        }
    }

    fn wake_of(&mut self, id: ConnectionId) -> Option<Instant> {
        match &self.fleet.get(id)?.talk.flight {
            InFlight::Dialogue(conversation) => conversation.wake,
            InFlight::None | InFlight::One(_) | InFlight::Many(_) => None,
        }
    }
}

/// Where a dialogue is called from: what it is lent a context to.
pub(in crate::load) struct Booth<'a> {
    pub(in crate::load) core: Core,
    pub(in crate::load) now: Instant,
    pub(in crate::load) config: &'a Config,
    pub(in crate::load) recorder: &'a mut Recorder,
    pub(in crate::load) said: &'a mut Actions,
    pub(in crate::load) rng: &'a mut fastrand::Rng,
}

impl Booth<'_> {
    /// Calls a client's dialogue, if it has one and has not ended its connection.
    pub(in crate::load) fn call(
        &mut self,
        id: ConnectionId,
        client: &mut Client,
        call: impl FnOnce(&mut dyn Dialogue, &mut Context<'_>),
    ) {
        let number = client.number;
        self.call_talk(id, number, &mut client.talk, call);
    }

    /// The same, of a client that is taken apart.
    pub(in crate::load) fn call_talk(
        &mut self,
        id: ConnectionId,
        number: u32,
        talk: &mut super::table::Talk,
        call: impl FnOnce(&mut dyn Dialogue, &mut Context<'_>),
    ) {
        let InFlight::Dialogue(conversation) = &mut talk.flight else {
            return;
        };
        if self.said.leave.is_some() {
            return;
        }
        let mut context = Context {
            speaker: Speaker {
                address: Address {
                    core: self.core,
                    id,
                },
                number,
                transport: self.config.transport,
                now: self.now,
            },
            said: self.said,
            recorder: self.recorder,
            rng: self.rng,
            begun: &mut talk.next,
            over: &mut talk.expected,
        };
        call(&mut *conversation.dialogue, &mut context);
    }
}

impl Config {
    /// Whether the run is over when nobody takes turns any more.
    pub(in crate::load) fn ends_with_turns(&self) -> bool {
        match &self.scenario {
            Scenario::Dialogue(program) => program.turns() == Turns::Limited,
            Scenario::Echo | Scenario::Listen | Scenario::Idle => false,
        }
    }

    /// Whether clients have dialogues.
    #[inline]
    pub(in crate::load) fn has_dialogues(&self) -> bool {
        matches!(self.scenario, Scenario::Dialogue(_))
    }
}
