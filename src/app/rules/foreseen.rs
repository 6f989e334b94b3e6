//! What rules say to what a client asks for, kept while the application is asked about it: a rate
//! counts when something is asked for, and what rules refuse nobody is asked about.

use super::{Middleware, Ruling, Visitor};
use crate::app::backend::{HookKind, HookQuestion};
use std::borrow::Cow;

/// What rules have said to what one client asks for, in its order.
#[derive(Debug, Default)]
pub(super) struct Foreseen(Vec<ForeseenRulings>);

/// What they have said to one thing.
#[derive(Debug)]
struct ForeseenRulings {
    question: HookQuestion,
    /// To the command.
    event: Option<Ruling>,
    /// To what it is about.
    line: Option<Ruling>,
}

impl Foreseen {
    /// Asks rules about something. Whether they refuse nothing of it.
    pub(super) fn ask(
        &mut self,
        question: &HookQuestion,
        middleware: &mut dyn Middleware,
        from: &Visitor<'_>,
    ) -> bool {
        let event = event(question).map(|(event, channel)| middleware.event(from, &event, channel));
        let may = !matches!(event, Some(Ruling::Refuse(_)));
        let about = (question.kind, &*question.about);
        let line = may.then(|| line(middleware, from, about, &question.data));
        self.0.push(ForeseenRulings {
            question: question.clone(),
            event,
            line,
        });
        may && !matches!(line, Some(Ruling::Refuse(_)))
    }

    /// Whether nothing was asked.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What was said to that command, once.
    pub(super) fn take_event(&mut self, event: &str, channel: &str) -> Option<Ruling> {
        let is_it = |it: &&mut ForeseenRulings| {
            let asked = self::event(&it.question);
            it.event.is_some() && asked.is_some_and(|(e, c)| e == event && c == channel)
        };
        self.0.iter_mut().find(is_it)?.event.take()
    }

    /// What was said to that, once.
    pub(super) fn take_line(
        &mut self,
        kind: HookKind,
        about: &str,
        data: Option<&str>,
    ) -> Option<Ruling> {
        let is_it =
            |it: &&mut ForeseenRulings| it.line.is_some() && it.question.is(kind, about, data);
        self.0.iter_mut().find(is_it)?.line.take()
    }
}

/// The line that is asked about something.
pub(super) fn line(
    middleware: &mut dyn Middleware,
    from: &Visitor<'_>,
    (kind, about): (HookKind, &str),
    data: &str,
) -> Ruling {
    match kind {
        HookKind::Connect => middleware.handshake(from),
        HookKind::Subscribe => middleware.subscribe(from, about),
        HookKind::Publish => middleware.publish_in(from, about, data),
        HookKind::Call | HookKind::Disconnect | HookKind::SessionEnd => Ruling::Pass,
    }
}

/// What the command is called in rules with which a client asks for something, and its channel.
fn event(question: &HookQuestion) -> Option<(Cow<'static, str>, &str)> {
    match question.kind {
        HookKind::Subscribe => Some(("subscribe".into(), &question.about)),
        HookKind::Publish => Some(("publish".into(), &question.about)),
        HookKind::Call => Some((format!("rpc:{}", question.about).into(), "")),
        HookKind::Connect | HookKind::Disconnect | HookKind::SessionEnd => None,
    }
}
