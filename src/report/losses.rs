//! What a run lost of what it was to have: connections and messages, as shares, and what of that is
//! allowed.

use super::figures::{float, share, whole};
use super::record::Record;

/// Failures of a connect that are this client's own shortage.
const OWN: [&str; 3] = ["no_slot", "no_descriptor", "no_source_port"];

/// Connections or messages of which some were lost.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Loss {
    what: &'static str,
    how: &'static str,
    lost: u64,
    of: u64,
    /// Thresholds on these say themselves what is allowed: names, and beginnings that end with a
    /// dot.
    metrics: &'static [&'static str],
}

impl Loss {
    /// The lost part.
    pub(super) fn share(&self) -> f64 {
        share(self.lost, self.of).unwrap_or(0.0)
    }

    /// Whether it breaks what the run is allowed.
    pub(super) fn is_failure(&self, record: &Record) -> bool {
        self.lost > 0 && self.share() > record.run.allowed_failures && !self.is_governed(record)
    }

    /// Whether a threshold says what is allowed.
    fn is_governed(&self, record: &Record) -> bool {
        let names = |name: &str, metric: &str| {
            name == metric || (name.ends_with('.') && metric.starts_with(name))
        };
        let mut thresholds = record.thresholds.iter();
        thresholds.any(|met| self.metrics.iter().any(|name| names(name, &met.metric)))
    }

    /// Why it does not fail the run.
    pub(super) fn excuse(&self, record: &Record) -> &'static str {
        if self.is_governed(record) {
            "as a threshold judges"
        } else {
            "as allowed"
        }
    }

    /// For people: `441 of 500 connections did not come up (88.2 %)`.
    pub(super) fn shown(&self) -> String {
        let (lost, of, share) = (whole(self.lost), whole(self.of), percent(self.share()));
        format!("{lost} of {of} {} {} ({share})", self.what, self.how)
    }
}

/// What the run lost, each kind with at least one.
pub(super) fn losses(record: &Record) -> Vec<Loss> {
    let connects = &record.connects;
    let went = match &record.returns {
        // Those that came back were to be lost, or allowed to.
        Some(returns) => returns.given_up + returns.absent,
        None => connects.ended_early,
    };
    let all = [
        Loss {
            what: "connections",
            how: "did not come up",
            lost: not_up(record).saturating_sub(own_shortage(record)),
            of: connects.planned,
            metrics: &["errors", "failures.", "connects.failed", "connects.up"],
        },
        Loss {
            what: "connections",
            how: if record.returns.is_some() {
                "were lost and did not come back"
            } else {
                "ended before the run"
            },
            lost: went,
            of: connects.up,
            metrics: &["errors", "failures.", "connects.ended_early", "returns."],
        },
        Loss {
            what: "connections",
            how: "heard nothing up to the end",
            lost: record.events.as_ref().map_or(0, |events| events.silent),
            of: connects.up,
            metrics: &["errors", "reach", "events.silent", "events.missing_at_end"],
        },
        Loss {
            what: "messages",
            how: "got no reply",
            lost: unanswered(record),
            of: record.messages.as_ref().map_or(0, |messages| messages.sent),
            metrics: &["errors", "reach", "messages.lost", "messages.replied"],
        },
    ];
    all.into_iter().filter(|loss| loss.lost > 0).collect()
}

/// Whether connections were lost, or did not come up.
pub(super) fn has_lost_connections(record: &Record) -> bool {
    losses(record).iter().any(|loss| loss.what == "connections")
}

/// Connects that failed for want of what this client's own host or tables had to give.
pub(super) fn own_shortage(record: &Record) -> u64 {
    let own = record.failures.iter().filter(|failure| {
        let (stage, kind) = (failure.stage.as_str(), failure.kind.as_str());
        stage == "connect" && OWN.contains(&kind)
    });
    own.map(|failure| failure.count)
        .sum::<u64>()
        .min(not_up(record))
}

/// Connections that were to come up and did not.
fn not_up(record: &Record) -> u64 {
    let connects = &record.connects;
    let is_cut_short = matches!(record.time.ending.as_str(), "interrupted" | "aborted");
    if record.run.session_s.is_some() || is_cut_short {
        // Others were under way, or found no room for a session.
        return connects.failed;
    }
    connects.planned.saturating_sub(connects.up)
}

/// Messages without a reply that were not dropped with their connection by the run itself.
fn unanswered(record: &Record) -> u64 {
    let lost = record.messages.as_ref().map_or(0, |messages| messages.lost);
    let dropped = record.storm.as_ref().map_or(0, |storm| storm.messages_lost);
    lost.saturating_sub(dropped)
}

/// Enough digits to tell a few of very many from none.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent >= 1.0 || float(0) >= percent {
        return format!("{percent:.1} %");
    }
    format!("{percent:.2} %")
}
