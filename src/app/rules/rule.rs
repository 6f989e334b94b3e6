//! One rule: on which line it stands, whom it is about, what it says.

use super::rate::{RatePer, RuleRate};
use super::{RuleRefusal, Visitor};
use crate::app::facts::ClientFacts;
use crate::app::hub::pattern::ChannelPattern;
use crate::shard::PeerNameKind;
use schemars::JsonSchema;
use serde::Deserialize;

/// What a rule is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RuleLine {
    /// A request, to whichever path.
    Request,
    /// A client of channels connects.
    Handshake,
    /// A client sends a command.
    Event,
    /// A client subscribes.
    Subscribe,
    /// A client publishes.
    PublishIn,
    /// A client is about to be told a publication.
    PublishOut,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RuleAction {
    /// What it takes may be.
    Allow,
    /// What it takes may not be.
    Deny,
    /// What it takes may be so often; within that the next rules decide.
    Limit,
}

/// A name and the values of which one has to be there.
pub(super) type FactPattern = (Box<str>, ChannelPattern);

/// A kind of names of a certificate, of which one has to be there.
pub(super) type NamePattern = (PeerNameKind, ChannelPattern);

/// One rule.
#[derive(Clone, Debug)]
pub struct AccessRule {
    pub(super) on: RuleLine,
    pub(super) effect: RuleEffect,
    pub(super) path: Option<ChannelPattern>,
    pub(super) channel: Option<ChannelPattern>,
    pub(super) event: Option<ChannelPattern>,
    pub(super) user: Option<ChannelPattern>,
    pub(super) claims: Vec<FactPattern>,
    pub(super) session: Vec<FactPattern>,
    pub(super) certificate: Vec<NamePattern>,
}

/// What a rule says to what it takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum RuleEffect {
    Allow,
    Deny(RuleRefusal),
    Limit(RuleRate, RatePer, RuleRefusal),
}

impl AccessRule {
    /// Whether it is about that: `event` and `channel` are empty where the line has none.
    pub(super) fn takes(
        &self,
        line: RuleLine,
        from: &Visitor<'_>,
        (event, channel): (&str, &str),
    ) -> bool {
        let fits = |pattern: &Option<ChannelPattern>, text: &str| {
            pattern.as_ref().is_none_or(|pattern| pattern.matches(text))
        };
        let has = |wanted: &[FactPattern], facts: &ClientFacts| {
            let one = |(name, pattern): &FactPattern| {
                let values = facts.of(name);
                values.iter().any(|value| pattern.matches(value))
            };
            wanted.iter().all(one)
        };
        self.on == line
            && fits(&self.path, from.path)
            && fits(&self.channel, channel)
            && fits(&self.event, event)
            && fits(&self.user, from.user)
            && has(&self.claims, from.claims)
            && has(&self.session, from.session)
            && self.certificate.iter().all(|(kind, pattern)| {
                let mut names = from.certificate.of(*kind);
                names.any(|name| pattern.matches(name))
            })
    }
}
