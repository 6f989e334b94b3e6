//! How connections end: connects that fail, losses, goodbyes, and pings that are not answered.

use super::keepalive;
use super::receiver::PeerEnd;
use super::state::ClientState;
use super::{ClientEvent, ConnectionLoss, FailedConnect, LoadClients, LossCause, Timer};
use crate::load::barrier::CoreMessage;
use crate::load::measure::failure::Kind;
use crate::load::measure::recorder::Recorder;
use crate::load::outage::{Choice, OutageLosses};
use crate::load::phase::AT_ONCE;
use crate::load::redirect::Redirect;
use crate::load::scenario::Leave;
use crate::protocol::websocket::closing;
use crate::protocol::websocket::frame::{self, Opcode};
use crate::shard::{Close, CloseCause, ConnectionId, Wire};
use crate::time::Instant;
use std::time::Duration;

/// Connections closed in one turn at most.
const CLOSES_PER_TURN: u32 = 1024;
/// So soon a session that waits for replies looks whether it has them.
const LOOK_TIME: Duration = Duration::from_millis(1);
/// RFC 6455, 7.4.1: no code was in the peer's close frame. Never sent.
const NO_CODE: u16 = 1005;

impl LoadClients {
    /// A connect has taken too long.
    pub(in crate::load) fn time_out(
        &mut self,
        id: ConnectionId,
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        if self.table.state(id) == ClientState::Greeting {
            // It knows what it has been waiting for, and fails by that name.
            self.call_dialogue(id, recorder, wire, |dialogue, context| {
                dialogue.on_timer(context);
            });
        }
        if self.is_under_way(id) {
            self.fail_connect(id, Kind::TimedOut, wire);
        }
    }

    /// A connect has kept the other addresses of its name waiting: the next one is tried.
    pub(in crate::load) fn make_way(
        &mut self,
        id: ConnectionId,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        let Some(client) = self.table.get(id) else {
            return;
        };
        let other = client.redirect().map(Redirect::to);
        let all = self.config.addresses_of(client.turn(), other);
        let tried = client.addresses_tried() as usize;
        let is_last = (tried + 1).is_multiple_of(all.max(1));
        // The last one has all the time that there is.
        if !is_last {
            self.fail_connect(id, Kind::TimedOut, wire);
        }
    }

    /// Drops the connections that an outage chooses, as a network that goes away.
    pub(in crate::load) fn drop_share(
        &mut self,
        mut choice: Choice,
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) -> OutageLosses {
        let mut losses = OutageLosses::default();
        let mut slot = 0;
        while let Some((id, state)) = self.table.at(slot) {
            slot += 1;
            if state == ClientState::Open && choice.takes_next() {
                losses.connections += 1;
                let messages = self.lose(id, (LossCause::Dropped, Kind::Reset), recorder, wire);
                losses.messages += u64::from(messages);
                wire.close(id, Close::Abort);
            }
        }
        losses
    }

    /// The measured time is over, or the run was stopped: nothing more is sent but by dialogues,
    /// what is not up is left unfinished, and nobody comes back.
    pub(in crate::load) fn stop(&mut self, wire: &mut impl Wire<CoreMessage>) {
        self.refill_until = AT_ONCE;
        self.come_back = false;
        self.timers.clear();
        let mut slot = 0;
        while let Some((id, state)) = self.table.at(slot) {
            slot += 1;
            if state.stage().is_some() {
                self.end(id, Close::Abort, wire);
            }
        }
    }

    /// Connections are closed from the first slot on.
    pub(in crate::load) const fn begin_closing(&mut self) {
        self.next_slot = 0;
    }

    /// Closes some more connections.
    pub(in crate::load) fn close_some(&mut self, wire: &mut impl Wire<CoreMessage>) {
        for _ in 0..CLOSES_PER_TURN {
            let Some((id, state)) = self.table.at(self.next_slot) else {
                return;
            };
            self.next_slot += 1;
            if state == ClientState::Open {
                self.say_goodbye(id, wire);
            }
        }
    }

