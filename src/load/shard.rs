//! One core's share of a run: the shard, its phases and its clock.

use super::barrier::{Rally, Signal};
use super::client::dialogue::{Notes, Wakes};
use super::client::http_post::HttpPosts;
use super::client::in_flight::{Departure, Rings};
use super::client::keepalive::Pinging;
use super::client::payload::Template;
use super::client::table::{Fleet, State};
use super::config::{Config, Loop};
use super::connector::Connecting;
use super::measure::outcome::{CoreUse, Ending, Outcome};
use super::measure::progress::{Observer, PROGRESS_TIME, Progress, Stage};
use super::measure::recorder::Recorder;
use super::pace::{Stripe, Walk};
use super::returning::Returning;
use super::scenario::Said;
use super::timers::Alarms;
use crate::protocol::sse;
use crate::protocol::websocket::Deflater;
use crate::protocol::websocket::decoder::Pool;
use crate::shard::{CloseCause, ConnectionId, Core, Origin, Shard, Wire};
use crate::time::Instant;
use std::time::Duration;

/// What a shard of this kind says to its like: see the rally.
pub(super) type Message = Signal;

/// One core's share of a load run.
///
/// It connects, waits until every core has (so that all begin at one time), runs its scenario for
/// the warm-up and the measured time, waits a little for outstanding replies, closes and is
/// finished: at its duration, always, whatever the server does.
pub struct Load {
    pub(super) config: Config,
    pub(super) stripe: Stripe,
    pub(super) phase: Phase,
    pub(super) clock: Clock,
    pub(super) fleet: Fleet,
    pub(super) connecting: Connecting,
    pub(super) schedule: Schedule,
    pub(super) alarms: Alarms,
    pub(super) returning: Returning,
    /// When the storm breaks, or its next point is due.
    pub(super) storm_at: Instant,
    pub(super) rally: Rally,
    pub(super) notes: Notes,
    pub(super) posts: HttpPosts,
    pub(super) wakes: Wakes,
    pub(super) pinging: Pinging,
    pub(super) tools: Tools,
    pub(super) recorder: Recorder,
    pub(super) marks: Marks,
    observer: Option<Observer>,
}

/// What happens now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Connections are being made.
    Connecting,
    /// This core is ready; others may not be.
    Waiting,
    /// Messages run.
    Running,
    /// Nothing more is sent; the last replies come.
    Draining,
    /// Connections are being closed.
    Closing,
    /// Nothing is left to do.
    Finished,
}

/// The times of a run. Those that are not known yet are in the far future.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) begun: Instant,
    /// Connects that are not done then are given up.
    pub(super) connect_by: Instant,
    /// When messages begin, on all cores.
    pub(super) start: Instant,
    /// When the measured time begins and ends.
    pub(super) from: Instant,
    pub(super) until: Instant,
    /// When the present phase ends by itself, if it is waiting, draining or closing.
    pub(super) phase_by: Instant,
    /// When the closing ends at the latest.
    pub(super) close_by: Instant,
    /// The next look at the progress.
    pub(super) tick: Instant,
}

/// How far the plan of messages, the first messages of a closed loop and the closing are.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    /// The plan of messages, if there is one.
    pub(super) plan: Option<Plan>,
    /// This core's next message.
    pub(super) next: u64,
    /// This core's first measured message, and the end of its plan.
    pub(super) first_measured: u64,
    pub(super) end: u64,
    /// When messages were last sent at intended times.
    pub(super) last_turn: Instant,
    /// What was planned for the time before that, a second: replies have no part in it.
    pub(super) per_s: u64,
    /// The slot whose client is next to be started (closed loop) or closed.
    pub(super) slot: usize,
}

/// The plan of messages, as this core walks it.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) walk: Walk,
    pub(super) stripe: Stripe,
    /// When the next message is due, from the start.
    pub(super) next_ns: u64,
}

impl Plan {
    /// When this core's message of that index is due, from the start.
    #[inline]
    pub(super) fn offset_ns(&mut self, index: u64) -> u64 {
        self.walk.offset_ns(self.stripe.global(index))
    }
}

