//! What one core has asked and whom it waits for: the questions of a client are answered together,
//! each once.

use super::answer::HookOutcome;
use super::call::{HookCall, HookCaller, HookQuestion};
use super::counts::count;
use super::kind::{HookFailure, HookKind};
use super::line::{HookLine, HookPlan};
use crate::app::User;
use crate::limits;
use crate::shard::Core;
use crate::time::Instant;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What one core has asked.
#[derive(Debug)]
pub struct Hooks {
    plan: HookPlan,
    line: HookLine,
    here: Core,
    /// Who is here.
    callers: BTreeMap<User, KnownCaller>,
    /// Who waits, and for what.
    waiting: BTreeMap<User, WaitingCaller>,
    /// Questions that are not answered: whose, and which of theirs.
    open: BTreeMap<u64, (User, usize)>,
    count: u64,
    /// Whose questions are all answered.
    ready: Vec<User>,
    look_at: Option<Instant>,
}

#[derive(Debug, Default)]
struct KnownCaller {
    caller: Arc<HookCaller>,
    /// It was let in.
    is_in: bool,
}

#[derive(Debug)]
struct WaitingCaller {
    answers: Vec<(HookQuestion, Option<HookOutcome>)>,
    open: usize,
    /// It is not waited for longer.
    until: Instant,
}

/// A question and what became of it.
pub type AnsweredHook = (HookQuestion, HookOutcome);

impl Hooks {
    /// Nothing is asked yet. `None` if the plan has no line for that core.
    #[must_use]
    pub fn new(plan: HookPlan, here: Core) -> Option<Self> {
        Some(Self {
            line: plan.lines.get(here.index())?.clone(),
            plan,
            here,
            callers: BTreeMap::new(),
            waiting: BTreeMap::new(),
            open: BTreeMap::new(),
            count: 0,
            ready: Vec::new(),
            look_at: None,
        })
    }

    /// Whether the application is asked that.
    #[must_use]
    pub const fn asks(&self, kind: HookKind) -> bool {
        self.plan.asks.has(kind)
    }

    /// What holds while it does not answer.
    #[must_use]
    pub const fn failure(&self) -> HookFailure {
        self.plan.failure
    }

    /// A client has come.
    pub fn came(&mut self, user: User, caller: HookCaller) {
        let caller = Arc::new(caller);
        let is_in = false;
        self.callers.insert(user, KnownCaller { caller, is_in });
    }

    /// A client is that user.
    pub fn identify(&mut self, user: User, name: &str) {
        if let Some(known) = self.callers.get_mut(&user)
            && *known.caller.user != *name
        {
            Arc::make_mut(&mut known.caller).user = name.into();
        }
    }

    /// What is known of a client.
    #[must_use]
    pub fn caller(&self, user: User) -> Option<&HookCaller> {
        self.callers.get(&user).map(|known| &*known.caller)
    }

    /// A client is let in, as far as the application is concerned.
    pub fn let_in(&mut self, user: User) {
        if let Some(known) = self.callers.get_mut(&user) {
            known.is_in = true;
        }
    }

    /// Asks all of that for a client, which waits.
    pub fn ask(&mut self, user: User, questions: Vec<HookQuestion>, now: Instant) {
        let known = self.callers.entry(user).or_default();
        let caller = known.caller.clone();
        let mut waiting = WaitingCaller {
            answers: Vec::with_capacity(questions.len()),
            open: 0,
            until: now + self.plan.time + limits::HOOK_GRACE_TIME,
        };
        for question in questions {
            count(&self.plan.counts.asked);
            let is_many = waiting.answers.len() >= limits::HOOKS_OF_ONE;
            if is_many || self.open.len() >= limits::HOOKS_OPEN {
                count(&self.plan.counts.failed);
                count(&self.plan.counts.rejected);
                waiting.answers.push((question, Some(HookOutcome::Failed)));
                continue;
            }
            self.count += 1;
            let number = self.count;
            self.open.insert(number, (user, waiting.answers.len()));
            waiting.open += 1;
            waiting.answers.push((question.clone(), None));
            self.line.ask(HookCall {
                core: self.here,
                number: Some(number),
                caller: caller.clone(),
                question,
            });
        }
        if waiting.open == 0 {
            self.ready.push(user);
        }
        self.waiting.insert(user, waiting);
        self.look_at.get_or_insert(now + limits::HOOK_LOOK_TIME);
    }