    /// Whether some connections have not been closed yet.
    pub(in crate::load) fn has_to_close(&self) -> bool {
        self.table.at(self.next_slot).is_some()
    }

    /// Clients whose closing handshake has not ended.
    pub(in crate::load) fn unanswered(&self) -> u64 {
        self.table.count(ClientState::CloseSent)
    }

    /// Sends the pings that are due; a connection that has not answered the last one has failed.
    pub(in crate::load) fn send_pings(
        &mut self,
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        let now = wire.now();
        if self.keepalive.deadline().is_none_or(|at| at > now) {
            return;
        }
        let due = self.keepalive.take_due(now);
        for &id in &due {
            let Some(client) = self.table.get_open(id) else {
                continue;
            };
            let number = client.number();
            if client.role().is_paused() {
                // It would not read the pong.
                client.await_pong(false);
            } else if client.awaits_pong() {
                self.no_pong(id, recorder, wire);
                continue;
            } else {
                let key = self.tools.key();
                let scratch = self.tools.scratch();
                keepalive::encode(scratch, now, key);
                // What a peer that does not read makes fail is its backlog, not its pong.
                if wire.send(id, scratch).is_ok() {
                    client.await_pong(true);
                    recorder.pinged();
                }
            }
            self.keepalive.go_on(id, number, now);
        }
        self.keepalive.give_back(due);
    }

    /// The peer sent a close frame, in answer to ours or unasked, or it broke the protocol.
    pub(super) fn peer_ended(
        &mut self,
        id: ConnectionId,
        end: PeerEnd,
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        let kind = match end {
            PeerEnd::Closed(code) => Kind::CloseCode(code.unwrap_or(NO_CODE)),
            PeerEnd::Broken(kind) => kind,
        };
        match self.table.state(id) {
            ClientState::Greeting => self.fail_connect(id, kind, wire),
            ClientState::Open => {
                match end {
                    // RFC 6455, 5.5.1: answered with a close frame, usually of the same code.
                    PeerEnd::Closed(code) => self.send_close(id, closing::reply_code(code), wire),
                    PeerEnd::Broken(Kind::Protocol(code)) => self.send_close(id, Some(code), wire),
                    PeerEnd::Broken(Kind::TooLarge) if self.is_websocket(id) => {
                        self.send_close(id, Some(closing::TOO_BIG), wire);
                    }
                    PeerEnd::Broken(_) => {}
                }
                self.lose(id, (LossCause::EndedEarly, kind), recorder, wire);
                wire.close(id, Close::Flush);
            }
            ClientState::CloseSent => self.end(id, Close::Flush, wire),
            ClientState::Free
            | ClientState::Connecting
            | ClientState::Upgrading
            | ClientState::Over => {}
        }
    }

    /// A dialogue ends its connection.
    pub(super) fn leave(
        &mut self,
        id: ConnectionId,
        leave: Leave,
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        match (self.table.state(id), leave) {
            (ClientState::Greeting, Leave::Failed(kind)) => self.fail_connect(id, kind, wire),
            (ClientState::Greeting, Leave::Close(_) | Leave::Vanish) => {
                self.fail_connect(id, Kind::Application("left_unready"), wire);
            }
            (ClientState::Open, Leave::Failed(kind)) => {
                self.lose(id, (LossCause::EndedEarly, kind), recorder, wire);
                wire.close(id, Close::Flush);
            }
            (ClientState::Open, Leave::Close(code)) => {
                let to = self.lose_to_goodbye(id, recorder, wire);
                if to == ClientState::CloseSent {
                    self.send_close(id, Some(code), wire);
                } else {
                    wire.close(id, Close::Flush);
                }
            }
            (ClientState::Open, Leave::Vanish) => {
                self.lose(id, (LossCause::Left, Kind::Reset), recorder, wire);
                wire.close(id, Close::Abort);
            }
            (
                ClientState::Free
                | ClientState::Connecting
                | ClientState::Upgrading
                | ClientState::CloseSent
                | ClientState::Over,
                _,
            ) => {}
        }
    }

