//! Rules in their order: the first that decides does.

use super::rate::RateMeters;
use super::rule::{AccessRule, RuleEffect, RuleLine};
use super::table;
use super::text_fault::TextFault;
use super::{Middleware, Ruling, Visitor};
use crate::app::User;
use std::sync::Arc;

/// Rules, and on one core how much of their rates is used.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    rules: Arc<[AccessRule]>,
    meters: RateMeters,
}

impl RuleSet {
    /// Those, asked in that order.
    #[must_use]
    pub fn new(rules: Vec<AccessRule>) -> Self {
        Self {
            rules: rules.into(),
            meters: RateMeters::default(),
        }
    }

    /// Reads the rules of a file: TOML, as docs/realtime.md shows it. What it says of channels is
    /// left out.
    ///
    /// # Errors
    /// [`TextFault`], the first.
    pub fn parse(text: &str) -> Result<Self, TextFault> {
        table::read(text).map(|(rules, _)| Self::new(rules))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    fn ask(&mut self, line: RuleLine, from: &Visitor<'_>, about: (&str, &str)) -> Ruling {
        for (number, rule) in self.rules.iter().enumerate() {
            if !rule.takes(line, from, about) {
                continue;
            }
            match rule.effect {
                RuleEffect::Allow => return Ruling::Allow,
                RuleEffect::Deny(refusal) => return Ruling::Refuse(refusal),
                RuleEffect::Limit(rate, per, refusal) => {
                    if !self.meters.takes(number, (rate, per), from) {
                        return Ruling::Refuse(refusal);
                    }
                }
            }
        }
        Ruling::Pass
    }
}

impl Middleware for RuleSet {
    fn request(&mut self, from: &Visitor<'_>) -> Ruling {
        self.ask(RuleLine::Request, from, ("", ""))
    }

    fn handshake(&mut self, from: &Visitor<'_>) -> Ruling {
        self.ask(RuleLine::Handshake, from, ("", ""))
    }

    fn event(&mut self, from: &Visitor<'_>, event: &str, channel: &str) -> Ruling {
        self.ask(RuleLine::Event, from, (event, channel))
    }

    fn subscribe(&mut self, from: &Visitor<'_>, channel: &str) -> Ruling {
        self.ask(RuleLine::Subscribe, from, ("", channel))
    }

    fn publish_in(&mut self, from: &Visitor<'_>, channel: &str, _data: &str) -> Ruling {
        self.ask(RuleLine::PublishIn, from, ("", channel))
    }

    fn publish_out(&mut self, to: &Visitor<'_>, channel: &str, _data: &str) -> Ruling {
        self.ask(RuleLine::PublishOut, to, ("", channel))
    }

    fn watches_out(&self) -> bool {
        let mut rules = self.rules.iter();
        rules.any(|rule| rule.on == RuleLine::PublishOut)
    }

    fn left(&mut self, connection: User) {
        self.meters.left(connection, self.rules.len());
    }
}
