//! Clients that come back: failed connects are tried again, lost connections made anew, and what
//! was missed meanwhile is counted.

use super::barrier::Message;
use super::client::payload::Pushed;
use super::client::table::{State, Stream, Talk};
use super::config::Scenario;
use super::measure::failure::{Kind, Stage};
use super::measure::recorder::{Age, Recorder};
use super::phase::Phase;
use super::retry::{self, Attempt, Lost, Past, Wait};
use super::shard::Load;
use super::timers::Errand;
use crate::shard::{ConnectionId, Wire};
use crate::time::Instant;
use std::time::Duration;

/// Errands run in one turn at most.
const ERRANDS_PER_TURN: u32 = 4096;

/// Who is away.
#[derive(Debug, Default)]
pub(super) struct Returning {
    /// Clients that lost their connection and are neither up again nor have given up.
    pub(super) absent: u64,
    /// First connects that failed and wait for their next attempt.
    pub(super) retrying: u64,
    /// Losses of this turn, which have yet to be given a time to come back.
    losses: Vec<(Wait, Attempt)>,
}

impl Load {
    /// Does what clients have set themselves for now or before, some of it a turn.
    pub(super) fn run_errands(&mut self, wire: &mut impl Wire<Message>) {
        for _ in 0..ERRANDS_PER_TURN {
            match self.alarms.due(wire.now()) {
                None => return,
                Some(Errand::Speak(id)) => self.speak(id, wire),
                Some(Errand::Connect(attempt)) => self.try_again(attempt, wire),
                Some(Errand::Leave(id)) => self.end_session(id, wire),
                Some(Errand::Vanish(id)) => self.vanish(id, wire),
                Some(Errand::AwaitPost(id)) => self.await_post(id, wire),
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
        let is_first = attempt.is_first();
        let past = attempt.past.as_mut();
        let asked = past.and_then(|past| past.retry_after.take());
        let retry = asked.or_else(|| attempt.lost().and_then(|lost| lost.retry));
        let wait = retry::after_failure(kind, retry, self.config.again.refused);
        if is_first {
            self.connecting.under_way -= 1;
        }
        let again = self.config.again;
        let most = if is_first {
            again.retries
        } else {
            again.reconnects
        };
        let so_far = attempt.past.as_ref().map_or(0, |past| past.attempts);
        let may = so_far < most && wait != Wait::Never && self.has_time_for(is_first);
        if may {
            self.returning.retrying += u64::from(is_first);
            attempt.past.get_or_insert_default();
            self.come_later(wait, attempt, wire.now());
        } else if is_first {
            self.recorder.outcome.connects.failed += 1;
        } else {
            self.recorder.outcome.returns.given_up += 1;
            self.returning.absent -= 1;
        }
    }

    /// A connection that was up is lost: notes what its client will ask for when it comes back.
    pub(super) fn miss(&mut self, id: ConnectionId, kind: Kind) {
        if self.config.again.reconnects == 0 || !self.has_time_for(false) {
            return;
        }
        let Some(client) = self.fleet.get(id) else {
            return;
        };
        let (retry, last_event_id) = match &client.stream {
            Stream::Sse(stream) => (stream.retry, stream.parser.last_event_id().to_owned()),
            Stream::Head(_) | Stream::WebSocket(_) => (None, String::new()),
        };
        let lost = Lost {
            at: Instant::default(),
            pushed: client.talk.pushed,
            last_event_id,
            retry,
            up_at: None,
        };
        let past = Past {
            lost: Some(lost),
            ..Past::default()
        };
        let attempt = Attempt {
            past: Some(Box::new(past)),
            ..client.attempt()
        };
        let wait = retry::after_loss(kind, retry);
        let returns = &mut self.recorder.outcome.returns;
        returns.lost += 1;
        if wait == Wait::Never {
            returns.given_up += 1;
        } else {
            self.returning.absent += 1;
            self.returning.losses.push((wait, attempt));
        }
    }

    /// Gives the losses of this turn their time to come back.
    pub(super) fn come_back(&mut self, now: Instant) {
        for (wait, mut attempt) in std::mem::take(&mut self.returning.losses) {
            if let Some(lost) = attempt.past.as_mut().and_then(|past| past.lost.as_mut()) {
                lost.at = now;
            }
            self.come_later(wait, attempt, now);
        }
    }

    /// A client is up again after a loss.
    pub(super) fn is_back(&mut self, id: ConnectionId, mut lost: Lost, now: Instant) {
        self.returning.absent -= 1;
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
            client.talk.past = Some(Box::new(Past {
                lost: Some(lost),
                ..Past::default()
            }));
        }
    }

    /// Nobody comes back any more: counts who is away, and lets connects under way go.
    pub(super) fn stop_returning(&mut self) {
        let outcome = &mut self.recorder.outcome;
        outcome.connects.unfinished += std::mem::take(&mut self.returning.retrying);
        outcome.returns.absent += std::mem::take(&mut self.returning.absent);
        self.returning.losses.clear();
        self.connecting.without_slot.clear();
        self.alarms.clear();
    }

    fn come_later(&mut self, wait: Wait, mut attempt: Attempt, now: Instant) {
        let Some(past) = &mut attempt.past else {
            return;
        };
        let backoff = self.config.again.backoff;
        let delay = backoff.delay(wait, past.attempts, &mut self.tools.rng);
        past.attempts += 1;
        self.alarms.set(now + delay, Errand::Connect(attempt));
    }

    fn try_again(&mut self, attempt: Attempt, wire: &mut impl Wire<Message>) {
        let outcome = &mut self.recorder.outcome;
        if attempt.is_first() {
            // The connect phase may have ended meanwhile: then it was counted as failed.
            if self.returning.retrying == 0 {
                return;
            }
            self.returning.retrying -= 1;
            self.connecting.under_way += 1;
            outcome.connects.retries += 1;
        } else {
            outcome.returns.attempts += 1;
        }
        self.attempt(attempt, wire);
        self.after_loss(wire);
    }

    /// Whether a client that connects now is of use to the run.
    fn has_time_for(&self, is_first: bool) -> bool {
        match self.timeline.phase() {
            Phase::Connecting => !is_first || !self.connecting.is_over(),
            Phase::Waiting | Phase::Running => !is_first || self.config.session.is_some(),
            Phase::Draining | Phase::Closing | Phase::Finished => false,
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
