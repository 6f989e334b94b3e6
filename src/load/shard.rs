//! One core's share of a run: tells its parts what happens, and draws the conclusions once at the
//! end of each call.

use super::barrier::{CoreMessage, StartBarrier, WithoutConnections};
use super::client::{Came, ClientEvent, LoadClients};
use super::config::Config;
use super::connecting::Connecting;
use super::measure::outcome::{Ending, Outcome};
use super::measure::progress::{Observer, Progress};
use super::measure::recorder::{Cause, Recorder};
use super::pace::Stripe;
use super::phase::{AT_ONCE, NEVER, Phase, Timeline};
use super::run::RunParts;
use super::running::{Running, Stripes};
use crate::shard::{CloseCause, ConnectionId, Core, Origin, ReceiveInto, Shard, Wire};
use crate::time::Instant;
use std::sync::Arc;

/// One core's share of a load run.
///
/// It connects, waits until every core has (so that all begin at one time), runs its scenario for
/// the warm-up and the measured time, waits a little for outstanding replies, closes and is
/// finished: at its duration, always, whatever the server does.
///
/// Each part is told what happens and asked what to do; none calls back. What clients have to say
/// to the run they leave as events, which [`Load::settle`] consumes.
pub struct Load {
    config: Arc<Config>,
    stripe: Stripe,
    timeline: Timeline,
    barrier: StartBarrier,
    connecting: Connecting,
    running: Running,
    clients: LoadClients,
    /// What clients have to say: one vector for all calls.
    events: Vec<ClientEvent>,
    recorder: Recorder,
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
        let config = Arc::new(config);
        Self {
            stripe: Stripe::new(0, 1),
            timeline: Timeline::new(),
            barrier: StartBarrier::new(1, WithoutConnections::Abandon),
            connecting: Connecting::new(Arc::clone(&config), core),
            running: Running::new(Arc::clone(&config)),
            clients: LoadClients::new(Arc::clone(&config), core),
            events: Vec::new(),
            recorder: Recorder::new(config.message_pace().is_some()),
            observer,
            config,
        }
    }

    /// The client whose connection that is, also if it only posts there.
    pub(super) fn client_of(&mut self, id: ConnectionId) -> Option<u32> {
        self.clients.number_of(id)
    }

    /// Draws the conclusions of a call: passes on what dialogues tell each other, consumes what
    /// clients have to say, starts connects that have become possible, and changes the phase,
    /// until there is nothing more to conclude.
    fn settle(&mut self, wire: &mut impl Wire<CoreMessage>) {
        loop {
            self.clients.pass_notes(&mut self.recorder, wire);
            let has_news = self.consume_events(wire);
            if self.timeline.phase().connects() {
                let (connecting, _, mut run) = self.parts();
                connecting.start_due(&mut run, wire);
            }
            if !self.change_phase(wire) && !has_news {
                return;
            }
        }
    }

    /// Consumes what clients have to say; whether there was anything.
    fn consume_events(&mut self, wire: &mut impl Wire<CoreMessage>) -> bool {
        let mut has_news = false;
        let mut events = std::mem::take(&mut self.events);
        loop {
            self.clients.take_events(&mut events);
            if events.is_empty() {
                self.events = events;
                return has_news;
            }
            has_news = true;
            for event in events.drain(..) {
                self.on_client(event, wire);
            }
        }
    }

    fn on_client(&mut self, event: ClientEvent, wire: &mut impl Wire<CoreMessage>) {
        if event.ends_connection() {
            self.timeline.closed_one(wire.now(), self.config.close_time);
        }
        let (connecting, _, mut run) = self.parts();
        connecting.on_client(event, &mut run, wire);
    }

    /// The parts that act on a run, and the run that they act on.
    const fn parts(&mut self) -> (&mut Connecting, &mut Running, RunParts<'_>) {
        let run = RunParts {
            timeline: &self.timeline,
            clients: &mut self.clients,
            recorder: &mut self.recorder,
        };
        (&mut self.connecting, &mut self.running, run)
    }

    /// Changes the phase if it is time to; whether it has.
    fn change_phase(&mut self, wire: &mut impl Wire<CoreMessage>) -> bool {
        let (now, before) = (wire.now(), self.timeline.phase());
        match before {
            Phase::Connecting if now >= self.timeline.connect_by() => self.give_up_connects(wire),
            Phase::Connecting if self.connecting.is_done() => self.be_ready(wire),
            Phase::Waiting if now >= self.timeline.start() => {
                self.timeline.run();
                self.clients.begin(self.timeline.until());
                self.run(wire);
            }
            Phase::Waiting if now >= self.timeline.phase_by() => {
                // A core is missing: the run begins without it.
                let start = self.barrier.wait_no_longer(wire);
                self.on_core(start, wire);
            }
            Phase::Running => self.end_run_if_over(wire),
            Phase::Draining if now >= self.timeline.phase_by() => self.begin_closing(wire),
            Phase::Draining if self.recorder.in_flight() == 0 => self.end_drain(wire),
            Phase::Closing => self.finish_if_done(wire),
            Phase::Connecting | Phase::Waiting | Phase::Draining | Phase::Finished => {}
        }
        self.timeline.phase() != before
    }

    /// The connect phase, if that is it, has lasted long enough: what is not up has failed.
    fn give_up_connects(&mut self, wire: &mut impl Wire<CoreMessage>) {
        if self.timeline.phase() != Phase::Connecting {
            return;
        }
        let (connecting, _, mut run) = self.parts();
        connecting.give_up(&mut run, wire);
        self.consume_events(wire);
        self.be_ready(wire);
    }

    /// This core's connects are done: says so and waits.
    fn be_ready(&mut self, wire: &mut impl Wire<CoreMessage>) {
        self.connecting.forget(&self.clients);
        self.timeline
            .wait(wire.now(), StartBarrier::patience(wire.core() == Core(0)));
        self.running.connected(&mut self.recorder, wire);
        self.say(self.clients.ready(wire.core()), wire);
    }

    /// Says to the first core how far this one is.
    fn say(&mut self, message: CoreMessage, wire: &mut impl Wire<CoreMessage>) {
        if let Some(answer) = self.barrier.say(message, wire) {
            self.on_core(answer, wire);
        }
    }

    /// The first core says how the run goes on, or a dialogue of another core something to one of
    /// this.
    fn on_core(&mut self, message: CoreMessage, wire: &mut impl Wire<CoreMessage>) {
        let phase = self.timeline.phase();
        match message {
            CoreMessage::Start { at, listening } if self.timeline.awaits_start() => {
                self.give_up_connects(wire);
                let (core, cores) = (wire.core(), wire.cores());
                self.set_start(at, listening.stripe(core, cores, self.config.connections));
            }
            CoreMessage::Abandon if self.timeline.awaits_start() => {
                self.give_up_connects(wire);
                self.recorder.ending(Ending::NeverBegan);
                self.begin_closing(wire);
            }
            CoreMessage::End if phase == Phase::Running => self.cut_short(wire),
            CoreMessage::Close if phase == Phase::Draining => self.begin_closing(wire),
            CoreMessage::Note(address, note) => self.clients.note(address, note),
            CoreMessage::Start { .. }
            | CoreMessage::Abandon
            | CoreMessage::End
            | CoreMessage::Close
            | CoreMessage::Ready { .. }
            | CoreMessage::TurnsDone
            | CoreMessage::Drained => {}
        }
    }

    /// Messages begin at `start`, on all cores; of the plan, the stripe is this one's.
    fn set_start(&mut self, start: Instant, stripe: Stripe) {
        let (warm_up, duration) = (self.config.warm_up, self.config.duration);
        self.timeline.set_start(start, warm_up, duration);
        let (from, until) = (self.timeline.from(), self.timeline.until());
        self.recorder.measure(from, until);
        if let Some(arrivals) = self.config.arrivals(until.since(start)) {
            // Sessions arrive when the run runs, up to the end of the measured time.
            let planned = (arrivals, self.stripe);
            self.connecting.plan(planned, start, &mut self.recorder);
        }
        let stripes = Stripes {
            messages: stripe,
            connections: self.stripe,
        };
        self.running.plan(stripes, &self.timeline);
    }

    /// Does what is due while the run runs.
    fn run(&mut self, wire: &mut impl Wire<CoreMessage>) {
        let (_, running, mut run) = self.parts();
        running.run(&mut run, wire);
    }

    /// Ends the run if it has come to its end, or nothing is left that could go on.
    fn end_run_if_over(&mut self, wire: &mut impl Wire<CoreMessage>) {
        let ends_with_turns = self.config.ends_with_turns();
        if self.is_deserted() {
            self.recorder.deserted();
            if !ends_with_turns {
                // The rest of the plan has no connection to go to.
                self.running.end(Cause::NoConnection, &mut self.recorder);
                self.end_measured_time(wire.now());
                return self.drain(wire);
            }
            // Other cores may have turns left, and the first one is told when they have not.
        }
        if ends_with_turns
            && !self.clients.has_speakers()
            && let Some(message) = self.barrier.turns_done()
        {
            self.say(message, wire);
        }
        if self.timeline.phase() == Phase::Running && wire.now() >= self.timeline.until() {
            // What was meant for the last moments is sent, however late that is.
            self.run(wire);
            self.consume_events(wire);
            self.running.end(Cause::Late, &mut self.recorder);
            self.drain(wire);
        }
    }

    /// Whether this core had connections and has none left. One without a share just waits.
    fn is_deserted(&self) -> bool {
        self.clients.up() == 0
            && !self.connecting.is_any_absent()
            && self.config.session.is_none()
            && self.recorder.plans_connects()
    }

    /// The run was stopped, or its turns are done: the plan ends here.
    fn cut_short(&mut self, wire: &mut impl Wire<CoreMessage>) {
        let now = wire.now();
        let cause = if self.is_deserted() {
            Cause::NoConnection
        } else {
            Cause::Late
        };
        self.running.cut_short(now, cause, &mut self.recorder);
        self.end_measured_time(now);
        self.drain(wire);
    }

    /// The measured time ends before its time.
    fn end_measured_time(&mut self, now: Instant) {
        self.timeline.cut_short(now);
        let (from, until) = (self.timeline.from(), self.timeline.until());
        self.recorder.measure(from, until);
    }

    /// Waits for the last replies, if there are any.
    fn drain(&mut self, wire: &mut impl Wire<CoreMessage>) {
        self.stop_connecting(wire);
        self.clients.count_silence(&mut self.recorder);
        self.running.measured(&mut self.recorder, wire);
        self.timeline.drain(wire.now(), self.config.grace);
    }

    /// No reply is missing here: what clients of other cores said may still be on its way to those
    /// of this one, so all go together.
    fn end_drain(&mut self, wire: &mut impl Wire<CoreMessage>) {
        if !self.config.has_dialogues() || wire.cores() == 1 {
            self.begin_closing(wire);
        } else if let Some(message) = self.barrier.drained() {
            self.say(message, wire);
        }
    }

    /// Nothing more is awaited: says goodbye on every connection.
    fn begin_closing(&mut self, wire: &mut impl Wire<CoreMessage>) {
        // A run may be stopped while it connects.
        if self.timeline.phase() == Phase::Connecting {
            self.running.connected(&mut self.recorder, wire);
        }
        self.stop_connecting(wire);
        self.timeline.close(wire.now(), self.config.close_time);
        // Those that wait for all cores do not wait for this one.
        if self.config.has_dialogues()
            && wire.cores() > 1
            && let Some(message) = self.barrier.drained()
        {
            self.say(message, wire);
        }
        self.recorder.end();
        self.clients.begin_closing();
        self.clients.close_some(wire);
    }

    fn stop_connecting(&mut self, wire: &mut impl Wire<CoreMessage>) {
        self.connecting.stop(&mut self.recorder);
        self.clients.stop(wire);
    }

    fn finish_if_done(&mut self, wire: &mut impl Wire<CoreMessage>) {
        let is_time = wire.now() >= self.timeline.phase_by() && !self.clients.has_to_close();
        if self.clients.len() == 0 || is_time {
            self.recorder.still_open(self.clients.unanswered());
            self.timeline.finish();
            // The last time: nothing of this core is missing while others go on.
            self.show(wire);
        }
    }

    /// Shows the progress.
    fn show(&mut self, wire: &mut impl Wire<CoreMessage>) {
        let counts = self.recorder.progress();
        let progress = Progress {
            up: self.clients.up(),
            cpu: wire.vitals().thread_cpu,
            ..self.timeline.progress(wire.core(), wire.now(), counts)
        };
        if let Some(observer) = &mut self.observer {
            observer(&progress, self.recorder.outcome_mut());
        }
    }

    fn deadline_of_phase(&self) -> Instant {
        let (timeline, is_starting) = (&self.timeline, self.clients.is_starting());
        let busy = || Ord::min(self.connecting.deadline(), self.clients.timer_deadline());
        match timeline.phase() {
            Phase::Connecting => busy().min(timeline.connect_by()),
            Phase::Waiting => busy().min(timeline.phase_by()).min(timeline.start()),
            Phase::Running => busy().min(self.running.deadline(timeline, is_starting)),
            Phase::Closing if self.clients.has_to_close() => AT_ONCE,
            Phase::Draining | Phase::Closing => timeline.phase_by(),
            Phase::Finished => NEVER,
        }
    }
}