    /// A session's time is over, since then: it says no more, and goes with its last reply.
    pub(super) fn end_session(
        &mut self,
        (id, since): (ConnectionId, Instant),
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        let Some(in_flight) = self.table.leave_soon(id) else {
            return;
        };
        let (now, [grace, close]) = (wire.now(), self.config.ending_times());
        if in_flight == 0 || now.since(since) >= grace {
            recorder.left();
            self.say_goodbye(id, wire);
            self.timers.set(now + close, Timer::Vanish(id));
        } else {
            let look_at = now + LOOK_TIME + now.since(since) / 4;
            self.timers.set(look_at, Timer::Leave(id, since));
        }
    }

    /// A session's closing handshake has taken long enough.
    pub(super) fn vanish(
        &mut self,
        id: ConnectionId,
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        if self.table.state(id) == ClientState::CloseSent {
            recorder.still_open(1);
            self.end(id, Close::Abort, wire);
        }
    }

    /// The engine says that a client's connection is over.
    pub(super) fn client_closed(
        &mut self,
        id: ConnectionId,
        cause: CloseCause,
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        self.tell_closed(id, recorder, wire);
        let Some(client) = self.table.get(id) else {
            return;
        };
        let is_in_order = cause == CloseCause::PeerEnded && client.stream().is_until_end();
        if let Some(stage) = client.state().stage() {
            client.end(ClientState::Over);
            let (attempt, kind) = (client.attempt(), Kind::of(cause));
            self.events.push(ClientEvent::ConnectFailed(FailedConnect {
                id,
                attempt,
                stage,
                kind,
            }));
        } else if client.is_open() {
            let kind = if is_in_order {
                Kind::StreamEnded
            } else {
                Kind::of(cause)
            };
            self.lose(id, (LossCause::EndedEarly, kind), recorder, wire);
        }
        if let Some(client) = self.table.get(id) {
            client.parts().stream.release(self.tools.pool());
            self.sender.end(id);
            // A session that went had messages under way.
            recorder.gone(client.role_mut().clear(self.tools.rings()));
            self.table.remove(id);
        }
        self.release_posts(id, wire);
    }

    /// The server leads elsewhere: that is asked next.
    pub(super) fn follow(
        &mut self,
        id: ConnectionId,
        redirect: Box<Redirect>,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        if let Some(client) = self.table.get(id) {
            client.end(ClientState::Over);
            let mut attempt = client.attempt();
            attempt.follow(redirect);
            self.events.push(ClientEvent::Redirected(attempt));
            wire.close(id, Close::Abort);
        }
    }

    /// A connect ended badly; the connection is closed from here.
    pub(super) fn fail_connect(
        &mut self,
        id: ConnectionId,
        kind: Kind,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        let Some(client) = self.table.get(id) else {
            return;
        };
        let Some(stage) = client.state().stage() else {
            debug_assert!(false, "it failed before");
            return;
        };
        client.end(ClientState::Over);
        let attempt = client.attempt();
        self.events.push(ClientEvent::ConnectFailed(FailedConnect {
            id,
            attempt,
            stage,
            kind,
        }));
        self.release_posts(id, wire);
        wire.close(id, Close::Abort);
    }

    /// Closes a client's connection for posts.
    pub(super) fn release_posts(&mut self, owner: ConnectionId, wire: &mut impl Wire<CoreMessage>) {
        if let Some(id) = self.posts.owner_gone(owner) {
            wire.close(id, Close::Flush);
        }
    }

    /// A connection has not answered its ping for an interval: it is taken for dead.
    fn no_pong(
        &mut self,
        id: ConnectionId,
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        self.tell_closed(id, recorder, wire);
        if self.table.get_open(id).is_some() {
            self.lose(id, (LossCause::EndedEarly, Kind::NoPong), recorder, wire);
            // What is queued would wait for a peer that is not there, and keep the slot meanwhile.
            wire.close(id, Close::Abort);
        }
    }

