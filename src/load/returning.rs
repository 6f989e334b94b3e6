//! Clients that come back: failed connects are tried again, lost connections made anew, and what
//! was missed meanwhile is counted.

use super::attempt::{Attempt, LostConnection, RetryState};
use super::barrier::Message;
use super::client::table::{State, Stream, Talk};
use super::config::Scenario;
use super::measure::failure::{Kind, Stage};
use super::measure::recorder::{Age, Recorder};
use super::measure::stamp::Pushed;
use super::phase::Phase;
use super::redirect::Redirect;
use super::retry::{RetryVerdict, TimeLeft};
use super::shard::Load;
use super::timers::Timer;
use crate::shard::{Close, ConnectionId, Wire};
use crate::time::Instant;
use std::time::Duration;

/// Errands run in one turn at most.
const ERRANDS_PER_TURN: u32 = 4096;

impl Load {
    /// Does what clients have set themselves for now or before, some of it a turn.
    pub(super) fn run_errands(&mut self, wire: &mut impl Wire<Message>) {
        for _ in 0..ERRANDS_PER_TURN {
            match self.alarms.due(wire.now()) {
                None => return,
                Some(Timer::Speak(id)) => self.speak(id, wire),
                Some(Timer::Connect(attempt)) => self.try_again(attempt, wire),
                Some(Timer::Leave(id)) => self.end_session(id, wire),
                Some(Timer::Vanish(id)) => self.vanish(id, wire),
                Some(Timer::AwaitPost(id)) => self.await_post(id, wire),
            }
        }
    }

    /// A connect failed: it is tried again, or was the last.
    pub(super) fn attempt_failed(
        &mut self,
        mut attempt: Attempt,
        stage: Stage,
        kind: Kind,
        wire: &mut impl Wire<Message>,
    ) {
        self.recorder.failed(stage, kind);
        if let Some(past) = &mut attempt.past {
            // As browsers do: the next attempt asks where the first one did.
            past.redirect = None;
        }
        let is_first = attempt.is_first();
        if is_first {
            self.connecting.under_way -= 1;
        }
        let time = self.time_left(is_first);
        let at = (wire.now(), &mut self.tools.rng);
        match self.retries.failed(attempt, kind, time, at) {
            RetryVerdict::RetryAt(at, attempt) => self.alarms.set(at, Timer::Connect(attempt)),
            RetryVerdict::GivenUp if is_first => self.recorder.outcome.connects.failed += 1,
            RetryVerdict::GivenUp => self.recorder.outcome.returns.given_up += 1,
        }
    }

    /// The server of an event stream leads elsewhere: its client asks there, in the same attempt.
    pub(super) fn follow(
        &mut self,
        id: ConnectionId,
        redirect: Box<Redirect>,
        wire: &mut impl Wire<Message>,
    ) {
        let Some(client) = self.fleet.get(id) else {
            return;
        };
        client.state = State::Over;
        let mut attempt = client.attempt();
        let past = attempt.past.get_or_insert_default();
        (past.redirect, past.addresses) = (Some(redirect), 0);
        wire.close(id, Close::Abort);
        self.attempt(attempt, wire);
    }

    /// A connection that was up is lost: notes what its client will ask for when it comes back.
    pub(super) fn note_loss(&mut self, id: ConnectionId, kind: Kind, now: Instant) {
        if !self.retries.reconnects() || self.time_left(false) == TimeLeft::None {
            return;
        }
        let Some(client) = self.fleet.get(id) else {
            return;
        };
        let (retry, last_event_id) = match &client.stream {
            Stream::Sse(stream) => (stream.retry, stream.parser.last_event_id().to_owned()),
            Stream::Head(_) | Stream::WebSocket(_) => (None, String::new()),
        };
        let lost = LostConnection {
            at: Instant::default(),
            pushed: client.talk.pushed,
            last_event_id,
            retry,
            up_at: None,
        };
        let past = RetryState {
            lost: Some(lost),
            ..RetryState::default()
        };
        let attempt = Attempt {
            past: Some(Box::new(past)),
            ..client.attempt()
        };
        self.recorder.outcome.returns.lost += 1;
        match self.retries.lost(attempt, kind, (now, &mut self.tools.rng)) {
            RetryVerdict::RetryAt(at, attempt) => self.alarms.set(at, Timer::Connect(attempt)),
            RetryVerdict::GivenUp => self.recorder.outcome.returns.given_up += 1,
        }
    }