/// What all connections share: buffers, spares and randomness.
pub(super) struct Tools {
    pub(super) template: Template,
    /// If messages are deflated.
    pub(super) deflater: Option<Box<Deflater>>,
    pub(super) pool: Pool,
    pub(super) sse_pool: sse::Pool,
    pub(super) rings: Rings,
    pub(super) rng: fastrand::Rng,
    /// Outbound bytes of one call.
    pub(super) scratch: Vec<u8>,
    /// What a dialogue has said and is not carried out yet.
    pub(super) said: Said,
    /// Messages to send next on one connection.
    pub(super) batch: Vec<Departure>,
}

/// The engine's figures at the turning points of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Marks {
    pub(super) begun: Mark,
    pub(super) from: Option<Mark>,
}

/// The time and what the engine had used by then.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark {
    at: Instant,
    thread_cpu: Duration,
    turns: u64,
}

pub(super) const NEVER: Instant = Instant::from_nanos(u64::MAX);
/// A deadline that has always passed: there is work left from this turn.
pub(super) const AT_ONCE: Instant = Instant::from_nanos(0);

impl Load {
    /// The share of one core. The configuration has been checked ([`Config::check`]).
    ///
    /// `observer` is shown the core's progress every [`PROGRESS_TIME`].
    #[must_use]
    pub fn new(core: Core, config: Config, observer: Option<Observer>) -> Self {
        debug_assert_eq!(config.check(), Ok(()));
        let is_open_loop = config.message_pace().is_some();
        Self {
            stripe: Stripe::new(0, 1),
            phase: Phase::Connecting,
            clock: Clock {
                begun: NEVER,
                connect_by: NEVER,
                start: NEVER,
                from: NEVER,
                until: NEVER,
                phase_by: NEVER,
                close_by: NEVER,
                tick: NEVER,
            },
            fleet: Fleet::default(),
            connecting: Connecting::default(),
            schedule: Schedule::default(),
            alarms: Alarms::default(),
            returning: Returning::default(),
            storm_at: NEVER,
            rally: Rally::default(),
            notes: Notes::new(),
            posts: HttpPosts::default(),
            wakes: Wakes::default(),
            pinging: Pinging::default(),
            tools: Tools::new(&config, core),
            recorder: Recorder::new(is_open_loop),
            marks: Marks::default(),
            observer,
            config,
        }
    }

    /// Messages begin at `start`, on all cores.
    pub(super) fn set_start(&mut self, start: Instant) {
        let from = start + self.config.warm_up;
        let until = from + self.config.duration;
        self.clock = Clock {
            start,
            from,
            until,
            ..self.clock
        };
        if self.observer.is_some() {
            self.clock.tick = self.clock.tick.min(from);
        }
        self.recorder.measure(from, until);
        self.plan_sessions();
        self.await_storm();
        if let Some(pace) = self.config.message_pace() {
            let stripe = match self.config.messages {
                Loop::Seated { .. } => self.stripe.seated(self.config.connections),
                Loop::Open { .. } | Loop::Closed | Loop::Thinking(_) => self.stripe,
            };
            let local = |at: Instant| {
                let elapsed = at.as_nanos().saturating_sub(start.as_nanos());
                stripe.share(pace.before(elapsed))
            };
            self.schedule.first_measured = local(from);
            self.schedule.end = local(until);
            let mut plan = Plan {
                walk: pace.walk(),
                stripe,
                next_ns: 0,
            };
            plan.next_ns = plan.offset_ns(0);
            self.schedule.plan = Some(plan);
        }
    }

    /// What the core has used between a mark and now.
    pub(super) fn use_since(
        mark: Mark,
        wire: &mut impl Wire<Message>,
    ) -> (Duration, Duration, u64) {
        let vitals = wire.vitals();
        let cpu = vitals.thread_cpu.saturating_sub(mark.thread_cpu);
        let turns = vitals.counters.turns.saturating_sub(mark.turns);
        (cpu, wire.now().since(mark.at), turns)
    }

    fn deadline_of_phase(&self) -> Instant {
        let busy = || {
            let errand = self.alarms.next().unwrap_or(NEVER);
            errand.min(self.connect_deadline())
        };
        match self.phase {
            Phase::Connecting => busy().min(self.clock.connect_by),
            Phase::Waiting => busy().min(self.clock.phase_by).min(self.clock.start),
            Phase::Running => busy().min(self.run_deadline()).min(self.storm_deadline()),
            Phase::Draining => self.clock.phase_by,
            Phase::Closing if self.has_to_close() => AT_ONCE,
            Phase::Closing => self.clock.phase_by,
            Phase::Finished => NEVER,
        }
    }