impl Shard for Load {
    type Message = CoreMessage;
    type Outcome = Outcome;

    fn started(&mut self, wire: &mut impl Wire<CoreMessage>) {
        let (now, core, cores) = (wire.now(), wire.core().0, wire.cores());
        let connections = self.config.connections;
        self.stripe = Stripe::among(core, cores, connections);
        self.recorder.of_core(core);
        let connect = self.config.connect_ramp() + self.config.connect_phase;
        self.timeline.begin(now, connect);
        if self.observer.is_some() {
            self.timeline.show_progress(now);
        }
        let (first, without) = if self.config.session.is_some() {
            // They arrive when the run runs.
            (0, WithoutConnections::Start)
        } else {
            (u64::from(connections), WithoutConnections::Abandon)
        };
        self.barrier = StartBarrier::new(cores, without);
        self.running.begin(wire);
        let planned = (first, self.stripe);
        self.connecting.plan(planned, now, &mut self.recorder);
        let share = self.stripe.share(u64::from(connections));
        self.clients.reserve(usize::try_from(share).unwrap_or(0));
        self.settle(wire);
    }

    fn opened(&mut self, id: ConnectionId, origin: Origin, wire: &mut impl Wire<CoreMessage>) {
        self.connecting.answered(id);
        self.clients.opened(id, origin, &mut self.recorder, wire);
        self.settle(wire);
    }

