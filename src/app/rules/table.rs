//! Tables `[[rule]]` of a file of rules, and the file around them: each mistake with its line, its
//! column and what would do.

use super::RuleRefusal;
use super::channel_table::{ChannelRow, ChannelTable};
use super::misplaced::{Misplaced, pattern};
use super::nearest::nearest;
use super::rate::{RatePer, RuleRate};
use super::rule::{AccessRule, FactPattern, NamePattern, RuleAction, RuleEffect, RuleLine};
use super::text_fault::TextFault;
use crate::app::hub::pattern::ChannelPattern;
use crate::limits;
use crate::shard::PeerNameKind;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::{Spanned, Value};

/// One table `[[rule]]`, as it is written.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RuleTable {
    /// When it is asked.
    #[schemars(with = "RuleLine")]
    on: Spanned<RuleLine>,
    /// What it does.
    #[schemars(with = "RuleAction")]
    action: Spanned<RuleAction>,
    /// The path that somebody comes to: all of it, or how it begins and `*`.
    #[schemars(with = "Option<String>")]
    path: Option<Spanned<String>>,
    /// The channel: its name, or how it begins and `*`.
    #[schemars(with = "Option<String>")]
    channel: Option<Spanned<String>>,
    /// The command: its name, or how it begins and `*`.
    #[schemars(with = "Option<String>")]
    event: Option<Spanned<String>>,
    /// The user of the token: its name, or how it begins and `*`.
    #[schemars(with = "Option<String>")]
    user: Option<Spanned<String>>,
    /// Claims that the token has to have, and their values.
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    claim: Option<Spanned<BTreeMap<String, Value>>>,
    /// Fields that the session has to have, and their values.
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    session: Option<Spanned<BTreeMap<String, Value>>>,
    /// Names that a certificate of the client has to have: `cn`, `o` or `ou` of its subject, `dns`,
    /// `email`, `uri` or `ip` of its alternatives.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    certificate: Option<Spanned<BTreeMap<String, Value>>>,
    /// Of a limit: `10/s`, `100/m` or `1000/h`.
    #[schemars(with = "Option<String>")]
    rate: Option<Spanned<String>>,
    /// Who shares a rate.
    #[schemars(with = "Option<RatePer>")]
    per: Option<Spanned<RatePer>>,
    /// What the client is told.
    #[schemars(with = "Option<String>")]
    reason: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleTables {
    #[serde(default)]
    rule: Vec<RuleTable>,
    #[serde(default)]
    channel: Vec<ChannelTable>,
}

/// The same in a file that has other keys too.
#[derive(Deserialize)]
struct TablesAmongOthers {
    #[serde(default)]
    rule: Vec<RuleTable>,
    #[serde(default)]
    channel: Vec<ChannelTable>,
}

/// What the tables mean: who may do what, and what channels are like.
pub(super) type TablesRead = (Vec<AccessRule>, Vec<ChannelRow>);

/// Reads a file of rules.
pub(super) fn read(text: &str) -> Result<TablesRead, TextFault> {
    let tables: RuleTables = toml::from_str(text).map_err(|error| explain(text, &error))?;
    meant(text, tables.rule, tables.channel)
}

/// Reads the tables of a file, and nothing else of it.
pub(super) fn read_among(text: &str) -> Result<TablesRead, TextFault> {
    let tables: TablesAmongOthers = toml::from_str(text).map_err(|error| explain(text, &error))?;
    meant(text, tables.rule, tables.channel)
}

fn meant(
    text: &str,
    rules: Vec<RuleTable>,
    channels: Vec<ChannelTable>,
) -> Result<TablesRead, TextFault> {
    let rules = rules.into_iter().map(RuleTable::rule);
    let channels = channels.into_iter().map(ChannelTable::row);
    let read = rules.collect::<Result<_, _>>();
    let read = read.and_then(|rules| Ok((rules, channels.collect::<Result<_, _>>()?)));
    read.map_err(|(at, what)| TextFault::at(text, at.start, what))
}

