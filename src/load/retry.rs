//! Which failed connects are tried again and which lost connections are made anew, and when.

use super::attempt::Attempt;
use super::measure::failure::Kind;
use super::policy::{self, RetryPolicy, Wait};
use crate::time::Instant;

/// What becomes of a connect that failed, or of a connection that was lost.
#[derive(Debug)]
pub(super) enum RetryVerdict {
    /// The next attempt is made then.
    RetryAt(Instant, Attempt),
    /// It was the last.
    GivenUp,
}

/// Whether a client that connects later is still of use to the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeLeft {
    Some,
    None,
}

/// The clients of a core that are to connect again.
#[derive(Debug)]
pub(super) struct Retries {
    policy: RetryPolicy,
    /// First connects that failed and wait for their next attempt.
    retrying: u64,
    /// Clients that lost their connection and are neither up again nor have given up.
    absent: u64,
}

/// How many were still to connect when nobody did any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unfinished {
    pub(super) first: u64,
    pub(super) absent: u64,
}

impl Retries {
    pub(super) const fn new(policy: RetryPolicy) -> Self {
        Self {
            policy,
            retrying: 0,
            absent: 0,
        }
    }

    /// A connect failed, the first one of its client or another.
    pub(super) fn failed(
        &mut self,
        mut attempt: Attempt,
        kind: Kind,
        time: TimeLeft,
        (now, rng): (Instant, &mut fastrand::Rng),
    ) -> RetryVerdict {
        let is_first = attempt.is_first();
        let wait = policy::after_failure(kind, attempt.take_asked_wait(), self.policy.refused);
        let most = if is_first {
            self.policy.retries
        } else {
            self.policy.reconnects
        };
        if attempt.attempts() < most && wait != Wait::Never && time == TimeLeft::Some {
            self.retrying += u64::from(is_first);
            return self.later(wait, attempt, (now, rng));
        }
        self.absent -= u64::from(!is_first);
        RetryVerdict::GivenUp
    }

    /// A connection that was up was lost.
    pub(super) fn lost(
        &mut self,
        mut attempt: Attempt,
        kind: Kind,
        (now, rng): (Instant, &mut fastrand::Rng),
    ) -> RetryVerdict {
        let wait = policy::after_loss(kind, attempt.take_asked_wait());
        if wait == Wait::Never {
            return RetryVerdict::GivenUp;
        }
        attempt.mark_lost(now);
        self.absent += 1;
        self.later(wait, attempt, (now, rng))
    }

    /// A further first connect begins; false if all of them have been given up meanwhile.
    pub(super) fn begins_first(&mut self) -> bool {
        let was_retrying = self.retrying > 0;
        self.retrying = self.retrying.saturating_sub(1);
        was_retrying
    }

    /// A client that had lost its connection is up again.
    pub(super) fn resumed(&mut self) {
        self.absent -= 1;
    }

    /// No first connect is tried again: how many were to be.
    pub(super) fn give_up_first(&mut self) -> u64 {
        std::mem::take(&mut self.retrying)
    }

    /// Nobody connects again.
    pub(super) fn stop(&mut self) -> Unfinished {
        Unfinished {
            first: self.give_up_first(),
            absent: std::mem::take(&mut self.absent),
        }
    }

    /// First connects that failed and wait for their next attempt.
    pub(super) const fn retrying(&self) -> u64 {
        self.retrying
    }

    /// Whether some client that lost its connection may come back.
    pub(super) const fn is_any_absent(&self) -> bool {
        self.absent > 0
    }

