//! One connect of a client: which client, and what went wrong before.

use super::config::{Config, Target};
use super::redirect::Redirect;
use crate::time::Instant;
use std::time::Duration;

/// A connect: whose, and what was before.
#[derive(Debug)]
pub(super) struct Attempt {
    /// The connection's index in the whole run, and its seat on the core.
    pub(super) number: u32,
    pub(super) seat: u32,
    /// When the first connect was meant to start.
    pub(super) intended: Instant,
    /// Nothing, at the first attempt of the first connect.
    pub(super) past: Option<Box<RetryState>>,
}

/// What a client remembers of what went wrong.
#[derive(Debug, Default)]
pub(super) struct RetryState {
    /// Further attempts since the first connect, or since the loss.
    pub(super) attempts: u32,
    /// Addresses that did not answer, of a name that has several.
    pub(super) addresses: u32,
    /// Where the server sent it that was asked last.
    pub(super) redirect: Option<Box<Redirect>>,
    /// What the server that refused it asks to be waited (`Retry-After`).
    pub(super) retry_after: Option<Duration>,
    /// The loss of the connection, if it was up.
    pub(super) lost: Option<LostConnection>,
}

/// A connection that was up and was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LostConnection {
    pub(super) at: Instant,
    /// The last pushed sequence number, or 0.
    pub(super) pushed: u64,
    /// Empty: none was given.
    pub(super) last_event_id: String,
    /// What the event stream asked for.
    pub(super) retry: Option<Duration>,
    /// When it was up again; pushed messages that are older are replayed ones.
    pub(super) up_at: Option<Instant>,
}

impl Attempt {
    /// Where it goes, and which turn of that target's it is: a redirect's before the run's.
    pub(super) fn target<'a>(&'a self, config: &'a Config) -> Option<(&'a Target, u64)> {
        let (target, turn) = config.target_of(u64::from(self.number))?;
        let past = self.past.as_ref();
        let redirect = past.and_then(|past| past.redirect.as_ref());
        Some((redirect.map_or(target, |redirect| &redirect.to), turn))
    }

    /// Whether the connection has never been up.
    pub(super) fn is_first(&self) -> bool {
        self.lost().is_none()
    }

    /// The loss that it follows.
    pub(super) fn lost(&self) -> Option<&LostConnection> {
        self.past.as_ref()?.lost.as_ref()
    }
}
