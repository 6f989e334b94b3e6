//! One client that follows a script.

use super::super::{Context, Dialogue, Exchange, Incoming, Part, Piece};
use super::template::TemplateValues;
use super::{Kind, Script, Step, Wait};
use crate::limits;
use crate::time::Instant;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// A pause of a slow reader is at least this long: what timers can keep.
const PAUSE_TIME_MIN: Duration = Duration::from_millis(1);
/// What a ping of a script carries, and its pong.
const PING: &[u8] = b"step";

/// One client of a script.
#[derive(Debug)]
pub(super) struct ScriptClient {
    script: Arc<Script>,
    kind: usize,
    /// Turns that it has still to begin.
    left: u32,
    iteration: u64,
    phase: ScriptPhase,
    /// The step of the phase that is next, or under way.
    next: usize,
    progress: StepProgress,
    /// When the step under way is over: its thought, or its patience.
    step_until: Option<Instant>,
    /// When a slow reader reads again.
    pause_until: Option<Instant>,
    /// Bytes that a slow reader has read and not paused for.
    ahead: u64,
    turn: Option<Turn>,
    /// What waits have captured, by variable; empty before the first.
    captured: Vec<String>,
    /// Messages that fitted no step, if some step looks at them.
    earlier: VecDeque<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ScriptPhase {
    Hello,
    /// Between turns.
    BetweenTurns,
    Turn,
}

/// What the step under way is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StepProgress {
    /// No step is under way.
    Ready,
    /// It waits for what the step says.
    Waits,
    Thinks {
        since: Instant,
    },
}

/// A turn under way.
#[derive(Debug)]
struct Turn {
    exchange: Exchange,
    /// Its latency is without this.
    thought: Duration,
    /// Whether it has waited for anything: else it has no latency.
    has_waited: bool,
}

impl Dialogue for ScriptClient {
    fn on_open(&mut self, context: &mut Context<'_>) {
        self.walk(context);
    }

    fn on_message(&mut self, heard: Incoming<'_>, context: &mut Context<'_>) {
        let script = Arc::clone(&self.script);
        let step = self
            .step(&script)
            .filter(|_| self.progress == StepProgress::Waits);
        let is_it = match (heard, step) {
            (Incoming::Pong(payload), step) => {
                if !matches!(step, Some(Step::Ping { .. })) || payload != PING {
                    return;
                }
                true
            }
            (Incoming::Text(bytes) | Incoming::Binary(bytes), step) => {
                self.takes(bytes, step, context)
            }
            (Incoming::Event { text, .. }, step) => self.takes(text.as_bytes(), step, context),
        };
        if is_it {
            self.step_until = None;
            self.go_on(context);
        }
        self.set_timer(context);
    }

    fn on_turn(&mut self, piece: Piece, context: &mut Context<'_>) {
        if self.phase != ScriptPhase::BetweenTurns || self.left == 0 {
            return;
        }
        self.left -= 1;
        self.iteration += 1;
        self.turn = Some(Turn {
            exchange: context.begin(piece),
            thought: Duration::ZERO,
            has_waited: false,
        });
        self.phase = ScriptPhase::Turn;
        self.next = 0;
        self.walk(context);
    }

    fn on_timer(&mut self, context: &mut Context<'_>) {
        let now = context.now();
        if self.pause_until.is_some_and(|at| at <= now) {
            self.pause_until = None;
            context.resume();
        }
        if self.step_until.is_some_and(|at| at <= now) {
            self.step_until = None;
            match self.progress {
                StepProgress::Waits => return context.fail("wait_timed_out"),
                StepProgress::Ready | StepProgress::Thinks { .. } => self.go_on(context),
            }
        }
        self.set_timer(context);
    }
}

impl ScriptClient {
    pub(super) fn new(script: Arc<Script>, kind: usize, left: u32) -> Self {
        Self {
            script,
            kind,
            left,
            iteration: 0,
            phase: ScriptPhase::Hello,
            next: 0,
            progress: StepProgress::Ready,
            step_until: None,
            pause_until: None,
            ahead: 0,
            turn: None,
            captured: Vec::new(),
            earlier: VecDeque::new(),
        }
    }

    /// The step under way is over.
    fn go_on(&mut self, context: &mut Context<'_>) {
        if let (StepProgress::Thinks { since }, Some(turn)) = (self.progress, &mut self.turn) {
            turn.thought += context.now().since(since);
        }
        self.progress = StepProgress::Ready;
        self.next += 1;
        self.walk(context);
    }

    /// Takes steps until one lasts.
    fn walk(&mut self, context: &mut Context<'_>) {
        let script = Arc::clone(&self.script);
        while let Some(step) = self.step(&script) {
            match step {
                Step::Send(_) | Step::Binary(_) | Step::File(_) => self.say(step, context),
                Step::Ping { within } => {
                    context.ping(PING);
                    return self.wait(*within, context);
                }
                Step::Wait(wait) => {
                    if !self.came_before(wait, context) {
                        return self.wait(wait.within, context);
                    }
                }
                Step::Think(think) => {
                    let now = context.now();
                    self.progress = StepProgress::Thinks { since: now };
                    self.step_until = Some(now + think.draw(context.rng()));
                    return self.set_timer(context);
                }
                Step::Close(code) => {
                    self.end_turn(context);
                    return context.close(*code);
                }
                Step::Vanish => {
                    self.end_turn(context);
                    return context.vanish();
                }
            }
            self.next += 1;
        }
        match self.phase {
            ScriptPhase::Hello => {
                self.phase = ScriptPhase::BetweenTurns;
                let is_silent = self.kind(&script).is_none_or(|kind| kind.turn.is_empty());
                context.ready(if is_silent {
                    Part::Listens
                } else {
                    Part::Speaks
                });
            }
            ScriptPhase::BetweenTurns | ScriptPhase::Turn => self.end_turn(context),
        }
        self.set_timer(context);
    }

