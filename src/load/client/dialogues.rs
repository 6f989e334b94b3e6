//! Leads the dialogues of a core's clients: calls them, then does what they want; posts what they
//! say over HTTP.

use super::dialogue::{Conversation, ScenarioCall};
use super::handshake::{self, ClientRequest};
use super::http_post::{self, NextPost, PostStep, PostWatch, Requests};
use super::role::ClientRole;
use super::state::ClientState;
use super::{ClientEvent, LoadClients, Timer};
use crate::limits;
use crate::load::attempt::Attempt;
use crate::load::barrier::CoreMessage;
use crate::load::measure::failure::Kind;
use crate::load::measure::recorder::{Cause, Recorder};
use crate::load::measure::send_times::SendTimes;
use crate::load::phase::NEVER;
use crate::load::scenario::{Address, Context, Dialogue, Flow, Leave, Note, Part, Piece, Wake};
use crate::shard::{Close, ConnectionId, Unsent, Wire};
use crate::time::Instant;
use crate::wheel::Wheel;
use std::collections::VecDeque;
use std::time::Duration;

/// What dialogues' times are rounded up to.
const TICK_TIME: Duration = Duration::from_millis(1);
/// Turns of one client at once at most: others wait meanwhile.
const TURNS_AT_ONCE: u32 = 64;

/// Notes of one dialogue to another, not yet passed on.
pub(super) type Notes = VecDeque<(Address, Note)>;

/// When the dialogues of a core want to be woken.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    wheel: Option<Wheel>,
    due: Vec<ConnectionId>,
}

impl LoadClients {
    /// Another core's dialogue tells one of this core.
    pub(in crate::load) fn note(&mut self, address: Address, note: Note) {
        self.notes.push_back((address, note));
    }

    /// Passes on what dialogues have told each other.
    pub(in crate::load) fn pass_notes(
        &mut self,
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        while let Some((address, note)) = self.notes.pop_front() {
            if address.core == wire.core() {
                let id = address.id;
                self.call_dialogue(id, recorder, wire, |dialogue, context| {
                    dialogue.on_note(note, context);
                });
                self.refill(id, recorder, wire);
            } else if address.core.0 < wire.cores() {
                wire.forward(address.core, CoreMessage::Note(address, note));
            }
        }
    }

    /// Wakes the dialogues that are due.
    pub(in crate::load) fn wake_dialogues(
        &mut self,
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        let now = wire.now();
        let Some(wheel) = &mut self.wakes.wheel else {
            return;
        };
        let mut due = std::mem::take(&mut self.wakes.due);
        wheel.expire(now, &mut due);
        for id in due.drain(..) {
            let conversation = self.table.get(id).and_then(|it| it.role().conversation());
            match conversation.and_then(Conversation::wake) {
                None => {}
                // It has been moved, or lies beyond the wheel's horizon.
                Some(at) if at > now => self.set_wake(id, Wake::At(at), now),
                Some(_) => {
                    self.set_wake(id, Wake::Never, now);
                    self.call_dialogue(id, recorder, wire, |dialogue, context| {
                        dialogue.on_timer(context);
                    });
                    self.refill(id, recorder, wire);
                }
            }
        }
        self.wakes.due = due;
    }

    /// When a dialogue wants to be woken next.
    #[inline]
    pub(in crate::load) fn wake_deadline(&self) -> Instant {
        let wheel = self.wakes.wheel.as_ref();
        wheel.and_then(Wheel::deadline).unwrap_or(NEVER)
    }

    /// A connection for a client's posts is to be made to where the client is, unless it has got
    /// one meanwhile.
    pub(in crate::load) fn requeue_posts(
        &mut self,
        requests: Requests,
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) -> Option<(Attempt, Requests)> {
        let owner = requests.owner();
        let client = self.table.get(owner)?;
        let mut attempt = client.connect_there(wire.now());
        if let Some(redirect) = client
            .role()
            .conversation()
            .and_then(Conversation::redirect)
        {
            attempt.follow(Box::new(redirect.clone()));
        }
        match self.posts.queue(requests) {
            PostStep::Connect(requests) => Some((attempt, requests)),
            step => {
                let id = self.posts.of(owner)?;
                self.post_step(step, id, recorder, wire);
                None
            }
        }
    }