    fn reached(&mut self, id: ConnectionId, _wire: &mut impl Wire<CoreMessage>) {
        self.connecting.answered(id);
    }

    fn received(&mut self, id: ConnectionId, bytes: &mut [u8], wire: &mut impl Wire<CoreMessage>) {
        let (came, recorder) = (Came::Bytes(bytes), &mut self.recorder);
        if let Some(at) = self.clients.received(id, came, recorder, wire) {
            // It may be the last connection, with which the run begins: the rest is of the run.
            self.settle(wire);
            let rest = Came::Bytes(bytes.get_mut(at..).unwrap_or_default());
            self.clients.received(id, rest, &mut self.recorder, wire);
        }
        self.settle(wire);
    }

    fn receive_into(&mut self, id: ConnectionId) -> Option<ReceiveInto> {
        self.clients.receive_into(id)
    }

    fn received_into(
        &mut self,
        id: ConnectionId,
        buffer: Vec<u8>,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        let (came, recorder) = (Came::Into(buffer), &mut self.recorder);
        self.clients.received(id, came, recorder, wire);
        self.settle(wire);
    }

    fn drained(&mut self, id: ConnectionId, wire: &mut impl Wire<CoreMessage>) {
        self.clients.refill(id, &mut self.recorder, wire);
        self.settle(wire);
    }

