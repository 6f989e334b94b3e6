//! How a run ends: the last replies, closing handshakes, and connections that end before.

use super::barrier::Message;
use super::client::table::{State, Stream};
use super::config::Scenario;
use super::measure::failure::{Kind, Stage};
use super::measure::outcome::Ending;
use super::measure::recorder::Cause;
use super::measure::usage::Mark;
use super::phase::{NEVER, Phase};
use super::shard::Load;
use crate::protocol::websocket::closing;
use crate::protocol::websocket::frame::{self, Opcode};
use crate::shard::{Close, CloseCause, ConnectionId, Wire};
use crate::time::Instant;

/// Connections closed in one turn at most.
const CLOSES_PER_TURN: u32 = 1024;
/// RFC 6455, 7.4.1: no code was in the peer's close frame. Never sent.
const NO_CODE: u16 = 1005;

impl Load {
    /// The measured time is over. What of the plan has not been sent by now will not be.
    pub(super) fn begin_draining(&mut self, wire: &mut impl Wire<Message>) {
        let rest = self.pacer.end();
        self.recorder.never_sent(rest, Cause::Late);
        self.drain(wire);
    }

    /// The run was stopped: the plan ends here.
    pub(super) fn cut_short(&mut self, wire: &mut impl Wire<Message>) {
        let now = wire.now();
        if let Some(pace) = self.config.message_pace() {
            let rest = self.pacer.cut_short(pace, now);
            let cause = if self.is_deserted() {
                Cause::NoConnection
            } else {
                Cause::Late
            };
            self.recorder.never_sent(rest, cause);
        }
        self.end_now(now);
        self.drain(wire);
    }

    /// No connection is left: the rest of the plan has none to go to.
    fn cut_short_with_plan(&mut self, wire: &mut impl Wire<Message>) {
        let rest = self.pacer.end();
        self.recorder.never_sent(rest, Cause::NoConnection);
        self.end_now(wire.now());
        self.drain(wire);
    }

    /// No connection is left here, and none comes: the run is over on this core.
    pub(super) fn desert(&mut self, wire: &mut impl Wire<Message>) {
        let connects = &self.recorder.outcome.connects;
        // Where all went as their scenario wanted, that was the run.
        let is_in_order = connects.left > 0 && connects.ended_early == 0;
        self.recorder.outcome.ending = if is_in_order {
            Ending::Complete
        } else {
            Ending::Deserted
        };
        if self.config.ends_with_turns() {
            // Other cores may have turns left, and the first one is told when they have not.
            self.end_turns_if_done(wire);
        } else {
            self.cut_short_with_plan(wire);
        }
    }

    /// Whether this core had connections and has none left. One without a share just waits.
    pub(super) fn is_deserted(&self) -> bool {
        self.fleet.up() == 0
            && !self.retries.is_any_absent()
            && self.config.session.is_none()
            && self.recorder.outcome.connects.planned > 0
    }

    /// Replies may have been the last ones awaited.
    #[inline]
    pub(super) fn end_drain_if_done(&mut self, wire: &mut impl Wire<Message>) {
        if self.timeline.phase() != Phase::Draining || self.recorder.in_flight > 0 {
            return;
        }
        if self.config.has_dialogues() && wire.cores() > 1 {
            self.say_drained(wire);
        } else {
            self.begin_closing(wire);
        }
    }

    /// Nothing more is awaited: says goodbye on every connection.
    pub(super) fn begin_closing(&mut self, wire: &mut impl Wire<Message>) {
        // A run may be stopped while it connects.
        if self.timeline.phase() == Phase::Connecting {
            self.note_connect_phase(wire);
        }
        self.stop_connecting(wire);
        // Those that wait for all cores do not wait for this one.
        let now = wire.now();
        self.timeline.close(now, self.config.close_time);
        if self.config.has_dialogues() && wire.cores() > 1 {
            self.say_drained(wire);
        }
        let messages = &mut self.recorder.outcome.messages;
        messages.lost = messages.sent - messages.replied;
        // A reply that comes while closing is too late: it is counted as lost already.
        self.recorder.measure(NEVER, NEVER);
        self.next_slot = 0;
        self.go_on_closing(wire);
    }

    /// Closes some more connections, or ends the run.
    pub(super) fn go_on_closing(&mut self, wire: &mut impl Wire<Message>) {
        for _ in 0..CLOSES_PER_TURN {
            let Some((id, state)) = self.fleet.at(self.next_slot) else {
                break;
            };
            self.next_slot += 1;
            match state {
                State::Open => self.say_goodbye(id, wire),
                State::Connecting | State::Upgrading | State::Greeting => {
                    if let Some(client) = self.fleet.get(id) {
                        client.state = State::Over;
                    }
                    wire.close(id, Close::Abort);
                    self.posts.owner_gone(id);
                    self.close_orphans(wire);
                }
                State::Free | State::CloseSent | State::Over => {}
            }
        }
        self.finish_if_done(wire);
    }

