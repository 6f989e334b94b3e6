//! Carries connects out: those that the connector says are due, and those that are tried again.

use super::attempt::Attempt;
use super::barrier::CoreMessage;
use super::client::{ClientEvent, ConnectionLoss, FailedConnect, LoadClients, LossCause, Requests};
use super::config::Config;
use super::connector::{Connector, Overdue};
use super::measure::failure::{Kind, Stage};
use super::measure::recorder::Recorder;
use super::pace::Stripe;
use super::phase::{NEVER, Phase};
use super::policy;
use super::retry::{Retries, RetryVerdict, TimeLeft};
use super::run::RunParts;
use super::timers::TimerQueue;
use crate::shard::{ConnectionId, Core, Wire};
use crate::time::Instant;
use std::sync::Arc;

/// First connects started in one turn at most: the turn's other events wait meanwhile.
const CONNECTS_PER_TURN: u32 = 256;
/// Attempts made again in one turn at most.
const RETRIES_PER_TURN: u32 = 4096;
/// What the purpose of the generator begins at that says how long those who come back wait.
const RETRY_PURPOSE: u64 = 1 << 49;

/// The connects of a core's clients.
pub(super) struct Connecting {
    config: Arc<Config>,
    stripe: Stripe,
    connector: Connector,
    retries: Retries,
    /// Attempts that wait for their time.
    waiting: TimerQueue<Attempt>,
    rng: fastrand::Rng,
}

impl Connecting {
    pub(super) fn new(config: Arc<Config>, core: Core) -> Self {
        Self {
            stripe: Stripe::NOTHING,
            connector: Connector::new(&config),
            retries: Retries::new(config.retry()),
            waiting: TimerQueue::default(),
            rng: config.random(RETRY_PURPOSE + u64::from(core.0)),
            config,
        }
    }

    /// So many of the run's first connects, those of the stripe, from then on.
    pub(super) fn plan(
        &mut self,
        (connects, stripe): (u64, Stripe),
        begun: Instant,
        recorder: &mut Recorder,
    ) {
        let share = stripe.share(connects);
        self.stripe = stripe;
        self.connector.plan(share, stripe, begun);
        recorder.plan_connects(share);
    }

