//! What a user says of clients that come and go: whether and when they connect again, how long
//! they think and stay, and when many are dropped.

use super::measure::failure::Kind;
use std::time::Duration;

/// The default of the longest wait: with it, who is told 1012 waits the 5 to 30 s that IANA's
/// registry of close codes asks for.
pub const BACKOFF_MOST: Duration = Duration::from_secs(30);

/// How often clients connect again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Further attempts of a first connect that failed, at most.
    pub retries: u32,
    /// Attempts after each loss of a connection that was up, at most; 0: it is not missed.
    pub reconnects: u32,
    /// The waits between.
    pub backoff: Backoff,
    /// What a refusal means.
    pub refused: Refused,
}

/// What clients make of another HTTP status than the one that they need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refused {
    /// They come again, as scripts around a WebSocket do.
    #[default]
    Again,
    /// They stay away, as browsers' event sources do (WHATWG HTML, 9.2.3: the connection fails,
    /// and is not made again).
    Stop,
}

/// Waits that double, with jitter: attempt `n` waits between half and all of
/// `min(least * 2^n, most)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first wait at most.
    pub least: Duration,
    /// Any wait at most, but for what a server asks for.
    pub most: Duration,
}

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// The backoff.
    Backoff,
    /// The server restarts (1012): any time from a sixth of the longest wait to all of it.
    Restart,
    /// The server is overloaded (1013): the longest wait, and up to half of it more.
    Longest,
    /// The server's `retry`, and the backoff of further attempts.
    Server(Duration),
    /// It is over.
    Never,
}

/// Connections dropped at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedOutage {
    /// When, from the beginning of the measured time.
    pub at: Duration,
    /// How many of a thousand connections that are up.
    pub permille: u16,
}

/// What a client does between a reply and its next message: nothing, for so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Think {
    /// The shortest time.
    pub least: Duration,
    /// The longest; times between are equally likely.
    pub most: Duration,
}

impl Think {
    /// Before the first message: any time up to the longest.
    pub(super) fn first(self) -> Self {
        Self {
            least: Duration::ZERO,
            ..self
        }
    }

    /// A time to think.
    pub(super) fn draw(self, rng: &mut fastrand::Rng) -> Duration {
        let span = u64::try_from((self.most - self.least).as_nanos()).unwrap_or(u64::MAX);
        self.least + Duration::from_nanos(rng.u64(..=span))
    }
}

/// How long a client stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// Always as long.
    Constant(Duration),
    /// Exponentially distributed, with that mean.
    Exponential(Duration),
}

impl RetryPolicy {
    /// Nobody connects again.
    pub const NEVER: Self = Self {
        retries: 0,
        reconnects: 0,
        backoff: Backoff {
            least: Duration::from_millis(100),
            most: BACKOFF_MOST,
        },
        refused: Refused::Again,
    };

    /// Whether a client that loses its connection is to come back.
    pub(super) const fn comes_back(&self) -> bool {
        self.reconnects > 0
    }
}

impl Backoff {
    /// How long to wait before further attempt `attempts`, from 0.
    pub(super) fn delay(self, wait: Wait, attempts: u32, rng: &mut fastrand::Rng) -> Duration {
        let doubled = |doublings: u32| {
            let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
            self.least.saturating_mul(factor).min(self.most)
        };
        match wait {
            Wait::Backoff => between(doubled(attempts) / 2..doubled(attempts), rng),
            Wait::Restart => between(self.most / 6..self.most, rng),
            Wait::Longest => between(self.most..self.most + self.most / 2, rng),
            // A little apart, or all who were told the same would come at once.
            Wait::Server(retry) if attempts == 0 => {
                retry + between(Duration::ZERO..self.least, rng)
            }
            Wait::Server(retry) => {
                let longest = doubled(attempts - 1);
                retry + between(longest / 2..longest, rng)
            }
            Wait::Never => Duration::MAX,
        }
    }
}

impl Session {
    pub(super) fn draw(self, rng: &mut fastrand::Rng) -> Duration {
        match self {
            Self::Constant(time) => time,
            // 1 - [0, 1) is never 0, and the logarithm at most 36 or so.
            Self::Exponential(mean) => mean.mul_f64(-(1.0 - rng.f64()).ln()),
        }
    }
}

/// What to wait for after a connection that was up ended so.
pub(super) fn after_loss(kind: Kind, retry: Option<Duration>) -> Wait {
    match kind {
        Kind::CloseCode(1012) => Wait::Restart,
        Kind::CloseCode(1013) => Wait::Longest,
        // RFC 6455, 7.4.1: in good order, or for what would happen again.
        Kind::CloseCode(1000 | 1002 | 1003 | 1007..=1010)
        | Kind::Protocol(_)
        | Kind::TooLarge
        | Kind::Application(_)
        // Names are looked up once, before the run.
        | Kind::Dns => Wait::Never,
        Kind::Refused
        | Kind::TimedOut
        | Kind::Reset
        | Kind::Ended
        | Kind::StreamEnded
        | Kind::Unreachable
        | Kind::NoSourcePort
        | Kind::NoDescriptor
        | Kind::NoSlot
        | Kind::Os(_)
        | Kind::HttpStatus(_)
        | Kind::BadResponse(_)
        | Kind::NotEventStream
        | Kind::BadStream
        | Kind::CloseCode(_)
        | Kind::NoPong
        | Kind::Tls(_)
        | Kind::Proxy(_) => retry.map_or(Wait::Backoff, Wait::Server),
    }
}