    /// A client is up again after a loss.
    pub(super) fn is_back(&mut self, id: ConnectionId, mut lost: LostConnection, now: Instant) {
        self.retries.resumed();
        let outcome = &mut self.recorder.outcome;
        outcome.returns.resumed += 1;
        if !matches!(self.config.scenario, Scenario::Listen) {
            outcome.latencies.resume.record_ns(ns_since(now, lost.at));
            return;
        }
        // It is only there again when it has heard something.
        lost.up_at = Some(now);
        if let Some(client) = self.fleet.get(id) {
            client.talk.pushed = lost.pushed;
            client.talk.past = Some(Box::new(RetryState {
                lost: Some(lost),
                ..RetryState::default()
            }));
        }
    }

    /// Nobody comes back any more: counts who is away, and lets connects under way go.
    pub(super) fn stop_returning(&mut self) {
        let outcome = &mut self.recorder.outcome;
        let unfinished = self.retries.stop();
        outcome.connects.unfinished += unfinished.first;
        outcome.returns.absent += unfinished.absent;
        self.connecting.without_slot.clear();
        self.alarms.clear();
    }

    fn try_again(&mut self, attempt: Attempt, wire: &mut impl Wire<Message>) {
        let outcome = &mut self.recorder.outcome;
        if attempt.is_first() {
            // The connect phase may have ended meanwhile: then it was counted as failed.
            if !self.retries.begins_first() {
                return;
            }
            self.connecting.under_way += 1;
            outcome.connects.retries += 1;
        } else {
            outcome.returns.attempts += 1;
        }
        self.attempt(attempt, wire);
        self.after_loss(wire);
    }

    /// Whether a client that connects now is of use to the run.
    fn time_left(&self, is_first: bool) -> TimeLeft {
        let is_some = match self.timeline.phase() {
            Phase::Connecting => !is_first || !self.connecting.is_over(),
            Phase::Waiting | Phase::Running => !is_first || self.config.session.is_some(),
            Phase::Draining | Phase::Closing | Phase::Finished => false,
        };
        if is_some {
            TimeLeft::Some
        } else {
            TimeLeft::None
        }
    }

    fn speak(&mut self, id: ConnectionId, wire: &mut impl Wire<Message>) {
        if let Some(client) = self.fleet.get(id) {
            client.thinks = false;
            if client.state == State::Open && self.timeline.phase() == Phase::Running {
                self.fill_up(id, wire);
            }
        }
    }
}

/// The event that tells a client that what it missed is lost.
pub(super) const STALE: &str = "stale";

impl Recorder {
    /// What a client missed is lost. With an id of another run (`RUN:N`) the numbers begin anew,
    /// and it missed all of that run so far; otherwise the next message shows what it missed.
    #[cold]
    pub(super) fn stale(&mut self, talk: &mut Talk, id: &str) {
        let run = |id: &str| id.rsplit_once(':').map(|(run, _)| run.to_owned());
        let last = talk.last_event_id().and_then(run);
        if last.is_none() || last == run(id) {
            return;
        }
        let number = id
            .rsplit_once(':')
            .and_then(|(_, number)| number.parse().ok());
        self.outcome.returns.missed += number.unwrap_or(0);
        talk.pushed = 0;
    }

    /// A stamped message came on a connection that is there again: the first one ends the
    /// absence; older ones than the connection are replayed.
    #[cold]
    pub(super) fn resumed(&mut self, talk: &mut Talk, stamp: Option<Pushed>, now: Instant) -> Age {
        let last = talk.pushed;
        let Some(lost) = talk.past.as_mut().and_then(|past| past.lost.as_mut()) else {
            return Age::New;
        };
        let returns = &mut self.outcome.returns;
        let is_first = lost.at != Instant::default();
        if is_first {
            let ns = ns_since(now, std::mem::take(&mut lost.at));
            self.outcome.latencies.resume.record_ns(ns);
        }
        let Some(stamp) = stamp else {
            talk.past = None;
            return Age::New;
        };
        if is_first && last != 0 && stamp.sequence > last {
            returns.missed += stamp.sequence - last - 1;
            // What was missed is not a gap of this connection too.
            talk.pushed = stamp.sequence - 1;
        }
        if stamp.sequence <= last {
            returns.duplicated += 1;
        }
        // Without an id nothing was asked for: what is older was on its way.
        let is_asked = !lost.last_event_id.is_empty();
        if is_asked && lost.up_at.is_some_and(|up| stamp.sent_ns < up.as_nanos()) {
            returns.replayed += 1;
            Age::Replayed
        } else {
            talk.past = None;
            Age::New
        }
    }
}

/// Time from one moment to a later one, in nanoseconds.
fn ns_since(now: Instant, then: Instant) -> u64 {
    now.as_nanos().saturating_sub(then.as_nanos())
}

/// What the server asks its listeners to wait, if it is a time that one can wait.
pub(super) fn retry_of(ms: u64) -> Option<Duration> {
    // A day: a server that asks for more wants nobody back.
    Some(Duration::from_millis(ms.min(86_400_000)))
}