    /// Shows the progress if it is time to.
    fn look(&mut self, wire: &mut impl Wire<Message>) {
        let now = wire.now();
        if now < self.clock.tick {
            return;
        }
        self.clock.tick = self.clock.tick_after(now);
        self.show(wire);
    }

    /// Shows the progress: the last time when it is over, so that nothing of this core is missing
    /// while others go on.
    pub(super) fn show(&mut self, wire: &mut impl Wire<Message>) {
        let progress = self.progress(wire);
        if let Some(observer) = &mut self.observer {
            observer(&progress, &mut self.recorder.outcome);
        }
    }

    fn progress(&self, wire: &mut impl Wire<Message>) -> Progress {
        let (now, core) = (wire.now(), wire.core());
        let outcome = &self.recorder.outcome;
        Progress {
            core: core.0,
            stage: match self.phase {
                Phase::Connecting => Stage::Connecting,
                Phase::Waiting => Stage::Waiting,
                Phase::Running if now < self.clock.from => Stage::WarmUp,
                Phase::Running => Stage::Measuring,
                Phase::Draining => Stage::Draining,
                Phase::Closing => Stage::Closing,
                Phase::Finished => Stage::Finished,
            },
            elapsed: now.since(self.clock.begun),
            measured: now.min(self.clock.until).since(self.clock.from),
            connections: outcome.connects.planned,
            up: u64::try_from(self.fleet.up()).unwrap_or(u64::MAX),
            failed: outcome.connects.failed,
            sent: outcome.messages.sent,
            dropped: outcome.messages.dropped.total(),
            received: outcome.messages.replied + outcome.events.received,
            failures: outcome.failures.total(),
            cpu: wire.vitals().thread_cpu,
        }
    }
}

impl Shard for Load {
    type Message = Message;
    type Outcome = Outcome;

    fn started(&mut self, wire: &mut impl Wire<Message>) {
        let now = wire.now();
        self.stripe = Stripe::among(wire.core().0, wire.cores(), self.config.connections);
        self.recorder.outcome.cores = vec![CoreUse {
            core: wire.core().0,
            ..CoreUse::default()
        }];
        self.clock.begun = now;
        self.clock.connect_by = now + self.config.connect_ramp() + self.config.connect_phase;
        if self.observer.is_some() {
            self.clock.tick = now + PROGRESS_TIME;
        }
        self.marks.begun = Mark::now(wire);
        self.begin_connecting(wire);
    }

    fn opened(&mut self, id: ConnectionId, origin: Origin, wire: &mut impl Wire<Message>) {
        self.connected(id, origin, wire);
    }

    fn received(&mut self, id: ConnectionId, bytes: &mut [u8], wire: &mut impl Wire<Message>) {
        self.read(id, bytes, wire);
        self.pass_notes(wire);
    }

    fn drained(&mut self, id: ConnectionId, wire: &mut impl Wire<Message>) {
        self.top_up(id, wire);
        self.pass_notes(wire);
    }

    fn closed(&mut self, id: ConnectionId, cause: CloseCause, wire: &mut impl Wire<Message>) {
        self.ended(id, cause, wire);
        self.pass_notes(wire);
    }

    fn forwarded(&mut self, _from: Core, message: Message, wire: &mut impl Wire<Message>) {
        self.signalled(message, wire);
        self.pass_notes(wire);
    }

    fn expired(&mut self, wire: &mut impl Wire<Message>) {
        let now = wire.now();
        match self.phase {
            Phase::Connecting => self.run_errands(wire),
            Phase::Waiting | Phase::Running => {
                self.run_errands(wire);
                self.keep_connecting(wire);
            }
            Phase::Draining | Phase::Closing | Phase::Finished => {}
        }
        match self.phase {
            Phase::Connecting => self.go_on_connecting(wire),
            Phase::Waiting if now >= self.clock.start => self.begin_running(wire),
            Phase::Waiting if now >= self.clock.phase_by => self.wait_no_longer(wire),
            Phase::Running => self.go_on_running(wire),
            Phase::Draining if now >= self.clock.phase_by => self.begin_closing(wire),
            Phase::Closing => self.go_on_closing(wire),
            Phase::Waiting | Phase::Draining | Phase::Finished => {}
        }
        if now >= self.ping_deadline() {
            self.send_pings(wire);
        }
        self.wake_dialogues(wire);
        self.pass_notes(wire);
        self.look(wire);
    }

