//! Follows one server from sample to sample: what is new, what it does a second, whether it is
//! another one than before.

use super::host::{HostRates, HostSample};
use super::rates::Rates;
use super::sample::Sample;
use crate::time::Instant;
use std::time::Duration;

/// How much longer than the server's own clock says the time between two samples may be. An answer
/// waits half a second for a core that is busy; beyond this the server cannot be the same one.
const SLACK: Duration = Duration::from_secs(3);

/// Readings of a host that are closer together than this are one: seconds in JSON are not exact.
const SAME: Duration = Duration::from_millis(1);

/// What is known after one look.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Which look, from 1.
    pub number: u64,
    /// Seconds since the first look.
    pub at_s: f64,
    /// The server.
    pub state: ServerState,
    /// The host that was looked at, or else that of the server if it told of it; and its rates
    /// from the second look on.
    pub host: Option<(HostSample, Option<HostRates>)>,
}

/// The server after one look.
#[derive(Clone, Debug)]
pub enum ServerState {
    /// It answered.
    Up {
        /// What it told.
        sample: Box<Sample>,
        /// What it does a second; not known at the first sample of a server.
        rates: Option<Box<Rates>>,
        /// What is different from the look before.
        change: ServerChange,
    },
    /// It did not answer.
    Lost {
        /// Why.
        why: String,
        /// Seconds since the last answer, or since the first look.
        for_s: f64,
    },
}

/// What is different from the look before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerChange {
    /// Nothing.
    None,
    /// It is the first answer.
    First,
    /// The same server answers again.
    Back,
    /// Another process answers: counters begin anew.
    Restarted,
}

impl ServerChange {
    /// The word for it in lines and JSON.
    #[must_use]
    pub const fn word(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::First => Some("first"),
            Self::Back => Some("back"),
            Self::Restarted => Some("restarted"),
        }
    }
}

/// What is kept between looks.
#[derive(Debug, Default)]
pub struct ServerWatch {
    looks: u64,
    began: Option<Instant>,
    last: Option<(Instant, Sample)>,
    is_lost: bool,
    host: Option<HostSample>,
    host_rates: Option<HostRates>,
}

impl ServerWatch {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One look: what the server told or why it did not, and the host if it is watched.
    pub fn look(
        &mut self,
        now: Instant,
        told: Result<Sample, String>,
        host: Option<HostSample>,
    ) -> Reading {
        self.looks += 1;
        let began = *self.began.get_or_insert(now);
        // Without a look at a host, the server's own.
        let host = host.or_else(|| told.as_ref().ok().and_then(Sample::host));
        let state = match told {
            Ok(sample) => self.up(now, sample),
            Err(why) => {
                self.is_lost = true;
                let since = self.last.as_ref().map_or(began, |(at, _)| *at);
                let for_s = now.since(since).as_secs_f64();
                ServerState::Lost { why, for_s }
            }
        };
        let host = host.map(|new| self.host(new));
        Reading {
            number: self.looks,
            at_s: now.since(began).as_secs_f64(),
            state,
            host,
        }
    }

    /// The host and its rates since the reading before. The same reading, told again, has the
    /// rates that it had.
    fn host(&mut self, new: HostSample) -> (HostSample, Option<HostRates>) {
        let old = self.host.replace(new.clone());
        let is_same = |old: &HostSample| {
            let (earlier, later) = (old.at.min(new.at), old.at.max(new.at));
            later.since(earlier) < SAME
        };
        if !old.as_ref().is_some_and(is_same) {
            self.host_rates = old.map(|old| HostRates::between(&old, &new));
        }
        (new, self.host_rates.clone())
    }

    fn up(&mut self, now: Instant, sample: Sample) -> ServerState {
        let old = self.last.replace((now, sample.clone()));
        let was_lost = std::mem::take(&mut self.is_lost);
        let (change, rates) = match old {
            None => (ServerChange::First, None),
            Some((at, old)) if is_another(&old, &sample, now.since(at)) => {
                (ServerChange::Restarted, None)
            }
            Some((_, old)) => {
                let change = if was_lost {
                    ServerChange::Back
                } else {
                    ServerChange::None
                };
                (change, Rates::between(&old, &sample))
            }
        };
        ServerState::Up {
            sample: Box::new(sample),
            rates: rates.map(Box::new),
            change,
        }
    }
}

/// Whether the later sample is of another process than the earlier one.
fn is_another(old: &Sample, new: &Sample, passed: Duration) -> bool {
    let grown_s = new.uptime_s - old.uptime_s;
    // With other cores missing the sum may go back without a restart.
    let fewer = old.missing == new.missing && new.total.accepted < old.total.accepted;
    grown_s < 0.0 || fewer || passed.as_secs_f64() > grown_s + SLACK.as_secs_f64()
}