    /// Consumes what has become of a client.
    pub(super) fn on_client(
        &mut self,
        event: ClientEvent,
        run: &mut RunParts<'_>,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        match event {
            ClientEvent::Up { intended } => {
                run.recorder.connect_up(intended, wire.now());
                self.connector.succeeded(intended, wire.now());
            }
            ClientEvent::Back => {
                run.recorder.resumed();
                self.retries.resumed();
            }
            ClientEvent::ConnectFailed(failed) => self.failed(failed, run, wire),
            // In the same attempt.
            ClientEvent::Redirected(attempt) => self.attempt(attempt, run, wire),
            ClientEvent::Lost(loss) => self.lost(loss, run, wire.now()),
            ClientEvent::Ended => {}
            ClientEvent::SlotFree => {
                if let Some(attempt) = self.connector.slot_free() {
                    self.attempt(attempt, run, wire);
                }
            }
            ClientEvent::NeedsPostConnection(requests) => {
                self.connect_for_posts(requests, run, wire);
            }
        }
    }

    /// Starts the first connects that are due.
    pub(super) fn start_due(&mut self, run: &mut RunParts<'_>, wire: &mut impl Wire<CoreMessage>) {
        for _ in 0..CONNECTS_PER_TURN {
            let Some(attempt) = self.connector.due(wire.now()) else {
                return;
            };
            if self.is_full(run.clients) {
                run.recorder.connects_dropped(1);
            } else {
                run.recorder.connect_attempted();
                self.connector.begun_first();
                self.attempt(attempt, run, wire);
            }
        }
    }

    /// Makes the attempts whose time to be tried again has come.
    pub(super) fn try_again(&mut self, run: &mut RunParts<'_>, wire: &mut impl Wire<CoreMessage>) {
        for _ in 0..RETRIES_PER_TURN {
            let Some(attempt) = self.waiting.due(wire.now()) else {
                return;
            };
            if !attempt.is_first() {
                run.recorder.return_attempted();
            } else if self.retries.begins_first() {
                self.connector.begun_first();
                run.recorder.connect_retried();
            } else {
                // The connect phase has ended meanwhile: it was counted as failed.
                continue;
            }
            self.attempt(attempt, run, wire);
        }
    }

    /// Ends connects that have taken too long by then.
    pub(super) fn expire(
        &mut self,
        by: Instant,
        run: &mut RunParts<'_>,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        let under_way = |clients: &LoadClients, id: ConnectionId| clients.is_under_way(id);
        while let Some(overdue) = self.connector.expire(by, |id| under_way(run.clients, id)) {
            match overdue {
                Overdue::KeepsOthersWaiting(id) => run.clients.make_way(id, wire),
                Overdue::TimedOut(id) => run.clients.time_out(id, run.recorder, wire),
            }
        }
    }

    /// TCP is up.
    #[inline]
    pub(super) fn answered(&mut self, id: ConnectionId) {
        self.connector.answered(id);
    }

    /// The time for first connects is over: what is not up has failed.
    pub(super) fn give_up(&mut self, run: &mut RunParts<'_>, wire: &mut impl Wire<CoreMessage>) {
        let rest = self.connector.give_up();
        run.recorder.connects_dropped(rest.untried);
        run.recorder.connects_failed(self.retries.give_up_first());
        for attempt in rest.without_slot {
            self.attempt_failed(attempt, (Stage::Connect, Kind::NoSlot), run, wire.now());
        }
        self.expire(NEVER, run, wire);
    }

    /// The run needs no further connection: what is not up is left unfinished, and no client comes
    /// back.
    pub(super) fn stop(&mut self, recorder: &mut Recorder) {
        let (rest, unfinished) = (self.connector.stop(), self.retries.stop());
        recorder.connects_dropped(rest.untried);
        recorder.connects_unfinished(u64::from(rest.under_way) + unfinished.first);
        recorder.absent(unfinished.absent);
        self.waiting.clear();
    }

    /// All first connects are up or have failed: what is not needed any more is forgotten.
    pub(super) fn forget(&mut self, clients: &LoadClients) {
        self.connector.forget(|id| clients.is_under_way(id));
    }

    /// Whether every first connect is up, or has failed and is not tried again.
    pub(super) const fn is_done(&self) -> bool {
        self.connector.is_done() && self.retries.retrying() == 0
    }

    /// Whether some client that lost its connection may come back.
    pub(super) const fn is_any_absent(&self) -> bool {
        self.retries.is_any_absent()
    }

    /// When there is something to do next.
    pub(super) fn deadline(&self) -> Instant {
        let waiting = self.waiting.next().unwrap_or(NEVER);
        self.connector.deadline().min(waiting)
    }

    /// Whether a session that arrives finds as many as there may be at once.
    fn is_full(&self, clients: &LoadClients) -> bool {
        let at_once = self.config.sessions_at_once(self.stripe);
        at_once.is_some_and(|most| clients.len() + self.retries.retrying() >= most)
    }

    /// A connect failed: the next address of its name is tried at once, if there is one.
    fn failed(
        &mut self,
        failed: FailedConnect,
        run: &mut RunParts<'_>,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        let FailedConnect {
            id,
            mut attempt,
            stage,
            kind,
        } = failed;
        let other = attempt.other_target();
        let all = self.config.addresses_of(attempt.turn(), other);
        let has_next = self
            .connector
            .try_next_address((id, &mut attempt), all, wire.now());
        if has_next && run.timeline.phase().connects() {
            self.attempt(attempt, run, wire);
        } else {
            self.attempt_failed(attempt, (stage, kind), run, wire.now());
        }
    }

    /// A connection that was up is over; with an attempt, its client is to come back.
    fn lost(&mut self, loss: ConnectionLoss, run: &mut RunParts<'_>, now: Instant) {
        match loss.cause {
            // A connection that is being closed had its whole time: it is no failure that the peer
            // ends it first.
            LossCause::EndedEarly if run.timeline.phase() == Phase::Closing => {}
            LossCause::EndedEarly => run.recorder.ended_early(loss.kind),
            LossCause::Left => run.recorder.left(),
            LossCause::Dropped => {}
        }
        let Some(mut attempt) = loss.attempt else {
            return;
        };
        run.recorder.lost();
        self.move_on(&mut attempt, loss.kind);
        match self.retries.lost(attempt, loss.kind, (now, &mut self.rng)) {
            RetryVerdict::RetryAt(at, attempt) => self.waiting.set(at, attempt),
            RetryVerdict::GivenUp => run.recorder.given_up(),
        }
    }

    /// Makes a connection for a client's posts, to the same server.
    fn connect_for_posts(
        &mut self,
        requests: Requests,
        run: &mut RunParts<'_>,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        let requeued = run.clients.requeue_posts(requests, run.recorder, wire);
        let Some((attempt, requests)) = requeued else {
            return;
        };
        let now = wire.now();
        let route = self.connector.route(&self.config, &attempt, now);
        match route.and_then(|route| wire.connect(route.to, route.from).ok()) {
            Some(id) => run.clients.post_connecting(id, requests, now),
            None => run.clients.no_post_slot(&requests, run.recorder, wire),
        }
    }

    /// Starts a connect, the first one or another.
    fn attempt(
        &mut self,
        attempt: Attempt,
        run: &mut RunParts<'_>,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        let now = wire.now();
        let Some(route) = self.connector.route(&self.config, &attempt, now) else {
            return self.attempt_failed(attempt, (Stage::Connect, Kind::Dns), run, now);
        };
        match wire.connect(route.to, route.from) {
            Ok(id) => {
                self.connector.started(id, route, now);
                run.clients.insert(id, attempt.led(route.further), now);
            }
            Err(_) => {
                run.recorder.waited_for_slot();
                self.connector.wait_for_slot(attempt);
            }
        }
    }

    /// A connect failed at all its addresses: it is tried again later, or was the last.
    fn attempt_failed(
        &mut self,
        mut attempt: Attempt,
        (stage, kind): (Stage, Kind),
        run: &mut RunParts<'_>,
        now: Instant,
    ) {
        run.recorder.failed(stage, kind);
        if attempt.other_target().is_none() {
            self.move_on(&mut attempt, kind);
        }
        attempt.forget_redirect();
        let is_first = attempt.is_first();
        if is_first {
            self.connector.failed_first();
        }
        let time = self.time_left(is_first, run.timeline.phase());
        match self
            .retries
            .failed(attempt, kind, time, (now, &mut self.rng))
        {
            RetryVerdict::RetryAt(at, attempt) => self.waiting.set(at, attempt),
            RetryVerdict::GivenUp if is_first => run.recorder.connects_failed(1),
            RetryVerdict::GivenUp => run.recorder.given_up(),
        }
    }

    /// A server that says to be overloaded is left for the next one, if there is one.
    fn move_on(&self, attempt: &mut Attempt, kind: Kind) {
        if policy::is_overloaded(kind)
            && let Some(onward) = self.config.onward(attempt.turn())
        {
            attempt.move_on(onward);
        }
    }

    /// Whether a client that connects later is of use to the run.
    fn time_left(&self, is_first: bool, phase: Phase) -> TimeLeft {
        let is_some = match phase {
            Phase::Connecting => !is_first || !self.connector.is_given_up(),
            Phase::Waiting | Phase::Running => !is_first || self.config.has_sessions(),
            Phase::Draining | Phase::Closing | Phase::Finished => false,
        };
        if is_some {
            TimeLeft::Some
        } else {
            TimeLeft::None
        }
    }
}
