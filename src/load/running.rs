//! What a core does while a run runs: planned messages, an outage, and the marks of the measured
//! time.

use super::barrier::CoreMessage;
use super::config::Config;
use super::measure::recorder::{Cause, Recorder};
use super::measure::recovery::Recovery;
use super::measure::usage::Marks;
use super::outage::{Choice, Outage, OutageStep};
use super::pace::Stripe;
use super::pacer::{Pacer, Span};
use super::phase::{AT_ONCE, Timeline};
use super::run::RunParts;
use crate::shard::Wire;
use crate::time::Instant;
use std::sync::Arc;

/// What the purpose of the generator begins at that chooses what an outage drops.
const OUTAGE_PURPOSE: u64 = 1 << 48;

/// What is due while a run runs.
pub(super) struct Running {
    config: Arc<Config>,
    pacer: Pacer,
    outage: Outage,
    marks: Marks,
}

/// Which part of the run's messages are a core's: by what all cores said when the run began, and
/// by its connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stripes {
    pub(super) messages: Stripe,
    pub(super) connections: Stripe,
}

impl Running {
    pub(super) fn new(config: Arc<Config>) -> Self {
        let (tick, outage) = config.turns_and_outage();
        Self {
            pacer: Pacer::new(tick),
            outage: Outage::new(outage),
            marks: Marks::default(),
            config,
        }
    }

    /// The run begins with its connects.
    pub(super) fn begin(&mut self, wire: &mut impl Wire<CoreMessage>) {
        self.marks.begin(wire);
    }

    /// The connects are over on this core.
    pub(super) fn connected(&self, recorder: &mut Recorder, wire: &mut impl Wire<CoreMessage>) {
        self.marks.connected(recorder, wire);
    }

    /// The common start is known.
    pub(super) fn plan(&mut self, stripes: Stripes, timeline: &Timeline) {
        let span = Span {
            start: timeline.start(),
            from: timeline.from(),
            until: timeline.until(),
        };
        self.outage.plan(span.from, span.until);
        let Some(pace) = self.config.message_pace() else {
            return;
        };
        let (stripe, burst) = self.config.planned(stripes.messages, stripes.connections);
        self.pacer.plan(pace, stripe, burst, span);
    }

    /// Does what is due: marks, drops connections, sends.
    pub(super) fn run(&mut self, run: &mut RunParts<'_>, wire: &mut impl Wire<CoreMessage>) {
        let (now, until) = (wire.now(), run.timeline.until());
        if now >= run.timeline.from() {
            self.marks.measured_from(wire);
        }
        while let Some(step) = self.outage.poll(now, until) {
            match step {
                OutageStep::Drop { permille } => self.drop_share(permille, run, wire),
                OutageStep::Point => run.recorder.recovery_point(run.clients.up()),
            }
        }
        if !self.config.is_closed_loop() {
            // Neighbours in the plan go to different connections, but for bursts; which one
            // depends on the index and on what is up, never on replies.
            while let Some(turn) = self.pacer.take_due(now, run.clients.batch_mut()) {
                run.clients.send_planned(turn, run.recorder, wire);
            }
        } else if now < until {
            run.clients.start_some(run.recorder, wire);
        }
    }

    /// The plan has come to its end, or there is nothing that it could go to: what has not been
    /// sent never will be.
    pub(super) fn end(&mut self, cause: Cause, recorder: &mut Recorder) {
        recorder.never_sent(self.pacer.end(), cause);
    }

    /// The plan ends now.
    pub(super) fn cut_short(&mut self, now: Instant, cause: Cause, recorder: &mut Recorder) {
        if let Some(pace) = self.config.message_pace() {
            recorder.never_sent(self.pacer.cut_short(pace, now), cause);
        }
    }

    /// The measured time is over: what the core has used in it.
    pub(super) fn measured(&self, recorder: &mut Recorder, wire: &mut impl Wire<CoreMessage>) {
        self.marks.measured(recorder, wire);
        recorder.end_sending();
    }

    /// When something is due next.
    pub(super) fn deadline(&self, timeline: &Timeline, is_starting: bool) -> Instant {
        let until = timeline.until();
        let mark = if self.marks.is_measuring() {
            until
        } else {
            timeline.from().min(until)
        };
        let send = if is_starting {
            AT_ONCE
        } else {
            self.pacer.deadline()
        };
        mark.min(send).min(self.outage.deadline())
    }

    /// Whether what comes may wait for the next turn.
    pub(super) fn may_coalesce(&self, is_starting: bool) -> bool {
        self.pacer.may_coalesce() || is_starting && self.pacer.has_tick()
    }

    /// Drops a share of the connections that are up, chosen by the seed.
    fn drop_share(
        &mut self,
        permille: u16,
        run: &mut RunParts<'_>,
        wire: &mut impl Wire<CoreMessage>,
    ) {
        let before = run.clients.up();
        let purpose = OUTAGE_PURPOSE + u64::from(wire.core().0);
        let choice = Choice::new(before, permille, self.config.random(purpose));
        let losses = run.clients.drop_share(choice, run.recorder, wire);
        run.recorder.outage(Recovery {
            before,
            dropped: losses.connections,
            messages: losses.messages,
            step: self.outage.step(),
            up: Vec::new(),
        });
    }
}
