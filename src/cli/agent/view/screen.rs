//! What the view shows: the last sample, what happened since, and the curves.

use crate::stats::{
    History, HostRates, HostSample, Rates, Reading, Sample, ServerChange, ServerState,
};
use std::time::Duration;

/// Values of a curve: five minutes at one a second, or as much as a wide terminal shows.
const CURVE: usize = 300;
/// How long a restart stays in the status line, in seconds.
const NEWS_S: f64 = 60.0;

/// Everything that is drawn.
#[derive(Debug)]
pub struct AgentScreen {
    pub(super) url: String,
    pub(super) refresh: Duration,
    /// The last answer and its rates; kept while the server is lost.
    pub(super) seen: Option<(Box<Sample>, Option<Box<Rates>>)>,
    pub(super) host: Option<(HostSample, Option<HostRates>)>,
    pub(super) open: History,
    pub(super) messages: History,
    pub(super) accepted: History,
    at_s: f64,
    lost: Option<(String, f64)>,
    /// When the last restart was seen, and how many there were.
    restarted_s: Option<f64>,
    restarts: u64,
}

/// How the server is, for the status line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Well,
    Notice(String),
    Lost(String),
}

impl AgentScreen {
    /// Nothing seen yet of the server at that URL.
    #[must_use]
    pub fn new(url: &str, refresh: Duration) -> Self {
        Self {
            url: url.to_owned(),
            refresh,
            seen: None,
            host: None,
            open: History::new(CURVE),
            messages: History::new(CURVE),
            accepted: History::new(CURVE),
            at_s: 0.0,
            lost: None,
            restarted_s: None,
            restarts: 0,
        }
    }

    /// Takes in what one look found.
    pub fn take(&mut self, reading: Reading) {
        self.at_s = reading.at_s;
        if reading.host.is_some() {
            self.host = reading.host;
        }
        match reading.state {
            ServerState::Lost { why, for_s } => {
                self.lost = Some((why, for_s));
                self.open.push(None);
                self.messages.push(None);
                self.accepted.push(None);
            }
            ServerState::Up {
                sample,
                rates,
                change,
            } => {
                self.lost = None;
                match change {
                    ServerChange::None | ServerChange::First | ServerChange::Back => {}
                    ServerChange::Restarted => {
                        self.restarted_s = Some(reading.at_s);
                        self.restarts += 1;
                    }
                }
                self.open.push(Some(sample.total.open.sum() as f64));
                let rate = |of: fn(&Rates) -> Option<f64>| rates.as_deref().and_then(of);
                let (messages_in, messages_out) =
                    (rate(|it| it.messages_in), rate(|it| it.messages_out));
                let sum = messages_in.zip(messages_out).map(|(a, b)| a + b);
                self.messages.push(sum);
                self.accepted.push(rate(|it| it.accepted));
                self.seen = Some((sample, rates));
            }
        }
    }

    /// One rate of the server, as far as it is known.
    pub(super) fn rate(&self, of: fn(&Rates) -> Option<f64>) -> Option<f64> {
        let (_, rates) = self.seen.as_ref()?;
        rates.as_deref().and_then(of)
    }

    pub(super) fn health(&self) -> Health {
        if let Some((why, for_s)) = &self.lost {
            // The remedy is for who begins; here the line is short.
            let short = why.split("; try").next().unwrap_or(why);
            let short = short.split(" (os error").next().unwrap_or(short);
            return Health::Lost(format!("LOST for {for_s:.0} s: {short}"));
        }
        let missing = self.seen.as_ref().map(|(sample, _)| &sample.missing);
        if let Some(missing) = missing.filter(|missing| !missing.is_empty()) {
            return Health::Notice(format!("cores that did not answer: {missing:?}"));
        }
        match self.restarted_s {
            Some(then_s) if self.at_s - then_s < NEWS_S => {
                let ago = self.at_s - then_s;
                let times = match self.restarts {
                    1 => String::new(),
                    many => format!(", {many} times so far"),
                };
                Health::Notice(format!("restarted {ago:.0} s ago{times}"))
            }
            Some(_) | None => Health::Well,
        }
    }
}
