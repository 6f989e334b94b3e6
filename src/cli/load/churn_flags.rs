//! The flags that say who connects again, who is dropped and who goes.

use crate::cli::values;
use crate::load::{Backoff, PlannedOutage, Refused, RetryPolicy, Session};
use clap::{Args, ValueEnum};
use std::time::Duration;

/// Attempts after a loss, where none are typed: about 7 minutes of them.
const RECONNECTS_DEFAULT: u32 = 20;

/// The flags of `load` that make connections come and go.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Coming and going")]
pub(in crate::cli) struct ChurnFlags {
    /// Tries a connect that failed again, so many times at most [default: 0].
    #[arg(long, value_name = "N", value_parser = values::count_u32)]
    retry_failed: Option<u32>,
    /// Connects again after a loss, with Last-Event-ID and after the server's retry: so many
    /// attempts at most (--reconnect=5) [default: 0; 20 without a number, and with --storm].
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "20", value_parser = values::count_u32)]
    reconnect: Option<u32>,
    /// After another HTTP status than the one that is needed (404, 401, 503): come again like after
    /// any failure, or stop for good as a browser's event source does. Retry-After is
    /// waited for in any case: seconds, or a date, which counts from the response's own Date.
    #[arg(long, value_name = "WHAT", value_enum, default_value = "again")]
    on_refusal: OnRefusal,
    /// Each WebSocket connection sends a ping so often, spread over that time, and the latency
    /// `ping` is the time to its pong. One whose pong has not come when the next ping is due has
    /// failed (`no_pong`) and is closed.
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    ping: Option<Duration>,
    /// Waits before further attempts: the first and the longest. They double, with jitter.
    #[arg(long, value_name = "TIME-TIME", default_value = "100ms-30s", value_parser = backoff)]
    backoff: Backoff,
    /// Drops that part of the connections at once, so long into the measured time: 50%@10s. They
    /// come back as with --reconnect, and the summary shows how fast.
    #[arg(long, value_name = "PART@TIME", value_parser = storm)]
    storm: Option<PlannedOutage>,
    /// Clients arrive at the connect pace all through the run and stay so long: 30s, or exp:30s
    /// for random times of that mean. At most -c are there at once.
    #[arg(long, value_name = "TIME", value_parser = session)]
    session_time: Option<Session>,
}

/// What a refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OnRefusal {
    /// Clients come again.
    Again,
    /// They stay away.
    Stop,
}

impl ChurnFlags {
    /// When a client connects again after a loss or a failure.
    pub(super) fn retry_policy(&self) -> RetryPolicy {
        let usual = self.storm.map_or(0, |_| RECONNECTS_DEFAULT);
        RetryPolicy {
            retries: self.retry_failed.unwrap_or(0),
            reconnects: self.reconnect.unwrap_or(usual),
            backoff: self.backoff,
            refused: match self.on_refusal {
                OnRefusal::Again => Refused::Again,
                OnRefusal::Stop => Refused::Stop,
            },
        }
    }

    pub(super) fn ping(&self) -> Option<Duration> {
        self.ping
    }

    pub(super) fn storm(&self) -> Option<PlannedOutage> {
        self.storm
    }

    pub(super) fn session(&self) -> Option<Session> {
        self.session_time
    }
}

fn backoff(text: &str) -> Result<Backoff, String> {
    let range = values::think(text)
        .ok()
        .filter(|range| !range.most.is_zero());
    let range = range.ok_or("write the first wait and the longest, such as 100ms-30s")?;
    Ok(Backoff {
        least: range.least,
        most: range.most,
    })
}

fn storm(text: &str) -> Result<PlannedOutage, String> {
    let example = || "write a part and a time, such as 50%@10s or 100%@5s".to_owned();
    let (part, at) = text.split_once('@').ok_or_else(example)?;
    let percent: f64 = part
        .strip_suffix('%')
        .and_then(|number| number.parse().ok())
        .filter(|percent| (0.1..=100.0).contains(percent))
        .ok_or_else(example)?;
    Ok(PlannedOutage {
        at: values::duration(at).map_err(|_| example())?,
        permille: permille(percent),
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0.1 and 100 percent"
)]
fn permille(percent: f64) -> u16 {
    (percent * 10.0).round() as u16
}

fn session(text: &str) -> Result<Session, String> {
    let (time, make): (_, fn(Duration) -> Session) = match text.strip_prefix("exp:") {
        Some(mean) => (mean, Session::Exponential),
        None => (text, Session::Constant),
    };
    let time = values::duration(time).ok().filter(|time| !time.is_zero());
    time.map(make)
        .ok_or_else(|| "write a time, such as 30s, or exp:30s for a mean".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        churn: ChurnFlags,
        url: Option<String>,
    }

    fn typed(line: &str) -> Typed {
        let argv = std::iter::once("load").chain(line.split_whitespace());
        Typed::try_parse_from(argv).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn nobody_comes_back_unless_it_is_typed() {
        assert_eq!(typed("").churn.retry_policy(), RetryPolicy::NEVER);
        let bare = typed("--reconnect ws://host/");
        assert_eq!(bare.churn.retry_policy().reconnects, RECONNECTS_DEFAULT);
        assert_eq!(bare.url.as_deref(), Some("ws://host/"));
        let again = typed("--reconnect=5 --retry-failed 3 --backoff 1s-5s")
            .churn
            .retry_policy();
        assert_eq!((again.reconnects, again.retries), (5, 3));
        assert_eq!(again.backoff.most, Duration::from_secs(5));
        let stop = typed("--reconnect --on-refusal stop").churn.retry_policy();
        assert_eq!(stop.refused, Refused::Stop);
    }

    #[test]
    fn a_storm_brings_its_clients_back() {
        let flags = typed("--storm 12.5%@1.5s").churn;
        let storm = flags.storm().unwrap();
        assert_eq!(
            (storm.permille, storm.at),
            (125, Duration::from_millis(1500))
        );
        assert_eq!(flags.retry_policy().reconnects, RECONNECTS_DEFAULT);
    }

    #[test]
    fn sessions_are_as_long_or_random() {
        let session = |line| typed(line).churn.session();
        let second = Duration::from_secs(1);
        assert_eq!(
            session("--session-time 1s"),
            Some(Session::Constant(second))
        );
        let random = session("--session-time exp:1s");
        assert_eq!(random, Some(Session::Exponential(second)));
    }

    #[test]
    fn wrong_values_are_refused_with_right_ones() {
        for (wrong, example) in [
            (storm("50%").map(|_| ()), "50%@10s"),
            (storm("50@1s").map(|_| ()), "50%@10s"),
            (storm("200%@1s").map(|_| ()), "50%@10s"),
            (session("0s").map(|_| ()), "exp:30s"),
            (session("exp:x").map(|_| ()), "exp:30s"),
            (backoff("0s").map(|_| ()), "100ms-30s"),
            (backoff("5s-1s").map(|_| ()), "100ms-30s"),
        ] {
            assert!(wrong.unwrap_err().contains(example));
        }
    }
}
