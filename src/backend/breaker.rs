//! Whether it is worth to ask: after some failures nobody is asked but one now and then, until that
//! is answered. And whether a request may be made once more: so many of all may.

use crate::limits;
use crate::time::Instant;

/// Told what became of requests, asked whether to make one.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// Failures since the last answer.
    failures: u32,
    /// Open, and when the next attempt is due.
    open_until: Option<Instant>,
    opened: u64,
    /// Requests since the last that was made once more, as far as they count.
    credit: u32,
}

impl Breaker {
    /// Whether a request is to be made now.
    pub(super) fn lets_through(&mut self, now: Instant) -> bool {
        self.credit = (self.credit + 1).min(limits::RETRY_SHARE * limits::RETRY_SHARE);
        match &mut self.open_until {
            None => true,
            Some(at) if *at <= now => {
                // One, and the next after it only if that takes long.
                *at = now + limits::BREAKER_TIME;
                true
            }
            Some(_) => false,
        }
    }

    /// Whether a request may be made once more.
    pub(super) fn takes_retry(&mut self) -> bool {
        let may = self.open_until.is_none() && self.credit >= limits::RETRY_SHARE;
        if may {
            self.credit -= limits::RETRY_SHARE;
        }
        may
    }

    /// A request was answered, or was not.
    pub(super) fn note(&mut self, is_there: bool, now: Instant) {
        if is_there {
            (self.failures, self.open_until) = (0, None);
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= limits::BREAKER_FAILURES && self.open_until.is_none() {
            self.open_until = Some(now + limits::BREAKER_TIME);
            self.opened += 1;
        }
    }

    /// Whether it is open.
    pub(super) const fn is_open(&self) -> bool {
        self.open_until.is_some()
    }

    /// How often it opened.
    pub(super) const fn opened(&self) -> u64 {
        self.opened
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_some_failures_asks_now_and_then_and_closes_with_the_first_answer() {
        let mut breaker = Breaker::default();
        let start = Instant::default();
        for _ in 0..limits::BREAKER_FAILURES {
            assert!(breaker.lets_through(start));
            breaker.note(false, start);
        }
        assert!(breaker.is_open() && !breaker.lets_through(start));
        let later = start + limits::BREAKER_TIME;
        assert!(breaker.lets_through(later), "one attempt");
        assert!(!breaker.lets_through(later), "and no more");
        breaker.note(false, later);
        assert_eq!(breaker.opened(), 1);
        let later = later + limits::BREAKER_TIME;
        assert!(breaker.lets_through(later));
        breaker.note(true, later);
        assert!(!breaker.is_open() && breaker.lets_through(later));
        // Failures between answers are no outage.
        for _ in 0..100 {
            breaker.note(false, later);
            breaker.note(true, later);
        }
        assert_eq!(breaker.opened(), 1);
    }

    #[test]
    fn one_request_in_ten_may_be_made_once_more_and_none_while_it_is_open() {
        let mut breaker = Breaker::default();
        let now = Instant::default();
        let mut retries = 0;
        for _ in 0..1000 {
            assert!(breaker.lets_through(now));
            retries += u32::from(breaker.takes_retry());
        }
        assert_eq!(retries, 1000 / limits::RETRY_SHARE);
        for _ in 0..limits::RETRY_SHARE {
            breaker.lets_through(now);
        }
        for _ in 0..limits::BREAKER_FAILURES {
            breaker.note(false, now);
        }
        assert!(!breaker.takes_retry());
    }
}