    /// There is no slot for it: the client has failed.
    pub(in crate::load) fn no_post_slot(
        &mut self,
        requests: &Requests,
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        let leave = Leave::Failed(Kind::NoSlot);
        self.leave(requests.owner(), leave, recorder, wire);
    }

    /// It is under way.
    pub(in crate::load) fn post_connecting(
        &mut self,
        id: ConnectionId,
        requests: Requests,
        now: Instant,
    ) {
        let look_at = self.posts.connecting(id, requests, now);
        self.timers.set(look_at, Timer::AwaitPost(id));
    }

    /// What was asked first is answered: the upgrade is asked for, or a poll, and it begins.
    pub(super) fn hear_answer(
        &mut self,
        id: ConnectionId,
        bytes: &[u8],
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) -> Option<usize> {
        let client = self.table.get(id)?;
        let key = self.config.handshake_key(wire.core(), id);
        let request = self.tools.scratch();
        let heard = handshake::hear_answer(request, &self.config, client, (key, bytes));
        let is_sent = request.is_empty() || wire.send(id, request).is_ok();
        match heard {
            Ok(_) if !is_sent => {
                self.fail_connect(id, Kind::BadResponse("a request too long"), wire);
            }
            Ok(Some(before)) => {
                self.start_dialogue(id, before.answer(), recorder, wire);
                return Some(bytes.len());
            }
            Ok(None) => {}
            Err(kind) => self.fail_connect(id, kind, wire),
        }
        None
    }

    /// A connection has been upgraded, after that was said, and its scenario is a dialogue: begins
    /// it.
    pub(super) fn start_dialogue(
        &mut self,
        id: ConnectionId,
        said: &[u8],
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        let (Some(client), Some(program)) = (self.table.get(id), self.config.program()) else {
            return;
        };
        recorder.upgraded(client.enter(ClientState::Greeting, wire.now()));
        let redirect = client.redirect().cloned();
        let asker = (client.number(), client.turn());
        let dialogue = match said {
            [] => program.begin(asker.0),
            _ => {
                let asked = ClientRequest::new(&self.config, asker, None);
                program.begin_after(asker.0, (asked.target(), said))
            }
        };
        let conversation = Conversation::new(dialogue, redirect);
        client.begin(ClientRole::Dialogue(conversation));
        self.call_dialogue(id, recorder, wire, |dialogue, context| {
            dialogue.on_open(context);
        });
    }

