//! How often something may be: a rate, and how much of it each client has used.

use super::Visitor;
use crate::app::User;
use crate::limits;
use crate::time::Instant;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// So many in that time, and as many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleRate {
    count: u32,
    /// Time for one.
    each: Duration,
}

/// Whose share of a rate is used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RatePer {
    /// The connection's own.
    #[default]
    Client,
    /// That of all connections of its user on this core.
    User,
    /// That of everyone on this core.
    Core,
}

/// How much of their rates clients have used: for each, when all of it is free again.
#[derive(Clone, Debug, Default)]
pub(super) struct RateMeters {
    free_at: BTreeMap<(usize, MeterOwner), Instant>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum MeterOwner {
    Client(User),
    User(Box<str>),
    Core,
}

impl RuleRate {
    /// Reads `10/s`, `100/m` or `1000/h`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (count, unit) = text.split_once('/')?;
        let count: u32 = count.parse().ok().filter(|count| *count > 0)?;
        let time = Duration::from_secs(match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return None,
        });
        let each = time / count;
        (!each.is_zero()).then_some(Self { count, each })
    }
}

impl RateMeters {
    /// Whether it may be once more, by the rule of that number; then it is counted.
    pub(super) fn takes(
        &mut self,
        rule: usize,
        (rate, per): (RuleRate, RatePer),
        from: &Visitor<'_>,
    ) -> bool {
        let owner = match per {
            RatePer::Client => MeterOwner::Client(from.connection),
            RatePer::User => MeterOwner::User(from.user.into()),
            RatePer::Core => MeterOwner::Core,
        };
        let now = from.now;
        let key = (rule, owner);
        if self.free_at.len() >= limits::RATE_METERS && !self.free_at.contains_key(&key) {
            self.free_at.retain(|_, free_at| *free_at > now);
            if self.free_at.len() >= limits::RATE_METERS {
                return false;
            }
        }
        let free_at = self.free_at.entry(key).or_insert(now);
        let next = (*free_at).max(now) + rate.each;
        let may = next <= now + rate.each * rate.count;
        if may {
            *free_at = next;
        }
        may
    }

    /// A client is gone: what it has used is nobody's.
    pub(super) fn left(&mut self, client: User, rules: usize) {
        for rule in 0..rules {
            self.free_at.remove(&(rule, MeterOwner::Client(client)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::facts::ClientFacts;

    fn visitor(connection: u64, user: &str, ms: u64) -> Visitor<'_> {
        Visitor {
            connection: User(connection),
            path: "/",
            user,
            claims: ClientFacts::NONE,
            session: ClientFacts::NONE,
            certificate: crate::shard::PeerNames::NONE,
            now: Instant::from_nanos(ms * 1_000_000),
        }
    }

    #[test]
    fn a_rate_is_a_number_and_a_time() {
        let each = |text| RuleRate::parse(text).map(|rate| rate.each);
        assert_eq!(each("10/s"), Some(Duration::from_millis(100)));
        assert_eq!(each("60/m"), Some(Duration::from_secs(1)));
        assert_eq!(each("1/h"), Some(Duration::from_secs(3600)));
        for text in [
            "",
            "10",
            "0/s",
            "-1/s",
            "10/d",
            "1.5/s",
            "/s",
            "4000000000/s",
        ] {
            assert_eq!(RuleRate::parse(text), None, "{text}");
        }
    }

    #[test]
    fn so_many_at_once_and_then_one_each_time() {
        let rate = (RuleRate::parse("2/s").expect("a rate"), RatePer::Client);
        let mut meters = RateMeters::default();
        let taken: Vec<bool> = [0, 0, 0, 400, 500, 500, 3000, 3000, 3000]
            .map(|ms| meters.takes(0, rate, &visitor(1, "", ms)))
            .into();
        assert_eq!(
            taken,
            [true, true, false, false, true, false, true, true, false]
        );
        assert!(
            meters.takes(0, rate, &visitor(2, "", 3000)),
            "another has its own"
        );
        assert!(
            meters.takes(1, rate, &visitor(1, "", 3000)),
            "so has another rule"
        );
        meters.left(User(1), 1);
        assert!(meters.takes(0, rate, &visitor(1, "", 3000)));
    }

    #[test]
    fn connections_of_one_user_or_of_a_core_share() {
        for (per, others) in [(RatePer::User, true), (RatePer::Core, false)] {
            let rate = (RuleRate::parse("1/s").expect("a rate"), per);
            let mut meters = RateMeters::default();
            assert!(meters.takes(0, rate, &visitor(1, "ann", 0)));
            assert!(!meters.takes(0, rate, &visitor(2, "ann", 0)), "{per:?}");
            assert_eq!(
                meters.takes(0, rate, &visitor(3, "bob", 0)),
                others,
                "{per:?}"
            );
        }
    }

    #[test]
    fn meters_are_bounded_and_free_ones_make_room() {
        let rate = (RuleRate::parse("1/s").expect("a rate"), RatePer::Client);
        let mut meters = RateMeters::default();
        let most = limits::RATE_METERS as u64;
        for client in 0..most {
            assert!(meters.takes(0, rate, &visitor(client, "", 0)));
        }
        assert!(!meters.takes(0, rate, &visitor(most, "", 999)));
        assert!(meters.takes(0, rate, &visitor(most, "", 1000)));
        assert_eq!(meters.free_at.len(), 1);
    }
}
