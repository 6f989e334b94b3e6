//! A client that listens: what it has heard, and what it missed while it was away.

use crate::load::attempt::Past;
use crate::load::measure::recorder::{Age, Recorder};
use crate::load::measure::stamp::Pushed;
use crate::time::Instant;
use std::time::Duration;

/// The event that tells a client that what it missed is lost.
pub(super) const STALE: &str = "stale";

/// What a listener has heard.
#[derive(Debug)]
pub(super) struct HeardSoFar {
    /// The last pushed sequence number, or 0.
    pushed: u64,
    /// When something was last heard, or the connection came up.
    heard_at: Instant,
    /// When the connect was meant to start; 0 once the first event was heard.
    unheard_since: Instant,
}

/// What a listener's messages are measured by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hearing {
    pub(super) now: Instant,
    /// The place of the connection's target among the targets.
    pub(super) place: usize,
    /// How long a listener may hear nothing, if that is asked for.
    pub(super) silence: Option<Duration>,
}

impl HeardSoFar {
    /// Nothing, on a connection that was meant to start then.
    pub(super) const fn new(intended: Instant) -> Self {
        Self {
            pushed: 0,
            heard_at: intended,
            unheard_since: intended,
        }
    }

    /// The connection is up; after a loss with what was heard before it.
    pub(super) fn up(&mut self, now: Instant, past: &mut Past) {
        self.heard_at = now;
        if let Some(lost) = past.as_mut().and_then(|past| past.lost()) {
            // It is only there again when it has heard something.
            lost.up_again(now);
            self.pushed = lost.pushed();
        }
    }

    /// A message came.
    #[inline]
    pub(super) fn on_message(
        &mut self,
        bytes: &[u8],
        past: &mut Past,
        hearing: Hearing,
        recorder: &mut Recorder,
    ) {
        let now = hearing.now;
        recorder.event(bytes.len(), now);
        let heard_at = std::mem::replace(&mut self.heard_at, now);
        if hearing
            .silence
            .is_some_and(|most| now.since(heard_at) > most)
        {
            recorder.was_silent(heard_at, now);
        }
        let intended = std::mem::take(&mut self.unheard_since);
        if intended != Instant::default() {
            recorder.first_event(intended, now);
        }
        let stamp = Pushed::parse(bytes);
        let age = if past.is_some() {
            self.catch_up(stamp, past, hearing, recorder)
        } else {
            Age::New
        };
        recorder.stamped(stamp, self.pushed, age, now);
        if let Some(stamp) = stamp {
            recorder.numbered(hearing.place, stamp, now);
            self.pushed = stamp.sequence;
        }
    }

    /// What was missed is lost. With an id of another run (`RUN:N`) the numbers begin anew, and
    /// the listener missed all of that run so far; otherwise the next message shows what it
    /// missed.
    #[cold]
    pub(super) fn on_stale(
        &mut self,
        id: &str,
        (past, place): (&Past, usize),
        recorder: &mut Recorder,
    ) {
        let run = |id: &str| id.rsplit_once(':').map(|(run, _)| run.to_owned());
        let last = past.as_ref().and_then(|past| run(past.last_event_id()?));
        if last.is_none() || last == run(id) {
            return;
        }
        let number = id.rsplit_once(':').and_then(|it| it.1.parse().ok());
        recorder.missed(number.unwrap_or(0));
        self.pushed = 0;
        if let Some(since_ns) = past.as_ref().and_then(|past| past.newest_ns()) {
            recorder.began_anew(place, since_ns);
        }
    }

    /// The last pushed sequence number, or 0.
    pub(super) const fn pushed(&self) -> u64 {
        self.pushed
    }

    /// When something was last heard.
    pub(super) const fn heard_at(&self) -> Instant {
        self.heard_at
    }

    /// When the connect was meant to start whose first event has not been heard; else 0.
    pub(super) const fn unheard_since(&self) -> Instant {
        self.unheard_since
    }

    /// A message came on a connection that is there again: the first one ends the absence; older
    /// ones than the connection are replayed.
    #[cold]
    fn catch_up(
        &mut self,
        stamp: Option<Pushed>,
        past: &mut Past,
        Hearing { now, place, .. }: Hearing,
        recorder: &mut Recorder,
    ) -> Age {
        let mut last = self.pushed;
        let newest_ns = past.as_ref().and_then(|past| past.newest_ns());
        let Some(lost) = past.as_mut().and_then(|past| past.lost()) else {
            return Age::New;
        };
        let lost_at = lost.take_time();
        if let Some(lost_at) = lost_at {
            recorder.resumed_after(lost_at, now);
        }
        let Some(stamp) = stamp else {
            *past = None;
            return Age::New;
        };
        if let (Some(_), Some(newest_ns)) = (lost_at, newest_ns)
            && is_of_another_run(stamp, (last, newest_ns))
        {
            // As after `stale`: all of that run so far was missed.
            recorder.missed(stamp.sequence.saturating_sub(1));
            recorder.began_anew(place, newest_ns);
            (last, self.pushed) = (0, 0);
        }
        if lost_at.is_some() && last != 0 && stamp.sequence > last {
            recorder.missed(stamp.sequence - last - 1);
            // What was missed is not a gap of this connection too.
            self.pushed = stamp.sequence - 1;
        }
        if stamp.sequence <= last {
            recorder.heard_twice();
        }
        if lost.asked_for(stamp.sent_ns) {
            recorder.replayed();
            Age::Replayed
        } else {
            *past = None;
            Age::New
        }
    }
}

