//! Sessions: clients that arrive at the connect pace while the run runs, stay for a time and go.

use super::barrier::Message;
use super::client::table::State;
use super::pace::Pace;
use super::phase::Phase;
use super::shard::Load;
use super::timers::Timer;
use crate::shard::{Close, ConnectionId, Wire};
use crate::time::Instant;

impl Load {
    /// The common start is known: plans the arrivals up to the end of the measured time.
    pub(super) fn plan_sessions(&mut self) {
        if self.config.session.is_none() {
            return;
        }
        let (start, until) = (self.timeline.start(), self.timeline.until());
        let planned = self.config.connect_pace.as_ref().map_or(0, |pace: &Pace| {
            pace.before(until.as_nanos().saturating_sub(start.as_nanos()))
        });
        self.connecting.plan(self.stripe.share(planned), start);
        self.recorder.outcome.connects.planned = self.stripe.share(planned);
    }

    /// Whether a session that arrives finds as many as there may be at once.
    pub(super) fn is_full(&self) -> bool {
        let most = self.stripe.share(u64::from(self.config.connections));
        let here = u64::try_from(self.fleet.len()).unwrap_or(u64::MAX);
        self.config.session.is_some() && here + self.retries.retrying() >= most
    }

    /// A session is up: it knows when it will go.
    pub(super) fn stay(&mut self, id: ConnectionId, now: Instant) {
        if let Some(session) = self.config.session {
            let time = session.draw(&mut self.tools.rng);
            self.alarms.set(now + time, Timer::Leave(id));
        }
    }

    /// A session's time is over.
    pub(super) fn end_session(&mut self, id: ConnectionId, wire: &mut impl Wire<Message>) {
        let is_open = self.fleet.get(id).map(|client| client.state) == Some(State::Open);
        if is_open && self.timeline.phase() == Phase::Running {
            self.recorder.outcome.connects.left += 1;
            self.say_goodbye(id, wire);
            let by = wire.now() + self.config.close_time;
            self.alarms.set(by, Timer::Vanish(id));
        }
    }

    /// A session's closing handshake has taken long enough.
    pub(super) fn vanish(&mut self, id: ConnectionId, wire: &mut impl Wire<Message>) {
        if let Some(client) = self.fleet.get(id)
            && client.state == State::CloseSent
        {
            client.state = State::Over;
            self.recorder.outcome.connects.still_open += 1;
            wire.close(id, Close::Abort);
        }
    }
}
