//! One core's share of a run: the shard, and what it does in each phase.

use super::barrier::{ListeningCores, Message, StartBarrier, WithoutConnections};
use super::client::dialogue::{Notes, Wakes};
use super::client::http_post::HttpPosts;
use super::client::keepalive::Pinging;
use super::client::table::ClientTable;
use super::client::tools::Tools;
use super::config::{Config, Loop};
use super::connector::Connecting;
use super::measure::outcome::{CoreUse, Ending, Outcome};
use super::measure::progress::{Observer, Progress};
use super::measure::recorder::Recorder;
use super::measure::usage::{Mark, Marks};
use super::outage::Outage;
use super::pace::Stripe;
use super::pacer::{Pacer, Span};
use super::phase::{AT_ONCE, NEVER, Phase, Timeline};
use super::retry::Retries;
use super::timers::TimerQueue;
use crate::shard::{CloseCause, ConnectionId, Core, Origin, Shard, Wire};
use crate::time::Instant;

/// One core's share of a load run.
///
/// It connects, waits until every core has (so that all begin at one time), runs its scenario for
/// the warm-up and the measured time, waits a little for outstanding replies, closes and is
/// finished: at its duration, always, whatever the server does.
pub struct Load {
    pub(super) config: Config,
    pub(super) stripe: Stripe,
    pub(super) timeline: Timeline,
    pub(super) fleet: ClientTable,
    pub(super) connecting: Connecting,
    pub(super) pacer: Pacer,
    /// The slot whose client is next to be started (closed loop) or closed.
    pub(super) next_slot: usize,
    pub(super) alarms: TimerQueue,
    pub(super) retries: Retries,
    pub(super) outage: Outage,
    barrier: StartBarrier,
    pub(super) notes: Notes,
    pub(super) posts: HttpPosts,
    pub(super) wakes: Wakes,
    pub(super) pinging: Pinging,
    pub(super) tools: Tools,
    pub(super) recorder: Recorder,
    pub(super) marks: Marks,
    observer: Option<Observer>,
}