    /// Whether some connections have not been told goodbye yet.
    pub(super) fn has_to_close(&self) -> bool {
        self.fleet.at(self.next_slot).is_some()
    }

    /// The peer sent a close frame, in answer to ours or unasked.
    pub(super) fn peer_closed(
        &mut self,
        id: ConnectionId,
        code: Option<u16>,
        wire: &mut impl Wire<Message>,
    ) {
        let Some(client) = self.fleet.get(id) else {
            return;
        };
        if client.state == State::Greeting {
            let kind = Kind::CloseCode(code.unwrap_or(NO_CODE));
            self.connect_failed(id, Stage::Ready, kind, wire);
            return;
        }
        if client.state == State::CloseSent {
            client.state = State::Over;
        } else {
            // RFC 6455, 5.5.1: answered with a close frame, usually of the same code.
            self.send_close(id, closing::reply_code(code), wire);
            let kind = Kind::CloseCode(code.unwrap_or(NO_CODE));
            self.ended_early(id, kind, wire.now());
        }
        wire.close(id, Close::Flush);
        self.after_loss(wire);
    }

    /// The peer broke the protocol; it is told so if there is a code for it.
    pub(super) fn peer_broke(
        &mut self,
        id: ConnectionId,
        kind: Kind,
        wire: &mut impl Wire<Message>,
    ) {
        let Some(client) = self.fleet.get(id) else {
            return;
        };
        let state = client.state;
        if state == State::Greeting {
            self.connect_failed(id, Stage::Ready, kind, wire);
            return;
        }
        if state == State::Open {
            let is_websocket = matches!(client.stream, Stream::WebSocket(_));
            match kind {
                Kind::Protocol(code) => self.send_close(id, Some(code), wire),
                Kind::TooLarge if is_websocket => {
                    self.send_close(id, Some(closing::TOO_BIG), wire);
                }
                _ => {}
            }
            self.ended_early(id, kind, wire.now());
        } else {
            client.state = State::Over;
        }
        wire.close(id, Close::Flush);
        self.after_loss(wire);
    }

    /// The engine says that a connection is over.
    pub(super) fn ended(
        &mut self,
        id: ConnectionId,
        cause: CloseCause,
        wire: &mut impl Wire<Message>,
    ) {
        if self.posts.has(id) {
            self.post_closed(id, wire);
        } else {
            self.client_ended(id, cause, wire);
        }
        self.use_free_slot(wire);
    }

    fn client_ended(&mut self, id: ConnectionId, cause: CloseCause, wire: &mut impl Wire<Message>) {
        let Some(client) = self.fleet.get(id) else {
            return;
        };
        let state = client.state;
        self.say_closed(id, wire);
        let Some(client) = self.fleet.get(id) else {
            return;
        };
        let is_in_order = cause == CloseCause::PeerEnded
            && matches!(&client.stream, Stream::Sse(stream) if stream.is_until_end);
        match state {
            State::Connecting | State::Upgrading | State::Greeting => client.state = State::Over,
            State::Open => {
                let kind = if is_in_order {
                    Kind::StreamEnded
                } else {
                    Kind::of(cause)
                };
                self.ended_early(id, kind, wire.now());
            }
            State::CloseSent | State::Over | State::Free => {}
        }
        let Some(client) = self.fleet.get(id) else {
            return;
        };
        if let Stream::WebSocket(decoder) = &mut client.stream {
            decoder.release(&mut self.tools.pool);
        }
        // A session that went had messages under way.
        self.recorder.gone(client.talk.in_flight());
        client.talk.flight.clear(&mut self.tools.rings);
        let attempt = client.attempt();
        self.fleet.remove(id);
        self.posts.owner_gone(id);
        let kind = Kind::of(cause);
        match state {
            State::Connecting => self.count_failed(id, attempt, (Stage::Connect, kind), wire),
            State::Upgrading => self.count_failed(id, attempt, (Stage::Upgrade, kind), wire),
            State::Greeting => self.count_failed(id, attempt, (Stage::Ready, kind), wire),
            State::Open | State::CloseSent | State::Over | State::Free => {
                self.after_loss(wire);
            }
        }
    }

    /// Tells a dialogue that its connection is over, if that was not of its own doing.
    pub(super) fn say_closed(&mut self, id: ConnectionId, wire: &mut impl Wire<Message>) {
        if self.config.has_dialogues()
            && let Some(client) = self.fleet.get(id)
            && matches!(client.state, State::Greeting | State::Open)
        {
            self.converse(id, wire, |dialogue, context| dialogue.on_close(context));
        }
    }