    fn closed(&mut self, id: ConnectionId, cause: CloseCause, wire: &mut impl Wire<CoreMessage>) {
        self.clients.closed(id, cause, &mut self.recorder, wire);
        self.settle(wire);
    }

    fn forwarded(&mut self, _from: Core, message: CoreMessage, wire: &mut impl Wire<CoreMessage>) {
        let is_late = matches!(message, CoreMessage::Ready { .. }) && !self.timeline.awaits_start();
        let answer = (!is_late).then(|| self.barrier.hear(message, wire));
        self.on_core(answer.flatten().unwrap_or(message), wire);
        self.settle(wire);
    }

    fn expired(&mut self, wire: &mut impl Wire<CoreMessage>) {
        let (now, phase) = (wire.now(), self.timeline.phase());
        if phase.connects() {
            self.clients.run_timers(&mut self.recorder, wire);
            let (connecting, _, mut run) = self.parts();
            connecting.try_again(&mut run, wire);
            connecting.expire(now, &mut run, wire);
            self.clients.send_pings(&mut self.recorder, wire);
        }
        match phase {
            Phase::Running => self.run(wire),
            Phase::Closing => self.clients.close_some(wire),
            Phase::Connecting | Phase::Waiting | Phase::Draining | Phase::Finished => {}
        }
        self.clients.wake_dialogues(&mut self.recorder, wire);
        self.settle(wire);
        if self.timeline.ticks(now) {
            self.show(wire);
        }
    }

    fn stopped(&mut self, wire: &mut impl Wire<CoreMessage>) {
        match self.timeline.phase() {
            Phase::Connecting | Phase::Waiting => {
                self.recorder.ending(Ending::Interrupted);
                self.begin_closing(wire);
            }
            Phase::Running => {
                self.recorder.ending(Ending::Interrupted);
                self.cut_short(wire);
            }
            Phase::Draining | Phase::Closing | Phase::Finished => {}
        }
        self.settle(wire);
    }

    fn deadline(&self) -> Option<Instant> {
        let at = self.deadline_of_phase().min(self.timeline.tick());
        let at = at.min(self.clients.wake_deadline());
        (at != NEVER && self.timeline.phase() != Phase::Finished).then_some(at)
    }

    fn may_coalesce(&self) -> bool {
        let is_running = self.timeline.phase() == Phase::Running;
        is_running && self.running.may_coalesce(self.clients.is_starting())
    }

    fn finished(&self) -> bool {
        self.timeline.phase() == Phase::Finished
    }

    fn outcome(self) -> Outcome {
        self.recorder.into_outcome()
    }
}