    /// Calls a client's dialogue, if it has one, then does what that wants.
    pub(super) fn call_dialogue(
        &mut self,
        id: ConnectionId,
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
        call: impl FnOnce(&mut dyn Dialogue, &mut Context<'_>),
    ) {
        let Some(client) = self.table.get(id) else {
            return;
        };
        let number = client.number();
        let Some(conversation) = client.role_mut().conversation_mut() else {
            return;
        };
        let (actions, rng) = self.tools.calling();
        let mut with = ScenarioCall {
            core: wire.core(),
            now: wire.now(),
            transport: self.config.transport(),
            recorder: &mut *recorder,
            actions,
            rng,
        };
        conversation.call((id, number), &mut with, call);
        self.apply_actions(id, recorder, wire);
    }

    /// Does what a client's dialogue has wanted since the last time.
    pub(super) fn apply_actions(
        &mut self,
        id: ConnectionId,
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        let actions = self.tools.actions();
        if actions.is_nothing() {
            return;
        }
        self.notes.extend(actions.notes.drain(..));
        let (ready, is_done) = (actions.ready.take(), std::mem::take(&mut actions.is_done));
        let mut leave = actions.leave.take();
        let (wake, flow) = (actions.wake.take(), actions.flow.take());
        if !actions.bytes.is_empty() {
            if wire.send(id, &actions.bytes) == Err(Unsent::Full) {
                // What has been said in part cannot be taken back.
                leave.get_or_insert(Leave::Failed(Kind::Application("unread")));
            }
            actions.bytes.clear();
        }
        if !actions.posts.is_empty() {
            self.post(id, recorder, wire);
        }
        match flow {
            None => {}
            // A client that leaves has to read the answer to its goodbye.
            Some(Flow::Pause) if !self.is_there(id) => {}
            Some(flow) => self.set_flow(id, flow, wire),
        }
        if let Some(wake) = wake {
            self.set_wake(id, wake, wire.now());
        }
        if let Some(part) = ready {
            self.is_ready(id, part, recorder, wire);
        }
        if is_done {
            self.table.set_part(id, Part::Listens);
        }
        if let Some(leave) = leave {
            self.leave(id, leave, recorder, wire);
        }
    }

    /// Gives a client turns while it has room for more and takes them; closed loops only.
    pub(super) fn take_turns(
        &mut self,
        id: ConnectionId,
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        for _ in 0..TURNS_AT_ONCE {
            let has_room = self.has_room(id);
            if !has_room || wire.backlog(id) >= limits::BACKLOG_HIGH {
                return;
            }
            let piece = Piece(SendTimes::at(wire.now()));
            if !self.give_turn(id, piece, recorder, wire) {
                return;
            }
        }
    }

    /// Gives the pieces of the batch to a client as its turns; counts those it does not take.
    pub(super) fn give_planned(
        &mut self,
        id: ConnectionId,
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        let batch = std::mem::take(self.sender.batch_mut());
        for times in &batch {
            let piece = std::slice::from_ref(times);
            if self.table.get_open(id).is_none() {
                recorder.dropped(piece, Cause::NoConnection);
            } else if wire.backlog(id) >= limits::BACKLOG_HIGH {
                recorder.dropped(piece, Cause::Backlog);
            } else if !self.has_room(id) || !self.give_turn(id, Piece(*times), recorder, wire) {
                recorder.dropped(piece, Cause::InFlight);
            }
        }
        *self.sender.batch_mut() = batch;
    }

    /// Whether a client takes turns and has room for one more exchange.
    fn has_room(&mut self, id: ConnectionId) -> bool {
        let in_flight = self.table.get_open(id).map(|it| it.role().in_flight());
        in_flight.is_some_and(|it| self.sender.room(it) > 0) && self.table.speaks(id)
    }

    /// Gives a client a turn; whether it has taken it, or is gone.
    fn give_turn(
        &mut self,
        id: ConnectionId,
        piece: Piece,
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) -> bool {
        let before = self.begun(id);
        self.call_dialogue(id, recorder, wire, |dialogue, context| {
            dialogue.on_turn(piece, context);
        });
        let after = self.begun(id);
        after.is_none() || after != before
    }

    /// Exchanges that a client has begun so far.
    fn begun(&mut self, id: ConnectionId) -> Option<u32> {
        let conversation = self.table.get(id)?.role().conversation();
        conversation.map(Conversation::begun)
    }

    /// The scenario's own handshake is done.
    fn is_ready(
        &mut self,
        id: ConnectionId,
        part: Part,
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        match (self.table.state(id), part) {
            (ClientState::Greeting, _) => {}
            (ClientState::Open, Part::Speaks) => return self.takes_over(id, recorder, wire),
            _ => return,
        }
        let time = self.mark_up(id, part, recorder, wire.now());
        recorder.ready(time);
        if part == Part::Speaks {
            recorder.speaker();
        }
        self.refill(id, recorder, wire);
    }

    /// A client that listened takes turns from now on, unless it leaves.
    fn takes_over(
        &mut self,
        id: ConnectionId,
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        let client = self.table.get_open(id);
        if client.is_some_and(|it| !it.is_leaving()) && !self.table.speaks(id) {
            self.table.set_part(id, Part::Speaks);
            recorder.speaker();
            self.refill(id, recorder, wire);
        }
    }

    fn set_flow(&mut self, id: ConnectionId, flow: Flow, wire: &mut impl Wire<CoreMessage>) {
        match flow {
            Flow::Pause => wire.pause(id),
            Flow::Resume => wire.resume(id),
        }
        if let Some(conversation) = self.conversation(id) {
            conversation.set_paused(flow == Flow::Pause);
        }
    }

    fn set_wake(&mut self, id: ConnectionId, wake: Wake, now: Instant) {
        let Some(conversation) = self.conversation(id) else {
            return;
        };
        if let Some(at) = conversation.set_wake(wake) {
            let wheel = &mut self.wakes.wheel;
            wheel
                .get_or_insert_with(|| Wheel::new(now, TICK_TIME))
                .schedule(id, at);
        }
    }

    fn conversation(&mut self, id: ConnectionId) -> Option<&mut Conversation> {
        self.table.get(id)?.role_mut().conversation_mut()
    }

    /// Whether a client is up, or about to be.
    fn is_there(&self, id: ConnectionId) -> bool {
        let state = self.table.state(id);
        matches!(state, ClientState::Greeting | ClientState::Open)
    }

    /// Sends what a client's dialogue posts, each when the one before has been answered.
    fn post(
        &mut self,
        owner: ConnectionId,
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        let Some(client) = self.table.get(owner) else {
            return self.tools.actions().posts.clear();
        };
        let conversation = client.role().conversation();
        let redirect = conversation.and_then(Conversation::redirect);
        let asked = ClientRequest::new(&self.config, (client.number(), client.turn()), redirect);
        let posts = self.tools.actions().posts.drain(..);
        let requests = posts.map(|post| http_post::request(&asked, &post));
        let requests: VecDeque<Vec<u8>> = requests.collect();
        let step = self.posts.post(owner, requests);
        let id = self.posts.of(owner).unwrap_or(owner);
        self.post_step(step, id, recorder, wire);
    }

    /// Looks whether a connection, or the answer to a post, has been awaited for too long.
    pub(super) fn watch_post(
        &mut self,
        id: ConnectionId,
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        match self.posts.watch(id, wire.now()) {
            PostWatch::Done => {}
            PostWatch::Until(at) => self.timers.set(at, Timer::AwaitPost(id)),
            PostWatch::Overdue(owner, kind) => {
                self.leave(owner, Leave::Failed(kind), recorder, wire);
                self.release_posts(owner, wire);
            }
        }
    }

    /// Carries out what is to be done for posts; those of that connection go on.
    pub(super) fn post_step(
        &mut self,
        step: PostStep,
        id: ConnectionId,
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        let step = match step {
            PostStep::Wait => self.posts.next(id, wire.now()),
            other => other,
        };
        match step {
            PostStep::Wait => {}
            PostStep::Connect(requests) => {
                self.events.push(ClientEvent::NeedsPostConnection(requests));
            }
            PostStep::Send(NextPost {
                owner,
                request,
                watch,
                ..
            }) => {
                if let Some(at) = watch {
                    self.timers.set(at, Timer::AwaitPost(id));
                }
                if wire.send(id, &request) == Err(Unsent::Full) {
                    self.leave(
                        owner,
                        Leave::Failed(Kind::Application("unread")),
                        recorder,
                        wire,
                    );
                }
            }
            PostStep::Close(id, rest) => {
                wire.close(id, Close::Flush);
                if !rest.is_empty() {
                    self.events.push(ClientEvent::NeedsPostConnection(rest));
                }
            }
            PostStep::Fail(owner, kind) => {
                self.leave(owner, Leave::Failed(kind), recorder, wire);
            }
        }
    }
}
