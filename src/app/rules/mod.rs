//! Who may do what, asked line by line: a request comes, a client of channels connects, says
//! something, subscribes, publishes, is about to be told.
//!
//! Each line is a method of [`Middleware`]. [`RuleSet`] is the one that a file of rules makes; a
//! program of one's own may have another (`examples/members.rs`). Where there is none, nothing is
//! asked.

mod answered;
mod channel_table;
mod foreseen;
mod gatekeeper;
mod misplaced;
mod nearest;
mod rate;
mod rule;
mod rule_file;
mod rule_set;
mod table;
#[cfg(test)]
mod tests;
mod text_fault;

pub use answered::ruling;
pub use channel_table::{ChannelRow, ChannelTable};
pub use gatekeeper::Gatekeeper;
pub use nearest::nearest;
pub use rate::{RatePer, RuleRate};
pub use rule::{AccessRule, RuleAction, RuleLine};
pub use rule_file::RuleFile;
pub use rule_set::RuleSet;
pub use table::RuleTable;
pub use text_fault::TextFault;

use super::User;
use super::facts::ClientFacts;
use super::hub::session::SessionId;
use crate::shard::{Core, PeerNames};
use crate::time::Instant;
use std::fmt;
use std::sync::Arc;

/// What is said to something that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ruling {
    /// Nothing: it is decided as if nobody had been asked, by tokens and by what channels are like.
    #[default]
    Pass,
    /// It may be, without a token too.
    Allow,
    /// It may not be, whatever a token says.
    Refuse(RuleRefusal),
}

/// Why something may not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleRefusal {
    /// It is asked for too often: later it may be.
    pub is_too_often: bool,
    /// What a dialect tells its client in place of its own code, if the application has chosen one.
    pub code: Option<u16>,
    /// What the client is told: at most [`crate::limits::REASON_BYTES`], without control
    /// characters.
    pub reason: &'static str,
}

/// A client, as far as it is known when something is asked.
#[derive(Clone, Copy, Debug)]
pub struct Visitor<'v> {
    /// Its connection; nobody's for a request.
    pub connection: User,
    /// Where it came.
    pub path: &'v str,
    /// The user of its token; empty without one.
    pub user: &'v str,
    /// The claims of its token.
    pub claims: &'v ClientFacts,
    /// The fields of its session.
    pub session: &'v ClientFacts,
    /// The names that it has proved with a certificate of TLS.
    pub certificate: &'v PeerNames,
    /// The time.
    pub now: Instant,
}

/// What is asked before something happens: one value per core. A line that is not written passes
/// everything.
///
/// Callers of the server API are not asked about: they are the application itself.
pub trait Middleware {
    /// A request has come, to whichever path: refused with 403, or 429. Nothing but path, names of
    /// a certificate and time is known of it.
    fn request(&mut self, _from: &Visitor<'_>) -> Ruling {
        Ruling::Pass
    }

    /// A client of channels connects, or an event stream of channels comes: refused with close code
    /// 3507, error 111, or 403 and 429.
    fn handshake(&mut self, _from: &Visitor<'_>) -> Ruling {
        Ruling::Pass
    }

    /// A client sends a command: `subscribe`, `publish`, `history`, `rpc:METHOD`, and so on, about
    /// that channel (empty for none). Refused with error 103, or 111. To allow `history`,
    /// `presence` or `presence_stats` opens a channel to who has not subscribed.
    fn event(&mut self, _from: &Visitor<'_>, _event: &str, _channel: &str) -> Ruling {
        Ruling::Pass
    }

    /// A client is about to subscribe, or to be subscribed by its token.
    fn subscribe(&mut self, _from: &Visitor<'_>, _channel: &str) -> Ruling {
        Ruling::Pass
    }

    /// A client publishes that JSON.
    fn publish_in(&mut self, _from: &Visitor<'_>, _channel: &str, _data: &str) -> Ruling {
        Ruling::Pass
    }

    /// A client is about to be told that JSON, now or because it comes back: who is refused is not
    /// told, and finds that number missing.
    fn publish_out(&mut self, _to: &Visitor<'_>, _channel: &str, _data: &str) -> Ruling {
        Ruling::Pass
    }

    /// Whether [`Self::publish_out`] has to be asked: for each of a publication's subscribers.
    fn watches_out(&self) -> bool {
        true
    }

    /// A client is gone.
    fn left(&mut self, _connection: User) {}

    /// A session whose home is this core has ended: its last socket has been gone for the grace
    /// time. That is what it held (JSON).
    fn session_ended(&mut self, _session: SessionId, _data: &str) {}
}

/// Makes the middleware of each core, if there is any.
#[derive(Clone, Default)]
pub struct MiddlewareSource(Option<Arc<MiddlewareMaker>>);

type MiddlewareMaker = dyn Fn(Core) -> Box<dyn Middleware> + Send + Sync;

impl MiddlewareSource {
    /// What that function makes for a core.
    pub fn new(make: impl Fn(Core) -> Box<dyn Middleware> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(make)))
    }

    /// Those rules, the same on every core.
    #[must_use]
    pub fn rules(rules: RuleSet) -> Self {
        Self::new(move |_| Box::new(rules.clone()))
    }

    /// Whether there is any.
    #[must_use]
    pub const fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// The middleware of a core.
    #[must_use]
    pub fn make(&self, here: Core) -> Option<Box<dyn Middleware>> {
        self.0.as_ref().map(|make| make(here))
    }
}

impl fmt::Debug for MiddlewareSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MiddlewareSource({})", self.0.is_some())
    }
}

impl Ruling {
    /// Why it may not be, if it may not.
    #[must_use]
    pub const fn refusal(self) -> Option<RuleRefusal> {
        match self {
            Self::Refuse(refusal) => Some(refusal),
            Self::Pass | Self::Allow => None,
        }
    }

    /// It may not be.
    #[must_use]
    pub const fn deny(reason: &'static str) -> Self {
        let is_too_often = false;
        Self::Refuse(RuleRefusal {
            is_too_often,
            code: None,
            reason,
        })
    }
}

impl RuleRefusal {
    /// The HTTP status that says it (RFC 9110, 15.5.4; RFC 6585, 4).
    #[must_use]
    pub const fn status(self) -> u16 {
        match self.is_too_often {
            true => 429,
            false => 403,
        }
    }
}