    /// Whether a client waits.
    #[must_use]
    pub fn is_waiting(&self, user: User) -> bool {
        self.waiting.contains_key(&user)
    }

    /// A session has ended that held that (JSON).
    pub fn session_ended(&mut self, caller: HookCaller, data: &str) {
        self.tell(HookKind::SessionEnd, Arc::new(caller), data);
    }

    /// A client is gone.
    pub fn left(&mut self, user: User) {
        if let Some(waiting) = self.waiting.remove(&user)
            && waiting.open > 0
        {
            self.open.retain(|_, (whose, _)| *whose != user);
        }
        if let Some(known) = self.callers.remove(&user)
            && known.is_in
        {
            self.tell(HookKind::Disconnect, known.caller, "");
        }
    }

    fn tell(&mut self, kind: HookKind, caller: Arc<HookCaller>, data: &str) {
        if self.asks(kind) {
            count(&self.plan.counts.told);
            self.line.ask(HookCall {
                core: self.here,
                number: None,
                caller,
                question: HookQuestion::new(kind, "", Some(data)),
            });
        }
    }

    /// When it wants to look for answers.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.look_at
    }

    /// Looks for answers: the clients whose questions are all answered, with the answers.
    pub fn answered(&mut self, now: Instant) -> Vec<(User, Vec<AnsweredHook>)> {
        if self.look_at.is_none_or(|at| at > now) {
            return Vec::new();
        }
        for reply in self.line.take_replies() {
            match self.open.remove(&reply.number) {
                Some((user, at)) => self.note(user, at, reply.outcome),
                // Whoever asked is gone, or has been answered.
                None => count(&self.plan.counts.late),
            }
        }
        self.give_up(now);
        let ready = std::mem::take(&mut self.ready);
        let all = ready.into_iter().filter_map(|user| {
            let answers = self.waiting.remove(&user)?.answers;
            let all = answers.into_iter();
            let all = all.map(|(question, it)| (question, it.unwrap_or(HookOutcome::Failed)));
            Some((user, all.collect()))
        });
        let all = all.collect();
        self.look_at = (!self.waiting.is_empty()).then_some(now + limits::HOOK_LOOK_TIME);
        all
    }

    fn note(&mut self, user: User, at: usize, outcome: HookOutcome) {
        let Some(waiting) = self.waiting.get_mut(&user) else {
            return;
        };
        if let Some((_, place)) = waiting.answers.get_mut(at) {
            *place = Some(outcome);
        }
        waiting.open = waiting.open.saturating_sub(1);
        if waiting.open == 0 {
            self.ready.push(user);
        }
    }

    /// Whoever asks for us has a time of its own, and keeps it; if not, this does.
    fn give_up(&mut self, now: Instant) {
        while let Some((&number, &(user, at))) = self.open.first_key_value() {
            let until = self.waiting.get(&user).map(|waiting| waiting.until);
            if until.is_some_and(|until| until > now) {
                return;
            }
            self.open.remove(&number);
            count(&self.plan.counts.failed);
            self.note(user, at, HookOutcome::Failed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HookReply, HookSet};
    use super::*;
    use std::time::Duration;

    fn at(ms: u64) -> Instant {
        Instant::default() + Duration::from_millis(ms)
    }

    fn hooks() -> (Hooks, HookLine) {
        let line = HookLine::new(Arc::new(|| {}));
        let plan = HookPlan {
            asks: HookSet::of(&HookKind::ALL),
            failure: HookFailure::Deny,
            time: Duration::from_secs(1),
            counts: super::super::HookCounts::default(),
            lines: vec![line.clone()],
        };
        (Hooks::new(plan, Core(0)).unwrap(), line)
    }

    fn question(about: &str) -> HookQuestion {
        HookQuestion::new(HookKind::Subscribe, about, None)
    }

    fn said() -> HookOutcome {
        HookOutcome::Said(Box::default())
    }

    fn reply(line: &HookLine, number: u64) {
        let outcome = said();
        line.reply(HookReply { number, outcome });
    }

    #[test]
    fn a_client_goes_on_when_all_it_asks_is_answered_and_nobody_waits_for_it() {
        let (mut hooks, line) = hooks();
        hooks.ask(User(1), vec![question("a"), question("b")], at(0));
        hooks.ask(User(2), vec![question("c")], at(0));
        let numbers: Vec<u64> = line
            .take_calls()
            .iter()
            .filter_map(|it| it.number)
            .collect();
        assert_eq!(numbers, [1, 2, 3]);
        reply(&line, 3);
        reply(&line, 1);
        let ready = hooks.answered(at(1));
        assert_eq!(ready, [(User(2), vec![(question("c"), said())])]);
        assert!(hooks.is_waiting(User(1)) && !hooks.is_waiting(User(2)));
        reply(&line, 2);
        // Twice, and to nobody.
        reply(&line, 2);
        reply(&line, 99);
        let ready = hooks.answered(at(2));
        assert_eq!(ready.len(), 1);
        assert_eq!(hooks.plan.counts.figures().late, 2);
        assert_eq!(hooks.deadline(), None);
    }

    #[test]
    fn who_is_not_answered_at_all_goes_on_without_an_answer() {
        let (mut hooks, line) = hooks();
        hooks.ask(User(1), vec![question("a")], at(0));
        assert!(hooks.answered(at(1000)).is_empty());
        let grace = u64::try_from(limits::HOOK_GRACE_TIME.as_millis()).unwrap();
        let ready = hooks.answered(at(1001 + grace));
        assert_eq!(
            ready,
            [(User(1), vec![(question("a"), HookOutcome::Failed)])]
        );
        reply(&line, 1);
        hooks.ask(User(1), vec![question("b")], at(5000));
        assert!(hooks.answered(at(5001)).is_empty(), "a late answer is none");
        assert_eq!(hooks.plan.counts.figures().late, 1);
    }

    #[test]
    fn who_leaves_is_told_of_if_it_was_let_in_and_its_answers_are_late() {
        let (mut hooks, line) = hooks();
        for user in [User(1), User(2)] {
            hooks.came(user, HookCaller::default());
            hooks.ask(user, vec![question("a")], at(0));
        }
        hooks.let_in(User(1));
        line.take_calls();
        hooks.left(User(1));
        hooks.left(User(2));
        let told = line.take_calls();
        assert_eq!(told.len(), 1);
        assert_eq!(
            (told[0].question.kind, told[0].number),
            (HookKind::Disconnect, None)
        );
        reply(&line, 1);
        assert!(hooks.answered(at(1)).is_empty());
        assert_eq!(
            (hooks.deadline(), hooks.plan.counts.figures().late),
            (None, 1)
        );
    }

    #[test]
    fn beyond_so_many_questions_nobody_is_asked() {
        let (mut hooks, line) = hooks();
        for user in 0..=limits::HOOKS_OPEN as u64 {
            hooks.ask(User(user), vec![question("a")], at(0));
        }
        assert_eq!(line.take_calls().len(), limits::HOOKS_OPEN);
        let ready = hooks.answered(at(1));
        assert_eq!(ready.len(), 1);
        assert_eq!(ready[0].1[0].1, HookOutcome::Failed);
        assert_eq!(hooks.plan.counts.figures().rejected, 1);
    }
}
