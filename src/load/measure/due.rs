//! What was due to listeners and did not come: by the server's numbering, and by their silence.

use std::time::Duration;

/// Numbers that are late by less than so much, or by three times the longest wait for a new one,
/// may be on their way.
const LATE_LEAST: Duration = Duration::from_millis(250);
const LATE_FACTOR: u32 = 3;

/// What listeners heard up to the end of the measured time. Times are since the beginning of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// The numbering of each target, in the order of the targets.
    pub numberings: Vec<Numbering>,
    /// Listeners that were up at the end.
    pub listeners: u64,
    /// Those of them that had heard nothing for long.
    pub silent: u64,
    /// For how long at the most.
    pub longest: Duration,
    /// Silences longer than the time that was asked for, also those that ended.
    pub silences: u64,
    /// How long the measured time was.
    pub until: Duration,
}

/// The numbers of one server that anybody heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbering {
    /// The first number heard and when; 0 before.
    pub first: (u64, Duration),
    /// The newest one, and when it was first heard.
    pub newest: (u64, Duration),
    /// The longest wait for a new number.
    pub longest_wait: Duration,
    /// How often the server has begun to count again: what stands above is of the last time.
    pub run: u32,
    /// Losses at which the newest message was older than this are of a run before.
    anew_ns: u64,
    /// Listeners that fell silent, and the sum of the last numbers they heard.
    pub behind: u64,
    /// See `behind`.
    pub last_sum: u64,
}

impl Due {
    /// Adds another core's.
    pub fn merge(&mut self, other: &Self) {
        let len = self.numberings.len().max(other.numberings.len());
        self.numberings.resize_with(len, Numbering::default);
        for (own, other) in self.numberings.iter_mut().zip(&other.numberings) {
            own.merge(other);
        }
        self.listeners += other.listeners;
        self.silent += other.silent;
        self.longest = self.longest.max(other.longest);
        self.silences += other.silences;
        self.until = self.until.max(other.until);
    }

    /// Events that were due to those who fell silent, from the last that each heard to the end.
    #[must_use]
    pub fn missing(&self) -> u64 {
        let each = self.numberings.iter().map(|it| it.missing(self.until));
        each.sum()
    }
}

impl Numbering {
    /// A number was heard.
    #[inline]
    pub fn heard(&mut self, sequence: u64, at: Duration) {
        let (newest, since) = self.newest;
        if sequence <= newest {
            return;
        }
        if newest == 0 {
            self.first = (sequence, at);
        } else {
            self.longest_wait = self.longest_wait.max(at.saturating_sub(since));
        }
        self.newest = (sequence, at);
    }

    /// The server counts again, if that is not known yet: a loss found it so, at which the newest
    /// message had been sent at `since_ns`.
    pub(super) fn begin_anew(&mut self, since_ns: u64) {
        if since_ns < self.anew_ns {
            return;
        }
        *self = Self {
            run: self.run + 1,
            anew_ns: since_ns + 1,
            behind: self.behind,
            last_sum: self.last_sum,
            ..Self::default()
        };
    }

    /// Silence for longer than this is no chance; `None` before two numbers were heard.
    #[must_use]
    pub fn late_after(&self) -> Option<Duration> {
        let is_known = self.newest.0 > self.first.0 && self.first.0 > 0;
        is_known.then(|| LATE_LEAST.max(self.longest_wait * LATE_FACTOR))
    }

    /// The newest number that there was at the end: heard, or due by the rate so far if nobody
    /// heard any more.
    fn due(&self, until: Duration) -> u64 {
        let (newest, heard_at) = self.newest;
        let silence = until.saturating_sub(heard_at);
        if self.late_after().is_none_or(|late| silence <= late) {
            return newest;
        }
        let (first, from) = self.first;
        let took = heard_at.saturating_sub(from).as_nanos().max(1);
        let more = silence.as_nanos() * u128::from(newest - first) / took;
        newest.saturating_add(u64::try_from(more).unwrap_or(u64::MAX))
    }

    fn missing(&self, until: Duration) -> u64 {
        let due = self.due(until).saturating_mul(self.behind);
        due.saturating_sub(self.last_sum)
    }

    fn merge(&mut self, other: &Self) {
        if other.newest.0 == 0 {
            self.behind += other.behind;
            self.last_sum += other.last_sum;
            return;
        }
        // Of a server that was begun again, what the last run said.
        let (behind, last_sum) = (self.behind + other.behind, self.last_sum + other.last_sum);
        if self.run != other.run {
            let last = if self.run > other.run { *self } else { *other };
            *self = Self {
                behind,
                last_sum,
                ..last
            };
            return;
        }
        let is_own = self.newest.0 > 0;
        let wait = if is_own {
            self.longest_wait.min(other.longest_wait)
        } else {
            other.longest_wait
        };
        *self = Self {
            first: if is_own {
                self.first.min(other.first)
            } else {
                other.first
            },
            newest: self.newest.max(other.newest),
            longest_wait: wait,
            run: self.run,
            anew_ns: self.anew_ns.max(other.anew_ns),
            behind,
            last_sum,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Numbers from 1 on, every 20 ms, until then.
    fn heard(until_ms: u64) -> Numbering {
        let mut numbering = Numbering::default();
        (1..=until_ms / 20).for_each(|n| numbering.heard(n, ms(n * 20)));
        numbering
    }

    #[test]
    fn what_nobody_heard_is_due_by_the_rate_before() {
        let mut due = Due {
            until: ms(10_000),
            numberings: vec![Numbering {
                behind: 10,
                last_sum: 10 * 125,
                ..heard(2_500)
            }],
            ..Due::default()
        };
        assert_eq!(due.missing(), 10 * 375, "7.5 s of 50 a second each");
        due.until = ms(2_700);
        assert_eq!(due.missing(), 0, "200 ms late is no silence");
    }

    #[test]
    fn what_others_heard_is_due_to_those_who_fell_silent_wherever_they_sit() {
        let silent = Due {
            until: ms(10_000),
            numberings: vec![Numbering {
                behind: 1,
                last_sum: 125,
                ..heard(2_500)
            }],
            ..Due::default()
        };
        let mut whole = Due {
            until: ms(10_000),
            numberings: vec![heard(10_000)],
            ..Due::default()
        };
        whole.merge(&silent);
        assert_eq!(whole.missing(), 375);
        let mut other_way = silent;
        other_way.merge(&Due {
            until: ms(10_000),
            numberings: vec![heard(10_000)],
            ..Due::default()
        });
        assert_eq!(other_way.missing(), 375);
    }

    #[test]
    fn a_server_that_pushes_rarely_is_not_silent() {
        let mut numbering = Numbering::default();
        numbering.heard(1, ms(0));
        assert_eq!(numbering.late_after(), None, "one number tells no rate");
        numbering.heard(2, ms(4_000));
        numbering.behind = 1;
        numbering.last_sum = 2;
        assert_eq!(numbering.missing(ms(10_000)), 0);
    }
}