impl Load {
    /// The share of one core. The configuration has been checked ([`Config::check`]).
    ///
    /// `observer` is shown the core's progress every [`progress::PROGRESS_TIME`].
    ///
    /// [`progress::PROGRESS_TIME`]: super::measure::progress::PROGRESS_TIME
    #[must_use]
    pub fn new(core: Core, config: Config, observer: Option<Observer>) -> Self {
        debug_assert_eq!(config.check(), Ok(()));
        let is_open_loop = config.message_pace().is_some();
        Self {
            stripe: Stripe::new(0, 1),
            timeline: Timeline::new(),
            fleet: ClientTable::default(),
            connecting: Connecting::default(),
            pacer: Pacer::new(config.tick),
            next_slot: 0,
            alarms: TimerQueue::default(),
            retries: Retries::new(config.retry),
            outage: Outage::new(config.outage),
            barrier: StartBarrier::new(1, WithoutConnections::Abandon),
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

    /// Messages begin at `start`, on all cores; of the plan, the stripe is this one's.
    fn set_start(&mut self, start: Instant, stripe: Stripe) {
        let (warm_up, duration) = (self.config.warm_up, self.config.duration);
        self.timeline.set_start(start, warm_up, duration);
        let (from, until) = (self.timeline.from(), self.timeline.until());
        self.recorder.measure(from, until);
        self.plan_sessions();
        self.outage.plan(from, until);
        if let Some(pace) = self.config.message_pace() {
            let (stripe, burst) = match self.config.messages {
                Loop::PerConnection { .. } => (self.stripe.seated(self.config.connections), 1),
                Loop::Open { burst, .. } => (stripe, burst),
                Loop::Closed | Loop::Thinking(_) => (stripe, 1),
            };
            self.pacer
                .plan(pace, stripe, burst, Span { start, from, until });
        }
    }

    /// The client whose connection that is, also if it only posts there.
    pub(super) fn client_of(&mut self, id: ConnectionId) -> Option<u32> {
        let owner = self.posts.owner(id).unwrap_or(id);
        self.fleet.get(owner).map(|client| client.number)
    }

    fn deadline_of_phase(&self) -> Instant {
        let busy = || {
            let errand = self.alarms.next().unwrap_or(NEVER);
            errand.min(self.connect_deadline())
        };
        match self.timeline.phase() {
            Phase::Connecting => busy().min(self.timeline.connect_by()),
            Phase::Waiting => busy()
                .min(self.timeline.phase_by())
                .min(self.timeline.start()),
            Phase::Running => busy().min(self.run_deadline()).min(self.outage.deadline()),
            Phase::Draining => self.timeline.phase_by(),
            Phase::Closing if self.has_to_close() => AT_ONCE,
            Phase::Closing => self.timeline.phase_by(),
            Phase::Finished => NEVER,
        }
    }

    /// Shows the progress if it is time to.
    fn look(&mut self, wire: &mut impl Wire<Message>) {
        let now = wire.now();
        if !self.timeline.ticks(now) {
            return;
        }
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
            stage: self.timeline.stage(now),
            elapsed: now.since(self.timeline.begun()),
            measured: now.min(self.timeline.until()).since(self.timeline.from()),
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

/// The common start and end.
impl Load {
    /// This core's connects are done: says so and waits.
    pub(super) fn be_ready(&mut self, wire: &mut impl Wire<Message>) {
        let patience = StartBarrier::patience(wire.core() == Core(0));
        self.timeline.wait(wire.now(), patience);
        self.note_connect_phase(wire);
        let up = u64::try_from(self.fleet.up()).unwrap_or(u64::MAX);
        let only_listens = self.config.has_dialogues() && up > 0 && self.fleet.speakers() == 0;
        let listening = if only_listens {
            ListeningCores::of(wire.core())
        } else {
            ListeningCores::default()
        };
        self.tell_first(Message::Ready { up, listening }, wire);
    }

    /// The connects are over on this core: how long they took.
    pub(super) fn note_connect_phase(&mut self, wire: &mut impl Wire<Message>) {
        let (cpu, time, _) = self.marks.begun.since(wire);
        self.note_use(|used| (used.connect_cpu, used.connect_time) = (cpu, time));
    }

    /// Another core said something, or this one to itself.
    fn told(&mut self, message: Message, wire: &mut impl Wire<Message>) {
        match message {
            Message::Ready { .. } | Message::TurnsDone | Message::Drained => {
                let is_late =
                    matches!(message, Message::Ready { .. }) && !self.timeline.awaits_start();
                let answer = self.barrier.told(message, wire.now());
                if let Some(answer) = answer.filter(|_| !is_late) {
                    self.tell_all(answer, wire);
                }
            }
            Message::Start { at, listening } if self.timeline.awaits_start() => {
                if self.timeline.phase() == Phase::Connecting {
                    self.give_up_connecting(wire);
                }
                let (core, cores) = (wire.core(), wire.cores());
                self.set_start(at, listening.stripe(core, cores, self.config.connections));
                if at <= wire.now() {
                    self.begin_running(wire);
                }
            }
            Message::Abandon if self.timeline.awaits_start() => {
                if self.timeline.phase() == Phase::Connecting {
                    self.give_up_connecting(wire);
                }
                self.recorder.outcome.ending = Ending::NeverBegan;
                self.begin_closing(wire);
            }
            Message::End if self.timeline.phase() == Phase::Running => self.cut_short(wire),
            Message::Close if self.timeline.phase() == Phase::Draining => self.begin_closing(wire),
            Message::Start { .. } | Message::Abandon | Message::End | Message::Close => {}
            Message::Note(address, note) => self.notes.push_back((address, note)),
        }
    }

    /// In a scenario that ends with its turns, nobody here may be left to take one.
    pub(super) fn end_turns_if_done(&mut self, wire: &mut impl Wire<Message>) {
        let is_done = self.timeline.phase() == Phase::Running && self.fleet.speakers() == 0;
        if is_done
            && self.config.ends_with_turns()
            && let Some(message) = self.barrier.turns_done()
        {
            self.tell_first(message, wire);
        }
    }

    /// No reply is missing here: what clients of other cores said may still be on its way to those
    /// of this one, so all go together.
    pub(super) fn say_drained(&mut self, wire: &mut impl Wire<Message>) {
        if let Some(message) = self.barrier.drained() {
            self.tell_first(message, wire);
        }
    }

    /// A core is missing: the run begins without it.
    fn wait_no_longer(&mut self, wire: &mut impl Wire<Message>) {
        if wire.core() == Core(0) {
            let start = self.barrier.start(wire.now());
            self.tell_all(start, wire);
        } else {
            let (at, listening) = (wire.now(), ListeningCores::default());
            self.told(Message::Start { at, listening }, wire);
        }
    }

    fn tell_first(&mut self, message: Message, wire: &mut impl Wire<Message>) {
        if wire.core() == Core(0) {
            self.told(message, wire);
        } else {
            wire.forward(Core(0), message);
        }
    }

    fn tell_all(&mut self, message: Message, wire: &mut impl Wire<Message>) {
        for core in 1..wire.cores() {
            wire.forward(Core(core), message);
        }
        self.told(message, wire);
    }

    /// Changes what is known of this core's use of its thread.
    pub(super) fn note_use(&mut self, change: impl FnOnce(&mut CoreUse)) {
        if let Some(used) = self.recorder.outcome.cores.first_mut() {
            change(used);
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
        let connect = self.config.connect_ramp() + self.config.connect_phase;
        self.timeline.begin(now, connect);
        if self.observer.is_some() {
            self.timeline.show_progress(now);
        }
        let without = if self.config.session.is_some() {
            WithoutConnections::Start
        } else {
            WithoutConnections::Abandon
        };
        self.barrier = StartBarrier::new(wire.cores(), without);
        self.marks.begun = Mark::now(wire);
        self.begin_connecting(wire);
    }

    fn opened(&mut self, id: ConnectionId, origin: Origin, wire: &mut impl Wire<Message>) {
        self.connected(id, origin, wire);
    }

    fn reached(&mut self, id: ConnectionId, _wire: &mut impl Wire<Message>) {
        self.connecting.addresses.answered(id);
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
        self.told(message, wire);
        self.pass_notes(wire);
    }

    fn expired(&mut self, wire: &mut impl Wire<Message>) {
        let now = wire.now();
        match self.timeline.phase() {
            Phase::Connecting => self.run_errands(wire),
            Phase::Waiting | Phase::Running => {
                self.run_errands(wire);
                self.keep_connecting(wire);
            }
            Phase::Draining | Phase::Closing | Phase::Finished => {}
        }
        match self.timeline.phase() {
            Phase::Connecting => self.go_on_connecting(wire),
            Phase::Waiting if now >= self.timeline.start() => self.begin_running(wire),
            Phase::Waiting if now >= self.timeline.phase_by() => self.wait_no_longer(wire),
            Phase::Running => self.go_on_running(wire),
            Phase::Draining if now >= self.timeline.phase_by() => self.begin_closing(wire),
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
        match self.timeline.phase() {
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
        let at = self.deadline_of_phase().min(self.timeline.tick());
        let at = at.min(self.wake_deadline()).min(self.ping_deadline());
        (at != NEVER && self.timeline.phase() != Phase::Finished).then_some(at)
    }

    fn may_coalesce(&self) -> bool {
        self.timeline.phase() == Phase::Running && self.may_gather()
    }

    fn finished(&self) -> bool {
        self.timeline.phase() == Phase::Finished
    }

    fn outcome(self) -> Outcome {
        self.recorder.outcome
    }
}