    fn stopped(&mut self, wire: &mut impl Wire<Message>) {
        match self.phase {
            Phase::Connecting | Phase::Waiting => {
                self.recorder.outcome.ending = Ending::Interrupted;
                self.stop_connecting(wire);
                self.begin_closing(wire);
            }
            Phase::Running => {
                self.recorder.outcome.ending = Ending::Interrupted;
                self.cut_short(wire);
            }
            Phase::Draining | Phase::Closing | Phase::Finished => {}
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let at = self.deadline_of_phase().min(self.clock.tick);
        let at = at.min(self.wake_deadline()).min(self.ping_deadline());
        (at != NEVER && self.phase != Phase::Finished).then_some(at)
    }

    fn gathers(&self) -> bool {
        self.phase == Phase::Running && self.may_gather()
    }

    fn finished(&self) -> bool {
        self.phase == Phase::Finished
    }

    fn outcome(self) -> Outcome {
        self.recorder.outcome
    }
}

impl Clock {
    /// The next look after that time. Looks are counted from the beginning of the measured time,
    /// so that all cores' looks are of the same spans; before it, from the core's own beginning.
    fn tick_after(&self, now: Instant) -> Instant {
        let base = if now >= self.from {
            self.from
        } else {
            self.begun
        };
        let step = u64::try_from(PROGRESS_TIME.as_nanos()).unwrap_or(u64::MAX);
        let into_step = now.since(base).as_nanos() % u128::from(step);
        let left = step - u64::try_from(into_step).unwrap_or(0);
        let next = now + Duration::from_nanos(left);
        if now < self.from {
            return next.min(self.from);
        }
        next
    }
}

impl Mark {
    pub(super) fn now(wire: &mut impl Wire<Message>) -> Self {
        let vitals = wire.vitals();
        Self {
            at: wire.now(),
            thread_cpu: vitals.thread_cpu,
            turns: vitals.counters.turns,
        }
    }
}

impl Tools {
    fn new(config: &Config, core: Core) -> Self {
        let mut filler = fastrand::Rng::with_seed(config.seed);
        Self {
            template: Template::new(config.payload_kind, config.payload_bytes, &mut filler),
            deflater: config.deflate.then(Box::default),
            pool: Pool::new(config.message_bytes_max, config.fragments_max),
            sse_pool: sse::Pool::new(config.message_bytes_max),
            rings: Rings::default(),
            rng: seeded(config.seed, u64::MAX - u64::from(core.0)),
            scratch: Vec::new(),
            said: Said::default(),
            batch: Vec::new(),
        }
    }
}

impl Config {
    /// From the first intended connect to the last one.
    fn connect_ramp(&self) -> Duration {
        let last = u64::from(self.connections.saturating_sub(1));
        let ramp = self.connect_pace.as_ref().map(|pace| pace.offset_ns(last));
        Duration::from_nanos(ramp.unwrap_or(0))
    }

    /// Whether a reply makes room for the next message.
    pub(super) fn is_closed_loop(&self) -> bool {
        matches!(self.messages, Loop::Closed | Loop::Thinking(_)) && self.sends()
    }
}

/// The generator of one purpose of a run: the same for the same seed, unlike any other's.
pub(super) fn seeded(seed: u64, purpose: u64) -> fastrand::Rng {
    let mut rng = fastrand::Rng::with_seed(seed ^ purpose.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    // Neighbouring seeds begin alike: one draw apart they do not.
    let seed = rng.u64(..);
    fastrand::Rng::with_seed(seed)
}

impl Fleet {
    /// Whether every client has been told goodbye or is gone.
    pub(super) fn is_over(&self) -> bool {
        self.len() == 0
    }

    /// Clients whose closing handshake has not ended.
    pub(super) fn unanswered(&self) -> u64 {
        self.count(State::CloseSent)
    }
}