    fn say(&self, step: &Step, context: &mut Context<'_>) {
        let script = Arc::clone(&self.script);
        match step {
            Step::Send(template) => {
                let text = self.values(&script, context).text_of(template);
                context.text(&text);
            }
            Step::Binary(template) => {
                let text = self.values(&script, context).text_of(template);
                context.binary(text.as_bytes());
            }
            Step::File(bytes) => context.binary(bytes),
            Step::Wait(_) | Step::Ping { .. } | Step::Think(_) | Step::Close(_) | Step::Vanish => {}
        }
    }

    fn values<'a, 'l>(
        &'a self,
        script: &'a Script,
        context: &'a mut Context<'l>,
    ) -> TemplateValues<'a, 'l> {
        TemplateValues {
            captured: &self.captured,
            row: script.row_of(context.number()),
            iteration: self.iteration,
            context,
        }
    }

    fn wait(&mut self, within: Duration, context: &mut Context<'_>) {
        self.progress = StepProgress::Waits;
        self.step_until = Some(context.now() + within);
        if let Some(turn) = &mut self.turn {
            turn.has_waited = true;
        }
        self.set_timer(context);
    }

    /// Whether a message is what the step waits for; it is counted as one that came if not.
    fn takes(&mut self, bytes: &[u8], step: Option<&Step>, context: &mut Context<'_>) -> bool {
        self.read(bytes.len(), context);
        let script = Arc::clone(&self.script);
        let is_it = match step {
            Some(Step::Wait(wait)) => {
                let fits = wait.what.fits(bytes, &mut self.values(&script, context));
                if fits {
                    self.keep(wait, bytes);
                }
                fits
            }
            Some(
                Step::Send(_)
                | Step::Binary(_)
                | Step::File(_)
                | Step::Ping { .. }
                | Step::Think(_)
                | Step::Close(_)
                | Step::Vanish,
            )
            | None => false,
        };
        if !is_it {
            context.received(bytes.len());
            if script.looks_back && bytes.len() <= limits::EARLIER_BYTES {
                if self.earlier.len() == limits::EARLIER_MESSAGES {
                    self.earlier.pop_front();
                }
                self.earlier.push_back(bytes.to_vec());
            }
        }
        is_it
    }

    /// Whether what a step waits for came before it; each message is it once.
    fn came_before(&mut self, wait: &Wait, context: &mut Context<'_>) -> bool {
        if !wait.before {
            return false;
        }
        let script = Arc::clone(&self.script);
        let mut values = self.values(&script, context);
        let found = self
            .earlier
            .iter()
            .position(|bytes| wait.what.fits(bytes, &mut values));
        let Some(bytes) = found.and_then(|place| self.earlier.remove(place)) else {
            return false;
        };
        self.keep(wait, &bytes);
        if let Some(turn) = &mut self.turn {
            turn.has_waited = true;
        }
        true
    }

    /// Keeps what a step has waited for, if it says so.
    fn keep(&mut self, wait: &Wait, bytes: &[u8]) {
        let Some(place) = wait.capture else { return };
        self.captured.resize(self.script.captures, String::new());
        if let Some(kept) = self.captured.get_mut(place) {
            *kept = wait.what.kept(bytes);
        }
    }

    fn end_turn(&mut self, context: &mut Context<'_>) {
        self.phase = ScriptPhase::BetweenTurns;
        if let Some(turn) = self.turn.take() {
            if turn.has_waited {
                context.finish_but(turn.exchange, turn.thought);
            } else {
                context.finish_unmeasured(turn.exchange);
            }
        }
        if self.left == 0 {
            context.done();
        }
    }

    /// Bytes were read: a slow reader pauses for as long as they take it.
    fn read(&mut self, bytes: usize, context: &mut Context<'_>) {
        let script = Arc::clone(&self.script);
        let Some(rate) = self.kind(&script).and_then(|kind| kind.read_rate) else {
            return;
        };
        self.ahead += u64::try_from(bytes).unwrap_or(u64::MAX);
        let ns = u128::from(self.ahead) * 1_000_000_000 / u128::from(rate.max(1));
        let pause = Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX));
        if pause >= PAUSE_TIME_MIN {
            self.ahead = 0;
            let from = self.pause_until.unwrap_or(context.now());
            self.pause_until = Some(from + pause);
            context.pause();
        }
    }

    fn set_timer(&self, context: &mut Context<'_>) {
        let next = match (self.step_until, self.pause_until) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (one, None) | (None, one) => one,
        };
        match next {
            Some(at) => context.wake_after(at.since(context.now())),
            None => context.sleep(),
        }
    }

    fn kind<'s>(&self, script: &'s Script) -> Option<&'s Kind> {
        script.kinds.get(self.kind)
    }

    fn step<'s>(&self, script: &'s Script) -> Option<&'s Step> {
        let kind = self.kind(script)?;
        match self.phase {
            ScriptPhase::Hello => kind.hello.get(self.next),
            ScriptPhase::BetweenTurns => None,
            ScriptPhase::Turn => kind.turn.get(self.next),
        }
    }
}