    fn later(
        &self,
        wait: Wait,
        mut attempt: Attempt,
        (now, rng): (Instant, &mut fastrand::Rng),
    ) -> RetryVerdict {
        let wait = match (wait, attempt.take_onward()) {
            // It is another server that was overloaded.
            (Wait::Longest, true) => Wait::Backoff,
            (wait, _) => wait,
        };
        let delay = self.policy.backoff.delay(wait, attempt.count(), rng);
        RetryVerdict::RetryAt(now + delay, attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::attempt::{LostConnection, RetryState};
    use crate::load::policy::{Backoff, Refused};
    use std::time::Duration;

    const S: Duration = Duration::from_secs(1);
    const NOW: Instant = Instant::from_nanos(5_000_000_000);

    fn retries(retries: u32, reconnects: u32) -> Retries {
        Retries::new(RetryPolicy {
            retries,
            reconnects,
            backoff: Backoff {
                least: S,
                most: 30 * S,
            },
            refused: Refused::Again,
        })
    }

    fn first() -> Attempt {
        Attempt::first(7, 0, NOW)
    }

    fn lost(retry: Option<Duration>) -> Attempt {
        let lost = LostConnection::new(0, String::new(), retry);
        first().after(Some(RetryState::of(lost)))
    }

    /// How often a connect that always fails is made again, and the waits between.
    fn waits(retries: &mut Retries, mut attempt: Attempt, kind: Kind) -> Vec<Duration> {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut waits = Vec::new();
        loop {
            match retries.failed(attempt, kind, TimeLeft::Some, (NOW, &mut rng)) {
                RetryVerdict::GivenUp => return waits,
                RetryVerdict::RetryAt(at, next) => {
                    waits.push(at.since(NOW));
                    if next.is_first() {
                        assert!(retries.begins_first());
                    }
                    attempt = next;
                }
            }
        }
    }

    #[test]
    fn a_first_connect_is_tried_as_often_as_asked_and_waits_longer_each_time() {
        let mut retries = retries(3, 0);
        let waits = waits(&mut retries, first(), Kind::Refused);
        assert_eq!(waits.len(), 3);
        let most = [S, 2 * S, 4 * S];
        assert!(
            waits
                .iter()
                .zip(most)
                .all(|(wait, most)| *wait <= most && *wait >= most / 2)
        );
        assert_eq!(retries.retrying(), 0);
    }

    #[test]
    fn without_time_or_after_what_would_fail_again_nothing_is_tried() {
        let mut retries = retries(3, 3);
        let mut rng = fastrand::Rng::with_seed(1);
        let verdict = retries.failed(first(), Kind::Refused, TimeLeft::None, (NOW, &mut rng));
        assert!(matches!(verdict, RetryVerdict::GivenUp));
        assert!(waits(&mut retries, first(), Kind::HttpStatus(204)).is_empty());
    }

    #[test]
    fn a_lost_connection_is_absent_until_it_is_up_or_given_up() {
        let mut retries = retries(0, 2);
        let mut rng = fastrand::Rng::with_seed(1);
        let kind = Kind::Reset;
        let RetryVerdict::RetryAt(_, again) = retries.lost(lost(None), kind, (NOW, &mut rng))
        else {
            panic!("it may come back");
        };
        assert!(!again.is_first());
        assert!(retries.is_any_absent());
        assert_eq!(
            waits(&mut retries, again, kind).len(),
            1,
            "two attempts in all"
        );
        assert!(!retries.is_any_absent());
        let verdict = retries.lost(lost(None), Kind::CloseCode(1000), (NOW, &mut rng));
        assert!(matches!(verdict, RetryVerdict::GivenUp), "RFC 6455, 7.4.1");
        assert!(!retries.is_any_absent());
    }

    #[test]
    fn a_server_s_retry_and_its_retry_after_are_waited_for() {
        let mut retries = retries(1, 1);
        let mut rng = fastrand::Rng::with_seed(1);
        let verdict = retries.lost(lost(Some(9 * S)), Kind::StreamEnded, (NOW, &mut rng));
        assert!(matches!(verdict, RetryVerdict::RetryAt(at, _) if at >= NOW + 9 * S));
        let mut past = RetryState::default();
        past.ask_wait(20 * S);
        let refused = first().after(Some(Box::new(past)));
        let waits = waits(&mut retries, refused, Kind::HttpStatus(503));
        assert!(
            waits.len() == 1 && waits.iter().all(|wait| *wait >= 20 * S),
            "{waits:?}"
        );
    }

    #[test]
    fn a_retry_that_comes_after_all_were_given_up_is_none() {
        let mut retries = retries(1, 0);
        let mut rng = fastrand::Rng::with_seed(1);
        let _ = retries.failed(first(), Kind::Refused, TimeLeft::Some, (NOW, &mut rng));
        assert_eq!(
            retries.stop(),
            Unfinished {
                first: 1,
                absent: 0
            }
        );
        assert!(!retries.begins_first());
    }
}