/// A core of a server sends what it should have sent no later than this.
const LATE_CORE_MOST: Duration = Duration::from_secs(1);

/// Whether a message is one of a server that began to count again, after a loss at which the last
/// number was `last` and the newest message had been sent at `newest_ns`. Without an id of its run
/// its number and its time tell: in one run numbers rise with time, but for a core that is late.
fn is_of_another_run(stamp: Pushed, (last, newest_ns): (u64, u64)) -> bool {
    let later = Duration::from_nanos(stamp.sent_ns.saturating_sub(newest_ns));
    let is_new = stamp.sequence <= last && stamp.sent_ns > newest_ns;
    is_new && (stamp.sequence <= last / 2 || later > LATE_CORE_MOST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::attempt::{Attempt, LostConnection, RetryState};

    fn at(ns: u64) -> Instant {
        Instant::from_nanos(ns)
    }

    fn recorder() -> Recorder {
        let mut recorder = Recorder::new(false);
        recorder.measure(at(0), at(1_000_000));
        recorder
    }

    fn hear(
        seen: &mut HeardSoFar,
        past: &mut Past,
        (number, sent, now): (u64, u64, u64),
        to: &mut Recorder,
    ) {
        let text = format!("{{\"seq\":{number},\"sent_ns\":{sent}}}");
        let hearing = Hearing {
            now: at(now),
            place: 0,
            silence: None,
        };
        seen.on_message(text.as_bytes(), past, hearing, to);
    }

    /// A listener that lost its connection at 1,000 after number 5 and is up again at 2,000.
    fn back(last_event_id: &str) -> (HeardSoFar, Past) {
        let lost = LostConnection::new(5, last_event_id.to_owned(), None);
        let mut attempt = Attempt::first(0, 0, at(10)).after(Some(RetryState::of(lost)));
        attempt.mark_lost(at(1_000));
        attempt.mark_newest(950);
        let (mut seen, mut past) = (HeardSoFar::new(at(10)), attempt.take_past());
        seen.up(at(2_000), &mut past);
        (seen, past)
    }

    #[test]
    fn the_first_event_is_measured_from_the_intended_connect_and_once() {
        let (mut seen, mut to) = (HeardSoFar::new(at(10)), recorder());
        hear(&mut seen, &mut None, (1, 80, 90), &mut to);
        hear(&mut seen, &mut None, (2, 80, 95), &mut to);
        let latencies = &to.outcome().latencies;
        assert_eq!(latencies.first_event.histogram().len(), 1);
        assert_eq!(latencies.first_event.histogram().max(), 80);
        assert_eq!((seen.pushed(), seen.heard_at()), (2, at(95)));
        assert_eq!(seen.unheard_since(), Instant::default());
    }

    #[test]
    fn what_was_asked_for_is_replayed_and_the_rest_is_new() {
        let (mut seen, mut past) = back("run:5");
        let mut to = recorder();
        hear(&mut seen, &mut past, (6, 1_500, 2_100), &mut to);
        hear(&mut seen, &mut past, (7, 2_050, 2_100), &mut to);
        assert!(past.is_none(), "it has caught up");
        let returns = to.outcome().returns;
        assert_eq!(
            (returns.replayed, returns.missed, returns.duplicated),
            (1, 0, 0)
        );
        let latencies = &to.outcome().latencies;
        assert_eq!(latencies.resume.histogram().max(), 1_100);
        assert_eq!(latencies.one_way.histogram().len(), 1);
    }

    #[test]
    fn what_never_came_was_missed_and_what_had_come_is_heard_twice() {
        let (mut seen, mut past) = back("");
        let mut to = recorder();
        hear(&mut seen, &mut past, (9, 2_050, 2_100), &mut to);
        assert_eq!(to.outcome().returns.missed, 3);
        assert_eq!(to.outcome().events.gaps, 0, "it is no gap as well");
        let (mut seen, mut past) = back("run:5");
        hear(&mut seen, &mut past, (5, 900, 2_100), &mut to);
        assert_eq!(to.outcome().returns.duplicated, 1);
    }

    #[test]
    fn numbers_begin_anew_with_another_run() {
        let (mut seen, past) = back("run:5");
        let mut to = recorder();
        seen.on_stale("run:80", (&past, 0), &mut to);
        assert_eq!((seen.pushed(), to.outcome().returns.missed), (5, 0));
        seen.on_stale("other:80", (&past, 0), &mut to);
        assert_eq!((seen.pushed(), to.outcome().returns.missed), (0, 80));
    }
}