    /// An open connection is lost to the run: what it had under way will not be replied to.
    pub(super) fn ended_early(&mut self, id: ConnectionId, kind: Kind, now: Instant) {
        if self.timeline.phase() == Phase::Closing {
            // It had its whole time: who ends it first is nobody's failure.
            self.release(id, kind, now);
        } else if self.fleet.get(id).is_some() {
            self.recorder.failed(Stage::Open, kind);
            self.recorder.outcome.connects.ended_early += 1;
            self.release(id, kind, now);
        }
    }

    /// An open connection is over, but its client may come back; how many messages were under
    /// way.
    pub(super) fn release(&mut self, id: ConnectionId, kind: Kind, now: Instant) -> u32 {
        self.note_loss(id, kind, now);
        self.posts.owner_gone(id);
        let Some(client) = self.fleet.get(id) else {
            return 0;
        };
        let under_way = client.talk.in_flight();
        self.recorder.gone(under_way);
        client.talk.flight.clear(&mut self.tools.rings);
        client.talk.expected = client.talk.next;
        self.fleet.lower(id, State::Over);
        under_way
    }

    /// A connection less may mean that there is nothing left to do.
    pub(super) fn after_loss(&mut self, wire: &mut impl Wire<Message>) {
        self.close_orphans(wire);
        match self.timeline.phase() {
            Phase::Running if self.is_deserted() => self.desert(wire),
            Phase::Running => self.end_turns_if_done(wire),
            Phase::Draining => self.end_drain_if_done(wire),
            Phase::Closing => {
                self.timeline.closed_one(wire.now(), self.config.close_time);
                self.finish_if_done(wire);
            }
            Phase::Connecting | Phase::Waiting | Phase::Finished => {}
        }
    }

    /// The measured time ends before its time.
    fn end_now(&mut self, now: Instant) {
        self.timeline.cut_short(now);
        self.recorder
            .measure(self.timeline.from(), self.timeline.until());
    }

    /// Waits for the last replies, if there are any.
    fn drain(&mut self, wire: &mut impl Wire<Message>) {
        let now = wire.now();
        self.stop_connecting(wire);
        self.note_silence();
        let from = self.marks.from.unwrap_or_else(|| Mark::now(wire));
        let (cpu, time, turns) = from.since(wire);
        let rescues = wire.vitals().counters.rescues;
        self.note_use(|used| {
            (used.measured_cpu, used.measured_time) = (cpu, time);
            (used.turns, used.rescues) = (turns, rescues);
        });
        let messages = &mut self.recorder.outcome.messages;
        messages.replied_in_time = messages.replied;
        self.timeline.drain(now, self.config.grace);
        self.end_drain_if_done(wire);
    }

    /// Which listeners had heard nothing for long when the measured time was over.
    fn note_silence(&mut self) {
        if !matches!(self.config.scenario, Scenario::Listen) {
            return;
        }
        let Self {
            fleet,
            recorder,
            config,
            ..
        } = self;
        for client in fleet.open() {
            let (place, talk) = (config.place(client.number), &client.talk);
            recorder.listened(place, talk.pushed, talk.heard_at, config.silence);
        }
    }

    pub(super) fn say_goodbye(&mut self, id: ConnectionId, wire: &mut impl Wire<Message>) {
        let Some(client) = self.fleet.get(id) else {
            return;
        };
        match client.stream {
            Stream::WebSocket(_) => {
                self.fleet.lower(id, State::CloseSent);
                self.send_close(id, Some(closing::NORMAL), wire);
            }
            // There is no closing handshake: the client just goes.
            Stream::Sse(_) | Stream::Head(_) => {
                self.fleet.lower(id, State::Over);
                wire.close(id, Close::Flush);
                self.posts.owner_gone(id);
                self.close_orphans(wire);
            }
        }
    }

    /// Queues a close frame; a peer that does not read must do without.
    pub(super) fn send_close(
        &mut self,
        id: ConnectionId,
        code: Option<u16>,
        wire: &mut impl Wire<Message>,
    ) {
        let key = self.tools.rng.u32(..).to_ne_bytes();
        let mut payload = Vec::new();
        if let Some(code) = code {
            frame::close_payload(&mut payload, code, "");
        }
        self.tools.scratch.clear();
        frame::encode(&mut self.tools.scratch, Opcode::Close, &payload, Some(key));
        let _ = wire.send(id, &self.tools.scratch);
        if self.config.has_dialogues() {
            // A slow reader may have paused, and the answer is yet to be read.
            wire.resume(id);
        }
    }

    fn finish_if_done(&mut self, wire: &mut impl Wire<Message>) {
        let is_time = wire.now() >= self.timeline.phase_by() && !self.has_to_close();
        if self.timeline.phase() == Phase::Closing && (self.fleet.is_over() || is_time) {
            self.recorder.outcome.connects.still_open = self.fleet.unanswered();
            self.timeline.finish();
            self.show(wire);
        }
    }
}