/// Whether the server says that it is overloaded, so that another one is to be asked. Close code
/// 1013 of IANA's registry, as it was proposed (hybi, 2012): a client should only connect to a
/// different IP, when there are multiple. RFC 9110, 15.6.4: 503 is for an overload as well.
pub(super) const fn is_overloaded(kind: Kind) -> bool {
    matches!(kind, Kind::CloseCode(1013) | Kind::HttpStatus(503))
}

/// What to wait for after a connect failed so.
pub(super) fn after_failure(kind: Kind, retry: Option<Duration>, refused: Refused) -> Wait {
    match (kind, refused) {
        (Kind::HttpStatus(_), Refused::Stop) => Wait::Never,
        (kind, Refused::Stop | Refused::Again) => after_refusal(kind, retry),
    }
}

fn after_refusal(kind: Kind, retry: Option<Duration>) -> Wait {
    match kind {
        // WHATWG HTML, 9.2.3: 204 tells a client to stop, and another content type is no stream.
        Kind::HttpStatus(204) | Kind::NotEventStream => Wait::Never,
        kind => after_loss(kind, retry),
    }
}

fn between(range: std::ops::Range<Duration>, rng: &mut fastrand::Rng) -> Duration {
    let span = range.end.saturating_sub(range.start);
    let ns = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    range.start + Duration::from_nanos(rng.u64(..=ns))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: Duration = Duration::from_secs(1);

    fn delays(wait: Wait, attempts: u32) -> (Duration, Duration) {
        let backoff = Backoff {
            least: S,
            most: 30 * S,
        };
        let mut rng = fastrand::Rng::with_seed(1);
        let all = (0..1_000).map(|_| backoff.delay(wait, attempts, &mut rng));
        let all: Vec<Duration> = all.collect();
        (*all.iter().min().unwrap(), *all.iter().max().unwrap())
    }

    #[test]
    fn waits_double_up_to_the_longest_and_are_spread_over_a_half() {
        for (attempts, longest) in [(0, S), (1, 2 * S), (3, 8 * S), (5, 30 * S), (99, 30 * S)] {
            let (least, most) = delays(Wait::Backoff, attempts);
            assert!(
                least >= longest / 2 && least < longest * 6 / 10,
                "{least:?}"
            );
            assert!(most <= longest && most > longest * 9 / 10, "{most:?}");
        }
    }

    #[test]
    fn what_servers_ask_for_is_waited_for() {
        let (least, most) = delays(Wait::Restart, 0);
        assert!(least >= 5 * S && most <= 30 * S, "IANA, code 1012");
        assert!(delays(Wait::Longest, 0).0 >= 30 * S);
        let (least, most) = delays(Wait::Server(3 * S), 0);
        assert!(least >= 3 * S && most <= 4 * S);
        let (least, most) = delays(Wait::Server(3 * S), 3);
        assert!(least >= 5 * S && most <= 7 * S);
    }

    #[test]
    fn who_is_sent_away_for_good_does_not_come_back() {
        for code in [1000, 1002, 1003, 1007, 1008, 1009, 1010] {
            assert_eq!(
                after_loss(Kind::CloseCode(code), None),
                Wait::Never,
                "{code}"
            );
        }
        for code in [1001, 1005, 1006, 1011, 1014, 4000] {
            assert_eq!(
                after_loss(Kind::CloseCode(code), None),
                Wait::Backoff,
                "{code}"
            );
        }
        assert_eq!(after_loss(Kind::CloseCode(1012), Some(S)), Wait::Restart);
        assert_eq!(after_loss(Kind::CloseCode(1013), None), Wait::Longest);
        assert_eq!(after_loss(Kind::StreamEnded, Some(S)), Wait::Server(S));
        let after = |status, refused| after_failure(Kind::HttpStatus(status), None, refused);
        assert_eq!(after(204, Refused::Again), Wait::Never);
        assert_eq!(after(503, Refused::Again), Wait::Backoff);
        assert_eq!(after(503, Refused::Stop), Wait::Never);
        let refused = after_failure(Kind::Refused, None, Refused::Stop);
        assert_eq!(refused, Wait::Backoff, "a network error is none");
    }

    proptest! {
        #[test]
        fn no_wait_overflows(ms in 0..u64::MAX / 4, attempts: u32, seed: u64) {
            let backoff = Backoff {
                least: Duration::from_millis(ms % 100_000_000),
                most: Duration::from_millis(ms),
            };
            let mut rng = fastrand::Rng::with_seed(seed);
            for wait in [Wait::Backoff, Wait::Restart, Wait::Longest, Wait::Server(S)] {
                let _ = backoff.delay(wait, attempts, &mut rng);
            }
        }
    }
}