impl RuleTable {
    /// What it means.
    ///
    /// # Errors
    /// What is wrong, and where it stands.
    pub fn rule(self) -> Result<AccessRule, (Range<usize>, String)> {
        let line = *self.on.get_ref();
        let fits = |key: &'static str, at: Option<Range<usize>>, lines: &[RuleLine]| match at {
            Some(at) if !lines.contains(&line) => {
                let on = self.on.span();
                debug_assert!(!on.is_empty(), "a value stands somewhere");
                Err((
                    at,
                    format!("`{key}` is nothing that is known of {}", name(line)),
                ))
            }
            Some(_) | None => Ok(()),
        };
        use RuleLine::{Event, Handshake, PublishIn, PublishOut, Subscribe};
        let clients = [Handshake, Event, Subscribe, PublishIn, PublishOut];
        fits("user", span(&self.user), &clients)?;
        fits("claim", span(&self.claim), &clients)?;
        fits("session", span(&self.session), &clients)?;
        fits("event", span(&self.event), &[Event])?;
        fits("channel", span(&self.channel), &clients[1..])?;
        let effect = self.effect(line)?;
        Ok(AccessRule {
            on: line,
            effect,
            path: self.path.map(pattern).transpose()?,
            channel: self.channel.map(pattern).transpose()?,
            event: self.event.map(pattern).transpose()?,
            user: self.user.map(pattern).transpose()?,
            claims: facts(self.claim)?,
            session: facts(self.session)?,
            certificate: names(self.certificate)?,
        })
    }

    fn effect(&self, line: RuleLine) -> Result<RuleEffect, Misplaced> {
        let action = *self.action.get_ref();
        if action == RuleAction::Allow
            && let Some(reason) = &self.reason
        {
            let what = "an allowed client is told no reason; leave it out";
            return Err((reason.span(), what.to_owned()));
        }
        let limits = span(&self.rate).or(span(&self.per));
        if let Some(at) = limits.filter(|_| action != RuleAction::Limit) {
            let what = "a rate is for `action = \"limit\"`; leave it out, or write that";
            return Err((at, what.to_owned()));
        }
        let or = match action {
            RuleAction::Limit => "too many requests",
            RuleAction::Allow | RuleAction::Deny => "permission denied",
        };
        let refusal = RuleRefusal {
            is_too_often: action == RuleAction::Limit,
            code: None,
            reason: self.reason(or)?,
        };
        Ok(match action {
            RuleAction::Allow => RuleEffect::Allow,
            RuleAction::Deny => RuleEffect::Deny(refusal),
            RuleAction::Limit => {
                let (rate, per) = self.rate(line)?;
                RuleEffect::Limit(rate, per, refusal)
            }
        })
    }

    fn rate(&self, line: RuleLine) -> Result<(RuleRate, RatePer), Misplaced> {
        let Some(typed) = &self.rate else {
            let what = "a limit has a rate; add rate = \"10/s\"";
            return Err((self.action.span(), what.to_owned()));
        };
        let rate = RuleRate::parse(typed.get_ref()).ok_or_else(|| {
            let what = "a rate is a number and a time: \"10/s\", \"100/m\" or \"1000/h\"";
            (typed.span(), what.to_owned())
        })?;
        let per = match (&self.per, line) {
            (None, RuleLine::Request) => RatePer::Core,
            (None, _) => RatePer::default(),
            (Some(per), RuleLine::Request) if *per.get_ref() != RatePer::Core => {
                let what = "nothing is known of who makes a request; write per = \"core\"";
                return Err((per.span(), what.to_owned()));
            }
            (Some(per), _) => *per.get_ref(),
        };
        Ok((rate, per))
    }

    fn reason(&self, or: &'static str) -> Result<&'static str, Misplaced> {
        let Some(typed) = &self.reason else {
            return Ok(or);
        };
        let reason = typed.get_ref();
        let is_said = !reason.is_empty() && reason.len() <= limits::REASON_BYTES;
        if !is_said || reason.contains(char::is_control) {
            let what = format!("a reason is a line of 1 to {} bytes", limits::REASON_BYTES);
            return Err((typed.span(), what));
        }
        // Rules are read once, or when the operator says so: what is kept for ever is little.
        Ok(reason.clone().leak())
    }
}

/// What a line is called in a file.
const fn name(line: RuleLine) -> &'static str {
    match line {
        RuleLine::Request => "a request",
        RuleLine::Handshake => "a handshake",
        RuleLine::Event => "an event",
        RuleLine::Subscribe => "a subscription",
        RuleLine::PublishIn | RuleLine::PublishOut => "a publication",
    }
}

fn span<T>(typed: &Option<Spanned<T>>) -> Option<Range<usize>> {
    typed.as_ref().map(Spanned::span)
}

fn facts(typed: Option<Spanned<BTreeMap<String, Value>>>) -> Result<Vec<FactPattern>, Misplaced> {
    let Some(typed) = typed else {
        return Ok(Vec::new());
    };
    let at = typed.span();
    let each = typed.into_inner().into_iter().map(|(name, value)| {
        let text = match value {
            Value::String(text) => text,
            Value::Integer(number) => number.to_string(),
            Value::Boolean(value) => value.to_string(),
            Value::Float(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => {
                let what = format!("`{name}` is compared with a text, a whole number or a truth");
                return Err((at.clone(), what));
            }
        };
        let pattern = ChannelPattern::parse(&text);
        let pattern = pattern.map_err(|error| (at.clone(), format!("`{name}`: {error}")))?;
        Ok((name.into(), pattern))
    });
    each.collect()
}

fn names(typed: Option<Spanned<BTreeMap<String, Value>>>) -> Result<Vec<NamePattern>, Misplaced> {
    let at = span(&typed).unwrap_or_default();
    let each = facts(typed)?.into_iter().map(|(word, pattern)| {
        let kind = PeerNameKind::of_word(&word).ok_or_else(|| {
            let known = PeerNameKind::ALL.map(PeerNameKind::word);
            let meant = nearest(&word, known.into_iter()).unwrap_or_default();
            let all = known.join(", ");
            let what = format!(
                "`{word}` is no name of a certificate; is `{meant}` meant? There are: {all}"
            );
            (at.clone(), what)
        })?;
        Ok((kind, pattern))
    });
    each.collect()
}

/// What is wrong with a file that is no TOML, or has other keys: with the nearest known one.
fn explain(text: &str, error: &toml::de::Error) -> TextFault {
    let start = error.span().map_or(0, |at| at.start);
    let message = error.message();
    // "unknown field `chanel`, expected one of `on`, `action`": words stand between backticks.
    let mut words = message.split('`').skip(1).step_by(2);
    let what = match words.next() {
        Some(typed) if message.starts_with("unknown ") => {
            let known: Vec<&str> = words.collect();
            let meant = nearest(typed, known.iter().copied()).unwrap_or_default();
            let all = known.join(", ");
            format!("`{typed}` is unknown; is `{meant}` meant? There are: {all}")
        }
        Some(_) | None => message.to_owned(),
    };
    TextFault::at(text, start, what)
}