    /// Tells a dialogue that its connection is over, if that was not of its own doing.
    fn tell_closed(
        &mut self,
        id: ConnectionId,
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        let state = self.table.state(id);
        if matches!(state, ClientState::Greeting | ClientState::Open) {
            self.call_dialogue(id, recorder, wire, |dialogue, context| {
                dialogue.on_close(context);
            });
        }
    }

    /// An open connection is over, but its client may come back: what it had under way will not be
    /// replied to; how many messages those were.
    fn lose(
        &mut self,
        id: ConnectionId,
        (cause, kind): (LossCause, Kind),
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) -> u32 {
        self.lose_to(ClientState::Over, id, (cause, kind), recorder, wire)
    }

    /// The same, of one that its scenario ends in good order; the state that it is in then.
    fn lose_to_goodbye(
        &mut self,
        id: ConnectionId,
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) -> ClientState {
        let to = if self.is_websocket(id) {
            ClientState::CloseSent
        } else {
            ClientState::Over
        };
        self.lose_to(to, id, (LossCause::Left, Kind::Reset), recorder, wire);
        to
    }

    fn lose_to(
        &mut self,
        to: ClientState,
        id: ConnectionId,
        (cause, kind): (LossCause, Kind),
        recorder: &mut Recorder,
        wire: &mut impl Wire<CoreMessage>,
    ) -> u32 {
        let Some(client) = self.table.get_open(id) else {
            return 0;
        };
        let comes_back = match cause {
            LossCause::EndedEarly | LossCause::Dropped => true,
            // With `--reconnect` it comes back, as after a loss; but not where each has turns to
            // take.
            LossCause::Left => !self.config.has_sessions() && !self.config.ends_with_turns(),
        };
        let newest_ns = recorder.newest_ns(self.config.place(client.turn()));
        let attempt = (self.come_back && comes_back).then(|| client.attempt_after_loss(newest_ns));
        let under_way = client.role_mut().clear(self.tools.rings());
        recorder.gone(under_way);
        self.table.mark_down(id, to);
        self.release_posts(id, wire);
        self.events.push(ClientEvent::Lost(ConnectionLoss {
            cause,
            kind,
            attempt,
        }));
        under_way
    }

    /// A client's connection is over, whatever it was at.
    fn end(&mut self, id: ConnectionId, how: Close, wire: &mut impl Wire<CoreMessage>) {
        if let Some(client) = self.table.get(id) {
            client.end(ClientState::Over);
            self.release_posts(id, wire);
            wire.close(id, how);
            self.events.push(ClientEvent::Ended);
        }
    }

    fn is_websocket(&mut self, id: ConnectionId) -> bool {
        let client = self.table.get(id);
        client.is_some_and(|client| client.stream().is_websocket())
    }

    fn say_goodbye(&mut self, id: ConnectionId, wire: &mut impl Wire<CoreMessage>) {
        if self.is_websocket(id) {
            self.table.mark_down(id, ClientState::CloseSent);
            self.send_close(id, Some(closing::NORMAL), wire);
        } else {
            // There is no closing handshake: the client just goes.
            self.table.mark_down(id, ClientState::Over);
            self.release_posts(id, wire);
            wire.close(id, Close::Flush);
        }
    }

    /// Queues a close frame; a peer that does not read must do without.
    fn send_close(
        &mut self,
        id: ConnectionId,
        code: Option<u16>,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        let key = self.tools.key();
        let mut payload = Vec::new();
        if let Some(code) = code {
            frame::close_payload(&mut payload, code, "");
        }
        let scratch = self.tools.scratch();
        frame::encode(scratch, Opcode::Close, &payload, Some(key));
        let _ = wire.send(id, scratch);
        if self.config.has_dialogues() {
            // A slow reader may have paused, and the answer is yet to be read.
            wire.resume(id);
        }
    }
}
